//! Changes of the table while connections go on.

use std::time::Duration;

use ipvs::{
    Change, ChangeOutcome, Family, IpvsBackend, RefusalReason, SchedulerName, Seconds, ServiceKey,
    ServiceSettings, TimeoutChange,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::rig::{Rig, Server, expect, is_refused, is_reset};

async fn talk(client: &mut TcpStream, server: &mut TcpStream) {
    client.write_all(b"ping").await.expect("it is open");
    expect(server, b"ping").await;
    server.write_all(b"pong").await.expect("it is open");
    expect(client, b"pong").await;
}

#[tokio::test]
async fn a_drained_server_keeps_its_connections_and_gets_no_new_ones() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut drained = Server::start(1).await;
    rig.add(drained.endpoint).await;
    let mut client = rig.connect().await;
    let mut at_server = drained.accept().await;
    let other = Server::start(2).await.name_itself();
    rig.add(other).await;

    rig.set_weight(drained.endpoint, 0).await;
    for _ in 0..4 {
        assert_eq!(rig.ask().await.unwrap(), other.to_string());
    }
    assert!(drained.try_accept().is_none());
    talk(&mut client, &mut at_server).await;
    assert_eq!(rig.destination(drained.endpoint).await.counts.active, 1);
    drop((client, at_server));
    rig.until_over().await;
    assert!(rig.destination(drained.endpoint).await.counts.is_zero());
}

#[tokio::test]
async fn a_server_that_is_removed_and_added_again_has_its_connections() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let mut client = rig.connect().await;
    let mut at_server = server.accept().await;
    talk(&mut client, &mut at_server).await;

    rig.remove(server.endpoint).await;
    talk(&mut client, &mut at_server).await;
    assert!(is_refused(rig.at).await, "nobody else is there");

    rig.add(server.endpoint).await;
    talk(&mut client, &mut at_server).await;
    let state = rig.destination(server.endpoint).await;
    assert_eq!(state.counts.active, 1);
    assert_eq!(
        state.statistics.total.bytes_in, 12,
        "also while it was removed"
    );
}

#[tokio::test]
async fn a_service_that_is_removed_listens_no_more_and_cuts_nobody() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let mut client = rig.connect().await;
    let mut at_server = server.accept().await;

    let service = rig.service;
    rig.make(Change::RemoveService { service }).await;
    let refused = TcpStream::connect(rig.at).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    talk(&mut client, &mut at_server).await;
    assert_eq!(rig.plane.connections().len(), 1);

    rig.add_service(SchedulerName::RR).await;
    rig.add(server.endpoint).await;
    assert_eq!(rig.destination(server.endpoint).await.counts.active, 1);
    rig.make(Change::Flush).await;
    assert!(TcpStream::connect(rig.at).await.is_err());
    talk(&mut client, &mut at_server).await;
}

#[tokio::test]
async fn the_scheduler_changes_under_connections() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let mut client = rig.connect().await;
    let mut at_server = server.accept().await;
    let other = Server::start(2).await.name_itself();
    rig.add(other).await;
    let (service, settings) = (rig.service, ServiceSettings::new(SchedulerName::WLC));
    rig.make(Change::SetService { service, settings }).await;
    assert_eq!(rig.ask().await.unwrap(), other.to_string(), "it has fewer");
    talk(&mut client, &mut at_server).await;
}

#[tokio::test]
async fn an_idle_connection_is_reset_when_its_time_is_over() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let timeouts = TimeoutChange {
        tcp: Some(Seconds::new(1)),
        ..TimeoutChange::default()
    };
    rig.make(Change::SetTimeouts(timeouts)).await;
    let mut idle = rig.connect().await;
    let mut idle_at_server = server.accept().await;
    let mut busy = rig.connect().await;
    let mut busy_at_server = server.accept().await;
    let talking = async {
        loop {
            talk(&mut busy, &mut busy_at_server).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = talking => {}
        reset = is_reset(&mut idle) => assert!(reset),
    }
    assert!(is_reset(&mut idle_at_server).await);
    assert_eq!(rig.plane.tally().expired, 1);
    talk(&mut busy, &mut busy_at_server).await;
}

#[tokio::test]
async fn what_a_socket_cannot_do_is_refused_and_changes_nothing() {
    let rig = Rig::start(SchedulerName::RR).await;
    let before = rig.plane.snapshot().await.unwrap();
    let settings = ServiceSettings::new(SchedulerName::RR);
    let mark = 7.try_into().unwrap();
    let refused = [
        (ServiceKey::fwmark(mark, Family::V4), "firewall marks"),
        (
            ServiceKey::tcp("127.0.1.1:0".parse().unwrap()),
            "every port",
        ),
        (ServiceKey::sctp("127.0.1.1:80".parse().unwrap()), "TCP"),
    ];
    for (service, why) in refused {
        let outcome = rig.outcome(Change::AddService { service, settings }).await;
        let ChangeOutcome::Refused(refusal) = outcome else {
            panic!("{service}: {outcome:?}");
        };
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
    let service = rig.service;
    let outcome = rig.outcome(Change::AddService { service, settings }).await;
    let ChangeOutcome::Refused(refusal) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(refusal.reason, RefusalReason::ServiceExists);
    assert_eq!(rig.plane.snapshot().await.unwrap(), before);
}

#[tokio::test]
async fn an_address_that_somebody_has_is_refused_with_what_to_do() {
    let rig = Rig::start(SchedulerName::RR).await;
    let taken = tokio::net::TcpListener::bind("127.0.1.1:0").await.unwrap();
    let service = ServiceKey::tcp(taken.local_addr().unwrap().into());
    let settings = ServiceSettings::new(SchedulerName::RR);
    let outcome = rig.outcome(Change::AddService { service, settings }).await;
    let ChangeOutcome::Refused(refusal) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        refusal
            .to_string()
            .contains("another program listens there"),
        "{refusal}"
    );
    assert!(
        rig.plane
            .snapshot()
            .await
            .unwrap()
            .service(&service)
            .is_none()
    );

    drop(taken);
    rig.make(Change::AddService { service, settings }).await;
}

#[tokio::test]
async fn an_address_that_is_not_here_yet_can_be_listened_on() {
    let rig = Rig::start(SchedulerName::RR).await;
    for address in ["192.0.2.100:8080", "[2001:db8::100]:8080"] {
        let service = ServiceKey::tcp(address.parse().unwrap());
        let settings = ServiceSettings::new(SchedulerName::RR);
        rig.make(Change::AddService { service, settings }).await;
    }
}
