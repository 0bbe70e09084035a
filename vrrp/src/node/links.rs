//! What the interfaces of a host mean for the routers on them.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Node, RouterId};
use crate::{Input, Links, RouterConfig, Tracked, TrackerState, Vip};

impl Node {
    pub(super) fn on_links(&mut self, links: Links) {
        let old = self.links.replace(links.clone());
        self.tell_links();
        for (id, router) in &self.routers {
            for tracker in &router.config().trackers {
                if let Tracked::Interface(name) = &tracker.tracked {
                    let state = interface_state(&links, name);
                    let tracked = tracker.tracked.clone();
                    self.work
                        .push_back((*id, Input::Tracker { tracked, state }));
                }
            }
            if router.holds_addresses()
                && old
                    .as_ref()
                    .is_some_and(|old| lost(router.vips(), old, &links))
            {
                self.work.push_back((*id, Input::AddressesLost));
            }
        }
    }

    /// The addresses that come and go and so are no primary addresses; an owner's are its own.
    fn virtual_addresses(&self) -> BTreeSet<IpAddr> {
        self.routers
            .values()
            .filter(|router| !router.config().priority.is_owner())
            .flat_map(|router| router.vips().iter().map(|vip| vip.address))
            .collect()
    }

    /// Tells every router how its link is.
    pub(super) fn tell_links(&mut self) {
        let Some(links) = &self.links else { return };
        let virtual_addresses = self.virtual_addresses();
        for (id, router) in &self.routers {
            let input = link_input(router.config(), links, &virtual_addresses);
            self.work.push_back((*id, input));
        }
    }

    /// Tells a router what is known of all that can be tracked.
    pub(super) fn tell_states(&mut self, id: RouterId) {
        for (tracked, state) in &self.states {
            let input = Input::Tracker {
                tracked: tracked.clone(),
                state: *state,
            };
            self.work.push_back((id, input));
        }
        let Some(router) = self.routers.get(&id) else {
            return;
        };
        for tracker in &router.config().trackers {
            if let (Tracked::Interface(name), Some(links)) = (&tracker.tracked, &self.links) {
                let state = interface_state(links, name);
                let tracked = tracker.tracked.clone();
                self.work.push_back((id, Input::Tracker { tracked, state }));
            }
        }
    }
}

fn link_input(config: &RouterConfig, links: &Links, virtual_addresses: &BTreeSet<IpAddr>) -> Input {
    let link = links.get(&config.interface);
    let is_virtual = |address| virtual_addresses.contains(&address);
    Input::Link {
        running: link.is_some_and(|link| link.running),
        primary: link.and_then(|link| link.primary(config.family(), is_virtual)),
    }
}

fn interface_state(links: &Links, name: &str) -> TrackerState {
    match links.get(name) {
        Some(link) if link.running => TrackerState::Up,
        _ => TrackerState::Down,
    }
}

/// Whether an address was there before and is not now.
fn lost(vips: &[Vip], old: &Links, new: &Links) -> bool {
    let has = |links: &Links, vip: &Vip| {
        let interface = vip.interface.as_deref();
        interface
            .and_then(|name| links.get(name))
            .is_some_and(|link| link.has(vip.address))
    };
    vips.iter().any(|vip| has(old, vip) && !has(new, vip))
}
