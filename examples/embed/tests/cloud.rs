//! Two machines of a cloud, and the cloud's API.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lab::{Lab, Node, Process, wait_until};

const SOON: Duration = Duration::from_secs(20);
const ONE: &str = "192.0.2.1";
const TWO: &str = "192.0.2.2";

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_cloud_routes_the_address_to_whoever_is_master() {
    let lab = Lab::new("cloud");
    let lan = lab.lan("lan");
    let mut cables = Vec::new();
    let [one, two, api] = [("one", ONE), ("two", TWO), ("api", "192.0.2.9")].map(|(name, host)| {
        let node = lab.node(name);
        cables.push(lan.connect(&node, "eth0", &[&format!("{host}/24")]));
        node
    });
    let cloud = Cloud::start(&api);
    let holds = |node: &Node| node.holds(address("203.0.113.5"));

    let first = start(&one, "150", TWO);
    wait_until("the first to have it", SOON, || {
        cloud.is_owner(ONE) && holds(&one)
    });
    let _second = start(&two, "100", ONE);
    drop(first);
    wait_until("the second to have it", SOON, || {
        cloud.is_owner(TWO) && holds(&two)
    });

    // Whom the cloud does not give it to is not master, however high its priority.
    cloud.refuse(ONE);
    let _first = start(&one, "150", TWO);
    wait_until("the first to be refused", SOON, || cloud.has_refused(ONE));
    wait_until("the second to have it again", SOON, || {
        cloud.is_owner(TWO) && holds(&two) && !holds(&one)
    });
}

fn start(node: &Node, priority: &str, other: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud_vip"));
    command.args([
        "http://192.0.2.9:8000",
        "eth0",
        "203.0.113.5/32",
        priority,
        other,
    ]);
    node.spawn("cloud_vip", command)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What the cloud knows of its one address.
#[derive(Default)]
struct State {
    owner: Option<IpAddr>,
    refused: BTreeSet<IpAddr>,
    has_refused: BTreeSet<IpAddr>,
}

struct Cloud(Arc<Mutex<State>>);

impl Cloud {
    /// Serves on a node until the test ends.
    fn start(node: &Node) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let bind = || TcpListener::bind(SocketAddr::new(address("0.0.0.0"), 8000));
        let listener = node.namespace().enter(bind).expect("a free port");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that is killed does not wait for its answer.
                answer(&stream, &shared).ok();
            }
        });
        Self(state)
    }

    fn is_owner(&self, node: &str) -> bool {
        self.0.lock().expect("nobody panics").owner == Some(address(node))
    }

    fn refuse(&self, node: &str) {
        self.0
            .lock()
            .expect("nobody panics")
            .refused
            .insert(address(node));
    }

    fn has_refused(&self, node: &str) -> bool {
        self.0
            .lock()
            .expect("nobody panics")
            .has_refused
            .contains(&address(node))
    }
}

fn answer(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let from = stream.peer_addr()?.ip();
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let mut state = state.lock().expect("nobody panics");
    let status = match &*request {
        "PUT /addresses/203.0.113.5 HTTP/1.1" if state.refused.contains(&from) => {
            state.has_refused.insert(from);
            "403 Forbidden"
        }
        "PUT /addresses/203.0.113.5 HTTP/1.1" => {
            state.owner = Some(from);
            "200 OK"
        }
        "DELETE /addresses/203.0.113.5 HTTP/1.1" => {
            if state.owner == Some(from) {
                state.owner = None;
            }
            "200 OK"
        }
        _ => "404 Not Found",
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}
