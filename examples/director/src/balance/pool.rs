//! One virtual server: which of its real servers are used.

use std::{fmt, net::IpAddr};

use health::{
    AskedWeight, Decision, Health, Place, PoolConfig, Quorum, QuorumChange, Server, Standing,
    all_must_pass, decide, dynamic_weight,
};
use ipvs::{Table, Weight};

use super::CheckName;
use crate::conf::model::{Destination, RealServer, Script, VirtualServer, VirtualServerName};

/// What a real server is called within its virtual server: as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a name has to say all of it")]
pub struct RealServerName {
    /// Its address.
    pub address: IpAddr,
    /// Its port, if it is written.
    pub port: Option<u16>,
}

impl RealServerName {
    /// The name of a real server.
    #[must_use]
    pub const fn of(server: &RealServer) -> Self {
        Self {
            address: server.destination.address,
            port: server.destination.port,
        }
    }
}

impl fmt::Display for RealServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => self.address.fmt(f),
            Some(port) => std::net::SocketAddr::new(self.address, port).fmt(f),
        }
    }
}

/// Something that has to be told, with the script that is run for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must tell them all")]
pub enum Notice {
    /// A real server came up or went down.
    RealServer {
        /// Of which virtual server.
        virtual_server: VirtualServerName,
        /// Which one.
        real_server: RealServerName,
        /// Whether it came up.
        up: bool,
        /// `notify_up` or `notify_down`.
        script: Option<Script>,
    },
    /// A virtual server gained or lost its quorum.
    Quorum {
        /// Which one.
        virtual_server: VirtualServerName,
        /// Whether it was gained.
        up: bool,
        /// `quorum_up` or `quorum_down`.
        script: Option<Script>,
    },
}

impl Notice {
    /// The script that is run for it, and whose it is.
    #[must_use]
    pub fn script(&self) -> (&VirtualServerName, Option<&Script>) {
        let (Self::RealServer {
            virtual_server,
            script,
            ..
        }
        | Self::Quorum {
            virtual_server,
            script,
            ..
        }) = self;
        (virtual_server, script.as_ref())
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RealServer {
                virtual_server,
                real_server,
                up,
                ..
            } => {
                let word = if *up { "up" } else { "down" };
                write!(
                    f,
                    "Real server {real_server} of VS {virtual_server} is {word}"
                )
            }
            Self::Quorum {
                virtual_server, up, ..
            } => {
                let word = if *up { "Gained" } else { "Lost" };
                write!(f, "{word} quorum for VS {virtual_server}")
            }
        }
    }
}

/// One virtual server and what is known of its real servers.
#[derive(Debug)]
pub(super) struct Pool {
    config: VirtualServer,
    members: Vec<Member>,
    quorum: Quorum,
    decision: Option<Decision>,
}

/// A real server.
#[derive(Debug)]
struct Member {
    name: RealServerName,
    /// What is known by each of its checks; `None` before anything is.
    checks: Vec<Option<Standing>>,
    /// Whether it is up, as it was told last.
    told: Option<bool>,
}

impl Pool {
    /// A virtual server as it begins, or goes on with what an earlier one of its name knows.
    pub(super) fn new(config: VirtualServer, earlier: Option<&Self>) -> Self {
        let members = config.real_servers.iter().map(|server| {
            let name = RealServerName::of(server);
            let known = earlier.and_then(|earlier| earlier.member(&name));
            Member {
                name,
                checks: vec![None; server.checks.len()],
                told: known.and_then(|member| member.told),
            }
        });
        let members = members.collect();
        let quorum = match earlier {
            None => Quorum::at_start(config.quorum, config.alpha),
            Some(earlier) if earlier.config.quorum == config.quorum => earlier.quorum.clone(),
            Some(earlier) => Quorum::after_reload(config.quorum, earlier.alive()),
        };
        Self {
            config,
            members,
            quorum,
            decision: None,
        }
    }

    pub(super) const fn config(&self) -> &VirtualServer {
        &self.config
    }

    /// The names of all its checks.
    pub(super) fn checks(&self) -> impl Iterator<Item = CheckName> {
        self.members.iter().flat_map(|member| {
            (0..member.checks.len()).map(|number| CheckName {
                virtual_server: self.config.name.clone(),
                real_server: member.name,
                number,
            })
        })
    }

    /// Takes what is known of all checks.
    pub(super) fn take(&mut self, standing: impl Fn(&CheckName) -> Option<Standing>) {
        for member in &mut self.members {
            for (number, known) in member.checks.iter_mut().enumerate() {
                *known = standing(&CheckName {
                    virtual_server: self.config.name.clone(),
                    real_server: member.name,
                    number,
                });
            }
        }
    }

    /// Takes what is known of one check.
    pub(super) fn set(&mut self, check: &CheckName, standing: Standing) {
        let mut members = self.members.iter_mut();
        let member = members.find(|member| member.name == check.real_server);
        let known = member.and_then(|member| member.checks.get_mut(check.number));
        if let Some(known) = known {
            *known = Some(standing);
        }
    }

