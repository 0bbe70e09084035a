//! What an operator orders for real servers, beside what the file and the checks say.

use std::fmt;

use health::{Health, MAX_WEIGHT, Server};
use serde::{Deserialize, Serialize};

use super::MemberName;

/// A weight that an operator may set: 0 to [`MAX_WEIGHT`], as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct OrderedWeight(u32);

/// A number is no weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no weight: expected 0 to {MAX_WEIGHT}")]
pub struct NoWeight(u32);

impl OrderedWeight {
    /// 0: no new connections.
    pub const ZERO: Self = Self(0);

    /// A weight.
    ///
    /// # Errors
    /// It is more than [`MAX_WEIGHT`].
    pub const fn new(weight: u32) -> Result<Self, NoWeight> {
        match weight {
            0..=MAX_WEIGHT => Ok(Self(weight)),
            _ => Err(NoWeight(weight)),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for OrderedWeight {
    type Error = NoWeight;

    fn try_from(weight: u32) -> Result<Self, NoWeight> {
        Self::new(weight)
    }
}

impl From<OrderedWeight> for u32 {
    fn from(weight: OrderedWeight) -> Self {
        weight.get()
    }
}

/// What an operator has done with a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do them all")]
pub enum Action {
    /// No new connections; those it has go on. The same as weight 0.
    Drain,
    /// The weight of the file and of the checks again, whatever was ordered.
    Undrain,
    /// This weight, whatever file and checks say; `None`: what they say.
    Weight(Option<OrderedWeight>),
    /// Out of the table, whatever its checks say.
    Disable {
        /// Once its connections are gone, instead of at once.
        #[serde(default)]
        drain: bool,
    },
    /// Back in the table, if its checks let it.
    Enable,
    /// Its checks look now instead of at their next time. Orders nothing.
    Probe,
}

/// In the words of the command line.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Weight(None) => "weight auto",
            Self::Weight(Some(weight)) => return write!(f, "weight {}", weight.get()),
            Self::Disable { drain: false } => "disable",
            Self::Disable { drain: true } => "disable --drain",
            Self::Enable => "enable",
            Self::Probe => "probe",
        })
    }
}

/// What was done with one real server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// Which one.
    pub server: MemberName,
    /// What was done.
    pub action: Action,
    /// What was ordered before.
    pub from: Order,
    /// What is ordered.
    pub to: Order,
    /// How many checks it has.
    pub checks: usize,
    /// Whether they rest, so that none looks (`ha_suspend`).
    pub checks_rest: bool,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            server,
            action,
            from,
            to,
            checks,
            checks_rest,
        } = self;
        match (action, checks) {
            (Action::Probe, 0) => write!(f, "{server} has no check: it counts as up"),
            (Action::Probe, _) if *checks_rest => write!(
                f,
                "{server}: its checks rest, since this machine has none of the addresses of its \
                 virtual server (ha_suspend)"
            ),
            (Action::Probe, 1) => write!(f, "{server}: its check looks now"),
            (Action::Probe, checks) => write!(f, "{server}: its {checks} checks look now"),
            _ if from == to => write!(f, "{server}: {to}, as before"),
            _ => write!(f, "{server}: {to} (before: {from})"),
        }
    }
}

/// The order in force for one real server of one virtual server; by default none.
///
/// It stays, over reloads too, until an [`Action`] takes it back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever tells it has to tell all of it"
)]
pub struct Order {
    /// The weight instead of that of the file and of the checks.
    pub weight: Option<OrderedWeight>,
    /// Whether it is kept out of the table.
    pub disabled: bool,
}

