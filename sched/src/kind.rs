//! The names of the kernel's schedulers.

use std::{fmt, str::FromStr};

use crate::{
    kernel::{
        DestinationHash, Locality, Maglev, OneServer, Ranked, RoundRobin, ServerSet, SourceHash,
        TwoChoices, WeightedRoundRobin,
    },
    rules::Rules,
    scheduler::Scheduler,
};

/// One of the fourteen schedulers of the Linux IP Virtual Server, by its module's name.
///
/// [`FromStr`] and [`Display`](fmt::Display) use the names of ipvsadm and keepalived.conf
/// (`"wlc".parse::<Kind>()`); [`Kind::scheduler`] makes the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the kernel's own closed list; see Kind::ALL"
)]
pub enum Kind {
    /// `rr`: the next usable server of the list; weights only switch a server on or off.
    Rr,
    /// `wrr`: as `rr`, a server of weight *w* is picked *w* times a cycle (in bursts).
    Wrr,
    /// `lc`: the least loaded server; weights only switch a server on or off.
    Lc,
    /// `wlc`: the least load for its weight. The default of ipvsadm.
    Wlc,
    /// `lblc`: one server for each virtual address, replaced by the `wlc` choice when crowded.
    Lblc,
    /// `lblcr`: as `lblc`, with a set of servers for each virtual address.
    Lblcr,
    /// `dh`: by hash of the virtual address. Weights are not used.
    Dh,
    /// `sh`: by hash of the client's address (and port, with `sh-port`).
    Sh,
    /// `sed`: shortest expected delay, (active + 1) / weight.
    Sed,
    /// `nq`: the first server with no active connection, else as `sed`.
    Nq,
    /// `fo`: the server of the highest weight, whatever its load.
    Fo,
    /// `ovf`: the highest weight among those with no more active connections than weight.
    Ovf,
    /// `mh`: Maglev hash of the client's address (and port, with `mh-port`).
    Mh,
    /// `twos`: the better of two random servers.
    Twos,
}

impl Kind {
    /// All fourteen, in the order in which the enum lists them.
    pub const ALL: [Self; 14] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Lblc,
        Self::Lblcr,
        Self::Dh,
        Self::Sh,
        Self::Sed,
        Self::Nq,
        Self::Fo,
        Self::Ovf,
        Self::Mh,
        Self::Twos,
    ];

    /// The kernel's name, which is the module's name without `ip_vs_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Dh => "dh",
            Self::Sh => "sh",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Mh => "mh",
            Self::Twos => "twos",
        }
    }

    /// Makes a scheduler of this kind, without any memory.
    ///
    /// A [`Service`](crate::Service) does this itself; make one by hand to drive a
    /// [`Scheduler`] directly, beginning with [`Scheduler::start`].
    #[must_use]
    pub fn scheduler(self, rules: &Rules) -> Box<dyn Scheduler> {
        match self {
            Self::Rr => Box::new(RoundRobin::default()),
            Self::Wrr => Box::new(WeightedRoundRobin::default()),
            Self::Lc => Box::new(Ranked::lc(rules.overhead)),
            Self::Wlc => Box::new(Ranked::wlc(rules.overhead)),
            Self::Lblc => Box::new(Locality::<OneServer>::new(
                rules.overhead,
                rules.lblc_expiration,
            )),
            Self::Lblcr => Box::new(Locality::<ServerSet>::new(
                rules.overhead,
                rules.lblcr_expiration,
            )),
            Self::Dh => Box::new(DestinationHash::default()),
            Self::Sh => Box::new(SourceHash::new(rules.source_hash_table)),
            Self::Sed => Box::new(Ranked::sed()),
            Self::Nq => Box::new(Ranked::nq()),
            Self::Fo => Box::new(Ranked::fo()),
            Self::Ovf => Box::new(Ranked::ovf()),
            Self::Mh => Box::new(Maglev::new(rules.maglev_table)),
            Self::Twos => Box::new(TwoChoices::new(rules.overhead)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownScheduler;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownScheduler {
                name: name.to_owned(),
            })
    }
}

/// A scheduler name that is none of the kernel's fourteen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("unknown scheduler `{name}`; expected one of {}", Kind::ALL.map(Kind::name).join(", "))]
pub struct UnknownScheduler {
    /// The name as it was given.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_is_the_name_of_its_scheduler() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(kind.scheduler(&Rules::default()).name(), kind.name());
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_there_are() {
        let error = "wlcc".parse::<Kind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown scheduler `wlcc`; expected one of rr, wrr, lc, wlc, lblc, lblcr, dh, sh, \
             sed, nq, fo, ovf, mh, twos"
        );
        assert!(
            "RR".parse::<Kind>().is_err(),
            "the kernel's names are lower case"
        );
    }
}
