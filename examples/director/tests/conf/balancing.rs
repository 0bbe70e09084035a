//! What good virtual servers mean.

use std::{net::IpAddr, time::Duration};

use director::conf::model::{
    Check, CheckKind, FlushOnStop, HttpVersion, RealServer, RecordType, Served, ServerName,
    StatusRange, Vip, VirtualServer,
};
use health::{CheckConfig, Counted, Initial, WhenDown};
use ipvs::{
    ClientMask, Endpoint, Family, Flags, Forwarding, GueChecksum, Persistence, Protocol,
    SchedulerName, Seconds, ServiceKey, SyncRole, Tunnel,
};

use crate::support::{good, loaded};

/// A virtual server with some lines, and a real server with others.
fn text(service: &str, server: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n{service}\n\
         real_server 10.0.0.1 80 {{\n{server}\n}}\n}}\n"
    )
}

#[track_caller]
fn virtual_server(service: &str, server: &str) -> VirtualServer {
    let mut servers = good(&text(service, server)).virtual_servers;
    assert_eq!(servers.len(), 1);
    servers.remove(0)
}

#[track_caller]
fn real_server(lines: &str) -> RealServer {
    virtual_server("", lines).real_servers.remove(0)
}

#[track_caller]
fn check(service: &str, lines: &str) -> Check {
    let mut checks = virtual_server(service, lines).real_servers.remove(0).checks;
    assert_eq!(checks.len(), 1);
    checks.remove(0)
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an address and a port")
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_virtual_server_has_keepaliveds_defaults() {
    let server = virtual_server("", "");
    assert_eq!(server.services, [ServiceKey::tcp(endpoint("192.0.2.1:80"))]);
    assert_eq!((server.flags, server.persistence), (Flags::NONE, None));
    assert!(!server.alpha && !server.omega);
    assert!(server.sorry_server.is_none());
    assert!(server.quorum_up.is_none() && server.quorum_down.is_none());
    assert!(server.quorum.is_reached(false, 1) && !server.quorum.is_reached(false, 0));
    let [real] = &server.real_servers[..] else {
        panic!("one real server");
    };
    assert_eq!(real.destination.settings.weight.get(), 1);
    assert_eq!(real.destination.settings.forwarding, Forwarding::Masquerade);
    assert!(!real.inhibit_on_failure && real.checks.is_empty());
}

#[test]
fn without_protocol_scheduler_and_forwarding_it_is_udp_wlc_and_nat() {
    let loaded = loaded("virtual_server 192.0.2.1 53 {\nreal_server 10.0.0.1 53 {\n}\n}\n");
    let said: Vec<&str> = loaded.diagnostics.iter().map(|d| &*d.message).collect();
    assert_eq!(said.len(), 3);
    for part in ["it is UDP, not TCP", "wlc", "NAT"] {
        assert!(said.iter().any(|message| message.contains(part)), "{part}");
    }
    let server = &loaded.config.unwrap().virtual_servers[0];
    assert_eq!(server.services[0].protocol(), Some(Protocol::Udp));
    assert_eq!(server.scheduler, SchedulerName::WLC);
    let settings = server.real_servers[0].destination.settings;
    assert_eq!(settings.forwarding, Forwarding::Masquerade);
}

#[test]
fn every_setting_of_a_virtual_server_is_there() {
    let server = virtual_server(
        "persistence_timeout 50\npersistence_granularity 255.255.255.0\npersistence_engine sip\n\
         alpha\nomega\nquorum 5\nhysteresis 2\nquorum_up \"/bin/up a\" nobody\n\
         quorum_down /bin/down\nsorry_server 127.0.0.1\nsorry_server_inhibit\n\
         sorry_server_lvs_method DR",
        "weight 7",
    );
    let persistence = server.settings(Family::V4).persistence.unwrap();
    assert_eq!(persistence.timeout, Seconds::new(50));
    assert_eq!(
        persistence.clients,
        ClientMask::V4([255, 255, 255, 0].into())
    );
    assert_eq!(persistence.engine.unwrap().as_str(), "sip");
    assert!(server.alpha && server.omega);
    assert!(server.quorum.is_reached(false, 7) && !server.quorum.is_reached(false, 6));
    assert!(server.quorum.is_reached(true, 3) && !server.quorum.is_reached(true, 2));
    let up = server.quorum_up.unwrap();
    assert_eq!(
        (up.argv, up.user.unwrap().user),
        (vec!["/bin/up".into(), "a".into()], "nobody".into())
    );
    assert_eq!(server.quorum_down.unwrap().argv, ["/bin/down"]);
    let sorry = server.sorry_server.unwrap();
    assert!(sorry.inhibit);
    assert_eq!(
        sorry.destination.settings.forwarding,
        Forwarding::DirectRoute
    );
    // By direct routing the port is that of the service.
    assert_eq!(
        sorry.destination.endpoint(&server.services[0]),
        endpoint("127.0.0.1:80")
    );
}

#[test]
fn every_setting_of_a_real_server_is_there() {
    let server = real_server(
        "weight 3\nuthreshold 100\nlthreshold 50\ninhibit_on_failure\nnotify_up /bin/up\n\
         notify_down \"/bin/down b\" nobody nogroup",
    );
    let settings = server.destination.settings;
    assert_eq!(settings.weight.get(), 3);
    assert_eq!(
        (settings.thresholds.upper(), settings.thresholds.lower()),
        (100, 50)
    );
    assert!(server.inhibit_on_failure);
    assert_eq!(server.notify_up.unwrap().argv, ["/bin/up"]);
    let down = server.notify_down.unwrap();
    assert_eq!(down.argv, ["/bin/down", "b"]);
    assert_eq!(down.user.unwrap().group.as_deref(), Some("nogroup"));
}

#[test]
fn persistence_without_a_number_lasts_six_minutes() {
    let server = virtual_server("persistence_timeout", "");
    assert_eq!(
        server.persistence.unwrap().timeout,
        Persistence::DEFAULT_TIMEOUT
    );
}

#[test]
fn flags_have_the_names_of_their_scheduler_or_numbers() {
    let flags = |lines: &str| {
        let text = text("", "").replace("lb_algo rr", lines);
        good(&text).virtual_servers.remove(0).flags
    };
    let (fallback, port) = (true, true);
    let both = Flags {
        fallback,
        port,
        ..Flags::NONE
    };
    assert_eq!(flags("lb_algo sh\nsh-fallback\nsh-port"), both);
    assert_eq!(flags("mh-port\nmh-fallback\nlvs_sched mh"), both);
    assert_eq!(flags("lb_algo sh\nflag-1\nflag-2"), both);
    let third = Flags {
        third: true,
        ..Flags::NONE
    };
    assert_eq!(flags("lb_algo wlc\nflag-3"), third);
}

#[test]
fn packets_are_forwarded_in_every_way_of_keepalived_and_one_more() {
    let port = 6080.try_into().unwrap();
    for (kind, forwarding, full_nat) in [
        ("NAT", Forwarding::Masquerade, false),
        ("FULLNAT", Forwarding::Masquerade, true),
        ("DR", Forwarding::DirectRoute, false),
        ("TUN", Forwarding::Tunnel(Tunnel::Ipip), false),
        ("TUN type ipip", Forwarding::Tunnel(Tunnel::Ipip), false),
        (
            "TUN type gue port 6080 remcsum",
            Forwarding::Tunnel(Tunnel::Gue {
                port,
                checksum: GueChecksum::Remcsum,
            }),
            false,
        ),
        (
            "TUN type gre csum",
            Forwarding::Tunnel(Tunnel::Gre {
                checksum: ipvs::GreChecksum::Csum,
            }),
            false,
        ),
    ] {
        let of_all = good(&text("", "").replace("lb_kind NAT", &format!("lvs_method {kind}")));
        let of_one = real_server(&format!("lvs_method {kind}"));
        for server in [&of_all.virtual_servers[0].real_servers[0], &of_one] {
            assert_eq!(server.destination.settings.forwarding, forwarding, "{kind}");
            assert_eq!(server.destination.full_nat, full_nat, "{kind}");
        }
    }
}

#[test]
fn a_group_stands_for_all_its_addresses_and_marks() {
    let config = good(
        "virtual_server group G {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
         real_server 10.0.0.9 {\n}\n}\n\
         virtual_server_group G {\n192.0.2.1 80\n192.0.2.3-4 443\n192.0.2.8/31 80\nfwmark 7\n}\n",
    );
    let server = &config.virtual_servers[0];
    let names: Vec<String> = server.services.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "TCP 192.0.2.1:80",
            "TCP 192.0.2.3:443",
            "TCP 192.0.2.4:443",
            "TCP 192.0.2.8:80",
            "TCP 192.0.2.9:80",
            "FWM 7",
        ]
    );
    let destination = &server.real_servers[0].destination;
    let ends: Vec<String> = server
        .services
        .iter()
        .map(|service| destination.endpoint(service).to_string())
        .collect();
    assert_eq!(ends[1], "10.0.0.9:443");
    assert_eq!(ends[5], "10.0.0.9:0");
}

