//! What an operator's orders make of the table.

use director::{
    balance::{Action, OrderedWeight, Selection},
    conf::model::Config,
};
use health::Health;
use proptest::prelude::*;

use crate::rig::{ONE, Rig, SERVICE, TWO, config, web};

const ALL: Option<&str> = None;
const DISABLE: Action = Action::Disable { drain: false };

fn weight(weight: u32) -> Action {
    Action::Weight(Some(OrderedWeight::new(weight).unwrap()))
}

/// The first server with that weight.
fn one(weight: u32) -> String {
    ONE.replace("-w 1", &format!("-w {weight}"))
}

#[test]
fn an_order_is_a_weight_or_no_place_until_it_is_taken_back() {
    let mut rig = Rig::new(&web(""));
    for (action, first) in [
        (Action::Drain, one(0)),
        (Action::Undrain, one(1)),
        (weight(7), one(7)),
        (DISABLE, String::new()),
        (Action::Enable, one(7)),
        (Action::Weight(None), one(1)),
    ] {
        rig.act("10.0.0.1:8080", ALL, action).unwrap();
        assert_eq!(rig.table(), format!("{SERVICE}{first}{TWO}"), "{action:?}");
    }
    assert_eq!((rig.tables, rig.notices.len()), (7, 0), "nobody is told");
    rig.act("10.0.0.1:8080", ALL, Action::Undrain).unwrap();
    assert_eq!(rig.tables, 7, "that changed nothing");
}

#[test]
fn checks_go_on_under_an_order() {
    let mut rig = Rig::new(&web(""));
    rig.act("10.0.0.1", ALL, weight(7)).unwrap();
    rig.check(0, Health::Down);
    assert_eq!(rig.table(), format!("{SERVICE}{TWO}"));
    rig.check(0, Health::Up);
    assert_eq!(rig.table(), format!("{SERVICE}{}{TWO}", one(7)));
    rig.act("10.0.0.1", ALL, Action::Drain).unwrap();
    rig.check(0, Health::Down);
    assert_eq!(rig.table(), format!("{SERVICE}{TWO}"), "who is dead goes");
    rig.act("10.0.0.1", ALL, Action::Probe).unwrap();
    assert_eq!(rig.probed.len(), 1);
}

#[test]
fn a_check_that_rests_does_not_look_and_says_so() {
    let mut rig = Rig::new(&web("ha_suspend"));
    let which = Selection {
        real_server: "10.0.0.1".parse().unwrap(),
        virtual_server: None,
    };
    let done = rig.balancer.act(&which, Action::Probe, rig.now).unwrap();
    let told = done[0].to_string();
    assert!(
        told.contains("its checks rest, since this machine has none"),
        "{told}"
    );
    rig.drain();
    assert_eq!(rig.probed, []);
    rig.hold(&["10.1.0.100"]);
    rig.act("10.0.0.1", ALL, Action::Probe).unwrap();
    assert_eq!(rig.probed.len(), 1);
}

#[test]
fn when_all_are_drained_the_sorry_server_serves_and_connections_go_on() {
    let mut rig = Rig::new(&web("sorry_server 10.0.0.9 80\n quorum_down /bin/qdown"));
    for server in ["10.0.0.1", "10.0.0.2"] {
        rig.act(server, ALL, Action::Drain).unwrap();
    }
    let sorry = "-a -t 10.1.0.100:80 -r 10.0.0.9:80 -m -w 1\n";
    let two = TWO.replace("-w 2", "-w 0");
    assert_eq!(rig.table(), format!("{SERVICE}{}{two}{sorry}", one(0)));
    assert_eq!(rig.notices, ["quorum down /bin/qdown"]);
    rig.act("10.0.0.2", ALL, Action::Undrain).unwrap();
    assert_eq!(rig.table(), format!("{SERVICE}{}{TWO}", one(0)));
    assert_eq!(rig.notices.last().unwrap(), "quorum up");
}

#[test]
fn a_quorum_is_what_it_would_be_once_nothing_is_ordered_any_more() {
    // Up from the start with 3; to come up again it would take 4.
    let mut rig = Rig::new(&web("quorum 3\n hysteresis 1\n sorry_server 10.0.0.9 80"));
    let before = rig.table();
    rig.act("10.0.0.2", ALL, DISABLE).unwrap();
    assert!(rig.table().contains("10.0.0.9"), "{}", rig.table());
    rig.act("10.0.0.2", ALL, Action::Enable).unwrap();
    assert_eq!(rig.table(), before);
    assert_eq!(rig.notices, ["quorum down", "quorum up"]);
}

