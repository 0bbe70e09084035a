//! `ha_suspend`: whose checks rest while their virtual server is served by another machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipvs::ServiceKey;

use super::{CheckName, Output, pool::Pool};
use crate::conf::model::{VirtualServer, VirtualServerName};

/// Which checks rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspension {
    /// The addresses of this machine.
    held: BTreeSet<IpAddr>,
    resting: BTreeSet<CheckName>,
}

impl Suspension {
    /// This machine has these addresses now.
    pub(super) fn set_held(&mut self, held: BTreeSet<IpAddr>) {
        self.held = held;
    }

    /// What follows for these virtual servers, which are all there are.
    pub(super) fn settle<'a>(&mut self, pools: impl Iterator<Item = &'a Pool>) -> Vec<Output> {
        let suspended = pools.filter(|pool| self.suspends(pool.config()));
        let resting: BTreeSet<_> = suspended.flat_map(Pool::checks).collect();
        let resume = by_server(self.resting.difference(&resting));
        let suspend = by_server(resting.difference(&self.resting));
        self.resting = resting;
        let resume = resume.into_values().map(Output::Resume);
        resume
            .chain(suspend.into_values().map(Output::Suspend))
            .collect()
    }

    /// One address is enough to be checked, as with keepalived.
    pub(super) fn suspends(&self, server: &VirtualServer) -> bool {
        let is_here = |service: &ServiceKey| match service {
            ServiceKey::Address { endpoint, .. } => self.held.contains(&endpoint.address),
            // The reader of the file leaves none.
            ServiceKey::Fwmark { .. } => true,
        };
        server.ha_suspend && !server.services.iter().any(is_here)
    }
}

fn by_server<'a>(
    checks: impl Iterator<Item = &'a CheckName>,
) -> BTreeMap<VirtualServerName, Vec<CheckName>> {
    let mut by_server = BTreeMap::<_, Vec<_>>::new();
    for check in checks {
        let of = by_server.entry(check.virtual_server.clone()).or_default();
        of.push(check.clone());
    }
    by_server
}
