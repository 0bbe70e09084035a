//! Why something is as it is: all that is known of it, for people.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::{
    Check, Group, InKernel, Instance, Master, RealServer, RoleChange, Status, VirtualServer,
};
use crate::balance::{NoSuchServer, PoolView, RealServerName, Selection, is_called};

/// All that bears a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Why {
    /// Virtual routers.
    pub instances: Vec<Instance>,
    /// Sync groups.
    pub sync_groups: Vec<Group>,
    /// Virtual servers; where a real server is called so, with no other than that.
    pub virtual_servers: Vec<VirtualServer>,
    /// Why the kernel's table cannot be read or changed, while that is so.
    pub ipvs_trouble: Option<String>,
}

impl Why {
    /// What bears that name: that of an instance or a group, what a virtual server is called (see
    /// [`is_called`]), or the address of real servers or sorry servers, with or without their port.
    /// `pools` are the virtual servers of the state.
    ///
    /// # Errors
    /// Nothing does.
    pub(crate) fn of(status: Status, pools: &[PoolView], name: &str) -> Result<Self, NoSuchServer> {
        let instances = status.instances.iter().filter(|it| it.name == name);
        let sync_groups = status.sync_groups.iter().filter(|it| it.name == name);
        let servers = pools.iter().zip(&status.virtual_servers);
        let why = Self {
            instances: instances.cloned().collect(),
            sync_groups: sync_groups.cloned().collect(),
            virtual_servers: servers
                .filter_map(|(pool, server)| called(pool, server, name))
                .collect(),
            ipvs_trouble: status.ipvs_trouble.clone(),
        };
        let is_something = !why.instances.is_empty()
            || !why.sync_groups.is_empty()
            || !why.virtual_servers.is_empty();
        match is_something {
            true => Ok(why),
            false => Err(NoSuchServer {
                wanted: format!("instance, group, virtual server or real server {name}"),
                there: names(&status),
            }),
        }
    }
}

fn names(status: &Status) -> Vec<String> {
    let instances = status.instances.iter().map(|it| it.name.clone());
    let groups = status.sync_groups.iter().map(|it| it.name.clone());
    let servers = status.virtual_servers.iter().map(|it| it.name.clone());
    instances.chain(groups).chain(servers).collect()
}

/// A virtual server if it is called so, or with those of its real servers that are.
fn called(pool: &PoolView, server: &VirtualServer, name: &str) -> Option<VirtualServer> {
    if is_called(&pool.config, name) {
        return Some(server.clone());
    }
    let which = Selection {
        real_server: name.parse::<RealServerName>().ok()?,
        virtual_server: None,
    };
    let servers = pool.config.real_servers.iter().zip(&server.real_servers);
    let meant = servers.filter(|(config, _)| which.means_server(&pool.config, config));
    let meant: Vec<_> = meant.map(|(_, server)| server.clone()).collect();
    let sorry = pool.config.sorry_server.as_ref();
    let is_sorry = sorry.is_some_and(|sorry| {
        let (wanted, it) = (which.real_server, &sorry.destination);
        wanted.address == it.address && wanted.port.is_none_or(|port| it.port == Some(port))
    });
    (is_sorry || !meant.is_empty()).then(|| VirtualServer {
        real_servers: meant,
        ..server.clone()
    })
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for instance in &self.instances {
            of_instance(f, instance)?;
        }
        for Group { name, role } in &self.sync_groups {
            writeln!(f, "sync group {name} is {role}, as its members are")?;
        }
        for server in &self.virtual_servers {
            of_virtual_server(f, server)?;
        }
        match &self.ipvs_trouble {
            Some(trouble) => writeln!(f, "IPVS: {trouble}"),
            None => Ok(()),
        }
    }
}

fn of_instance(f: &mut fmt::Formatter<'_>, instance: &Instance) -> fmt::Result {
    let Instance {
        name,
        role,
        priority,
        ..
    } = instance;
    write!(f, "instance {name} is {role}")?;
    if let Some(RoleChange {
        from,
        because,
        ago_ms,
    }) = &instance.last_change
    {
        write!(f, " for {}: {because} (before: {from})", Span(*ago_ms))?;
    }
    writeln!(f, "\n    its priority is {priority}")?;
    if let Some(Master { address, priority }) = &instance.master {
        writeln!(f, "    it hears master {address} with priority {priority}")?;
    }
    for fault in &instance.faults {
        writeln!(f, "    fault: {fault}")?;
    }
    let held = if role == "MASTER" {
        "holds"
    } else {
        "would hold"
    };
    writeln!(f, "    it {held} {}", instance.addresses.join(", "))
}

