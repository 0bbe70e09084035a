//! Virtual servers as they stand, for those who look.

use std::sync::Arc;

use health::{Health, Place};

use super::{Order, Ramp};
use crate::conf::model::VirtualServer;

/// One virtual server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PoolView {
    /// How it is configured.
    pub config: Arc<VirtualServer>,
    /// Whether it has its quorum.
    pub has_quorum: bool,
    /// The weight of the real servers that count, of which a quorum is made.
    pub alive: u64,
    /// How its sorry server shall stand in the table; absent if it has none.
    pub sorry_server: Place,
    /// Its real servers, in the order of the configuration.
    pub members: Vec<MemberView>,
    /// Whether its checks rest (`ha_suspend`).
    pub is_suspended: bool,
}

/// One real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView {
    /// What its checks come to.
    pub health: Health,
    /// Its weight by the file and the checks.
    pub weight: u32,
    /// What is ordered for it.
    pub order: Order,
    /// Its way to its whole weight, while that takes time.
    pub ramp: Option<Ramp>,
    /// How it shall stand in the table.
    pub place: Place,
}
