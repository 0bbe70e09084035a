//! What `global_defs` says about load balancing, and `SSL`.

use std::{
    net::IpAddr,
    num::{NonZeroU8, NonZeroU16},
};

use ipvs::{InterfaceName, Seconds, SyncMaxLength, TimeoutChange};

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    keywords::SSL,
    model::{FlushOnStop, Lvs, LvsSyncDaemon, TlsClient, VrrpInstance},
    source::Span,
    suggest::did_you_mean,
    tree::{Item, Word},
    values::{group_address, whole},
};

/// What `global_defs` says about load balancing, before the instances are known.
#[derive(Debug, Clone, Default)]
pub(super) struct LvsDraft {
    sync_daemon: Option<SyncDraft>,
    timeouts: TimeoutChange,
    flush: bool,
    flush_on_stop: Option<FlushOnStop>,
    rs_init_notifies: bool,
    pub(super) log_all_failures: bool,
}

/// `lvs_sync_daemon` as written.
#[derive(Debug, Clone)]
struct SyncDraft {
    interface: InterfaceName,
    instance: Option<(String, Span)>,
    id: Option<u8>,
    max_length: Option<SyncMaxLength>,
    port: Option<NonZeroU16>,
    ttl: Option<NonZeroU8>,
    group: Option<IpAddr>,
    span: Span,
}

impl LvsDraft {
    /// Takes over a line; `false` if the keyword is none of these.
    pub(super) fn read(
        &mut self,
        context: &mut Context<'_>,
        keyword: &str,
        item: Item<'_>,
    ) -> bool {
        match keyword {
            "lvs_sync_daemon" => self.sync_daemon = sync_daemon(context, item),
            "lvs_timeouts" => self.timeouts = timeouts(context, item),
            "lvs_flush" => self.flush = context.flag(item),
            "lvs_flush_on_stop" => self.flush_on_stop = flush_on_stop(context, item),
            "rs_init_notifies" => self.rs_init_notifies = context.flag(item),
            "checker_log_all_failures" => {
                self.log_all_failures = context.switch(item) == Some(true);
            }
            _ => return false,
        }
        true
    }

    /// `mixed`: where a server of another family than its service stands.
    pub(super) fn complete(
        self,
        context: &mut Context<'_>,
        instances: &[VrrpInstance],
        names: &[&str],
        mixed: Option<Span>,
    ) -> Lvs {
        let sync_daemon = self
            .sync_daemon
            .map(|draft| draft.complete(context, instances, names, mixed));
        Lvs {
            sync_daemon,
            timeouts: self.timeouts,
            flush: self.flush,
            flush_on_stop: self.flush_on_stop,
            rs_init_notifies: self.rs_init_notifies,
        }
    }
}

impl SyncDraft {
    fn complete(
        self,
        context: &mut Context<'_>,
        instances: &[VrrpInstance],
        names: &[&str],
        mixed: Option<Span>,
    ) -> LvsSyncDaemon {
        if let Some((name, span)) = &self.instance
            && !names.contains(&name.as_str())
        {
            let message = format!("there is no `vrrp_instance {name}`");
            let near = did_you_mean(name, names.iter().copied());
            context.report(Diagnostic::new(Code::UnknownInstance, *span, message).help(
                match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name one of the instances, or remove it".to_owned(),
                },
            ));
        }
        if let Some(mixed) = mixed {
            context.report(
                Diagnostic::new(
                    Code::Conflict,
                    self.span,
                    "the kernel runs no sync daemon while a real server is of another family than \
                     its service",
                )
                .note(mixed, "this one is")
                .help("remove one of both"),
            );
        }
        let instance = self.instance.map(|(name, _)| name);
        let of_instance = || {
            let named = |found: &&VrrpInstance| Some(&*found.router.name) == instance.as_deref();
            instances
                .iter()
                .find(named)
                .map(|found| found.router.vrid.as_u8())
        };
        LvsSyncDaemon {
            sync_id: self.id.or_else(of_instance).unwrap_or(0),
            interface: self.interface,
            instance: instance.map(Into::into),
            max_length: self.max_length,
            port: self.port,
            ttl: self.ttl,
            group: self.group,
        }
    }
}

/// `INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`.
fn sync_daemon(context: &mut Context<'_>, item: Item<'_>) -> Option<SyncDraft> {
    let mut args = Args::of(item);
    let word = args.required(context, "an interface")?;
    let interface = context.parsed(word, |text| {
        InterfaceName::new(text).map_err(|error| error.to_string())
    })?;
    let mut draft = SyncDraft {
        interface,
        instance: None,
        id: None,
        max_length: None,
        port: None,
        ttl: None,
        group: None,
        span: item.span(),
    };
    let mut is_first = true;
    while let Some(word) = args.next() {
        sync_option(context, &mut draft, &mut args, word, is_first)?;
        is_first = false;
    }
    Some(draft)
}

