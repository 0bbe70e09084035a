//! keepalived and `director` with the same file: the same table in the kernel, but for what
//! `docs/differences-from-keepalived.md` lists.

use std::{fs, iter, ops::Range, thread, time::Duration};

use lab::{Lab, Software, becomes_true};

use crate::site::SOON;

mod differences;
mod generator;
mod host;

use differences::{Difference, differences, refused_samples};
use generator::{Checks, Configuration, generate};
use host::Host;

/// How many files a pair of daemons reads: it starts with one and reloads the others, as the start
/// of a daemon costs ten times as much as a reload.
const CHAIN: u8 = 10;

/// How long the tables may differ after both daemons have heard of all they are made of.
const BRIEFLY: Duration = Duration::from_secs(5);

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn generated_configurations_give_the_same_table() {
    judge_chains(0..6);
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn more_generated_configurations_give_the_same_table() {
    judge_chains(6..12);
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn where_tables_differ_is_documented() {
    let lab = Lab::new("different");
    side_by_side(differences(), |difference| verify(&lab, &difference));
}

/// Gives both daemons the files of the document; tells where the tables are not those of it.
fn verify(lab: &Lab, difference: &Difference) -> String {
    let Difference {
        title,
        files,
        keepalived,
        director,
    } = difference;
    // A name for files.
    let name = title.replace(' ', "-");
    let expected = [
        (Software::Keepalived, Some(keepalived)),
        (Software::Director, director.as_ref()),
    ];
    let mut report = String::new();
    for (software, expected) in expected {
        let (first, rest) = files.split_first().expect("a file to start with");
        let mut host = Host::start(lab, &name, software, first);
        let Some(expected) = expected else {
            if !becomes_true(SOON, || host.has_ended()) {
                report += &format!("===== {title}\n{software} goes on\n{}", host.log());
            }
            continue;
        };
        for (text, is_first) in
            iter::once((first, true)).chain(rest.iter().map(|text| (text, false)))
        {
            if !is_first {
                host.reload(text);
            }
            // All of them are refused.
            let mut checks = Checks {
                falls: text.matches("TCP_CHECK {").count(),
                ..Checks::default()
            };
            if software == Software::Director {
                checks.falls += text.matches("MISC_CHECK {").count();
            }
            let settled = becomes_true(SOON, || host.has_settled(&checks));
            assert!(settled, "{title}: {}", host.log());
        }
        let mut table = String::new();
        if !becomes_true(BRIEFLY, || {
            table = host.table();
            table
                .split_inclusive('\n')
                .filter(|line| !line.starts_with("--set "))
                .eq(expected.split_inclusive('\n'))
        }) {
            report += &format!("===== {title}\n{software} has\n{table}instead of\n{expected}");
        }
    }
    report
}

fn judge_chains(chains: Range<u8>) {
    let lab = Lab::new("generated");
    side_by_side(chains.collect(), |chain| {
        let seeds = chain * CHAIN..(chain + 1) * CHAIN;
        let first = seeds.start;
        judge(
            &lab,
            seeds.map(|seed| generate(seed, seed == first)).collect(),
        )
    });
}

/// Runs both daemons, and tells where their tables differ: they start with the first file, and
/// reload the others.
fn judge(lab: &Lab, files: Vec<Configuration>) -> String {
    let mut files = files.into_iter();
    let first = files.next().expect("a file to start with");
    let name = first.name.replace(' ', "-");
    let mut hosts = [Software::Keepalived, Software::Director]
        .map(|software| Host::start(lab, &name, software, &first.text));
    let mut report = compare(&hosts, &first, Host::ipvsadm);
    report += &compare(&hosts, &first, Host::table);
    for next in files {
        for host in &mut hosts {
            host.clear();
            host.reload(&next.text);
        }
        report += &compare(&hosts, &next, Host::table);
    }
    report
}

/// Where tables differ once both daemons have settled; nothing if they do not.
fn compare(hosts: &[Host; 2], file: &Configuration, table: fn(&Host) -> String) -> String {
    let settled = becomes_true(SOON, || {
        hosts.iter().all(|host| host.has_settled(&file.checks))
    });
    let mut tables = hosts.each_ref().map(table);
    let same = becomes_true(BRIEFLY, || {
        tables[0] == tables[1] || {
            tables = hosts.each_ref().map(table);
            false
        }
    });
    if settled && same {
        return String::new();
    }
    let Configuration { name, text, .. } = file;
    let [keepalived, director] = tables;
    let logs = if settled {
        [String::new(), String::new()]
    } else {
        hosts.each_ref().map(Host::log)
    };
    format!(
        "===== {name}\n{text}\n--- keepalived\n{keepalived}{}--- director\n{director}{}\n",
        logs[0], logs[1]
    )
}

/// Does something with each of these at the same time, as most of the time is waiting, and fails
/// with what that reports.
fn side_by_side<T: Send>(all: Vec<T>, work: impl Fn(T) -> String + Sync) {
    let report: String = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = all
            .into_iter()
            .map(|one| scope.spawn(move || work(one)))
            .collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|report| report.expect("no panic")).collect()
    });
    assert!(report.is_empty(), "{report}");
}

