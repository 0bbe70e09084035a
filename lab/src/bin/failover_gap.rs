//! How long the address is gone when the master of a pair crashes or stops: keepalived and
//! `director` side by side on this machine, with the same configuration, in alternating runs.
//!
//! ```text
//! cargo build --release -p director -p takeover-lab
//! target/release/failover-gap [RUNS]          (needs root; 11 runs of each by default)
//! ```

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
    time::Duration,
};

use lab::{Pair, Peer, Software, wait_until};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));

/// For what has no bound in the protocol.
const SOON: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let runs = match env::args().nth(1).map(|argument| argument.parse::<u32>()) {
        None => 11,
        Some(Ok(runs)) if runs > 0 => runs,
        Some(_) => {
            println!("usage: failover-gap [RUNS]");
            return ExitCode::from(2);
        }
    };
    let mut gaps =
        [Software::Keepalived, Software::Director].map(|software| (software, Gaps::default()));
    for run in 1..=runs {
        for (software, gaps) in &mut gaps {
            let (crash, stop) = (crash_gap(*software), stop_gap(*software));
            println!(
                "run {run:2}  {software:10}  crash {crash:>10.1?}  graceful stop {stop:>10.1?}"
            );
            gaps.crash.push(crash);
            gaps.stop.push(stop);
        }
    }
    let [keepalived, director] = gaps.map(|(_, gaps)| gaps);
    println!("\nVRRP v3, advert_int 0.01, medians of {runs} runs, probed every millisecond");
    compare("crash", keepalived.crash, director.crash);
    compare("graceful stop", keepalived.stop, director.stop);
    ExitCode::SUCCESS
}

#[derive(Debug, Default)]
struct Gaps {
    crash: Vec<Duration>,
    stop: Vec<Duration>,
}

fn compare(what: &str, keepalived: Vec<Duration>, director: Vec<Duration>) {
    let (keepalived, director) = (median(keepalived), median(director));
    println!(
        "{what:13}  keepalived {keepalived:>10.1?}  director {director:>10.1?}  ratio {:.2}",
        director.as_secs_f64() / keepalived.as_secs_f64()
    );
}

fn median(mut gaps: Vec<Duration>) -> Duration {
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or_default()
}

/// The master loses its power: its cable is dead in the same moment as itself.
fn crash_gap(software: Software) -> Duration {
    gap(software, |pair, mut master| {
        pair.a.cable.cut();
        master.crash();
        wait_until("the backup holds the address", SOON, || {
            pair.b.holds(&[VIP])
        });
    })
}

/// The master is told to stop (SIGTERM).
fn stop_gap(software: Software) -> Duration {
    gap(software, |pair, mut master| {
        master.begin_stop();
        pair.wait_for_b(&[VIP], SOON);
        master.wait(SOON);
    })
}

fn gap(software: Software, lose_master: impl FnOnce(&Pair, Peer)) -> Duration {
    let pair = Pair::new("gap", software, software);
    let master = pair.a.start(&pair.a.instance(&body(200)));
    pair.a.wait_for_state("MASTER", SOON);
    let _backup = pair.b.start(&pair.b.instance(&body(100)));
    pair.b.wait_for_state("BACKUP", SOON);
    let prober = pair.probe(VIP);
    prober.wait_for_answers();
    lose_master(&pair, master);
    prober.wait_for_answers();
    prober.stop().longest_gap
}

fn body(priority: u8) -> String {
    format!(
        "version 3
        priority {priority}
        advert_int 0.01
        virtual_ipaddress {{
            192.0.2.100/24
        }}"
    )
}
