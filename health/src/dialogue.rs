//! Servers that talk in turns: what to send, what to expect.

mod expect;
mod reply;
mod script;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub use self::expect::{Expect, PatternError};
use self::script::{Action, Dialogue, Heard, Step};
use crate::{
    Connect, HealthProbe, ProbeError, Success, Target, connect::while_talking, excerpt::Excerpt,
};

/// How long a server may take to close once it was told good-bye.
const FAREWELL: Duration = Duration::from_millis(250);

/// Connects by TCP and has a dialogue with the server: bytes are sent, answers expected.
///
/// ```
/// use health::{Connect, DialogueProbe, Expect};
///
/// # fn main() -> Result<(), health::PatternError> {
/// let memcached = DialogueProbe::new(Connect::default())
///     .send("version\r\n")
///     .expect(Expect::line("^VERSION ")?)
///     .farewell("quit\r\n");
/// # Ok(())
/// # }
/// ```
///
/// The order is kept: what the server says too early waits for its expectation, what it says after
/// the last one is not read. Debug output leaves out what is sent, as it may hold a password.
#[derive(Debug, Clone)]
pub struct DialogueProbe {
    connect: Connect,
    steps: Vec<Step>,
    farewell: Vec<u8>,
}

/// Why a dialogue did not go as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialogueError {
    /// The server said something else.
    #[error("expected {awaited}, but the server said {}", Excerpt(.heard))]
    Unexpected {
        /// What was expected.
        awaited: String,
        /// What it said.
        heard: Vec<u8>,
    },
    /// The server closed the connection before it had said enough.
    #[error("expected {awaited}, but the server said {} and closed the connection", Excerpt(.heard))]
    Ended {
        /// What was expected.
        awaited: String,
        /// What it said before.
        heard: Vec<u8>,
    },
    /// The server went on and on.
    #[error("expected {awaited}, but the server said more than {limit} bytes without it")]
    Endless {
        /// What was expected.
        awaited: String,
        /// The most that is read.
        limit: usize,
    },
}

impl DialogueProbe {
    /// A dialogue without steps: it passes once it is connected.
    #[must_use]
    pub const fn new(connect: Connect) -> Self {
        Self {
            connect,
            steps: Vec::new(),
            farewell: Vec::new(),
        }
    }

    /// The same with a step more: these bytes are sent as they are.
    #[must_use]
    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// The same with a step more: the server says this, or the probe fails.
    #[must_use]
    pub fn expect(mut self, expect: Expect) -> Self {
        self.steps.push(Step::Expect(expect));
        self
    }

    /// The same with a farewell: bytes sent when all steps are done, so that the server does not
    /// log a broken connection. The server then has 250 ms to close; what it answers, and whether
    /// it does, means nothing for the result.
    #[must_use]
    pub fn farewell(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.farewell = bytes.as_ref().to_vec();
        self
    }

    async fn talk(&self, target: &Target) -> Result<Success, ProbeError> {
        let address = self.connect.destination(target);
        let mut stream = self.connect.tcp(target).await?;
        let mut dialogue = Dialogue::new(Arc::from(self.steps.as_slice()));
        let mut buffer = [0; 2048];
        loop {
            match dialogue.poll_action() {
                Some(Action::Send(bytes)) => write(&mut stream, &bytes, address).await?,
                Some(Action::Finish(result)) => {
                    result?;
                    break;
                }
                None => {
                    let read = stream.read(&mut buffer).await;
                    let length =
                        read.map_err(|source| while_talking(address, "talking to it", source))?;
                    dialogue.handle(match buffer.get(..length) {
                        None | Some([]) => Heard::End,
                        Some(bytes) => Heard::Bytes(bytes),
                    });
                }
            }
        }
        self.part(stream).await;
        Ok(Success::default())
    }

    /// Ends the connection as the protocol has it. The result is known by now.
    async fn part(&self, mut stream: TcpStream) {
        if self.farewell.is_empty() {
            return;
        }
        let parting = async {
            stream.write_all(&self.farewell).await?;
            stream.shutdown().await?;
            let mut buffer = [0; 512];
            while stream.read(&mut buffer).await? > 0 {}
            std::io::Result::Ok(())
        };
        if !matches!(timeout(FAREWELL, parting).await, Ok(Ok(()))) {
            tracing::debug!("A server did not close after the farewell");
        }
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8], to: SocketAddr) -> Result<(), ProbeError> {
    let written = stream.write_all(bytes).await;
    written.map_err(|source| while_talking(to, "talking to it", source))
}

#[async_trait]
impl HealthProbe for DialogueProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let talk = self.talk(target);
        self.connect.bounded(target, "talking to it", talk).await
    }
}

/// Dialogues of well-known protocols.
impl DialogueProbe {
    /// Redis (and Valkey, KeyDB): `PING` is answered `PONG`. One that still loads its data, or
    /// wants a password, fails and says so.
    #[must_use]
    pub fn redis(connect: Connect) -> Self {
        Self::new(connect).redis_ping()
    }

    /// Redis after `AUTH` with a password, and the name of a user where there are some (Redis 6).
    #[must_use]
    pub fn redis_with_password(connect: Connect, user: Option<&str>, password: &str) -> Self {
        let words = ["AUTH"].into_iter().chain(user).chain([password]);
        let count = words.clone().count();
        let auth = words.fold(format!("*{count}\r\n"), |text, word| {
            format!("{text}${}\r\n{word}\r\n", word.len())
        });
        Self::new(connect)
            .send(auth)
            .expect(Expect::known_line(r"^\+OK$"))
            .redis_ping()
    }

    fn redis_ping(self) -> Self {
        self.send("PING\r\n")
            .expect(Expect::known_line(r"^\+PONG$"))
            .farewell("QUIT\r\n")
    }

    /// IMAP: the server greets (RFC 9051 §7.1).
    #[must_use]
    pub fn imap(connect: Connect) -> Self {
        Self::new(connect)
            .expect(Expect::known_line(r"^\* (OK|PREAUTH)\b"))
            .farewell("a LOGOUT\r\n")
    }

    /// POP3: the server greets (RFC 1939 §4).
    #[must_use]
    pub fn pop3(connect: Connect) -> Self {
        Self::new(connect)
            .expect(Expect::known_line(r"^\+OK\b"))
            .farewell("QUIT\r\n")
    }

    /// FTP: the server is ready for a user (RFC 959 §5.4).
    #[must_use]
    pub fn ftp(connect: Connect) -> Self {
        Self::new(connect)
            .expect(Expect::reply(&[220]))
            .farewell("QUIT\r\n")
    }

    /// MySQL and MariaDB: the server greets with version 10 of its handshake, and not with an
    /// error such as "too many connections".
    ///
    /// To the server each such probe is a login that was broken off: after `max_connect_errors`
    /// (100) of them without a good one it refuses this machine. Raise that limit there.
    #[must_use]
    pub fn mysql(connect: Connect) -> Self {
        Self::new(connect).expect(Expect::known_text(r"(?s)\A...\x00\x0a[^\x00]+\x00"))
    }
}

#[cfg(test)]
#[path = "dialogue/tests.rs"]
mod tests;
