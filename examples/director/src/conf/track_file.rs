//! `track_file`: a file on this machine that holds a number.

use std::collections::BTreeSet;

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    keywords::TRACK_FILE,
    model::{InitFile, Places, TrackFile},
    source::Span,
    track::{report_unknown, weight_line},
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
        self.check(context, name.text, name.span);
        self.named(name.text)
    }

    /// The file of that name, if it is good.
    pub(super) fn named(&self, name: &str) -> Option<&TrackFile> {
        self.good.iter().find(|file| *file.name == *name)
    }

    /// Reports a file that there is not.
    pub(super) fn check(&self, context: &mut Context<'_>, name: &str, span: Span) {
        if self.names.contains(name) {
            return;
        }
        let names = self.names.iter().map(|name| &**name);
        report_unknown(
            context,
            Code::UnknownFile,
            "track_file",
            (name, span),
            names,
        );
    }

    /// Reports files that no check reads, and that are not among those that are tracked.
    pub(super) fn report_unused(
        &self,
        context: &mut Context<'_>,
        virtual_servers: &[Item<'_>],
        tracked: &BTreeSet<String>,
    ) {
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
        let is_used =
            |file: &&TrackFile| named.contains(&*file.name) || tracked.contains(&*file.name);
        for file in self.good.iter().filter(|file| !is_used(file)) {
            let message = format!("nothing reads `track_file {}`", file.name);
            context.report(
                Diagnostic::new(Code::Unused, file.places.block(), message)
                    .help("name it in a `FILE_CHECK` or in a list of `track_file`, or remove it"),
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
    weight_line(context, item, whole("a weight", -i32::MAX..=i32::MAX))
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
