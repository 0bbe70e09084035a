//! What a dialogue waits for.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::reply::{Reply, read_reply};

/// How much is read for one expectation unless it says otherwise.
const USUAL_LIMIT: usize = 16 * 1024;

/// What a server is expected to say next, and how much it may say until then.
///
/// Patterns are regular expressions over bytes (syntax of crate `regex`, without Unicode classes):
/// `.` is any byte but a line feed, and text that is not UTF-8 is as good as any.
#[derive(Debug, Clone)]
pub struct Expect {
    what: What,
    limit: usize,
}

#[derive(Debug, Clone)]
enum What {
    Text(Regex),
    Line(Regex),
    Reply(Vec<u16>),
}

/// Text that is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{pattern}\" is no regular expression: {reason}")]
pub struct PatternError {
    pattern: String,
    reason: String,
}

impl PatternError {
    pub(crate) fn new(pattern: &str, error: &regex::Error) -> Self {
        Self {
            pattern: pattern.to_owned(),
            reason: error.to_string(),
        }
    }
}

impl Expect {
    /// Waits until what has come matches somewhere, and forgets it up to the end of the match.
    ///
    /// It cannot tell a wrong answer from one that is not over: the limit, the end of the
    /// connection or the deadline does. Where answers are lines, [`Self::line`] fails at once.
    ///
    /// # Errors
    /// The pattern is no regular expression.
    pub fn text(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self::of(What::Text(regex(pattern)?)))
    }

    /// Reads one line, without its end (line feed, or carriage return and line feed), which must
    /// match.
    ///
    /// # Errors
    /// The pattern is no regular expression.
    pub fn line(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self::of(What::Line(regex(pattern)?)))
    }

    /// Reads one reply of three digits and text, of one line or several (RFC 5321 §4.2, RFC 959
    /// §4.2), whose code must be one of these.
    #[must_use]
    pub fn reply(codes: &[u16]) -> Self {
        Self::of(What::Reply(codes.to_vec()))
    }

    /// The same with another limit than 16 KiB of what is read until it is met.
    #[must_use]
    pub const fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// [`Self::line`] with a pattern of this crate.
    pub(super) fn known_line(pattern: &str) -> Self {
        Self::line(pattern).expect("the pattern is tried by a test")
    }

    /// [`Self::text`] with a pattern of this crate.
    pub(super) fn known_text(pattern: &str) -> Self {
        Self::text(pattern).expect("the pattern is tried by a test")
    }

    const fn of(what: What) -> Self {
        let limit = USUAL_LIMIT;
        Self { what, limit }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Looks at all that has come since the last expectation was met.
    pub(super) fn judge(&self, received: &[u8]) -> Verdict {
        match &self.what {
            What::Text(regex) => match regex.find(received) {
                Some(found) => Verdict::Met { used: found.end() },
                None => Verdict::Open,
            },
            What::Line(regex) => {
                let Some(end) = received.iter().position(|&byte| byte == b'\n') else {
                    return Verdict::Open;
                };
                let line = received.get(..end).unwrap_or_default();
                if regex.is_match(line.strip_suffix(b"\r").unwrap_or(line)) {
                    Verdict::Met { used: end + 1 }
                } else {
                    Verdict::Wrong { length: end + 1 }
                }
            }
            What::Reply(codes) => match read_reply(received) {
                Reply::Unfinished => Verdict::Open,
                Reply::Whole { code, length } if codes.contains(&code) => {
                    Verdict::Met { used: length }
                }
                Reply::Whole { length, .. } => Verdict::Wrong { length },
                Reply::Malformed => Verdict::Wrong {
                    length: received.len(),
                },
            },
        }
    }
}

/// What the bytes so far mean for an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Too early to say.
    Open,
    /// Met by this many bytes.
    Met { used: usize },
    /// Not met, and nothing that follows could change that.
    Wrong { length: usize },
}

/// Says what is waited for, as in "a line that matches \"^\\+PONG\"".
impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Text(regex) => write!(f, "text that matches \"{regex}\""),
            What::Line(regex) => write!(f, "a line that matches \"{regex}\""),
            What::Reply(codes) => {
                f.write_str("a reply ")?;
                for (number, code) in codes.iter().enumerate() {
                    let between = if number == 0 { "" } else { " or " };
                    write!(f, "{between}{code}")?;
                }
                Ok(())
            }
        }
    }
}

fn regex(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .build()
        .map_err(|error| PatternError::new(pattern, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_judged_when_it_has_ended() {
        let pong = Expect::line(r"^\+PONG$").unwrap();
        assert_eq!(pong.judge(b"+PONG"), Verdict::Open);
        assert_eq!(pong.judge(b"+PONG\r\n+x"), Verdict::Met { used: 7 });
        assert_eq!(pong.judge(b"-LOADING\n+"), Verdict::Wrong { length: 9 });
    }

    #[test]
    fn text_is_met_wherever_it_is_and_never_wrong() {
        let ready = Expect::text("ready").unwrap();
        assert_eq!(ready.judge(b"\xff\xfe\nready!"), Verdict::Met { used: 8 });
        assert_eq!(ready.judge(b"gone\n"), Verdict::Open);
    }

    #[test]
    fn a_reply_is_judged_by_its_code() {
        let reply = Expect::reply(&[220, 250]);
        assert_eq!(reply.judge(b"220-a\r\n"), Verdict::Open);
        assert_eq!(reply.judge(b"250 a\r\n"), Verdict::Met { used: 7 });
        assert_eq!(reply.judge(b"554 no\r\nx"), Verdict::Wrong { length: 8 });
        assert_eq!(reply.judge(b"SSH-2.0\r\nx"), Verdict::Wrong { length: 10 });
        assert_eq!(reply.to_string(), "a reply 220 or 250");
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_with_its_text() {
        let error = Expect::line("(").unwrap_err().to_string();
        assert!(
            error.starts_with("\"(\" is no regular expression: "),
            "{error}"
        );
    }
}
