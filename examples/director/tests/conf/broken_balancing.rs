//! Broken virtual servers: what is said about each, where, and that nothing else is said.

use director::conf::Code::{self, *};

use crate::{broken::expect, support::loaded};

fn service(lines: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n{lines}\n\
         real_server 10.0.0.1 80 {{\n}}\n}}\n"
    )
}

fn server(lines: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
         real_server 10.0.0.1 80 {{\n{lines}\n}}\n}}\n"
    )
}

fn each(around: fn(&str) -> String, cases: &[(&[Code], &str)]) {
    for (codes, marked) in cases {
        expect(codes, &around(marked));
    }
}

fn whole(text: &str) -> String {
    text.to_owned()
}

#[test]
fn of_defaults_that_few_expect() {
    expect(
        &[AssumedDefault, AssumedDefault, AssumedDefault],
        "«««virtual_server 192.0.2.1 80 {\nreal_server 10.0.0.1 80 {\n}\n}\n",
    );
}

#[test]
fn of_names() {
    let rest = "protocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.1 80 {\n}\n}\n";
    for (code, name) in [
        (MissingValue, "«virtual_server"),
        (WrongValue, "virtual_server «192.0.2.256 80"),
        (WrongValue, "virtual_server 192.0.2.1 «65536"),
        (UnexpectedWord, "virtual_server 192.0.2.1 80 «81"),
        (WrongValue, "virtual_server fwmark «0"),
        (MissingValue, "virtual_server «group"),
        (UnknownGroup, "«virtual_server group G"),
        (MissingKeyword, "«virtual_server 192.0.2.1"),
    ] {
        expect(&[code], &format!("{name} {{\n{rest}"));
    }
}

#[test]
fn of_virtual_servers() {
    each(
        service,
        &[
            (&[UnknownKeyword], "«persistance_timeout 50"),
            (&[WrongBlock], "«uthreshold 5"),
            (&[NotYet], "«smtp_alert"),
            (&[Ignored], "«hashed"),
            (&[WrongValue], "quorum «0"),
            (&[WrongValue], "delay_loop «0"),
            (&[WrongValue], "retry «0"),
            (&[WrongValue], "persistence_timeout «0"),
            (&[Conflict], "«ops"),
            (&[Conflict], "«mh-port"),
            (&[QuorumOutOfReach], "«quorum 2"),
            (&[QuorumOutOfReach], "«hysteresis 1"),
            (&[MissingKeyword], "«persistence_engine sip"),
            (
                &[WrongFamily],
                "persistence_timeout 50\n«persistence_granularity 64",
            ),
            (&[WrongFamily], "sorry_server «::1 80"),
            (&[WrongAddress], "sorry_server «224.0.0.1 80"),
            (&[MissingKeyword], "«sorry_server_inhibit"),
            (&[WrongFamily], "«ip_family inet6"),
            (&[WrongFamily], "real_server «fd00::1 80 {\n}"),
            (&[WrongAddress], "real_server «0.0.0.0 80 {\n}"),
        ],
    );
    expect(
        &[Unused],
        "virtual_server fwmark 1 {\nlb_algo rr\nlb_kind NAT\n«ha_suspend\n\
         real_server 10.0.0.1 80 {\n}\n}\n",
    );
    expect(
        &[MissingKeyword],
        "«virtual_server 192.0.2.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n}\n",
    );
    expect(
        &[DuplicateEntry],
        &service("real_server 10.0.0.2 80 {\n}\nreal_server «10.0.0.2 80 {\n}"),
    );
}

