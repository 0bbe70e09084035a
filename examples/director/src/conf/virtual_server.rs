//! `virtual_server`: what stands in the block, and what follows from it.
//!
//! | module | subject |
//! |---|---|
//! | `group` | `virtual_server_group` and its ranges |
//! | `scheduling` | scheduler, flags, persistence |
//! | `forwarding` | `lb_kind` |
//! | `full_nat_source` | the source of connections by FULLNAT |
//! | `timing` | times that checkers inherit |
//! | `real_server`, `sorry_server` | those |
//! | `services` | the services that a virtual server stands for |
//! | `rules` | what the kernel refuses, and what is probably not meant |

mod forwarding;
mod full_nat_source;
mod group;
mod real_server;
mod rules;
mod scheduling;
mod services;
mod sorry_server;
mod timing;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use health::QuorumConfig;
use ipvs::{Endpoint, Family, Protocol, SourceRange};

pub(super) use group::{Group, virtual_server_group};
pub(super) use rules::Seen;
pub(super) use timing::{Timing, TimingDefaults};

use forwarding::{Method, method};
use group::{family, fwmark, port};
use real_server::{Pool, slow_start};
use scheduling::Scheduling;
use sorry_server::SorryDraft;

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    keywords::VIRTUAL_SERVER,
    model::{Places, Script, VirtualServer, VirtualServerSubject},
    script::notify_line,
    track_file::TrackFiles,
    tree::Item,
    values::{address, whole},
};

/// What is known when virtual servers are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) groups: &'a BTreeMap<Arc<str>, Group>,
    pub(super) track_files: &'a TrackFiles,
    /// `checker_log_all_failures`.
    pub(super) log_all_failures: bool,
}

/// A `virtual_server` as written; `None` where it says nothing.
#[derive(Debug)]
struct Draft<'t> {
    name: Option<VirtualServerSubject>,
    places: Places,
    protocol: Option<Protocol>,
    ip_family: Option<Family>,
    scheduling: Scheduling,
    method: Option<Method>,
    full_nat_source: Option<SourceRange>,
    timing: Timing,
    inhibit: Option<bool>,
    slow_start: Option<Duration>,
    virtualhost: Option<String>,
    omega: bool,
    ha_suspend: bool,
    forwarding_path: bool,
    quorum: u32,
    hysteresis: u32,
    quorum_up: Option<Script>,
    quorum_down: Option<Script>,
    sorry: SorryDraft,
    real_servers: Vec<Item<'t>>,
    /// Whether something was wrong that makes further checks pointless.
    broken: bool,
}

/// Reads a `virtual_server`.
pub(super) fn virtual_server(
    context: &mut Context<'_>,
    seen: &mut Seen,
    around: Around<'_>,
    block: Item<'_>,
) -> Option<VirtualServer> {
    let mut draft = Draft {
        // Without it the rest is read for what else is wrong.
        name: name(context, block),
        broken: false,
        places: Places::new(block.span()),
        protocol: None,
        ip_family: None,
        scheduling: Scheduling::default(),
        method: None,
        full_nat_source: None,
        timing: Timing::default(),
        inhibit: None,
        slow_start: None,
        virtualhost: None,
        omega: false,
        ha_suspend: false,
        forwarding_path: false,
        quorum: 1,
        hysteresis: 0,
        quorum_up: None,
        quorum_down: None,
        sorry: SorryDraft::default(),
        real_servers: Vec::new(),
    };
    for (keyword, item) in context.keywords(&VIRTUAL_SERVER, block.items()) {
        draft.places.set(keyword, item.span());
        let taken = draft.timing.read(context, keyword, item, 1)
            || draft.scheduling.read(context, keyword, item)
            || draft.sorry.read(context, keyword, item);
        if !taken {
            setting(context, &mut draft, keyword, item);
        }
    }
    complete(context, seen, around, draft)
}

