//! Datagrams through a data plane of this process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use ipvs::{
    Change, DestinationSettings, Endpoint, Forwarding, IpvsBackend, SchedulerName, Seconds,
    ServiceKey, ServiceSettings, Snapshot, TimeoutChange,
    userspace::{Config, UserspaceBackend},
};
use tokio::{
    net::UdpSocket,
    time::{sleep, timeout},
};

use crate::rig::PATIENCE;

/// The longest datagram, in bytes.
const LONGEST: usize = 65_535;

/// A data plane with a service of datagrams.
struct Rig {
    plane: UserspaceBackend,
    service: ServiceKey,
    at: SocketAddr,
}

impl Rig {
    async fn start(set: impl FnOnce(&mut Config, &mut ServiceSettings)) -> Self {
        let mut config = Config::default();
        config.shards = NonZeroUsize::new(2).expect("not 0");
        let rr = SchedulerName::new("rr").expect("a name");
        let mut settings = ServiceSettings::new(rr);
        set(&mut config, &mut settings);
        let plane = UserspaceBackend::start(config).expect("threads");
        let unused = bind().await;
        let at = unused.local_addr().expect("it is bound");
        drop(unused);
        let service = ServiceKey::udp(at.into());
        let rig = Self { plane, service, at };
        rig.make(Change::AddService { service, settings }).await;
        rig
    }

    async fn make(&self, change: Change) {
        let outcomes = self.plane.apply(&[change]).await.expect("it answers");
        assert!(
            outcomes.iter().all(ipvs::ChangeOutcome::is_done),
            "{outcomes:?}"
        );
    }

    async fn add(&self, destination: SocketAddr) {
        let service = self.service;
        self.make(Change::AddDestination {
            service,
            destination: destination.into(),
            settings: DestinationSettings::new(Forwarding::Masquerade),
        })
        .await;
    }

    async fn client(&self) -> UdpSocket {
        let client = bind().await;
        client.connect(self.at).await.expect("an address");
        client
    }

    async fn snapshot(&self) -> Snapshot {
        self.plane.snapshot().await.expect("it answers")
    }

    async fn counted(&self, destination: SocketAddr) -> ipvs::Traffic {
        let snapshot = self.snapshot().await;
        let service = snapshot.service(&self.service).expect("it is there");
        let found = service.destination(&Endpoint::from(destination));
        found.expect("it is there").statistics.total
    }
}

async fn bind() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    socket.expect("a free port")
}

/// A server that answers with as much as it got, filled with its mark.
async fn server(mark: u8) -> SocketAddr {
    let socket = bind().await;
    let at = socket.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let mut room = Vec::with_capacity(LONGEST);
        while let Ok((_, from)) = socket.recv_buf_from(&mut room).await {
            room.fill(mark);
            // A client that has gone needs no answer.
            socket.send_to(&room, from).await.ok();
            room.clear();
        }
    });
    at
}

async fn ask(client: &UdpSocket, bytes: usize) -> (u8, usize) {
    client.send(&vec![0; bytes]).await.expect("it is sent");
    let mut room = Vec::with_capacity(LONGEST);
    let answer = timeout(PATIENCE, client.recv_buf(&mut room)).await;
    answer.expect("an answer").expect("no error");
    let mark = room.first().copied().expect("it has a mark");
    assert!(room.iter().all(|byte| *byte == mark));
    (mark, room.len())
}

#[tokio::test]
async fn each_client_has_its_server_and_long_datagrams_pass_whole() {
    let rig = Rig::start(|_, _| {}).await;
    rig.add(server(1).await).await;
    let second = server(2).await;
    rig.add(second).await;
    let [one, two] = [rig.client().await, rig.client().await];
    assert_eq!(ask(&one, 1).await, (2, 1));
    assert_eq!(ask(&two, 60_000).await, (1, 60_000));
    assert_eq!(ask(&one, 1000).await, (2, 1000));

    let counted = rig.counted(second).await;
    assert_eq!((counted.connections, counted.packets_in), (1, 2));
    assert_eq!((counted.bytes_in, counted.bytes_out), (1001, 1001));
    let rows = rig.plane.connections();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.state == "UDP"), "{rows:?}");
    assert_eq!(rig.plane.tally().served, 2);
}

