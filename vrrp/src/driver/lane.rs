//! Lanes: for each router one task that works on its addresses and tells its events, in order.

use std::{
    collections::BTreeMap,
    future::{self, Future},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{broadcast, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    Event, Input, Node, RouterId, Vip, VipError, VipManager, error_chain,
    handle::{Happening, Roles},
};

/// How long a stopping node waits for its addresses to go.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) enum Work {
    Acquire(Arc<[Vip]>),
    Release(Arc<[Vip]>),
    Announce {
        vips: Arc<[Vip]>,
        rounds: u8,
        gap: Duration,
    },
    Tell(Happening),
}

pub(super) struct Lanes {
    vips: Arc<dyn VipManager>,
    events: broadcast::Sender<Happening>,
    roles: Roles,
    by_id: BTreeMap<RouterId, mpsc::UnboundedSender<Work>>,
    results: mpsc::UnboundedReceiver<(RouterId, Input)>,
    result: mpsc::UnboundedSender<(RouterId, Input)>,
    tasks: JoinSet<()>,
}

impl Lanes {
    pub(super) fn new(
        vips: Arc<dyn VipManager>,
        events: broadcast::Sender<Happening>,
        roles: Roles,
    ) -> Self {
        let (result, results) = mpsc::unbounded_channel();
        let (by_id, tasks) = (BTreeMap::new(), JoinSet::new());
        Self {
            vips,
            events,
            roles,
            by_id,
            results,
            result,
            tasks,
        }
    }

    /// Has a lane for each router; lanes of routers that are gone stay until
    /// [`Lanes::forget_removed`].
    pub(super) fn set_routers(&mut self, node: &Node) {
        for (id, router) in node.routers() {
            if !self.by_id.contains_key(&id) {
                self.roles.add(&router.config().name, id);
                let (queue, work) = mpsc::unbounded_channel();
                let runner = Runner {
                    id,
                    vips: Arc::clone(&self.vips),
                    events: self.events.clone(),
                    roles: self.roles.clone(),
                    result: self.result.clone(),
                };
                self.tasks.spawn(runner.run(work));
                self.by_id.insert(id, queue);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Lets the lanes of routers that are gone come to their end.
    pub(super) fn forget_removed(&mut self, node: &Node) {
        let routers: BTreeMap<_, _> = node
            .routers()
            .map(|(id, router)| (id, &router.config().name))
            .collect();
        self.by_id.retain(|id, _| routers.contains_key(id));
        self.roles.retain(&routers.into_values().collect());
    }

    /// Queues work. What a router that is gone still has to tell is told at once.
    pub(super) fn push(&self, id: RouterId, work: Work) {
        match (self.by_id.get(&id), work) {
            (Some(queue), work) => {
                // A lane ends only when this end of its queue does.
                drop(queue.send(work));
            }
            (None, Work::Tell(happening)) => self.tell(happening),
            (None, Work::Acquire(_) | Work::Release(_) | Work::Announce { .. }) => {}
        }
    }

    /// Tells what is no router's at once.
    pub(super) fn tell(&self, happening: Happening) {
        // Nobody has to listen.
        drop(self.events.send(happening));
    }

    pub(super) async fn result(&mut self) -> (RouterId, Input) {
        match self.results.recv().await {
            Some(result) => result,
            None => future::pending().await,
        }
    }

    pub(super) fn try_result(&mut self) -> Option<(RouterId, Input)> {
        self.results.try_recv().ok()
    }

    /// Waits until all is done.
    pub(super) async fn finish(&mut self) {
        self.by_id.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FINISH_LIMIT, all).await.is_err() {
            warn!("virtual addresses may be left behind: the system did not answer in time");
        }
    }
}

struct Runner {
    id: RouterId,
    vips: Arc<dyn VipManager>,
    events: broadcast::Sender<Happening>,
    roles: Roles,
    result: mpsc::UnboundedSender<(RouterId, Input)>,
}

impl Runner {
    async fn run(self, mut work: mpsc::UnboundedReceiver<Work>) {
        let mut next = None;
        loop {
            let item = match next.take() {
                Some(item) => item,
                None => match work.recv().await {
                    Some(item) => item,
                    None => return,
                },
            };
            match item {
                Work::Acquire(vips) => {
                    self.answer(match unless_it_panics(self.vips.acquire(&vips)).await {
                        Ok(()) => Input::Acquired,
                        Err(error) => Input::AcquireFailed(error),
                    });
                }
                Work::Release(vips) => {
                    if let Err(error) = unless_it_panics(self.vips.release(&vips)).await {
                        self.answer(Input::ReleaseFailed(error));
                    }
                }
                Work::Announce { vips, rounds, gap } => {
                    // Announcements that take their time give way to whatever comes after.
                    tokio::select! {
                        biased;
                        () = self.announce(&vips, rounds, gap) => {}
                        item = work.recv(), if !gap.is_zero() => match item {
                            Some(item) => next = Some(item),
                            None => return,
                        },
                    }
                }
                Work::Tell(happening) => self.tell(happening),
            }
        }
    }

    async fn announce(&self, vips: &[Vip], rounds: u8, gap: Duration) {
        let at_a_time = if gap.is_zero() { vips.len() } else { 1 };
        for _ in 0..rounds {
            for vips in vips.chunks(at_a_time.max(1)) {
                if let Err(error) = unless_it_panics(self.vips.announce(vips)).await {
                    debug!(%error, "cannot announce");
                }
                if !gap.is_zero() {
                    sleep(gap).await;
                }
            }
        }
    }

    fn answer(&self, input: Input) {
        // Nobody listens any more when the node has stopped.
        drop(self.result.send((self.id, input)));
    }

    fn tell(&self, happening: Happening) {
        if let Happening::Router {
            name,
            event: Event::RoleChanged { to, .. },
            ..
        } = &happening
        {
            self.roles.set(name, self.id, *to);
        }
        // Nobody has to listen.
        drop(self.events.send(happening));
    }
}

/// A [`VipManager`] that panics has failed like any other.
async fn unless_it_panics(
    operation: impl Future<Output = Result<(), VipError>>,
) -> Result<(), Arc<str>> {
    let mut operation = pin!(operation);
    future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| operation.as_mut().poll(context)));
        polled.map_or_else(
            |_| Poll::Ready(Err("the address manager has panicked".into())),
            |poll| poll.map_err(|error| error_chain(&error).into()),
        )
    })
    .await
}
