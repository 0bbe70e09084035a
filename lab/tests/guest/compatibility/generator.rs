//! Configurations of load balancing as a value: the same seed, the same file.

use std::fmt::{self, Write as _};

/// The port on which the nodes of the judge answer, at every address. All others refuse.
pub(super) const ANSWERING: u16 = 8080;

/// One file, and what its checks come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Configuration {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) checks: Checks,
}

/// How many checks there are, by what they change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checks {
    /// Those that fail, of real servers that are taken for up at first.
    pub(super) falls: usize,
    /// Those that fail, of real servers that are down at first.
    pub(super) stay_down: usize,
    /// Those that succeed, of real servers that are down at first.
    pub(super) rise: usize,
}

/// A configuration of one to four virtual servers; no other seed below 256 gives one with the same
/// addresses and marks.
///
/// What `docs/differences-from-keepalived.md` lists does not occur in them. Those that are the
/// first of a chain have what keepalived takes over at its start alone.
pub(super) fn generate(seed: u8, is_first: bool) -> Configuration {
    let mut file = File {
        seed,
        draw: Draw(seed.into()),
        is_first,
        configuration: Configuration {
            name: format!("seed {seed}"),
            ..Configuration::default()
        },
    };
    let servers = 1 + file.draw.below(4);
    if is_first {
        file.globals();
    }
    for number in 1..=servers {
        file.virtual_server(number);
    }
    file.configuration
}

struct File {
    seed: u8,
    is_first: bool,
    draw: Draw,
    configuration: Configuration,
}

/// What a virtual server's real servers have to know of it.
#[derive(Debug, Clone, Copy)]
struct Service {
    is_v6: bool,
    /// `None`: every port, or a mark.
    port: Option<u16>,
    /// Real servers behind NAT can have another port.
    is_masqueraded: bool,
    alpha: bool,
    number: u64,
}

impl File {
    fn line(&mut self, depth: usize, line: fmt::Arguments<'_>) {
        let text = &mut self.configuration.text;
        writeln!(text, "{:1$}{line}", "", 4 * depth).expect("a string takes everything");
    }

    fn globals(&mut self) {
        self.line(0, format_args!("global_defs {{"));
        if self.draw.one_in(2) {
            let [tcp, fin, udp] = [900, 120, 300].map(|most| 1 + self.draw.below(most));
            let words = match self.draw.below(4) {
                0 => format!("tcp {tcp}"),
                1 => format!("tcpfin {fin} udp {udp}"),
                _ => format!("tcp {tcp} tcpfin {fin} udp {udp}"),
            };
            self.line(1, format_args!("lvs_timeouts {words}"));
        }
        if self.draw.one_in(2) {
            let id = self.draw.below(256);
            let rest = self.draw.pick(&[
                "",
                " maxlen 1400",
                " port 8850 ttl 3 group 224.0.0.90",
                " ttl 2",
            ]);
            self.line(1, format_args!("lvs_sync_daemon eth0 id {id}{rest}"));
        }
        self.line(0, format_args!("}}"));
    }

    fn virtual_server(&mut self, number: u64) {
        let protocol = *self.draw.pick(&["TCP", "TCP", "TCP", "UDP", "UDP", "SCTP"]);
        let is_v6 = self.draw.one_in(3);
        let port = *self.draw.pick(&[80, 443, 53, 5060]);
        let kind = self.draw.below(8);
        let every_port = kind == 0;
        let is_mark = kind == 1;
        let heading = match kind {
            0 => format!("{} 0", self.address(is_v6, 1, number)),
            1 => format!("fwmark {}", self.mark(number)),
            2 | 3 => {
                self.group(number, is_v6, port, kind == 3);
                format!("group web{number}")
            }
            _ => format!("{} {port}", self.address(is_v6, 1, number)),
        };
        self.line(0, format_args!("virtual_server {heading} {{"));
        if kind == 1 || self.draw.one_in(8) {
            // Says it of marks whose real servers leave it open, and confirms it of addresses.
            let family = if is_v6 { "inet6" } else { "inet" };
            self.line(1, format_args!("ip_family {family}"));
        }
        self.line(1, format_args!("delay_loop 60\n    warmup 0"));
        if !is_mark {
            self.line(1, format_args!("protocol {protocol}"));
        }
        self.scheduling(protocol, is_mark);
        let kind = self.forwarding();
        let is_group = heading.starts_with("group");
        self.persistence(protocol, is_v6, every_port, !is_group);
        let service = Service {
            is_v6,
            port: (!every_port && !is_mark).then_some(port),
            is_masqueraded: kind == "NAT",
            alpha: self.availability(number, is_v6),
            number,
        };
        for server in 1..=1 + self.draw.below(5) {
            self.real_server(service, server);
        }
        self.line(0, format_args!("}}"));
    }