#[tokio::test]
async fn many_at_once_all_come_through_and_in_their_order() {
    let rig = Rig::start(|_, _| {}).await;
    let listening = bind().await;
    rig.add(listening.local_addr().expect("it is bound")).await;
    let client = rig.client().await;
    for number in 0..100_u8 {
        client.send(&[number]).await.expect("it is sent");
    }
    for number in 0..100_u8 {
        let mut room = [0];
        let received = timeout(PATIENCE, listening.recv(&mut room)).await;
        received.expect("it comes").expect("no error");
        assert_eq!(room, [number]);
    }
}

#[tokio::test]
async fn a_client_whose_server_is_removed_or_does_not_listen_gets_to_another_one() {
    let rig = Rig::start(|_, _| {}).await;
    let good = server(1).await;
    rig.add(good).await;
    let dead = bind().await;
    let address = dead.local_addr().expect("it is bound");
    drop(dead);
    rig.add(address).await;
    let client = rig.client().await;
    client.send(&[0]).await.expect("it is sent");
    // The refusal comes back some time after.
    let answer = async {
        loop {
            client.send(&[0]).await.expect("it is sent");
            let mut room = [0];
            if let Ok(Ok(_)) = timeout(Duration::from_millis(20), client.recv(&mut room)).await {
                return room;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, answer).await.expect("an answer"), [1]);

    let other = server(2).await;
    rig.add(other).await;
    let (service, destination) = (rig.service, good.into());
    rig.make(Change::RemoveDestination {
        service,
        destination,
    })
    .await;
    let destination = address.into();
    rig.make(Change::RemoveDestination {
        service,
        destination,
    })
    .await;
    let client = rig.client().await;
    assert_eq!(ask(&client, 1).await, (2, 1));
}

#[tokio::test]
async fn a_flow_is_forgotten_once_it_is_silent_for_the_time_out() {
    let rig = Rig::start(|_, _| {}).await;
    let udp = Some(Seconds::new(1));
    rig.make(Change::SetTimeouts(TimeoutChange {
        udp,
        ..TimeoutChange::default()
    }))
    .await;
    rig.add(server(1).await).await;
    let client = rig.client().await;
    ask(&client, 1).await;
    assert_eq!(rig.plane.carried(), 1);

    let forgotten = async {
        while rig.plane.carried() > 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, forgotten).await.expect("it is forgotten");
    assert_eq!(rig.plane.connections(), []);
    assert_eq!(ask(&client, 1).await.0, 1, "it begins anew");
}

#[tokio::test]
async fn of_a_one_packet_service_each_datagram_is_scheduled_and_none_is_remembered() {
    let rig = Rig::start(|_, settings| settings.flags.one_packet = true).await;
    for mark in [1, 2] {
        rig.add(server(mark).await).await;
    }
    let client = rig.client().await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(ask(&client, 1).await.0);
    }
    assert_eq!(answers, [2, 1, 2, 1]);
    assert_eq!(rig.plane.connections(), []);
}

#[tokio::test]
async fn those_beyond_the_limit_are_dropped_and_counted_and_the_others_go_on() {
    let rig = Rig::start(|config, _| config.connections_of_service = 1).await;
    rig.add(server(1).await).await;
    let [first, second] = [rig.client().await, rig.client().await];
    ask(&first, 1).await;
    second.send(&[0]).await.expect("it is sent");
    let counted = async {
        while rig.plane.tally().over_limit == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, counted).await.expect("it is counted");
    assert_eq!(ask(&first, 1).await.0, 1);
    let tally = rig.plane.tally();
    assert_eq!((tally.accepted, tally.served), (2, 1));
}
