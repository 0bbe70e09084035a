//! What the README and the embedding guide quote is what the programs say, and they are as short as
//! promised.

use std::fs;

const GUIDE: &str = include_str!("../../../docs/embedding.md");
const README: &str = include_str!("../../../README.md");

fn program(name: &str) -> String {
    let file = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&file).expect("a link of the guide names a file")
}

/// Each block of Rust in a page with the file of this directory that the link before it names.
fn quotations(page: &'static str) -> Vec<(&'static str, &'static str)> {
    let blocks = page.match_indices("```rust\n").map(|(at, fence)| {
        let (before, code) = (&page[..at], &page[at + fence.len()..]);
        let (code, _) = code.split_once("```\n").expect("a block has an end");
        let (_, link) = before
            .rsplit_once("examples/embed/")
            .expect("a link before it");
        let (name, _) = link.split_once(')').expect("a link has an end");
        (name, code)
    });
    blocks.collect()
}

/// How far a page moves what it quotes to the left is its own affair.
fn unindented(code: &str) -> String {
    code.lines()
        .flat_map(|line| [line.trim_start(), "\n"])
        .collect()
}

#[test]
fn the_pages_quote_the_programs_word_for_word() {
    for (page, text) in [("docs/embedding.md", GUIDE), ("README.md", README)] {
        let quotations = quotations(text);
        assert!(!quotations.is_empty(), "{page}");
        for (name, code) in quotations {
            assert!(
                unindented(&program(name)).contains(&unindented(code)),
                "{page} quotes {name}, but this is not in it:\n{code}"
            );
        }
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
