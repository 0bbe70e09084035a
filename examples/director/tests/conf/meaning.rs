//! What good configurations mean.

use std::time::Duration;

use director::conf::model::Script;
use vrrp::{
    AddressListCheck, AdvertInterval, Authentication, Broadcast, Checksum, OnHigherPriority,
    OnLowerPriority, Password, Preempt, Priority, Scope, StartAs, Transport, Version,
};

use crate::support::{good, good_instance, instance, loaded};

#[test]
fn an_instance_has_keepaliveds_defaults() {
    let router = good_instance("").router;
    assert_eq!(&*router.name, "VI_1");
    assert_eq!(&*router.interface, "eth0");
    assert_eq!(router.vrid.as_u8(), 51);
    assert_eq!(router.version, Version::V2);
    assert_eq!(router.priority, Priority::DEFAULT);
    assert_eq!(router.interval, AdvertInterval::DEFAULT);
    assert_eq!(router.start_as, StartAs::Backup);
    assert_eq!(router.preempt, Preempt::After(Duration::ZERO));
    assert_eq!(router.down_timer_adverts.get(), 3);
    assert_eq!(router.checksum, Checksum::PseudoHeader);
    assert_eq!(router.transport, Transport::Multicast { group: None });
    assert_eq!(router.lower_priority, OnLowerPriority::Advertise);
    assert_eq!(router.higher_priority, OnHigherPriority::Yield);
    assert_eq!(router.authentication, Authentication::None);
    assert_eq!(router.address_list, AddressListCheck::Report);
    assert!(router.track_interface);
    let announce = router.announce;
    assert_eq!(
        (announce.repeat, announce.delay),
        (5, Duration::from_secs(5))
    );
    assert_eq!(
        (announce.lower_priority_repeat, announce.refresh_repeat),
        (5, 1)
    );
    assert!(router.advertisement().is_ok());
}

#[test]
fn every_setting_of_an_instance_reaches_the_router() {
    let instance = good_instance(
        "state BACKUP\nversion 3\npriority 150\nadvert_int 0.25\npreempt_delay 4.5\n\
         down_timer_adverts 5\nlower_prio_no_advert\nhigher_prio_send_advert on\n\
         mcast_src_ip 192.0.2.77\nmcast_dst_ip 224.0.0.19\nv3_checksum_as_v2\n\
         garp_master_delay 10\ngarp_master_repeat 2\ngarp_master_refresh 60\n\
         garp_master_refresh_repeat 3\ngarp_lower_prio_delay 11\ngarp_lower_prio_repeat 0\n\
         dont_track_primary\naccept\nskip_check_adv_addr on",
    );
    let router = instance.router;
    assert_eq!(router.version, Version::V3);
    assert_eq!(router.priority.as_u8(), 150);
    assert_eq!(router.interval.as_centis(), 25);
    assert_eq!(router.preempt, Preempt::After(Duration::from_millis(4500)));
    assert_eq!(router.down_timer_adverts.get(), 5);
    assert_eq!(router.lower_priority, OnLowerPriority::StaySilent);
    assert_eq!(router.higher_priority, OnHigherPriority::AdvertiseAndYield);
    assert_eq!(router.source, Some("192.0.2.77".parse().unwrap()));
    let group = Some("224.0.0.19".parse().unwrap());
    assert_eq!(router.transport, Transport::Multicast { group });
    assert_eq!(router.checksum, Checksum::Message);
    let announce = router.announce;
    assert_eq!((announce.repeat, announce.delay.as_secs()), (2, 10));
    assert_eq!(
        (announce.refresh_repeat, announce.refresh.as_secs()),
        (3, 60)
    );
    assert_eq!(announce.lower_priority_repeat, 0);
    assert_eq!(announce.lower_priority_delay.as_secs(), 11);
    assert!(!router.track_interface);
}

#[test]
fn state_master_without_priority_is_an_address_owner() {
    let router = good_instance("state MASTER").router;
    assert_eq!(
        (router.priority, router.start_as),
        (Priority::OWNER, StartAs::Master)
    );
    let router = good_instance("state MASTER\npriority 100").router;
    assert_eq!(
        (router.priority.as_u8(), router.start_as),
        (100, StartAs::Master)
    );
}

#[test]
fn a_password_is_sent_in_version_2() {
    let router = good_instance("authentication {\nauth_type PASS\nauth_pass 1111\n}").router;
    assert_eq!(
        router.authentication,
        Authentication::Pass(Password::new("1111").unwrap())
    );
}

