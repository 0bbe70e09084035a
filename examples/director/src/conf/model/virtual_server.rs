//! Virtual servers: the services of IPVS that are set up, and what they are spread over.

use std::{
    fmt,
    net::IpAddr,
    num::{NonZeroU8, NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Duration,
};

use health::QuorumConfig;
use ipvs::{
    DestinationSettings, Endpoint, Family, Flags, Forwarding, InterfaceName, Persistence, Protocol,
    SchedulerName, ServiceKey, ServiceSettings, SourceRange, SyncDaemon, SyncMaxLength, SyncRole,
    TimeoutChange,
};

use super::{Check, Places, Script};

/// `virtual_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtualServer {
    /// What it was written for.
    pub name: VirtualServerName,
    /// The services that it stands for, in the order of the file: one, or those of its group.
    pub services: Vec<ServiceKey>,
    /// How connections are spread.
    pub scheduler: SchedulerName,
    /// Flags of the scheduler, and `ops`.
    pub flags: Flags,
    /// `persistence_timeout` and what goes with it; its clients are of [`Self::services`]' one
    /// family, unless they are all the address.
    pub persistence: Option<Persistence>,
    /// What connections are spread over, in the order of the file; never empty.
    pub real_servers: Vec<RealServer>,
    /// Who serves while there is no quorum.
    pub sorry_server: Option<SorryServer>,
    /// `full_nat_source`: where connections to servers by FULLNAT come from, of their family;
    /// `None`: the first address of the interface that leads to each.
    pub full_nat_source: Option<SourceRange>,
    /// `alpha`: all is down until checks say otherwise.
    pub alpha: bool,
    /// `omega`: the scripts of what goes down run when the program stops.
    pub omega: bool,
    /// `ha_suspend`: its checks rest while this machine has none of its addresses; never where one
    /// of the services is for a mark.
    pub ha_suspend: bool,
    /// `quorum` and `hysteresis` as they take effect, for the weights as they are written.
    pub quorum: QuorumConfig,
    /// `quorum_up`.
    pub quorum_up: Option<Script>,
    /// `quorum_down`.
    pub quorum_down: Option<Script>,
    /// Where its settings stand in the file.
    pub places: Places,
}

/// What a `virtual_server` is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a name has to say all of it")]
pub struct VirtualServerName {
    /// What it is written for.
    pub subject: VirtualServerSubject,
    /// What sets it apart, if one that stands before it in the file is written for the same.
    pub of: Option<Apart>,
}

/// What sets virtual servers apart that are written for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "services differ in nothing else")]
pub enum Apart {
    /// Its protocol: DNS is served at one address and port by TCP and by UDP.
    Protocol(Protocol),
    /// Its family: a mark may stand for packets of both.
    Family(Family),
}

impl Apart {
    const ALL: [Self; 5] = [
        Self::Protocol(Protocol::Tcp),
        Self::Protocol(Protocol::Udp),
        Self::Protocol(Protocol::Sctp),
        Self::Family(Family::V4),
        Self::Family(Family::V6),
    ];
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(protocol) => protocol.fmt(f),
            Self::Family(family) => family.fmt(f),
        }
    }
}

impl From<VirtualServerSubject> for VirtualServerName {
    fn from(subject: VirtualServerSubject) -> Self {
        Self { subject, of: None }
    }
}

impl fmt::Display for VirtualServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject.fmt(f)?;
        match self.of {
            Some(of) => write!(f, " {of}"),
            None => Ok(()),
        }
    }
}

impl VirtualServerName {
    /// The name that is displayed so; `None` if none is.
    #[must_use]
    pub(crate) fn read(text: &str) -> Option<Self> {
        let apart = Apart::ALL.into_iter().find_map(|of| {
            let subject = text.strip_suffix(&format!(" {of}"))?;
            // A group may be called so.
            (subject != "group").then_some((subject, Some(of)))
        });
        let (subject, of) = apart.unwrap_or((text, None));
        let subject = VirtualServerSubject::read(subject)?;
        Some(Self { subject, of })
    }
}

/// What a `virtual_server` is written for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the forms that keepalived has")]
pub enum VirtualServerSubject {
    /// `virtual_server ADDRESS [PORT]`; without a port it is 0, every port.
    Address(Endpoint),
    /// `virtual_server fwmark MARK`.
    Fwmark(NonZeroU32),
    /// `virtual_server group NAME`.
    Group(Arc<str>),
}

impl fmt::Display for VirtualServerSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(Endpoint { address, port: 0 }) => write!(f, "{address}"),
            Self::Address(Endpoint { address, port }) => write!(f, "{address} {port}"),
            Self::Fwmark(mark) => write!(f, "fwmark {mark}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

impl VirtualServerSubject {
    fn read(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("group ") {
            return Some(Self::Group(name.into()));
        }
        if let Some(mark) = text.strip_prefix("fwmark ") {
            return mark.parse().ok().map(Self::Fwmark);
        }
        let (address, port) = match text.split_once(' ') {
            None => (text, 0),
            Some((address, port)) => (address, port.parse().ok()?),
        };
        let address = address.parse().ok()?;
        Some(Self::Address(Endpoint { address, port }))
    }
}

/// `real_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RealServer {
    /// Where it is and how packets get there.
    pub destination: Destination,
    /// What says whether it is up: all of them must. Without any it is always up.
    pub checks: Vec<Check>,
    /// `inhibit_on_failure`: weight 0 instead of removal, so that its connections live on.
    pub inhibit_on_failure: bool,
    /// `slow_start`, which keepalived does not have: when it comes back, its weight grows to what it
    /// shall be for so long.
    pub slow_start: Option<Duration>,
    /// `notify_up`.
    pub notify_up: Option<Script>,
    /// `notify_down`.
    pub notify_down: Option<Script>,
}

