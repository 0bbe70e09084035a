//! A `vrrp_instance` with all that bears on it → the configuration of a virtual router.

use std::{collections::BTreeMap, time::Duration};

use vrrp::{
    AdvertInterval, Authentication, Checksum, Family, Preempt, Priority, RouterConfig, StartAs,
    Tracker, Transport, Unicast, Version, Weight,
};

use super::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    global::{Defaults, has_family},
    instance::Draft,
    model::{VrrpInstance, VrrpScript},
    sync_group::GroupDraft,
    track_file::TrackFiles,
    trackers::trackers,
};

/// What an instance is completed with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'c> {
    pub(super) defaults: &'c Defaults,
    pub(super) scripts: &'c BTreeMap<&'c str, &'c VrrpScript>,
    pub(super) files: &'c TrackFiles,
    /// The group that the instance is in.
    pub(super) group: Option<&'c GroupDraft>,
}

/// Completes an instance; `None` if it lacks something, which is reported.
pub(super) fn complete(
    context: &mut Context<'_>,
    draft: Draft,
    around: Surroundings<'_>,
) -> Option<VrrpInstance> {
    let errors_before = context.diagnostics.errors();
    let essentials = essentials(context, &draft);
    let family = family(context, &draft);
    let version = version(context, &draft, around.defaults, family);
    let interval = interval(context, &draft, version);
    check_families(context, &draft, family);
    check_duplicates(context, &draft);
    let transport = transport(context, &draft, around.defaults, family);
    // Where a line is not understood it may be the priority: what follows from that of an owner
    // would mislead.
    let priority = draft.priority.unwrap_or(match draft.state {
        StartAs::Master if draft.is_whole => Priority::OWNER,
        StartAs::Master | StartAs::Backup => Priority::DEFAULT,
    });
    let trackers = trackers(context, &draft, around, priority);
    let preempt = preempt(context, &draft, priority, &trackers);
    check_authentication(context, &draft, version);

    let (interface, vrid) = essentials?;
    let defaults = around.defaults;
    let tunables = if defaults.min_garp {
        draft.tunables.or(defaults.tunables).or_min_garp()
    } else {
        draft.tunables.or(defaults.tunables)
    };
    let gap = match family {
        Family::V4 => defaults.garp_interval,
        Family::V6 => defaults.gna_interval,
    };
    let vips = draft.vips.iter().map(|(vip, _)| vip.clone()).collect();
    let mut router = RouterConfig::new(&draft.name, &interface, vrid, vips);
    router.excluded = draft.excluded.iter().map(|(vip, _)| vip.clone()).collect();
    router.version = version;
    router.priority = priority;
    router.interval = interval?;
    router.authentication = match (version, draft.password) {
        (Version::V2, Some(password)) => Authentication::Pass(password),
        _ => Authentication::None,
    };
    router.start_as = draft.state;
    router.preempt = preempt;
    router.startup_delay = defaults.startup_delay.unwrap_or(Duration::ZERO);
    if let Some(adverts) = tunables.down_timer_adverts() {
        router.down_timer_adverts = adverts;
    }
    router.lower_priority = tunables.lower_priority();
    router.higher_priority = tunables.higher_priority();
    router.announce = tunables.announce(gap.unwrap_or(Duration::ZERO));
    router.transport = transport?;
    if let Transport::Unicast(unicast) = &mut router.transport {
        unicast.check_source = tunables.check_unicast_src() || draft.peer_ttl_checked;
    }
    router.source = draft.unicast_src_ip.or(draft.mcast_src_ip);
    router.checksum = if draft.v3_checksum_as_v2 {
        Checksum::Message
    } else {
        Checksum::PseudoHeader
    };
    router.track_interface = !draft.dont_track_primary;
    router.trackers = trackers;
    router.sync_group = around.group.map(|draft| draft.group.name.clone());
    // Addresses that could not be read have been told of; that there are none would mislead.
    let unread = draft.vips.is_empty() && draft.says("virtual_ipaddress");
    let told = if unread { 0 } else { errors_before };
    if context.diagnostics.errors() > told {
        return None;
    }
    if let Err(error) = router.advertisement() {
        let message = format!("{error}: {}", error.problem);
        context.report(Diagnostic::new(
            Code::Conflict,
            draft.places.block(),
            message,
        ));
        return None;
    }
    Some(VrrpInstance {
        router,
        notify: draft.notify,
        places: draft.places,
    })
}

