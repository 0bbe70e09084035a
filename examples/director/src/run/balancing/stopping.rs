//! The end of the daemon: what becomes of the kernel's table.

use std::time::Duration;

use clap::ValueEnum;
use ipvs::{
    Change, ChangeOutcome, DrainPolicy, IpvsBackend, Removal, Shutdown, Table, TableHandle, WaitFor,
};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::timeout};
use tracing::{error, info};

use super::task::{Task, tell};
use crate::{balance::Translation, conf::model::FlushOnStop, log::chain, run::keeping::Fate};

/// How long the table may take to be cleared.
const CLEARING: Duration = Duration::from_secs(5);

/// What becomes of the kernel's table when the daemon stops.
///
/// VRRP gives up its addresses first, whatever it is: another director has the clients by then.
/// Connections that stay can go on for as long as their packets arrive here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a daemon must do them all")]
pub enum OnStop {
    /// It stays as it is: the next start takes it over, and no connection notices.
    Leave,
    /// No new connections; it is cleared once those it has are gone, or waited for long enough. A
    /// second signal or `director stop` clears it at once.
    Drain,
    /// It is cleared of what this daemon has put in it, as keepalived does.
    #[default]
    Clear,
}

/// How the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) struct Ending {
    pub(in crate::run) on_stop: OnStop,
    /// How long [`OnStop::Drain`] waits.
    pub(in crate::run) drain_deadline: Duration,
}

impl Task {
    /// Ends; `hurry` ends a drain.
    pub(super) async fn stop(self, ending: Ending, hurry: oneshot::Receiver<()>) {
        let Self {
            balancer,
            fleet,
            backend,
            table,
            flush_on_stop,
            notifier,
            mut translating,
            mut preparation,
            keeping,
            ..
        } = self;
        fleet.shutdown().await;
        match ending.on_stop {
            OnStop::Leave => {
                // Nothing goes down, and so there is nothing to tell.
                table.shutdown(Shutdown::Leave).await;
                if let Some(keeping) = keeping {
                    keeping.stop(Fate::Written).await;
                }
                info!("The table stays as it is");
                return;
            }
            OnStop::Drain => {
                let mut without_services = balancer.table();
                without_services.services.clear();
                drain(&table, without_services, ending.drain_deadline, hurry).await;
            }
            OnStop::Clear => {}
        }
        balancer.stop().for_each(|notice| tell(&notifier, &notice));
        let cleared = table.shutdown(Shutdown::Remove(Removal::AtOnce));
        let cleared = async {
            cleared.await;
            if flush_on_stop == Some(FlushOnStop::Table) {
                flush(&*backend).await;
            }
        };
        if timeout(CLEARING, cleared).await.is_err() {
            error!("The table was not cleared within {CLEARING:?}: see `ipvsctl -Ln`");
        }
        translating.go_back(Translation::default()).await;
        preparation.go_back(0).await;
        if let Some(keeping) = keeping {
            keeping.stop(Fate::Removed).await;
        }
    }
}

/// Waits for connections that carry data: clients that would only come back find another director.
async fn drain(
    table: &TableHandle,
    without_services: Table,
    deadline: Duration,
    hurry: oneshot::Receiver<()>,
) {
    let mut policy = DrainPolicy::default();
    policy.deadline = Some(deadline);
    policy.wait_for = WaitFor::Traffic;
    info!("No new connections; those that are there may go on for {deadline:?}");
    table.set(without_services, Removal::Drain(policy));
    let drained = async {
        // An error means that the table is kept no more: nothing is waited for.
        drop(table.settled().await);
        let mut status = table.status();
        let gone = status.wait_for(|status| status.is_converged && status.leaving.is_empty());
        drop(gone.await);
    };
    tokio::select! {
        drained = timeout(deadline, drained) => match drained {
            Ok(()) => info!("All connections are gone"),
            Err(_) => info!("Connections are left, and are cut"),
        },
        Ok(()) = hurry => info!("Told again: connections that are left are cut"),
    }
}

/// Empties the table, whoever made what is in it.
async fn flush(backend: &dyn IpvsBackend) {
    match backend.apply(&[Change::Flush]).await.as_deref() {
        Ok([ChangeOutcome::Done]) => {}
        Ok(outcomes) => error!("The table was not emptied: {outcomes:?}"),
        Err(error) => error!("The table was not emptied: {}", chain(error)),
    }
}
