//! Reads a trace and does to a `Service` what was done to the kernel.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use sched::{
    Arrival, Connection, Flags, Flow, Kind, Persistence, Pick, Protocol, Rules, ServerSettings,
    Service,
};
use serde::Deserialize;

/// How often a scheduler was asked, and how often it answered as the kernel did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) picks: usize,
    pub(crate) equal: usize,
    /// How often the kernel refused the connection.
    pub(crate) refused: usize,
    /// How often list order, weights, thresholds, connections and templates were the kernel's.
    pub(crate) same_state: usize,
    pub(crate) differences: Vec<String>,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: Self) {
        self.picks += other.picks;
        self.equal += other.equal;
        self.refused += other.refused;
        self.same_state += other.same_state;
        self.differences.extend(other.differences);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            picks,
            equal,
            refused,
            same_state,
            ..
        } = self;
        write!(f, "{picks:>8} {equal:>8} {refused:>8} {same_state:>9}")
    }
}

/// Replays the text of one trace; the outcomes are by the scheduler that was in charge.
pub(crate) fn replay(text: &str) -> Result<BTreeMap<Kind, Outcome>, String> {
    let mut lines = text.lines().enumerate();
    let (_, header) = lines.next().ok_or("an empty file")?;
    let header = serde_json::from_str(header).map_err(|error| format!("line 1: {error}"))?;
    let mut replay = Replay::new(&header)?;
    for (index, line) in lines {
        let line_number = index + 1;
        let at_line = |error: &dyn fmt::Display| format!("line {line_number}: {error}");
        let event = serde_json::from_str(line).map_err(|error| at_line(&error))?;
        replay
            .apply(event, line_number)
            .map_err(|error| at_line(&error))?;
    }
    let picks: usize = replay.outcomes.values().map(|outcome| outcome.picks).sum();
    let refused: usize = replay
        .outcomes
        .values()
        .map(|outcome| outcome.refused)
        .sum();
    if (picks, refused) != (header.picks, header.nulls) {
        return Err(format!(
            "{picks} picks and {refused} nulls are not what the header counts"
        ));
    }
    Ok(replay.outcomes)
}

