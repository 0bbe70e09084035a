//! The advertisers of a node: one for each interface and family that a router is on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    Advertisement, Advertiser, AdvertiserError, Delivery, Destination, Family, FaultCause, Input,
    Network, Node, Received, RouterId, VirtualRouter, error_chain, handle::PortStatus,
};

/// How long to wait before an advertiser that could not be opened is tried again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// How long to wait before an advertiser that could not receive is asked again.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// An advertiser must not wait; one that does is cut off here.
const SEND_LIMIT: Duration = Duration::from_millis(100);

/// Advertisements read ahead; the socket buffers more.
const READ_AHEAD: usize = 1024;

pub(super) type PortKey = (Arc<str>, Family);

pub(super) enum Reading {
    Received(Arc<str>, Received),
    /// The advertiser that was opened as this one will not work again.
    Closed(PortKey, u64),
}

pub(super) struct Ports {
    network: Arc<dyn Network>,
    by_key: BTreeMap<PortKey, Port>,
    readings: mpsc::Receiver<Reading>,
    reading: mpsc::Sender<Reading>,
    /// Ports whose opening failed, so that it is told once.
    failed: BTreeSet<PortKey>,
    retry_at: Option<Instant>,
    opened: u64,
}

struct Port {
    /// Of the interface it was opened on.
    index: u32,
    /// Which one of all that have been opened.
    number: u64,
    opened_at: Instant,
    advertiser: Arc<dyn Advertiser>,
    joined: BTreeSet<IpAddr>,
    reader: AbortHandle,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Ports {
    pub(super) fn new(network: Arc<dyn Network>) -> Self {
        let (reading, readings) = mpsc::channel(READ_AHEAD);
        Self {
            network,
            by_key: BTreeMap::new(),
            readings,
            reading,
            failed: BTreeSet::new(),
            retry_at: None,
            opened: 0,
        }
    }

    pub(super) async fn read(&mut self) -> Reading {
        match self.readings.recv().await {
            Some(reading) => reading,
            None => std::future::pending().await,
        }
    }

    pub(super) fn try_read(&mut self) -> Option<Reading> {
        self.readings.try_recv().ok()
    }

    pub(super) const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Closes an advertiser that works no more, unless another one has taken its place. It is
    /// opened again at once if it had worked for some time.
    pub(super) fn close(&mut self, key: &PortKey, number: u64, now: Instant) {
        if let Some(port) = self.by_key.get(key).filter(|port| port.number == number) {
            debug!(interface = %key.0, family = %key.1, "the advertiser is gone");
            self.retry_at = Some(now.max(port.opened_at + REOPEN_PAUSE));
            self.by_key.remove(key);
        }
    }

    /// Closes the advertisers that no router of the node needs.
    pub(super) fn close_unused(&mut self, node: &Node) {
        let used: BTreeSet<_> = node.routers().map(|(_, router)| key_of(router)).collect();
        self.by_key.retain(|key, _| used.contains(key));
        self.failed.retain(|key| used.contains(key));
    }

    /// Opens what routers need, and again what is on an interface that was replaced. The answer is
    /// what the routers have to be told.
    pub(super) async fn open(&mut self, node: &Node, now: Instant) -> Vec<(RouterId, Input)> {
        self.retry_at = None;
        let link = |interface: &Arc<str>| node.links().and_then(|links| links.get(interface));
        let mut wanted: BTreeMap<PortKey, BTreeSet<IpAddr>> = BTreeMap::new();
        for (_, router) in node.routers() {
            let groups = wanted.entry(key_of(router)).or_default();
            if let Destination::Group(group) = router.destination() {
                groups.insert(*group);
            }
        }
        self.by_key
            .retain(|key, port| link(&key.0).is_some_and(|link| link.index == port.index));
        for (key, groups) in wanted {
            // A router on an interface that does not exist is in fault for that already.
            if let Some(link) = link(&key.0) {
                match self.open_one(&key, link.index, groups, now).await {
                    Ok(()) => drop(self.failed.remove(&key)),
                    Err(error) => {
                        self.retry_at = Some(now + REOPEN_PAUSE);
                        if self.failed.insert(key.clone()) {
                            let error = error_chain(&error);
                            warn!(interface = %key.0, family = %key.1, %error, "cannot take part");
                        }
                    }
                }
            }
        }
        let fault = |(id, router): (RouterId, &VirtualRouter)| {
            let cause = FaultCause::NoAdvertiser(Arc::clone(&router.config().interface));
            let present = self.failed.contains(&key_of(router));
            let known = router.faults().any(|fault| fault == cause);
            (present != known).then_some((id, Input::Fault { cause, present }))
        };
        node.routers().filter_map(fault).collect()
    }

    async fn open_one(
        &mut self,
        key: &PortKey,
        index: u32,
        groups: BTreeSet<IpAddr>,
        now: Instant,
    ) -> Result<(), AdvertiserError> {
        if !self.by_key.contains_key(key) {
            let advertiser = self.network.open(&key.0, key.1)?;
            self.opened += 1;
            let number = self.opened;
            let reader = tokio::spawn(read(
                (key.clone(), number),
                Arc::clone(&advertiser),
                self.reading.clone(),
            ));
            let reader = reader.abort_handle();
            let port = Port {
                index,
                number,
                opened_at: now,
                advertiser,
                joined: BTreeSet::new(),
                reader,
            };
            self.by_key.insert(key.clone(), port);
        }
        let Some(port) = self.by_key.get_mut(key) else {
            return Ok(());
        };
        for group in groups {
            if !port.joined.contains(&group) {
                port.advertiser.join(group).await?;
                port.joined.insert(group);
            }
        }
        Ok(())
    }

    pub(super) async fn send(
        &self,
        id: RouterId,
        node: &Node,
        advert: &Advertisement,
        delivery: &Delivery,
    ) -> Result<(), Arc<str>> {
        let port = node
            .router(id)
            .and_then(|router| self.by_key.get(&key_of(router)));
        let Some(port) = port else {
            return Err("no socket is open on the interface".into());
        };
        match timeout(SEND_LIMIT, port.advertiser.send(advert, delivery)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error_chain(&error).into()),
            Err(_) => Err("the advertiser did not send at once".into()),
        }
    }

    pub(super) fn status(&self) -> impl Iterator<Item = PortStatus> {
        self.by_key
            .iter()
            .map(|((interface, family), port)| PortStatus {
                interface: Arc::clone(interface),
                family: *family,
                rejections: port.advertiser.rejections(),
            })
    }
}

fn key_of(router: &VirtualRouter) -> PortKey {
    let config = router.config();
    (Arc::clone(&config.interface), config.family())
}

async fn read(
    (key, number): (PortKey, u64),
    advertiser: Arc<dyn Advertiser>,
    readings: mpsc::Sender<Reading>,
) {
    loop {
        let reading = match advertiser.recv().await {
            Ok(received) => Reading::Received(Arc::clone(&key.0), received),
            Err(error) if error.is_final() => Reading::Closed(key.clone(), number),
            Err(error) => {
                debug!(interface = %key.0, error = %error_chain(&error), "cannot receive");
                sleep(RECEIVE_PAUSE).await;
                continue;
            }
        };
        let last = matches!(reading, Reading::Closed(..));
        if readings.send(reading).await.is_err() || last {
            return;
        }
    }
}
