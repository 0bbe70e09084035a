//! Source NAT in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{FullNat, NetfilterError};

/// Source NAT in memory: remembers what was asked of it.
#[derive(Debug, Default)]
pub struct SourceNat(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    installed: Option<FullNat>,
    refuses: bool,
}

impl SourceNat {
    /// One that translates nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is translated; `None` before it is installed and after it is removed.
    #[must_use]
    pub fn installed(&self) -> Option<FullNat> {
        self.state().installed.clone()
    }

    /// Refuses the next call.
    pub fn refuse(&self) {
        self.state().refuses = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, full_nat: Option<FullNat>) -> Result<(), NetfilterError> {
        let mut state = self.state();
        if std::mem::take(&mut state.refuses) {
            return Err(NetfilterError::Refused {
                program: "fake",
                text: "the test asked for it".to_owned(),
            });
        }
        state.installed = full_nat;
        Ok(())
    }
}

#[async_trait]
impl crate::SourceNat for SourceNat {
    async fn install(&self, full_nat: &FullNat) -> Result<(), NetfilterError> {
        self.set(Some(full_nat.clone()))
    }

    async fn remove(&self) -> Result<(), NetfilterError> {
        self.set(None)
    }
}
