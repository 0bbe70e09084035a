//! This machine, by netlink and `/proc/sys`.

use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec,
    packet_route::{
        address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo},
        link::{LinkAttribute, LinkFlags, LinkMessage},
    },
};
use tokio::{process::Command, task::JoinHandle, time};

use super::{Interface, Machine, MachineError, edit::own_len};
use crate::InterfaceName;

/// The longest that the kernel or `modprobe` may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The machine that the program runs on.
///
/// Its interfaces and addresses are those of the network namespace in which the calling thread was
/// when it opened this, its sysctls those of the thread that asks: stay in one.
#[derive(Debug)]
pub struct Linux {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Linux {
    /// Connects to the kernel. Needs no capability until something is changed.
    ///
    /// # Errors
    /// There is no netlink socket to be had.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO and time drivers.
    pub fn open() -> Result<Self, MachineError> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|source| failed("open a netlink socket".to_owned(), source))?;
        let connection = tokio::spawn(connection);
        Ok(Self { handle, connection })
    }

    async fn index(&self, interface: InterfaceName) -> io::Result<u32> {
        let get = self.handle.link().get().match_name(interface.to_string());
        let found = bounded(get.execute().try_next()).await?;
        found
            .map(|link| link.header.index)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    async fn try_interfaces(&self) -> io::Result<Vec<Interface>> {
        let links: Vec<_> = bounded(self.handle.link().get().execute().try_collect()).await?;
        let addresses: Vec<_> =
            bounded(self.handle.address().get().execute().try_collect()).await?;
        let mut by_index: BTreeMap<u32, Vec<(IpAddr, u8)>> = BTreeMap::new();
        for message in &addresses {
            if let Some(address) = address_of(message) {
                let of_interface = by_index.entry(message.header.index).or_default();
                of_interface.push((address, message.header.prefix_len));
            }
        }
        let interfaces = links.into_iter().filter_map(|link| {
            Some(Interface {
                name: name_of(&link)?,
                is_up: link.header.flags.contains(LinkFlags::Up),
                addresses: by_index.remove(&link.header.index).unwrap_or_default(),
            })
        });
        Ok(interfaces.collect())
    }

    async fn try_add_address(&self, interface: InterfaceName, address: IpAddr) -> io::Result<()> {
        let index = self.index(interface).await?;
        let mut request = self.handle.address().add(index, address, own_len(address));
        if address.is_ipv6() {
            // It is of use at once, and never chosen as a source: others have it too.
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_preferred = 0;
            lifetimes.ifa_valid = u32::MAX;
            request.message_mut().attributes.extend([
                AddressAttribute::Flags(AddressFlags::Nodad),
                AddressAttribute::CacheInfo(lifetimes),
            ]);
        }
        match bounded(request.execute()).await {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            answer => answer,
        }
    }

    async fn try_remove_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> io::Result<()> {
        let index = self.index(interface).await?;
        let get = self.handle.address().get();
        let get = get
            .set_link_index_filter(index)
            .set_prefix_length_filter(own_len(address));
        let found: Vec<_> =
            bounded(get.set_address_filter(address).execute().try_collect()).await?;
        for message in found {
            bounded(self.handle.address().del(message).execute()).await?;
        }
        Ok(())
    }

    async fn try_set_up(&self, interface: InterfaceName, up: bool) -> io::Result<()> {
        let index = self.index(interface).await?;
        let message = LinkMessageBuilder::<LinkUnspec>::new().index(index);
        let message = if up { message.up() } else { message.down() };
        bounded(self.handle.link().set(message.build()).execute()).await
    }
}