#[test]
fn tunnels_serve_both_families_each_with_its_own_clients() {
    let config = good(
        "virtual_server_group G {\n192.0.2.1 80\n2001:db8::1 80\nfwmark 7 inet6\n}\n\
         virtual_server group G {\nprotocol TCP\nlb_algo rr\nlb_kind TUN\npersistence_timeout\n\
         real_server 10.0.0.9 80 {\n}\n}\n",
    );
    let server = &config.virtual_servers[0];
    for service in &server.services {
        let settings = server.settings(service.family());
        assert_eq!(settings.check(service), Ok(()));
    }
    assert_eq!(server.services[2].family(), Family::V6);
}

#[test]
fn a_mark_is_of_the_family_of_its_real_servers() {
    let family = |lines: &str| {
        let text = format!("virtual_server fwmark 7 {{\nlb_algo rr\n{lines}\n}}\n");
        good(&text).virtual_servers[0].services[0].family()
    };
    let (v4, v6) = ("real_server 10.0.0.1 {\n}\n", "real_server fd00::1 {\n}\n");
    assert_eq!(family(&format!("lb_kind NAT\n{v4}")), Family::V4);
    assert_eq!(family(&format!("lb_kind NAT\n{v6}")), Family::V6);
    assert_eq!(family(&format!("lb_kind TUN\n{v6}")), Family::V6);
    assert_eq!(family(&format!("lb_kind TUN\n{v4}{v6}")), Family::V4);
    assert_eq!(
        family(&format!("ip_family inet6\nlb_kind TUN\n{v4}{v6}")),
        Family::V6
    );
}

