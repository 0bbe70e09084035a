//! A netlink socket, or what a test has in its place.

use std::{io, time::Duration};

use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};

use crate::sys::netlink as sys;

/// For how long an answer is waited for. The kernel answers within the system call that asks, so
/// what is not there soon never comes.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What datagrams go through, to and from the kernel.
pub(super) trait Socket: Send {
    /// Sends a datagram. The kernel has worked through it when this returns.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Receives a datagram and tells its length. Fails in a while if there is none.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A socket of generic netlink in the network namespace of the calling thread.
pub(super) fn open() -> io::Result<NlSocket> {
    let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
    sys::connect_to_kernel(&socket)?;
    sys::set_receive_timeout(&socket, RECEIVE_TIMEOUT)?;
    // Kernels before 4.12 have neither; their errors are longer and say less.
    drop(socket.enable_ext_ack(true));
    drop(sys::leave_requests_out_of_errors(&socket));
    Ok(socket)
}

impl Socket for NlSocket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match Self::send(self, datagram, Msg::empty())? {
            sent if sent == datagram.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // The true length, also of a datagram that is longer than the buffer.
            match self.recv(&mut *buffer, Msg::TRUNC) {
                Ok((length, _)) if length <= buffer.len() => return Ok(length),
                Ok(_) => return Err(io::Error::other("the kernel's datagram is too long")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
    }
}
