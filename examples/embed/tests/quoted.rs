//! What the embedding guide quotes is what the programs say, and they are as short as promised.

use std::fs;

const GUIDE: &str = include_str!("../../../docs/embedding.md");

fn program(name: &str) -> String {
    let file = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&file).expect("a link of the guide names a file")
}

/// Each block of Rust in the guide with the file of this directory that the link before it names.
fn quotations() -> Vec<(&'static str, &'static str)> {
    let blocks = GUIDE.match_indices("```rust\n").map(|(at, fence)| {
        let (before, code) = (&GUIDE[..at], &GUIDE[at + fence.len()..]);
        let (code, _) = code.split_once("```\n").expect("a block has an end");
        let (_, link) = before
            .rsplit_once("](../examples/embed/")
            .expect("a link before it");
        let (name, _) = link.split_once(')').expect("a link has an end");
        (name, code)
    });
    blocks.collect()
}

#[test]
fn the_guide_quotes_the_programs_word_for_word() {
    let quotations = quotations();
    assert!(!quotations.is_empty());
    for (name, code) in quotations {
        assert!(
            program(name).contains(code),
            "docs/embedding.md quotes {name}, but this is not in it:\n{code}"
        );
    }
}

#[test]
fn each_program_is_under_sixty_lines_of_code() {
    let mut files = 0;
    for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".rs") {
            continue;
        }
        files += 1;
        let text = program(&name);
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = text.lines().filter(is_code).count();
        assert!(lines < 60, "{name} has {lines} lines of code");
        assert!(
            GUIDE.contains(&format!("](../examples/embed/{name})")),
            "the guide has {name}"
        );
    }
    assert!(files > 1);
}
