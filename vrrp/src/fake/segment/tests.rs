use std::net::Ipv4Addr;

use crate::{Family, TTL};

use super::{super::Probability, *};

const MS: Duration = Duration::from_millis(1);

#[test]
fn multicast_goes_to_all_others_that_joined() {
    let mut lan = Net::new(4);
    let [a, b, c, d] = lan.ports();
    for port in [a, b, c] {
        lan.segment.join(port, group());
    }
    lan.segment.leave(c, group());
    lan.segment.leave(d, group());
    lan.send(a, group(), 1, 0);
    assert_eq!(lan.drain(0), [(b, 1)]);
}

#[test]
fn unicast_goes_to_whoever_has_the_address_and_to_both_in_a_conflict() {
    let mut lan = Net::new(3);
    let [a, b, c] = lan.ports();
    lan.segment.add_address(b, address(2));
    lan.send(a, address(2), 1, 0);
    lan.segment.add_address(c, address(2));
    lan.send(a, address(2), 2, 0);
    lan.segment.remove_address(b, address(2));
    lan.send(a, address(2), 3, 0);
    lan.send(a, address(9), 4, 0);
    assert_eq!(lan.drain(0), [(b, 1), (b, 2), (c, 2), (c, 3)]);
}

#[test]
fn latency_of_the_segment_and_of_one_direction_of_a_link() {
    let mut lan = Net::joined(3);
    let [a, b, c] = lan.ports();
    let slow = Conditions::default().latency(5 * MS);
    lan.segment
        .set_conditions(Conditions::default().latency(2 * MS));
    lan.segment.set_link(a, b, Some(slow));
    lan.send(a, group(), 1, 0);
    lan.send(b, group(), 2, 0);
    assert_eq!(lan.segment.poll_timeout(), Some(lan.at(2)));
    assert_eq!(lan.drain(1), []);
    assert_eq!(lan.drain(2), [(c, 1), (a, 2), (c, 2)]);
    assert_eq!(lan.segment.poll_timeout(), Some(lan.at(5)));
    assert_eq!(lan.drain(5), [(b, 1)]);
    lan.segment.set_link(a, b, None);
    lan.send(a, group(), 3, 6);
    assert_eq!(lan.drain(8), [(b, 3), (c, 3)]);
}

#[test]
fn jitter_alone_reorders_nothing() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    lan.segment
        .set_conditions(Conditions::default().jitter(50 * MS));
    for number in 0..100 {
        lan.send(a, group(), number, u64::from(number));
    }
    let expected: Vec<_> = (0..100).map(|number| (b, number)).collect();
    assert_eq!(lan.drain(150), expected);
}

#[test]
fn frames_that_are_held_back_are_overtaken_but_not_lost() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    let conditions = Conditions::default().reordering(Probability::percent(20), 10 * MS);
    lan.segment.set_conditions(conditions);
    for number in 0..100 {
        lan.send(a, group(), number, u64::from(number));
    }
    let arrived = lan.drain(110);
    let mut sorted = arrived.clone();
    sorted.sort_unstable();
    assert_ne!(arrived, sorted);
    assert_eq!(sorted, (0..100).map(|n| (b, n)).collect::<Vec<_>>());
}

#[test]
fn loss_and_duplication_happen_about_as_often_as_asked() {
    let mut lan = Net::joined(2);
    let [a, _] = lan.ports();
    let conditions = Conditions::default()
        .loss(Probability::percent(20))
        .duplication(Probability::percent(10));
    lan.segment.set_conditions(conditions);
    for _ in 0..10_000 {
        lan.send(a, group(), 0, 0);
    }
    let arrived = lan.drain(0).len();
    assert!((8_600..9_000).contains(&arrived), "{arrived} of 8800");
}