impl Drop for Linux {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

#[async_trait]
impl Machine for Linux {
    async fn sysctl(&self, name: &str) -> Result<Option<String>, MachineError> {
        let Some(path) = path(name) else {
            return Ok(None);
        };
        match fs::read_to_string(path) {
            Ok(value) => Ok(Some(value.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(format!("read the sysctl {name}"), source)),
        }
    }

    async fn set_sysctl(&self, name: &str, value: &str) -> Result<(), MachineError> {
        path(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
            .and_then(|path| fs::write(path, value))
            .map_err(|source| failed(format!("set the sysctl {name} to {value}"), source))
    }

    async fn interfaces(&self) -> Result<Vec<Interface>, MachineError> {
        self.try_interfaces()
            .await
            .map_err(|source| failed("list interfaces and addresses".to_owned(), source))
    }

    async fn add_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError> {
        self.try_add_address(interface, address)
            .await
            .map_err(|source| failed(format!("add {address} to {interface}"), source))
    }

    async fn remove_address(
        &self,
        interface: InterfaceName,
        address: IpAddr,
    ) -> Result<(), MachineError> {
        self.try_remove_address(interface, address)
            .await
            .map_err(|source| failed(format!("remove {address} from {interface}"), source))
    }

    async fn set_up(&self, interface: InterfaceName, up: bool) -> Result<(), MachineError> {
        let to = if up { "up" } else { "down" };
        self.try_set_up(interface, up)
            .await
            .map_err(|source| failed(format!("set {interface} {to}"), source))
    }

    async fn load_module(&self, module: &str) -> Result<(), MachineError> {
        let mut command = Command::new("modprobe");
        command
            .args(["--", module])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let loaded = match time::timeout(TIMEOUT, command.output()).await {
            Ok(Ok(output)) => outcome(&output),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        loaded.map_err(|source| {
            failed(
                format!("load the kernel module {module} (modprobe)"),
                source,
            )
        })
    }
}

fn outcome(output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().to_owned()))
}

/// Waits for the kernel's answer, but not for ever.
async fn bounded<T>(answer: impl Future<Output = Result<T, rtnetlink::Error>>) -> io::Result<T> {
    match time::timeout(TIMEOUT, answer).await {
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(rtnetlink::Error::NetlinkError(message))) => Err(message.to_io()),
        Ok(Err(error)) => Err(io::Error::other(error)),
    }
}

fn name_of(link: &LinkMessage) -> Option<InterfaceName> {
    let name = |attribute: &LinkAttribute| {
        let LinkAttribute::IfName(name) = attribute else {
            return None;
        };
        InterfaceName::new(name).ok()
    };
    link.attributes.iter().find_map(name)
}

/// The address of this end, where a link has two.
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let (mut this_end, mut any_end) = (None, None);
    for attribute in &message.attributes {
        if let AddressAttribute::Local(address) = attribute {
            this_end = Some(*address);
        } else if let AddressAttribute::Address(address) = attribute {
            any_end = Some(*address);
        }
    }
    this_end.or(any_end)
}

/// Where a sysctl is: a dot leads one step down, a slash is a dot in a name. `None` for what leads
/// elsewhere.
fn path(sysctl: &str) -> Option<PathBuf> {
    let mut path = PathBuf::from("/proc/sys");
    for name in sysctl.split('.') {
        let is_step = !name.is_empty() && name.bytes().any(|byte| byte != b'/');
        path.push(is_step.then(|| name.replace('/', "."))?);
    }
    Some(path)
}

fn failed(action: String, source: io::Error) -> MachineError {
    let denied = [libc::EPERM, libc::EACCES, libc::EROFS];
    match source.raw_os_error() {
        Some(number) if denied.contains(&number) => MachineError::Forbidden {
            action,
            needs: "CAP_NET_ADMIN",
            source,
        },
        _ => MachineError::Failed { action, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real_server::reverse_path_of;

    #[test]
    fn a_sysctl_is_found_below_proc_sys_and_nowhere_else() {
        let at = |text: &str| Some(PathBuf::from(text));
        assert_eq!(
            path("net.ipv4.ip_forward"),
            at("/proc/sys/net/ipv4/ip_forward")
        );
        assert_eq!(
            path(&reverse_path_of("eth0.100".parse().unwrap())),
            at("/proc/sys/net/ipv4/conf/eth0.100/rp_filter")
        );
        for elsewhere in ["", ".etc.passwd", "net..", "//.//.etc.passwd", "net./"] {
            assert_eq!(path(elsewhere), None, "{elsewhere}");
        }
    }
}
