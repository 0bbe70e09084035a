//! Running the programs that change netfilter.

use std::{io, time::Duration};

#[cfg(feature = "machine")]
pub(crate) use run::run;

#[cfg(feature = "machine")]
mod run;

/// Why a program that changes netfilter has not done as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetfilterError {
    /// A program could not be run.
    #[error("cannot run `{program}`, install it (Debian: package nftables or iptables)")]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It did not end.
    #[error("`{program}` did not end within {after:?}")]
    TimedOut {
        /// Its name.
        program: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The process may not.
    #[error("`{program}` needs CAP_NET_ADMIN, run as root: {text}")]
    Forbidden {
        /// Its name.
        program: &'static str,
        /// What it said.
        text: String,
    },
    /// It refused.
    #[error("`{program}` refused: {text}")]
    Refused {
        /// Its name.
        program: &'static str,
        /// What it said.
        text: String,
    },
}
