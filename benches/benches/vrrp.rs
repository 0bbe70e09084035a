//! What an advertisement costs: on the wire, in a virtual router, in a node of 250 routers.
//!
//! Also prints how often memory is allocated for each.

use std::{
    hint::black_box,
    iter,
    net::IpAddr,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vrrp::{
    Addresses, Advertisement, Checksum, Family, Input, Link, LinkAddress, Links, Node, NodeInput,
    NodeOutput, Output, Packet, Priority, Received, Role, RouterConfig, TTL, Version, Vip,
    VirtualRouter, Vrid,
};

const OWN: [u8; 4] = [192, 0, 2, 1];
const RIVAL: [u8; 4] = [192, 0, 2, 2];
const ROUTERS: u8 = 250;

fn packet(criterion: &mut Criterion) {
    let (source, group) = (IpAddr::from(OWN), Family::V4.multicast_group());
    let mut benches = criterion.benchmark_group("packet");
    for (name, version, count) in [
        ("v2, 1 address", Version::V2, 1),
        ("v3, 1 address", Version::V3, 1),
        ("v3, 20 addresses", Version::V3, 20),
        ("v3, 255 addresses", Version::V3, 255),
    ] {
        let advert = advert(version, count);
        let mut message = Vec::with_capacity(advert.wire_len());
        advert.emit(&mut message, Checksum::Message, source, group);
        let parse = |known: &Addresses| {
            let packet = Packet::parse(black_box(&message), source, group);
            packet
                .expect("it was emitted so")
                .to_advertisement(Some(known))
        };
        let mut buffer = Vec::with_capacity(advert.wire_len());
        let mut emit = || {
            buffer.clear();
            black_box(&advert).emit(&mut buffer, Checksum::Message, source, group);
        };
        tell_allocations(&format!("packet/parse {name}"), || {
            black_box(parse(advert.addresses()));
        });
        tell_allocations(&format!("packet/emit {name}"), &mut emit);
        benches.bench_function(format!("parse {name}"), |bencher| {
            bencher.iter(|| parse(advert.addresses()));
        });
        benches.bench_function(format!("emit {name}"), |bencher| bencher.iter(&mut emit));
    }
    benches.finish();
}

fn router(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("router");
    let interval = Duration::from_secs(1);

    let (mut backup, mut now) = started();
    let received = received(&config(1));
    let mut advert_as_backup = || {
        now += interval;
        backup.handle(Input::Advert(black_box(&received).clone()), now);
        assert!(backup.poll_output().is_none());
        black_box(backup.poll_timeout());
    };
    tell_allocations("router/advert as backup", &mut advert_as_backup);
    benches.bench_function("advert as backup", |bencher| {
        bencher.iter(&mut advert_as_backup);
    });

    let (mut master, _) = started();
    let mut timeout_as_master = || {
        let at = master.poll_timeout().expect("a master advertises");
        master.handle(Input::Timeout, at);
        while let Some(output) = master.poll_output() {
            if let Output::Acquire(_) = output {
                master.handle(Input::Acquired, at);
            }
            black_box(&output);
        }
    };
    // It becomes master and does what it does only in the beginning.
    (0..20).for_each(|_| timeout_as_master());
    tell_allocations("router/timeout as master", &mut timeout_as_master);
    benches.bench_function("timeout as master", |bencher| {
        bencher.iter(&mut timeout_as_master);
    });
    benches.finish();
}

fn node(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("node of 250 routers");

    let (mut node, mut now) = node_of_backups();
    let adverts: Vec<_> = (1..=ROUTERS)
        .map(|number| NodeInput::Received {
            interface: "eth0".into(),
            received: received(&config(number)),
        })
        .collect();
    let mut adverts = adverts.iter().cycle();
    let mut advert = || {
        now += Duration::from_millis(4);
        let input = adverts.next().expect("a cycle has no end");
        node.handle(black_box(input).clone(), now);
        assert!(node.poll_output().is_none());
        black_box(node.poll_timeout());
    };
    (0..ROUTERS).for_each(|_| advert());
    tell_allocations("node of 250 routers/advert as backup", &mut advert);
    benches.bench_function("advert as backup", |bencher| bencher.iter(&mut advert));

    let (mut node, _) = node_of_backups();
    let mut timeout = || {
        let at = node.poll_timeout().expect("a master advertises");
        node.handle(NodeInput::Timeout, at);
        let mut sent = 0;
        while let Some(output) = node.poll_output() {
            if let NodeOutput::Router { id, output } = black_box(output) {
                sent += u32::from(matches!(output, Output::Transmit { .. }));
                if let Output::Acquire(_) = output {
                    let input = Input::Acquired;
                    node.handle(NodeInput::Router { id, input }, at);
                }
            }
        }
        sent
    };
    // All become master at one time, so all are due at one time.
    let beginning = iter::repeat_with(&mut timeout).take(50);
    assert!(beginning.skip(20).all(|sent| sent == u32::from(ROUTERS)));
    benches.throughput(Throughput::Elements(ROUTERS.into()));
    benches.bench_function("timeout as master of all", |bencher| {
        bencher.iter(&mut timeout);
    });
    benches.finish();
}

fn config(number: u8) -> RouterConfig {
    let vip = Vip::host([10, 0, number, 100].into());
    let vrid = Vrid::new(number).expect("it is from 1 on");
    RouterConfig::new(&format!("VI_{number}"), "eth0", vrid, vec![vip])
}

fn advert(version: Version, addresses: u8) -> Advertisement {
    let mut config = config(51);
    config.version = version;
    config.vips = (0..addresses)
        .map(|host| Vip::host([10, 0, 0, host].into()))
        .collect();
    config.advertisement().expect("a good configuration")
}

fn received(config: &RouterConfig) -> Received {
    let advert = config.advertisement().expect("a good configuration");
    Received::new(
        advert.with_priority(Priority::HIGHEST_BACKUP),
        RIVAL.into(),
        Family::V4.multicast_group(),
        TTL,
        Checksum::Message,
    )
}

/// A backup, and a time from which on things happen.
fn started() -> (VirtualRouter, Instant) {
    let now = any_time();
    let mut router = VirtualRouter::new(config(1)).expect("a good configuration");
    let primary = Some(IpAddr::from(OWN));
    let running = true;
    router.handle(Input::Link { running, primary }, now);
    router.handle(Input::Start, now);
    while router.poll_output().is_some() {}
    assert_eq!(router.role(), Role::Backup);
    (router, now)
}

fn node_of_backups() -> (Node, Instant) {
    let now = any_time();
    let mut node = Node::new();
    let eth0 = Link::running(1, vec![LinkAddress::usable(OWN.into(), 24)]);
    node.handle(NodeInput::Links(Links::from([("eth0".into(), eth0)])), now);
    node.configure((1..=ROUTERS).map(config).collect(), now)
        .expect("a good configuration");
    while node.poll_output().is_some() {}
    (node, now)
}

fn any_time() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "the origin of the benchmark's virtual time"
    )]
    let now = Instant::now();
    now
}

#[expect(clippy::print_stdout, reason = "it is a result of the benchmark")]
fn tell_allocations(name: &str, operation: impl FnMut()) {
    const TIMES: u64 = 1000;
    let mut operation = operation;
    operation();
    let allocated = allocation_counter::measure(|| (0..TIMES).for_each(|_| operation()));
    println!("{name}: {} allocations in {TIMES}", allocated.count_total);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    targets = packet, router, node
}
criterion_main!(benches);
