//! What a response has to be like. Nothing here knows of sockets.

use serde_json::Value;

use super::{HttpProblem, digest::BodyDigest, pattern::BodyPattern, status::StatusRange};

/// The most of a body that is read unless it is said otherwise.
const USUAL_LIMIT: usize = 1024 * 1024;

/// What a response has to be like. All that is said must hold.
///
/// By default a status from 200 to 299. The body is read only where something is said of it.
///
/// ```
/// use health::{BodyPattern, HttpExpect, PatternOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ready = HttpExpect::default()
///     .status(["200".parse()?, "204".parse()?])
///     .pattern(BodyPattern::new("^ready", PatternOptions::default())?)
///     .json("/database/state", "connected");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpExpect {
    status: Vec<StatusRange>,
    digest: Option<BodyDigest>,
    patterns: Vec<BodyPattern>,
    json: Vec<(String, Value)>,
    limit: usize,
}

impl Default for HttpExpect {
    fn default() -> Self {
        Self {
            status: vec![StatusRange::SUCCESS],
            digest: None,
            patterns: Vec::new(),
            json: Vec::new(),
            limit: USUAL_LIMIT,
        }
    }
}

impl HttpExpect {
    /// The same with other statuses: one of these ranges has it. Without any range no status is
    /// good.
    #[must_use]
    pub fn status(mut self, ranges: impl IntoIterator<Item = StatusRange>) -> Self {
        self.status = ranges.into_iter().collect();
        self
    }

    /// The same with a digest: the body, without any transfer coding, has it.
    #[must_use]
    pub const fn digest(mut self, digest: BodyDigest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The same with a pattern more.
    #[must_use]
    pub fn pattern(mut self, pattern: BodyPattern) -> Self {
        self.patterns.push(pattern);
        self
    }

    /// The same with a value more: the body is JSON, and what `pointer` (RFC 6901) points at
    /// equals `value`. The empty pointer is the whole of it; `/a/0` is the first in the list `a`.
    #[must_use]
    pub fn json(mut self, pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        self.json.push((pointer.into(), value.into()));
        self
    }

    /// The same with another limit than 1 MiB of body. A longer one is a failure, where the body
    /// is read at all.
    #[must_use]
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    pub(super) const fn most(&self) -> usize {
        self.limit
    }

    pub(super) const fn wants_body(&self) -> bool {
        self.digest.is_some() || !self.patterns.is_empty() || !self.json.is_empty()
    }

    pub(super) fn judge_status(&self, status: u16) -> Result<(), HttpProblem> {
        if self.status.iter().any(|range| range.contains(status)) {
            return Ok(());
        }
        Err(HttpProblem::Status {
            status,
            expected: self.status.clone(),
        })
    }

    pub(super) fn judge_body(&self, body: &[u8]) -> Result<(), HttpProblem> {
        if let Some(expected) = self.digest {
            let actual = expected.of_the_same_kind(body);
            if actual != expected {
                return Err(HttpProblem::Digest { actual, expected });
            }
        }
        if let Some(pattern) = self.patterns.iter().find(|pattern| !pattern.holds(body)) {
            return Err(HttpProblem::Pattern {
                expected: pattern.to_string(),
                body: body.to_vec(),
            });
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let document: Value =
            serde_json::from_slice(body).map_err(|error| HttpProblem::NoJson {
                reason: error.to_string(),
                body: body.to_vec(),
            })?;
        for (pointer, expected) in &self.json {
            let actual = document.pointer(pointer);
            if actual != Some(expected) {
                return Err(HttpProblem::Json {
                    pointer: pointer.clone(),
                    expected: expected.to_string(),
                    actual: actual.map(Value::to_string),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PatternOptions;

    proptest! {
        #[test]
        fn no_body_whatever_makes_it_panic(body: Vec<u8>, from: usize, to: Option<usize>) {
            let pattern = BodyPattern::new("a.*z", PatternOptions::default()).unwrap();
            let expect = HttpExpect::default()
                .pattern(pattern.between(from, to))
                .json("/a", 1);
            if let Err(problem) = expect.judge_body(&body) {
                prop_assert!(problem.to_string().len() < 1000);
            }
        }

        #[test]
        fn a_value_is_found_by_its_pointer(key in "[a-z]{1,5}", value: i64, other: i64) {
            let body = format!("{{\"{key}\": [{value}]}}");
            let expect = HttpExpect::default().json(format!("/{key}/0"), other);
            prop_assert_eq!(expect.judge_body(body.as_bytes()).is_ok(), value == other);
        }
    }

    #[test]
    fn each_problem_says_what_was_expected_and_what_came() {
        let pattern = BodyPattern::new("^ok", PatternOptions::default()).unwrap();
        let bad =
            |expect: HttpExpect, body: &[u8]| expect.judge_body(body).unwrap_err().to_string();
        let expect = HttpExpect::default();
        assert_eq!(
            expect.judge_status(503).unwrap_err().to_string(),
            "expected status 200-299, but it is 503 (Service Unavailable)"
        );
        assert_eq!(
            bad(expect.clone().pattern(pattern), b"no\xff"),
            "expected a match of \"^ok\", but the body is \"no\\xff\""
        );
        let json = expect.clone().json("/a", "x");
        assert_eq!(
            bad(json.clone(), b"{\"a\": 5}"),
            "expected \"x\" at JSON pointer \"/a\", but it is 5"
        );
        assert_eq!(
            bad(json.clone(), b"{}"),
            "expected \"x\" at JSON pointer \"/a\", but there is nothing"
        );
        let error = bad(json, b"<html>");
        assert!(
            error.starts_with("expected JSON, but the body is \"<html>\": "),
            "{error}"
        );
        let md5: BodyDigest = "900150983cd24fb0d6963f7d28e17f72".parse().unwrap();
        expect.clone().digest(md5).judge_body(b"abc").unwrap();
        let error = bad(expect.digest(md5), b"");
        assert!(
            error.ends_with("d41d8cd98f00b204e9800998ecf8427e"),
            "{error}"
        );
    }
}
