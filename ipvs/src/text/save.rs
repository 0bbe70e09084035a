//! What `ipvsadm -S` writes.

use std::fmt::Write as _;

use super::{Names, Order};
use crate::{
    Change, DestinationSettings, Family, Forwarding, GreChecksum, GueChecksum, Protocol,
    ServiceKey, ServiceSettings, SyncDaemon, Table, TimeoutChange, Tunnel,
};

/// How much is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "as ipvsadm, or all")]
pub enum Dialect {
    /// Everything, in numeric order: thresholds, timeouts and daemons too. ipvsadm reads it.
    #[default]
    Complete,
    /// What `ipvsadm -Sn` writes, in its order. Thresholds, timeouts and daemons are lost, and so are
    /// the forwarding methods local and bypass, which become `-g`.
    ///
    /// Byte for byte, except where ipvsadm 1.31 could not restore what it writes or leaves out what
    /// it could:
    ///
    /// | set up | ipvsadm writes | this |
    /// | --- | --- | --- |
    /// | mark 2³¹ and above | `-f -1`, which it refuses | `-f 4294967295` |
    /// | forwarding method bypass | `(null)`, which it refuses | `-g` |
    /// | `flag-3` with sh and mh | nothing | `flag-3`, which it reads |
    Ipvsadm,
}

/// A table as commands that restore it, one a line.
///
/// A destination of forwarding method bypass, for which ipvsadm has no option, is written as `-g`.
#[must_use]
pub fn save(table: &Table, dialect: Dialect, names: &Names) -> String {
    let order = match dialect {
        Dialect::Complete => Order::Numeric,
        Dialect::Ipvsadm => Order::Ipvsadm,
    };
    let mut out = String::new();
    let written = write(table, dialect, order, names, &mut out);
    written.expect("a string takes whatever is written to it");
    out
}

/// A change as the command that makes it, without `ipvsadm` in front and without line feed.
///
/// ```
/// use ipvs::{Change, text::{command_line, parse_words}};
///
/// let words = ["-e", "-t", "10.1.0.100:80", "-r", "10.0.0.1:8080", "-m", "-w", "3"];
/// let change = parse_words(&words).map_err(|(_, problem)| problem)?;
/// assert_eq!(command_line(&change), words.join(" "));
/// assert_eq!(command_line(&Change::Flush), "-C");
/// # Ok::<(), ipvs::text::Problem>(())
/// ```
#[must_use]
pub fn command_line(change: &Change) -> String {
    let mut out = String::new();
    let written = write_change(&mut out, change, Dialect::Complete, &Names::default());
    written.expect("a string takes whatever is written to it");
    out
}

fn write(
    table: &Table,
    dialect: Dialect,
    order: Order,
    names: &Names,
    out: &mut String,
) -> std::fmt::Result {
    let mut line = |change: Change| {
        write_change(out, &change, dialect, names)?;
        writeln!(out)
    };
    if dialect == Dialect::Complete
        && let Some(timeouts) = table.timeouts
    {
        line(Change::SetTimeouts(timeouts.into()))?;
    }
    let services = table.services.iter().collect();
    for (key, owner) in order.services(services, |(key, _)| **key) {
        let (service, settings) = (*key, owner.settings);
        line(Change::AddService { service, settings })?;
        let destinations = owner.destinations.iter().collect();
        for (destination, settings) in order.destinations(destinations, |(key, _)| **key) {
            let (destination, settings) = (*destination, *settings);
            line(Change::AddDestination {
                service,
                destination,
                settings,
            })?;
        }
    }
    if dialect == Dialect::Complete {
        let mut daemons = table.daemons.values();
        daemons.try_for_each(|daemon| line(Change::StartDaemon(*daemon)))?;
    }
    Ok(())
}

fn write_change(
    out: &mut String,
    change: &Change,
    dialect: Dialect,
    names: &Names,
) -> std::fmt::Result {
    let service_option = |key: &ServiceKey| service_option(key, names);
    match change {
        Change::AddService { service, settings } | Change::SetService { service, settings } => {
            let adds = matches!(change, Change::AddService { .. });
            let command = if adds { "-A" } else { "-E" };
            write!(out, "{command} {}", service_option(service))?;
            write_service(out, settings)
        }
        Change::RemoveService { service } => write!(out, "-D {}", service_option(service)),
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
            let adds = matches!(change, Change::AddDestination { .. });
            let command = if adds { "-a" } else { "-e" };
            let destination = names.endpoint(service.protocol(), destination);
            let service = service_option(service);
            write!(out, "{command} {service} -r {destination}")?;
            write_destination(out, settings, dialect)
        }
        Change::RemoveDestination {
            service,
            destination,
        } => {
            let destination = names.endpoint(service.protocol(), destination);
            write!(out, "-d {} -r {destination}", service_option(service))
        }
        Change::SetTimeouts(TimeoutChange { tcp, tcp_fin, udp }) => {
            let [tcp, tcp_fin, udp] = [tcp, tcp_fin, udp].map(|it| it.unwrap_or_default());
            write!(out, "--set {tcp} {tcp_fin} {udp}")
        }
        Change::StartDaemon(daemon) => write_daemon(out, daemon),
        Change::StopDaemon(role) => write!(out, "--stop-daemon {role}"),
        Change::Zero(None) => write!(out, "-Z"),
        Change::Zero(Some(service)) => write!(out, "-Z {}", service_option(service)),
        Change::Flush => write!(out, "-C"),
    }
}

fn service_option(key: &ServiceKey, names: &Names) -> String {
    match key {
        ServiceKey::Address { protocol, endpoint } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!("{option} {}", names.endpoint(Some(*protocol), endpoint))
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

fn write_service(out: &mut String, settings: &ServiceSettings) -> std::fmt::Result {
    write!(out, " -s {}", settings.scheduler)?;
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
    Ok(())
}

fn write_destination(
    out: &mut String,
    settings: &DestinationSettings,
    dialect: Dialect,
) -> std::fmt::Result {
    let method = match settings.forwarding {
        Forwarding::Masquerade => "-m",
        Forwarding::Tunnel(_) => "-i",
        Forwarding::Local | Forwarding::DirectRoute | Forwarding::Bypass => "-g",
    };
    write!(out, " {method} -w {}", settings.weight)?;
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
    Ok(())
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
    Ok(())
}
