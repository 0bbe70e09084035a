//! One thing that is set on a machine, and how it was.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{Interface, Machine, MachineError};
use crate::InterfaceName;

/// One thing that is set on a machine.
///
/// As text it is a line that [`str::parse`] reads back:
///
/// ```
/// use ipvs::machine::Edit;
///
/// # fn main() -> Result<(), ipvs::machine::EditError> {
/// for line in [
///     "sysctl net.ipv4.conf.all.arp_ignore = 1, was 0",
///     "add 10.1.0.100 to lo",
///     "set tunl0 up",
///     "load module ipip",
/// ] {
///     assert_eq!(line.parse::<Edit>()?.to_string(), line);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// Sets a sysctl.
    Sysctl {
        /// Its name, with dots.
        name: String,
        /// What it is set to.
        to: String,
        /// What it was.
        was: String,
    },
    /// Gives an interface an address that it did not have.
    Address {
        /// The interface.
        interface: InterfaceName,
        /// The address.
        address: IpAddr,
    },
    /// Sets an interface up that was down.
    Up {
        /// The interface.
        interface: InterfaceName,
    },
    /// Loads a module of the kernel. Not undone: others may use it by then.
    Module {
        /// Its name.
        name: String,
    },
}

impl Edit {
    pub(super) async fn make(&self, machine: &dyn Machine) -> Result<(), MachineError> {
        match self {
            Self::Sysctl { name, to, .. } => machine.set_sysctl(name, to).await,
            Self::Address { interface, address } => machine.add_address(*interface, *address).await,
            Self::Up { interface } => machine.set_up(*interface, true).await,
            Self::Module { name } => machine.load_module(name).await,
        }
    }

    pub(super) async fn undo(&self, machine: &dyn Machine) -> Result<(), MachineError> {
        match self {
            Self::Sysctl { name, was, .. } => machine.set_sysctl(name, was).await,
            Self::Address { interface, address } => {
                machine.remove_address(*interface, *address).await
            }
            Self::Up { interface } => machine.set_up(*interface, false).await,
            Self::Module { .. } => Ok(()),
        }
    }

    /// Undoes it unless that is done already; `false` if somebody has set something else since.
    pub(super) async fn undo_if_unchanged(
        &self,
        machine: &dyn Machine,
    ) -> Result<bool, MachineError> {
        match self {
            Self::Sysctl { name, to, was } => match machine.sysctl(name).await? {
                Some(value) if value == *to => self.undo(machine).await.map(|()| true),
                Some(value) => Ok(value == *was),
                None => Ok(true),
            },
            Self::Address { interface, address } => {
                let interfaces = machine.interfaces().await?;
                match named(&interfaces, *interface) {
                    Some(interface) if interface.has(*address) => {
                        self.undo(machine).await.map(|()| true)
                    }
                    Some(_) | None => Ok(true),
                }
            }
            Self::Up { interface } => {
                let interfaces = machine.interfaces().await?;
                match named(&interfaces, *interface) {
                    // Somebody else's address, who needs the interface.
                    Some(interface) if interface.is_up && interface.has_own_address() => Ok(false),
                    Some(interface) if interface.is_up => self.undo(machine).await.map(|()| true),
                    Some(_) | None => Ok(true),
                }
            }
            Self::Module { .. } => Ok(true),
        }
    }
}

impl Interface {
    /// Whether it has an address as an [`Edit`] gives it: its own, without a network.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&(address, own_len(address)))
    }

    fn has_own_address(&self) -> bool {
        self.addresses
            .iter()
            .any(|(address, len)| *len == own_len(*address))
    }
}

/// The length of a prefix that holds one address.
pub(crate) const fn own_len(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The interface of a name.
pub(crate) fn named(interfaces: &[Interface], name: InterfaceName) -> Option<&Interface> {
    interfaces.iter().find(|interface| interface.name == name)
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl { name, to, was } => write!(f, "sysctl {name} = {to}, was {was}"),
            Self::Address { interface, address } => write!(f, "add {address} to {interface}"),
            Self::Up { interface } => write!(f, "set {interface} up"),
            Self::Module { name } => write!(f, "load module {name}"),
        }
    }
}

/// A line that is no [`Edit`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{line}` is no change of a machine: expected `sysctl NAME = VALUE, was VALUE`, `add ADDRESS \
     to INTERFACE`, `set INTERFACE up` or `load module NAME`"
)]
#[non_exhaustive]
pub struct EditError {
    /// The line.
    pub line: String,
}

impl FromStr for Edit {
    type Err = EditError;

    fn from_str(line: &str) -> Result<Self, EditError> {
        parse(line).ok_or_else(|| EditError {
            line: line.to_owned(),
        })
    }
}

fn parse(line: &str) -> Option<Edit> {
    let (verb, rest) = line.split_once(' ')?;
    match verb {
        "sysctl" => {
            let (name, values) = rest.split_once(" = ")?;
            let (to, was) = values.split_once(", was ")?;
            Some(Edit::Sysctl {
                name: name.to_owned(),
                to: to.to_owned(),
                was: was.to_owned(),
            })
        }
        "add" => {
            let (address, interface) = rest.split_once(" to ")?;
            Some(Edit::Address {
                interface: interface.parse().ok()?,
                address: address.parse().ok()?,
            })
        }
        "set" => Some(Edit::Up {
            interface: rest.strip_suffix(" up")?.parse().ok()?,
        }),
        "load" => Some(Edit::Module {
            name: rest.strip_prefix("module ")?.to_owned(),
        }),
        _ => None,
    }
}
