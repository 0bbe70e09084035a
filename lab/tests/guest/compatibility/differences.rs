//! The document that lists where both daemons differ.

const DOCUMENT: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/differences-from-keepalived.md"
));

/// A section with files and with what they come to.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) title: String,
    /// The file to start with, and another one to reload.
    pub(super) files: Vec<String>,
    pub(super) keepalived: String,
    /// `None`: the file is refused.
    pub(super) director: Option<String>,
}

/// All that the document lists with files.
pub(super) fn differences() -> Vec<Difference> {
    let sections = DOCUMENT.split("\n## ").skip(1);
    let all = sections.map(|section| {
        let mut difference = Difference {
            title: section.lines().next().unwrap_or_default().to_owned(),
            ..Difference::default()
        };
        // Every second piece is a fenced block, behind the name of what is in it.
        for block in section.split("```").skip(1).step_by(2) {
            let (kind, text) = block.split_once('\n').expect("a block begins with a line");
            match kind {
                "conf" => difference.files.push(text.to_owned()),
                "keepalived" => text.clone_into(&mut difference.keepalived),
                "director" => difference.director = Some(text.to_owned()),
                other => panic!("{}: a block of {other:?}", difference.title),
            }
        }
        difference
    });
    all.filter(|difference| !difference.files.is_empty())
        .collect()
}

/// The samples that the document says are refused, without `keepalived.conf.`.
pub(super) fn refused_samples() -> Vec<&'static str> {
    let rows = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `keepalived.conf."));
    rows.filter_map(|row| row.split('`').next()).collect()
}
