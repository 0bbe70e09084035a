//! Why a service refuses a change.

use std::net::SocketAddr;

use crate::server::SettingsError;

/// Why a service refuses a change. The service is then as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Kernel: `EEXIST`.
    #[error("server {0} is in the list already")]
    ServerExists(SocketAddr),
    /// Kernel: `ENOENT`.
    #[error("server {0} is not in the list")]
    NoSuchServer(SocketAddr),
    /// The settings are out of range.
    #[error("settings of server {address} are refused")]
    Settings {
        /// The server's address.
        address: SocketAddr,
        /// What is out of range.
        #[source]
        source: SettingsError,
    },
    /// Kernel: `EINVAL`.
    #[error("the scheduler takes at most {max} servers, the list has {servers}")]
    TooManyServers {
        /// The scheduler's limit.
        max: usize,
        /// How many servers the service has.
        servers: usize,
    },
}
