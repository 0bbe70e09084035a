//! The interfaces and what becomes of them, by netlink.
//!
//! The kernel's events say only where to look: what changed is then read from the kernel, and the
//! state that others see is changed in one step. So an event that comes late, twice or after its
//! time does no harm, a lost one costs a listing, and the state is never half of one and half of
//! another.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _};
use rtnetlink::{MulticastGroup, packet_route::AddressFamily};
use tokio::{
    sync::{oneshot, watch},
    time,
};
use tracing::{debug, warn};

use super::{
    OpenError,
    decode::{Address, Event, Interface},
    netlink::{
        Connection, Events, Message, get_link, list_addresses, list_links, receive, spawn_thread,
    },
};
use crate::{Link, LinkAddress, Links};

const GROUPS: [MulticastGroup; 3] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
];

/// About a thousand events; if more happen before they are read, everything is listed again.
const RECEIVE_BUFFER_LEN: i32 = 1024 * 1024;

/// If more interfaces than this change at once, it is simpler to list them all.
const FEW: usize = 8;

/// How long to wait before the connection to the kernel is made again, doubled each time it fails.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Watches the interfaces and their addresses.
///
/// A state that somebody looks at (`borrow`) cannot be changed: look briefly.
///
/// It belongs to the network namespace of the thread that opened it, needs no capability, and works
/// on a thread of its own, which ends when the monitor, its clones and all its receivers are gone.
#[derive(Debug, Clone)]
pub struct LinkMonitor {
    links: watch::Receiver<Links>,
    overruns: Arc<AtomicU64>,
}

impl LinkMonitor {
    /// Starts watching, and waits until all interfaces are known.
    ///
    /// # Errors
    /// The kernel refuses or does not answer.
    ///
    /// # Panics
    /// Outside of a tokio runtime with a time driver.
    pub async fn open() -> Result<Self, OpenError> {
        Self::open_with_receive_buffer(RECEIVE_BUFFER_LEN).await
    }

    /// Like [`LinkMonitor::open`], with a size in bytes for the buffer that holds the kernel's events
    /// until they are read (keepalived: `vrrp_netlink_monitor_rcv_bufs`). The default is 1 MiB. More
    /// than the sysctl `net.core.rmem_max` needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// See [`LinkMonitor::open`].
    ///
    /// # Panics
    /// See [`LinkMonitor::open`].
    pub async fn open_with_receive_buffer(bytes: i32) -> Result<Self, OpenError> {
        let failed = |source| OpenError::new("watch the interfaces", "CAP_NET_ADMIN", source);
        let (sender, links) = watch::channel(Links::new());
        let overruns = Arc::default();
        let (ready, listed) = oneshot::channel();
        let watcher = Watcher {
            links: sender,
            overruns: Arc::clone(&overruns),
            receive_buffer_len: bytes,
        };
        spawn_thread("vrrp-links", async move || watcher.run(ready).await).map_err(failed)?;
        receive(listed).await.map_err(failed)?.map_err(failed)?;
        Ok(Self { links, overruns })
    }

    /// The state of all interfaces, now and whenever it changes.
    #[must_use]
    pub fn links(&self) -> watch::Receiver<Links> {
        self.links.clone()
    }

    /// How often events were lost and everything had to be listed again.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }
}

struct Watcher {
    links: watch::Sender<Links>,
    overruns: Arc<AtomicU64>,
    receive_buffer_len: i32,
}

/// What has to be read from the kernel.
#[derive(Debug, PartialEq, Eq)]
enum Stale {
    These(BTreeSet<u32>),
    All,
}

/// What was found on the interfaces looked at; `None`: gone.
type Found = BTreeMap<u32, Option<(Arc<str>, Link)>>;

/// One socket for events and one for questions: where events overflow, an answer is lost as well.
struct Connected {
    events: Events,
    questions: Connection,
    /// Brings the events.
    _subscription: Connection,
}

impl Watcher {
    async fn run(self, ready: oneshot::Sender<io::Result<()>>) {
        let connected = match self.connect().await {
            Ok(connected) => connected,
            Err(error) => return drop(ready.send(Err(error))),
        };
        if ready.send(Ok(())).is_err() {
            return;
        }
        tokio::select! {
            () = self.links.closed() => {}
            () = self.watch(connected) => {}
        }
    }

