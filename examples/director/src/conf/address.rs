//! `virtual_ipaddress`, `virtual_ipaddress_excluded` and `unicast_peer`.

use vrrp::{Peer, Vip};

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    source::Span,
    tree::Item,
    values::{address, broadcast, interface, scope, vip, whole},
};

/// Reads `ADDRESS[/PREFIX] [brd …] [dev …] [scope …] [label …]`.
pub(super) fn virtual_address(
    context: &mut Context<'_>,
    list: &str,
    entry: Item<'_>,
) -> Option<(Vip, Span)> {
    let mut args = Args::of_entry(entry);
    let word = args.required(context, "an address")?;
    let Ok(mut read) = vip(word.text) else {
        report_no_address(context, list, entry);
        return None;
    };
    if !super::instance::is_plain_entry(context, entry) {
        return None;
    }
    while let Some(option) = args.next() {
        match option.text {
            "dev" => {
                let name = args.required(context, "an interface")?;
                read = read.on(&context.parsed(name, interface)?);
            }
            "brd" | "broadcast" => {
                let text = args.required(context, "a broadcast address")?;
                read.broadcast = context.parsed(text, broadcast)?;
                if read.address.is_ipv6() {
                    context.report(Diagnostic::new(
                        Code::WrongFamily,
                        option.span,
                        "an IPv6 address has no broadcast address",
                    ));
                    return None;
                }
            }
            "scope" => {
                let text = args.required(context, "a scope")?;
                read.scope = Some(context.parsed(text, scope)?);
            }
            "label" => {
                let text = args.required(context, "a label")?;
                read.label = Some(context.parsed(text, label)?.into());
            }
            "home" | "-nodad" | "mngtmpaddr" | "noprefixroute" | "autojoin" | "no_track"
            | "use_vmac" => {
                context.report_not_yet(&format!("`{}` of an address", option.text), option.span);
            }
            "peer" | "preferred_lft" => {
                args.required(context, "a value")?;
                context.report_not_yet(&format!("`{}` of an address", option.text), option.span);
            }
            _ => {
                report_option(context, list, option.text, option.span);
                return None;
            }
        }
    }
    Some((read, word.span))
}

/// A label is an interface's alias: `eth0:1`.
fn label(text: &str) -> Result<String, String> {
    interface(text)
        .map_err(|_| format!("`{text}` is not a label: expected up to 15 bytes, as `eth0:1`"))
}

fn report_no_address(context: &mut Context<'_>, list: &str, entry: Item<'_>) {
    let word = entry.keyword();
    let diagnostic = match vip(word.text) {
        Err(_) if vip(&word.text.replace('-', "/")).is_ok() => Diagnostic::new(
            Code::WrongAddress,
            word.span,
            format!(
                "`{}` is a range; `{list}` takes one address a line",
                word.text
            ),
        ),
        Err(message) => Diagnostic::new(Code::WrongAddress, word.span, message),
        Ok(_) => return,
    };
    let looks_like_keyword = super::keywords::blocks_with(word.text);
    let diagnostic = match looks_like_keyword.first() {
        Some(owner) => diagnostic.help(format!(
            "`{}` is a keyword of {}: is a `}}` missing before it?",
            word.text,
            owner.described()
        )),
        None => diagnostic,
    };
    context.report(diagnostic);
}

fn report_option(context: &mut Context<'_>, list: &str, option: &str, span: Span) {
    let diagnostic = Diagnostic::new(
        Code::WrongValue,
        span,
        format!("`{option}` is not an option of an address"),
    );
    let help = if vip(option).is_ok() {
        format!("`{list}` takes one address a line")
    } else {
        "the options are dev, brd, scope and label, each with its value behind it".to_owned()
    };
    context.report(diagnostic.help(help));
}

/// Reads `ADDRESS [min_ttl N] [max_ttl N]`, and whether it has a TTL option.
pub(super) fn peer(context: &mut Context<'_>, entry: Item<'_>) -> Option<(Peer, bool, Span)> {
    let mut args = Args::of_entry(entry);
    let word = args.required(context, "an address")?;
    let mut read = Peer::new(context.parsed(word, address)?);
    let mut bounded = false;
    if !super::instance::is_plain_entry(context, entry) {
        return None;
    }
    while let Some(option) = args.next() {
        let bound = match option.text {
            "min_ttl" => &mut read.min_ttl,
            "max_ttl" => &mut read.max_ttl,
            _ => {
                context.report(
                    Diagnostic::new(
                        Code::WrongValue,
                        option.span,
                        format!("`{}` is not an option of a peer", option.text),
                    )
                    .help("one peer a line, with `min_ttl N` and `max_ttl N` if wanted"),
                );
                return None;
            }
        };
        bounded = true;
        let number = args.required(context, "a TTL")?;
        *bound = context.parsed(number, whole("a TTL", 0..=255))?;
    }
    if read.min_ttl > read.max_ttl {
        context.report(Diagnostic::new(
            Code::Conflict,
            entry.span(),
            format!(
                "no TTL is at least {} and at most {}",
                read.min_ttl, read.max_ttl
            ),
        ));
        return None;
    }
    Some((read, bounded, word.span))
}
