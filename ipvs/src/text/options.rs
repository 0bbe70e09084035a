//! The words of a line, and the options of ipvsadm that can be in a saved table.

use super::Problem;

/// A word of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a text and its place")]
pub struct Word<'a> {
    /// The word.
    pub text: &'a str,
    /// Where its first character is, from 1.
    pub column: usize,
}

/// The words of a line, which blanks part: there is no quoting.
#[must_use]
pub fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut rest, mut column) = (line, 1);
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        let (blanks, from) = rest.split_at(start);
        column += blanks.chars().count();
        let end = from.find(char::is_whitespace).unwrap_or(from.len());
        let (text, after) = from.split_at(end);
        words.push(Word { text, column });
        column += text.chars().count();
        rest = after;
    }
    words
}

/// How many words an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    One,
    /// One that is not an option, if there is one.
    MaybeOne,
    Three,
}

/// Letter, word and arguments. An option is known by its word here.
const OPTIONS: &[(Option<char>, &str, Takes)] = &[
    (Some('A'), "add-service", Takes::Nothing),
    (Some('E'), "edit-service", Takes::Nothing),
    (Some('D'), "delete-service", Takes::Nothing),
    (Some('C'), "clear", Takes::Nothing),
    (Some('a'), "add-server", Takes::Nothing),
    (Some('e'), "edit-server", Takes::Nothing),
    (Some('d'), "delete-server", Takes::Nothing),
    (Some('Z'), "zero", Takes::Nothing),
    (None, "set", Takes::Three),
    (None, "start-daemon", Takes::One),
    (None, "stop-daemon", Takes::One),
    (Some('t'), "tcp-service", Takes::One),
    (Some('u'), "udp-service", Takes::One),
    (None, "sctp-service", Takes::One),
    (Some('f'), "fwmark-service", Takes::One),
    (Some('6'), "ipv6", Takes::Nothing),
    (Some('s'), "scheduler", Takes::One),
    (Some('p'), "persistent", Takes::MaybeOne),
    (Some('M'), "netmask", Takes::One),
    (None, "pe", Takes::One),
    (Some('b'), "sched-flags", Takes::One),
    (Some('o'), "ops", Takes::Nothing),
    (Some('r'), "real-server", Takes::One),
    (Some('g'), "gatewaying", Takes::Nothing),
    (Some('i'), "ipip", Takes::Nothing),
    (Some('m'), "masquerading", Takes::Nothing),
    (None, "tun-type", Takes::One),
    (None, "tun-port", Takes::One),
    (None, "tun-nocsum", Takes::Nothing),
    (None, "tun-csum", Takes::Nothing),
    (None, "tun-remcsum", Takes::Nothing),
    (Some('w'), "weight", Takes::One),
    (Some('x'), "u-threshold", Takes::One),
    (Some('y'), "l-threshold", Takes::One),
    (None, "mcast-interface", Takes::One),
    (None, "syncid", Takes::One),
    (None, "sync-maxlen", Takes::One),
    (None, "mcast-group", Takes::One),
    (None, "mcast-port", Takes::One),
    (None, "mcast-ttl", Takes::One),
];

/// An option that was given, with its arguments.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    /// Its word.
    pub(super) name: &'static str,
    /// Where it is, from 1.
    pub(super) column: usize,
    /// Its arguments.
    pub(super) values: Vec<Word<'a>>,
}

/// The options that some words are.
pub(super) fn options<'a>(words: &[Word<'a>]) -> Result<Vec<Given<'a>>, (usize, Problem)> {
    let mut given: Vec<Given<'a>> = Vec::new();
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        let unknown = || (word.column, Problem::UnknownOption(word.text.to_owned()));
        let (&(_, name, takes), attached) = find(word).ok_or_else(unknown)?;
        if given.iter().any(|earlier| earlier.name == name) {
            return Err((word.column, Problem::Repeated(name)));
        }
        let wanted = match takes {
            Takes::Nothing if attached.is_some() => return Err(unknown()),
            Takes::Nothing => 0,
            Takes::One | Takes::MaybeOne => 1,
            Takes::Three => 3,
        };
        let mut values: Vec<_> = attached.into_iter().collect();
        while values.len() < wanted {
            let optional = takes == Takes::MaybeOne;
            match words.next_if(|next| !(optional && next.text.starts_with('-'))) {
                Some(value) => values.push(value),
                None if optional => break,
                None => return Err((word.column, Problem::NoValue(name))),
            }
        }
        given.push(Given {
            name,
            column: word.column,
            values,
        });
    }
    Ok(given)
}

type Found<'a> = (
    &'static (Option<char>, &'static str, Takes),
    Option<Word<'a>>,
);

/// The option that a word is, and what is attached to it: `--weight=5`, `-w5`.
fn find(word: Word<'_>) -> Option<Found<'_>> {
    let attached = |text, before| Word {
        text,
        column: word.column + before,
    };
    if let Some(long) = word.text.strip_prefix("--") {
        let (name, value) = long
            .split_once('=')
            .map_or((long, None), |(a, b)| (a, Some(b)));
        let option = OPTIONS.iter().find(|(_, long, _)| *long == name)?;
        return Some((option, value.map(|value| attached(value, name.len() + 3))));
    }
    let mut letters = word.text.strip_prefix('-')?.chars();
    let letter = letters.next();
    let option = OPTIONS
        .iter()
        .find(|(short, ..)| short.is_some() && *short == letter)?;
    let value = Some(letters.as_str()).filter(|value| !value.is_empty());
    Some((option, value.map(|value| attached(value, 2))))
}
