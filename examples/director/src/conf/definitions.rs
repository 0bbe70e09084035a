//! `$NAME` definitions: their syntax, their values, and the built-in ones.

use std::{collections::BTreeMap, ops::Range};

use super::{lexer::is_blank, text::Text};

/// The definitions in force at a place of the text.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    by_name: BTreeMap<String, Text<'static>>,
}

impl Definitions {
    pub(super) fn set(&mut self, name: &str, value: Text<'static>) {
        self.by_name.insert(name.to_owned(), value);
    }

    pub(super) fn value(&self, name: &str) -> Option<&Text<'static>> {
        self.by_name.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// A use of a definition in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    /// All of it, from the `$` on.
    pub(super) range: Range<usize>,
    pub(super) name: &'t str,
    /// What follows the name inside the braces: only built-in ones take any.
    pub(super) parameters: &'t str,
}

/// The first reference in `text` at or behind the byte `from`: `$NAME` if a blank or the end
/// follows, or `${NAME}`, or `${_BUILTIN with parameters}`.
pub(super) fn next_reference(text: &str, from: usize) -> Option<Reference<'_>> {
    let mut from = from;
    loop {
        let at = from + text.get(from..)?.find('$')?;
        if let Some(reference) = reference_at(text, at) {
            return Some(reference);
        }
        from = at + 1;
    }
}

fn reference_at(text: &str, at: usize) -> Option<Reference<'_>> {
    let rest = text.get(at + 1..)?;
    if let Some(inside) = rest.strip_prefix('{') {
        let inside = inside.get(..inside.find('}')?)?;
        let (name, parameters) = inside.split_at(name_len(inside));
        let takes = parameters.is_empty() || (name.starts_with('_') && parameters.starts_with(' '));
        return (!name.is_empty() && takes).then_some(Reference {
            range: at..at + inside.len() + 3,
            name,
            parameters: parameters.trim(),
        });
    }
    let name = rest.get(..name_len(rest))?;
    let ends = rest
        .as_bytes()
        .get(name.len())
        .is_none_or(|&byte| is_blank(byte) || byte == b'\n');
    (!name.is_empty() && ends).then_some(Reference {
        range: at..at + 1 + name.len(),
        name,
        parameters: "",
    })
}

/// The name and the offset of the value, if `text` is `$NAME=value`.
pub(super) fn definition(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    let name = rest.get(..name_len(rest))?;
    let value = name.len() + 2;
    (!name.is_empty() && rest.as_bytes().get(name.len()) == Some(&b'=')).then_some((name, value))
}

/// The part of `text` that was probably meant as a definition: `$NAME =`, `$1X=`, `$A-B=`.
pub(super) fn failed_definition(text: &str) -> Option<Range<usize>> {
    let rest = text.strip_prefix('$')?;
    let equals = rest.find('=')?;
    let name = rest.get(..equals)?;
    let meant = name
        .chars()
        .all(|c| c.is_alphanumeric() || "_- \t.".contains(c))
        && name.split_whitespace().count() <= 1;
    meant.then_some(0..equals + 2)
}

/// Whether all of `text` is a name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && name_len(text) == text.len()
}

/// The length of the name at the start of `text`: letters, digits and `_`, no digit first.
fn name_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count()
}

/// The bounds of `${_RANDOM [MIN [MAX]]}`; keepalived's defaults are 0 and 32767.
pub(super) fn random_bounds(parameters: &str) -> Option<(u32, u32)> {
    let mut numbers = parameters.split_whitespace();
    let min = numbers.next().map_or(Some(0), |text| text.parse().ok())?;
    let max = numbers
        .next()
        .map_or(Some(32_767), |text| text.parse().ok())?;
    (numbers.next().is_none() && min <= max).then_some((min, max))
}

/// A small generator for `${_RANDOM}` (splitmix64): repeatable from its seed, nothing more.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number from `min` to `max`, both included.
    pub(super) fn between(&mut self, min: u32, max: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let span = u64::from(max - min) + 1;
        min + u32::try_from(z % span).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Option<(&str, &str, &str)> {
        next_reference(text, 0).map(|found| (&text[found.range], found.name, found.parameters))
    }

    #[test]
    fn a_name_without_braces_needs_a_blank_or_the_end_behind_it() {
        assert_eq!(reference("x $A y"), Some(("$A", "A", "")));
        assert_eq!(reference("x$A"), Some(("$A", "A", "")));
        assert_eq!(reference("$A.1 ${B}.2"), Some(("${B}", "B", "")));
        assert_eq!(reference("$A/24"), None);
        assert_eq!(reference("\"$A\""), None);
        assert_eq!(reference("$$A"), Some(("$A", "A", "")));
        assert_eq!(reference("$1 $ ${} ${1} ${A B} ${A"), None);
    }

    #[test]
    fn built_in_names_take_parameters() {
        assert_eq!(
            reference("${_RANDOM 1 6}"),
            Some(("${_RANDOM 1 6}", "_RANDOM", "1 6"))
        );
        assert_eq!(random_bounds(""), Some((0, 32_767)));
        assert_eq!(random_bounds("5"), Some((5, 32_767)));
        assert_eq!(random_bounds("1 6"), Some((1, 6)));
        assert_eq!(random_bounds("6 1"), None);
        assert_eq!(random_bounds("1 2 3"), None);
        assert_eq!(random_bounds("x"), None);
    }

    #[test]
    fn a_definition_has_no_blank_before_its_equals_sign() {
        assert_eq!(definition("$A=b c"), Some(("A", 3)));
        assert_eq!(definition("$A="), Some(("A", 3)));
        assert_eq!(definition("$A = b"), None);
        assert_eq!(failed_definition("$A = b"), Some(0..4));
        assert_eq!(failed_definition("$1X=b"), Some(0..4));
        assert_eq!(failed_definition("$A b = c"), None);
    }

    #[test]
    fn random_numbers_stay_in_their_bounds_and_repeat_from_their_seed() {
        let draw = |seed| {
            let mut random = Random(seed);
            (0..100).map(|_| random.between(3, 9)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|number| (3..=9).contains(number)));
        assert_eq!(Random(0).between(4, 4), 4);
        Random(0).between(0, u32::MAX);
    }
}
