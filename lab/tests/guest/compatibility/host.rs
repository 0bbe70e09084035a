//! A machine for one of both daemons, and how far it is.

use std::net::TcpListener;

use ipvs::text::{Dialect, Names, save};
use lab::{Lab, Node, Peer, Software};

use super::generator::{ANSWERING, Checks};
use crate::site::{load, snapshot};

/// A machine on which every address is its own, so that checks are answered or refused at once.
#[derive(Debug)]
pub(super) struct Host {
    node: Node,
    software: Software,
    daemon: Peer,
    /// What was in the log before the file that is judged was read.
    read: usize,
    _answering: TcpListener,
}

impl Host {
    /// Starts the daemon. Its configuration may say what `director` leaves out.
    pub(super) fn start(lab: &Lab, name: &str, software: Software, text: &str) -> Self {
        let node = lab.node(&format!("{software}-{name}"));
        node.namespace().ip("link add eth0 type dummy\n\
             link add eth1 type dummy\n\
             link set eth0 up\n\
             link set eth1 up\n\
             address add 192.0.2.1/24 dev eth0\n\
             route add local 0.0.0.0/0 dev lo\n\
             route add local ::/0 dev lo");
        let listen = || TcpListener::bind(("::", ANSWERING)).expect("a free port");
        let answering = node.namespace().enter(listen);
        let arguments: &[_] = match software {
            Software::Director => &["--lenient"],
            Software::Keepalived => &[],
        };
        let daemon = Peer::start_with(software, &node, text, arguments);
        Self {
            node,
            software,
            daemon,
            read: 0,
            _answering: answering,
        }
    }

    /// Empties the table of keepalived, which at a reload leaves sync daemons behind, and services
    /// of groups when no real server was up. A file is judged by what it makes of an empty table.
    pub(super) fn clear(&self) {
        if self.software == Software::Keepalived {
            load(&self.node, "");
        }
    }

    /// Has another file read.
    pub(super) fn reload(&mut self, text: &str) {
        self.read = self.daemon.log().len();
        self.daemon.reload(text);
    }

    /// Whether the daemon has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !self.daemon.is_running()
    }

    /// What the daemon has said since it was given the file.
    pub(super) fn log(&self) -> String {
        let log = self.daemon.log();
        log.get(self.read..).unwrap_or_default().to_owned()
    }

    /// Whether the daemon has heard of all that its checks can change.
    pub(super) fn has_settled(&self, checks: &Checks) -> bool {
        let log = self.log();
        let count = |words: &str| log.matches(words).count();
        match self.software {
            Software::Keepalived => {
                log.contains("Activating BFD healthchecker")
                    && count(" failed.") >= checks.falls + checks.stay_down
                    && count(" success.") >= checks.rise
            }
            Software::Director => {
                log.contains("Configuration applied")
                    && count(" is Down: ") >= checks.falls
                    && count(" is Up") >= checks.rise
            }
        }
    }

    /// What `ipvsadm -Sn` says.
    pub(super) fn ipvsadm(&self) -> String {
        self.node.run("ipvsadm", &["-Sn"])
    }

    /// The same in full, with thresholds, timeouts and sync daemons, and without a process.
    pub(super) fn table(&self) -> String {
        let table = snapshot(&self.node).table();
        save(&table, Dialect::Complete, &Names::default())
    }
}
