//! All schedulers on one history, as a table.
//!
//! ```text
//! cargo run -p takeover-sched --example laboratory [-- tcp|udp [SEED]]
//! ```

use std::{
    env,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use sched::{
    Flags, Kind, Protocol, Rules, Scheduler, ServerSettings,
    beyond::{BoundedLoads, PeakEwma, SmoothWrr},
    laboratory::{self, Change, Contestant, Workload},
};

const USAGE: &str = "usage: laboratory [tcp|udp [SEED]]";

#[expect(
    clippy::print_stdout,
    reason = "a table for a person is what the program is for"
)]
#[expect(
    clippy::disallowed_methods,
    reason = "a program is a driver: it has the clock"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let protocol = match arguments.next().as_deref() {
        None | Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some(other) => return Err(format!("{other} is neither tcp nor udp; {USAGE}").into()),
    };
    let seed = arguments.next().map_or(Ok(1), |seed| {
        seed.parse()
            .map_err(|error| format!("seed {seed}: {error}; {USAGE}"))
    })?;

    let server = |host: u8| SocketAddr::from((Ipv4Addr::new(10, 9, 0, host), 80));
    let weights = [1, 2, 3, 4, 5];
    let workload = Workload {
        servers: (1..)
            .zip(weights)
            .map(|(it, w)| (server(it), ServerSettings::new(w)))
            .collect(),
        changes: vec![
            (10_000, Change::Edit(server(2), ServerSettings::new(3))),
            (20_000, Change::Remove(server(3))),
            (30_000, Change::Edit(server(4), ServerSettings::new(0))),
            (40_000, Change::Add(server(6), ServerSettings::new(4))),
        ],
        clients: 2_000,
        arrivals: 50_000,
        protocol,
        lifetime: 200,
        seed,
    };

    let kernel = |kind, flags| Contestant::kernel(kind, flags, Rules::default());
    let beyond = |label: &str, scheduler: fn() -> Box<dyn Scheduler>| {
        Contestant::new(label, Flags::NONE, Rules::default(), scheduler)
    };
    let mut contestants: Vec<_> = Kind::ALL.map(|kind| kernel(kind, Flags::NONE)).into();
    contestants.push(kernel(Kind::Sh, Flags::NONE.with_fallback()));
    contestants.push(kernel(Kind::Mh, Flags::NONE.with_fallback()));
    contestants.push(beyond("smooth-wrr", || Box::new(SmoothWrr::new())));
    contestants.push(beyond("bounded-loads", || Box::new(BoundedLoads::new(25))));
    contestants.push(beyond("peak-ewma", || {
        let (decay, unknown) = (Duration::from_secs(10), Duration::from_millis(1));
        Box::new(PeakEwma::new(decay, unknown))
    }));

    println!(
        "{} {} connections of {} clients to servers of weights {weights:?}.",
        workload.arrivals,
        if protocol == Protocol::Udp {
            "UDP"
        } else {
            "TCP"
        },
        workload.clients
    );
    println!("At 10,000 weight 2 becomes 3; at 20,000 the third server (weight 3) is removed;");
    println!("at 30,000 weight 4 becomes 0; at 40,000 a server of weight 4 joins.");
    println!("Only dh, sh, mh and bounded-loads mean to keep a client with its server.\n");
    let history = workload.history();
    println!(
        "{}",
        laboratory::run(&history, &contestants, Instant::now())
    );
    Ok(())
}
