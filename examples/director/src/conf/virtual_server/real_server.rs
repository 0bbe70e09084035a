//! `real_server`, and what servers have in common.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ipvs::{DestinationSettings, Family, Thresholds, ThresholdsError, Weight};

use super::{
    Around, Draft,
    forwarding::{Method, method},
    group::{Entry, Group, port},
    sorry_server::Broken,
    timing::Timing,
};
use crate::conf::{
    checker::{self, ServicePort, Target},
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    keywords::REAL_SERVER,
    model::{Destination, Places, RealServer, Script, SorryServer, VirtualServerSubject},
    script::notify_line,
    source::Span,
    tree::{Item, Word},
    values::{address, seconds, whole},
};

/// The servers of a virtual server.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) servers: Vec<RealServer>,
    /// Where the address of each of them stands, and then that of the sorry server.
    pub(super) places: Vec<Span>,
    pub(super) sorry: Option<SorryServer>,
    /// Whether one could not be read.
    pub(super) broken: bool,
}

impl Pool {
    /// Reads the servers of a virtual server that forwards by `method` unless they say otherwise.
    pub(super) fn read(
        context: &mut Context<'_>,
        around: Around<'_>,
        draft: &Draft<'_>,
        method: Method,
    ) -> Self {
        let mut pool = Self::default();
        pool.servers.reserve_exact(draft.real_servers.len());
        let mut first_of = BTreeMap::new();
        for item in &draft.real_servers {
            let Some((server, span)) = real_server(context, around, draft, method, *item) else {
                pool.broken = true;
                continue;
            };
            let name = (server.destination.address, server.destination.port);
            let first = *first_of.entry(name).or_insert(span);
            if first != span {
                report_twice(context, first, span);
                continue;
            }
            pool.servers.push(server);
            pool.places.push(span);
        }
        match draft.sorry.complete(context, method, is_of_group(draft)) {
            Ok(None) => {}
            Ok(Some((sorry, span))) => {
                pool.sorry = Some(sorry);
                pool.places.push(span);
            }
            Err(Broken) => pool.broken = true,
        }
        pool
    }

    /// What all real servers weigh together.
    pub(super) fn weight(&self) -> u64 {
        let weights = self
            .servers
            .iter()
            .map(|server| server.destination.settings.weight);
        weights.map(|weight| u64::from(weight.get())).sum()
    }

    /// The family of the servers that are not reached through a tunnel: that of the first.
    pub(super) fn family(&self) -> Option<Family> {
        self.first_family(|destination| !destination.is_tunnelled())
    }

    /// The one family of the servers that are reached through tunnels; `None` if they are mixed.
    pub(super) fn tunnelled_family(&self) -> Option<Family> {
        let first = self.first_family(Destination::is_tunnelled)?;
        let families = || {
            self.destinations()
                .map(|destination| Family::of(destination.address))
        };
        families().all(|family| family == first).then_some(first)
    }

    fn first_family(&self, wanted: impl Fn(&Destination) -> bool) -> Option<Family> {
        let first = self
            .destinations()
            .find(|destination| wanted(destination))?;
        Some(Family::of(first.address))
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        let sorry = self.sorry.iter().map(|sorry| &sorry.destination);
        self.servers
            .iter()
            .map(|server| &server.destination)
            .chain(sorry)
    }
}

fn report_twice(context: &mut Context<'_>, first: Span, span: Span) {
    context.report(
        Diagnostic::new(Code::DuplicateEntry, span, "the real server is there twice")
            .note(first, "first there")
            .help("remove one of them; for a greater share set its `weight`"),
    );
}

