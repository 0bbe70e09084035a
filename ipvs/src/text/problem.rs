//! What can be wrong with a line of a saved table.

use crate::{TableError, ThresholdsError};

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No option, or none that changes a table.
    #[error("`{0}` is not an option of a saved table, which has lines as -A -t 10.0.0.1:80 -s rr")]
    UnknownOption(String),
    /// An option without what belongs to it.
    #[error("--{0} needs a value, or more of them")]
    NoValue(&'static str),
    /// An option that was given before.
    #[error("--{0} is given twice: write it once")]
    Repeated(&'static str),
    /// A line that does not begin with a command.
    #[error(
        "--{0} is not a command: begin with one of -A -E -D -a -e -d -C -Z --set \
             --start-daemon --stop-daemon"
    )]
    NotACommand(&'static str),
    /// An option that the command does not have.
    #[error("--{option} does not belong to --{command}: leave it out")]
    NotHere {
        /// The option.
        option: &'static str,
        /// The command.
        command: &'static str,
    },
    /// Something that the command does not do without.
    #[error("--{command} needs {missing}")]
    Missing {
        /// The command.
        command: &'static str,
        /// What it needs.
        missing: &'static str,
    },
    /// Options of which only one can be.
    #[error("--{option} cannot be together with --{other}: leave one of them out")]
    Conflict {
        /// The later one.
        option: &'static str,
        /// The earlier one.
        other: &'static str,
    },
    /// A value that the option does not take.
    #[error("`{text}` is not {expected}")]
    Value {
        /// The value.
        text: String,
        /// What it should be, with an example.
        expected: String,
    },
    /// Thresholds that do not go together.
    #[error(transparent)]
    Thresholds(#[from] ThresholdsError),
    /// What is meant is against a rule, or does not fit the lines before it.
    #[error(transparent)]
    Table(#[from] TableError),
}
