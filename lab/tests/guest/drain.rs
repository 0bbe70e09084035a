//! A server that leaves the pool cuts nobody off.

use std::{sync::Arc, thread, time::Duration};

use ipvs::{
    Change, DestinationState, DrainEnd, DrainPolicy, Endpoint, Family, Forwarder, Ownership,
    ReconcileEvent, ReconcilePolicy, Removal, Seconds, ServiceKey, Shutdown, Snapshot,
    TimeoutChange, WaitFor, Weight, netlink::Kernel, text::parse_table,
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
        let drain = scope.spawn(|| take_out(&site.director));
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
        assert!(!drain.is_finished());

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
        let mut ends = drain.join().unwrap();
        ends.sort_by_key(|(service, _)| *service);
        assert_eq!(ends.each_ref().map(|(service, _)| *service), services);
        for (_, end) in ends {
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

/// Keeps a director's table without the server that leaves, until its drain from both services is
/// over.
fn take_out(director: &Node) -> [(ServiceKey, DrainEnd); 2] {
    let whole = parse_table(TABLE).expect("a table");
    let mut rest = whole.clone();
    for service in rest.services_mut() {
        service.destinations.remove(&endpoint(LEAVING));
    }
    let mut policy = DrainPolicy::default();
    policy.interval = Duration::from_millis(100);
    policy.wait_for = WaitFor::Traffic;
    on(director, async || {
        let kernel = Kernel::connect().await.expect("a kernel with IPVS");
        let owned = Ownership::default();
        let kept = ipvs::spawn(Arc::new(kernel), ReconcilePolicy::default(), owned);
        kept.set(whole, Removal::AtOnce);
        kept.settled().await.expect("it is kept");
        let mut events = kept.events();
        kept.set(rest, Removal::Drain(policy));
        let mut ends = Vec::new();
        while ends.len() < 2 {
            let event = events.recv().await.expect("it is kept");
            if let ReconcileEvent::Drained { service, end, .. } = event {
                ends.push((service, end));
            }
        }
        kept.shutdown(Shutdown::Leave).await;
        ends.try_into().expect("two")
    })
}

fn leaving(snapshot: &Snapshot, service: ServiceKey) -> Option<DestinationState> {
    let service = snapshot.service(&service)?;
    service.destination(&endpoint(LEAVING)).copied()
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an address and a port")
}
