//! What went wrong, as ipvsadm says it, and what to do about it.

use std::{error::Error, fmt};

use ipvs::{
    Change, IpvsError, Refusal, RefusalReason, RuleError, TableError, ThresholdsError,
    text::Problem,
};

use crate::scan::Command;

/// How the program ended. ipvsadm's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the numbers that ipvsadm has")]
pub enum Status {
    /// 0: what was asked for was done.
    Done,
    /// 1: what was to be listed could not be.
    NotListed,
    /// 2: the command line, or a line that was to be restored, is wrong; nothing was done.
    Usage,
    /// 255: the command line is no command at all, or the kernel refused what was asked for.
    Refused,
}

impl Status {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotListed => 1,
            Self::Usage => 2,
            Self::Refused => 255,
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: Status,
    /// ipvsadm's words, where it has some: scripts look for them.
    pub(crate) message: String,
    /// What to do about it, in one line.
    pub(crate) help: Option<String>,
    /// Column of a line, or number of an argument, that is at fault.
    pub(crate) place: Option<usize>,
}

/// What `ipvsadm` prints below a command line that it does not make out.
pub(crate) const TRY_HELP: &str = "Try `ipvsctl -h' or 'ipvsctl --help' for more information.";

const INVALID: &str = "Invalid operation.  Possibly wrong module version, address not unicast, ...";
const NO_SCHEDULER: &str = "Scheduler or persistence engine not found";

impl Fault {
    /// A command line that is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }

    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            message,
            help: None,
            place: None,
        }
    }

    pub(crate) fn with_help(self, help: impl fmt::Display) -> Self {
        let help = Some(help.to_string());
        Self { help, ..self }
    }

    pub(crate) fn at(self, place: usize) -> Self {
        let place = Some(place);
        Self { place, ..self }
    }

    /// A value that an option does not take, in ipvsadm's words for that option.
    pub(crate) fn value(option: &str, text: &str) -> Self {
        let illegal = |what: &str| Self::usage(format!("illegal {what} specified"));
        match option {
            "persistent" | "set" => {
                Self::usage(format!("invalid timeout value `{text}' specified"))
            }
            "fwmark-service" => Self::usage(format!("invalid fwmark value `{text}' specified")),
            "tcp-service" | "udp-service" | "sctp-service" => {
                illegal("virtual server address[:port]")
            }
            "real-server" => illegal("real server address[:port]"),
            "netmask" => illegal("virtual server persistent mask"),
            "u-threshold" => illegal("u_threshold"),
            "l-threshold" => illegal("l_threshold"),
            "mcast-group" if text.contains(':') => {
                Self::usage(format!("invalid IPv6 mcast-group `{text}'"))
            }
            "mcast-group" => Self::usage(format!("invalid IPv4 mcast-group `{text}'")),
            "tun-type" => illegal("tunnel type"),
            "tun-port" => illegal("tunnel port"),
            "start-daemon" => illegal("start-daemon parameter"),
            "stop-daemon" => illegal("start_daemon"),
            "scheduler" | "pe" => Self::new(Status::Refused, NO_SCHEDULER),
            "mcast-interface" => Self::new(Status::Refused, "No such device"),
            other => illegal(other),
        }
    }

    /// What a saved table's language says against a command, of which `option` is at fault.
    pub(crate) fn of_problem(problem: &Problem, option: &str, command: &Command<'_>) -> Self {
        let tunnel = command.value("tun-type").unwrap_or("ipip");
        let fault = match problem {
            Problem::Value { text, .. } if option == "sched-flags" => {
                scheduler_flag(text, command.value("scheduler").unwrap_or("wlc"))
            }
            Problem::Value { expected, .. }
                if option == "netmask" && expected.contains("prefix") =>
            {
                Self::usage("illegal ipv6 netmask specified")
            }
            Problem::Value { text, .. } => Self::value(option, text),
            Problem::Thresholds(ThresholdsError::TooGreat { .. }) => Self::value("u-threshold", ""),
            Problem::Thresholds(_) => Self::new(Status::Refused, "Numerical result out of range"),
            Problem::Missing { missing, .. } if missing.starts_with("--tun-type") => Self::usage(
                format!("Illegal '{option}' option with the '{tunnel}' tunnel type"),
            ),
            Problem::NotHere { option, .. } => Self::usage(format!(
                "Illegal '{option}' option with the '{tunnel}' tunnel type"
            )),
            Problem::Conflict { option, other } => Self::usage(format!(
                "The option '{other}' conflicts with the '{option}' option in the '{tunnel}' \
                 tunnel type"
            )),
            Problem::Missing { missing, .. } if missing.starts_with("--tun-port") => Self::usage(
                format!("You need to supply the 'tun-port' option for the '{tunnel}' tunnel type"),
            ),
            Problem::Missing { missing, .. } if missing.starts_with("-i ") => {
                Self::usage("Tunnel options conflict with forward method")
            }
            Problem::Table(error) => Self::of_table(error, None),
            Problem::UnknownOption(_)
            | Problem::NoValue(_)
            | Problem::Repeated(_)
            | Problem::NotACommand(_)
            | Problem::Missing { .. }
            | _ => Self::usage(problem.to_string()),
        };
        if fault.help.is_some() || fault.message == problem.to_string() {
            return fault;
        }
        fault.with_help(problem)
    }

    /// What stands against a change of a table.
    pub(crate) fn of_table(error: &TableError, change: Option<&Change>) -> Self {
        let refused = |message| Self::new(Status::Refused, message);
        let fault = match error {
            TableError::Rule(rule) => of_rule(rule),
            TableError::ServiceExists { .. } => refused("Service already exists"),
            TableError::NoSuchService { .. } => refused(no_service(change)),
            TableError::DestinationExists { .. } => refused("Destination already exists"),
            TableError::NoSuchDestination { .. } => refused("No such destination"),
            TableError::DaemonExists { .. } => refused("Daemon has already run"),
            TableError::NoDaemon { .. } => refused("No daemon is running"),
            other => refused(&other.to_string()),
        };
        fault.with_help(error)
    }

    /// What the kernel says against a change.
    pub(crate) fn of_refusal(refusal: &Refusal) -> Self {
        let message = match &refusal.reason {
            RefusalReason::ServiceExists => "Service already exists",
            RefusalReason::NoSuchService => no_service(Some(&refusal.change)),
            RefusalReason::DestinationExists => "Destination already exists",
            RefusalReason::NoSuchDestination => "No such destination",
            RefusalReason::NoScheduler(_) | RefusalReason::NoSchedulerOrEngine(..) => NO_SCHEDULER,
            RefusalReason::DaemonRuns => "Daemon has already run",
            RefusalReason::NoDaemon => "No daemon is running",
            RefusalReason::NoInterface => "No such device",
            RefusalReason::Forbidden => "Permission denied (you must be root)",
            RefusalReason::Invalid => INVALID,
            RefusalReason::OutOfRange => "Numerical result out of range",
            RefusalReason::NoIpv6 => "Operation not supported with specified address family",
            RefusalReason::OutOfMemory => "Memory allocation problem",
            RefusalReason::Unsupported => "Protocol not available",
            RefusalReason::Other(_) | _ => &without_number(&refusal.reason.to_string()),
        };
        Self::new(Status::Refused, message).with_help(refusal)
    }

    /// A kernel that does not tell its table, or cannot be asked for changes.
    pub(crate) fn of_kernel(error: &IpvsError, status: Status) -> Self {
        let (status, message) = match error {
            IpvsError::Unavailable { .. } => (
                Status::Usage,
                "Can't initialize ipvs: Protocol not available",
            ),
            IpvsError::Forbidden { .. } => (
                Status::Usage,
                "Can't initialize ipvs: Permission denied (you must be root)",
            ),
            IpvsError::NoSocket { .. }
            | IpvsError::Refused { .. }
            | IpvsError::NoConnections { .. }
            | IpvsError::Unanswered { .. }
            | _ => (status, "Can't read or change the table"),
        };
        Self::new(status, message).with_help(chain(error))
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// ipvsadm's message, and what to do about it on a second line.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        match &self.help {
            Some(help) => writeln!(f, "ipvsctl: {help}"),
            None => Ok(()),
        }
    }
}