#[test]
fn of_schedulers_and_forwarding() {
    let with = |algo: &str, kind: &str| {
        format!(
            "virtual_server 192.0.2.1 80 {{\nprotocol TCP\n{algo}\n{kind}\n\
             real_server 10.0.0.1 80 {{\n}}\n}}\n"
        )
    };
    expect(&[HashWithoutFallback], &with("«lb_algo sh", "lb_kind NAT"));
    expect(
        &[HashWithoutFallback],
        &with("«lvs_sched mh\nmh-port", "lb_kind NAT"),
    );
    expect(&[WrongValue], &with("lb_algo «wrrr", "lb_kind NAT"));
    for (code, kind) in [
        (WrongValue, "lb_kind «nat"),
        (WrongValue, "lb_kind TUN «gue"),
        (WrongValue, "lb_kind TUN type «vxlan"),
        (MissingValue, "lb_kind TUN type «gue"),
        (Conflict, "lb_kind TUN type gre «remcsum"),
        (Conflict, "lb_kind TUN «csum"),
        (Conflict, "lb_kind TUN type gre «port 5"),
        (UnexpectedWord, "lb_kind DR «type gre"),
    ] {
        expect(&[code], &with("lb_algo rr", kind));
    }
}

#[test]
fn of_real_servers() {
    each(
        server,
        &[
            (&[WrongValue], "weight «2147483648"),
            (&[WrongThresholds], "«lthreshold 5"),
            (&[WrongThresholds], "uthreshold 5\n«lthreshold 6"),
            (&[WrongThresholds], "«uthreshold 2147483648"),
            (&[NotYet], "«BFD_CHECK {\nname x\n}"),
            (&[UnknownFile], "FILE_CHECK {\ntrack_file «x\n}"),
            (&[MissingKeyword], "«FILE_CHECK {\nweight 2\n}"),
            (&[UnknownKeyword], "«TCP_CHEK {\n}"),
            (&[MissingBlock], "«TCP_CHECK"),
        ],
    );
    expect(&[QuorumOutOfReach], &format!("«{}", server("weight 0")));
}

#[test]
fn of_ports_that_packets_keep() {
    let with = |name: &str, kind: &str, server: &str| {
        format!(
            "virtual_server {name} {{\n{}lb_algo rr\nlb_kind {kind}\nreal_server {server} {{\n}}\n}}\n",
            if name.starts_with("fwmark") {
                ""
            } else {
                "protocol TCP\n"
            }
        )
    };
    expect(
        &[PortsDiffer],
        &with("192.0.2.1 80", "DR", "«10.0.0.1 8080"),
    );
    expect(
        &[PortsDiffer],
        &with("192.0.2.1 80", "TUN", "«10.0.0.1 8080"),
    );
    expect(&[PortsDiffer], &with("fwmark 1", "DR", "«10.0.0.1 80"));
    expect(&[], &with("192.0.2.1 80", "NAT", "10.0.0.1 8080"));
    expect(&[], &with("192.0.2.1 80", "DR", "10.0.0.1"));
    expect(&[], &with("192.0.2.1 80", "TUN", "fd00::1 80"));
}

#[test]
fn of_udp_persistence_and_marks_with_a_protocol() {
    expect(
        &[UdpPersistence],
        "virtual_server 192.0.2.1 53 {\nprotocol UDP\nlb_algo rr\nlb_kind NAT\n\
         «persistence_timeout 50\nreal_server 10.0.0.1 53 {\n}\n}\n",
    );
    expect(
        &[Ignored],
        "virtual_server fwmark 1 {\n«protocol TCP\nlb_algo rr\nlb_kind NAT\n\
         real_server 10.0.0.1 {\n}\n}\n",
    );
}

