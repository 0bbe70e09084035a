//! `track_file`: a file on this machine that holds a number.

use std::collections::BTreeSet;

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    keywords::TRACK_FILE,
    model::{InitFile, Places, TrackFile},
    script::reverse_word,
    suggest::did_you_mean,
    tree::{Item, Word},
    values::{absolute_path, whole},
};

/// All `track_file` blocks so far.
#[derive(Debug, Default)]
pub(super) struct TrackFiles {
    pub(super) good: Vec<TrackFile>,
    /// Their names, those of broken ones too, with what is wrong with them reported.
    names: BTreeSet<String>,
}

impl TrackFiles {
    /// Reads a `track_file`.
    pub(super) fn read(&mut self, context: &mut Context<'_>, block: Item<'_>) {
        self.names
            .extend(block.args().next().map(|name| name.text.to_owned()));
        self.good.extend(track_file(context, block));
    }

    /// The file of that name, if it is good; one that there is not is reported.
    pub(super) fn find(&self, context: &mut Context<'_>, name: Word<'_>) -> Option<&TrackFile> {
        if !self.names.contains(name.text) {
            let message = format!("there is no `track_file {}`", name.text);
            let diagnostic = Diagnostic::new(Code::UnknownFile, name.span, message);
            let names = self.names.iter().map(|name| &**name);
            context.report(match did_you_mean(name.text, names) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!(
                    "define `track_file {} {{ ... }}`; keepalived goes on without the check",
                    name.text
                )),
            });
        }
        self.good.iter().find(|file| *file.name == *name.text)
    }

    /// Reports files that no check reads.
    pub(super) fn report_unused(&self, context: &mut Context<'_>, virtual_servers: &[Item<'_>]) {
        // By what is written, so that a file is not unused for a mistake in its virtual server.
        let named: BTreeSet<&str> = virtual_servers
            .iter()
            .flat_map(|server| server.items())
            .flat_map(|real_server| real_server.items())
            .filter(|check| check.keyword().text == "FILE_CHECK")
            .flat_map(|check| check.items())
            .filter(|line| line.keyword().text == "track_file")
            .filter_map(|line| line.args().next().map(|word| word.text))
            .collect();
        for file in self.good.iter().filter(|file| !named.contains(&*file.name)) {
            let message = format!("nothing reads `track_file {}`", file.name);
            context.report(
                Diagnostic::new(Code::Unused, file.places.block(), message)
                    .help("name it in a `FILE_CHECK`, or remove it"),
            );
        }
    }
}

fn track_file(context: &mut Context<'_>, block: Item<'_>) -> Option<TrackFile> {
    let name = context.name(block)?;
    let mut places = Places::new(block.span());
    let mut path = None;
    let mut weighed = Some((1, false));
    let mut init = None;
    for (keyword, item) in context.keywords(&TRACK_FILE, block.items()) {
        places.set(keyword, item.span());
        match keyword {
            "file" => path = Some(context.one(item, "a path", absolute_path)),
            "weight" => weighed = weight(context, item),
            "init_file" => init = init_file(context, item),
            _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
        }
    }
    let Some(path) = path else {
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                block.span(),
                format!("`track_file {}` has no `file`", name.text),
            )
            .help("write `file \"/path/of/the/file\"`"),
        );
        return None;
    };
    let (weight, reverse) = weighed?;
    Some(TrackFile {
        name: name.text.into(),
        path: path?,
        weight,
        reverse,
        init,
        places,
    })
}

/// `weight N [reverse|noreverse]`, which for files has a wider range than for scripts.
pub(super) fn weight(context: &mut Context<'_>, item: Item<'_>) -> Option<(i32, bool)> {
    let mut args = Args::of(item);
    let number = args.required(context, "a weight")?;
    let reverse = match args.next() {
        None => false,
        Some(word) => context.parsed(word, reverse_word)?,
    };
    args.end(context);
    let parse = whole("a weight", -i32::MAX..=i32::MAX);
    Some((context.parsed(number, parse)?, reverse))
}

/// `init_file [VALUE] [overwrite]`.
fn init_file(context: &mut Context<'_>, item: Item<'_>) -> Option<InitFile> {
    let mut args = Args::of(item);
    let mut init = InitFile::default();
    let mut word = args.next();
    if let Some(value) = word.filter(|word| word.text != "overwrite") {
        init.value = context.parsed(value, whole("a number", i32::MIN..=i32::MAX))?;
        word = args.next();
    }
    if let Some(word) = word {
        context.parsed(word, |text| match text {
            "overwrite" => Ok(()),
            _ => Err(format!("`{text}` is not `overwrite`")),
        })?;
        init.overwrite = true;
    }
    args.end(context);
    Some(init)
}