    fn group(&mut self, number: u64, is_v6: bool, port: u16, has_mark: bool) {
        self.line(0, format_args!("virtual_server_group web{number} {{"));
        let base = self.address(is_v6, 1, 10 * number);
        if self.draw.one_in(2) {
            let single = self.address(is_v6, 3, number);
            let port = port + u16::from(self.draw.one_in(2));
            self.line(1, format_args!("{single} {port}"));
        }
        if is_v6 {
            // The last field is one of hexadecimal digits on both sides.
            self.line(1, format_args!("{base}-{:x} {port}", 10 * number + 3));
        } else {
            self.line(1, format_args!("{base}-{} {port}", 10 * number + 3));
        }
        if has_mark {
            let mark = self.mark(number);
            self.line(1, format_args!("fwmark {mark}"));
        }
        self.line(0, format_args!("}}"));
    }

    fn scheduling(&mut self, protocol: &str, is_mark: bool) {
        const SCHEDULERS: [&str; 13] = [
            "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq",
        ];
        let keyword = *self.draw.pick(&["lb_algo", "lvs_sched"]);
        let scheduler = *self.draw.pick(&SCHEDULERS);
        self.line(1, format_args!("{keyword} {scheduler}"));
        if ["sh", "mh"].contains(&scheduler) {
            if self.draw.one_in(2) {
                self.line(1, format_args!("{scheduler}-fallback"));
            }
            if self.draw.one_in(2) {
                self.line(1, format_args!("{scheduler}-port"));
            }
        } else if self.draw.one_in(6) {
            let flag = 1 + self.draw.below(3);
            self.line(1, format_args!("flag-{flag}"));
        }
        if (protocol == "UDP" || is_mark) && self.draw.one_in(4) {
            self.line(1, format_args!("ops"));
        }
    }