#[test]
fn of_a_slow_start_where_weights_do_not_tell() {
    let text = |scheduler: &str, all: &str, one: &str| {
        format!(
            "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo {scheduler}\nlb_kind NAT\n\
             {all}\nreal_server {one}\n}}\n}}\n"
        )
    };
    for scheduler in ["rr", "lc", "fo", "ovf", "dh"] {
        let of_all = text(scheduler, "«slow_start 30", "10.0.0.1 80 {");
        expect(&[SlowStartWithoutWeights], &of_all);
        let of_one = text(scheduler, "", "«10.0.0.1 80 {\nslow_start 30");
        expect(&[SlowStartWithoutWeights], &of_one);
        expect(&[], &text(scheduler, "slow_start 0", "10.0.0.1 80 {"));
    }
    for scheduler in ["wrr", "wlc", "sed", "nq", "lblc", "lblcr", "twos"] {
        expect(
            &[],
            &text(scheduler, "slow_start 0.5", "10.0.0.1 80 {\nweight 9"),
        );
        expect(
            &[Unused],
            &text(scheduler, "slow_start 30", "«10.0.0.1 80 {"),
        );
    }
    expect(
        &[WrongValue],
        &text("wrr", "slow_start «3601", "10.0.0.1 80 {"),
    );
}

#[test]
fn of_checkers() {
    each(
        server,
        &[
            (&[DeprecatedKeyword], "TCP_CHECK {\n«nb_get_retry 3\n}"),
            (&[WrongValue], "TCP_CHECK {\nconnect_port «0\n}"),
            (&[WrongFamily], "TCP_CHECK {\n«bindto ::1\n}"),
            (&[WrongBlock], "TCP_CHECK {\n«misc_path /x\n}"),
            (&[MissingKeyword], "«HTTP_GET {\n}"),
            (&[MissingKeyword], "HTTP_GET {\n«url {\n}\n}"),
            (&[WrongValue], "HTTP_GET {\nurl {\npath «\"/a b\"\n}\n}"),
            (
                &[WrongValue],
                "HTTP_GET {\nurl {\npath /\nstatus_code 200 «99\n}\n}",
            ),
            (
                &[WrongValue],
                "HTTP_GET {\nurl {\npath /\nstatus_code «300-200\n}\n}",
            ),
            (
                &[MissingValue],
                "HTTP_GET {\nurl {\npath /\n«status_code\n}\n}",
            ),
            (
                &[WrongValue],
                "HTTP_GET {\nurl {\npath /\ndigest «abc\n}\n}",
            ),
            (
                &[WrongRegex],
                "HTTP_GET {\nurl {\npath /\nregex «\"a(b\"\n}\n}",
            ),
            (
                &[WrongRegex],
                "HTTP_GET {\nurl {\npath /\nregex «\"(?=x)\"\n}\n}",
            ),
            (
                &[Ignored],
                "HTTP_GET {\nurl {\npath /\n«regex_no_match\n}\n}",
            ),
            (
                &[NotYet],
                "HTTP_GET {\nurl {\npath /\nregex a\nregex_options «firstline\n}\n}",
            ),
            (
                &[WrongValue],
                "HTTP_GET {\nurl {\npath /\nregex a\nregex_options «foo\n}\n}",
            ),
            (&[Ignored], "HTTP_GET {\n«enable_sni\nurl {\npath /\n}\n}"),
            (&[WrongValue], "DNS_CHECK {\ntype «PTR\n}"),
            (&[WrongValue], "DNS_CHECK {\nname «a..b\n}"),
            (&[MissingKeyword], "«MISC_CHECK {\n}"),
            (&[UnexpectedWord], "MISC_CHECK {\nmisc_path /x «-a\n}"),
            (&[MissingValue], "UDP_CHECK {\n«payload\n}"),
            (&[WrongValue], "UDP_CHECK {\npayload «0x\n}"),
            (
                &[Conflict],
                "UDP_CHECK {\nrequire_reply\n«min_reply_length 300\n}",
            ),
            (&[Ignored], "UDP_CHECK {\n«min_reply_length 3\n}"),
            (&[Ignored], "PING_CHECK {\n«connect_port 80\n}"),
        ],
    );
    expect(
        &[MissingKeyword],
        "virtual_server fwmark 1 {\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.1 {\n\
         «TCP_CHECK {\n}\n}\n}\n",
    );
}

