//! The options of ipvsadm, and what this program has beyond them.

/// How many arguments an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    One,
    /// One that does not begin with `-`, if there is one.
    MaybeOne,
    /// Three that do not begin with `-`.
    Three,
}

/// An option.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) letter: Option<char>,
    /// Its word, by which it is known here.
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// What ipvsadm calls it in its messages: options with the same name exclude each other.
    pub(crate) called: &'static str,
    pub(crate) is_command: bool,
}

impl Known {
    const fn command(
        letter: Option<char>,
        name: &'static str,
        takes: Takes,
        called: &'static str,
    ) -> Self {
        let is_command = true;
        Self {
            letter,
            name,
            takes,
            called,
            is_command,
        }
    }

    const fn option(
        letter: Option<char>,
        name: &'static str,
        takes: Takes,
        called: &'static str,
    ) -> Self {
        let is_command = false;
        Self {
            letter,
            name,
            takes,
            called,
            is_command,
        }
    }
}

/// All of them. The options are in the order in which ipvsadm complains of them.
pub(crate) const KNOWN: &[Known] = &[
    Known::command(Some('A'), "add-service", Takes::Nothing, "add-service"),
    Known::command(Some('E'), "edit-service", Takes::Nothing, "edit-service"),
    Known::command(
        Some('D'),
        "delete-service",
        Takes::Nothing,
        "delete-service",
    ),
    Known::command(Some('C'), "clear", Takes::Nothing, "flush"),
    Known::command(Some('L'), "list", Takes::Nothing, "list"),
    Known::command(Some('l'), "list", Takes::Nothing, "list"),
    Known::command(Some('a'), "add-server", Takes::Nothing, "add-server"),
    Known::command(Some('d'), "delete-server", Takes::Nothing, "delete-server"),
    Known::command(Some('e'), "edit-server", Takes::Nothing, "edit-server"),
    Known::command(None, "set", Takes::Three, "set"),
    Known::command(None, "start-daemon", Takes::One, "start-daemon"),
    Known::command(None, "stop-daemon", Takes::One, "stop-daemon"),
    Known::command(Some('R'), "restore", Takes::Nothing, "restore"),
    Known::command(Some('S'), "save", Takes::Nothing, "save"),
    Known::command(Some('Z'), "zero", Takes::Nothing, "zero"),
    Known::command(Some('h'), "help", Takes::Nothing, "help"),
    Known::command(Some('v'), "version", Takes::Nothing, "version"),
    Known::option(Some('n'), "numeric", Takes::Nothing, "numeric"),
    Known::option(Some('c'), "connection", Takes::Nothing, "connection"),
    Known::option(Some('t'), "tcp-service", Takes::One, SERVICE),
    Known::option(Some('u'), "udp-service", Takes::One, SERVICE),
    Known::option(None, "sctp-service", Takes::One, SERVICE),
    Known::option(Some('f'), "fwmark-service", Takes::One, SERVICE),
    Known::option(Some('s'), "scheduler", Takes::One, "scheduler"),
    Known::option(Some('p'), "persistent", Takes::MaybeOne, "persistent"),
    Known::option(Some('M'), "netmask", Takes::One, "netmask"),
    Known::option(Some('r'), "real-server", Takes::One, "real-server"),
    Known::option(
        Some('m'),
        "masquerading",
        Takes::Nothing,
        "forwarding-method",
    ),
    Known::option(Some('i'), "ipip", Takes::Nothing, "forwarding-method"),
    Known::option(Some('g'), "gatewaying", Takes::Nothing, "forwarding-method"),
    Known::option(Some('w'), "weight", Takes::One, "weight"),
    Known::option(Some('x'), "u-threshold", Takes::One, "u-threshold"),
    Known::option(Some('y'), "l-threshold", Takes::One, "l-threshold"),
    Known::option(None, "mcast-interface", Takes::One, "mcast-interface"),
    Known::option(None, "timeout", Takes::Nothing, "timeout"),
    Known::option(None, "daemon", Takes::Nothing, "daemon"),
    Known::option(None, "stats", Takes::Nothing, "stats"),
    Known::option(None, "rate", Takes::Nothing, "rate"),
    Known::option(None, "thresholds", Takes::Nothing, "thresholds"),
    Known::option(None, "persistent-conn", Takes::Nothing, "persistent-conn"),
    Known::option(None, "nosort", Takes::Nothing, "nosort"),
    Known::option(None, "sort", Takes::Nothing, SORT),
    Known::option(None, "syncid", Takes::One, "syncid"),
    Known::option(Some('X'), "exact", Takes::Nothing, "exact"),
    Known::option(Some('6'), "ipv6", Takes::Nothing, "ipv6"),
    Known::option(Some('o'), "ops", Takes::Nothing, "ops"),
    Known::option(None, "pe", Takes::One, "pe"),
    Known::option(Some('b'), "sched-flags", Takes::One, "sched-flags"),
    Known::option(None, "mcast-group", Takes::One, "mcast-group"),
    Known::option(None, "mcast-port", Takes::One, "mcast-port"),
    Known::option(None, "mcast-ttl", Takes::One, "mcast-ttl"),
    Known::option(None, "sync-maxlen", Takes::One, "sync-maxlen"),
    Known::option(None, "tun-info", Takes::Nothing, "tun-info"),
    Known::option(None, "tun-type", Takes::One, "tun-type"),
    Known::option(None, "tun-port", Takes::One, "tun-port"),
    Known::option(None, "tun-nocsum", Takes::Nothing, "tun-nocsum"),
    Known::option(None, "tun-csum", Takes::Nothing, "tun-csum"),
    Known::option(None, "tun-remcsum", Takes::Nothing, "tun-remcsum"),
    Known::option(None, "json", Takes::Nothing, "json"),
    Known::option(None, "order", Takes::One, "order"),
    Known::option(None, "dry-run", Takes::Nothing, "dry-run"),
    Known::option(None, "complete", Takes::Nothing, "complete"),
    Known::option(None, "replace", Takes::Nothing, "replace"),
    Known::option(None, "no-rollback", Takes::Nothing, "no-rollback"),
];

