//! Real servers that are killed, that reset and that hang under load: every request is accounted
//! for, by its client, by the server that had it, and by the data plane.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ipvs::{Endpoint, SchedulerName};
use lab::Swallower;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::rig::Rig;

/// Clients that ask at the same time, and how often each asks.
const CLIENTS: u64 = 16;
const ASKS: u64 = 25;
const LOAD: u64 = CLIENTS * ASKS;
const SERVERS: u64 = 4;

/// How long a client waits. Nothing but a server that hangs lets it wait.
const CLIENT_PATIENCE: Duration = Duration::from_secs(4);
/// How long the data plane waits for servers to take a connection, all together.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

const QUESTION: &[u8] = b"?";
const ANSWER: &[u8] = b"an answer";

/// What a server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Answers,
    /// Takes the connection and resets it.
    ResetsAtOnce,
    /// Sends half of the answer and resets.
    ResetsInTheMiddle,
    /// Takes the question and says nothing.
    Hangs,
}

/// A server: what it did with the requests it had.
struct Server {
    endpoint: Endpoint,
    mood: Arc<Mutex<Mood>>,
    answered: Arc<AtomicU64>,
    spoiled: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.expect("a free address");
        let endpoint = Endpoint::from(listener.local_addr().expect("it is bound"));
        let mood = Arc::new(Mutex::new(Mood::Answers));
        let [answered, spoiled] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let counts = (
            Arc::clone(&mood),
            Arc::clone(&answered),
            Arc::clone(&spoiled),
        );
        let task = tokio::spawn(async move {
            let (mood, answered, spoiled) = counts;
            // With the server its connections end, by a reset.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mood = *mood.lock().expect("a plain value");
                let count = match mood {
                    Mood::Answers => &answered,
                    Mood::ResetsAtOnce | Mood::ResetsInTheMiddle | Mood::Hangs => &spoiled,
                };
                count.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(stream, mood));
            }
        });
        Self {
            endpoint,
            mood,
            answered,
            spoiled,
            task,
        }
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("a plain value") = mood;
    }

    async fn kill(self) -> SocketAddr {
        self.task.abort();
        assert!(self.task.await.is_err(), "it serves for ever");
        SocketAddr::new(self.endpoint.address, self.endpoint.port)
    }
}

/// An error is of a client that has gone.
async fn serve(mut stream: TcpStream, mood: Mood) {
    let mut question = [0; QUESTION.len()];
    if mood != Mood::ResetsAtOnce {
        stream.read_exact(&mut question).await.ok();
    }
    match mood {
        Mood::Answers => {
            stream.write_all(ANSWER).await.ok();
            return;
        }
        Mood::ResetsAtOnce => {}
        Mood::ResetsInTheMiddle => {
            let (half, _) = ANSWER.split_at(ANSWER.len() / 2);
            stream.write_all(half).await.ok();
        }
        Mood::Hangs => {
            stream.read_u8().await.ok();
        }
    }
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
}

/// How a request ended, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    CutOff,
    TimedOut,
}

/// How many ended in each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ends {
    answered: u64,
    cut_off: u64,
    timed_out: u64,
}

impl Ends {
    fn count(&mut self, end: End) {
        match end {
            End::Answered => self.answered += 1,
            End::CutOff => self.cut_off += 1,
            End::TimedOut => self.timed_out += 1,
        }
    }
}

/// A pool with clients.
struct Pool {
    rig: Rig,
    servers: Vec<Server>,
    asked: u64,
}

impl Pool {
    async fn start() -> Self {
        let rig = Rig::with(SchedulerName::RR, |config| {
            config.connect_timeout = CONNECT_TIMEOUT;
        })
        .await;
        let mut servers = Vec::new();
        for host in 1..=SERVERS {
            let host = u8::try_from(host).expect("few");
            let server = Server::start((Ipv4Addr::new(127, 0, 4, host), 0).into()).await;
            rig.add(server.endpoint).await;
            servers.push(server);
        }
        Self {
            rig,
            servers,
            asked: 0,
        }
    }

    /// Has all clients ask, and tells how that ended.
    async fn load(&mut self) -> Ends {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(client(self.rig.at));
        }
        let mut all = Ends::default();
        for ends in clients.join_all().await {
            all.answered += ends.answered;
            all.cut_off += ends.cut_off;
            all.timed_out += ends.timed_out;
        }
        assert_eq!(all.answered + all.cut_off + all.timed_out, LOAD);
        self.asked += LOAD;
        self.rig.until_over().await;
        let tally = self.rig.plane.tally();
        assert_eq!(tally.accepted, self.asked);
        assert_eq!(tally.served + tally.unreachable, self.asked, "{tally:?}");
        all
    }

    fn answered(&self) -> u64 {
        let servers = self.servers.iter();
        servers.map(|it| it.answered.load(Ordering::Relaxed)).sum()
    }

    fn spoiled(&self) -> u64 {
        let servers = self.servers.iter();
        servers.map(|it| it.spoiled.load(Ordering::Relaxed)).sum()
    }
}

/// Asks one after the other.
async fn client(at: SocketAddr) -> Ends {
    let mut ends = Ends::default();
    for _ in 0..ASKS {
        ends.count(ask_once(at).await);
    }
    ends
}

async fn ask_once(at: SocketAddr) -> End {
    let ask = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(QUESTION).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    match timeout(CLIENT_PATIENCE, ask).await {
        Ok(Ok(answer)) if answer == ANSWER => End::Answered,
        Ok(_) => End::CutOff,
        Err(_) => End::TimedOut,
    }
}

const ALL_ANSWERED: Ends = Ends {
    answered: LOAD,
    cut_off: 0,
    timed_out: 0,
};