    /// Subscribes first and lists then, so that nothing happens unseen in between.
    async fn connect(&self) -> io::Result<Connected> {
        let (subscription, events) = Connection::open(&GROUPS, Some(self.receive_buffer_len))?;
        let (questions, _) = Connection::open(&[], None)?;
        self.refresh(&questions, &Stale::All).await?;
        Ok(Connected {
            events,
            questions,
            _subscription: subscription,
        })
    }

    /// Follows the events of one connection after the other.
    async fn watch(&self, mut connected: Connected) {
        let mut backoff = SHORTEST_BACKOFF;
        loop {
            let error = self.follow(&mut connected, &mut backoff).await;
            warn!(%error, ?backoff, "lost the connection that watches the interfaces");
            connected = loop {
                time::sleep(backoff).await;
                backoff = LONGEST_BACKOFF.min(backoff * 2);
                match self.connect().await {
                    Ok(connected) => break connected,
                    Err(error) => warn!(%error, ?backoff, "cannot watch the interfaces"),
                }
            };
        }
    }

    /// Follows the events of a connection until it breaks.
    async fn follow(&self, connected: &mut Connected, backoff: &mut Duration) -> io::Error {
        while let Some(event) = connected.events.next().await {
            let mut stale = Stale::These(BTreeSet::new());
            self.mark(&mut stale, &event);
            // However many have arrived by now, one look is enough for them.
            while let Some(Some(event)) = connected.events.next().now_or_never() {
                self.mark(&mut stale, &event);
            }
            if let Err(error) = self.refresh(&connected.questions, &stale).await {
                return error;
            }
            *backoff = SHORTEST_BACKOFF;
        }
        io::ErrorKind::BrokenPipe.into()
    }

    fn mark(&self, stale: &mut Stale, message: &Message) {
        match (Event::decode(message), &mut *stale) {
            (Some(Event::Lost), _) => {
                self.overruns.fetch_add(1, Ordering::Relaxed);
                debug!("events about interfaces were lost, listing everything");
                *stale = Stale::All;
            }
            (Some(Event::Changed(index)), Stale::These(indexes)) => {
                indexes.insert(index);
                if indexes.len() > FEW {
                    *stale = Stale::All;
                }
            }
            (Some(Event::Changed(_)), Stale::All) | (None, _) => {}
        }
    }

    /// Reads what is stale from the kernel and publishes it.
    async fn refresh(&self, questions: &Connection, stale: &Stale) -> io::Result<()> {
        match stale {
            Stale::All => {
                let all = list_everything(questions).await?;
                self.links.send_if_modified(|links| {
                    let changed = *links != all;
                    *links = all;
                    changed
                });
            }
            Stale::These(indexes) => {
                let mut found = Found::new();
                for index in indexes {
                    found.insert(*index, look_at(questions, *index).await?);
                }
                self.links.send_if_modified(|links| merge(links, found));
            }
        }
        Ok(())
    }
}

async fn list_everything(connection: &Connection) -> io::Result<Links> {
    let listed = connection.list(&list_links()).await?;
    let interfaces = listed.into_iter().flatten().filter_map(Interface::decode);
    let mut by_index: BTreeMap<_, _> = interfaces
        .map(|interface| (interface.index, named(interface)))
        .collect();
    for address in addresses(connection, None).await? {
        if let Some((_, link)) = by_index.get_mut(&address.index) {
            link.addresses.push(link_address(&address));
        }
    }
    Ok(by_index.into_values().collect())
}

async fn look_at(connection: &Connection, index: u32) -> io::Result<Option<(Arc<str>, Link)>> {
    let interface = match connection.batch(vec![get_link(index)]).await?.pop() {
        Some(Err(error)) if super::errno(&error) != libc::ENODEV => return Err(error),
        Some(Ok(Some(message))) => Interface::decode(message),
        Some(_) | None => None,
    };
    let Some(interface) = interface else {
        return Ok(None);
    };
    let (name, mut link) = named(interface);
    let addresses = addresses(connection, Some(index)).await?;
    let of_it = addresses.iter().filter(|address| address.index == index);
    link.addresses = of_it.map(link_address).collect();
    Ok(Some((name, link)))
}

