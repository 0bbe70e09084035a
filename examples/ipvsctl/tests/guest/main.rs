//! The program beside ipvsadm, each on a kernel's own table.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::UdpSocket,
    process::{Command, Stdio},
};

use ipvs::{
    Change, ChangeOutcome, IpvsBackend as _, Table, netlink::Kernel, plan, text::parse_table,
};
use ipvsctl::{Streams, System};
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
}

impl Done {
    fn new(program: &str, code: Option<i32>, output: Vec<u8>, errors: Vec<u8>) -> Self {
        let errors = String::from_utf8(errors).unwrap();
        let theirs = errors.lines().find(|line| !line.starts_with("ipvsctl: "));
        let error = theirs.unwrap_or_default().replace(program, "PROGRAM");
        Self {
            code,
            output: String::from_utf8(output).unwrap(),
            error: error.replace("ipvsctl", "PROGRAM"),
        }
    }
}

fn run(program: &str, arguments: &[&str], input: &str) -> Done {
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
    Done::new(program, done.status.code(), done.stdout, done.stderr)
}

/// Who obeys a command line.
#[derive(Debug, Clone, Copy)]
enum Who {
    /// ipvsadm.
    Theirs,
    /// All of our program but its process: the start of one is what takes time in the guest.
    Ours,
}

