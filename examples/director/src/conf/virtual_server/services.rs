//! The services of IPVS that a virtual server stands for.

use std::num::NonZeroU32;

use ipvs::{Endpoint, Family, Protocol, ServiceKey};

use super::{
    Around, Draft,
    group::{Entry, Group},
    real_server::Pool,
};
use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    model::VirtualServerSubject,
    source::Span,
    suggest::did_you_mean,
};

/// The services, in the order of the file; `None` if there are none, which is reported.
pub(super) fn of(
    context: &mut Context<'_>,
    around: Around<'_>,
    draft: &Draft<'_>,
    pool: &Pool,
) -> Option<Vec<ServiceKey>> {
    let block = draft.places.block();
    match draft.name.as_ref()? {
        VirtualServerSubject::Address(endpoint) => {
            let protocol = protocol(context, draft);
            report_family(context, draft, Some(endpoint.family()));
            Some(vec![ServiceKey::Address {
                protocol,
                endpoint: *endpoint,
            }])
        }
        VirtualServerSubject::Fwmark(mark) => {
            report_protocol(context, draft);
            let family = family_of_mark(draft, pool);
            report_family(context, draft, pool.family());
            Some(vec![ServiceKey::fwmark(*mark, family)])
        }
        VirtualServerSubject::Group(name) => match around.groups.get(name) {
            Some(group) => of_group(context, draft, pool, group),
            None => {
                let names = around.groups.keys().map(|name| &**name);
                report_unknown(context, name, did_you_mean(name, names), block);
                None
            }
        },
    }
}

fn of_group(
    context: &mut Context<'_>,
    draft: &Draft<'_>,
    pool: &Pool,
    group: &Group,
) -> Option<Vec<ServiceKey>> {
    if group.broken {
        return None;
    }
    if group.entries.is_empty() {
        context.report(
            Diagnostic::new(
                Code::EmptyGroup,
                draft.places.block(),
                format!(
                    "`virtual_server_group {}` has no addresses and no marks",
                    group.name
                ),
            )
            .note(group.span, "the group")
            .help("write an address and a port, or `fwmark N`, on each line of it"),
        );
        return None;
    }
    let ranges = || {
        group
            .entries
            .iter()
            .filter_map(|(entry, span)| match entry {
                Entry::Addresses { range, port } => Some((*range, *port, *span)),
                Entry::Fwmark { .. } => None,
            })
    };
    let protocol = if ranges().next().is_some() {
        protocol(context, draft)
    } else {
        report_protocol(context, draft);
        Protocol::Tcp
    };
    report_family(context, draft, None);
    let mut families = ranges().map(|(range, ..)| range.family());
    let first_family = families.next();
    let is_mixed = families.any(|family| Some(family) != first_family);
    let of_marks = first_family.unwrap_or_else(|| family_of_mark(draft, pool));
    let mut services = Vec::new();
    for (entry, span) in &group.entries {
        match entry {
            Entry::Addresses { range, port } => {
                services.extend(range.addresses().map(|address| ServiceKey::Address {
                    protocol,
                    endpoint: Endpoint::new(address, *port),
                }));
            }
            Entry::Fwmark { mark, family: None } if is_mixed => {
                report_mark_without_family(context, *mark, *span);
                return None;
            }
            Entry::Fwmark { mark, family } => {
                services.push(ServiceKey::fwmark(*mark, family.unwrap_or(of_marks)));
            }
        }
    }
    Some(services)
}

/// The protocol: UDP if none is named, as with keepalived, which is said.
fn protocol(context: &mut Context<'_>, draft: &Draft<'_>) -> Protocol {
    draft.protocol.unwrap_or_else(|| {
        context.report(
            Diagnostic::new(
                Code::AssumedDefault,
                draft.places.block(),
                "no `protocol`: as with keepalived it is UDP, not TCP",
            )
            .help("write `protocol TCP`, or `protocol UDP` if that is meant"),
        );
        Protocol::Udp
    })
}

/// A mark is of all protocols.
fn report_protocol(context: &mut Context<'_>, draft: &Draft<'_>) {
    if draft.protocol.is_some() {
        context.report(
            Diagnostic::new(
                Code::Ignored,
                draft.places.of("protocol"),
                "a service of a firewall mark has no protocol: `protocol` has no effect",
            )
            .help("remove it; the rule of the firewall that sets the mark chooses the protocol"),
        );
    }
}

/// The family of a mark: that of the real servers, else what `ip_family` says, else IPv4.
fn family_of_mark(draft: &Draft<'_>, pool: &Pool) -> Family {
    pool.family()
        .or(draft.ip_family)
        .or_else(|| pool.tunnelled_family())
        .unwrap_or(Family::V4)
}

/// `ip_family` has to agree with the family that follows from addresses.
fn report_family(context: &mut Context<'_>, draft: &Draft<'_>, actual: Option<Family>) {
    if let (Some(said), Some(actual)) = (draft.ip_family, actual)
        && said != actual
    {
        context.report(
            Diagnostic::new(
                Code::WrongFamily,
                draft.places.of("ip_family"),
                format!("`ip_family` says {said}, the addresses are {actual}"),
            )
            .help("remove it; it is for marks whose real servers are all tunnelled"),
        );
    }
}

fn report_mark_without_family(context: &mut Context<'_>, mark: NonZeroU32, span: Span) {
    context.report(
        Diagnostic::new(
            Code::WrongFamily,
            span,
            format!("the group has both IPv4 and IPv6: which of them is mark {mark}?"),
        )
        .help(format!(
            "write `fwmark {mark} inet` or `fwmark {mark} inet6`"
        )),
    );
}

fn report_unknown(context: &mut Context<'_>, name: &str, near: Option<&str>, span: Span) {
    let diagnostic = Diagnostic::new(
        Code::UnknownGroup,
        span,
        format!("there is no `virtual_server_group {name}`"),
    );
    context.report(match near {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("write a block `virtual_server_group {name}`")),
    });
}
