//! The checkers of real servers.

mod file;
mod http;
mod misc;
mod path;
mod udp;

use std::{
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use health::{CheckConfig, WhenDown};
use ipvs::{Endpoint, Family, Forwarding, InterfaceName};

use super::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    keywords::{
        Block, DNS_CHECK, HOST, HTTP_GET, MISC_CHECK, PING_CHECK, SMTP_CHECK, SSL_GET, TCP_CHECK,
        UDP_CHECK,
    },
    model::{Check, CheckKind, Connect, ForwardingPath, Origin, RecordType},
    source::Span,
    track_file::TrackFiles,
    tree::Item,
    values::{address, whole},
    virtual_server::{Timing, TimingDefaults},
};

use path::Wanted;

/// What a checker has from around it.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// The real server's address and port; `None` if they could not be read.
    pub(super) server: Option<(IpAddr, Option<u16>)>,
    pub(super) service_port: ServicePort,
    /// How packets get to the real server; `None` if that could not be read.
    pub(super) forwarding: Option<Forwarding>,
    /// A virtual address, for checks that take the way of the clients' packets.
    pub(super) vip: Option<IpAddr>,
    /// `forwarding_path` of the virtual server.
    pub(super) forwarding_path: bool,
    /// The times of the real server, within those of the virtual server.
    pub(super) timing: Timing,
    /// The default of `misc_timeout`.
    pub(super) misc_timeout: Duration,
    pub(super) virtualhost: Option<&'a str>,
    pub(super) log_all_failures: bool,
    pub(super) track_files: &'a TrackFiles,
}

/// The port of the virtual server, for checkers of real servers that have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServicePort {
    One(u16),
    /// It is for every port, for a mark, or for several addresses with different ports.
    NotOne,
    /// What it is for could not be read, which was reported.
    Unknown,
}

/// What all checkers have, as written.
#[derive(Debug, Clone, Copy, Default)]
struct Common {
    ip: Option<IpAddr>,
    port: Option<u16>,
    from: Origin,
    timing: Timing,
    log_all_failures: bool,
    /// `forwarding_path`, and where it stands.
    path: Option<(bool, Span)>,
    /// Where `fwmark` stands.
    mark: Option<Span>,
    span: Option<Span>,
    /// Where `bindto` stands.
    bind: Option<Span>,
    /// Whether something was wrong that makes further checks pointless.
    broken: bool,
}

/// Reads a checker's block; the `host` blocks of `SMTP_CHECK` are checks of their own.
pub(super) fn checker(
    context: &mut Context<'_>,
    target: &Target<'_>,
    keyword: &str,
    block: Item<'_>,
) -> Vec<Check> {
    let one = match keyword {
        "TCP_CHECK" => tcp(context, target, block),
        "HTTP_GET" => http::read(context, target, block, &HTTP_GET),
        "SSL_GET" => http::read(context, target, block, &SSL_GET),
        "SMTP_CHECK" => return smtp(context, target, block),
        "DNS_CHECK" => dns(context, target, block),
        "MISC_CHECK" => misc::read(context, target, block, &MISC_CHECK),
        "UDP_CHECK" => udp::read(context, target, block, &UDP_CHECK),
        "FILE_CHECK" => file::read(context, target, block),
        "PING_CHECK" => ping(context, target, block),
        _ => {
            context.report_not_yet(&format!("`{keyword}`"), block.span());
            None
        }
    };
    one.into_iter().collect()
}

/// What most checkers do where nothing else is said.
const DEFAULTS: TimingDefaults = TimingDefaults {
    retry: 1,
    delay_before_retry: Some(Duration::from_secs(1)),
};

impl Common {
    fn new(target: &Target<'_>, block: Item<'_>) -> Self {
        Self {
            log_all_failures: target.log_all_failures,
            span: Some(block.span()),
            ..Self::default()
        }
    }

    /// Reads a block and hands what is not common to `own`.
    fn read<'t>(
        context: &mut Context<'_>,
        target: &Target<'_>,
        block: Item<'t>,
        keywords: &'static Block,
        mut own: impl FnMut(&mut Context<'_>, &'static str, Item<'t>),
    ) -> Self {
        let mut common = Self::new(target, block);
        for (keyword, item) in context.keywords(keywords, block.items()) {
            if !common.line(context, keyword, item) {
                own(context, keyword, item);
            }
        }
        common
    }

