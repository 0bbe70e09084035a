//! The server list: order, removed servers, changes of the scheduler.

use std::time::Duration;

use sched::{Flags, Kind, Protocol, ServerSettings, ServiceError};

use crate::{Bench, flow, server};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_newest_server_is_first_and_an_edit_moves_none() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1, 1, 1]);
    assert_eq!(order(&bench), [3, 2, 1]);
    bench.edit(2, 7);
    assert_eq!(order(&bench), [3, 2, 1]);
    bench.remove(2);
    assert_eq!(order(&bench), [3, 1]);
    bench.add(2, 1);
    assert_eq!(order(&bench), [2, 3, 1]);
    let id = |number| bench.service.servers().find(server(number)).unwrap().id();
    assert_eq!(bench.service.servers().previous(id(1)), Some(id(3)));
    assert_eq!(bench.service.servers().previous(id(2)), None);
}

#[test]
fn what_is_there_already_and_what_is_not_there_are_refused() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1]);
    let (one, now) = (ServerSettings::new(1), bench.now);
    let exists = ServiceError::ServerExists(server(1));
    assert_eq!(bench.service.add_server(server(1), one, now), Err(exists));
    let missing = ServiceError::NoSuchServer(server(2));
    assert_eq!(bench.service.edit_server(server(2), one, now), Err(missing));
    assert_eq!(bench.service.remove_server(server(2), now), Err(missing));
    bench.remove(1);
    let missing = ServiceError::NoSuchServer(server(1));
    assert_eq!(bench.service.remove_server(server(1), now), Err(missing));
}

#[test]
fn a_removed_server_returns_with_its_connections_and_its_mark() {
    let mut bench = Bench::new(Kind::Rr);
    let settings = ServerSettings::new(1).with_thresholds(2, 0);
    let id = bench
        .service
        .add_server(server(1), settings, bench.now)
        .unwrap();
    let (_, connection) = bench.connect(1).unwrap();
    bench.hold(1);
    bench.remove(1);
    assert!(
        bench
            .service
            .servers()
            .get(id)
            .is_some_and(|server| !server.is_listed())
    );
    bench.service.expire(connection, bench.now);
    bench.now += Duration::from_secs(3600);
    let again = bench
        .service
        .add_server(server(1), settings, bench.now)
        .unwrap();
    assert_eq!(again, id);
    let back = bench.service.servers().get(id).unwrap();
    assert_eq!(back.active(), 1, "one of two was left");
    assert!(
        !back.is_overloaded(),
        "cleared by the one that expired meanwhile"
    );
}

#[test]
fn a_removed_server_is_forgotten_two_minutes_after_its_last_connection() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1]);
    let id = bench.service.servers().find(server(1)).unwrap().id();
    let (_, connection) = bench.connect(1).unwrap();
    bench.remove(1);
    bench.now += 1000 * SECOND;
    bench.service.handle_timeout(bench.now);
    assert!(bench.service.servers().get(id).is_some());
    assert_eq!(
        bench.service.poll_timeout(),
        None,
        "nothing is due while the connection is there"
    );

    bench.service.expire(connection, bench.now);
    assert_eq!(bench.service.poll_timeout(), Some(bench.now + 120 * SECOND));
    bench.service.handle_timeout(bench.now + 119 * SECOND);
    assert!(bench.service.servers().get(id).is_some());
    bench.service.handle_timeout(bench.now + 120 * SECOND);
    assert!(bench.service.servers().get(id).is_none());

    bench.now += 120 * SECOND;
    bench.add(1, 1);
    let new = bench.service.servers().find(server(1)).unwrap().id();
    assert_ne!(new, id, "a handle is never given to another");
    assert!(bench.service.servers().get(id).is_none());
}

#[test]
fn another_scheduler_begins_anew_with_the_list_as_it_is_and_the_same_one_goes_on() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1, 1, 1]);
    assert_eq!(bench.hold(1), [3]);
    bench.service.set_kind(Kind::Rr, bench.now).unwrap();
    bench.service.set_flags(Flags::NONE.with_third());
    assert_eq!(bench.hold(1), [2], "only flags changed");
    bench.service.set_kind(Kind::Lc, bench.now).unwrap();
    assert_eq!(bench.hold(1), [1], "which has no connection");
    bench.service.set_kind(Kind::Rr, bench.now).unwrap();
    assert_eq!(bench.hold(1), [3]);
}

#[test]
fn tcp_begins_active_udp_and_sctp_inactive() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1]);
    for (protocol, counts) in [
        (Protocol::Tcp, (1, 0)),
        (Protocol::Udp, (1, 1)),
        (Protocol::Sctp, (1, 2)),
    ] {
        let _held = bench.arrive(flow(protocol, 1), 0).unwrap();
        let only = bench.service.servers().find(server(1)).unwrap();
        assert_eq!((only.active(), only.inactive()), counts, "{protocol:?}");
    }
}

fn order(bench: &Bench) -> Vec<u8> {
    bench
        .service
        .servers()
        .iter()
        .map(|server| crate::number(server.address()))
        .collect()
}
