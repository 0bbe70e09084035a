//! Virtual addresses by netlink.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr},
};

use async_trait::async_trait;
use rtnetlink::packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo},
};
use tokio::time;
use tracing::debug;

use super::{
    OpenError,
    announce::Announcer,
    decode::{Address, Interface},
    errno, is_interface_name,
    netlink::{
        ANSWER_TIMEOUT, Asker, Message, add_address, get_link_by_name, list_addresses,
        remove_address,
    },
};
use crate::{Broadcast, Scope, Vip, VipError, VipManager};

/// Puts addresses on interfaces by netlink, and announces them.
///
/// A set of addresses goes to the kernel in datagrams of 64, not one by one. The interface is
/// looked up by its name in every call, so one that was removed and made again is found.
///
/// - An IPv6 address skips duplicate address detection (`nodad`), else it would be useless for a
///   second; with a prefix of /128 it is deprecated from the start (`preferred_lft 0`), so that the
///   host answers at it but does not choose it as a source. Both as keepalived does.
/// - An address that is there under another prefix length is still there: `release` says so.
/// - An address removed may take others of its network with it (IPv4 secondaries, unless the sysctl
///   `promote_secondaries` is set); `acquire` brings them back.
/// - `list` tells scope and broadcast address as they are, and the label where it is not the name
///   of the interface.
///
/// It belongs to the network namespace of the thread that opened it. See [the module](super) for
/// the capabilities it needs and the thread it starts.
#[derive(Debug)]
pub struct NetlinkVips {
    asker: Asker,
    announcer: Announcer,
}

impl NetlinkVips {
    /// Connects to the kernel and checks that addresses may be changed and announced.
    ///
    /// # Errors
    /// A capability is missing, or the kernel does not answer.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO and time drivers.
    pub async fn open() -> Result<Self, OpenError> {
        let announcer = Announcer::open()
            .map_err(|source| OpenError::new("open a packet socket", "CAP_NET_RAW", source))?;
        let failed =
            |source| OpenError::new("change addresses by netlink", "CAP_NET_ADMIN", source);
        let asker = Asker::start().await.map_err(failed)?;
        // The kernel checks the capability before it finds that there is no interface 0.
        let mut nowhere = AddressMessage::default();
        nowhere.header.family = AddressFamily::Inet;
        let answers = asker
            .batch(vec![remove_address(nowhere)])
            .await
            .map_err(failed)?;
        match answers.into_iter().find_map(Result::err) {
            Some(error) if errno(&error) == libc::EPERM => Err(failed(error)),
            Some(_) | None => Ok(Self { asker, announcer }),
        }
    }