    fn forwarding(&mut self) -> &'static str {
        const KINDS: [&str; 8] = [
            "NAT",
            "NAT",
            "DR",
            "DR",
            "TUN",
            "TUN type ipip",
            "TUN type gue port 6080",
            "TUN type gre csum",
        ];
        let keyword = *self.draw.pick(&["lb_kind", "lvs_method"]);
        let kind = *self.draw.pick(&KINDS);
        self.line(1, format_args!("{keyword} {kind}"));
        kind
    }

    fn persistence(&mut self, protocol: &str, is_v6: bool, must: bool, masks: bool) {
        if !must && !self.draw.one_in(3) {
            return;
        }
        let timeout = match self.draw.below(3) {
            0 => String::new(),
            _ => format!(" {}", 1 + self.draw.below(3600)),
        };
        self.line(1, format_args!("persistence_timeout{timeout}"));
        if masks && self.draw.one_in(2) {
            let mask = match (is_v6, self.draw.one_in(2)) {
                (false, false) => "255.255.255.0",
                (false, true) => "255.255.255.255",
                (true, false) => "64",
                (true, true) => "128",
            };
            self.line(1, format_args!("persistence_granularity {mask}"));
        }
        if protocol == "UDP" && self.draw.one_in(4) {
            self.line(1, format_args!("persistence_engine sip"));
        }
    }

    /// Says whether real servers are down until a check has succeeded.
    fn availability(&mut self, number: u64, is_v6: bool) -> bool {
        let alpha = self.draw.one_in(4);
        if alpha {
            self.line(1, format_args!("alpha"));
        }
        if self.draw.one_in(5) {
            self.line(1, format_args!("omega"));
        }
        if self.draw.one_in(5) {
            self.line(1, format_args!("inhibit_on_failure"));
        }
        if self.draw.one_in(3) {
            let quorum = 1 + self.draw.below(6);
            self.line(1, format_args!("quorum {quorum}"));
            if self.is_first && self.draw.one_in(2) {
                let hysteresis = self.draw.below(quorum);
                self.line(1, format_args!("hysteresis {hysteresis}"));
            }
        }
        if self.draw.one_in(3) {
            let sorry = self.address(is_v6, 4, number);
            self.line(1, format_args!("sorry_server {sorry} 80"));
            if self.draw.one_in(3) {
                self.line(1, format_args!("sorry_server_inhibit"));
            }
            if self.draw.one_in(4) {
                let kind = *self.draw.pick(&["NAT", "DR", "TUN"]);
                self.line(1, format_args!("sorry_server_lvs_method {kind}"));
            }
        }
        alpha
    }

    fn real_server(&mut self, service: Service, server: u64) {
        let address = self.address(service.is_v6, 2, 10 * service.number + server);
        let port = match service.port {
            Some(_) if service.is_masqueraded && self.draw.one_in(2) => " 8000".to_owned(),
            Some(port) if self.draw.one_in(2) => format!(" {port}"),
            _ => String::new(),
        };
        self.line(1, format_args!("real_server {address}{port} {{"));
        if !self.draw.one_in(4) {
            let weight = match self.draw.below(5) {
                0 => 0,
                1 => self.draw.below(65_536),
                _ => 1 + self.draw.below(10),
            };
            self.line(2, format_args!("weight {weight}"));
        }
        if self.draw.one_in(6) {
            let upper = 2 + self.draw.below(1000);
            self.line(2, format_args!("uthreshold {upper}"));
            if self.draw.one_in(2) {
                let lower = 1 + self.draw.below(upper - 1);
                self.line(2, format_args!("lthreshold {lower}"));
            }
        }
        if self.draw.one_in(8) {
            self.line(2, format_args!("inhibit_on_failure"));
        }
        if self.draw.one_in(8) {
            let kind = *self.draw.pick(&["NAT", "DR", "TUN"]);
            self.line(2, format_args!("lvs_method {kind}"));
        }
        match self.draw.below(4) {
            0 => self.check(service, true),
            1 => self.check(service, false),
            2 if self.draw.one_in(3) => {
                self.check(service, true);
                self.check(service, false);
            }
            _ => {}
        }
        self.line(1, format_args!("}}"));
    }

    fn check(&mut self, service: Service, succeeds: bool) {
        let port = ANSWERING + u16::from(!succeeds);
        self.line(
            2,
            format_args!(
                "TCP_CHECK {{\n            connect_port {port}\n            retry 0\n        }}"
            ),
        );
        let count = &mut self.configuration.checks;
        match (service.alpha, succeeds) {
            (false, true) => {}
            (false, false) => count.falls += 1,
            (true, true) => count.rise += 1,
            (true, false) => count.stay_down += 1,
        }
    }

    /// An address of one of a few networks of IPv4 or IPv6.
    fn address(&self, is_v6: bool, network: u8, host: u64) -> String {
        let seed = self.seed;
        match is_v6 {
            true => format!("2001:db8:{network}:{seed}::{host:x}"),
            false => format!("10.{network}.{seed}.{host}"),
        }
    }

    fn mark(&self, number: u64) -> u64 {
        100 * u64::from(self.seed) + number
    }
}

/// Pseudo-random numbers: SplitMix64.
#[derive(Debug)]
struct Draw(u64);

impl Draw {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(of.len() as u64)).expect("it is small");
        of.get(index).expect("an index of it")
    }
}
