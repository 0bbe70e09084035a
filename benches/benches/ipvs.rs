//! What a large table costs: 2,277 services with 17 destinations each, about 38,700 in all.
//!
//! ```text
//! cargo bench -p takeover-benches --bench ipvs
//! ```

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ipvs::{
    DestinationSettings, Endpoint, Forwarding, Ownership, ServiceKey, ServiceSettings, Table,
    Weight, plan, plan_owned,
    text::{Dialect, Names, parse_table, save},
    wire::Request,
};

const SERVICES: u16 = 2_277;
const DESTINATIONS: u8 = 17;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    plans(&mut criterion);
    texts(&mut criterion);
    messages(&mut criterion);
    criterion.final_summary();
}

fn plans(criterion: &mut Criterion) {
    let current = table();
    let owned = Ownership::of(&current);
    let mut changed = current.clone();
    let last = changed.services_mut().last();
    let settings = last.and_then(|service| service.destinations.values_mut().next());
    settings.expect("there is one").weight = weight(7);
    assert_eq!(plan(&current, &changed).len(), 1);

    let mut group = criterion.benchmark_group("ipvs_plan");
    let all = u64::from(SERVICES) * u64::from(DESTINATIONS + 1);
    group.throughput(Throughput::Elements(all));
    group.bench_function("nothing to do", |bencher| {
        bencher.iter(|| plan(black_box(&current), black_box(&current)));
    });
    group.bench_function("one weight", |bencher| {
        bencher.iter(|| plan(black_box(&current), black_box(&changed)));
    });
    group.bench_function("one weight among strangers", |bencher| {
        bencher.iter(|| plan_owned(black_box(&current), black_box(&changed), &owned));
    });
    group.bench_function("everything", |bencher| {
        bencher.iter(|| plan(&Table::default(), black_box(&current)));
    });
    group.finish();
}

fn texts(criterion: &mut Criterion) {
    let table = table();
    let text = save(&table, Dialect::Ipvsadm, &Names::default());
    let mut group = criterion.benchmark_group("ipvs_text");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("save", |bencher| {
        bencher.iter(|| save(black_box(&table), Dialect::Ipvsadm, &Names::default()));
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| parse_table(black_box(&text)).expect("it was saved"));
    });
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let changes = plan(&Table::default(), &table());
    let mut buffer = Vec::new();
    let mut group = criterion.benchmark_group("ipvs_wire");
    group.throughput(Throughput::Elements(changes.len() as u64));
    group.bench_function("encode every change", |bencher| {
        bencher.iter(|| {
            for change in &changes {
                buffer.clear();
                Request::Change(*black_box(change)).encode(&mut buffer);
            }
        });
    });
    group.bench_function("decode every change", |bencher| {
        let encoded = changes.iter().map(|change| {
            let mut message = Vec::new();
            Request::Change(*change).encode(&mut message);
            message
        });
        let encoded: Vec<_> = encoded.collect();
        bencher.iter(|| {
            for message in &encoded {
                black_box(Request::decode(message)).expect("it was encoded");
            }
        });
    });
    group.finish();
}

fn weight(number: u32) -> Weight {
    Weight::new(number).expect("it is in the range")
}

fn table() -> Table {
    let mut table = Table::default();
    for number in 0..SERVICES {
        let [high, low] = number.to_be_bytes();
        let service = ServiceKey::tcp(Endpoint::new([10, 1, high, low].into(), 80));
        let added = table.add_service(service, ServiceSettings::default());
        added.expect("each has its own address");
        for host in 1..=DESTINATIONS {
            let destination = Endpoint::new([10, 128 + high, low, host].into(), 8080);
            let mut settings = DestinationSettings::new(Forwarding::Masquerade);
            settings.weight = weight(u32::from(host));
            let added = table.add_destination(service, destination, settings);
            added.expect("each has its own address");
        }
    }
    table
}