#[test]
fn checkers_have_keepaliveds_times() {
    let config = |block: &str| check("", block).config;
    let tcp = config("TCP_CHECK {\n}");
    assert_eq!((tcp.interval, tcp.down_interval), (secs(60), secs(60)));
    assert_eq!(
        (tcp.retry_interval, tcp.timeout, tcp.fall.get()),
        (secs(1), secs(5), 2)
    );
    assert_eq!(
        (tcp.counted, tcp.when_down),
        (Counted::FromEnd, WhenDown::Wait)
    );
    assert_eq!(tcp.initial, Initial::AssumedUp);
    assert_eq!(check("", "TCP_CHECK {\n}").warm_up, secs(60));

    let http = config("HTTP_GET {\nurl {\npath /\n}\nurl {\npath /b\n}\n}");
    assert_eq!(
        (http.retry_interval, http.fall.get(), http.steps.get()),
        (secs(3), 2, 2)
    );
    let slow = config("HTTP_GET {\ndelay_loop 2\nurl {\npath /\n}\n}");
    assert_eq!((slow.interval, slow.down_interval), (secs(2), secs(3)));

    let dns = config("DNS_CHECK {\ndelay_loop 7\n}");
    assert_eq!((dns.retry_interval, dns.fall.get()), (secs(7), 4));

    assert_eq!(config("SMTP_CHECK {\n}").when_down, WhenDown::Retry);

    let misc = config("MISC_CHECK {\nmisc_path /x\n}");
    assert_eq!((misc.fall.get(), misc.counted), (1, Counted::FromStart));
    let immediately = config("TCP_CHECK {\ndelay_before_retry 0\n}");
    assert_eq!(immediately.retry_interval, CheckConfig::SHORTEST);
}

