//! The program beside ipvsadm, each on a kernel's own table.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    io::Write as _,
    net::UdpSocket,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use ipvs::{IpvsBackend as _, Table, netlink::Kernel, plan, text::parse_table};
use lab::in_namespace;

#[path = "../cli/different.rs"]
#[expect(dead_code, reason = "the kernel here is not in memory")]
mod different;

const RECORDED: &str = include_str!("../golden/ipvsadm-1.31.txt");
const FIXTURE: &str = include_str!("../golden/fixture.txt");
const IPVSCTL: &str = env!("CARGO_BIN_EXE_ipvsctl");
const IPVSADM: &str = "ipvsadm";

/// What a program did.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    code: Option<i32>,
    output: String,
    /// What it complained about, without what is ours.
    error: String,
    table: Table,
}

fn run(program: &str, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read may be gone already.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8(done.stderr).unwrap();
    let theirs = errors.lines().find(|line| !line.starts_with("ipvsctl: "));
    let error = theirs.unwrap_or_default().replace(program, "PROGRAM");
    let output = String::from_utf8(done.stdout).unwrap();
    (
        done.status.code(),
        output,
        error.replace("ipvsctl", "PROGRAM"),
    )
}

/// Does something with the table of this thread's namespace.
fn with_kernel<T>(work: impl AsyncFnOnce(Kernel) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { work(Kernel::connect().await.unwrap()).await })
}

fn table() -> Table {
    with_kernel(async |kernel| kernel.snapshot().await.unwrap().table())
}

fn set_up(text: &str) {
    let changes = plan(&Table::default(), &parse_table(text).unwrap());
    let outcomes = with_kernel(async |kernel| kernel.apply(&changes).await.unwrap());
    assert!(
        outcomes.iter().all(ipvs::ChangeOutcome::is_done),
        "{outcomes:?}"
    );
}

/// Runs a command line on a fresh table with the services of the fixture.
fn alone(program: &str, line: &str, input: &str) -> Done {
    in_namespace(|| {
        set_up(FIXTURE);
        let arguments: Vec<_> = line.split_whitespace().collect();
        let (code, output, error) = run(program, &arguments, input);
        let table = table();
        Done {
            code,
            output,
            error,
            table,
        }
    })
}

