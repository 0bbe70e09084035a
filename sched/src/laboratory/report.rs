//! What was found, and a table of it that a person can read.

use std::{fmt, net::SocketAddr};

/// What several schedulers made of one history. `Display` prints a table and the traps.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Comparison {
    /// One for each contestant, in their order.
    pub reports: Vec<Report>,
}

/// What one scheduler made of a history.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The contestant's label.
    pub label: String,
    /// How many connections arrived.
    pub arrivals: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// How many of these though some server was usable.
    pub refused_though_usable: u64,
    /// Picks of each server, by address.
    pub shares: Vec<ServerShare>,
    /// The part of the picks, 0 to 1, that would have to go to other servers for each to have
    /// its share by weight.
    pub misplaced: f64,
    /// Clients that came back when nothing had changed.
    pub undisturbed: Returns,
    /// Clients that came back after a server had been removed that was not theirs.
    pub after_leave: Returns,
    /// Clients that came back after an edit, and no removal.
    pub after_edit: Returns,
    /// Clients that came back after an addition, and neither edit nor removal.
    pub after_join: Returns,
    /// What an operator should know.
    pub traps: Vec<Trap>,
}

/// A server's part of the picks.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ServerShare {
    /// The server.
    pub address: SocketAddr,
    /// How often it was picked.
    pub picks: u64,
    /// How often it would have been by weight, among the servers usable at each arrival.
    pub fair: f64,
}

/// Clients that came back while the server of their last visit was usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Returns {
    /// How many visits.
    pub returned: u64,
    /// How many of these went to another server.
    pub moved: u64,
}

/// Something that surprises operators, found in a history and not merely possible.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Trap {
    /// Connections were refused while there were usable servers: those of clients hashed to a
    /// server of weight 0 or overloaded (`sh`, `mh` without fallback, `dh`), or all that come
    /// when every server has more active connections than weight (`ovf`).
    RefusesThoughUsable {
        /// How many.
        refused: u64,
    },
    /// As UDP the same history is spread far worse than as TCP, because UDP connections are
    /// never active and the scheduler looks at nothing else (`sed`, `nq`, `ovf`), or not at
    /// anything else before it leaves a crowded server (`lblc`, `lblcr`).
    BlindToUdp {
        /// [`Report::misplaced`] of the history as it is.
        misplaced: f64,
        /// The same had all connections been TCP.
        misplaced_as_tcp: f64,
    },
    /// A server left, and clients of other servers moved too (`sh`, `dh`).
    LeaveMovesClients {
        /// The part of the returning clients, 0 to 1.
        moved: f64,
    },
    /// Settings were edited, and far more clients of servers that stayed usable moved than the
    /// new weights ask for (`sh`).
    EditMovesClients {
        /// The part of the returning clients, 0 to 1.
        moved: f64,
    },
}

/// By how much more than at other times clients must move after a change to call it a trap, and
/// how much more must be misplaced.
const NOTABLE: f64 = 0.2;

const LEGEND: &str = "
misplaced  picks that would have to go to other servers for shares by weight
moved      clients who came back, whose last server could still take them, and who got another one:
           after nothing (the scheduler's habit), after a server had left, after an edit, after one
           had joined; - if none came back
!          a trap

";

impl Returns {
    /// The part of the returning clients that moved, 0 to 1; 0 if none returned.
    #[must_use]
    pub fn moved_share(&self) -> f64 {
        if self.returned == 0 {
            0.0
        } else {
            self.moved as f64 / self.returned as f64
        }
    }
}

impl ServerShare {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            picks: 0,
            fair: 0.0,
        }
    }
}

impl Report {
    pub(super) fn new(label: String) -> Self {
        Self {
            label,
            arrivals: 0,
            refused: 0,
            refused_though_usable: 0,
            shares: Vec::new(),
            misplaced: 0.0,
            undisturbed: Returns::default(),
            after_leave: Returns::default(),
            after_edit: Returns::default(),
            after_join: Returns::default(),
            traps: Vec::new(),
        }
    }

