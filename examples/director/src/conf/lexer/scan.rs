//! One word: quotes, escapes and where it ends.

use std::borrow::Cow;

use crate::conf::{
    diagnostic::{Code, Diagnostic},
    source::Span,
};

pub(in crate::conf) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// What is wrong inside a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conf) enum Fault {
    Unterminated(char),
    /// A backslash at the end of the line.
    LoneBackslash,
    /// An escape that makes a NUL or something that is not UTF-8.
    NotText,
}

impl Fault {
    pub(in crate::conf) fn diagnostic(self, span: Span) -> Diagnostic {
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
pub(super) enum Stop {
    AtBlank,
    /// At a blank or a brace, but not at the braces of `${NAME}`.
    AtBrace,
}

/// A word as it was read.
pub(super) struct Scanned<'a> {
    pub(super) text: Cow<'a, str>,
    /// The byte behind it.
    pub(super) end: usize,
    pub(super) quoted: bool,
    pub(super) fault: Option<Fault>,
}

/// Reads the word that starts at `start`, which is not a blank.
pub(super) fn scan_word(line: &str, start: usize, stop: Stop) -> Scanned<'_> {
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
