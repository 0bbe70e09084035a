//! `director status`, `why`, `reload` and `stop`: what a running daemon is asked.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use director::control::{
    Ask, DEFAULT_PATH, client,
    status::{Status, Why},
};
use director::log::chain;
use director::run::OnStop;
use serde::de::DeserializeOwned;

/// Where the daemon answers.
#[derive(Debug, clap::Args)]
pub(super) struct Socket {
    /// The control socket of the daemon.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    control: PathBuf,
}

/// Shows the state of a running daemon.
#[derive(Debug, clap::Args)]
pub(super) struct ShowStatus {
    #[command(flatten)]
    socket: Socket,
    /// Form of the answer.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl ShowStatus {
    pub(super) fn run(self) -> ExitCode {
        show::<Status>(&self.socket, self.format, Ask::Status)
    }
}

/// Says why an instance has its role, or connections go to a server or do not.
#[derive(Debug, clap::Args)]
pub(super) struct ShowWhy {
    /// An instance, a sync group, a virtual server (ADDRESS[:PORT], "fwmark MARK", "group NAME") or
    /// a real server (ADDRESS[:PORT]).
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    socket: Socket,
    /// Form of the answer.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

impl ShowWhy {
    pub(super) fn run(self) -> ExitCode {
        show::<Why>(&self.socket, self.format, Ask::Why { name: self.name })
    }
}

fn show<T: DeserializeOwned + Display>(socket: &Socket, format: Format, ask: Ask) -> ExitCode {
    let answer = client::ask(&socket.control, ask);
    let answer = answer.map_err(|error| chain(&error));
    report(answer.and_then(|answer| {
        match format {
            Format::Json => Ok(format!("{answer:#}\n")),
            Format::Text => serde_json::from_value::<T>(answer)
                .map(|told| told.to_string())
                .map_err(|error| format!("the daemon is of another version: {error}")),
        }
    }))
}

/// Has a running daemon leave gracefully.
#[derive(Debug, clap::Args)]
pub(super) struct Stop {
    #[command(flatten)]
    socket: Socket,
    /// What becomes of the kernel's table; by default what the daemon was told at its start.
    #[arg(long, value_enum, value_name = "POLICY")]
    policy: Option<OnStop>,
}

impl Stop {
    pub(super) fn run(self) -> ExitCode {
        self.socket.ask(match self.policy {
            None => Ask::Stop,
            Some(on_stop) => Ask::StopWith { on_stop },
        })
    }
}

impl Socket {
    /// Asks and prints the answer. Exits with 0 if it was done, 1 if not.
    pub(super) fn ask(self, ask: Ask) -> ExitCode {
        let answer = client::ask(&self.control, ask);
        let answer = answer.map_err(|error| chain(&error));
        report(answer.map(|answer| format!("{}\n", answer.as_str().unwrap_or("done"))))
    }
}

fn report(answer: Result<String, String>) -> ExitCode {
    let written = match &answer {
        Ok(text) => io::stdout().write_all(text.as_bytes()),
        Err(error) => writeln!(io::stderr(), "{error}"),
    };
    match (answer, written) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
