//! Servers that are asked by a datagram.

mod pattern;

use std::{io, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use tokio::{net::UdpSocket, time::timeout};

pub use self::pattern::{BytePattern, HexError, parse_hex};
use crate::{
    Connect, HealthProbe, ProbeError, Success, Target, connect::while_talking, excerpt::Excerpt,
};

/// The greatest datagram.
const GREATEST: usize = 65_535;

/// Sends a datagram and looks at what comes back, as keepalived's `UDP_CHECK`.
///
/// A server that has nothing on the port says so by ICMP, and has failed. Silence is as good as an
/// answer unless one is required ([`Self::requiring`]): a server of a protocol without answers is
/// up as long as nobody says otherwise for a while.
#[derive(Debug, Clone)]
pub struct UdpProbe {
    connect: Connect,
    payload: Vec<u8>,
    want: Want,
}

#[derive(Debug, Clone)]
enum Want {
    /// Nothing, for this long.
    NoRefusal(Duration),
    Reply(Reply),
}

/// What a reply must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// What its beginning must be; `None`: anything.
    pub pattern: Option<BytePattern>,
    /// Whether one that is shorter than the pattern is compared as far as it goes, as keepalived does;
    /// else it is refused.
    pub may_end_early: bool,
    /// How many bytes it must have at least.
    pub min_length: usize,
    /// How many bytes it may have at most; `None`: any number. keepalived's default is 255.
    pub max_length: Option<usize>,
}

/// Why a reply was not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UdpError {
    /// It does not match.
    #[error("the reply {} does not match {pattern}", Excerpt(.reply))]
    Different {
        /// What came.
        reply: Vec<u8>,
        /// What was expected.
        pattern: BytePattern,
    },
    /// It is too short or too long.
    #[error("the reply {} has {} bytes, expected are {}", Excerpt(.reply), .reply.len(), range(*.min, *.max))]
    Length {
        /// What came.
        reply: Vec<u8>,
        /// How long it must be at least.
        min: usize,
        /// How long it may be at most.
        max: Option<usize>,
    },
}

fn range(min: usize, max: Option<usize>) -> String {
    match max {
        Some(max) => format!("{min} to {max}"),
        None => format!("{min} or more"),
    }
}

impl UdpProbe {
    /// A probe that sends these bytes, and passes with any answer, or with silence for as long as
    /// `silence`, which must be less than the caller's patience.
    #[must_use]
    pub fn new(connect: Connect, payload: impl Into<Vec<u8>>, silence: Duration) -> Self {
        Self {
            connect,
            payload: payload.into(),
            want: Want::NoRefusal(silence),
        }
    }

    /// A probe that sends these bytes, and passes with a reply such as this alone
    /// (`require_reply`).
    #[must_use]
    pub fn requiring(connect: Connect, payload: impl Into<Vec<u8>>, reply: Reply) -> Self {
        Self {
            connect,
            payload: payload.into(),
            want: Want::Reply(reply),
        }
    }

    async fn ask(&self, target: &Target) -> Result<Success, ProbeError> {
        let address = self.connect.destination(target);
        let socket = self.connect.udp(target).await?;
        let sent = socket.send(&self.payload).await;
        sent.map_err(|source| while_talking(address, "sending a datagram", source))?;
        match &self.want {
            Want::NoRefusal(silence) => {
                let mut buffer = [0; 1];
                let reply = timeout(*silence, receive(&socket, address, &mut buffer)).await;
                if let Ok(reply) = reply {
                    reply?;
                }
            }
            Want::Reply(wanted) => wait_for(wanted, &socket, address).await?,
        }
        Ok(Success::default())
    }
}

/// The first reply counts: it comes from the server's address, as the socket takes no other.
async fn wait_for(wanted: &Reply, socket: &UdpSocket, from: SocketAddr) -> Result<(), ProbeError> {
    let mut buffer = vec![0; GREATEST];
    let length = receive(socket, from, &mut buffer).await?;
    buffer.truncate(length);
    Ok(wanted.judge(buffer)?)
}