#[test]
fn loss_is_drawn_for_each_receiver() {
    let mut lan = Net::joined(3);
    let [a, b, c] = lan.ports();
    let conditions = Conditions::default().loss(Probability::percent(50));
    lan.segment.set_conditions(conditions);
    for number in 0..50 {
        lan.send(a, group(), number, 0);
    }
    let arrived = lan.drain(0);
    let of = |port| -> Vec<_> { arrived.iter().filter(|(to, _)| *to == port).collect() };
    assert_ne!(of(b).len(), 50);
    assert!(
        !of(b)
            .iter()
            .map(|(_, n)| n)
            .eq(of(c).iter().map(|(_, n)| n))
    );
}

#[test]
fn the_same_seed_and_calls_give_the_same_deliveries_and_another_seed_others() {
    let run = |seed| {
        let mut lan = Net::with_seed(seed, 3);
        let [a, b, _] = lan.ports();
        let conditions = Conditions::default()
            .latency(MS)
            .jitter(5 * MS)
            .loss(Probability::percent(10))
            .duplication(Probability::percent(10))
            .reordering(Probability::percent(10), 20 * MS);
        lan.segment.set_conditions(conditions);
        for number in 0..100 {
            lan.send([a, b][usize::from(number % 2)], group(), number, 3);
        }
        lan.drain(100)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn parts_of_a_partition_do_not_hear_one_another_until_it_heals() {
    let mut lan = Net::joined(4);
    let [a, b, c, d] = lan.ports();
    lan.segment.partition(&[&[a, b]]);
    lan.send(a, group(), 1, 0);
    lan.send(c, group(), 2, 0);
    assert_eq!(lan.drain(0), [(b, 1), (d, 2)]);
    lan.segment.partition(&[&[a], &[b, c]]);
    lan.send(a, group(), 3, 0);
    lan.send(c, group(), 4, 0);
    lan.send(d, group(), 5, 0);
    assert_eq!(lan.drain(0), [(b, 4)]);
    lan.segment.heal();
    lan.send(a, group(), 6, 0);
    assert_eq!(lan.drain(0), [(b, 6), (c, 6), (d, 6)]);
}

#[test]
fn what_is_under_way_when_a_partition_starts_still_arrives() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    lan.segment
        .set_conditions(Conditions::default().latency(MS));
    lan.send(a, group(), 1, 0);
    lan.segment.partition(&[&[a], &[b]]);
    assert_eq!(lan.drain(1), [(b, 1)]);
}

#[test]
fn a_frozen_port_gets_what_it_missed_in_order_when_it_thaws_up_to_its_queue() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    lan.segment.set_receive_queue(3);
    lan.segment.keep_journal(100);
    lan.segment
        .set_conditions(Conditions::default().latency(MS));
    lan.segment.freeze(b);
    for number in 1..=4 {
        lan.send(a, group(), number, 0);
    }
    lan.send(a, group(), 5, 5);
    assert_eq!(lan.drain(5), []);
    lan.segment.thaw(b, lan.at(5));
    assert_eq!(lan.segment.poll_timeout(), Some(lan.at(5)));
    assert_eq!(lan.drain(6), [(b, 1), (b, 2), (b, 3), (b, 5)]);
    let full = FrameEvent::Lost {
        to: b,
        because: LossCause::QueueFull,
    };
    let lost: Vec<_> = lan
        .segment
        .journal()
        .filter(|record| record.event == full)
        .map(|record| record.frame.message[0])
        .collect();
    assert_eq!(lost, [4]);
}

#[test]
fn frames_that_fell_due_unseen_before_the_thaw_keep_their_order() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    lan.segment.freeze(b);
    lan.send(a, group(), 1, 0);
    assert_eq!(lan.drain(0), []);
    lan.send(a, group(), 2, 1);
    lan.segment.thaw(b, lan.at(2));
    lan.send(a, group(), 3, 2);
    assert_eq!(lan.drain(2), [(b, 1), (b, 2), (b, 3)]);
}

#[test]
fn thawing_a_port_that_is_not_frozen_changes_nothing() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    lan.send(a, group(), 1, 0);
    lan.segment.thaw(b, lan.at(0));
    assert_eq!(lan.drain(0), [(b, 1)]);
}