    /// Takes over a line; `false` if the keyword is none of these.
    fn line(&mut self, context: &mut Context<'_>, keyword: &str, item: Item<'_>) -> bool {
        if self.timing.read(context, keyword, item, 0) {
            return true;
        }
        let good = match keyword {
            "connect_ip" => {
                self.ip = context.one(item, "an address", address);
                self.ip.is_some()
            }
            "connect_port" => {
                self.port = context.one(item, "a port", whole("a port", 1..=u16::MAX));
                self.port.is_some()
            }
            "bindto" => {
                self.from.address = context.one(item, "an address", address);
                self.bind = Some(item.span());
                self.from.address.is_some()
            }
            "bind_port" => {
                let port = context.one(item, "a port", whole("a port", 1..=u16::MAX));
                self.from.port = port.and_then(NonZeroU16::new);
                port.is_some()
            }
            "bind_if" => {
                self.from.interface = context.one(item, "an interface", |text| {
                    InterfaceName::new(text).map_err(|error| error.to_string())
                });
                self.from.interface.is_some()
            }
            "fwmark" => {
                let mark = context.one(item, "a number", whole("a firewall mark", 0..=u32::MAX));
                self.from.fwmark = mark.and_then(NonZeroU32::new);
                self.mark = Some(item.span());
                mark.is_some()
            }
            "forwarding_path" => {
                let wanted = context.switch(item);
                self.path = wanted.map(|wanted| (wanted, item.span()));
                wanted.is_some()
            }
            "log_all_failures" => {
                self.log_all_failures = context.switch(item).unwrap_or(self.log_all_failures);
                true
            }
            _ => return false,
        };
        self.broken |= !good;
        true
    }

    /// Where it connects, by default to `port`, else to the real server's, else to the service's.
    fn connect(
        &self,
        context: &mut Context<'_>,
        target: &Target<'_>,
        port: Option<u16>,
    ) -> Option<Connect> {
        let path = match self.path(context, target) {
            Wanted::Not => None,
            Wanted::Yes(forwarding) => Some(forwarding),
            Wanted::Broken => return None,
        };
        let address = match path {
            None => self.address(context, target)?,
            Some(_) => self.virtual_address(context, target)?,
        };
        let of_server = target
            .server
            .and_then(|(_, port)| port)
            .filter(|port| *port != 0);
        let of_service = match target.service_port {
            ServicePort::One(port) => Some(port),
            ServicePort::NotOne | ServicePort::Unknown => None,
        };
        // Packets on their way keep the port that clients ask for.
        let of_path = of_service.filter(|_| path.is_some());
        let Some(port) = self.port.or(of_path).or(port).or(of_server).or(of_service) else {
            if let Some(span) = self.span
                && target.service_port == ServicePort::NotOne
            {
                let message = "the checker has no port to connect to: neither the real server nor \
                               the virtual server has one";
                context.report(
                    Diagnostic::new(Code::MissingKeyword, span, message).help("add `connect_port`"),
                );
            }
            return None;
        };
        Some(Connect {
            to: Endpoint::new(address, port),
            from: self.from,
            path: path.and_then(|forwarding| {
                let (server, _) = target.server?;
                Some(ForwardingPath {
                    server,
                    forwarding,
                    family: Family::of(address),
                })
            }),
        })
    }

    /// The address it asks. Reports a `bindto` of the other family.
    fn address(&self, context: &mut Context<'_>, target: &Target<'_>) -> Option<IpAddr> {
        let address = self
            .ip
            .or_else(|| target.server.map(|(address, _)| address))?;
        if let (Some(from), Some(span)) = (self.from.address, self.bind)
            && Family::of(from) != Family::of(address)
        {
            let message = format!("{address} cannot be reached from {from}");
            context.report(
                Diagnostic::new(Code::WrongFamily, span, message)
                    .help(format!("write an {} address", Family::of(address))),
            );
            return None;
        }
        Some(address)
    }

    /// The check, with what is peculiar to its kind put into its configuration by `adjust`.
    fn check(
        &self,
        target: &Target<'_>,
        kind: CheckKind,
        defaults: TimingDefaults,
        adjust: impl FnOnce(&mut CheckConfig),
    ) -> Option<Check> {
        let timing = self.timing.within(target.timing);
        let mut config = CheckConfig::keepalived(&timing.resolved(defaults));
        adjust(&mut config);
        (!self.broken).then_some(Check {
            kind,
            config,
            warm_up: timing.warm_up(),
            log_all_failures: self.log_all_failures,
            span: self.span?,
        })
    }
}

