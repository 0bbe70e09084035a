//! The table of keywords beside the manual page of Debian's keepalived.

use std::process::Command;

use super::blocks_with;

const PAGE: &str = "/usr/share/man/man5/keepalived.conf.5.gz";

/// Words of the page that keepalived itself calls unknown: it is the page that is wrong.
const UNKNOWN_TO_KEEPALIVED: [&str; 1] = ["dynamic"];

/// The words that begin a line of an example in bold, each with its first line.
fn keywords(page: &str) -> Vec<(usize, &str)> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    let mut is_example = false;
    for (number, line) in (1..).zip(page.lines()) {
        match line.split(' ').next() {
            Some(".nf") => is_example = true,
            Some(".fi" | ".SH") => is_example = false,
            _ => {}
        }
        let Some(bold) = line
            .trim_start()
            .strip_prefix("\\fB")
            .filter(|_| is_example)
        else {
            continue;
        };
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let end = bold.find(|c| !is_of_word(c)).unwrap_or(bold.len());
        let word = &bold[..end];
        if !word.is_empty() && !found.iter().any(|(_, known)| *known == word) {
            found.push((number, word));
        }
    }
    found
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs the manual of Debian's keepalived"
)]
fn every_keyword_of_the_manual_is_in_the_table() {
    let output = Command::new("zcat").arg(PAGE).output();
    let output = output.expect("zcat is installed");
    assert!(output.status.success(), "{PAGE}: {output:?}");
    let page = String::from_utf8(output.stdout).expect("the page is UTF-8");
    let keywords = keywords(&page);
    assert!(keywords.len() > 300, "only {} are found", keywords.len());
    let missing: Vec<_> = keywords
        .iter()
        .filter(|(_, word)| blocks_with(word).is_empty())
        .filter(|(_, word)| !UNKNOWN_TO_KEEPALIVED.contains(word))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_keyword_is_a_bold_word_at_the_beginning_of_a_line_of_an_example() {
    let page = ".SH \\fBTitle\\fR\n.nf\n\\fBone \\fRNUMBER\n  # \\fBtwo\\fR\n\t\\fBthree-3\\fR {\n.fi\n\\fBfour\\fR\n";
    assert_eq!(keywords(page), [(3, "one"), (5, "three-3")]);
}
