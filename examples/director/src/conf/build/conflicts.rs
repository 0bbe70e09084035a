//! What blocks have in common and must not, and what nobody uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    model::{Places, VrrpInstance, VrrpScript},
    source::Span,
};

pub(super) fn report_same_names(
    context: &mut Context<'_>,
    keyword: &str,
    names: impl Iterator<Item = (String, Span)>,
) {
    let mut first_of = BTreeMap::new();
    for (name, span) in names {
        let first = *first_of.entry(name.clone()).or_insert(span);
        if first != span {
            context.report(
                Diagnostic::new(
                    Code::DuplicateName,
                    span,
                    format!("there is another `{keyword} {name}`"),
                )
                .note(first, "the first one")
                .help("give each a name of its own"),
            );
        }
    }
}

pub(super) fn report_same_routers(context: &mut Context<'_>, instances: &[VrrpInstance]) {
    let mut first_of: BTreeMap<_, &VrrpInstance> = BTreeMap::new();
    for instance in instances {
        let router = &instance.router;
        let key = (router.interface.clone(), router.family(), router.vrid);
        let first = *first_of.entry(key).or_insert(instance);
        if first.router.name == router.name {
            continue;
        }
        context.report(
            Diagnostic::new(
                Code::DuplicateVrid,
                instance.places.of("virtual_router_id"),
                format!(
                    "`{}` has virtual router id {} on {} for {} already",
                    first.router.name,
                    router.vrid,
                    router.interface,
                    router.family()
                ),
            )
            .note(first.places.of("virtual_router_id"), "the first one")
            .help("give each instance an id of its own, the same on all nodes"),
        );
    }
}

/// Two instances cannot hold one address on one interface: the first to leave takes it away.
pub(super) fn report_shared_addresses(context: &mut Context<'_>, instances: &[VrrpInstance]) {
    let mut first_of = BTreeMap::new();
    for instance in instances {
        let router = &instance.router;
        for vip in router.held_vips().iter() {
            let place = place_of(&instance.places, vip.address);
            let key = (vip.address, vip.interface.clone());
            let (first, first_place) = *first_of.entry(key).or_insert((&router.name, place));
            if *first == router.name {
                continue;
            }
            context.report(
                Diagnostic::new(
                    Code::SharedAddress,
                    place,
                    format!("`{}` belongs to `{first}` already", vip.address),
                )
                .note(first_place, "there")
                .help("one instance holds an address; remove it from the other"),
            );
        }
    }
}

fn place_of(places: &Places, address: IpAddr) -> Span {
    places
        .entry("virtual_ipaddress", address)
        .unwrap_or_else(|| places.of_entry("virtual_ipaddress_excluded", address))
}

/// Reports scripts that never run.
pub(super) fn report_unused_scripts(
    context: &mut Context<'_>,
    scripts: &[VrrpScript],
    tracked: &BTreeSet<String>,
) {
    for script in scripts {
        if !tracked.contains(&*script.name) {
            context.report(
                Diagnostic::new(
                    Code::Unused,
                    script.places.block(),
                    format!(
                        "nothing tracks `vrrp_script {}`: it never runs",
                        script.name
                    ),
                )
                .help("name it in a `track_script` block, or remove it"),
            );
        }
    }
}