/// A real server's block and where its address stands.
fn real_server(
    context: &mut Context<'_>,
    around: Around<'_>,
    draft: &Draft<'_>,
    of_all: Method,
    block: Item<'_>,
) -> Option<(RealServer, Span)> {
    let name = server_name(context, Args::of(block));
    let mut places = Places::new(block.span());
    let mut weight = Some(Weight::DEFAULT);
    let mut way = Some(of_all);
    let mut thresholds = (0, 0);
    let mut timing = Timing::default();
    let mut inhibit = draft.inhibit.unwrap_or(false);
    let mut slow = draft.slow_start;
    let mut virtualhost = draft.virtualhost.clone();
    let mut notify: [Option<Script>; 2] = [None, None];
    let mut checkers = Vec::new();
    for (keyword, item) in context.keywords(&REAL_SERVER, block.items()) {
        places.set(keyword, item.span());
        if timing.read(context, keyword, item, 1) {
            continue;
        }
        match keyword {
            "weight" => weight = context.one(item, "a weight", server_weight),
            "lvs_method" => way = method(context, item),
            "uthreshold" => thresholds.0 = threshold(context, item),
            "lthreshold" => thresholds.1 = threshold(context, item),
            "inhibit_on_failure" => inhibit = context.switch(item).unwrap_or(inhibit),
            "slow_start" => slow = slow_start(context, item),
            "virtualhost" => virtualhost = context.one(item, "a name", |text| Ok(text.to_owned())),
            "notify_up" => notify[0] = notify_line(context, item),
            "notify_down" => notify[1] = notify_line(context, item),
            _ if item.brace().is_some() => checkers.push((keyword, item)),
            _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
        }
    }
    let thresholds = checked_thresholds(context, thresholds, &places);
    let checked_name = name.filter(|name| is_host(context, name.address, name.span));
    let target = Target {
        server: checked_name.as_ref().map(|name| (name.address, name.port)),
        service_port: service_port(around, draft),
        forwarding: way.map(|way| way.forwarding),
        vip: virtual_address(around, draft),
        forwarding_path: draft.forwarding_path,
        timing: timing.within(draft.timing),
        misc_timeout: draft.timing.delay_loop(),
        virtualhost: virtualhost.as_deref(),
        log_all_failures: around.log_all_failures,
        track_files: around.track_files,
    };
    // There are as many lists as real servers, and most hold one.
    let mut checks = Vec::with_capacity(checkers.len());
    for (keyword, item) in checkers {
        checks.extend(checker::checker(context, &target, keyword, item));
    }
    let (name, way, weight, thresholds) = (checked_name?, way?, weight?, thresholds?);
    let settings = DestinationSettings::new(way.forwarding);
    let [notify_up, notify_down] = notify;
    let server = RealServer {
        destination: Destination {
            address: name.address,
            port: name.port,
            is_of_group: is_of_group(draft),
            settings: settings.with_weight(weight).with_thresholds(thresholds),
            full_nat: way.full_nat,
        },
        checks,
        inhibit_on_failure: inhibit,
        slow_start: slow.filter(|span| !span.is_zero()),
        notify_up,
        notify_down,
    };
    Some((server, name.span))
}

/// The one port that all services have, if they have one.
fn service_port(around: Around<'_>, draft: &Draft<'_>) -> ServicePort {
    let of_group = |group: &Group| {
        if group.broken {
            return ServicePort::Unknown;
        }
        let mut ports = group.entries.iter().map(|(entry, _)| match entry {
            Entry::Addresses { port, .. } => *port,
            Entry::Fwmark { .. } => 0,
        });
        let first = ports.next().unwrap_or(0);
        one_port(if ports.all(|port| port == first) {
            first
        } else {
            0
        })
    };
    match &draft.name {
        None => ServicePort::Unknown,
        Some(VirtualServerSubject::Address(endpoint)) => one_port(endpoint.port),
        Some(VirtualServerSubject::Fwmark(_)) => ServicePort::NotOne,
        Some(VirtualServerSubject::Group(name)) => around
            .groups
            .get(name)
            .map_or(ServicePort::Unknown, of_group),
    }
}

