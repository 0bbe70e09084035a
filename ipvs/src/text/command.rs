//! What a command of ipvsadm means.

mod daemon;
mod destination;
mod service;

use std::{net::IpAddr, str::FromStr};

use super::{
    Problem,
    options::{Given, Word, options},
};
use crate::{Change, Endpoint, Seconds, TimeoutChange};

/// Something that is wrong in a column.
type At<T> = Result<T, (usize, Problem)>;

const SERVICES: [&str; 4] = [
    "tcp-service",
    "udp-service",
    "sctp-service",
    "fwmark-service",
];

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
