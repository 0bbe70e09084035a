//! Nanoseconds per change of a service, by scheduler and number of servers: a connection that
//! comes and goes (pick, counters, thresholds, and what the scheduler makes of them), a weight
//! that is edited, and a server that is removed and added again.
//!
//! ```text
//! cargo bench -p takeover-benches --bench sched_changes
//! ```

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkId, Criterion};
use sched::Service;
use takeover_benches::sched_pool::{Arrivals, SIZES, schedulers, server, service, settings};

#[expect(
    clippy::disallowed_methods,
    reason = "the origin of the benchmark's virtual time"
)]
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let now = Instant::now();
    let mut arrivals = Arrivals::new(now);
    bench(&mut criterion, "connection", now, |pool, _| {
        if let Some(connection) = pool
            .connect(arrivals.draw())
            .and_then(|pick| pick.connection)
        {
            pool.expire(connection, now);
        }
    });
    let mut number = 0;
    bench(&mut criterion, "edit", now, |pool, size| {
        number += 1;
        let address = server(number % size);
        black_box(pool.edit_server(address, settings(number / size), now)).expect("is there");
    });
    bench(&mut criterion, "replace", now, |pool, size| {
        number += 1;
        let address = server(number % size);
        black_box(pool.remove_server(address, now)).expect("is there");
        black_box(pool.add_server(address, settings(number), now)).expect("is not there");
    });
    criterion.final_summary();
}

/// Measures `change` on a service of each scheduler and size.
fn bench(
    criterion: &mut Criterion,
    name: &str,
    now: Instant,
    mut change: impl FnMut(&mut Service, u32),
) {
    let mut group = criterion.benchmark_group(name);
    for size in SIZES {
        for scheduler in schedulers() {
            let id = BenchmarkId::new(scheduler.name().to_owned(), size);
            let mut pool = service(scheduler, size, now);
            group.bench_function(id, |bencher| bencher.iter(|| change(&mut pool, size)));
        }
    }
    group.finish();
}
