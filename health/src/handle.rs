//! What a program holds of a running fleet.

use std::{collections::BTreeMap, fmt::Debug};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    Ask, AskedWeight, Check, CheckReport, Failure, FleetError, FleetInput, Health, Snapshot,
    Standing, driver::Command,
};

/// A running fleet, made by [`spawn`](crate::spawn).
///
/// Dropping it ends the fleet and gives up its probes, as [`FleetHandle::shutdown`] does.
#[derive(Debug)]
pub struct FleetHandle<S: Ord> {
    commands: mpsc::UnboundedSender<Command<S>>,
    events: broadcast::Sender<FleetEvent<S>>,
    snapshot: watch::Receiver<Snapshot<S>>,
}

/// Something that happened to a service.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FleetEvent<S> {
    /// Its health has changed.
    Changed {
        /// Which one.
        service: S,
        /// What it was.
        from: Health,
        /// What it is.
        to: Health,
        /// The last failure, where it is down.
        because: Option<Failure>,
    },
    /// Its probe asks for another weight than before.
    Weighed {
        /// Which one.
        service: S,
        /// The weight, if it asks for one.
        weight: Option<AskedWeight>,
    },
}

impl<S> FleetEvent<S> {
    /// To which service it happened.
    #[must_use]
    pub const fn service(&self) -> &S {
        match self {
            Self::Changed { service, .. } | Self::Weighed { service, .. } => service,
        }
    }
}

/// Why a fleet did not take what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It contradicts itself; the fleet goes on with what it had.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The fleet has ended.
    #[error("the health checks have ended")]
    Ended,
}

impl<S: Ord + Clone + Debug> FleetHandle<S> {
    pub(crate) const fn new(
        commands: mpsc::UnboundedSender<Command<S>>,
        events: broadcast::Sender<FleetEvent<S>>,
        snapshot: watch::Receiver<Snapshot<S>>,
    ) -> Self {
        Self {
            commands,
            events,
            snapshot,
        }
    }

    /// Has exactly these checks from now on: see [`Fleet::configure`](crate::Fleet::configure).
    /// Idempotent. Not cancel safe: a dropped call may have changed the fleet or not.
    ///
    /// # Errors
    /// One of them is refused, and nothing has changed; or the fleet has ended.
    pub async fn configure(
        &self,
        asked: impl IntoIterator<Item = Ask<S, Check>>,
    ) -> Result<(), AskError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Configure(asked.into_iter().collect(), reply));
        answer.await.map_err(|_| AskError::Ended)??;
        Ok(())
    }

    /// Has these checks besides those it has, and those of services that are `gone` no more: see
    /// [`Fleet::amend`](crate::Fleet::amend). Idempotent. Not cancel safe: a dropped call may have
    /// changed the fleet or not.
    ///
    /// # Errors
    /// One of them is refused, and nothing has changed; or the fleet has ended.
    pub async fn amend(
        &self,
        gone: impl IntoIterator<Item = S>,
        asked: impl IntoIterator<Item = Ask<S, Check>>,
    ) -> Result<(), AskError> {
        let (reply, answer) = oneshot::channel();
        let (gone, asked) = (gone.into_iter().collect(), asked.into_iter().collect());
        self.send(Command::Amend(gone, asked, reply));
        answer.await.map_err(|_| AskError::Ended)??;
        Ok(())
    }

    /// What would be known right after [`configure`](Self::configure) or [`amend`](Self::amend) with
    /// these checks; nothing changes. Cancel safe.
    ///
    /// # Errors
    /// They would refuse one of them; or the fleet has ended.
    pub async fn foresee(
        &self,
        asked: impl IntoIterator<Item = Ask<S, Check>>,
    ) -> Result<BTreeMap<S, Standing>, AskError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Foresee(asked.into_iter().collect(), reply));
        Ok(answer.await.map_err(|_| AskError::Ended)??)
    }

    /// What is known of all services, now and whenever it changes. It is changed in one step for
    /// all that happened at once: whoever looks sees no half of it. Look briefly, or clone it.
    #[must_use]
    pub fn snapshot(&self) -> watch::Receiver<Snapshot<S>> {
        self.snapshot.clone()
    }

    /// All that happens from now on; the [`snapshot`](Self::snapshot) knows it by then. A listener
    /// that lags behind by more than 4096 events misses the oldest and is told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<FleetEvent<S>> {
        self.events.subscribe()
    }

    /// No more probes for a service: see [`FleetInput::Pause`].
    pub fn pause(&self, service: S) {
        self.send(Command::Input(FleetInput::Pause(service)));
    }

    /// Probes again for a service: see [`FleetInput::Resume`].
    pub fn resume(&self, service: S) {
        self.send(Command::Input(FleetInput::Resume(service)));
    }

    /// Probes for a service at once: see [`FleetInput::ProbeNow`].
    pub fn probe_now(&self, service: S) {
        self.send(Command::Input(FleetInput::ProbeNow(service)));
    }

    /// How each checker stands; `None` if the fleet has ended. Cancel safe.
    pub async fn reports(&self) -> Option<Vec<CheckReport<S, Check>>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Report(reply));
        answer.await.ok()
    }

    /// Ends the fleet and waits until its probes are given up. Cancel safe: a dropped call ends it
    /// nevertheless.
    pub async fn shutdown(self) {
        let ended = self.commands.clone();
        drop(self);
        ended.closed().await;
    }

    fn send(&self, command: Command<S>) {
        // An error means that the fleet has ended; whoever waits for an answer is told by that.
        drop(self.commands.send(command));
    }
}

impl<S: Ord> Drop for FleetHandle<S> {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.commands.send(Command::End));
    }
}
