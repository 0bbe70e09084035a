//! A server that leaves the pool cuts nobody off.

use std::{
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use ipvs::{
    Change, DestinationState, Drain, DrainEnd, DrainInput, DrainOutput, DrainPolicy, Endpoint,
    Family, Forwarder, IpvsBackend as _, Seconds, ServiceKey, Snapshot, TimeoutChange, WaitFor,
    Weight, netlink::Kernel,
};
use lab::{Answer, Flow, Node, Session, wait_until};

use crate::site::{SOON, Site, apply, load, on, prepare_director, snapshot, socket};

const TABLE: &str = "-A -t 192.0.2.100:80 -s rr\n\
    -a -t 192.0.2.100:80 -r 198.51.100.21:80 -m\n\
    -a -t 192.0.2.100:80 -r 198.51.100.22:80 -m\n\
    -A -u 192.0.2.100:80 -s rr\n\
    -a -u 192.0.2.100:80 -r 198.51.100.21:80 -m\n\
    -a -u 192.0.2.100:80 -r 198.51.100.22:80 -m\n";

/// The server that leaves, rs1.
const LEAVING: &str = "198.51.100.21:80";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn sessions_and_flows_stay_until_they_end_and_then_the_server_is_gone() {
    let mut site = Site::two_cards("drain");
    prepare_director(&site.director, Forwarder::of([Family::V4]));
    site.serve([LEAVING, "198.51.100.22:80"]);
    load(&site.director, TABLE);
    let virtual_address = endpoint("192.0.2.100:80");
    let services = [
        ServiceKey::tcp(virtual_address),
        ServiceKey::udp(virtual_address),
    ];
    let to = socket("192.0.2.100:80");
    let connect = || Session::connect(&site.client, to).unwrap();
    let open = || Flow::open(&site.client, to).unwrap();
    let (mut sessions, flows) = ([(); 4].map(|()| connect()), [(); 4].map(|()| open()));
    let before = ask_all(&mut sessions, &flows);
    for answers in &before {
        let leaving = answers.iter().filter(|answer| answer.server == "rs1");
        assert_eq!(leaving.count(), 2);
    }

    thread::scope(|scope| {
        let drains = services.map(|service| drain(scope, &site.director, service));
        wait_until("both have weight 0", SOON, || {
            let now = snapshot(&site.director);
            let leaving = services.map(|service| leaving(&now, service));
            leaving
                .iter()
                .flatten()
                .all(|it| it.settings.weight == Weight::ZERO)
        });
        for _ in 0..4 {
            assert_eq!(connect().ask().unwrap().server, "rs2");
            assert_eq!(open().ask().unwrap().server, "rs2");
            assert_eq!(
                ask_all(&mut sessions, &flows),
                before,
                "who was there stays"
            );
        }
        assert!(drains.iter().all(|drain| !drain.is_finished()));

        // From its next datagram on a flow is forgotten soon.
        let timeouts = TimeoutChange {
            udp: Some(Seconds::new(1)),
            ..TimeoutChange::default()
        };
        apply(&site.director, Change::SetTimeouts(timeouts));
        for flow in flows {
            flow.ask().unwrap();
        }
        drop(sessions);
        for drain in drains {
            let end = drain.join().unwrap();
            let DrainEnd::Removed { left } = end else {
                panic!("{end:?}");
            };
            assert_eq!(left.active, 0);
        }
    });
    let after = snapshot(&site.director);
    assert_eq!(
        services.map(|service| leaving(&after, service)),
        [None, None]
    );
}

fn ask_all(sessions: &mut [Session; 4], flows: &[Flow; 4]) -> [[Answer; 4]; 2] {
    [
        sessions.each_mut().map(|it| it.ask().expect("an answer")),
        flows.each_ref().map(|it| it.ask().expect("an answer")),
    ]
}

/// Drains the server that leaves from a service, on a thread of its own.
fn drain<'scope>(
    scope: &'scope Scope<'scope, '_>,
    director: &'scope Node,
    service: ServiceKey,
) -> ScopedJoinHandle<'scope, DrainEnd> {
    scope.spawn(move || on(director, async || drive(service).await))
}

async fn drive(service: ServiceKey) -> DrainEnd {
    let kernel = Kernel::connect().await.expect("a kernel with IPVS");
    let observe = async || leaving(&kernel.snapshot().await.expect("a table"), service);
    let before = observe().await.expect("it is there").settings;
    let mut policy = DrainPolicy::default();
    policy.interval = Duration::from_millis(100);
    policy.wait_for = WaitFor::Traffic;
    let mut drain = Drain::new(service, endpoint(LEAVING), before, policy, now());
    loop {
        while let Some(output) = drain.poll_output() {
            let input = match output {
                DrainOutput::Apply(change) => {
                    let outcomes = kernel.apply(&[change]).await.expect("an answer");
                    DrainInput::Applied(outcomes.into_iter().next().expect("one for each"))
                }
                DrainOutput::Observe => DrainInput::Observed(observe().await),
                DrainOutput::Waiting(_) => continue,
                DrainOutput::Finished(end) => return end,
            };
            drain.handle(input, now());
        }
        let at = drain.poll_timeout().expect("it waits for nothing but time");
        tokio::time::sleep_until(at.into()).await;
        drain.handle(DrainInput::Timeout, now());
    }
}

fn leaving(snapshot: &Snapshot, service: ServiceKey) -> Option<DestinationState> {
    let service = snapshot.service(&service)?;
    service.destination(&endpoint(LEAVING)).copied()
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an address and a port")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the kernel's connections"
)]
fn now() -> Instant {
    Instant::now()
}
