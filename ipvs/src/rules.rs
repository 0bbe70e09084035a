//! What the kernel, or reason, demands of things that each are fine for themselves.

use std::net::IpAddr;

use crate::{
    ClientMask, DestinationSettings, Endpoint, Family, Forwarding, Protocol, Seconds, ServiceKey,
    ServiceSettings, SyncDaemon, TimeoutChange,
};

/// A rule that a service, a destination or a daemon breaks, and what to write instead.
///
/// The kernel would refuse most of these with a number, or take them and do something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Every port is a service for persistent clients only.
    #[error(
        "{service} is a service of every port, which needs persistence: add -p, or name a port"
    )]
    EveryPortWithoutPersistence {
        /// The service.
        service: ServiceKey,
    },
    /// Connections cannot be scheduled packet by packet.
    #[error("{service} cannot be scheduled packet by packet: leave -o out, it is for UDP and -f")]
    OnePacketNotUdp {
        /// The service.
        service: ServiceKey,
    },
    /// Clients of one family, mask of the other.
    #[error("the client mask {mask} does not fit {service}: write {expected}")]
    MaskOfOtherFamily {
        /// The service.
        service: ServiceKey,
        /// The mask.
        mask: String,
        /// What a mask of the family looks like.
        expected: &'static str,
    },
    /// ipvsadm takes 1 s to 31 days.
    #[error("a persistence timeout of {timeout} s is out of range: write 1 to 2678400 (31 days)")]
    PersistenceTimeout {
        /// The timeout.
        timeout: Seconds,
    },
    /// Only tunnels lead from one family to the other.
    #[error(
        "{destination} is not of the family of {service}: only a tunnel gets there, write -i, or \
         an {family} destination"
    )]
    MixedFamilies {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: Endpoint,
        /// Family of the service.
        family: Family,
    },
    /// Connections of mixed services cannot be told to other directors.
    #[error(
        "{destination} of {service} is of another family, which the kernel refuses while a sync \
         daemon runs: leave one of both out"
    )]
    MixedFamiliesWithDaemon {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: Endpoint,
    },
    /// No host has such an address.
    #[error("{address} is not the address of one host: write the address of the real server")]
    NotUnicast {
        /// The address.
        address: IpAddr,
    },
    /// The packet keeps its port.
    #[error(
        "packets to {service} keep their port on the way to {destination}: write port {port}, or \
         forward by masquerading (-m)"
    )]
    PortNotTranslated {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: Endpoint,
        /// The port that it has to have.
        port: u16,
    },
    /// Sync daemons talk to groups.
    #[error("{group} is not a multicast group: write one, as 224.0.0.81 or ff02::81")]
    NotMulticast {
        /// The address.
        group: IpAddr,
    },
    /// Kernels count the time in ticks.
    #[error("a {name} timeout of {timeout} s is out of range: write 1 to 2147483")]
    Timeout {
        /// Which one.
        name: &'static str,
        /// The timeout.
        timeout: Seconds,
    },
}

impl ServiceSettings {
    /// Whether a service of that name can be set up like this.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, service: &ServiceKey) -> Result<(), RuleError> {
        let service = *service;
        if service.port() == Some(0) && self.persistence.is_none() {
            return Err(RuleError::EveryPortWithoutPersistence { service });
        }
        let by_packet = matches!(service.protocol(), None | Some(Protocol::Udp));
        if self.flags.one_packet && !by_packet {
            return Err(RuleError::OnePacketNotUdp { service });
        }
        let Some(persistence) = self.persistence else {
            return Ok(());
        };
        let timeout = persistence.timeout;
        if !(1..=2_678_400).contains(&timeout.get()) {
            return Err(RuleError::PersistenceTimeout { timeout });
        }
        if persistence.clients.family() != service.family() {
            return Err(RuleError::MaskOfOtherFamily {
                service,
                mask: persistence.clients.to_string(),
                expected: match persistence.clients {
                    ClientMask::V4(_) => "a prefix length of 1 to 128, as 64",
                    ClientMask::V6(_) => "a netmask, as 255.255.255.0",
                },
            });
        }
        Ok(())
    }
}

impl DestinationSettings {
    /// Whether a service can have that destination, set up like this.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, service: &ServiceKey, destination: &Endpoint) -> Result<(), RuleError> {
        let (service, destination) = (*service, *destination);
        let tunnel = matches!(self.forwarding, Forwarding::Tunnel(_));
        if destination.family() != service.family() && !tunnel {
            let family = service.family();
            return Err(RuleError::MixedFamilies {
                service,
                destination,
                family,
            });
        }
        let address = destination.address;
        let everybody = address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
        if address.is_multicast() || address.is_unspecified() || everybody {
            return Err(RuleError::NotUnicast { address });
        }
        if let Some(port) = self.forwarding.fixed_port(&service)
            && port != destination.port
        {
            return Err(RuleError::PortNotTranslated {
                service,
                destination,
                port,
            });
        }
        Ok(())
    }
}

