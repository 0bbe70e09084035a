//! `global_defs`.

use std::{net::IpAddr, time::Duration};

use vrrp::{Family, Version};

use super::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    fifo::FifoDrafts,
    include::Checks,
    keywords::GLOBAL_DEFS,
    lvs::LvsDraft,
    model::Global,
    script::user_line,
    source::Span,
    tree::Item,
    tunables::Tunables,
    values::{group_address, interface, seconds, whole},
};

/// What `global_defs` says for all instances.
#[derive(Debug, Clone, Default)]
pub(super) struct Defaults {
    pub(super) version: Option<Version>,
    pub(super) group_v4: Option<IpAddr>,
    pub(super) group_v6: Option<IpAddr>,
    pub(super) garp_interval: Option<Duration>,
    pub(super) gna_interval: Option<Duration>,
    pub(super) startup_delay: Option<Duration>,
    pub(super) min_garp: bool,
    pub(super) tunables: Tunables,
    pub(super) fifos: FifoDrafts,
}

/// keepalived's limit for the times between announcements.
const MAX_GAP_SECONDS: u64 = 4294;

/// Reads a `global_defs` block; several add up.
pub(super) fn global_defs(
    context: &mut Context<'_>,
    global: &mut Global,
    defaults: &mut Defaults,
    lvs: &mut LvsDraft,
    block: Item<'_>,
) {
    for (keyword, item) in context.keywords(&GLOBAL_DEFS, block.items()) {
        let tunable = keyword.strip_prefix("vrrp_").unwrap_or(keyword);
        if defaults.tunables.read(context, tunable, item)
            || defaults.fifos.read(context, keyword, item)
            || lvs.read(context, keyword, item)
        {
            continue;
        }
        match keyword {
            "router_id" => {
                global.router_id = context.one(item, "a name", |text| Ok(text.to_owned()));
            }
            "default_interface" => {
                global.default_interface = context.one(item, "an interface", interface);
            }
            "script_user" => global.script_user = user_line(context, item),
            "enable_script_security" => global.enable_script_security = context.flag(item),
            "log_unknown_vrids" => global.log_unknown_vrids = context.flag(item),
            "vrrp_notify_priority_changes" => {
                global.notify_priority_changes = context.switch(item) == Some(true);
            }
            "vrrp_version" => defaults.version = version(context, item),
            "vrrp_mcast_group4" => defaults.group_v4 = group(context, item, Family::V4),
            "vrrp_mcast_group6" => defaults.group_v6 = group(context, item, Family::V6),
            "vrrp_garp_interval" => defaults.garp_interval = gap(context, item),
            "vrrp_gna_interval" => defaults.gna_interval = gap(context, item),
            "vrrp_min_garp" => defaults.min_garp = context.switch(item) == Some(true),
            "vrrp_startup_delay" => {
                let parse = seconds("a delay", 0..=MAX_GAP_SECONDS);
                defaults.startup_delay = context.one(item, "seconds", parse);
            }
            // An address list that differs never leads to a rejection here, so that there is
            // nothing to skip.
            "vrrp_skip_check_adv_addr" => {
                context.flag(item);
            }
            // Heeded while the text was read.
            "random_seed" => {
                context.one(item, "a number", whole("a seed", 0..=u64::MAX));
            }
            "include_check" => include_check(context, item),
            _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
        }
    }
}

/// `version` and `vrrp_version`.
pub(super) fn version(context: &mut Context<'_>, item: Item<'_>) -> Option<Version> {
    context.one(item, "2 or 3", |text| match text {
        "2" => Ok(Version::V2),
        "3" => Ok(Version::V3),
        _ => Err(format!(
            "`{text}` is not a version of VRRP: expected 2 or 3"
        )),
    })
}

fn group(context: &mut Context<'_>, item: Item<'_>, family: Family) -> Option<IpAddr> {
    let address = context.one(item, "a multicast address", group_address)?;
    let span = item.args().next()?.span;
    has_family(context, address, family, span).then_some(address)
}

/// Whether an address is of a family; if not, that is reported.
pub(super) fn has_family(
    context: &mut Context<'_>,
    address: IpAddr,
    family: Family,
    span: Span,
) -> bool {
    let good = Family::of(address) == family;
    if !good {
        context.report(Diagnostic::new(
            Code::WrongFamily,
            span,
            format!("`{address}` is not an {family} address"),
        ));
    }
    good
}

fn gap(context: &mut Context<'_>, item: Item<'_>) -> Option<Duration> {
    let parse = seconds("a time between two announcements", 0..=MAX_GAP_SECONDS);
    context.one(item, "seconds", parse)
}

fn include_check(context: &mut Context<'_>, item: Item<'_>) {
    for word in item.args() {
        let name = word.text.trim_start_matches(['+', '-']);
        if Checks::named(name).is_none() {
            let message = format!(
                "`{name}` is not a check: expected readable, match, wildcard_match or brace_match"
            );
            context.report(Diagnostic::new(Code::WrongValue, word.span, message));
        }
    }
}