#[test]
fn ipv6_means_version_3_and_its_own_pace() {
    let text = "global_defs {\nvrrp_version 2\nvrrp_garp_interval 0.5\nvrrp_gna_interval 0.001\n}\n\
                vrrp_instance VI_6 {\ninterface eth0\nvirtual_router_id 1\nnative_ipv6\n\
                virtual_ipaddress {\nfe80::1\n2001:db8::1/64\n}\n\
                virtual_ipaddress_excluded { 192.0.2.1/24 }\n}\n";
    let router = good(text).instances.remove(0).router;
    assert_eq!(router.version, Version::V3);
    assert_eq!(router.announce.gap, Duration::from_millis(1));
    assert_eq!(router.vips.len(), 2);
    assert_eq!(router.excluded.len(), 1);
}

#[test]
fn addresses_take_their_options() {
    let lines = "virtual_ipaddress_excluded {\n\
                 192.0.2.2/24 dev eth1 brd + scope link label eth1:1\n192.0.2.3 brd 192.0.2.255\n}";
    let instance = good_instance(lines);
    let [first, second] = instance.router.excluded.as_slice() else {
        panic!("two addresses");
    };
    assert_eq!(first.to_string(), "192.0.2.2/24 dev eth1");
    assert_eq!(first.broadcast, Broadcast::AllOnes);
    assert_eq!(first.scope, Some(Scope::Link));
    assert_eq!(first.label.as_deref(), Some("eth1:1"));
    assert_eq!(second.to_string(), "192.0.2.3/32");
    assert_eq!(
        second.broadcast,
        Broadcast::Address("192.0.2.255".parse().unwrap())
    );
}

#[test]
fn blocks_of_addresses_add_up() {
    let lines = "virtual_ipaddress { 192.0.2.2 }\nvirtual_ipaddress { 192.0.2.3 }";
    assert_eq!(good_instance(lines).router.vips.len(), 3);
}

#[test]
fn unicast_peers_have_bounds_that_turn_the_check_of_the_source_on() {
    let peers = |lines: &str| match good_instance(lines).router.transport {
        Transport::Unicast(unicast) => unicast,
        Transport::Multicast { .. } => panic!("unicast"),
    };
    let unicast = peers("unicast_src_ip 192.0.2.9\nunicast_peer {\n192.0.2.8\n192.0.2.7\n}");
    assert_eq!(
        (unicast.peers.len(), unicast.ttl, unicast.check_source),
        (2, 255, false)
    );
    let unicast = peers("unicast_ttl 3\nunicast_peer { 192.0.2.8 min_ttl 250 max_ttl 254 }");
    assert_eq!((unicast.ttl, unicast.check_source), (3, true));
    assert_eq!(
        (unicast.peers[0].min_ttl, unicast.peers[0].max_ttl),
        (250, 254)
    );
    assert!(peers("check_unicast_src\nunicast_peer { 192.0.2.8 }").check_source);
}

#[test]
fn global_defaults_hold_where_an_instance_says_nothing() {
    let global = "global_defs {\nrouter_id R 1\n}\n".replace("R 1", "\"R 1\"")
        + "global_defs {\nvrrp_version 3\nvrrp_mcast_group4 224.0.0.55\nvrrp_min_garp\n\
           vrrp_down_timer_adverts 4\nvrrp_startup_delay 5.5\nvrrp_lower_prio_no_advert\n\
           vrrp_check_unicast_src\nvrrp_skip_check_adv_addr\nlog_unknown_vrids\n\
           script_user nobody nogroup\nenable_script_security\ndefault_interface eth7\n}\n";
    let config = good(&format!("{}{global}", instance("down_timer_adverts 6")));
    assert_eq!(config.global.router_id.as_deref(), Some("R 1"));
    assert_eq!(config.global.default_interface.as_deref(), Some("eth7"));
    assert!(config.global.enable_script_security && config.global.log_unknown_vrids);
    let user = config.global.script_user.clone().unwrap();
    assert_eq!(
        (user.user.as_str(), user.group.as_deref()),
        ("nobody", Some("nogroup"))
    );
    let router = &config.instances[0].router;
    assert_eq!(router.version, Version::V3);
    let group = Some("224.0.0.55".parse().unwrap());
    assert_eq!(router.transport, Transport::Multicast { group });
    assert_eq!(
        (router.announce.repeat, router.announce.delay),
        (1, Duration::ZERO)
    );
    assert_eq!(router.announce.lower_priority_repeat, 1);
    assert_eq!(router.down_timer_adverts.get(), 6);
    assert_eq!(router.startup_delay, Duration::from_millis(5500));
    assert_eq!(router.lower_priority, OnLowerPriority::StaySilent);
}

