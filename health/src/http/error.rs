//! What can be wrong with a web server.

use std::net::SocketAddr;

use hyper::StatusCode;

use super::{BodyDigest, StatusRange};
use crate::excerpt::Excerpt;

/// A web server did not answer as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address}, asked for {path}: {problem}")]
#[non_exhaustive]
pub struct HttpError {
    /// Who.
    pub address: SocketAddr,
    /// What it was asked for.
    pub path: String,
    /// What is wrong.
    pub problem: Box<HttpProblem>,
}

/// What is wrong with a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpProblem {
    /// Another status.
    #[error("expected status {}, but it is {status}{}", ranges(.expected), reason(*.status))]
    Status {
        /// That of the response.
        status: u16,
        /// Those that are good.
        expected: Vec<StatusRange>,
    },
    /// Another body.
    #[error("expected a body with digest {expected}, but it has {actual}")]
    Digest {
        /// That of the body.
        actual: BodyDigest,
        /// The one it should have.
        expected: BodyDigest,
    },
    /// The body does not match, or does and must not.
    #[error("expected {expected}, but the body is {}", Excerpt(.body))]
    Pattern {
        /// What was expected.
        expected: String,
        /// The body.
        body: Vec<u8>,
    },
    /// The body is no JSON.
    #[error("expected JSON, but the body is {}: {reason}", Excerpt(.body))]
    NoJson {
        /// What is wrong with it, and where.
        reason: String,
        /// The body.
        body: Vec<u8>,
    },
    /// The body is JSON with another value, or without one.
    #[error(
        "expected {} at JSON pointer \"{}\", but {}",
        brief(.expected), .pointer.escape_debug(), found(.actual.as_deref()),
    )]
    Json {
        /// Where (RFC 6901).
        pointer: String,
        /// What was expected, as JSON.
        expected: String,
        /// What is there, as JSON.
        actual: Option<String>,
    },
    /// What the server says is not HTTP of the version that was asked for.
    #[error("what it says is not {expected}: {reason}")]
    NotHttp {
        /// The version, such as `HTTP/1.1`.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The request cannot be written down.
    #[error("it cannot be asked: {reason}")]
    Unsendable {
        /// What is wrong with it.
        reason: String,
    },
    /// The check has no such step: its `steps` are more than the probe has pages.
    #[error("the check has a step {step}, but the probe has {pages} pages")]
    NoPage {
        /// The step, from 0.
        step: u32,
        /// How many pages there are.
        pages: usize,
    },
}

fn ranges(ranges: &[StatusRange]) -> String {
    let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
    ranges.join(" or ")
}

fn reason(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok();
    let reason = known.as_ref().and_then(StatusCode::canonical_reason);
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

fn found(actual: Option<&str>) -> String {
    actual.map_or_else(
        || "there is nothing".to_owned(),
        |actual| format!("it is {}", brief(actual)),
    )
}

/// JSON as a line of a log can hold it.
fn brief(json: &str) -> String {
    const MOST: usize = 120;
    let mut text = String::new();
    for character in json.chars().take(MOST) {
        if character == ' ' || character.is_ascii_graphic() {
            text.push(character);
        } else {
            text.extend(character.escape_unicode());
        }
    }
    if json.chars().nth(MOST).is_some() {
        text.push_str("...");
    }
    text
}
