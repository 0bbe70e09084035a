//! Many datagrams with one system call.

use std::{
    io, mem,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd as _},
    ptr,
};

use socket2::{SockAddr, SockAddrStorage};

/// How many are received or sent at a time.
const MOST: usize = 32;
/// The longest that there is.
const LONGEST: usize = 65_535;

/// Room for datagrams. It takes memory only for what was once received.
#[derive(Debug)]
pub(crate) struct Datagrams {
    bytes: Box<[u8]>,
    /// The length and sender of each that was received.
    received: Vec<(usize, Option<SocketAddr>)>,
}

impl Datagrams {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; MOST * LONGEST].into_boxed_slice(),
            received: Vec::with_capacity(MOST),
        }
    }

    /// Receives what is there, in place of what was received before; never waits.
    ///
    /// # Errors
    /// The system's, `WouldBlock` if nothing is there. What was received before is gone.
    pub(crate) fn receive(&mut self, socket: impl AsFd) -> io::Result<()> {
        self.received.clear();
        let mut from = [(); MOST].map(|()| SockAddrStorage::zeroed());
        let mut parts = [EMPTY_PART; MOST];
        let mut heads = [EMPTY_HEAD; MOST];
        let rooms = self.bytes.chunks_exact_mut(LONGEST);
        for (((room, part), head), from) in rooms.zip(&mut parts).zip(&mut heads).zip(&mut from) {
            part.iov_base = room.as_mut_ptr().cast();
            part.iov_len = LONGEST;
            head.msg_hdr.msg_iov = part;
            head.msg_hdr.msg_iovlen = 1;
            head.msg_hdr.msg_name = ptr::from_mut(from).cast();
            head.msg_hdr.msg_namelen = from.size_of();
        }
        let count = count(&heads);
        let socket = socket.as_fd();
        // SAFETY: the descriptor is borrowed for the call; there are `count` heads, each of which
        // points to one part, that to LONGEST bytes of `self.bytes` which no other has, and to a
        // storage of the length it tells. All of them live through the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                heads.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (head, from) in heads.iter().zip(from).take(received) {
            let length = usize::try_from(head.msg_len).unwrap_or(LONGEST);
            // SAFETY: the kernel has written an address of that length; the rest is zero.
            let from = unsafe { SockAddr::new(from, head.msg_hdr.msg_namelen) };
            self.received.push((length.min(LONGEST), from.as_socket()));
        }
        Ok(())
    }

    /// What was received, with who sent it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<SocketAddr>)> {
        let rooms = self.bytes.chunks_exact(LONGEST).zip(&self.received);
        rooms.map(|(room, (length, from))| (room.get(..*length).unwrap_or_default(), *from))
    }
}

/// Sends datagrams, to whom the socket is connected or to an address; never waits. Tells how many
/// were sent: there may be no room for all of them.
///
/// # Errors
/// The system's: none was sent.
pub(crate) fn send(
    socket: impl AsFd,
    datagrams: &[&[u8]],
    to: Option<SocketAddr>,
) -> io::Result<usize> {
    let to = to.map(SockAddr::from);
    let mut parts = [EMPTY_PART; MOST];
    let mut heads = [EMPTY_HEAD; MOST];
    let rows = datagrams.iter().zip(&mut parts).zip(&mut heads);
    for ((datagram, part), head) in rows {
        part.iov_base = datagram.as_ptr().cast_mut().cast();
        part.iov_len = datagram.len();
        head.msg_hdr.msg_iov = part;
        head.msg_hdr.msg_iovlen = 1;
        if let Some(to) = &to {
            head.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
            head.msg_hdr.msg_namelen = to.len();
        }
    }
    let heads = heads
        .get_mut(..datagrams.len().min(MOST))
        .unwrap_or_default();
    let socket = socket.as_fd();
    // SAFETY: the descriptor is borrowed for the call; each of the heads that are counted points to
    // one part, that to a borrowed datagram, and to the address `to`. The kernel only reads them.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            heads.as_mut_ptr(),
            count(heads),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn count(heads: &[libc::mmsghdr]) -> libc::c_uint {
    libc::c_uint::try_from(heads.len()).unwrap_or(libc::c_uint::MAX)
}

const EMPTY_PART: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

// SAFETY: it is made of integers and raw pointers, for which zeroes are values.
const EMPTY_HEAD: libc::mmsghdr = unsafe { mem::zeroed() };

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_is_sent_together_is_received_together_whole_and_with_its_sender() {
        let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let long = vec![7; 60_000];
        let all: [&[u8]; 4] = [b"one", b"", &long, b"four"];
        let to = far.local_addr().unwrap();
        assert_eq!(send(&near, &all, Some(to)).unwrap(), 4);

        let mut datagrams = Datagrams::new();
        datagrams.receive(&far).unwrap();
        let from = near.local_addr().ok();
        let received: Vec<_> = datagrams.iter().collect();
        assert_eq!(received, all.map(|it| (it, from)));

        let nothing = datagrams.receive(&far).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(datagrams.iter().count(), 0);
    }

    #[test]
    fn no_more_than_fit_are_sent_at_a_time() {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        socket.connect(socket.local_addr().unwrap()).unwrap();
        assert_eq!(send(&socket, &[b"x".as_slice(); 40], None).unwrap(), MOST);
        let mut datagrams = Datagrams::new();
        datagrams.receive(&socket).unwrap();
        assert_eq!(datagrams.iter().count(), MOST);
    }
}
