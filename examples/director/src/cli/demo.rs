//! `director demo`.

use std::process::ExitCode;

use director::demo::{self, Side};

/// Shows live, on this machine and without root, how an address fails over between two directors.
///
/// Takes about six seconds and leaves nothing behind. Exits with 0 if all that was shown worked,
/// 1 if not, 3 if this machine does not allow it.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// For the demo's own use: it starts itself again inside of its namespaces.
    #[arg(long, hide = true)]
    inside: bool,
}

impl Demo {
    pub(super) fn run(self) -> ExitCode {
        demo::run(if self.inside {
            Side::Inside
        } else {
            Side::Outside
        })
    }
}
