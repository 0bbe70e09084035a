//! The switch, the machines and the cables: a bridge, network namespaces and veth pairs.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_route::link::{BridgeStpState, InfoData, InfoVeth};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};

use super::forbidden::{self, Hints};
use super::scenario::{INTERFACE, PREFIX_LEN};

const BRIDGE: &str = "switch";
/// The kernel answers at once; this is for the day it does not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What could not be made or changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {cause}{hints}")]
pub(super) struct Error {
    what: String,
    // In the message, not as the source of the error: the hints come after it.
    cause: io::Error,
    hints: Hints,
}

impl Error {
    fn new(what: impl Into<String>, cause: io::Error) -> Self {
        Self {
            what: what.into(),
            hints: forbidden::hints(&cause, |path| fs::read_to_string(path).ok()),
            cause,
        }
    }
}

/// A bridge in the namespace of the process.
#[derive(Debug)]
pub(super) struct Switch {
    index: u32,
}

impl Switch {
    /// Makes it, with no cable in it.
    pub(super) fn new() -> Result<Self, Error> {
        // Forwards at once, to everybody: no delay and no learning of multicast groups.
        let bridge = LinkBridge::new(BRIDGE)
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            .mcast_snooping(false)
            .build();
        netlink("make a bridge", async |handle| {
            handle.link().add(bridge).execute().await
        })?;
        let index =
            if_nametoindex(BRIDGE).map_err(|errno| Error::new("find the bridge", errno.into()))?;
        Ok(Self { index })
    }

    /// Gives a machine an interface, up and with an address, and puts its cable in.
    pub(super) fn connect(
        &self,
        machine: &Machine,
        mac: [u8; 6],
        address: Ipv4Addr,
    ) -> Result<(), Error> {
        let interface = LinkUnspec::new_with_name(INTERFACE)
            .address(mac.to_vec())
            .setns_by_fd(machine.namespace.as_raw_fd())
            .build();
        let cable = LinkVeth::new(machine.name, INTERFACE)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(interface)))
            .controller(self.index)
            .up()
            .build();
        let what = format!("connect {} to the switch", machine.name);
        netlink(what, async |handle| {
            handle.link().add(cable).execute().await
        })?;
        machine.enter(|| {
            let what = || format!("give {} the address {address}", machine.name);
            let index =
                if_nametoindex(INTERFACE).map_err(|errno| Error::new(what(), errno.into()))?;
            netlink(what(), async |handle| {
                for link in ["lo", INTERFACE] {
                    let up = LinkUnspec::new_with_name(link).up().build();
                    handle.link().set(up).execute().await?;
                }
                handle
                    .address()
                    .add(index, IpAddr::V4(address), PREFIX_LEN)
                    .execute()
                    .await
            })
        })?
    }

    /// Takes a machine's cable away, and its interface with it.
    pub(super) fn disconnect(&self, machine: &Machine) -> Result<(), Error> {
        let cable = LinkUnspec::new_with_name(machine.name).build();
        let what = format!("disconnect {}", machine.name);
        netlink(what, async |handle| {
            handle.link().del_with_message(cable).execute().await
        })
    }
}

/// A network namespace that lasts for as long as this value and what runs in it.
#[derive(Debug)]
pub(super) struct Machine {
    name: &'static str,
    namespace: File,
}

impl Machine {
    pub(super) fn new(name: &'static str) -> Result<Self, Error> {
        let namespace = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let failed = |source| Error::new(format!("make a network namespace for {name}"), source);
        let namespace = namespace.and_then(|file| file).map_err(failed)?;
        Ok(Self { name, namespace })
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// The descriptor of this process by which its namespace can be entered.
    pub(super) fn descriptor(&self) -> RawFd {
        self.namespace.as_raw_fd()
    }

    /// Does something in it, on a thread of its own: what it opens or starts stays there.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let done = on_a_thread(|| {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        });
        done.and_then(|result| result).map_err(|source| {
            Error::new(
                format!("enter the network namespace of {}", self.name),
                source,
            )
        })
    }
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, work)?;
        thread.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}

fn netlink(
    what: impl Into<String>,
    work: impl AsyncFnOnce(&Handle) -> Result<(), rtnetlink::Error>,
) -> Result<(), Error> {
    let exchange = || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let connection = tokio::spawn(connection);
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, work(&handle)).await?;
            connection.abort();
            answer.map_err(kernel_error)
        })
    };
    exchange().map_err(|source| Error::new(what, source))
}

fn kernel_error(error: rtnetlink::Error) -> io::Error {
    if let rtnetlink::Error::NetlinkError(message) = &error {
        message.to_io()
    } else {
        io::Error::other(error.to_string())
    }
}
