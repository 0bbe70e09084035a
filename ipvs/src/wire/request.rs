//! What the kernel is asked.

use super::{
    WireError,
    attribute::{Nested, attributes, find, nest, put_u32},
    begin, command,
    daemon::{put_daemon, put_stop, read_daemon, read_role},
    destination::{self, DestinationAttributes},
    open,
    service::{self, ServiceAttributes},
    top,
};
use crate::{Change, Endpoint, Seconds, ServiceKey, TimeoutChange};

/// What the kernel is asked: to change something, or to tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a change or a question")]
pub enum Request {
    /// A change, which is answered by an acknowledgement.
    Change(Change),
    /// A question.
    Query(Query),
}

/// What the kernel is asked to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// What it says of itself ([`Reply::Info`](super::Reply::Info)).
    Info,
    /// Its timeouts ([`Reply::Timeouts`](super::Reply::Timeouts)).
    Timeouts,
    /// All services, to be asked with `NLM_F_DUMP` ([`Reply::Service`](super::Reply::Service)).
    Services,
    /// One service; ESRCH if there is none ([`Reply::Service`](super::Reply::Service)).
    Service(ServiceKey),
    /// The destinations of a service, to be asked with `NLM_F_DUMP`; none and no error if there is
    /// no such service ([`Reply::Destination`](super::Reply::Destination)).
    Destinations(ServiceKey),
    /// The sync daemons, to be asked with `NLM_F_DUMP` ([`Reply::Daemon`](super::Reply::Daemon)).
    Daemons,
}

impl Query {
    /// Whether the answer is a list, which has to be asked for with `NLM_F_DUMP`.
    #[must_use]
    pub const fn is_dump(&self) -> bool {
        matches!(self, Self::Services | Self::Destinations(_) | Self::Daemons)
    }
}

impl Request {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Change(change) => encode_change(change, out),
            Self::Query(query) => encode_query(query, out),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// It is not a request of the family.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        let (command, attributes) = open(message)?;
        let service = || service_of(attributes);
        let query = match command {
            command::GET_INFO => Query::Info,
            command::GET_CONFIG => Query::Timeouts,
            command::GET_DAEMON => Query::Daemons,
            command::GET_DEST => Query::Destinations(service()?.key()?),
            command::GET_SERVICE => match service() {
                Ok(service) => Query::Service(service.key()?),
                Err(WireError::Missing { attribute: SERVICE }) => Query::Services,
                Err(error) => return Err(error),
            },
            command => return decode_change(command, attributes).map(Self::Change),
        };
        Ok(Self::Query(query))
    }
}

const SERVICE: &str = "IPVS_CMD_ATTR_SERVICE";

fn encode_query(query: &Query, out: &mut Vec<u8>) {
    let (command, service) = match query {
        Query::Info => (command::GET_INFO, None),
        Query::Timeouts => (command::GET_CONFIG, None),
        Query::Services => (command::GET_SERVICE, None),
        Query::Service(service) => (command::GET_SERVICE, Some(service)),
        Query::Destinations(service) => (command::GET_DEST, Some(service)),
        Query::Daemons => (command::GET_DAEMON, None),
    };
    begin(command, out);
    if let Some(service) = service {
        put_service_key(service, out);
    }
}

fn encode_change(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::AddService { service, settings } | Change::SetService { service, settings } => {
            let add = matches!(change, Change::AddService { .. });
            begin(
                if add {
                    command::NEW_SERVICE
                } else {
                    command::SET_SERVICE
                },
                out,
            );
            nest(out, top::SERVICE, Nested::Marked, |out| {
                service::put_key(out, service);
                service::put_settings(out, service.family(), settings);
            });
        }
        Change::RemoveService { service } => {
            begin(command::DEL_SERVICE, out);
            put_service_key(service, out);
        }
        Change::AddDestination {
            service,
            destination,
            settings,
        }
        | Change::SetDestination {
            service,
            destination,
            settings,
        } => {
            let add = matches!(change, Change::AddDestination { .. });
            begin(
                if add {
                    command::NEW_DEST
                } else {
                    command::SET_DEST
                },
                out,
            );
            put_service_key(service, out);
            nest(out, top::DEST, Nested::Marked, |out| {
                destination::put_key(out, destination);
                destination::put_settings(out, settings);
            });
        }
        Change::RemoveDestination {
            service,
            destination,
        } => {
            begin(command::DEL_DEST, out);
            put_service_key(service, out);
            nest(out, top::DEST, Nested::Marked, |out| {
                destination::put_key(out, destination);
            });
        }
        Change::SetTimeouts(timeouts) => {
            begin(command::SET_CONFIG, out);
            let number = |timeout: Option<Seconds>| timeout.map_or(0, Seconds::get);
            put_u32(out, top::TIMEOUT_TCP, number(timeouts.tcp));
            put_u32(out, top::TIMEOUT_TCP_FIN, number(timeouts.tcp_fin));
            put_u32(out, top::TIMEOUT_UDP, number(timeouts.udp));
        }
        Change::StartDaemon(daemon) => {
            begin(command::NEW_DAEMON, out);
            nest(out, top::DAEMON, Nested::Marked, |out| {
                put_daemon(out, daemon);
            });
        }
        Change::StopDaemon(role) => {
            begin(command::DEL_DAEMON, out);
            nest(out, top::DAEMON, Nested::Marked, |out| put_stop(out, *role));
        }
        Change::Zero(service) => {
            begin(command::ZERO, out);
            if let Some(service) = service {
                put_service_key(service, out);
            }
        }
        Change::Flush => begin(command::FLUSH, out),
    }
}

