//! Every keyword of keepalived.conf, block by block, and what director makes of it.
//!
//! This file is the one place that says which words there are: the nearest-word hints, "belongs
//! to another block", the places of missing braces and "not done yet" all come from it. The
//! words are those of keepalived.conf(5) and of the releases up to 2.4.3, and `forwarding_path`, which
//! is director's own: keepalived tells that it does not know it, and goes on.

mod balancing;
#[cfg(test)]
mod manual;

pub(super) use balancing::{
    DNS_CHECK, FILE_CHECK, HOST, HTTP_GET, MISC_CHECK, PING_CHECK, REAL_SERVER, SMTP_CHECK, SSL,
    SSL_GET, TCP_CHECK, UDP_CHECK, URL, VIRTUAL_SERVER, VIRTUAL_SERVER_GROUP,
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

pub(super) static GLOBAL_DEFS: Block = Block {
    name: "global_defs",
    content: Content::Keywords(&[
        line("router_id"),
        line("default_interface"),
        line("script_user"),
        line("enable_script_security"),
        line("vrrp_version"),
        line("vrrp_mcast_group4"),
        line("vrrp_mcast_group6"),
        line("vrrp_garp_master_delay"),
        line("vrrp_garp_master_repeat"),
        line("vrrp_garp_master_refresh"),
        line("vrrp_garp_master_refresh_repeat"),
        line("vrrp_garp_lower_prio_delay"),
        line("vrrp_garp_lower_prio_repeat"),
        line("vrrp_garp_interval"),
        line("vrrp_gna_interval"),
        line("vrrp_min_garp"),
        line("vrrp_down_timer_adverts"),
        line("vrrp_lower_prio_no_advert"),
        line("vrrp_higher_prio_send_advert"),
        line("vrrp_check_unicast_src"),
        line("vrrp_skip_check_adv_addr"),
        line("vrrp_startup_delay"),
        line("log_unknown_vrids"),
        line("random_seed"),
        repeatable(line("include_check")),
        // Mail.
        refused_block("notification_email", &NOTIFICATION_EMAIL, MAIL),
        refused("notification_email_from", MAIL),
        refused("smtp_server", MAIL),
        refused("smtp_helo_name", MAIL),
        refused("smtp_connect_timeout", MAIL),
        refused("smtp_alert", MAIL),
        refused("smtp_alert_vrrp", MAIL),
        refused("smtp_alert_checker", MAIL),
        refused("no_email_faults", MAIL),
        refused("no_checker_emails", MAIL),
        // Notification.
        later("startup_script"),
        later("startup_script_timeout"),
        later("shutdown_script"),
        later("shutdown_script_timeout"),
        line("notify_fifo"),
        line("notify_fifo_script"),
        line("vrrp_notify_fifo"),
        line("vrrp_notify_fifo_script"),
        line("lvs_notify_fifo"),
        line("lvs_notify_fifo_script"),
        later("fifo_write_vrrp_states_on_reload"),
        later("vrrp_notify_priority_changes"),
        line("rs_init_notifies"),
        line("checker_log_all_failures"),
        // VRRP.
        later("vrrp_strict"),
        later("vrrp_garp_extra_if"),
        later("vrrp_vmac_garp_intvl"),
        later("vmac_prefix"),
        later("vmac_addr_prefix"),
        later("dynamic_interfaces"),
        later("disable_local_igmp"),
        later("vrrp_delay_after_boot"),
        // Firewall.
        later("nftables"),
        later("nftables_priority"),
        later("nftables_counters"),
        later("nftables_ifindex"),
        refused("nftables_ipvs", SERVICE_EACH),
        refused("nftables_ipvs_priority", SERVICE_EACH),
        refused("nftables_ipvs_start_fwmark", SERVICE_EACH),
        later("vrrp_iptables"),
        later("vrrp_ipsets"),
        // Load balancing.
        line("lvs_sync_daemon"),
        line("lvs_timeouts"),
        line("lvs_flush"),
        line("lvs_flush_on_stop"),
        old_name("lvs_flush_onstop", "lvs_flush_on_stop"),
        // Processes.
        later("process_names"),
        later("process_name"),
        later("vrrp_process_name"),
        no_effect("checker_process_name", ONE_PROCESS),
        no_effect("lvs_process_name", ONE_PROCESS),
        refused("bfd_process_name", BFD),
        later("max_auto_priority"),
        later("min_auto_priority_delay"),
        later("vrrp_priority"),
        refused("checker_priority", SCHEDULED_WHOLE),
        refused("bfd_priority", BFD),
        later("vrrp_no_swap"),
        refused("checker_no_swap", SCHEDULED_WHOLE),
        refused("bfd_no_swap", BFD),
        later("vrrp_cpu_affinity"),
        refused("checker_cpu_affinity", SCHEDULED_WHOLE),
        refused("bfd_cpu_affinity", BFD),
        later("vrrp_rt_priority"),
        refused("checker_rt_priority", SCHEDULED_WHOLE),
        refused("bfd_rt_priority", BFD),
        later("vrrp_rlimit_rttime"),
        refused("checker_rlimit_rttime", SCHEDULED_WHOLE),
        refused("bfd_rlimit_rttime", BFD),
        later("vrrp_rlimit_rtime"),
        refused("checker_rlimit_rtime", SCHEDULED_WHOLE),
        refused("bfd_rlimit_rtime", BFD),
        later("umask"),
        later("use_symlink_paths"),
        later("set_supplementary_groups"),
        // SNMP, D-Bus.
        refused("snmp_socket", SNMP),
        refused("snmp_vs_stats_update_interval", SNMP),
        refused("snmp_rs_stats_update_interval", SNMP),
        refused("enable_snmp_vrrp", SNMP),
        refused("enable_snmp_keepalived", SNMP),
        refused("enable_snmp_checker", SNMP),
        refused("enable_snmp_rfc", SNMP),
        refused("enable_snmp_rfcv2", SNMP),
        refused("enable_snmp_rfcv3", SNMP),
        refused("enable_traps", SNMP),
        later("enable_dbus"),
        later("dbus_service_name"),
        later("dbus_no_interface_name"),
        // Buffers.
        later("vrrp_netlink_cmd_rcv_bufs"),
        later("vrrp_netlink_cmd_rcv_bufs_force"),
        later("vrrp_netlink_monitor_rcv_bufs"),
        later("vrrp_netlink_monitor_rcv_bufs_force"),
        no_effect("lvs_netlink_cmd_rcv_bufs", NOTHING_LOST),
        no_effect("lvs_netlink_cmd_rcv_bufs_force", NOTHING_LOST),
        no_effect("lvs_netlink_monitor_rcv_bufs", NOTHING_LOST),
        no_effect("lvs_netlink_monitor_rcv_bufs_force", NOTHING_LOST),
        later("process_monitor_rcv_bufs"),
        later("process_monitor_rcv_bufs_force"),
        later("vrrp_rx_bufs_policy"),
        later("vrrp_rx_bufs_multiplier"),
        // Configuration and reload.
        later("tmp_config_directory"),
        later("config_save_dir"),
        later("reload_check_config"),
        later("reload_time_file"),
        later("reload_repeat"),
        later("reload_file"),
        later("data_use_instance"),
        later("state_dump_file"),
        later("stats_dump_file"),
        later("json_dump_file"),
        later("json_version"),
    ]),
};

pub(super) static VRRP_INSTANCE: Block = Block {
    name: "vrrp_instance",
    content: Content::Keywords(&[
        line("state"),
        line("interface"),
        line("version"),
        line("virtual_router_id"),
        line("priority"),
        line("advert_int"),
        block("authentication", &AUTHENTICATION),
        repeatable(block("virtual_ipaddress", &VIRTUAL_IPADDRESS)),
        repeatable(block(
            "virtual_ipaddress_excluded",
            &VIRTUAL_IPADDRESS_EXCLUDED,
        )),
        line("native_ipv6"),
        // Election.
        line("nopreempt"),
        line("preempt"),
        line("preempt_delay"),
        line("down_timer_adverts"),
        line("lower_prio_no_advert"),
        line("higher_prio_send_advert"),
        line("skip_check_adv_addr"),
        // Sending.
        line("mcast_src_ip"),
        line("mcast_dst_ip"),
        line("unicast_src_ip"),
        repeatable(block("unicast_peer", &UNICAST_PEER)),
        line("unicast_ttl"),
        line("check_unicast_src"),
        line("v3_checksum_as_v2"),
        // Gratuitous ARP.
        line("garp_master_delay"),
        line("garp_master_repeat"),
        line("garp_master_refresh"),
        line("garp_master_refresh_repeat"),
        line("garp_lower_prio_delay"),
        line("garp_lower_prio_repeat"),
        // Trackers.
        repeatable(block("track_script", &TRACK_SCRIPT)),
        repeatable(block("track_interface", &TRACK_INTERFACE)),
        repeatable(block("track_file", &TRACK_FILE_LIST)),
        line("dont_track_primary"),
        // Notification.
        line("notify_master"),
        line("notify_backup"),
        line("notify_fault"),
        line("notify_stop"),
        line("notify_deleted"),
        line("notify_master_rx_lower_pri"),
        line("notify"),
        line("accept"),
        no_effect("debug", "keepalived reads it and does nothing with it"),
        later("notify_priority_changes"),
        refused("smtp_alert", MAIL),
        later("no_accept"),
        later("strict_mode"),
        later("vrf"),
        later("use_vmac"),
        later("use_vmac_addr"),
        later("vmac_xmit_base"),
        later("use_ipvlan"),
        later_block("track_process", &TRACK_PROCESS_LIST),
        refused_block("track_bfd", &TRACK_BFD_LIST, BFD),
        later("track_src_ip"),
        later("unicast_fault_no_peer"),
        later("old_unicast_checksum"),
        later("garp_extra_if"),
        later("vmac_garp_intvl"),
        later_block("virtual_routes", &VIRTUAL_ROUTES),
        later_block("virtual_rules", &VIRTUAL_RULES),
        later("no_virtual_ipaddress"),
        later("promote_secondaries"),
        later("owner_ignore_adverts"),
        later("timer_expired_backup"),
        later("thread_timer_expired"),
        Keyword {
            support: Support::NotYetVital,
            ..block("auth_hmac", &AUTH_HMAC)
        },
        later("kernel_rx_buf_size"),
        later("linkbeat_use_polling"),
        later("lvs_sync_daemon_interface"),
    ]),
};

pub(super) static AUTHENTICATION: Block = Block {
    name: "authentication",
    content: Content::Keywords(&[line("auth_type"), line("auth_pass")]),
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

static AUTH_HMAC: Block = Block {
    name: "auth_hmac",
    content: Content::Keywords(&[
        later("key"),
        later("active_key"),
        later("time_window"),
        later("anti_replay"),
        later("mode"),
    ]),
};

pub(super) static VIRTUAL_IPADDRESS: Block = Block {
    name: "virtual_ipaddress",
    content: Content::Entries("an address"),
};

pub(super) static VIRTUAL_IPADDRESS_EXCLUDED: Block = Block {
    name: "virtual_ipaddress_excluded",
    content: Content::Entries("an address"),
};

pub(super) static UNICAST_PEER: Block = Block {
    name: "unicast_peer",
    content: Content::Entries("a peer's address"),
};

pub(super) static TRACK_SCRIPT: Block = Block {
    name: "track_script",
    content: Content::Entries("the name of a vrrp_script"),
};

pub(super) static TRACK_INTERFACE: Block = Block {
    name: "track_interface",
    content: Content::Entries("an interface"),
};

pub(super) static TRACK_FILE_LIST: Block = Block {
    name: "track_file",
    content: Content::Entries("the name of a track_file"),
};

static TRACK_PROCESS_LIST: Block = Block {
    name: "track_process",
    content: Content::Entries("the name of a vrrp_track_process"),
};

static TRACK_BFD_LIST: Block = Block {
    name: "track_bfd",
    content: Content::Entries("the name of a bfd_instance"),
};

static VIRTUAL_ROUTES: Block = Block {
    name: "virtual_routes",
    content: Content::Entries("a route"),
};

static VIRTUAL_RULES: Block = Block {
    name: "virtual_rules",
    content: Content::Entries("a rule"),
};

pub(super) static VRRP_SYNC_GROUP: Block = Block {
    name: "vrrp_sync_group",
    content: Content::Keywords(&[
        block("group", &GROUP),
        repeatable(block("track_script", &TRACK_SCRIPT)),
        repeatable(block("track_interface", &TRACK_INTERFACE)),
        repeatable(block("track_file", &TRACK_FILE_LIST)),
        line("notify_master"),
        line("notify_backup"),
        line("notify_fault"),
        line("notify_stop"),
        line("notify"),
        line("sync_group_tracking_weight"),
        old_name("global_tracking", "sync_group_tracking_weight"),
        later_block("track_process", &TRACK_PROCESS_LIST),
        refused_block("track_bfd", &TRACK_BFD_LIST, BFD),
        later("notify_priority_changes"),
        refused("smtp_alert", MAIL),
    ]),
};

pub(super) static GROUP: Block = Block {
    name: "group",
    content: Content::Entries("the name of a vrrp_instance"),
};

pub(super) static VRRP_SCRIPT: Block = Block {
    name: "vrrp_script",
    content: Content::Keywords(&[
        line("script"),
        line("interval"),
        line("timeout"),
        line("weight"),
        line("rise"),
        line("fall"),
        line("user"),
        line("init_fail"),
    ]),
};

static NOTIFICATION_EMAIL: Block = Block {
    name: "notification_email",
    content: Content::Entries("a mail address"),
};

static LINKBEAT_INTERFACES: Block = Block {
    name: "linkbeat_interfaces",
    content: Content::Entries("an interface"),
};

static INTERFACE_UP_DOWN_DELAYS: Block = Block {
    name: "interface_up_down_delays",
    content: Content::Entries("an interface with its delays"),
};

static GARP_GROUP: Block = Block {
    name: "garp_group",
    content: Content::Keywords(&[
        later("garp_interval"),
        later("gna_interval"),
        later("interface"),
        later_block("interfaces", &GARP_INTERFACES),
    ]),
};

static GARP_INTERFACES: Block = Block {
    name: "interfaces",
    content: Content::Entries("an interface"),
};

static TRACK_GROUP: Block = Block {
    name: "track_group",
    content: Content::Keywords(&[later_block("group", &GROUP)]),
};

static STATIC_IPADDRESS: Block = Block {
    name: "static_ipaddress",
    content: Content::Entries("an address"),
};

static STATIC_ROUTES: Block = Block {
    name: "static_routes",
    content: Content::Entries("a route"),
};

static STATIC_RULES: Block = Block {
    name: "static_rules",
    content: Content::Entries("a rule"),
};

pub(super) static TRACK_FILE: Block = Block {
    name: "track_file",
    content: Content::Keywords(&[line("file"), line("weight"), line("init_file")]),
};

static VRRP_TRACK_PROCESS: Block = Block {
    name: "vrrp_track_process",
    content: Content::Keywords(&[
        later("process"),
        later("param_match"),
        later("weight"),
        later("quorum"),
        later("quorum_max"),
        later("fork_delay"),
        later("terminate_delay"),
        later("delay"),
        later("full_command"),
    ]),
};

static BFD_INSTANCE: Block = Block {
    name: "bfd_instance",
    content: Content::Keywords(&[
        later("neighbor_ip"),
        later("neighbour_ip"),
        later("source_ip"),
        later("min_rx"),
        later("min_tx"),
        later("idle_tx"),
        later("multiplier"),
        later("passive"),
        later("multihop"),
        later("ttl"),
        later("hoplimit"),
        later("max_hops"),
        later("weight"),
        later("vrrp"),
        later("checker"),
    ]),
};

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
