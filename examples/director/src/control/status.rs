//! The state of a daemon as `director status` shows it, in JSON and as text.

mod balancing;
mod because;
mod gather;
mod text;
mod why;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vrrp::{Counters, NodeStatus, PortStatus, Rejections, RouterStatus};

pub use balancing::{Check, InKernel, Probe, RealServer, Service, SorryServer, VirtualServer};
pub(crate) use gather::Known;
pub use why::Why;

/// State of a daemon at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// Its virtual routers.
    pub instances: Vec<Instance>,
    /// Its sync groups.
    pub sync_groups: Vec<Group>,
    /// Its VRRP sockets.
    pub sockets: Vec<Socket>,
    /// Advertisements for virtual routers that it has not.
    pub unknown_vrids: u64,
    /// Its virtual servers, in the order of the file.
    pub virtual_servers: Vec<VirtualServer>,
    /// Why the kernel's table cannot be read or changed, while that is so.
    pub ipvs_trouble: Option<String>,
}

/// State of a virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// `INIT`, `BACKUP`, `MASTER`, `FAULT`.
    pub role: String,
    /// Its effective priority, 1–255.
    pub priority: u8,
    /// The address it sends from.
    pub source: Option<IpAddr>,
    /// The master it hears.
    pub master: Option<Master>,
    /// Why it cannot take part.
    pub faults: Vec<String>,
    /// How it came to its role, if the daemon has seen that.
    pub last_change: Option<RoleChange>,
    /// The addresses it holds as master.
    pub addresses: Vec<String>,
    /// What it has counted, by name.
    pub counters: BTreeMap<String, u64>,
    /// Advertisements it did not take, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// A change of role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoleChange {
    /// The role before.
    pub from: String,
    /// Why it changed.
    pub because: String,
    /// How many milliseconds ago.
    pub ago_ms: u64,
}

impl RoleChange {
    pub(crate) fn new(from: vrrp::Role, because: &vrrp::Cause, ago: Duration) -> Self {
        Self {
            from: from.to_string(),
            because: because.to_string(),
            ago_ms: millis(ago),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The master that a backup hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Master {
    /// The address it sends from.
    pub address: IpAddr,
    /// Its priority.
    pub priority: u8,
}

/// State of a sync group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
}

/// State of a VRRP socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Socket {
    /// Its interface.
    pub interface: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Malformed messages, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl From<&NodeStatus> for Status {
    fn from(status: &NodeStatus) -> Self {
        let group = |(name, role): &(std::sync::Arc<str>, vrrp::Role)| Group {
            name: name.to_string(),
            role: role.to_string(),
        };
        Self {
            instances: status.routers.iter().map(Instance::from).collect(),
            sync_groups: status.groups.iter().map(group).collect(),
            sockets: status.ports.iter().map(Socket::from).collect(),
            unknown_vrids: status.unknown_vrids,
            virtual_servers: Vec::new(),
            ipvs_trouble: None,
        }
    }
}

impl From<&RouterStatus> for Instance {
    fn from(router: &RouterStatus) -> Self {
        Self {
            name: router.name.to_string(),
            role: router.role.to_string(),
            priority: router.priority.as_u8(),
            source: router.source,
            master: router.master.map(|master| Master {
                address: master.address,
                priority: master.priority.as_u8(),
            }),
            faults: router.faults.iter().map(ToString::to_string).collect(),
            last_change: None,
            addresses: router.vips.iter().map(ToString::to_string).collect(),
            counters: counters(&router.counters),
            rejected: rejected(&router.counters.rejected),
        }
    }
}

impl From<&PortStatus> for Socket {
    fn from(port: &PortStatus) -> Self {
        Self {
            interface: port.interface.to_string(),
            family: port.family.to_string(),
            rejected: rejected(&port.rejections),
        }
    }
}

fn counters(counters: &Counters) -> BTreeMap<String, u64> {
    [
        ("advertisements_sent", counters.sent),
        ("advertisements_received", counters.received),
        ("priority_zero_sent", counters.released),
        ("priority_zero_received", counters.received_release),
        ("send_failures", counters.send_failures),
        ("checksum_message", counters.checksum_message),
        ("checksum_pseudo_header", counters.checksum_pseudo_header),
        ("address_list_differs", counters.address_list_differs),
        ("became_master", counters.became_master),
        ("acquire_failures", counters.acquire_failures),
        ("addresses_lost", counters.addresses_lost),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}

fn rejected(rejections: &Rejections) -> BTreeMap<String, u64> {
    let seen = rejections.iter().filter(|(_, count)| *count > 0);
    seen.map(|(reason, count)| (reason.to_string(), count))
        .collect()
}

/// The state for people.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for instance in &self.instances {
            instance.write(f)?;
        }
        for Group { name, role } in &self.sync_groups {
            writeln!(f, "{name:<20} {role:<7} sync group")?;
        }
        for socket in &self.sockets {
            let trouble = list(&socket.rejected);
            if !trouble.is_empty() {
                let Socket {
                    interface, family, ..
                } = socket;
                writeln!(f, "{interface} {family}: malformed messages: {trouble}")?;
            }
        }
        if self.unknown_vrids > 0 {
            let count = self.unknown_vrids;
            writeln!(
                f,
                "advertisements for virtual routers that are not configured: {count}"
            )?;
        }
        for server in &self.virtual_servers {
            server.fmt(f)?;
        }
        if let Some(trouble) = &self.ipvs_trouble {
            writeln!(f, "IPVS: {trouble}")?;
        }
        Ok(())
    }
}

impl Instance {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            role,
            priority,
            ..
        } = self;
        write!(f, "{name:<20} {role:<7} priority {priority}")?;
        if let Some(source) = self.source {
            write!(f, ", from {source}")?;
        }
        if let Some(Master { address, priority }) = &self.master {
            write!(f, ", master {address} with priority {priority}")?;
        }
        f.write_char('\n')?;
        let held = if role == "MASTER" {
            "holds"
        } else {
            "would hold"
        };
        writeln!(f, "    {held} {}", self.addresses.join(", "))?;
        for fault in &self.faults {
            writeln!(f, "    fault: {fault}")?;
        }
        if !self.rejected.is_empty() {
            writeln!(f, "    rejected advertisements: {}", list(&self.rejected))?;
        }
        Ok(())
    }
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<_> = counts
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests;
