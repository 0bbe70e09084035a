//! What good checkers mean.

use std::{net::IpAddr, time::Duration};

use director::conf::model::{Check, CheckKind, HttpVersion, RecordType, ServerName, StatusRange};
use health::{CheckConfig, Counted, Initial, WhenDown};

use crate::{
    balancing::{endpoint, real_server, text, virtual_server},
    support::good,
};

#[track_caller]
fn check(service: &str, lines: &str) -> Check {
    let mut checks = virtual_server(service, lines).real_servers.remove(0).checks;
    assert_eq!(checks.len(), 1);
    checks.remove(0)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
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
fn a_file_check_has_the_weight_of_its_file_or_its_own() {
    let file = |of_file: &str, of_check: &str| {
        let text = text("", &format!("FILE_CHECK {{\ntrack_file F\n{of_check}\n}}"));
        let text = format!("{text}track_file F {{\nfile /run/f\n{of_file}\n}}\n");
        let mut config = good(&text);
        let mut server = config.virtual_servers.remove(0).real_servers[0].clone();
        (server.checks.remove(0), config.track_files.remove(0))
    };
    for (of_file, of_check, weighed) in [
        ("", "", (1, false)),
        ("weight 0 reverse", "", (0, true)),
        ("weight 0 reverse", "weight -300", (-300, false)),
        ("weight 2", "weight 2147483647 noreverse", (i32::MAX, false)),
    ] {
        let (check, _) = file(of_file, of_check);
        let CheckKind::File(kind) = check.kind else {
            panic!("a check of a file");
        };
        assert_eq!(
            (&*kind.path, (kind.weight, kind.reverse)),
            ("/run/f", weighed)
        );
        assert_eq!(
            (check.config.fall.get(), check.config.interval),
            (1, secs(1))
        );
        assert_eq!(check.warm_up, Duration::ZERO);
    }
    for (line, expected) in [
        ("", None),
        ("init_file", Some((0, false))),
        ("init_file -5", Some((-5, false))),
        ("init_file overwrite", Some((0, true))),
        ("init_file 7 overwrite", Some((7, true))),
    ] {
        let (_, file) = file(line, "");
        let init = file.init.map(|init| (init.value, init.overwrite));
        assert_eq!(init, expected, "{line}");
    }
}

#[test]
fn with_fast_recovery_pages_follow_one_another_at_once() {
    let fast = |line: &str| {
        let block = format!("HTTP_GET {{\n{line}\nurl {{\npath /\n}}\nurl {{\npath /b\n}}\n}}");
        check("", &block).config.fast_recovery
    };
    assert!(fast("fast_recovery") && fast("fast_recovery on"));
    assert!(!fast("") && !fast("fast_recovery off"));
}

#[test]
fn on_the_forwarding_path_the_virtual_address_is_asked() {
    let connect = |check: Check| {
        let CheckKind::Tcp(connect) = check.kind else {
            panic!("a check that connects");
        };
        connect
    };
    let by = |kind: &str, service: &str, lines: &str| {
        let text = text(service, lines).replace("lb_kind NAT", &format!("lb_kind {kind}"));
        let config = good(&text);
        connect(config.virtual_servers[0].real_servers[0].checks[0].clone())
    };
    let own = endpoint("10.0.0.1:80");
    let vip = endpoint("192.0.2.1:80");
    let server: IpAddr = "10.0.0.1".parse().unwrap();
    for (kind, service, lines, to) in [
        ("DR", "", "TCP_CHECK {\n}", own),
        ("DR", "forwarding_path", "TCP_CHECK {\n}", vip),
        ("TUN", "forwarding_path on", "TCP_CHECK {\n}", vip),
        (
            "DR",
            "forwarding_path",
            "TCP_CHECK {\nforwarding_path off\n}\n}\nreal_server 10.0.0.2 80 {\nTCP_CHECK {\n}",
            own,
        ),
        ("DR", "", "TCP_CHECK {\nforwarding_path\n}", vip),
        (
            "DR",
            "",
            "TCP_CHECK {\nforwarding_path\nconnect_ip 192.0.2.9\nconnect_port 81\n}",
            endpoint("192.0.2.9:81"),
        ),
        // What is of the whole virtual server is for those that it makes sense for.
        (
            "DR",
            "forwarding_path",
            "lvs_method NAT\nTCP_CHECK {\n}\n}\nreal_server 10.0.0.2 80 {\nTCP_CHECK {\n}",
            own,
        ),
    ] {
        let connect = by(kind, service, lines);
        assert_eq!(connect.to, to, "{kind} {service} {lines}");
        let path = connect.path.map(|path| path.server);
        assert_eq!(path, (to != own).then_some(server));
    }
    let text = text("forwarding_path", "SMTP_CHECK {\n}").replace("lb_kind NAT", "lb_kind DR");
    let config = good(&text);
    let server = &config.virtual_servers[0].real_servers[0];
    let CheckKind::Smtp { connect, .. } = &server.checks[0].kind else {
        panic!("a check of a mail server");
    };
    assert_eq!(
        connect.to, vip,
        "packets keep the port that clients ask for"
    );
}
