//! What a command line asks for.

use ipvs::{
    Change, Protocol, ServiceKey,
    text::{self, Columns, Dialect, ListOptions, Order},
};

use crate::{
    fault::Fault,
    host::Host,
    names,
    scan::{Command, Given},
};

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Version,
    List {
        view: View,
        options: ListOptions,
        numeric: bool,
        json: bool,
    },
    Save {
        dialect: Dialect,
        numeric: bool,
    },
    Restore(Restore),
    Change {
        change: Change,
        /// What was given without effect.
        idle: Vec<&'static str>,
        dry_run: DryRun,
    },
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Services,
    Service(ServiceKey),
    Connections { engines: bool },
    Timeouts,
    Daemons,
}

/// How a table is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restore {
    /// Services that are not restored go.
    pub(crate) replace: bool,
    /// What was changed is changed back if the rest is refused.
    pub(crate) rollback: bool,
    pub(crate) dry_run: DryRun,
}

/// Whether changes are made or only told, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DryRun {
    No,
    Text,
    Json,
}

impl Request {
    /// What a command asks for, with hosts and services looked up.
    pub(crate) async fn read(command: &Command<'_>, host: &dyn Host) -> Result<Self, Fault> {
        let numeric = command.has("numeric");
        let dry_run = match (command.has("dry-run"), command.has("json")) {
            (false, _) => DryRun::No,
            (true, false) => DryRun::Text,
            (true, true) => DryRun::Json,
        };
        Ok(match command.name() {
            "help" => Self::Help,
            "version" => Self::Version,
            "list" => Self::List {
                view: view(command, host).await?,
                options: ListOptions {
                    columns: columns(command),
                    order: order(command)?,
                    exact: command.has("exact"),
                },
                numeric,
                json: command.has("json"),
            },
            "save" => {
                let complete = command.has("complete");
                let dialect = if complete {
                    Dialect::Complete
                } else {
                    Dialect::Ipvsadm
                };
                Self::Save { dialect, numeric }
            }
            "restore" => Self::Restore(Restore {
                replace: command.has("replace"),
                rollback: !command.has("no-rollback"),
                dry_run,
            }),
            _ => Self::Change {
                change: change(command, host).await?,
                idle: idle(command),
                dry_run,
            },
        })
    }
}

/// Options without effect. ipvsadm takes them without a word.
pub(crate) fn idle(command: &Command<'_>) -> Vec<&'static str> {
    if command.has("persistent") {
        return Vec::new();
    }
    let names = ["netmask", "pe"].into_iter();
    names.filter(|name| command.has(name)).collect()
}

fn columns(command: &Command<'_>) -> Columns {
    // If there are several, ipvsadm goes by the first of these.
    let views = [
        ("stats", Columns::Stats),
        ("rate", Columns::Rate),
        ("thresholds", Columns::Thresholds),
        ("persistent-conn", Columns::PersistentConn),
        ("tun-info", Columns::TunInfo),
    ];
    let mut views = views.into_iter().filter(|(name, _)| command.has(name));
    views.next().map_or(Columns::Plain, |(_, columns)| columns)
}

fn order(command: &Command<'_>) -> Result<Order, Fault> {
    let by_name = match command.value("order") {
        None => None,
        Some("ipvsadm") => Some(Order::Ipvsadm),
        Some("numeric") => Some(Order::Numeric),
        Some("kernel") => Some(Order::Kernel),
        Some(_) => {
            let fault = Fault::usage("illegal order specified");
            return Err(fault.with_help("write --order ipvsadm, numeric or kernel"));
        }
    };
    match (by_name, command.has("nosort")) {
        (None, true) => Ok(Order::Kernel),
        (Some(order), true) if order != Order::Kernel => Err(Fault::usage(
            "The option 'order' conflicts with the 'nosort' option in the 'list' command",
        )),
        (order, _) => Ok(order.unwrap_or(Order::Ipvsadm)),
    }
}

async fn view(command: &Command<'_>, host: &dyn Host) -> Result<View, Fault> {
    Ok(if command.has("connection") {
        let engines = command.has("persistent-conn");
        View::Connections { engines }
    } else if command.has("timeout") {
        View::Timeouts
    } else if command.has("daemon") {
        View::Daemons
    } else if let Some(given) = command.service() {
        View::Service(service(command, given, host).await?)
    } else {
        View::Services
    })
}

/// The service that an option names. Saved tables name them alike, so it is read as one's line.
async fn service(
    command: &Command<'_>,
    given: &Given<'_>,
    host: &dyn Host,
) -> Result<ServiceKey, Fault> {
    let mut words = vec![
        "--delete-service".to_owned(),
        format!("--{}", given.known.name),
    ];
    words.extend(values(given, protocol_of(given), host).await?);
    words.extend(command.find("ipv6").map(|_| "--ipv6".to_owned()));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let change = text::parse_words(&words).map_err(|(_, problem)| {
        Fault::of_problem(&problem, given.known.name, command).at(given.word.column)
    })?;
    let service = change.service();
    Ok(service.expect("a service is removed, which was named"))
}

/// The change that a command makes. Saved tables have the same language, but for names and
/// clusters of letters, so the command is read as a line of one.
pub(crate) async fn change(command: &Command<'_>, host: &dyn Host) -> Result<Change, Fault> {
    let idle = idle(command);
    let protocol = command.service().and_then(protocol_of);
    let own = ["sort", "dry-run", "json"];
    let options = command.options.iter().filter(|given| {
        let name = given.known.name;
        !own.contains(&name) && !idle.contains(&name)
    });
    let (mut words, mut origins) = (Vec::new(), Vec::new());
    for given in [&command.given].into_iter().chain(options) {
        words.push(format!("--{}", given.known.name));
        words.extend(values(given, protocol, host).await?);
        origins.resize(words.len(), given);
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    text::parse_words(&words).map_err(|(place, problem)| {
        let given = origins.get(place).copied().unwrap_or(&command.given);
        Fault::of_problem(&problem, given.known.name, command).at(given.word.column)
    })
}

/// The arguments of an option; addresses and ports in numbers.
async fn values(
    given: &Given<'_>,
    protocol: Option<Protocol>,
    host: &dyn Host,
) -> Result<Vec<String>, Fault> {
    let name = given.known.name;
    let endpoint = name == "real-server" || protocol_of(given).is_some();
    let mut values = Vec::new();
    for text in &given.values {
        values.push(match endpoint {
            true => names::in_numbers(text, protocol, host)
                .await
                .map_err(|why| {
                    let fault = Fault::value(name, text).with_help(why);
                    fault.at(given.word.column)
                })?,
            false => (*text).to_owned(),
        });
    }
    Ok(values)
}

fn protocol_of(given: &Given<'_>) -> Option<Protocol> {
    match given.known.name {
        "tcp-service" => Some(Protocol::Tcp),
        "udp-service" => Some(Protocol::Udp),
        "sctp-service" => Some(Protocol::Sctp),
        _ => None,
    }
}