#[tokio::test]
async fn a_server_that_was_killed_costs_no_request_but_those_it_had() {
    let mut pool = Pool::start().await;
    assert_eq!(pool.load().await, ALL_ANSWERED);
    assert_eq!(pool.answered(), LOAD);

    // It hangs first, so that it dies with requests in its hands.
    let dying = pool.servers.pop().expect("there are four");
    dying.set(Mood::Hangs);
    let held = Arc::clone(&dying.spoiled);
    let answered_by_dying = Arc::clone(&dying.answered);
    let at = pool.rig.at;
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(at))).collect();
    pool.rig
        .until(|| held.load(Ordering::Relaxed) == CLIENTS)
        .await;
    let address = dying.kill().await;
    let mut cut_off = 0;
    for client in clients {
        let ends = client.await.expect("it asks");
        assert_eq!(ends.answered + ends.cut_off, ASKS, "{ends:?}");
        cut_off += ends.cut_off;
    }
    assert_eq!(cut_off, CLIENTS, "each had one request there when it died");
    pool.asked += LOAD;

    let retried = pool.rig.plane.tally().retried;
    assert!(retried > 0);
    assert_eq!(pool.load().await, ALL_ANSWERED);
    assert_eq!(pool.rig.plane.tally().unreachable, 0);

    // Back again, it has its share.
    let before = answered_by_dying.load(Ordering::Relaxed);
    assert_eq!(before, LOAD / SERVERS);
    pool.servers.push(Server::start(address).await);
    let retried = pool.rig.plane.tally().retried;
    assert_eq!(pool.load().await, ALL_ANSWERED);
    assert_eq!(pool.rig.plane.tally().retried, retried);
    let back = pool.servers.last().expect("it is back");
    assert_eq!(back.answered.load(Ordering::Relaxed), LOAD / SERVERS);
}

#[tokio::test]
async fn resets_reach_the_clients_whose_requests_they_are_and_nobody_else() {
    for mood in [Mood::ResetsAtOnce, Mood::ResetsInTheMiddle] {
        let mut pool = Pool::start().await;
        pool.servers[2].set(mood);

        let ends = pool.load().await;

        assert_eq!(ends.timed_out, 0, "{mood:?}");
        assert_eq!(pool.spoiled(), LOAD / SERVERS, "{mood:?}");
        // A reset that comes before the connection is known to be there is a server that does not
        // take it: then another one answers.
        let retried = pool.rig.plane.tally().retried;
        assert_eq!(ends.cut_off + retried, pool.spoiled(), "{mood:?}");
        assert!(mood == Mood::ResetsAtOnce || retried == 0, "{mood:?}");
        assert_eq!(ends.answered, pool.answered(), "{mood:?}");
        pool.servers[2].set(Mood::Answers);
        assert_eq!(pool.load().await, ALL_ANSWERED);
    }
}

#[tokio::test]
async fn who_waits_for_a_server_that_says_nothing_is_known_and_others_do_not_wait() {
    let mut pool = Pool::start().await;
    pool.servers[1].set(Mood::Hangs);

    // All at once: each request that hangs takes its client's whole patience.
    let asks: JoinSet<_> = (0..LOAD).map(|_| ask_once(pool.rig.at)).collect();
    let mut ends = Ends::default();
    for end in asks.join_all().await {
        ends.count(end);
    }
    pool.asked += LOAD;

    let expected = Ends {
        answered: pool.answered(),
        cut_off: 0,
        timed_out: pool.spoiled(),
    };
    assert_eq!(ends, expected);
    assert_eq!(ends.timed_out, LOAD / SERVERS);
    pool.rig.until_over().await;
    let hanging = pool.servers[1].endpoint;
    pool.rig.set_weight(hanging, 0).await;
    assert_eq!(pool.load().await, ALL_ANSWERED);
}

#[tokio::test]
async fn who_breaks_off_while_the_other_end_reads_nothing_is_noticed() {
    for client_breaks_off in [true, false] {
        let rig = Rig::with(SchedulerName::RR, |_| {}).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        rig.add(listener.local_addr().unwrap().into()).await;
        let client = TcpStream::connect(rig.at).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (mut sender, _receiver) = match client_breaks_off {
            true => (client, server),
            false => (server, client),
        };
        // Until all that lies between them is full.
        let rest = Duration::from_millis(300);
        while timeout(rest, sender.write_all(&[0; 1 << 16])).await.is_ok() {}
        SockRef::from(&sender)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(sender);
        rig.until_over().await;
    }
}

#[tokio::test]
async fn a_server_whose_backlog_is_full_is_passed_over_in_its_part_of_the_time() {
    let mut pool = Pool::start().await;
    let hanging = Swallower::listen((Ipv4Addr::new(127, 0, 4, 100), 0).into());
    pool.rig.add(hanging.address().into()).await;

    assert_eq!(pool.load().await, ALL_ANSWERED);

    let tally = pool.rig.plane.tally();
    assert!(tally.retried >= LOAD / (SERVERS + 1), "{tally:?}");
    assert_eq!((tally.served, tally.unreachable), (LOAD, 0));
    assert_eq!(pool.answered(), LOAD);
}

#[tokio::test]
async fn when_no_server_takes_a_connection_every_client_is_told() {
    let mut pool = Pool::start().await;
    let mut addresses = Vec::new();
    for server in pool.servers.drain(..) {
        addresses.push(server.kill().await);
    }

    let ends = pool.load().await;

    assert_eq!(ends.cut_off, LOAD);
    assert_eq!(pool.rig.plane.tally().unreachable, LOAD);
    for address in addresses {
        pool.servers.push(Server::start(address).await);
    }
    assert_eq!(pool.load().await, ALL_ANSWERED);
}
