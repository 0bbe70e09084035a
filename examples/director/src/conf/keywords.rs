//! Every keyword of keepalived.conf, block by block, and what director makes of it.
//!
//! This file is the one place that says which words there are: the nearest-word hints, "belongs
//! to another block", the places of missing braces and "not done yet" all come from it. The
//! words are those of keepalived.conf(5) and of the releases up to 2.4.3, and three of director's
//! own, `forwarding_path`, `slow_start` and `full_nat_source`: keepalived tells that it does not know
//! them, and goes on.

mod balancing;
mod global;
#[cfg(test)]
mod manual;
mod vrrp;

pub(super) use balancing::{
    DNS_CHECK, FILE_CHECK, HOST, HTTP_GET, MISC_CHECK, PING_CHECK, REAL_SERVER, SMTP_CHECK, SSL,
    SSL_GET, TCP_CHECK, UDP_CHECK, URL, VIRTUAL_SERVER, VIRTUAL_SERVER_GROUP,
};
pub(super) use global::GLOBAL_DEFS;
pub(super) use vrrp::{
    AUTHENTICATION, BFD_INSTANCE, GARP_GROUP, INTERFACE_UP_DOWN_DELAYS, LINKBEAT_INTERFACES,
    STATIC_IPADDRESS, STATIC_ROUTES, STATIC_RULES, TRACK_FILE, TRACK_FILE_LIST, TRACK_GROUP,
    TRACK_INTERFACE, TRACK_SCRIPT, VRRP_INSTANCE, VRRP_SCRIPT, VRRP_SYNC_GROUP, VRRP_TRACK_PROCESS,
};

/// A kind of block.
#[derive(Debug)]
pub(super) struct Block {
    /// The keyword that opens it; `""` for the file itself.
    pub(super) name: &'static str,
    pub(super) content: Content,
}

/// What a block holds.
#[derive(Debug)]
pub(super) enum Content {
    Keywords(&'static [Keyword]),
    /// Lines that start with no keyword; the text says what an entry is.
    Entries(&'static str),
}

/// A keyword of a block.
#[derive(Debug)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) support: Support,
    /// Whether it may stand in its block more than once.
    pub(super) repeatable: bool,
}

/// Whether a keyword has a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Line,
    Block(&'static Block),
}

/// What director does with a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    Done,
    /// keepalived does it, director does not yet.
    NotYet,
    /// As [`NotYet`](Self::NotYet), and nothing to leave out: authentication.
    NotYetVital,
    /// keepalived does it, director leaves it to something else; the text says to what.
    Refused(&'static str),
    /// It changes nothing, in keepalived neither; the text says why.
    NoEffect(&'static str),
    /// An old name of the keyword given.
    OldNameOf(&'static str),
    /// Another name of the keyword given, as good as that.
    OtherNameOf(&'static str),
}

impl Block {
    pub(super) fn keywords(&self) -> &'static [Keyword] {
        match self.content {
            Content::Keywords(keywords) => keywords,
            Content::Entries(_) => &[],
        }
    }

    pub(super) fn keyword(&self, name: &str) -> Option<&'static Keyword> {
        self.keywords().iter().find(|keyword| keyword.name == name)
    }

    /// The kind of block that a keyword of this block opens.
    pub(super) fn block(&self, keyword: &str) -> Option<&'static Self> {
        match self.keyword(keyword)?.form {
            Form::Block(block) => Some(block),
            Form::Line => None,
        }
    }

    /// How to speak of it.
    pub(super) fn described(&self) -> String {
        if self.name.is_empty() {
            "the file, outside any block".to_owned()
        } else {
            format!("`{}`", self.name)
        }
    }
}

/// The blocks that have a keyword, the file itself included.
pub(super) fn blocks_with(keyword: &str) -> Vec<&'static Block> {
    let mut found: Vec<&'static Block> = Vec::new();
    let mut pending = vec![&FILE];
    while let Some(block) = pending.pop() {
        if block.keyword(keyword).is_some() && !found.iter().any(|f| f.name == block.name) {
            found.push(block);
        }
        let inner = block.keywords().iter().rev();
        pending.extend(inner.filter_map(|keyword| match keyword.form {
            Form::Block(block) => Some(block),
            Form::Line => None,
        }));
    }
    found
}

const fn line(name: &'static str) -> Keyword {
    Keyword {
        name,
        form: Form::Line,
        support: Support::Done,
        repeatable: false,
    }
}

const fn block(name: &'static str, block: &'static Block) -> Keyword {
    Keyword {
        form: Form::Block(block),
        ..line(name)
    }
}

/// As [`line()`], and known not to be done.
const fn later(name: &'static str) -> Keyword {
    Keyword {
        support: Support::NotYet,
        repeatable: true,
        ..line(name)
    }
}

/// As [`block`], and known not to be done.
const fn later_block(name: &'static str, of: &'static Block) -> Keyword {
    Keyword {
        support: Support::NotYet,
        repeatable: true,
        ..block(name, of)
    }
}

/// As [`later()`], and left to something else.
const fn refused(name: &'static str, because: &'static str) -> Keyword {
    Keyword {
        support: Support::Refused(because),
        ..later(name)
    }
}