fn put_service_key(key: &ServiceKey, out: &mut Vec<u8>) {
    nest(out, top::SERVICE, Nested::Marked, |out| {
        service::put_key(out, key);
    });
}

fn decode_change(command: u8, attributes: &[u8]) -> Result<Change, WireError> {
    Ok(match command {
        command::NEW_SERVICE | command::SET_SERVICE => {
            let read = service_of(attributes)?;
            let (service, settings) = (read.key()?, read.settings()?);
            match command {
                command::NEW_SERVICE => Change::AddService { service, settings },
                _ => Change::SetService { service, settings },
            }
        }
        command::DEL_SERVICE => Change::RemoveService {
            service: service_of(attributes)?.key()?,
        },
        command::NEW_DEST | command::SET_DEST => {
            let (service, read) = destination_of(attributes)?;
            let (destination, settings) = (read.key()?, read.settings()?);
            match command {
                command::NEW_DEST => Change::AddDestination {
                    service,
                    destination,
                    settings,
                },
                _ => Change::SetDestination {
                    service,
                    destination,
                    settings,
                },
            }
        }
        command::DEL_DEST => {
            let (service, read) = destination_of(attributes)?;
            let destination: Endpoint = read.key()?;
            Change::RemoveDestination {
                service,
                destination,
            }
        }
        command::SET_CONFIG => Change::SetTimeouts(timeout_change(attributes)?),
        command::NEW_DAEMON => Change::StartDaemon(read_daemon(daemon_of(attributes)?)?),
        command::DEL_DAEMON => Change::StopDaemon(read_role(daemon_of(attributes)?)?),
        command::ZERO => match service_of(attributes) {
            Ok(service) => Change::Zero(Some(service.key()?)),
            Err(WireError::Missing { attribute: SERVICE }) => Change::Zero(None),
            Err(error) => return Err(error),
        },
        command::FLUSH => Change::Flush,
        command => return Err(WireError::Command { command }),
    })
}

fn service_of(attributes: &[u8]) -> Result<ServiceAttributes, WireError> {
    ServiceAttributes::read(find(attributes, top::SERVICE, SERVICE)?)
}

fn destination_of(attributes: &[u8]) -> Result<(ServiceKey, DestinationAttributes), WireError> {
    let service = service_of(attributes)?.key()?;
    let value = find(attributes, top::DEST, "IPVS_CMD_ATTR_DEST")?;
    let read = DestinationAttributes::read(value, Some(service.family()))?;
    Ok((service, read))
}

fn daemon_of(attributes: &[u8]) -> Result<&[u8], WireError> {
    find(attributes, top::DAEMON, "IPVS_CMD_ATTR_DAEMON")
}

/// Timeouts, of which 0 stands for none.
pub(super) fn timeout_change(bytes: &[u8]) -> Result<TimeoutChange, WireError> {
    let mut timeouts = TimeoutChange::default();
    for attribute in attributes(bytes) {
        let it = attribute?;
        let (place, name) = match it.kind {
            top::TIMEOUT_TCP => (&mut timeouts.tcp, "IPVS_CMD_ATTR_TIMEOUT_TCP"),
            top::TIMEOUT_TCP_FIN => (&mut timeouts.tcp_fin, "IPVS_CMD_ATTR_TIMEOUT_TCP_FIN"),
            top::TIMEOUT_UDP => (&mut timeouts.udp, "IPVS_CMD_ATTR_TIMEOUT_UDP"),
            _ => continue,
        };
        *place = Some(it.u32(name)?)
            .filter(|seconds| *seconds > 0)
            .map(Seconds::new);
    }
    Ok(timeouts)
}
