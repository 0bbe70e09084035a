//! The tutorial to its end: two directors that share an address, two real servers, a client, and
//! everything that can die dying.
//!
//! The file is used as it is, on the network that it names. One line is added: the sync daemon that
//! lets connections outlive a director.

use std::{net::IpAddr, time::Duration};

use lab::{
    Answer, Cable, Lab, Lan, Node, Peer, Responder, Session, Software, curl, director, wait_until,
};

use crate::site::{connections, endpoint, socket};

const VIP: &str = "192.168.199.10";
const SERVICE: &str = "192.168.199.10:80";

/// A client is sent to one server for as long as its persistence lasts, so it takes two of them to
/// reach both servers.
const CLIENTS: [&str; 2] = ["192.168.199.101", "192.168.199.102"];

/// As the kernel's table names them.
const RS1: &str = "192.168.199.229:80";
const RS2: &str = "192.168.199.190:80";
const SORRY: &str = "127.0.0.1:80";

/// The file has a server looked at every six seconds and, once it fails, three times more.
const DEATH: Duration = Duration::from_secs(40);

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn servers_and_directors_die_and_come_back_and_the_address_answers() {
    let mut scene = Scene::new();
    let mut master = scene.start(0);
    let mut backup = scene.start(1);
    scene.is_served_by(0);
    scene.both_have(&[RS2, RS1]);
    assert_eq!(scene.who_answers(), ["rs1", "rs2"]);

    scene.kill(1);
    scene.both_have(&[RS1]);
    assert_eq!(scene.who_answers(), ["rs1"]);

    scene.kill(0);
    scene.both_have(&[SORRY]);
    assert_eq!(scene.who_answers(), ["director1"]);

    scene.revive(0);
    scene.revive(1);
    scene.both_have(&[RS2, RS1]);
    assert_eq!(scene.who_answers(), ["rs1", "rs2"]);

    let mut sessions = scene.open_sessions();
    master.crash();
    scene.cables[0].cut();
    scene.is_served_by(1);
    for (session, answer) in &mut sessions {
        assert_eq!(session.ask().unwrap(), *answer);
    }
    assert_eq!(scene.who_answers(), ["rs1", "rs2"]);

    // What the dead one left behind, address and table, it finds when it starts.
    let mut master = scene.start(0);
    wait_until("the dead one's address to go", DEATH, || {
        !scene.holds_address(0)
    });
    scene.cables[0].restore();
    scene.is_served_by(0);
    for (session, answer) in &mut sessions {
        assert_eq!(session.ask().unwrap(), *answer);
    }
    assert_eq!(scene.who_answers(), ["rs1", "rs2"]);

    assert!(master.stop(DEATH).success());
    scene.is_served_by(1);
    assert_eq!(scene.who_answers(), ["rs1", "rs2"]);
    assert!(backup.stop(DEATH).success());
    for director in &scene.directors {
        assert_eq!(pool(director), [""; 0]);
    }
}

/// The network of the tutorial.
struct Scene {
    // Dropped first, while their nodes are there.
    responders: [Option<Responder>; 2],
    _sorry: [Responder; 2],
    directors: [Node; 2],
    servers: [Node; 2],
    client: Node,
    /// Of the directors.
    cables: [Cable; 2],
    _others: Vec<Cable>,
    _lan: Lan,
    _lab: Lab,
}

#[expect(clippy::indexing_slicing, reason = "there are two of each")]
impl Scene {
    /// Both servers are prepared and serve; the directors are bare.
    fn new() -> Self {
        let lab = Lab::new("two-directors");
        let lan = lab.lan("lan");
        let mut others = Vec::new();
        let client = lab.node("client");
        let addresses = CLIENTS.map(|address| format!("{address}/24"));
        others.push(lan.connect(&client, "ens33", &addresses.each_ref().map(|it| &**it)));
        let directors = ["director1", "director2"].map(|name| lab.node(name));
        let cables = [(0, "192.168.199.1/24"), (1, "192.168.199.2/24")]
            .map(|(at, address)| lan.connect(&directors[at], "ens33", &[address]));
        let servers = [("rs1", RS1), ("rs2", RS2)].map(|(name, address)| {
            let server = lab.node(name);
            let host = format!("{}/24", socket(address).ip());
            others.push(lan.connect(&server, "ens33", &[&host]));
            let file = server.write("director.conf", &configuration(0));
            let (program, file) = (director(), file.to_string_lossy().into_owned());
            let journal = server.path("journal").to_string_lossy().into_owned();
            let arguments = ["realserver", "up", "-f", &file, "--journal", &journal];
            server.run(&program.to_string_lossy(), &arguments);
            server
        });
        let mut scene = Self {
            responders: [None, None],
            _sorry: directors.each_ref().map(serve),
            directors,
            servers,
            client,
            cables,
            _others: others,
            _lan: lan,
            _lab: lab,
        };
        scene.revive(0);
        scene.revive(1);
        scene
    }

