//! Source NAT by an nftables table of our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{FullNat, SourceNat};
use crate::{Family, NetfilterError, Protocol, ServiceKey, netfilter::run};

/// The name of our table, of family `inet`. Nobody else's rules are in it, ours are nowhere else.
pub const TABLE: &str = "takeover_full_nat";

/// JSON from the standard input.
const ARGUMENTS: [&str; 3] = ["-j", "-f", "-"];

/// Source NAT by the program `nft`, in an nftables table of our own ([`TABLE`]).
///
/// It works in the network namespace of the thread that asks, and needs CAP_NET_ADMIN there.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Nft;

#[async_trait]
impl SourceNat for Nft {
    async fn install(&self, full_nat: &FullNat) -> Result<(), NetfilterError> {
        run("nft", &ARGUMENTS, &commands(Some(full_nat)).to_string()).await?;
        Ok(())
    }

    async fn remove(&self) -> Result<(), NetfilterError> {
        run("nft", &ARGUMENTS, &commands(None).to_string()).await?;
        Ok(())
    }
}

/// What makes the table anew, whatever was there, or removes it. `nft` removes only what is there,
/// so it is added first.
fn commands(full_nat: Option<&FullNat>) -> Value {
    let table = json!({"table": {"family": "inet", "name": TABLE}});
    let mut commands = vec![json!({"add": table}), json!({"delete": table})];
    if let Some(full_nat) = full_nat {
        commands.push(json!({"add": table}));
        commands.push(json!({"add": {"chain": {
            "family": "inet", "table": TABLE, "name": "postrouting",
            "type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept",
        }}}));
        let rules = [Family::V4, Family::V6].map(|family| Rules::new(full_nat, family));
        commands.extend(rules.iter().flat_map(Rules::commands));
    }
    json!({"nftables": commands})
}

/// The connections to real servers of one family.
struct Rules {
    family: Family,
    source: Option<IpAddr>,
    /// Virtual address, protocol and real server, and which of its ports (`None`: all). The virtual
    /// port is lost by the time that IPVS has changed the destination.
    to_address: BTreeMap<(IpAddr, Protocol, IpAddr), Option<BTreeSet<u16>>>,
    /// Firewall mark and real server.
    to_mark: BTreeSet<(NonZeroU32, IpAddr)>,
}

impl Rules {
    fn new(full_nat: &FullNat, family: Family) -> Self {
        let source = full_nat.source(family);
        let (mut to_address, mut to_mark) = (BTreeMap::new(), BTreeSet::new());
        let of_family = full_nat.translated.iter();
        for it in of_family.filter(|it| it.server.family() == family) {
            let server = it.server.address;
            match it.service {
                ServiceKey::Address { protocol, endpoint } => {
                    let key = (endpoint.address, protocol, server);
                    let ports = to_address
                        .entry(key)
                        .or_insert_with(|| Some(BTreeSet::new()));
                    match [it.server.port, endpoint.port]
                        .into_iter()
                        .find(|port| *port != 0)
                    {
                        None => *ports = None,
                        Some(port) => ports.iter_mut().for_each(|ports| {
                            ports.insert(port);
                        }),
                    }
                }
                ServiceKey::Fwmark { mark, .. } => {
                    to_mark.insert((mark, server));
                }
            }
        }
        Self {
            family,
            source,
            to_address,
            to_mark,
        }
    }

    fn commands(&self) -> Vec<Value> {
        let (ip, address) = match self.family {
            Family::V4 => ("ip", "ipv4_addr"),
            Family::V6 => ("ip6", "ipv6_addr"),
        };
        let server = json!({"payload": {"protocol": ip, "field": "daddr"}});
        let to_address = self
            .to_address
            .iter()
            .flat_map(|((vip, protocol, server), ports)| {
                let ports = ports.as_ref().map_or_else(
                    || vec![json!({"range": [0, u16::MAX]})],
                    |ports| ports.iter().map(|port| json!(port)).collect(),
                );
                let protocol = protocol.to_string().to_lowercase();
                ports
                    .into_iter()
                    .map(move |ports| json!({"concat": [vip, protocol, ports, server]}))
            });
        let to_mark = self.to_mark.iter();
        let to_mark = to_mark.map(|(mark, server)| json!({"concat": [mark, server]}));
        let mut commands = self.translating(
            &format!("{ip}_services"),
            &json!([address, "inet_proto", "inet_service", address]),
            &json!([
                {"ct": {"key": format!("{ip} daddr"), "dir": "original"}},
                {"meta": {"key": "l4proto"}},
                {"payload": {"protocol": "th", "field": "dport"}},
                server,
            ]),
            &to_address.collect::<Vec<_>>(),
        );
        commands.extend(self.translating(
            &format!("{ip}_marks"),
            &json!(["mark", address]),
            &json!([{"meta": {"key": "mark"}}, server]),
            &to_mark.collect::<Vec<_>>(),
        ));
        commands
    }

    /// A set, and the rule that translates what is in it.
    fn translating(&self, name: &str, types: &Value, key: &Value, set: &[Value]) -> Vec<Value> {
        if set.is_empty() {
            return Vec::new();
        }
        let translate = match (&self.source, self.family) {
            (None, _) => json!({"masquerade": null}),
            (Some(address), Family::V4) => json!({"snat": {"family": "ip", "addr": address}}),
            (Some(address), Family::V6) => json!({"snat": {"family": "ip6", "addr": address}}),
        };
        let is_in_set = json!({"op": "==", "left": {"concat": key}, "right": format!("@{name}")});
        vec![
            json!({"add": {"set": {
                "family": "inet", "table": TABLE, "name": name,
                "type": types, "flags": ["interval"], "elem": set,
            }}}),
            json!({"add": {"rule": {
                "family": "inet", "table": TABLE, "chain": "postrouting",
                "expr": [{"match": is_in_set}, translate],
            }}}),
        ]
    }
}
