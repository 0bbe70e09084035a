//! A machine on fake segments.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{FakeAdvertiser, Lan, Port};
use crate::{Advertiser, AdvertiserError, Family, Link, LinkAddress, Links, Network, Vip};

/// A machine with interfaces on [`Lan`]s: a [`Network`] whose links a test changes.
///
/// Its addresses are those the test gives it and those a [`Vips`](super::Vips) puts there; both see
/// the same ones. A handle: clones are the same host.
///
/// # Panics
/// Methods that take the name of an interface panic if the host has none of that name, unless they
/// say otherwise: a test that misspells it has a mistake.
#[derive(Debug, Clone)]
pub struct Host(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    links: watch::Sender<Links>,
    frozen: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    interfaces: BTreeMap<Arc<str>, Interface>,
    /// Of the interface added last.
    index: u32,
    crashed: bool,
}

#[derive(Debug)]
struct Interface {
    index: u32,
    running: bool,
    addresses: Vec<Address>,
    lan: Lan,
    port: Port,
}

#[derive(Debug)]
struct Address {
    vip: Vip,
    usable: bool,
}

impl Host {
    /// A machine without interfaces.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            links: watch::Sender::default(),
            frozen: watch::Sender::default(),
        }))
    }

    /// Adds a running interface and returns its port on the segment. One of the same name is removed
    /// first: another interface, with another index, takes its place.
    ///
    /// An interface that leads nowhere is one on a `Lan` of its own.
    pub fn add_interface(
        &self,
        name: &str,
        lan: &Lan,
        addresses: impl IntoIterator<Item = LinkAddress>,
    ) -> Port {
        self.remove_interface(name);
        let port = lan.with(|segment, _| segment.attach());
        self.change(|state| {
            state.index += 1;
            let mut interface = Interface {
                index: state.index,
                running: true,
                addresses: Vec::new(),
                lan: lan.clone(),
                port,
            };
            for address in addresses {
                interface.add(name, address);
            }
            self.wire(&interface, state.crashed);
            state.interfaces.insert(name.into(), interface);
        });
        port
    }

    /// Removes an interface with its addresses: what was opened on it is closed. One that is not
    /// there is fine.
    pub fn remove_interface(&self, name: &str) {
        if let Some(interface) = self.change(|state| state.interfaces.remove(name)) {
            interface.lan.remove(interface.port);
        }
    }

    /// Takes the link down, or pulls its cable and lets the host notice. It keeps its addresses.
    pub fn link_down(&self, interface: &str) {
        self.change(|state| {
            let interface = state.interface(interface);
            interface.running = false;
            interface
                .lan
                .with(|segment, _| segment.unplug(interface.port));
        });
    }

    /// Brings the link up again.
    pub fn link_up(&self, interface: &str) {
        self.change(|state| {
            let crashed = state.crashed;
            let interface = state.interface(interface);
            interface.running = true;
            self.wire(interface, crashed);
        });
    }

    /// Adds an address, as an administrator would. One that is there is replaced: so it becomes
    /// usable, or not.
    pub fn add_address(&self, interface: &str, address: LinkAddress) {
        self.change(|state| state.interface(interface).add(interface, address));
    }

    /// Removes an address, as somebody who does not care whose it is. One that is not there is fine.
    pub fn remove_address(&self, interface: &str, address: IpAddr) {
        self.change(|state| {
            let interface = state.interface(interface);
            interface.remove(|known| known.address == address);
        });
    }

    /// Whether the host has an address, on whatever interface.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.lock()
            .interfaces
            .values()
            .flat_map(|interface| &interface.addresses)
            .any(|known| known.vip.address == address)
    }

    /// The port of an interface on its segment.
    #[must_use]
    pub fn port(&self, interface: &str) -> Port {
        self.lock().interface(interface).port
    }

    /// Stops the host: frames to it wait as in a socket's receive buffer, and who sends, receives or
    /// changes addresses waits too.
    ///
    /// Its tasks and timers go on, for there is but one clock: a task that only computes does not
    /// notice. To stop a node altogether, simulate it on a [`Segment`](super::Segment).
    pub fn freeze(&self) {
        self.set_frozen(true);
    }

    /// Lets the host go on.
    pub fn thaw(&self) {
        self.set_frozen(false);
    }

    /// The machine dies, for good: what it sends goes nowhere, and nothing arrives.
    ///
    /// What runs on it is not told, and its address operations still work, so that its tasks can be
    /// ended in any way. A machine that has been started again is a new `Host`.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.crashed = true;
        for Interface { lan, port, .. } in state.interfaces.values() {
            lan.with(|segment, _| segment.crash(*port));
        }
    }

    /// Waits until the host is not frozen. Cancel safe.
    pub(super) async fn thawed(&self) {
        let mut frozen = self.0.frozen.subscribe();
        frozen
            .wait_for(|frozen| !frozen)
            .await
            .expect("this host is the sender and is alive");
    }

    /// Whether packets can be sent from an address on an interface.
    ///
    /// IPv4 takes any source, as a raw socket with its own header does; IPv6 wants one that is on
    /// the interface, as `IPV6_PKTINFO` does.
    pub(super) fn may_send(&self, interface: &str, source: IpAddr) -> io::Result<()> {
        let state = self.lock();
        let interface = state
            .interfaces
            .get(interface)
            .ok_or(io::ErrorKind::NotFound)?;
        if !interface.running {
            return Err(io::ErrorKind::NetworkDown.into());
        }
        let known = interface
            .addresses
            .iter()
            .any(|known| known.usable && known.vip.address == source);
        if source.is_ipv6() && !known {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the source {source} is no usable address of the interface"),
            ));
        }
        Ok(())
    }

    /// Puts an address on an interface; one that is there stays as it is.
    pub(super) fn put(&self, interface: &str, vip: &Vip) -> Result<(), NoSuchInterface> {
        self.change(|state| {
            let interface = state.interfaces.get_mut(interface).ok_or(NoSuchInterface)?;
            if !interface.addresses.iter().any(|known| known.is(vip)) {
                interface.push(vip.clone(), true);
            }
            Ok(())
        })
    }

    /// Takes an address off an interface; one that is not there is fine, and so is no interface.
    pub(super) fn take(&self, interface: &str, vip: &Vip) {
        self.change(|state| {
            if let Some(interface) = state.interfaces.get_mut(interface) {
                interface.remove(|known| {
                    (known.address, known.prefix_len) == (vip.address, vip.prefix_len)
                });
            }
        });
    }

    /// The addresses of an interface, and whether it runs.
    pub(super) fn look(&self, interface: &str) -> Result<(Vec<Vip>, bool), NoSuchInterface> {
        let state = self.lock();
        let interface = state.interfaces.get(interface).ok_or(NoSuchInterface)?;
        let addresses = interface.addresses.iter();
        let vips = addresses.map(|known| known.vip.clone()).collect();
        Ok((vips, interface.running))
    }

    /// Plugs a running interface into its segment as far as the state of the host allows.
    fn wire(&self, interface: &Interface, crashed: bool) {
        let frozen = *self.0.frozen.borrow();
        let port = interface.port;
        interface.lan.with(|segment, _| match (crashed, frozen) {
            (true, _) => segment.crash(port),
            (false, true) => {
                segment.plug(port);
                segment.freeze(port);
            }
            (false, false) => segment.plug(port),
        });
    }

    fn set_frozen(&self, frozen: bool) {
        let state = self.lock();
        self.0.frozen.send_replace(frozen);
        for Interface { lan, port, .. } in state.interfaces.values() {
            lan.with(|segment, now| match frozen {
                true => segment.freeze(*port),
                false => segment.thaw(*port, now),
            });
        }
    }

    /// Changes the state and tells who watches the links, if they are others then.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = change(&mut state);
        let links = state.links();
        self.0.links.send_if_modified(|known| {
            let differ = *known != links;
            *known = links;
            differ
        });
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock is the one to be heard of.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Network for Host {
    fn links(&self) -> watch::Receiver<Links> {
        self.0.links.subscribe()
    }

    fn open(
        &self,
        interface: &str,
        family: Family,
    ) -> Result<Arc<dyn Advertiser>, AdvertiserError> {
        let state = self.lock();
        let Some((name, found)) = state.interfaces.get_key_value(interface) else {
            return Err(AdvertiserError::NoSuchInterface {
                interface: interface.into(),
            });
        };
        let socket = found.lan.open(found.port, family);
        Ok(Arc::new(FakeAdvertiser::new(
            self.clone(),
            Arc::clone(name),
            found.lan.clone(),
            (found.port, family),
            socket,
        )))
    }
}

