//! Nanoseconds per pick of each scheduler, by the number of servers.
//!
//! ```text
//! cargo bench -p takeover-benches --bench sched_picks
//! ```

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkId, Criterion};
use sched::Flags;
use takeover_benches::sched_pool::{Arrivals, SIZES, schedulers, service};

#[expect(
    clippy::disallowed_methods,
    reason = "the origin of the benchmark's virtual time"
)]
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let now = Instant::now();
    let mut group = criterion.benchmark_group("pick");
    for size in SIZES {
        for mut scheduler in schedulers() {
            let pool = service(
                sched::Kind::Rr.scheduler(&sched::Rules::default()),
                size,
                now,
            );
            scheduler.start(pool.servers(), now);
            let name = scheduler.name().to_owned();
            let mut arrivals = Arrivals::new(now);
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    black_box(scheduler.pick(arrivals.draw(), Flags::NONE, pool.servers()))
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