/// The first address that clients ask for, if there is one.
fn virtual_address(around: Around<'_>, draft: &Draft<'_>) -> Option<IpAddr> {
    match draft.name.as_ref()? {
        VirtualServerSubject::Address(endpoint) => Some(endpoint.address),
        VirtualServerSubject::Fwmark(_) => None,
        VirtualServerSubject::Group(name) => {
            let mut entries = around.groups.get(name)?.entries.iter();
            entries.find_map(|(entry, _)| match entry {
                Entry::Addresses { range, .. } => range.addresses().next(),
                Entry::Fwmark { .. } => None,
            })
        }
    }
}

const fn is_of_group(draft: &Draft<'_>) -> bool {
    matches!(draft.name, Some(VirtualServerSubject::Group(_)))
}

const fn one_port(port: u16) -> ServicePort {
    match port {
        0 => ServicePort::NotOne,
        port => ServicePort::One(port),
    }
}

/// `ADDRESS [PORT]` of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerName {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) span: Span,
}

pub(super) fn server_name(context: &mut Context<'_>, mut args: Args<'_>) -> Option<ServerName> {
    let word: Word<'_> = args.required(context, "an address")?;
    let address = context.parsed(word, address)?;
    let mut span = word.span;
    let port = match args.next() {
        None => None,
        Some(word) => {
            if word.span.file == span.file && word.span.start >= span.start {
                span = span.to(word.span);
            }
            Some(context.parsed(word, port)?)
        }
    };
    args.end(context);
    Some(ServerName {
        address,
        port,
        span,
    })
}

/// Whether an address is that of one host; if not, that is reported.
pub(super) fn is_host(context: &mut Context<'_>, address: IpAddr, span: Span) -> bool {
    let broadcast = address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    let is_host = !(address.is_multicast() || address.is_unspecified() || broadcast);
    if !is_host {
        context.report(
            Diagnostic::new(
                Code::WrongAddress,
                span,
                format!("`{address}` is not the address of one host"),
            )
            .help("write the address of the real server"),
        );
    }
    is_host
}

fn server_weight(text: &str) -> Result<Weight, String> {
    let number = whole("a weight", 0..=Weight::MAX.get())(text)?;
    Weight::new(number).map_err(|error| error.to_string())
}

/// The time that `slow_start` names; 0 is for none.
pub(super) fn slow_start(context: &mut Context<'_>, item: Item<'_>) -> Option<Duration> {
    context.one(item, "seconds", seconds("a time to come back in", 0..=3600))
}

fn threshold(context: &mut Context<'_>, item: Item<'_>) -> u32 {
    let parse = whole("a number of connections", 0..=u32::MAX);
    context.one(item, "a number", parse).unwrap_or(0)
}

/// keepalived hands any thresholds to the kernel, which refuses the server for some.
fn checked_thresholds(
    context: &mut Context<'_>,
    (upper, lower): (u32, u32),
    places: &Places,
) -> Option<Thresholds> {
    let error = match Thresholds::new(upper, lower) {
        Ok(thresholds) => return Some(thresholds),
        Err(error) => error,
    };
    let (keyword, message, help) = match error {
        ThresholdsError::LowerAlone { lower } => (
            "lthreshold",
            format!("`lthreshold {lower}` without `uthreshold`: the kernel refuses the server"),
            format!("add `uthreshold` with at least {lower}, or remove it"),
        ),
        ThresholdsError::LowerAboveUpper { upper, lower } => (
            "lthreshold",
            format!(
                "`lthreshold {lower}` is above `uthreshold {upper}`: the kernel refuses the server"
            ),
            format!("write at most {upper}, or a greater `uthreshold`"),
        ),
        ThresholdsError::TooGreat { upper } => (
            "uthreshold",
            format!("`uthreshold {upper}` is more than the kernel counts"),
            "write at most 2147483647, or remove it: there is no limit then".to_owned(),
        ),
        error => ("uthreshold", error.to_string(), String::new()),
    };
    context.report(Diagnostic::new(Code::WrongThresholds, places.of(keyword), message).help(help));
    None
}
