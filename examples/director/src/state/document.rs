//! The text of a state.

use std::time::Duration;

use health::{AskedWeight, Health, Standing};
use ipvs::{
    Change, Ownership, SyncRole,
    text::{command_line, parse_words},
};
use serde::{Deserialize, Serialize};

use super::{Fingerprint, KnownCheck, Outdated, Refusal, State};
use crate::{
    balance::{CheckName, MemberName, Order, OrderedWeight, RealServerName},
    conf::model::VirtualServerName,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    version: u32,
    /// Seconds since 1970.
    written_at: u64,
    checks: Vec<Check>,
    orders: Vec<Ordered>,
    /// As what ipvsadm would be told to remove it.
    owned: Vec<String>,
}

/// What every version begins with.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    virtual_server: String,
    real_server: RealServerName,
    number: usize,
    fingerprint: Fingerprint,
    up: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<Weight>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Weight {
    Exactly(u32),
    Change(i32),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordered {
    virtual_server: String,
    real_server: RealServerName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<OrderedWeight>,
    disabled: bool,
}

impl Document {
    pub(super) fn of(state: &State, at: Duration) -> Self {
        let checks = state.checks.iter().filter_map(|(name, known)| {
            Some(Check {
                virtual_server: name.virtual_server.to_string(),
                real_server: name.real_server,
                number: name.number,
                fingerprint: known.fingerprint,
                up: match known.standing.health {
                    Health::Up => true,
                    Health::Down => false,
                    Health::Unknown => return None,
                },
                weight: known.standing.weight.map(|weight| match weight {
                    AskedWeight::Exactly(weight) => Weight::Exactly(weight),
                    AskedWeight::Change(change) => Weight::Change(change),
                }),
            })
        });
        let orders = state.orders.iter().map(|(name, order)| Ordered {
            virtual_server: name.virtual_server.to_string(),
            real_server: name.real_server,
            weight: order.weight,
            disabled: order.disabled,
        });
        let services = state.owned.services.iter();
        let services = services.map(|service| Change::RemoveService { service: *service });
        let daemons = state.owned.daemons.iter();
        let removals = services.chain(daemons.map(|role: &SyncRole| Change::StopDaemon(*role)));
        Self {
            version: State::VERSION,
            written_at: at.as_secs(),
            checks: checks.collect(),
            orders: orders.collect(),
            owned: removals.map(|change| command_line(&change)).collect(),
        }
    }
}

/// A state, and how long ago it was written, or why checks are not in it.
type Dated = (State, Result<Duration, Outdated>);

pub(super) fn read(text: &[u8], now: Duration) -> Result<Dated, Refusal> {
    let Version { version } = serde_json::from_slice(text)?;
    if version != State::VERSION {
        return Err(Refusal::Version { found: version });
    }
    let document: Document = serde_json::from_slice(text)?;
    let age = age(document.written_at, now);
    let mut state = State::default();
    for check in document.checks {
        let name = CheckName {
            virtual_server: virtual_server(&check.virtual_server)?,
            real_server: check.real_server,
            number: check.number,
        };
        let health = if check.up { Health::Up } else { Health::Down };
        let mut standing = Standing::new(health);
        standing.weight = check.weight.map(|weight| match weight {
            Weight::Exactly(weight) => AskedWeight::Exactly(weight),
            Weight::Change(change) => AskedWeight::Change(change),
        });
        let known = KnownCheck::new(check.fingerprint, standing);
        state.checks.insert(name, known);
    }
    if age.is_err() {
        state.checks.clear();
    }
    for ordered in document.orders {
        let name = MemberName {
            virtual_server: virtual_server(&ordered.virtual_server)?,
            real_server: ordered.real_server,
        };
        let order = Order {
            weight: ordered.weight,
            disabled: ordered.disabled,
        };
        state.orders.insert(name, order);
    }
    for removal in document.owned {
        own(&mut state.owned, &removal)?;
    }
    Ok((state, age))
}

fn age(written_at: u64, now: Duration) -> Result<Duration, Outdated> {
    let now = Duration::from_secs(now.as_secs());
    let age = now.checked_sub(Duration::from_secs(written_at));
    match age {
        None => Err(Outdated::FromTheFuture),
        Some(age) if age > State::LONGEST_AGE => Err(Outdated::Old { age }),
        Some(age) => Ok(age),
    }
}

fn virtual_server(text: &str) -> Result<VirtualServerName, Refusal> {
    let name = VirtualServerName::read(text);
    name.ok_or_else(|| Refusal::Meaningless(text.to_owned()))
}

fn own(owned: &mut Ownership, removal: &str) -> Result<(), Refusal> {
    let words: Vec<_> = removal.split_whitespace().collect();
    match parse_words(&words) {
        Ok(Change::RemoveService { service }) => drop(owned.services.insert(service)),
        Ok(Change::StopDaemon(role)) => drop(owned.daemons.insert(role)),
        Ok(_) | Err(_) => return Err(Refusal::Meaningless(removal.to_owned())),
    }
    Ok(())
}