/// The command lines that were recorded, but for those where we differ, and those that do not get
/// as far as to the kernel: for them the recording is as good.
fn command_lines() -> Vec<&'static str> {
    let recorded = RECORDED.split("$ ipvsadm").skip(1);
    let lines = recorded.filter_map(|recorded| {
        let (line, rest) = recorded.split_once('\n')?;
        let usage = rest.lines().any(|line| line == "rc=2");
        let differs = different::OURS.iter();
        let differs = differs
            .filter(|(other, _)| *other == line.trim_start())
            .count()
            > 0;
        let is_told =
            rest.contains("2 Try") || rest.contains("option\n") || rest.contains("argument\n");
        (!usage && !differs && !is_told).then_some(line.trim_start())
    });
    lines.collect()
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn every_command_line_does_what_ipvsadm_does() {
    let lines = command_lines();
    assert!(lines.len() > 180, "{}", lines.len());
    let next = AtomicUsize::new(0);
    let failed = thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (mut theirs, mut ours) = (alone(IPVSADM, line, ""), alone(IPVSCTL, line, ""));
                if line.contains("--nosort") {
                    // Each table has a hash of its own.
                    for done in [&mut theirs, &mut ours] {
                        let mut lines: Vec<_> = done.output.lines().collect();
                        lines.sort_unstable();
                        done.output = lines.join("\n");
                    }
                }
                if theirs != ours {
                    failed.push(format!("{line}\n  {ours:?}\n  instead of\n  {theirs:?}"));
                }
            }
            failed
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let failed = workers.into_iter().map(|worker| worker.join().unwrap());
        failed.flatten().collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn what_one_saves_the_other_restores() {
    let restored = |save: (&str, &str), restore: &str| {
        let saved = alone(save.0, save.1, "").output;
        in_namespace(|| {
            let (code, output, error) = run(restore, &["-R"], &saved);
            assert_eq!((code, &*output, &*error), (Some(0), "", ""), "{saved}");
            table()
        })
    };
    let whole = parse_table(FIXTURE).unwrap().services;
    let mut lossy = whole.clone();
    for service in lossy.values_mut() {
        for destination in service.destinations.values_mut() {
            destination.thresholds = ipvs::Thresholds::NONE;
        }
    }
    assert_eq!(restored((IPVSADM, "-Sn"), IPVSCTL).services, lossy);
    assert_eq!(restored((IPVSCTL, "-Sn"), IPVSADM).services, lossy);
    assert_eq!(
        restored((IPVSCTL, "-Sn --complete"), IPVSADM).services,
        whole
    );
    assert_eq!(
        restored((IPVSCTL, "-S --complete"), IPVSCTL).services,
        whole
    );
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn hosts_and_services_have_the_names_that_ipvsadm_finds() {
    let hosts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hosts");
    let run_named = |program: &str, line: &str| {
        in_namespace(|| {
            set_up(FIXTURE);
            set_up("-A -t 10.1.0.102:80\n-a -t 10.1.0.102:80 -r 10.0.0.2:80 -m\n");
            let script = format!("mount --bind {hosts} /etc/hosts && exec {program} {line}");
            let arguments = ["--mount", "--", "sh", "-c", &script];
            (run("unshare", &arguments, ""), table())
        })
    };
    for line in [
        "",
        "-L --stats",
        "-L --tun-info",
        "-L -t vip:http",
        "-Lc",
        "-A -t vip:81 -s rr",
        "-A -u localhost:domain",
        "-a -t vip:http -r real1:http -m",
        "-a -t vip:http -r nosuchhost:http -m",
        "-a -t vip:nosuchport -r real1 -m",
    ] {
        let theirs = run_named(IPVSADM, line);
        assert_eq!(run_named(IPVSCTL, line), theirs, "{line}");
    }
}

/// What a first course in LVS types.
const TUTORIAL: &str = "\
-C
-A -t 192.168.0.100:80 -s rr
-a -t 192.168.0.100:80 -r 192.168.0.1:80 -m
-a -t 192.168.0.100:80 -r 192.168.0.2:80 -m
-Ln
-lnc
-e -t 192.168.0.100:80 -r 192.168.0.2:80 -m -w 3
-E -t 192.168.0.100:80 -s wrr
-Ln --stats
-Ln --rate
--save
-d -t 192.168.0.100:80 -r 192.168.0.1:80
-D -t 192.168.0.100:80
-A -t 192.168.0.100 -s rr -p 900
-a -t 192.168.0.100 -r 192.168.0.1 -g
-a -t 192.168.0.100 -r 192.168.0.2 -i
-A -f 1 -s wlc -p
-a -f 1 -r 192.168.0.1 -g
-Z
--set 900 120 300
-L --timeout -n
--start-daemon master --mcast-interface lo
--start-daemon backup --mcast-interface lo
-L --daemon
--stop-daemon master
--stop-daemon backup
-Sn
-ln --persistent-conn
-C
-ln
";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn the_tutorials_commands_do_the_same_one_after_the_other() {
    let session = |program: &str| {
        in_namespace(|| {
            let mut done = Vec::new();
            for line in TUTORIAL.lines() {
                let arguments: Vec<_> = line.split(' ').collect();
                let (code, output, error) = run(program, &arguments, "");
                assert_eq!((code, &*error), (Some(0), ""), "{program} {line}");
                done.push((line, output, table()));
            }
            done
        })
    };
    for (theirs, ours) in session(IPVSADM).into_iter().zip(session(IPVSCTL)) {
        assert_eq!(ours, theirs);
    }
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn connections_are_listed_as_ipvsadm_lists_them() {
    // What is left of a connection's time is not the same a moment later.
    let timeless = |list: &str| {
        let mut rows: Vec<_> = list
            .lines()
            .map(|row| {
                let mut columns: Vec<_> = row.split(' ').collect();
                if row.starts_with("UDP") || row.starts_with("IP ") {
                    let time = columns.iter().position(|column| column.contains(':'));
                    columns.remove(time.unwrap());
                }
                columns.join(" ")
            })
            .collect();
        rows.sort();
        rows
    };
    in_namespace(|| {
        set_up(
            "-A -u 127.0.0.1:9 -s rr -p 300\n\
             -a -u 127.0.0.1:9 -r 127.0.0.1:19 -m\n\
             -A -u 127.0.0.1:5060 -s rr -p 300 --pe sip\n\
             -a -u 127.0.0.1:5060 -r 127.0.0.1:5061 -m\n",
        );
        let call = b"INVITE sip:you@example.org SIP/2.0\r\nCall-ID: 3c26@example.org\r\n\r\n";
        let caller = UdpSocket::bind("127.0.0.1:0").unwrap();
        caller.send_to(call, "127.0.0.1:5060").unwrap();
        for _ in 0..3 {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(b"hello", "127.0.0.1:9").unwrap();
        }
        for line in ["-lnc", "-lnc --persistent-conn"] {
            let arguments: Vec<_> = line.split(' ').collect();
            let (_, theirs, _) = run(IPVSADM, &arguments, "");
            let (code, ours, error) = run(IPVSCTL, &arguments, "");
            assert_eq!((code, &*error), (Some(0), ""));
            // Four connections, a template of each service, and two lines above.
            assert_eq!(theirs.lines().count(), 8, "{theirs}");
            assert_eq!(timeless(&ours), timeless(&theirs));
        }
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_restore_that_the_kernel_refuses_leads_back() {
    let text = "-C\n-A -t 10.1.0.102:80 -s rr\n-A -t 10.1.0.103:80 -s nope\n";
    let done = alone(IPVSCTL, "-R", text);
    assert_eq!(done.code, Some(255));
    assert_eq!(done.table.services, parse_table(FIXTURE).unwrap().services);
    let done = alone(IPVSCTL, "-R --no-rollback", text);
    assert_eq!((done.code, done.table.services.len()), (Some(255), 1));
}
