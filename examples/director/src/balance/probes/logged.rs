//! `log_all_failures`: every failure is told, not only the one that takes a server down.

use std::sync::Arc;

use async_trait::async_trait;
use health::{HealthProbe, ProbeError, Success, Target};
use tracing::info;

use crate::log::chain;

/// A probe whose failures are all told.
pub(super) struct Logged {
    pub(super) kind: &'static str,
    pub(super) probe: Arc<dyn HealthProbe>,
}

#[async_trait]
impl HealthProbe for Logged {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let result = self.probe.probe(target).await;
        if let Err(error) = &result {
            info!("{} of {target} failed: {}", self.kind, chain(error));
        }
        result
    }
}