fn sync_option(
    context: &mut Context<'_>,
    draft: &mut SyncDraft,
    args: &mut Args<'_>,
    word: Word<'_>,
    is_first: bool,
) -> Option<()> {
    match word.text {
        "inst" => {
            let name = args.required(context, "a vrrp_instance")?;
            draft.instance = Some((name.text.to_owned(), name.span));
        }
        "id" => {
            let number = args.required(context, "a number")?;
            draft.id = Some(context.parsed(number, whole("a sync id", 0..=u8::MAX))?);
        }
        "maxlen" => {
            let number = args.required(context, "a length in bytes")?;
            let bytes = context.parsed(number, whole("a length in bytes", 1..=65_507))?;
            draft.max_length = SyncMaxLength::new(bytes).ok();
        }
        "port" => {
            let number = args.required(context, "a port")?;
            let port = context.parsed(number, whole("a port", 1..=u16::MAX))?;
            draft.port = NonZeroU16::new(port);
        }
        "ttl" => {
            let number = args.required(context, "a TTL")?;
            let ttl = context.parsed(number, whole("a TTL", 1..=u8::MAX))?;
            draft.ttl = NonZeroU8::new(ttl);
        }
        "group" => {
            let address = args.required(context, "a multicast address")?;
            draft.group = Some(context.parsed(address, group_address)?);
        }
        // keepalived's older form.
        name if is_first => draft.instance = Some((name.to_owned(), word.span)),
        other => {
            let message = format!("`{other}` is not an option of a sync daemon");
            context.report(Diagnostic::new(Code::WrongValue, word.span, message).help(
                "the options are inst, id, maxlen, port, ttl and group, each with its value \
                     behind it",
            ));
            return None;
        }
    }
    Some(())
}

/// `[tcp N] [tcpfin N] [udp N]`, at least one of them; 0 leaves one as it is.
fn timeouts(context: &mut Context<'_>, item: Item<'_>) -> TimeoutChange {
    let mut change = TimeoutChange::default();
    let mut args = Args::of(item);
    if item.args().len() == 0 {
        args.required(context, "tcp, tcpfin or udp with seconds");
    }
    while let Some(word) = args.next() {
        let place = match word.text {
            "tcp" => &mut change.tcp,
            "tcpfin" => &mut change.tcp_fin,
            "udp" => &mut change.udp,
            other => {
                let message = format!("`{other}` is not a timeout: expected tcp, tcpfin or udp");
                context.report(Diagnostic::new(Code::WrongValue, word.span, message));
                break;
            }
        };
        let Some(number) = args.required(context, "seconds") else {
            break;
        };
        let parse = whole("a timeout in seconds", 0..=TimeoutChange::MAX.get());
        let seconds = context.parsed(number, parse).filter(|seconds| *seconds > 0);
        *place = seconds.map(Seconds::new);
    }
    change
}

fn flush_on_stop(context: &mut Context<'_>, item: Item<'_>) -> Option<FlushOnStop> {
    if item.args().len() == 0 {
        return Some(FlushOnStop::Table);
    }
    context.one(item, "VS", |text| match text {
        "VS" => Ok(FlushOnStop::VirtualServers),
        _ => Err(format!(
            "`{text}` is not what is flushed: expected VS, or nothing for the whole table"
        )),
    })
}

/// Reads an `SSL` block.
pub(super) fn ssl(context: &mut Context<'_>, block: Item<'_>) -> TlsClient {
    let mut client = TlsClient::default();
    for (keyword, item) in context.keywords(&SSL, block.items()) {
        let place = match keyword {
            "password" => &mut client.password,
            "ca" => &mut client.ca,
            "certificate" => &mut client.certificate,
            "key" => &mut client.key,
            _ => {
                context.report_not_yet(&format!("`{keyword}`"), item.span());
                continue;
            }
        };
        *place = context.one(item, "a value", |text| Ok(text.to_owned()));
    }
    if client.certificate.is_some() != client.key.is_some() {
        let missing = if client.key.is_some() {
            "certificate"
        } else {
            "key"
        };
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                block.span(),
                format!("`SSL` has no `{missing}`"),
            )
            .help("a certificate and its key go together: write both, or neither"),
        );
    }
    client
}
