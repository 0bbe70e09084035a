//! Restoring: all is read first, only what differs is changed, what fails leads back.

use ipvs::{Change, fake::Fault};
use ipvsctl::Status;
use serde_json::{Value, json};

use crate::rig::{FIXTURE, Rig};

#[test]
fn what_is_there_already_is_not_touched() {
    let rig = Rig::with_fixture();
    let done = rig.run_with("-R", FIXTURE);
    assert_eq!((done.status, &*done.errors), (Status::Done, ""));
    assert_eq!(rig.kernel.journal(), []);

    let other = FIXTURE.replace("10.0.0.1:8080 -m -w 3", "10.0.0.1:8080 -m -w 4");
    assert_eq!(rig.run_with("-R", &other).status, Status::Done);
    let changes: Vec<_> = rig.kernel.take_journal();
    assert_eq!(changes.len(), 1);
    assert!(matches!(changes[0].change, Change::SetDestination { .. }));
}

#[test]
fn services_that_are_not_restored_stay_unless_all_is_replaced() {
    let rig = Rig::with_fixture();
    let text = "-A -t 10.1.0.101:80 -s rr\n-a -t 10.1.0.101:80 -r 10.0.0.1:80 -m\n";
    assert_eq!(rig.run_with("-R", text).status, Status::Done);
    assert_eq!(rig.table().services.len(), 5);

    rig.kernel.take_journal();
    assert_eq!(rig.run_with("-R --replace", text).status, Status::Done);
    assert_eq!(rig.table().services.len(), 1);
    let changes = rig.kernel.take_journal();
    assert!(
        changes
            .iter()
            .all(|it| matches!(it.change, Change::RemoveService { .. }))
    );

    rig.set_up("-A -t 10.1.0.102:80\n");
    let text = format!("-C\n{text}");
    assert_eq!(rig.run_with("-R", &text).status, Status::Done);
    assert_eq!(rig.table().services.len(), 1, "-C in front is the same");
}

#[test]
fn every_wrong_line_is_told_with_its_column_and_nothing_is_changed() {
    let rig = Rig::with_fixture();
    let text = "# of Monday\n\
                -A -t 10.1.0.101:80 -s rr\n\
                \n\
                -a -t 10.1.0.101:80 -r 10.0.0.1 -w x\n\
                ipvsadm -A -t 10.1.0.102\n\
                -L -n\n\
                -A --foo\n\
                -A -t 10.1.0.103:80 --dry-run\n";
    let done = rig.run_with("-R", text);
    assert_eq!((done.status, &*done.output), (Status::Usage, ""));
    assert_eq!(
        done.errors,
        "ipvsctl: line 4, column 33: illegal weight specified: `x` is not a weight of 0 to \
         2147483647\n\
         ipvsctl: line 5, column 9: Zero port specified for non-persistent service: TCP 10.1.0.102:0 \
         is a service of every port, which needs persistence: add -p, or name a port\n\
         ipvsctl: line 6, column 1: Illegal 'list' command in a table that is restored: a line has \
         to change something\n\
         ipvsctl: line 7, column 4: --foo: unknown option: `ipvsctl -h' lists the options\n\
         ipvsctl: line 8, column 1: Illegal 'dry-run' option in a table that is restored\n\
         ipvsctl: nothing was changed\n"
    );
    assert_eq!(rig.kernel.journal(), []);
}

#[test]
fn lines_that_do_not_fit_together_are_told_before_anything_is_changed() {
    let rig = Rig::with_fixture();
    let text = "-A -t 10.1.0.101:80 -s rr\n\
                -A -t 10.1.0.101:80 -s wrr\n\
                -a -t 10.1.0.102:80 -r 10.0.0.1:80 -m\n";
    let done = rig.run_with("-R", text);
    assert_eq!(done.status, Status::Usage);
    assert!(
        done.errors
            .contains("line 2, column 1: Service already exists"),
        "{}",
        done.errors
    );
    assert!(
        done.errors
            .contains("line 3, column 1: Service not defined"),
        "{}",
        done.errors
    );
    assert_eq!(rig.kernel.journal(), []);
}

