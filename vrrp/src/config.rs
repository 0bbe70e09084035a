//! What a virtual router is told.

use std::{net::IpAddr, num::NonZeroU8, sync::Arc, time::Duration};

use crate::{
    Addresses, AdvertInterval, Advertisement, Authentication, Checksum, Family, Priority, Tracker,
    Version, Vip, Vrid,
};

mod error;

pub use error::{ConfigError, ConfigProblem};

/// Configuration of one virtual router: start with [`RouterConfig::new`] and set what differs.
///
/// The defaults are RFC 9568's (version 3, checksum without pseudo header, preemption) with
/// keepalived's announcement schedule. No delay may be longer than a year.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterConfig {
    /// Name, for people, logs and events; unique in a node.
    pub name: Arc<str>,
    /// Interface that advertisements are sent and received on.
    pub interface: Arc<str>,
    /// Virtual router id, unique on the interface and family.
    pub vrid: Vrid,
    /// Version of the protocol. Default: 3.
    pub version: Version,
    /// Base priority, before trackers. Default: 100.
    pub priority: Priority,
    /// Time between advertisements. Default: 1 s.
    pub interval: AdvertInterval,
    /// Virtual addresses that advertisements list, all of one family, in this order.
    pub vips: Vec<Vip>,
    /// Virtual addresses that are held but not listed, of either family.
    pub excluded: Vec<Vip>,
    /// Authentication of version 2; ignored in version 3, which has none. Default: none.
    pub authentication: Authentication,
    /// Which role to expect at first. Default: backup.
    pub start_as: StartAs,
    /// Whether to take over from a master of lower priority. Default: yes, at once.
    pub preempt: Preempt,
    /// Added to the first wait for a master. Default: none.
    pub startup_delay: Duration,
    /// Advertisements a master may miss before it is taken for dead. Default: 3.
    pub down_timer_adverts: NonZeroU8,
    /// What a master does about an advertisement of lower priority. Default: advertise.
    pub lower_priority: OnLowerPriority,
    /// What a master does before it yields to a higher priority. Default: nothing.
    pub higher_priority: OnHigherPriority,
    /// When the addresses are announced.
    pub announce: AnnounceSchedule,
    /// Who gets the advertisements. Default: the family's multicast group.
    pub transport: Transport,
    /// Source address of advertisements. Default: the interface's primary address.
    pub source: Option<IpAddr>,
    /// Checksum to send in version 3 over IPv4; either is accepted. Default: RFC 9568's.
    pub checksum: Checksum,
    /// What an advertisement with other addresses than ours means. Default: taken and counted.
    pub address_list: AddressListCheck,
    /// Whether the router is in fault while its interface does not run. Default: yes.
    pub track_interface: bool,
    /// Conditions that move the priority or forbid to take part.
    pub trackers: Vec<Tracker>,
    /// Group of routers that change role together. Default: none.
    pub sync_group: Option<Arc<str>>,
}

/// Which role a router expects to have when it starts (`state` of keepalived.conf).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the two that keepalived.conf knows"
)]
pub enum StartAs {
    /// Waits a full master-down interval.
    #[default]
    Backup,
    /// Waits one interval and the smallest skew only. (An owner waits for nothing.)
    Master,
}

/// Whether a backup takes over from a living master of lower priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "never, or after a time")]
pub enum Preempt {
    /// Only an owner does (`nopreempt`, RFC 9568 Preempt_Mode false).
    Never,
    /// When the lower one has been master for so long; zero: as soon as its advertisements are
    /// seen through a master-down interval (`preempt_delay`).
    After(Duration),
}

impl Default for Preempt {
    fn default() -> Self {
        Self::After(Duration::ZERO)
    }
}

/// What a master does about an advertisement of lower priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "answer or not")]
pub enum OnLowerPriority {
    /// Advertises at once, so that the other and the switches learn the truth (RFC 9568 §6.4.3).
    #[default]
    Advertise,
    /// Stays silent until the next advertisement is due (`lower_prio_no_advert`).
    StaySilent,
}

