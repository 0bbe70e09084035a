//! What the tests are set up from: nodes on one network or two, and the crate `ipvs` on them.

use std::{net::SocketAddr, time::Duration};

use ipvs::{
    Change, Connection, Endpoint, Forwarder, IpvsBackend as _, RealServer, Snapshot,
    machine::{self, Edit, Linux},
    netlink::Kernel,
    plan,
    text::parse_table,
};
use lab::{Answer, Cable, Lab, Lan, Node, Responder, curl};

/// For whatever has no bound of its own.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The virtual address that the director has from the start, and clients ask for.
pub(crate) const VIP: &str = "192.0.2.100";
pub(crate) const VIP_V6: &str = "2001:db8:1::100";

/// A client, a director and two real servers, `rs1` and `rs2`.
///
/// The client is 192.0.2.10 and 192.0.2.11, the director 192.0.2.1; the servers are 192.0.2.21 and
/// .22 next to them, or 198.51.100.21 and .22 behind the director, which is 198.51.100.1 there. The
/// same with IPv6: 2001:db8:1::/64 and 2001:db8:2::/64.
#[derive(Debug)]
pub(crate) struct Site {
    // Dropped first, while their nodes are there.
    responders: Vec<Responder>,
    pub(crate) client: Node,
    pub(crate) director: Node,
    pub(crate) servers: [Node; 2],
    pub(crate) front: Lan,
    _back: Option<Lan>,
    _cables: Vec<Cable>,
    pub(crate) lab: Lab,
}

impl Site {
    /// All on one network: the director has one card.
    pub(crate) fn one_card(name: &str) -> Self {
        Self::new(name, false)
    }

    /// The servers are on a network of their own, with the director as their gateway.
    pub(crate) fn two_cards(name: &str) -> Self {
        Self::new(name, true)
    }

    fn new(name: &str, behind: bool) -> Self {
        let lab = Lab::new(name);
        let front = lab.lan("front");
        let back = behind.then(|| lab.lan("back"));
        let [client, director, rs1, rs2] =
            ["client", "director", "rs1", "rs2"].map(|name| lab.node(name));
        let mut cables = Vec::new();
        let hosts = ["192.0.2.10/24", "192.0.2.11/24", "2001:db8:1::10/64"];
        cables.push(front.connect(&client, "eth0", &hosts));
        let hosts = [
            "192.0.2.1/24",
            "2001:db8:1::1/64",
            // With it neighbours are asked for where a packet's source is not the card's own.
            "fe80::1/64",
            &format!("{VIP}/32"),
            &format!("{VIP_V6}/128"),
        ];
        cables.push(front.connect(&director, "eth0", &hosts));
        if let Some(back) = &back {
            let hosts = ["198.51.100.1/24", "2001:db8:2::1/64", "fe80::1/64"];
            cables.push(back.connect(&director, "eth1", &hosts));
        }
        for (server, host) in [(&rs1, 21), (&rs2, 22)] {
            let lan = back.as_ref().unwrap_or(&front);
            let (v4, v6) = if behind {
                ("198.51.100", "2001:db8:2:")
            } else {
                ("192.0.2", "2001:db8:1:")
            };
            let hosts = [
                format!("{v4}.{host}/24"),
                format!("{v6}:{host}/64"),
                format!("fe80::{host}/64"),
            ];
            cables.push(lan.connect(server, "eth0", &hosts.each_ref().map(String::as_str)));
            if behind {
                server.namespace().ip(&format!(
                    "route add default via {v4}.1\nroute add default via {v6}:1"
                ));
            }
        }
        Self {
            responders: Vec::new(),
            client,
            director,
            servers: [rs1, rs2],
            front,
            _back: back,
            _cables: cables,
            lab,
        }
    }

    /// Both servers answer at their own address, given as those of `rs1` with the last digit
    /// changed, or at an address that both have.
    pub(crate) fn serve(&mut self, addresses: [&str; 2]) {
        for (server, address) in self.servers.iter().zip(addresses) {
            self.responders
                .push(Responder::start(server, socket(address)));
        }
    }

    /// Prepares both servers for virtual addresses, and says how they were.
    pub(crate) fn prepare_servers(&self, prepared: &RealServer) -> [Vec<Edit>; 2] {
        self.servers
            .each_ref()
            .map(|server| prepare_server(server, prepared))
    }

