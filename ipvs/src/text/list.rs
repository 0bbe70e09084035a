//! What `ipvsadm -L` writes.

use std::fmt::{Result, Write as _};

use super::{Names, Order};
use crate::{
    DestinationState, Endpoint, Family, Forwarding, GreChecksum, GueChecksum, ServiceKey,
    ServiceState, Snapshot, SyncDaemon, Timeouts, Traffic, Tunnel,
};

/// What is listed of each destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Columns {
    /// Forwarding method, weight and connections.
    #[default]
    Plain,
    /// What has passed in total (`--stats`).
    Stats,
    /// What passes in a second (`--rate`).
    Rate,
    /// Thresholds and connections (`--thresholds`).
    Thresholds,
    /// Weight, persistence templates and connections (`--persistent-conn`).
    PersistentConn,
    /// As plain, and the tunnel (`--tun-info`).
    TunInfo,
}

/// How services are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "ipvsadm's options")]
pub struct ListOptions {
    /// What is listed.
    pub columns: Columns,
    /// In which order.
    pub order: Order,
    /// Great numbers in full (`--exact`) instead of in thousands, millions and so on.
    pub exact: bool,
}

/// All services (`ipvsadm -Ln`; with names `-L`).
#[must_use]
pub fn list(snapshot: &Snapshot, options: &ListOptions, names: &Names) -> String {
    let (version, size) = (snapshot.info.version, snapshot.info.table_size);
    let mut out = format!("IP Virtual Server version {version} (size={size})\n");
    out.push_str(&title(options.columns));
    let services = options
        .order
        .services(snapshot.services.iter().collect(), |it| it.key);
    let written = services
        .into_iter()
        .try_for_each(|it| write_service(&mut out, it, options, names));
    written.expect("a string takes whatever is written to it");
    out
}

/// One service (`ipvsadm -Ln -t …`); `None` if there is none of that name.
#[must_use]
pub fn list_service(
    snapshot: &Snapshot,
    service: &ServiceKey,
    options: &ListOptions,
    names: &Names,
) -> Option<String> {
    let service = snapshot.service(service)?;
    let mut out = title(options.columns);
    let written = write_service(&mut out, service, options, names);
    written.expect("a string takes whatever is written to it");
    Some(out)
}

fn title(columns: Columns) -> String {
    let five = |names: [&str; 5]| {
        let names = names.map(|name| format!(" {name:>8}")).concat();
        format!("{SERVICE:<33}{names}\n{DESTINATION}\n")
    };
    match columns {
        Columns::Plain => format!(
            "{SERVICE} Scheduler Flags\n\
             {DESTINATION}           Forward Weight ActiveConn InActConn\n"
        ),
        Columns::TunInfo => format!(
            "{SERVICE} Scheduler Flags\n\
             {DESTINATION}           Forward TunnelInfo    Weight ActiveConn InActConn\n"
        ),
        Columns::Stats => five(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]),
        Columns::Rate => five(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]),
        Columns::Thresholds => format!(
            "{SERVICE:<33} {:<10} {:<10} {:<10} {:<10}\n{DESTINATION}\n",
            "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
        ),
        Columns::PersistentConn => format!(
            "{SERVICE:<33} {:<9} {:<11} {:<10} {:<10}\n{DESTINATION}\n",
            "Weight", "PersistConn", "ActiveConn", "InActConn"
        ),
    }
}

const SERVICE: &str = "Prot LocalAddress:Port";
const DESTINATION: &str = "  -> RemoteAddress:Port";

/// Widths at which ipvsadm cuts off names of IPv4, and lets those of IPv6 be longer.
const SERVICE_WIDTH: usize = 33;
const DESTINATION_WIDTH: usize = 28;

fn cut(mut name: String, family: Family, width: usize) -> String {
    if family == Family::V4
        && let Some((end, _)) = name.char_indices().nth(width)
    {
        name.truncate(end);
    }
    name
}

fn write_service(
    out: &mut String,
    service: &ServiceState,
    options: &ListOptions,
    names: &Names,
) -> Result {
    let name = match service.key {
        ServiceKey::Address { protocol, endpoint } => {
            let name = names.endpoint(Some(protocol), &endpoint);
            let name = format!("{protocol:<4} {name}");
            cut(name, endpoint.family(), SERVICE_WIDTH)
        }
        ServiceKey::Fwmark { .. } => service.key.to_string().replacen(' ', "  ", 1),
    };
    let traffic = match options.columns {
        Columns::Stats => Some(service.statistics.total),
        Columns::Rate => Some(service.statistics.rate),
        Columns::Plain | Columns::Thresholds | Columns::PersistentConn | Columns::TunInfo => None,
    };
    match traffic {
        Some(traffic) => writeln!(
            out,
            "{name:<SERVICE_WIDTH$}{}",
            all_large(traffic, options.exact)
        )?,
        None => {
            out.push_str(&name);
            write_settings(out, service)?;
        }
    }
    let order = options.order;
    let destinations = order.destinations(service.destinations.iter().collect(), |it| it.key);
    let protocol = service.key.protocol();
    let name = |key: &Endpoint| {
        let name = names.endpoint(protocol, key);
        cut(name, key.family(), DESTINATION_WIDTH)
    };
    destinations
        .into_iter()
        .try_for_each(|it| write_destination(out, it, &name(&it.key), options))
}