/// `sorry_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SorryServer {
    /// Where it is and how packets get there; its weight is 1.
    pub destination: Destination,
    /// `sorry_server_inhibit`: weight 0 instead of removal while it is not needed.
    pub inhibit: bool,
}

/// Where connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destination {
    /// The address.
    pub address: IpAddr,
    /// The port as it is written, if it is; see [`Destination::endpoint`].
    pub port: Option<u16>,
    /// Whether its virtual server is for a group.
    pub is_of_group: bool,
    /// Forwarding, weight and thresholds.
    pub settings: DestinationSettings,
    /// `FULLNAT`: masquerading, with an address of the director as the source.
    pub full_nat: bool,
}

impl Destination {
    /// What it is in a service: where packets keep their port it has that of the service (0 for a
    /// mark), else its own, else that of the service. In a group that is 0, with which packets keep
    /// their port as well: as keepalived has it, so that neither touches what the other set up.
    #[must_use]
    pub fn endpoint(&self, service: &ServiceKey) -> Endpoint {
        let of_service = service.port().unwrap_or(0);
        let port = match self.settings.forwarding {
            Forwarding::Tunnel(_) | Forwarding::DirectRoute => of_service,
            Forwarding::Masquerade | Forwarding::Local | Forwarding::Bypass => {
                let unwritten = if self.is_of_group { 0 } else { of_service };
                self.port.unwrap_or(unwritten)
            }
        };
        Endpoint::new(self.address, port)
    }

    /// Whether it is reached through a tunnel, and so may be of another family than the service.
    pub(in crate::conf) const fn is_tunnelled(&self) -> bool {
        matches!(self.settings.forwarding, Forwarding::Tunnel(_))
    }
}

impl VirtualServer {
    /// Whether any of its servers shall see an address of the director as the source.
    #[must_use]
    pub fn has_full_nat(&self) -> bool {
        let servers = self.real_servers.iter().map(|server| &server.destination);
        let sorry_server = self.sorry_server.iter().map(|sorry| &sorry.destination);
        servers
            .chain(sorry_server)
            .any(|destination| destination.full_nat)
    }

    /// `protocol`; `None` where all its services are for marks.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.services.iter().find_map(ServiceKey::protocol)
    }

    /// What sets it apart from others that are written for the same.
    pub(crate) fn apart(&self) -> Option<Apart> {
        let family = || self.services.first().map(ServiceKey::family);
        let protocol = self.protocol().map(Apart::Protocol);
        protocol.or_else(|| family().map(Apart::Family))
    }

    /// How a service of that family is set up.
    #[must_use]
    pub fn settings(&self, family: Family) -> ServiceSettings {
        let mut settings = ServiceSettings::new(self.scheduler);
        settings.flags = self.flags;
        settings.persistence = self.persistence.map(|persistence| {
            if persistence.clients.is_whole() {
                persistence.with_clients(ipvs::ClientMask::each(family))
            } else {
                persistence
            }
        });
        settings
    }
}

/// What `global_defs` says about load balancing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lvs {
    /// `lvs_sync_daemon`.
    pub sync_daemon: Option<LvsSyncDaemon>,
    /// `lvs_timeouts`: those that are set; a 0 in the file leaves one as it is.
    pub timeouts: TimeoutChange,
    /// `lvs_flush`: the table is emptied at the start.
    pub flush: bool,
    /// `lvs_flush_on_stop`: how the table is emptied at the end; `None`: change by change.
    pub flush_on_stop: Option<FlushOnStop>,
    /// `rs_init_notifies`: a real server that begins as one that is up is told of too.
    pub rs_init_notifies: bool,
}

/// `lvs_flush_on_stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the forms that keepalived has")]
pub enum FlushOnStop {
    /// The whole table, whoever made it.
    Table,
    /// `VS`: the virtual servers of this configuration, each with all it has.
    VirtualServers,
}

/// `lvs_sync_daemon`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LvsSyncDaemon {
    /// Where it talks.
    pub interface: InterfaceName,
    /// The instance whose role it has; `None`: it has both roles at once.
    pub instance: Option<Arc<str>>,
    /// `id`. Default: the virtual router id of the instance, 0 without one.
    pub sync_id: u8,
    /// `maxlen`.
    pub max_length: Option<SyncMaxLength>,
    /// `port`.
    pub port: Option<NonZeroU16>,
    /// `ttl`.
    pub ttl: Option<NonZeroU8>,
    /// `group`.
    pub group: Option<IpAddr>,
}

impl LvsSyncDaemon {
    /// The daemon in a role.
    #[must_use]
    pub fn in_role(&self, role: SyncRole) -> SyncDaemon {
        let mut daemon = SyncDaemon::new(role, self.interface);
        daemon.sync_id = self.sync_id;
        daemon.max_length = self.max_length;
        daemon.port = self.port;
        daemon.ttl = self.ttl;
        daemon.group = self.group;
        daemon
    }
}

/// `SSL`: who `SSL_GET` says it is, and whom it trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct TlsClient {
    /// `password` of the key.
    pub password: Option<String>,
    /// `ca`: a file of certificates of authorities.
    pub ca: Option<String>,
    /// `certificate`: a file.
    pub certificate: Option<String>,
    /// `key`: a file.
    pub key: Option<String>,
}
