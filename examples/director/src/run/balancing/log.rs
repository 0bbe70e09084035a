//! What happens to virtual servers, in the words of the log.

use health::FleetEvent;
use ipvs::{DrainEnd, ReconcileEvent};
use tracing::{debug, error, info, warn};

use super::Act;
use crate::{
    balance::{CheckName, Done, MemberName, NoSuchServer, Notice, Order},
    log::chain,
};

/// Who wanted what done with real servers, and what came of it.
pub(super) fn act(act: &Act, done: &Result<Vec<Done>, NoSuchServer>) {
    let Act { action, client, .. } = act;
    let (uid, pid) = (client.uid, client.pid);
    let line = |came_of_it: &dyn std::fmt::Display| {
        info!(uid, pid, %action, "{client} ordered {action}: {came_of_it}");
    };
    match done {
        Ok(done) => done.iter().for_each(|done| line(done)),
        Err(error) => line(error),
    }
}

/// The file does not name a real server any more for which something is ordered.
pub(super) fn unnamed(server: &MemberName, order: Order, kept: bool) {
    let fate = match kept {
        true => "kept until the next reload",
        false => "forgotten",
    };
    warn!("The file does not name {server} any more: what is ordered for it ({order}) is {fate}");
}

/// A real server or a quorum came or went.
pub(super) fn notice(notice: &Notice) {
    match notice {
        Notice::RealServer {
            virtual_server,
            real_server,
            up,
            ..
        } => info!(%virtual_server, %real_server, up, "{notice}"),
        Notice::Quorum {
            virtual_server, up, ..
        } => info!(%virtual_server, quorum = up, "{notice}"),
    }
}

/// A check has another health.
pub(super) fn check(event: &FleetEvent<CheckName>) {
    if let FleetEvent::Changed {
        service,
        to,
        because,
        ..
    } = event
    {
        let because = because
            .as_ref()
            .map(|failure| format!(": {}", chain(failure)));
        info!(
            "Check {} of {} for VS {} is {to:?}{}",
            service.number + 1,
            service.real_server,
            service.virtual_server,
            because.unwrap_or_default()
        );
    }
}

/// Something about checks of one virtual server.
pub(super) fn checks(checks: &[CheckName], what: &str) {
    if let Some(check) = checks.first() {
        let count = checks.len();
        info!("VS {}: {count} checks {what}", check.virtual_server);
    }
}

/// Something happened to the table.
pub(super) fn table(event: &ReconcileEvent) {
    match event {
        ReconcileEvent::Drift(changes) => {
            let count = changes.len();
            warn!("Somebody changed the table: {count} changes put it right");
            for change in changes {
                info!("Repairing: {change}");
            }
        }
        ReconcileEvent::Refused(refusal) => error!("Refused: {}", chain(refusal)),
        ReconcileEvent::Unreachable { because } => error!("IPVS cannot be asked: {because}"),
        ReconcileEvent::Reachable => info!("IPVS can be asked again"),
        ReconcileEvent::Drained {
            service,
            destination,
            end,
        } => match end {
            DrainEnd::Removed { left } if left.active + left.inactive == 0 => {
                info!("{destination} of {service} has left: it had no connection any more");
            }
            DrainEnd::Removed { left } => info!(
                "{destination} of {service} has left: {} active and {} inactive connections are cut",
                left.active, left.inactive
            ),
            DrainEnd::Gone => info!("{destination} of {service} was removed by somebody else"),
            DrainEnd::Cancelled => info!("{destination} of {service} stays after all"),
            DrainEnd::Refused(refusal) => {
                error!(
                    "{destination} of {service} cannot leave: {}",
                    chain(refusal)
                );
            }
            end => info!("{destination} of {service} has left: {end:?}"),
        },
        event @ (ReconcileEvent::Converged | ReconcileEvent::Draining { .. } | _) => {
            debug!(?event, "table");
        }
    }
}
