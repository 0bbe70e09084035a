//! What carries out the checks of a configuration.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use health::{
    Ask, BytePattern, Check, Connect, DnsProbe, FileProbe, HealthProbe, Hello, PingProbe,
    RecordType, Reply, SmtpProbe, Target, TcpProbe, UdpProbe,
};
use ipvs::Endpoint;

use super::{CheckName, Paths, RealServerName};
use crate::{
    conf::model::{self, CheckKind, Config, Origin, TlsClient},
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
    probes: BTreeMap<Key, Arc<dyn HealthProbe>>,
    /// Who says `SSL_GET` that it is.
    tls: Option<TlsClient>,
}

/// What a probe is made of: with the end of its time where silence is success, and whether all its
/// failures are told.
type Key = (CheckKind, Option<Duration>, bool);

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
            tls: None,
        }
    }

    /// All checks of a configuration, and the probes that carry them out: these take the place of
    /// the ones before once a fleet has the checks. A check that was asked for before has the same
    /// probe again, so that a fleet goes on with it.
    ///
    /// # Errors
    /// The first check that cannot be carried out.
    pub fn asks(&self, config: &Config) -> Result<(Vec<Ask<CheckName, Check>>, Self), CannotCheck> {
        let mut next = Self {
            runner: Arc::clone(&self.runner),
            probes: BTreeMap::new(),
            tls: config.tls.clone(),
        };
        let paths = Paths::of(config);
        let same_client = self.tls == next.tls;
        let mut asks = Vec::new();
        for virtual_server in &config.virtual_servers {
            for server in &virtual_server.real_servers {
                let real_server = RealServerName::of(server);
                for (number, check) in server.checks.iter().enumerate() {
                    let known = same_client.then_some(&self.probes);
                    let probe = next
                        .probe(check, &paths, known)
                        .map_err(|reason| CannotCheck {
                            kind: check.kind.keyword(),
                            real_server: real_server.to_string(),
                            virtual_server: virtual_server.name.to_string(),
                            reason,
                        })?;
                    let target = target(&check.kind, server.destination.address);
                    asks.push(Ask {
                        service: CheckName {
                            virtual_server: virtual_server.name.clone(),
                            real_server,
                            number,
                        },
                        probe: Check::new(probe, target),
                        config: check.config.clone(),
                        start_delay: start_delay(&check.kind),
                        warm_up: check.warm_up,
                        known: None,
                    });
                }
            }
        }
        Ok((asks, next))
    }

    /// The probe of a check: one of these, one that is `known` already, or a new one.
    fn probe(
        &mut self,
        check: &model::Check,
        paths: &Paths,
        known: Option<&BTreeMap<Key, Arc<dyn HealthProbe>>>,
    ) -> Result<Arc<dyn HealthProbe>, String> {
        let silence = matches!(&check.kind, CheckKind::Udp(udp) if udp.reply.is_none());
        let timeout = silence.then_some(check.config.timeout);
        let mark = check.kind.path().and_then(|path| paths.mark(&path));
        let kind = match mark {
            Some(mark) => check.kind.clone().marked(mark),
            None => check.kind.clone(),
        };
        let key = (kind, timeout, check.log_all_failures);
        if let Some(probe) = self.probes.get(&key) {
            return Ok(Arc::clone(probe));
        }
        if let Some(probe) = known.and_then(|known| known.get(&key)) {
            let probe = Arc::clone(probe);
            self.probes.insert(key, Arc::clone(&probe));
            return Ok(probe);
        }
        let probe = self.make(&key.0, check.config.timeout)?;
        let probe = match check.log_all_failures {
            true => Arc::new(Logged {
                kind: check.kind.keyword(),
                probe,
            }),
            false => probe,
        };
        self.probes.insert(key, Arc::clone(&probe));
        Ok(probe)
    }

    fn make(&self, kind: &CheckKind, timeout: Duration) -> Result<Arc<dyn HealthProbe>, String> {
        let probe: Arc<dyn HealthProbe> = match kind {
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
                let probe = http_probe(http, self.tls.as_ref());
                Arc::new(probe.map_err(|error| chain(&*error))?)
            }
        };
        Ok(probe)
    }
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
