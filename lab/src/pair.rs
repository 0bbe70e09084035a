//! The usual scene: two nodes that share an address, a client that uses it, and a witness.

use std::{net::IpAddr, time::Duration};

use crate::{
    ANNOUNCEMENTS, Cable, Capture, Lab, Lan, Node, Notifications, Packet, Peer, Prober, Software,
    VRRP, wait_until,
};

/// Two nodes and a client on one network, with a capture of all advertisements and announcements.
///
/// | node | `eth0` |
/// | --- | --- |
/// | `a` | `192.0.2.1/24`, `fe80::1/64`, `2001:db8::1/64`, hardware address `02:00:00:00:00:01` |
/// | `b` | the same with 2 |
/// | `client` | the same with 3 |
#[derive(Debug)]
#[non_exhaustive]
pub struct Pair {
    /// The first node.
    pub a: Side,
    /// The second node.
    pub b: Side,
    /// A node that is neither.
    pub client: Node,
    /// The network.
    pub lan: Lan,
    /// What was sent on it.
    pub capture: Capture,
    /// What holds it all; dropped last.
    pub lab: Lab,
}

/// One of the two nodes of a [`Pair`] and the daemon that is to run on it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Side {
    /// The node.
    pub node: Node,
    /// Its only cable.
    pub cable: Cable,
    /// What its daemon reported.
    pub notifications: Notifications,
    /// Which daemon it is.
    pub software: Software,
    hardware_address: &'static str,
}

impl Pair {
    /// The scene, without any daemon started.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str, a: Software, b: Software) -> Self {
        let lab = Lab::new(name);
        let lan = lab.lan("lan");
        let capture = Capture::start(lan.node(), "br0", &format!("{VRRP} or {ANNOUNCEMENTS}"));
        let connect = |node: &Node, number: u8| {
            let addresses = [
                format!("192.0.2.{number}/24"),
                format!("fe80::{number}/64"),
                format!("2001:db8::{number}/64"),
            ];
            lan.connect(node, "eth0", &addresses.each_ref().map(String::as_str))
        };
        let side = |name, number, hardware_address, software| {
            let node = lab.node(name);
            let cable = connect(&node, number);
            let notifications = Notifications::new(&node);
            Side {
                node,
                cable,
                notifications,
                software,
                hardware_address,
            }
        };
        let a = side("a", 1, "02:00:00:00:00:01", a);
        let b = side("b", 2, "02:00:00:00:00:02", b);
        let client = lab.node("client");
        connect(&client, 3);
        Self {
            a,
            b,
            client,
            lan,
            capture,
            lab,
        }
    }

    /// Waits until `a` alone holds all these addresses.
    #[track_caller]
    pub fn wait_for_a(&self, vips: &[IpAddr], within: Duration) -> Duration {
        wait_for_holder(&self.a, &self.b, vips, within)
    }

    /// Waits until `b` alone holds all these addresses.
    #[track_caller]
    pub fn wait_for_b(&self, vips: &[IpAddr], within: Duration) -> Duration {
        wait_for_holder(&self.b, &self.a, vips, within)
    }

    /// The packets so far that `side` sent and that match a filter.
    #[must_use]
    #[track_caller]
    pub fn sent_by(&self, side: &Side, filter: &str) -> Vec<Packet> {
        self.capture
            .packets(&format!("ether src {} and {filter}", side.hardware_address))
    }

    /// The time from the last advertisement of `a` to the first that `b` sent after it, as seen on
    /// the network between them.
    ///
    /// # Panics
    ///
    /// When there is no such pair.
    #[must_use]
    #[track_caller]
    pub fn silence_before_takeover(&self) -> Duration {
        let (of_a, of_b) = (self.sent_by(&self.a, VRRP), self.sent_by(&self.b, VRRP));
        let last = of_a.last().map(|packet| packet.at);
        let next = of_b
            .iter()
            .map(|packet| packet.at)
            .find(|at| Some(*at) > last);
        match (last, next) {
            (Some(last), Some(next)) => next - last,
            _ => panic!("no advertisement of a that b followed: {of_a:?}, {of_b:?}"),
        }
    }

    /// Probes an address from the client, every millisecond.
    #[must_use]
    #[track_caller]
    pub fn probe(&self, vip: IpAddr) -> Prober {
        Prober::start(&self.client, vip, Duration::from_millis(1))
    }
}

impl Side {
    /// A configuration with one instance, `VI_1` on `eth0` with the virtual router identifier 51,
    /// that reports every change of state; `body` is what else stands in its block.
    #[must_use]
    pub fn instance(&self, body: &str) -> String {
        let notify = self.notifications.script();
        format!(
            "global_defs {{
                script_user root
                enable_script_security
            }}
            vrrp_instance VI_1 {{
                interface eth0
                virtual_router_id 51
                notify {notify}
                {body}
            }}
            "
        )
    }

    /// Starts the daemon of this side.
    #[must_use]
    #[track_caller]
    pub fn start(&self, configuration: &str) -> Peer {
        Peer::start(self.software, &self.node, configuration)
    }

    /// The state its daemon reported last (`MASTER`, `BACKUP`, `FAULT`, `STOP`) for an instance or a
    /// sync group.
    #[must_use]
    pub fn state_of(&self, name: &str) -> Option<String> {
        self.notifications.states_of(name).pop()
    }

    /// Waits until the daemon reports a state for `VI_1`.
    #[track_caller]
    pub fn wait_for_state(&self, state: &str, within: Duration) {
        let what = format!("{} reports {state}", self.node.name());
        wait_until(&what, within, || {
            self.state_of("VI_1").as_deref() == Some(state)
        });
    }

    /// Whether it holds all these addresses.
    #[must_use]
    pub fn holds(&self, vips: &[IpAddr]) -> bool {
        let addresses = self.node.addresses();
        vips.iter().all(|vip| addresses.contains(vip))
    }

    /// Whether it holds none of these addresses.
    #[must_use]
    pub fn is_free_of(&self, vips: &[IpAddr]) -> bool {
        let addresses = self.node.addresses();
        !vips.iter().any(|vip| addresses.contains(vip))
    }
}

#[track_caller]
fn wait_for_holder(holder: &Side, other: &Side, vips: &[IpAddr], within: Duration) -> Duration {
    let what = format!("{} alone holds {vips:?}", holder.node.name());
    wait_until(&what, within, || {
        holder.holds(vips) && other.is_free_of(vips)
    })
}