fn argv(script: Option<&Script>) -> Vec<&str> {
    script.map_or(Vec::new(), |script| {
        script.argv.iter().map(String::as_str).collect()
    })
}

#[test]
fn notify_scripts_have_keepaliveds_words() {
    let notify = good_instance(
        "notify_master \"/x/y 'a b' c # d ! e\" root wheel\nnotify_backup /x/y\n\
         notify_fault \"/x/y \\\"q q\\\" \\{ }\"\nnotify_stop \"'/x/y z' '' b\\ c\" nobody\n\
         notify_deleted\nnotify_master_rx_lower_pri /x/z\nnotify \"/x/y $FOO \\\\ 'x'\"",
    )
    .notify;
    assert_eq!(
        argv(notify.master.as_ref()),
        ["/x/y", "a b", "c", "#", "d", "!", "e"]
    );
    let user = notify.master.unwrap().user.unwrap();
    assert_eq!(
        (user.user.as_str(), user.group.as_deref()),
        ("root", Some("wheel"))
    );
    assert_eq!(argv(notify.backup.as_ref()), ["/x/y"]);
    assert_eq!(argv(notify.fault.as_ref()), ["/x/y", "q q", "{", "}"]);
    assert_eq!(argv(notify.stop.as_ref()), ["/x/y z", "", "b", "c"]);
    assert_eq!(argv(notify.any.as_ref()), ["/x/y", "$FOO", " x"]);
    assert_eq!(argv(notify.master_rx_lower_pri.as_ref()), ["/x/z"]);
    assert!(notify.report_deleted && notify.deleted.is_none());
}

const SCRIPTS: &str = "vrrp_script s {\nscript \"/x/s 'a b'\"\n}\n\
     vrrp_script w {\nscript /x/w\ninterval 2.5\ntimeout 2\nweight -20 reverse\nrise 2\nfall 3\n\
     user nobody\ninit_fail\n}\n";

#[test]
fn scripts_have_keepaliveds_defaults() {
    let config = good(&format!("{SCRIPTS}{}", instance("track_script {\ns\nw\n}")));
    let [plain, weighed] = config.scripts.as_slice() else {
        panic!("two scripts");
    };
    assert_eq!(argv(Some(&plain.script)), ["/x/s", "a b"]);
    assert_eq!((plain.interval.as_secs(), plain.timeout.as_secs()), (1, 1));
    assert_eq!(
        (plain.rise.get(), plain.fall.get(), plain.weight.as_i16()),
        (1, 1, 0)
    );
    assert!(!plain.init_fail && !plain.reverse);
    assert_eq!(
        (weighed.interval.as_millis(), weighed.timeout.as_secs()),
        (2500, 2)
    );
    assert_eq!(
        (
            weighed.rise.get(),
            weighed.fall.get(),
            weighed.weight.as_i16()
        ),
        (2, 3, -20)
    );
    assert!(weighed.init_fail && weighed.reverse);
    assert_eq!(weighed.script.user.as_ref().unwrap().user, "nobody");
}

fn trackers(text: &str) -> Vec<(String, i16, bool)> {
    let config = loaded(text).config.expect("a good configuration");
    let trackers = config
        .instances
        .iter()
        .flat_map(|instance| &instance.router.trackers);
    trackers
        .map(|tracker| {
            let name = tracker.tracked.to_string();
            (name, tracker.weight.as_i16(), tracker.reverse)
        })
        .collect()
}

fn tracked(name: &str, weight: i16, reverse: bool) -> (String, i16, bool) {
    (name.to_owned(), weight, reverse)
}

