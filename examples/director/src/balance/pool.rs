//! One virtual server: which of its real servers are used.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use health::{Health, Place, PoolConfig, QuorumChange, Standing};
use ipvs::{Endpoint, Service, ServiceKey, Table, Weight};

use super::{
    Action, CheckName, Done, MemberName, MemberView, Notice, Order, PoolView, Ramp, RealServerName,
    Selection,
    member::Member,
    quorums::{Quorums, Servers},
};
use crate::conf::model::{Destination, VirtualServer};

/// One virtual server and what is known of its real servers.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    config: Arc<VirtualServer>,
    members: Vec<Member>,
    quorums: Quorums,
    /// How each real server, and last the sorry server, shall stand in the table; empty before
    /// anything is decided.
    places: Vec<Place>,
    /// When a weight grows.
    next_step_at: Option<Instant>,
    /// Its part of the table, as it was decided last.
    services: BTreeMap<ServiceKey, Arc<Service>>,
}

impl Pool {
    /// A virtual server as it begins, or goes on with what an earlier one of its name knows.
    /// What is ordered for its real servers says `ordered`.
    pub(super) fn new(
        config: Arc<VirtualServer>,
        earlier: Option<&Self>,
        mut ordered: impl FnMut(&MemberName) -> Order,
    ) -> Self {
        let members = config.real_servers.iter().map(|server| {
            let name = RealServerName::of(server);
            let known = earlier.and_then(|earlier| earlier.member(&name));
            Member {
                name,
                checks: vec![None; server.checks.len()],
                told: known.and_then(|member| member.told),
                was_usable: known.and_then(|member| member.was_usable),
                ramp: known.and_then(|member| {
                    let (ramp, span) = (member.ramp?, server.slow_start?);
                    Some(Ramp { span, ..ramp })
                }),
                order: ordered(&MemberName {
                    virtual_server: config.name.clone(),
                    real_server: name,
                }),
            }
        });
        let members = members.collect();
        let quorums = match earlier {
            None => Quorums::at_start(config.quorum, config.alpha),
            Some(earlier) => earlier
                .quorums
                .after_reload(config.quorum, &earlier.servers()),
        };
        Self {
            config,
            members,
            quorums,
            places: Vec::new(),
            next_step_at: None,
            services: BTreeMap::new(),
        }
    }

