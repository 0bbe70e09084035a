//! The keywords of VRRP: instances, sync groups, what they track, and what is set up beside them.

use super::{
    BFD, Block, Content, Keyword, MAIL, Support, block, later, later_block, line, no_effect,
    old_name, refused, refused_block, repeatable,
};

pub(in crate::conf) static VRRP_INSTANCE: Block = Block {
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
        line("notify_priority_changes"),
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

pub(in crate::conf) static AUTHENTICATION: Block = Block {
    name: "authentication",
    content: Content::Keywords(&[line("auth_type"), line("auth_pass")]),
};

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

static VIRTUAL_IPADDRESS: Block = Block {
    name: "virtual_ipaddress",
    content: Content::Entries("an address"),
};

static VIRTUAL_IPADDRESS_EXCLUDED: Block = Block {
    name: "virtual_ipaddress_excluded",
    content: Content::Entries("an address"),
};

static UNICAST_PEER: Block = Block {
    name: "unicast_peer",
    content: Content::Entries("a peer's address"),
};

pub(in crate::conf) static TRACK_SCRIPT: Block = Block {
    name: "track_script",
    content: Content::Entries("the name of a vrrp_script"),
};

pub(in crate::conf) static TRACK_INTERFACE: Block = Block {
    name: "track_interface",
    content: Content::Entries("an interface"),
};

pub(in crate::conf) static TRACK_FILE_LIST: Block = Block {
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

pub(in crate::conf) static VRRP_SYNC_GROUP: Block = Block {
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
        line("notify_priority_changes"),
        refused("smtp_alert", MAIL),
    ]),
};

static GROUP: Block = Block {
    name: "group",
    content: Content::Entries("the name of a vrrp_instance"),
};

pub(in crate::conf) static VRRP_SCRIPT: Block = Block {
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

pub(in crate::conf) static LINKBEAT_INTERFACES: Block = Block {
    name: "linkbeat_interfaces",
    content: Content::Entries("an interface"),
};

pub(in crate::conf) static INTERFACE_UP_DOWN_DELAYS: Block = Block {
    name: "interface_up_down_delays",
    content: Content::Entries("an interface with its delays"),
};

pub(in crate::conf) static GARP_GROUP: Block = Block {
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

pub(in crate::conf) static TRACK_GROUP: Block = Block {
    name: "track_group",
    content: Content::Keywords(&[later_block("group", &GROUP)]),
};

pub(in crate::conf) static STATIC_IPADDRESS: Block = Block {
    name: "static_ipaddress",
    content: Content::Entries("an address"),
};

pub(in crate::conf) static STATIC_ROUTES: Block = Block {
    name: "static_routes",
    content: Content::Entries("a route"),
};

pub(in crate::conf) static STATIC_RULES: Block = Block {
    name: "static_rules",
    content: Content::Entries("a rule"),
};

pub(in crate::conf) static TRACK_FILE: Block = Block {
    name: "track_file",
    content: Content::Keywords(&[line("file"), line("weight"), line("init_file")]),
};

pub(in crate::conf) static VRRP_TRACK_PROCESS: Block = Block {
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

pub(in crate::conf) static BFD_INSTANCE: Block = Block {
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
