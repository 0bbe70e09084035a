//! `UDP_CHECK`.

use super::{Common, DEFAULTS, Target, not_yet};
use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    keywords::Block,
    model::{Check, CheckKind, Reply, UdpCheck},
    source::Span,
    tree::Item,
    values::whole,
};

pub(super) fn read(
    context: &mut Context<'_>,
    target: &Target<'_>,
    block: Item<'_>,
    keywords: &'static Block,
) -> Option<Check> {
    let mut payload = Some(None);
    let mut begins = Some(None);
    let mut min = None;
    let mut max = None;
    let common = Common::read(
        context,
        target,
        block,
        keywords,
        |context, keyword, item| match keyword {
            "payload" => payload = self::payload(context, item).map(Some),
            "require_reply" => begins = reply(context, item).map(Some),
            "min_reply_length" => min = length(context, item),
            "max_reply_length" => max = length(context, item),
            _ => not_yet(context, keyword, item),
        },
    );
    let connect = common.connect(context, target, None)?;
    let reply = match begins? {
        Some(begins) => {
            let reply = Reply {
                begins,
                min_length: min.map_or(0, |(bytes, _)| bytes),
                max_length: max.map_or(255, |(bytes, _)| bytes),
            };
            if reply.min_length > reply.max_length {
                let span = min.or(max).map_or_else(|| block.span(), |(_, span)| span);
                report_lengths(context, &reply, span);
                return None;
            }
            Some(reply)
        }
        None => {
            for (_, span) in min.into_iter().chain(max) {
                let message = "the length of an answer has no effect without `require_reply`";
                context.report(
                    Diagnostic::new(Code::Ignored, span, message)
                        .help("add `require_reply`, or remove it"),
                );
            }
            None
        }
    };
    let payload = payload?;
    let kind = CheckKind::Udp(UdpCheck {
        connect,
        payload,
        reply,
    });
    common.check(target, kind, DEFAULTS, |_| {})
}

fn report_lengths(context: &mut Context<'_>, reply: &Reply, span: Span) {
    let message = format!(
        "no answer has at least {} and at most {} bytes",
        reply.min_length, reply.max_length
    );
    context.report(
        Diagnostic::new(Code::Conflict, span, message)
            .help("let `min_reply_length` be at most `max_reply_length`, which is 255 by default"),
    );
}

/// A length and where it stands.
fn length(context: &mut Context<'_>, item: Item<'_>) -> Option<(u16, Span)> {
    let parse = whole("a length in bytes", 0..=u16::MAX);
    let bytes = context.one(item, "a length", parse)?;
    Some((bytes, item.span()))
}

fn payload(context: &mut Context<'_>, item: Item<'_>) -> Option<Vec<u8>> {
    if item.args().len() == 0 {
        context.report(Diagnostic::new(
            Code::MissingValue,
            item.span(),
            "`payload` needs bytes in hexadecimal behind it",
        ));
        return None;
    }
    let digits = hex(context, item, |text| Digits::of(text, false))?;
    Some(digits.into_iter().map(|(byte, _)| byte).collect())
}

fn reply(context: &mut Context<'_>, item: Item<'_>) -> Option<Vec<(u8, u8)>> {
    hex(context, item, |text| Digits::of(text, true))
}

/// The bytes that all words of a line say.
fn hex(
    context: &mut Context<'_>,
    item: Item<'_>,
    parse: impl Fn(&str) -> Result<Vec<(u8, u8)>, String>,
) -> Option<Vec<(u8, u8)>> {
    let mut bytes = Vec::new();
    for word in item.args() {
        bytes.extend(context.parsed(word, &parse)?);
    }
    Some(bytes)
}

/// Hexadecimal digits: two make a byte, one alone before a blank or at the end makes one, too.
struct Digits;

impl Digits {
    /// Bytes and their masks; with `any`, a digit `X` is one that may be anything.
    fn of(text: &str, any: bool) -> Result<Vec<(u8, u8)>, String> {
        let mut bytes = Vec::new();
        for word in text.split_ascii_whitespace() {
            let digits: Vec<(u8, u8)> = word
                .chars()
                .map(|c| Self::digit(c, any).ok_or_else(|| Self::wrong(c, any)))
                .collect::<Result<_, _>>()?;
            bytes.extend(digits.chunks(2).map(|pair| match pair {
                [(high, mask), (low, below)] => (high << 4 | low, mask << 4 | below),
                [(alone, mask)] => (*alone, 0xf0 | mask),
                _ => (0, 0),
            }));
        }
        if bytes.is_empty() && !any {
            return Err("there are no bytes: expected hexadecimal digits".to_owned());
        }
        Ok(bytes)
    }

    fn digit(c: char, any: bool) -> Option<(u8, u8)> {
        if any && matches!(c, 'x' | 'X') {
            return Some((0, 0));
        }
        let digit = u8::try_from(c.to_digit(16)?).ok()?;
        Some((digit, 0xf))
    }

    fn wrong(c: char, any: bool) -> String {
        let also = if any { ", or X for any digit" } else { "" };
        format!("`{c}` is not a hexadecimal digit: expected 0 to 9 and a to f{also}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_make_bytes_in_pairs_and_alone() {
        let bytes = Digits::of("Ab12f 3 456 546443123", false).unwrap();
        let bytes: Vec<u8> = bytes.into_iter().map(|(byte, _)| byte).collect();
        assert_eq!(
            bytes,
            [
                0xab, 0x12, 0x0f, 0x03, 0x45, 0x06, 0x54, 0x64, 0x43, 0x12, 0x03
            ]
        );
        assert!(Digits::of("0g", false).is_err());
        assert!(Digits::of("0X", false).is_err());
        assert!(Digits::of(" ", false).is_err());
    }

    #[test]
    fn a_digit_of_an_answer_may_be_anything() {
        assert_eq!(
            Digits::of("0aXx f", true),
            Ok(vec![(0x0a, 0xff), (0, 0), (0xf, 0xff)])
        );
        assert_eq!(Digits::of("4x", true), Ok(vec![(0x40, 0xf0)]));
        assert_eq!(Digits::of("x", true), Ok(vec![(0, 0xf0)]));
    }
}
