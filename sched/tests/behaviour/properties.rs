//! What holds for every scheduler in every history.

use std::{cmp::Reverse, time::Duration};

use proptest::prelude::*;
use sched::{
    Flags, Kind, Overhead, Persistence, Rules, Scheduler, Server,
    beyond::{BoundedLoads, PeakEwma, SmoothWrr},
};

use crate::{
    Bench,
    history::{Run, Step, steps},
};

proptest! {
    #[test]
    fn a_pick_is_what_the_scheduler_is_defined_to_pick(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        fallback in any::<bool>(),
        steps in steps(),
    ) {
        let flags = flags(fallback, false);
        let mut run = Run::new(Bench::new(kind), flags);
        for step in &steps {
            let before: Vec<Server> = run.bench.service.servers().iter().cloned().collect();
            let Some(picked) = run.step(step) else { continue };
            let chosen = picked.server.map(|number| {
                before.iter().position(|it| crate::number(it.address()) == number).expect("listed")
            });
            match chosen {
                Some(chosen) => check_choice(kind, &before, chosen)?,
                None => check_refusal(kind, flags, &before)?,
            }
        }
    }

    #[test]
    fn the_same_history_gives_the_same_picks_and_every_connection_stays_counted(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        set in (any::<bool>(), any::<bool>()),
        persistent in any::<bool>(),
        linux_2026 in any::<bool>(),
        steps in steps(),
    ) {
        let new = || {
            let rules = if linux_2026 { Rules::linux_2026() } else { Rules::default() };
            let (fallback, port) = set;
            let mut run = Run::new(Bench::with_rules(kind, rules), flags(fallback, port));
            let persistence = Persistence::new(Duration::from_secs(100_000));
            run.bench.service.set_persistence(persistent.then_some(persistence));
            run
        };
        let (mut one, mut two) = (new(), new());
        for step in &steps {
            prop_assert_eq!(one.step(step), two.step(step));
        }
        let handles = one.connections.iter().filter(|connection| {
            one.bench.service.servers().get(connection.server()).is_some_and(Server::is_listed)
        });
        let counted: u64 = one.bench.service.servers().iter().map(Server::connections).sum();
        prop_assert_eq!(counted, handles.count() as u64);
        one.bench.now += Duration::from_secs(10_000_000);
        for connection in one.connections {
            one.bench.service.expire(connection, one.bench.now);
        }
        for _ in 0..3 {
            // Templates, then the servers that only they referred to.
            one.bench.now += Duration::from_secs(10_000_000);
            one.bench.service.handle_timeout(one.bench.now);
        }
        for server in one.bench.service.servers().iter() {
            prop_assert_eq!((server.connections(), server.templates()), (0, 0));
            prop_assert!(!server.is_overloaded());
        }
        prop_assert_eq!(one.bench.service.poll_timeout(), None);
    }

    #[test]
    fn schedulers_beyond_the_kernel_pick_usable_servers_and_refuse_only_without_one(
        which in 0..3_u8,
        steps in steps(),
    ) {
        let scheduler: Box<dyn Scheduler> = match which {
            0 => Box::new(SmoothWrr::new()),
            1 => Box::new(BoundedLoads::new(25)),
            _ => Box::new(PeakEwma::new(Duration::from_secs(10), Duration::from_millis(1))),
        };
        let mut bench = Bench::new(Kind::Rr);
        bench.service.set_scheduler(scheduler, bench.now).unwrap();
        let mut run = Run::new(bench, Flags::NONE);
        for step in &steps {
            let servers = run.bench.service.servers().iter();
            let usable: Vec<u8> =
                servers.filter(|it| it.is_usable()).map(|it| crate::number(it.address())).collect();
            match run.step(step).map(|picked| picked.server) {
                Some(Some(server)) => prop_assert!(usable.contains(&server)),
                Some(None) => prop_assert!(usable.is_empty()),
                None => {}
            }
        }
    }

    #[test]
    fn a_late_driver_gives_the_decisions_of_a_punctual_one(
        kind in prop::sample::select(vec![Kind::Lblc, Kind::Lblcr, Kind::Wlc]),
        linux_2026 in any::<bool>(),
        steps in steps(),
    ) {
        let new = || {
            let rules = if linux_2026 { Rules::linux_2026() } else { Rules::default() };
            let mut run = Run::new(Bench::with_rules(kind, rules), Flags::NONE);
            let persistence = Persistence::new(Duration::from_secs(1000));
            run.bench.service.set_persistence(Some(persistence));
            run
        };
        let (mut late, mut punctual) = (new(), new());
        for step in &steps {
            if let Step::Wait(seconds) = step {
                let until = punctual.bench.now + Duration::from_secs(*seconds);
                let service = &mut punctual.bench.service;
                while let Some(at) = service.poll_timeout().filter(|at| *at <= until) {
                    service.handle_timeout(at);
                    prop_assert!(service.poll_timeout().is_none_or(|next| next > at), "a busy loop");
                }
            }
            prop_assert_eq!(late.step(step), punctual.step(step));
        }
    }
}