    /// Looks interfaces up by name; one that does not exist is not in the result.
    ///
    /// Each time anew, because an interface that is removed and made again has another index.
    async fn look_up<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<BTreeMap<&'a str, Interface>> {
        let names: BTreeSet<_> = names
            .into_iter()
            .filter(|name| is_interface_name(name))
            .collect();
        let requests = names.iter().map(|name| get_link_by_name(name)).collect();
        let answers = self.asker.batch(requests).await?;
        let mut found = BTreeMap::new();
        for (name, answer) in names.into_iter().zip(answers) {
            match answer {
                Err(error) if errno(&error) != libc::ENODEV => return Err(error),
                Ok(Some(message)) => found.extend(Interface::decode(message).map(|it| (name, it))),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(found)
    }

    /// The interface of each address.
    async fn interfaces(&self, vips: &[Vip]) -> io::Result<Vec<io::Result<Interface>>> {
        let names = vips.iter().filter_map(|vip| vip.interface.as_deref());
        let found = self.look_up(names).await?;
        let interface_of = |vip: &Vip| match vip.interface.as_deref() {
            Some(name) => found
                .get(name)
                .cloned()
                .ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it does not say on which interface",
            )),
        };
        Ok(vips.iter().map(interface_of).collect())
    }

    /// Sends the kernel one request for each address.
    async fn change(
        &self,
        vips: &[Vip],
        request: impl Fn(u32, &Vip) -> Message,
    ) -> io::Result<Vec<io::Result<()>>> {
        let interfaces = self.interfaces(vips).await?;
        let requests = vips
            .iter()
            .zip(&interfaces)
            .filter_map(|(vip, interface)| {
                interface
                    .as_ref()
                    .ok()
                    .map(|interface| request(interface.index, vip))
            })
            .collect();
        let mut answers = self.asker.batch(requests).await?.into_iter();
        let outcome = |interface: io::Result<Interface>| {
            interface?;
            match answers.next() {
                Some(answer) => answer.map(drop),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            }
        };
        Ok(interfaces.into_iter().map(outcome).collect())
    }

    /// All addresses of an interface; `None`: there is no such interface.
    async fn addresses(&self, interface: &str) -> io::Result<Option<Vec<Vip>>> {
        let found = self.look_up([interface]).await?;
        let Some(Interface { index, .. }) = found.get(interface) else {
            return Ok(None);
        };
        let mut vips = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            // A family that is off on the interface answers as if the interface were gone.
            let listed = self
                .asker
                .list(list_addresses(family, Some(*index)))
                .await?;
            let addresses = listed.into_iter().flatten().filter_map(Address::decode);
            let of_it = addresses.filter(|address| address.index == *index);
            vips.extend(of_it.filter_map(|address| vip_of(interface, address)));
        }
        Ok(Some(vips))
    }

    /// Finds out about each address that the kernel did not find whether it is gone: the kernel
    /// also does not find one that has another prefix length.
    async fn confirm_gone(&self, vips: &[Vip], outcomes: &mut [io::Result<()>]) -> io::Result<()> {
        let mut listed = BTreeMap::new();
        for (vip, outcome) in vips.iter().zip(outcomes) {
            let Some(interface) = vip.interface.as_deref().filter(|_| {
                outcome
                    .as_ref()
                    .is_err_and(|error| errno(error) == libc::EADDRNOTAVAIL)
            }) else {
                continue;
            };
            if !listed.contains_key(interface) {
                listed.insert(interface, self.addresses(interface).await?);
            }
            let there = listed
                .get(interface)
                .into_iter()
                .flatten()
                .flatten()
                .find(|there| there.address == vip.address);
            *outcome = there.map_or(Ok(()), |there| {
                Err(io::Error::new(
                    io::ErrorKind::AddrNotAvailable,
                    format!("the address is there as {there}"),
                ))
            });
        }
        Ok(())
    }
}

#[async_trait]
impl VipManager for NetlinkVips {
    async fn acquire(&self, vips: &[Vip]) -> Result<(), VipError> {
        const ADD: &str = "add";
        let mut outcomes = self
            .change(vips, |index, vip| add_address(full_message(index, vip)))
            .await
            .map_err(|source| unanswered(ADD, vips, source))?;
        forgive(libc::EEXIST, &mut outcomes);
        report(ADD, vips, outcomes)
    }

    async fn release(&self, vips: &[Vip]) -> Result<(), VipError> {
        const REMOVE: &str = "remove";
        let unanswered = |source| unanswered(REMOVE, vips, source);
        let mut outcomes = self
            .change(vips, |index, vip| remove_address(key_message(index, vip)))
            .await
            .map_err(unanswered)?;
        forgive(libc::ENODEV, &mut outcomes);
        self.confirm_gone(vips, &mut outcomes)
            .await
            .map_err(unanswered)?;
        report(REMOVE, vips, outcomes)
    }

