//! What an error of the system means for a probe.

use std::{io, net::SocketAddr};

use crate::ProbeError;

/// An error while a connection is made. One that was made and broken off before anybody looked is
/// [`ProbeError::Reset`]: the answer to a refused one is ECONNREFUSED.
pub(crate) fn while_connecting(address: SocketAddr, source: io::Error) -> ProbeError {
    match source.raw_os_error() {
        // EPIPE: it was closed first, then reset.
        Some(libc::ECONNRESET | libc::EPIPE) => ProbeError::Reset {
            address,
            doing: "connecting",
        },
        _ => of_address(address, source)
            .unwrap_or_else(|source| local(format!("connect to {address}"), source)),
    }
}

/// An error while the probe and the server talk.
pub(crate) fn while_talking(
    address: SocketAddr,
    doing: &'static str,
    source: io::Error,
) -> ProbeError {
    match source.raw_os_error() {
        Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => {
            ProbeError::Reset { address, doing }
        }
        _ if source.kind() == io::ErrorKind::UnexpectedEof => ProbeError::Closed { address, doing },
        _ => of_address(address, source)
            .unwrap_or_else(|source| local(format!("go on {doing} with {address}"), source)),
    }
}

/// What says something about the other side.
fn of_address(address: SocketAddr, source: io::Error) -> Result<ProbeError, io::Error> {
    match source.raw_os_error() {
        Some(libc::ECONNREFUSED) => Ok(ProbeError::Refused { address }),
        Some(
            libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ENONET
            // No end of a tunnel.
            | libc::ENOPROTOOPT
            | libc::EPROTO
            | libc::ETIMEDOUT,
        ) => Ok(ProbeError::Unreachable { address, source }),
        _ => Err(source),
    }
}

/// What says something about this machine.
pub(crate) fn local(action: String, source: io::Error) -> ProbeError {
    let advice = match source.raw_os_error() {
        Some(libc::EMFILE) => Some(
            "this process has no file descriptors left, raise its limit (LimitNOFILE, ulimit -n)",
        ),
        Some(libc::ENFILE) => {
            Some("this machine has no file descriptors left, raise the sysctl fs.file-max")
        }
        Some(libc::ENODEV | libc::ENXIO) => Some("there is no such interface"),
        Some(libc::EADDRNOTAVAIL) if action.starts_with("bind") => {
            Some("no interface of this machine has that address")
        }
        Some(libc::EADDRNOTAVAIL) => Some(
            "no port is left to connect from, see the sysctl net.ipv4.ip_local_port_range, or the \
             address is not to be connected to",
        ),
        Some(libc::EADDRINUSE) => {
            Some("somebody else uses that port, or this machine did a minute ago")
        }
        Some(libc::EINVAL | libc::EAFNOSUPPORT) if action.starts_with("bind") => {
            Some("both addresses must be of one family")
        }
        Some(libc::EINVAL) if action.starts_with("connect") => {
            Some("a route of this machine discards what goes there (type blackhole)")
        }
        Some(libc::EPERM | libc::EACCES) if action.contains("firewall mark") => {
            Some("that needs CAP_NET_ADMIN")
        }
        Some(libc::EPERM | libc::EACCES) if action.contains("interface") => {
            Some("that needs CAP_NET_RAW")
        }
        Some(libc::EPERM | libc::EACCES) => Some(
            "a firewall or a route of this machine forbids it, or the port needs \
             CAP_NET_BIND_SERVICE",
        ),
        Some(libc::ENOBUFS | libc::ENOMEM) => Some("the kernel has no memory left"),
        _ => None,
    };
    ProbeError::Local {
        action,
        advice,
        source,
    }
}
