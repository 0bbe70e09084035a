//! What the laboratory finds.

use sched::{
    Flags, Kind, Protocol, Rules, ServerSettings,
    laboratory::{self, Change, Comparison, Contestant, Trap, Workload},
};

use crate::{Bench, server};

#[test]
fn a_quiesced_server_drops_clients_under_sh_and_mh_without_fallback() {
    let workload = workload(vec![(
        1000,
        Change::Edit(server(2), ServerSettings::new(0)),
    )]);
    let fallback = Flags::NONE.with_fallback();
    let kinds = [
        (Kind::Sh, Flags::NONE),
        (Kind::Mh, Flags::NONE),
        (Kind::Sh, fallback),
        (Kind::Mh, fallback),
    ];
    let found = compare(&workload, &kinds);
    for (report, refuses) in found.reports.iter().zip([true, true, false, false]) {
        let trap = report
            .traps
            .iter()
            .any(|trap| matches!(trap, Trap::RefusesThoughUsable { .. }));
        assert_eq!(trap, refuses, "{}", report.label);
        assert_eq!(report.refused > 0, refuses, "{}", report.label);
        assert_eq!(report.refused, report.refused_though_usable);
    }
}

#[test]
fn udp_blinds_sed_nq_and_ovf_but_not_wlc() {
    let workload = Workload {
        protocol: Protocol::Udp,
        ..workload(Vec::new())
    };
    let kinds = [
        Kind::Sed,
        Kind::Nq,
        Kind::Ovf,
        Kind::Wlc,
        Kind::Rr,
        Kind::Mh,
    ];
    let found = compare(&workload, &kinds.map(|kind| (kind, Flags::NONE)));
    for report in &found.reports {
        let blind = report
            .traps
            .iter()
            .any(|trap| matches!(trap, Trap::BlindToUdp { .. }));
        assert_eq!(
            blind,
            ["sed", "nq", "ovf"].contains(&report.label.as_str()),
            "{}",
            report.label
        );
    }
}

#[test]
fn a_weight_edit_moves_the_clients_of_sh_and_not_of_mh() {
    let workload = workload(vec![(
        1000,
        Change::Edit(server(2), ServerSettings::new(3)),
    )]);
    let found = compare(
        &workload,
        &[(Kind::Sh, Flags::NONE), (Kind::Mh, Flags::NONE)],
    );
    let [sh, mh] = &found.reports[..] else {
        panic!("two contestants")
    };
    assert!(
        matches!(sh.traps[..], [Trap::EditMovesClients { moved }] if moved > 0.3),
        "{sh:?}"
    );
    assert!(
        mh.traps.is_empty() && mh.after_edit.returned > 100,
        "{mh:?}"
    );
    assert_eq!(sh.undisturbed.moved, 0);
}

#[test]
fn a_server_that_leaves_moves_the_clients_of_others_under_sh_and_not_under_mh() {
    let workload = workload(vec![(1000, Change::Remove(server(2)))]);
    let found = compare(
        &workload,
        &[(Kind::Sh, Flags::NONE), (Kind::Mh, Flags::NONE)],
    );
    let [sh, mh] = &found.reports[..] else {
        panic!("two contestants")
    };
    assert!(
        sh.traps
            .iter()
            .any(|trap| matches!(trap, Trap::LeaveMovesClients { .. }))
    );
    assert!(mh.traps.is_empty());
    assert!(
        mh.after_leave.moved_share() < 0.02 && mh.after_leave.returned > 100,
        "{mh:?}"
    );
}

#[test]
fn fairness_is_the_part_of_the_picks_that_is_misplaced() {
    let found = compare(
        &workload(Vec::new()),
        &[(Kind::Wrr, Flags::NONE), (Kind::Fo, Flags::NONE)],
    );
    let [wrr, fo] = &found.reports[..] else {
        panic!("two contestants")
    };
    assert!(wrr.misplaced < 0.01, "{wrr:?}");
    assert!(
        (fo.misplaced - 0.75).abs() < 0.01,
        "one of four equal servers gets all: {fo:?}"
    );
    assert_eq!(fo.shares.iter().map(|share| share.picks).sum::<u64>(), 2000);
}

#[test]
fn the_table_has_a_line_for_each_contestant_and_one_for_each_trap() {
    let workload = workload(vec![(
        1000,
        Change::Edit(server(2), ServerSettings::new(0)),
    )]);
    let flags = Flags::NONE.with_fallback().with_port();
    let text = compare(&workload, &[(Kind::Mh, Flags::NONE), (Kind::Mh, flags)]).to_string();
    let traps: Vec<&str> = text.lines().filter(|line| line.contains("  ! ")).collect();
    assert!(text.contains("\nmh  "), "{text}");
    assert!(text.contains("\nmh+fallback+port "), "{text}");
    assert!(
        matches!(traps[..], [trap] if trap.starts_with("mh  ") && trap.contains("! refused")),
        "{text}"
    );
    assert!(text.contains("\nmisplaced  picks that"), "{text}");
}

#[test]
fn the_same_workload_makes_the_same_history_and_another_seed_another() {
    let one = workload(Vec::new());
    assert_eq!(one.history(), one.history());
    assert_ne!(
        one.history(),
        Workload {
            seed: 2,
            ..workload(Vec::new())
        }
        .history()
    );
}

fn workload(changes: Vec<(u32, Change)>) -> Workload {
    let servers = (1..5)
        .map(|number| (server(number), ServerSettings::new(1)))
        .collect();
    let protocol = Protocol::Tcp;
    // About one connection under way, so that ovf as TCP spreads and does not refuse.
    Workload {
        servers,
        changes,
        clients: 300,
        arrivals: 2000,
        protocol,
        lifetime: 5,
        seed: 1,
    }
}

fn compare(workload: &Workload, kinds: &[(Kind, Flags)]) -> Comparison {
    let contestants: Vec<_> = kinds
        .iter()
        .map(|(kind, flags)| Contestant::kernel(*kind, *flags, Rules::default()))
        .collect();
    let now = Bench::new(Kind::Rr).now;
    laboratory::run(&workload.history(), &contestants, now)
}