    /// Draws the conclusions. `edits_shift` is the part of the picks that the edits themselves
    /// give to other servers, which clients have to follow.
    pub(super) fn finish(&mut self, shares: Vec<ServerShare>, edits_shift: f64) {
        let picks: f64 = shares.iter().map(|share| share.picks as f64).sum();
        let fair: f64 = shares.iter().map(|share| share.fair).sum();
        if picks > 0.0 && fair > 0.0 {
            let apart =
                |share: &ServerShare| (share.picks as f64 / picks - share.fair / fair).abs();
            self.misplaced = shares.iter().map(apart).sum::<f64>() / 2.0;
        }
        self.shares = shares;

        if self.refused_though_usable > 0 {
            self.traps.push(Trap::RefusesThoughUsable {
                refused: self.refused_though_usable,
            });
        }
        let usual = self.undisturbed.moved_share();
        let (left, edited) = (
            self.after_leave.moved_share(),
            self.after_edit.moved_share(),
        );
        if left > usual + NOTABLE {
            self.traps.push(Trap::LeaveMovesClients { moved: left });
        }
        if edited > usual + edits_shift + NOTABLE {
            self.traps.push(Trap::EditMovesClients { moved: edited });
        }
    }

    pub(super) fn find_udp_trap(&mut self, as_tcp: &Self) {
        let (misplaced, misplaced_as_tcp) = (self.misplaced, as_tcp.misplaced);
        if misplaced > misplaced_as_tcp + NOTABLE {
            self.traps.push(Trap::BlindToUdp {
                misplaced,
                misplaced_as_tcp,
            });
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefusesThoughUsable { refused } => {
                write!(
                    f,
                    "refused {refused} connections though a server was usable: theirs by hash was \
                     not (sh, mh: set fallback), or all were full (ovf)"
                )
            }
            Self::BlindToUdp {
                misplaced,
                misplaced_as_tcp,
            } => write!(
                f,
                "does not see UDP connections: {} of the picks misplaced, {} had they been TCP",
                Percent(*misplaced),
                Percent(*misplaced_as_tcp)
            ),
            Self::LeaveMovesClients { moved } => write!(
                f,
                "when a server left, {} of the clients of other servers moved",
                Percent(*moved)
            ),
            Self::EditMovesClients { moved } => {
                write!(f, "after an edit {} of the clients moved", Percent(*moved))
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = |report: &Report| report.label.chars().count();
        let width = self
            .reports
            .iter()
            .map(wide)
            .max()
            .unwrap_or(0)
            .max("scheduler".len());
        writeln!(
            f,
            "{:width$}  {:>7}  {:>7}  {:>9}  {:>24}",
            "", "", "", "", "clients that moved after"
        )?;
        writeln!(
            f,
            "{:width$}  {:>7}  {:>7}  {:>9}  {:>7} {:>7} {:>7} {:>7}",
            "scheduler", "picks", "refused", "misplaced", "nothing", "leave", "edit", "join"
        )?;
        for report in &self.reports {
            write!(
                f,
                "{:width$}  {:>7}  {:>7}  {:>9}  ",
                report.label,
                report.arrivals - report.refused,
                report.refused,
                Percent(report.misplaced).to_string(),
            )?;
            let Report {
                undisturbed,
                after_leave,
                after_edit,
                after_join,
                ..
            } = report;
            let columns = [undisturbed, after_leave, after_edit, after_join].map(|returns| {
                let none = returns.returned == 0;
                if none {
                    "-".to_owned()
                } else {
                    Percent(returns.moved_share()).to_string()
                }
            });
            let [nothing, leave, edit, join] = columns;
            writeln!(f, "{nothing:>7} {leave:>7} {edit:>7} {join:>7}")?;
        }
        f.write_str(LEGEND)?;
        for report in &self.reports {
            for trap in &report.traps {
                writeln!(f, "{:width$}  ! {trap}", report.label)?;
            }
        }
        Ok(())
    }
}

struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.0 * 100.0)
    }
}