    /// Starts `director` on one of the two.
    fn start(&self, at: usize) -> Peer {
        Peer::start(Software::Director, &self.directors[at], &configuration(at))
    }

    fn kill(&mut self, at: usize) {
        self.responders[at] = None;
    }

    fn revive(&mut self, at: usize) {
        self.responders[at] = Some(serve(&self.servers[at]));
    }

    fn holds_address(&self, at: usize) -> bool {
        let vip: IpAddr = VIP.parse().expect("an address");
        self.directors[at].holds(vip)
    }

    /// Waits until this director has the address, and the client has heard of it.
    #[track_caller]
    fn is_served_by(&self, at: usize) {
        let mac = format!("02:00:00:00:00:{:02x}", at + 2);
        wait_until("the address to be taken over", DEATH, || {
            // An entry that the announcement did not change would go on to the dead one.
            let known = self.client.run("ip", &["neigh", "show", VIP]);
            self.holds_address(at) && (known.is_empty() || known.contains(&mac))
        });
    }

    /// Waits until both directors' tables have these servers and no other.
    #[track_caller]
    fn both_have(&self, servers: &[&str]) {
        wait_until(&format!("both tables to have {servers:?}"), DEATH, || {
            self.directors.iter().all(|node| pool(node) == servers)
        });
    }

    /// Who answers a new connection of each client, and again, each told once.
    #[track_caller]
    fn who_answers(&self) -> Vec<String> {
        let mut servers = CLIENTS.map(|client| {
            let answers = curl(&self.client, socket(SERVICE), 2, &["--interface", client]);
            let [one, two] = &answers[..] else {
                panic!("{answers:?}");
            };
            assert_eq!(one.server, two.server, "persistence");
            one.server.clone()
        });
        servers.sort();
        let mut servers = servers.to_vec();
        servers.dedup();
        servers
    }

    /// A connection to each server; on return the second director knows of both.
    fn open_sessions(&self) -> Vec<(Session, Answer)> {
        let sessions = CLIENTS.map(|client| {
            let mut session = Session::connect_from(
                &self.client,
                client.parse().expect("an address"),
                socket(SERVICE),
            )
            .expect("a connection");
            let answer = session.ask().expect("an answer");
            (session, answer)
        });
        let [(_, one), (_, two)] = &sessions;
        assert_ne!(one.server, two.server);
        wait_until("the second director to know of them", DEATH, || {
            let told = connections(&self.directors[1]);
            sessions.iter().all(|(_, answer)| {
                let client = endpoint(answer.client);
                told.iter()
                    .any(|it| it.client == client && it.state == "ESTABLISHED")
            })
        });
        sessions.into()
    }
}

/// The file of the first director, which is the tutorial's, or of the second.
fn configuration(at: usize) -> String {
    let file = include_str!("../conf/tutorial-director.conf");
    let file = file.replacen(
        "global_defs {",
        "global_defs {\n    lvs_sync_daemon ens33 VI_1",
        1,
    );
    if at == 0 {
        return file;
    }
    file.replace("state MASTER", "state BACKUP")
        .replace("priority 100", "priority 50")
}

/// A web server at all addresses of a node, the virtual one too.
fn serve(node: &Node) -> Responder {
    Responder::start(node, socket("0.0.0.0:80"))
}

/// The servers in the kernel's table of a node.
fn pool(node: &Node) -> Vec<String> {
    let table = node.run("ipvsadm", &["-Sn"]);
    let mut servers: Vec<_> = table
        .lines()
        .filter_map(|line| line.split_once(" -r ")?.1.split(' ').next())
        .map(str::to_owned)
        .collect();
    servers.sort();
    servers
}