#[test]
fn of_groups() {
    let group = |lines: &str| {
        format!(
            "virtual_server_group G {{\n{lines}\n}}\nvirtual_server group G {{\nprotocol TCP\n\
             lb_algo rr\nlb_kind NAT\nreal_server 10.0.0.1 80 {{\n}}\n}}\n"
        )
    };
    each(
        group,
        &[
            (&[WrongAddress], "«192.0.2.9-3 80"),
            (&[WrongAddress], "«192.0.2.9/24 80"),
            (&[WrongAddress], "«10.0.0.0/8 80"),
            (&[WrongAddress], "«10.0.0.1-fd00::1 80"),
            (&[WrongValue], "192.0.2.9 «http"),
            (&[WrongValue], "fwmark 1 «ipv4"),
            (&[UnexpectedWord], "192.0.2.9 80 «81"),
            (&[UnexpectedBlock], "192.0.2.9 80 «{\n}"),
        ],
    );
    expect(
        &[EmptyBlock, EmptyGroup],
        &group("").replace("virtual_server", "«virtual_server"),
    );
    expect(
        &[DuplicateService],
        &group("192.0.2.9 80\n192.0.2.1-20 80").replace("virtual_server g", "«virtual_server g"),
    );
    expect(
        &[WrongFamily],
        &group("192.0.2.1 80\nfd00::1 80\n«fwmark 1"),
    );
    each(
        whole,
        &[
            (&[Unused], "«virtual_server_group G {\n192.0.2.1 80\n}\n"),
            (
                &[DuplicateName],
                "virtual_server_group G {\n192.0.2.1 80\n}\n\
                 «virtual_server_group G {\n192.0.2.2 80\n}\n\
                 virtual_server group G {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
                 real_server 10.0.0.1 80 {\n}\n}\n",
            ),
        ],
    );
}

#[test]
fn of_what_is_unknown_nothing_more_is_said() {
    let rest =
        "protocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.1 {\nTCP_CHECK {\n}\n}\n}\n";
    expect(
        &[UnknownGroup],
        &format!("«virtual_server group G {{\n{rest}"),
    );
    expect(
        &[WrongValue],
        &format!("virtual_server «here 80 {{\n{rest}"),
    );
    let group = "virtual_server_group G {\n«192.0.2.300 80\n}\n";
    expect(
        &[WrongAddress],
        &format!("{group}virtual_server group G {{\n{rest}"),
    );
}

#[test]
fn of_two_virtual_servers_for_one_service() {
    let one = service("");
    expect(&[DuplicateService], &format!("{one}«{one}"));
    let udp = one.replace("TCP", "UDP");
    expect(&[], &format!("{one}{udp}"));
}

#[test]
fn of_what_holds_for_all() {
    let global = |line: &str| format!("global_defs {{\n{line}\n}}\n");
    each(
        global,
        &[
            (&[MissingValue], "«lvs_sync_daemon"),
            (&[WrongValue], "lvs_sync_daemon eth0 id «256"),
            (&[WrongValue], "lvs_sync_daemon eth0 maxlen «65508"),
            (&[WrongValue], "lvs_sync_daemon eth0 group «10.0.0.1"),
            (&[WrongValue], "lvs_sync_daemon eth0 id 3 «foo"),
            (&[UnknownInstance], "lvs_sync_daemon eth0 «VI_1"),
            (&[MissingValue], "«lvs_timeouts"),
            (&[MissingValue], "lvs_timeouts «tcp"),
            (&[WrongValue], "lvs_timeouts tcp «2147484"),
            (&[WrongValue], "lvs_timeouts «sctp 5"),
            (&[WrongValue], "lvs_flush_on_stop «RS"),
            (&[DeprecatedKeyword], "«lvs_flush_onstop"),
        ],
    );
    expect(&[MissingKeyword], "«SSL {\nkey /k\n}\n");
    expect(
        &[Conflict],
        "global_defs {\n«lvs_sync_daemon eth0\n}\n\
         virtual_server 192.0.2.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind TUN\n\
         real_server fd00::1 80 {\n}\n}\n",
    );
}

