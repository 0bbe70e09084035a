//! What can be wrong with a gRPC server.

use std::net::SocketAddr;

use super::ServingStatus;
use crate::excerpt::Excerpt;

/// A gRPC server did not say that its service does its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address}, asked for the health of {}: {problem}", whom(.service))]
#[non_exhaustive]
pub struct GrpcError {
    /// Who.
    pub address: SocketAddr,
    /// Which service it was asked for; empty: the server as a whole.
    pub service: String,
    /// What is wrong.
    pub problem: GrpcProblem,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrpcProblem {
    /// The service does not do its work.
    #[error("expected SERVING, but it is {0}")]
    Status(ServingStatus),
    /// The server knows of no such service (NOT_FOUND).
    #[error("it does not know that service: is the name right, with its package?")]
    UnknownService,
    /// The server does not tell its health (UNIMPLEMENTED).
    #[error("it does not offer grpc.health.v1.Health: register the health service there")]
    NoHealthService,
    /// The call failed otherwise.
    #[error("the call failed with {}{}", named(*.code), said(.message))]
    Failed {
        /// gRPC's status code.
        code: u32,
        /// What the server says of it, percent-encoded as it came; may be empty.
        message: Vec<u8>,
    },
    /// An answer of HTTP that is none of gRPC, as a proxy gives.
    #[error("expected HTTP status 200, but it is {0}: is a proxy in between?")]
    HttpStatus(u16),
    /// A web server that is none of gRPC.
    #[error("expected content type application/grpc, but it is {}", Excerpt(.0))]
    NotGrpc(Vec<u8>),
    /// The answer cannot be read.
    #[error("its answer cannot be read: {0}")]
    Malformed(&'static str),
    /// The request cannot be written down.
    #[error("it cannot be asked: {0}")]
    Unsendable(&'static str),
    /// The server does not speak HTTP/2, or breaks a call off in it.
    #[error(
        "HTTP/2 with it failed, is that what it speaks on that port, and with or without TLS: {0}"
    )]
    Http2(String),
}

fn whom(service: &str) -> String {
    if service.is_empty() {
        return "the server".to_owned();
    }
    format!("service {}", Excerpt(service.as_bytes()))
}

fn said(message: &[u8]) -> String {
    if message.is_empty() {
        return String::new();
    }
    format!(": {}", Excerpt(message))
}

/// A status code by its name.
fn named(code: u32) -> String {
    let name = match code {
        0 => "OK",
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        other => return format!("status {other}, which gRPC does not have"),
    };
    format!("status {code} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_cannot_break_a_line() {
        let error = GrpcError {
            address: "192.0.2.1:50051".parse().unwrap(),
            service: "a\nb".to_owned(),
            problem: GrpcProblem::Failed {
                code: 14,
                message: b"going\r\ndown\x1b[2J".to_vec(),
            },
        };
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text}");
        assert!(text.contains("14 (UNAVAILABLE)"), "{text}");
    }
}