fn of_virtual_server(f: &mut fmt::Formatter<'_>, server: &VirtualServer) -> fmt::Result {
    let services = server.services.iter().map(|service| service.name.as_str());
    let services: Vec<_> = services.collect();
    let VirtualServer {
        name,
        scheduler,
        alive,
        quorum,
        hysteresis,
        ..
    } = server;
    writeln!(
        f,
        "virtual server {name}: {} by {scheduler}",
        services.join(", ")
    )?;
    let word = if server.has_quorum { "there" } else { "lost" };
    writeln!(
        f,
        "    its quorum is {word}: weight {alive} is up, a quorum is {quorum}, hysteresis {hysteresis}"
    )?;
    if server.is_suspended {
        writeln!(
            f,
            "    its checks rest: this machine has none of its addresses (ha_suspend)"
        )?;
    }
    for service in &server.services {
        if service.in_kernel == Some(false) {
            writeln!(f, "    the table has no {}", service.name)?;
        }
        for refusal in &service.refused {
            writeln!(f, "    refused: {refusal}")?;
        }
    }
    if let Some(sorry) = &server.sorry_server {
        let word = if sorry.in_use { "serves" } else { "waits" };
        writeln!(f, "    sorry server {} {word}", sorry.name)?;
        in_kernel(f, &sorry.kernel)?;
        for refusal in &sorry.refused {
            writeln!(f, "        refused: {refusal}")?;
        }
    }
    for real in &server.real_servers {
        of_real_server(f, real)?;
    }
    Ok(())
}

fn of_real_server(f: &mut fmt::Formatter<'_>, server: &RealServer) -> fmt::Result {
    let RealServer {
        name,
        health,
        because,
        weight_configured,
        weight,
        ..
    } = server;
    writeln!(f, "    real server {name} is {health}")?;
    writeln!(f, "        {because}")?;
    write!(
        f,
        "        weight {weight_configured} in the file, {weight} by its checks"
    )?;
    match server.weight_wanted {
        None => write!(f, ", not wanted in the table")?,
        Some(wanted) => write!(f, ", {wanted} wanted in the table")?,
    }
    match &server.order {
        None => writeln!(f, ", no order")?,
        Some(order) => writeln!(f, ", ordered: {order}")?,
    }
    in_kernel(f, &server.kernel)?;
    server
        .checks
        .iter()
        .try_for_each(|check| of_check(f, check))
}

fn in_kernel(f: &mut fmt::Formatter<'_>, entries: &[InKernel]) -> fmt::Result {
    for entry in entries {
        let InKernel {
            service,
            weight,
            active,
            inactive,
            persistent,
            leaving,
        } = entry;
        let leaving = if *leaving { ", leaving" } else { "" };
        writeln!(
            f,
            "        table, {service}: weight {weight}, {active} active, {inactive} inactive, \
             {persistent} persistent{leaving}"
        )?;
    }
    Ok(())
}

fn of_check(f: &mut fmt::Formatter<'_>, check: &Check) -> fmt::Result {
    write!(f, "        {} is {}", check.what, check.health)?;
    if let Some(span) = check.for_ms {
        write!(f, " for {}", Span(span))?;
    }
    match check.health.as_str() {
        "up" => write!(f, ", {} of {} failures", check.failures, check.fall)?,
        "down" => write!(f, ", {} of {} passes", check.passes, check.rise)?,
        _ => f.write_str(", its first probe decides")?,
    }
    match (check.is_running, check.next_in_ms) {
        (true, _) => f.write_str(", a probe is under way")?,
        (false, Some(span)) => write!(f, ", next probe in {}", Span(span))?,
        (false, None) => f.write_str(", it rests")?,
    }
    f.write_char('\n')?;
    if let Some(warning) = &check.warning {
        writeln!(f, "            warning: {warning}")?;
    }
    for probe in check.probes.iter().rev() {
        let (ago, took) = (Span(probe.ago_ms), Span(probe.took_ms));
        match &probe.failure {
            None => writeln!(f, "            {ago} ago: passed in {took}")?,
            Some(failure) => writeln!(f, "            {ago} ago: failed after {took}: {failure}")?,
        }
    }
    Ok(())
}

/// A span of so many milliseconds, to two or three digits.
pub(super) struct Span(pub(super) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        let (seconds, minutes, hours) = (ms / 1000, ms / 60_000, ms / 3_600_000);
        match ms {
            0..1000 => write!(f, "{ms} ms"),
            1000..10_000 => write!(f, "{seconds}.{} s", ms % 1000 / 100),
            10_000..120_000 => write!(f, "{seconds} s"),
            120_000..7_200_000 => write!(f, "{minutes} min"),
            7_200_000..172_800_000 => write!(f, "{hours} h"),
            _ => write!(f, "{} days", hours / 24),
        }
    }
}
