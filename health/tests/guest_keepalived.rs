//! keepalived and a fleet side by side: after the same answers both say the same of a server.
//!
//! What is compared is the order of probes and verdicts, not their times.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use health::{
    Ask, Check, CheckConfig, Connect, Counted, FleetEvent, FleetHandle, Health, HealthProbe,
    KeepalivedTiming, ScriptProbe, Target, TcpProbe,
};
use lab::{Capture, Lab, Node, Peer, Software};
use tokio::{
    net::TcpListener,
    runtime,
    time::{sleep, timeout},
};

/// For all of a test; the probes alone take some ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose checks pass (`+`) and fail (`-`) in this order, and when that is `up` and `down`.
struct Case {
    name: &'static str,
    retry: u32,
    alpha: bool,
    journal: &'static str,
}

impl Case {
    /// keepalived tells of a server with `alpha` that it is down when it first fails, though it has
    /// never been up.
    fn told_by_keepalived(&self) -> String {
        match self.alpha {
            true => self.journal.replacen("- ", "- down ", 1),
            false => self.journal.to_owned(),
        }
    }
}

const CASES: [Case; 4] = [
    Case {
        name: "plain",
        retry: 0,
        alpha: false,
        journal: "+ - down - + up - down",
    },
    Case {
        name: "retry",
        retry: 1,
        alpha: false,
        journal: "+ - + - - down - + up -",
    },
    Case {
        name: "first-fails",
        retry: 2,
        alpha: false,
        journal: "- down + up - - + - - - down",
    },
    Case {
        name: "alpha",
        retry: 1,
        alpha: true,
        journal: "- - + up - + - - down",
    },
];

/// The further tries of the server that is checked by TCP.
const TCP_RETRY: u32 = 2;

/// Its `delay_loop`: time enough to count what it has refused before it is asked once more.
const TCP_INTERVAL: Duration = Duration::from_secs(4);

const fn timing(retry: u32, alpha: bool) -> KeepalivedTiming {
    KeepalivedTiming {
        delay_loop: Duration::from_secs(1),
        delay_before_retry: Duration::from_secs(1),
        retry,
        timeout: Duration::from_secs(10),
        alpha,
    }
}

/// Answers as told, once for each line of its journal, and passes when it was told no more.
const ANSWER: &str = r#"#!/bin/sh
number=$(grep -c '^[+-]$' "$2")
answer=$(printf %s "$1" | cut -c $((number + 1)))
[ -z "$answer" ] || echo "$answer" >>"$2"
[ "$answer" != - ]
"#;

const TELL: &str = "#!/bin/sh\necho \"$1\" >>\"$2\"\n";

/// What was probed and said of one server, in order.
fn read(journal: &Path) -> String {
    let lines = fs::read_to_string(journal).unwrap();
    lines.lines().collect::<Vec<_>>().join(" ")
}

fn write(journal: &Path, word: &str) {
    let mut file = OpenOptions::new().append(true).open(journal).unwrap();
    writeln!(file, "{word}").unwrap();
}

/// An empty journal of a server of one of the two.
fn journal(node: &Node, who: &str, name: &str) -> PathBuf {
    let path = node.path(&format!("{name}.{who}"));
    File::create(&path).unwrap();
    path
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what} within {PATIENCE:?}");
}

fn real_server(address: SocketAddr, tell: &Path, journal: &Path, checker: &str) -> String {
    let (tell, journal) = (tell.display(), journal.display());
    let (ip, port) = (address.ip(), address.port());
    format!(
        "real_server {ip} {port} {{
            notify_up \"{tell} up {journal}\"
            notify_down \"{tell} down {journal}\"
            {checker}
        }}\n"
    )
}

fn virtual_server(real_servers: &str) -> String {
    format!(
        "global_defs {{ script_user root }}
        virtual_server 192.0.2.100 80 {{
            delay_loop 1
            lvs_sched rr
            lvs_method NAT
            protocol TCP
            {real_servers}
        }}\n"
    )
}

fn ask(
    name: &'static str,
    probe: Arc<dyn HealthProbe>,
    address: SocketAddr,
    config: CheckConfig,
) -> Ask<&'static str, Check> {
    Ask {
        service: name,
        probe: Check::new(probe, Target::new(address)),
        config,
        start_delay: Duration::from_secs(1),
        warm_up: Duration::ZERO,
        known: None,
    }
}

/// Writes the verdicts of a fleet as keepalived's scripts do, as long as it is polled.
async fn tell(fleet: &FleetHandle<&'static str>, journals: Journals) {
    let mut events = fleet.events();
    loop {
        if let FleetEvent::Changed { service, to, .. } = events.recv().await.unwrap() {
            let word = if to == Health::Up { "up" } else { "down" };
            write(journals.get(service).unwrap(), word);
        }
    }
}

