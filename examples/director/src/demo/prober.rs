//! The client's probes: an echo request every few milliseconds, and who answers it.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recvfrom,
    sendto, socket,
};
use nix::sys::time::TimeSpec;

use super::scenario::PROBE_INTERVAL;
use super::{echo, now};

/// An answered probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// The hardware address it came from.
    pub(super) mac: [u8; 6],
    /// When the probe was sent.
    pub(super) sent_at: Instant,
}

/// Sockets to probe one address with, in the network namespace of the thread that opened them.
#[derive(Debug)]
pub(super) struct Prober {
    target: Ipv4Addr,
    /// Sends echo requests the way of any program's packets: by the kernel's neighbour table, which
    /// a gratuitous ARP has to change. What it receives is left to be dropped.
    requests: OwnedFd,
    /// Receives IPv4 packets with the hardware address they came from.
    packets: OwnedFd,
}

impl Prober {
    /// Opens the sockets. Needs CAP_NET_RAW.
    pub(super) fn open(target: Ipv4Addr) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        Ok(Self {
            target,
            requests: socket(
                AddressFamily::Inet,
                SockType::Raw,
                flags,
                SockProtocol::Icmp,
            )?,
            packets: socket(
                AddressFamily::Packet,
                SockType::Datagram,
                flags,
                SockProtocol::EthIp,
            )?,
        })
    }

    /// Probes on a thread of its own until `on_answer` says that nobody listens any more.
    pub(super) fn start(
        self,
        on_answer: impl FnMut(Answer) -> bool + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new()
            .name("prober".into())
            .spawn(move || self.probe(on_answer))?;
        Ok(())
    }

    fn probe(&self, mut on_answer: impl FnMut(Answer) -> bool) {
        let mut sent_at_by_sequence = BTreeMap::new();
        let mut sequence = 0_u16;
        let mut next_at = now();
        loop {
            let at = now();
            if at >= next_at {
                sequence = sequence.wrapping_add(1);
                sent_at_by_sequence.insert(sequence, at);
                self.send(sequence);
                next_at = at + PROBE_INTERVAL;
            }
            self.await_packet(next_at);
            while let Some((mac, sequence)) = self.receive() {
                let Some(sent_at) =
                    sequence.and_then(|sequence| sent_at_by_sequence.remove(&sequence))
                else {
                    continue;
                };
                if !on_answer(Answer { mac, sent_at }) {
                    return;
                }
            }
        }
    }

    /// A request that cannot be sent (nobody answered the kernel's ARP) is one without an answer.
    fn send(&self, sequence: u16) {
        let [a, b, c, d] = self.target.octets();
        let target = SockaddrIn::new(a, b, c, d, 0);
        let flags = MsgFlags::empty();
        sendto(
            self.requests.as_raw_fd(),
            &echo::request(sequence),
            &target,
            flags,
        )
        .ok();
    }

    fn await_packet(&self, until: Instant) {
        let mut packets = [PollFd::new(self.packets.as_fd(), PollFlags::POLLIN)];
        let timeout = TimeSpec::from(until.saturating_duration_since(now()));
        // An error or an interruption is a shorter wait.
        ppoll(&mut packets, Some(timeout), None).ok();
    }

    /// The next packet's origin and, if it is a reply to one of ours, to which.
    fn receive(&self) -> Option<([u8; 6], Option<u16>)> {
        let mut packet = [0; 128];
        loop {
            match recvfrom::<LinkAddr>(self.packets.as_raw_fd(), &mut packet) {
                Ok((length, from)) => {
                    let mac = from.and_then(|from| from.addr()).unwrap_or_default();
                    let packet = packet.get(..length).unwrap_or_default();
                    return Some((mac, echo::reply(packet, self.target)));
                }
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }
}