fn essentials(context: &mut Context<'_>, draft: &Draft) -> Option<(String, vrrp::Vrid)> {
    for (keyword, value) in [
        ("interface", "the interface that advertisements are sent on"),
        (
            "virtual_router_id",
            "a number from 1 to 255, the same on all nodes",
        ),
        ("virtual_ipaddress", "the addresses to hold"),
    ] {
        if !draft.says(keyword) {
            context.report(
                Diagnostic::new(
                    Code::MissingKeyword,
                    draft.places.block(),
                    format!("`vrrp_instance {}` has no `{keyword}`", draft.name),
                )
                .help(format!("add `{keyword}`: {value}")),
            );
        }
    }
    if draft.says("virtual_ipaddress") && draft.vips.is_empty() && !draft.broken {
        context.report(Diagnostic::new(
            Code::MissingKeyword,
            draft.places.of("virtual_ipaddress"),
            format!("`vrrp_instance {}` has no address to hold", draft.name),
        ));
    }
    Some((draft.interface.clone()?, draft.vrid?))
}

/// The family of the instance: that of its addresses. If it has none, which is an error, the
/// rest of it tells which one is meant.
fn family(context: &mut Context<'_>, draft: &Draft) -> Family {
    let of_peers = draft.peers.first().map(|(peer, _)| peer.address);
    let sources = [of_peers, draft.unicast_src_ip, draft.mcast_src_ip];
    let family = match (draft.vips.first(), sources.into_iter().flatten().next()) {
        (Some((vip, _)), _) => Family::of(vip.address),
        (None, Some(address)) => Family::of(address),
        (None, None) if draft.native_ipv6 => Family::V6,
        (None, None) => Family::V4,
    };
    if draft.native_ipv6 && family == Family::V4 {
        context.report(
            Diagnostic::new(
                Code::Conflict,
                draft.places.of("native_ipv6"),
                "`native_ipv6` with IPv4 addresses",
            )
            .help("remove `native_ipv6`: the addresses tell the family"),
        );
    }
    family
}

fn version(
    context: &mut Context<'_>,
    draft: &Draft,
    defaults: &Defaults,
    family: Family,
) -> Version {
    match (family, draft.version) {
        (Family::V6, Some(Version::V2)) => {
            context.report(
                Diagnostic::new(
                    Code::Conflict,
                    draft.places.of("version"),
                    "version 2 has no IPv6",
                )
                .help("use version 3, on all nodes"),
            );
            Version::V3
        }
        (Family::V6, _) => Version::V3,
        (Family::V4, version) => version.or(defaults.version).unwrap_or(Version::V2),
    }
}

fn interval(context: &mut Context<'_>, draft: &Draft, version: Version) -> Option<AdvertInterval> {
    let Some(written) = draft.advert_int else {
        return (!draft.says("advert_int")).then_some(AdvertInterval::DEFAULT);
    };
    let fitting = u16::try_from(written.as_millis() / 10)
        .ok()
        .and_then(|centis| AdvertInterval::from_centis(centis).ok())
        .filter(|interval| interval.as_duration() == written && interval.fits(version));
    if fitting.is_none() {
        let secs = written.as_secs_f64();
        let (expected, help) = match version {
            Version::V2 => (
                "version 2 sends whole seconds from 1 to 255",
                "keepalived rounds it; write whole seconds, or use `version 3` on all nodes",
            ),
            Version::V3 => (
                "version 3 sends hundredths of seconds from 0.01 to 40.95",
                "keepalived rounds it or cuts it; write one that can be sent, on all nodes",
            ),
        };
        context.report(
            Diagnostic::new(
                Code::WrongValue,
                draft.places.of("advert_int"),
                format!("an interval of {secs} s cannot be sent: {expected}"),
            )
            .help(help),
        );
    }
    fitting
}

fn check_families(context: &mut Context<'_>, draft: &Draft, family: Family) {
    for (vip, span) in &draft.vips {
        if Family::of(vip.address) != family {
            context.report(
                Diagnostic::new(
                    Code::WrongFamily,
                    *span,
                    format!(
                        "`{}` is not an {family} address as the first one is",
                        vip.address
                    ),
                )
                .help(
                    "one instance serves one family: use a second instance, or \
                     `virtual_ipaddress_excluded`",
                ),
            );
        }
    }
    for (peer, span) in &draft.peers {
        has_family(context, peer.address, family, *span);
    }
    for (keyword, address) in [
        ("mcast_src_ip", draft.mcast_src_ip),
        ("unicast_src_ip", draft.unicast_src_ip),
        ("mcast_dst_ip", draft.mcast_dst_ip),
    ] {
        if let Some(address) = address {
            has_family(context, address, family, draft.places.of(keyword));
        }
    }
}

fn check_duplicates(context: &mut Context<'_>, draft: &Draft) {
    let mut seen = BTreeMap::new();
    for (vip, span) in draft.vips.iter().chain(&draft.excluded) {
        let key = (vip.address, vip.interface.clone());
        if let Some(first) = seen.insert(key, *span) {
            context.report(
                Diagnostic::new(
                    Code::DuplicateAddress,
                    *span,
                    format!("`{}` is listed twice", vip.address),
                )
                .note(first, "first listed here")
                .help("it is advertised twice; remove one of them, on all nodes at once"),
            );
        }
    }
}

