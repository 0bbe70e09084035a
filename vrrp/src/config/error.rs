//! Why a configuration is refused.

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{AddressesError, AdvertisementError, Family};

/// A virtual router cannot be configured like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("virtual router {name}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Its name.
    pub name: Arc<str>,
    /// What is wrong.
    #[source]
    pub problem: ConfigProblem,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The advertisement cannot be made.
    #[error(transparent)]
    Advertisement(#[from] AdvertisementError),
    /// The addresses make no list.
    #[error(transparent)]
    Addresses(#[from] AddressesError),
    /// Priority 0.
    #[error("priority 0 is reserved for leaving: use 1 to 255")]
    Release,
    /// An address of the wrong family.
    #[error("{address} is not {family} as the listed virtual addresses are")]
    Family {
        /// The address.
        address: IpAddr,
        /// The family of the virtual router.
        family: Family,
    },
    /// A group that is none.
    #[error("{address} is not a multicast address")]
    NotAGroup {
        /// The address.
        address: IpAddr,
    },
    /// A delay that never ends.
    #[error("the {what} of {delay:?} is too long: at most a year")]
    Delay {
        /// Which.
        what: &'static str,
        /// How long it is.
        delay: Duration,
    },
    /// Unicast to nobody.
    #[error("unicast needs at least one peer")]
    NoPeer,
    /// Two routers of a node have the same name.
    #[error("there is another router of this name: names are unique in a node")]
    SameName,
    /// Two routers would take each other's advertisements for their own.
    #[error(
        "{other} has the same interface, address family and virtual router id: give one another id"
    )]
    SameRouter {
        /// The other one.
        other: Arc<str>,
    },
}
