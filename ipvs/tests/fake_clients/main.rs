//! Clients of a kernel in memory: where they go, how long they are remembered, who cuts them off.

mod changes;
mod life;
mod properties;

use std::time::Duration;

use ipvs::{
    DestinationState, Endpoint, IpvsBackend, ServiceKey, Table,
    fake::{Flow, Kernel},
    plan,
    text::parse_table,
};

const SECOND: Duration = Duration::from_secs(1);

fn at(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

fn table(text: &str) -> Table {
    parse_table(text).expect("a table")
}

/// A kernel with a table as ipvsadm saves it.
fn kernel(text: &str) -> Kernel {
    let kernel = Kernel::new();
    for change in plan(&Table::default(), &table(text)) {
        kernel.change(change).expect("the kernel takes it");
    }
    kernel
}

fn web() -> ServiceKey {
    ServiceKey::tcp(at("10.1.0.100:80"))
}

/// The first packet of a client, each of another port.
fn client(number: u16) -> Flow {
    Flow::tcp(
        Endpoint::new([192, 0, 2, 7].into(), 1024 + number),
        at("10.1.0.100:80"),
    )
}

async fn destination(kernel: &Kernel, service: ServiceKey, key: &str) -> DestinationState {
    let snapshot = kernel.snapshot().await.expect("it has no fault");
    let found = snapshot
        .service(&service)
        .and_then(|it| it.destination(&at(key)));
    *found.expect("it is there")
}

async fn counts(kernel: &Kernel, service: ServiceKey, key: &str) -> [u32; 3] {
    let counts = destination(kernel, service, key).await.counts;
    [counts.active, counts.inactive, counts.persistent]
}

fn states(kernel: &Kernel) -> Vec<(String, u32)> {
    let connections = kernel.connections().into_iter();
    connections.map(|it| (it.state, it.expires.get())).collect()
}

const NAT: &str = "-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m\n";

fn web_address() -> Endpoint {
    at("10.1.0.100:80")
}
