//! `vrrp_instance`: what stands in the block. What follows from it is `router`'s.

use std::{net::IpAddr, sync::Arc, time::Duration};

use vrrp::{Password, Peer, Priority, StartAs, Version, Vip, Vrid};

use super::{
    address::{peer, virtual_address},
    context::Context,
    diagnostic::{Code, Diagnostic},
    global::version,
    keywords::{AUTHENTICATION, VRRP_INSTANCE},
    model::{Notify, Places},
    script,
    source::Span,
    track::{self, Tracks},
    tree::Item,
    tunables::Tunables,
    values::{address, decimal_seconds, group_address, interface, seconds, whole},
};

/// A `vrrp_instance` as written; `None` where it says nothing.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: Arc<str>,
    pub(super) places: Places,
    pub(super) state: StartAs,
    pub(super) interface: Option<String>,
    pub(super) version: Option<Version>,
    pub(super) vrid: Option<Vrid>,
    pub(super) priority: Option<Priority>,
    pub(super) advert_int: Option<Duration>,
    pub(super) password: Option<Password>,
    pub(super) vips: Vec<(Vip, Span)>,
    pub(super) excluded: Vec<(Vip, Span)>,
    pub(super) native_ipv6: bool,
    pub(super) nopreempt: bool,
    pub(super) preempt_delay: Option<Duration>,
    pub(super) mcast_src_ip: Option<IpAddr>,
    pub(super) mcast_dst_ip: Option<IpAddr>,
    pub(super) unicast_src_ip: Option<IpAddr>,
    pub(super) peers: Vec<(Peer, Span)>,
    pub(super) peer_ttl_checked: bool,
    pub(super) unicast_ttl: Option<u8>,
    pub(super) v3_checksum_as_v2: bool,
    pub(super) dont_track_primary: bool,
    pub(super) tracks: Tracks,
    pub(super) tunables: Tunables,
    pub(super) notify: Notify,
    /// Whether something was wrong that makes further checks of the instance pointless.
    pub(super) broken: bool,
    /// Whether every line of the block was understood, so that what is not there was left out.
    pub(super) is_whole: bool,
}

impl Draft {
    fn new(name: &str, block: Item<'_>) -> Self {
        Self {
            name: name.into(),
            places: Places::new(block.span()),
            state: StartAs::Backup,
            interface: None,
            version: None,
            vrid: None,
            priority: None,
            advert_int: None,
            password: None,
            vips: Vec::new(),
            excluded: Vec::new(),
            native_ipv6: false,
            nopreempt: false,
            preempt_delay: None,
            mcast_src_ip: None,
            mcast_dst_ip: None,
            unicast_src_ip: None,
            peers: Vec::new(),
            peer_ttl_checked: false,
            unicast_ttl: None,
            v3_checksum_as_v2: false,
            dont_track_primary: false,
            tracks: Tracks::default(),
            tunables: Tunables::default(),
            notify: Notify::default(),
            is_whole: true,
            broken: false,
        }
    }

    /// Whether a keyword stands in the block, with a good value or not.
    pub(super) fn says(&self, keyword: &str) -> bool {
        self.places.of(keyword) != self.places.block()
    }
}

/// Reads a `vrrp_instance`.
pub(super) fn vrrp_instance(context: &mut Context<'_>, block: Item<'_>) -> Option<Draft> {
    let name = context.name(block)?;
    let errors_before = context.diagnostics.errors();
    let mut draft = Draft::new(name.text, block);
    for (keyword, item) in context.keywords(&VRRP_INSTANCE, block.items()) {
        draft.places.set(keyword, item.span());
        let taken = script::notify(context, &mut draft.notify, keyword, item)
            || track::track(context, &mut draft.tracks, &mut draft.places, keyword, item)
            || draft.tunables.read(context, keyword, item)
            || addresses(context, &mut draft, keyword, item);
        if !taken {
            setting(context, &mut draft, keyword, item);
        }
    }
    draft.is_whole = context.diagnostics.errors() == errors_before;
    Some(draft)
}

fn setting(context: &mut Context<'_>, draft: &mut Draft, keyword: &str, item: Item<'_>) {
    match keyword {
        "state" => draft.state = state(context, item).unwrap_or(draft.state),
        "interface" => draft.interface = context.one(item, "an interface", interface),
        "version" => draft.version = version(context, item),
        "virtual_router_id" => {
            draft.vrid = context.one(item, "a number", |text| {
                let number = whole("a virtual router id", 1..=255)(text)?;
                Vrid::new(number).map_err(|error| error.to_string())
            });
        }
        "priority" => {
            draft.priority = context.one(item, "a number", |text| {
                let number = whole("a priority", 1..=255)(text)?;
                Priority::new(number).map_err(|error| error.to_string())
            });
        }
        "advert_int" => draft.advert_int = context.one(item, "seconds", advert_int),
        "authentication" => draft.password = authentication(context, item),
        "nopreempt" => draft.nopreempt = context.flag(item),
        // The opposite of `nopreempt`, and the default.
        "preempt" => draft.nopreempt = !context.flag(item),
        "preempt_delay" => {
            draft.preempt_delay = context.one(item, "seconds", seconds("a delay", 0..=1000));
        }
        "v3_checksum_as_v2" => draft.v3_checksum_as_v2 = context.flag(item),
        "dont_track_primary" => draft.dont_track_primary = context.flag(item),
        "native_ipv6" => draft.native_ipv6 = context.flag(item),
        // The default, and all there is.
        "accept" => {
            context.flag(item);
        }
        // As `vrrp_skip_check_adv_addr`: nothing is rejected for its address list.
        "skip_check_adv_addr" => {
            context.switch(item);
        }
        _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
    }
}

