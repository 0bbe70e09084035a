//! What carries out the checks of a configuration.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use health::{
    Ask, BytePattern, Check, Connect, DnsProbe, FileProbe, HealthProbe, Hello, PingProbe,
    RecordType, Reply, SmtpProbe, Target, TcpProbe, UdpProbe,
};
use ipvs::Endpoint;

use super::{CheckName, Paths};
use crate::{
    conf::model::{self, CheckKind, Config, Origin, TlsClient, VirtualServer, VirtualServerName},
    log::chain,
    script::run::Runner,
};

mod http;
mod logged;
mod misc;

use http::http_probe;
use logged::Logged;
use misc::MiscProbe;

/// keepalived waits that long before its first probes (`BOOTSTRAP_DELAY`).
const BOOT_DELAY: Duration = Duration::from_secs(1);

/// What keepalived sends where the file does not say.
const UDP_PAYLOAD: &[u8; 32] = b"keepalived check - keepalived ch";

/// The probes that carry checks out, each once however many servers are checked by it: equal checks
/// of the same target are one.
pub struct Probes {
    runner: Arc<dyn Runner>,
    /// For as long as a fleet has them.
    probes: BTreeMap<Key, Weak<dyn HealthProbe>>,
    /// Whose checks a fleet has.
    virtual_servers: Vec<Arc<VirtualServer>>,
    surroundings: Surroundings,
}

/// What checks depend on besides their virtual server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Surroundings {
    paths: Paths,
    /// Who says `SSL_GET` that it is.
    tls: Option<TlsClient>,
}

/// What a probe is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: CheckKind,
    /// The end of its time where silence is success.
    silence: Option<Duration>,
    /// Whether all its failures are told.
    logs_all: bool,
    /// Where it matters.
    tls: Option<TlsClient>,
}

/// How the checks of a configuration differ from those that a fleet has.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "it is these two")]
pub struct Recheck {
    /// Checks that are not asked for any more, unless they are asked for anew.
    pub gone: Vec<CheckName>,
    /// Checks that are new or may be others.
    pub asks: Vec<Ask<CheckName, Check>>,
}

/// Why a check cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} of real server {real_server} of virtual server {virtual_server}: {reason}")]
#[non_exhaustive]
pub struct CannotCheck {
    /// What kind of check it is.
    pub kind: &'static str,
    /// Of which real server.
    pub real_server: String,
    /// Of which virtual server.
    pub virtual_server: String,
    /// Why.
    pub reason: String,
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.probes.len();
        f.debug_struct("Probes")
            .field("known", &known)
            .finish_non_exhaustive()
    }
}

impl Probes {
    /// Without any. Programs are run by `runner`.
    #[must_use]
    pub fn new(runner: Arc<dyn Runner>) -> Self {
        Self {
            runner,
            probes: BTreeMap::new(),
            virtual_servers: Vec::new(),
            surroundings: Surroundings::default(),
        }
    }

    /// What a fleet has to be told for a configuration; [`follow`](Self::follow) once it was. A check
    /// that was asked for before has the same probe again, so that a fleet goes on with it.
    ///
    /// # Errors
    /// The first check that cannot be carried out.
    pub fn recheck(&mut self, config: &Config) -> Result<Recheck, CannotCheck> {
        let surroundings = Surroundings::of(config);
        let is_same = surroundings == self.surroundings;
        let before = by_name(&self.virtual_servers);
        let after = by_name(&config.virtual_servers);
        let stays = |name| is_same && before.get(name) == after.get(name);
        let gone = before.iter().filter(|(name, _)| !stays(name));
        let gone = gone.flat_map(|(_, servers)| servers);
        let gone = gone.flat_map(|server| CheckName::all_of(server));
        let gone = gone.map(|(check, _)| check).collect();
        let new = after.iter().filter(|(name, _)| !stays(name));
        let new: Vec<_> = new.flat_map(|(_, servers)| servers).copied().collect();
        let mut asks = Vec::new();
        for (service, check) in new.into_iter().flat_map(|server| CheckName::all_of(server)) {
            let probe = self.probe(check, &surroundings);
            let probe = probe.map_err(|reason| CannotCheck {
                kind: check.kind.keyword(),
                real_server: service.real_server.to_string(),
                virtual_server: service.virtual_server.to_string(),
                reason,
            })?;
            let target = target(&check.kind, service.real_server.address);
            asks.push(Ask {
                service,
                probe: Check::new(probe, target),
                config: check.config.clone(),
                start_delay: start_delay(&check.kind),
                warm_up: check.warm_up,
                known: None,
            });
        }
        Ok(Recheck { gone, asks })
    }

    /// A fleet has the checks of this configuration, and no others.
    pub fn follow(&mut self, config: &Config) {
        self.virtual_servers.clone_from(&config.virtual_servers);
        self.surroundings = Surroundings::of(config);
        self.probes.retain(|_, probe| probe.strong_count() > 0);
    }

    /// The probe of a check: the one that equal checks have, or a new one.
    fn probe(
        &mut self,
        check: &model::Check,
        surroundings: &Surroundings,
    ) -> Result<Arc<dyn HealthProbe>, String> {
        let silence = matches!(&check.kind, CheckKind::Udp(udp) if udp.reply.is_none());
        let mark = check.kind.path();
        let mark = mark.and_then(|path| surroundings.paths.mark(&path));
        let kind = match mark {
            Some(mark) => check.kind.clone().marked(mark),
            None => check.kind.clone(),
        };
        let speaks_tls = matches!(&kind, CheckKind::Http(http) if http.tls.is_some());
        let key = Key {
            kind,
            silence: silence.then_some(check.config.timeout),
            logs_all: check.log_all_failures,
            tls: surroundings.tls.clone().filter(|_| speaks_tls),
        };
        if let Some(probe) = self.probes.get(&key).and_then(Weak::upgrade) {
            return Ok(probe);
        }
        let probe = self.make(&key, check.config.timeout)?;
        let probe = match check.log_all_failures {
            true => Arc::new(Logged {
                kind: check.kind.keyword(),
                probe,
            }),
            false => probe,
        };
        self.probes.insert(key, Arc::downgrade(&probe));
        Ok(probe)
    }

