//! Whom clients get to.

use std::collections::BTreeMap;

use ipvs::{
    Change, DestinationSettings, Family, Forwarding, Persistence, SchedulerName, Seconds,
    ServiceKey, ServiceSettings, Thresholds,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::rig::{Rig, Server, expect, is_refused};

#[tokio::test]
async fn clients_take_turns_and_are_counted() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut servers = BTreeMap::new();
    for host in 1..=3 {
        let server = Server::start(host).await.name_itself();
        rig.add(server).await;
        servers.insert(server.to_string(), server);
    }
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..30 {
        *answers.entry(rig.ask().await.unwrap()).or_default() += 1;
    }
    rig.until_over().await;
    let bytes = answers.keys().map(|answer| answer.len());
    let bytes: BTreeMap<_, _> = answers.keys().zip(bytes).collect();
    for (name, server) in &servers {
        assert_eq!(answers.get(name), Some(&10));
        let state = rig.destination(*server).await;
        let total = state.statistics.total;
        assert_eq!(total.connections, 10);
        assert_eq!(total.bytes_out, 10 * u64::try_from(bytes[name]).unwrap());
        assert_eq!((total.bytes_in, total.packets_out), (0, 10));
        assert!(state.counts.is_zero());
    }
    let tally = rig.plane.tally();
    assert_eq!((tally.accepted, tally.served), (30, 30));
}

#[tokio::test]
async fn a_connection_is_listed_while_it_lives() {
    let rig = Rig::start(SchedulerName::WLC).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let mut client = rig.connect().await;
    let mut at_server = server.accept().await;
    client.write_all(b"hello").await.unwrap();
    expect(&mut at_server, b"hello").await;

    rig.until(|| rig.states() == ["ESTABLISHED"]).await;
    let rows = rig.plane.connections();
    let client_address = client.local_addr().unwrap().into();
    assert_eq!(
        (rows[0].client, rows[0].service),
        (client_address, rig.at.into())
    );
    assert_eq!(rows[0].destination, server.endpoint);
    assert!(rows[0].expires <= Seconds::new(900) && rows[0].expires >= Seconds::new(890));
    let counts = rig.destination(server.endpoint).await.counts;
    assert_eq!((counts.active, counts.inactive), (1, 0));

    client.shutdown().await.unwrap();
    rig.until(|| rig.states() == ["CLOSE_WAIT"]).await;
    let counts = rig.destination(server.endpoint).await.counts;
    assert_eq!((counts.active, counts.inactive), (0, 1));
    drop(at_server);
    rig.until_over().await;
    assert_eq!(rig.plane.connections(), []);
}

#[tokio::test]
async fn a_server_that_is_dead_is_passed_over() {
    let rig = Rig::start(SchedulerName::RR).await;
    let dead = Server::start(1).await.stop().await;
    rig.add(dead).await;
    let alive = Server::start(2).await.name_itself();
    rig.add(alive).await;
    for _ in 0..10 {
        assert_eq!(rig.ask().await.unwrap(), alive.to_string());
    }
    let tally = rig.plane.tally();
    assert_eq!((tally.served, tally.retried, tally.unreachable), (10, 5, 0));
    rig.until_over().await;
    assert!(rig.destination(dead).await.counts.is_zero());

    rig.remove(alive).await;
    assert!(is_refused(rig.at).await, "nobody is left");
    assert_eq!(rig.plane.tally().unreachable, 1);
}

#[tokio::test]
async fn a_full_server_gets_no_more() {
    let rig = Rig::start(SchedulerName::WLC).await;
    let mut server = Server::start(1).await;
    let settings = DestinationSettings::new(Forwarding::Masquerade)
        .with_thresholds(Thresholds::new(2, 0).unwrap());
    rig.add_as(server.endpoint, settings).await;
    let first = rig.connect().await;
    let at_server = server.accept().await;
    let _second = rig.connect().await;
    let _other = server.accept().await;
    assert!(is_refused(rig.at).await);
    assert_eq!(rig.plane.tally().no_destination, 1);

    drop((first, at_server));
    rig.until(|| rig.plane.carried() == 1).await;
    let _third = rig.connect().await;
    server.accept().await;
}

#[tokio::test]
async fn a_persistent_client_stays_with_its_server() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut settings = ServiceSettings::new(SchedulerName::RR);
    settings.persistence = Some(Persistence::new(Family::V4, Seconds::new(300)));
    let service = rig.service;
    rig.make(Change::SetService { service, settings }).await;
    for host in 1..=3 {
        rig.add(Server::start(host).await.name_itself()).await;
    }
    let first = rig.ask().await.unwrap();
    for _ in 0..5 {
        assert_eq!(rig.ask().await.unwrap(), first);
    }
    rig.until_over().await;
    let rows = rig.plane.connections();
    assert!(rows.len() == 1 && rows[0].is_template(), "{rows:?}");
}

#[tokio::test]
async fn a_service_of_ipv6_may_have_servers_of_it() {
    let rig = Rig::start(SchedulerName::RR).await;
    let free = TcpListener::bind("[::1]:0").await.unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let (service, settings) = (ServiceKey::tcp(at.into()), ServiceSettings::default());
    rig.make(Change::AddService { service, settings }).await;
    let server = TcpListener::bind("[::1]:0").await.unwrap();
    let destination = server.local_addr().unwrap().into();
    let settings = DestinationSettings::new(Forwarding::Masquerade);
    rig.make(Change::AddDestination {
        service,
        destination,
        settings,
    })
    .await;
    let mut client = TcpStream::connect(at).await.unwrap();
    let (mut at_server, _) = server.accept().await.unwrap();
    client.write_all(b"six").await.unwrap();
    expect(&mut at_server, b"six").await;
    assert_eq!(rig.plane.connections()[0].service, at.into());
}