fn of_rule(rule: &RuleError) -> Fault {
    match rule {
        RuleError::EveryPortWithoutPersistence { .. } => {
            Fault::usage("Zero port specified for non-persistent service")
        }
        RuleError::OnePacketNotUdp { .. } => {
            Fault::usage("One-Packet Scheduling is only for UDP virtual services")
        }
        RuleError::MaskOfOtherFamily { mask, .. } => Fault::value("netmask", mask),
        RuleError::PersistenceTimeout { timeout } => {
            Fault::value("persistent", &timeout.to_string())
        }
        RuleError::MixedFamilies { .. } => {
            Fault::usage("Different address family is allowed only for tunneling servers")
        }
        RuleError::PortNotTranslated { destination, .. } => {
            Fault::value("real-server", &destination.to_string())
        }
        RuleError::NotMulticast { group } => Fault::value("mcast-group", &group.to_string()),
        // The kernel's answer to all others.
        RuleError::MixedFamiliesWithDaemon { .. }
        | RuleError::NotUnicast { .. }
        | RuleError::Timeout { .. }
        | _ => Fault::new(Status::Refused, INVALID),
    }
}

/// Services are missed in two ways.
fn no_service(change: Option<&Change>) -> &'static str {
    let of_destination = change.is_some_and(|change| {
        matches!(
            change,
            Change::AddDestination { .. }
                | Change::SetDestination { .. }
                | Change::RemoveDestination { .. }
        )
    });
    match of_destination {
        true => "Service not defined",
        false => "No such service",
    }
}

/// The first flag of a list that its scheduler does not know, or that nobody does.
fn scheduler_flag(list: &str, scheduler: &str) -> Fault {
    let general = ["flag-1", "flag-2", "flag-3"];
    let of_some = ["sh-fallback", "sh-port", "mh-fallback", "mh-port"];
    let known = |flag: &str| {
        let own = flag.split('-').next() == Some(scheduler);
        general.contains(&flag) || (own && of_some.contains(&flag))
    };
    let mut unknown = list.split(',').filter(|flag| !known(flag));
    let flag = unknown.next().unwrap_or(list);
    let what = if of_some.contains(&flag) {
        "incompatible"
    } else {
        "invalid"
    };
    Fault::usage(format!("{what} scheduler flag `{flag}'"))
}

/// The system's words for an error without its number.
fn without_number(text: &str) -> String {
    let end = text.find(" (os error").unwrap_or(text.len());
    text.chars().take(end).collect()
}

/// A fault in one line of text, with the line that it comes from.
pub(crate) fn in_line(line: Option<usize>, fault: &Fault) -> String {
    let line = line.map(|line| match fault.place {
        Some(column) => format!("line {line}, column {column}: "),
        None => format!("line {line}: "),
    });
    let line = line.unwrap_or_default();
    match &fault.help {
        Some(help) if fault.message == TRY_HELP => format!("{line}{help}"),
        Some(help) => format!("{line}{}: {help}", fault.message),
        None => format!("{line}{}", fault.message),
    }
}
