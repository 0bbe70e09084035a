//! A kernel in memory that speaks bytes: framing, acknowledgements, lists in datagrams and all that
//! can go wrong with them. Its table is that of [`fake::Kernel`].

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use neli::consts::nl::{NlmF, Nlmsg};
use tokio::runtime;

use super::{Kernel, family, frame, link::Link, socket::Socket};
use crate::{
    Change, ChangeOutcome, DestinationState, IpvsBackend as _, IpvsError, RefusalReason,
    backend::errno,
    fake,
    wire::{Query, Reply, Request},
};

mod gate;

use self::gate::Gate;

/// Length of the header.
const HEADER: usize = 16;

/// Something that goes wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Sending fails.
    CannotSend,
    /// What is asked is done, and its answers are lost from this one on.
    Overrun(usize),
    /// What is asked is done, and there is no answer.
    Silence,
    /// A list has changed while it was made.
    Interrupted,
    /// Before the answers come some to a request that was given up.
    Stale,
    /// The datagram with the first answer is cut in its middle.
    Cut,
    /// The module is unloaded and loaded again, and the family has another number from then on.
    Reload,
    /// As many rows that nobody understands are in the list.
    Strange(usize),
}

/// The kernel, shared by all sockets to it.
#[derive(Clone)]
pub(super) struct ByteKernel {
    shared: Arc<Mutex<Shared>>,
    /// What every request to IPVS has to pass.
    pub(super) gate: Arc<Gate>,
    /// Its table.
    pub(super) table: fake::Kernel,
}

pub(super) struct Shared {
    /// Number of the family; `None` if ip_vs is not there and cannot be loaded.
    pub(super) family: Option<u16>,
    /// What goes wrong with the next datagrams that ask IPVS, one each.
    pub(super) troubles: VecDeque<Option<Trouble>>,
    /// The error number that every request to IPVS is refused with.
    pub(super) refusing: Option<i32>,
    /// What the kernel says in its own words to all that it refuses.
    pub(super) text: Option<&'static str>,
    /// Whether errors come without their request, as kernels from 4.2 on can.
    pub(super) caps: bool,
    /// Sockets opened so far.
    pub(super) opened: usize,
    /// How often the family was looked up.
    pub(super) lookups: usize,
    /// Numbers of requests in the datagrams so far.
    pub(super) datagrams: Vec<usize>,
    /// Rows of a list in a datagram.
    pub(super) page: usize,
}