#[test]
fn all_mistakes_of_a_virtual_server_are_said_at_once() {
    expect(
        &[
            WrongValue,
            WrongValue,
            WrongValue,
            UnknownKeyword,
            WrongValue,
        ],
        "virtual_server «192.0.2 80 {\nlb_algo «foo\nlb_kind «dr\nprotocol TCP\n\
         real_server 10.0.0.1 80 {\n«wieght 1\nTCP_CHECK {\nconnect_port «x\n}\n}\n}\n",
    );
}

#[test]
fn of_track_files() {
    let check = |file: &str, lines: &str| {
        format!("{file}\n{}", server(&format!("FILE_CHECK {{\n{lines}\n}}")))
    };
    let named = "track_file F";
    for (code, file) in [
        (MissingKeyword, "«track_file F {\nweight 1\n}"),
        (WrongValue, "track_file F {\nfile «relative\n}"),
        (WrongValue, "track_file F {\nfile /f\nweight «x\n}"),
        (WrongValue, "track_file F {\nfile /f\nweight 1 «back\n}"),
        (WrongValue, "track_file F {\nfile /f\ninit_file «x\n}"),
        (WrongValue, "track_file F {\nfile /f\ninit_file 1 «again\n}"),
    ] {
        expect(&[code], &check(file, named));
    }
    expect(
        &[UnknownFile],
        &check(
            "track_file F {\nfile /f\n}\ntrack_file G {\nfile /g\n}",
            "track_file «H\n}\nFILE_CHECK {\ntrack_file F\n}\nFILE_CHECK {\ntrack_file G",
        ),
    );
    expect(&[Unused], "«track_file F {\nfile /f\n}\n");
    expect(
        &[DuplicateName],
        &check(
            "track_file F {\nfile /f\n}\n«track_file F {\nfile /g\n}",
            named,
        ),
    );
    expect(
        &[DeprecatedKeyword],
        &check("«vrrp_track_file F {\nfile /f\n}", named),
    );
}

#[test]
fn of_forwarding_paths() {
    let by = |name: &str, kind: &str, service: &str, checker: &str| {
        format!(
            "virtual_server {name} {{\nprotocol TCP\nlb_algo rr\nlb_kind {kind}\n{service}\n\
             real_server 192.0.2.2 80 {{\n{checker}\n}}\n}}\n"
        )
    };
    let vip = "192.0.2.1 80";
    for (code, text) in [
        (
            Conflict,
            by(vip, "NAT", "", "TCP_CHECK {\n«forwarding_path\n}"),
        ),
        (
            Conflict,
            by(vip, "DR", "", "TCP_CHECK {\nforwarding_path\n«fwmark 3\n}"),
        ),
        (
            Conflict,
            by(
                "2001:db8::1 80",
                "TUN",
                "",
                "TCP_CHECK {\n«forwarding_path\n}",
            ),
        ),
        (Unused, by(vip, "NAT", "«forwarding_path", "TCP_CHECK {\n}")),
        (Unused, by(vip, "DR", "«forwarding_path", "PING_CHECK {\n}")),
        (
            WrongBlock,
            by(vip, "DR", "", "PING_CHECK {\n«forwarding_path\n}"),
        ),
    ] {
        expect(&[code], &text);
    }
    let of_mark = |checker: &str| by("fwmark 7", "DR", "", checker).replace("protocol TCP\n", "");
    let checker = "TCP_CHECK {\nforwarding_path\nconnect_port 80\n}";
    let text = of_mark(checker).replace("real_server 192.0.2.2 80", "real_server 192.0.2.2");
    expect(&[MissingKeyword], &text.replace("TCP_CHECK", "«TCP_CHECK"));
    expect(
        &[],
        &text.replace("connect_port 80", "connect_port 80\nconnect_ip 192.0.2.1"),
    );
}

