//! A line's text → words and braces.

use std::ops::Range;

use super::{
    diagnostic::Diagnostics,
    source::{Span, narrow},
};

mod scan;

pub(super) use scan::{Fault, is_blank};
use scan::{Stop, scan_word};

/// What the lines of a configuration consist of, in order. Of a large file there are millions, so
/// they are few bytes each, in few allocations.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The texts of all words, one after the other.
    text: String,
    words: Vec<Word>,
}

/// A word, or a brace.
#[derive(Debug, Clone)]
pub(super) struct Word {
    /// What was written; quotes and escapes are resolved in [`Tokens::text_of`].
    pub(super) span: Span,
    /// Where its text starts in [`Tokens::text`]. It ends where that of the next one starts.
    text: u32,
    kind: Kind,
    pub(super) quoted: bool,
}

/// What a word is in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first of a statement.
    Keyword,
    /// Another one of it.
    Value,
    Open,
    Close,
}

/// A keyword with its values, or a brace.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    /// The places of its words; never empty.
    Words(Range<u32>),
    Open(Span),
    Close(Span),
}

impl Tokens {
    /// Makes room for the words of a text of so many bytes, at once instead of over and over.
    pub(super) fn reserve(&mut self, bytes: usize) {
        /// Of a word with its blank, or of a brace, as files have it that are large.
        const BYTES: usize = 8;
        self.text.reserve(bytes);
        self.words.reserve(bytes / BYTES);
    }

    /// Reads the words of a line without comment. A statement ends at the line's end or a brace.
    pub(super) fn read_line(
        &mut self,
        line: &str,
        locate: impl Fn(Range<usize>) -> Span,
        diagnostics: &mut Diagnostics,
    ) {
        let mut next = Kind::Keyword;
        let mut at = 0;
        while let Some(byte) = line.as_bytes().get(at) {
            match byte {
                b'{' | b'}' => {
                    let kind = if *byte == b'{' {
                        Kind::Open
                    } else {
                        Kind::Close
                    };
                    self.push(kind, locate(at..at + 1), "", false);
                    next = Kind::Keyword;
                    at += 1;
                }
                byte if is_blank(*byte) => at += 1,
                _ => {
                    let scanned = scan_word(line, at, Stop::AtBrace);
                    let span = locate(at..scanned.end);
                    if let Some(fault) = scanned.fault {
                        diagnostics.add(fault.diagnostic(span));
                    }
                    self.push(next, span, &scanned.text, scanned.quoted);
                    next = Kind::Value;
                    at = scanned.end;
                }
            }
        }
    }

    fn push(&mut self, kind: Kind, span: Span, text: &str, quoted: bool) {
        self.words.push(Word {
            span,
            text: narrow(self.text.len()),
            kind,
            quoted,
        });
        self.text.push_str(text);
    }

    /// How many words and braces there are.
    pub(super) const fn len(&self) -> usize {
        self.words.len()
    }

    /// A word, by its place.
    pub(super) fn word(&self, place: usize) -> Option<&Word> {
        self.words.get(place)
    }

    /// What a word says.
    pub(super) fn text_of(&self, place: usize) -> &str {
        let start = |place| self.words.get(place).map(|word: &Word| word.text as usize);
        let end = start(place + 1).unwrap_or(self.text.len());
        start(place)
            .and_then(|start| self.text.get(start..end))
            .unwrap_or("")
    }

    /// The words, without the braces, from a place on.
    pub(super) fn words_from(
        &self,
        place: usize,
    ) -> impl DoubleEndedIterator<Item = (usize, &Word)> {
        (place..self.words.len())
            .filter_map(|place| Some((place, self.words.get(place)?)))
            .filter(|(_, word)| matches!(word.kind, Kind::Keyword | Kind::Value))
    }

    /// The statement that starts at a place, and the place behind it.
    pub(super) fn statement(&self, place: usize) -> Option<(Statement, usize)> {
        let word = self.words.get(place)?;
        let values = match word.kind {
            Kind::Open => return Some((Statement::Open(word.span), place + 1)),
            Kind::Close => return Some((Statement::Close(word.span), place + 1)),
            Kind::Keyword | Kind::Value => self.words.get(place + 1..)?.iter(),
        };
        let end = place + 1 + values.take_while(|word| word.kind == Kind::Value).count();
        Some((Statement::Words(narrow(place)..narrow(end)), end))
    }

    /// The statements from a place on.
    pub(super) fn statements_from(&self, mut place: usize) -> impl Iterator<Item = Statement> {
        std::iter::from_fn(move || {
            let (statement, end) = self.statement(place)?;
            place = end;
            Some(statement)
        })
    }

    /// How many braces open a block, and how many end one.
    pub(super) fn braces(&self) -> (usize, usize) {
        let count = |kind| self.words.iter().filter(|word| word.kind == kind).count();
        (count(Kind::Open), count(Kind::Close))
    }
}

