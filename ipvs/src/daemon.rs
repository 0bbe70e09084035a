//! Daemons that synchronise connections between directors.

use std::{
    fmt,
    net::IpAddr,
    num::{NonZeroU8, NonZeroU16},
};

use crate::{InterfaceName, OutOfRange};

/// A thread of the kernel that tells other directors of connections, or listens to one that does.
///
/// What is `None` is left to the kernel: datagrams as long as the interface takes, to
/// 224.0.0.81, port 8848, TTL 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncDaemon {
    /// Which of the two it is.
    pub role: SyncRole,
    /// Interface that the connections are told over.
    pub interface: InterfaceName,
    /// Who shall listen to whom; a backup of id 0 listens to every id. Default: 0.
    pub sync_id: u8,
    /// Longest datagram (`--sync-maxlen`).
    pub max_length: Option<SyncMaxLength>,
    /// Multicast group that is told.
    pub group: Option<IpAddr>,
    /// UDP port of it.
    pub port: Option<NonZeroU16>,
    /// How far the datagrams get, in hops.
    pub ttl: Option<NonZeroU8>,
}

impl SyncDaemon {
    /// A daemon of id 0 with the kernel's defaults.
    #[must_use]
    pub const fn new(role: SyncRole, interface: InterfaceName) -> Self {
        let (max_length, group, port, ttl) = (None, None, None, None);
        Self {
            role,
            interface,
            sync_id: 0,
            max_length,
            group,
            port,
            ttl,
        }
    }

    /// Whether a daemon that runs is what this one asks for: where this says nothing, all is well.
    #[must_use]
    pub fn is_met_by(&self, running: &Self) -> bool {
        fn met<T: PartialEq>(wanted: Option<T>, running: Option<T>) -> bool {
            wanted.is_none() || wanted == running
        }
        (self.role, self.interface, self.sync_id)
            == (running.role, running.interface, running.sync_id)
            && met(self.max_length, running.max_length)
            && met(self.group, running.group)
            && met(self.port, running.port)
            && met(self.ttl, running.ttl)
    }
}

/// Which way a sync daemon works. A director can run one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the two that there are")]
pub enum SyncRole {
    /// Tells its connections.
    Master,
    /// Listens to a master.
    Backup,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// Longest datagram of a sync daemon: 1 to 65,507 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncMaxLength(u16);

impl SyncMaxLength {
    /// A length of 1 to 65,507 bytes.
    ///
    /// # Errors
    /// The number is out of that range.
    pub fn new(bytes: u32) -> Result<Self, OutOfRange> {
        match u16::try_from(bytes) {
            Ok(bytes @ 1..=65_507) => Ok(Self(bytes)),
            _ => Err(OutOfRange {
                what: "longest datagram of a sync daemon in bytes",
                value: u64::from(bytes),
                expected: "1 to 65507",
            }),
        }
    }

    /// The length in bytes.
    #[must_use]
    pub const fn bytes(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_met_by_one_that_says_more() {
        let wanted = SyncDaemon::new(SyncRole::Master, InterfaceName::new("eth0").unwrap());
        let running = SyncDaemon {
            ttl: NonZeroU8::new(1),
            ..wanted
        };
        assert!(wanted.is_met_by(&running));
        assert!(
            !SyncDaemon {
                ttl: NonZeroU8::new(2),
                ..wanted
            }
            .is_met_by(&running)
        );
        assert!(
            !SyncDaemon {
                sync_id: 1,
                ..wanted
            }
            .is_met_by(&running)
        );
    }

    #[test]
    fn a_datagram_has_1_to_65507_bytes() {
        assert_eq!(SyncMaxLength::new(65_507).unwrap().bytes(), 65_507);
        for bytes in [0, 65_508, 65_536 + 1] {
            assert!(SyncMaxLength::new(bytes).is_err());
        }
    }
}
