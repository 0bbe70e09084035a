//! The threads that carry connections.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time,
};

use super::{
    listener::{Listener, listen},
    now,
    shared::{SETTLED_AT_A_TIME, ShardId, Shared},
    tcp, udp,
};
use crate::{Endpoint, Protocol, ServiceKey};

/// How long the shortest time-out is, so that no connection falls due sooner after it began.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// A thread that carries the connections it accepts. They stay on it.
#[derive(Debug)]
pub(super) struct Shard {
    /// Closed to end it.
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What a shard is asked for.
#[derive(Debug)]
pub(super) enum Order {
    /// Accept the connections of a service.
    Listen {
        service: ServiceKey,
        at: Endpoint,
        done: oneshot::Sender<io::Result<()>>,
    },
    /// Accept none any more. Connections go on. `done` is dropped when nothing listens.
    Close {
        service: ServiceKey,
        done: oneshot::Sender<()>,
    },
}

impl Shard {
    pub(super) fn start(shared: Arc<Shared>, id: ShardId) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, received) = mpsc::unbounded_channel();
        let thread = thread::Builder::new()
            .name(format!("ipvs-shard-{}", id.0))
            .spawn(move || runtime.block_on(work(shared, id, received)))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Nothing happens if the shard has ended.
    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            drop(orders.send(order));
        }
    }
}

impl Drop for Shard {
    /// Breaks its connections off.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A shard that panicked has said so.
            drop(thread.join());
        }
    }
}

async fn work(shared: Arc<Shared>, id: ShardId, mut orders: mpsc::UnboundedReceiver<Order>) {
    if id.0 == 0 {
        tokio::spawn(keep_time(Arc::clone(&shared)));
    }
    let mut listening: BTreeMap<ServiceKey, AbortHandle> = BTreeMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Listen { service, at, done } => {
                let carries = carry(Arc::clone(&shared), id, service, at);
                let listens = carries.map(|task| drop(listening.insert(service, task)));
                // Whoever asked may have gone.
                drop(done.send(listens));
            }
            Order::Close { service, done } => {
                if let Some(task) = listening.remove(&service) {
                    task.abort();
                    // It ends, and its socket is closed, before this one goes on.
                    while !task.is_finished() {
                        tokio::task::yield_now().await;
                    }
                }
                drop(done);
            }
        }
    }
}

/// Starts carrying what comes in on a virtual address. The socket is of this thread's network
/// namespace.
fn carry(
    shared: Arc<Shared>,
    id: ShardId,
    service: ServiceKey,
    at: Endpoint,
) -> io::Result<AbortHandle> {
    let transport = service.protocol().unwrap_or(Protocol::Tcp);
    let task = match listen(transport, at, shared.config.backlog)? {
        Listener::Tcp(listener) => tokio::spawn(tcp::accept(shared, id, listener, at)),
        Listener::Udp(socket) => tokio::spawn(udp::serve(shared, id, socket, at)),
    };
    Ok(task.abort_handle())
}

/// Does what is due when it is due.
async fn keep_time(shared: Arc<Shared>) {
    loop {
        // Tens of thousands may have been busy since: they do not hold all shards up at once.
        for _ in 0..shared.unsettled() / SETTLED_AT_A_TIME {
            shared.settle_some();
            tokio::task::yield_now().await;
        }
        let now = now();
        shared.handle_timeout(now);
        let due = shared.core().plane.poll_timeout();
        let wait = due.map_or(SHORTEST_TIMEOUT, |at| at.saturating_duration_since(now));
        time::sleep(wait.clamp(Duration::from_millis(1), SHORTEST_TIMEOUT)).await;
    }
}
