//! `director drain`, `weight`, `disable` and so on: what an operator does with real servers.

use std::process::ExitCode;
use std::str::FromStr;

use director::balance::{Action, OrderedWeight, RealServerName, Selection};
use director::control::Ask;

use super::ask::Socket;

/// Which real servers.
#[derive(Debug, clap::Args)]
pub(super) struct Servers {
    /// The real servers: ADDRESS or ADDRESS:PORT, as the file or the table has it; [ADDRESS]:PORT
    /// with IPv6.
    #[arg(value_name = "REAL_SERVER")]
    real_server: RealServerName,
    /// Of this virtual server alone: ADDRESS[:PORT], "fwmark MARK" or "group NAME".
    #[arg(long, value_name = "NAME")]
    virtual_server: Option<String>,
    #[command(flatten)]
    socket: Socket,
}

impl Servers {
    /// Has a running daemon do it. Exits with 0 if it was done, 1 if not.
    pub(super) fn act(self, action: Action) -> ExitCode {
        let which = Selection {
            real_server: self.real_server,
            virtual_server: self.virtual_server,
        };
        self.socket.ask(Ask::Server { which, action })
    }
}

/// Gives real servers a weight, whatever the file and the checks say.
///
/// What is ordered outlives reloads and restarts, until a daemon clears the table at its end.
#[derive(Debug, clap::Args)]
pub(super) struct Weight {
    #[command(flatten)]
    servers: Servers,
    /// 0 to 65535, or `auto` for what the file and the checks say.
    #[arg(value_name = "WEIGHT")]
    weight: Wanted,
}

#[derive(Debug, Clone, Copy)]
struct Wanted(Option<OrderedWeight>);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(None));
        }
        let weight: u32 = text
            .parse()
            .map_err(|_| String::from("expected 0 to 65535, or auto"))?;
        let weight = OrderedWeight::new(weight).map_err(|error| error.to_string())?;
        Ok(Self(Some(weight)))
    }
}

impl Weight {
    pub(super) fn run(self) -> ExitCode {
        self.servers.act(Action::Weight(self.weight.0))
    }
}

/// Takes real servers out of the table, whatever their checks say. Until `enable`.
///
/// What is ordered outlives reloads and restarts, until a daemon clears the table at its end.
#[derive(Debug, clap::Args)]
pub(super) struct Disable {
    #[command(flatten)]
    servers: Servers,
    /// Once their connections are gone, at the latest after an hour, instead of at once.
    #[arg(long)]
    drain: bool,
}

impl Disable {
    pub(super) fn run(self) -> ExitCode {
        self.servers.act(Action::Disable { drain: self.drain })
    }
}