fn addresses(
    context: &mut Context<'_>,
    draft: &mut Draft,
    keyword: &'static str,
    item: Item<'_>,
) -> bool {
    match keyword {
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
            for entry in item.items() {
                let Some((vip, span)) = virtual_address(context, keyword, entry) else {
                    draft.broken = true;
                    continue;
                };
                draft.places.set_entry(keyword, vip.address, span);
                let list = if keyword == "virtual_ipaddress" {
                    &mut draft.vips
                } else {
                    &mut draft.excluded
                };
                list.push((vip, span));
            }
        }
        "unicast_peer" => {
            for entry in item.items() {
                if let Some((peer, bounded, span)) = peer(context, entry) {
                    draft.places.set_entry(keyword, peer.address, span);
                    draft.peer_ttl_checked |= bounded;
                    draft.peers.push((peer, span));
                } else {
                    draft.broken = true;
                }
            }
        }
        "mcast_src_ip" => draft.mcast_src_ip = context.one(item, "an address", address),
        "unicast_src_ip" => draft.unicast_src_ip = context.one(item, "an address", address),
        "mcast_dst_ip" => {
            draft.mcast_dst_ip = context.one(item, "a multicast address", group_address);
        }
        "unicast_ttl" => {
            draft.unicast_ttl = context.one(item, "a TTL", whole("a TTL", 1..=255));
        }
        _ => return false,
    }
    true
}

fn state(context: &mut Context<'_>, item: Item<'_>) -> Option<StartAs> {
    context.one(item, "MASTER or BACKUP", |text| match text {
        "MASTER" => Ok(StartAs::Master),
        "BACKUP" => Ok(StartAs::Backup),
        _ => Err(format!(
            "`{text}` is not a state: expected MASTER or BACKUP, in capitals"
        )),
    })
}

/// The interval as written; whether the version can send it is checked when that is known.
fn advert_int(text: &str) -> Result<Duration, String> {
    decimal_seconds(text)
        .filter(|interval| !interval.is_zero())
        .ok_or_else(|| {
            format!(
                "`{text}` is not an advertisement interval: expected seconds, whole ones from 1 \
                 to 255 in version 2, 0.01 to 40.95 in version 3"
            )
        })
}

fn authentication(context: &mut Context<'_>, block: Item<'_>) -> Option<Password> {
    let mut pass_type = None;
    let mut password = None;
    for (keyword, item) in context.keywords(&AUTHENTICATION, block.items()) {
        match keyword {
            "auth_type" => pass_type = Some(auth_type(context, item)),
            "auth_pass" => password = Some(auth_pass(context, item)),
            _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
        }
    }
    let missing = match (pass_type, password) {
        (Some(_), Some(_)) => None,
        (None, _) => Some("auth_type PASS"),
        (Some(_), None) => Some("auth_pass"),
    };
    if let Some(missing) = missing {
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                block.span(),
                format!("`authentication` has no `{missing}`"),
            )
            .help("without it keepalived runs unauthenticated; add it, or remove the block"),
        );
    }
    pass_type??;
    password?
}

fn auth_type(context: &mut Context<'_>, item: Item<'_>) -> Option<()> {
    let word = item.args().next();
    if let Some(word) = word.filter(|word| word.text == "AH") {
        let help = "use `auth_type PASS`, on all nodes";
        context.report_not_yet_vital("`auth_type AH`", word.span, help);
        return None;
    }
    context.one(item, "PASS", |text| match text {
        "PASS" => Ok(()),
        _ => Err(format!(
            "`{text}` is not a type of authentication: expected PASS"
        )),
    })
}

fn auth_pass(context: &mut Context<'_>, item: Item<'_>) -> Option<Password> {
    let mut long = false;
    let password = context.one(item, "a password", |text| {
        long = text.len() > 8;
        Ok(text.to_owned())
    })?;
    let span = item
        .args()
        .next()
        .map_or_else(|| item.span(), |word| word.span);
    match Password::new(&password) {
        Ok(password) => Some(password),
        Err(_) if long => {
            context.report(
                Diagnostic::new(
                    Code::PasswordTooLong,
                    span,
                    format!(
                        "the password has {} bytes: at most 8 are sent",
                        password.len()
                    ),
                )
                .help("keepalived cuts it to its first 8 bytes; write those, on all nodes"),
            );
            None
        }
        Err(_) => {
            context.report(Diagnostic::new(
                Code::WrongValue,
                span,
                "the password is empty: expected 1 to 8 bytes",
            ));
            None
        }
    }
}

/// Whether an entry of a list is a line without block; if not, that is reported.
pub(super) fn is_plain_entry(context: &mut Context<'_>, entry: Item<'_>) -> bool {
    let Some(brace) = entry.brace() else {
        return true;
    };
    context.report(Diagnostic::new(
        Code::UnexpectedBlock,
        brace,
        format!("`{}` has no block here", entry.keyword().text),
    ));
    false
}
