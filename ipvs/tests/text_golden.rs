//! What ipvsadm 1.31 wrote of a kernel 6.1, byte by byte.

use std::collections::BTreeMap;

use ipvs::{
    Forwarding, Info, Snapshot, SyncDaemon, Table, TimeoutChange, Timeouts, Version,
    text::{
        Columns, Dialect, ListOptions, Names, Order, connections_title, list, list_daemons,
        list_service, list_timeouts, parse, parse_table, save,
    },
};

const RECORDED: &str = include_str!("golden/ipvsadm-6.1.txt");

/// What was written after a command was typed for the first time.
fn output(command: &str) -> String {
    let typed = format!("$ ipvsadm {command}");
    let mut lines = RECORDED.lines().skip_while(|line| *line != typed).skip(1);
    let mut output = String::new();
    for line in lines.by_ref().take_while(|line| !line.starts_with("$ ")) {
        output.push_str(line);
        output.push('\n');
    }
    output
}

/// The commands that were typed before the first list of a table that has something in it.
fn typed() -> String {
    let commands = RECORDED
        .lines()
        .filter_map(|line| line.strip_prefix("$ ipvsadm "));
    let made = commands.skip(1).take_while(|command| *command != "-Ln");
    made.collect::<Vec<_>>().join("\n")
}

fn table() -> Table {
    parse_table(&typed()).expect("ipvsadm took it")
}

/// A table as the kernel told it: services in the order of its hash, the newest destination first.
fn snapshot() -> Snapshot {
    let table = table();
    let mut snapshot = Snapshot::default();
    snapshot.info = Info {
        version: Version {
            major: 1,
            minor: 2,
            patch: 1,
        },
        table_size: 4096,
    };
    let names = [
        "TCP [fd00::100]:443",
        "TCP 10.1.0.100:80",
        "UDP 10.1.0.100:53",
    ];
    let names = [&names[..], &["TCP 200.0.0.1:80", "FWM 7"]].concat();
    let by_name: BTreeMap<_, _> = table
        .services
        .iter()
        .map(|it| (it.0.to_string(), it))
        .collect();
    for name in names {
        let (key, service) = by_name.get(name).expect("it was added");
        let mut state = ipvs::ServiceState::new(**key, service.settings);
        let newest_first = service.destinations.iter().rev();
        state.destinations.extend(
            newest_first.map(|(key, settings)| ipvs::DestinationState::new(*key, *settings)),
        );
        snapshot.services.push(state);
    }
    snapshot
}

fn options(columns: Columns) -> ListOptions {
    ListOptions {
        columns,
        order: Order::Ipvsadm,
        exact: false,
    }
}

#[test]
fn every_list_is_as_recorded() {
    for (command, columns) in [
        ("-Ln --stats", Columns::Stats),
        ("-Ln --rate", Columns::Rate),
        ("-Ln --thresholds", Columns::Thresholds),
        ("-Ln --persistent-conn", Columns::PersistentConn),
        ("-Ln --tun-info", Columns::TunInfo),
    ] {
        assert_eq!(
            list(&snapshot(), &options(columns), &Names::default()),
            output(command),
            "{command}"
        );
    }
    let exact = ListOptions {
        exact: true,
        ..options(Columns::Stats)
    };
    assert_eq!(
        list(&snapshot(), &exact, &Names::default()),
        output("-Ln --stats --exact")
    );
    let nosort = ListOptions {
        order: Order::Kernel,
        ..options(Columns::Plain)
    };
    assert_eq!(
        list(&snapshot(), &nosort, &Names::default()),
        output("-Ln --nosort")
    );
    assert_eq!(connections_title(false), output("-Lnc"));
}

#[test]
fn the_plain_list_is_as_recorded_empty_and_full() {
    let mut empty = snapshot();
    empty.services.clear();
    assert_eq!(
        list(&empty, &options(Columns::Plain), &Names::default()),
        output("-Ln")
    );
    let full = list(&snapshot(), &options(Columns::Plain), &Names::default());
    assert!(RECORDED.contains(&format!("$ ipvsadm -Ln\n{full}$ ipvsadm -Ln --nosort\n")));
}

