//! What happens on the node, in the words of keepalived's log and as notifications.

use tracing::{error, info, warn};
use vrrp::{Cause, Event, Happening, Priority, RejectReason, Role};

use crate::script::notify::{self, Notification, Subject};

/// Writes what happened to the log.
pub(super) fn log(happening: &Happening) {
    match happening {
        Happening::Router {
            name,
            priority,
            event,
        } => log_event(name, *priority, event),
        Happening::Group { name, from, to } => {
            info!(group = %name, %from, role = %to, "({name}) group entering {to} STATE");
        }
        Happening::UnknownVrid {
            interface,
            vrid,
            from,
        } => {
            info!(
                %interface, %vrid, %from,
                "received an advertisement for unknown virtual router {vrid} on {interface} from \
                 {from}"
            );
        }
        other => info!("{other:?}"),
    }
}

fn log_event(name: &str, own: Priority, event: &Event) {
    match event {
        Event::RoleChanged { from, to, because } => log_role(name, own, *from, *to, because),
        Event::PriorityChanged { from, to } => info!(
            instance = name, %from, %to,
            "({name}) Changing effective priority from {from} to {to}"
        ),
        Event::LowerPriorityReceived { from, priority } => info!(
            instance = name, %from, %priority,
            "({name}) Received advert from {from} with lower priority {priority}, ours {own}"
        ),
        Event::Rejected { reason, from } => warn!(
            instance = name, %from, %reason,
            "({name}) rejected an advertisement of {from}: {reason} {}; further ones are counted \
             and told again after a minute",
            remedy(*reason)
        ),
        Event::AddressListDiffers { from } => warn!(
            instance = name, %from,
            "({name}) master {from} advertises other addresses than virtual_ipaddress has here: \
             make both files agree"
        ),
        Event::IntervalDiffers { from, interval } => info!(
            instance = name, %from, %interval,
            "({name}) master {from} advertises every {interval}, which is not the advert_int here; \
             following it"
        ),
        Event::AddressesLost => warn!(
            instance = name,
            "({name}) somebody removed a virtual address; putting it back"
        ),
        Event::AcquireFailed { error, retry_in } => error!(
            instance = name, %error,
            "({name}) cannot set the virtual addresses: {error}; trying again in {retry_in:?}"
        ),
        Event::ReleaseFailed { error } => error!(
            instance = name, %error,
            "({name}) cannot remove the virtual addresses: {error}; trying again"
        ),
        Event::SendFailed { error } => warn!(
            instance = name, %error,
            "({name}) cannot send an advertisement: {error}; further ones are counted and told \
             again after a minute"
        ),
        Event::Overslept { by } => warn!(
            instance = name,
            "({name}) was not running for {by:?} while master; others may have taken over"
        ),
        Event::OwnerDisputed { by } => error!(
            instance = name, %by,
            "({name}) {by} claims to own the addresses too (priority 255): stepping down to 254; \
             correct one of the two"
        ),
        other => info!(instance = name, "({name}) {other:?}"),
    }
}

fn log_role(name: &str, own: Priority, from: Role, to: Role, because: &Cause) {
    let because_of = because.to_string();
    match (to, because) {
        (Role::Fault, _) => warn!(
            instance = name, %from, role = %to, because = because_of,
            "({name}) Entering FAULT STATE: {because_of}"
        ),
        (Role::Stopped, _) => info!(
            instance = name, %from, role = %to, because = because_of,
            "({name}) Stopped"
        ),
        (_, Cause::Outranked { by, priority }) => info!(
            instance = name, %from, role = %to, because = because_of,
            "({name}) Entering {to} STATE: Master received advert from {by} with higher priority \
             {priority}, ours {own}"
        ),
        _ => info!(
            instance = name, %from, role = %to, because = because_of,
            "({name}) Entering {to} STATE{}: {because_of}",
            if from == Role::Init { " (init)" } else { "" }
        ),
    }
    match (from, to) {
        (_, Role::Master) => info!(instance = name, "({name}) virtual addresses set"),
        (Role::Master, _) => info!(instance = name, "({name}) virtual addresses removed"),
        _ => {}
    }
}

fn remedy(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Authentication => "differs: is auth_pass the same on both nodes?",
        RejectReason::AdvertInterval => "differs: VRRP version 2 wants the same advert_int",
        RejectReason::Version => "differs: is vrrp_version the same on both nodes?",
        RejectReason::Ttl => "is out of bounds: it does not come from this link",
        RejectReason::Source => "is not one of unicast_peer, or is our own",
        RejectReason::Destination => "is unicast for a multicast instance, or the other way round",
        RejectReason::AddressList => "differs: do both nodes have the same virtual_ipaddress?",
        RejectReason::Length
        | RejectReason::Type
        | RejectReason::Checksum
        | RejectReason::Vrid
        | _ => "is wrong",
    }
}

/// The notification that follows from what happened to an instance in that role, or to a group.
/// `stopping` tells a stop of the daemon from the removal of an instance.
pub(super) fn notification(
    happening: &Happening,
    role: Role,
    stopping: bool,
) -> Option<Notification> {
    let (subject, priority, event) = match happening {
        Happening::Router {
            name,
            priority,
            event,
        } => {
            let subject = Subject::Instance(name.to_string());
            let event = instance_event(event, role, stopping)?;
            (subject, priority.as_u8(), event)
        }
        // A group without members has no script that could be told (keepalived.conf knows no
        // notify_deleted for groups).
        Happening::Group {
            to: Role::Stopped, ..
        } if !stopping => return None,
        Happening::Group { name, to, .. } => (
            Subject::Group(name.to_string()),
            0,
            role_event(*to, stopping)?,
        ),
        Happening::UnknownVrid { .. } | _ => return None,
    };
    Some(Notification {
        subject,
        event,
        priority,
    })
}

fn instance_event(event: &Event, role: Role, stopping: bool) -> Option<notify::Event> {
    if let Event::RoleChanged { to, .. } = event {
        return role_event(*to, stopping);
    }
    if matches!(event, Event::PriorityChanged { .. }) {
        return Some(match role {
            Role::Master => notify::Event::MasterPriority,
            // In FAULT too (observed with keepalived 2.2.7).
            Role::Init | Role::Backup | Role::Fault | Role::Stopped => {
                notify::Event::BackupPriority
            }
        });
    }
    let rival = matches!(event, Event::LowerPriorityReceived { .. });
    rival.then_some(notify::Event::MasterRxLowerPriority)
}

const fn role_event(role: Role, stopping: bool) -> Option<notify::Event> {
    match role {
        Role::Init => None,
        Role::Backup => Some(notify::Event::Backup),
        Role::Master => Some(notify::Event::Master),
        Role::Fault => Some(notify::Event::Fault),
        Role::Stopped if stopping => Some(notify::Event::Stop),
        Role::Stopped => Some(notify::Event::Deleted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_priority_is_one_of_a_master_or_of_a_backup() {
        let priority = |number| Priority::new(number).unwrap();
        let changed = Happening::Router {
            name: "VI_1".into(),
            priority: priority(105),
            event: Event::PriorityChanged {
                from: priority(100),
                to: priority(105),
            },
        };
        for (role, event) in [
            (Role::Master, notify::Event::MasterPriority),
            (Role::Backup, notify::Event::BackupPriority),
            (Role::Fault, notify::Event::BackupPriority),
        ] {
            let told = notification(&changed, role, false).unwrap();
            assert_eq!((told.event, told.priority), (event, 105), "{role}");
        }
    }
}
