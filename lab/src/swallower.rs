//! A server that hangs.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A server that listens and takes no connection: its backlog is full, and the kernel passes over
/// the packets of whoever else wants to connect.
#[derive(Debug)]
pub struct Swallower {
    address: SocketAddr,
    _sockets: Vec<Socket>,
}

impl Swallower {
    /// Listens on an address of this network namespace.
    ///
    /// # Panics
    ///
    /// When the address is not to be had.
    #[must_use]
    pub fn listen(at: SocketAddr) -> Self {
        let domain = Domain::for_address(at);
        let listener = Socket::new(domain, Type::STREAM, None).expect("a socket");
        listener.bind(&at.into()).expect("a free address");
        listener.listen(0).expect("it is bound");
        let bound = listener.local_addr().expect("it is bound");
        let address = bound.as_socket().expect("of IP");
        let mut sockets = vec![listener];
        // The first is taken into the backlog; those that follow wait to be.
        for _ in 0..4 {
            let client = Socket::new(domain, Type::STREAM.nonblocking(), None).expect("a socket");
            // It is in progress, for ever.
            drop(client.connect(&bound));
            sockets.push(client);
        }
        Self {
            address,
            _sockets: sockets,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}
