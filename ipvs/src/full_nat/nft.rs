//! Source NAT by an nftables table of our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{FullNat, SourceNat, SourceRange, Translated};
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
        let mut by_source = BTreeMap::<_, Vec<_>>::new();
        for it in &full_nat.translated {
            let key = (it.server.family(), it.fitting_source());
            by_source.entry(key).or_default().push(it);
        }
        for (number, ((family, source), translated)) in (1..).zip(by_source) {
            let rules = Rules::new(family, source, &translated);
            commands.extend(rules.commands(number));
        }
    }
    json!({"nftables": commands})
}

/// The connections to real servers of one family from one source.
struct Rules {
    family: Family,
    source: Option<SourceRange>,
    /// Virtual address, protocol and real server, and which of its ports (`None`: all). The virtual
    /// port is lost by the time that IPVS has changed the destination.
    to_address: BTreeMap<(IpAddr, Protocol, IpAddr), Option<BTreeSet<u16>>>,
    /// Firewall mark and real server.
    to_mark: BTreeSet<(NonZeroU32, IpAddr)>,
}

impl Rules {
    fn new(family: Family, source: Option<SourceRange>, translated: &[&Translated]) -> Self {
        let (mut to_address, mut to_mark) = (BTreeMap::new(), BTreeSet::new());
        for it in translated {
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

    /// With sets that are named by this number.
    fn commands(&self, number: u32) -> Vec<Value> {
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
            &format!("{ip}_services_{number}"),
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
            &format!("{ip}_marks_{number}"),
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
        let translate = match self.source {
            None => json!({"masquerade": null}),
            Some(source) => {
                let family = match self.family {
                    Family::V4 => "ip",
                    Family::V6 => "ip6",
                };
                let (first, last) = (source.first(), source.last());
                let addresses = if first == last {
                    json!(first)
                } else {
                    json!({"range": [first, last]})
                };
                json!({"snat": {"family": family, "addr": addresses}})
            }
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
