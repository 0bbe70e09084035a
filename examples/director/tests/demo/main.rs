//! `director demo` as its users start it: what it shows, how it ends, and that nothing stays.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests may do what tests may"
)]

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

use nix::sys::signal::Signal;

mod house;

use house::{Ended, House};

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_unprivileged_user_sees_the_address_fail_over() {
    let house = House::new();
    let mut demo = house.start_as_nobody();
    demo.read_until("\n2. ");
    let namespaces = house.namespaces();
    assert!(namespaces.len() >= 2, "its own: {namespaces:?}");

    let ended = demo.end();

    assert_all_worked(&ended);
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn root_needs_no_user_namespaces() {
    let house = House::new();
    // A root without the right to have user namespaces: that of one which may have no more.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" demo";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(&house.program);
    let mut demo = house.start(command);
    demo.read_until("\n2. ");
    let namespaces = house.namespaces();

    let ended = demo.end();

    assert_all_worked(&ended);
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn where_user_namespaces_are_switched_off_it_names_the_switch() {
    let house = House::new();
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all \"$0\" demo";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(&house.program);

    let ended = house.start(command).end();

    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(
        ended
            .stderr
            .contains("sudo sysctl -w user.max_user_namespaces=10000"),
        "{}",
        ended.stderr
    );
    house.assert_clean(&BTreeSet::new());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn killed_in_the_middle_it_leaves_nothing_behind() {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM] {
        let house = House::new();
        let mut demo = house.start_as_nobody();
        demo.read_until("\n2. ");
        let namespaces = house.namespaces();

        demo.signal(signal);
        let ended = demo.end();

        assert_eq!(ended.status.signal(), Some(signal as i32), "{ended:?}");
        house.assert_clean(&namespaces);
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_director_that_dies_unasked_fails_the_demo_and_its_log_is_shown() {
    let house = House::new();
    let mut demo = house.start_as_nobody();
    demo.read_until("\n2. ");
    let namespaces = house.namespaces();
    house.kill("beta.conf");

    let ended = demo.end();

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let failure = "FAILED beta's director was killed by signal 9";
    assert!(ended.stdout.contains(failure), "{}", ended.stdout);
    assert!(
        ended
            .stderr
            .contains("beta    INFO (VI_1) Entering BACKUP STATE"),
        "{}",
        ended.stderr
    );
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn it_ends_quietly_when_nobody_reads_on() {
    let house = House::new();
    let mut demo = house.start_as_nobody();
    demo.read_until("\n1. ");
    let namespaces = house.namespaces();

    demo.stdout = None;
    let ended = demo.end();

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.stderr, "");
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn its_inner_parts_refuse_to_work_outside_of_the_sandbox() {
    let house = House::new();
    for inner in [["--inside", "own"], ["--real-server", "one"]] {
        let mut command = Command::new(&house.program);
        command.arg("demo").args(inner);

        let ended = house.start(command).end();

        assert_eq!(ended.status.code(), Some(3), "{ended:?}");
        assert!(
            ended.stderr.contains("run director demo"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_real_server_that_dies_unasked_fails_the_demo() {
    let house = House::new();
    let mut demo = house.start_as_nobody();
    demo.read_until("\n2. ");
    let namespaces = house.namespaces();
    house.kill("--real-server\0one");

    let ended = demo.end();

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let failure = "FAILED the real server one was killed by signal 9";
    assert!(ended.stdout.contains(failure), "{}", ended.stdout);
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn kept_it_can_be_explored_from_outside_with_what_it_prints() {
    let house = House::new();
    let mut demo = house.start_as_nobody_with(&["--keep"]);
    demo.read_until("Ctrl-C");
    demo.read_until("# two\n");
    let namespaces = house.namespaces();
    let lines: Vec<String> = demo
        .read
        .lines()
        .skip_while(|line| !line.contains("Ctrl-C"))
        .map(str::to_owned)
        .collect();
    let command = |part: &str| {
        let found = lines.iter().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part:?} in {lines:?}"))
    };
    // Alpha was started once more.
    demo.read_until_times(
        2,
        "Entering MASTER STATE: the master has a lower priority\n",
    );

    let status = house.run_as_nobody(command("alpha.sock"));
    assert!(status.contains("MASTER"), "{status}");
    let status = house.run_as_nobody(command("beta.sock"));
    assert!(status.contains("BACKUP"), "{status}");
    let curl = command("curl");
    let mut answers = [house.run_as_nobody(curl), house.run_as_nobody(curl)];
    answers.sort();
    assert!(
        answers.iter().all(|it| it == "one\n" || it == "two\n"),
        "{answers:?}"
    );
    let drained = house.run_as_nobody(command("drain"));
    assert!(drained.contains("192.0.2.11"), "{drained}");
    assert_eq!(house.run_as_nobody(curl), "two\n");
    house.run_as_nobody(command("undrain"));
    house.run_as_nobody(command("# two"));
    // By both directors, both times.
    demo.read_until_times(
        4,
        "Real server 192.0.2.12:80 of VS 192.0.2.100 80 is down\n",
    );
    assert_eq!(house.run_as_nobody(curl), "one\n");

    demo.signal(Signal::SIGINT);
    let ended = demo.end();

    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
    assert_all_worked(&Ended {
        status: ExitStatus::from_raw(0),
        ..ended
    });
    house.assert_clean(&namespaces);
}

#[track_caller]
fn assert_all_worked(ended: &Ended) {
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let text = &ended.stdout;
    for expected in [
        "(VI_1) Entering MASTER STATE",
        "192.0.2.100 answers, it is alpha",
        "192.0.2.100 answers, it is beta",
        "Real server 192.0.2.12:80 of VS 192.0.2.100 80 is down",
        "Real server 192.0.2.12:80 of VS 192.0.2.100 80 is up",
        "death of a real server    at alpha",
        "power loss of the master  at beta",
        "return of the real server at beta",
        "return of the master      at alpha",
        "graceful stop             at beta",
        "Everything shown worked",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    assert_every_request_is_accounted_for(text);
    assert!(
        !text.contains('\x1b'),
        "plain lines where there is no terminal:\n{text}"
    );
}

/// `651 requests: 618 answered, 0 refused, 0 reset, 33 timed out`
#[track_caller]
fn assert_every_request_is_accounted_for(text: &str) {
    let line = text
        .lines()
        .rfind(|line| line.contains(" requests: ") && !line.contains("client"))
        .unwrap_or_else(|| panic!("no sum of the requests in:\n{text}"));
    let mut numbers = line
        .split([' ', ','])
        .filter_map(|word| word.parse::<u64>().ok());
    let started = numbers.next().unwrap();
    let ended: Vec<u64> = numbers.collect();
    let [answered, _refused, _reset, timed_out] = ended[..] else {
        panic!("four ways to end: {line}");
    };
    assert_eq!(ended.iter().sum::<u64>(), started, "{line}");
    assert!(answered > timed_out, "{line}");
    assert!(timed_out > 0, "those of the power loss: {line}");
}
