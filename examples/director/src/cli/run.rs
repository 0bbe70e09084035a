//! `director run`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use director::{host::Host, log, run};

/// Runs the daemon.
///
/// SIGHUP reads the file again, SIGTERM leaves gracefully. Exits with 0 after a graceful stop, 1 if
/// the file has errors, 2 if it cannot be read, 3 if the system does not allow what is needed.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Form of the log, which goes to standard error. RUST_LOG chooses what is in it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: log::Format,
    /// The socket on which the daemon answers `director status`, `drain`, `reload` and so on.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// The file in which the daemon keeps what was ordered for real servers and what it has set up,
    /// for the next start, and what their checks know, for one within 60 s; by default that of the
    /// control socket with `.state` after its name. Removed when the table is cleared at the end.
    #[arg(long, value_name = "PATH")]
    state: Option<PathBuf>,
    /// What balances load.
    #[arg(long, value_enum, value_name = "BACKEND", default_value = "kernel")]
    backend: run::Backend,
    /// What becomes of the kernel's table when the daemon stops.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "clear")]
    on_stop: run::OnStop,
    /// How long connections are waited for with the policy drain, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    drain_deadline: u32,
    /// Warns of keywords that are not done yet, and leaves them out, where it would refuse the file.
    #[arg(long)]
    lenient: bool,
    /// The id that lines with `@ID` are for; by default the first label of the host's name.
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
}

impl Run {
    pub(super) fn run(self) -> ExitCode {
        run::share_one_heap();
        let log = match log::start(self.log_format) {
            Ok(log) => log,
            Err(error) => {
                // Nothing is left to do if that cannot be said either.
                writeln!(io::stderr(), "director: cannot start the log: {error}").ok();
                return ExitCode::from(3);
            }
        };
        let mut options = run::Options::new(self.file);
        options.control = self.control;
        options.state = self.state;
        options.backend = self.backend;
        options.on_stop = self.on_stop;
        options.drain_deadline = Duration::from_secs(self.drain_deadline.into());
        options.reading.lenient = self.lenient;
        options.reading.config_id = self.config_id;
        let code = run::run(&options, &Host);
        drop(log);
        code
    }
}