#[test]
fn every_wrong_line_of_many_is_told_and_a_few_of_many_refusals() {
    let rig = Rig::new();
    let wrong = "-A -t 10.1.0.101\n".repeat(50);
    let told = rig.run_with("-R", &wrong).errors;
    assert_eq!(told.lines().count(), 51);

    let refused: String = (1..=50)
        .map(|last| format!("-A -t 10.1.0.{last}:80 -s nope\n"))
        .collect();
    let told = rig.run_with("-R", &refused).errors;
    assert_eq!(told.lines().count(), 22);
    assert!(told.contains("and 30 more"), "{told}");
}

#[test]
fn a_file_that_was_emptied_does_not_replace_a_table() {
    let rig = Rig::with_fixture();
    for text in ["", "# of Monday\n\n"] {
        let done = rig.run_with("-R --replace", text);
        assert_eq!(done.status, Status::Usage);
        assert!(
            done.errors.contains("would remove all services"),
            "{}",
            done.errors
        );
        assert_eq!(rig.run_with("-R", text).status, Status::Done);
    }
    assert_eq!(rig.kernel.journal(), []);
    assert_eq!(
        rig.run_with("-R --replace", "-C\n").status,
        Status::Done,
        "it was said"
    );
}

#[test]
fn what_the_kernel_refuses_leads_back_to_the_table_as_it_was() {
    let text = "-C\n\
                -A -t 10.1.0.101:80 -s rr\n\
                -A -t 10.1.0.102:80 -s nope\n\
                --set 5 0 0\n\
                --start-daemon master --mcast-interface lo\n";
    let rig = Rig::with_fixture();
    let before = rig.table();
    let done = rig.run_with("-R", text);
    assert_eq!(done.status, Status::Refused);
    assert!(
        done.errors
            .starts_with("ipvsctl: line 3: Scheduler or persistence engine not found: cannot add"),
        "{}",
        done.errors
    );
    assert!(
        done.errors
            .ends_with("rolled back: the table is as it was\n")
    );
    assert_eq!(rig.table(), before);

    let done = rig.run_with("-R --no-rollback", text);
    assert_eq!(done.status, Status::Refused);
    assert!(
        done.errors.contains("stay (--no-rollback)"),
        "{}",
        done.errors
    );
    let services: Vec<_> = rig
        .table()
        .services
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(services, ["TCP 10.1.0.101:80"]);
}

#[test]
fn destinations_come_back_in_the_order_of_the_kernel() {
    let rig = Rig::new();
    rig.set_up(
        "-A -t 10.1.0.100:80\n\
         -a -t 10.1.0.100:80 -r 10.0.0.2:80 -m\n\
         -a -t 10.1.0.100:80 -r 10.0.0.1:80 -m\n\
         -a -t 10.1.0.100:80 -r 10.0.0.3:80 -m\n",
    );
    let before = rig.run("-Ln --nosort").output;
    let done = rig.run_with("-R --replace", "-A -t 10.1.0.102:80 -s nope\n");
    assert_eq!(done.status, Status::Refused);
    assert_eq!(rig.run("-Ln --nosort").output, before);
}

#[test]
fn a_change_without_answer_is_rolled_back_too() {
    for nth in 1..=9 {
        let rig = Rig::new();
        rig.kernel.inject(Fault::Break { nth });
        let done = rig.run_with("-R", FIXTURE);
        assert_eq!(done.status, Status::Refused, "{nth}");
        assert!(done.errors.contains("did not answer"), "{}", done.errors);
        assert!(rig.table().services.is_empty());
    }
}

#[test]
fn what_others_changed_meanwhile_is_left_alone() {
    let rig = Rig::with_fixture();
    // Whoever else: the service comes between reading and rolling back.
    let other: ipvs::ServiceKey = ipvs::ServiceKey::tcp("10.1.0.200:80".parse().unwrap());
    let add = Change::AddService {
        service: other,
        settings: ipvs::ServiceSettings::default(),
    };
    rig.kernel.inject(Fault::BetweenPages(vec![add]));
    let done = rig.run_with("-R", "-A -t 10.1.0.101:80\n-A -t 10.1.0.102:80 -s nope\n");
    assert_eq!(done.status, Status::Refused);
    assert!(rig.table().services.contains_key(&other));
    assert_eq!(rig.table().services.len(), 5);
}

