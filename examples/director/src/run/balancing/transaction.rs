//! Going over to another configuration: computed, checked, done, looked at, and taken back if the
//! kernel does not follow.

use std::collections::BTreeMap;

use health::{Ask, Check, Fleet, Standing};
use ipvs::{IpvsBackend, Ownership, Refusal, Table};
use tokio::{sync::oneshot, time::timeout};

use super::{
    BalanceError, Balancer, Balancing, CONCURRENCY, CheckName, Config, Duration, Job,
    LAST_CONNECTIONS, Probes, State,
    task::{Task, leaving, owned_at_start},
};
use crate::{
    balance::{Paths, Recheck, Translation},
    log::chain,
    plan::{Kernel, Tables},
    script::clock::now,
    state::fingerprints,
};

/// How long the kernel may take to follow a reload.
const FOLLOWING: Duration = Duration::from_secs(10);

/// A configuration on its way: nothing of it is in force yet.
struct Next {
    recheck: Recheck,
    table: Table,
}

/// What was before a configuration.
struct Before {
    translation: Translation,
    /// How much the machine was set up.
    prepared: usize,
}

/// The kernel has not followed a reload.
#[derive(Debug, thiserror::Error)]
pub(in crate::run) enum NotFollowed {
    #[error("these changes are refused:{}", list(.0))]
    Refused(Vec<Refusal>),
    #[error("IPVS cannot be asked: {0}")]
    Unreachable(String),
    #[error("the kernel's table is not as it shall be after {FOLLOWING:?}")]
    Late,
    #[error("the table is kept no more: this is a defect, please report it")]
    Ended,
}

fn list(refusals: &[Refusal]) -> String {
    let refusals = refusals.iter();
    refusals.map(|it| format!("\n  {}", chain(it))).collect()
}

impl Balancing {
    /// Balances as this configuration says from now on. Servers that it no longer names leave once
    /// their connections are gone.
    ///
    /// # Errors
    /// It cannot be carried out; all goes on as it was.
    pub(in crate::run) fn configure(
        &self,
        config: &Config,
    ) -> impl Future<Output = Result<(), BalanceError>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Configure(Box::new(config.clone()), reply));
        async { answer.await.map_err(|_| BalanceError::Ended)? }
    }

    /// As [`configure`](Self::configure), if the kernel follows; tells what becomes of its table.
    /// `begin` is called before the first check of the new file. Not cancel safe: a dropped call may
    /// have changed it or not.
    ///
    /// # Errors
    /// It cannot be carried out, or the kernel refuses what is new in it; all goes on as it was.
    pub(in crate::run) fn reload(
        &self,
        config: &Config,
        begin: Box<dyn FnOnce() + Send>,
    ) -> impl Future<Output = Result<Kernel, BalanceError>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Reload(Box::new(config.clone()), begin, reply));
        async { answer.await.map_err(|_| BalanceError::Ended)? }
    }

    /// What [`reload`](Self::reload) would make of the kernel's table. Nothing changes.
    ///
    /// # Errors
    /// It cannot be carried out, or the table cannot be read.
    pub(in crate::run) async fn plan(&self, config: &Config) -> Result<Kernel, BalanceError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Plan(Box::new(config.clone()), reply));
        answer.await.map_err(|_| BalanceError::Ended)?
    }
}

impl Task {
    /// What would become of the kernel's table; nothing changes.
    pub(super) async fn plan(&mut self, config: &Config) -> Result<Kernel, BalanceError> {
        let next = self.foresee(config).await?;
        self.plan_to(&next.table).await
    }

    async fn plan_to(&self, after: &Table) -> Result<Kernel, BalanceError> {
        let before = self.balancer.table();
        let running = self.backend.snapshot_of(&before.differing(after)).await?;
        Ok(Kernel::new(&Tables {
            running: &running,
            before: &before,
            after,
            owned: &Ownership::default(),
            grace: LAST_CONNECTIONS,
        }))
    }

    /// Goes over to a configuration, whatever the kernel makes of it: what it refuses is tried
    /// again.
    pub(super) async fn configure(&mut self, config: &Config) -> Result<(), BalanceError> {
        let next = self.foresee(config).await?;
        // Before the servers are in the table.
        let before = self.make_ready(config).await?;
        let done = self.commit(next, config).await;
        if done.is_err() {
            self.go_back(before).await;
        }
        done
    }

    /// Goes over to a configuration if the kernel follows, and tells what has become of its table.
    /// The checks of the one before go on until it has.
    pub(super) async fn reload(
        &mut self,
        config: &Config,
        begin: Box<dyn FnOnce() + Send>,
    ) -> Result<Kernel, BalanceError> {
        let next = self.foresee(config).await?;
        let kernel = self.plan_to(&next.table).await?;
        let known = self.table.status().borrow().refused.clone();
        let before = self.make_ready(config).await?;
        self.table.set(next.table.clone(), leaving());
        let followed = match self.followed(&known).await {
            Ok(()) => {
                begin();
                self.commit(next, config).await
            }
            Err(not_followed) => Err(not_followed.into()),
        };
        if followed.is_err() {
            self.table.set(self.balancer.table(), leaving());
            self.go_back(before).await;
        }
        followed.map(|()| kernel)
    }

