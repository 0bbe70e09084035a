//! A line's text → words and braces.

use std::{borrow::Cow, ops::Range};

use super::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    source::{Span, narrow},
};

/// What the lines of a configuration consist of, in order.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The texts of all words, one after the other: one allocation instead of millions.
    pub(super) text: String,
    pub(super) words: Vec<Word>,
    pub(super) statements: Vec<Statement>,
}

/// A word: quotes and escapes are resolved in `text`, `span` is what was written.
#[derive(Debug, Clone)]
pub(super) struct Word {
    /// In [`Tokens::text`].
    pub(super) text: Range<u32>,
    pub(super) span: Span,
    pub(super) quoted: bool,
}

/// A keyword with its values, or a brace.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    /// Indices into [`Tokens::words`]; never empty.
    Words(Range<u32>),
    Open(Span),
    Close(Span),
}

impl Tokens {
    /// Makes room for the words of a text of so many bytes, at once instead of over and over.
    pub(super) fn reserve(&mut self, bytes: usize) {
        /// Of a word with its blank, as files have it that are large.
        const BYTES: usize = 12;
        self.text.reserve(bytes);
        self.words.reserve(bytes / BYTES);
        self.statements.reserve(bytes / BYTES);
    }

    /// Reads the words of a line without comment. A statement ends at the line's end or a brace.
    pub(super) fn read_line(
        &mut self,
        line: &str,
        locate: impl Fn(Range<usize>) -> Span,
        diagnostics: &mut Diagnostics,
    ) {
        let mut first = self.words.len();
        let mut at = 0;
        while let Some(byte) = line.as_bytes().get(at) {
            match byte {
                b'{' | b'}' => {
                    self.end_statement(&mut first);
                    let span = locate(at..at + 1);
                    self.statements.push(if *byte == b'{' {
                        Statement::Open(span)
                    } else {
                        Statement::Close(span)
                    });
                    at += 1;
                }
                byte if is_blank(*byte) => at += 1,
                _ => {
                    let scanned = scan_word(line, at, Stop::AtBrace);
                    let span = locate(at..scanned.end);
                    if let Some(fault) = scanned.fault {
                        diagnostics.add(fault.diagnostic(span));
                    }
                    let start = narrow(self.text.len());
                    self.text.push_str(&scanned.text);
                    self.words.push(Word {
                        text: start..narrow(self.text.len()),
                        span,
                        quoted: scanned.quoted,
                    });
                    at = scanned.end;
                }
            }
        }
        self.end_statement(&mut first);
    }

    fn end_statement(&mut self, first: &mut usize) {
        let end = self.words.len();
        if *first < end {
            self.statements
                .push(Statement::Words(narrow(*first)..narrow(end)));
            *first = end;
        }
    }

    pub(super) fn word_text(&self, word: &Word) -> &str {
        self.text
            .get(word.text.start as usize..word.text.end as usize)
            .unwrap_or("")
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

pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// What is wrong inside a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Unterminated(char),
    /// A backslash at the end of the line.
    LoneBackslash,
    /// An escape that makes a NUL or something that is not UTF-8.
    NotText,
}

impl Fault {
    pub(super) fn diagnostic(self, span: Span) -> Diagnostic {
        match self {
            Self::Unterminated('\'') => {
                Diagnostic::new(Code::UnterminatedQuote, span, "this `'` is not closed").help(
                    "close it on the same line; inside single quotes `#` and `!` start a \
                     comment, inside double quotes they do not",
                )
            }
            Self::Unterminated(quote) => Diagnostic::new(
                Code::UnterminatedQuote,
                span,
                format!("this `{quote}` is not closed"),
            )
            .help("close it on the same line"),
            Self::LoneBackslash => Diagnostic::new(
                Code::BadEscape,
                span,
                "the `\\` at the end of the line escapes nothing",
            )
            .help("only the lines of a `$NAME=` definition can be continued with `\\`"),
            Self::NotText => Diagnostic::new(
                Code::BadEscape,
                span,
                "the escapes make a NUL or bytes that are not UTF-8",
            ),
        }
    }
}

/// Where a bare word ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    AtBlank,
    /// At a blank or a brace, but not at the braces of `${NAME}`.
    AtBrace,
}

struct Scanned<'a> {
    text: Cow<'a, str>,
    end: usize,
    quoted: bool,
    fault: Option<Fault>,
}