#[test]
fn a_pulled_cable_loses_what_is_under_way_and_queued_and_comes_back_as_it_was() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    lan.segment
        .set_conditions(Conditions::default().latency(MS));
    lan.segment.freeze(b);
    lan.send(a, group(), 1, 0);
    assert_eq!(lan.drain(1), []);
    lan.send(a, group(), 2, 1);
    lan.segment.unplug(b);
    lan.send(a, group(), 3, 1);
    lan.send(b, group(), 4, 1);
    lan.segment.plug(b);
    lan.send(a, group(), 5, 1);
    assert_eq!(lan.drain(9), [(b, 5)]);
}

#[test]
fn a_node_that_crashed_comes_back_in_no_group_and_without_address() {
    let mut lan = Net::joined(2);
    let [a, b] = lan.ports();
    lan.segment.add_address(b, address(2));
    lan.segment.crash(b);
    lan.segment.plug(b);
    lan.send(a, group(), 1, 0);
    lan.send(a, address(2), 2, 0);
    assert_eq!(lan.drain(0), []);
    lan.segment.join(b, group());
    lan.send(a, group(), 3, 0);
    assert_eq!(lan.drain(0), [(b, 3)]);
}

#[test]
fn the_journal_says_what_happened_to_every_frame_and_keeps_the_last_ones_only() {
    let mut lan = Net::joined(3);
    let [a, b, c] = lan.ports();
    lan.segment.keep_journal(5);
    let cut = Conditions::default().loss(Probability::ALWAYS);
    lan.segment.set_link(a, c, Some(cut));
    lan.send(a, group(), 1, 0);
    lan.drain(0);
    lan.segment.partition(&[&[a, c], &[b]]);
    lan.send(a, group(), 2, 0);
    let lost = |to, because| FrameEvent::Lost { to, because };
    let events: Vec<_> = lan
        .segment
        .journal()
        .map(|record| (record.frame.message[0], record.event))
        .collect();
    assert_eq!(
        events,
        [
            (1, lost(c, LossCause::Line)),
            (1, FrameEvent::Delivered { to: b }),
            (2, FrameEvent::Sent),
            (2, lost(b, LossCause::Partition)),
            (2, lost(c, LossCause::Line)),
        ]
    );
    lan.segment.keep_journal(0);
    assert_eq!(lan.segment.journal().count(), 0);
}

#[test]
fn a_latency_past_the_end_of_time_loses_the_frame() {
    let mut lan = Net::joined(2);
    let [a, _] = lan.ports();
    lan.segment
        .set_conditions(Conditions::default().latency(Duration::MAX).jitter(MS));
    lan.send(a, group(), 1, 0);
    assert_eq!(lan.segment.poll_timeout(), None);
}

/// A segment, and its time in milliseconds since it was made.
struct Net {
    segment: Segment,
    start: Instant,
}

impl Net {
    fn new(nodes: usize) -> Self {
        let mut segment = Segment::new(0);
        segment.nodes.resize_with(nodes, Node::default);
        #[expect(clippy::disallowed_methods, reason = "any time will do for a start")]
        let start = Instant::now();
        Self { segment, start }
    }

    fn with_seed(seed: u64, nodes: usize) -> Self {
        let mut net = Self::joined(nodes);
        net.segment.random = Random::new(seed);
        net
    }

    /// All are in the group.
    fn joined(nodes: usize) -> Self {
        let mut net = Self::new(nodes);
        for port in 0..nodes {
            net.segment.join(Port(port), group());
        }
        net
    }

    fn ports<const N: usize>(&self) -> [Port; N] {
        assert_eq!(self.segment.nodes.len(), N);
        std::array::from_fn(Port)
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn send(&mut self, from: Port, to: IpAddr, number: u8, millis: u64) {
        let frame = Frame::new(address(1), to, TTL, [number]);
        self.segment.send(from, frame, self.at(millis));
    }

    fn drain(&mut self, millis: u64) -> Vec<(Port, u8)> {
        let now = self.at(millis);
        iter::from_fn(|| self.segment.poll_delivery(now))
            .map(|(to, frame)| (to, frame.message[0]))
            .collect()
    }
}

fn group() -> IpAddr {
    Family::V4.multicast_group()
}

const fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}