impl Order {
    /// Whether nothing is ordered.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(
            self,
            Self {
                weight: None,
                disabled: false
            }
        )
    }

    /// What becomes of it.
    #[must_use]
    pub const fn after(self, action: Action) -> Self {
        match action {
            Action::Drain => Self {
                weight: Some(OrderedWeight::ZERO),
                ..self
            },
            Action::Undrain => Self {
                weight: None,
                ..self
            },
            Action::Weight(weight) => Self { weight, ..self },
            Action::Disable { .. } => Self {
                disabled: true,
                ..self
            },
            Action::Enable => Self {
                disabled: false,
                ..self
            },
            Action::Probe => self,
        }
    }

    /// What a real server counts for under this order. One that is disabled counts for nothing. One
    /// that is drained stays with weight 0, whoever serves, while it passes its checks: to take it
    /// out for the sorry server would cut the connections that it shall keep.
    pub(super) fn applied_to(self, server: Server) -> Server {
        if self.disabled {
            return Server {
                health: Health::Down,
                inhibit: false,
                ..server
            };
        }
        let Some(weight) = self.weight else {
            return server;
        };
        let keeps_connections = weight == OrderedWeight::ZERO && server.health == Health::Up;
        Server {
            weight: weight.get(),
            inhibit: server.inhibit || keeps_connections,
            ..server
        }
    }
}

/// In words: `no order`, `drained`, `weight 3`, `disabled`, `disabled, weight 3`.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            None => None,
            Some(OrderedWeight::ZERO) => Some(String::from("drained")),
            Some(weight) => Some(format!("weight {}", weight.get())),
        };
        let disabled = self.disabled.then(|| String::from("disabled"));
        let words: Vec<_> = disabled.into_iter().chain(weight).collect();
        match words.is_empty() {
            true => f.write_str("no order"),
            false => f.write_str(&words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Server = Server {
        health: Health::Up,
        weight: 5,
        inhibit: false,
    };

    fn after(actions: &[Action]) -> Order {
        let none = Order::default();
        actions
            .iter()
            .fold(none, |order, action| order.after(*action))
    }

    fn weight(weight: u32) -> Action {
        Action::Weight(Some(OrderedWeight::new(weight).unwrap()))
    }

    #[test]
    fn weight_and_place_are_ordered_apart_and_each_is_taken_back() {
        use Action::{Disable, Drain, Enable, Probe, Undrain};
        let disable = Disable { drain: false };
        for (actions, words) in [
            (&[] as &[Action], "no order"),
            (&[Drain], "drained"),
            (&[Drain, Probe], "drained"),
            (&[weight(3)], "weight 3"),
            (&[weight(3), Drain, Undrain], "no order"),
            (&[weight(0)], "drained"),
            (&[weight(3), Action::Weight(None)], "no order"),
            (&[disable], "disabled"),
            (&[disable, weight(3)], "disabled, weight 3"),
            (&[Drain, disable, Enable], "drained"),
            (&[disable, Undrain], "disabled"),
        ] {
            assert_eq!(after(actions).to_string(), words, "{actions:?}");
            assert_eq!(after(actions).is_none(), words == "no order");
        }
    }

    #[test]
    fn a_weight_is_at_most_that_of_the_file() {
        assert_eq!(OrderedWeight::new(65_535).unwrap().get(), 65_535);
        let refused = OrderedWeight::new(65_536).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "65536 is no weight: expected 0 to 65535"
        );
    }

    #[test]
    fn who_is_drained_keeps_its_place_while_it_is_up_and_who_is_disabled_has_none() {
        let drained = after(&[Action::Drain]);
        let kept = drained.applied_to(UP);
        assert_eq!((kept.weight, kept.inhibit), (0, true));
        let failed = Server {
            health: Health::Down,
            ..UP
        };
        assert!(!drained.applied_to(failed).inhibit);
        let inhibited = Server {
            inhibit: true,
            ..UP
        };
        let disabled = after(&[Action::Disable { drain: true }]);
        let gone = disabled.applied_to(inhibited);
        assert_eq!((gone.health, gone.inhibit), (Health::Down, false));
        assert_eq!(after(&[]).applied_to(inhibited), inhibited);
    }
}
