//! How things are, in one line.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::demo::scenario::{Node, Server, millis};
use crate::demo::story::Story;

/// A silence is shown from here on.
const SILENCE: Duration = Duration::from_millis(100);

/// What is known at a time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::demo) struct Status {
    states: Vec<(Node, String)>,
    holder: Option<Node>,
    /// Since the last answered probe.
    silence: Option<Duration>,
    /// Requests answered in the last second.
    rate: BTreeMap<Server, u64>,
    failed: u64,
}

impl Status {
    pub(in crate::demo) fn of(story: &Story, now: Instant) -> Self {
        let states = Node::ALL.map(|node| (node, story.state(node)));
        Self {
            states: states.into(),
            holder: story.holder().map(|holder| holder.node),
            silence: story
                .last_answered()
                .map(|at| now.saturating_duration_since(at)),
            rate: story.rate(now),
            failed: story.requests().failed(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, state) in &self.states {
            write!(f, "{node} {state:<8} ")?;
        }
        match (self.holder, self.silence) {
            (Some(holder), Some(silence)) if silence < SILENCE => write!(f, " at {holder:<5}")?,
            (_, Some(silence)) => write!(f, " silent {}", millis(silence))?,
            _ => write!(f, " silent")?,
        }
        for server in Server::ALL {
            let answered = self.rate.get(&server).copied().unwrap_or_default();
            write!(f, "  {server} {answered:>3}/s")?;
        }
        write!(f, "  failed {}", self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_who_is_master_and_who_answers_how_often() {
        let status = Status {
            states: vec![
                (Node::Alpha, String::from("MASTER")),
                (Node::Beta, String::from("BACKUP")),
            ],
            holder: Some(Node::Alpha),
            silence: Some(Duration::from_millis(3)),
            rate: BTreeMap::from([(Server::One, 100)]),
            failed: 7,
        };

        assert_eq!(
            status.to_string(),
            "alpha MASTER   beta BACKUP    at alpha  one 100/s  two   0/s  failed 7"
        );
    }

    #[test]
    fn a_silence_is_shown_while_it_lasts() {
        let status = Status {
            states: Vec::new(),
            holder: Some(Node::Alpha),
            silence: Some(Duration::from_millis(250)),
            rate: BTreeMap::new(),
            failed: 0,
        };

        assert!(status.to_string().starts_with(" silent 250 ms"));
    }
}