fn write_settings(out: &mut String, service: &ServiceState) -> Result {
    let settings = &service.settings;
    write!(out, " {}", settings.scheduler)?;
    let flags: Vec<_> = settings.flags.scheduler_flags(settings.scheduler).collect();
    if !flags.is_empty() {
        write!(out, " ({})", flags.join(","))?;
    }
    if let Some(persistence) = settings.persistence {
        write!(out, " persistent {}", persistence.timeout)?;
        if !persistence.clients.is_whole() {
            write!(out, " mask {}", persistence.clients)?;
        }
        if let Some(engine) = persistence.engine {
            write!(out, " pe {engine}")?;
        }
    }
    out.push_str(if settings.flags.one_packet {
        " ops\n"
    } else {
        "\n"
    });
    Ok(())
}

fn write_destination(
    out: &mut String,
    state: &DestinationState,
    name: &str,
    options: &ListOptions,
) -> Result {
    let (settings, counts) = (&state.settings, &state.counts);
    let (weight, forwarding) = (settings.weight.get(), settings.forwarding);
    let (active, inactive) = (counts.active, counts.inactive);
    write!(out, "  -> {name:<DESTINATION_WIDTH$}")?;
    match options.columns {
        Columns::Plain => {
            let method = method(forwarding);
            writeln!(out, " {method:<7} {weight:<6} {active:<10} {inactive:<10}")
        }
        Columns::TunInfo => {
            let (method, tunnel) = (method(forwarding), tunnel(forwarding));
            writeln!(
                out,
                " {method:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}"
            )
        }
        Columns::Stats => {
            writeln!(out, "{}", all_large(state.statistics.total, options.exact))
        }
        Columns::Rate => {
            let rate = state.statistics.rate;
            let (connections, in_packets) = (rate.connections, rate.packets_in);
            let bytes = [rate.bytes_in, rate.bytes_out].map(|it| large(it, options.exact));
            let out_packets = rate.packets_out;
            writeln!(
                out,
                " {connections:>8} {in_packets:>8} {out_packets:>8}{}",
                bytes.concat()
            )
        }
        Columns::Thresholds => {
            let (upper, lower) = (settings.thresholds.upper(), settings.thresholds.lower());
            writeln!(out, " {upper:<10} {lower:<10} {active:<10} {inactive:<10}")
        }
        Columns::PersistentConn => {
            let persistent = counts.persistent;
            writeln!(
                out,
                " {weight:<9} {persistent:<11} {active:<10} {inactive:<10}"
            )
        }
    }
}

/// ipvsadm's word for a forwarding method; it has none for bypass.
const fn method(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::DirectRoute => "Route",
        Forwarding::Bypass => "Bypass",
    }
}

fn tunnel(forwarding: Forwarding) -> String {
    let Forwarding::Tunnel(tunnel) = forwarding else {
        return "n/a".to_owned();
    };
    match tunnel {
        Tunnel::Ipip => "ipip".to_owned(),
        Tunnel::Gue { port, checksum } => {
            let flag = match checksum {
                GueChecksum::None => "-c",
                GueChecksum::Csum => "+c",
                GueChecksum::Remcsum => "r+c",
            };
            format!("gue:{port}:{flag}")
        }
        Tunnel::Gre {
            checksum: GreChecksum::None,
        } => "gre:-c".to_owned(),
        Tunnel::Gre {
            checksum: GreChecksum::Csum,
        } => "gre:+c".to_owned(),
    }
}

fn all_large(traffic: Traffic, exact: bool) -> String {
    let Traffic {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
    } = traffic;
    let numbers = [connections, packets_in, packets_out, bytes_in, bytes_out];
    numbers.map(|number| large(number, exact)).concat()
}

/// A number in at least nine places, a great one in thousands or more.
fn large(number: u64, exact: bool) -> String {
    if exact {
        return format!("{:>9}", format!(" {number}"));
    }
    let (number, unit) = match number {
        0..100_000_000 => return format!("{number:>9}"),
        100_000_000..1_000_000_000 => (number / 1_000, 'K'),
        1_000_000_000..100_000_000_000 => (number / 1_000_000, 'M'),
        100_000_000_000..100_000_000_000_000 => (number / 1_000_000_000, 'G'),
        100_000_000_000_000.. => (number / 1_000_000_000_000, 'T'),
    };
    format!("{number:>8}{unit}")
}

/// Timeouts (`ipvsadm -L --timeout`).
#[must_use]
pub fn list_timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    format!("Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}\n")
}

/// Sync daemons (`ipvsadm -L --daemon`), a master before a backup.
#[must_use]
pub fn list_daemons(daemons: &[SyncDaemon]) -> String {
    let mut sorted: Vec<_> = daemons.iter().collect();
    sorted.sort_by_key(|daemon| daemon.role);
    let mut out = String::new();
    for daemon in sorted {
        let (role, interface, id) = (daemon.role, daemon.interface, daemon.sync_id);
        let more = |name: &str, value: Option<String>| {
            value
                .map(|value| format!(", {name}={value}"))
                .unwrap_or_default()
        };
        let attributes = [
            more("maxlen", daemon.max_length.map(|it| it.bytes().to_string())),
            more("group", daemon.group.map(|it| it.to_string())),
            more("port", daemon.port.map(|it| it.to_string())),
            more("ttl", daemon.ttl.map(|it| it.to_string())),
        ];
        let attributes = attributes.concat();
        out.push_str(&format!(
            "{role} sync daemon (mcast={interface}, syncid={id}{attributes})\n"
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn great_numbers_are_shortened_unless_they_shall_be_exact() {
        for (number, short, exact) in [
            (0, "        0", "        0"),
            (99_999_999, " 99999999", " 99999999"),
            (100_000_000, "  100000K", " 100000000"),
            (1_000_000_000, "    1000M", " 1000000000"),
            (100_000_000_000, "     100G", " 100000000000"),
            (100_000_000_000_000, "     100T", " 100000000000000"),
        ] {
            assert_eq!(large(number, false), short);
            assert_eq!(large(number, true), exact);
        }
    }
}
