//! Regular expressions for bodies.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::PatternError;

/// What a body must match, or must not: keepalived.conf's `regex` and what goes with it.
///
/// The pattern is a regular expression over bytes (syntax of crate `regex`, without Unicode
/// classes): a body that is not UTF-8 is as good as any.
#[derive(Debug, Clone)]
pub struct BodyPattern {
    regex: Regex,
    absent: bool,
    from: usize,
    to: Option<usize>,
}

/// What changes the meaning of a [`BodyPattern`], by PCRE's names (`regex_options`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "so that it can be written down; PCRE has no more"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct PatternOptions {
    /// Capitals and small letters are the same.
    pub caseless: bool,
    /// `^` and `$` match at each line.
    pub multiline: bool,
    /// `.` matches the end of a line too.
    pub dotall: bool,
    /// Blanks and comments in the pattern mean nothing.
    pub extended: bool,
    /// Repetitions match as little as they can.
    pub ungreedy: bool,
}

impl BodyPattern {
    /// The body must match somewhere.
    ///
    /// # Errors
    /// The pattern is no regular expression.
    pub fn new(pattern: &str, options: PatternOptions) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(pattern)
            .unicode(false)
            .case_insensitive(options.caseless)
            .multi_line(options.multiline)
            .dot_matches_new_line(options.dotall)
            .ignore_whitespace(options.extended)
            .swap_greed(options.ungreedy)
            .build()
            .map_err(|error| PatternError::new(pattern, &error))?;
        Ok(Self {
            regex,
            absent: false,
            from: 0,
            to: None,
        })
    }

    /// The same, but a match is a failure (`regex_no_match`).
    #[must_use]
    pub const fn absent(mut self) -> Self {
        self.absent = true;
        self
    }

    /// The same, but only matches count that start at a byte from `from` on (`regex_min_offset`)
    /// and not after `to` (`regex_max_offset`); the first byte of the body is 0.
    ///
    /// `^`, `\A` and `\b` see what is before `from`.
    #[must_use]
    pub const fn between(mut self, from: usize, to: Option<usize>) -> Self {
        self.from = from;
        self.to = to;
        self
    }

    /// Whether a body is as it should be.
    pub(super) fn holds(&self, body: &[u8]) -> bool {
        // `find_at` panics past the end.
        let found = (self.from <= body.len()).then(|| self.regex.find_at(body, self.from));
        let start = found.flatten().map(|found| found.start());
        // The leftmost match starts first: if it is too late, every one is.
        let matches = start.is_some_and(|start| self.to.is_none_or(|to| start <= to));
        matches != self.absent
    }
}

/// Says what is expected, as in "a match of \"^OK\"".
impl fmt::Display for BodyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let no = if self.absent { "no" } else { "a" };
        write!(f, "{no} match of \"{}\"", self.regex)?;
        match self.to {
            Some(to) => write!(f, " from byte {} to {to}", self.from),
            None if self.from > 0 => write!(f, " from byte {}", self.from),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> BodyPattern {
        BodyPattern::new(text, PatternOptions::default()).unwrap()
    }

    proptest! {
        #[test]
        fn a_match_is_found_where_it_may_start_and_nowhere_else(
            body in "[ab]{0,12}", from in 0..16_usize, to in proptest::option::of(0..16_usize),
        ) {
            let found = body
                .match_indices('b')
                .any(|(at, _)| at >= from && to.is_none_or(|to| at <= to));
            let there = pattern("b").between(from, to);
            prop_assert_eq!(there.holds(body.as_bytes()), found);
            prop_assert_eq!(there.absent().holds(body.as_bytes()), !found);
        }
    }

    #[test]
    fn options_are_those_of_pcre() {
        let with = |change: fn(&mut PatternOptions), text, body: &[u8]| {
            let mut options = PatternOptions::default();
            assert!(
                !BodyPattern::new(text, options).unwrap().holds(body),
                "{text}"
            );
            change(&mut options);
            assert!(
                BodyPattern::new(text, options).unwrap().holds(body),
                "{text}"
            );
        };
        with(|options| options.caseless = true, "ok", b"OK");
        with(|options| options.multiline = true, "^b$", b"a\nb\nc");
        with(|options| options.dotall = true, "a.b", b"a\nb");
        with(|options| options.extended = true, "a b # both", b"ab");
        let ungreedy = PatternOptions {
            ungreedy: true,
            ..PatternOptions::default()
        };
        let ungreedy = BodyPattern::new("a+", ungreedy).unwrap();
        assert_eq!(ungreedy.regex.find(b"aaa").unwrap().len(), 1);
    }

    #[test]
    fn bytes_that_are_no_text_are_searched_too() {
        assert!(pattern(r"\xff.OK").holds(b"\xfe\xff\x00OK"));
    }

    #[test]
    fn it_says_what_it_expects() {
        assert_eq!(pattern("a").to_string(), "a match of \"a\"");
        let absent = pattern("a").absent().between(2, Some(5)).to_string();
        assert_eq!(absent, "no match of \"a\" from byte 2 to 5");
    }
}