impl ByteKernel {
    pub(super) fn new() -> Self {
        let shared = Shared {
            family: Some(0x22),
            troubles: VecDeque::new(),
            refusing: None,
            text: None,
            caps: true,
            opened: 0,
            lookups: 0,
            datagrams: Vec::new(),
            page: 90,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            gate: Arc::default(),
            table: fake::Kernel::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// The next datagrams to IPVS meet with these troubles.
    pub(super) fn troubles(&self, troubles: &[Option<Trouble>]) {
        self.lock().troubles = troubles.iter().copied().collect();
    }

    /// Whether no socket to it is open.
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// A way to it.
    pub(super) fn link(&self) -> Link {
        let kernel = self.clone();
        Link::new(Box::new(move || {
            kernel.lock().opened += 1;
            Ok(Box::new(ByteSocket {
                kernel: kernel.clone(),
                queue: VecDeque::new(),
            }))
        }))
    }

    pub(super) async fn connect(&self) -> Result<Kernel, IpvsError> {
        Kernel::over(self.link()).await
    }
}

/// A socket to it.
struct ByteSocket {
    kernel: ByteKernel,
    queue: VecDeque<io::Result<Vec<u8>>>,
}

impl Socket for ByteSocket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let requests: Vec<_> = split(datagram).collect();
        let to_controller = requests.iter().all(|it| it.kind == family::controller());
        let trouble = match to_controller {
            true => None,
            false => self.kernel.lock().troubles.pop_front().flatten(),
        };
        if !to_controller {
            self.kernel.gate.pass();
        }
        if trouble == Some(Trouble::CannotSend) {
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        }
        if trouble == Some(Trouble::Reload) {
            let mut shared = self.kernel.lock();
            shared.family = shared.family.map(|number| number + 1);
        }
        self.kernel.lock().datagrams.push(requests.len());
        let mut answers: Vec<_> = requests
            .iter()
            .flat_map(|request| self.answer(request, trouble))
            .collect();
        match trouble {
            Some(Trouble::Overrun(from)) => {
                answers.truncate(from);
                self.queue.extend(answers.into_iter().map(Ok));
                self.queue
                    .push_back(Err(io::Error::from_raw_os_error(libc::ENOBUFS)));
                return Ok(());
            }
            Some(Trouble::Silence) => return Ok(()),
            Some(Trouble::Stale) => {
                let first = requests[0].sequence;
                for old in [first.wrapping_sub(1), first.wrapping_sub(64)] {
                    let refused = Some(libc::EEXIST);
                    answers.insert(0, self.end(&requests[0], old, refused));
                }
            }
            Some(Trouble::Cut) => {
                let length = answers[0].len() - 6;
                answers[0].truncate(length);
            }
            Some(
                Trouble::CannotSend | Trouble::Interrupted | Trouble::Reload | Trouble::Strange(_),
            )
            | None => {}
        }
        self.queue.extend(answers.into_iter().map(Ok));
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.queue.pop_front();
        let datagram = datagram.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

/// A request as it came.
struct Received<'a> {
    whole: &'a [u8],
    kind: u16,
    flags: NlmF,
    sequence: u32,
}

fn split(datagram: &[u8]) -> impl Iterator<Item = Received<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let number = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
        let half = |at: usize| u16::from_ne_bytes(rest[at..at + 2].try_into().unwrap());
        if rest.is_empty() {
            return None;
        }
        let length = number(0) as usize;
        let received = Received {
            whole: &rest[..length],
            kind: half(4),
            flags: NlmF::from_bits_retain(half(6)),
            sequence: number(8),
        };
        assert!(received.flags.contains(NlmF::REQUEST));
        rest = &rest[length.next_multiple_of(4)..];
        Some(received)
    })
}

impl ByteSocket {
    /// The datagrams that answer a request.
    fn answer(&self, request: &Received<'_>, trouble: Option<Trouble>) -> Vec<Vec<u8>> {
        let (number, refusing) = {
            let shared = self.kernel.lock();
            (shared.family, shared.refusing)
        };
        let end = |refused| self.end(request, request.sequence, refused);
        let content = &request.whole[HEADER..];
        if request.kind == family::controller() {
            assert_eq!(content, family::request());
            self.kernel.lock().lookups += 1;
            return match number {
                None => vec![end(Some(libc::ENOENT))],
                Some(number) => {
                    let mut row = vec![1, 2, 0, 0, 6, 0, 1, 0];
                    row.extend(number.to_ne_bytes());
                    row.extend([0, 0]);
                    vec![message(request, NlmF::empty(), &row), end(None)]
                }
            };
        }
        if number != Some(request.kind) {
            return vec![end(Some(libc::ENOENT))];
        }
        if refusing.is_some() {
            return vec![end(refusing)];
        }
        match Request::decode(content).unwrap() {
            Request::Change(change) => match self.change(change) {
                None if !request.flags.contains(NlmF::ACK) => Vec::new(),
                refused => vec![end(refused)],
            },
            Request::Query(query) => {
                assert_eq!(request.flags.contains(NlmF::DUMP), query.is_dump());
                self.tell(request, query, trouble)
            }
        }
    }

    fn change(&self, change: Change) -> Option<i32> {
        let outcomes = now(self.kernel.table.apply(&[change])).unwrap();
        match outcomes.into_iter().next() {
            Some(ChangeOutcome::Refused(refusal)) => Some(number_of(&refusal.reason)),
            _ => None,
        }
    }

