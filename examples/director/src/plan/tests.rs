use ipvs::{IpvsBackend as _, Ownership, fake, text::parse_table};

use super::*;
use crate::conf::{MemoryEnvironment, Options, load};

const PATH: &str = "/etc/keepalived/keepalived.conf";

const INSTANCE: &str = "vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\npriority 100\n\
                        authentication {\nauth_type PASS\nauth_pass 1111\n}\n\
                        virtual_ipaddress {\n10.1.0.100/24\n}\n}\n";

const POOL: &str = "virtual_server 10.1.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
                    real_server 10.0.0.1 80 {\nTCP_CHECK {\nconnect_timeout 3\n}\n}\n\
                    real_server 10.0.0.2 80 {\nweight 2\n}\n}\n";

fn config(text: &str) -> Config {
    let machine = MemoryEnvironment::with_file(PATH, text);
    let loaded = load(PATH, &machine, &Options::default()).unwrap();
    let diagnostics = loaded.diagnostics;
    loaded.config.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

/// From one text to another, without the kernel's part.
fn plan(before: &str, after: &str) -> Plan {
    Plan::new(Some(&config(before)), &config(after), None)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn told(changed: &[Changed]) -> Vec<(&str, String)> {
    let settings = |changed: &Changed| {
        let settings: Vec<_> = changed.settings.iter().map(ToString::to_string).collect();
        settings.join("; ")
    };
    changed
        .iter()
        .map(|changed| (changed.name.as_str(), settings(changed)))
        .collect()
}

#[test]
fn the_same_file_changes_nothing_wherever_its_lines_stand() {
    let text = format!("{INSTANCE}{POOL}");
    let moved = format!("# more\n\n{POOL}\n{INSTANCE}\n");
    let plan = plan(&text, &moved);
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.to_string(), "nothing changes\n");
}

#[test]
fn at_the_start_all_is_new() {
    let plan = Plan::new(None, &config(&format!("{INSTANCE}{POOL}")), None);
    assert_eq!(plan.instances.added, names(&["VI_1"]));
    assert_eq!(plan.virtual_servers.added, names(&["10.1.0.100 80"]));
    assert_eq!(plan.real_servers.added.len(), 2);
    assert_eq!(
        plan.checks.added,
        names(&["TCP_CHECK of 10.0.0.1:80 of VS 10.1.0.100 80"])
    );
    assert!(!plan.is_empty());
}

#[test]
fn settings_of_instances_are_told_by_their_keywords_and_passwords_never() {
    let after = INSTANCE
        .replace("priority 100", "priority 150\nnopreempt")
        .replace("1111", "2222");
    let plan = plan(INSTANCE, &after);
    assert_eq!(
        told(&plan.instances.changed),
        [(
            "VI_1",
            String::from(
                "priority: 100 -> 150; nopreempt: unset -> on; \
                 authentication: (not shown) -> (not shown, another)"
            )
        )]
    );
    assert!(!plan.to_string().contains("2222"));
}

#[test]
fn real_servers_and_checks_come_change_and_go() {
    let after = POOL
        .replace("connect_timeout 3", "connect_timeout 5")
        .replace("weight 2", "weight 3")
        .replace(
            "real_server 10.0.0.2 80",
            "real_server 10.0.0.3 80 {\n}\nreal_server 10.0.0.2 80",
        );
    let changed = plan(POOL, &after);
    assert!(changed.virtual_servers.is_empty());
    let of = "of VS 10.1.0.100 80";
    assert_eq!(changed.real_servers.added, [format!("10.0.0.3:80 {of}")]);
    assert_eq!(
        told(&changed.real_servers.changed),
        [(
            &*format!("10.0.0.2:80 {of}"),
            String::from("weight: 2 -> 3")
        )]
    );
    assert_eq!(
        told(&changed.checks.changed),
        [(
            &*format!("TCP_CHECK of 10.0.0.1:80 {of}"),
            String::from("timeout: 3 s -> 5 s")
        )]
    );

    let gone = plan(POOL, INSTANCE);
    assert_eq!(gone.virtual_servers.removed, names(&["10.1.0.100 80"]));
    assert_eq!(gone.real_servers.removed.len(), 2);
    assert_eq!(gone.checks.removed.len(), 1);
}

#[test]
fn what_holds_for_all_is_told_too() {
    let plan = plan(
        POOL,
        &format!("global_defs {{\nlvs_timeouts tcp 60\nrouter_id one\n}}\n{POOL}"),
    );
    let [(name, settings)] = &told(&plan.global.changed)[..] else {
        panic!("{plan}");
    };
    assert_eq!(*name, "global_defs");
    assert!(settings.contains("router_id: unset -> one"), "{settings}");
    assert!(
        settings.contains("lvs_timeouts: unset -> tcp 60 s"),
        "{settings}"
    );
}

async fn running(table: &ipvs::Table) -> (fake::Kernel, ipvs::Snapshot) {
    let kernel = fake::Kernel::new();
    for change in ipvs::plan(&ipvs::Table::default(), table) {
        kernel.change(change).unwrap();
    }
    let snapshot = kernel.snapshot().await.unwrap();
    (kernel, snapshot)
}

fn with_connections(mut running: ipvs::Snapshot) -> ipvs::Snapshot {
    for service in &mut running.services {
        for destination in &mut service.destinations {
            destination.counts.active = 5;
            destination.counts.persistent = 2;
        }
    }
    running
}

async fn effects(before: &str, after: &str, grace: u64) -> Vec<Effect> {
    let (before, after) = (parse_table(before).unwrap(), parse_table(after).unwrap());
    let running = with_connections(running(&before).await.1);
    let kernel = Kernel::new(&Tables {
        running: &running,
        before: &before,
        after: &after,
        owned: &Ownership::default(),
        grace: std::time::Duration::from_secs(grace),
    });
    let changes = kernel.changes.into_iter();
    changes.flat_map(|change| change.effects).collect()
}

const ONE: &str = "-A -t 10.1.0.100:80 -s rr -p 300\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -w 1\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.2:80 -m -w 1\n";

#[tokio::test]
async fn connections_of_those_who_go_are_told_with_what_becomes_of_them() {
    let after = "-A -t 10.1.0.100:80 -s rr -p 300\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -w 1\n";
    let of_one = Connections {
        active: 5,
        inactive: 0,
        persistent: 2,
    };
    assert_eq!(
        effects(ONE, after, 60).await,
        [Effect::Drained {
            connections: of_one,
            cut_after: 60
        }]
    );
    let both = Connections {
        active: 10,
        inactive: 0,
        persistent: 4,
    };
    assert_eq!(
        effects(ONE, "", 0).await,
        [Effect::Cut { connections: both }]
    );
}

#[tokio::test]
async fn who_is_sent_elsewhere_is_told() {
    let lost = Effect::PersistenceLost { templates: 4 };
    let rescheduled = Effect::Rescheduled {
        from: "rr".into(),
        to: "wlc".into(),
    };
    let plain = ONE.replace("-s rr -p 300", "-s wlc");
    assert_eq!(effects(ONE, &plain, 60).await, [rescheduled, lost]);

    let hashed = ONE.replace("rr -p 300", "sh");
    let heavier = hashed.replace("10.0.0.2:80 -m -w 1", "10.0.0.2:80 -m -w 2");
    let remapped = Effect::Remapped {
        scheduler: "sh".into(),
    };
    assert_eq!(effects(&hashed, &heavier, 60).await, [remapped]);
    let heavier = ONE.replace("10.0.0.2:80 -m -w 1", "10.0.0.2:80 -m -w 2");
    assert_eq!(effects(ONE, &heavier, 60).await, []);
}

#[tokio::test]
async fn what_is_being_changed_already_and_what_strangers_have_is_no_part_of_it() {
    let before = parse_table(ONE).unwrap();
    let strange = "-A -u 10.9.9.9:53 -s rr\n-A -t 10.1.0.100:80 -s rr -p 300\n";
    let (_, running) = running(&parse_table(strange).unwrap()).await;
    let kernel = Kernel::new(&Tables {
        running: &running,
        before: &before,
        after: &before,
        owned: &Ownership::default(),
        grace: std::time::Duration::ZERO,
    });
    assert_eq!(kernel.changes, []);
}

/// A table that ipvsadm has words for: it has none for the forwarding methods local and bypass.
fn table() -> impl proptest::strategy::Strategy<Value = ipvs::Table> {
    use proptest::strategy::Strategy as _;
    ipvs::strategy::table().prop_map(|mut table| {
        for service in table.services_mut() {
            let destinations = &mut service.destinations;
            destinations.retain(|_, settings| {
                use ipvs::Forwarding;
                !matches!(settings.forwarding, Forwarding::Local | Forwarding::Bypass)
            });
        }
        table
    })
}

proptest::proptest! {
    #[test]
    fn the_commands_of_a_plan_lead_to_the_table_that_is_wanted(
        before in table(),
        after in table(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (machine, running) = running(&before).await;
            let plan = Kernel::new(&Tables {
                running: &running,
                before: &before,
                after: &after,
                owned: &Ownership::default(),
                grace: std::time::Duration::ZERO,
            });
            for change in &plan.changes {
                let words: Vec<_> = change.command.split(' ').collect();
                machine.change(ipvs::text::parse_words(&words).unwrap()).unwrap();
            }
            let reached = machine.snapshot().await.unwrap().table();
            assert_eq!(ipvs::plan(&reached, &after), []);
        });
    }
}

#[test]
fn an_interface_that_there_is_not_is_told_where_the_instance_changes() {
    let moved = INSTANCE.replace("eth0", "eth7");
    let mut changed = plan(INSTANCE, &moved);
    changed.warn_of_missing_interface("VI_1", "eth7");
    let told = "warning: interface eth7 does not exist: VI_1 waits for it in FAULT STATE\n\
                vrrp_instance 1 changed\n";
    assert!(changed.to_string().ends_with(told), "{changed}");
    let mut same = plan(INSTANCE, INSTANCE);
    same.warn_of_missing_interface("VI_1", "eth0");
    assert_eq!(same.to_string(), "nothing changes\n");
}
