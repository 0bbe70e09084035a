//! What holds for a segment, whatever goes wrong on it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong may panic"
)]

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use proptest::{collection, prelude::*};
use vrrp::{
    Family, TTL,
    fake::{Conditions, Frame, FrameEvent, Port, Probability, Segment},
};

const NODES: usize = 4;
const GROUP: IpAddr = Family::V4.multicast_group();

/// What can be done to a segment; a node is told by its number.
#[derive(Debug, Clone)]
enum Step {
    Wait(Duration),
    Send { from: usize, to: IpAddr },
    Join(usize),
    Leave(usize),
    Own(usize, IpAddr),
    Disown(usize, IpAddr),
    Conditions(Conditions),
    Link(usize, usize, Option<Conditions>),
    Partition(Vec<usize>),
    Heal,
    Freeze(usize),
    Thaw(usize),
    Unplug(usize),
    Plug(usize),
    Crash(usize),
    ReceiveQueue(usize),
}

proptest! {
    #[test]
    fn a_frame_is_delivered_once_for_each_copy_and_never_before_its_time(
        seed: u64,
        steps in collection::vec(step(), 0..150),
    ) {
        let mut run = Run::new(seed);
        for step in steps {
            run.step(step)?;
        }
        run.finish()?;
    }

    #[test]
    fn the_same_seed_and_steps_give_the_same_journal(
        seed: u64,
        steps in collection::vec(step(), 0..100),
    ) {
        let start = now();
        let journal = |_| -> Result<Vec<_>, TestCaseError> {
            let mut run = Run::starting(seed, start);
            for step in steps.clone() {
                run.step(step)?;
            }
            run.finish()?;
            Ok(run.segment.journal().cloned().collect())
        };
        prop_assert_eq!(journal(1)?, journal(2)?);
    }
}

struct Run {
    segment: Segment,
    ports: Vec<Port>,
    now: Instant,
    sent: u64,
    deliveries: usize,
    frozen: [bool; NODES],
}

impl Run {
    fn new(seed: u64) -> Self {
        Self::starting(seed, now())
    }

    fn starting(seed: u64, now: Instant) -> Self {
        let mut segment = Segment::new(seed);
        segment.keep_journal(usize::MAX);
        let ports = (0..NODES).map(|_| segment.attach()).collect();
        Self {
            segment,
            ports,
            now,
            sent: 0,
            deliveries: 0,
            frozen: [false; NODES],
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let segment = &mut self.segment;
        let ports = &self.ports;
        match step {
            Step::Wait(span) => self.now += span,
            Step::Send { from, to } => {
                let frame = Frame::new(address(from), to, TTL, self.sent.to_be_bytes());
                segment.send(ports[from], frame, self.now);
                self.sent += 1;
            }
            Step::Join(node) => segment.join(ports[node], GROUP),
            Step::Leave(node) => segment.leave(ports[node], GROUP),
            Step::Own(node, address) => segment.add_address(ports[node], address),
            Step::Disown(node, address) => segment.remove_address(ports[node], address),
            Step::Conditions(conditions) => segment.set_conditions(conditions),
            Step::Link(from, to, conditions) => {
                segment.set_link(ports[from], ports[to], conditions);
            }
            Step::Partition(part) => {
                let part: Vec<_> = part.into_iter().map(|node| ports[node]).collect();
                segment.partition(&[&part]);
            }
            Step::Heal => segment.heal(),
            Step::Freeze(node) => {
                segment.freeze(ports[node]);
                self.frozen[node] = true;
            }
            Step::Thaw(node) => {
                segment.thaw(ports[node], self.now);
                self.frozen[node] = false;
            }
            Step::Unplug(node) => segment.unplug(ports[node]),
            Step::Plug(node) => {
                // Where the cable was out, the node comes back reading.
                segment.thaw(ports[node], self.now);
                segment.plug(ports[node]);
                self.frozen[node] = false;
            }
            Step::Crash(node) => segment.crash(ports[node]),
            Step::ReceiveQueue(frames) => segment.set_receive_queue(frames),
        }
        self.drain()
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        while let Some((to, frame)) = self.segment.poll_delivery(self.now) {
            let node = self.ports.iter().position(|port| *port == to).unwrap();
            prop_assert!(!self.frozen[node], "{} does not read", to);
            prop_assert_ne!(frame.source, address(node), "back to the sender");
            self.deliveries += 1;
        }
        let due_at = self.segment.poll_timeout();
        prop_assert!(due_at.is_none_or(|due_at| due_at > self.now));
        Ok(())
    }

    /// Lets everything arrive, and compares it with the journal.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        for node in 0..NODES {
            self.step(Step::Thaw(node))?;
        }
        while let Some(due_at) = self.segment.poll_timeout() {
            self.now = due_at;
            self.drain()?;
        }
        let mut sent_at = BTreeMap::new();
        let mut copies = BTreeMap::<_, usize>::new();
        let mut delivered = 0;
        for record in self.segment.journal() {
            let message = record.frame.message.clone();
            match record.event {
                FrameEvent::Sent => {
                    prop_assert_eq!(sent_at.insert(message, record.at), None);
                }
                FrameEvent::Delivered { to } => {
                    delivered += 1;
                    prop_assert!(record.at >= sent_at[&message]);
                    *copies.entry((message, to)).or_default() += 1;
                }
                FrameEvent::Lost { to, .. } => {
                    prop_assert_ne!(to, record.from);
                    *copies.entry((message, to)).or_default() += 1;
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(sent_at.len() as u64, self.sent);
        prop_assert_eq!(delivered, self.deliveries);
        prop_assert!(copies.values().all(|copies| (1..=2).contains(copies)));
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    let destination = || prop_oneof![2 => Just(GROUP), 1 => node().prop_map(address)];
    prop_oneof![
        8 => millis(50).prop_map(Step::Wait),
        12 => (node(), destination()).prop_map(|(from, to)| Step::Send { from, to }),
        4 => node().prop_map(Step::Join),
        1 => node().prop_map(Step::Leave),
        2 => node().prop_map(|node| Step::Own(node, address(node))),
        1 => node().prop_map(|node| Step::Disown(node, address(node))),
        2 => conditions().prop_map(Step::Conditions),
        1 => (node(), node(), proptest::option::of(conditions()))
            .prop_map(|(from, to, conditions)| Step::Link(from, to, conditions)),
        1 => collection::vec(node(), 0..3).prop_map(Step::Partition),
        1 => Just(Step::Heal),
        2 => node().prop_map(Step::Freeze),
        1 => node().prop_map(Step::Thaw),
        1 => node().prop_map(Step::Unplug),
        2 => node().prop_map(Step::Plug),
        1 => node().prop_map(Step::Crash),
        1 => (0..20_usize).prop_map(Step::ReceiveQueue),
    ]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let probability = || (0..=100_u32).prop_map(Probability::percent);
    (
        millis(20),
        millis(20),
        probability(),
        probability(),
        (probability(), millis(100)),
    )
        .prop_map(
            |(latency, jitter, loss, duplication, (reordering, hold_back))| {
                Conditions::default()
                    .latency(latency)
                    .jitter(jitter)
                    .loss(loss)
                    .duplication(duplication)
                    .reordering(reordering, hold_back)
            },
        )
}

fn millis(longest: u64) -> impl Strategy<Value = Duration> {
    (0..=longest).prop_map(Duration::from_millis)
}

fn address(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(node).unwrap()))
}

#[expect(clippy::disallowed_methods, reason = "any time will do for a start")]
fn now() -> Instant {
    Instant::now()
}
