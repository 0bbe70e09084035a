//! What good virtual servers mean.

use std::net::IpAddr;

use director::conf::model::{FlushOnStop, RealServer, Served, Vip, VirtualServer};
use ipvs::{
    ClientMask, Endpoint, Family, Flags, Forwarding, GueChecksum, Persistence, Protocol,
    SchedulerName, Seconds, ServiceKey, SyncRole, Tunnel,
};

use crate::support::{good, loaded};

/// A virtual server with some lines, and a real server with others.
pub(crate) fn text(service: &str, server: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n{service}\n\
         real_server 10.0.0.1 80 {{\n{server}\n}}\n}}\n"
    )
}

#[track_caller]
pub(crate) fn virtual_server(service: &str, server: &str) -> VirtualServer {
    let mut servers = good(&text(service, server)).virtual_servers;
    assert_eq!(servers.len(), 1);
    servers.remove(0).as_ref().clone()
}

#[track_caller]
pub(crate) fn real_server(lines: &str) -> RealServer {
    virtual_server("", lines).real_servers.remove(0)
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an address and a port")
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
    // Packets keep their port: as keepalived writes it in every service of a group.
    assert!(ends.iter().all(|end| end == "10.0.0.9:0"), "{ends:?}");
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
fn what_holds_for_all_virtual_servers_is_there() {
    let instance = crate::support::instance("");
    let config = good(&format!(
        "global_defs {{\nlvs_sync_daemon eth1 inst VI_1 maxlen 1400 port 8849 ttl 3 group 224.0.0.82\n\
         lvs_timeouts tcp 7200 udp 0 tcpfin 60\nlvs_flush\nlvs_flush_on_stop VS\nrs_init_notifies\n}}\n\
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
    assert!(config.lvs.rs_init_notifies);
    let tls = config.tls.unwrap();
    assert_eq!(
        (tls.ca.as_deref(), tls.key.as_deref()),
        (Some("/ca"), Some("/k"))
    );
    assert!(!good(&instance).balances());
    let older = good("global_defs {\nlvs_sync_daemon eth1 id 9\nlvs_flush_on_stop\n}\n").lvs;
    assert_eq!(older.sync_daemon.unwrap().sync_id, 9);
    assert_eq!(older.flush_on_stop, Some(FlushOnStop::Table));
    assert!(!older.rs_init_notifies);
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