/// What a master does before it yields to a higher priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "answer or not")]
pub enum OnHigherPriority {
    /// Yields.
    #[default]
    Yield,
    /// Advertises once more, then yields (`higher_prio_send_advert`).
    AdvertiseAndYield,
}

/// What it means if the master lists other addresses than we do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "taken or not")]
pub enum AddressListCheck {
    /// The advertisement is taken, counted and reported (keepalived since 2.3.3).
    #[default]
    Report,
    /// The advertisement is rejected (keepalived before 2.3.3): both nodes become master.
    Reject,
}

/// When a master announces its addresses by gratuitous ARP or neighbour advertisements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnounceSchedule {
    /// Announcements of each address on becoming master. Default: 5.
    pub repeat: u8,
    /// Time after which they are repeated once. Default: 5 s; zero: never.
    pub delay: Duration,
    /// Time between announcements for as long as the router is master. Default: zero, never.
    pub refresh: Duration,
    /// Announcements of each address at every refresh. Default: 1.
    pub refresh_repeat: u8,
    /// Announcements after an advertisement of lower priority. Default: 5.
    pub lower_priority_repeat: u8,
    /// Time after which these are repeated once. Default: 5 s; zero: never.
    pub lower_priority_delay: Duration,
    /// Time between two announcements of a burst. Default: zero.
    pub gap: Duration,
}

impl Default for AnnounceSchedule {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_repeat: 5,
            lower_priority_delay: Duration::from_secs(5),
            gap: Duration::ZERO,
        }
    }
}

/// Who gets the advertisements.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Transport {
    /// A multicast group on the link; TTL 255 is demanded of what arrives.
    Multicast {
        /// The group; `None`: 224.0.0.18 or ff02::12.
        group: Option<IpAddr>,
    },
    /// Each of some peers, which may be behind routers.
    Unicast(Unicast),
}

impl Default for Transport {
    fn default() -> Self {
        Self::Multicast { group: None }
    }
}

/// Advertisements to peers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unicast {
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// TTL or hop limit to send with. Default: 255.
    pub ttl: u8,
    /// Rejects what does not come from a peer. Default: yes.
    pub check_source: bool,
}

impl Unicast {
    /// Advertisements to these addresses.
    #[must_use]
    pub fn to(peers: impl IntoIterator<Item = IpAddr>) -> Self {
        let peers = peers.into_iter().map(Peer::new).collect();
        Self {
            peers,
            ttl: crate::TTL,
            check_source: true,
        }
    }
}

/// Another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Lowest TTL or hop limit accepted from it. Default: 0.
    pub min_ttl: u8,
    /// Highest TTL or hop limit accepted from it. Default: 255.
    pub max_ttl: u8,
}

impl Peer {
    /// A node of which any TTL is accepted.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self {
            address,
            min_ttl: 0,
            max_ttl: u8::MAX,
        }
    }
}

impl RouterConfig {
    /// A virtual router with the defaults named at each field.
    #[must_use]
    pub fn new(name: &str, interface: &str, vrid: Vrid, vips: Vec<Vip>) -> Self {
        Self {
            name: name.into(),
            interface: interface.into(),
            vrid,
            version: Version::V3,
            priority: Priority::DEFAULT,
            interval: AdvertInterval::DEFAULT,
            vips,
            excluded: Vec::new(),
            authentication: Authentication::None,
            start_as: StartAs::default(),
            preempt: Preempt::default(),
            startup_delay: Duration::ZERO,
            down_timer_adverts: const { NonZeroU8::new(3).expect("three is not zero") },
            lower_priority: OnLowerPriority::default(),
            higher_priority: OnHigherPriority::default(),
            announce: AnnounceSchedule::default(),
            transport: Transport::default(),
            source: None,
            checksum: Checksum::default(),
            address_list: AddressListCheck::default(),
            track_interface: true,
            trackers: Vec::new(),
            sync_group: None,
        }
    }

