//! What the tests share.

use director::conf::{
    Code, Diagnostic, Item, Loaded, MemoryEnvironment, Options, Sources, Tree, load,
    model::{Config, VrrpInstance},
    parse,
};

pub(crate) const PATH: &str = "/etc/keepalived/keepalived.conf";

/// Marks the place of an expected diagnostic in a text.
pub(crate) const MARK: char = '«';

/// A good instance around some lines, which start on line 5.
pub(crate) fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id 51\n\
         virtual_ipaddress {{ 192.0.2.1/24 }}\n{lines}\n}}\n"
    )
}

pub(crate) fn loaded(text: &str) -> Loaded {
    let machine = MemoryEnvironment::with_file(PATH, text);
    load(PATH, &machine, &options()).expect("the file is there")
}

pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.config_id = Some("here".to_owned());
    options.max_expansion = 1 << 20;
    options
}

/// The configuration of a text with neither error nor warning.
#[track_caller]
pub(crate) fn good(text: &str) -> Config {
    let loaded = loaded(text);
    assert_eq!(said(&loaded.diagnostics, &loaded.sources), [] as [Said; 0]);
    loaded
        .config
        .expect("without error there is a configuration")
}

/// The one instance of a good text.
#[track_caller]
pub(crate) fn good_instance(lines: &str) -> VrrpInstance {
    let mut instances = good(&instance(lines)).instances;
    assert_eq!(instances.len(), 1);
    instances.remove(0)
}

/// A diagnostic's code, line and column.
pub(crate) type Said = (Code, usize, usize);

pub(crate) fn said(diagnostics: &[Diagnostic], sources: &Sources) -> Vec<Said> {
    diagnostics
        .iter()
        .map(|diagnostic| {
            let start = sources.start(diagnostic.span);
            (diagnostic.code, start.line, start.column)
        })
        .collect()
}

/// Takes the marks out of a text; their places are those expected.
pub(crate) fn unmarked(marked: &str, codes: &[Code]) -> (String, Vec<Said>) {
    let mut text = String::new();
    let mut places = Vec::new();
    let (mut line, mut column) = (1, 1);
    for c in marked.chars() {
        match c {
            MARK => {
                places.push((line, column));
                continue;
            }
            '\n' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
        text.push(c);
    }
    assert_eq!(places.len(), codes.len(), "as many marks as codes");
    let expected = codes.iter().zip(places);
    let expected = expected.map(|(code, (line, column))| (*code, line, column));
    (text, expected.collect())
}

/// A text's tree on one line: `a b {c; d e}; f`.
pub(crate) fn outline(machine: &MemoryEnvironment) -> String {
    let parsed = parse(PATH, machine, &options()).expect("the file is there");
    assert_eq!(said(&parsed.diagnostics, &parsed.sources), [] as [Said; 0]);
    outline_of(&parsed.tree)
}

pub(crate) fn outline_of(tree: &Tree) -> String {
    let items: Vec<String> = tree.items().map(outline_of_item).collect();
    items.join("; ")
}

fn outline_of_item(item: Item<'_>) -> String {
    let words: Vec<&str> = item.words().map(|word| word.text).collect();
    let items: Vec<String> = item.items().map(outline_of_item).collect();
    match item.brace() {
        None => words.join(" "),
        Some(_) => format!("{} {{{}}}", words.join(" "), items.join("; ")),
    }
}
