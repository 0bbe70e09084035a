//! What a reload of a large `keepalived.conf` with one change takes, step by step: 2,277 virtual
//! servers with 37,205 real servers, in which one weight changes.
//!
//! All steps but the first are about the difference alone. What is around them (the request, the
//! kernel's answer, the log) is timed by the `guest_director` benchmark of the lab.

#![expect(clippy::disallowed_methods, reason = "a fleet begins at some instant")]

use std::{
    ffi::OsString,
    fmt::Write as _,
    hint::black_box,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use director::{
    balance::{Balancer, CheckName, Probes},
    conf::{Environment, MemoryEnvironment, Options, load, load_after, model::Config},
    plan::{Kernel, Plan, Tables},
    script::{run::ProcessRunner, security::Policy},
};
use health::{Check, Fleet};
use ipvs::{DestinationState, Ownership, ServiceState, Snapshot, Table, Timeouts};

const PATH: &str = "/etc/keepalived/keepalived.conf";
const VIRTUAL_SERVERS: usize = 2_277;
const REAL_SERVERS: usize = 37_205;

fn reload(criterion: &mut Criterion) {
    let [old, new] = [1, 2].map(|weight| MemoryEnvironment::with_file(PATH, text(weight)));
    let before = read(&old);
    let mut running = Running::start(&before);
    let after = read_after(&before, &new);
    let wanted = running.foresee(&after);
    assert_eq!(running.table.differing(&wanted).len(), 1);

    let mut group = criterion.benchmark_group("reload");
    group.sample_size(20);
    group.bench_function("read the file", |bencher| {
        bencher.iter(|| read_after(&before, black_box(&new)));
    });
    group.bench_function("foresee the table", |bencher| {
        bencher.iter(|| running.foresee(black_box(&after)));
    });
    group.bench_function("plan", |bencher| {
        let snapshot = running.snapshot_of_differing(&wanted);
        bencher.iter(|| {
            let kernel = Kernel::new(&Tables {
                running: &snapshot,
                before: &running.table,
                after: black_box(&wanted),
                owned: &Ownership::default(),
                grace: Duration::ZERO,
            });
            assert_eq!(kernel.changes.len(), 1);
            Plan::new(Some(&before), &after, Some(kernel))
        });
    });
    group.finish();
}

fn text(weight: u32) -> String {
    let mut text = String::new();
    for number in 0..VIRTUAL_SERVERS {
        let (high, low) = (number / 250, number % 250);
        write!(
            text,
            "virtual_server 10.{high}.{low}.1 80 {{\n  delay_loop 60\n  lvs_sched wrr\n  \
             lvs_method DR\n  protocol TCP\n"
        )
        .expect("a string takes any text");
        let more = usize::from(number < REAL_SERVERS % VIRTUAL_SERVERS);
        for server in 2..2 + REAL_SERVERS / VIRTUAL_SERVERS + more {
            let weight = if (number, server) == (1000, 5) {
                weight
            } else {
                1
            };
            write!(
                text,
                "  real_server 10.{high}.{low}.{server} 80 {{\n    weight {weight}\n    \
                 TCP_CHECK {{\n      connect_timeout 3\n    }}\n  }}\n"
            )
            .expect("a string takes any text");
        }
        text.push_str("}\n");
    }
    text
}

fn read(machine: &dyn Environment) -> Config {
    let loaded = load(PATH, machine, &Options::default()).expect("the file is there");
    loaded.config.expect("it is good")
}

fn read_after(before: &Config, machine: &dyn Environment) -> Config {
    let loaded = load_after(before, PATH, machine, &Options::default());
    let loaded = loaded.expect("the file is there");
    loaded.config.expect("it is good")
}

/// What runs, as the daemon has it, without its tasks.
struct Running {
    probes: Probes,
    fleet: Fleet<CheckName, Check>,
    balancer: Balancer,
    table: Table,
}

impl Running {
    fn start(config: &Config) -> Self {
        let policy = Policy::new(false, None, OsString::new());
        let mut probes = Probes::new(Arc::new(ProcessRunner::new(policy)));
        let mut fleet = Fleet::new(NonZeroUsize::MIN, 0);
        let asks = probes.recheck(config).expect("they connect alone").asks;
        fleet
            .configure(asks, Instant::now())
            .expect("their names differ");
        probes.follow(config);
        let mut balancer = Balancer::new(Timeouts::default());
        balancer.configure(config, |check| fleet.standing(check), Instant::now());
        let table = balancer.table();
        Self {
            probes,
            fleet,
            balancer,
            table,
        }
    }

    /// The table that would be.
    fn foresee(&mut self, config: &Config) -> Table {
        let recheck = self.probes.recheck(config).expect("they connect alone");
        let foreseen = self.fleet.foresee(recheck.asks);
        let foreseen = foreseen.expect("their names differ");
        let mut balancer = self.balancer.clone();
        balancer.configure(config, |check| foreseen.get(check).copied(), Instant::now());
        balancer.table()
    }

    /// What the kernel tells of the services that will be others.
    fn snapshot_of_differing(&self, wanted: &Table) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for key in self.table.differing(wanted) {
            let Some(service) = self.table.services.get(&key) else {
                continue;
            };
            let mut state = ServiceState::new(key, service.settings);
            let destinations = service.destinations.iter();
            let destinations = destinations.map(|(key, it)| DestinationState::new(*key, *it));
            state.destinations = destinations.collect();
            snapshot.services.push(state);
        }
        snapshot
    }
}

criterion_group!(benches, reload);
criterion_main!(benches);
