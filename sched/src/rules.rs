//! What differs between kernels, builds and sysctl settings.

use std::time::Duration;

use crate::server::Server;

/// The choices in which kernels differ, as values.
///
/// [`Rules::default`] is Linux 6.1.176 as Debian builds it, the kernel whose recorded decisions
/// this crate is tested against. Set what your kernel does otherwise:
///
/// ```
/// use sched::{MaglevTable, Rules};
///
/// let mut rules = Rules::linux_2026();
/// rules.maglev_table = MaglevTable::new(16).ok_or("CONFIG_IP_VS_MH_TAB_INDEX is 8 to 17")?;
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// How connections add up to the load that lc, wlc, lblc, lblcr and twos compare.
    pub overhead: Overhead,
    /// When the overload mark of a server is set and cleared.
    pub overload: OverloadRule,
    /// Size of the table of `sh`: `CONFIG_IP_VS_SH_TAB_BITS`, 8 unless set.
    pub source_hash_table: SourceHashTable,
    /// Size of the table of `mh`: `CONFIG_IP_VS_MH_TAB_INDEX`, 12 unless set.
    pub maglev_table: MaglevTable,
    /// How long an unused cache entry of `lblc` lives: sysctl `lblc_expiration`, 24 hours.
    pub lblc_expiration: Duration,
    /// How long an unused cache entry of `lblcr` lives, and how long a set of servers stays
    /// unchanged before it loses its most loaded member: sysctl `lblcr_expiration`, 24 hours.
    pub lblcr_expiration: Duration,
    /// Whether a persistence template of a server with weight 0 is dropped instead of used:
    /// sysctl `expire_quiescent_template`, off.
    pub expire_quiescent_template: bool,
}

impl Default for Rules {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            overhead: Overhead::ActiveAndInactive,
            overload: OverloadRule::OnConnections,
            source_hash_table: SourceHashTable::default(),
            maglev_table: MaglevTable::default(),
            lblc_expiration: DAY,
            lblcr_expiration: DAY,
            expire_quiescent_template: false,
        }
    }
}

impl Rules {
    /// The kernels of 2026 (7.2, and stable kernels from 6.1.183 on): [`Overhead::ActiveAndTotal`]
    /// and [`OverloadRule::OnEveryChange`].
    #[must_use]
    pub fn linux_2026() -> Self {
        Self {
            overhead: Overhead::ActiveAndTotal,
            overload: OverloadRule::OnEveryChange,
            ..Self::default()
        }
    }
}

/// How a server's connections add up to its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overhead {
    /// 256 · active + inactive: all kernels before 2026.
    ActiveAndInactive,
    /// 256 · active + (active + inactive): the kernels of 2026.
    ActiveAndTotal,
}

impl Overhead {
    /// The load of `server`.
    #[must_use]
    pub fn of(self, server: &Server) -> u64 {
        let (active, inactive) = (u64::from(server.active()), u64::from(server.inactive()));
        match self {
            Self::ActiveAndInactive => 256 * active + inactive,
            Self::ActiveAndTotal => 257 * active + inactive,
        }
    }
}

/// When a server's overload mark is set and cleared. A marked server is not scheduled.
///
/// The mark has hysteresis: it is set when active + inactive reaches the upper threshold and
/// cleared when that sum falls below the lower one, or below three quarters of the upper one
/// when there is no lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverloadRule {
    /// All kernels before 2026: looked at when a connection comes (may be set) and when one
    /// goes (may be cleared). An edit never sets it, and clears it only if the new upper
    /// threshold is 0 or greater than the old one.
    OnConnections,
    /// The kernels of 2026: looked at whenever a connection comes or goes and whenever a
    /// threshold changes.
    OnEveryChange,
}

impl OverloadRule {
    /// Whether the server is marked after a connection came.
    pub(crate) fn after_open(self, server: &Server) -> bool {
        match self {
            Self::OnConnections => server.is_overloaded() || is_full(server),
            Self::OnEveryChange => by_thresholds(server),
        }
    }

    /// Whether the server is marked after a connection or a template went.
    pub(crate) fn after_close(self, server: &Server) -> bool {
        if !server.is_overloaded() {
            return false;
        }
        match self {
            Self::OnConnections => server.connections() >= release_below(server),
            Self::OnEveryChange => by_thresholds(server),
        }
    }

    /// Whether the server is marked after it was given other thresholds, or was added again.
    pub(crate) fn after_edit(self, server: &Server, old_upper: u32, old_lower: u32) -> bool {
        let (upper, lower) = (server.upper_threshold(), server.lower_threshold());
        match self {
            Self::OnConnections => server.is_overloaded() && upper != 0 && upper <= old_upper,
            Self::OnEveryChange if (upper, lower) == (old_upper, old_lower) => {
                server.is_overloaded()
            }
            Self::OnEveryChange => by_thresholds(server),
        }
    }
}

fn is_full(server: &Server) -> bool {
    server.upper_threshold() != 0 && server.connections() >= u64::from(server.upper_threshold())
}

fn by_thresholds(server: &Server) -> bool {
    server.upper_threshold() != 0
        && (is_full(server)
            || (server.is_overloaded() && server.connections() >= release_below(server)))
}

/// The number of connections below which a mark is cleared.
///
/// Without a lower threshold it is three quarters of the upper one, rounded up: the smallest
/// number for which 4 · connections < 3 · upper fails. With neither, any number clears it.
fn release_below(server: &Server) -> u64 {
    let (upper, lower) = (server.upper_threshold(), server.lower_threshold());
    match (lower, upper) {
        (0, 0) => u64::MAX,
        (0, upper) => u64::from(upper) - u64::from(upper / 4),
        (lower, _) => u64::from(lower),
    }
}

/// Number of buckets of `sh`, as the power of two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceHashTable(u32);

impl SourceHashTable {
    /// A table of 2 to the power of `bits` buckets, `bits` from 4 to 20
    /// (`CONFIG_IP_VS_SH_TAB_BITS`); `None` outside that range.
    #[must_use]
    pub const fn new(bits: u32) -> Option<Self> {
        if matches!(bits, 4..=20) {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The power of two.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl Default for SourceHashTable {
    fn default() -> Self {
        Self(8)
    }
}

/// Number of slots of `mh`, a prime a little below a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaglevTable {
    index: u32,
    slots: u32,
}

impl MaglevTable {
    /// The table of `index` 8 to 17 (`CONFIG_IP_VS_MH_TAB_INDEX`): the largest prime below 2 to
    /// the power of `index`; `None` outside that range.
    #[must_use]
    pub const fn new(index: u32) -> Option<Self> {
        let slots = match index {
            8 => 251,
            9 => 509,
            10 => 1021,
            11 => 2039,
            12 => 4093,
            13 => 8191,
            14 => 16381,
            15 => 32749,
            16 => 65521,
            17 => 131_071,
            _ => return None,
        };
        Some(Self { index, slots })
    }

    /// The number of slots, which is also the greatest number of servers.
    #[must_use]
    pub const fn slots(self) -> u32 {
        self.slots
    }

    /// How many bits of weight (after division by the greatest common divisor) are told apart.
    pub(crate) const fn weight_bits(self) -> u32 {
        self.index / 2
    }
}

impl Default for MaglevTable {
    fn default() -> Self {
        Self {
            index: 12,
            slots: 4093,
        }
    }
}
