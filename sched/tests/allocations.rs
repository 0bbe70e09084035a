//! A pick allocates nothing.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use sched::{
    Arrival, Flags, Flow, Kind, Persistence, Rules, Scheduler, ServerSettings, Service,
    beyond::{BoundedLoads, PeakEwma, SmoothWrr},
};

#[test]
fn no_scheduler_allocates_for_a_pick_or_for_a_connection_that_comes_and_goes() {
    let kernel = Kind::ALL.map(|kind| kind.scheduler(&Rules::default()));
    let beyond: [Box<dyn Scheduler>; 3] = [
        Box::new(SmoothWrr::new()),
        Box::new(BoundedLoads::new(25)),
        Box::new(PeakEwma::new(
            Duration::from_secs(10),
            Duration::from_millis(1),
        )),
    ];
    for scheduler in kernel.into_iter().chain(beyond) {
        let name = scheduler.name().to_owned();
        assert_eq!(allocations(scheduler, None), 0, "{name}");
    }
}

#[test]
fn the_count_is_not_blind() {
    let one = allocation_counter::measure(|| {
        std::hint::black_box(Vec::<u8>::with_capacity(100));
    });
    assert_eq!(one.count_total, 1);
}

#[test]
fn a_pick_by_a_persistence_template_allocates_nothing() {
    let scheduler = Kind::Wlc.scheduler(&Rules::default());
    assert_eq!(
        allocations(scheduler, Some(Persistence::new(Duration::from_secs(300)))),
        0
    );
}

/// How often memory is allocated for a thousand connections of clients that came once before.
#[expect(clippy::disallowed_methods, reason = "an arbitrary moment")]
fn allocations(scheduler: Box<dyn Scheduler>, persistence: Option<Persistence>) -> u64 {
    let now = Instant::now();
    let address = |number: u32| SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 80));
    let mut service = Service::with_scheduler(scheduler, Rules::default(), now);
    service.set_persistence(persistence);
    service.set_flags(Flags::NONE.with_fallback());
    for number in 0..128 {
        // Some that no scheduler may pick, so that fallbacks and searches are on the way.
        let settings = ServerSettings::new(number % 5);
        service
            .add_server(address(number), settings, now)
            .expect("a new server");
    }
    let mut round = || {
        for client in 0..1000_u32 {
            let flow = Flow::tcp(address(1000 + client), address(100_000 + client % 7));
            let random = u64::from(client).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let pick = service.connect(&Arrival::new(flow, now, random));
            if let Some(connection) = pick.and_then(|pick| pick.connection) {
                service.expire(connection, now);
            }
        }
    };
    round();
    allocation_counter::measure(round).count_total
}