#[derive(Deserialize)]
struct Header {
    scheduler: String,
    flags: Vec<String>,
    persistent: Option<PersistenceHeader>,
    sysctl: BTreeMap<String, u64>,
    picks: usize,
    nulls: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersistenceHeader {
    timeout: u64,
    netmask: u8,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Event {
    Add {
        dest: SocketAddr,
        weight: u32,
        upper: u32,
        lower: u32,
    },
    Edit {
        dest: SocketAddr,
        weight: u32,
        upper: u32,
        lower: u32,
    },
    Remove {
        dest: SocketAddr,
    },
    Service {
        scheduler: String,
        flags: Vec<String>,
    },
    Pick {
        conn: Option<usize>,
        proto: String,
        client: SocketAddr,
        vip: SocketAddr,
        dests: Vec<Row>,
        persist: Option<Vec<u32>>,
        picked: Option<SocketAddr>,
    },
    Close {
        conn: usize,
    },
    Expire {
        conns: Vec<usize>,
    },
    Wait {
        seconds: u64,
    },
}

/// A destination's address, weight, active and inactive connections, upper and lower threshold.
type Row = (SocketAddr, u32, u32, u32, u32, u32);

struct Replay {
    service: Service,
    kind: Kind,
    now: Instant,
    connections: BTreeMap<usize, Connection>,
    outcomes: BTreeMap<Kind, Outcome>,
}

impl Replay {
    #[expect(
        clippy::disallowed_methods,
        reason = "an arbitrary origin of virtual time"
    )]
    fn new(header: &Header) -> Result<Self, String> {
        let now = Instant::now();
        let kind: Kind = header
            .scheduler
            .parse()
            .map_err(|error| format!("{error}"))?;
        let mut rules = Rules::default();
        for (name, value) in &header.sysctl {
            let span = Duration::from_secs(*value);
            match name.as_str() {
                "lblc_expiration" => rules.lblc_expiration = span,
                "lblcr_expiration" => rules.lblcr_expiration = span,
                "expire_quiescent_template" => rules.expire_quiescent_template = *value != 0,
                _ => return Err(format!("sysctl {name} has no equivalent")),
            }
        }
        let mut service = Service::new(kind, rules, now);
        service.set_flags(flags(&header.flags)?);
        service.set_persistence(header.persistent.as_ref().map(|header| {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(header.netmask.into()));
            Persistence::new(Duration::from_secs(header.timeout))
                .with_netmask(Ipv4Addr::from_bits(mask.unwrap_or(0)))
                .with_prefix(header.netmask)
        }));
        let (connections, outcomes) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self {
            service,
            kind,
            now,
            connections,
            outcomes,
        })
    }

    fn apply(&mut self, event: Event, line: usize) -> Result<(), String> {
        let refused = |error: sched::ServiceError| format!("{error:?}");
        let settings =
            |weight, upper, lower| ServerSettings::new(weight).with_thresholds(upper, lower);
        match event {
            Event::Add {
                dest,
                weight,
                upper,
                lower,
            } => {
                let settings = settings(weight, upper, lower);
                self.service
                    .add_server(dest, settings, self.now)
                    .map_err(refused)?;
            }
            Event::Edit {
                dest,
                weight,
                upper,
                lower,
            } => {
                let settings = settings(weight, upper, lower);
                self.service
                    .edit_server(dest, settings, self.now)
                    .map_err(refused)?;
            }
            Event::Remove { dest } => {
                self.service
                    .remove_server(dest, self.now)
                    .map_err(refused)?;
            }
            Event::Service {
                scheduler,
                flags: names,
            } => {
                self.kind = scheduler.parse().map_err(|error| format!("{error}"))?;
                self.service
                    .set_kind(self.kind, self.now)
                    .map_err(refused)?;
                self.service.set_flags(flags(&names)?);
            }
            Event::Pick {
                conn,
                proto,
                client,
                vip,
                dests,
                persist,
                picked,
            } => {
                let protocol = match proto.as_str() {
                    "tcp" => Protocol::Tcp,
                    "udp" => Protocol::Udp,
                    _ => return Err(format!("unknown protocol {proto}")),
                };
                let same_state = self.rows() == dests
                    && persist.is_none_or(|persist| persist == self.templates());
                let flow = Flow::new(protocol, client, vip);
                let pick = self.service.connect(&Arrival::new(flow, self.now, 0));
                self.record(line, picked, pick.as_ref(), same_state);
                self.keep(conn, pick)?;
            }
            Event::Close { conn } => {
                let connection = self.connections.get_mut(&conn).ok_or("closes nothing")?;
                self.service.set_active(connection, false);
            }
            Event::Expire { conns } => {
                for conn in conns {
                    let connection = self.connections.remove(&conn).ok_or("expires nothing")?;
                    self.service.expire(connection, self.now);
                }
            }
            Event::Wait { seconds } => self.now += Duration::from_secs(seconds),
        }
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let servers = self.service.servers().iter();
        servers
            .map(|it| {
                let (upper, lower) = (it.upper_threshold(), it.lower_threshold());
                (
                    it.address(),
                    it.weight(),
                    it.active(),
                    it.inactive(),
                    upper,
                    lower,
                )
            })
            .collect()
    }

    fn templates(&self) -> Vec<u32> {
        self.service
            .servers()
            .iter()
            .map(sched::Server::templates)
            .collect()
    }

    fn record(
        &mut self,
        line: usize,
        kernels: Option<SocketAddr>,
        ours: Option<&Pick>,
        same_state: bool,
    ) {
        let ours = ours.map(|pick| pick.address);
        let outcome = self.outcomes.entry(self.kind).or_default();
        outcome.picks += 1;
        outcome.refused += usize::from(kernels.is_none());
        outcome.equal += usize::from(ours == kernels);
        outcome.same_state += usize::from(same_state);
        if ours != kernels || !same_state {
            outcome.differences.push(format!(
                "line {line}: {} picks {ours:?}, the kernel {kernels:?}; same state: {same_state}",
                self.kind
            ));
        }
    }

    /// Keeps the connection under the trace's number, if both made one.
    fn keep(&mut self, conn: Option<usize>, pick: Option<Pick>) -> Result<(), String> {
        match (conn, pick.and_then(|pick| pick.connection)) {
            (Some(conn), Some(connection)) => {
                self.connections.insert(conn, connection);
                Ok(())
            }
            (None, None) => Ok(()),
            (Some(_), None) => Err("the kernel made a connection, the service none".into()),
            (None, Some(_)) => Err("the service made a connection, the kernel none".into()),
        }
    }
}

fn flags(names: &[String]) -> Result<Flags, String> {
    names
        .iter()
        .try_fold(Flags::NONE, |flags, name| match name.as_str() {
            "one-packet" => Ok(flags.with_one_packet()),
            "sh-fallback" | "mh-fallback" => Ok(flags.with_fallback()),
            "sh-port" | "mh-port" => Ok(flags.with_port()),
            _ => Err(format!("unknown flag {name}")),
        })
}
