//! What is known of everything at one moment, for who asks: `director status` and `why`.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ipvs::IpvsBackend;
use tokio::time::timeout;
use vrrp::{Cause, NodeStatus, Role};

use crate::{
    control::status::{Known, RoleChange, Status, Why},
    log::chain,
    script::clock::now,
};

/// How long the kernel may take to tell its table, after which it is answered without.
const PATIENCE: Duration = Duration::from_secs(5);

/// How instances came to their roles, by their names.
pub(super) type RoleChanges = BTreeMap<Arc<str>, CameTo>;

/// How an instance came to its role.
#[derive(Debug, Clone)]
pub(super) struct CameTo {
    pub(super) role: Role,
    pub(super) from: Role,
    pub(super) because: Cause,
    pub(super) at: Instant,
}

/// What the daemon knows by itself; the kernel is asked as it is told.
pub(super) struct Look {
    pub(super) node: NodeStatus,
    pub(super) role_changes: RoleChanges,
    /// `None` if no load is balanced.
    pub(super) balancing: Option<(Known, Arc<dyn IpvsBackend>)>,
}

impl Look {
    /// The state of everything.
    pub(super) async fn status(self) -> Status {
        self.told().await.0
    }

    /// What bears that name, and why it is as it is.
    ///
    /// # Errors
    /// What there is, if nothing bears that name.
    pub(super) async fn why(self, name: &str) -> Result<Why, String> {
        let (status, known) = self.told().await;
        let pools = known.map(|known| known.pools).unwrap_or_default();
        Why::of(status, &pools, name).map_err(|error| error.to_string())
    }

    async fn told(self) -> (Status, Option<Known>) {
        let mut status = Status::from(&self.node);
        for instance in &mut status.instances {
            let change = self.role_changes.get(instance.name.as_str());
            instance.last_change = change.map(|change| {
                let ago = now().saturating_duration_since(change.at);
                RoleChange::new(change.from, &change.because, ago)
            });
        }
        let Some((known, backend)) = self.balancing else {
            return (status, None);
        };
        let kernel = match timeout(PATIENCE, backend.snapshot()).await {
            Ok(Ok(kernel)) => Ok(kernel),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!(
                "the kernel did not tell its table within {PATIENCE:?}"
            )),
        };
        status.virtual_servers = known.virtual_servers(kernel.as_ref().ok());
        status.ipvs_trouble = kernel.err().or_else(|| known.table.unreachable.clone());
        (status, Some(known))
    }
}
