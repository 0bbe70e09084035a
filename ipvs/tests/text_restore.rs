//! What is read of a saved table, and what is said of one that is wrong.

use ipvs::{
    Change, Forwarding, Persistence, Table, Weight, strategy,
    text::{Dialect, Names, ParseError, command_line, parse, parse_table, parse_words, save},
};
use proptest::prelude::*;

/// A table as ipvsadm can say it: no destination is local or bypassed.
fn sayable() -> impl Strategy<Value = Table> {
    strategy::table().prop_map(|mut table| {
        for service in table.services_mut() {
            let silent = [Forwarding::Local, Forwarding::Bypass];
            service
                .destinations
                .retain(|_, it| !silent.contains(&it.forwarding));
        }
        table
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_was_saved_is_restored(table in sayable()) {
        let text = save(&table, Dialect::Complete, &Names::default());
        prop_assert_eq!(parse_table(&text).unwrap(), table, "{}", text);
    }

    #[test]
    fn what_was_saved_for_ipvsadm_lacks_only_what_it_cannot_say(table in sayable()) {
        let restored = parse_table(&save(&table, Dialect::Ipvsadm, &Names::default())).unwrap();
        let mut expected = Table::default();
        expected.services = table.services;
        for service in expected.services_mut() {
            for destination in service.destinations.values_mut() {
                destination.thresholds = ipvs::Thresholds::NONE;
            }
        }
        prop_assert_eq!(restored, expected);
    }

    #[test]
    fn a_change_is_written_as_the_command_that_makes_it(
        change in strategy::change().prop_filter("it can be said", |change| {
            let (Change::AddDestination { settings, .. } | Change::SetDestination { settings, .. }) =
                change
            else {
                return true;
            };
            !matches!(settings.forwarding, Forwarding::Local | Forwarding::Bypass)
        })
    ) {
        let line = command_line(&change);
        let words: Vec<_> = line.split(' ').collect();
        prop_assert_eq!(parse_words(&words), Ok(change), "{}", line);
    }

    #[test]
    fn any_text_is_a_table_or_has_errors_in_its_lines(
        text in "(-[AaEeDdCZtufsprmgiwxyMob6]|--set|--tun-type|gue|wlc|10\\.0\\.0\\.1:80|[0-9]|x|é| |\n){0,40}",
    ) {
        if let Err(errors) = parse_table(&text) {
            prop_assert!(!errors.is_empty());
            for ParseError { line, column, .. } in errors {
                let line = text.lines().nth(line - 1).unwrap();
                prop_assert!((1..=line.chars().count()).contains(&column));
            }
        }
    }
}

#[test]
fn comments_empty_lines_and_the_name_of_the_program_are_passed_over() {
    let lines = parse("# of Monday\n\n  ipvsadm -A -t 10.1.0.100:80\n\t# end\n").unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].number, 3);
}

#[test]
fn options_are_written_as_ipvsadm_takes_them() {
    let expected = parse("-A -t 10.1.0.100:80 -s rr -p 900").unwrap();
    for text in [
        "-A -t10.1.0.100:80 -srr -p900",
        "--add-service --tcp-service=10.1.0.100:80 --scheduler rr --persistent=900",
        "-A -p 900 -s rr -t 10.1.0.100:80",
    ] {
        assert_eq!(parse(text).unwrap(), expected, "{text}");
    }
    let Change::AddService { settings, .. } = parse("-A -f 7 -6 -p -s rr").unwrap()[0].change
    else {
        unreachable!("it adds a service");
    };
    assert_eq!(
        settings.persistence.unwrap().timeout,
        Persistence::DEFAULT_TIMEOUT,
        "the default"
    );
}

#[test]
fn an_edit_replaces_everything_with_what_is_said_or_the_default() {
    let Change::SetService { settings, .. } = parse("-E -t 10.1.0.100:80").unwrap()[0].change
    else {
        unreachable!("it edits a service");
    };
    assert_eq!(settings, ipvs::ServiceSettings::default());
    let change = parse("-e -t 10.1.0.100:80 -r 10.0.0.1").unwrap()[0].change;
    let Change::SetDestination { settings, .. } = change else {
        unreachable!("it edits a destination");
    };
    assert_eq!(
        (settings.forwarding, settings.weight),
        (Forwarding::DirectRoute, Weight::DEFAULT)
    );
}

#[test]
fn the_port_of_a_destination_is_the_services_where_packets_keep_theirs() {
    for (options, expected) in [
        ("-r 10.0.0.1:8080 -g", "10.0.0.1:80"),
        ("-r 10.0.0.1:8080 -i", "10.0.0.1:80"),
        ("-r 10.0.0.1:8080 -m", "10.0.0.1:8080"),
        ("-r 10.0.0.1 -m", "10.0.0.1:80"),
    ] {
        let change = parse(&format!("-a -t 10.1.0.100:80 {options}")).unwrap()[0].change;
        let Change::AddDestination { destination, .. } = change else {
            unreachable!("it adds a destination");
        };
        assert_eq!(destination.to_string(), expected, "{options}");
    }
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place_and_what_to_write() {
    let text = "-A -t 10.1.0.100:80 -s rr\n\
                -A -t 10.1.0.100:80\n\
                -a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -y 9\n\
                -a -t 10.1.0.100:81 -r 10.0.0.1:81 -m\n\
                -a -t [fd00::1] -r 10.0.0.1:80\n\
                -A -u 10.1.0.100:0\n\
                -A -t 10.1.0.101:80 -b mh-port\n\
                -s rr\n\
                -A -t 10.1.0.101:80 -w 3\n\
                -a -t 10.1.0.100:80 -r 10.0.0.2:80 -i --tun-type gue\n\
                -a -t 10.1.0.100:80 -r 10.0.0.2:80 -i -m\n\
                -L\n\
                -A -t 10.1.0.102:80 -s rr -s rr\n\
                -A -t\n";
    let told: Vec<_> = parse_table(text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [
        "line 2, column 1: there is a service TCP 10.1.0.100:80 already",
        "line 3, column 39: a lower threshold of 9 needs an upper",
        "line 4, column 1: there is no service TCP 10.1.0.100:81",
        "line 5, column 7: `[fd00::1]` is not an address and a port in numbers",
        "line 6, column 1: UDP 10.1.0.100:0 is a service of every port, which needs persistence",
        "line 7, column 24: `mh-port` is not a list of flags of wlc",
        "line 8, column 1: --scheduler is not a command",
        "line 9, column 21: --weight does not belong to --add-service",
        "line 10, column 1: --add-server needs --tun-port for --tun-type gue",
        "line 11, column 39: --masquerading cannot be together with --ipip",
        "line 12, column 1: `-L` is not an option of a saved table",
        "line 13, column 27: --scheduler is given twice",
        "line 14, column 4: --tcp-service needs a value",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nis not\n{expected}");
    }
}
