//! Load balancing as keepalived judges it, line by line.

use std::{fs, process::Command};

use crate::support::loaded;

/// A row of `verdicts.txt`.
struct Row<'a> {
    accepted: bool,
    block: &'a str,
    lines: String,
    differs: bool,
}

fn rows() -> Vec<Row<'static>> {
    include_str!("verdicts.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('|').map(str::trim);
            let [verdict, block, lines, why] =
                std::array::from_fn(|_| columns.next().expect("each row has four columns"));
            assert!(["accepts", "refuses"].contains(&verdict), "{line}");
            Row {
                accepted: verdict == "accepts",
                block,
                lines: lines.replace("; ", "\n"),
                differs: !why.is_empty(),
            }
        })
        .collect()
}

impl Row<'_> {
    /// The whole file that the lines are judged in.
    fn text(&self) -> String {
        let lines = &self.lines;
        let (service, server) = match self.block {
            "file" => return format!("{lines}\n"),
            "virtual_server" => (lines.clone(), String::new()),
            "real_server" => (String::new(), lines.clone()),
            checker => (String::new(), format!("{checker} {{\n{lines}\n}}")),
        };
        format!(
            "virtual_server 10.1.0.100 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n{service}\n\
             real_server 10.0.0.1 80 {{\n{server}\n}}\n}}\n"
        )
    }
}

#[test]
fn director_judges_as_keepalived_but_where_it_says_why() {
    let mut wrong = Vec::new();
    for row in rows() {
        let accepted = loaded(&row.text()).config.is_some();
        if (accepted != row.accepted) != row.differs {
            wrong.push(format!(
                "{}: {:?} accepted: {accepted}",
                row.block, row.lines
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Numbers at the ends of what anything takes.
const NUMBERS: [&str; 14] = [
    "-1",
    "0",
    "1",
    "255",
    "256",
    "599",
    "4294",
    "4295",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
];

/// Whole numbers of a block, and those among [`NUMBERS`] that director judges otherwise: what no
/// kernel or no clock could do.
const OF_NUMBERS: &[(&str, &str, &[&str])] = &[
    ("virtual_server", "retry", &[]),
    ("virtual_server", "persistence_timeout", &[]),
    ("virtual_server", "connect_timeout", &[]),
    (
        "virtual_server",
        "warmup",
        &["2147483647", "2147483648", "4294967295", "4294967296"],
    ),
    (
        "virtual_server",
        "delay_loop",
        &["2147483647", "2147483648", "4294967295", "4294967296"],
    ),
    (
        "virtual_server",
        "delay_before_retry",
        &["2147483647", "2147483648", "4294967295", "4294967296"],
    ),
    // With thresholds the kernel is the judge.
    ("real_server", "uthreshold", &["2147483648", "4294967295"]),
    ("real_server", "retry", &[]),
    (
        "real_server",
        "warmup",
        &["2147483647", "2147483648", "4294967295", "4294967296"],
    ),
    ("TCP_CHECK", "retry", &[]),
    ("TCP_CHECK", "connect_port", &[]),
    ("TCP_CHECK", "bind_port", &[]),
    ("TCP_CHECK", "fwmark", &[]),
    ("TCP_CHECK", "connect_timeout", &[]),
    ("DNS_CHECK", "retry", &[]),
    ("UDP_CHECK", "max_reply_length", &[]),
];

fn numbers() -> impl Iterator<Item = Row<'static>> {
    OF_NUMBERS.iter().flat_map(|(block, keyword, differing)| {
        NUMBERS.iter().map(move |number| Row {
            accepted: false,
            block,
            lines: format!("{keyword} {number}"),
            differs: differing.contains(number),
        })
    })
}

/// What keepalived says. That no user for scripts is configured is not about the lines.
fn keepalived_accepts(text: &str) -> bool {
    let file = tempfile::NamedTempFile::new().expect("there is room");
    fs::write(file.path(), text).expect("the file can be written");
    let output = Command::new("keepalived")
        .args(["--config-test", "--use-file"])
        .arg(file.path())
        .output()
        .expect("keepalived is installed");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let about_lines = said
        .lines()
        .filter(|line| !line.starts_with("SECURITY VIOLATION"));
    match output.status.code() {
        Some(0) => true,
        Some(6) => about_lines.count() == 0,
        _ => false,
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "lab: needs keepalived")]
fn the_verdicts_are_those_of_keepalived() {
    let mut wrong = Vec::new();
    for row in rows() {
        let accepted = keepalived_accepts(&row.text());
        if accepted != row.accepted {
            wrong.push(format!(
                "{}: {:?} accepted: {accepted}",
                row.block, row.lines
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "lab: needs keepalived")]
fn numbers_are_taken_where_keepalived_takes_them() {
    let mut wrong = Vec::new();
    for row in numbers() {
        let theirs = keepalived_accepts(&row.text());
        let ours = loaded(&row.text()).config.is_some();
        if (ours != theirs) != row.differs {
            wrong.push(format!(
                "{}: {:?} keepalived: {theirs}",
                row.block, row.lines
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
