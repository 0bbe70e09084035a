//! Too many, too long, and nothing left behind.

use std::fs;

use ipvs::SchedulerName;
use tokio::{io::AsyncWriteExt as _, task::JoinSet};

use crate::{
    alone::{block_on, is_alone},
    rig::{Rig, Server, ask, expect, is_refused},
};

#[tokio::test]
async fn beyond_the_limit_clients_are_reset_and_others_go_on() {
    let rig = Rig::with(SchedulerName::RR, |config| config.connections = 2).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let mut first = rig.connect().await;
    let mut at_server = server.accept().await;
    let second = rig.connect().await;
    let other = server.accept().await;
    for _ in 0..5 {
        assert!(is_refused(rig.at).await);
    }
    assert_eq!(rig.plane.tally().over_limit, 5);
    first.write_all(b"still").await.unwrap();
    expect(&mut at_server, b"still").await;

    drop((second, other));
    rig.until(|| rig.plane.carried() == 1).await;
    let _third = rig.connect().await;
    server.accept().await;
}

#[tokio::test]
async fn one_service_leaves_room_for_others() {
    let rig = Rig::with(SchedulerName::RR, |config| {
        config.connections_of_service = 1;
    })
    .await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let _first = rig.connect().await;
    let _at_server = server.accept().await;
    assert!(is_refused(rig.at).await);
    assert_eq!(rig.plane.tally().over_limit, 1);
}

/// Descriptors that this process has open.
fn descriptors() -> usize {
    let listed = fs::read_dir("/proc/self/fd");
    listed.expect("there is a /proc").count()
}

#[test]
fn ten_thousand_short_connections_leave_no_descriptor() {
    let name = "limits::ten_thousand_short_connections_leave_no_descriptor";
    if !is_alone(name, "exec \"$@\"") {
        return;
    }
    block_on(async {
        let before_all = descriptors();
        let rig = Rig::start(SchedulerName::WLC).await;
        for host in 1..=2 {
            rig.add(Server::start(host).await.name_itself()).await;
        }
        rig.ask().await.unwrap();
        rig.until_over().await;
        let before = descriptors();
        for _ in 0..500 {
            let asks: JoinSet<_> = (0..20).map(|_| ask(rig.at)).collect();
            for answer in asks.join_all().await {
                assert!(answer.unwrap().starts_with("127.0.2."));
            }
        }
        rig.until_over().await;
        assert_eq!(rig.plane.tally().served, 10_001);
        rig.until(|| descriptors() <= before).await;
        drop(rig.plane);
        let servers = 2;
        assert_eq!(descriptors(), before_all + servers);
    });
}

#[test]
fn without_descriptors_it_waits_and_what_is_established_goes_on() {
    let name = "limits::without_descriptors_it_waits_and_what_is_established_goes_on";
    if !is_alone(name, "ulimit -n 64; exec \"$@\"") {
        return;
    }
    block_on(async {
        let rig = Rig::with(SchedulerName::RR, |config| config.reserved_descriptors = 0).await;
        let mut server = Server::start(1).await;
        rig.add(server.endpoint).await;
        let mut client = rig.connect().await;
        let mut at_server = server.accept().await;

        // Somebody else in this process opens what there is, but for one that a client needs.
        let mut hoard: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        hoard.pop();
        let waiting = rig.connect().await;
        rig.until(|| rig.plane.tally().short_of_descriptors >= 3)
            .await;
        client.write_all(b"still").await.unwrap();
        expect(&mut at_server, b"still").await;
        let pauses = rig.plane.tally().short_of_descriptors;
        assert!(pauses < 50, "it does not spin: {pauses}");

        hoard.truncate(10);
        let mut waited = server.accept().await;
        waited.write_all(b"welcome").await.unwrap();
        let mut waiting = waiting;
        expect(&mut waiting, b"welcome").await;
    });
}