fn flags(fallback: bool, port: bool) -> Flags {
    let mut flags = Flags::NONE;
    (flags.fallback, flags.port) = (fallback, port);
    flags
}

/// That the choice is one the scheduler may make among `servers`, in list order.
fn check_choice(kind: Kind, servers: &[Server], chosen: usize) -> Result<(), TestCaseError> {
    let it = &servers[chosen];
    prop_assert!(it.weight() > 0, "weight 0");
    prop_assert!(!it.is_overloaded() || kind == Kind::Lblc, "overloaded");
    let active = |it: &Server| u64::from(it.active());
    let load = |it: &Server| Overhead::ActiveAndInactive.of(it);
    // Exact division, which the schedulers avoid: 60 is a multiple of every weight here.
    let per_weight = |load: u64, it: &Server| load * 60 / u64::from(it.weight());
    let best = match kind {
        Kind::Lc => first_least(servers, Server::is_usable, load),
        Kind::Wlc => first_least(servers, Server::is_usable, |it| per_weight(load(it), it)),
        Kind::Sed => first_least(servers, Server::is_usable, |it| {
            per_weight(active(it) + 1, it)
        }),
        Kind::Nq => first_least(servers, Server::is_usable, |it| match active(it) {
            0 => 0,
            active => per_weight(active + 1, it),
        }),
        Kind::Fo => first_least(servers, Server::is_usable, |it| Reverse(it.weight())),
        Kind::Ovf => first_least(servers, has_room, |it| Reverse(it.weight())),
        Kind::Rr
        | Kind::Wrr
        | Kind::Lblc
        | Kind::Lblcr
        | Kind::Dh
        | Kind::Sh
        | Kind::Mh
        | Kind::Twos => Some(chosen),
    };
    prop_assert_eq!(Some(chosen), best);
    Ok(())
}

/// The first of those that are eligible and have the least measure.
fn first_least<K: Ord>(
    servers: &[Server],
    eligible: impl Fn(&Server) -> bool,
    measure: impl Fn(&Server) -> K,
) -> Option<usize> {
    let eligible = (0..servers.len()).filter(|it| eligible(&servers[*it]));
    eligible.min_by_key(|it| measure(&servers[*it]))
}

/// That the scheduler may refuse with these servers.
fn check_refusal(kind: Kind, flags: Flags, servers: &[Server]) -> Result<(), TestCaseError> {
    let usable = servers.iter().any(Server::is_usable);
    let may_refuse_though_usable = match kind {
        Kind::Dh => true,
        Kind::Sh | Kind::Mh => !flags.fallback,
        Kind::Ovf => !servers.iter().any(has_room),
        Kind::Rr
        | Kind::Wrr
        | Kind::Lc
        | Kind::Wlc
        | Kind::Lblc
        | Kind::Lblcr
        | Kind::Sed
        | Kind::Nq
        | Kind::Fo
        | Kind::Twos => false,
    };
    prop_assert!(!usable || may_refuse_though_usable, "{} refused", kind);
    Ok(())
}

fn has_room(server: &Server) -> bool {
    server.is_usable() && server.active() <= server.weight()
}
