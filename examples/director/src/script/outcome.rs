//! How one run of a script ended, in keepalived's words.

use std::fmt;

use crate::script::run::CannotRun;

/// The end of one run. Everything but [`Success`](Self::Success) is a failed check.
///
/// Written in keepalived's words: `VRRP_Script(NAME) ` followed by the outcome is the line its
/// users know (observed with 2.2.7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It exited with status 0.
    Success,
    /// It exited with another status.
    Failure {
        /// The exit status, 1–255.
        code: i32,
    },
    /// It was killed by a signal that we did not send.
    Signalled {
        /// The number of the signal.
        signal: i32,
    },
    /// It was still running at its deadline and was killed with its process group.
    TimedOut,
    /// It was still running at its deadline and even `SIGKILL` did not end it.
    Unkillable {
        /// What is left of its process group; empty when not even its start has returned.
        processes: Vec<i32>,
    },
    /// It never ran. keepalived 2.2.7 takes this for success when the start fails in the child.
    CannotRun {
        /// Why, and what to do about it.
        reason: CannotRun,
    },
}

impl Outcome {
    /// Whether a check that ended so has passed.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }

    /// The exit status, if there was one.
    #[must_use]
    pub const fn exit_status(&self) -> Option<i32> {
        match self {
            Self::Success => Some(0),
            Self::Failure { code } => Some(*code),
            Self::Signalled { .. }
            | Self::TimedOut
            | Self::Unkillable { .. }
            | Self::CannotRun { .. } => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("succeeded"),
            Self::Failure { code } => write!(f, "failed (exited with status {code})"),
            Self::Signalled { signal } => write!(f, "failed (due to signal {signal})"),
            Self::TimedOut => f.write_str("timed_out"),
            Self::Unkillable { processes } if processes.is_empty() => {
                f.write_str("timed_out (and its start never returned: is its file system hung?)")
            }
            Self::Unkillable { processes } => write!(
                f,
                "timed_out (and SIGKILL does not end it: processes {processes:?} hang in the kernel)"
            ),
            Self::CannotRun { reason } => write!(f, "failed (cannot run: {reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_read_as_keepalived_writes_them() {
        let lines = [
            (Outcome::Success, "succeeded"),
            (
                Outcome::Failure { code: 1 },
                "failed (exited with status 1)",
            ),
            (Outcome::Signalled { signal: 9 }, "failed (due to signal 9)"),
            (Outcome::TimedOut, "timed_out"),
        ];
        for (outcome, line) in lines {
            assert_eq!(outcome.to_string(), line);
        }
    }

    #[test]
    fn only_success_passes() {
        assert!(Outcome::Success.is_success());
        let reason = CannotRun::TooManyLeft { processes: vec![7] };
        for outcome in [
            Outcome::Failure { code: 1 },
            Outcome::Signalled { signal: 15 },
            Outcome::TimedOut,
            Outcome::Unkillable { processes: vec![7] },
            Outcome::CannotRun { reason },
        ] {
            assert!(!outcome.is_success(), "{outcome}");
        }
    }
}
