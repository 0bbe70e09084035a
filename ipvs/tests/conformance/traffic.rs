//! A backend whose packets are real: servers and clients are sockets of this process.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use ipvs::{Endpoint, IpvsBackend, Protocol};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Site, Subject};

/// How long a client waits for an answer that does not come.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Sockets<B> {
    site: Site,
    backend: B,
    /// How many clients it has turned away: of datagrams a client may not be told.
    refused: fn(&B) -> u64,
    /// The last of each client.
    sockets: BTreeMap<(Protocol, u8), Socket>,
    /// Those before: they stay open.
    earlier: Vec<Socket>,
    _servers: JoinSet<()>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl<B: IpvsBackend> Sockets<B> {
    /// Starts the servers, on the current runtime.
    pub(crate) async fn new(site: Site, backend: B, refused: fn(&B) -> u64) -> Self {
        let mut servers = JoinSet::new();
        for number in 1..=Site::SERVERS {
            let at = address(site.server(number));
            let listener = TcpListener::bind(at).await.expect("a free port");
            servers.spawn(serve_tcp(listener, number));
            let socket = UdpSocket::bind(at).await.expect("a free port");
            servers.spawn(serve_udp(socket, number));
        }
        Self {
            site,
            backend,
            refused,
            sockets: BTreeMap::new(),
            earlier: Vec::new(),
            _servers: servers,
        }
    }
}

impl<B: IpvsBackend> Subject for Sockets<B> {
    fn site(&self) -> Site {
        self.site
    }

    fn backend(&self) -> &dyn IpvsBackend {
        &self.backend
    }

    async fn connect(&mut self, protocol: Protocol, client: u8) -> Option<u8> {
        let from = SocketAddr::new(self.site.client(client).address, 0);
        let opened = open(protocol, from, address(self.site.vip()));
        let socket = timeout(PATIENCE, opened).await.ok()?.ok()?;
        let earlier = self.sockets.insert((protocol, client), socket);
        self.earlier.extend(earlier);
        self.again(protocol, client).await
    }

    async fn again(&mut self, protocol: Protocol, client: u8) -> Option<u8> {
        let before = (self.refused)(&self.backend);
        let socket = self.sockets.get_mut(&(protocol, client))?;
        tokio::select! {
            answer = timeout(PATIENCE, ask(socket)) => answer.ok()?.ok(),
            () = counts_more(|| (self.refused)(&self.backend), before) => None,
        }
    }
}

/// Waits until a number is another one.
async fn counts_more(count: impl Fn() -> u64, before: u64) {
    while count() == before {
        sleep(Duration::from_millis(1)).await;
    }
}

fn address(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port)
}

async fn open(protocol: Protocol, from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
    if protocol == Protocol::Udp {
        let socket = UdpSocket::bind(from).await?;
        socket.connect(to).await?;
        return Ok(Socket::Udp(socket));
    }
    let socket = TcpSocket::new_v4()?;
    socket.bind(from)?;
    Ok(Socket::Tcp(socket.connect(to).await?))
}

/// Sends a byte, to which a server answers with its number.
async fn ask(socket: &mut Socket) -> io::Result<u8> {
    match socket {
        Socket::Tcp(stream) => {
            stream.write_u8(0).await?;
            stream.read_u8().await
        }
        Socket::Udp(socket) => {
            if let Err(error) = socket.send(&[0]).await {
                // A kernel that drops a packet of its own machine says so twice, and when it is busy
                // the second time comes later: a next datagram must not be taken for the refused one.
                while error.kind() == io::ErrorKind::PermissionDenied
                    && socket.take_error()?.is_none()
                {
                    sleep(Duration::from_millis(1)).await;
                }
                return Err(error);
            }
            let mut answer = [0];
            // That nobody takes it is an error, which makes a socket no more readable.
            let interest = Interest::READABLE | Interest::ERROR;
            let receive = || match socket.take_error()? {
                Some(error) => Err(error),
                None => socket.try_recv(&mut answer),
            };
            socket.async_io(interest, receive).await?;
            Ok(answer[0])
        }
    }
}

async fn serve_tcp(listener: TcpListener, number: u8) {
    let mut clients = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        clients.spawn(async move {
            while client.read_u8().await.is_ok() && client.write_u8(number).await.is_ok() {}
        });
    }
}

async fn serve_udp(socket: UdpSocket, number: u8) {
    while let Ok((_, client)) = socket.recv_from(&mut [0]).await {
        // A client that has gone needs no answer.
        socket.send_to(&[number], client).await.ok();
    }
}
