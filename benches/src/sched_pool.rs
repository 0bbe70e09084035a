//! Services of any number of servers, and arrivals for them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use sched::{
    Arrival, Flags, Flow, Kind, Overhead, Rules, Scheduler, Server, ServerId, ServerSettings,
    Servers, Service,
    beyond::{BoundedLoads, PeakEwma, SmoothWrr},
};

/// The numbers of servers that everything is measured with.
pub const SIZES: [u32; 4] = [2, 16, 128, 1024];

/// One of each scheduler: the kernel's, those beyond, and [`WlcByScan`].
#[must_use]
pub fn schedulers() -> Vec<Box<dyn Scheduler>> {
    let mut schedulers: Vec<_> = Kind::ALL
        .map(|kind| kind.scheduler(&Rules::default()))
        .into_iter()
        .collect();
    schedulers.push(Box::new(SmoothWrr::new()));
    schedulers.push(Box::new(BoundedLoads::new(25)));
    schedulers.push(Box::new(PeakEwma::new(
        Duration::from_secs(10),
        Duration::from_millis(1),
    )));
    schedulers.push(Box::new(WlcByScan));
    schedulers
}

/// `wlc` as the kernel computes it, by a look at every server: what the tournament tree saves.
#[derive(Debug)]
#[non_exhaustive]
pub struct WlcByScan;

impl Scheduler for WlcByScan {
    fn name(&self) -> &'static str {
        "wlc-by-scan"
    }

    fn pick(&mut self, _: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let load = |server: &Server| Overhead::ActiveAndInactive.of(server);
        let usable = servers.iter().filter(|server| server.is_usable());
        let least = usable.reduce(|best, next| {
            let better =
                load(next) * u64::from(best.weight()) < load(best) * u64::from(next.weight());
            if better { next } else { best }
        });
        least.map(Server::id)
    }
}

/// A service of `size` servers with weights 1 to 5 and a few connections each.
///
/// # Panics
///
/// If the scheduler cannot start with so many servers.
#[must_use]
pub fn service(scheduler: Box<dyn Scheduler>, size: u32, now: Instant) -> Service {
    let mut service = Service::new(Kind::Rr, Rules::default(), now);
    for number in 0..size {
        let id = service
            .add_server(server(number), settings(number), now)
            .expect("a new server");
        for connection in 0..number % 7 {
            let _held = service.adopt(id, connection % 2 == 0, now);
        }
    }
    service
        .set_scheduler(scheduler, now)
        .expect("few enough servers");
    service
}

/// The address of a server.
#[must_use]
pub fn server(number: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0a09_0000 + number), 80).into()
}

/// Its settings.
#[must_use]
pub const fn settings(number: u32) -> ServerSettings {
    ServerSettings::new(number % 5 + 1)
}

/// Arrivals of 1,024 clients at 16 virtual addresses, over and over.
#[derive(Debug)]
pub struct Arrivals {
    all: Vec<Arrival>,
    next: usize,
}

impl Arrivals {
    /// All at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let all = (0..1024_u32).map(|client| {
            let ip = Ipv4Addr::from_bits(0x0a08_0000 + client.wrapping_mul(0x9E37) % 0x1_0000);
            let vip = Ipv4Addr::from_bits(0x0a07_0000 + client % 16);
            let flow = Flow::tcp((ip, 1024).into(), (vip, 80).into());
            Arrival::new(
                flow,
                now,
                u64::from(client).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            )
        });
        Self {
            all: all.collect(),
            next: 0,
        }
    }

    /// The next one.
    #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
    pub fn draw(&mut self) -> &Arrival {
        self.next = (self.next + 1) % self.all.len();
        &self.all[self.next]
    }
}
