//! `track_script`, `track_interface` and `track_file`.

use vrrp::Weight;

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    keywords::{TRACK_FILE_LIST, TRACK_INTERFACE, TRACK_SCRIPT},
    model::Places,
    source::Span,
    suggest::did_you_mean,
    tree::Item,
    values::{file_weight, interface, weight},
};

/// What an instance or a group tracks, before the scripts and files are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracks {
    pub(super) scripts: Vec<Track>,
    pub(super) interfaces: Vec<Track>,
    pub(super) files: Vec<Track>,
}

/// An entry of one of the lists.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) name: String,
    pub(super) weight: Option<Weight>,
    pub(super) reverse: Option<bool>,
    pub(super) span: Span,
}

/// Takes over one of the blocks; `false` if the keyword is none of them.
pub(super) fn track(
    context: &mut Context<'_>,
    tracks: &mut Tracks,
    places: &mut Places,
    keyword: &'static str,
    block: Item<'_>,
) -> bool {
    let list = match keyword {
        "track_script" => &mut tracks.scripts,
        "track_interface" => &mut tracks.interfaces,
        "track_file" => &mut tracks.files,
        _ => return false,
    };
    for entry in block.items() {
        let Some(track) = entry_of(context, keyword, entry) else {
            continue;
        };
        if let Some(first) = places.entry(keyword, &track.name) {
            context.report(
                Diagnostic::new(
                    Code::DuplicateEntry,
                    track.span,
                    format!("`{}` is tracked twice", track.name),
                )
                .note(first, "first tracked here")
                .help("remove one of them"),
            );
            continue;
        }
        places.set_entry(keyword, &track.name, track.span);
        list.push(track);
    }
    true
}

fn entry_of(context: &mut Context<'_>, keyword: &str, entry: Item<'_>) -> Option<Track> {
    let of_interfaces = keyword == TRACK_INTERFACE.name;
    let of_files = keyword == TRACK_FILE_LIST.name;
    debug_assert!(of_interfaces || of_files || keyword == TRACK_SCRIPT.name);
    let mut args = Args::of_entry(entry);
    let name = args.required(context, "a name")?;
    let mut track = Track {
        name: if of_interfaces {
            context.parsed(name, interface)?
        } else {
            name.text.to_owned()
        },
        weight: None,
        reverse: None,
        span: name.span,
    };
    if !super::instance::is_plain_entry(context, entry) {
        return None;
    }
    while let Some(word) = args.next() {
        match word.text {
            "weight" => {
                let number = args.required(context, "a weight")?;
                let parse = if of_files { file_weight } else { weight };
                track.weight = Some(context.parsed(number, parse)?);
            }
            _ if track.weight.is_some() => {
                track.reverse = Some(context.parsed(word, reverse_word)?);
            }
            _ => {
                context.report(
                    Diagnostic::new(
                        Code::WrongValue,
                        word.span,
                        format!("`{}` is not an option of an entry here", word.text),
                    )
                    .help(
                        "each entry has a line of its own, with `weight N [reverse]` behind it \
                         if wanted",
                    ),
                );
                return None;
            }
        }
    }
    Some(track)
}

/// `weight N [reverse|noreverse]` of what can be tracked.
pub(super) fn weight_line<T>(
    context: &mut Context<'_>,
    item: Item<'_>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<(T, bool)> {
    let mut args = Args::of(item);
    let number = args.required(context, "a weight")?;
    let reverse = match args.next() {
        None => false,
        Some(word) => context.parsed(word, reverse_word)?,
    };
    args.end(context);
    Some((context.parsed(number, parse)?, reverse))
}

fn reverse_word(text: &str) -> Result<bool, String> {
    match text {
        "reverse" => Ok(true),
        "noreverse" | "no_reverse" => Ok(false),
        _ => Err(format!("`{text}` is neither `reverse` nor `noreverse`")),
    }
}

/// Reports a name that stands for nothing that there is.
pub(super) fn report_unknown<'n>(
    context: &mut Context<'_>,
    code: Code,
    keyword: &str,
    (name, span): (&str, Span),
    names: impl Iterator<Item = &'n str>,
) {
    let message = format!("there is no `{keyword} {name}`");
    let diagnostic = Diagnostic::new(code, span, message);
    context.report(match did_you_mean(name, names) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!(
            "define `{keyword} {name} {{ ... }}`; keepalived goes on without the check"
        )),
    });
}