#[test]
fn times_come_from_the_checker_or_its_real_server_or_its_virtual_server() {
    // The virtual server's stand behind the real server: the order of lines means nothing.
    let checks = |of_server: &str, of_check: &str| {
        let server = format!(
            "{of_server}\nTCP_CHECK {{\n{of_check}\n}}\n}}\ndelay_loop 10\nconnect_timeout 11\n\
             retry 12\ndelay_before_retry 13\nwarmup 14\nalpha\nreal_server 10.0.0.2 80 {{"
        );
        virtual_server("", &server)
            .real_servers
            .remove(0)
            .checks
            .remove(0)
    };
    let numbers = |check: &Check| {
        let config = &check.config;
        let spans = [
            config.interval,
            config.timeout,
            config.retry_interval,
            check.warm_up,
        ];
        let fall = u64::from(config.fall.get());
        (
            spans.map(|span| span.as_secs()),
            fall,
            config.initial == Initial::Down,
        )
    };
    assert_eq!(numbers(&checks("", "")), ([10, 11, 13, 14], 13, true));
    let of_server = "delay_loop 20\nconnect_timeout 21\nretry 22\ndelay_before_retry 23\n\
                     warmup 24\nalpha off";
    assert_eq!(
        numbers(&checks(of_server, "")),
        ([20, 21, 23, 24], 23, false)
    );
    let of_check = "delay_loop 30\nconnect_timeout 31\nretry 0\ndelay_before_retry 33\n\
                    warmup 34\nalpha on";
    assert_eq!(
        numbers(&checks(of_server, of_check)),
        ([30, 31, 33, 34], 1, true)
    );
    // `misc_timeout` is by default the virtual server's `delay_loop`, not the checker's.
    let misc = check(
        "delay_loop 9",
        "delay_loop 8\nMISC_CHECK {\ndelay_loop 7\nmisc_path /x\n}",
    );
    assert_eq!(
        (misc.config.timeout, misc.config.interval),
        (secs(9), secs(7))
    );
}

#[test]
fn checkers_connect_where_they_are_told_and_else_to_the_real_server() {
    let connect = |lines: &str| {
        let CheckKind::Tcp(connect) = check("", &format!("TCP_CHECK {{\n{lines}\n}}")).kind else {
            panic!("a TCP check");
        };
        connect
    };
    let plain = connect("");
    assert_eq!(plain.to, endpoint("10.0.0.1:80"));
    assert_eq!(plain.from, Default::default());
    let told = connect(
        "connect_ip 10.9.9.9\nconnect_port 8080\nbindto 10.9.9.1\nbind_port 1024\nbind_if eth1\n\
         fwmark 5",
    );
    assert_eq!(told.to, endpoint("10.9.9.9:8080"));
    assert_eq!(told.from.address, Some(IpAddr::from([10, 9, 9, 1])));
    assert_eq!(told.from.port.unwrap().get(), 1024);
    assert_eq!(told.from.interface.unwrap().as_str(), "eth1");
    assert_eq!(told.from.fwmark.unwrap().get(), 5);

    let smtp = |lines: &str| real_server(&format!("SMTP_CHECK {{\n{lines}\n}}")).checks;
    let ports = |checks: Vec<Check>| -> Vec<String> {
        let ends = checks.into_iter().map(|check| {
            let CheckKind::Smtp { connect, helo_name } = check.kind else {
                panic!("an SMTP check");
            };
            format!("{} {}", connect.to, helo_name.unwrap_or_default())
        });
        ends.collect()
    };
    assert_eq!(ports(smtp("helo_name a.b")), ["10.0.0.1:25 a.b"]);
    assert_eq!(
        ports(smtp(
            "host {\nconnect_ip 10.0.0.7\n}\nhost {\nconnect_port 587\n}"
        )),
        ["10.0.0.7:25 ", "10.0.0.1:587 "]
    );
}

