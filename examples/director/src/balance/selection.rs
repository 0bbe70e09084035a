//! Which real servers an operator means.

use std::{fmt, net::IpAddr};

use ipvs::{Endpoint, ServiceKey};
use serde::{Deserialize, Serialize};

use super::RealServerName;
use crate::conf::model::{RealServer, VirtualServer, VirtualServerSubject};

/// Real servers, by what an operator calls them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks has to say it")]
pub struct Selection {
    /// Their address, and their port as the file or the table has it; without a port all of that
    /// address.
    pub real_server: RealServerName,
    /// The virtual server that they belong to, see [`is_called`]; `None`: all.
    #[serde(default)]
    pub virtual_server: Option<String>,
}

impl Selection {
    /// Whether servers of that virtual server may be meant.
    pub(super) fn means_servers_of(&self, server: &VirtualServer) -> bool {
        let called = self.virtual_server.as_ref();
        called.is_none_or(|text| is_called(server, text))
    }

    /// Whether that server of that virtual server is meant.
    pub(crate) fn means_server(&self, of: &VirtualServer, server: &RealServer) -> bool {
        let RealServerName { address, port } = self.real_server;
        let has_port = |port: u16| {
            let mut services = of.services.iter();
            server.destination.port == Some(port)
                || services.any(|service| server.destination.endpoint(service).port == port)
        };
        self.means_servers_of(of)
            && server.destination.address == address
            && port.is_none_or(has_port)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "real server {}", self.real_server)?;
        match &self.virtual_server {
            None => Ok(()),
            Some(name) => write!(f, " of virtual server {name}"),
        }
    }
}

/// Whether a virtual server is meant by these words: those of the file (`192.0.2.100 80`,
/// `fwmark 5`, `group web`), of a second one for the same with its protocol or family behind
/// (`192.0.2.100 53 UDP`), `192.0.2.100:80`, an address for all that it has, or the bare name of a
/// group.
#[must_use]
pub fn is_called(server: &VirtualServer, text: &str) -> bool {
    let words: Vec<_> = text.split_whitespace().collect();
    if server.name.to_string() == words.join(" ") {
        return true;
    }
    let [word] = words[..] else {
        return false;
    };
    match &server.name.subject {
        VirtualServerSubject::Group(name) if **name == *word => true,
        VirtualServerSubject::Address(_)
        | VirtualServerSubject::Fwmark(_)
        | VirtualServerSubject::Group(_) => server.services.iter().any(|service| match service {
            ServiceKey::Address { endpoint, .. } => is_endpoint(endpoint, word),
            ServiceKey::Fwmark { .. } => false,
        }),
    }
}

fn is_endpoint(endpoint: &Endpoint, word: &str) -> bool {
    match word.parse::<IpAddr>() {
        Ok(address) => endpoint.address == address,
        Err(_) => word.parse() == Ok(*endpoint),
    }
}

/// What an operator's words mean nothing of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {wanted}; there {}", list(.there))]
#[expect(
    clippy::exhaustive_structs,
    reason = "what was meant and what there is"
)]
pub struct NoSuchServer {
    /// What was meant.
    pub wanted: String,
    /// What there is, in the order of the file.
    pub there: Vec<String>,
}

/// An operator reads no more than that.
const MOST_LISTED: usize = 20;

fn list(there: &[String]) -> String {
    let shown = there.iter().take(MOST_LISTED).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match there.len().saturating_sub(MOST_LISTED) {
        0 if there.is_empty() => String::from("are none"),
        0 => format!("are {shown}"),
        more => format!("are {shown} and {more} more"),
    }
}
