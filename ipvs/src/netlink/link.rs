//! Exchanges with the kernel, one after the other, over a socket that is replaced when it breaks.

use std::{fmt, io};

use neli::consts::nl::NlmF;

use super::{
    family,
    frame::{self, Answer, Content, Denial, messages},
    socket::Socket,
};
use crate::{
    Change, DestinationState, Family, ServiceKey, Snapshot, UnreadableRow,
    backend::errno,
    wire::{Query, Reply, Request, WireError},
};

/// How often a question is asked again when the answer did not come to its end.
const ATTEMPTS: u32 = 3;

/// Room for a datagram. The kernel fills up to 32 KiB with rows of a list if it sees that there is
/// as much.
const DATAGRAM: usize = 64 * 1024;

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no socket to be had.
    NoSocket(io::Error),
    /// The kernel has no such family.
    NoFamily,
    /// The kernel refuses to answer.
    Refused(Denial),
    /// The answer did not come, or not to its end.
    Broken(io::Error),
    /// It is not known whether it was done, is being done, or failed.
    Lost(io::Error),
}

impl Fault {
    fn malformed(error: WireError) -> Self {
        Self::Broken(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Whether a new socket may do better. A question is answered with ENOENT only if the number
    /// of the family is no longer its own.
    fn may_pass(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Refused(denial) => denial.errno == errno::ENOENT,
            Self::NoSocket(_) | Self::NoFamily | Self::Lost(_) => false,
        }
    }
}

type Open = Box<dyn FnMut() -> io::Result<Box<dyn Socket>> + Send>;

/// The way to the kernel.
pub(super) struct Link {
    open: Open,
    line: Option<Line>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.line.is_some();
        f.debug_struct("Link").field("is_open", &is_open).finish()
    }
}

/// The destinations of a service, and those of them that could not be read.
pub(super) type Destinations = (Vec<DestinationState>, Vec<UnreadableRow>);

impl Link {
    /// A way that is not open yet.
    pub(super) fn new(open: Open) -> Self {
        Self { open, line: None }
    }