/// As [`refused`], of a block.
const fn refused_block(name: &'static str, of: &'static Block, because: &'static str) -> Keyword {
    Keyword {
        support: Support::Refused(because),
        ..later_block(name, of)
    }
}

const fn no_effect(name: &'static str, because: &'static str) -> Keyword {
    Keyword {
        support: Support::NoEffect(because),
        ..line(name)
    }
}

const fn old_name(name: &'static str, of: &'static str) -> Keyword {
    Keyword {
        support: Support::OldNameOf(of),
        ..line(name)
    }
}

const fn other_name(name: &'static str, of: &'static str) -> Keyword {
    Keyword {
        support: Support::OtherNameOf(of),
        ..line(name)
    }
}

const fn repeatable(keyword: Keyword) -> Keyword {
    Keyword {
        repeatable: true,
        ..keyword
    }
}

/// The file itself.
pub(super) static FILE: Block = Block {
    name: "",
    content: Content::Keywords(&[
        repeatable(block("global_defs", &GLOBAL_DEFS)),
        repeatable(block("vrrp_instance", &VRRP_INSTANCE)),
        repeatable(block("vrrp_sync_group", &VRRP_SYNC_GROUP)),
        repeatable(block("vrrp_script", &VRRP_SCRIPT)),
        // Processes and namespaces.
        later("net_namespace"),
        refused("net_namespace_ipvs", ONE_NAMESPACE),
        later("namespace_with_ipsets"),
        later("instance"),
        later("use_pid_dir"),
        later("child_wait_time"),
        // Interfaces, static addresses, trackers.
        later("linkbeat_use_polling"),
        later_block("linkbeat_interfaces", &LINKBEAT_INTERFACES),
        later_block("interface_up_down_delays", &INTERFACE_UP_DOWN_DELAYS),
        later_block("garp_group", &GARP_GROUP),
        later_block("track_group", &TRACK_GROUP),
        later_block("static_ipaddress", &STATIC_IPADDRESS),
        later_block("static_routes", &STATIC_ROUTES),
        later_block("static_rules", &STATIC_RULES),
        repeatable(block("track_file", &TRACK_FILE)),
        repeatable(Keyword {
            form: Form::Block(&TRACK_FILE),
            ..old_name("vrrp_track_file", "track_file")
        }),
        later_block("vrrp_track_process", &VRRP_TRACK_PROCESS),
        refused_block("bfd_instance", &BFD_INSTANCE, BFD),
        // Load balancing.
        repeatable(block("virtual_server", &VIRTUAL_SERVER)),
        repeatable(block("virtual_server_group", &VIRTUAL_SERVER_GROUP)),
        block("SSL", &SSL),
    ]),
};

const MAIL: &str = "director sends no mail; let `notify`, `notify_up`, `notify_down`, `quorum_up` \
                    and `quorum_down` run a program that does";
const BFD: &str =
    "director does not speak BFD; follow a BFD daemon by `vrrp_script` or `MISC_CHECK`";
const SNMP: &str = "director does not speak SNMP; `director status` and `ipvsctl` tell the same";
const ONE_NAMESPACE: &str = "director works in the network namespace that it is started in; start \
                             it with `ip netns exec`";
const SERVICE_EACH: &str = "director sets up a service for each address of a group; for one \
                            service alone mark the packets by a rule of your own and write \
                            `virtual_server fwmark N`";
const NOTHING_LOST: &str = "where messages of the kernel are lost, all is read anew";
const ONE_PROCESS: &str = "director is one process";
const SCHEDULED_WHOLE: &str = "director is one process, in which checks cannot delay VRRP; set \
                               this for the whole of it where it is started, as in the unit of \
                               systemd";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_block_has_a_keyword_twice() {
        let mut pending = vec![&FILE];
        while let Some(block) = pending.pop() {
            let mut seen = BTreeSet::new();
            for keyword in block.keywords() {
                assert!(seen.insert(keyword.name), "{} {}", block.name, keyword.name);
                if let Form::Block(inner) = keyword.form {
                    pending.push(inner);
                }
            }
        }
    }

    #[test]
    fn another_name_stands_for_a_keyword_of_its_block() {
        let mut pending = vec![&FILE];
        while let Some(block) = pending.pop() {
            for keyword in block.keywords() {
                if let Support::OldNameOf(name) | Support::OtherNameOf(name) = keyword.support {
                    assert!(block.keyword(name).is_some(), "{} {name}", block.name);
                }
                if let Form::Block(inner) = keyword.form {
                    pending.push(inner);
                }
            }
        }
    }

    #[test]
    fn a_keyword_is_found_in_every_block_that_has_it() {
        let names = |keyword| {
            let blocks = blocks_with(keyword);
            blocks.iter().map(|block| block.name).collect::<Vec<_>>()
        };
        assert_eq!(names("vrrp_instance"), [""]);
        assert_eq!(names("auth_pass"), ["authentication"]);
        assert_eq!(names("misc_path"), ["MISC_CHECK"]);
        assert!(names("nonsense").is_empty());
    }
}
