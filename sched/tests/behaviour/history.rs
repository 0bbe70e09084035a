//! Any history of a service, for property tests.

use proptest::prelude::*;
use sched::{Connection, Flags, Flow, Protocol, ServerSettings};

use crate::{Bench, address, server, vip};

/// Something that happens; numbers that name nothing are passed over.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Add(u8, ServerSettings),
    Edit(u8, ServerSettings),
    Remove(u8),
    Arrive {
        client: u32,
        vip: u8,
        protocol: Protocol,
        random: u64,
    },
    Close(usize),
    Expire(usize),
    Wait(u64),
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..120)
}

fn step() -> impl Strategy<Value = Step> {
    let arrive =
        (0..12_u32, 0..4_u8, 0..8_u8, any::<u64>()).prop_map(|(client, vip, udp, random)| {
            let protocol = if udp == 0 {
                Protocol::Udp
            } else {
                Protocol::Tcp
            };
            Step::Arrive {
                client,
                vip,
                protocol,
                random,
            }
        });
    prop_oneof![
        3 => (1..9_u8, settings()).prop_map(|(number, settings)| Step::Add(number, settings)),
        2 => (1..9_u8, settings()).prop_map(|(number, settings)| Step::Edit(number, settings)),
        1 => (1..9_u8).prop_map(Step::Remove),
        12 => arrive,
        2 => (0..64_usize).prop_map(Step::Close),
        3 => (0..64_usize).prop_map(Step::Expire),
        1 => (0..400_000_u64).prop_map(Step::Wait),
    ]
}

fn settings() -> impl Strategy<Value = ServerSettings> {
    (
        0..6_u32,
        prop_oneof![3 => Just((0, 0)), 1 => (1..5_u32).prop_map(|upper| (upper, 0)),
        1 => (2..5_u32).prop_map(|upper| (upper, 1))],
    )
        .prop_map(|(weight, (upper, lower))| {
            ServerSettings::new(weight).with_thresholds(upper, lower)
        })
}

/// Lives through a history.
pub(crate) struct Run {
    pub(crate) bench: Bench,
    pub(crate) connections: Vec<Connection>,
}

/// The pick of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picked {
    pub(crate) server: Option<u8>,
    pub(crate) by_template: bool,
}

impl Run {
    pub(crate) fn new(bench: Bench, flags: Flags) -> Self {
        Self {
            bench: bench.flags(flags),
            connections: Vec::new(),
        }
    }

    /// Does one step; what was picked, if it is an arrival.
    pub(crate) fn step(&mut self, step: &Step) -> Option<Picked> {
        let now = self.bench.now;
        let service = &mut self.bench.service;
        match *step {
            Step::Add(number, settings) => {
                let _exists = service.add_server(server(number), settings, now);
            }
            Step::Edit(number, settings) => {
                let _missing = service.edit_server(server(number), settings, now);
            }
            Step::Remove(number) => {
                let _missing = service.remove_server(server(number), now);
            }
            Step::Arrive {
                client,
                vip: number,
                protocol,
                random,
            } => {
                let flow = Flow::new(protocol, address(client), vip(number));
                let pick = service.connect(&sched::Arrival::new(flow, now, random));
                let picked = Picked {
                    server: pick.as_ref().map(|pick| crate::number(pick.address)),
                    by_template: pick.as_ref().is_some_and(|pick| pick.by_template),
                };
                self.connections
                    .extend(pick.and_then(|pick| pick.connection));
                return Some(picked);
            }
            Step::Close(index) => {
                if let Some(connection) = self.connections.get_mut(index) {
                    service.set_active(connection, false);
                }
            }
            Step::Expire(index) => {
                if index < self.connections.len() {
                    service.expire(self.connections.swap_remove(index), now);
                }
            }
            Step::Wait(seconds) => self.bench.now += std::time::Duration::from_secs(seconds),
        }
        None
    }
}
