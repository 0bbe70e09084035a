//! The body of the fuzz target `conf`, which the property tests of `director` run too.

use director::conf::{Loaded, MemoryEnvironment, Options, Parsed, Severity, load, parse, render};

const PATH: &str = "/k/a.conf";

/// Reads any bytes as a configuration (a second file of the same bytes can be included): it ends,
/// every diagnostic lies in the text, and the tree of a text without fault prints as itself.
pub fn read_any(bytes: &[u8]) {
    let machine = MemoryEnvironment::with_file(PATH, bytes).and_file("/k/b.conf", bytes);
    let mut options = Options::default();
    options.config_id = Some("here".to_owned());
    options.max_expansion = 1 << 13;
    let loaded = load(PATH, &machine, &options).expect("the file is there");
    check_places(&loaded);
    check_rendered(&loaded);
    let parsed = parse(PATH, &machine, &options).expect("the file is there");
    if parsed.diagnostics.is_empty() {
        check_round_trip(&parsed, &options);
    }
}

fn check_places(loaded: &Loaded) {
    let failed = loaded
        .diagnostics
        .iter()
        .any(|d| d.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), failed);
    for diagnostic in &loaded.diagnostics {
        let notes = diagnostic.notes.iter().map(|note| note.span);
        for span in notes.chain([diagnostic.span]) {
            let text = loaded.sources.text(span.file);
            assert!(
                text.get(span.range()).is_some(),
                "{span:?} of {diagnostic:?}"
            );
            let (start, end) = (loaded.sources.start(span), loaded.sources.end(span));
            assert!(start <= end);
            assert!(end.line <= text.matches('\n').count() + 1);
        }
    }
}

fn check_rendered(loaded: &Loaded) {
    let few = loaded.diagnostics.get(..20).unwrap_or(&loaded.diagnostics);
    let text = render::text(few, &loaded.sources, false);
    for diagnostic in few {
        assert!(text.contains(diagnostic.code.as_str()));
    }
    render::json(PATH, few, &loaded.sources).expect("any text is JSON");
}

fn check_round_trip(parsed: &Parsed, options: &Options) {
    let printed = parsed.tree.to_string();
    let machine = MemoryEnvironment::with_file(PATH, printed.as_str());
    let again = parse(PATH, &machine, options).expect("the file is there");
    assert!(
        again.diagnostics.is_empty(),
        "{:?} in\n{printed}",
        again.diagnostics
    );
    assert_eq!(again.tree.to_string(), printed);
    assert_eq!(again.tree.len(), parsed.tree.len());
}
