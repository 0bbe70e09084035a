//! What a real server needs to be reached by direct routing or through a tunnel.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    Family, InterfaceName,
    machine::{Edit, Interface, Machine, MachineError, named},
};

/// How packets for a virtual address come to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Via {
    /// By direct routing: as they are, on a network that both machines are on.
    DirectRoute,
    /// Within packets of the IP protocol (IPIP and its like), of this family.
    Tunnel(Family),
}

/// A machine that serves virtual addresses whose packets come as they were sent by the client.
///
/// It must take the addresses for its own, without telling the network so: else it takes the
/// packets from the director. So
///
/// * each address is on an interface of which the network learns nothing: `lo` for direct routing,
///   the tunnel's own end (`tunl0`, `sit0`, `ip6tnl0`) for a tunnel, which is set up;
/// * ARP is answered for addresses of the asked interface alone (`arp_ignore` 1), and asks with no
///   other as its sender (`arp_announce` 2), on all interfaces. This comes before the addresses.
///   IPv6 needs none of it: neighbours are answered for addresses of the asked interface alone;
/// * where packets come in is not held against where their answers would go out (`rp_filter` is not
///   1, strict): they come by way of the director, or out of the tunnel.
///
/// What is set by hand to values that serve as well is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    vips: BTreeSet<(IpAddr, Via)>,
}

impl RealServer {
    /// A server of these virtual addresses.
    #[must_use]
    pub fn new(vips: impl IntoIterator<Item = (IpAddr, Via)>) -> Self {
        Self {
            vips: vips.into_iter().collect(),
        }
    }

    /// The virtual addresses, and how their packets come.
    pub fn vips(&self) -> impl Iterator<Item = (IpAddr, Via)> + '_ {
        self.vips.iter().copied()
    }

    /// The addresses, and the interface that each of them belongs on.
    pub fn places(&self) -> impl Iterator<Item = (InterfaceName, IpAddr)> + '_ {
        let place = |vip: &(IpAddr, Via)| (Place::of(vip).interface(), vip.0);
        self.vips.iter().map(place)
    }

    /// What has to be changed on a machine before it can serve; nothing if it can. Cancel safe.
    ///
    /// What depends on a module that is not loaded comes once it is: ask again after a
    /// [`Edit::Module`].
    ///
    /// # Errors
    /// The machine cannot be looked at.
    pub async fn edits(&self, machine: &dyn Machine) -> Result<Vec<Edit>, MachineError> {
        let interfaces = machine.interfaces().await?;
        let mut edits = Vec::new();
        if self.vips.iter().any(|(vip, _)| vip.is_ipv4()) {
            let arp_ignore = ("net.ipv4.conf.all.arp_ignore", "1", ["1", "2", "8"]);
            let arp_announce = ("net.ipv4.conf.all.arp_announce", "2", ["2"; 3]);
            for (name, to, good) in [arp_ignore, arp_announce] {
                edits.extend(sysctl(machine, name, to, |value| good.contains(&value)).await?);
            }
        }
        let places: BTreeSet<Place> = self.vips.iter().map(Place::of).collect();
        for place in &places {
            match named(&interfaces, place.interface()) {
                Some(interface) if interface.is_up => {}
                Some(_) => edits.push(Edit::Up {
                    interface: place.interface(),
                }),
                None => edits.extend(place.module().map(|module| Edit::Module {
                    name: module.to_owned(),
                })),
            }
        }
        let is_used = |interface| self.takes_packets_by(interface);
        edits.extend(loose_reverse_path(machine, &interfaces, is_used).await?);
        for (interface, address) in self.places() {
            if named(&interfaces, interface).is_some_and(|found| !found.has(address)) {
                edits.push(Edit::Address { interface, address });
            }
        }
        Ok(edits)
    }

    /// Packets come in by the tunnel's end, or by any interface where they are routed directly.
    fn takes_packets_by(&self, interface: InterfaceName) -> bool {
        let ipv4 = self.vips.iter().filter(|(vip, _)| vip.is_ipv4());
        let used: BTreeSet<Place> = ipv4.map(Place::of).collect();
        let is_end = |place: &Place| place.interface() == interface && *place != Place::Loopback;
        used.contains(&Place::Loopback) || used.iter().any(is_end)
    }
}

/// What lets interfaces, those of them that are used, take packets whose answers would go by
/// another. The loopback interface never needs it.
pub(crate) async fn loose_reverse_path(
    machine: &dyn Machine,
    interfaces: &[Interface],
    is_used: impl Fn(InterfaceName) -> bool,
) -> Result<Vec<Edit>, MachineError> {
    let number = |value: &str| value.parse::<u8>().unwrap_or_default();
    let all = machine.sysctl("net.ipv4.conf.all.rp_filter").await?;
    let all = all.as_deref().map_or(0, number);
    let mut edits = Vec::new();
    for interface in interfaces {
        if interface.name == Place::Loopback.interface() || !is_used(interface.name) {
            continue;
        }
        let name = reverse_path_of(interface.name);
        // The greater of both values holds; 1 is strict, 2 loose.
        let is_good = |value: &str| number(value).max(all) != 1;
        edits.extend(sysctl(machine, &name, "2", is_good).await?);
    }
    Ok(edits)
}

/// The sysctl that says whether an interface takes packets whose answers would go elsewhere.
pub(crate) fn reverse_path_of(interface: InterfaceName) -> String {
    // A VLAN's name has a dot.
    let interface = interface.to_string().replace('.', "/");
    format!("net.ipv4.conf.{interface}.rp_filter")
}

/// The edit that a sysctl needs, if it is there and its value does not do.
pub(crate) async fn sysctl(
    machine: &dyn Machine,
    name: &str,
    to: &str,
    is_good: impl Fn(&str) -> bool,
) -> Result<Option<Edit>, MachineError> {
    let value = machine.sysctl(name).await?;
    Ok(value
        .filter(|value| !is_good(value))
        .map(|was| Edit::Sysctl {
            name: name.to_owned(),
            to: to.to_owned(),
            was,
        }))
}

/// An interface that can hold a virtual address without telling the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Loopback,
    /// IPv4 in IPv4.
    Ipip,
    /// IPv6 in IPv4.
    Sit,
    /// Either in IPv6.
    Ip6Tunnel,
}

impl Place {
    const fn of((vip, via): &(IpAddr, Via)) -> Self {
        match (via, vip) {
            (Via::DirectRoute, _) => Self::Loopback,
            (Via::Tunnel(Family::V4), IpAddr::V4(_)) => Self::Ipip,
            (Via::Tunnel(Family::V4), IpAddr::V6(_)) => Self::Sit,
            (Via::Tunnel(Family::V6), _) => Self::Ip6Tunnel,
        }
    }

    fn interface(self) -> InterfaceName {
        let name = match self {
            Self::Loopback => "lo",
            Self::Ipip => "tunl0",
            Self::Sit => "sit0",
            Self::Ip6Tunnel => "ip6tnl0",
        };
        InterfaceName::new(name).expect("it is short and has no blanks")
    }

    /// What brings the interface.
    const fn module(self) -> Option<&'static str> {
        match self {
            Self::Loopback => None,
            Self::Ipip => Some("ipip"),
            Self::Sit => Some("sit"),
            Self::Ip6Tunnel => Some("ip6_tunnel"),
        }
    }
}