#[test]
fn orders_outlive_a_reload_and_one_that_does_not_name_their_server() {
    let mut rig = Rig::new(&web(""));
    rig.act("10.0.0.1", ALL, Action::Drain).unwrap();
    rig.configure(&web("persistence_timeout 300"));
    let service = "-A -t 10.1.0.100:80 -s rr -p 300\n";
    assert_eq!(rig.table(), format!("{service}{}{TWO}", one(0)));

    let without = config(
        "virtual_server 10.1.0.100 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n \
         real_server 10.0.0.2 8080 {\n weight 2\n TCP_CHECK {\n }\n }\n}\n",
    );
    rig.configure(&without);
    assert_eq!(rig.table(), format!("{SERVICE}{TWO}"));
    let named = "10.0.0.1:8080 of VS 10.1.0.100 80 drained";
    assert_eq!(rig.notices, [format!("{named} kept")]);
    rig.configure(&web(""));
    assert_eq!(rig.table(), format!("{SERVICE}{}{TWO}", one(0)));

    rig.notices.clear();
    rig.configure(&without);
    rig.configure(&without);
    assert_eq!(
        rig.notices,
        [format!("{named} kept"), format!("{named} forgotten")]
    );
    rig.configure(&web(""));
    assert_eq!(rig.table(), format!("{SERVICE}{ONE}{TWO}"));
}

/// Two virtual servers that share a machine, one of them by its address alone, and a group.
fn farm() -> Config {
    let server = |name: &str, server: &str| {
        format!(
            "virtual_server {name} {{\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n \
             real_server {server} {{\n }}\n real_server 10.0.0.9 90 {{\n }}\n}}\n"
        )
    };
    config(&format!(
        "virtual_server_group web {{\n 10.1.0.7 80\n fwmark 7\n}}\n{}{}{}{}",
        server("10.1.0.100 80", "10.0.0.1 8080"),
        server("10.1.0.100 443", "10.0.0.1"),
        server("fwmark 5", "10.0.0.1 8080"),
        server("group web", "10.0.0.1 81"),
    ))
}

#[test]
fn an_operator_means_what_stands_in_the_file_or_in_the_table() {
    let mut rig = Rig::new(&farm());
    for (server, of, count) in [
        ("10.0.0.1", None, 4),
        ("10.0.0.9", None, 4),
        ("10.0.0.1:8080", None, 2),
        ("10.0.0.1:443", None, 1),
        ("10.0.0.1:81", None, 1),
        ("10.0.0.1", Some("10.1.0.100 80"), 1),
        ("10.0.0.1", Some("10.1.0.100:443"), 1),
        ("10.0.0.1", Some("10.1.0.100"), 2),
        ("10.0.0.1:8080", Some("fwmark 5"), 1),
        ("10.0.0.1", Some("group  web"), 1),
        ("10.0.0.1", Some("web"), 1),
        ("10.0.0.1", Some("10.1.0.7:80"), 1),
    ] {
        assert_eq!(rig.act(server, of, DISABLE), Ok(count), "{server} {of:?}");
    }
    for (server, of, expected) in [
        (
            "10.0.0.2",
            Some("fwmark 5"),
            "there is no real server 10.0.0.2 of virtual server fwmark 5; there are 10.0.0.1:8080 \
             of VS fwmark 5, 10.0.0.9:90 of VS fwmark 5",
        ),
        (
            "10.0.0.1",
            Some("fwmark 6"),
            "there is no virtual server fwmark 6; there are 10.1.0.100 80, 10.1.0.100 443, fwmark \
             5, group web",
        ),
    ] {
        let refused = rig.act(server, of, DISABLE).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let refused = rig.act("10.0.0.1:80", None, DISABLE).unwrap_err();
    assert_eq!(refused.there.len(), 8);
}

#[derive(Debug, Clone)]
enum Step {
    Check(usize, bool),
    Act(usize, Action),
    Reload(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        Just(Action::Drain),
        Just(Action::Undrain),
        (0..9_u32).prop_map(weight),
        Just(Action::Weight(None)),
        any::<bool>().prop_map(|drain| Action::Disable { drain }),
        Just(Action::Enable),
        Just(Action::Probe),
    ];
    prop_oneof![
        (0..2_usize, any::<bool>()).prop_map(|(nth, up)| Step::Check(nth, up)),
        (0..2_usize, action).prop_map(|(nth, action)| Step::Act(nth, action)),
        (0..FILES.len()).prop_map(Step::Reload),
    ]
}

const SERVERS: [&str; 2] = ["10.0.0.1:8080", "10.0.0.2:8080"];

const FILES: [&str; 4] = [
    "",
    "sorry_server 10.0.0.9 80\n quorum 3\n hysteresis 1",
    "sorry_server 10.0.0.9 80\n quorum 2\n hysteresis 1\n alpha",
    "inhibit_on_failure",
];

proptest! {
    /// Whatever is ordered, reloaded and found out: once all orders are taken back, the table is the
    /// one that would be without them.
    #[test]
    fn of_orders_that_are_taken_back_nothing_is_left(
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let start = web(FILES[0]);
        let (mut ordered, mut free) = (Rig::new(&start), Rig::new(&start));
        for step in steps {
            match step {
                Step::Check(nth, up) => for rig in [&mut ordered, &mut free] {
                    rig.check(nth, if up { Health::Up } else { Health::Down });
                },
                Step::Act(nth, action) => {
                    ordered.act(SERVERS[nth], ALL, action).unwrap();
                }
                Step::Reload(file) => for rig in [&mut ordered, &mut free] {
                    rig.configure(&web(FILES[file]));
                },
            }
        }
        for server in SERVERS {
            for action in [Action::Undrain, Action::Enable] {
                ordered.act(server, ALL, action).unwrap();
            }
        }
        prop_assert_eq!(ordered.table(), free.table());
    }
}
