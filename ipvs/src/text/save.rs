//! What `ipvsadm -S` writes.

use std::fmt::Write as _;

use super::Order;
use crate::{
    DestinationSettings, Endpoint, Family, Forwarding, GreChecksum, GueChecksum, Protocol,
    ServiceKey, ServiceSettings, SyncDaemon, Table, Tunnel,
};

/// How much is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "as ipvsadm, or all")]
pub enum Dialect {
    /// Everything, in numeric order: thresholds, timeouts and daemons too. ipvsadm reads it.
    #[default]
    Complete,
    /// What `ipvsadm -Sn` writes, byte for byte in its order. Thresholds, timeouts and daemons are
    /// lost, and so are the forwarding methods local and bypass, which it writes as `-g`.
    Ipvsadm,
}

/// A table as commands that restore it, one a line.
///
/// A destination of forwarding method bypass, for which ipvsadm has no option, is written as `-g`.
#[must_use]
pub fn save(table: &Table, dialect: Dialect) -> String {
    let order = match dialect {
        Dialect::Complete => Order::Numeric,
        Dialect::Ipvsadm => Order::Ipvsadm,
    };
    let mut out = String::new();
    let written = write(table, dialect, order, &mut out);
    written.expect("a string takes whatever is written to it");
    out
}

fn write(table: &Table, dialect: Dialect, order: Order, out: &mut String) -> std::fmt::Result {
    if dialect == Dialect::Complete
        && let Some(timeouts) = table.timeouts
    {
        writeln!(
            out,
            "--set {} {} {}",
            timeouts.tcp, timeouts.tcp_fin, timeouts.udp
        )?;
    }
    let services = table.services.iter().collect();
    for (key, service) in order.services(services, |(key, _)| **key) {
        write_service(out, key, &service.settings)?;
        let destinations = service.destinations.iter().collect();
        for (destination, settings) in order.destinations(destinations, |(key, _)| **key) {
            write_destination(out, key, destination, settings, dialect)?;
        }
    }
    if dialect == Dialect::Complete {
        table
            .daemons
            .values()
            .try_for_each(|daemon| write_daemon(out, daemon))?;
    }
    Ok(())
}

fn service_option(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, endpoint } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!("{option} {endpoint}")
        }
        ServiceKey::Fwmark {
            mark,
            family: Family::V4,
        } => format!("-f {mark}"),
        ServiceKey::Fwmark {
            mark,
            family: Family::V6,
        } => format!("-f {mark} -6"),
    }
}

fn write_service(
    out: &mut String,
    key: &ServiceKey,
    settings: &ServiceSettings,
) -> std::fmt::Result {
    write!(out, "-A {} -s {}", service_option(key), settings.scheduler)?;
    if let Some(persistence) = settings.persistence {
        write!(out, " -p {}", persistence.timeout)?;
        if !persistence.clients.is_whole() {
            write!(out, " -M {}", persistence.clients)?;
        }
        if let Some(engine) = persistence.engine {
            write!(out, " --pe {engine}")?;
        }
    }
    if settings.flags.one_packet {
        out.push_str(" -o");
    }
    let flags: Vec<_> = settings.flags.scheduler_flags(settings.scheduler).collect();
    if !flags.is_empty() {
        write!(out, " -b {}", flags.join(","))?;
    }
    writeln!(out)
}

fn write_destination(
    out: &mut String,
    service: &ServiceKey,
    destination: &Endpoint,
    settings: &DestinationSettings,
    dialect: Dialect,
) -> std::fmt::Result {
    let method = match settings.forwarding {
        Forwarding::Masquerade => "-m",
        Forwarding::Tunnel(_) => "-i",
        Forwarding::Local | Forwarding::DirectRoute | Forwarding::Bypass => "-g",
    };
    let (service, weight) = (service_option(service), settings.weight);
    write!(out, "-a {service} -r {destination} {method} -w {weight}")?;
    match settings.forwarding {
        Forwarding::Tunnel(Tunnel::Ipip) => out.push_str(" --tun-type ipip"),
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => {
            let checksum = match checksum {
                GueChecksum::None => "nocsum",
                GueChecksum::Csum => "csum",
                GueChecksum::Remcsum => "remcsum",
            };
            write!(out, " --tun-type gue --tun-port {port} --tun-{checksum}")?;
        }
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => out.push_str(match checksum {
            GreChecksum::None => " --tun-type gre --tun-nocsum",
            GreChecksum::Csum => " --tun-type gre --tun-csum",
        }),
        Forwarding::Masquerade
        | Forwarding::Local
        | Forwarding::DirectRoute
        | Forwarding::Bypass => {}
    }
    let (upper, lower) = (settings.thresholds.upper(), settings.thresholds.lower());
    if dialect == Dialect::Complete {
        for (option, threshold) in [("-x", upper), ("-y", lower)] {
            if threshold > 0 {
                write!(out, " {option} {threshold}")?;
            }
        }
    }
    writeln!(out)
}

fn write_daemon(out: &mut String, daemon: &SyncDaemon) -> std::fmt::Result {
    let (role, interface, id) = (daemon.role, daemon.interface, daemon.sync_id);
    write!(
        out,
        "--start-daemon {role} --mcast-interface {interface} --syncid {id}"
    )?;
    if let Some(length) = daemon.max_length {
        write!(out, " --sync-maxlen {}", length.bytes())?;
    }
    if let Some(group) = daemon.group {
        write!(out, " --mcast-group {group}")?;
    }
    if let Some(port) = daemon.port {
        write!(out, " --mcast-port {port}")?;
    }
    if let Some(ttl) = daemon.ttl {
        write!(out, " --mcast-ttl {ttl}")?;
    }
    writeln!(out)
}
