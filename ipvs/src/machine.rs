//! What a machine has to be set to before it forwards or serves: sysctls, addresses, links.
//!
//! Somebody who wants a machine prepared ([`RealServer`](crate::RealServer),
//! [`Forwarder`](crate::Forwarder)) looks at it and says what is missing as a list of [`Edit`]s.
//! Each carries what was there before, so [`undo`] leaves the machine exactly as it was, and each is
//! a line of text, so a program can write down what it did before it does it and undo it in another
//! life.
//!
//! ```
//! use ipvs::{RealServer, Via, fake, machine};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let machine = fake::Machine::new();
//! let before = machine.clone();
//! let server = RealServer::new([("10.1.0.100".parse()?, Via::DirectRoute)]);
//!
//! let edits = server.edits(&machine).await?;
//! machine::make(&machine, &edits).await?;
//! assert!(machine.holds("lo", "10.1.0.100".parse()?));
//! assert_eq!(server.edits(&machine).await?, [], "nothing is left to do");
//!
//! let left = machine::undo(&machine, &edits).await?;
//! assert!(left.is_empty() && machine == before);
//! # Ok(())
//! # }
//! ```

use std::{io, net::IpAddr, sync::Arc};

use async_trait::async_trait;

use crate::InterfaceName;

mod edit;
#[cfg(feature = "machine")]
mod linux;

pub use edit::{Edit, EditError};
pub(crate) use edit::{named, own_len};
#[cfg(feature = "machine")]
pub use linux::Linux;

/// A machine whose network can be set up: this one ([`Linux`]), or one in memory
/// ([`fake::Machine`](crate::fake::Machine)).
///
/// Implement with `#[async_trait]`, which this crate re-exports.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Machine: Send + Sync {
    /// Reads a sysctl by its name, such as `net.ipv4.ip_forward`; `None` if there is none of that
    /// name. A dot within the name of an interface is written as a slash
    /// (`net.ipv4.conf.eth0/100.rp_filter`), as `sysctl` does. Cancel safe.
    ///
    /// # Errors
    /// It cannot be read.
    async fn sysctl(&self, name: &str) -> Result<Option<String>, MachineError>;

    /// Sets a sysctl. Idempotent.
    ///
    /// # Errors
    /// It is not there, or the process may not.
    async fn set_sysctl(&self, name: &str, value: &str) -> Result<(), MachineError>;

    /// Reads all interfaces, their state and addresses. Cancel safe.
    ///
    /// # Errors
    /// They cannot be read.
    async fn interfaces(&self) -> Result<Vec<Interface>, MachineError>;

    /// Gives an interface an address of its own (/32, or /128 without duplicate address detection).
    /// Idempotent.
    ///
    /// # Errors
    /// There is no such interface, or the process may not.
    async fn add_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError>;

    /// Takes such an address away. Idempotent.
    ///
    /// # Errors
    /// As for [`add_address`](Self::add_address).
    async fn remove_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError>;

    /// Sets an interface up or down. Idempotent.
    ///
    /// # Errors
    /// As for [`add_address`](Self::add_address).
    async fn set_up(&self, interface: InterfaceName, up: bool) -> Result<(), MachineError>;

    /// Loads a module of the kernel. Idempotent.
    ///
    /// # Errors
    /// There is none of that name, or the process may not.
    async fn load_module(&self, module: &str) -> Result<(), MachineError>;
}

#[async_trait]
impl<T: Machine + ?Sized> Machine for Arc<T> {
    async fn sysctl(&self, name: &str) -> Result<Option<String>, MachineError> {
        (**self).sysctl(name).await
    }

    async fn set_sysctl(&self, name: &str, value: &str) -> Result<(), MachineError> {
        (**self).set_sysctl(name, value).await
    }

    async fn interfaces(&self) -> Result<Vec<Interface>, MachineError> {
        (**self).interfaces().await
    }

    async fn add_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError> {
        (**self).add_address(interface, address).await
    }

    async fn remove_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError> {
        (**self).remove_address(interface, address).await
    }

    async fn set_up(&self, interface: InterfaceName, up: bool) -> Result<(), MachineError> {
        (**self).set_up(interface, up).await
    }

    async fn load_module(&self, module: &str) -> Result<(), MachineError> {
        (**self).load_module(module).await
    }
}

/// A network interface of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a fake has to say all of it")]
pub struct Interface {
    /// Its name.
    pub name: InterfaceName,
    /// Whether it is set up (not whether it has a carrier).
    pub is_up: bool,
    /// Its addresses, with the lengths of their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// Why a machine could not be looked at or set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The process may not.
    #[error("cannot {action}: that needs {needs}, run as root")]
    Forbidden {
        /// What was tried.
        action: String,
        /// The capability.
        needs: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot {action}")]
    Failed {
        /// What was tried.
        action: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Why a list of edits could not be made; all of it that was made is undone again.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .left.as_slice() {
    [] => "nothing was changed".to_owned(),
    left => format!("these changes could not be taken back: {}", join(left)),
})]
#[non_exhaustive]
pub struct MakeError {
    /// What failed.
    #[source]
    pub source: MachineError,
    /// What was made and could not be undone.
    pub left: Vec<Edit>,
}

fn join(edits: &[Edit]) -> String {
    let texts: Vec<String> = edits.iter().map(Edit::to_string).collect();
    texts.join("; ")
}

/// Makes edits in their order; if one fails, undoes those before it.
///
/// Idempotent. Not cancel safe: a dropped call has made some of them.
///
/// # Errors
/// One could not be made.
pub async fn make(machine: &dyn Machine, edits: &[Edit]) -> Result<(), MakeError> {
    let mut made = Vec::new();
    for edit in edits {
        if let Err(source) = edit.make(machine).await {
            made.reverse();
            let mut left = Vec::new();
            for edit in made {
                if Edit::undo(edit, machine).await.is_err() {
                    left.push(edit.clone());
                }
            }
            return Err(MakeError { source, left });
        }
        made.push(edit);
    }
    Ok(())
}

/// Undoes edits, the last one first, as far as what they set is still as they set it. Returns those
/// that somebody else has changed since: they are left alone.
///
/// Idempotent, also for edits that were never made. Not cancel safe.
///
/// # Errors
/// The first one that could not be undone; the others are undone nevertheless.
pub async fn undo(machine: &dyn Machine, edits: &[Edit]) -> Result<Vec<Edit>, MachineError> {
    let (mut changed_since, mut failed) = (Vec::new(), None);
    for edit in edits.iter().rev() {
        match edit.undo_if_unchanged(machine).await {
            Ok(true) => {}
            Ok(false) => changed_since.push(edit.clone()),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        None => Ok(changed_since),
        Some(error) => Err(error),
    }
}
