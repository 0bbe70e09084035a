//! Nanoseconds per choice of a server, beside the selections of tower and of
//! pingora-load-balancing.
//!
//! ```text
//! cargo bench -p takeover-benches --bench sched_peers
//! RUSTFLAGS="--cfg pingora" cargo bench -p takeover-benches --bench sched_peers   # needs cmake
//! ```
//!
//! pingora's selections are one crate with its server, which cannot be built without zlib-ng and
//! so without cmake; the second line, not the first, has all peers in one run.
//!
//! What is compared: of this crate, [`sched::Scheduler::pick`] and, as `service`, the pick with
//! all its counting ([`sched::Service::connect`] and `expire`). Of tower, a `p2c::Balance` made
//! ready and called, which is the only way in which it chooses; its endpoints are always ready
//! and its load is the number of pending requests. Of pingora, the first backend of an iterator,
//! which is what its `LoadBalancer::select` takes when all are healthy. pingora and tower do not
//! count connections by themselves; pingora repeats a backend in its table by its weight.

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkId, Criterion};
use sched::{Flags, Kind, Rules};
use takeover_benches::sched_pool::{Arrivals, SIZES, service};

#[expect(
    clippy::disallowed_methods,
    reason = "the origin of the benchmark's virtual time"
)]
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    #[cfg(not(pingora))]
    say_that_pingora_is_left_out();
    let now = Instant::now();
    for size in SIZES {
        ours(&mut criterion, size, now);
        tower::bench(&mut criterion, size);
        #[cfg(pingora)]
        pingora::bench(&mut criterion, size);
    }
    criterion.final_summary();
}

#[cfg(not(pingora))]
#[expect(
    clippy::print_stderr,
    reason = "for the person who looks for pingora in the figures"
)]
fn say_that_pingora_is_left_out() {
    eprintln!("pingora is left out: it needs cmake and RUSTFLAGS=\"--cfg pingora\"\n");
}

fn ours(criterion: &mut Criterion, size: u32, now: Instant) {
    let mut group = criterion.benchmark_group("peers");
    for kind in [
        Kind::Rr,
        Kind::Wrr,
        Kind::Wlc,
        Kind::Sh,
        Kind::Mh,
        Kind::Twos,
    ] {
        let mut scheduler = kind.scheduler(&Rules::default());
        let mut pool = service(kind.scheduler(&Rules::default()), size, now);
        scheduler.start(pool.servers(), now);
        let mut arrivals = Arrivals::new(now);
        group.bench_function(BenchmarkId::new(format!("sched-{kind}"), size), |bencher| {
            bencher
                .iter(|| black_box(scheduler.pick(arrivals.draw(), Flags::NONE, pool.servers())));
        });
        group.bench_function(
            BenchmarkId::new(format!("service-{kind}"), size),
            |bencher| {
                bencher.iter(|| {
                    if let Some(connection) =
                        pool.connect(arrivals.draw()).and_then(|it| it.connection)
                    {
                        pool.expire(connection, now);
                    }
                });
            },
        );
    }
    group.finish();
}

mod tower {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        hint::black_box,
        task::{Context, Poll, Waker},
    };

    use criterion::{BenchmarkId, Criterion};
    use tower::{
        Service, balance::p2c::Balance, discover::ServiceList, load::CompleteOnResponse,
        load::PendingRequests,
    };

    /// An endpoint that is always ready and answers at once with its number.
    struct Endpoint(u32);

    impl Service<()> for Endpoint {
        type Response = u32;
        type Error = Infallible;
        type Future = Ready<Result<u32, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            ready(Ok(self.0))
        }
    }

    pub(super) fn bench(criterion: &mut Criterion, size: u32) {
        let endpoints: Vec<_> = (0..size)
            .map(|number| PendingRequests::new(Endpoint(number), CompleteOnResponse::default()))
            .collect();
        let mut balance = Balance::new(ServiceList::new::<()>(endpoints));
        let mut context = Context::from_waker(Waker::noop());
        let mut group = criterion.benchmark_group("peers");
        group.bench_function(BenchmarkId::new("tower-p2c", size), |bencher| {
            bencher.iter(|| {
                assert!(Service::<()>::poll_ready(&mut balance, &mut context).is_ready());
                drop(black_box(balance.call(())));
            });
        });
        group.finish();
    }
}

#[cfg(pingora)]
mod pingora {
    use std::{collections::BTreeSet, hint::black_box, sync::Arc};

    use criterion::{BenchmarkId, Criterion};
    use pingora_load_balancing::{
        Backend,
        selection::{BackendIter, BackendSelection, Consistent, FNVHash, Random, RoundRobin},
    };
    use takeover_benches::sched_pool::{server, settings};

    pub(super) fn bench(criterion: &mut Criterion, size: u32) {
        one::<RoundRobin>(criterion, "round-robin", size);
        one::<Random>(criterion, "random", size);
        one::<FNVHash>(criterion, "fnv-hash", size);
        one::<Consistent>(criterion, "ketama", size);
    }

    fn one<S>(criterion: &mut Criterion, name: &str, size: u32)
    where
        S: BackendSelection,
        S::Iter: BackendIter,
    {
        let backends: BTreeSet<_> = (0..size)
            .map(|number| {
                let weight = settings(number).weight as usize;
                Backend::new_with_weight(&server(number).to_string(), weight).expect("an address")
            })
            .collect();
        let selection = Arc::new(S::build(&backends));
        let mut key = 0_u32;
        let mut group = criterion.benchmark_group("peers");
        group.bench_function(
            BenchmarkId::new(format!("pingora-{name}"), size),
            |bencher| {
                bencher.iter(|| {
                    key = key.wrapping_add(1);
                    black_box(selection.iter(&key.to_be_bytes()).next().is_some())
                });
            },
        );
        group.finish();
    }
}
