//! What several threads carry together is as if one did.

use std::{collections::BTreeMap, fs, num::NonZeroUsize};

use ipvs::{
    Change, Family, Persistence, SchedulerName, Seconds, ServiceSettings, userspace::Config,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    alone::{block_on, is_alone},
    rig::{Rig, Server, ask, expect},
};

const SHARDS: usize = 4;

/// So many that no shard is left out: the kernel spreads them by a hash of their ports.
const CLIENTS: usize = 128;

async fn start() -> Rig {
    with(|_| {}).await
}

async fn with(set: impl FnOnce(&mut Config)) -> Rig {
    Rig::with(SchedulerName::RR, |config| {
        config.shards = NonZeroUsize::new(SHARDS).expect("not 0");
        set(config);
    })
    .await
}

/// Connects many clients: both ends of each.
async fn connect(rig: &Rig, server: &mut Server, count: usize) -> Vec<(TcpStream, TcpStream)> {
    let mut clients = BTreeMap::new();
    for _ in 0..count {
        let mut client = rig.connect().await;
        let number = u32::try_from(clients.len()).expect("few");
        client.write_u32(number).await.expect("it is carried");
        clients.insert(number, client);
    }
    let mut pairs = Vec::new();
    for _ in 0..count {
        let mut at_server = server.accept().await;
        let number = at_server.read_u32().await;
        let client = clients.remove(&number.expect("it is told"));
        pairs.push((client.expect("each comes once"), at_server));
    }
    pairs
}

async fn talk(pairs: &mut [(TcpStream, TcpStream)]) {
    for (client, at_server) in pairs {
        client.write_all(b"ask").await.expect("it is carried");
        expect(at_server, b"ask").await;
        at_server.write_all(b"answer").await.expect("it is carried");
        expect(client, b"answer").await;
    }
}

/// How often each shard of this process has waited for something.
fn waits() -> BTreeMap<String, u64> {
    let tasks = fs::read_dir("/proc/self/task").expect("there is a /proc");
    let mut waits = BTreeMap::new();
    for task in tasks {
        let path = task.expect("it is listed").path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        if name.starts_with("ipvs-shard-")
            && let Some(count) = count
        {
            waits.insert(name, count.trim().parse().expect("a number"));
        }
    }
    waits
}

#[test]
fn every_shard_carries_some_of_the_clients() {
    let name = "shards::every_shard_carries_some_of_the_clients";
    if !is_alone(name, "exec \"$@\"") {
        return;
    }
    block_on(async {
        let rig = start().await;
        let mut server = Server::start(1).await;
        rig.add(server.endpoint).await;
        let mut pairs = connect(&rig, &mut server, CLIENTS).await;
        let before = waits();
        assert_eq!(before.len(), SHARDS);
        talk(&mut pairs).await;
        // The first one keeps the time as well; the others wake for connections alone.
        for (shard, after) in waits() {
            assert!(after > before[&shard], "{shard} has done nothing");
        }
    });
}

#[tokio::test]
async fn shards_take_turns_together() {
    let rig = start().await;
    let mut servers = Vec::new();
    for host in 1..=4 {
        let server = Server::start(host).await.name_itself();
        rig.add(server).await;
        servers.push(server.to_string());
    }
    let asks: JoinSet<_> = (0..CLIENTS).map(|_| ask(rig.at)).collect();
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for answer in asks.join_all().await {
        *answers.entry(answer.unwrap()).or_default() += 1;
    }
    let each = servers.into_iter().map(|server| (server, CLIENTS / 4));
    assert_eq!(answers, each.collect());
}

#[tokio::test]
async fn a_persistent_client_is_known_on_every_shard() {
    let rig = start().await;
    let mut settings = ServiceSettings::new(SchedulerName::RR);
    settings.persistence = Some(Persistence::new(Family::V4, Seconds::new(300)));
    let service = rig.service;
    rig.make(Change::SetService { service, settings }).await;
    for host in 1..=4 {
        rig.add(Server::start(host).await.name_itself()).await;
    }
    let asks: JoinSet<_> = (0..CLIENTS).map(|_| ask(rig.at)).collect();
    let answers = asks.join_all().await;
    let first = answers[0].as_ref().unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap() == first)
    );
}

#[tokio::test]
async fn a_limit_is_of_all_shards_together() {
    let rig = with(|config| config.connections = CLIENTS / 2).await;
    let server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        // One of those that are too many may learn of it while it connects.
        clients.push(TcpStream::connect(rig.at).await);
    }
    let half = CLIENTS / 2;
    rig.until(|| rig.plane.tally().over_limit >= half as u64)
        .await;
    rig.until(|| rig.plane.tally().served >= half as u64).await;
    let tally = rig.plane.tally();
    assert_eq!(tally.accepted, CLIENTS as u64);
    assert_eq!(rig.plane.carried(), half);
}

#[tokio::test]
async fn a_change_reaches_every_shard_and_cuts_nobody() {
    let rig = start().await;
    let mut old = Server::start(1).await;
    let mut new = Server::start(2).await;
    rig.add(old.endpoint).await;
    let mut at_old = connect(&rig, &mut old, CLIENTS).await;

    rig.set_weight(old.endpoint, 0).await;
    rig.add(new.endpoint).await;
    let mut at_new = connect(&rig, &mut new, CLIENTS).await;
    for server in [&old, &new] {
        let counts = rig.destination(server.endpoint).await.counts;
        assert_eq!(counts.active as usize, CLIENTS);
    }
    talk(&mut at_old).await;

    rig.remove(old.endpoint).await;
    rig.add(old.endpoint).await;
    let counts = rig.destination(old.endpoint).await.counts;
    assert_eq!(counts.active as usize, CLIENTS);

    let service = rig.service;
    rig.make(Change::RemoveService { service }).await;
    for _ in 0..CLIENTS {
        let refused = TcpStream::connect(rig.at).await;
        assert!(refused.is_err(), "a shard still listens");
    }
    talk(&mut at_old).await;
    talk(&mut at_new).await;

    drop((at_old, at_new));
    rig.until_over().await;
}
