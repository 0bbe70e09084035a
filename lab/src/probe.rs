//! How long an address did not answer: echo requests every few milliseconds.

use std::{
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Node,
    namespace::enter_thread,
    wait::{becomes_true, now},
};

/// Pings an address from a node, every so often, until it is [stopped](Self::stop).
#[derive(Debug)]
pub struct Prober {
    stopping: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: Option<JoinHandle<Reachability>>,
}

/// What a [`Prober`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reachability {
    /// How many echo requests were sent.
    pub sent: u64,
    /// How many were answered.
    pub answered: u64,
    /// The longest time without reachability: from the sending of the last request that was
    /// answered to the sending of the next that was (or to the end). At least one probe interval.
    pub longest_gap: Duration,
}

impl Prober {
    /// Starts to probe `target` and returns when it has answered for the first time, from where on
    /// gaps count.
    ///
    /// # Panics
    ///
    /// When it does not answer within ten seconds.
    #[must_use]
    #[track_caller]
    pub fn start(from: &Node, target: IpAddr, interval: Duration) -> Self {
        // The kernel gives echo sockets to these groups: to everybody's.
        from.namespace()
            .set_sysctl("net/ipv4/ping_group_range", "0 2147483647");
        let namespace = from.namespace().path();
        let stopping = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicU64::new(0));
        let thread = thread::spawn({
            let (stopping, answers) = (Arc::clone(&stopping), Arc::clone(&answers));
            move || {
                enter_thread(&namespace);
                let socket = echo_socket(target)
                    .unwrap_or_else(|error| panic!("an echo socket to {target}: {error}"));
                probe(&socket, interval, &stopping, &answers)
            }
        });
        let prober = Self {
            stopping,
            answers,
            thread: Some(thread),
        };
        let answered = becomes_true(Duration::from_secs(10), || prober.answers() > 0);
        assert!(answered, "{target} does not answer {}", from.name());
        prober
    }

    fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Waits until it answers from now on: ten more answers.
    ///
    /// # Panics
    ///
    /// When they do not come within ten seconds.
    #[track_caller]
    pub fn wait_for_answers(&self) {
        let enough = self.answers() + 10;
        let answered = becomes_true(Duration::from_secs(10), || self.answers() >= enough);
        assert!(answered, "the probed address does not answer");
    }

    /// Ends probing and says what was seen.
    ///
    /// # Panics
    ///
    /// When probing failed (no socket).
    #[must_use]
    pub fn stop(mut self) -> Reachability {
        self.stopping.store(true, Ordering::Relaxed);
        let thread = self
            .thread
            .take()
            .expect("only this method, which consumes it, takes it");
        thread
            .join()
            .unwrap_or_else(|_| panic!("the prober failed: see above"))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// An unprivileged echo socket: the kernel fills identifier and checksum in and hands us our own
/// answers only.
fn echo_socket(target: IpAddr) -> io::Result<Socket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.connect(&SocketAddr::new(target, 0).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn probe(
    mut socket: &Socket,
    interval: Duration,
    stopping: &AtomicBool,
    answers: &AtomicU64,
) -> Reachability {
    let request_type = if matches!(socket.domain(), Ok(Domain::IPV6)) {
        128
    } else {
        8
    };
    let mut requests: Vec<Request> = Vec::new();
    let mut next_at = now();
    while !stopping.load(Ordering::Relaxed) {
        let at = now();
        if at >= next_at {
            // The sequence number wraps; an answer belongs to the latest request that has it.
            let sequence = u16::try_from(requests.len() & 0xffff).expect("sixteen bits");
            let [high, low] = sequence.to_be_bytes();
            // A send that fails (no route, no neighbour) is a request without an answer.
            drop(socket.send(&[request_type, 0, 0, 0, 0, 0, high, low]));
            requests.push(Request {
                at,
                answered: false,
            });
            next_at = at + interval;
        }
        await_readable(socket, next_at.saturating_duration_since(now()));
        let mut answer = [0; 64];
        while let Ok(length) = socket.read(&mut answer) {
            let Some(&[_, _, _, _, _, _, high, low]) = answer.get(..length.min(8)) else {
                continue;
            };
            let sequence = usize::from(u16::from_be_bytes([high, low]));
            let latest = requests.len().saturating_sub(1);
            let index = latest - ((latest.wrapping_sub(sequence)) & 0xffff);
            if let Some(request) = requests.get_mut(index) {
                request.answered = true;
                answers.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    reachability(&requests, now())
}

/// Waits for an answer, no longer than `within`.
fn await_readable(socket: &Socket, within: Duration) {
    let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    // Interrupted or not, the caller looks at the clock and the socket anyway.
    ppoll(&mut watched, Some(TimeSpec::from_duration(within)), None).ok();
}

/// One echo request.
#[derive(Clone, Copy, Debug)]
struct Request {
    at: Instant,
    answered: bool,
}

fn reachability(requests: &[Request], end: Instant) -> Reachability {
    let answered = requests.iter().filter(|request| request.answered);
    let times: Vec<Instant> = answered.map(|request| request.at).collect();
    let next = times.iter().skip(1).copied().chain([end]);
    Reachability {
        sent: requests.len() as u64,
        answered: times.len() as u64,
        longest_gap: times
            .iter()
            .zip(next)
            .map(|(at, next)| next.saturating_duration_since(*at))
            .max()
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_spans_from_the_last_answered_request_to_the_next_answered() {
        let seen = seen(
            &[(0, false), (10, true), (20, false), (30, false), (45, true)],
            46,
        );

        assert_eq!(
            seen,
            Reachability {
                sent: 5,
                answered: 2,
                longest_gap: ms(35)
            }
        );
    }

    #[test]
    fn an_address_that_never_comes_back_is_missing_until_the_end() {
        assert_eq!(seen(&[(0, true), (10, false)], 500).longest_gap, ms(500));
    }

    fn seen(requests: &[(u64, bool)], end: u64) -> Reachability {
        let start = now();
        let requests: Vec<_> = requests
            .iter()
            .map(|&(at, answered)| Request {
                at: start + ms(at),
                answered,
            })
            .collect();
        reachability(&requests, start + ms(end))
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
}
