//! The state of virtual servers.

use serde::{Deserialize, Serialize};

/// State of a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VirtualServer {
    /// What it is written for.
    pub name: String,
    /// How connections are spread.
    pub scheduler: String,
    /// The services of IPVS that it stands for.
    pub services: Vec<Service>,
    /// Whether it has its quorum.
    pub has_quorum: bool,
    /// The weight of the real servers that are up and not disabled.
    pub alive: u64,
    /// The weight that makes a quorum.
    pub quorum: u32,
    /// How much more it takes to gain the quorum, and how much less is enough to keep it.
    pub hysteresis: u32,
    /// Who serves while there is no quorum.
    pub sorry_server: Option<SorryServer>,
    /// Its real servers, in the order of the file.
    pub real_servers: Vec<RealServer>,
    /// Whether its checks rest while its address is on another machine (`ha_suspend`).
    pub is_suspended: bool,
}

/// A service of IPVS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Service {
    /// Its name, as the table lists it.
    pub name: String,
    /// Whether the kernel has it; `None` if the kernel cannot be asked.
    pub in_kernel: Option<bool>,
    /// Changes of it that the kernel refuses.
    pub refused: Vec<String>,
}

/// A sorry server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SorryServer {
    /// Its name.
    pub name: String,
    /// Whether it serves.
    pub in_use: bool,
    /// What the kernel has.
    pub kernel: Vec<InKernel>,
    /// Changes of it that the kernel refuses.
    pub refused: Vec<String>,
}

/// State of a real server of a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RealServer {
    /// Its name.
    pub name: String,
    /// `up`, `down`, `unknown`: what its checks come to.
    pub health: String,
    /// What an operator has ordered, if anything.
    pub order: Option<String>,
    /// Its weight in the file.
    pub weight_configured: u32,
    /// Its weight by the file and its checks.
    pub weight: u32,
    /// The weight that it shall have in the table; `None`: it shall not be there.
    pub weight_wanted: Option<u32>,
    /// For how many milliseconds more its weight grows, since it has just come back.
    pub slow_start_ms: Option<u64>,
    /// What the kernel has: for each service of the virtual server at most one.
    pub kernel: Vec<InKernel>,
    /// Changes of it that the kernel refuses.
    pub refused: Vec<String>,
    /// Its checks, in the order of the file.
    pub checks: Vec<Check>,
    /// Why connections go there, or do not.
    pub because: String,
}

/// A destination as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InKernel {
    /// Of which service.
    pub service: String,
    /// Its weight.
    pub weight: u32,
    /// Its connections that are established or on the way to it.
    pub active: u32,
    /// Its other connections.
    pub inactive: u32,
    /// Clients that will come back to it (persistence).
    pub persistent: u32,
    /// Whether it goes once its connections are gone.
    pub leaving: bool,
}

/// State of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// What it does, such as `TCP_CHECK 192.0.2.1:80`.
    pub what: String,
    /// `up`, `down`, `unknown`.
    pub health: String,
    /// For how long that has been so, in milliseconds; `None` if it never was otherwise.
    pub for_ms: Option<u64>,
    /// Passes in a row.
    pub passes: u32,
    /// How many of them bring it up.
    pub rise: u32,
    /// Failures in a row of one that is up.
    pub failures: u32,
    /// How many of them bring it down.
    pub fall: u32,
    /// Whether a probe is under way.
    pub is_running: bool,
    /// In how many milliseconds the next probe is due; `None` if one is under way or the check
    /// rests.
    pub next_in_ms: Option<u64>,
    /// The last probes, the oldest first.
    pub probes: Vec<Probe>,
    /// What the last probe that failed said, however long ago.
    pub last_failure: Option<String>,
    /// What the last probe that passed warned of.
    pub warning: Option<String>,
}

/// A probe that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Probe {
    /// How many milliseconds ago it began.
    pub ago_ms: u64,
    /// How many milliseconds it took.
    pub took_ms: u64,
    /// Why it failed; `None` if it passed.
    pub failure: Option<String>,
}

impl RealServer {
    /// Its connections in the kernel, active and inactive ones.
    pub(super) fn connections(&self) -> (u64, u64) {
        let active = self.kernel.iter().map(|it| u64::from(it.active));
        let inactive = self.kernel.iter().map(|it| u64::from(it.inactive));
        (active.sum(), inactive.sum())
    }
}
