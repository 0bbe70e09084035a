//! The few socket options and addresses that socket2 lacks.

#![expect(unsafe_code, reason = "system calls; every block says why it is sound")]

use std::{io, mem::MaybeUninit, os::fd::AsRawFd};

use libc::{c_int, c_void, socklen_t};
use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, SockAddrStorage, Socket};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime,
};

/// Sets the size of the receive buffer, past `net.core.rmem_max` where the process may
/// (CAP_NET_ADMIN), up to it where not. The kernel doubles the size for its own book-keeping.
pub(super) fn set_receive_buffer(socket: &impl AsRawFd, bytes: c_int) -> io::Result<()> {
    set_int(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
        .or_else(|_| set_int(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
}

/// Sets the size of the send buffer, in the way of [`set_receive_buffer`].
pub(super) fn set_send_buffer(socket: &impl AsRawFd, bytes: c_int) -> io::Result<()> {
    set_int(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes)
        .or_else(|_| set_int(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes))
}

/// Has every IPv6 packet tell its destination address (RFC 3542 §6.2).
pub(super) fn receive_packet_info_v6(socket: &Socket) -> io::Result<()> {
    set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
}

/// How many packets the kernel threw away because the socket's receive buffer was full.
pub(super) fn dropped(socket: &Socket) -> io::Result<u32> {
    const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
    let mut meminfo = [0_u32; DROPS + 1];
    let mut length = length_of::<[u32; DROPS + 1]>();
    // SAFETY: `meminfo` is writable for `length` bytes and both live through the call; the kernel
    // writes whole `u32`s, for which every bit pattern is valid.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            meminfo.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    match status {
        0 => Ok(meminfo[DROPS]),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Hands a socket to the tokio runtime that the calling thread is in.
pub(super) fn register(socket: Socket, interest: Interest) -> io::Result<AsyncFd<Socket>> {
    runtime::Handle::try_current().map_err(io::Error::other)?;
    // SAFETY: a `Socket` owns its descriptor and gives the same one for as long as it lives.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(io::Error::from)
}

/// What [`receive`] has put into the buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// Bytes of data.
    pub(super) data: usize,
    /// Bytes of control messages.
    pub(super) control: usize,
    /// Whether the packet was longer than the buffer for it.
    pub(super) truncated: bool,
}

/// Receives one packet, its control messages, and in `from` its sender.
pub(super) fn receive(
    socket: &Socket,
    data: &mut [u8],
    control: &mut [u8],
    from: &mut SockAddr,
) -> io::Result<Lengths> {
    // SAFETY: both slices go to `recvmsg` alone, which writes nothing but initialised bytes.
    let data = unsafe { as_uninit(data) };
    // SAFETY: as above.
    let control = unsafe { as_uninit(control) };
    let mut data = [MaybeUninitSlice::new(data)];
    let mut message = MsgHdrMut::new()
        .with_addr(from)
        .with_buffers(&mut data)
        .with_control(control);
    let length = socket.recvmsg(&mut message, 0)?;
    Ok(Lengths {
        data: length,
        control: message.control_len(),
        truncated: message.flags().is_truncated(),
    })
}

/// # Safety
/// Nothing uninitialised may be written to the result: the bytes stay readable behind the borrow.
const unsafe fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let pointer = std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>];
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and the result borrows what came in.
    unsafe { &mut *pointer }
}

/// The address to send a whole frame to with a packet socket: the interface it leaves by.
pub(super) fn link_layer_address(index: u32, ethertype: u16) -> SockAddr {
    #[expect(clippy::cast_possible_truncation, reason = "it is 17")]
    const FAMILY: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is the address type of AF_PACKET, which is what the family below says.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = FAMILY;
    address.sll_protocol = ethertype.to_be();
    address.sll_ifindex = index.cast_signed();
    let length = length_of::<libc::sockaddr_ll>();
    // SAFETY: the storage holds a `sockaddr_ll` of the family AF_PACKET and this is its length.
    unsafe { SockAddr::new(storage, length) }
}

#[expect(clippy::cast_possible_truncation, reason = "of types of a few bytes")]
const fn length_of<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}

fn set_int(socket: &impl AsRawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of `value`, which lives through the call and
    // is only read.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast::<c_void>(),
            length_of::<c_int>(),
        )
    };
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
