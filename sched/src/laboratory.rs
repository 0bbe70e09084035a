//! The laboratory: one history, several schedulers, and what each makes of it.
//!
//! *What does `mh` do when this server leaves? Is `sh` fair enough for us? Which clients lose
//! their server when we change a weight?* Make a [`History`] (by hand, from a log, or with a
//! [`Workload`]), [`run`] it against some [`Contestant`]s and read the [`Comparison`]:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use sched::{
//!     Flags, Kind, Protocol, Rules, ServerSettings,
//!     laboratory::{self, Change, Contestant, Workload},
//! };
//!
//! let servers = ["10.9.0.1:80", "10.9.0.2:80", "10.9.0.3:80"].map(|it| it.parse().unwrap());
//! let history = Workload {
//!     servers: servers.iter().map(|it| (*it, ServerSettings::new(2))).collect(),
//!     changes: vec![(2_000, Change::Remove(servers[1]))],
//!     clients: 500,
//!     arrivals: 4_000,
//!     protocol: Protocol::Tcp,
//!     lifetime: 100,
//!     seed: 1,
//! }
//! .history();
//!
//! # let now = Instant::now();
//! let contestants = [
//!     Contestant::kernel(Kind::Sh, Flags::NONE, Rules::default()),
//!     Contestant::kernel(Kind::Mh, Flags::NONE, Rules::default()),
//! ];
//! let comparison = laboratory::run(&history, &contestants, now);
//! let [sh, mh] = &comparison.reports[..] else { unreachable!() };
//! assert!(sh.after_leave.moved_share() > 0.3, "sh deals its whole table anew");
//! assert!(mh.after_leave.moved_share() < 0.02, "mh hardly touches the other servers' clients");
//! println!("{comparison}");
//! ```
//!
//! The program `cargo run -p takeover-sched --example laboratory` shows all schedulers.

mod history;
mod report;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

pub use history::{Change, Event, History, Workload};
pub use report::{Comparison, Report, Returns, ServerShare, Trap};

use crate::{
    connection::Connection,
    flow::{Arrival, Flow, Protocol},
    kind::Kind,
    rules::Rules,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    service::Service,
};

/// A scheduler to be tried, with the flags and the kernel's rules of its service.
pub struct Contestant {
    label: String,
    flags: Flags,
    rules: Rules,
    scheduler: Box<dyn Fn() -> Box<dyn Scheduler>>,
}

impl Contestant {
    /// A scheduler of the kernel, labelled with its name and flags.
    #[must_use]
    pub fn kernel(kind: Kind, flags: Flags, rules: Rules) -> Self {
        let mut label = kind.to_string();
        let names = [
            (flags.fallback, "fallback"),
            (flags.port, "port"),
            (flags.one_packet, "ops"),
        ];
        for (_, name) in names.into_iter().filter(|(set, _)| *set) {
            label.push('+');
            label.push_str(name);
        }
        let scheduler_rules = rules.clone();
        Self::new(label, flags, rules, move || {
            kind.scheduler(&scheduler_rules)
        })
    }

    /// Any scheduler; `scheduler` makes a fresh one each time it is called.
    ///
    /// The rules are those by which its service sets overload marks and uses templates.
    pub fn new(
        label: impl Into<String>,
        flags: Flags,
        rules: Rules,
        scheduler: impl Fn() -> Box<dyn Scheduler> + 'static,
    ) -> Self {
        Self {
            label: label.into(),
            flags,
            rules,
            scheduler: Box::new(scheduler),
        }
    }
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contestant")
            .field("label", &self.label)
            .field("flags", &self.flags)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Runs a history against each contestant, beginning at `now`.
///
/// Deterministic: the same history gives the same comparison. What a service refuses to do (a
/// server added twice, the end of a connection that was refused) is passed over.
#[must_use]
pub fn run(history: &History, contestants: &[Contestant], now: Instant) -> Comparison {
    let is_udp = |event: &Event| match event {
        Event::Arrive { flow, .. } => flow.protocol == Protocol::Udp,
        Event::Change(_) | Event::Close { .. } | Event::Expire { .. } | Event::Wait(_) => false,
    };
    let has_udp = history.events().iter().any(is_udp);
    let reports = contestants.iter().map(|contestant| {
        let mut report = Run::new(contestant, now).play(history, |protocol| protocol);
        if has_udp {
            let as_tcp = Run::new(contestant, now).play(history, |_| Protocol::Tcp);
            report.find_udp_trap(&as_tcp);
        }
        report
    });
    Comparison {
        reports: reports.collect(),
    }
}

/// One contestant in the course of a history.
struct Run {
    service: Service,
    now: Instant,
    report: Report,
    connections: BTreeMap<u64, Connection>,
    clients: BTreeMap<IpAddr, Visit>,
    changes: ChangeCounts,
    /// The part of the picks that the edits gave to other servers, added up.
    edits_shift: f64,
    shares: BTreeMap<SocketAddr, ServerShare>,
}

/// A client's last visit.
struct Visit {
    server: ServerId,
    changes: ChangeCounts,
}

/// How many changes there have been, to tell whether there was one between two visits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct ChangeCounts {
    leaves: u32,
    edits: u32,
    joins: u32,
}

