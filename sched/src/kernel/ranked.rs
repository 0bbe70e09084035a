//! `lc`, `wlc`, `sed`, `nq`, `fo` and `ovf`: the best server by a rank of each.
//!
//! All six look for the smallest load for the weight, the first of the list in a tie, and differ
//! in what they call the load.

use std::time::Instant;

use crate::{
    flow::Arrival,
    rules::Overhead,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
    tournament::{Rank, Tournament},
};

/// The server of the best rank, kept at hand while connections come and go.
#[derive(Debug)]
pub(crate) struct Ranked {
    name: &'static str,
    measure: Measure,
    tournament: Tournament,
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    /// `lc`: the overhead.
    Load(Overhead),
    /// `wlc`: the overhead for the weight.
    LoadForWeight(Overhead),
    /// `sed`: active connections, this one included, for the weight.
    Delay,
    /// `nq`: nothing is better than no active connection, whatever the weight; else as `sed`.
    DelayUnlessIdle,
    /// `fo`: the weight alone.
    Weight,
    /// `ovf`: the weight of those with no more active connections than weight.
    WeightUntilFull,
}

impl Ranked {
    pub(crate) fn lc(overhead: Overhead) -> Self {
        Self::new("lc", Measure::Load(overhead))
    }

    pub(crate) fn wlc(overhead: Overhead) -> Self {
        Self::new("wlc", Measure::LoadForWeight(overhead))
    }

    pub(crate) fn sed() -> Self {
        Self::new("sed", Measure::Delay)
    }

    pub(crate) fn nq() -> Self {
        Self::new("nq", Measure::DelayUnlessIdle)
    }

    pub(crate) fn fo() -> Self {
        Self::new("fo", Measure::Weight)
    }

    pub(crate) fn ovf() -> Self {
        Self::new("ovf", Measure::WeightUntilFull)
    }

    fn new(name: &'static str, measure: Measure) -> Self {
        Self {
            name,
            measure,
            tournament: Tournament::default(),
        }
    }

    /// The best server.
    pub(crate) fn best(&self, servers: &Servers) -> Option<ServerId> {
        let (age, _) = self.tournament.best()?;
        servers.at_age(age).map(Server::id)
    }

    fn update(&mut self, server: ServerId, servers: &Servers) {
        let measure = self.measure;
        update(&mut self.tournament, server, servers, |server| {
            measure.rank(server)
        });
    }

    fn rebuild(&mut self, servers: &Servers) {
        let measure = self.measure;
        rebuild(&mut self.tournament, servers, |server| measure.rank(server));
    }
}

impl Measure {
    fn rank(self, server: &Server) -> Rank {
        let weight = server.weight();
        let active = u64::from(server.active());
        if !server.is_usable() {
            return Rank::UNUSABLE;
        }
        match self {
            Self::Load(overhead) => Rank {
                load: overhead.of(server),
                weight: 1,
            },
            Self::LoadForWeight(overhead) => Rank {
                load: overhead.of(server),
                weight,
            },
            Self::DelayUnlessIdle if active == 0 => Rank { load: 0, weight: 1 },
            Self::Delay | Self::DelayUnlessIdle => Rank {
                load: active + 1,
                weight,
            },
            Self::WeightUntilFull if active > u64::from(weight) => Rank::UNUSABLE,
            Self::Weight | Self::WeightUntilFull => Rank { load: 1, weight },
        }
    }
}

impl Scheduler for Ranked {
    fn name(&self) -> &'static str {
        self.name
    }

    fn pick(&mut self, _: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        self.best(servers)
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        self.rebuild(servers);
    }

    fn server_added(&mut self, server: ServerId, servers: &Servers) {
        self.update(server, servers);
    }

    fn server_edited(&mut self, server: ServerId, servers: &Servers) {
        self.update(server, servers);
    }

    fn server_removed(&mut self, _: ServerId, _: Option<ServerId>, servers: &Servers) {
        self.rebuild(servers);
    }

    fn load_changed(&mut self, server: ServerId, servers: &Servers) {
        self.update(server, servers);
    }
}

/// Ranks one listed server again.
pub(super) fn update(
    tournament: &mut Tournament,
    server: ServerId,
    servers: &Servers,
    rank: impl Fn(&Server) -> Rank,
) {
    if let (Some(age), Some(server)) = (servers.age(server), servers.get(server)) {
        tournament.set(age, rank(server));
    }
}

/// Ranks all servers again, which a removal needs because it shifts their ages.
pub(super) fn rebuild(
    tournament: &mut Tournament,
    servers: &Servers,
    rank: impl Fn(&Server) -> Rank,
) {
    let ranks = (0..servers.len()).map(|age| servers.at_age(age).map_or(Rank::UNUSABLE, &rank));
    tournament.rebuild(ranks);
}