fn tcp(context: &mut Context<'_>, target: &Target<'_>, block: Item<'_>) -> Option<Check> {
    let common = Common::read(context, target, block, &TCP_CHECK, not_yet);
    let kind = CheckKind::Tcp(common.connect(context, target, None)?);
    common.check(target, kind, DEFAULTS, |_| {})
}

fn ping(context: &mut Context<'_>, target: &Target<'_>, block: Item<'_>) -> Option<Check> {
    let common = Common::read(context, target, block, &PING_CHECK, not_yet);
    let kind = CheckKind::Ping {
        address: common.address(context, target)?,
        from: common.from,
    };
    common.check(target, kind, DEFAULTS, |_| {})
}

fn smtp(context: &mut Context<'_>, target: &Target<'_>, block: Item<'_>) -> Vec<Check> {
    const PORT: u16 = 25;
    let mut helo_name = None;
    let mut hosts = Vec::new();
    let common = Common::read(
        context,
        target,
        block,
        &SMTP_CHECK,
        |context, keyword, item| match keyword {
            "helo_name" => {
                helo_name = context.one(item, "a name", |text| Ok(text.to_owned()));
            }
            "host" => hosts.push(item),
            _ => not_yet(context, keyword, item),
        },
    );
    let mut commons = Vec::new();
    for host in hosts {
        let mut of_host = Common::read(context, target, host, &HOST, not_yet);
        of_host.timing = of_host.timing.within(common.timing);
        of_host.log_all_failures = common.log_all_failures;
        of_host.path = common.path;
        of_host.broken |= common.broken;
        commons.push(of_host);
    }
    if commons.is_empty() {
        commons.push(common);
    }
    let checks = commons.into_iter().filter_map(|common| {
        let connect = common.connect(context, target, Some(PORT))?;
        let helo_name = helo_name.clone();
        let kind = CheckKind::Smtp { connect, helo_name };
        common.check(target, kind, DEFAULTS, |config| {
            config.when_down = WhenDown::Retry;
        })
    });
    checks.collect()
}

fn dns(context: &mut Context<'_>, target: &Target<'_>, block: Item<'_>) -> Option<Check> {
    let mut record = Some(RecordType::default());
    let mut name = Some(".".to_owned());
    let common = Common::read(
        context,
        target,
        block,
        &DNS_CHECK,
        |context, keyword, item| match keyword {
            "type" => record = context.one(item, "a type of records", record_type),
            "name" => name = context.one(item, "a domain name", domain_name),
            _ => not_yet(context, keyword, item),
        },
    );
    let kind = CheckKind::Dns {
        connect: common.connect(context, target, None)?,
        record: record?,
        name: name?,
    };
    let defaults = TimingDefaults {
        retry: 3,
        delay_before_retry: None,
    };
    common.check(target, kind, defaults, |_| {})
}

/// For keywords that no reader takes: none while the table of keywords is right.
fn not_yet(context: &mut Context<'_>, keyword: &str, item: Item<'_>) {
    context.report_not_yet(&format!("`{keyword}`"), item.span());
}

/// In capitals or not, as keepalived takes it.
fn record_type(text: &str) -> Result<RecordType, String> {
    match text.to_ascii_uppercase().as_str() {
        "A" => Ok(RecordType::A),
        "NS" => Ok(RecordType::Ns),
        "CNAME" => Ok(RecordType::Cname),
        "SOA" => Ok(RecordType::Soa),
        "MX" => Ok(RecordType::Mx),
        "TXT" => Ok(RecordType::Txt),
        "AAAA" => Ok(RecordType::Aaaa),
        "RRSIG" => Ok(RecordType::Rrsig),
        "DNSKEY" => Ok(RecordType::Dnskey),
        _ => Err(format!(
            "`{text}` is not a type of records: expected A, NS, CNAME, SOA, MX, TXT, AAAA, RRSIG \
             or DNSKEY"
        )),
    }
}

/// A name of at most 253 bytes of labels of 1 to 63 bytes, or `.`.
fn domain_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if text == "." {
        return Ok(text.to_owned());
    }
    let good = name.len() <= 253
        && name.is_ascii()
        && name.split('.').all(|label| (1..=63).contains(&label.len()));
    if good {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a domain name: expected labels of 1 to 63 ASCII bytes with dots \
             between them, or `.`"
        ))
    }
}