    fn make(&self, key: &Key, timeout: Duration) -> Result<Arc<dyn HealthProbe>, String> {
        let probe: Arc<dyn HealthProbe> = match &key.kind {
            CheckKind::Tcp(tcp) => Arc::new(TcpProbe::new(connect(tcp))),
            CheckKind::Ping { from, .. } => Arc::new(PingProbe::new(coming(from))),
            CheckKind::Smtp {
                connect: to,
                helo_name,
            } => {
                let name = helo_name.clone().unwrap_or_else(host_name);
                let smtp = SmtpProbe::new(connect(to), Hello::Helo, &name);
                Arc::new(smtp.map_err(|error| error.to_string())?)
            }
            CheckKind::Dns {
                connect: to,
                record,
                name,
            } => {
                let dns = DnsProbe::new(connect(to), name, record_type(*record));
                Arc::new(dns.map_err(|error| error.to_string())?)
            }
            CheckKind::Udp(udp) => Arc::new(udp_probe(udp, timeout)),
            CheckKind::File(file) => {
                let probe = FileProbe::new(&file.path).or_missing();
                let probe = probe.with_number(file.weight);
                Arc::new(if file.reverse {
                    probe.reversed()
                } else {
                    probe
                })
            }
            CheckKind::Misc(misc) => Arc::new(MiscProbe::new(misc, Arc::clone(&self.runner))),
            CheckKind::Http(http) => {
                let probe = http_probe(http, key.tls.as_ref());
                Arc::new(probe.map_err(|error| chain(&*error))?)
            }
        };
        Ok(probe)
    }
}

impl Surroundings {
    fn of(config: &Config) -> Self {
        Self {
            paths: Paths::of(config),
            tls: config.tls.clone(),
        }
    }
}

/// Of most names there is one.
fn by_name(
    servers: &[Arc<VirtualServer>],
) -> BTreeMap<VirtualServerName, Vec<&Arc<VirtualServer>>> {
    let mut by_name = BTreeMap::<_, Vec<_>>::new();
    for server in servers {
        by_name.entry(server.name.clone()).or_default().push(server);
    }
    by_name
}

fn udp_probe(udp: &model::UdpCheck, timeout: Duration) -> UdpProbe {
    let payload = udp.payload.clone().unwrap_or_else(|| UDP_PAYLOAD.to_vec());
    let connect = connect(&udp.connect);
    match &udp.reply {
        // Silence is success, and has to be one before the deadline makes it a failure.
        None => UdpProbe::new(connect, payload, timeout * 9 / 10),
        Some(wanted) => {
            let mut reply = Reply::default();
            reply.pattern = Some(BytePattern::masked(wanted.begins.iter().copied()));
            reply.may_end_early = true;
            reply.min_length = wanted.min_length.into();
            reply.max_length = Some(wanted.max_length.into());
            UdpProbe::requiring(connect, payload, reply)
        }
    }
}

/// What is known without asking the network is known at once.
const fn start_delay(kind: &CheckKind) -> Duration {
    match kind {
        CheckKind::File(_) => Duration::ZERO,
        CheckKind::Tcp(_)
        | CheckKind::Http(_)
        | CheckKind::Smtp { .. }
        | CheckKind::Dns { .. }
        | CheckKind::Misc(_)
        | CheckKind::Udp(_)
        | CheckKind::Ping { .. } => BOOT_DELAY,
    }
}

/// Where a check looks. A program is run for its real server, a file is the same for all.
fn target(kind: &CheckKind, real_server: std::net::IpAddr) -> Target {
    let at = |to: &Endpoint| SocketAddr::new(to.address, to.port);
    Target::new(match kind {
        CheckKind::Tcp(tcp) => at(&tcp.to),
        CheckKind::Http(http) => at(&http.connect.to),
        CheckKind::Smtp { connect, .. } | CheckKind::Dns { connect, .. } => at(&connect.to),
        CheckKind::Udp(udp) => at(&udp.connect.to),
        CheckKind::Misc(_) => SocketAddr::new(real_server, 0),
        CheckKind::File(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        CheckKind::Ping { address, .. } => SocketAddr::new(*address, 0),
    })
}

fn connect(to: &model::Connect) -> Connect {
    let mut connect = coming(&to.from);
    connect.bind_towards = to.path.map(|path| path.server);
    connect
}

fn coming(from: &Origin) -> Connect {
    let mut connect = Connect::default();
    connect.bind_address = from.address;
    connect.bind_port = from.port;
    connect.bind_interface = from.interface.map(|interface| interface.to_string());
    connect.fwmark = from.fwmark;
    connect
}

const fn record_type(record: model::RecordType) -> RecordType {
    match record {
        model::RecordType::A => RecordType::A,
        model::RecordType::Ns => RecordType::NS,
        model::RecordType::Cname => RecordType::CNAME,
        model::RecordType::Soa => RecordType::SOA,
        model::RecordType::Mx => RecordType::MX,
        model::RecordType::Txt => RecordType::TXT,
        model::RecordType::Aaaa => RecordType::AAAA,
        model::RecordType::Rrsig => RecordType::RRSIG,
        model::RecordType::Dnskey => RecordType::DNSKEY,
    }
}

fn host_name() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "localhost".to_owned(),
        |name| name.nodename().to_string_lossy().into_owned(),
    )
}