fn setting<'t>(context: &mut Context<'_>, draft: &mut Draft<'t>, keyword: &str, item: Item<'t>) {
    match keyword {
        "protocol" => {
            draft.protocol = context.one(item, "TCP, UDP or SCTP", protocol);
            draft.broken |= draft.protocol.is_none();
        }
        "ip_family" => draft.ip_family = context.one(item, "inet or inet6", family),
        "lb_kind" => {
            draft.method = method(context, item);
            draft.broken |= draft.method.is_none();
        }
        "full_nat_source" => {
            draft.full_nat_source = context.one(item, "an address", full_nat_source::sources);
            draft.broken |= draft.full_nat_source.is_none();
        }
        "inhibit_on_failure" => draft.inhibit = context.switch(item),
        "slow_start" => draft.slow_start = slow_start(context, item),
        "virtualhost" => {
            draft.virtualhost = context.one(item, "a name", |text| Ok(text.to_owned()));
        }
        "omega" => draft.omega = context.flag(item),
        "forwarding_path" => draft.forwarding_path = context.switch(item) == Some(true),
        "ha_suspend" => draft.ha_suspend = context.flag(item),
        "quorum" => {
            let parse = whole("a quorum", 1..=u32::MAX);
            draft.quorum = context.one(item, "a weight", parse).unwrap_or(1);
        }
        "hysteresis" => {
            let parse = whole("a hysteresis", 0..=u32::MAX);
            draft.hysteresis = context.one(item, "a weight", parse).unwrap_or(0);
        }
        "quorum_up" => draft.quorum_up = notify_line(context, item),
        "quorum_down" => draft.quorum_down = notify_line(context, item),
        "real_server" => draft.real_servers.push(item),
        _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
    }
}

/// `ADDRESS [PORT]`, `fwmark N` or `group NAME`.
fn name(context: &mut Context<'_>, block: Item<'_>) -> Option<VirtualServerSubject> {
    let mut args = Args::of(block);
    let word = args.required(context, "an address and a port, `fwmark N` or `group NAME`")?;
    let name = match word.text {
        "fwmark" => {
            let number = args.required(context, "a number")?;
            VirtualServerSubject::Fwmark(context.parsed(number, fwmark)?)
        }
        "group" => {
            let name = args.required(context, "a name")?;
            VirtualServerSubject::Group(name.text.into())
        }
        _ => {
            let address = context.parsed(word, address)?;
            let port = match args.next() {
                None => 0,
                Some(word) => context.parsed(word, port)?,
            };
            VirtualServerSubject::Address(Endpoint::new(address, port))
        }
    };
    args.end(context);
    Some(name)
}

/// In capitals or not, as keepalived takes it.
fn protocol(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_uppercase().as_str() {
        "TCP" => Ok(Protocol::Tcp),
        "UDP" => Ok(Protocol::Udp),
        "SCTP" => Ok(Protocol::Sctp),
        _ => Err(format!(
            "`{text}` is not a protocol that is balanced: expected TCP, UDP or SCTP"
        )),
    }
}

/// What follows from a draft.
fn complete(
    context: &mut Context<'_>,
    seen: &mut Seen,
    around: Around<'_>,
    draft: Draft<'_>,
) -> Option<VirtualServer> {
    let places = &draft.places;
    let method = draft.method.unwrap_or_else(|| {
        if places.of("lb_kind") == places.block() {
            rules::say_default_method(context, places);
        }
        Method::NAT
    });
    let scheduler = draft.scheduling.scheduler(context, places);
    let flags = draft.scheduling.flags(context, scheduler, places);
    let pool = Pool::read(context, around, &draft, method);
    if draft.real_servers.is_empty() {
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                places.block(),
                "`virtual_server` has no `real_server`",
            )
            .help("write one; a sorry server alone serves nobody"),
        );
    }
    if draft.broken || draft.scheduling.broken || pool.broken || draft.real_servers.is_empty() {
        return None;
    }
    let services = services::of(context, around, &draft, &pool)?;
    let name = draft.name?;
    let family = services.first()?.family();
    let persistence = draft.scheduling.persistence_of(context, family, places);
    let weight = pool.weight();
    let (quorum, notes) = QuorumConfig::new(draft.quorum, draft.hysteresis, weight);
    rules::say_quorum(context, places, &notes);
    full_nat_source::check(context, places, draft.full_nat_source, &pool);
    if draft.forwarding_path {
        rules::say_unused_path(context, places, &pool.servers);
    }
    let ha_suspend = rules::ha_suspend(context, draft.ha_suspend, &services, places);
    let server = VirtualServer {
        name: name.into(),
        services,
        scheduler,
        flags,
        persistence,
        full_nat_source: draft.full_nat_source,
        alpha: draft.timing.alpha(),
        omega: draft.omega,
        ha_suspend,
        quorum,
        quorum_up: draft.quorum_up,
        quorum_down: draft.quorum_down,
        real_servers: pool.servers,
        sorry_server: pool.sorry,
        places: draft.places,
    };
    seen.check(context, &server, &pool.places);
    Some(server)
}
