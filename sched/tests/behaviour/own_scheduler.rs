//! A scheduler that is not the kernel's, and what a service tells it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sched::{
    Arrival, Flags, Flow, Kind, Protocol, Rules, Scheduler, Server, ServerId, ServerMap,
    ServerSettings, Servers, Service,
};

use crate::{Bench, flow, server};

/// Always the oldest server, usable or not; writes down what it is told.
#[derive(Debug, Default)]
struct Oldest {
    journal: Arc<Mutex<Vec<String>>>,
    numbers: ServerMap<u8>,
}

impl Oldest {
    fn note(&self, what: &str, server: ServerId) {
        let number = self.numbers.get(server).copied().unwrap_or_default();
        self.journal
            .lock()
            .unwrap()
            .push(format!("{what} {number}"));
    }
}

impl Scheduler for Oldest {
    fn name(&self) -> &'static str {
        "oldest"
    }

    fn pick(&mut self, _: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        servers.iter().next_back().map(Server::id)
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        for server in servers.iter() {
            self.numbers
                .insert(server.id(), crate::number(server.address()));
        }
    }

    fn server_added(&mut self, server: ServerId, servers: &Servers) {
        let address = servers.get(server).unwrap().address();
        self.numbers.insert(server, crate::number(address));
        self.note("added", server);
    }

    fn server_edited(&mut self, server: ServerId, _: &Servers) {
        self.note("edited", server);
    }

    fn server_removed(&mut self, server: ServerId, previous: Option<ServerId>, _: &Servers) {
        self.note("removed", server);
        if let Some(previous) = previous {
            self.note("after", previous);
        }
    }

    fn load_changed(&mut self, server: ServerId, _: &Servers) {
        self.note("load of", server);
    }

    fn observed(&mut self, server: ServerId, latency: Duration, _: Instant) {
        self.note(&format!("{latency:?} by"), server);
    }
}

#[test]
fn a_scheduler_is_told_of_every_change_after_it_was_made() {
    let scheduler = Oldest::default();
    let journal = Arc::clone(&scheduler.journal);
    let mut bench = Bench::new(Kind::Rr);
    bench.add(1, 1);
    bench
        .service
        .set_scheduler(Box::new(scheduler), bench.now)
        .unwrap();
    assert_eq!(bench.service.scheduler().name(), "oldest");

    bench.add(2, 1);
    bench.edit(1, 0);
    let (picked, mut connection) = bench.connect(1).unwrap();
    assert_eq!(picked, 1, "weight 0 is the scheduler's to mind");
    bench.service.set_active(&mut connection, false);
    bench
        .service
        .observe(&connection, Duration::from_millis(3), bench.now);
    bench.remove(1);
    bench.service.expire(connection, bench.now);
    let told = journal.lock().unwrap().join(", ");
    assert_eq!(
        told, "added 2, edited 1, load of 1, load of 1, 3ms by 1, removed 1, after 2",
        "the load of a removed server is nobody's business"
    );
}

#[test]
fn a_scheduler_that_picks_a_server_which_is_not_in_the_list_refuses() {
    #[derive(Debug)]
    struct Stubborn(ServerId);
    impl Scheduler for Stubborn {
        fn name(&self) -> &'static str {
            "stubborn"
        }
        fn pick(&mut self, _: &Arrival, _: Flags, _: &Servers) -> Option<ServerId> {
            Some(self.0)
        }
    }

    let now = Bench::new(Kind::Rr).now;
    let mut other = Service::new(Kind::Rr, Rules::default(), now);
    let id = other
        .add_server(server(1), ServerSettings::new(1), now)
        .unwrap();
    let mut service = Service::with_scheduler(Box::new(Stubborn(id)), Rules::default(), now);
    let flow: Flow = flow(Protocol::Tcp, 1);
    assert!(service.connect(&Arrival::new(flow, now, 0)).is_none());
    service
        .add_server(server(2), ServerSettings::new(1), now)
        .unwrap();
    assert!(service.connect(&Arrival::new(flow, now, 0)).is_some());
    service.remove_server(server(2), now).unwrap();
    assert!(service.connect(&Arrival::new(flow, now, 0)).is_none());
}

#[test]
fn a_scheduler_with_the_name_of_a_kernels_is_not_taken_for_it() {
    #[derive(Debug)]
    struct Impostor;
    impl Scheduler for Impostor {
        fn name(&self) -> &'static str {
            "wlc"
        }
        fn pick(&mut self, _: &Arrival, _: Flags, _: &Servers) -> Option<ServerId> {
            None
        }
    }

    let mut bench = Bench::with_weights(Kind::Wlc, &[1]);
    assert_eq!(bench.service.kind(), Some(Kind::Wlc));
    bench
        .service
        .set_scheduler(Box::new(Impostor), bench.now)
        .unwrap();
    assert_eq!(bench.service.kind(), None);
    assert!(bench.visit(1).is_none());
    bench.service.set_kind(Kind::Wlc, bench.now).unwrap();
    assert_eq!(bench.visit(1), Some(1));
}