#[test]
fn of_the_source_of_full_nat() {
    let by = |method: &str, source: &str| {
        format!(
            "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind {method}\n{source}\n\
             real_server 10.0.0.1 80 {{\n}}\nreal_server 10.0.0.2 80 {{\nlvs_method NAT\n}}\n}}\n"
        )
    };
    expect(&[], &by("FULLNAT", "full_nat_source 10.0.0.254"));
    expect(&[], &by("FULLNAT", "full_nat_source 10.0.0.250-254"));
    expect(&[], &by("FULLNAT", "full_nat_source 10.0.0.248/30"));
    for wrong in [
        "here",
        "10.0.0.9-8",
        "10.0.0.9-fd00::1",
        "224.0.0.1",
        "0.0.0.0/0",
    ] {
        let line = format!("full_nat_source «{wrong}");
        expect(&[WrongValue], &by("FULLNAT", &line));
    }
    expect(&[Unused], &by("NAT", "«full_nat_source 10.0.0.254"));
    expect(&[WrongFamily], &by("FULLNAT", "«full_nat_source fd00::1"));
}

/// What runs and is probably not meant: a user is told why, and what to do about it.
#[test]
fn each_doubt_has_a_reason_and_a_remedy() {
    let by = |protocol: &str, algo: &str, kind: &str, lines: &str, server: &str| {
        format!(
            "virtual_server 192.0.2.1 80 {{\n{protocol}\nlb_algo {algo}\nlb_kind {kind}\n{lines}\n\
             real_server 10.0.0.1 {server}\n}}\n"
        )
    };
    let tcp = "protocol TCP";
    let nopreempt = "vrrp_script S {\nscript /bin/true\nweight 2\n}\nvrrp_instance V {\n\
                     state BACKUP\ninterface e\nvirtual_router_id 1\nnopreempt\n\
                     virtual_ipaddress {\n1.2.3.4\n}\ntrack_script {\nS\n}\n}\n";
    for (code, text, reason, remedy) in [
        (
            HashWithoutFallback,
            by(tcp, "sh", "NAT", "", "80 {\n}"),
            "weight",
            "sh-fallback",
        ),
        (
            HashWithoutFallback,
            by(tcp, "mh", "NAT", "", "80 {\n}"),
            "weight",
            "mh-fallback",
        ),
        (
            PortsDiffer,
            by(tcp, "rr", "DR", "", "81 {\n}"),
            "gets port 80, not 81",
            "NAT",
        ),
        (
            QuorumOutOfReach,
            by(tcp, "rr", "NAT", "quorum 2", "80 {\n}"),
            "2",
            "at most 1",
        ),
        (
            UdpPersistence,
            by(
                "protocol UDP",
                "rr",
                "NAT",
                "persistence_timeout 50",
                "80 {\n}",
            ),
            "no end of a connection",
            "remove it",
        ),
        (
            WrongThresholds,
            by(tcp, "rr", "NAT", "", "80 {\nlthreshold 5\n}"),
            "the kernel refuses",
            "uthreshold",
        ),
        (
            AssumedDefault,
            by("", "rr", "NAT", "", "80 {\n}"),
            "UDP, not TCP",
            "protocol TCP",
        ),
        (NopreemptWeight, nopreempt.to_owned(), "never", "nopreempt"),
    ] {
        let diagnostics = loaded(&text).diagnostics;
        let [doubt] = &diagnostics[..] else {
            panic!("{code}: {diagnostics:#?}");
        };
        assert_eq!(doubt.code, code);
        assert!(doubt.message.contains(reason), "{}", doubt.message);
        let help = doubt.help.as_deref().unwrap_or_default();
        assert!(help.contains(remedy), "{code}: {help:?}");
    }
}
