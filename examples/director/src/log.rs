//! The daemon's log: one line an event on standard error, or one JSON object a line.

use std::error::Error;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

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
/// Does nothing if a log was started before.
pub fn start(format: Format) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        Format::Text => log
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .try_init(),
        Format::Json => log.json().try_init(),
    };
    started.ok();
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