#[test]
fn a_roll_back_that_fails_tells_what_is_left() {
    let rig = Rig::new();
    rig.kernel.inject(Fault::Refuse { nth: 3, errno: 12 });
    let done = rig.run_with("-R", "-A -t 10.1.0.101:80\n-A -t 10.1.0.102:80 -s nope\n");
    assert_eq!(done.status, Status::Refused);
    assert!(
        done.errors.ends_with("ipvsctl:   -D -t 10.1.0.101:80\n"),
        "{}",
        done.errors
    );
}

#[test]
fn counters_are_zeroed_only_when_all_else_is_done() {
    let rig = Rig::with_fixture();
    let done = rig.run_with("-R", "-Z\n-A -t 10.1.0.101:80\n");
    assert_eq!(done.status, Status::Done);
    let changes: Vec<_> = rig
        .kernel
        .take_journal()
        .iter()
        .map(|it| it.change)
        .collect();
    assert_eq!(changes.last(), Some(&Change::Zero(None)));

    rig.run_with("-R", "-Z\n-A -t 10.1.0.102:80 -s nope\n");
    let zeroed = |it: &ipvs::fake::Record| it.change == Change::Zero(None);
    assert!(!rig.kernel.journal().iter().any(zeroed));
}

#[test]
fn a_dry_run_writes_commands_that_make_the_changes_and_makes_none() {
    let rig = Rig::with_fixture();
    let text = "-C\n-A -t 10.1.0.101:80 -s rr\n-a -t 10.1.0.101:80 -r 10.0.0.9:80 -m\n-Z\n";
    let done = rig.run_with("-R --dry-run", text);
    assert_eq!((done.status, &*done.errors), (Status::Done, ""));
    assert_eq!(rig.kernel.journal(), []);
    let told = done.output;
    assert!(
        told.starts_with(
            "-A -t 10.1.0.101:80 -s rr\n-a -t 10.1.0.101:80 -r 10.0.0.9:80 -m -w 1\n-D"
        )
    );
    assert!(told.ends_with("-Z\n"));

    let other = Rig::with_fixture();
    assert_eq!(other.run_with("-R", &told).status, Status::Done);
    assert_eq!(rig.run_with("-R", text).status, Status::Done);
    assert_eq!(other.table(), rig.table());
}

#[test]
fn every_command_has_a_dry_run() {
    for line in [
        "-A -t 10.1.0.101:80 -s rr",
        "-E -t 10.1.0.100:80 -s wrr",
        "-D -t 10.1.0.100:80",
        "-a -t 10.1.0.100:80 -r 10.0.0.9:80 -m -w 1",
        "-e -t 10.1.0.100:80 -r 10.0.0.1:8080 -m -w 7",
        "-d -t 10.1.0.100:80 -r 10.0.0.1:8080",
        "-C",
        "-Z",
        "-Z -f 7",
        "--set 1 2 0",
        "--start-daemon master --mcast-interface lo --syncid 0",
    ] {
        let rig = Rig::with_fixture();
        let done = rig.run(&format!("{line} --dry-run"));
        assert_eq!(
            (done.status, done.output),
            (Status::Done, format!("{line}\n"))
        );
        assert_eq!(rig.kernel.journal(), []);
        let json = rig.run(&format!("{line} --dry-run --json")).output;
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["changes"][0]["command"], json!(line));
        assert!(json["changes"][0]["does"].is_string());
    }
}

#[test]
fn a_dry_run_fails_where_the_command_would() {
    let rig = Rig::with_fixture();
    for line in [
        "-A -t 10.1.0.100:80",
        "-E -t 10.1.0.101:80",
        "-D -t 10.1.0.101:80",
        "-a -t 10.1.0.101:80 -r 10.0.0.1:80 -m",
        "-a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m",
        "-d -t 10.1.0.100:80 -r 10.0.0.9:8080",
        "--stop-daemon master",
    ] {
        let dry = rig.run(&format!("{line} --dry-run"));
        let real = rig.run(line);
        assert_eq!(dry.status, Status::Refused, "{line}");
        assert_eq!(
            dry.errors.lines().next(),
            real.errors.lines().next(),
            "{line}"
        );
    }
    let done = rig.run("-C --json");
    assert_eq!(done.status, Status::Usage, "it needs --dry-run");
}
