//! Scripts: what is done to a backend and what has to come of it, a line each.
//!
//! ```text
//! -A -t VIP -s rr                  a change in ipvsadm's words, which has to be made
//! -a -t VIP -r RS1 -m              RS1 to RS4 are the real servers
//! -A -t VIP ! ServiceExists        a change that has to be refused, for this reason
//! tcp 1 2 3 -> 1 2 -               clients that connect, and who answers: `-` is nobody
//! udp 1 2 -> 1 2                   clients that send a datagram from a new socket
//! again tcp 1 2 -> 1 2             the same from the socket that each opened last
//! list -> 2:w1:1/0 1:w1:1/0        the destinations as they are listed: number, weight, active and
//!                                  inactive connections
//! ```
//!
//! `list udp` is of the other service.

use std::fmt::Write as _;

use ipvs::{Change, ChangeOutcome, Protocol, ServiceKey, text};

use super::{Site, Subject, scripts::Needs};

/// What is done.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Change(Change),
    Connect(Protocol, Vec<u8>),
    Again(Protocol, Vec<u8>),
    List(Protocol),
}

impl Step {
    /// Does it, and tells what came of it in the words of a script.
    pub(super) async fn take(&self, subject: &mut impl Subject) -> String {
        match self {
            Self::Change(change) => {
                let outcomes = subject.backend().apply(&[*change]).await;
                match outcomes.expect("the backend answers").as_slice() {
                    [ChangeOutcome::Done] => String::new(),
                    [ChangeOutcome::Refused(refusal)] => {
                        let reason = format!("{:?}", refusal.reason);
                        let name = reason.split(|c: char| !c.is_alphanumeric()).next();
                        name.unwrap_or_default().to_owned()
                    }
                    other => format!("{other:?}"),
                }
            }
            Self::Connect(protocol, clients) => {
                let mut answers = Vec::new();
                for client in clients {
                    answers.push(word(subject.connect(*protocol, *client).await));
                }
                answers.join(" ")
            }
            Self::Again(protocol, clients) => {
                let mut answers = Vec::new();
                for client in clients {
                    answers.push(word(subject.again(*protocol, *client).await));
                }
                answers.join(" ")
            }
            Self::List(protocol) => list(subject, *protocol).await,
        }
    }
}

fn word(server: Option<u8>) -> String {
    server.map_or_else(|| String::from("-"), |number| number.to_string())
}

async fn list(subject: &impl Subject, protocol: Protocol) -> String {
    let snapshot = subject.backend().snapshot().await;
    let snapshot = snapshot.expect("the table can be read");
    let site = subject.site();
    let Some(service) = snapshot.service(&service(protocol, site)) else {
        return String::from("absent");
    };
    let destinations = service.destinations.iter().map(|it| {
        let (counts, weight) = (it.counts, it.settings.weight);
        let mut text = word(site.number(it.key));
        let (active, inactive) = (counts.active, counts.inactive);
        write!(text, ":w{weight}:{active}/{inactive}").expect("a string");
        text
    });
    destinations.collect::<Vec<_>>().join(" ")
}

pub(super) fn service(protocol: Protocol, site: Site) -> ServiceKey {
    match protocol {
        Protocol::Udp => ServiceKey::udp(site.vip()),
        Protocol::Tcp | Protocol::Sctp => ServiceKey::tcp(site.vip()),
    }
}

/// Takes every step of a script, if it is for that backend.
///
/// # Panics
/// Something else came of it.
pub(crate) async fn play((script, needs): (&str, Needs), subject: &mut impl Subject) {
    if needs != Needs::Nothing && !subject.counts() {
        return;
    }
    let lines = script.lines().map(str::trim).filter(|it| !it.is_empty());
    let lines: Vec<_> = lines.collect();
    let counts = subject.counts();
    let mut told = Vec::new();
    let compared = |line: String| if counts { line } else { uncounted(&line) };
    for line in &lines {
        let (step, asked) = read(line, subject.site());
        let came = step.take(subject).await;
        told.push(compared(match (&step, came.as_str()) {
            (Step::Change(_), "") => asked.to_owned(),
            (Step::Change(_), _) => format!("{asked} ! {came}"),
            _ => format!("{asked} -> {came}"),
        }));
    }
    let lines = lines.into_iter().map(str::to_owned).map(compared);
    assert_eq!(told, lines.collect::<Vec<_>>());
}

/// What was told without the numbers of connections of lists.
pub(super) fn uncounted(told: &str) -> String {
    let words = told.split(' ').map(|word| match word.rsplit_once(':') {
        Some((rest, counts)) if counts.contains('/') => rest,
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A step, and its line without what is to come of it.
fn read(line: &str, site: Site) -> (Step, &str) {
    if line.starts_with('-') {
        let (change, _) = line.split_once('!').unwrap_or((line, ""));
        let mut text = change.replace("VIP", &site.vip().to_string());
        for number in 1..=Site::SERVERS {
            text = text.replace(&format!("RS{number}"), &site.server(number).to_string());
        }
        let lines = text::parse(&text).unwrap_or_else(|errors| panic!("{line}: {errors:?}"));
        let [parsed] = lines.as_slice() else {
            panic!("{line}: one change a line");
        };
        return (Step::Change(parsed.change), change.trim());
    }
    let (asked, _) = line
        .split_once("->")
        .unwrap_or_else(|| panic!("{line}: ->"));
    let words: Vec<_> = asked.split_whitespace().collect();
    let clients = |words: &[&str]| -> Vec<u8> {
        let numbers = words.iter().map(|word| word.parse());
        numbers
            .collect::<Result<_, _>>()
            .expect("numbers of clients")
    };
    let step = match words.as_slice() {
        ["tcp", rest @ ..] => Step::Connect(Protocol::Tcp, clients(rest)),
        ["udp", rest @ ..] => Step::Connect(Protocol::Udp, clients(rest)),
        ["again", "tcp", rest @ ..] => Step::Again(Protocol::Tcp, clients(rest)),
        ["again", "udp", rest @ ..] => Step::Again(Protocol::Udp, clients(rest)),
        ["list"] => Step::List(Protocol::Tcp),
        ["list", "udp"] => Step::List(Protocol::Udp),
        _ => panic!("{line}: unknown"),
    };
    (step, asked.trim())
}
