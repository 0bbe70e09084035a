//! How long a large keepalived.conf takes: 5,000 virtual servers of 20 real servers each, about
//! 9 MB, and 1,016 instances that come of four lines.
//!
//! To time keepalived on the same file, `CONF_PARSE_FILE=PATH cargo bench --bench conf_parse`
//! leaves it at PATH; then `keepalived -t -f PATH`.

use std::{fmt::Write as _, fs, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use director::conf::{Environment, MemoryEnvironment, Options, load, parse};

const PATH: &str = "/etc/keepalived/keepalived.conf";

fn conf_parse(criterion: &mut Criterion) {
    let servers = virtual_servers(5_000, 20);
    if let Some(path) = std::env::var_os("CONF_PARSE_FILE") {
        fs::write(path, &servers).expect("CONF_PARSE_FILE can be written");
    }
    let mut group = criterion.benchmark_group("conf_parse");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(servers.len() as u64));
    let machine = MemoryEnvironment::with_file(PATH, servers);
    let strict = Options::default();
    group.bench_function("tree of 100,000 real servers", |bencher| {
        bencher.iter(|| parse(PATH, black_box(&machine), &strict).expect("the file is there"));
    });
    group.finish();

    let mut group = criterion.benchmark_group("conf_load");
    group.sample_size(20);
    let machine = MemoryEnvironment::with_file(PATH, virtual_servers(2_277, 16));
    assert!(is_good(&machine));
    group.bench_function("2,277 virtual servers, 36,432 real servers", |bencher| {
        bencher.iter(|| load(PATH, black_box(&machine), &strict).expect("the file is there"));
    });
    let machine = MemoryEnvironment::with_file(PATH, instances());
    assert!(is_good(&machine));
    group.bench_function("1,016 instances of a loop", |bencher| {
        bencher.iter(|| load(PATH, black_box(&machine), &strict).expect("the file is there"));
    });
    group.finish();
}

fn is_good(machine: &dyn Environment) -> bool {
    load(PATH, machine, &Options::default()).is_ok_and(|loaded| loaded.config.is_some())
}

fn virtual_servers(count: u32, real_servers: u32) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (high, low) = (number / 250, number % 250);
        let mut write = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("a string takes any text");
        };
        write(format_args!(
            "virtual_server 10.{high}.{low}.1 80 {{\n  delay_loop 6\n  lvs_sched wrr\n  \
             lvs_method DR\n  protocol TCP\n"
        ));
        for server in 2..real_servers + 2 {
            write(format_args!(
                "  real_server 10.{high}.{low}.{server} 80 {{\n    weight 1\n    TCP_CHECK {{\n"
            ));
            write(format_args!("      connect_timeout 3\n    }}\n  }}\n"));
        }
        write(format_args!("}}\n"));
    }
    text
}

fn instances() -> String {
    "$VI= \\\nvrrp_instance v.${N}.${ID} { \\\n interface bond${N} \\\n virtual_router_id ${ID} \\\n \
     virtual_ipaddress { 10.0.${N}.${ID}/24 } \\\n}\n~SEQ(N,0,3) ~SEQ(ID,1,254) $VI\n"
        .to_owned()
}

criterion_group!(benches, conf_parse);
criterion_main!(benches);
