//! Checks of real servers.

use std::fmt::Write as _;

use health::{CheckConfig, Initial};

use super::{Settings, Words};
use crate::conf::model::{
    Check, CheckKind, Connect, FileCheck, HttpCheck, HttpVersion, MiscCheck, Origin, Reply,
    ServerName, UdpCheck, Url,
};

pub(in crate::plan) fn check(check: &Check) -> Settings {
    let Check {
        kind,
        config,
        warm_up,
        log_all_failures,
        span: _,
    } = check;
    let mut words = Words::default();
    match kind {
        CheckKind::Tcp(tcp) => connect(&mut words, tcp),
        CheckKind::Http(check) => http(&mut words, check),
        CheckKind::Smtp {
            connect: to,
            helo_name,
        } => {
            connect(&mut words, to);
            words.maybe("helo_name", helo_name.as_ref());
        }
        CheckKind::Dns {
            connect: to,
            record,
            name,
        } => {
            connect(&mut words, to);
            words.set("type", format!("{record:?}").to_uppercase());
            words.set("name", name);
        }
        CheckKind::Misc(MiscCheck {
            argv,
            user,
            dynamic,
        }) => {
            words.set("misc_path", argv.join(" "));
            let user = user.as_ref().map(|(user, group)| match group {
                None => user.clone(),
                Some(group) => format!("{user} {group}"),
            });
            words.maybe("user", user);
            words.flag("misc_dynamic", *dynamic);
        }
        CheckKind::Udp(UdpCheck {
            connect: to,
            payload,
            reply: wanted,
        }) => {
            connect(&mut words, to);
            words.maybe("payload", payload.as_ref().map(|bytes| hex(bytes)));
            if let Some(wanted) = wanted {
                reply(&mut words, wanted);
            }
        }
        CheckKind::File(FileCheck {
            path,
            weight,
            reverse,
        }) => {
            words.set("file", path);
            words.set("weight", weight);
            words.flag("reverse", *reverse);
        }
        CheckKind::Ping { address, from } => {
            words.set("connect_ip", address);
            origin(&mut words, from);
        }
    }
    timing(&mut words, config);
    words.seconds("warmup", *warm_up);
    words.flag("log_all_failures", *log_all_failures);
    words.0
}

/// What of the timing is the file's; all else about it follows from the kind of check.
fn timing(words: &mut Words, config: &CheckConfig) {
    words.seconds("delay_loop", config.interval);
    words.seconds("delay_before_retry", config.retry_interval);
    words.set("retry", config.fall.get() - 1);
    words.seconds("timeout", config.timeout);
    words.flag("alpha", config.initial == Initial::Down);
    words.flag("fast_recovery", config.fast_recovery);
}

fn connect(words: &mut Words, Connect { to, from, path }: &Connect) {
    words.set("connect", to);
    origin(words, from);
    // The rest of it is the real server's own.
    words.flag("forwarding_path", path.is_some());
}

fn origin(words: &mut Words, from: &Origin) {
    let Origin {
        address,
        port,
        interface,
        fwmark,
    } = from;
    words.maybe("bindto", *address);
    words.maybe("bind_port", *port);
    words.maybe("bind_if", *interface);
    words.maybe("fwmark", *fwmark);
}

fn http(words: &mut Words, check: &HttpCheck) {
    let HttpCheck {
        connect: to,
        version,
        tls,
        urls,
    } = check;
    connect(words, to);
    words.set(
        "http_protocol",
        match version {
            HttpVersion::V1_0 => "1.0",
            HttpVersion::V1_0Close => "1.0C",
            HttpVersion::V1_1 => "1.1",
        },
    );
    match tls {
        None | Some(ServerName::Untold) => {}
        Some(ServerName::VirtualHost) => words.flag("enable_sni", true),
        Some(ServerName::Name(name)) => words.set("sni_name", name),
    }
    words.list("url", urls.iter().map(page));
}

fn page(url: &Url) -> String {
    let Url {
        path,
        virtual_host,
        status,
        digest,
        regex,
        tls_compliant,
    } = url;
    let mut text = path.clone();
    if let Some(host) = virtual_host {
        text = format!("{text} virtualhost {host}");
    }
    let status: Vec<_> = status.iter().map(|it| (it.first, it.last)).collect();
    if status != [(200, 299)] {
        let ranges = status.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        text = format!(
            "{text} status_code {}",
            ranges.collect::<Vec<_>>().join(" ")
        );
    }
    if let Some(digest) = digest {
        text = format!("{text} digest {}", hex(digest));
    }
    if let Some(regex) = regex {
        text = format!("{text} {regex:?}");
    }
    if *tls_compliant {
        text.push_str(" tls_compliant");
    }
    text
}

fn reply(words: &mut Words, reply: &Reply) {
    let Reply {
        begins,
        min_length,
        max_length,
    } = reply;
    let (bytes, masks): (Vec<u8>, Vec<u8>) = begins.iter().copied().unzip();
    words.set(
        "require_reply",
        format!("{} mask {}", hex(&bytes), hex(&masks)),
    );
    words.set("min_reply_length", min_length);
    words.set("max_reply_length", max_length);
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // A string takes whatever is written to it.
        write!(text, "{byte:02x}").ok();
    }
    text
}
