//! The keywords of load balancing: virtual servers, real servers and their checkers.

use super::{
    BFD, Block, Content, MAIL, block, later, line, no_effect, old_name, other_name, refused,
    refused_block, repeatable,
};

pub(in crate::conf) static VIRTUAL_SERVER_GROUP: Block = Block {
    name: "virtual_server_group",
    content: Content::Entries("an address, a range or a fwmark"),
};

pub(in crate::conf) static SSL: Block = Block {
    name: "SSL",
    content: Content::Keywords(&[
        line("password"),
        line("ca"),
        line("certificate"),
        line("key"),
    ]),
};

pub(in crate::conf) static VIRTUAL_SERVER: Block = Block {
    name: "virtual_server",
    content: Content::Keywords(&[
        line("ip_family"),
        line("delay_loop"),
        other_name("lvs_sched", "lb_algo"),
        line("lb_algo"),
        no_effect("hashed", "the kernel sets that flag by itself"),
        line("flag-1"),
        line("flag-2"),
        line("flag-3"),
        line("sh-port"),
        line("sh-fallback"),
        line("mh-port"),
        line("mh-fallback"),
        line("ops"),
        other_name("lvs_method", "lb_kind"),
        line("lb_kind"),
        line("full_nat_source"),
        line("persistence_engine"),
        line("persistence_timeout"),
        line("persistence_granularity"),
        line("protocol"),
        line("ha_suspend"),
        line("forwarding_path"),
        line("slow_start"),
        refused("smtp_alert", MAIL),
        line("virtualhost"),
        no_effect("snmp_name", "director does not speak SNMP"),
        line("alpha"),
        line("omega"),
        line("quorum"),
        line("hysteresis"),
        line("quorum_up"),
        line("quorum_down"),
        line("sorry_server"),
        line("sorry_server_inhibit"),
        line("sorry_server_lvs_method"),
        line("connect_timeout"),
        line("retry"),
        line("delay_before_retry"),
        line("warmup"),
        line("inhibit_on_failure"),
        repeatable(block("real_server", &REAL_SERVER)),
    ]),
};

pub(in crate::conf) static REAL_SERVER: Block = Block {
    name: "real_server",
    content: Content::Keywords(&[
        line("weight"),
        line("lvs_method"),
        line("uthreshold"),
        line("lthreshold"),
        line("inhibit_on_failure"),
        line("slow_start"),
        line("notify_up"),
        line("notify_down"),
        line("alpha"),
        line("connect_timeout"),
        line("retry"),
        line("delay_before_retry"),
        line("warmup"),
        line("delay_loop"),
        refused("smtp_alert", MAIL),
        line("virtualhost"),
        no_effect("snmp_name", "director does not speak SNMP"),
        repeatable(block("HTTP_GET", &HTTP_GET)),
        repeatable(block("SSL_GET", &SSL_GET)),
        repeatable(block("TCP_CHECK", &TCP_CHECK)),
        repeatable(block("SMTP_CHECK", &SMTP_CHECK)),
        repeatable(block("DNS_CHECK", &DNS_CHECK)),
        repeatable(block("MISC_CHECK", &MISC_CHECK)),
        refused_block("BFD_CHECK", &BFD_CHECK, BFD),
        repeatable(block("PING_CHECK", &PING_CHECK)),
        repeatable(block("UDP_CHECK", &UDP_CHECK)),
        repeatable(block("FILE_CHECK", &FILE_CHECK)),
    ]),
};

/// A checker that opens a connection: the options all of them have, and its own.
macro_rules! connecting_checker {
    ($name:ident $keyword:literal [$($own:expr),* $(,)?]) => {
        pub(in crate::conf) static $name: Block = Block {
            name: $keyword,
            content: Content::Keywords(&[
                line("connect_ip"),
                line("connect_port"),
                line("bindto"),
                line("bind_if"),
                line("bind_port"),
                line("fwmark"),
                line("connect_timeout"),
                line("alpha"),
                line("retry"),
                old_name("nb_get_retry", "retry"),
                line("delay_before_retry"),
                line("warmup"),
                line("delay_loop"),
                line("log_all_failures"),
                line("forwarding_path"),
                $($own,)*
            ]),
        };
    };
}

connecting_checker!(HTTP_GET "HTTP_GET" [
    line("http_protocol"),
    line("fast_recovery"),
    line("virtualhost"),
    repeatable(block("url", &URL)),
    no_effect("enable_sni", "HTTP_GET does not use TLS"),
]);
connecting_checker!(SSL_GET "SSL_GET" [
    line("http_protocol"),
    line("fast_recovery"),
    line("virtualhost"),
    line("enable_sni"),
    line("sni_name"),
    line("tls_compliant"),
    repeatable(block("url", &URL)),
]);
connecting_checker!(TCP_CHECK "TCP_CHECK" []);
connecting_checker!(SMTP_CHECK "SMTP_CHECK" [line("helo_name"), repeatable(block("host", &HOST))]);
connecting_checker!(DNS_CHECK "DNS_CHECK" [line("type"), line("name")]);
connecting_checker!(UDP_CHECK "UDP_CHECK" [
    line("payload"),
    line("require_reply"),
    line("min_reply_length"),
    line("max_reply_length"),
]);

pub(in crate::conf) static URL: Block = Block {
    name: "url",
    content: Content::Keywords(&[
        line("path"),
        line("digest"),
        line("status_code"),
        line("virtualhost"),
        line("regex"),
        line("regex_no_match"),
        line("regex_options"),
        no_effect(
            "regex_stack",
            "matching here takes a bounded amount of memory",
        ),
        line("regex_min_offset"),
        line("regex_max_offset"),
        line("tls_compliant"),
    ]),
};

pub(in crate::conf) static HOST: Block = Block {
    name: "host",
    content: Content::Keywords(&[
        line("connect_ip"),
        line("connect_port"),
        line("bindto"),
        line("bind_if"),
        line("bind_port"),
        line("fwmark"),
        line("connect_timeout"),
    ]),
};

pub(in crate::conf) static MISC_CHECK: Block = Block {
    name: "MISC_CHECK",
    content: Content::Keywords(&[
        line("misc_path"),
        line("misc_timeout"),
        line("misc_dynamic"),
        line("user"),
        line("alpha"),
        line("retry"),
        line("delay_before_retry"),
        line("warmup"),
        line("delay_loop"),
        line("log_all_failures"),
    ]),
};

static BFD_CHECK: Block = Block {
    name: "BFD_CHECK",
    content: Content::Keywords(&[later("name"), later("alpha")]),
};

pub(in crate::conf) static FILE_CHECK: Block = Block {
    name: "FILE_CHECK",
    content: Content::Keywords(&[line("track_file"), line("weight")]),
};

/// As the checkers that connect, but for ports.
pub(in crate::conf) static PING_CHECK: Block = Block {
    name: "PING_CHECK",
    content: Content::Keywords(&[
        line("connect_ip"),
        no_effect("connect_port", NO_PORT),
        line("bindto"),
        line("bind_if"),
        no_effect("bind_port", NO_PORT),
        line("fwmark"),
        line("connect_timeout"),
        line("alpha"),
        line("retry"),
        line("delay_before_retry"),
        line("warmup"),
        line("delay_loop"),
        line("log_all_failures"),
    ]),
};

const NO_PORT: &str = "a ping has no port";
