//! Traffic that tells where it went: servers that say who they are and who asked them, and clients.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};

use crate::Node;

/// How long a server waits before it looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long a client waits: for answers that a loaded machine delays.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a node that answers every HTTP request and every datagram with its name and with the
/// address that it was asked from.
///
/// A TCP connection can ask many times, unless it asks with `Connection: close`. Dropping the
/// server ends its connections.
#[derive(Debug)]
pub struct Responder {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Responder {
    /// Starts a server, named like its node, of TCP and UDP at an address of the node.
    ///
    /// # Panics
    ///
    /// When the address cannot be bound.
    #[must_use]
    #[track_caller]
    pub fn start(node: &Node, address: SocketAddr) -> Self {
        let bind = || -> io::Result<(TcpListener, UdpSocket)> {
            let (listener, socket) = (TcpListener::bind(address)?, UdpSocket::bind(address)?);
            // Makes accept return from time to time, too.
            SockRef::from(&listener).set_read_timeout(Some(LOOK))?;
            socket.set_read_timeout(Some(LOOK))?;
            Ok((listener, socket))
        };
        let bound = node.namespace().enter(bind);
        let (listener, socket) =
            bound.unwrap_or_else(|error| panic!("{address} on {}: {error}", node.name()));
        let stopping = Arc::new(AtomicBool::new(false));
        let tcp = {
            let (name, stopping) = (node.name().to_owned(), Arc::clone(&stopping));
            thread::spawn(move || accept(&listener, &name, &stopping))
        };
        let udp = {
            let (name, stopping) = (node.name().to_owned(), Arc::clone(&stopping));
            thread::spawn(move || answer_datagrams(&socket, &name, &stopping))
        };
        Self {
            stopping,
            threads: vec![tcp, udp],
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn accept(listener: &TcpListener, name: &str, stopping: &AtomicBool) {
    thread::scope(|scope| {
        while !stopping.load(Ordering::Relaxed) {
            if let Ok((stream, client)) = listener.accept() {
                // What goes wrong with a connection its client sees.
                scope.spawn(move || answer_requests(stream, client, name, stopping).ok());
            }
        }
    });
}

fn answer_requests(
    mut stream: TcpStream,
    client: SocketAddr,
    name: &str,
    stopping: &AtomicBool,
) -> io::Result<()> {
    stream.set_read_timeout(Some(LOOK))?;
    let answer = Answer {
        server: name.to_owned(),
        client,
    };
    let body = format!("{answer}\n");
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (mut asked, mut part) = (Vec::new(), [0; 1024]);
    while !stopping.load(Ordering::Relaxed) {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => asked.extend(part.iter().take(length)),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
        if asked.ends_with(b"\r\n\r\n") {
            stream.write_all(response.as_bytes())?;
            if String::from_utf8_lossy(&asked).contains("\r\nConnection: close\r\n") {
                break;
            }
            asked.clear();
        }
    }
    Ok(())
}

fn answer_datagrams(socket: &UdpSocket, name: &str, stopping: &AtomicBool) {
    let mut datagram = [0; 1024];
    while !stopping.load(Ordering::Relaxed) {
        if let Ok((_, client)) = socket.recv_from(&mut datagram) {
            let answer = Answer {
                server: name.to_owned(),
                client,
            };
            // Whether it arrives its client sees.
            socket.send_to(answer.to_string().as_bytes(), client).ok();
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// What a [`Responder`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "all that it says")]
pub struct Answer {
    /// The name of its node.
    pub server: String,
    /// The client's address as the server sees it.
    pub client: SocketAddr,
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.server, self.client)
    }
}

impl FromStr for Answer {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let parsed = text
            .trim_end()
            .split_once(' ')
            .and_then(|(server, client)| {
                Some(Self {
                    server: server.to_owned(),
                    client: client.parse().ok()?,
                })
            });
        parsed.ok_or_else(|| io::Error::other(format!("no answer of a responder: {text:?}")))
    }
}

/// Asks a [`Responder`] several times with one curl, each time over a connection of its own.
///
/// `options` are curl's, if there are any beyond the address.
///
/// # Panics
///
/// When an answer does not come.
#[track_caller]
pub fn curl(from: &Node, to: SocketAddr, times: usize, options: &[&str]) -> Vec<Answer> {
    let url = format!("http://{to}/");
    let seconds = PATIENCE.as_secs().to_string();
    let mut arguments = vec!["-sS", "--fail", "--noproxy", "*", "--max-time", &seconds];
    arguments.extend(["-H", "Connection: close"]);
    arguments.extend(options);
    arguments.extend((0..times).map(|_| &*url));
    let text = from.run("curl", &arguments);
    let answers = text.lines().map(|line| {
        line.parse()
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    });
    answers.collect()
}

/// A TCP connection to a [`Responder`] that asks as often as one likes.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<TcpStream>,
}

impl Session {
    /// Connects from a node.
    ///
    /// # Errors
    ///
    /// The connection is refused, or not answered.
    pub fn connect(from: &Node, to: SocketAddr) -> io::Result<Self> {
        let connected = || TcpStream::connect_timeout(&to, PATIENCE);
        Self::over(from.namespace().enter(connected)?)
    }

    /// Connects from one of a node's addresses.
    ///
    /// # Errors
    ///
    /// The node does not have it, or the connection is refused, or not answered.
    pub fn connect_from(from: &Node, address: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let connected = || -> io::Result<TcpStream> {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(address, 0).into())?;
            socket.connect_timeout(&to.into(), PATIENCE)?;
            Ok(socket.into())
        };
        Self::over(from.namespace().enter(connected)?)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    ///
    /// The connection is broken, or no answer comes.
    pub fn ask(&mut self) -> io::Result<Answer> {
        self.stream
            .get_mut()
            .write_all(b"GET / HTTP/1.1\r\nHost: responder\r\n\r\n")?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        line.clear();
        self.stream.read_line(&mut line)?;
        line.parse()
    }
}

/// Datagrams to a [`Responder`] from one port.
#[derive(Debug)]
pub struct Flow {
    socket: UdpSocket,
}

impl Flow {
    /// Takes a port on a node.
    ///
    /// # Errors
    ///
    /// There is none, or no way to the server.
    pub fn open(from: &Node, to: SocketAddr) -> io::Result<Self> {
        let bind = || -> io::Result<UdpSocket> {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        };
        Ok(Self {
            socket: from.namespace().enter(bind)?,
        })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    ///
    /// No answer comes.
    pub fn ask(&self) -> io::Result<Answer> {
        self.socket.send(b"who?")?;
        let mut datagram = [0; 1024];
        let length = self.socket.recv(&mut datagram)?;
        let answer = datagram.get(..length).unwrap_or_default();
        String::from_utf8_lossy(answer).parse()
    }
}