    /// Decides anew, and says what is to be told.
    pub(super) fn judge(&mut self) -> impl Iterator<Item = Notice> + use<> {
        let sorry_server = self.config.sorry_server.as_ref();
        let config = PoolConfig {
            sorry_server: sorry_server.map(|sorry| health::SorryServer {
                inhibit: sorry.inhibit,
            }),
            panic_below_percent: 0,
        };
        let servers = self.servers();
        let decision = decide(&config, &mut self.quorum, &servers);
        let mut notices = Vec::new();
        for (member, server) in self.members.iter_mut().zip(&self.config.real_servers) {
            let up = match member.health() {
                Health::Up => true,
                Health::Down => false,
                Health::Unknown => continue,
            };
            // How it begins is nothing to be told, as with keepalived without `rs_init_notifies`.
            let is_news = member.told.is_some_and(|told| told != up);
            member.told = Some(up);
            if is_news {
                let script = if up {
                    &server.notify_up
                } else {
                    &server.notify_down
                };
                notices.push(Notice::RealServer {
                    virtual_server: self.config.name.clone(),
                    real_server: member.name,
                    up,
                    script: script.clone(),
                });
            }
        }
        notices.extend(decision.quorum.map(|change| self.quorum_notice(change)));
        self.decision = Some(decision);
        notices.into_iter()
    }

    /// What `omega` asks to be told when the virtual server goes.
    pub(super) fn stop(self) -> impl Iterator<Item = Notice> {
        let mut notices = Vec::new();
        if self.config.omega {
            for (member, server) in self.members.iter().zip(&self.config.real_servers) {
                if member.told == Some(true) {
                    notices.push(Notice::RealServer {
                        virtual_server: self.config.name.clone(),
                        real_server: member.name,
                        up: false,
                        script: server.notify_down.clone(),
                    });
                }
            }
        }
        let quorum = self.quorum.at_stop(self.config.omega);
        notices.extend(quorum.map(|change| self.quorum_notice(change)));
        notices.into_iter()
    }

    /// How each real server, and last the sorry server, shall stand in the table.
    pub(super) fn places(&self) -> Vec<Place> {
        let Some(decision) = &self.decision else {
            return Vec::new();
        };
        let sorry_server = std::iter::once(decision.sorry_server);
        decision
            .servers
            .iter()
            .copied()
            .chain(sorry_server)
            .collect()
    }

    /// Adds its services to a table, each with those who are used.
    pub(super) fn add_to(&self, table: &mut Table) {
        let servers = self.config.real_servers.iter();
        let destinations = servers.map(|server| &server.destination);
        let sorry = self
            .config
            .sorry_server
            .iter()
            .map(|sorry| &sorry.destination);
        let places = self.places();
        for service in &self.config.services {
            // The reader of the file has refused what breaks a rule or is there twice.
            drop(table.add_service(*service, self.config.settings(service.family())));
            let all = destinations.clone().chain(sorry.clone());
            for (destination, place) in all.zip(&places) {
                if let Place::Present { weight } = place {
                    let settings = destination.settings.with_weight(kernels(*weight));
                    let endpoint = Destination::endpoint(destination, service);
                    drop(table.add_destination(*service, endpoint, settings));
                }
            }
        }
    }

    fn member(&self, name: &RealServerName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    fn servers(&self) -> Vec<Server> {
        let servers = self.members.iter().zip(&self.config.real_servers);
        servers
            .map(|(member, server)| Server {
                health: member.health(),
                weight: member.weight(server.destination.settings.weight.get()),
                inhibit: server.inhibit_on_failure,
            })
            .collect()
    }

    fn alive(&self) -> u64 {
        let servers = self.servers().into_iter();
        let alive = servers.filter(|server| server.health == Health::Up);
        alive.map(|server| u64::from(server.weight)).sum()
    }

    fn quorum_notice(&self, change: QuorumChange) -> Notice {
        let (up, script) = match change {
            QuorumChange::Up => (true, &self.config.quorum_up),
            QuorumChange::Down => (false, &self.config.quorum_down),
        };
        Notice::Quorum {
            virtual_server: self.config.name.clone(),
            up,
            script: script.clone(),
        }
    }
}

impl Member {
    fn health(&self) -> Health {
        let known = self.checks.iter();
        all_must_pass(known.map(|check| check.map_or(Health::Unknown, |it| it.health)))
    }

    /// Its weight as its checks ask for: the last that sets one sets it, all others change it.
    fn weight(&self, configured: u32) -> u32 {
        let asked = self.checks.iter().flatten().filter_map(|it| it.weight);
        let (mut base, mut changes) = (configured, Vec::new());
        for asked in asked {
            match asked {
                AskedWeight::Exactly(weight) => base = weight,
                AskedWeight::Change(change) => changes.push(change),
            }
        }
        dynamic_weight(base, changes)
    }
}

/// What the health checks make of weights is never more than the kernel takes.
fn kernels(weight: u32) -> Weight {
    Weight::new(weight).unwrap_or(Weight::MAX)
}
