//! How long ipvsadm and ipvsctl take to restore and to save a great table, and with how much
//! memory, side by side in one run:
//!
//! ```sh
//! cargo build -p takeover-lab --bin in-guest
//! cargo bench -p ipvsctl --features guest --bench guest_restore \
//!     --config "target.'cfg(all())'.runner=['target/debug/in-guest', '--only', 'guest']"
//! ```
//!
//! On a machine whose kernel has IPVS it can run as root without a runner; it is in a network
//! namespace of its own.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it measures, prints, and ends at the first surprise"
)]

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lab::in_namespace;

const SERVICES: u32 = 1000;
const DESTINATIONS: u32 = 10;
const ROUNDS: usize = 3;
const PROGRAMS: [&str; 2] = ["ipvsadm", env!("CARGO_BIN_EXE_ipvsctl")];

/// What one run took.
#[derive(Debug, Clone)]
struct Run {
    time: Duration,
    /// Most memory that was resident at any time (`VmHWM`), in KiB.
    memory: u64,
    output: String,
}

fn main() {
    let table = table();
    println!(
        "{SERVICES} services of {DESTINATIONS} destinations, {} lines; best of {ROUNDS} runs",
        table.lines().count()
    );
    in_namespace(|| {
        measure("-R into an empty table", "-R", &table, true);
        measure("-R of what is there already", "-R", &table, false);
        measure("-Sn", "-Sn", "", false);
        measure("-Ln", "-Ln", "", false);
    });
}

/// The table as both save it.
fn table() -> String {
    let mut text = String::new();
    for service in 0..SERVICES {
        let vip = format!("10.1.{}.{}:80", service / 250, service % 250 + 1);
        writeln!(text, "-A -t {vip} -s wrr").unwrap();
        for destination in 1..=DESTINATIONS {
            let (third, fourth) = (service / 20, service % 20 * DESTINATIONS + destination);
            let weight = destination;
            writeln!(
                text,
                "-a -t {vip} -r 10.2.{third}.{fourth}:8080 -m -w {weight}"
            )
            .unwrap();
        }
    }
    text
}

/// Runs a command of each program in turns and prints what each took at best.
fn measure(what: &str, command: &str, input: &str, clears: bool) {
    let mut best: [Option<Run>; 2] = [None, None];
    for _ in 0..ROUNDS {
        for (program, best) in PROGRAMS.into_iter().zip(&mut best) {
            if clears {
                run("ipvsadm", "-C", "");
            }
            let run = run(program, command, input);
            if clears {
                assert_same(&self::run("ipvsadm", "-Sn", "").output, input);
            }
            if best.as_ref().is_none_or(|best| run.time < best.time) {
                *best = Some(run);
            }
        }
    }
    let [theirs, ours] = best.map(Option::unwrap);
    if command != "-R" {
        assert_same(&theirs.output, &ours.output);
    }
    let seconds = |run: &Run| run.time.as_secs_f64();
    println!(
        "{what}: ipvsadm {:.3} s {} KiB, ipvsctl {:.3} s {} KiB: {:.1} times as fast",
        seconds(&theirs),
        theirs.memory,
        seconds(&ours),
        ours.memory,
        seconds(&theirs) / seconds(&ours),
    );
}

fn assert_same(one: &str, other: &str) {
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(sorted(one) == sorted(other), "the tables differ");
}

fn run(program: &str, command: &str, input: &str) -> Run {
    let start = Instant::now();
    let mut child = Command::new(program)
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (memory, done, time) = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()).ok());
        // It only grows, so the last look tells the most.
        let memory = scope.spawn(move || {
            let mut most = 0;
            while let Some(now) = resident(&status) {
                most = most.max(now);
                thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let done = child.wait_with_output().unwrap();
        let time = start.elapsed();
        (memory.join().unwrap(), done, time)
    });
    Run {
        time,
        memory,
        output: String::from_utf8(done.stdout).unwrap(),
    }
}

/// `VmHWM` of a process in KiB; `None` when it has ended.
fn resident(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
