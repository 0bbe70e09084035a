//! Which destinations the numbers of a map stand for.

use std::{num::NonZeroU32, time::Instant};

use crate::{
    Change, DestinationState, Endpoint, Protocol, SchedulerName, ServiceKey, ServiceSettings,
    ServiceState, Weight,
    plane::{Flow, Plane},
};

/// How many a map has at most. Shares are rounded to it.
const MOST: u32 = 1024;
/// How many that of `mh` has: the smallest of Linux' (`CONFIG_IP_VS_MH_TAB_INDEX` 8).
const OF_MAGLEV: u32 = 251;

/// In turn, or by a hash, one of these; `None` is nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) by: By,
    pub(super) slots: Vec<Option<Endpoint>>,
}

/// What chooses a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Each in its turn.
    Turn,
    /// A hash of the client's address.
    Client,
    /// A hash of the client's address and port.
    ClientAndPort,
    /// A hash of the virtual address.
    Service,
}

impl Slots {
    /// `None`: not as that scheduler chooses.
    pub(super) fn of(service: &ServiceState, now: Instant) -> Option<Self> {
        let (settings, flags) = (service.settings, service.settings.flags);
        let by_client = if flags.port {
            By::ClientAndPort
        } else {
            By::Client
        };
        let servers = scaled(&service.destinations);
        let (by, slots) = match settings.scheduler.as_str() {
            "rr" | "wrr" | "fo" => (By::Turn, in_turn(settings.scheduler, &servers, now)),
            "sh" => (by_client, repeated(&servers, !flags.fallback)),
            "dh" => (By::Service, repeated(&equal(&servers), true)),
            "mh" => (by_client, consistent(&servers)),
            _ => return None,
        };
        Some(Self { by, slots })
    }
}

/// Destinations, newest first, with weights that add up to no more than `MOST`, or nearly.
fn scaled(destinations: &[DestinationState]) -> Vec<(Endpoint, u32)> {
    let weights = destinations.iter().map(|it| it.settings.weight.get());
    let common = weights.clone().fold(0, gcd).max(1);
    let sum: u64 = weights.map(|weight| u64::from(weight / common)).sum();
    let servers = destinations.iter().map(|it| {
        let weight = it.settings.weight.get() / common;
        let share = u64::from(weight) * u64::from(MOST) / sum.max(1);
        let share = u32::try_from(share).unwrap_or(MOST);
        let fits = sum <= u64::from(MOST);
        (
            it.key,
            if fits {
                weight
            } else {
                share.max(weight.min(1))
            },
        )
    });
    servers.collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// As the scheduler of Linux chooses, until it begins anew.
fn in_turn(
    scheduler: SchedulerName,
    servers: &[(Endpoint, u32)],
    now: Instant,
) -> Vec<Option<Endpoint>> {
    let Some((first, _)) = servers.first() else {
        return Vec::new();
    };
    let chosen = servers.iter().filter(|(_, weight)| *weight > 0);
    let round: u32 = match scheduler.as_str() {
        "rr" => chosen.map(|_| 1).sum(),
        "wrr" => chosen.map(|(_, weight)| weight).sum(),
        _ => chosen.take(1).map(|_| 1).sum(),
    };
    let mut plane = Plane::new();
    let to = Endpoint::new(first.address, 1);
    let service = ServiceKey::tcp(to);
    let settings = ServiceSettings::new(scheduler);
    let added = servers.iter().rev().map(|(destination, weight)| {
        let mut settings = crate::DestinationSettings::new(crate::Forwarding::Masquerade);
        settings.weight = Weight::new(*weight).unwrap_or(Weight::MAX);
        Change::AddDestination {
            service,
            destination: *destination,
            settings,
        }
    });
    let changes = [Change::AddService { service, settings }]
        .into_iter()
        .chain(added);
    for change in changes {
        if let Err(error) = plane.apply(&change, now) {
            tracing::debug!("a scheduler does not take {change}: {error}");
        }
    }
    let clients = (1..=u16::MAX).map(|port| Endpoint::new(first.address, port));
    let rounds = usize::try_from(round).unwrap_or(usize::MAX);
    let picks = clients.take(rounds).map(|client| {
        let flow = Flow {
            protocol: Protocol::Tcp,
            client,
            to,
        };
        let route = plane.begin(flow, None::<NonZeroU32>, now);
        route.ok().map(|route| route.listed)
    });
    picks.collect()
}

fn equal(servers: &[(Endpoint, u32)]) -> Vec<(Endpoint, u32)> {
    let each = servers.iter().map(|(key, weight)| (*key, (*weight).min(1)));
    each.collect()
}

/// Each as often as it weighs; one of weight 0 keeps a place, in which nobody answers, if asked for.
fn repeated(servers: &[(Endpoint, u32)], drained_keep: bool) -> Vec<Option<Endpoint>> {
    let mut slots = Vec::new();
    for (key, weight) in servers {
        match weight {
            0 if drained_keep => slots.push(None),
            weight => slots.extend((0..*weight).map(|_| Some(*key))),
        }
    }
    slots
}

/// In each place the destination whose draw there is the highest for its weight: one more or less
/// changes no place that is not its own.
fn consistent(servers: &[(Endpoint, u32)]) -> Vec<Option<Endpoint>> {
    let usable: Vec<_> = servers.iter().filter(|(_, weight)| *weight > 0).collect();
    let slots = if usable.is_empty() { 0 } else { OF_MAGLEV };
    let winner = |slot| {
        let draw = |(key, weight): &(Endpoint, u32)| f64::from(*weight) / -drawn(key, slot).ln();
        let best = usable.iter().max_by(|a, b| draw(a).total_cmp(&draw(b)));
        best.map(|(key, _)| *key)
    };
    (0..slots).map(winner).collect()
}

/// A number above 0 and below 1, always the same for a destination in a place.
fn drawn(key: &Endpoint, slot: u32) -> f64 {
    // FNV-1a, and the last step of MurmurHash3, so that the last bytes reach every bit.
    let bytes = key.to_string().into_bytes();
    let bytes = bytes.into_iter().chain(slot.to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let high = u32::try_from(hash >> 32).unwrap_or_default();
    (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0)
}
