//! What real servers and their checks are called.

use std::{fmt, net::IpAddr, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::conf::model::{Check, RealServer, VirtualServer, VirtualServerName};

/// One check of one real server of one virtual server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a name has to say all of it")]
pub struct CheckName {
    /// Of which virtual server.
    pub virtual_server: VirtualServerName,
    /// Of which of its real servers.
    pub real_server: RealServerName,
    /// Which of its checks, from 0.
    pub number: usize,
}

impl CheckName {
    /// The names of all checks of a virtual server, and what they are.
    pub(crate) fn all_of(server: &VirtualServer) -> impl Iterator<Item = (Self, &Check)> {
        let real_servers = server.real_servers.iter();
        real_servers.flat_map(|real_server| {
            let checks = real_server.checks.iter().enumerate();
            checks.map(|(number, check)| {
                let name = Self {
                    virtual_server: server.name.clone(),
                    real_server: RealServerName::of(real_server),
                    number,
                };
                (name, check)
            })
        })
    }
}

/// One real server of one virtual server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a name has to say all of it")]
pub struct MemberName {
    /// Of which virtual server.
    pub virtual_server: VirtualServerName,
    /// Which of its real servers.
    pub real_server: RealServerName,
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of VS {}", self.real_server, self.virtual_server)
    }
}

/// What a real server is called within its virtual server: as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(clippy::exhaustive_structs, reason = "a name has to say all of it")]
pub struct RealServerName {
    /// Its address.
    pub address: IpAddr,
    /// Its port, if it is written.
    pub port: Option<u16>,
}

impl RealServerName {
    /// The name of a real server.
    #[must_use]
    pub const fn of(server: &RealServer) -> Self {
        Self {
            address: server.destination.address,
            port: server.destination.port,
        }
    }
}

impl fmt::Display for RealServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => self.address.fmt(f),
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
        }
    }
}

impl From<RealServerName> for String {
    fn from(name: RealServerName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for RealServerName {
    type Error = NotARealServer;

    fn try_from(text: String) -> Result<Self, NotARealServer> {
        text.parse()
    }
}

/// What is no name of a real server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no real server: expected ADDRESS or ADDRESS:PORT, with IPv6 [ADDRESS]:PORT, such as \
     192.0.2.1:80"
)]
pub struct NotARealServer(String);

impl FromStr for RealServerName {
    type Err = NotARealServer;

    fn from_str(text: &str) -> Result<Self, NotARealServer> {
        if let Ok(address) = text.parse() {
            return Ok(Self {
                address,
                port: None,
            });
        }
        let socket: SocketAddr = text.parse().map_err(|_| NotARealServer(text.to_owned()))?;
        Ok(Self {
            address: socket.ip(),
            port: Some(socket.port()),
        })
    }
}