#[test]
fn files_are_tracked_with_their_own_weights_or_others() {
    let files = "track_file a {\nfile /run/a\nweight -1000 reverse\n}\n\
                 track_file b {\nfile /run/b\n}\n";
    let text = |lines: &str| format!("{files}{}", instance(lines));
    assert_eq!(
        trackers(&text(
            "track_file {\na\nb\n}\ntrack_interface { eth1 weight 5 }"
        )),
        [
            tracked("interface eth1", 5, false),
            tracked("track_file a", -254, true),
            tracked("track_file b", 1, false)
        ]
    );
    assert_eq!(
        trackers(&text("track_file {\na weight 254\nb weight 0 reverse\n}")),
        [
            tracked("track_file a", 254, false),
            tracked("track_file b", 0, true)
        ]
    );
    // As a script: a member of a group has no weights of its own.
    let member = format!(
        "{}vrrp_sync_group G {{\ngroup {{ VI_1 }}\ntrack_file {{\nb weight 0\n}}\n}}\n",
        text("track_file {\na\n}")
    );
    assert_eq!(trackers(&member), [tracked("track_file b", 0, false)]);
}

#[test]
fn an_entrys_own_weight_replaces_the_scripts() {
    let text = |lines| format!("{SCRIPTS}{}", instance(lines));
    assert_eq!(
        trackers(&text(
            "track_script {\ns\nw\n}\ntrack_interface { eth1 weight 5 reverse }"
        )),
        [
            tracked("s", 0, false),
            tracked("w", -20, true),
            tracked("interface eth1", 5, true)
        ]
    );
    assert_eq!(
        trackers(&text("track_script {\ns weight 7\nw weight 8\n}")),
        [tracked("s", 7, false), tracked("w", 8, false)]
    );
}

#[test]
fn the_own_interface_is_not_tracked_twice() {
    assert_eq!(
        trackers(&instance("track_interface {\neth0\neth1\n}")),
        [tracked("interface eth1", 0, false)]
    );
}

/// reference 2.1 #6: what a sync group and an address owner do to weights.
#[test]
fn groups_and_owners_drop_weights_as_keepalived_does() {
    let members = "track_script {\ns weight 5\nw\n}\ntrack_interface { eth1 weight 5 }";
    let group = |lines: &str| {
        format!(
            "{SCRIPTS}{}vrrp_sync_group G {{\ngroup {{ VI_1 }}\n{lines}\n}}\n",
            instance(members)
        )
    };
    assert_eq!(trackers(&group("")), [tracked("interface eth1", 0, false)]);
    assert_eq!(trackers(&group("sync_group_tracking_weight")).len(), 3);
    assert_eq!(
        trackers(&group("track_script { w }")),
        [tracked("interface eth1", 0, false), tracked("w", -20, true)]
    );
    let owner = format!("{SCRIPTS}{}", instance(&format!("priority 255\n{members}")));
    assert_eq!(trackers(&owner), [tracked("interface eth1", 0, false)]);
}

#[test]
fn groups_name_their_members_on_one_line_or_many() {
    let other = instance("")
        .replace("VI_1", "VI_2")
        .replace("51", "52")
        .replace("2.1/", "2.2/");
    let text = format!(
        "{}{other}vrrp_sync_group G {{\ngroup {{ VI_1\n VI_2 }}\nnotify /x/y\n}}\n",
        instance("")
    );
    let config = good(&text);
    let group = &config.sync_groups[0];
    assert_eq!(&*group.name, "G");
    assert_eq!(
        group.members.iter().map(|m| &**m).collect::<Vec<_>>(),
        ["VI_1", "VI_2"]
    );
    assert_eq!(argv(group.notify.any.as_ref()), ["/x/y"]);
    let in_group = |index: usize| config.instances[index].router.sync_group.as_deref();
    assert_eq!((in_group(0), in_group(1)), (Some("G"), Some("G")));
}

#[test]
fn nopreempt_with_state_master_preempts_as_in_keepalived() {
    let loaded = loaded(&instance("state MASTER\npriority 100\nnopreempt"));
    let router = loaded.config.unwrap().instances.remove(0).router;
    assert_eq!(router.preempt, Preempt::After(Duration::ZERO));
    let router = good_instance("nopreempt").router;
    assert_eq!(router.preempt, Preempt::Never);
    let router = good_instance("preempt").router;
    assert_eq!(router.preempt, Preempt::After(Duration::ZERO));
}

#[test]
fn an_error_found_later_can_name_the_line() {
    let loaded = loaded(&instance("track_interface { eth1 }"));
    let places = &loaded.config.as_ref().unwrap().instances[0].places;
    let line = |span| loaded.sources.start(span).line;
    assert_eq!(line(places.of("interface")), 2);
    assert_eq!(line(places.of_entry("virtual_ipaddress", "192.0.2.1")), 4);
    assert_eq!(line(places.of_entry("track_interface", "eth1")), 5);
    assert_eq!(line(places.of("advert_int")), 1);
}
