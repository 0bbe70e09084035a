//! A balancer under test, and the configuration most tests use.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use director::{
    balance::{Action, Balancer, CheckName, NoSuchServer, Notice, Output, Selection},
    conf::{MemoryEnvironment, Options, load, model::Config},
};
use health::{CheckConfig, Health, Standing};
use ipvs::{
    Timeouts,
    text::{Dialect, Names, save},
};

const PATH: &str = "/etc/keepalived/keepalived.conf";

pub(super) fn config(text: &str) -> Config {
    let machine = MemoryEnvironment::with_file(PATH, text);
    let loaded = load(PATH, &machine, &Options::default()).unwrap();
    loaded
        .config
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// A virtual server with two real servers that are checked, and more.
pub(super) fn web(more: &str) -> Config {
    config(&format!(
        "virtual_server 10.1.0.100 80 {{\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n {more}\n \
         real_server 10.0.0.1 8080 {{\n weight 1\n notify_up /bin/up\n notify_down /bin/down\n \
         TCP_CHECK {{\n }}\n }}\n \
         real_server 10.0.0.2 8080 {{\n weight 2\n TCP_CHECK {{\n }}\n }}\n}}\n"
    ))
}

/// All checks of a configuration, with the health that they begin with.
fn checks(config: &Config) -> BTreeMap<CheckName, Health> {
    let mut checks = BTreeMap::new();
    for virtual_server in &config.virtual_servers {
        for server in &virtual_server.real_servers {
            for (number, check) in server.checks.iter().enumerate() {
                let name = CheckName {
                    virtual_server: virtual_server.name.clone(),
                    real_server: director::balance::RealServerName::of(server),
                    number,
                };
                checks.insert(name, begins(&check.config));
            }
        }
    }
    checks
}

fn begins(config: &CheckConfig) -> Health {
    use health::Initial;
    match config.initial {
        Initial::AssumedUp | Initial::Up => Health::Up,
        Initial::Down => Health::Down,
        Initial::Unknown => Health::Unknown,
    }
}

pub(super) struct Rig {
    pub(super) balancer: Balancer,
    pub(super) now: Instant,
    pub(super) checks: BTreeMap<CheckName, Health>,
    /// What was told at the start.
    pub(super) at_start: Vec<String>,
    /// What was told since.
    pub(super) notices: Vec<String>,
    pub(super) tables: usize,
    pub(super) resting: BTreeSet<CheckName>,
    pub(super) probed: Vec<CheckName>,
}

impl Rig {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to begin with"
    )]
    pub(super) fn new(config: &Config) -> Self {
        let mut rig = Self {
            balancer: Balancer::new(Timeouts::default()),
            now: Instant::now(),
            checks: BTreeMap::new(),
            at_start: Vec::new(),
            notices: Vec::new(),
            tables: 0,
            resting: BTreeSet::new(),
            probed: Vec::new(),
        };
        rig.configure(config);
        rig.at_start = std::mem::take(&mut rig.notices);
        rig
    }

    pub(super) fn configure(&mut self, config: &Config) {
        let mut checks = checks(config);
        for (name, health) in &mut checks {
            *health = self.checks.get(name).copied().unwrap_or(*health);
        }
        self.checks = checks;
        let checks = &self.checks;
        let standing = |name: &CheckName| checks.get(name).map(|health| Standing::new(*health));
        self.balancer.configure(config, standing, self.now);
        self.drain();
    }

    /// The nth check, in the order of the addresses, has that health.
    pub(super) fn check(&mut self, nth: usize, health: Health) {
        let (name, known) = self.checks.iter_mut().nth(nth).unwrap();
        *known = health;
        let name = name.clone();
        self.balancer
            .on_check(&name, Standing::new(health), self.now);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.balancer.poll_output() {
            match output {
                Output::Table => self.tables += 1,
                Output::Notice(notice) => self.notices.push(told(notice)),
                Output::Cut(_) => {}
                Output::Suspend(checks) => {
                    for check in checks {
                        assert!(self.resting.insert(check), "it rested already");
                    }
                }
                Output::Probe(checks) => self.probed.extend(checks),
                Output::Unnamed {
                    server,
                    order,
                    kept,
                } => {
                    let fate = if kept { "kept" } else { "forgotten" };
                    self.notices.push(format!("{server} {order} {fate}"));
                }
                Output::Resume(checks) => {
                    for check in checks {
                        assert!(self.resting.remove(&check), "it did not rest");
                    }
                }
            }
        }
    }

    /// An operator does something with `ADDRESS[:PORT]`, of one virtual server or of all.
    pub(super) fn act(
        &mut self,
        server: &str,
        of: Option<&str>,
        action: Action,
    ) -> Result<usize, NoSuchServer> {
        let which = Selection {
            real_server: server.parse().unwrap(),
            virtual_server: of.map(str::to_owned),
        };
        let done = self.balancer.act(&which, action, self.now);
        self.drain();
        Ok(done?.len())
    }

    /// Time passes, as a driver lets it.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.balancer.poll_timeout().filter(|at| *at <= end) {
            assert!(at > self.now, "time stands still");
            self.now = at;
            self.balancer.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    /// This machine has these addresses now.
    pub(super) fn hold(&mut self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let addresses: BTreeSet<IpAddr> = addresses.collect();
        self.balancer.on_addresses(addresses);
        self.drain();
    }

    /// The table as ipvsadm would save it.
    pub(super) fn table(&self) -> String {
        save(&self.balancer.table(), Dialect::Ipvsadm, &Names::default())
    }
}

pub(super) fn told(notice: Notice) -> String {
    let (what, up, script) = match notice {
        Notice::RealServer {
            real_server,
            up,
            script,
            ..
        } => (real_server.to_string(), up, script),
        Notice::Quorum { up, script, .. } => ("quorum".to_owned(), up, script),
    };
    let script = script.map(|script| format!(" {}", script.argv.join(" ")));
    format!(
        "{what} {}{}",
        if up { "up" } else { "down" },
        script.unwrap_or_default()
    )
}

pub(super) const ONE: &str = "-a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m -w 1\n";
pub(super) const TWO: &str = "-a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m -w 2\n";
pub(super) const SERVICE: &str = "-A -t 10.1.0.100:80 -s rr\n";
