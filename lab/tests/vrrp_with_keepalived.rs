//! Every form of VRRP that keepalived 2.2.7 speaks, through the life of a pair: the better node
//! takes over, stops gracefully, comes back, and is lost. The very same test runs with keepalived
//! and `director` on either side.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use lab::{
    ANNOUNCEMENTS, GRATUITOUS, Pair, Peer, RELEASES, Software, VRRP, pairings, stays, wait_until,
};

pairings!(
    v2_multicast_with_password,
    v2_with_different_passwords,
    v3_multicast,
    v3_unicast,
    v3_multicast_ipv6,
    v3_unicast_ipv6,
);

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
const SECOND_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 101));
const EXCLUDED_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 102));
const LINK_LOCAL_VIP: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100));
const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100));

/// For a daemon to start, and whatever has no bound in the protocol.
const SOON: Duration = Duration::from_secs(10);

/// What a busy machine may add to an interval.
const SLACK: Duration = Duration::from_millis(400);

fn v2_multicast_with_password(a: Software, b: Software) {
    let body = |_, priority| {
        format!(
            "version 2
            priority {priority}
            advert_int 1
            authentication {{
                auth_type PASS
                auth_pass 1111
            }}
            virtual_ipaddress {{
                192.0.2.100/24
                192.0.2.101/24
            }}"
        )
    };
    Life {
        name: "v2",
        body: &body,
        vips: &[VIP, SECOND_VIP],
        interval: millis(1000),
        ttl: 255,
    }
    .live(a, b);
}

fn v3_multicast(a: Software, b: Software) {
    let body = |_, priority| {
        format!(
            "version 3
            priority {priority}
            advert_int 0.1
            virtual_ipaddress {{
                192.0.2.100/24
                192.0.2.101/24
            }}
            virtual_ipaddress_excluded {{
                192.0.2.102/24
            }}"
        )
    };
    let vips = [VIP, SECOND_VIP, EXCLUDED_VIP];
    Life {
        name: "v3",
        body: &body,
        vips: &vips,
        interval: millis(100),
        ttl: 255,
    }
    .live(a, b);
}

fn v3_unicast(a: Software, b: Software) {
    let body = |number, priority| {
        format!(
            "version 3
            priority {priority}
            advert_int 0.1
            unicast_src_ip 192.0.2.{number}
            unicast_peer {{
                192.0.2.{}
            }}
            virtual_ipaddress {{
                192.0.2.100/24
            }}",
            3 - number
        )
    };
    Life {
        name: "v3-unicast",
        body: &body,
        vips: &[VIP],
        interval: millis(100),
        ttl: 255,
    }
    .live(a, b);
}

fn v3_multicast_ipv6(a: Software, b: Software) {
    let body = |_, priority| {
        format!(
            "version 3
            priority {priority}
            advert_int 0.1
            virtual_ipaddress {{
                fe80::100/64
                2001:db8::100/64
            }}"
        )
    };
    let vips = [VIP6, LINK_LOCAL_VIP];
    Life {
        name: "ipv6",
        body: &body,
        vips: &vips,
        interval: millis(100),
        ttl: 255,
    }
    .live(a, b);
}

fn v3_unicast_ipv6(a: Software, b: Software) {
    let body = |number, priority| {
        format!(
            "version 3
            priority {priority}
            advert_int 0.1
            unicast_src_ip 2001:db8::{number}
            unicast_peer {{
                2001:db8::{}
            }}
            virtual_ipaddress {{
                2001:db8::100/64
            }}",
            3 - number
        )
    };
    // keepalived 2.2.7 leaves the hop limit of unicast IPv6 at the system's 64.
    Life {
        name: "ipv6-unicast",
        body: &body,
        vips: &[VIP6],
        interval: millis(100),
        ttl: 64,
    }
    .live(a, b);
}

fn v2_with_different_passwords(a: Software, b: Software) {
    let body = |priority, password| {
        format!(
            "version 2
            priority {priority}
            advert_int 1
            authentication {{
                auth_type PASS
                auth_pass {password}
            }}
            virtual_ipaddress {{
                192.0.2.100/24
            }}"
        )
    };
    let mut pair = Pair::new("password", a, b);
    let _a = pair.a.start(&pair.a.instance(&body(200, "1111")));
    let b = pair.b.start(&pair.b.instance(&body(100, "2222")));

    wait_until("neither heeds the other", SOON, || {
        pair.a.holds(&[VIP]) && pair.b.holds(&[VIP])
    });
    let before = pair.capture.packets(VRRP).len();
    stays(
        "both are master",
        SOON,
        || pair.a.holds(&[VIP]) && pair.b.holds(&[VIP]),
        || pair.capture.packets(VRRP).len() >= before + 8,
    );
    for side in [&pair.a, &pair.b] {
        // keepalived 2.2.7 restarts its advertisement timer at every packet it receives, good or
        // bad, and so is silenced by the other one; director is not.
        let sent = pair.sent_by(side, VRRP).len();
        assert!(
            sent >= 4 || side.software == Software::Keepalived,
            "{side:?} sent {sent}"
        );
    }

    b.reload(&pair.b.instance(&body(100, "1111")));
    pair.wait_for_a(&[VIP], SOON);
    pair.b.wait_for_state("BACKUP", SOON);
    pair.capture.stop();
    pair.capture.assert_flawless(VRRP);
}

