//! `director plan`: what a reload would change.

use std::{
    io::{self, Write as _},
    path::{self, PathBuf},
    process::ExitCode,
};

use director::{
    control::{
        Ask, DEFAULT_PATH,
        client::{self, AskError},
    },
    host::Host,
    log::chain,
    run::{self, Planned},
};

/// Shows what a reload would change, down to the kernel's table and its connections; changes nothing.
///
/// The running daemon is asked, as it knows the health of real servers, and reads the file as it
/// was told to at its start. Where none answers, it is shown what a start would do.
///
/// Exit code: 0 if it can be done (nothing may be to do), 1 if the file has errors, 2 if it cannot
/// be read, 3 if a reload would be refused or the system does not let itself be asked.
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    /// The configuration, in the language of keepalived.conf.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// How to say it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The control socket of the daemon.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    control: PathBuf,
    /// As in `director run`, where no daemon answers: a start goes on with what is kept there.
    #[arg(long, value_name = "PATH")]
    state: Option<PathBuf>,
    /// What balances load, where no daemon answers.
    #[arg(long, value_enum, value_name = "BACKEND", default_value = "kernel")]
    backend: run::Backend,
    /// As in `director run`, where no daemon answers.
    #[arg(long)]
    lenient: bool,
    /// As in `director run`, where no daemon answers.
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Plan {
    pub(super) fn run(self) -> ExitCode {
        let planned = self.ask();
        // A reader that has seen enough, as `head`, does not change the result.
        self.write(&planned).unwrap_or(());
        ExitCode::from(match planned {
            Planned::Plan(_) => 0,
            Planned::Wrong(_) => 1,
            Planned::Unreadable(_) => 2,
            Planned::Impossible(_) => 3,
        })
    }

    fn ask(&self) -> Planned {
        let file = match path::absolute(&self.file) {
            Ok(file) => file,
            Err(error) => return Planned::Unreadable(chain(&error)),
        };
        match client::ask(&self.control, Ask::Plan { file: file.clone() }) {
            Ok(answer) => serde_json::from_value(answer).unwrap_or_else(|error| {
                Planned::Impossible(format!("the daemon is of another version: {error}"))
            }),
            Err(error @ AskError::Unreachable { .. }) => {
                // Nothing is left to do if that cannot be said.
                let mut say = |line: &str| drop(writeln!(io::stderr(), "{line}"));
                say(&chain(&error));
                say("This is what a start would do.");
                let mut options = run::Options::new(file);
                options.control = Some(self.control.clone());
                options.state.clone_from(&self.state);
                options.backend = self.backend;
                options.reading.lenient = self.lenient;
                options.reading.config_id.clone_from(&self.config_id);
                run::plan(&options, &Host, &mut say)
            }
            Err(error) => Planned::Impossible(chain(&error)),
        }
    }

    fn write(&self, planned: &Planned) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match (self.format, planned) {
            (Format::Json, planned) => writeln!(stdout, "{}", serde_json::to_string(planned)?),
            (Format::Text, Planned::Plan(plan)) => write!(stdout, "{plan}"),
            (
                Format::Text,
                Planned::Wrong(text) | Planned::Unreadable(text) | Planned::Impossible(text),
            ) => writeln!(io::stderr(), "{}", text.trim_end()),
        }
    }
}