    /// Family of the virtual router: that of its listed addresses (IPv4 if there is none, which
    /// [`RouterConfig::advertisement`] refuses).
    #[must_use]
    pub fn family(&self) -> Family {
        self.vips
            .first()
            .map_or(Family::V4, |vip| Family::of(vip.address))
    }

    /// All addresses to hold, listed and excluded, each with the interface it belongs on.
    #[must_use]
    pub fn held_vips(&self) -> Arc<[Vip]> {
        let placed = |vip: &Vip| match vip.interface {
            Some(_) => vip.clone(),
            None => vip.clone().on(&self.interface),
        };
        self.vips.iter().chain(&self.excluded).map(placed).collect()
    }

    /// Whether another configuration is of the same virtual router on the wire, so that a running
    /// one can change to it.
    #[must_use]
    pub fn same_router(&self, other: &Self) -> bool {
        let wire = |config: &Self| (config.interface.clone(), config.family(), config.vrid);
        self.name == other.name && wire(self) == wire(other)
    }

    /// Checks the configuration and makes the advertisement it leads to.
    ///
    /// # Errors
    /// Whatever in the configuration contradicts itself.
    pub fn advertisement(&self) -> Result<Advertisement, ConfigError> {
        let fail = |problem| ConfigError {
            name: self.name.clone(),
            problem,
        };
        self.check().map_err(fail)?;
        let addresses = Addresses::new(self.vips.iter().map(|vip| vip.address))
            .map_err(|error| fail(error.into()))?;
        match self.version {
            Version::V2 => Advertisement::v2(
                self.vrid,
                self.priority,
                self.interval,
                addresses,
                self.authentication,
            ),
            Version::V3 => Advertisement::v3(self.vrid, self.priority, self.interval, addresses),
        }
        .map_err(|error| fail(error.into()))
    }

    fn check(&self) -> Result<(), ConfigProblem> {
        if self.priority.is_release() {
            return Err(ConfigProblem::Release);
        }
        self.check_delays()?;
        let family = self.family();
        let of_family = |address: Option<IpAddr>| match address {
            Some(address) if Family::of(address) != family => {
                Err(ConfigProblem::Family { address, family })
            }
            _ => Ok(()),
        };
        of_family(self.source)?;
        match &self.transport {
            Transport::Multicast { group } => {
                of_family(*group)?;
                match group {
                    Some(group) if !group.is_multicast() => {
                        Err(ConfigProblem::NotAGroup { address: *group })
                    }
                    _ => Ok(()),
                }
            }
            Transport::Unicast(unicast) if unicast.peers.is_empty() => Err(ConfigProblem::NoPeer),
            Transport::Unicast(unicast) => unicast
                .peers
                .iter()
                .try_for_each(|peer| of_family(Some(peer.address))),
        }
    }

    fn check_delays(&self) -> Result<(), ConfigProblem> {
        let preempt_delay = match self.preempt {
            Preempt::Never => Duration::ZERO,
            Preempt::After(delay) => delay,
        };
        let announce = &self.announce;
        let delays = [
            ("startup delay", self.startup_delay),
            ("preempt delay", preempt_delay),
            ("delay of the repeated announcement", announce.delay),
            ("announcement refresh", announce.refresh),
            (
                "delay of the repeated announcement against a lower priority",
                announce.lower_priority_delay,
            ),
            ("gap between announcements", announce.gap),
        ];
        match delays.into_iter().find(|(_, delay)| *delay > LONGEST_DELAY) {
            Some((what, delay)) => Err(ConfigProblem::Delay { what, delay }),
            None => Ok(()),
        }
    }
}

/// The longest delay that can be configured; a clock that reaches its end would stop the node.
const LONGEST_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);
