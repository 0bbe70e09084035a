//! Source NAT by a chain of our own in the tables of iptables.

use async_trait::async_trait;

use super::{FullNat, SourceNat, Translated};
use crate::{Family, NetfilterError, ServiceKey, netfilter::run};

/// The name of our chain, in the table `nat`. One rule of `POSTROUTING` leads to it.
pub const CHAIN: &str = "TAKEOVER_FULL_NAT";

/// Source NAT by iptables, for kernels whose nf_tables cannot do NAT.
///
/// It has one rule for each service and real server, which every new connection goes through one
/// after the other: with hundreds of them [`Nft`](super::Nft) is much faster. Each family has tables
/// of its own, so there are two steps: if the one for IPv6 is refused, that for IPv4 is done. It
/// works in the network namespace of the thread that asks, and needs CAP_NET_ADMIN there.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Iptables;

#[async_trait]
impl SourceNat for Iptables {
    async fn install(&self, full_nat: &FullNat) -> Result<(), NetfilterError> {
        for family in [Family::V4, Family::V6] {
            let of_family = full_nat.translated.iter();
            let of_family = of_family.filter(|it| it.server.family() == family);
            let rules: Vec<String> = of_family.map(rule).collect();
            if rules.is_empty() {
                remove(family).await?;
                continue;
            }
            let jump = if has_jump(family).await? {
                String::new()
            } else {
                format!("-A POSTROUTING -j {CHAIN}\n")
            };
            // Naming the chain makes it, or empties the one that is there.
            let input = format!("*nat\n:{CHAIN} - [0:0]\n{}{jump}COMMIT\n", rules.concat());
            run(restore(family), &["--noflush", "--wait"], &input).await?;
        }
        Ok(())
    }

    async fn remove(&self) -> Result<(), NetfilterError> {
        remove(Family::V4).await?;
        remove(Family::V6).await
    }
}

async fn remove(family: Family) -> Result<(), NetfilterError> {
    if !has_jump(family).await? {
        return Ok(());
    }
    let input = format!("*nat\n:{CHAIN} - [0:0]\n-D POSTROUTING -j {CHAIN}\n-X {CHAIN}\nCOMMIT\n");
    run(restore(family), &["--noflush", "--wait"], &input).await?;
    Ok(())
}

/// Whether our chain is in use. It is never there unused: both come and go in one step.
async fn has_jump(family: Family) -> Result<bool, NetfilterError> {
    let arguments = ["--wait", "-t", "nat", "-C", "POSTROUTING", "-j", CHAIN];
    match run(program(family), &arguments, "").await {
        Ok(_) => Ok(true),
        // Its way to say no: without the chain, or the rule, or the table, it is a refusal.
        Err(NetfilterError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

const fn program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-legacy",
        Family::V6 => "ip6tables-legacy",
    }
}

const fn restore(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-legacy-restore",
        Family::V6 => "ip6tables-legacy-restore",
    }
}

fn rule(translated: &Translated) -> String {
    let server = translated.server;
    let mut words = vec![format!("-A {CHAIN} -d {}", server.address)];
    match translated.service {
        ServiceKey::Address { protocol, endpoint } => {
            words.push(format!("-p {}", protocol.to_string().to_lowercase()));
            if server.port != 0 {
                words.push(format!("--dport {}", server.port));
            }
            words.push(format!("-m ipvs --vaddr {}", endpoint.address));
            if endpoint.port != 0 {
                words.push(format!("--vport {}", endpoint.port));
            }
        }
        ServiceKey::Fwmark { mark, .. } => {
            words.push(format!("-m mark --mark {mark} -m ipvs --ipvs"));
        }
    }
    words.push(translated.fitting_source().map_or_else(
        || "-j MASQUERADE\n".to_owned(),
        |source| format!("-j SNAT --to-source {source}\n"),
    ));
    words.join(" ")
}
