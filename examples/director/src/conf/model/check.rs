//! Checks of real servers: what is done, and when.
//!
//! Kinds and configurations can be compared and ordered, so that equal checks can be one.

use std::{fmt, net::IpAddr, num::NonZeroU16, num::NonZeroU32, time::Duration};

use health::CheckConfig;
use ipvs::{Endpoint, Family, Forwarding, InterfaceName};

use crate::conf::source::Span;

/// A check of a real server: `TCP_CHECK`, `HTTP_GET` and so on.
///
/// Two with equal `kind` and `config` ask the same of the network, whoever they are for. Two are
/// equal wherever they stand in the file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// When, and what the answers mean. Spans are those of the checker, else of its real server,
    /// else of its virtual server, else keepalived's defaults.
    pub config: CheckConfig,
    /// `warmup`: the first probes are spread over that time. Default: the `delay_loop`.
    pub warm_up: Duration,
    /// `log_all_failures`: tell of each failure of a server that is up, not of the last one alone.
    pub log_all_failures: bool,
    /// The line that opens its block.
    pub span: Span,
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            kind,
            config,
            warm_up,
            log_all_failures,
            span: _,
        } = self;
        (kind, config) == (&other.kind, &other.config)
            && (warm_up, log_all_failures) == (&other.warm_up, &other.log_all_failures)
    }
}

impl Eq for Check {}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CheckKind {
    /// `TCP_CHECK`: connects.
    Tcp(Connect),
    /// `HTTP_GET` and `SSL_GET`: asks for pages, one after the other.
    Http(HttpCheck),
    /// `SMTP_CHECK`: is greeted and says HELO. Each `host` block is a check of its own.
    Smtp {
        /// The mail server. Port by default: 25.
        connect: Connect,
        /// `helo_name`; `None`: this machine's name.
        helo_name: Option<String>,
    },
    /// `DNS_CHECK`: asks a name server, over UDP.
    Dns {
        /// The name server.
        connect: Connect,
        /// `type`. Default: SOA.
        record: RecordType,
        /// `name`, without a dot at its end but for the root. Default: `.`, the root.
        name: String,
    },
    /// `MISC_CHECK`: runs a program.
    Misc(MiscCheck),
    /// `FILE_CHECK`: reads a number from a file.
    File(FileCheck),
    /// `UDP_CHECK`: sends a datagram.
    Udp(UdpCheck),
    /// `PING_CHECK`: sends an ICMP echo request.
    Ping {
        /// `connect_ip`. Default: the real server.
        address: IpAddr,
        /// Where from; the port means nothing.
        from: Origin,
    },
}

/// In one or two words: `TCP_CHECK 192.0.2.1:80`.
impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.keyword())?;
        match self {
            Self::Tcp(connect)
            | Self::Http(HttpCheck { connect, .. })
            | Self::Smtp { connect, .. }
            | Self::Dns { connect, .. }
            | Self::Udp(UdpCheck { connect, .. }) => connect.to.fmt(f),
            Self::Misc(misc) => f.write_str(&misc.argv.join(" ")),
            Self::File(file) => f.write_str(&file.path),
            Self::Ping { address, .. } => address.fmt(f),
        }
    }
}

impl CheckKind {
    /// The way that its packets take, if it is not that of any program's.
    #[must_use]
    pub fn path(&self) -> Option<ForwardingPath> {
        match self {
            Self::Tcp(connect) | Self::Smtp { connect, .. } | Self::Dns { connect, .. } => {
                connect.path
            }
            Self::Http(http) => http.connect.path,
            Self::Udp(udp) => udp.connect.path,
            Self::Misc(_) | Self::File(_) | Self::Ping { .. } => None,
        }
    }

    /// The same with marked packets, if it connects.
    #[must_use]
    pub(crate) fn marked(mut self, mark: NonZeroU32) -> Self {
        match &mut self {
            Self::Tcp(connect) | Self::Smtp { connect, .. } | Self::Dns { connect, .. } => {
                connect.from.fwmark = Some(mark);
            }
            Self::Http(http) => http.connect.from.fwmark = Some(mark),
            Self::Udp(udp) => udp.connect.from.fwmark = Some(mark),
            Self::Misc(_) | Self::File(_) | Self::Ping { .. } => {}
        }
        self
    }

    /// The keyword of its block.
    #[must_use]
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "TCP_CHECK",
            Self::Http(http) => match http.tls {
                None => "HTTP_GET",
                Some(_) => "SSL_GET",
            },
            Self::Smtp { .. } => "SMTP_CHECK",
            Self::Dns { .. } => "DNS_CHECK",
            Self::Misc(_) => "MISC_CHECK",
            Self::Udp(_) => "UDP_CHECK",
            Self::File(_) => "FILE_CHECK",
            Self::Ping { .. } => "PING_CHECK",
        }
    }
}

/// A connection that a check opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Connect {
    /// `connect_ip` and `connect_port`. Default: those of the real server as it is written, and
    /// where it has no port that of the virtual server.
    pub to: Endpoint,
    /// Where from.
    pub from: Origin,
    /// The way that packets take; `None`: that of any program's.
    pub path: Option<ForwardingPath>,
}

