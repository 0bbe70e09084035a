//! `lb_kind`, `lvs_method`, `sorry_server_lvs_method`.

use std::num::NonZeroU16;

use ipvs::{Forwarding, GreChecksum, GueChecksum, Tunnel};

use crate::conf::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    suggest::did_you_mean,
    tree::{Item, Word},
    values::whole,
};

/// How packets get to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) forwarding: Forwarding,
    pub(super) full_nat: bool,
}

impl Method {
    /// keepalived's default.
    pub(super) const NAT: Self = Self {
        forwarding: Forwarding::Masquerade,
        full_nat: false,
    };
}

/// Reads `NAT|DR|FULLNAT|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]`.
pub(super) fn method(context: &mut Context<'_>, item: Item<'_>) -> Option<Method> {
    let mut args = Args::of(item);
    let word = args.required(context, "NAT, DR, TUN or FULLNAT")?;
    let forwarding = match word.text {
        "NAT" | "FULLNAT" => Forwarding::Masquerade,
        "DR" => Forwarding::DirectRoute,
        "TUN" => Forwarding::Tunnel(tunnel(context, &mut args, word)?),
        _ => {
            report_unknown(context, word);
            return None;
        }
    };
    args.end(context);
    Some(Method {
        forwarding,
        full_nat: word.text == "FULLNAT",
    })
}

fn report_unknown(context: &mut Context<'_>, word: Word<'_>) {
    let diagnostic = Diagnostic::new(
        Code::WrongValue,
        word.span,
        format!(
            "`{}` is not a way of forwarding: expected NAT, DR, TUN or FULLNAT, in capitals",
            word.text
        ),
    );
    context.report(match did_you_mean(word.text, METHODS) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic,
    });
}

const METHODS: [&str; 4] = ["NAT", "DR", "TUN", "FULLNAT"];

/// What may stand behind TUN, in any order.
#[derive(Default)]
struct TunnelWords<'t> {
    kind: Option<Word<'t>>,
    port: Option<(Word<'t>, NonZeroU16)>,
    checksum: Option<Word<'t>>,
}

fn tunnel(context: &mut Context<'_>, args: &mut Args<'_>, tun: Word<'_>) -> Option<Tunnel> {
    let mut words = TunnelWords::default();
    while let Some(word) = args.next() {
        match word.text {
            "type" => words.kind = Some(args.required(context, "ipip, gue or gre")?),
            "port" => {
                let number = args.required(context, "a port")?;
                let port = context.parsed(number, whole("a port", 1..=u16::MAX))?;
                words.port = NonZeroU16::new(port).map(|port| (word, port));
            }
            "nocsum" | "csum" | "remcsum" => words.checksum = Some(word),
            _ => {
                let message = format!("`{}` is not an option of a tunnel", word.text);
                context.report(Diagnostic::new(Code::WrongValue, word.span, message).help(
                    "expected `type ipip`, `type gue port N` or `type gre`, and csum, nocsum \
                         or remcsum behind it",
                ));
                return None;
            }
        }
    }
    match words.kind.map(|kind| kind.text) {
        None | Some("ipip") => plain(context, &words),
        Some("gue") => gue(context, &words, words.kind.unwrap_or(tun)),
        Some("gre") => gre(context, &words),
        Some(other) => {
            let span = words.kind.map_or(tun.span, |kind| kind.span);
            let message = format!("`{other}` is not a type of tunnel: expected ipip, gue or gre");
            context.report(Diagnostic::new(Code::WrongValue, span, message));
            None
        }
    }
}

fn refuse<T>(context: &mut Context<'_>, word: Word<'_>, why: &str) -> Option<T> {
    context.report(
        Diagnostic::new(
            Code::Conflict,
            word.span,
            format!("`{}` does not fit: {why}", word.text),
        )
        .help("remove it, or choose another type of tunnel"),
    );
    None
}

fn plain(context: &mut Context<'_>, words: &TunnelWords<'_>) -> Option<Tunnel> {
    match (words.port, words.checksum) {
        (Some((word, _)), _) => refuse(context, word, "only gue has a port"),
        (None, Some(word)) => refuse(context, word, "ipip has no checksum"),
        (None, None) => Some(Tunnel::Ipip),
    }
}

fn gue(context: &mut Context<'_>, words: &TunnelWords<'_>, kind: Word<'_>) -> Option<Tunnel> {
    let Some((_, port)) = words.port else {
        let message = "a gue tunnel needs the UDP port of the real server";
        context.report(
            Diagnostic::new(Code::MissingValue, kind.span, message)
                .help("write `type gue port 6080`, with the port that its FOU device listens on"),
        );
        return None;
    };
    let checksum = match words.checksum.map(|word| word.text) {
        Some("csum") => GueChecksum::Csum,
        Some("remcsum") => GueChecksum::Remcsum,
        _ => GueChecksum::None,
    };
    Some(Tunnel::Gue { port, checksum })
}

fn gre(context: &mut Context<'_>, words: &TunnelWords<'_>) -> Option<Tunnel> {
    if let Some((word, _)) = words.port {
        return refuse(context, word, "only gue has a port");
    }
    match words.checksum {
        Some(word) if word.text == "remcsum" => refuse(context, word, "gre has csum and nocsum"),
        Some(word) if word.text == "csum" => Some(Tunnel::Gre {
            checksum: GreChecksum::Csum,
        }),
        _ => Some(Tunnel::Gre {
            checksum: GreChecksum::None,
        }),
    }
}