impl Run {
    fn new(contestant: &Contestant, now: Instant) -> Self {
        let (scheduler, rules) = ((contestant.scheduler)(), contestant.rules.clone());
        let mut service = Service::with_scheduler(scheduler, rules, now);
        service.set_flags(contestant.flags);
        Self {
            service,
            now,
            report: Report::new(contestant.label.clone()),
            connections: BTreeMap::new(),
            clients: BTreeMap::new(),
            changes: ChangeCounts::default(),
            edits_shift: 0.0,
            shares: BTreeMap::new(),
        }
    }

    fn play(mut self, history: &History, protocol: impl Fn(Protocol) -> Protocol) -> Report {
        for event in history.events() {
            match *event {
                Event::Change(change) => self.change(change),
                Event::Arrive {
                    connection,
                    flow,
                    random,
                } => {
                    let flow = Flow {
                        protocol: protocol(flow.protocol),
                        ..flow
                    };
                    self.arrive(connection, &Arrival::new(flow, self.now, random));
                }
                Event::Close { connection } => {
                    if let Some(connection) = self.connections.get_mut(&connection) {
                        self.service.set_active(connection, false);
                    }
                }
                Event::Expire { connection } => {
                    if let Some(connection) = self.connections.remove(&connection) {
                        self.service.expire(connection, self.now);
                    }
                }
                Event::Wait(span) => self.now = self.now.checked_add(span).unwrap_or(self.now),
            }
        }
        self.report
            .finish(self.shares.into_values().collect(), self.edits_shift);
        self.report
    }

    fn change(&mut self, change: Change) {
        let before = self.fair_shares();
        let (service, now) = (&mut self.service, self.now);
        let counter = match change {
            Change::Add(address, settings) => service
                .add_server(address, settings, now)
                .map(|_| &mut self.changes.joins),
            Change::Edit(address, settings) => service
                .edit_server(address, settings, now)
                .map(|_| &mut self.changes.edits),
            Change::Remove(address) => service
                .remove_server(address, now)
                .map(|_| &mut self.changes.leaves),
        };
        if let Ok(counter) = counter {
            *counter += 1;
        }
        if matches!(change, Change::Edit(..)) {
            let gain = |(address, share): (&SocketAddr, &f64)| {
                (share - before.get(address).unwrap_or(&0.0)).max(0.0)
            };
            self.edits_shift += self.fair_shares().iter().map(gain).sum::<f64>();
        }
    }

    fn arrive(&mut self, number: u64, arrival: &Arrival) {
        self.expect_fair_shares();
        self.report.arrivals += 1;
        let client = arrival.flow.client.ip();
        let last = self.clients.get(&client).filter(|visit| {
            // A client whose server cannot take it has to move, whoever schedules.
            self.service.servers().usable(visit.server).is_some()
        });
        let last = last.map(|visit| (visit.server, visit.changes));
        let usable = self.service.servers().iter().any(Server::is_usable);
        let Some(pick) = self.service.connect(arrival) else {
            self.report.refused += 1;
            self.report.refused_though_usable += u64::from(usable);
            return;
        };
        if let Some((server, then)) = last {
            let returns = if then.leaves != self.changes.leaves {
                &mut self.report.after_leave
            } else if then.edits != self.changes.edits {
                &mut self.report.after_edit
            } else if then.joins != self.changes.joins {
                &mut self.report.after_join
            } else {
                &mut self.report.undisturbed
            };
            returns.returned += 1;
            returns.moved += u64::from(pick.server != server);
        }
        self.clients.insert(
            client,
            Visit {
                server: pick.server,
                changes: self.changes,
            },
        );
        self.shares
            .entry(pick.address)
            .or_insert_with(|| ServerShare::new(pick.address))
            .picks += 1;
        if let Some(connection) = pick.connection {
            self.connections.insert(number, connection);
        }
    }

    /// Adds to each usable server the part of one pick that is its share.
    fn expect_fair_shares(&mut self) {
        for (address, fair) in self.fair_shares() {
            let new = || ServerShare::new(address);
            self.shares.entry(address).or_insert_with(new).fair += fair;
        }
    }

    /// The share of each usable server by weight.
    fn fair_shares(&self) -> BTreeMap<SocketAddr, f64> {
        let servers = self.service.servers().iter();
        let usable = servers.filter(|server| server.is_usable());
        let total: f64 = usable.clone().map(|it| f64::from(it.weight())).sum();
        usable
            .map(|it| (it.address(), f64::from(it.weight()) / total))
            .collect()
    }
}
