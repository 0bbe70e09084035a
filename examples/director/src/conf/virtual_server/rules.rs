//! What the kernel refuses, and what is probably not meant.

use std::collections::BTreeMap;

use health::{QuorumNote, SlowStart};
use ipvs::{Family, Protocol, RuleError, ServiceKey, Weight};

use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    model::{Destination, Places, RealServer, VirtualServer},
    source::Span,
};

/// The services of all virtual servers so far.
#[derive(Debug, Default)]
pub(in crate::conf) struct Seen {
    services: BTreeMap<ServiceKey, Span>,
    /// Where a server is of another family than its service, for the first that is.
    pub(in crate::conf) mixed: Option<Span>,
}

/// keepalived's default, which it says too.
pub(super) fn say_default_method(context: &mut Context<'_>, places: &Places) {
    context.report(
        Diagnostic::new(
            Code::AssumedDefault,
            places.block(),
            "no `lb_kind`: packets are forwarded by NAT",
        )
        .help("write `lb_kind NAT`, or the way of forwarding that is meant"),
    );
}

/// `forwarding_path` of a virtual server without a check that it means.
pub(super) fn say_unused_path(context: &mut Context<'_>, places: &Places, servers: &[RealServer]) {
    let mut checks = servers.iter().flat_map(|server| &server.checks);
    if checks.all(|check| check.kind.path().is_none()) {
        context.report(
            Diagnostic::new(
                Code::Unused,
                places.of("forwarding_path"),
                "no checker connects to a real server by DR or TUN",
            )
            .help("remove it, or add a checker such as TCP_CHECK"),
        );
    }
}

/// What `health` corrected in a quorum.
pub(super) fn say_quorum(context: &mut Context<'_>, places: &Places, notes: &[QuorumNote]) {
    for note in notes {
        let (keyword, help) = match note {
            QuorumNote::Lowered { to, .. } => (
                "quorum",
                format!("write at most {to}, or give the real servers more weight"),
            ),
            QuorumNote::NoWeight => (
                "quorum",
                "give a real server a weight, or remove the virtual server".to_owned(),
            ),
            QuorumNote::HysteresisLowered { to, .. } => (
                "hysteresis",
                format!("write at most {to}, or a greater `quorum`"),
            ),
            QuorumNote::Unreachable { weight } => (
                "hysteresis",
                format!("let `quorum` and `hysteresis` together be at most {weight}"),
            ),
            _ => ("quorum", "check `quorum` and `hysteresis`".to_owned()),
        };
        context.report(
            Diagnostic::new(Code::QuorumOutOfReach, places.of(keyword), note.to_string())
                .help(help),
        );
    }
}

impl Seen {
    /// Checks a virtual server by itself and against those before it. `servers` says where each
    /// real server stands, and then the sorry server.
    pub(super) fn check(
        &mut self,
        context: &mut Context<'_>,
        server: &VirtualServer,
        servers: &[Span],
    ) {
        self.report_same_services(context, server);
        let kinds = one_of_each_kind(&server.services);
        check_service(context, server, &kinds);
        say_udp_persistence(context, server);
        check_slow_start(context, server, servers);
        let sorry = server.sorry_server.iter().map(|sorry| &sorry.destination);
        let real = server.real_servers.iter().map(|real| &real.destination);
        for (destination, span) in real.chain(sorry).zip(servers) {
            check_destination(context, &kinds, destination, *span);
            let family = Family::of(destination.address);
            if kinds.iter().any(|service| service.family() != family) {
                self.mixed.get_or_insert(*span);
            }
        }
    }

    fn report_same_services(&mut self, context: &mut Context<'_>, server: &VirtualServer) {
        let block = server.places.block();
        let mut reported = false;
        for service in &server.services {
            let Some(first) = self.services.insert(*service, block) else {
                continue;
            };
            if !std::mem::replace(&mut reported, true) {
                let message = if first == block {
                    format!("`virtual_server {}` has {service} twice", server.name)
                } else {
                    format!("there is another virtual server for {service}")
                };
                context.report(
                    Diagnostic::new(Code::DuplicateService, block, message)
                        .note(first, "the first one")
                        .help("put the real servers of both into one block"),
                );
            }
        }
    }
}

/// A weight that grows is of use only to a scheduler that goes by weights, and to none that finds
/// its servers by them.
fn check_slow_start(context: &mut Context<'_>, server: &VirtualServer, servers: &[Span]) {
    let mut real_servers = server.real_servers.iter().zip(servers);
    let Some((_, first)) = real_servers.find(|(real, _)| real.slow_start.is_some()) else {
        return;
    };
    let reason = match server.scheduler.as_str() {
        "rr" | "lc" => "gives every server the same, whatever its weight",
        "fo" | "ovf" => "takes the server of the greatest weight first",
        scheduler if !SlowStart::suits(scheduler) => "would move clients about at each step",
        _ => return say_no_smaller_weight(context, server, servers),
    };
    let block = server.places.block();
    let written = server.places.of("slow_start");
    let message = format!(
        "`slow_start` with `lb_algo {}`, which {reason}",
        server.scheduler
    );
    context.report(
        Diagnostic::new(
            Code::SlowStartWithoutWeights,
            if written == block { *first } else { written },
            message,
        )
        .help("choose wrr, wlc, sed, nq, lblc or lblcr, or remove it"),
    );
}

/// Services that differ in what rules ask for: a group may have thousands that do not.
fn one_of_each_kind(services: &[ServiceKey]) -> Vec<ServiceKey> {
    let mut kinds = BTreeMap::new();
    for service in services {
        let kind = (service.family(), service.protocol(), service.port());
        kinds.entry(kind).or_insert(*service);
    }
    kinds.into_values().collect()
}

