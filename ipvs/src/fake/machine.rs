//! A machine in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    InterfaceName,
    machine::{self, Interface, MachineError, own_len},
    real_server::reverse_path_of,
};

/// A machine in memory, as Linux starts: `lo` and `eth0` are up, tunnels come down with their
/// modules, every sysctl that matters here is 0.
///
/// Clones are copies.
#[derive(Debug)]
pub struct Machine(Mutex<State>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    sysctls: BTreeMap<String, String>,
    interfaces: Vec<Interface>,
    modules: BTreeSet<String>,
    /// The change that fails, counted from the next one as 1.
    fails_at: Option<usize>,
    is_forbidden: bool,
}

impl Machine {
    /// A machine that nobody has set up yet.
    #[must_use]
    pub fn new() -> Self {
        let mut state = State {
            sysctls: BTreeMap::new(),
            interfaces: Vec::new(),
            modules: BTreeSet::new(),
            fails_at: None,
            is_forbidden: false,
        };
        for name in [
            "net.ipv4.conf.all.accept_local",
            "net.ipv4.conf.all.arp_announce",
            "net.ipv4.conf.all.arp_ignore",
            "net.ipv4.conf.all.rp_filter",
            "net.ipv4.ip_forward",
            "net.ipv4.vs.conntrack",
            "net.ipv6.conf.all.forwarding",
        ] {
            state.sysctls.insert(name.to_owned(), "0".to_owned());
        }
        state.add_interface("lo", true);
        state.add_interface("eth0", true);
        Self(Mutex::new(state))
    }

    /// Sets a sysctl, as somebody else would.
    pub fn set(&self, sysctl: &str, value: &str) {
        self.state()
            .sysctls
            .insert(sysctl.to_owned(), value.to_owned());
    }

    /// The value of a sysctl.
    #[must_use]
    pub fn value(&self, sysctl: &str) -> Option<String> {
        self.state().sysctls.get(sysctl).cloned()
    }

    /// Whether an interface has an address.
    #[must_use]
    pub fn holds(&self, interface: &str, address: IpAddr) -> bool {
        let state = self.state();
        let mut named = state.interfaces.iter();
        named.any(|found| found.name.as_str() == interface && found.has(address))
    }

    /// Lets the nth change from now fail (1 is the next one), once.
    pub fn fail(&self, nth: usize) {
        self.state().fails_at = Some(nth);
    }

    /// Refuses every change from now on, as it does to a process without rights.
    pub fn forbid(&self) {
        self.state().is_forbidden = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a change may be made.
    fn change(&self, action: String) -> Result<MutexGuard<'_, State>, MachineError> {
        let mut state = self.state();
        if state.is_forbidden {
            return Err(MachineError::Forbidden {
                action,
                needs: "CAP_NET_ADMIN",
                source: io::ErrorKind::PermissionDenied.into(),
            });
        }
        match state.fails_at {
            Some(0 | 1) => {
                state.fails_at = None;
                let source = io::Error::other("the test asked for it");
                Err(MachineError::Failed { action, source })
            }
            later => {
                state.fails_at = later.map(|nth| nth - 1);
                Ok(state)
            }
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Machine {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.state().clone()))
    }
}

impl PartialEq for Machine {
    fn eq(&self, other: &Self) -> bool {
        let other = other.state().clone();
        *self.state() == other
    }
}

impl Eq for Machine {}

impl State {
    fn add_interface(&mut self, name: &str, is_up: bool) {
        let name = InterfaceName::new(name).expect("it is short and has no blanks");
        self.sysctls.insert(reverse_path_of(name), "0".to_owned());
        self.interfaces.push(Interface {
            name,
            is_up,
            addresses: Vec::new(),
        });
    }

    fn interface(&mut self, name: InterfaceName) -> Result<&mut Interface, MachineError> {
        let found = self.interfaces.iter_mut().find(|found| found.name == name);
        found.ok_or_else(|| MachineError::Failed {
            action: format!("change {name}"),
            source: io::Error::other("there is no such interface"),
        })
    }
}

#[async_trait]
impl machine::Machine for Machine {
    async fn sysctl(&self, name: &str) -> Result<Option<String>, MachineError> {
        Ok(self.value(name))
    }

    async fn set_sysctl(&self, name: &str, value: &str) -> Result<(), MachineError> {
        let mut state = self.change(format!("set the sysctl {name} to {value}"))?;
        match state.sysctls.get_mut(name) {
            Some(present) => value.clone_into(present),
            None => {
                return Err(MachineError::Failed {
                    action: format!("set the sysctl {name} to {value}"),
                    source: io::ErrorKind::NotFound.into(),
                });
            }
        }
        Ok(())
    }

    async fn interfaces(&self) -> Result<Vec<Interface>, MachineError> {
        Ok(self.state().interfaces.clone())
    }

    async fn add_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError> {
        let mut state = self.change(format!("add {address} to {interface}"))?;
        let interface = state.interface(interface)?;
        if !interface.has(address) {
            interface.addresses.push((address, own_len(address)));
        }
        Ok(())
    }

    async fn remove_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError> {
        let mut state = self.change(format!("remove {address} from {interface}"))?;
        let own = (address, own_len(address));
        state
            .interface(interface)?
            .addresses
            .retain(|found| *found != own);
        Ok(())
    }

    async fn set_up(&self, interface: InterfaceName, up: bool) -> Result<(), MachineError> {
        let mut state = self.change(format!("set {interface} up or down"))?;
        state.interface(interface)?.is_up = up;
        Ok(())
    }

    async fn load_module(&self, module: &str) -> Result<(), MachineError> {
        let mut state = self.change(format!("load the kernel module {module}"))?;
        let interface = match module {
            "ipip" => "tunl0",
            "sit" => "sit0",
            "ip6_tunnel" => "ip6tnl0",
            _ => return Ok(()),
        };
        if state.modules.insert(module.to_owned()) {
            state.add_interface(interface, false);
        }
        Ok(())
    }
}
