//! Lanes: for each router one task that works on its addresses and tells its events, in order.

use std::{collections::BTreeMap, future, sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    Event, Input, Node, RouterId, Vip, VipManager, error_chain,
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
    by_id: BTreeMap<RouterId, Lane>,
    results: mpsc::UnboundedReceiver<(RouterId, Input)>,
    result: mpsc::UnboundedSender<(RouterId, Input)>,
    tasks: JoinSet<()>,
}

struct Lane {
    name: Arc<str>,
    queue: mpsc::UnboundedSender<Work>,
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
                let name = Arc::clone(&router.config().name);
                self.roles.add(&name);
                let (queue, work) = mpsc::unbounded_channel();
                let runner = Runner {
                    id,
                    vips: Arc::clone(&self.vips),
                    events: self.events.clone(),
                    roles: self.roles.clone(),
                    result: self.result.clone(),
                };
                self.tasks.spawn(runner.run(work));
                self.by_id.insert(id, Lane { name, queue });
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Lets the lanes of routers that are gone come to their end.
    pub(super) fn forget_removed(&mut self, node: &Node) {
        self.by_id.retain(|id, _| node.router(*id).is_some());
        let names = self.by_id.values().map(|lane| &lane.name);
        self.roles.retain(&names.collect());
    }

    pub(super) fn name(&self, id: RouterId) -> Arc<str> {
        self.by_id
            .get(&id)
            .map_or_else(|| "".into(), |lane| Arc::clone(&lane.name))
    }

    /// Queues work. If the lane has died of a panic in the [`VipManager`], the answer is what the
    /// router has to be told.
    pub(super) fn push(&self, id: RouterId, work: Work) -> Option<Input> {
        let lane = self.by_id.get(&id)?;
        let lost = lane.queue.send(work).err()?.0;
        let error: Arc<str> = "the address manager has panicked".into();
        match lost {
            Work::Acquire(_) => Some(Input::AcquireFailed(error)),
            Work::Release(_) | Work::Announce { .. } => None,
            Work::Tell(happening) => {
                tell(&self.events, &self.roles, happening);
                None
            }
        }
    }

    /// Tells what is no router's at once.
    pub(super) fn tell(&self, happening: Happening) {
        tell(&self.events, &self.roles, happening);
    }

    pub(super) async fn result(&mut self) -> (RouterId, Input) {
        match self.results.recv().await {
            Some(result) => result,
            None => future::pending().await,
        }
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
                    self.answer(match self.vips.acquire(&vips).await {
                        Ok(()) => Input::Acquired,
                        Err(error) => Input::AcquireFailed(error_chain(&error).into()),
                    });
                }
                Work::Release(vips) => {
                    if let Err(error) = self.vips.release(&vips).await {
                        self.answer(Input::ReleaseFailed(error_chain(&error).into()));
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
                Work::Tell(happening) => tell(&self.events, &self.roles, happening),
            }
        }
    }

    async fn announce(&self, vips: &[Vip], rounds: u8, gap: Duration) {
        let at_a_time = if gap.is_zero() { vips.len() } else { 1 };
        for _ in 0..rounds {
            for vips in vips.chunks(at_a_time.max(1)) {
                if let Err(error) = self.vips.announce(vips).await {
                    debug!(error = %error_chain(&error), "cannot announce");
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
}

fn tell(events: &broadcast::Sender<Happening>, roles: &Roles, happening: Happening) {
    if let Happening::Router {
        name,
        event: Event::RoleChanged { to, .. },
        ..
    } = &happening
    {
        roles.set(name, *to);
    }
    // Nobody has to listen.
    drop(events.send(happening));
}