async fn addresses(connection: &Connection, interface: Option<u32>) -> io::Result<Vec<Address>> {
    let mut addresses = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        // A family that is off on the interface answers as if the interface were gone.
        let listed = connection.list(&list_addresses(family, interface)).await?;
        addresses.extend(listed.into_iter().flatten().filter_map(Address::decode));
    }
    Ok(addresses)
}

fn named(interface: Interface) -> (Arc<str>, Link) {
    let link = Link {
        index: interface.index,
        running: interface.is_running,
        addresses: Vec::new(),
    };
    (interface.name, link)
}

const fn link_address(address: &Address) -> LinkAddress {
    LinkAddress {
        address: address.address,
        prefix_len: address.prefix_len,
        usable: address.is_usable,
    }
}

/// Puts what was found into the state; says whether that changed anything.
fn merge(links: &mut Links, found: Found) -> bool {
    let before = links.len();
    links.retain(|name, link| match found.get(&link.index) {
        Some(Some((new_name, _))) => name == new_name,
        Some(None) => false,
        None => true,
    });
    let mut changed = links.len() != before;
    for (name, link) in found.into_values().flatten() {
        if links.get(&name) != Some(&link) {
            links.insert(name, link);
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(entries: &[(&str, u32)]) -> Links {
        entries
            .iter()
            .map(|(name, index)| ((*name).into(), Link::running(*index, Vec::new())))
            .collect()
    }

    fn found(entries: &[(u32, Option<&str>)]) -> Found {
        entries
            .iter()
            .map(|(index, name)| {
                let link = Link::running(*index, Vec::new());
                (*index, name.map(|name| (name.into(), link)))
            })
            .collect()
    }

    #[track_caller]
    fn expect(before: &[(&str, u32)], seen: &[(u32, Option<&str>)], after: &[(&str, u32)]) {
        let mut state = links(before);
        let changed = merge(&mut state, found(seen));
        assert_eq!(state, links(after));
        assert_eq!(changed, links(before) != links(after));
    }

    #[tokio::test]
    async fn a_connection_that_ended_is_made_again_and_everything_listed() {
        let (links, mut state) = watch::channel(Links::new());
        let watcher = Watcher {
            links,
            overruns: Arc::default(),
            receive_buffer_len: RECEIVE_BUFFER_LEN,
        };
        let connected = watcher.connect().await.unwrap();
        let before = watcher.links.send_replace(Links::new());
        assert!(before.contains_key("lo"));
        connected._subscription.end().await;
        tokio::select! {
            () = watcher.watch(connected) => {}
            listed = state.wait_for(|links| links.contains_key("lo")) => drop(listed.unwrap()),
        }
    }

    #[test]
    fn an_interface_that_is_as_it_was_changes_nothing() {
        expect(
            &[("a", 1), ("b", 2)],
            &[(2, Some("b"))],
            &[("a", 1), ("b", 2)],
        );
    }

    #[test]
    fn interfaces_come_and_go() {
        expect(&[("a", 1)], &[(2, Some("b"))], &[("a", 1), ("b", 2)]);
        expect(&[("a", 1), ("b", 2)], &[(1, None)], &[("b", 2)]);
        expect(&[("a", 1)], &[(9, None)], &[("a", 1)]);
    }

    #[test]
    fn an_interface_made_again_has_another_index() {
        expect(&[("a", 1)], &[(1, None), (2, Some("a"))], &[("a", 2)]);
    }

    #[test]
    fn a_renamed_interface_is_known_by_its_new_name_alone() {
        expect(&[("a", 1)], &[(1, Some("b"))], &[("b", 1)]);
    }

    #[test]
    fn interfaces_can_swap_their_names() {
        let before = [("a", 1), ("b", 2)];
        let after = [("a", 2), ("b", 1)];
        expect(&before, &[(1, Some("b")), (2, Some("a"))], &after);
    }

    #[test]
    fn names_swapped_and_seen_one_by_one_end_the_same() {
        let mut state = links(&[("a", 1), ("b", 2)]);
        merge(&mut state, found(&[(1, Some("b"))]));
        merge(&mut state, found(&[(2, Some("a"))]));
        merge(&mut state, found(&[(1, Some("b"))]));
        assert_eq!(state, links(&[("a", 2), ("b", 1)]));
    }
}
