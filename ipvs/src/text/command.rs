//! What a command of ipvsadm means.

use std::{
    net::IpAddr,
    num::{NonZeroU8, NonZeroU16},
    str::FromStr,
};

use super::options::{Given, Word, options};
use crate::{
    Change, ClientMask, DestinationSettings, Endpoint, Family, Flags, Forwarding, GreChecksum,
    GueChecksum, Persistence, PrefixLen, Protocol, SchedulerName, Seconds, ServiceKey,
    ServiceSettings, SyncDaemon, SyncMaxLength, SyncRole, TableError, Thresholds, ThresholdsError,
    TimeoutChange, Tunnel, Weight,
};

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No option, or none that changes a table.
    #[error("`{0}` is not an option of a saved table, which has lines as -A -t 10.0.0.1:80 -s rr")]
    UnknownOption(String),
    /// An option without what belongs to it.
    #[error("--{0} needs a value, or more of them")]
    NoValue(&'static str),
    /// An option that was given before.
    #[error("--{0} is given twice: write it once")]
    Repeated(&'static str),
    /// A line that does not begin with a command.
    #[error(
        "--{0} is not a command: begin with one of -A -E -D -a -e -d -C -Z --set \
             --start-daemon --stop-daemon"
    )]
    NotACommand(&'static str),
    /// An option that the command does not have.
    #[error("--{option} does not belong to --{command}: leave it out")]
    NotHere {
        /// The option.
        option: &'static str,
        /// The command.
        command: &'static str,
    },
    /// Something that the command does not do without.
    #[error("--{command} needs {missing}")]
    Missing {
        /// The command.
        command: &'static str,
        /// What it needs.
        missing: &'static str,
    },
    /// Options of which only one can be.
    #[error("--{option} cannot be together with --{other}: leave one of them out")]
    Conflict {
        /// The later one.
        option: &'static str,
        /// The earlier one.
        other: &'static str,
    },
    /// A value that the option does not take.
    #[error("`{text}` is not {expected}")]
    Value {
        /// The value.
        text: String,
        /// What it should be, with an example.
        expected: String,
    },
    /// Thresholds that do not go together.
    #[error(transparent)]
    Thresholds(#[from] ThresholdsError),
    /// What is meant is against a rule, or does not fit the lines before it.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Something that is wrong in a column.
type At<T> = Result<T, (usize, Problem)>;

const SERVICES: [&str; 4] = [
    "tcp-service",
    "udp-service",
    "sctp-service",
    "fwmark-service",
];
const METHODS: [&str; 3] = ["gatewaying", "ipip", "masquerading"];
const CHECKSUMS: [&str; 3] = ["tun-nocsum", "tun-csum", "tun-remcsum"];

const OF_SERVICE: &[&str] = &[
    "ipv6",
    "scheduler",
    "persistent",
    "netmask",
    "pe",
    "sched-flags",
    "ops",
];
const OF_SERVER: &[&str] = &[
    "ipv6",
    "real-server",
    "gatewaying",
    "ipip",
    "masquerading",
    "tun-type",
    "tun-port",
    "tun-nocsum",
    "tun-csum",
    "tun-remcsum",
    "weight",
    "u-threshold",
    "l-threshold",
];
const OF_DAEMON: &[&str] = &[
    "mcast-interface",
    "syncid",
    "sync-maxlen",
    "mcast-group",
    "mcast-port",
    "mcast-ttl",
];

/// What the words of a line mean. They are not empty.
pub(super) fn command(words: &[Word<'_>]) -> At<Change> {
    let given = options(words)?;
    let Some((first, rest)) = given.split_first() else {
        let column = words.first().map_or(1, |word| word.column);
        return Err((column, Problem::NoValue("add-service")));
    };
    let line = Line {
        command: first,
        options: rest,
    };
    let allowed = match first.name {
        "add-service" | "edit-service" => OF_SERVICE,
        "add-server" | "edit-server" => OF_SERVER,
        "delete-server" => &["ipv6", "real-server"],
        "delete-service" | "zero" => &["ipv6"],
        "start-daemon" => OF_DAEMON,
        "stop-daemon" => &["syncid"],
        "clear" | "set" => &[],
        name => return Err((first.column, Problem::NotACommand(name))),
    };
    let with_service = !matches!(first.name, "clear" | "set" | "start-daemon" | "stop-daemon");
    for option in rest {
        let fits =
            allowed.contains(&option.name) || (with_service && SERVICES.contains(&option.name));
        if !fits {
            let (option, command, column) = (option.name, first.name, option.column);
            return Err((column, Problem::NotHere { option, command }));
        }
    }
    let change = line.change()?;
    change
        .check()
        .map_err(|rule| (first.column, Problem::Table(rule.into())))?;
    Ok(change)
}

/// A command and its options, which belong to it.
struct Line<'a> {
    command: &'a Given<'a>,
    options: &'a [Given<'a>],
}

impl<'a> Line<'a> {
    fn change(&self) -> At<Change> {
        Ok(match self.command.name {
            "add-service" => {
                let service = self.service()?;
                Change::AddService {
                    service,
                    settings: self.service_settings(&service)?,
                }
            }
            "edit-service" => {
                let service = self.service()?;
                Change::SetService {
                    service,
                    settings: self.service_settings(&service)?,
                }
            }
            "delete-service" => Change::RemoveService {
                service: self.service()?,
            },
            "add-server" => {
                let (service, destination, settings) = self.destination()?;
                Change::AddDestination {
                    service,
                    destination,
                    settings,
                }
            }
            "edit-server" => {
                let (service, destination, settings) = self.destination()?;
                Change::SetDestination {
                    service,
                    destination,
                    settings,
                }
            }
            "delete-server" => {
                let service = self.service()?;
                Change::RemoveDestination {
                    service,
                    destination: self.server(&service)?,
                }
            }
            "zero" if self.options.is_empty() => Change::Zero(None),
            "zero" => Change::Zero(Some(self.service()?)),
            "set" => Change::SetTimeouts(self.timeouts()?),
            "start-daemon" => Change::StartDaemon(self.daemon()?),
            "stop-daemon" => Change::StopDaemon(self.role()?),
            _ => Change::Flush,
        })
    }

    fn find(&self, name: &str) -> Option<&'a Given<'a>> {
        self.options.iter().find(|option| option.name == name)
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The only one of some options.
    fn one_of(&self, names: &[&str]) -> At<Option<&'a Given<'a>>> {
        let mut found = self
            .options
            .iter()
            .filter(|option| names.contains(&option.name));
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            (None, Some(first)) => Ok(Some(first)),
            (Some(other), Some(option)) => {
                let (column, option, other) = (option.column, option.name, other.name);
                Err((column, Problem::Conflict { option, other }))
            }
        }
    }

    fn missing(&self, missing: &'static str) -> (usize, Problem) {
        (
            self.command.column,
            Problem::Missing {
                command: self.command.name,
                missing,
            },
        )
    }

    /// The value of an option, read by what its type reads, or a number in a range.
    fn value<T: FromStr>(&self, name: &str, expected: &str) -> At<Option<T>> {
        self.word(name)
            .map(|word| parsed(word, expected))
            .transpose()
    }

    fn word(&self, name: &str) -> Option<Word<'a>> {
        self.find(name)
            .and_then(|option| option.values.first().copied())
    }

    fn service(&self) -> At<ServiceKey> {
        let missing = || self.missing("a service: -t, -u, --sctp-service or -f");
        let option = self.one_of(&SERVICES)?.ok_or_else(missing)?;
        let word = *option.values.first().ok_or_else(missing)?;
        let protocol = match option.name {
            "tcp-service" => Protocol::Tcp,
            "udp-service" => Protocol::Udp,
            "sctp-service" => Protocol::Sctp,
            _ => {
                let mark = parsed(word, "a firewall mark of 1 to 4294967295")?;
                let family = if self.has("ipv6") {
                    Family::V6
                } else {
                    Family::V4
                };
                return Ok(ServiceKey::Fwmark { mark, family });
            }
        };
        if let Some(ipv6) = self.find("ipv6") {
            let problem = Problem::Conflict {
                option: "ipv6",
                other: option.name,
            };
            return Err((ipv6.column, problem));
        }
        let (address, port) = address_and_port(word)?;
        let endpoint = Endpoint::new(address, port.unwrap_or(0));
        Ok(ServiceKey::Address { protocol, endpoint })
    }

    fn service_settings(&self, service: &ServiceKey) -> At<ServiceSettings> {
        let scheduler = self.value("scheduler", "the name of a scheduler, as wlc")?;
        let scheduler = scheduler.unwrap_or(SchedulerName::WLC);
        let mut flags = self.flags(scheduler)?;
        flags.one_packet = self.has("ops");
        let persistence = match self.find("persistent") {
            Some(_) => Some(self.persistence(service.family())?),
            None => {
                for name in ["netmask", "pe"] {
                    if let Some(option) = self.find(name) {
                        let missing = "-p where -M or --pe is given";
                        return Err((option.column, self.missing(missing).1));
                    }
                }
                None
            }
        };
        Ok(ServiceSettings {
            scheduler,
            flags,
            persistence,
        })
    }

    fn persistence(&self, family: Family) -> At<Persistence> {
        let timeout = self.value("persistent", "a time in seconds, 1 to 2678400")?;
        let timeout = timeout.map_or(Persistence::DEFAULT_TIMEOUT, Seconds::new);
        let mut persistence = Persistence::new(family, timeout);
        if let Some(word) = self.word("netmask") {
            persistence.clients = match family {
                Family::V4 => ClientMask::V4(parsed(word, "a netmask, as 255.255.255.0")?),
                Family::V6 => {
                    let expected = "a prefix length of 1 to 128";
                    let prefix = PrefixLen::new(parsed(word, expected)?);
                    ClientMask::V6(prefix.map_err(|_| wrong(word, expected))?)
                }
            };
        }
        persistence.engine = self.value("pe", "the name of a persistence engine, as sip")?;
        Ok(persistence)
    }

    fn flags(&self, scheduler: SchedulerName) -> At<Flags> {
        let mut flags = Flags::NONE;
        let Some(word) = self.word("sched-flags") else {
            return Ok(flags);
        };
        for name in word.text.split(',') {
            match (name, scheduler) {
                ("flag-1", _)
                | ("sh-fallback", SchedulerName::SH)
                | ("mh-fallback", SchedulerName::MH) => flags.fallback = true,
                ("flag-2", _) | ("sh-port", SchedulerName::SH) | ("mh-port", SchedulerName::MH) => {
                    flags.port = true;
                }
                ("flag-3", _) => flags.third = true,
                _ => {
                    let expected = format!(
                        "a list of flags of {scheduler}: flag-1, flag-2, flag-3, of sh and mh \
                         also NAME-fallback, NAME-port"
                    );
                    return Err(wrong(word, &expected));
                }
            }
        }
        Ok(flags)
    }

    /// The destination. Its port is the service's if none is given, and also if it is forwarded by
    /// direct route or tunnel, whatever is given: so does ipvsadm.
    fn server(&self, service: &ServiceKey) -> At<Endpoint> {
        let missing = || self.missing("a destination: -r");
        let word = self.word("real-server").ok_or_else(missing)?;
        let (address, port) = address_and_port(word)?;
        Ok(Endpoint::new(
            address,
            port.or_else(|| service.port()).unwrap_or(0),
        ))
    }

    fn destination(&self) -> At<(ServiceKey, Endpoint, DestinationSettings)> {
        let service = self.service()?;
        let mut destination = self.server(&service)?;
        let forwarding = self.forwarding()?;
        destination.port = forwarding.fixed_port(&service).unwrap_or(destination.port);
        let weight = match self.word("weight") {
            None => Weight::DEFAULT,
            Some(word) => {
                let expected = "a weight of 0 to 2147483647";
                Weight::new(parsed(word, expected)?).map_err(|_| wrong(word, expected))?
            }
        };
        let expected = "a number of connections, 0 to 2147483647";
        let upper = self.value("u-threshold", expected)?.unwrap_or(0);
        let lower = self.value("l-threshold", expected)?.unwrap_or(0);
        let thresholds = Thresholds::new(upper, lower).map_err(|error| {
            let option = self
                .find("l-threshold")
                .or_else(|| self.find("u-threshold"));
            let column = option.map_or(self.command.column, |option| option.column);
            (column, Problem::Thresholds(error))
        })?;
        Ok((
            service,
            destination,
            DestinationSettings {
                forwarding,
                weight,
                thresholds,
            },
        ))
    }

    fn forwarding(&self) -> At<Forwarding> {
        let method = self.one_of(&METHODS)?;
        let tunnel = self.tunnel()?;
        match (method.map(|option| option.name), tunnel) {
            (Some("ipip"), tunnel) => Ok(Forwarding::Tunnel(tunnel.unwrap_or_default())),
            (_, Some(_)) => Err(self.missing("-i where --tun-type is given")),
            (Some("masquerading"), None) => Ok(Forwarding::Masquerade),
            (_, None) => Ok(Forwarding::DirectRoute),
        }
    }

    fn tunnel(&self) -> At<Option<Tunnel>> {
        let checksum = self.one_of(&CHECKSUMS)?;
        let port = self.find("tun-port");
        let Some(kind) = self.word("tun-type") else {
            return match checksum.or(port) {
                Some(option) => Err((option.column, self.missing("--tun-type for that").1)),
                None => Ok(None),
            };
        };
        let refuse = |option: &Given<'_>| {
            let (column, option) = (option.column, option.name);
            Err((
                column,
                Problem::NotHere {
                    option,
                    command: "tun-type",
                },
            ))
        };
        let of_checksum = checksum.map(|option| option.name);
        Ok(Some(match kind.text {
            "ipip" => match checksum.or(port) {
                Some(option) => return refuse(option),
                None => Tunnel::Ipip,
            },
            "gue" => Tunnel::Gue {
                port: self
                    .value("tun-port", "a port of 1 to 65535")?
                    .ok_or_else(|| self.missing("--tun-port for --tun-type gue"))?,
                checksum: match of_checksum {
                    Some("tun-csum") => GueChecksum::Csum,
                    Some("tun-remcsum") => GueChecksum::Remcsum,
                    _ => GueChecksum::None,
                },
            },
            "gre" => match (port, checksum) {
                (Some(option), _) => return refuse(option),
                (None, Some(option)) if option.name == "tun-remcsum" => return refuse(option),
                (None, Some(option)) if option.name == "tun-csum" => Tunnel::Gre {
                    checksum: GreChecksum::Csum,
                },
                (None, _) => Tunnel::Gre {
                    checksum: GreChecksum::None,
                },
            },
            _ => return Err(wrong(kind, "a kind of tunnel: ipip, gue or gre")),
        }))
    }

    fn timeouts(&self) -> At<TimeoutChange> {
        let expected = "a timeout in seconds, 1 to 2147483, or 0 to keep it";
        let seconds = |place: usize| -> At<Option<Seconds>> {
            let missing = || self.missing("three timeouts");
            let word = *self.command.values.get(place).ok_or_else(missing)?;
            let seconds: u32 = parsed(word, expected)?;
            Ok(Some(seconds)
                .filter(|seconds| *seconds > 0)
                .map(Seconds::new))
        };
        Ok(TimeoutChange {
            tcp: seconds(0)?,
            tcp_fin: seconds(1)?,
            udp: seconds(2)?,
        })
    }

    fn role(&self) -> At<SyncRole> {
        let missing = || self.missing("master or backup");
        let word = *self.command.values.first().ok_or_else(missing)?;
        match word.text {
            "master" => Ok(SyncRole::Master),
            "backup" => Ok(SyncRole::Backup),
            _ => Err(wrong(word, "master or backup")),
        }
    }

    fn daemon(&self) -> At<SyncDaemon> {
        let interface = self.value("mcast-interface", "the name of an interface, as eth0")?;
        let default = || "eth0".parse().expect("it is a name");
        let mut daemon = SyncDaemon::new(self.role()?, interface.unwrap_or_else(default));
        daemon.sync_id = self.value("syncid", "a number of 0 to 255")?.unwrap_or(0);
        if let Some(word) = self.word("sync-maxlen") {
            let expected = "a length in bytes, 1 to 65507";
            let length = SyncMaxLength::new(parsed(word, expected)?);
            daemon.max_length = Some(length.map_err(|_| wrong(word, expected))?);
        }
        daemon.group = self.value::<IpAddr>("mcast-group", "a group, as 224.0.0.81")?;
        daemon.port = self.value::<NonZeroU16>("mcast-port", "a port of 1 to 65535")?;
        daemon.ttl = self.value::<NonZeroU8>("mcast-ttl", "a number of hops, 1 to 255")?;
        Ok(daemon)
    }
}

fn wrong(word: Word<'_>, expected: &str) -> (usize, Problem) {
    let (text, expected) = (word.text.to_owned(), expected.to_owned());
    (word.column, Problem::Value { text, expected })
}

fn parsed<T: FromStr>(word: Word<'_>, expected: &str) -> At<T> {
    word.text.parse().map_err(|_| wrong(word, expected))
}

/// `10.0.0.1:80`, `10.0.0.1`, `[fd00::1]:80` or `fd00::1`.
fn address_and_port(word: Word<'_>) -> At<(IpAddr, Option<u16>)> {
    if let Ok(Endpoint { address, port }) = word.text.parse() {
        return Ok((address, Some(port)));
    }
    let expected = "an address and a port in numbers, as 10.0.0.1:80 or [fd00::1]:80";
    Ok((parsed(word, expected)?, None))
}