    /// Has packets translated and the machine set up for a configuration before its servers are in
    /// the table, and says how it was.
    async fn make_ready(&mut self, config: &Config) -> Result<Before, BalanceError> {
        let translation = self.translating.now().following(config);
        let wanted = [translation.forwarder(), Paths::of(config).forwarder()];
        let prepared = self.preparation.set(&wanted).await?;
        match self.translating.go_over(translation).await {
            Ok(translation) => Ok(Before {
                translation,
                prepared,
            }),
            Err(error) => {
                self.preparation.go_back(prepared).await;
                Err(error.into())
            }
        }
    }

    async fn go_back(&mut self, before: Before) {
        self.translating.go_back(before.translation).await;
        self.preparation.go_back(before.prepared).await;
    }

    async fn foresee(&mut self, config: &Config) -> Result<Next, BalanceError> {
        let mut recheck = self.probes.recheck(config)?;
        recall(&self.recalled, &mut recheck.asks, config);
        let foreseen = self.fleet.foresee(recheck.asks.iter().cloned()).await?;
        let known = self.fleet.snapshot();
        let known = known.borrow();
        let mut balancer = self.balancer.clone();
        balancer.configure(
            config,
            |check| {
                let standing = foreseen.get(check).or_else(|| known.standings.get(check));
                standing.copied()
            },
            now(),
        );
        Ok(Next {
            recheck,
            table: balancer.table(),
        })
    }

    async fn commit(&mut self, next: Next, config: &Config) -> Result<(), BalanceError> {
        let Recheck { gone, asks } = next.recheck;
        self.fleet.amend(gone, asks).await?;
        self.probes.follow(config);
        let known = self.fleet.snapshot();
        let known = known.borrow();
        self.balancer
            .configure(config, |check| known.standings.get(check).copied(), now());
        self.flush_on_stop = config.lvs.flush_on_stop;
        self.recalled = State::default();
        self.memory
            .virtual_servers
            .clone_from(&config.virtual_servers);
        self.memory.tls.clone_from(&config.tls);
        self.remember();
        Ok(())
    }

    /// Waits until the kernel has what was set last. What it had refused before is no news.
    async fn followed(&self, known: &[Refusal]) -> Result<(), NotFollowed> {
        match timeout(FOLLOWING, self.table.settled()).await {
            Ok(Ok(status)) => {
                let refused = status.refused.into_iter();
                let refused: Vec<_> = refused.filter(|it| !known.contains(it)).collect();
                match refused.is_empty() {
                    true => Ok(()),
                    false => Err(NotFollowed::Refused(refused)),
                }
            }
            Ok(Err(_)) => Err(NotFollowed::Ended),
            Err(_) => Err(match self.table.status().borrow().unreachable.clone() {
                Some(because) => NotFollowed::Unreachable(because),
                None => NotFollowed::Late,
            }),
        }
    }
}

/// What the daemon before this one knew by the checks of its first configuration.
fn recall(recalled: &State, asks: &mut [Ask<CheckName, Check>], config: &Config) {
    if recalled.checks.is_empty() {
        return;
    }
    let fingerprints = fingerprints(&config.virtual_servers, config.tls.as_ref());
    for ask in asks {
        let fingerprint = fingerprints.get(&ask.service);
        ask.known = fingerprint.and_then(|it| recalled.standing(&ask.service, *it));
    }
}

/// What a start that goes on with `recalled` would make of a kernel's table; nothing changes.
///
/// # Errors
/// The table cannot be read, or the configuration cannot be carried out.
pub(in crate::run) async fn plan_start(
    backend: &dyn IpvsBackend,
    mut probes: Probes,
    config: &Config,
    recalled: State,
) -> Result<Kernel, BalanceError> {
    let running = backend.snapshot().await?;
    let mut asks = probes.recheck(config)?.asks;
    recall(&recalled, &mut asks, config);
    let foreseen: BTreeMap<CheckName, Standing> = Fleet::new(CONCURRENCY, 0)
        .foresee(asks)
        .map_err(health::AskError::from)?;
    let mut balancer = Balancer::new(running.timeouts);
    balancer.take_up(recalled.orders);
    balancer.configure(config, |check| foreseen.get(check).copied(), now());
    let table = running.table();
    let owned = owned_at_start(&table, config.lvs.flush, &recalled.owned);
    // What is a start's to change is as it was left: nothing of it is being changed already.
    let mut before = table;
    before
        .services
        .retain(|key, _| owned.services.contains(key));
    before
        .daemons
        .retain(|role, _| owned.daemons.contains(role));
    before.timeouts = None;
    Ok(Kernel::new(&Tables {
        running: &running,
        before: &before,
        after: &balancer.table(),
        owned: &owned,
        grace: LAST_CONNECTIONS,
    }))
}