/// Whether the kernel takes the services as they are set up.
fn check_service(context: &mut Context<'_>, server: &VirtualServer, kinds: &[ServiceKey]) {
    let places = &server.places;
    let broken = kinds
        .iter()
        .find_map(|service| server.settings(service.family()).check(service).err());
    let Some(error) = broken else {
        return;
    };
    let diagnostic = match error {
        RuleError::EveryPortWithoutPersistence { service } => Diagnostic::new(
            Code::MissingKeyword,
            places.block(),
            format!("{service} is a service of every port, which needs persistence"),
        )
        .help("write a port behind the address, or add `persistence_timeout`"),
        RuleError::OnePacketNotUdp { .. } => Diagnostic::new(
            Code::Conflict,
            places.of("ops"),
            "only UDP and marks can be scheduled packet by packet",
        )
        .help("remove `ops`, or write `protocol UDP`"),
        RuleError::MaskOfOtherFamily { service, mask, .. } => Diagnostic::new(
            Code::WrongFamily,
            places.of("persistence_granularity"),
            format!("`{mask}` is not a mask of clients of {service}"),
        )
        .help("use two groups, one for each family"),
        // The others are not of services, or were checked where the value was read.
        error @ (RuleError::PersistenceTimeout { .. }
        | RuleError::MixedFamilies { .. }
        | RuleError::MixedFamiliesWithDaemon { .. }
        | RuleError::NotUnicast { .. }
        | RuleError::PortNotTranslated { .. }
        | RuleError::NotMulticast { .. }
        | RuleError::Timeout { .. }
        | _) => Diagnostic::new(Code::Conflict, places.block(), error.to_string()),
    };
    context.report(diagnostic);
}

/// A client is a flow of UDP packets that never ends for the kernel.
fn say_udp_persistence(context: &mut Context<'_>, server: &VirtualServer) {
    let is_udp = server
        .services
        .iter()
        .any(|key| key.protocol() == Some(Protocol::Udp));
    if is_udp && server.persistence.is_some() {
        context.report(
            Diagnostic::new(
                Code::UdpPersistence,
                server.places.of("persistence_timeout"),
                "UDP has no end of a connection: a client that goes on sending keeps its real \
                 server for ever",
            )
            .help("remove it unless packets of one client belong together; else keep it short"),
        );
    }
}

/// Weights are whole numbers: the default has none below it to begin with.
fn say_no_smaller_weight(context: &mut Context<'_>, server: &VirtualServer, servers: &[Span]) {
    let mut real_servers = server.real_servers.iter().zip(servers);
    let is_one = |real: &RealServer| {
        real.slow_start.is_some() && real.destination.settings.weight == Weight::DEFAULT
    };
    if let Some((_, place)) = real_servers.find(|(real, _)| is_one(real)) {
        context.report(
            Diagnostic::new(
                Code::Unused,
                *place,
                "`slow_start` of a real server with weight 1, which is its smallest share",
            )
            .help("give all real servers of the virtual server greater weights, such as 100"),
        );
    }
}

/// Whether checks rest while no address is here. keepalived drops it where there is a mark.
pub(super) fn ha_suspend(
    context: &mut Context<'_>,
    wanted: bool,
    services: &[ServiceKey],
    places: &Places,
) -> bool {
    let is_mark = |service| matches!(service, &ServiceKey::Fwmark { .. });
    if !wanted || !services.iter().any(is_mark) {
        return wanted;
    }
    context.report(
        Diagnostic::new(
            Code::Unused,
            places.of("ha_suspend"),
            "packets of a mark may be for any address: the checks never rest",
        )
        .help("remove it, or write a virtual server of its own for the mark"),
    );
    false
}

fn check_destination(
    context: &mut Context<'_>,
    kinds: &[ServiceKey],
    destination: &Destination,
    span: Span,
) {
    // In a group with both the port is for the addresses, not for the marks.
    let has_port = kinds.iter().any(|service| service.port().is_some());
    let mut asked = kinds
        .iter()
        .filter(|service| service.port().is_some() == has_port);
    if let Some(port) = destination.port
        && let Some(service) = asked.find(|service| destination.endpoint(service).port != port)
    {
        report_port(context, service, port, span);
    }
    let mixed = kinds.iter().find(|service| {
        let family = Family::of(destination.address);
        service.family() != family && !destination.is_tunnelled()
    });
    if let Some(service) = mixed {
        let address = destination.address;
        context.report(
            Diagnostic::new(
                Code::WrongFamily,
                span,
                format!("{address} is not of the family of {service}"),
            )
            .help(format!(
                "only a tunnel gets from one family to the other: write an {} address, or TUN",
                service.family()
            )),
        );
    }
}

fn report_port(context: &mut Context<'_>, service: &ServiceKey, port: u16, span: Span) {
    let diagnostic = match service.port() {
        Some(of_service) => Diagnostic::new(
            Code::PortsDiffer,
            span,
            format!(
                "with DR and TUN packets keep their port: the real server gets port {of_service}, \
                 not {port}"
            ),
        )
        .help(format!(
            "write port {of_service} and let the server listen there, or forward by NAT"
        )),
        None => Diagnostic::new(
            Code::PortsDiffer,
            span,
            format!("with DR and TUN packets of a mark keep their port: {port} has no effect"),
        )
        .help("leave the port out, and give checkers a `connect_port`"),
    };
    context.report(diagnostic);
}