    async fn announce(&self, vips: &[Vip]) -> Result<(), VipError> {
        const ANNOUNCE: &str = "announce";
        let announced = time::timeout(ANSWER_TIMEOUT, async {
            let mut outcomes = Vec::new();
            for (vip, interface) in vips.iter().zip(self.interfaces(vips).await?) {
                outcomes.push(match interface {
                    Ok(interface) => self.announcer.announce(vip, &interface).await,
                    Err(error) => Err(error),
                });
            }
            Ok(outcomes)
        });
        let outcomes = announced
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into()))
            .map_err(|source| unanswered(ANNOUNCE, vips, source))?;
        report(ANNOUNCE, vips, outcomes)
    }

    async fn list(&self, interface: &str) -> Result<Vec<Vip>, VipError> {
        const LIST: &str = "list the addresses of";
        match self.addresses(interface).await {
            Ok(Some(vips)) => Ok(vips),
            Ok(None) => Err(VipError::NoSuchInterface {
                operation: LIST,
                vip: interface.to_owned(),
                interface: interface.into(),
            }),
            Err(source) => Err(VipError::Unanswered {
                operation: LIST,
                vip: interface.to_owned(),
                source,
            }),
        }
    }
}

/// What the kernel knows an address by.
fn key_message(index: u32, vip: &Vip) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match vip.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.index = index;
    message.header.prefix_len = vip.prefix_len;
    message.attributes.extend([
        AddressAttribute::Local(vip.address),
        AddressAttribute::Address(vip.address),
    ]);
    message
}

fn full_message(index: u32, vip: &Vip) -> AddressMessage {
    let mut message = key_message(index, vip);
    message.header.scope = vip
        .scope
        .map_or(AddressScope::Universe, |scope| scope.as_u8().into());
    match vip.address {
        IpAddr::V4(address) => {
            let label = vip.label.as_deref().map(str::to_owned);
            let broadcast = broadcast_address(address, vip.prefix_len, vip.broadcast);
            message
                .attributes
                .extend(label.map(AddressAttribute::Label));
            message
                .attributes
                .extend(broadcast.map(AddressAttribute::Broadcast));
        }
        IpAddr::V6(_) => {
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
            if vip.prefix_len == 128 {
                let mut lifetimes = CacheInfo::default();
                lifetimes.ifa_preferred = 0;
                lifetimes.ifa_valid = u32::MAX;
                message
                    .attributes
                    .push(AddressAttribute::CacheInfo(lifetimes));
            }
        }
    }
    message
}

/// As `ip address` does, a network of one or two addresses has no broadcast address of its own.
fn broadcast_address(address: Ipv4Addr, prefix_len: u8, broadcast: Broadcast) -> Option<Ipv4Addr> {
    let host_bits = u32::MAX.checked_shr(prefix_len.into()).unwrap_or_default();
    match broadcast {
        Broadcast::Address(broadcast) => Some(broadcast),
        Broadcast::AllOnes if prefix_len < 31 => Some((address.to_bits() | host_bits).into()),
        Broadcast::AllZeros if prefix_len < 31 => Some((address.to_bits() & !host_bits).into()),
        Broadcast::None | Broadcast::AllOnes | Broadcast::AllZeros => None,
    }
}

fn vip_of(interface: &str, address: Address) -> Option<Vip> {
    let label = address.label.filter(|label| label != interface);
    let vip = Vip::new(address.address, address.prefix_len).ok()?;
    Some(Vip {
        interface: Some(interface.into()),
        scope: Some(scope_of(address.scope)),
        label: label.map(Into::into),
        broadcast: address
            .broadcast
            .map_or(Broadcast::None, Broadcast::Address),
        ..vip
    })
}

const fn scope_of(number: u8) -> Scope {
    match number {
        0 => Scope::Global,
        200 => Scope::Site,
        253 => Scope::Link,
        254 => Scope::Host,
        255 => Scope::Nowhere,
        number => Scope::Other(number),
    }
}

/// Takes an answer for success: things are as they were asked to be.
fn forgive(forgiven: libc::c_int, outcomes: &mut [io::Result<()>]) {
    for outcome in outcomes {
        if outcome
            .as_ref()
            .is_err_and(|error| errno(error) == forgiven)
        {
            *outcome = Ok(());
        }
    }
}

