//! How a data plane of this process is set up, beside its table.

use std::{num::NonZeroUsize, thread, time::Duration};

/// How a data plane is set up. [`Config::default`] is for a machine that does little else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Threads that carry connections, each its own; at first one for each core.
    pub shards: NonZeroUsize,
    /// Connections at a time, of all services together; at first 1,000,000. There are fewer if the
    /// process may not have two descriptors for each of them: see [`Limits`].
    pub connections: usize,
    /// Connections of one service at a time; at first as many as of all.
    pub connections_of_service: usize,
    /// Descriptors that the rest of the process needs; at first 128. Listening sockets, one for each
    /// service and shard, are among them.
    pub reserved_descriptors: usize,
    /// Pipes through which bulk data goes, 256 KiB each; at first 256. A connection has none unless
    /// it carries much at the moment, and goes on, by copying, if there is none left.
    pub pipes: usize,
    /// Connections that the kernel holds ready while they wait to be accepted, for each service and
    /// shard; at first 4,096. More than `net.core.somaxconn` is that.
    pub backlog: u32,
    /// Servers that are tried for a connection, the first one included; at first 3.
    pub tries: NonZeroUsize,
    /// Time in which one of them has to have answered; at first 6 s. Each gets its part of what is
    /// left.
    pub connect_timeout: Duration,
    /// Whose address real servers see.
    pub source: Source,
}

impl Default for Config {
    fn default() -> Self {
        let connections = 1_000_000;
        Self {
            shards: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            connections,
            connections_of_service: connections,
            reserved_descriptors: 128,
            pipes: 256,
            backlog: 4096,
            tries: NonZeroUsize::MIN.saturating_add(2),
            connect_timeout: Duration::from_secs(6),
            source: Source::Own,
        }
    }
}

/// Whose address real servers see as the source of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// This machine's.
    #[default]
    Own,
    /// The client's address and port, as with masquerading by the kernel. Needs CAP_NET_ADMIN
    /// (`IP_TRANSPARENT`), real servers whose way back leads through this machine, and here
    ///
    /// ```text
    /// ip rule add fwmark 1 lookup 100
    /// ip route add local default dev lo table 100
    /// nft add table inet own
    /// nft add chain inet own back '{ type filter hook prerouting priority mangle; }'
    /// nft add rule inet own back meta l4proto tcp socket transparent 1 meta mark set 1
    /// ```
    ///
    /// so that the answers find their sockets.
    Client,
}

/// The version of the PROXY protocol by which a real server is told who its client is.
///
/// <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two that there are")]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What a data plane takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections of a service at a time.
    pub connections_of_service: usize,
    /// Pipes for bulk data.
    pub pipes: usize,
}

impl Limits {
    /// Of a process that may have so many descriptors: at most an eighth of those that are not
    /// reserved goes to pipes, of two each, and every connection has two.
    #[must_use]
    pub fn new(config: &Config, descriptors: u64) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let free = descriptors.saturating_sub(config.reserved_descriptors);
        let pipes = config.pipes.min(free / 16);
        let connections = config.connections.min((free - 2 * pipes) / 2);
        Self {
            connections,
            connections_of_service: config.connections_of_service.min(connections),
            pipes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_and_pipe_has_its_descriptors() {
        let config = Config::default();
        let limits = Limits::new(&config, 20_000);
        assert_eq!((limits.pipes, limits.connections), (256, 9_680));
        let limits = Limits::new(&config, 1_024);
        assert_eq!((limits.pipes, limits.connections), (56, 392));
        let limits = Limits::new(&config, 100);
        assert_eq!((limits.pipes, limits.connections), (0, 0));
        assert_eq!(Limits::new(&config, u64::MAX).connections, 1_000_000);
    }
}
