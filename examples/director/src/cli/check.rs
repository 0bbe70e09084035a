//! `director check`: whether a configuration is good, and what is wrong with it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use director::{
    conf::{Loaded, Options, load, model::Config, render},
    host::Host,
};

/// Says everything that is wrong with a configuration; changes nothing.
///
/// Exit code: 0 if the configuration is good (there may be warnings), 1 if it has errors, 2 if
/// the file cannot be read.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration, in the language of keepalived.conf.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// How to say it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only warn about what keepalived lets pass and director does not do: keywords it does not
    /// have yet, words that mean nothing.
    #[arg(long)]
    lenient: bool,
    /// The id that lines with `@ID` are for; by default the first label of the host's name.
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people: the lines, with a mark below what is wrong.
    Text,
    /// For programs: one JSON object on one line.
    Json,
}

const GOOD: u8 = 0;
const ERRORS: u8 = 1;
const UNREADABLE: u8 = 2;

impl Check {
    pub(crate) fn run(self) -> ExitCode {
        let mut options = Options::default();
        options.lenient = self.lenient;
        options.config_id.clone_from(&self.config_id);
        let loaded = match load(&self.file, &Host, &options) {
            Ok(loaded) => loaded,
            Err(error) => {
                let message = format!("director: cannot read {}: {error}\n", self.file.display());
                // Nothing is left to do if that cannot be said either.
                io::stderr().write_all(message.as_bytes()).unwrap_or(());
                return ExitCode::from(UNREADABLE);
            }
        };
        let code = if loaded.config.is_some() {
            GOOD
        } else {
            ERRORS
        };
        match self.write(&loaded) {
            // A reader that has seen enough, as `head`, does not change the result.
            Ok(()) | Err(_) => ExitCode::from(code),
        }
    }

    fn write(&self, loaded: &Loaded) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let file = self.file.display().to_string();
        match self.format {
            Format::Json => {
                let json = render::json(&file, &loaded.diagnostics, &loaded.sources)?;
                writeln!(stdout, "{json}")
            }
            Format::Text => {
                let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
                let text = render::text(&loaded.diagnostics, &loaded.sources, colour);
                writeln!(stdout, "{text}{file}: {}", summary(loaded))
            }
        }
    }
}

fn summary(loaded: &Loaded) -> String {
    let (errors, warnings) = render::count(&loaded.diagnostics);
    let found = [(errors, "error"), (warnings, "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| counted(count, what))
        .collect::<Vec<_>>()
        .join(", ");
    match &loaded.config {
        None => found,
        Some(config) => {
            let content = [
                (config.instances.len(), "vrrp_instance"),
                (config.sync_groups.len(), "vrrp_sync_group"),
                (config.scripts.len(), "vrrp_script"),
                (config.virtual_servers.len(), "virtual_server"),
                (real_servers(config), "real_server"),
            ]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect::<Vec<_>>()
            .join(", ");
            let content = if content.is_empty() {
                "nothing to do".to_owned()
            } else {
                content
            };
            if found.is_empty() {
                format!("good: {content}")
            } else {
                format!("good, with {found}: {content}")
            }
        }
    }
}

fn real_servers(config: &Config) -> usize {
    let servers = config.virtual_servers.iter();
    servers.map(|server| server.real_servers.len()).sum()
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
