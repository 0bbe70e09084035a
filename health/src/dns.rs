//! DNS servers.

mod exchange;
mod question;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

use self::exchange::{Answers, Exchange, Received, plain};
pub use self::question::{QuestionError, Rcode, RecordType};
use crate::{
    Connect, HealthProbe, ProbeError, Success, Target, connect::while_talking,
    unpredictable::unpredictable_u16,
};

/// The greatest message.
const GREATEST: usize = 65_535;

/// Asks a DNS server a question (RFC 1035), as keepalived's `DNS_CHECK`.
///
/// It passes with the expected response code, and with the expected records if there are any. As
/// with keepalived `NOERROR` without a record is enough unless records are expected.
///
/// It asks by UDP, and again by TCP if the answer is truncated. What is not the answer to the
/// question (another number, another name) is passed over until the deadline: anybody can send it.
/// [`Self::strangers`] counts such messages.
#[derive(Debug)]
pub struct DnsProbe {
    connect: Connect,
    exchange: Exchange,
    strangers: AtomicU64,
}

/// Why an answer of a DNS server is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// The question cannot be put into a message.
    #[error("the question cannot be asked: {reason}")]
    Unaskable {
        /// Why not.
        reason: String,
    },
    /// The server answered something that is no DNS message.
    #[error("the answer cannot be read: {reason}")]
    Garbage {
        /// What is wrong with it.
        reason: String,
    },
    /// The server answered with another code.
    #[error("the server answers {rcode} instead of {expected}")]
    Rcode {
        /// Its code.
        rcode: Rcode,
        /// The expected one.
        expected: Rcode,
    },
    /// An expected record is not among the answers.
    #[error("\"{missing}\" is not among the answers {got:?}")]
    Missing {
        /// The record.
        missing: String,
        /// The records of the answer.
        got: Vec<String>,
    },
    /// The answers are others than expected.
    #[error("the answers are {got:?} instead of {wanted:?}")]
    Different {
        /// The expected records.
        wanted: Vec<String>,
        /// The records of the answer.
        got: Vec<String>,
    },
    /// By TCP came an answer to another question, or a truncated one.
    #[error("by TCP the server sends {0}")]
    Tcp(&'static str),
}

impl DnsProbe {
    /// A probe that asks for the records of a type of a name, such as `.` and
    /// [`RecordType::SOA`], keepalived's defaults. The name is taken as complete.
    ///
    /// # Errors
    /// The name is none.
    pub fn new(connect: Connect, name: &str, kind: RecordType) -> Result<Self, QuestionError> {
        Ok(Self {
            connect,
            exchange: Exchange::new(name, kind)?,
            strangers: AtomicU64::new(0),
        })
    }

    /// The same with another response code expected than `NOERROR`.
    #[must_use]
    pub const fn expecting(mut self, rcode: Rcode) -> Self {
        self.exchange.rcode = rcode;
        self
    }

    /// The same, where these records of the asked type must be in the answer, among others.
    ///
    /// Records are written as in a zone file (`192.0.2.1`, `10 mail.example.net`); case and the
    /// point at the end of a name do not count.
    #[must_use]
    pub fn with_records(mut self, records: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.exchange.answers = Answers::Contain(sorted(records));
        self
    }

    /// The same, where exactly these records of the asked type must be in the answer, in any
    /// order.
    #[must_use]
    pub fn with_exactly(mut self, records: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.exchange.answers = Answers::Equal(sorted(records));
        self
    }

    /// How many messages came to this value's sockets that were no answers to its questions.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }

    async fn ask(&self, target: &Target) -> Result<Success, ProbeError> {
        let address = self.connect.destination(target);
        let id = unpredictable_u16();
        let question = self.exchange.question(id)?;
        let socket = self.connect.udp(target).await?;
        let sent = socket.send(&question).await;
        sent.map_err(|source| while_talking(address, "asking it", source))?;
        match self.answer(&socket, id, address).await? {
            Some(result) => result?,
            None => self.ask_by_tcp(target, id, &question).await?,
        }
        Ok(Success::default())
    }

    /// Waits for the answer by UDP; `None`: it was truncated.
    async fn answer(
        &self,
        socket: &UdpSocket,
        id: u16,
        from: SocketAddr,
    ) -> Result<Option<Result<(), DnsError>>, ProbeError> {
        let mut buffer = vec![0; GREATEST];
        loop {
            let length = socket.recv(&mut buffer).await;
            let length =
                length.map_err(|source| while_talking(from, "waiting for its answer", source))?;
            let bytes = buffer.get(..length).unwrap_or_default();
            match self.exchange.judge(id, bytes) {
                Received::Answer(result) => return Ok(Some(result)),
                Received::Truncated => return Ok(None),
                Received::Stranger(reason) => {
                    self.strangers.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(server = %from, reason, "Passed over a message that is no answer");
                }
            }
        }
    }

    /// Asks again where there is room for the answer (RFC 7766 §5). Each message has its length in
    /// front (RFC 1035 §4.2.2).
    async fn ask_by_tcp(
        &self,
        target: &Target,
        id: u16,
        question: &[u8],
    ) -> Result<(), ProbeError> {
        let address = self.connect.destination(target);
        let failed = |source| while_talking(address, "asking it by TCP", source);
        let mut stream = self.connect.tcp(target).await?;
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(question);
        stream.write_all(&message).await.map_err(failed)?;
        let length = stream.read_u16().await.map_err(failed)?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.map_err(failed)?;
        match self.exchange.judge(id, &answer) {
            Received::Answer(result) => Ok(result?),
            Received::Truncated => Err(DnsError::Tcp("a truncated answer").into()),
            Received::Stranger(reason) => Err(DnsError::Tcp(reason).into()),
        }
    }
}

fn sorted(records: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut records: Vec<_> = records
        .into_iter()
        .map(|record| plain(record.as_ref()))
        .collect();
    records.sort();
    records
}

#[async_trait]
impl HealthProbe for DnsProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let ask = self.ask(target);
        self.connect
            .bounded(target, "waiting for its answer", ask)
            .await
    }
}

#[cfg(test)]
#[path = "dns/tests.rs"]
mod tests;