/// The samples of Debian's keepalived that have virtual servers.
const SAMPLES: [&str; 16] = [
    "HTTP_GET.port",
    "IPv6",
    "PING_CHECK",
    "SMTP_CHECK",
    "SSL_GET",
    "UDP_CHECK",
    "fwmark",
    "inhibit",
    "misc_check",
    "misc_check_arg",
    "quorum",
    "sample",
    "status_code",
    "virtual_server_group",
    "virtualhost",
    "vrrp.lvs_syncd",
];

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn debians_samples_give_the_same_table() {
    let lab = Lab::new("samples");
    // Some at a time: all of them at once would keep each other waiting.
    let lanes = SAMPLES.chunks(4).collect();
    side_by_side(lanes, |lane: &[&str]| {
        lane.iter().map(|name| judge_sample(&lab, name)).collect()
    });
}

fn judge_sample(lab: &Lab, name: &str) -> String {
    let path = format!("/usr/share/doc/keepalived/samples/keepalived.conf.{name}");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let text = hastened(&text);
    let mut director = Host::start(lab, name, Software::Director, &text);
    if refused_samples().contains(&name) {
        return match becomes_true(SOON, || director.has_ended()) {
            true => String::new(),
            false => format!("===== {name}\ndirector goes on\n{}", director.log()),
        };
    }
    let keepalived = Host::start(lab, name, Software::Keepalived, &text);
    // All but pings fail, as nobody answers.
    let kinds = [
        "TCP_CHECK {",
        "HTTP_GET {",
        "SMTP_CHECK {",
        "UDP_CHECK {",
        "MISC_CHECK {",
    ];
    let checks = kinds.map(|kind| text.matches(kind).count()).iter().sum();
    let (falls, stay_down) = match text.split_whitespace().any(|word| word == "alpha") {
        true => (0, checks),
        false => (checks, 0),
    };
    let file = Configuration {
        name: name.to_owned(),
        checks: Checks {
            falls,
            stay_down,
            ..Checks::default()
        },
        text,
    };
    // keepalived has other words for every check: it is waited for until it agrees.
    let has_settled =
        || director.has_settled(&file.checks) && keepalived.has_settled(&Checks::default());
    if !becomes_true(SOON, has_settled) {
        let log = director.log();
        return format!(
            "===== {name}\n{}\ndirector does not settle\n{log}",
            file.text
        );
    }
    let file = Configuration {
        checks: Checks::default(),
        ..file
    };
    compare(&[keepalived, director], &file, Host::ipvsadm)
}

/// The sample with the same verdicts, which come sooner, and with a program that is there.
fn hastened(sample: &str) -> String {
    let lines = sample
        .lines()
        .map(|line| match line.split_whitespace().next() {
            Some("delay_loop") => "delay_loop 20\nwarmup 0",
            Some("delay_before_retry") => "delay_before_retry 1",
            _ => line,
        });
    let lines = lines.filter(|line| !line.starts_with(['!', '#']));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.replace("/usr/local/bin/script.sh", "/bin/false")
}