#[test]
fn an_http_check_has_every_option() {
    let check = check(
        "virtualhost of.service",
        "SSL_GET {\nhttp_protocol 1.1\nenable_sni\nurl {\npath /a\n}\nurl {\npath /b\n\
         virtualhost of.url\ndigest 000102030405060708090a0b0c0d0eff\nstatus_code 200 300-399\n\
         regex \"a+ b\"\nregex_no_match\nregex_options caseless dotall\nregex_min_offset 1\n\
         regex_max_offset 9\ntls_compliant\n}\n}",
    );
    let CheckKind::Http(http) = check.kind else {
        panic!("an HTTP check");
    };
    assert_eq!(http.version, HttpVersion::V1_1);
    assert_eq!(http.tls, Some(ServerName::VirtualHost));
    let [plain, full] = &http.urls[..] else {
        panic!("two pages");
    };
    assert_eq!(
        (&*plain.path, plain.virtual_host.as_deref()),
        ("/a", Some("of.service"))
    );
    assert_eq!(
        plain.status,
        [StatusRange {
            first: 200,
            last: 299
        }]
    );
    assert!(plain.digest.is_none() && plain.regex.is_none() && !plain.tls_compliant);
    assert_eq!(full.virtual_host.as_deref(), Some("of.url"));
    assert_eq!(full.digest.unwrap()[14..], [0x0e, 0xff]);
    let (first, last) = (300, 399);
    assert_eq!(full.status[1], StatusRange { first, last });
    let regex = full.regex.as_ref().unwrap();
    assert_eq!((&*regex.pattern, regex.no_match), ("a+ b", true));
    assert!(regex.options.caseless && regex.options.dotall && !regex.options.multiline);
    assert_eq!((regex.min_offset, regex.max_offset), (1, Some(9)));
    assert!(full.tls_compliant);
}

#[test]
fn dns_misc_udp_and_ping_have_their_options() {
    let kind = |lines: &str| check("", lines).kind;
    let dns = kind("DNS_CHECK {\ntype aaaa\nname example.com.\n}");
    let CheckKind::Dns { record, name, .. } = dns else {
        panic!("a DNS check");
    };
    assert_eq!((record, &*name), (RecordType::Aaaa, "example.com"));

    let misc = kind("MISC_CHECK {\nmisc_path \"/x a\"\nmisc_dynamic\nuser a b\n}");
    let CheckKind::Misc(misc) = misc else {
        panic!("a script");
    };
    assert_eq!(misc.argv, ["/x", "a"]);
    assert!(misc.dynamic);
    assert_eq!(misc.user, Some(("a".into(), Some("b".into()))));
    let timed = check("", "MISC_CHECK {\nmisc_path /x\nmisc_timeout 4\n}");
    assert_eq!(timed.config.timeout, secs(4));

    let udp = kind("UDP_CHECK {\npayload 01 02\nrequire_reply 0X\nmin_reply_length 3\n}");
    let CheckKind::Udp(udp) = udp else {
        panic!("a UDP check");
    };
    assert_eq!(udp.payload, Some(vec![1, 2]));
    let reply = udp.reply.unwrap();
    assert_eq!(reply.begins, [(0, 0xf0)]);
    assert_eq!((reply.min_length, reply.max_length), (3, 255));

    let ping = kind("PING_CHECK {\nconnect_ip 10.0.0.8\n}");
    let CheckKind::Ping { address, .. } = ping else {
        panic!("a ping");
    };
    assert_eq!(address, IpAddr::from([10, 0, 0, 8]));
}

#[test]
fn equal_checkers_are_equal_whatever_server_they_are_for() {
    let both = "TCP_CHECK {\nconnect_ip 10.0.0.7\n}\n}\nreal_server 10.0.0.2 80 {\n\
                TCP_CHECK {\nconnect_ip 10.0.0.7\nconnect_port 80\ndelay_loop 60\n}";
    let servers = virtual_server("", both).real_servers;
    let [a, b] = [&servers[0].checks[0], &servers[1].checks[0]];
    assert_eq!((&a.kind, &a.config), (&b.kind, &b.config));
    assert_ne!(a.span, b.span);
}

#[test]
fn failures_are_all_told_if_the_file_or_the_checker_says_so() {
    let log = |global: &str, lines: &str| {
        let text = text("", &format!("TCP_CHECK {{\n{lines}\n}}"));
        let config = good(&format!("{text}global_defs {{\n{global}\n}}\n"));
        config.virtual_servers[0].real_servers[0].checks[0].log_all_failures
    };
    assert!(!log("", ""));
    assert!(log("", "log_all_failures"));
    assert!(log("checker_log_all_failures", ""));
    assert!(!log("checker_log_all_failures", "log_all_failures off"));
}

