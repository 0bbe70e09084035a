//! Virtual addresses by netlink.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use async_trait::async_trait;
use rtnetlink::packet_route::{AddressFamily, address::AddressMessage};
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
use crate::{Vip, VipError, VipManager};

mod translate;

use translate::{full_message, key_message, vip_of};

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
    use super::*;

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
