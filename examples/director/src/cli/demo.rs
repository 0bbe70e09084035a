//! `director demo`.

use std::process::ExitCode;

use director::demo::{self, Part, Users};

/// Shows live, on this machine and without root, two directors, two real servers and a client.
///
/// A real server is killed, the master loses its power, and both come back, while the client's
/// requests and their failures are counted and the time without an answer is measured. Takes about
/// twelve seconds and leaves nothing behind. Exits with 0 if all that was shown worked, 1 if not, 3
/// if this machine does not allow it.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Goes on after the end, to look around in, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// For the demo's own use: it starts itself again inside of its namespaces.
    #[arg(long, hide = true, value_name = "USERS")]
    inside: Option<Users>,
    /// For the demo's own use: it starts itself again as a real server.
    #[arg(long, hide = true, value_name = "NAME", conflicts_with = "inside")]
    real_server: Option<String>,
}

impl Demo {
    pub(super) fn run(self) -> ExitCode {
        let part = match (self.inside, self.real_server) {
            (_, Some(name)) => Part::RealServer(name),
            (Some(users), None) => Part::Stage { users },
            (None, None) => Part::Outside,
        };
        demo::run(&part, self.keep)
    }
}