fn on<T: Send>(node: &Node, work: impl AsyncFnOnce(FleetHandle<&'static str>) -> T + Send) -> T {
    node.namespace().enter(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime
            .unwrap()
            .block_on(async { work(health::spawn(NonZeroUsize::new(100).unwrap(), 1)).await })
    })
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn both_take_a_server_out_and_in_after_the_same_checks() {
    let lab = Lab::new("checks");
    let node = lab.node("director");
    let script = node.write_script("answer", ANSWER);
    let tell_script = node.write_script("tell", TELL);
    let mut real_servers = String::new();
    let mut asks = Vec::new();
    let mut ours = BTreeMap::new();
    let mut theirs = BTreeMap::new();
    for (case, host) in CASES.iter().zip(1_u8..) {
        let answers = case
            .journal
            .replace(char::is_alphabetic, "")
            .replace(' ', "");
        let address = SocketAddr::from(([127, 0, 1, host], 80));
        let timing = timing(case.retry, case.alpha);

        let kept = journal(&node, "keepalived", case.name);
        let alpha = if case.alpha { "alpha" } else { "" };
        let checker = format!(
            "MISC_CHECK {{
                misc_path \"{} {answers} {}\"
                misc_timeout 10
                warmup 0
                retry {}
                delay_before_retry 1
                {alpha}
            }}",
            script.display(),
            kept.display(),
            case.retry
        );
        real_servers += &real_server(address, &tell_script, &kept, &checker);
        theirs.insert(case.name, kept);

        let kept = journal(&node, "fleet", case.name);
        let probe = ScriptProbe::new(&script)
            .with_arguments([answers.into(), kept.clone().into_os_string()]);
        let mut config = CheckConfig::keepalived(&timing);
        config.counted = Counted::FromStart;
        asks.push(ask(case.name, Arc::new(probe), address, config));
        ours.insert(case.name, kept);
    }

    let capture = Capture::start(&node, "lo", "tcp");
    let tcp_servers = [1, 2].map(|host| SocketAddr::from(([127, 0, 2, host], 80)));
    let tcp_journals = ["keepalived", "fleet"].map(|who| journal(&node, who, "tcp"));
    let ([their_server, our_server], [their_journal, our_journal]) = (tcp_servers, &tcp_journals);
    let checker = format!(
        "TCP_CHECK {{ warmup 0\n delay_loop {}\n retry {TCP_RETRY}\n delay_before_retry 1\n }}",
        TCP_INTERVAL.as_secs()
    );
    real_servers += &real_server(their_server, &tell_script, their_journal, &checker);
    let probe = Arc::new(TcpProbe::new(Connect::default()));
    let config = CheckConfig::keepalived(&KeepalivedTiming {
        delay_loop: TCP_INTERVAL,
        ..timing(TCP_RETRY, false)
    });
    asks.push(ask("tcp", probe, our_server, config));
    ours.insert("tcp", our_journal.clone());

    let _keepalived = Peer::start(Software::Keepalived, &node, &virtual_server(&real_servers));
    on(&node, async |fleet| {
        let telling = tell(&fleet, ours.clone());
        let all = async {
            fleet.configure(asks).await.unwrap();
            tokio::join!(
                answers_are_judged_alike(&theirs, &ours),
                comes_and_goes(their_server, their_journal, &capture),
                comes_and_goes(our_server, our_journal, &capture),
            )
        };
        tokio::select! { () = telling => {}, _ = all => {} }
    });
}

type Journals = BTreeMap<&'static str, PathBuf>;

async fn answers_are_judged_alike(theirs: &Journals, ours: &Journals) {
    for case in &CASES {
        for (who, journals, expected) in [
            ("keepalived", theirs, case.told_by_keepalived()),
            ("the fleet", ours, case.journal.to_owned()),
        ] {
            let what = format!("{} of {who}", case.name);
            let journal = journals.get(case.name).unwrap();
            until(&what, || read(journal).len() >= expected.len()).await;
            // It may have gone on: every further check passes.
            let seen = read(journal);
            assert!(
                seen.starts_with(&expected),
                "{what}: {seen}, not {expected}"
            );
        }
    }
}

/// Is a server that takes one connection, refuses until it is down, then takes them again.
async fn comes_and_goes(address: SocketAddr, journal: &Path, capture: &Capture) {
    let listener = TcpListener::bind(address).await.unwrap();
    drop(timeout(PATIENCE, listener.accept()).await.unwrap().unwrap());
    drop(listener);
    until(&format!("{address} is down"), || !read(journal).is_empty()).await;
    let filter = format!("src host {} and tcp[tcpflags] & tcp-rst != 0", address.ip());
    let refused = || u32::try_from(capture.packets(&filter).len()).unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    until(&format!("refusals of {address} are seen"), || {
        refused() > TCP_RETRY
    })
    .await;
    assert_eq!(refused(), 1 + TCP_RETRY, "{address}");
    drop(timeout(PATIENCE, listener.accept()).await.unwrap().unwrap());
    until(&format!("{address} is up"), || read(journal) != "down").await;
    assert_eq!(read(journal), "down up", "{address}");
}