/// What ipvsadm calls the four options that name a service.
pub(crate) const SERVICE: &str = "service-address";
/// What every command takes and which does nothing, as in ipvsadm: sorted is the default.
const SORT: &str = "sort";

const OF_SERVICE: &[&str] = &[
    SERVICE,
    "scheduler",
    "persistent",
    "netmask",
    "ops",
    "pe",
    "sched-flags",
    "dry-run",
    "json",
];
const OF_SERVER: &[&str] = &[
    SERVICE,
    "real-server",
    "forwarding-method",
    "weight",
    "u-threshold",
    "l-threshold",
    "tun-type",
    "tun-port",
    "tun-nocsum",
    "tun-csum",
    "tun-remcsum",
    "dry-run",
    "json",
];
const OF_LIST: &[&str] = &[
    "numeric",
    "connection",
    SERVICE,
    "timeout",
    "daemon",
    "stats",
    "rate",
    "thresholds",
    "persistent-conn",
    "nosort",
    "exact",
    "tun-info",
    "json",
    "order",
];
const OF_DAEMON: &[&str] = &[
    "mcast-interface",
    "syncid",
    "sync-maxlen",
    "mcast-group",
    "mcast-port",
    "mcast-ttl",
    "dry-run",
    "json",
];

/// What ipvsadm calls the options that a command must have, and those that it can have.
pub(crate) fn belonging_to(command: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match command {
        "add-service" | "edit-service" => (&[SERVICE], OF_SERVICE),
        "delete-service" => (&[SERVICE], &[SERVICE, "dry-run", "json"]),
        "add-server" | "edit-server" => (&[SERVICE, "real-server"], OF_SERVER),
        "delete-server" => (
            &[SERVICE, "real-server"],
            &[SERVICE, "real-server", "dry-run", "json"],
        ),
        "zero" => (&[], &[SERVICE, "dry-run", "json"]),
        "list" => (&[], OF_LIST),
        "save" => (&[], &["numeric", "complete", "order"]),
        "restore" => (&[], &["replace", "no-rollback", "dry-run", "json"]),
        "start-daemon" => (&[], OF_DAEMON),
        "stop-daemon" => (&[], &["syncid", "dry-run", "json"]),
        "set" | "clear" => (&[], &["dry-run", "json"]),
        _ => (&[], &[]),
    }
}

/// Whether every command takes an option: `--sort`, and `-6`, which goes with a service that has
/// to be in front of it.
pub(crate) fn goes_with_all(called: &str) -> bool {
    [SORT, "ipv6"].contains(&called)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_command_is_an_option() {
        for command in KNOWN.iter().filter(|known| known.is_command) {
            let (required, allowed) = belonging_to(command.name);
            assert!(required.iter().all(|called| allowed.contains(called)));
            for called in allowed {
                let mut options = KNOWN.iter().filter(|known| !known.is_command);
                assert!(options.any(|known| known.called == *called), "{called}");
            }
        }
    }

    #[test]
    fn no_letter_or_word_means_two_things() {
        for (at, known) in KNOWN.iter().enumerate() {
            for other in KNOWN.iter().skip(at + 1) {
                assert!(known.letter.is_none() || known.letter != other.letter);
                assert!(known.name != other.name || known.name == "list");
            }
        }
    }
}
