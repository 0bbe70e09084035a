//! Real servers, clients and a data plane between them.

use std::{io, net::SocketAddr, num::NonZeroUsize, time::Duration};

use ipvs::{
    Change, ChangeOutcome, Connection, DestinationSettings, DestinationState, Endpoint, Forwarding,
    IpvsBackend, SchedulerName, ServiceKey, ServiceSettings, Weight,
    userspace::{Config, UserspaceBackend},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// After this long whatever is waited for will not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A data plane with one service.
pub(crate) struct Rig {
    pub(crate) plane: UserspaceBackend,
    pub(crate) service: ServiceKey,
    pub(crate) at: SocketAddr,
}

/// A real server: the connections that it has accepted.
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    accepted: mpsc::UnboundedReceiver<TcpStream>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Listens on an address of this machine.
    pub(crate) async fn start(host: u8) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::new(127, 0, 2, host), 0));
        let listener = listener.await.expect("a free port");
        let endpoint = Endpoint::from(listener.local_addr().expect("it is bound"));
        let (sender, accepted) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self {
            endpoint,
            accepted,
            task,
        }
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> TcpStream {
        let accepted = timeout(PATIENCE, self.accepted.recv()).await;
        accepted.expect("it comes").expect("it listens")
    }

    /// Whether a connection has come.
    pub(crate) fn try_accept(&mut self) -> Option<TcpStream> {
        self.accepted.try_recv().ok()
    }

    /// Listens no more.
    pub(crate) async fn stop(self) -> Endpoint {
        self.task.abort();
        assert!(self.task.await.is_err(), "it accepts for ever");
        self.endpoint
    }

    /// Sends each client its own address and closes.
    pub(crate) fn name_itself(mut self) -> Endpoint {
        let endpoint = self.endpoint;
        tokio::spawn(async move {
            while let Some(mut stream) = self.accepted.recv().await {
                tokio::spawn(
                    async move { stream.write_all(endpoint.to_string().as_bytes()).await },
                );
            }
        });
        endpoint
    }
}

impl Rig {
    /// A data plane of two shards and a service of that scheduler.
    pub(crate) async fn start(scheduler: SchedulerName) -> Self {
        Self::with(scheduler, |_| {}).await
    }

    pub(crate) async fn with(scheduler: SchedulerName, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.shards = NonZeroUsize::new(2).expect("not 0");
        set(&mut config);
        let plane = UserspaceBackend::start(config).expect("threads");
        let at = free_address().await;
        let service = ServiceKey::tcp(at.into());
        let rig = Self { plane, service, at };
        rig.add_service(scheduler).await;
        rig
    }

    pub(crate) async fn add_service(&self, scheduler: SchedulerName) {
        let (service, settings) = (self.service, ServiceSettings::new(scheduler));
        self.make(Change::AddService { service, settings }).await;
    }

    pub(crate) async fn outcome(&self, change: Change) -> ChangeOutcome {
        let outcomes = self
            .plane
            .apply(&[change])
            .await
            .expect("it always answers");
        let [outcome] = outcomes.try_into().expect("one for each");
        outcome
    }

    pub(crate) async fn make(&self, change: Change) {
        let outcome = self.outcome(change).await;
        assert!(outcome.is_done(), "{outcome:?}");
    }

    pub(crate) async fn add(&self, destination: Endpoint) {
        self.add_as(
            destination,
            DestinationSettings::new(Forwarding::Masquerade),
        )
        .await;
    }

    pub(crate) async fn add_as(&self, destination: Endpoint, settings: DestinationSettings) {
        let service = self.service;
        self.make(Change::AddDestination {
            service,
            destination,
            settings,
        })
        .await;
    }

    pub(crate) async fn set_weight(&self, destination: Endpoint, weight: u32) {
        let settings = DestinationSettings::new(Forwarding::Masquerade)
            .with_weight(Weight::new(weight).expect("small"));
        let service = self.service;
        self.make(Change::SetDestination {
            service,
            destination,
            settings,
        })
        .await;
    }

    pub(crate) async fn remove(&self, destination: Endpoint) {
        let service = self.service;
        self.make(Change::RemoveDestination {
            service,
            destination,
        })
        .await;
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.expect("it listens")
    }

    pub(crate) async fn ask(&self) -> io::Result<String> {
        ask(self.at).await
    }

    pub(crate) async fn destination(&self, key: Endpoint) -> DestinationState {
        let snapshot = self.plane.snapshot().await.expect("it is in memory");
        let service = snapshot.service(&self.service).expect("it is there");
        *service.destination(&key).expect("it is there")
    }

    pub(crate) fn states(&self) -> Vec<String> {
        let rows = self.plane.connections().into_iter();
        rows.map(|row: Connection| row.state).collect()
    }

    /// Waits until something is so, which it is soon.
    pub(crate) async fn until(&self, mut so: impl FnMut() -> bool) {
        let waiting = async {
            while !so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let rows = || self.plane.connections();
        assert!(timeout(PATIENCE, waiting).await.is_ok(), "{:#?}", rows());
    }

    /// Waits until no connection is carried.
    pub(crate) async fn until_over(&self) {
        self.until(|| self.plane.carried() == 0).await;
    }
}

/// Everything that a connection brings.
pub(crate) async fn ask(at: SocketAddr) -> io::Result<String> {
    let mut answer = String::new();
    let mut stream = TcpStream::connect(at).await?;
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// An address on which nobody listens.
pub(crate) async fn free_address() -> SocketAddr {
    let socket = TcpListener::bind("127.0.1.1:0").await.expect("a free port");
    socket.local_addr().expect("it is bound")
}

/// Whether a connection was reset.
pub(crate) async fn is_reset(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = timeout(PATIENCE, stream.read(&mut byte)).await;
    let read = read.expect("something comes");
    read.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

/// Whether a client is reset at once.
pub(crate) async fn is_refused(at: SocketAddr) -> bool {
    match TcpStream::connect(at).await {
        Ok(mut stream) => is_reset(&mut stream).await,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// Reads as many bytes as are expected and compares them.
pub(crate) async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    let done = timeout(PATIENCE, stream.read_exact(&mut read)).await;
    done.expect("they come").expect("they come");
    assert_eq!(read, bytes);
}

/// Expects that the other end sends no more.
pub(crate) async fn expect_end(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(PATIENCE, stream.read(&mut byte)).await;
    assert_eq!(read.expect("something comes").expect("no reset"), 0);
}
