//! `-L` and `-S`.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    net::IpAddr,
};

use ipvs::{
    Connection, Snapshot, Thresholds, Timeouts,
    text::{self, Dialect, ListOptions, Names},
};
use serde::Serialize;

use crate::{
    End,
    fault::{Fault, Status, chain},
    host::{Connections, Host},
    json, names,
    request::View,
};

/// How many connections are named at a time, and how many names are remembered at most.
const CHUNK: usize = 1024;
const REMEMBERED: usize = 16 * CHUNK;

/// Lists services, timeouts or daemons.
pub(crate) async fn list(
    view: View,
    options: &ListOptions,
    numeric: bool,
    as_json: bool,
    host: &dyn Host,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), End> {
    if let View::Connections { engines } = view {
        let connections = host.connections().await;
        let connections = connections.map_err(|error| refused(&error))?;
        return match as_json {
            true => connections_as_json(connections, out, err).await,
            false => list_connections(connections, engines, numeric, host, out, err).await,
        };
    }
    let snapshot = snapshot(host).await?;
    let only = match view {
        View::Service(key) => Some(key),
        View::Services | View::Connections { .. } | View::Timeouts | View::Daemons => None,
    };
    if let Some(key) = only
        && snapshot.service(&key).is_none()
    {
        let fault = Fault::new(Status::NotListed, "No such service");
        return Err(fault.with_help(format!("there is no service {key}")).into());
    }
    if as_json {
        return match view {
            View::Timeouts => write_json(&json::Timeouts::of(snapshot.timeouts), out),
            View::Daemons => write_json(&json::Daemons::of(&snapshot.daemons), out),
            View::Services | View::Service(_) | View::Connections { .. } => {
                write_json(&json::Services::of(&snapshot, only, options.order), out)
            }
        };
    }
    let text = match (view, only) {
        (View::Timeouts, _) => text::list_timeouts(&snapshot.timeouts),
        (View::Daemons, _) => text::list_daemons(&snapshot.daemons),
        (_, Some(key)) => {
            let mut snapshot = snapshot;
            snapshot.services.retain(|service| service.key == key);
            let names = names_of(&snapshot, numeric, host).await;
            text::list_service(&snapshot, &key, options, &names).unwrap_or_default()
        }
        (_, None) => {
            let names = names_of(&snapshot, numeric, host).await;
            text::list(&snapshot, options, &names)
        }
    };
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// Saves the table; tells on `err` what is lost in ipvsadm's format.
pub(crate) async fn save(
    dialect: Dialect,
    numeric: bool,
    host: &dyn Host,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), End> {
    let snapshot = snapshot(host).await?;
    let names = names_of(&snapshot, numeric, host).await;
    let text = text::save(&snapshot.table(), dialect, &names);
    out.write_all(text.as_bytes())?;
    let lost = lost(&snapshot);
    if dialect == Dialect::Ipvsadm && !lost.is_empty() {
        let lost = lost.join(", ");
        writeln!(
            err,
            "ipvsctl: not saved, as by ipvsadm: {lost}; --complete saves all"
        )?;
    }
    Ok(())
}

/// What ipvsadm's format has no place for.
fn lost(snapshot: &Snapshot) -> Vec<&'static str> {
    let mut destinations = snapshot.services.iter().flat_map(|it| &it.destinations);
    let thresholds = destinations.any(|it| it.settings.thresholds != Thresholds::NONE);
    let things = [
        ("thresholds", thresholds),
        ("timeouts", snapshot.timeouts != Timeouts::default()),
        ("sync daemons", !snapshot.daemons.is_empty()),
    ];
    let lost = things.into_iter().filter(|(_, there)| *there);
    lost.map(|(name, _)| name).collect()
}

async fn snapshot(host: &dyn Host) -> Result<Snapshot, End> {
    let backend = host.backend().await.map_err(|error| refused(&error))?;
    let snapshot = backend.snapshot().await.map_err(|error| refused(&error))?;
    Ok(snapshot)
}

fn refused(error: &ipvs::IpvsError) -> Fault {
    Fault::of_kernel(error, Status::NotListed)
}

async fn names_of(snapshot: &Snapshot, numeric: bool, host: &dyn Host) -> Names {
    match numeric {
        true => Names::default(),
        false => names::of_table(snapshot, host).await,
    }
}

/// Writes connections as they come: there may be more than fit into memory.
async fn list_connections(
    connections: Box<dyn Connections>,
    engines: bool,
    numeric: bool,
    host: &dyn Host,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), End> {
    out.write_all(text::connections_title(engines).as_bytes())?;
    let mut chunks = Chunks::new(connections);
    let mut names = Names::default();
    let mut unnamed: BTreeSet<IpAddr> = BTreeSet::new();
    while let Some(chunk) = chunks.next(err).await? {
        if !numeric {
            if names.hosts.len() + unnamed.len() > REMEMBERED {
                (names.hosts, unnamed) = Default::default();
            }
            let mut hosts = BTreeSet::new();
            for connection in &chunk {
                for end in [
                    connection.client,
                    connection.service,
                    connection.destination,
                ] {
                    hosts.insert(end.address);
                    names::add_service(&mut names, connection.protocol, end.port, host.services());
                }
            }
            hosts.retain(|it| !names.hosts.contains_key(it) && !unnamed.contains(it));
            unnamed.extend(&hosts);
            names.hosts.extend(host.names_of(hosts).await);
        }
        for connection in &chunk {
            out.write_all(text::connection_line(connection, engines, &names).as_bytes())?;
        }
    }
    chunks.end()
}

async fn connections_as_json(
    connections: Box<dyn Connections>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), End> {
    out.write_all(b"{\n  \"connections\": [")?;
    let mut chunks = Chunks::new(connections);
    let mut separator = "\n    ";
    while let Some(chunk) = chunks.next(err).await? {
        for connection in &chunk {
            out.write_all(separator.as_bytes())?;
            separator = ",\n    ";
            serde_json::to_writer(&mut *out, &json::Connection::of(connection))
                .map_err(io::Error::from)?;
        }
    }
    out.write_all(b"\n  ]\n}\n")?;
    chunks.end()
}

/// Connections, some at a time.
struct Chunks {
    connections: Box<dyn Connections>,
    failed: bool,
}

impl Chunks {
    fn new(connections: Box<dyn Connections>) -> Self {
        Self {
            connections,
            failed: false,
        }
    }

    /// The next ones; `None` behind the last. Those that cannot be read are told.
    async fn next(&mut self, err: &mut dyn Write) -> Result<Option<Vec<Connection>>, End> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK
            && let Some(connection) = self.connections.next().await
        {
            match connection {
                Ok(connection) => chunk.push(connection),
                Err(error) => {
                    self.failed = true;
                    writeln!(err, "ipvsctl: {}", chain(&error))?;
                }
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn end(self) -> Result<(), End> {
        match self.failed {
            true => Err(End::Told(Status::NotListed)),
            false => Ok(()),
        }
    }
}

/// Writes a document and ends its last line.
pub(crate) fn write_json(document: &impl Serialize, out: &mut dyn Write) -> Result<(), End> {
    serde_json::to_writer_pretty(&mut *out, document).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