/// Makes one error of what went wrong with a set of addresses: the first, and how many there were.
fn report(
    operation: &'static str,
    vips: &[Vip],
    outcomes: Vec<io::Result<()>>,
) -> Result<(), VipError> {
    let tried = outcomes.len();
    let mut failures = vips
        .iter()
        .zip(outcomes)
        .filter_map(|(vip, outcome)| outcome.err().map(|error| (vip, error)));
    let Some((vip, source)) = failures.next() else {
        return Ok(());
    };
    let failed = 1 + failures
        .inspect(|(vip, error)| debug!(operation, %vip, %error, "refused"))
        .count();
    let interface = vip.interface.clone().unwrap_or_else(|| "".into());
    let vip_text = vip.to_string();
    Err(match errno(&source) {
        libc::ENODEV => VipError::NoSuchInterface {
            operation,
            vip: vip_text,
            interface,
        },
        libc::EPERM => VipError::Forbidden {
            operation,
            vip: vip_text,
            source,
        },
        // The kernel says "permission denied", but it is no matter of permission.
        libc::EACCES if vip.address.is_ipv6() => VipError::Ipv6Disabled {
            operation,
            vip: vip_text,
            interface,
        },
        _ => VipError::Refused {
            operation,
            vip: vip_text,
            failed,
            tried,
            source,
        },
    })
}

fn unanswered(operation: &'static str, vips: &[Vip], source: io::Error) -> VipError {
    VipError::Unanswered {
        operation,
        vip: vips
            .first()
            .map_or_else(|| "nothing".to_owned(), Vip::to_string),
        source,
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::RouteNetlinkMessage;

    use super::*;

    fn broadcast(vip: &str, broadcast: Broadcast) -> Option<Ipv4Addr> {
        let vip: Vip = vip.parse().unwrap();
        let IpAddr::V4(address) = vip.address else {
            panic!("an IPv4 address was expected");
        };
        broadcast_address(address, vip.prefix_len, broadcast)
    }

    #[test]
    fn broadcast_addresses_are_those_of_the_network() {
        let given = Ipv4Addr::new(192, 0, 2, 7);
        let expect = |text: &str| Some(text.parse().unwrap());
        assert_eq!(broadcast("192.0.2.9/24", Broadcast::None), None);
        assert_eq!(
            broadcast("192.0.2.9/24", Broadcast::AllOnes),
            expect("192.0.2.255")
        );
        assert_eq!(
            broadcast("192.0.2.9/24", Broadcast::AllZeros),
            expect("192.0.2.0")
        );
        assert_eq!(
            broadcast("192.0.2.9/30", Broadcast::AllOnes),
            expect("192.0.2.11")
        );
        assert_eq!(
            broadcast("192.0.2.9/0", Broadcast::AllOnes),
            expect("255.255.255.255")
        );
        assert_eq!(broadcast("192.0.2.9/31", Broadcast::AllOnes), None);
        assert_eq!(broadcast("192.0.2.9/32", Broadcast::AllZeros), None);
        assert_eq!(
            broadcast("192.0.2.9/32", Broadcast::Address(given)),
            Some(given)
        );
    }

    #[test]
    fn what_is_asked_for_is_what_is_listed() {
        let vip = Vip {
            scope: Some(Scope::Link),
            label: Some("eth0:vip".into()),
            broadcast: Broadcast::Address(Ipv4Addr::new(192, 0, 2, 255)),
            ..Vip::new(Ipv4Addr::new(192, 0, 2, 9).into(), 24)
                .unwrap()
                .on("eth0")
        };
        let message = RouteNetlinkMessage::NewAddress(full_message(7, &vip));
        let address = Address::decode(message).unwrap();
        assert_eq!(vip_of("eth0", address), Some(vip));
    }

    #[test]
    fn every_scope_survives_the_way_to_the_kernel_and_back() {
        for number in 0..=u8::MAX {
            assert_eq!(scope_of(number).as_u8(), number);
        }
    }

    #[test]
    fn the_first_failure_is_told_and_how_many_there_were() {
        let vips: Vec<Vip> = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|text| text.parse::<Vip>().unwrap().on("eth0"))
            .into();
        let failure = || Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        let error = report("add", &vips, vec![Ok(()), failure(), failure()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot add 192.0.2.2/32 dev eth0 (2 of 3 addresses failed)"
        );
    }
}
