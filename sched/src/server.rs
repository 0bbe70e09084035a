//! A real server of a service, and the handle by which it is named.

use std::{net::SocketAddr, time::Instant};

/// Names a server of one [`Servers`](crate::Servers) list.
///
/// It stays valid while the server is in the list and, after its removal, for as long as the
/// kernel would keep it in its trash. A later server never gets the same handle, so a
/// scheduler may keep handles in its memory and find that they have become stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// What an operator sets about a server: its weight and thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerSettings {
    /// Share of the work, 0 to [`ServerSettings::MAX_WEIGHT`]. With 0 a server gets no new
    /// connections but those of persistent clients it has (it is *quiesced*).
    pub weight: u32,
    /// Number of connections at which a server becomes overloaded; 0 for never.
    pub upper_threshold: u32,
    /// Number of connections below which an overloaded server recovers; 0 for three quarters
    /// of the upper threshold.
    pub lower_threshold: u32,
}

impl ServerSettings {
    /// The greatest weight and the greatest upper threshold of the kernel.
    pub const MAX_WEIGHT: u32 = i32::MAX.unsigned_abs();

    /// A server of `weight`, without thresholds.
    #[must_use]
    pub const fn new(weight: u32) -> Self {
        Self {
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }

    /// The same with thresholds, in connections (active + inactive); see the fields.
    #[must_use]
    pub const fn with_thresholds(self, upper: u32, lower: u32) -> Self {
        Self {
            upper_threshold: upper,
            lower_threshold: lower,
            ..self
        }
    }

    pub(crate) const fn check(&self) -> Result<(), SettingsError> {
        if self.weight > Self::MAX_WEIGHT {
            return Err(SettingsError::Weight {
                weight: self.weight,
            });
        }
        if self.upper_threshold > Self::MAX_WEIGHT {
            return Err(SettingsError::UpperThreshold {
                upper: self.upper_threshold,
            });
        }
        if self.lower_threshold > self.upper_threshold {
            return Err(SettingsError::LowerThreshold {
                lower: self.lower_threshold,
                upper: self.upper_threshold,
            });
        }
        Ok(())
    }
}

/// Settings that the kernel refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Kernel: `ERANGE`.
    #[error("weight {weight} is above {}", ServerSettings::MAX_WEIGHT)]
    Weight {
        /// The weight given.
        weight: u32,
    },
    /// Kernel: `EINVAL`.
    #[error("upper threshold {upper} is above {}", ServerSettings::MAX_WEIGHT)]
    UpperThreshold {
        /// The upper threshold given.
        upper: u32,
    },
    /// Kernel: `ERANGE`. A lower threshold therefore needs an upper one.
    #[error("lower threshold {lower} is above the upper threshold {upper}")]
    LowerThreshold {
        /// The lower threshold given.
        lower: u32,
        /// The upper threshold given.
        upper: u32,
    },
}

/// A real server as the schedulers see it: settings, connections, overload mark.
#[derive(Debug, Clone)]
pub struct Server {
    pub(crate) id: ServerId,
    pub(crate) address: SocketAddr,
    pub(crate) settings: ServerSettings,
    pub(crate) last_weight: u32,
    pub(crate) active: u32,
    pub(crate) inactive: u32,
    pub(crate) templates: u32,
    pub(crate) overloaded: bool,
    pub(crate) place: Place,
}

/// Where a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the list; `age` counts from 0, the longest in it.
    Listed { age: usize },
    /// Removed, and something refers to it.
    Removed,
    /// Removed, with nothing referring to it since it was put into the trash.
    Idle { forget_at: Instant },
}

impl Server {
    pub(crate) const fn new(id: ServerId, address: SocketAddr, settings: ServerSettings) -> Self {
        Self {
            id,
            address,
            settings,
            last_weight: settings.weight,
            active: 0,
            inactive: 0,
            templates: 0,
            overloaded: false,
            place: Place::Removed,
        }
    }

    /// The handle of this server.
    #[must_use]
    pub const fn id(&self) -> ServerId {
        self.id
    }

    /// Address and port. Port 0 stands for the port of the packet.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Weight and thresholds, as last set.
    #[must_use]
    pub const fn settings(&self) -> ServerSettings {
        self.settings
    }

    /// The weight.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.settings.weight
    }

    /// The weight it was added with, or the last other than 0 that it was edited to: `mh` keeps
    /// its table by this one.
    #[must_use]
    pub const fn last_weight(&self) -> u32 {
        self.last_weight
    }

    /// Number of connections at which the server becomes overloaded; 0 for never.
    #[must_use]
    pub const fn upper_threshold(&self) -> u32 {
        self.settings.upper_threshold
    }

    /// Number of connections below which it recovers; 0 for three quarters of the upper one.
    #[must_use]
    pub const fn lower_threshold(&self) -> u32 {
        self.settings.lower_threshold
    }

    /// Active connections (`ActiveConn` of ipvsadm).
    #[must_use]
    pub const fn active(&self) -> u32 {
        self.active
    }

    /// Inactive connections (`InActConn` of ipvsadm).
    #[must_use]
    pub const fn inactive(&self) -> u32 {
        self.inactive
    }

    /// Active and inactive connections together.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::from(self.active) + u64::from(self.inactive)
    }

    /// Persistence templates (`PersistConn` of ipvsadm).
    #[must_use]
    pub const fn templates(&self) -> u32 {
        self.templates
    }

    /// Whether it carries the overload mark, see [`OverloadRule`](crate::OverloadRule).
    #[must_use]
    pub const fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// Whether it is in the list. A removed server is not, even while connections refer to it.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        matches!(self.place, Place::Listed { .. })
    }

    /// Whether a scheduler may pick it: in the list, weight above 0, not overloaded.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.is_listed() && self.settings.weight > 0 && !self.overloaded
    }

    pub(crate) const fn is_referred_to(&self) -> bool {
        self.active > 0 || self.inactive > 0 || self.templates > 0
    }
}
