//! What a test builds: nodes, local networks, and the cables between them.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use nix::ifaddrs::getifaddrs;
use tempfile::TempDir;

use crate::{
    Process,
    namespace::{Namespace, run},
};

/// The nodes and local networks of one test.
///
/// Hold it in the first variable of a test, so that it is dropped last: when the test has failed it
/// prints every log and every node's addresses, then it removes all it made.
#[derive(Debug)]
pub struct Lab {
    name: String,
    nodes: Mutex<Vec<Node>>,
    logs: Arc<Mutex<Vec<PathBuf>>>,
    directory: TempDir,
}

impl Lab {
    /// An empty laboratory.
    ///
    /// # Panics
    ///
    /// Without root.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("lab-")
            // Scripts in it run as root only if nobody else can write along the way.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap_or_else(|error| panic!("a temporary directory: {error}"));
        Self {
            name: name.to_owned(),
            nodes: Mutex::default(),
            logs: Arc::default(),
            directory,
        }
    }

    /// A machine without a network: a namespace with the loopback alone, and a directory of its own.
    ///
    /// # Panics
    ///
    /// When a node of that name exists.
    pub fn node(&self, name: &str) -> Node {
        let directory = self.directory.path().join(name);
        fs::create_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let node = Node {
            inner: Arc::new(NodeInner {
                name: name.to_owned(),
                namespace: Namespace::new(&format!("{}-{name}", self.name)),
                directory,
                logs: Arc::clone(&self.logs),
            }),
        };
        self.nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(node.clone());
        node
    }

    /// A local network: a bridge that forwards at once and floods multicast.
    pub fn lan(&self, name: &str) -> Lan {
        let node = self.node(name);
        node.namespace().ip(
            "link add br0 type bridge forward_delay 0 mcast_snooping 0 stp_state 0\n\
             link set br0 up",
        );
        Lan {
            node,
            cables: Mutex::new(0),
        }
    }

    #[expect(
        clippy::print_stderr,
        reason = "the report of a failed test, which libtest captures"
    )]
    fn report(&self) {
        for log in self
            .logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let name = log.strip_prefix(self.directory.path()).unwrap_or(log);
            let text = fs::read(log).unwrap_or_default();
            eprintln!(
                "--- {}\n{}",
                name.display(),
                String::from_utf8_lossy(&text).trim_end()
            );
        }
        for node in self
            .nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let addresses = Command::new("ip")
                .args(["-n", node.namespace().name(), "-brief", "address", "show"])
                .output()
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default();
            eprintln!("--- addresses of {}\n{}", node.name(), addresses.trim_end());
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            self.report();
        }
    }
}

/// A machine: a network namespace and a directory for its files.
#[derive(Clone, Debug)]
pub struct Node {
    inner: Arc<NodeInner>,
}

#[derive(Debug)]
struct NodeInner {
    name: String,
    namespace: Namespace,
    directory: PathBuf,
    logs: Arc<Mutex<Vec<PathBuf>>>,
}

impl Node {
    /// The name the test gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its network namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.inner.namespace
    }

    /// Where `file` of this node is.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.inner.directory.join(file)
    }

    /// Writes a file that all may read and returns where it is.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[track_caller]
    pub fn write(&self, file: &str, content: &str) -> PathBuf {
        let path = self.path(file);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Writes a program and returns where it is.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[track_caller]
    pub fn write_script(&self, file: &str, content: &str) -> PathBuf {
        let path = self.write(file, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Removes a file.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn remove(&self, file: &str) {
        let path = self.path(file);
        fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// What a file of this node holds, line by line; nothing when there is no such file.
    #[must_use]
    pub fn lines(&self, file: &str) -> Vec<String> {
        fs::read_to_string(self.path(file))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Starts a program on the node; its output goes to `NAME.log` and into the report of a failed
    /// test.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(&self, name: &str, command: Command) -> Process {
        let log = self.path(&format!("{name}.log"));
        self.inner
            .logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(log.clone());
        Process::spawn(self.namespace(), name, command, log)
    }

    /// Runs a program on the node to its end and returns its standard output.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.namespace()
            .enter(|| run(Command::new(program).args(arguments), ""))
    }

    /// The addresses of all its interfaces.
    ///
    /// # Panics
    ///
    /// When the kernel does not tell.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.namespace().enter(|| {
            getifaddrs()
                .unwrap_or_else(|error| panic!("the addresses of {}: {error}", self.name()))
                .filter_map(|interface| {
                    let address = interface.address?;
                    let ipv4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
                    ipv4.or_else(|| {
                        address
                            .as_sockaddr_in6()
                            .map(|found| IpAddr::V6(found.ip()))
                    })
                })
                .collect()
        })
    }

    /// Whether one of its interfaces has this address.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses().contains(&address)
    }
}

/// A local network: a bridge in a namespace of its own.
#[derive(Debug)]
pub struct Lan {
    node: Node,
    cables: Mutex<u8>,
}

impl Lan {
    /// Plugs `interface` of a node in, up and with these addresses (`192.0.2.1/24`).
    ///
    /// The hardware address is `02:00:00:00:00:N` for the N-th cable of the network, so frames can
    /// be told apart in a capture.
    ///
    /// # Panics
    ///
    /// When the node has an interface of that name, or an address is not one.
    #[track_caller]
    pub fn connect(&self, node: &Node, interface: &str, addresses: &[&str]) -> Cable {
        let number = {
            let mut cables = self.cables.lock().unwrap_or_else(PoisonError::into_inner);
            *cables += 1;
            *cables
        };
        let port = format!("port{number}");
        self.node.namespace().ip(&format!(
            "link add {port} type veth \
                 peer name {interface} address 02:00:00:00:00:{number:02x} netns {}\n\
             link set {port} master br0 up",
            node.namespace().name()
        ));
        let mut lines = format!("link set {interface} up\n");
        for address in addresses {
            // Usable at once: nobody else on this network can have it.
            let option = if address.contains(':') { "nodad" } else { "" };
            lines.push_str(&format!("address add {address} dev {interface} {option}\n"));
        }
        node.namespace().ip(&lines);
        Cable {
            node: self.node.clone(),
            port,
        }
    }

    /// The machine the bridge (`br0`) is in: the place to listen to everything.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }
}

/// The cable between a node and a local network.
#[derive(Debug)]
pub struct Cable {
    node: Node,
    port: String,
}

impl Cable {
    /// Pulls it: nothing passes, and the node sees its carrier go.
    pub fn cut(&self) {
        self.node
            .namespace()
            .ip(&format!("link set {} down", self.port));
    }

    /// Plugs it in again.
    pub fn restore(&self) {
        self.node
            .namespace()
            .ip(&format!("link set {} up", self.port));
    }
}
