//! FULLNAT while the daemon runs: sources are translated before a server is in the table, and until
//! it has left it.

use std::sync::Arc;

use ipvs::{NetfilterError, SourceNat, Table};
use tracing::{error, warn};

use crate::{balance::Translation, log::chain};

/// Sources are not translated.
#[derive(Debug, thiserror::Error)]
#[error("sources of lvs_method FULLNAT cannot be translated")]
pub(super) struct FullNatError(#[from] NetfilterError);

/// Keeps who translates sources in step with the table.
pub(super) struct Translating {
    source_nat: Arc<dyn SourceNat>,
    now: Translation,
}

impl Translating {
    pub(super) fn new(source_nat: Arc<dyn SourceNat>) -> Self {
        Self {
            source_nat,
            now: Translation::default(),
        }
    }

    /// What is translated.
    pub(super) const fn now(&self) -> &Translation {
        &self.now
    }

    /// Whether a look at the table may let it end something.
    pub(super) fn is_waiting(&self) -> bool {
        self.now.is_waiting()
    }

    /// Goes over to a translation, and says what was before.
    ///
    /// # Errors
    /// It was refused; all is as it was.
    pub(super) async fn go_over(&mut self, next: Translation) -> Result<Translation, FullNatError> {
        let (before, after) = (self.now.full_nat(), next.full_nat());
        if before != after {
            match &after {
                Some(full_nat) => self.source_nat.install(full_nat).await?,
                None => self.source_nat.remove().await?,
            }
        }
        Ok(std::mem::replace(&mut self.now, next))
    }

    /// Goes back to what was before.
    pub(super) async fn go_back(&mut self, before: Translation) {
        if let Err(error) = self.go_over(before).await {
            error!("FULLNAT does not go back: {}", chain(&error));
        }
    }

    /// Ends what the table does not need any more.
    pub(super) async fn tidy(&mut self, table: &Table) {
        if let Err(error) = self.go_over(self.now.tidied(table)).await {
            warn!("FULLNAT for those who left goes on: {}", chain(&error));
        }
    }
}
