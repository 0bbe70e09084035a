//! Whatever the table, the arguments and the lines.

use ipvs::{Forwarding, Table, strategy};
use ipvsctl::Status;
use proptest::prelude::*;

use crate::rig::Rig;

/// A table as ipvsadm can say it, of schedulers that the kernel has.
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

fn rig_of(table: &Table) -> Rig {
    let rig = Rig::new();
    for change in ipvs::plan(&Table::default(), table) {
        rig.kernel.change(change).unwrap();
    }
    rig
}

/// Words of command lines, and what is none.
fn argument() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "-[AEDCLladeRSZhvntufspMrmigwxycoXb6q]{1,3}",
        4 => proptest::sample::select(vec![
            "--set", "--start-daemon", "--stop-daemon", "--add-service", "--list", "--json",
            "--dry-run", "--sctp-service", "--persistent=5", "--tun-type", "gue", "--tun-port",
            "--pe", "--mcast-group", "--nosort", "--order", "numeric", "--foo", "--=", "--", "-",
            "master", "wlc", "10.1.0.100:80", "[fd00::100]:443", "[fd00::1]", "vip:http", ":", "[",
            "sh-port,", "2147483648", "",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
        1 => "[0-9:.\\[\\]]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_was_saved_is_restored_into_an_empty_kernel(table in sayable()) {
        let rig = rig_of(&table);
        let saved = rig.run("-Sn --complete");
        prop_assert_eq!(saved.status, Status::Done);
        let other = Rig::new();
        let restored = other.run_with("-R", &saved.output);
        prop_assert_eq!(restored.status, Status::Done, "{}\n{}", restored.errors, saved.output);
        prop_assert_eq!(other.table(), rig.table());
        prop_assert_eq!(other.run("-Sn --complete").output, saved.output);
    }

    #[test]
    fn what_was_saved_replaces_any_other_table_and_then_nothing_is_left_to_do(
        table in sayable(),
        before in sayable(),
    ) {
        let (mut table, mut before) = (table, before);
        // The kernel refuses destinations of another family while a daemon runs.
        table.daemons.clear();
        before.daemons.clear();
        let saved = rig_of(&table).run("-Sn --complete").output;
        let rig = rig_of(&before);
        let done = rig.run_with("-R --replace", &saved);
        prop_assert_eq!(done.status, Status::Done, "{}", done.errors);
        prop_assert_eq!(rig.table().services, table.services);
        rig.kernel.take_journal();
        prop_assert_eq!(rig.run_with("-R --replace", &saved).status, Status::Done);
        prop_assert_eq!(rig.kernel.journal(), []);
    }

    #[test]
    fn a_restore_that_fails_anywhere_changes_nothing(
        table in sayable(),
        before in sayable(),
        nth in 1_usize..12,
    ) {
        let (mut table, mut before) = (table, before);
        table.daemons.clear();
        before.daemons.clear();
        let saved = rig_of(&table).run("-Sn --complete").output;
        let rig = rig_of(&before);
        let whole = rig.table();
        rig.kernel.inject(ipvs::fake::Fault::Refuse { nth, errno: 12 });
        let done = rig.run_with("-R --replace", &saved);
        if done.status == Status::Done {
            prop_assert_eq!(rig.table().services, table.services);
        } else {
            prop_assert_eq!(done.status, Status::Refused);
            prop_assert_eq!(rig.table(), whole, "{}", done.errors);
        }
    }

    #[test]
    fn any_arguments_do_something_or_are_refused_with_a_word(
        arguments in proptest::collection::vec(argument(), 0..8),
        input in "((-A|-a|-t|-r|10\\.1\\.0\\.100:80|-s|rr|\\PC{0,3})[ \n]){0,12}",
    ) {
        let rig = Rig::with_fixture();
        let before = rig.table();
        let done = rig.run_words(&arguments, &input);
        if done.status != Status::Done {
            prop_assert!(!done.errors.is_empty(), "{arguments:?}");
            prop_assert_eq!(rig.table(), before);
        }
    }
}