/// `forwarding_path`, which keepalived does not have: packets go to a virtual address, by the way
/// of the clients' packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct ForwardingPath {
    /// The real server that they are forwarded to.
    pub server: IpAddr,
    /// How: by direct routing or through a tunnel.
    pub forwarding: Forwarding,
    /// The family of the virtual address, which is the real server's.
    pub family: Family,
}

/// Where a check's packets come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Origin {
    /// `bindto`: of the family of the address connected to.
    pub address: Option<IpAddr>,
    /// `bind_port`.
    pub port: Option<NonZeroU16>,
    /// `bind_if`.
    pub interface: Option<InterfaceName>,
    /// `fwmark` of the packets; keepalived's 0 is none.
    pub fwmark: Option<NonZeroU32>,
}

/// `HTTP_GET` and `SSL_GET`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct HttpCheck {
    /// The web server.
    pub connect: Connect,
    /// `http_protocol`. Default: 1.0.
    pub version: HttpVersion,
    /// The name told in the TLS handshake; `None`: `HTTP_GET`, no TLS.
    pub tls: Option<ServerName>,
    /// What is asked for, one after the other; never empty.
    pub urls: Vec<Url>,
}

/// `http_protocol`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "those that keepalived has")]
pub enum HttpVersion {
    /// HTTP/1.0.
    #[default]
    V1_0,
    /// HTTP/1.0 with `Connection: close` (`1.0C`).
    V1_0Close,
    /// HTTP/1.1 with `Connection: close`.
    V1_1,
}

/// What name a TLS handshake asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "those that keepalived has")]
pub enum ServerName {
    /// None.
    #[default]
    Untold,
    /// `enable_sni`: the virtual host of the page.
    VirtualHost,
    /// `sni_name`.
    Name(String),
}

/// `url`: a page, and what it has to be like. All that is said has to hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Url {
    /// `path`, as it is sent.
    pub path: String,
    /// `virtualhost` of the page, else of the checker, the real server or the virtual server;
    /// `None`: the address and port connected to.
    pub virtual_host: Option<String>,
    /// `status_code`; never empty. Default: 200 to 299.
    pub status: Vec<StatusRange>,
    /// `digest`: the MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `regex` and what goes with it.
    pub regex: Option<UrlRegex>,
    /// `tls_compliant`: an end of the connection without a TLS closure is a failure.
    pub tls_compliant: bool,
}

/// Status codes from one to another, both included: 100 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a range has two ends")]
pub struct StatusRange {
    /// The least.
    pub first: u16,
    /// The greatest, not below the least.
    pub last: u16,
}

/// `regex`: what the body has to match, or must not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct UrlRegex {
    /// The pattern, known to be one of the crate `regex`.
    pub pattern: String,
    /// `regex_no_match`: a match is a failure.
    pub no_match: bool,
    /// `regex_options`.
    pub options: RegexOptions,
    /// `regex_min_offset`: the first byte of the body that is looked at.
    pub min_offset: usize,
    /// `regex_max_offset`: the last byte of the body that a match may start at.
    pub max_offset: Option<usize>,
}

/// The `regex_options` that change what matches, by PCRE's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct RegexOptions {
    /// Capitals and small letters are the same.
    pub caseless: bool,
    /// `^` and `$` match at each line.
    pub multiline: bool,
    /// `.` matches the end of a line too.
    pub dotall: bool,
    /// Blanks and comments in the pattern mean nothing.
    pub extended: bool,
    /// Repetitions match as little as they can.
    pub ungreedy: bool,
}

/// Types of records that a name server is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "those that keepalived has")]
#[expect(missing_docs, reason = "these are their names")]
pub enum RecordType {
    A,
    Ns,
    Cname,
    #[default]
    Soa,
    Mx,
    Txt,
    Aaaa,
    Rrsig,
    Dnskey,
}

/// `MISC_CHECK`. Its deadline is `misc_timeout`, by default the `delay_loop` of the virtual server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct MiscCheck {
    /// `misc_path`: the program and its arguments; never empty.
    pub argv: Vec<String>,
    /// `user`: who runs it, and in which group if not the user's own; `None`: the
    /// [`script_user`](super::Global::script_user).
    pub user: Option<(String, Option<String>)>,
    /// `misc_dynamic`: exit codes from 2 on are success and ask for a weight.
    pub dynamic: bool,
}

/// `FILE_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct FileCheck {
    /// The `file` of the `track_file`; one that is missing counts as one with 0 in it.
    pub path: String,
    /// What the number is multiplied with before it is added to the weight of the real server; with
    /// 0 any number but 0 is a failure. Default: that of the `track_file`.
    pub weight: i32,
    /// Turns the sense of the number round.
    pub reverse: bool,
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct UdpCheck {
    /// The server.
    pub connect: Connect,
    /// `payload`; `None`: the 32 bytes that keepalived sends.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`; `None`: silence is success, only ICMP errors are failures.
    pub reply: Option<Reply>,
}

/// What an answer has to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Reply {
    /// Bytes and their masks that it begins with; one that is shorter is compared as far as it goes: `(answer ^ byte) & mask`
    /// has to be 0.
    pub begins: Vec<(u8, u8)>,
    /// `min_reply_length` in bytes. Default: 0.
    pub min_length: u16,
    /// `max_reply_length` in bytes. Default: 255.
    pub max_length: u16,
}