/// The life of a pair: `a` has priority 200, `b` has 100.
struct Life<'a> {
    name: &'a str,
    /// What stands in the instance's block on node 1 or 2 with a priority.
    body: &'a dyn Fn(u8, u8) -> String,
    /// The addresses, the one to probe first.
    vips: &'a [IpAddr],
    interval: Duration,
    /// With which keepalived sends; `director` always with 255.
    ttl: u8,
}

impl Life<'_> {
    fn live(&self, a: Software, b: Software) {
        let mut pair = Pair::new(self.name, a, b);
        let a_conf = pair.a.instance(&(self.body)(1, 200));
        let b_conf = pair.b.instance(&(self.body)(2, 100));

        let a = pair.a.start(&a_conf);
        pair.wait_for_a(self.vips, SOON);
        // keepalived does not wait for one script before it starts the next.
        pair.a.wait_for_state("MASTER", SOON);
        let _b = pair.b.start(&b_conf);
        pair.b.wait_for_state("BACKUP", SOON);
        wait_until("a announced each address five times", SOON, || {
            pair.sent_by(&pair.a, GRATUITOUS).len() >= 5 * self.vips.len()
        });

        self.stop(&pair, a);

        // It comes back and preempts.
        let a = pair.a.start(&a_conf);
        pair.wait_for_a(self.vips, SOON);
        pair.a.wait_for_state("MASTER", SOON);
        pair.b.wait_for_state("BACKUP", SOON);

        self.crash(&pair, a);

        pair.capture.stop();
        self.assert_flawless(&pair);
        assert_eq!(
            pair.a.notifications.states_of("VI_1"),
            ["BACKUP", "MASTER", "STOP", "BACKUP", "MASTER"]
        );
        assert_eq!(
            pair.b.notifications.states_of("VI_1"),
            ["BACKUP", "MASTER", "BACKUP", "MASTER"]
        );
    }

    /// `a` says that it goes, and `b` follows after its skew.
    fn stop(&self, pair: &Pair, mut a: Peer) {
        let prober = pair.probe(self.first_vip());
        a.begin_stop();
        pair.wait_for_b(self.vips, SOON);
        prober.wait_for_answers();
        let seen = prober.stop();
        assert!(a.wait(SOON).success(), "a stopped well");

        assert!(
            seen.longest_gap < self.skew() + SLACK,
            "graceful stop: {seen:?}"
        );
        assert_eq!(
            pair.sent_by(&pair.a, RELEASES).len(),
            1,
            "it releases exactly once"
        );
        pair.b.wait_for_state("MASTER", SOON);
    }

    /// `a` vanishes without a word, and `b` follows after its master down interval.
    fn crash(&self, pair: &Pair, mut a: Peer) {
        let prober = pair.probe(self.first_vip());
        a.crash();
        pair.a.cable.cut();
        wait_until("b holds the addresses", SOON, || pair.b.holds(self.vips));
        prober.wait_for_answers();
        let seen = prober.stop();

        let bound = 3 * self.interval + self.skew();
        assert!(seen.longest_gap < bound + SLACK, "crash: {seen:?}");
        // What the client sees can be shorter: a's kernel answers until the cable is cut.
        let silence = pair.silence_before_takeover();
        assert!(silence > 2 * self.interval, "crash: too early: {silence:?}");
        assert_eq!(
            pair.sent_by(&pair.a, RELEASES).len(),
            1,
            "a crash releases nothing"
        );
        pair.b.wait_for_state("MASTER", SOON);
    }

    fn assert_flawless(&self, pair: &Pair) {
        pair.capture.assert_flawless(ANNOUNCEMENTS);
        for side in [&pair.a, &pair.b] {
            let ttl = if side.software == Software::Keepalived {
                self.ttl
            } else {
                255
            };
            let adverts = pair.sent_by(side, VRRP);
            assert!(!adverts.is_empty());
            for mut advert in adverts {
                // What tcpdump remarks beside any but 255.
                advert.text = advert.text.replacen(&format!("(ttl {ttl})"), "", 1);
                assert!(!advert.is_faulty(), "tcpdump finds fault with {advert:?}");
            }
        }
    }

    fn first_vip(&self) -> IpAddr {
        *self.vips.first().expect("every life has an address")
    }

    /// Of priority 100.
    fn skew(&self) -> Duration {
        self.interval * 156 / 256
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
