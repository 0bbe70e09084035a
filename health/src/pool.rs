//! Which servers of a service are used, and with what weight.

use crate::{Health, Quorum, QuorumChange};

/// The greatest weight that IPVS takes from ipvsadm and keepalived.
pub const MAX_WEIGHT: u32 = 65_535;

/// One real server of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever asks has to say all of it"
)]
pub struct Server {
    /// What its checks come to.
    pub health: Health,
    /// Its weight while it is used, such as [`dynamic_weight`] says.
    pub weight: u32,
    /// `inhibit_on_failure`: weight 0 instead of removal, so that its connections live on.
    pub inhibit: bool,
}

/// How a service treats its servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever asks has to say all of it"
)]
pub struct PoolConfig {
    /// The server that says sorry while there is no quorum.
    pub sorry_server: Option<SorryServer>,
    /// Where less than this many percent of the servers are up, the checks are distrusted and all
    /// are used that were ever checked; 0 for never.
    pub panic_below_percent: u8,
}

/// A sorry server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has one option")]
pub struct SorryServer {
    /// `sorry_server_inhibit`: weight 0 instead of removal while it is not needed.
    pub inhibit: bool,
}

/// How a server shall stand in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is there or it is not")]
pub enum Place {
    /// Not there.
    Absent,
    /// There, with this weight.
    Present {
        /// 0 takes no new connections.
        weight: u32,
    },
}

/// What follows for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// For each server, in the order they were given.
    pub servers: Vec<Place>,
    /// For the sorry server; absent if there is none. A table that changes step by step takes out
    /// what goes before it puts in what comes.
    pub sorry_server: Place,
    /// Whether the checks were distrusted.
    pub panic: bool,
    /// What changed about the quorum.
    pub quorum: Option<QuorumChange>,
}

/// Decides which servers are used. Idempotent but for [`Decision::quorum`], which is told once.
pub fn decide(config: &PoolConfig, quorum: &mut Quorum, servers: &[Server]) -> Decision {
    let panic = is_panic(config.panic_below_percent, servers);
    let used = |server: &Server| match server.health {
        Health::Up => true,
        Health::Down => panic,
        Health::Unknown => false,
    };
    let alive = servers.iter().filter(|server| used(server));
    let change = quorum.judge(alive.map(|server| u64::from(server.weight)).sum());
    let sorry = config.sorry_server.is_some() && !quorum.is_up();
    Decision {
        servers: servers
            .iter()
            .map(|server| place(used(server) && !sorry, server.weight, server.inhibit))
            .collect(),
        sorry_server: config
            .sorry_server
            .map_or(Place::Absent, |server| place(sorry, 1, server.inhibit)),
        panic,
        quorum: change,
    }
}

/// A server's weight: its own and what its checks add or take, from 0 to [`MAX_WEIGHT`].
///
/// It depends on the last results alone, so nothing ever adds up.
#[must_use]
pub fn dynamic_weight(configured: u32, checks: impl IntoIterator<Item = i32>) -> u32 {
    let sum = checks
        .into_iter()
        .fold(i64::from(configured), |sum, weight| {
            sum.saturating_add(i64::from(weight))
        });
    u32::try_from(sum.clamp(0, i64::from(MAX_WEIGHT))).unwrap_or(MAX_WEIGHT)
}

const fn place(used: bool, weight: u32, inhibit: bool) -> Place {
    match (used, inhibit) {
        (true, _) => Place::Present { weight },
        (false, true) => Place::Present { weight: 0 },
        (false, false) => Place::Absent,
    }
}

/// Servers that nothing is known of yet count neither way: a program that starts is no panic.
fn is_panic(below_percent: u8, servers: &[Server]) -> bool {
    let count = |health| {
        servers
            .iter()
            .filter(|server| server.health == health)
            .count()
    };
    let (up, down) = (count(Health::Up), count(Health::Down));
    up * 100 < (up + down) * usize::from(below_percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QuorumConfig;

    const fn server(health: Health, weight: u32) -> Server {
        Server {
            health,
            weight,
            inhibit: false,
        }
    }

    fn quorum(quorum: u32) -> Quorum {
        Quorum::at_start(QuorumConfig::new(quorum, 0, 100).0, false)
    }

    const SORRY: PoolConfig = PoolConfig {
        sorry_server: Some(SorryServer { inhibit: false }),
        panic_below_percent: 0,
    };

    use Health::{Down, Unknown, Up};
    use Place::{Absent, Present};

    #[test]
    fn only_servers_that_are_up_are_used() {
        let servers = [server(Up, 3), server(Down, 2), server(Unknown, 1)];
        let decision = decide(&PoolConfig::default(), &mut quorum(1), &servers);
        assert_eq!(decision.servers, [Present { weight: 3 }, Absent, Absent]);
    }

    #[test]
    fn row_10_without_a_quorum_the_sorry_server_replaces_all_that_are_alive() {
        let mut quorum = quorum(3);
        let decision = decide(&SORRY, &mut quorum, &[server(Up, 2), server(Down, 2)]);
        assert_eq!(decision.servers, [Absent, Absent]);
        assert_eq!(decision.sorry_server, Present { weight: 1 });
        assert_eq!(decision.quorum, Some(QuorumChange::Down));
        let decision = decide(&SORRY, &mut quorum, &[server(Up, 2), server(Up, 2)]);
        assert_eq!(decision.servers, [Present { weight: 2 }; 2]);
        assert_eq!(decision.sorry_server, Absent);
        assert_eq!(decision.quorum, Some(QuorumChange::Up));
    }

    #[test]
    fn row_10_without_a_sorry_server_those_alive_stay_whatever_the_quorum() {
        let servers = [server(Up, 2), server(Down, 2)];
        let decision = decide(&PoolConfig::default(), &mut quorum(3), &servers);
        assert_eq!(decision.servers, [Present { weight: 2 }, Absent]);
    }

    #[test]
    fn row_11_inhibit_is_weight_0_instead_of_removal() {
        let mut failed = server(Down, 5);
        failed.inhibit = true;
        let decision = decide(&SORRY, &mut quorum(1), &[server(Up, 1), failed]);
        assert_eq!(
            decision.servers,
            [Present { weight: 1 }, Present { weight: 0 }]
        );
    }

    #[test]
    fn a_panic_uses_all_that_were_ever_checked_and_spares_the_sorry_server() {
        let config = PoolConfig {
            panic_below_percent: 50,
            ..SORRY
        };
        let servers = [
            server(Down, 1),
            server(Down, 1),
            server(Up, 1),
            server(Unknown, 1),
        ];
        let decision = decide(&config, &mut quorum(3), &servers);
        assert!(decision.panic);
        let used = Present { weight: 1 };
        assert_eq!(decision.servers, [used, used, used, Absent]);
        assert_eq!(decision.sorry_server, Absent);
    }

    #[test]
    fn half_is_not_less_than_half_and_a_start_is_no_panic() {
        let config = PoolConfig {
            panic_below_percent: 50,
            ..PoolConfig::default()
        };
        for servers in [[server(Up, 1), server(Down, 1)], [server(Unknown, 1); 2]] {
            assert!(!decide(&config, &mut quorum(1), &servers).panic);
        }
    }

    #[test]
    fn a_dynamic_weight_is_clamped_and_never_adds_up() {
        assert_eq!(dynamic_weight(10, [-3, 5]), 12);
        assert_eq!(dynamic_weight(10, [-30]), 0);
        assert_eq!(dynamic_weight(10, [i32::MAX; 9]), MAX_WEIGHT);
        assert_eq!(dynamic_weight(0, [0]), 0);
    }
}
