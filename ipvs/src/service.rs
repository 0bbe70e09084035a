//! How a virtual service is set up.

use std::{fmt, net::Ipv4Addr};

use crate::{EngineName, Family, OutOfRange, SchedulerName, Seconds};

/// How a virtual service is set up: everything about it but its name and its destinations.
///
/// Public fields, to be set as needed; [`ServiceSettings::check`](crate::ServiceSettings::check)
/// tells whether the kernel would take them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceSettings {
    /// Who chooses the destination of a connection. Default: `wlc`.
    pub scheduler: SchedulerName,
    /// What else the scheduler, and the kernel, is told. Default: nothing.
    pub flags: Flags,
    /// Whether a client stays with its destination. Default: no.
    pub persistence: Option<Persistence>,
}

impl ServiceSettings {
    /// A service of a scheduler, without flags and persistence.
    #[must_use]
    pub const fn new(scheduler: SchedulerName) -> Self {
        Self {
            scheduler,
            flags: Flags::NONE,
            persistence: None,
        }
    }
}

/// Flags of a service (`-o` and `-b` of ipvsadm).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's bits")]
pub struct Flags {
    /// Each packet is scheduled alone (`-o`, UDP and firewall marks only).
    pub one_packet: bool,
    /// `flag-1`; of sh and mh: an unusable destination's clients go to another (`sh-fallback`).
    pub fallback: bool,
    /// `flag-2`; of sh and mh: the client's port is hashed too (`sh-port`).
    pub port: bool,
    /// `flag-3`, which no scheduler of Linux uses.
    pub third: bool,
}

impl Flags {
    /// None.
    pub const NONE: Self = Self {
        one_packet: false,
        fallback: false,
        port: false,
        third: false,
    };

    /// `IP_VS_SVC_F_PERSISTENT`: of [`Persistence`], not of these.
    pub(crate) const PERSISTENT_BIT: u32 = 1;
    const ONE_PACKET_BIT: u32 = 4;
    const FALLBACK_BIT: u32 = 8;
    const PORT_BIT: u32 = 0x10;
    const THIRD_BIT: u32 = 0x20;

    /// The kernel's bits (`IP_VS_SVC_F_*`).
    #[must_use]
    pub fn bits(self) -> u32 {
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        bit(self.one_packet, Self::ONE_PACKET_BIT)
            | bit(self.fallback, Self::FALLBACK_BIT)
            | bit(self.port, Self::PORT_BIT)
            | bit(self.third, Self::THIRD_BIT)
    }

    /// What the kernel's bits say; those that are none of these flags are passed over.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            one_packet: bits & Self::ONE_PACKET_BIT != 0,
            fallback: bits & Self::FALLBACK_BIT != 0,
            port: bits & Self::PORT_BIT != 0,
            third: bits & Self::THIRD_BIT != 0,
        }
    }

    /// The names of the scheduler's flags that are set, as `-b` of ipvsadm takes them.
    pub fn scheduler_flags(self, scheduler: SchedulerName) -> impl Iterator<Item = &'static str> {
        let names = match scheduler {
            SchedulerName::SH => ["sh-fallback", "sh-port", "flag-3"],
            SchedulerName::MH => ["mh-fallback", "mh-port", "flag-3"],
            _ => ["flag-1", "flag-2", "flag-3"],
        };
        let set = [self.fallback, self.port, self.third];
        names
            .into_iter()
            .zip(set)
            .filter_map(|(name, set)| set.then_some(name))
    }
}

/// Connections of a client go where its first one went, as long as it comes back in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Persistence {
    /// How long a client may stay away. ipvsadm takes 1 to 2,678,400 s and by default 360.
    pub timeout: Seconds,
    /// Which clients count as one; of the family of the service.
    pub clients: ClientMask,
    /// What else but the address tells clients apart. Default: nothing.
    pub engine: Option<EngineName>,
}

impl Persistence {
    /// What ipvsadm 1.31 takes for `-p` without a number, whatever its manual says: 360 s.
    pub const DEFAULT_TIMEOUT: Seconds = Seconds::new(360);

    /// Every client of a family for itself.
    #[must_use]
    pub const fn new(family: Family, timeout: Seconds) -> Self {
        Self {
            timeout,
            clients: ClientMask::each(family),
            engine: None,
        }
    }

    /// The same, clients of a network being one.
    #[must_use]
    pub const fn with_clients(self, clients: ClientMask) -> Self {
        Self { clients, ..self }
    }

    /// The same with a persistence engine.
    #[must_use]
    pub const fn with_engine(self, engine: EngineName) -> Self {
        Self {
            engine: Some(engine),
            ..self
        }
    }
}

/// The part of a client's address by which it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one for each family")]
pub enum ClientMask {
    /// Bits of an IPv4 address; any, though they mostly are a prefix.
    V4(Ipv4Addr),
    /// Length of a prefix of IPv6 addresses.
    V6(PrefixLen),
}

impl ClientMask {
    /// The whole address.
    #[must_use]
    pub const fn each(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(PrefixLen::WHOLE),
        }
    }

    /// The family of the clients.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }

    /// Whether it is the whole address.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::each(self.family())
    }
}

/// `255.255.255.0` or `64`, as `-M` of ipvsadm takes it.
impl fmt::Display for ClientMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(prefix) => prefix.bits().fmt(f),
        }
    }
}

/// Length of an IPv6 prefix: 1 to 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixLen(u8);

impl PrefixLen {
    /// 128 bits.
    pub const WHOLE: Self = Self(128);

    /// A prefix of 1 to 128 bits.
    ///
    /// # Errors
    /// The number is out of that range.
    pub fn new(bits: u32) -> Result<Self, OutOfRange> {
        match u8::try_from(bits) {
            Ok(bits @ 1..=128) => Ok(Self(bits)),
            _ => Err(OutOfRange {
                what: "prefix length of IPv6 clients in bits",
                value: u64::from(bits),
                expected: "1 to 128",
            }),
        }
    }

    /// The length in bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_the_bits_of_the_kernel() {
        for bits in (0..64).filter(|bits| bits & 3 == 0) {
            assert_eq!(Flags::from_bits(bits).bits(), bits);
        }
        assert_eq!(
            Flags::from_bits(0xffff_ffc3),
            Flags::NONE,
            "other bits are passed over"
        );
    }

    #[test]
    fn flags_have_the_names_of_their_scheduler() {
        let flags = Flags {
            fallback: true,
            port: true,
            third: true,
            ..Flags::NONE
        };
        let names = |scheduler| flags.scheduler_flags(scheduler).collect::<Vec<_>>();
        assert_eq!(
            names(SchedulerName::SH),
            ["sh-fallback", "sh-port", "flag-3"]
        );
        assert_eq!(
            names(SchedulerName::MH),
            ["mh-fallback", "mh-port", "flag-3"]
        );
        assert_eq!(names(SchedulerName::WLC), ["flag-1", "flag-2", "flag-3"]);
    }

    #[test]
    fn a_prefix_has_1_to_128_bits() {
        assert!(PrefixLen::new(0).is_err());
        assert!(PrefixLen::new(129).is_err());
        assert_eq!(PrefixLen::new(64).unwrap().bits(), 64);
        assert!(ClientMask::V6(PrefixLen::WHOLE).is_whole());
        assert!(!ClientMask::V4(Ipv4Addr::new(255, 255, 255, 0)).is_whole());
    }
}
