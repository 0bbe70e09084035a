//! Probes of the servers that Debian has, on loopback: redis, dnsmasq and aiosmtpd.
//!
//! Each runs from a temporary directory, in a network namespace of the test, so that its port is
//! free and nothing outside is reached.

#[path = "support/server.rs"]
mod server;

use std::process::Command;

use health::{
    Connect, DialogueError, DialogueProbe, DnsError, DnsProbe, HealthProbe, Hello, ProbeError,
    Rcode, RecordType, Reply, SmtpProbe, UdpProbe,
};
use lab::in_namespace;
use server::{Server, block_on};
use tempfile::TempDir;

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn redis_answers_and_says_when_it_wants_a_password() {
    in_namespace(|| {
        let directory = TempDir::new().unwrap();
        let open = Server::start(
            Command::new("redis-server").args(["--port", "6379", "--save", ""]),
            directory.path(),
            6379,
        );
        let locked = Server::start(
            Command::new("redis-server").args([
                "--port",
                "6380",
                "--save",
                "",
                "--requirepass",
                "a b",
            ]),
            directory.path(),
            6380,
        );
        block_on(async {
            let plain = DialogueProbe::redis(Connect::default());
            plain.probe(&open.target).await.unwrap();
            let error = plain.probe(&locked.target).await.unwrap_err();
            assert!(error.to_string().contains("-NOAUTH"), "{error}");

            let known = DialogueProbe::redis_with_password(Connect::default(), None, "a b");
            known.probe(&locked.target).await.unwrap();
            let named =
                DialogueProbe::redis_with_password(Connect::default(), Some("default"), "a b");
            named.probe(&locked.target).await.unwrap();
            let wrong = DialogueProbe::redis_with_password(Connect::default(), None, "b");
            let error = wrong.probe(&locked.target).await.unwrap_err();
            assert!(error.to_string().contains("-WRONGPASS"), "{error}");
        });
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_mail_server_is_greeted_in_both_ways() {
    in_namespace(|| {
        let directory = TempDir::new().unwrap();
        let mail = Server::start(
            Command::new("/usr/bin/python3").args([
                "-m",
                "aiosmtpd",
                "-n",
                "-l",
                "127.0.0.1:2525",
                "-c",
                "aiosmtpd.handlers.Sink",
            ]),
            directory.path(),
            2525,
        );
        block_on(async {
            for hello in [Hello::Helo, Hello::Ehlo] {
                let probe = SmtpProbe::new(Connect::default(), hello, "lb.example.net").unwrap();
                probe.probe(&mail.target).await.unwrap();
            }
            let imap = DialogueProbe::imap(Connect::default());
            let error = imap.probe(&mail.target).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    ProbeError::Dialogue(DialogueError::Unexpected { .. })
                ),
                "{error}"
            );
        });
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_dns_server_is_held_to_its_codes_and_records_by_udp_and_tcp() {
    in_namespace(|| {
        let directory = TempDir::new().unwrap();
        // More text than fits into the 512 bytes of an answer by UDP.
        let long: Vec<String> = (0..5).map(|n| format!("{n}{}", "x".repeat(200))).collect();
        let mut command = Command::new("dnsmasq");
        command
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--no-daemon",
            ])
            .args([
                "--conf-file=/dev/null",
                "--user=root",
                "--pid-file",
                "--port=5353",
            ])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces"])
            .args([
                "--local=/example.net/",
                "--host-record=www.example.net,192.0.2.1,2001:db8::1",
            ])
            .args(["--mx-host=example.net,mail.example.net,10"])
            .args(
                long.iter()
                    .map(|text| format!("--txt-record=long.example.net,{text}")),
            );
        let dns = Server::start(&mut command, directory.path(), 5353);
        let ask = |name: &str, kind| DnsProbe::new(Connect::default(), name, kind).unwrap();
        block_on(async {
            let www = || ask("WWW.example.net", RecordType::A);
            www()
                .with_exactly(["192.0.2.1"])
                .probe(&dns.target)
                .await
                .unwrap();
            ask("www.example.net.", RecordType::AAAA)
                .with_records(["2001:DB8::1"])
                .probe(&dns.target)
                .await
                .unwrap();
            ask("example.net", RecordType::MX)
                .with_exactly(["10 mail.example.net."])
                .probe(&dns.target)
                .await
                .unwrap();
            let error = www()
                .with_records(["192.0.2.9"])
                .probe(&dns.target)
                .await
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                r#""192.0.2.9" is not among the answers ["192.0.2.1"]"#
            );

            let missing = || ask("missing.example.net", RecordType::A);
            let error = missing().probe(&dns.target).await.unwrap_err();
            assert!(
                matches!(error, ProbeError::Dns(DnsError::Rcode { .. })),
                "{error}"
            );
            missing()
                .expecting(Rcode::NXDOMAIN)
                .probe(&dns.target)
                .await
                .unwrap();
            // Not its own, and nobody to ask.
            ask(".", RecordType::SOA)
                .expecting(Rcode::REFUSED)
                .probe(&dns.target)
                .await
                .unwrap();

            ask("long.example.net", RecordType::TXT)
                .with_exactly(long)
                .probe(&dns.target)
                .await
                .unwrap();

            // The same server as any other of UDP: number and "answer" come back.
            let mut reply = Reply::default();
            reply.pattern = Some("123480/ffff80".parse().unwrap());
            let question = *b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01";
            let udp = UdpProbe::requiring(Connect::default(), question, reply);
            udp.probe(&dns.target).await.unwrap();
        });
    });
}
