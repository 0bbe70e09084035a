//! Servers in memory that can be probed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::time::{self, Instant};

use super::{Answer, Behaviour, Model};
use crate::{HealthProbe, ProbeError, Success, Target};

/// Servers in memory: a probe that asks [`Model`]s, by the address of the target. Who has no model
/// never answers.
///
/// It takes tokio's time, which a test can pause.
#[derive(Debug, Default)]
pub struct Servers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    models: BTreeMap<SocketAddr, Model>,
    probes: BTreeMap<SocketAddr, u64>,
}

impl Servers {
    /// No servers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server, or has it behave otherwise from now on. The seed decides by chance what
    /// `behaviour` leaves to it.
    pub fn set(&self, address: SocketAddr, behaviour: Behaviour, seed: u64) {
        let mut state = self.state();
        let models = &mut state.models;
        let model = models
            .entry(address)
            .or_insert_with(|| Model::new(behaviour, seed, now()));
        model.behave(behaviour);
    }

    /// Answers that come first, one for each probe; nothing for a server that was not added.
    pub fn script(&self, address: SocketAddr, answers: impl IntoIterator<Item = Answer>) {
        if let Some(model) = self.state().models.get_mut(&address) {
            model.script(answers);
        }
    }

    /// How often a server was probed.
    #[must_use]
    pub fn probes(&self, address: SocketAddr) -> u64 {
        self.state()
            .probes
            .get(&address)
            .copied()
            .unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, address: SocketAddr) -> Answer {
        let mut state = self.state();
        *state.probes.entry(address).or_default() += 1;
        let model = state.models.get_mut(&address);
        model.map_or(Answer::Hangs, |model| model.answer(now()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it stands for servers, which have a clock of their own"
)]
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[async_trait]
impl HealthProbe for Servers {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let address = target.address;
        match self.answer(address) {
            Answer::Passes(after) => {
                time::sleep(after).await;
                Ok(Success::default())
            }
            Answer::Fails(after) => {
                time::sleep(after).await;
                Err(ProbeError::Refused { address })
            }
            Answer::Hangs => std::future::pending().await,
        }
    }
}