    pub(super) fn config(&self) -> &Arc<VirtualServer> {
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

    /// The names of its real servers.
    pub(super) fn members(&self) -> impl Iterator<Item = MemberName> {
        self.members.iter().map(|member| self.name_of(member))
    }

    /// Where the real servers that are meant stand in the table, or would stand.
    pub(super) fn entries_of(
        &self,
        which: &Selection,
    ) -> impl Iterator<Item = (ServiceKey, Endpoint)> {
        let servers = self.config.real_servers.iter();
        let meant = servers.filter(|server| which.means_server(&self.config, server));
        meant.flat_map(|server| {
            let services = self.config.services.iter();
            services.map(|service| (*service, server.destination.endpoint(service)))
        })
    }

    /// The orders in force for its real servers.
    pub(super) fn orders(&self) -> impl Iterator<Item = (MemberName, Order)> {
        let members = self.members.iter().filter(|member| !member.order.is_none());
        members.map(|member| (self.name_of(member), member.order))
    }

    /// Does as an operator says with the real servers that are meant. Whether their checks rest is
    /// told with it.
    pub(super) fn act(
        &mut self,
        which: &Selection,
        action: Action,
        checks_rest: bool,
    ) -> impl Iterator<Item = Done> + use<> {
        let mut done = Vec::new();
        for (member, server) in self.members.iter_mut().zip(&self.config.real_servers) {
            if which.means_server(&self.config, server) {
                let from = member.order;
                member.order = from.after(action);
                done.push(Done {
                    server: MemberName {
                        virtual_server: self.config.name.clone(),
                        real_server: member.name,
                    },
                    action,
                    from,
                    to: member.order,
                    checks: member.checks.len(),
                    checks_rest,
                });
            }
        }
        done.into_iter()
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

    /// Decides anew, and says what is to be told; of a server that begins as one that is up only if
    /// `rs_init_notifies`.
    pub(super) fn judge(
        &mut self,
        rs_init_notifies: bool,
        now: Instant,
    ) -> impl Iterator<Item = Notice> + use<> {
        let sorry_server = self.config.sorry_server.as_ref();
        let config = PoolConfig {
            sorry_server: sorry_server.map(|sorry| health::SorryServer {
                inhibit: sorry.inhibit,
            }),
            panic_below_percent: 0,
        };
        let servers = self.servers();
        let decision = self.quorums.decide(&config, &servers);
        let mut notices = Vec::new();
        for (member, server) in self.members.iter_mut().zip(&self.config.real_servers) {
            let up = match member.health() {
                Health::Up => true,
                Health::Down => false,
                Health::Unknown => continue,
            };
            let is_news = match member.told {
                Some(told) => told != up,
                None => up && rs_init_notifies,
            };
            member.told = Some(up);
            if is_news {
                let script = if up {
                    &server.notify_up
                } else {
                    &server.notify_down
                };
                notices.push(Notice::RealServer {
                    virtual_server: self.config.name.clone(),
                    protocol: self.config.protocol(),
                    real_server: member.name,
                    up,
                    script: script.clone(),
                });
            }
        }
        notices.extend(decision.quorum.map(|change| self.quorum_notice(change)));
        let mut places = decision.servers;
        self.ramp_up(&servers, &mut places, now);
        places.push(decision.sorry_server);
        if self.places != places {
            self.places = places;
            self.services = self.decided();
        }
        notices.into_iter()
    }

    /// What `omega` asks to be told when the virtual server goes.
    pub(super) fn stop(&self) -> impl Iterator<Item = Notice> + use<> {
        let mut notices = Vec::new();
        if self.config.omega {
            for (member, server) in self.members.iter().zip(&self.config.real_servers) {
                if member.told == Some(true) {
                    notices.push(Notice::RealServer {
                        virtual_server: self.config.name.clone(),
                        protocol: self.config.protocol(),
                        real_server: member.name,
                        up: false,
                        script: server.notify_down.clone(),
                    });
                }
            }
        }
        let quorum = self.quorums.at_stop(self.config.omega);
        notices.extend(quorum.map(|change| self.quorum_notice(change)));
        notices.into_iter()
    }

    /// Has the weights grow of those that have come back.
    fn ramp_up(&mut self, servers: &Servers, places: &mut [Place], now: Instant) {
        self.next_step_at = None;
        let configured = self.config.real_servers.iter().zip(servers.as_ordered());
        for ((member, (config, server)), place) in
            self.members.iter_mut().zip(configured).zip(places)
        {
            member.ramp_up(config, *server, now);
            let Some(ramp) = member.ramp else { continue };
            if let Place::Present { weight } = place {
                *weight = ramp.weight(*weight, now);
            }
            let step = ramp.next_step_at(now);
            if step.is_none() {
                member.ramp = None;
            }
            self.next_step_at = self.next_step_at.into_iter().chain(step).min();
        }
    }

    /// When to judge anew, because a weight grows.
    pub(super) const fn next_step_at(&self) -> Option<Instant> {
        self.next_step_at
    }

    /// How each real server, and last the sorry server, shall stand in the table.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// How it stands.
    pub(super) fn view(&self, is_suspended: bool) -> PoolView {
        let servers = self.servers();
        let members = self
            .members
            .iter()
            .zip(&servers.unordered)
            .zip(&self.places);
        PoolView {
            config: Arc::clone(&self.config),
            has_quorum: self.quorums.is_up(),
            alive: servers.alive(),
            sorry_server: self.places.last().copied().unwrap_or(Place::Absent),
            members: members
                .map(|((member, server), place)| MemberView {
                    health: server.health,
                    weight: server.weight,
                    order: member.order,
                    ramp: member.ramp,
                    place: *place,
                })
                .collect(),
            is_suspended,
        }
    }

    /// Its services, each with those who are used.
    pub(super) const fn services(&self) -> &BTreeMap<ServiceKey, Arc<Service>> {
        &self.services
    }

    fn decided(&self) -> BTreeMap<ServiceKey, Arc<Service>> {
        let mut table = Table::default();
        let servers = self.config.real_servers.iter();
        let destinations = servers.map(|server| &server.destination);
        let sorry = self
            .config
            .sorry_server
            .iter()
            .map(|sorry| &sorry.destination);
        for service in &self.config.services {
            // The reader of the file has refused what breaks a rule or is there twice.
            drop(table.add_service(*service, self.config.settings(service.family())));
            let all = destinations.clone().chain(sorry.clone());
            for (destination, place) in all.zip(&self.places) {
                if let Place::Present { weight } = place {
                    let settings = destination.settings.with_weight(kernels(*weight));
                    let endpoint = Destination::endpoint(destination, service);
                    drop(table.add_destination(*service, endpoint, settings));
                }
            }
        }
        table.services
    }

    fn name_of(&self, member: &Member) -> MemberName {
        MemberName {
            virtual_server: self.config.name.clone(),
            real_server: member.name,
        }
    }

    fn member(&self, name: &RealServerName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    fn servers(&self) -> Servers {
        let servers = self.members.iter().zip(&self.config.real_servers);
        let unordered: Vec<_> = servers
            .map(|(member, server)| member.server(server))
            .collect();
        let orders = self.members.iter().map(|member| member.order);
        let any = self.members.iter().any(|member| !member.order.is_none());
        let ordered = any.then(|| {
            let servers = unordered.iter().zip(orders);
            servers
                .map(|(server, order)| order.applied_to(*server))
                .collect()
        });
        Servers { unordered, ordered }
    }

    fn quorum_notice(&self, change: QuorumChange) -> Notice {
        let (up, script) = match change {
            QuorumChange::Up => (true, &self.config.quorum_up),
            QuorumChange::Down => (false, &self.config.quorum_down),
        };
        Notice::Quorum {
            virtual_server: self.config.name.clone(),
            protocol: self.config.protocol(),
            up,
            script: script.clone(),
        }
    }
}

/// What the health checks make of weights is never more than the kernel takes.
fn kernels(weight: u32) -> Weight {
    Weight::new(weight).unwrap_or(Weight::MAX)
}
