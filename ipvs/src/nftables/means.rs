//! What nftables cannot do.

use crate::{Change, Forwarding, RefusalReason, SchedulerName};

const fn refused(why: &'static str) -> Result<(), RefusalReason> {
    Err(RefusalReason::NotInNftables(why))
}

/// Whether rules of nftables can do what a change asks for, whatever the table.
pub(super) fn can_do(change: &Change) -> Result<(), RefusalReason> {
    match change {
        Change::AddService { settings, .. } | Change::SetService { settings, .. } => {
            if settings.flags.one_packet {
                return refused("knows no one-packet services: leave -o out");
            }
            if settings.persistence.is_some_and(|it| it.engine.is_some()) {
                return refused("has no persistence engines: leave --pe out");
            }
            scheduler(settings.scheduler)
        }
        Change::AddDestination { settings, .. } | Change::SetDestination { settings, .. } => {
            if settings.forwarding != Forwarding::Masquerade {
                return refused("translates addresses alone: reach the destination by NAT (-m)");
            }
            match settings.thresholds.upper() {
                0 => Ok(()),
                _ => refused("does not count connections: leave the thresholds out (-x, -y)"),
            }
        }
        Change::SetTimeouts(_) => refused(
            "has the timeouts of connection tracking: set net.netfilter.nf_conntrack_* instead",
        ),
        Change::StartDaemon(_) => {
            refused("tells no other director of its connections: leave the sync daemon out")
        }
        Change::RemoveService { .. }
        | Change::RemoveDestination { .. }
        | Change::StopDaemon(_)
        | Change::Zero(_)
        | Change::Flush => Ok(()),
    }
}

fn scheduler(name: SchedulerName) -> Result<(), RefusalReason> {
    match name.as_str() {
        "lc" | "wlc" | "lblc" | "lblcr" | "sed" | "nq" | "ovf" | "twos" => refused(
            "does not count connections, by which that scheduler chooses: take rr, wrr, fo, sh, dh \
             or mh",
        ),
        // Those that are nobody's are refused as the kernel does.
        _ => Ok(()),
    }
}