/// Splits a script's command line into its words, as keepalived does: quotes and escapes as in
/// a line of the configuration, braces are ordinary characters.
pub(super) fn split_command(line: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(byte) = line.as_bytes().get(at) {
        if is_blank(*byte) {
            at += 1;
            continue;
        }
        let scanned = scan_word(line, at, Stop::AtBlank);
        if let Some(fault) = scanned.fault {
            return Err(fault);
        }
        words.push(scanned.text.into_owned());
        at = scanned.end;
    }
    Ok(words)
}

/// The part of a line before its comment: `#` and `!` start one anywhere but inside double
/// quotes (keepalived tracks no single quotes here) or behind a backslash.
pub(super) fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'#' | b'!' if !quoted => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{
        diagnostic::{Code, Diagnostic},
        source::Sources,
    };

    fn lex(line: &str) -> (Vec<String>, Vec<Diagnostic>) {
        let mut sources = Sources::default();
        let file = sources.add("a.conf".into(), line.to_owned().into());
        let mut tokens = Tokens::default();
        let mut diagnostics = Diagnostics::default();
        let locate = |range: Range<usize>| Span::new(file, narrow(range.start)..narrow(range.end));
        tokens.read_line(line, locate, &mut diagnostics);
        let printed = tokens
            .statements_from(0)
            .map(|statement| match statement {
                Statement::Open(_) => "{".to_owned(),
                Statement::Close(_) => "}".to_owned(),
                Statement::Words(places) => places
                    .map(|place| format!("[{}]", tokens.text_of(place as usize)))
                    .collect(),
            })
            .collect();
        (printed, diagnostics.into_sorted())
    }

    fn good(line: &str) -> Vec<String> {
        let (printed, diagnostics) = lex(line);
        assert_eq!(diagnostics, []);
        printed
    }

    #[test]
    fn braces_end_statements_even_when_glued_to_a_word() {
        assert_eq!(
            good("vrrp_instance VI_1{ state BACKUP } priority 1"),
            [
                "[vrrp_instance][VI_1]",
                "{",
                "[state][BACKUP]",
                "}",
                "[priority][1]"
            ]
        );
        assert_eq!(good("{}"), ["{", "}"]);
    }

    #[test]
    fn quotes_keep_blanks_and_braces_and_join_with_their_neighbours() {
        assert_eq!(good(r#"a "b { c" 'd } e'"#), ["[a][b { c][d } e]"]);
        assert_eq!(good(r#"abcd" efg h jkl "mnop"#), ["[abcd efg h jkl mnop]"]);
        assert_eq!(good(r#"a """#), ["[a][]"]);
        assert_eq!(good(r#""it's" 'a "b"'"#), [r#"[it's][a "b"]"#]);
    }

    #[test]
    fn escapes_are_those_of_the_shell_and_c() {
        assert_eq!(
            good(r"\a\b\E\f\n\r\t\v"),
            ["[\u{7}\u{8}\u{1b}\u{c}\n\r\t\u{b}]"]
        );
        assert_eq!(good(r"\101\x41\cC\\\{\}\#"), ["[AA\u{3}\\{}#]"]);
        assert_eq!(good(r"b\ c"), ["[b c]"]);
        assert_eq!(good(r"\xc3\xa9"), ["[é]"]);
        assert_eq!(good(r"\xzz"), ["[xzz]"]);
    }

    #[test]
    fn an_undefined_reference_stays_one_word() {
        assert_eq!(good("${UNDEF} $X a${B}c"), ["[${UNDEF}][$X][a${B}c]"]);
        assert_eq!(good("${"), ["[$]", "{"]);
    }

    #[test]
    fn faults_are_reported_and_the_word_is_kept() {
        let codes = |line| {
            let (_, diagnostics) = lex(line);
            diagnostics.iter().map(|d| d.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(r#"a "b"#), [Code::UnterminatedQuote]);
        assert_eq!(codes("a 'b"), [Code::UnterminatedQuote]);
        assert_eq!(codes(r"a \"), [Code::BadEscape]);
        assert_eq!(codes(r"a \xff"), [Code::BadEscape]);
        assert_eq!(codes(r"a \0"), [Code::BadEscape]);
    }

    #[test]
    fn comments_are_cut_outside_double_quotes_only() {
        assert_eq!(without_comment("a # b"), "a ");
        assert_eq!(without_comment("!a"), "");
        assert_eq!(without_comment(r##"a "#!" b ! c"##), r##"a "#!" b "##);
        assert_eq!(without_comment("a 'b # c'"), "a 'b ");
        assert_eq!(without_comment(r"a \# \! b # c"), r"a \# \! b ");
        assert_eq!(without_comment(r##"a "\"#" # c"##), r##"a "\"#" "##);
    }

    #[test]
    fn a_command_is_split_like_a_line_without_braces() {
        assert_eq!(
            split_command(r"/bin/x 'a b' { } c\ d ''").unwrap(),
            ["/bin/x", "a b", "{", "}", "c d", ""]
        );
        assert_eq!(split_command("'a"), Err(Fault::Unterminated('\'')));
    }
}