/// The host has no interface of that name.
#[derive(Debug)]
pub(super) struct NoSuchInterface;

impl State {
    #[expect(
        clippy::panic,
        reason = "a test that misspells an interface has a mistake"
    )]
    fn interface(&mut self, name: &str) -> &mut Interface {
        match self.interfaces.get_mut(name) {
            Some(interface) => interface,
            None => panic!("the host has no interface {name}"),
        }
    }

    fn links(&self) -> Links {
        let link = |interface: &Interface| Link {
            index: interface.index,
            running: interface.running,
            addresses: interface.addresses.iter().map(Address::on_link).collect(),
        };
        self.interfaces
            .iter()
            .map(|(name, interface)| (Arc::clone(name), link(interface)))
            .collect()
    }
}

impl Interface {
    fn add(&mut self, name: &str, address: LinkAddress) {
        let vip = Vip {
            prefix_len: address.prefix_len,
            ..Vip::host(address.address).on(name)
        };
        match self.addresses.iter_mut().find(|known| known.is(&vip)) {
            Some(known) => known.usable = address.usable,
            None => self.push(vip, address.usable),
        }
    }

    fn push(&mut self, vip: Vip, usable: bool) {
        self.lan
            .with(|segment, _| segment.add_address(self.port, vip.address));
        self.addresses.push(Address { vip, usable });
    }

    fn remove(&mut self, which: impl Fn(&Vip) -> bool) {
        let gone = self.addresses.extract_if(.., |known| which(&known.vip));
        let gone: Vec<_> = gone.map(|known| known.vip.address).collect();
        for address in gone {
            if !self
                .addresses
                .iter()
                .any(|left| left.vip.address == address)
            {
                self.lan
                    .with(|segment, _| segment.remove_address(self.port, address));
            }
        }
    }
}

impl Address {
    /// Whether the kernel takes them for the same.
    fn is(&self, vip: &Vip) -> bool {
        (self.vip.address, self.vip.prefix_len) == (vip.address, vip.prefix_len)
    }

    const fn on_link(&self) -> LinkAddress {
        LinkAddress {
            address: self.vip.address,
            prefix_len: self.vip.prefix_len,
            usable: self.usable,
        }
    }
}