#[test]
fn one_service_is_listed_without_header() {
    let web = "TCP 10.1.0.100:80";
    let snapshot = snapshot();
    let key = snapshot
        .services
        .iter()
        .map(|it| it.key)
        .find(|key| key.to_string() == web);
    let listed = list_service(
        &snapshot,
        &key.unwrap(),
        &options(Columns::Plain),
        &Names::default(),
    );
    assert_eq!(listed.unwrap(), output("-Ln -t 10.1.0.100:80"));
    let mark = ipvs::ServiceKey::fwmark(9.try_into().unwrap(), ipvs::Family::V4);
    assert_eq!(
        list_service(
            &snapshot,
            &mark,
            &options(Columns::Plain),
            &Names::default()
        ),
        None
    );
}

#[test]
fn timeouts_and_daemons_are_listed_as_recorded() {
    assert_eq!(list_timeouts(&Timeouts::default()), output("-L --timeout"));
    let change = parse("--set 100 0 200").unwrap()[0].change;
    let ipvs::Change::SetTimeouts(change) = change else {
        unreachable!("it sets timeouts");
    };
    assert_eq!(
        change,
        TimeoutChange {
            tcp_fin: None,
            ..change
        }
    );
    let listed = list_timeouts(&change.applied_to(Timeouts::default()));
    assert!(RECORDED.contains(&format!("$ ipvsadm -L --timeout\n{listed}$ ipvsadm -Sn")));

    let started = RECORDED
        .lines()
        .filter_map(|line| line.strip_prefix("$ ipvsadm --start-daemon"));
    let daemon = |options: &str| -> SyncDaemon {
        let line = parse(&format!("--start-daemon{options}")).unwrap()[0];
        let ipvs::Change::StartDaemon(daemon) = line.change else {
            unreachable!("it starts a daemon");
        };
        daemon
    };
    let mut daemons: Vec<_> = started.take(2).map(daemon).collect();
    // What the kernel chose where nothing was said.
    let chosen = daemon(
        " master --sync-maxlen 1472 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1",
    );
    daemons[0].max_length = chosen.max_length;
    daemons[0].group = chosen.group;
    daemons[0].port = chosen.port;
    daemons[0].ttl = chosen.ttl;
    daemons.reverse();
    let listed = list_daemons(&daemons);
    assert!(
        RECORDED.contains(&format!("$ ipvsadm -L --daemon\n{listed}$ ")),
        "{listed}"
    );
}

#[test]
fn a_table_is_saved_as_recorded() {
    assert_eq!(
        save(&table(), Dialect::Ipvsadm, &Names::default()),
        output("-Sn")
    );
}

#[test]
fn what_ipvsadm_saved_is_restored_but_for_what_it_loses() {
    let mut expected = table();
    for service in expected.services_mut() {
        for destination in service.destinations.values_mut() {
            destination.thresholds = ipvs::Thresholds::NONE;
        }
    }
    assert_eq!(parse_table(&output("-Sn")).unwrap(), expected);
    let complete = save(&table(), Dialect::Complete, &Names::default());
    assert!(
        complete.contains("-r 10.0.0.2:8080 -m -w 2 -x 1000 -y 500\n"),
        "{complete}"
    );
    assert_eq!(parse_table(&complete).unwrap(), table());
}

/// ipvsadm 1.31 writes `-f -1`, no `flag-3`, and `(null)` in place of a forwarding method.
#[test]
fn what_ipvsadm_could_not_restore_or_leaves_out_is_written_so_that_it_restores_it() {
    let text = "-A -t 10.1.0.101:80 -s mh -b mh-port,flag-3\n\
                -a -t 10.1.0.101:80 -r 10.0.0.1:80 -g -w 1\n\
                -A -f 4294967295 -s sh -b flag-3\n";
    let mut table = parse_table(text).unwrap();
    assert_eq!(save(&table, Dialect::Ipvsadm, &Names::default()), text);

    table
        .services_mut()
        .flat_map(|it| it.destinations.values_mut())
        .next()
        .unwrap()
        .forwarding = Forwarding::Bypass;
    assert_eq!(save(&table, Dialect::Ipvsadm, &Names::default()), text);
}