    /// Asks whether the kernel answers at all.
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        self.ask(|line| line.rows(&[Query::Info], None).map(drop))
    }

    /// Reads all but destinations.
    pub(super) fn overview(&mut self) -> Result<Snapshot, Fault> {
        self.ask(|line| {
            let mut snapshot = Snapshot::default();
            for reply in line.rows(&[Query::Info, Query::Timeouts], None)? {
                snapshot.note(reply.map_err(Fault::malformed)?);
            }
            for query in [Query::Daemons, Query::Services] {
                for row in line.rows(&[query], None)? {
                    match row {
                        Ok(reply) => snapshot.note(reply),
                        Err(cause) => snapshot.unreadable.push(UnreadableRow::new(None, cause)),
                    }
                }
            }
            Ok(snapshot)
        })
    }

    /// Reads the destinations of a service: none if there is no such service.
    pub(super) fn destinations(&mut self, service: ServiceKey) -> Result<Destinations, Fault> {
        self.ask(|line| {
            let mut read = Destinations::default();
            for row in line.rows(&[Query::Destinations(service)], Some(service.family()))? {
                match row {
                    Ok(Reply::Destination(state)) => read.0.push(state),
                    // The kernel answers with nothing else.
                    Ok(_) => {}
                    Err(cause) => read.1.push(UnreadableRow::new(Some(service), cause)),
                }
            }
            Ok(read)
        })
    }

    /// Asks for changes in one datagram. `None` is for a change of which it is not known whether it
    /// was done; if it is an error, none was asked for.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<Vec<Option<Answer>>, Fault> {
        let requests: Vec<_> = changes
            .iter()
            .map(|it| encoded(Request::Change(*it)))
            .collect();
        let (family, answers) = self.send_changes(&requests)?;
        // The kernel does not unload ip_vs while it works through a datagram: if that has another
        // number now, or none, it was nobody who refused all of this one.
        let missing = |answer: &Option<Answer>| {
            let denied = answer.as_ref().and_then(|answer| answer.as_ref().err());
            denied.is_some_and(|denial| denial.errno == errno::ENOENT)
        };
        if answers.iter().all(missing) {
            self.line = None;
            if self.line()?.family != family {
                return self.send_changes(&requests).map(|(_, answers)| answers);
            }
        }
        Ok(answers)
    }

    /// Sends changes once, by whatever family number is known, and tells by which.
    fn send_changes(&mut self, requests: &[Vec<u8>]) -> Result<(u16, Vec<Option<Answer>>), Fault> {
        // What cannot be sent has no effect, so it can be sent again.
        let (family, mut pending) = self.ask(|line| {
            let pending = line.send(line.family, NlmF::REQUEST, requests)?;
            Ok((line.family, pending))
        })?;
        if let Some(line) = &mut self.line
            && let Err(error) = line.receive(&mut pending, |_| {})
        {
            let unanswered = pending.answers.iter().filter(|it| it.is_none()).count();
            tracing::debug!(%error, unanswered, "changes without an answer; the socket is replaced");
            self.line = None;
        }
        Ok((family, pending.answers))
    }

    /// Asks something that changes nothing, and again over a new socket if that may help.
    fn ask<T>(
        &mut self,
        mut question: impl FnMut(&mut Line) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut attempt = 1;
        loop {
            match self.line().and_then(&mut question) {
                Err(fault) if fault.may_pass() => {
                    self.line = None;
                    if attempt == ATTEMPTS {
                        return Err(fault);
                    }
                    tracing::debug!(?fault, attempt, "asking the kernel again over a new socket");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn line(&mut self) -> Result<&mut Line, Fault> {
        let line = match self.line.take() {
            Some(line) => line,
            None => Line::open(&mut self.open)?,
        };
        Ok(self.line.insert(line))
    }
}

fn encoded(request: Request) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(&mut out);
    out
}

/// A socket and what is known about it.
struct Line {
    socket: Box<dyn Socket>,
    family: u16,
    /// Number of the next request. What answers another is from an exchange that was given up.
    sequence: u32,
    buffer: Vec<u8>,
}

/// Requests that were sent together.
///
/// The kernel works through them in their order and always says what it refuses, but that a request
/// went well only to the last one, which alone asks for it: an acknowledgement costs a system call
/// and a buffer in the kernel, and there may be tens of thousands. (It is silent as well about a sync
/// daemon that was stopped before it began: that is done.)
struct Pending {
    first: u32,
    answers: Vec<Option<Answer>>,
    /// Whether what was listed has changed meanwhile.
    interrupted: bool,
}

impl Line {
    fn open(open: &mut Open) -> Result<Self, Fault> {
        let mut line = Self {
            socket: open().map_err(Fault::NoSocket)?,
            family: 0,
            sequence: 1,
            buffer: vec![0; DATAGRAM],
        };
        line.family = line.resolve()?;
        Ok(line)
    }

    /// Asks for the number of the family.
    fn resolve(&mut self) -> Result<u16, Fault> {
        let mut number = None;
        let flags = NlmF::REQUEST;
        let told = |answer: &[u8]| number = Some(family::number(answer));
        match self.exchange(family::controller(), flags, &[family::request()], told) {
            Err(Fault::Refused(denial)) if denial.errno == errno::ENOENT => Err(Fault::NoFamily),
            Err(fault) => Err(fault),
            Ok(()) => match number {
                Some(number) => number.map_err(Fault::malformed),
                None => Err(Fault::Broken(io::ErrorKind::UnexpectedEof.into())),
            },
        }
    }

    /// Asks one list, or some questions of which each has one answer.
    fn rows(
        &mut self,
        queries: &[Query],
        service: Option<Family>,
    ) -> Result<Vec<Result<Reply, WireError>>, Fault> {
        let requests: Vec<_> = queries
            .iter()
            .map(|it| encoded(Request::Query(*it)))
            .collect();
        let flags = match queries.iter().any(Query::is_dump) {
            true => NlmF::REQUEST | NlmF::DUMP,
            false => NlmF::REQUEST,
        };
        let mut rows = Vec::new();
        let told = |row: &[u8]| rows.push(Reply::decode(row, service));
        self.exchange(self.family, flags, &requests, told)?;
        Ok(rows)
    }

    /// Sends requests and receives until all have ended well.
    fn exchange(
        &mut self,
        kind: u16,
        flags: NlmF,
        requests: &[Vec<u8>],
        told: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        let mut pending = self.send(kind, flags, requests)?;
        self.receive(&mut pending, told).map_err(Fault::Broken)?;
        for answer in pending.answers.into_iter().flatten() {
            answer.map_err(Fault::Refused)?;
        }
        if pending.interrupted {
            let text = "the table changes faster than the kernel can list it";
            return Err(Fault::Broken(io::Error::other(text)));
        }
        Ok(())
    }

    fn send(&mut self, kind: u16, flags: NlmF, requests: &[Vec<u8>]) -> Result<Pending, Fault> {
        let first = self.sequence;
        let mut datagram = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            // A list ends with a word of its own.
            let is_last = index + 1 == requests.len() && !flags.contains(NlmF::DUMP);
            let of_this = if is_last { flags | NlmF::ACK } else { flags };
            frame::put(&mut datagram, kind, of_this, self.sequence, request);
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.socket.send(&datagram).map_err(Fault::Broken)?;
        Ok(Pending {
            first,
            answers: vec![None; requests.len()],
            interrupted: false,
        })
    }

    fn receive(&mut self, pending: &mut Pending, mut told: impl FnMut(&[u8])) -> io::Result<()> {
        while let Some(None) = pending.answers.last() {
            let length = self.socket.receive(&mut self.buffer)?;
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
                let message = message.map_err(invalid)?;
                let place = usize::try_from(message.sequence.wrapping_sub(pending.first));
                let answer = place.ok().and_then(|place| pending.answers.get_mut(place));
                let Some(answer) = answer else {
                    tracing::trace!(message.sequence, "an answer that nobody waits for");
                    continue;
                };
                pending.interrupted |= message.interrupted;
                match message.content {
                    Content::Payload(payload) => told(payload),
                    Content::End(end) => *answer = Some(end),
                    Content::Nothing => {}
                }
            }
        }
        for unsaid in &mut pending.answers {
            unsaid.get_or_insert(Ok(()));
        }
        Ok(())
    }
}

impl Snapshot {
    fn note(&mut self, reply: Reply) {
        match reply {
            Reply::Info(info) => self.info = info,
            Reply::Timeouts(timeouts) => self.timeouts = timeouts,
            Reply::Service(state) => self.services.push(state),
            Reply::Daemon(daemon) => self.daemons.push(daemon),
            // No question that is asked here is answered with one.
            Reply::Destination(_) => {}
        }
    }
}