    /// Asks several times from the client with curl, each time over a connection of its own.
    pub(crate) fn curl(&self, times: usize, to: &str) -> Vec<Answer> {
        let answers = curl(&self.client, socket(to), times, &[]);
        assert_eq!(answers.len(), times);
        answers
    }
}

/// How many of the answers came from each server.
pub(crate) fn share(answers: &[Answer]) -> [(&'static str, usize); 2] {
    ["rs1", "rs2"].map(|name| {
        let of_it = answers.iter().filter(|answer| answer.server == name);
        (name, of_it.count())
    })
}

pub(crate) fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// Has the program's own code work on a node, as if it ran there.
pub(crate) fn on<T: Send, F: Future<Output = T>>(
    node: &Node,
    work: impl FnOnce() -> F + Send,
) -> T {
    node.namespace().enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(work())
    })
}

/// Makes a node's table the one that is written here as `ipvsadm -Sn` would.
pub(crate) fn load(node: &Node, table: &str) {
    let desired = parse_table(table).unwrap_or_else(|errors| panic!("{errors:?}"));
    on(node, async || {
        let kernel = Kernel::connect().await.expect("a kernel with IPVS");
        let current = kernel.snapshot().await.expect("a table").table();
        let outcomes = kernel.apply(&plan(&current, &desired)).await;
        for outcome in outcomes.expect("an answer") {
            assert!(outcome.is_done(), "{outcome:?}");
        }
        let table = kernel.snapshot().await.expect("a table").table();
        assert_eq!(table.services, desired.services);
    });
}

/// Makes a change of a node's table.
pub(crate) fn apply(node: &Node, change: Change) {
    let outcomes = on(node, async || {
        let kernel = Kernel::connect().await.expect("a kernel with IPVS");
        kernel.apply(&[change]).await.expect("an answer")
    });
    assert!(
        outcomes.iter().all(ipvs::ChangeOutcome::is_done),
        "{outcomes:?}"
    );
}

pub(crate) fn snapshot(node: &Node) -> Snapshot {
    on(node, async || {
        let kernel = Kernel::connect().await.expect("a kernel with IPVS");
        kernel.snapshot().await.expect("a table")
    })
}

/// Prepares a director that forwards, and says how it was.
pub(crate) fn prepare_director(node: &Node, forwarder: Forwarder) -> Vec<Edit> {
    on(node, async || {
        let edits = forwarder
            .edits(&this_machine())
            .await
            .expect("a look at it");
        machine::make(&this_machine(), &edits)
            .await
            .expect("it is allowed");
        let left = forwarder
            .edits(&this_machine())
            .await
            .expect("a look at it");
        assert_eq!(left, [], "nothing is left to do");
        edits
    })
}

/// The machine as the calling thread sees it.
fn this_machine() -> Linux {
    Linux::open().expect("a netlink socket")
}

fn prepare_server(node: &Node, prepared: &RealServer) -> Vec<Edit> {
    on(node, async || {
        let mut made = Vec::new();
        loop {
            let edits = prepared.edits(&this_machine()).await.expect("a look at it");
            if edits.is_empty() {
                return made;
            }
            machine::make(&this_machine(), &edits)
                .await
                .expect("it is allowed");
            made.extend(edits);
        }
    })
}

/// Leaves a server as it was before it was prepared.
pub(crate) fn undo(node: &Node, edits: &[Edit]) {
    on(node, async || {
        let left = machine::undo(&this_machine(), edits)
            .await
            .expect("it is allowed");
        assert_eq!(left, [], "nobody has changed it since");
    });
}

/// A director's connections and persistence templates.
pub(crate) fn connections(director: &Node) -> Vec<Connection> {
    on(director, async || {
        let kernel = Kernel::connect().await.expect("a kernel with IPVS");
        let mut list = kernel.connections().await.expect("a list");
        let mut connections = Vec::new();
        while let Some(connection) = list.next().await {
            connections.push(connection.expect("a line of a known form"));
        }
        connections
    })
}

/// Checks that a director knows the connection that an answer came over.
#[track_caller]
pub(crate) fn assert_known(answer: &Answer, connections: &[Connection]) {
    let known = connections
        .iter()
        .any(|it| it.client == endpoint(answer.client));
    assert!(known, "{answer} in {connections:?}");
}

pub(crate) fn endpoint(address: SocketAddr) -> Endpoint {
    address.to_string().parse().expect("the same notation")
}
