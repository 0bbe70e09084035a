//! What the kernel answers.

use super::{
    WireError,
    attribute::{Nested, attributes, find, nest, put_u32},
    begin, command,
    daemon::{put_daemon, read_daemon},
    destination::{self, DestinationAttributes},
    open,
    request::timeout_change,
    service::{self, ServiceAttributes},
    top,
};
use crate::{DestinationState, Family, Info, Seconds, ServiceState, SyncDaemon, Timeouts, Version};

const INFO_VERSION: u16 = 1;
const INFO_CONN_TAB_SIZE: u16 = 2;

/// A message of the kernel's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// What it says of itself.
    Info(Info),
    /// Its timeouts.
    Timeouts(Timeouts),
    /// A service, without its destinations.
    Service(ServiceState),
    /// A destination of the service that was asked for.
    Destination(DestinationState),
    /// A sync daemon.
    Daemon(SyncDaemon),
}

impl Reply {
    /// Appends the message as the kernel would send it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Info(info) => {
                begin(command::SET_INFO, out);
                let Version {
                    major,
                    minor,
                    patch,
                } = info.version;
                put_u32(
                    out,
                    INFO_VERSION,
                    u32::from_be_bytes([0, major, minor, patch]),
                );
                put_u32(out, INFO_CONN_TAB_SIZE, info.table_size);
            }
            Self::Timeouts(timeouts) => {
                begin(command::SET_CONFIG, out);
                put_u32(out, top::TIMEOUT_TCP, timeouts.tcp.get());
                put_u32(out, top::TIMEOUT_TCP_FIN, timeouts.tcp_fin.get());
                put_u32(out, top::TIMEOUT_UDP, timeouts.udp.get());
            }
            Self::Service(state) => {
                begin(command::NEW_SERVICE, out);
                nest(out, top::SERVICE, Nested::Plain, |out| {
                    service::put_key(out, &state.key);
                    service::put_settings(out, state.key.family(), &state.settings);
                    service::put_statistics(out, &state.statistics);
                });
            }
            Self::Destination(state) => {
                begin(command::NEW_DEST, out);
                nest(out, top::DEST, Nested::Plain, |out| {
                    destination::put_key(out, &state.key);
                    destination::put_settings(out, &state.settings);
                    destination::put_counted(out, &state.counts, &state.statistics);
                });
            }
            Self::Daemon(daemon) => {
                begin(command::NEW_DAEMON, out);
                nest(out, top::DAEMON, Nested::Plain, |out| {
                    put_daemon(out, daemon);
                });
            }
        }
    }

    /// Reads a message. `service` is the family of the service whose destinations were asked for:
    /// kernels before 3.18 do not tell that of a destination.
    ///
    /// # Errors
    /// It is not a reply of the family.
    pub fn decode(message: &[u8], service: Option<Family>) -> Result<Self, WireError> {
        let (command, attributes) = open(message)?;
        let nested = |kind, name| find(attributes, kind, name);
        Ok(match command {
            command::NEW_SERVICE => {
                let value = nested(top::SERVICE, "IPVS_CMD_ATTR_SERVICE")?;
                let read = ServiceAttributes::read(value)?;
                let mut state = ServiceState::new(read.key()?, read.settings()?);
                state.statistics = read.statistics;
                Self::Service(state)
            }
            command::NEW_DEST => {
                let value = nested(top::DEST, "IPVS_CMD_ATTR_DEST")?;
                Self::Destination(DestinationAttributes::read(value, service)?.state()?)
            }
            command::NEW_DAEMON => {
                Self::Daemon(read_daemon(nested(top::DAEMON, "IPVS_CMD_ATTR_DAEMON")?)?)
            }
            command::SET_CONFIG => {
                let read = timeout_change(attributes)?;
                let or_zero = Option::<Seconds>::unwrap_or_default;
                Self::Timeouts(Timeouts {
                    tcp: or_zero(read.tcp),
                    tcp_fin: or_zero(read.tcp_fin),
                    udp: or_zero(read.udp),
                })
            }
            command::SET_INFO => Self::Info(info(attributes)?),
            command => return Err(WireError::Command { command }),
        })
    }
}

fn info(bytes: &[u8]) -> Result<Info, WireError> {
    let mut info = Info::default();
    for attribute in attributes(bytes) {
        let it = attribute?;
        match it.kind {
            INFO_VERSION => {
                let number = it.u32("IPVS_INFO_ATTR_VERSION")?;
                let [_, major, minor, patch] = number.to_be_bytes();
                info.version = Version {
                    major,
                    minor,
                    patch,
                };
            }
            INFO_CONN_TAB_SIZE => info.table_size = it.u32("IPVS_INFO_ATTR_CONN_TAB_SIZE")?,
            _ => {}
        }
    }
    Ok(info)
}
