//! Two hosts on one cable, and what is done on them.

use std::{future::Future, io::Read as _, time::Duration};

use lab::{Lab, Node, wait_until};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use vrrp::{
    Advertiser as _, Family, Received,
    net::{LinkMonitor, NetlinkVips, RawAdvertiser},
};

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// Hosts `a` and `b`, joined by a cable from `eth0` to `eth0`: 192.0.2.1 and .2, fe80::1 and ::2,
/// 02:00:00:00:00:01 and :02, like those of the golden captures.
pub(crate) struct Hosts {
    pub(crate) a: Node,
    pub(crate) b: Node,
    runtime: Runtime,
    // Last, so that the hosts are still there when it reports on a failed test.
    _lab: Lab,
}

impl Hosts {
    pub(crate) fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let (a, b) = (lab.node("a"), lab.node("b"));
        a.namespace().ip(&format!(
            "link add eth0 address 02:00:00:00:00:01 type veth \
                 peer name eth0 address 02:00:00:00:00:02 netns {}",
            b.namespace().name()
        ));
        for (node, number) in [(&a, 1), (&b, 2)] {
            node.namespace().ip(&format!(
                "link set eth0 up\n\
                 address add 192.0.2.{number}/24 dev eth0\n\
                 address add fe80::{number}/64 dev eth0 nodad\n\
                 address add 2001:db8::{number}/64 dev eth0 nodad"
            ));
        }
        for node in [&a, &b] {
            wait_until("the cable is connected", LONG, || {
                node.run("ip", &["link", "show", "dev", "eth0"])
                    .contains("state UP")
            });
        }
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self {
            a,
            b,
            runtime,
            _lab: lab,
        }
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { timeout(LONG, work).await })
            .expect("within ten seconds")
    }

    /// Runs something in the network of a host and in the runtime of the test.
    pub(crate) fn on<T: Send>(&self, node: &Node, work: impl FnOnce() -> T + Send) -> T {
        let handle = self.runtime.handle();
        node.namespace().enter(|| {
            let _inside = handle.enter();
            work()
        })
    }

    pub(crate) fn advertiser(&self, node: &Node, family: Family) -> RawAdvertiser {
        let advertiser = self.on(node, || RawAdvertiser::open("eth0", family).unwrap());
        self.block_on(advertiser.join(family.multicast_group()))
            .unwrap();
        advertiser
    }

    pub(crate) fn receive(&self, advertiser: &RawAdvertiser) -> Received {
        self.block_on(advertiser.recv()).unwrap()
    }

    pub(crate) fn vips(&self, node: &Node) -> NetlinkVips {
        node.namespace()
            .enter(|| self.block_on(NetlinkVips::open()).unwrap())
    }

    pub(crate) fn monitor(&self, node: &Node) -> LinkMonitor {
        node.namespace()
            .enter(|| self.block_on(LinkMonitor::open()).unwrap())
    }
}

/// Everything that arrives on `eth0` of a host, from its link header on.
pub(crate) struct Tap(Socket);

impl Tap {
    pub(crate) fn new(node: &Node) -> Self {
        const EVERYTHING: u16 = 3;
        let socket = node.namespace().enter(|| {
            let protocol = Protocol::from(i32::from(EVERYTHING.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).unwrap();
            socket.set_read_timeout(Some(LONG)).unwrap();
            socket
        });
        Self(socket)
    }

    /// The next frames from host `a` that `is_wanted` picks.
    pub(crate) fn frames(
        &mut self,
        count: usize,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buffer = [0; 2048];
        while frames.len() < count {
            let length = self.0.read(&mut buffer).expect("a frame in time");
            let frame = &buffer[..length];
            if frame.get(6..12) == Some(&[2, 0, 0, 0, 0, 1][..]) && is_wanted(frame) {
                frames.push(frame.to_vec());
            }
        }
        frames
    }
}

/// The packets of a file of `tests/golden`.
pub(crate) fn golden(text: &str) -> Vec<Vec<u8>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            (0..line.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
                .collect()
        })
        .collect()
}