async fn receive(
    socket: &UdpSocket,
    from: SocketAddr,
    buffer: &mut [u8],
) -> Result<usize, ProbeError> {
    let received: io::Result<usize> = socket.recv(buffer).await;
    received.map_err(|source| while_talking(from, "waiting for a reply", source))
}

impl Reply {
    fn judge(&self, reply: Vec<u8>) -> Result<(), UdpError> {
        let (min, max) = (self.min_length, self.max_length);
        if reply.len() < min || max.is_some_and(|max| reply.len() > max) {
            return Err(UdpError::Length { reply, min, max });
        }
        match &self.pattern {
            Some(pattern) if !pattern.matches(&reply, self.may_end_early) => {
                Err(UdpError::Different {
                    reply,
                    pattern: pattern.clone(),
                })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[async_trait]
impl HealthProbe for UdpProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let ask = self.ask(target);
        self.connect
            .bounded(target, "waiting for a reply", ask)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any answer of these tests takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A server that answers one datagram, or not at all.
    async fn server(reply: Option<&'static [u8]>) -> (Target, tokio::task::JoinHandle<Vec<u8>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(socket.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut buffer = [0; 100];
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            match reply {
                Some(reply) => {
                    socket.send_to(reply, from).await.unwrap();
                }
                None => std::future::pending().await,
            }
            buffer[..length].to_vec()
        });
        (target, serving)
    }

    fn lax(silence: Duration) -> UdpProbe {
        UdpProbe::new(Connect::default(), *b"hello", silence)
    }

    fn strict(reply: Reply) -> UdpProbe {
        UdpProbe::requiring(Connect::default(), *b"hello", reply)
    }

    async fn probe(probe: &UdpProbe, target: &Target) -> Result<Success, ProbeError> {
        timeout(PATIENCE, probe.probe(target))
            .await
            .expect("in time")
    }

    #[tokio::test]
    async fn silence_passes_unless_a_reply_is_required() {
        let (target, _serving) = server(None).await;
        probe(&lax(Duration::from_millis(20)), &target)
            .await
            .unwrap();

        let (target, _serving) = server(None).await;
        let mut strict = strict(Reply::default());
        strict.connect.timeout = Some(Duration::from_millis(20));
        let error = probe(&strict, &target).await.unwrap_err();
        assert!(matches!(error, ProbeError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_fails_either_way() {
        let target = {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            Target::new(socket.local_addr().unwrap())
        };
        for asking in [lax(PATIENCE), strict(Reply::default())] {
            let error = probe(&asking, &target).await.unwrap_err();
            assert!(matches!(error, ProbeError::Refused { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn any_answer_ends_the_wait_for_silence() {
        let (target, serving) = server(Some(b"whatever")).await;
        probe(&lax(PATIENCE), &target).await.unwrap();
        assert_eq!(serving.await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn a_reply_is_held_to_its_pattern_and_its_length() {
        for (reply, text) in [
            (&b"\x01\x02\xff"[..], None),
            (b"\x01\x02", Some("has 2 bytes, expected are 3 to 4")),
            (
                b"\x01\x02\x03\x04\x05",
                Some("has 5 bytes, expected are 3 to 4"),
            ),
            (
                b"\x01\x03\xff",
                Some(r#"the reply "\x01\x03\xff" does not match 0102"#),
            ),
            (b"", Some("the reply nothing has 0 bytes")),
        ] {
            let (target, _serving) = server(Some(reply)).await;
            let wanted = Reply {
                pattern: Some("0102".parse().unwrap()),
                may_end_early: false,
                min_length: 3,
                max_length: Some(4),
            };
            let result = probe(&strict(wanted), &target).await;
            match text {
                None => assert!(result.is_ok(), "{result:?}"),
                Some(text) => {
                    let error = result.unwrap_err().to_string();
                    assert!(error.contains(text), "{error}");
                }
            }
        }
    }
}
