//! FULLNAT while the daemon runs: sources are translated before a server is in the table, and until
//! it has left it.

use std::sync::Arc;

use ipvs::{
    SourceNat, SourceNatError, Table,
    machine::{self, Edit, Machine, MachineError, MakeError},
};
use tracing::{error, info, warn};

use crate::{balance::Translation, conf::model::Config, log::chain};

/// Why sources are not translated.
#[derive(Debug, thiserror::Error)]
pub(super) enum FullNatError {
    #[error("sources of lvs_method FULLNAT cannot be translated")]
    SourceNat(#[from] SourceNatError),
    #[error("this machine cannot be looked at, which lvs_method FULLNAT needs")]
    Machine(#[from] MachineError),
    #[error("this machine cannot be set to forward packets, which lvs_method FULLNAT needs")]
    Set(#[from] MakeError),
}

/// Keeps who translates sources in step with the table.
pub(super) struct Translating {
    source_nat: Arc<dyn SourceNat>,
    machine: Arc<dyn Machine>,
    /// What was set on the machine.
    edits: Vec<Edit>,
    now: Translation,
}

impl Translating {
    pub(super) fn new(source_nat: Arc<dyn SourceNat>, machine: Arc<dyn Machine>) -> Self {
        Self {
            source_nat,
            machine,
            edits: Vec::new(),
            now: Translation::default(),
        }
    }

    /// Makes ready for a configuration, and says what was before.
    ///
    /// # Errors
    /// It cannot be made ready; all is as it was.
    pub(super) async fn prepare(&mut self, config: &Config) -> Result<Translation, FullNatError> {
        let next = self.now.following(config);
        let edits = next.forwarder().edits(&*self.machine).await?;
        machine::make(&*self.machine, &edits).await?;
        match self.go_over(next).await {
            Ok(before) => {
                for edit in &edits {
                    info!("For FULLNAT: {edit}");
                }
                self.edits.extend(edits);
                Ok(before)
            }
            Err(error) => {
                self.undo(&edits).await;
                Err(error)
            }
        }
    }

    /// Goes back to what was before a configuration that does not come into force.
    pub(super) async fn go_back(&mut self, before: Translation) {
        if let Err(error) = self.go_over(before).await {
            error!("FULLNAT does not go back: {}", chain(&error));
        }
    }

    /// Whether a look at the table may let it end something.
    pub(super) fn is_waiting(&self) -> bool {
        self.now.is_waiting()
    }

    /// Ends what the table does not need any more.
    pub(super) async fn tidy(&mut self, table: &Table) {
        if let Err(error) = self.go_over(self.now.tidied(table)).await {
            warn!("FULLNAT for those who left goes on: {}", chain(&error));
        }
    }

    /// Translates nothing any more, and leaves the machine as it was.
    pub(super) async fn stop(mut self) {
        self.go_back(Translation::default()).await;
        self.undo(&self.edits).await;
    }

    async fn undo(&self, edits: &[Edit]) {
        match machine::undo(&*self.machine, edits).await {
            Ok(left) => {
                for edit in left {
                    info!("Not taken back, as somebody has changed it since: {edit}");
                }
            }
            Err(error) => error!("this machine is not as it was: {}", chain(&error)),
        }
    }

    async fn go_over(&mut self, next: Translation) -> Result<Translation, FullNatError> {
        let (before, after) = (self.now.full_nat(), next.full_nat());
        if before != after {
            match &after {
                Some(full_nat) => self.source_nat.install(full_nat).await?,
                None => self.source_nat.remove().await?,
            }
        }
        Ok(std::mem::replace(&mut self.now, next))
    }
}