/// Reads the word that starts at `start`, which is not a blank.
fn scan_word(line: &str, start: usize, stop: Stop) -> Scanned<'_> {
    let bytes = line.as_bytes();
    let ends = |byte: u8| is_blank(byte) || (stop == Stop::AtBrace && matches!(byte, b'{' | b'}'));
    let tail = bytes.get(start..).unwrap_or(&[]);
    let plain = tail
        .iter()
        .position(|&byte| ends(byte) || matches!(byte, b'"' | b'\'' | b'\\' | b'$'))
        .unwrap_or(tail.len());
    let plain_end = start + plain;
    if bytes.get(plain_end).is_none_or(|&byte| ends(byte)) {
        return Scanned {
            text: Cow::Borrowed(line.get(start..plain_end).unwrap_or("")),
            end: plain_end,
            quoted: false,
            fault: None,
        };
    }

    let mut text = bytes.get(start..plain_end).unwrap_or(&[]).to_vec();
    let mut at = plain_end;
    let mut quote = None;
    let mut quoted = false;
    let mut fault = None;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => {
                let (escaped, len) = unescape(bytes.get(at + 1..).unwrap_or(&[]));
                match escaped {
                    Some(0) => fault = Some(Fault::NotText),
                    Some(byte) => text.push(byte),
                    None => fault = Some(Fault::LoneBackslash),
                }
                at += 1 + len;
                continue;
            }
            _ if quote == Some(byte) => quote = None,
            b'"' | b'\'' if quote.is_none() => {
                quote = Some(byte);
                quoted = true;
            }
            b'$' if quote.is_none() => {
                let len = reference_len(bytes.get(at..).unwrap_or(&[]));
                text.extend_from_slice(bytes.get(at..at + len).unwrap_or(&[]));
                at += len;
                continue;
            }
            byte if quote.is_none() && ends(byte) => break,
            byte => text.push(byte),
        }
        at += 1;
    }
    if let Some(quote) = quote {
        fault = Some(Fault::Unterminated(char::from(quote)));
    }
    let text = String::from_utf8(text).unwrap_or_else(|error| {
        fault = fault.or(Some(Fault::NotText));
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    Scanned {
        text: Cow::Owned(text),
        end: at.min(line.len()),
        quoted,
        fault,
    }
}

/// The length of `${NAME}` at the start of `bytes`, or 1 for the `$` alone.
fn reference_len(bytes: &[u8]) -> usize {
    let Some(name) = bytes.strip_prefix(b"${") else {
        return 1;
    };
    let len = name
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    match name.get(len) {
        Some(b'}') if len > 0 => len + 3,
        _ => 1,
    }
}

/// What follows a backslash: the byte it stands for, and how many bytes were read.
fn unescape(rest: &[u8]) -> (Option<u8>, usize) {
    let Some(&first) = rest.first() else {
        return (None, 0);
    };
    let digits = |from: usize, most: usize, radix: u32| {
        rest.get(from..)
            .unwrap_or(&[])
            .iter()
            .take(most)
            .map_while(|&byte| char::from(byte).to_digit(radix))
            .fold((0u32, 0), |(value, len), digit| {
                (value * radix + digit, len + 1)
            })
    };
    let byte = match first {
        b'a' => 0x07,
        b'b' => 0x08,
        b'E' => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'0'..=b'7' => {
            let (value, len) = digits(0, 3, 8);
            return (Some(u8::try_from(value).unwrap_or(0)), len);
        }
        b'x' => match digits(1, 2, 16) {
            (_, 0) => b'x',
            (value, len) => return (Some(u8::try_from(value).unwrap_or(0)), 1 + len),
        },
        b'c' => match rest.get(1) {
            Some(control) => return (Some(control & 0x1f), 2),
            None => b'c',
        },
        other => other,
    };
    (Some(byte), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::source::Sources;

    fn lex(line: &str) -> (Vec<String>, Vec<Diagnostic>) {
        let mut sources = Sources::default();
        let file = sources.add("a.conf".into(), line);
        let mut tokens = Tokens::default();
        let mut diagnostics = Diagnostics::default();
        let locate = |range: Range<usize>| Span::new(file, narrow(range.start)..narrow(range.end));
        tokens.read_line(line, locate, &mut diagnostics);
        let printed = tokens
            .statements
            .iter()
            .map(|statement| match statement {
                Statement::Open(_) => "{".to_owned(),
                Statement::Close(_) => "}".to_owned(),
                Statement::Words(words) => tokens.words[words.start as usize..words.end as usize]
                    .iter()
                    .map(|word| format!("[{}]", tokens.word_text(word)))
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