fn transport(
    context: &mut Context<'_>,
    draft: &Draft,
    defaults: &Defaults,
    family: Family,
) -> Option<Transport> {
    if draft.says("unicast_peer") {
        if draft.peers.is_empty() {
            if !draft.broken {
                context.report(
                    Diagnostic::new(
                        Code::MissingValue,
                        draft.places.of("unicast_peer"),
                        "`unicast_peer` names no peer",
                    )
                    .help("keepalived falls back to multicast; add the peers, or remove the block"),
                );
            }
            return None;
        }
        if draft.says("mcast_dst_ip") {
            context.report(
                Diagnostic::new(
                    Code::Conflict,
                    draft.places.of("mcast_dst_ip"),
                    "a multicast group together with unicast peers",
                )
                .note(draft.places.of("unicast_peer"), "the peers")
                .help("remove one of the two"),
            );
        }
        let mut unicast = Unicast::to([]);
        unicast.peers = draft.peers.iter().map(|(peer, _)| *peer).collect();
        unicast.ttl = draft.unicast_ttl.unwrap_or(unicast.ttl);
        return Some(Transport::Unicast(unicast));
    }
    for keyword in ["unicast_src_ip", "unicast_ttl", "check_unicast_src"] {
        if draft.says(keyword) {
            context.report(
                Diagnostic::new(
                    Code::MissingKeyword,
                    draft.places.of(keyword),
                    format!("`{keyword}` without `unicast_peer`"),
                )
                .help(
                    "keepalived falls back to multicast; add `unicast_peer { ... }`, or use \
                     `mcast_src_ip`",
                ),
            );
        }
    }
    let group = draft.mcast_dst_ip.or(match family {
        Family::V4 => defaults.group_v4,
        Family::V6 => defaults.group_v6,
    });
    Some(Transport::Multicast { group })
}

fn preempt(
    context: &mut Context<'_>,
    draft: &Draft,
    priority: Priority,
    trackers: &[Tracker],
) -> Preempt {
    let delayed = draft.preempt_delay.filter(|delay| !delay.is_zero());
    let report = |context: &mut Context<'_>, keyword: &str, why: &str, help: &str| {
        context.report(
            Diagnostic::new(
                Code::MasterState,
                draft.places.of(keyword),
                format!("`{keyword}` has no effect with {why}"),
            )
            .help(help),
        );
    };
    if draft.nopreempt && delayed.is_some() {
        context.report(
            Diagnostic::new(
                Code::Conflict,
                draft.places.of("preempt_delay"),
                "`preempt_delay` together with `nopreempt`",
            )
            .note(draft.places.of("nopreempt"), "never preempts")
            .help("remove one of the two; keepalived drops the delay"),
        );
    }
    if priority.is_owner() {
        for keyword in ["nopreempt", "preempt_delay"] {
            let said = (keyword == "nopreempt" && draft.nopreempt)
                || (keyword == "preempt_delay" && delayed.is_some());
            if said {
                let help = "an address owner always takes over; give it a lower priority";
                report(context, keyword, "priority 255", help);
            }
        }
        return Preempt::After(Duration::ZERO);
    }
    if draft.state == StartAs::Master {
        let help = "write `state BACKUP` on all nodes; the priority decides who is master";
        if draft.nopreempt {
            report(context, "nopreempt", "`state MASTER`", help);
        }
        if delayed.is_some() {
            report(context, "preempt_delay", "`state MASTER`", help);
        }
        return Preempt::After(Duration::ZERO);
    }
    if !draft.nopreempt {
        return Preempt::After(delayed.unwrap_or(Duration::ZERO));
    }
    let weighted: Vec<String> = trackers
        .iter()
        .filter(|tracker| tracker.weight != Weight::REQUIRED)
        .map(|tracker| tracker.tracked.to_string())
        .collect();
    if !weighted.is_empty() {
        context.report(
            Diagnostic::new(
                Code::NopreemptWeight,
                draft.places.of("nopreempt"),
                format!(
                    "with `nopreempt` the weight of {} never moves the addresses",
                    weighted.join(", ")
                ),
            )
            .help(
                "a backup does not take over from a master of lower priority; remove the weight \
                 so that a failure means FAULT, or remove `nopreempt`",
            ),
        );
    }
    Preempt::Never
}

fn check_authentication(context: &mut Context<'_>, draft: &Draft, version: Version) {
    if version == Version::V3 && draft.password.is_some() {
        context.report(
            Diagnostic::new(
                Code::IgnoredAuthentication,
                draft.places.of("authentication"),
                "version 3 has no authentication: the password is not used",
            )
            .help("remove the block, or use version 2"),
        );
    }
}