#[test]
fn what_holds_for_all_virtual_servers_is_there() {
    let instance = crate::support::instance("");
    let config = good(&format!(
        "global_defs {{\nlvs_sync_daemon eth1 inst VI_1 maxlen 1400 port 8849 ttl 3 group 224.0.0.82\n\
         lvs_timeouts tcp 7200 udp 0 tcpfin 60\nlvs_flush\nlvs_flush_on_stop VS\n}}\n\
         SSL {{\npassword p\nca /ca\ncertificate /c\nkey /k\n}}\n{instance}"
    ));
    assert!(config.balances());
    let sync = config.lvs.sync_daemon.unwrap();
    assert_eq!(sync.instance.as_deref(), Some("VI_1"));
    let daemon = sync.in_role(SyncRole::Backup);
    assert_eq!((daemon.interface.as_str(), daemon.sync_id), ("eth1", 51));
    assert_eq!(daemon.max_length.unwrap().bytes(), 1400);
    assert_eq!(
        (daemon.port.unwrap().get(), daemon.ttl.unwrap().get()),
        (8849, 3)
    );
    assert_eq!(daemon.check(), Ok(()));
    let timeouts = config.lvs.timeouts;
    assert_eq!(
        (timeouts.tcp, timeouts.udp),
        (Some(Seconds::new(7200)), None)
    );
    assert_eq!(timeouts.tcp_fin, Some(Seconds::new(60)));
    assert!(config.lvs.flush);
    assert_eq!(config.lvs.flush_on_stop, Some(FlushOnStop::VirtualServers));
    let tls = config.tls.unwrap();
    assert_eq!(
        (tls.ca.as_deref(), tls.key.as_deref()),
        (Some("/ca"), Some("/k"))
    );
    assert!(!good(&instance).balances());
    let older = good("global_defs {\nlvs_sync_daemon eth1 id 9\nlvs_flush_on_stop\n}\n").lvs;
    assert_eq!(older.sync_daemon.unwrap().sync_id, 9);
    assert_eq!(older.flush_on_stop, Some(FlushOnStop::Table));
}

#[test]
fn a_real_server_learns_which_addresses_it_serves() {
    let config = good(
        "virtual_server 192.0.2.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind DR\n\
         sorry_server 10.0.0.3 80\n\
         real_server 10.0.0.1 80 {\n}\nreal_server 10.0.0.2 80 {\nlvs_method NAT\n}\n}\n\
         virtual_server 192.0.2.1 443 {\nprotocol TCP\nlb_algo rr\nlb_kind DR\n\
         real_server 10.0.0.1 443 {\n}\n}\n\
         virtual_server 2001:db8::1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind TUN\n\
         real_server 10.0.0.1 80 {\n}\n}\n\
         virtual_server fwmark 7 {\nlb_algo rr\nlb_kind DR\nreal_server 10.0.0.1 {\n}\n}\n",
    );
    let served = |own: &[&str]| {
        let own: Vec<IpAddr> = own.iter().map(|text| text.parse().unwrap()).collect();
        let entry = |served: Served| (served.vip, served.forwarding);
        config
            .served_by(&own)
            .into_iter()
            .map(entry)
            .collect::<Vec<_>>()
    };
    let vip = |text: &str| Vip::Address(text.parse().unwrap());
    assert_eq!(
        served(&["127.0.0.1", "10.0.0.1"]),
        [
            (vip("192.0.2.1"), Forwarding::DirectRoute),
            (vip("2001:db8::1"), Forwarding::Tunnel(Tunnel::Ipip)),
            (Vip::Fwmark(7.try_into().unwrap()), Forwarding::DirectRoute),
        ]
    );
    assert_eq!(
        served(&["10.0.0.2"]),
        [],
        "NAT brings it back to the director"
    );
    assert_eq!(
        served(&["10.0.0.3"]),
        [(vip("192.0.2.1"), Forwarding::DirectRoute)]
    );
    assert_eq!(served(&["10.0.0.9"]), []);
}
