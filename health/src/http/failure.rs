//! Why an exchange by HTTP was not good.

use std::{error::Error as _, io, net::SocketAddr};

use crate::{ProbeError, connect::while_talking};

/// Why an exchange was not good. `P` is what can be wrong with a response.
pub(crate) enum Failure<P> {
    Problem(P),
    TooLong {
        limit: usize,
    },
    Hyper(&'static str, hyper::Error),
    /// The response was good, but not the end of the connection.
    Closing(io::Error),
}

impl<P> From<hyper::Error> for Failure<P> {
    fn from(error: hyper::Error) -> Self {
        Self::Hyper("waiting for its response", error)
    }
}

impl<P> Failure<P> {
    /// Gives what is wrong with the response; `not_http` makes it of a reason.
    ///
    /// # Errors
    /// It is not the response.
    pub(crate) fn explain(
        self,
        address: SocketAddr,
        not_http: impl FnOnce(String) -> P,
    ) -> Result<P, ProbeError> {
        match self {
            Self::Problem(problem) => Ok(problem),
            Self::TooLong { limit } => Err(ProbeError::TooLong {
                address,
                doing: "sending its response",
                limit,
            }),
            Self::Hyper(doing, error) => match of_hyper(address, doing, &error) {
                Ok(error) => Err(error),
                Err(reason) => Ok(not_http(reason)),
            },
            Self::Closing(error) => {
                #[cfg(feature = "tls")]
                if let Some(error) = crate::tls::after_handshake(address, &error) {
                    return Err(error);
                }
                Err(while_talking(address, "waiting for its closure", error))
            }
        }
    }
}

/// The system's answer in an error of hyper, if that is its cause.
fn cause(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        // It keeps its cause to itself.
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.get_io();
        }
        source = error.source();
    }
    None
}

/// What an error of hyper means.
///
/// # Errors
/// It says that the server speaks another language: the text tells what is wrong.
fn of_hyper(
    address: SocketAddr,
    doing: &'static str,
    error: &hyper::Error,
) -> Result<ProbeError, String> {
    if let Some(error) = cause(error) {
        #[cfg(feature = "tls")]
        if let Some(error) = crate::tls::after_handshake(address, error) {
            return Ok(error);
        }
        if let Some(number) = error.raw_os_error() {
            let error = io::Error::from_raw_os_error(number);
            return Ok(while_talking(address, doing, error));
        }
        // HTTP/2 leaves of an error of the system its kind alone, and of an end a broken pipe.
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the others say nothing of the server"
        )]
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
                return Ok(ProbeError::Closed { address, doing });
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                return Ok(ProbeError::Reset { address, doing });
            }
            _ => {}
        }
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Ok(ProbeError::Closed { address, doing });
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reason = format!("{reason}: {error}");
        source = error.source();
    }
    Err(reason)
}
