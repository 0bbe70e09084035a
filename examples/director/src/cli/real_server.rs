//! `director realserver`: prepares this machine for direct routing or tunnels, and leaves it as it
//! was.

use std::{
    io::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use director::{
    conf::{
        self,
        model::{Config, Vip},
        render,
    },
    host::Host,
    log::chain,
    real_server::{DEFAULT_JOURNAL, Journal, down, up},
};
use ipvs::{
    Family, Forwarding, RealServer, Tunnel, Via,
    machine::{Edit, Linux, Machine},
};

/// Prepares this machine to be a real server by direct routing or tunnel, or leaves it as it was.
///
/// The file is the director's own: the real servers in it that have an address of this machine are
/// this machine. Exit code: 0 if it is done, 1 if not; then nothing was changed.
#[derive(Debug, Subcommand)]
pub(super) enum RealServerCommand {
    /// Takes the virtual addresses for its own without telling the network, and accepts packets for
    /// them. Makes only what is missing.
    Up(Up),
    /// Undoes all that `up` has changed, unless somebody else has changed it since.
    Down(Down),
}

#[derive(Debug, Args)]
pub(super) struct Up {
    /// The director's configuration.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// A virtual address of the services by firewall mark, which the file does not tell. Can be
    /// given several times.
    #[arg(long, value_name = "ADDRESS")]
    vip: Vec<IpAddr>,
    /// Only says what would be changed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    journal: JournalPath,
}

#[derive(Debug, Args)]
pub(super) struct Down {
    /// The director's configuration: not needed, what was changed is in the journal.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    journal: JournalPath,
}

#[derive(Debug, Args)]
struct JournalPath {
    /// Where is written down what was changed.
    #[arg(long = "journal", value_name = "PATH", default_value = DEFAULT_JOURNAL)]
    path: PathBuf,
}

impl RealServerCommand {
    pub(super) fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let done = match (runtime, self) {
            (Err(error), _) => Err(format!("cannot start: {error}")),
            (Ok(runtime), Self::Up(up)) => runtime.block_on(up.run()),
            (Ok(runtime), Self::Down(down)) => runtime.block_on(down.run()),
        };
        let (text, code) = match done {
            Ok(text) => (text, ExitCode::SUCCESS),
            Err(error) => {
                // Nothing is left to do if that cannot be said either.
                writeln!(io::stderr(), "director: {error}").unwrap_or(());
                (String::new(), ExitCode::FAILURE)
            }
        };
        // A reader that has seen enough, as `head`, does not change the result.
        io::stdout().write_all(text.as_bytes()).unwrap_or(());
        code
    }
}

impl Up {
    async fn run(self) -> Result<String, String> {
        let config = load(&self.file)?;
        let machine = Linux::open().map_err(|error| chain(&error))?;
        let server = server(&config, &own_addresses(&machine).await?, &self.vip)?;
        if self.dry_run {
            let edits = server
                .edits(&machine)
                .await
                .map_err(|error| chain(&error))?;
            return Ok(lines("would", &edits));
        }
        let made = up(&machine, &server, &Journal::at(&self.journal.path)).await;
        made.map(|edits| lines("did", &edits))
            .map_err(|error| chain(&error))
    }
}

impl Down {
    async fn run(self) -> Result<String, String> {
        let machine = Linux::open().map_err(|error| chain(&error))?;
        let undone = down(&machine, &Journal::at(&self.journal.path)).await;
        let (undone, left) = undone.map_err(|error| chain(&error))?;
        Ok(lines("undid", &undone) + &lines("somebody has changed since, left alone", &left))
    }
}

fn load(file: &Path) -> Result<Config, String> {
    let loaded = conf::load(file, &Host, &conf::Options::default())
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let text = || render::text(&loaded.diagnostics, &loaded.sources, false);
    let errors = || format!("{} has errors:\n{}", file.display(), text());
    loaded.config.clone().ok_or_else(errors)
}

async fn own_addresses(machine: &Linux) -> Result<Vec<IpAddr>, String> {
    let interfaces = machine.interfaces().await.map_err(|error| chain(&error))?;
    let addresses = interfaces.into_iter().flat_map(|it| it.addresses);
    Ok(addresses.map(|(address, _)| address).collect())
}

/// What this machine serves by the configuration.
fn server(config: &Config, own: &[IpAddr], named: &[IpAddr]) -> Result<RealServer, String> {
    let served = config.served_by(own);
    let mut vips = Vec::new();
    for served in &served {
        let via = match served.forwarding {
            Forwarding::Tunnel(Tunnel::Ipip) => Via::Tunnel(Family::of(served.server)),
            Forwarding::Tunnel(Tunnel::Gue { .. } | Tunnel::Gre { .. }) => {
                return Err(format!(
                    "{} is reached by a tunnel of kind gue or gre, which has to be prepared by \
                     hand: its end is not an interface that every machine has",
                    served.server
                ));
            }
            Forwarding::DirectRoute
            | Forwarding::Masquerade
            | Forwarding::Local
            | Forwarding::Bypass => Via::DirectRoute,
        };
        match served.vip {
            Vip::Address(vip) => vips.push((vip, via)),
            Vip::Fwmark(mark) if named.is_empty() => {
                return Err(format!(
                    "the file does not tell the addresses of the services by firewall mark {mark}: \
                     name them by --vip ADDRESS"
                ));
            }
            Vip::Fwmark(_) => vips.extend(named.iter().map(|vip| (*vip, via))),
        }
    }
    if vips.is_empty() {
        let own: Vec<String> = own.iter().map(IpAddr::to_string).collect();
        return Err(format!(
            "no real server by direct routing (lvs_method DR) or tunnel (TUN) has an address of \
             this machine ({})",
            own.join(", ")
        ));
    }
    Ok(RealServer::new(vips))
}

fn lines(done: &str, edits: &[Edit]) -> String {
    edits
        .iter()
        .map(|edit| format!("{done}: {edit}\n"))
        .collect()
}
