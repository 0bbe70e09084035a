//! The daemon's log: one line an event on standard error, or one JSON object a line.

use std::env;
use std::error::Error;
use std::io::{self, IsTerminal};

use tracing::warn;
use tracing_subscriber::EnvFilter;

mod writer;

use writer::Lines;
pub use writer::Pending;

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "the two of the command line")]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line, with the fields apart from the text.
    Json,
}

/// Starts the log. What is told is chosen by `RUST_LOG`; the default is `info`.
///
/// Nobody who logs waits for the reader of standard error, and none of its errors stops anybody.
/// Dropping what this returns waits, at most about two seconds, until all that was logged is written.
///
/// Changes nothing if a log was started before.
///
/// # Errors
/// The system gives no thread to the log.
pub fn start(format: Format) -> io::Result<Pending> {
    let (lines, pending) = Lines::start(io::stderr())?;
    let (filter, misread) = filter(env::var("RUST_LOG").ok().as_deref());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines);
    let started = match format {
        Format::Text => log
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .try_init(),
        Format::Json => log.json().try_init(),
    };
    started.ok();
    if let Some(error) = misread {
        warn!("RUST_LOG is not understood ({error}): going on as with RUST_LOG=info");
    }
    Ok(pending)
}

/// What `RUST_LOG` asks for, and what is wrong with it.
fn filter(wanted: Option<&str>) -> (EnvFilter, Option<impl Error + use<>>) {
    let default = || EnvFilter::new("info");
    match wanted.filter(|wanted| !wanted.trim().is_empty()) {
        None => (default(), None),
        Some(wanted) => match EnvFilter::try_new(wanted) {
            Ok(filter) => (filter, None),
            Err(error) => (default(), Some(error)),
        },
    }
}

/// An error and what led to it, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rust_log_asks_for_is_told_or_called_wrong() {
        let told = |wanted| {
            let (filter, misread) = filter(wanted);
            (filter.to_string(), misread.is_some())
        };
        assert_eq!(told(None), ("info".to_owned(), false));
        assert_eq!(told(Some("")), ("info".to_owned(), false));
        assert_eq!(told(Some("vrrp=debug")), ("vrrp=debug".to_owned(), false));
        assert_eq!(told(Some("vrrp=loud")), ("info".to_owned(), true));
    }
}