impl Who {
    fn obey(self, line: &str) -> Done {
        let arguments = line.split_whitespace();
        match self {
            Self::Theirs => run(IPVSADM, &arguments.collect::<Vec<_>>(), ""),
            Self::Ours => {
                let arguments: Vec<_> = arguments.map(str::to_owned).collect();
                let (mut output, mut errors) = (Vec::new(), Vec::new());
                let streams = Streams {
                    input: &mut std::io::empty(),
                    output: &mut output,
                    errors: &mut errors,
                };
                let host = System::default();
                let status = block_on(ipvsctl::run(&arguments, streams, &host));
                Done::new("ipvsctl", Some(status.code().into()), output, errors)
            }
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// Does something with the table of this thread's namespace.
fn with_kernel<T>(work: impl AsyncFnOnce(Kernel) -> T) -> T {
    block_on(async { work(Kernel::connect().await.unwrap()).await })
}

fn table() -> Table {
    with_kernel(async |kernel| kernel.snapshot().await.unwrap().table())
}

/// Makes this namespace's table the one that is written here, whatever it was.
fn set_up(text: &str) {
    with_kernel(async |kernel| {
        let daemons = kernel.snapshot().await.unwrap().table().daemons;
        let mut changes = vec![
            Change::Flush,
            Change::SetTimeouts(ipvs::Timeouts::default().into()),
        ];
        changes.extend(daemons.into_keys().map(Change::StopDaemon));
        changes.extend(plan(&Table::default(), &parse_table(text).unwrap()));
        let outcomes = kernel.apply(&changes).await.unwrap();
        assert!(outcomes.iter().all(ChangeOutcome::is_done), "{outcomes:?}");
    });
}

/// The command lines that were recorded of ipvsadm, one of each kind: with the same options, the
/// same family and the same end. Without those where we differ, and without those that do not get
/// as far as to the kernel, for which the recording is as good.
fn command_lines() -> Vec<&'static str> {
    let recorded = RECORDED.split("$ ipvsadm").skip(1);
    let mut kinds = BTreeSet::new();
    let lines = recorded.filter_map(|recorded| {
        let (line, rest) = recorded.split_once('\n')?;
        let line = line.trim_start();
        let usage = rest.lines().any(|line| line == "rc=2");
        let differs = different::OURS.iter().any(|(other, _)| *other == line);
        let is_told =
            rest.contains("2 Try") || rest.contains("option\n") || rest.contains("argument\n");
        let reaches_the_kernel = !usage && !differs && !is_told;
        let options = line.split_whitespace().filter(|word| word.starts_with('-'));
        let end = rest.lines().find(|line| line.starts_with("2 "));
        let kind = (options.collect::<Vec<_>>(), line.contains('['), end);
        (reaches_the_kernel && kinds.insert(kind)).then_some(line)
    });
    lines.collect()
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn every_kind_of_command_line_does_what_ipvsadm_does() {
    let lines = command_lines();
    assert!(lines.len() > 100, "{}", lines.len());
    in_namespace(|| {
        for line in lines {
            let [theirs, ours] = [Who::Theirs, Who::Ours].map(|who| {
                set_up(FIXTURE);
                (who.obey(line), table())
            });
            assert_eq!(ours, theirs, "{line}");
        }
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn what_one_saves_the_other_restores() {
    let restored = |save: (&str, &[&str]), restore: &str| {
        in_namespace(|| {
            set_up(FIXTURE);
            let saved = run(save.0, save.1, "").output;
            set_up("");
            let done = run(restore, &["-R"], &saved);
            assert_eq!(
                (done.code, &*done.output, &*done.error),
                (Some(0), "", ""),
                "{saved}"
            );
            table().services
        })
    };
    let whole = parse_table(FIXTURE).unwrap();
    let mut lossy = whole.clone();
    for service in lossy.services_mut() {
        for destination in service.destinations.values_mut() {
            destination.thresholds = ipvs::Thresholds::NONE;
        }
    }
    let (whole, lossy) = (whole.services, lossy.services);
    assert_eq!(restored((IPVSADM, &["-Sn"]), IPVSCTL), lossy);
    assert_eq!(restored((IPVSCTL, &["-Sn"]), IPVSADM), lossy);
    assert_eq!(restored((IPVSCTL, &["-Sn", "--complete"]), IPVSADM), whole);
    assert_eq!(restored((IPVSCTL, &["-S", "--complete"]), IPVSCTL), whole);
}

/// One after the other, on the fixture and a service of `vip`.
const NAMED: &str = "\
-L --stats

-L --tun-info
-L -t vip:http
-Lc
-A -t vip:81 -s rr
-A -u localhost:domain
-a -t vip:http -r real1:http -m
-a -t vip:http -r nosuchhost:http -m
-a -t vip:nosuchport -r real1 -m
-Sn
";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn hosts_and_services_have_the_names_that_ipvsadm_finds() {
    let hosts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hosts");
    let session = |program: &str| {
        in_namespace(|| {
            let service = "-A -t 10.1.0.102:80\n-a -t 10.1.0.102:80 -r 10.0.0.2:80 -m\n";
            set_up(&format!("{FIXTURE}{service}"));
            // One shell for all of them: it sees other names of hosts than the machine.
            let script = format!(
                "mount --bind {hosts} /etc/hosts || exit
                 while read -r line; do
                     echo \"$ $line\"; {program} $line </dev/null 2>&1; echo \"rc=$?\"
                 done"
            );
            let done = run("unshare", &["--mount", "--", "sh", "-c", &script], NAMED);
            assert_eq!((done.code, &*done.error), (Some(0), ""));
            let theirs = done.output.lines();
            let theirs = theirs.filter(|line| !line.starts_with("ipvsctl: "));
            let text = theirs.collect::<Vec<_>>().join("\n");
            (
                text.replace(program, "PROGRAM")
                    .replace("ipvsctl", "PROGRAM"),
                table(),
            )
        })
    };
    let theirs = session(IPVSADM);
    assert!(theirs.0.contains("vip.example.org:http"), "{}", theirs.0);
    assert_eq!(theirs.0.matches("rc=0").count(), 9, "{}", theirs.0);
    assert_eq!(session(IPVSCTL), theirs);
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
    let session = |who: Who| {
        in_namespace(|| {
            let lines = TUTORIAL.lines().map(|line| {
                let done = who.obey(line);
                assert_eq!((done.code, &*done.error), (Some(0), ""), "{who:?} {line}");
                (line, done.output, table())
            });
            lines.collect::<Vec<_>>()
        })
    };
    for (theirs, ours) in session(Who::Theirs).into_iter().zip(session(Who::Ours)) {
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
            let theirs = Who::Theirs.obey(line).output;
            let Done {
                code,
                output: ours,
                error,
            } = Who::Ours.obey(line);
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
    in_namespace(|| {
        set_up(FIXTURE);
        assert_eq!(run(IPVSCTL, &["-R"], text).code, Some(255));
        assert_eq!(table().services, parse_table(FIXTURE).unwrap().services);
        let done = run(IPVSCTL, &["-R", "--no-rollback"], text);
        assert_eq!((done.code, table().services.len()), (Some(255), 1));
    });
}
