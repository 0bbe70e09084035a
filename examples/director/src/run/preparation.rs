//! What the machine is set to for load balancing, and how it was.

use std::{fmt, sync::Arc};

use ipvs::{
    Forwarder,
    machine::{self, Edit, Machine, MachineError, MakeError},
};
use tracing::{error, info};

use crate::log::chain;

/// Why the machine is not set as it has to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    #[error("this machine cannot be looked at, which FULLNAT and forwarding_path need")]
    Look(#[from] MachineError),
    #[error("this machine cannot be set to what FULLNAT and forwarding_path need")]
    Set(#[from] MakeError),
}

/// What was set on the machine.
pub(super) struct Preparation {
    machine: Arc<dyn Machine>,
    edits: Vec<Edit>,
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Preparation").field(&self.edits).finish()
    }
}

impl Preparation {
    pub(super) fn new(machine: Arc<dyn Machine>) -> Self {
        Self {
            machine,
            edits: Vec::new(),
        }
    }

    /// Sets what is missing, and says how much was set before.
    ///
    /// # Errors
    /// It cannot be set; nothing was changed.
    pub(super) async fn set(&mut self, wanted: &[Forwarder]) -> Result<usize, PrepareError> {
        let before = self.edits.len();
        for forwarder in wanted {
            let made = self.set_one(*forwarder).await;
            if made.is_err() {
                self.go_back(before).await;
            }
            made?;
        }
        Ok(before)
    }

    async fn set_one(&mut self, forwarder: Forwarder) -> Result<(), PrepareError> {
        let edits = forwarder.edits(&*self.machine).await?;
        machine::make(&*self.machine, &edits).await?;
        for edit in &edits {
            info!("This machine is set up: {edit}");
        }
        self.edits.extend(edits);
        Ok(())
    }

    /// Takes back what was set since there was so much.
    pub(super) async fn go_back(&mut self, before: usize) {
        let edits = self.edits.split_off(before.min(self.edits.len()));
        match machine::undo(&*self.machine, &edits).await {
            Ok(left) => {
                for edit in left {
                    info!("Not taken back, as somebody has changed it since: {edit}");
                }
            }
            Err(error) => error!("this machine is not as it was: {}", chain(&error)),
        }
    }
}