    fn tell(&self, request: &Received<'_>, query: Query, trouble: Option<Trouble>) -> Vec<Vec<u8>> {
        let snapshot = self.kernel.table.running();
        let replies: Vec<Reply> = match query {
            Query::Info => vec![Reply::Info(snapshot.info)],
            Query::Timeouts => vec![Reply::Timeouts(snapshot.timeouts)],
            Query::Daemons => snapshot.daemons.into_iter().map(Reply::Daemon).collect(),
            Query::Services => snapshot.services.into_iter().map(Reply::Service).collect(),
            Query::Service(_) => panic!("nobody asks that"),
            Query::Destinations(key) => {
                let service = snapshot.service(&key);
                let states: &[DestinationState] = service.map_or(&[], |it| &it.destinations);
                states.iter().copied().map(Reply::Destination).collect()
            }
        };
        let mut rows: Vec<_> = replies
            .iter()
            .map(|reply| {
                let mut row = Vec::new();
                reply.encode(&mut row);
                row
            })
            .collect();
        if !query.is_dump() {
            let mut answers = vec![message(request, NlmF::empty(), &rows[0])];
            if request.flags.contains(NlmF::ACK) {
                answers.push(self.end(request, request.sequence, None));
            }
            return answers;
        }
        if let Some(Trouble::Strange(count)) = trouble {
            rows.extend(std::iter::repeat_n(vec![1, 1, 0, 0], count));
        }
        let mut flags = NlmF::MULTI;
        if trouble == Some(Trouble::Interrupted) {
            flags |= NlmF::DUMP_INTR;
        }
        let page = self.kernel.lock().page;
        let mut datagrams: Vec<Vec<u8>> = rows
            .chunks(page)
            .map(|rows| {
                rows.iter()
                    .flat_map(|row| message(request, flags, row))
                    .collect()
            })
            .collect();
        let mut done = Vec::new();
        let kind = Nlmsg::Done.into();
        frame::put(&mut done, kind, flags, request.sequence, &[0; 4]);
        datagrams.push(done);
        datagrams
    }

    /// An acknowledgement, or an error.
    fn end(&self, request: &Received<'_>, sequence: u32, refused: Option<i32>) -> Vec<u8> {
        let shared = self.kernel.lock();
        let mut payload = refused.map_or(0, |number| -number).to_ne_bytes().to_vec();
        let mut flags = NlmF::empty();
        match refused.is_some() && !shared.caps {
            true => payload.extend(request.whole),
            false => {
                payload.extend(&request.whole[..HEADER]);
                flags |= NlmF::CAPPED;
            }
        }
        if let (Some(text), Some(_)) = (shared.text, refused) {
            flags |= NlmF::ACK_TLVS;
            let length = u16::try_from(4 + text.len() + 1).unwrap();
            payload.extend(length.to_ne_bytes());
            payload.extend(1_u16.to_ne_bytes());
            payload.extend(text.as_bytes());
            payload.push(0);
            payload.resize(payload.len().next_multiple_of(4), 0);
        }
        let mut out = Vec::new();
        frame::put(&mut out, Nlmsg::Error.into(), flags, sequence, &payload);
        out
    }
}

/// A message of the answer to a request.
fn message(request: &Received<'_>, flags: NlmF, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put(&mut out, request.kind, flags, request.sequence, payload);
    out
}

/// What a future gives that waits for nothing, outside of any runtime.
fn now<T>(future: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// The number that a reason was made from.
fn number_of(reason: &RefusalReason) -> i32 {
    match reason {
        RefusalReason::ServiceExists
        | RefusalReason::DestinationExists
        | RefusalReason::DaemonRuns => errno::EEXIST,
        RefusalReason::NoSuchService | RefusalReason::NoDaemon => errno::ESRCH,
        RefusalReason::NoSuchDestination
        | RefusalReason::NoScheduler(_)
        | RefusalReason::NoSchedulerOrEngine(..) => errno::ENOENT,
        RefusalReason::Forbidden => errno::EPERM,
        RefusalReason::Invalid => errno::EINVAL,
        RefusalReason::OutOfRange => errno::ERANGE,
        RefusalReason::NoInterface => errno::ENODEV,
        RefusalReason::NoIpv6 => errno::EAFNOSUPPORT,
        RefusalReason::OutOfMemory => errno::ENOMEM,
        RefusalReason::Unsupported => errno::EOPNOTSUPP,
        RefusalReason::Other(number) => *number,
        RefusalReason::NotInUserspace(_)
        | RefusalReason::NotInNftables(_)
        | RefusalReason::CannotListen(_) => {
            unreachable!("no kernel says so")
        }
    }
}