impl Forwarding {
    /// The port that a destination of a service has to have, if packets keep theirs on the way.
    ///
    /// ipvsadm puts it in place of whatever was written.
    #[must_use]
    pub const fn fixed_port(self, service: &ServiceKey) -> Option<u16> {
        match self {
            Self::Tunnel(_) | Self::DirectRoute => service.port(),
            Self::Masquerade | Self::Local | Self::Bypass => None,
        }
    }
}

impl SyncDaemon {
    /// Whether the kernel would take it.
    ///
    /// # Errors
    /// The group is not one.
    pub fn check(&self) -> Result<(), RuleError> {
        match self.group {
            Some(group) if !group.is_multicast() => Err(RuleError::NotMulticast { group }),
            _ => Ok(()),
        }
    }
}

impl TimeoutChange {
    /// Whether the kernel would take them.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), RuleError> {
        let range = 1..=Self::MAX.get();
        match self
            .named()
            .find(|(_, timeout)| !range.contains(&timeout.get()))
        {
            Some((name, timeout)) => Err(RuleError::Timeout { name, timeout }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{Flags, InterfaceName, Persistence, PrefixLen, SyncRole, Tunnel};

    fn key(text: &str) -> ServiceKey {
        ServiceKey::tcp(text.parse().unwrap())
    }

    fn refused(settings: ServiceSettings, service: ServiceKey) -> String {
        settings.check(&service).unwrap_err().to_string()
    }

    #[test]
    fn every_port_needs_persistence() {
        let mut settings = ServiceSettings::default();
        assert!(refused(settings, key("10.1.0.100:0")).contains("add -p, or name a port"));
        settings.persistence = Some(Persistence::new(Family::V4, Seconds::new(300)));
        assert_eq!(settings.check(&key("10.1.0.100:0")), Ok(()));
    }

    #[test]
    fn packets_are_scheduled_one_by_one_for_udp_and_marks_only() {
        let one_packet = true;
        let flags = Flags {
            one_packet,
            ..Flags::NONE
        };
        let settings = ServiceSettings {
            flags,
            ..ServiceSettings::default()
        };
        assert!(refused(settings, key("10.1.0.100:53")).contains("leave -o out"));
        let mark = NonZeroU32::new(7).unwrap();
        for service in [
            ServiceKey::udp("10.1.0.100:53".parse().unwrap()),
            ServiceKey::fwmark(mark, Family::V6),
        ] {
            assert_eq!(settings.check(&service), Ok(()));
        }
    }

    #[test]
    fn persistence_is_of_the_family_and_lasts_31_days_at_most() {
        let mut settings = ServiceSettings::default();
        let web = key("10.1.0.100:80");
        for seconds in [0, 2_678_401] {
            settings.persistence = Some(Persistence::new(Family::V4, Seconds::new(seconds)));
            assert!(refused(settings, web).contains("write 1 to 2678400"));
        }
        let prefix = ClientMask::V6(PrefixLen::new(64).unwrap());
        let persistence = Persistence::new(Family::V4, Seconds::new(1)).with_clients(prefix);
        settings.persistence = Some(persistence);
        assert!(refused(settings, web).contains("write a netmask, as 255.255.255.0"));
    }

    #[test]
    fn a_destination_is_a_host_that_can_be_reached() {
        let web = key("10.1.0.100:80");
        let check = |forwarding, destination: &str| {
            let settings = DestinationSettings::new(forwarding);
            settings
                .check(&web, &destination.parse().unwrap())
                .map_err(|error| error.to_string())
        };
        let error = check(Forwarding::Masquerade, "[fd00::1]:80").unwrap_err();
        assert!(
            error.ends_with("write -i, or an IPv4 destination"),
            "{error}"
        );
        for address in ["224.0.0.1:80", "0.0.0.0:80", "255.255.255.255:80"] {
            let error = check(Forwarding::Masquerade, address).unwrap_err();
            assert!(
                error.contains("write the address of the real server"),
                "{error}"
            );
        }
        let error = check(Forwarding::DirectRoute, "10.0.0.1:8080").unwrap_err();
        assert!(
            error.ends_with("write port 80, or forward by masquerading (-m)"),
            "{error}"
        );
        assert_eq!(
            check(Forwarding::Tunnel(Tunnel::Ipip), "[fd00::1]:80"),
            Ok(())
        );
        assert_eq!(check(Forwarding::Masquerade, "10.0.0.1:8080"), Ok(()));
    }

    #[test]
    fn daemons_talk_to_groups_and_timeouts_fit_the_kernel() {
        let mut daemon = SyncDaemon::new(SyncRole::Master, InterfaceName::new("eth0").unwrap());
        daemon.group = Some("10.0.0.1".parse().unwrap());
        assert!(
            daemon
                .check()
                .unwrap_err()
                .to_string()
                .contains("write one, as 224.0.0.81")
        );
        let timeouts = TimeoutChange {
            udp: Some(Seconds::new(2_147_484)),
            ..Default::default()
        };
        let error = timeouts.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "a udp timeout of 2147484 s is out of range: write 1 to 2147483"
        );
    }
}
