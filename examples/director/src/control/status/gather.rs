//! What is known of virtual servers, brought together: the configuration, the checks, the orders,
//! and what the kernel has.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use health::{CheckReport, Health, Place};
use ipvs::{Change, Counts, Endpoint, ServiceKey, Snapshot, TableStatus};

use super::{
    balancing::{Check, InKernel, Probe, RealServer, Service, SorryServer, VirtualServer},
    because, millis,
};
use crate::{
    balance::{CheckName, MemberView, PoolView, RealServerName},
    conf::model::{self, Destination},
    log::chain,
};

/// What is known of load balancing at one moment.
#[derive(Debug)]
pub(crate) struct Known {
    /// The virtual servers, in the order of the file.
    pub(crate) pools: Vec<PoolView>,
    /// How each check stands.
    pub(crate) reports: Vec<CheckReport<CheckName, health::Check>>,
    /// How the keeping of the table stands.
    pub(crate) table: TableStatus,
    /// When that was.
    pub(crate) at: Instant,
}

impl Known {
    /// The state of all virtual servers. `kernel` is what the kernel has, if it tells.
    pub(crate) fn virtual_servers(&self, kernel: Option<&Snapshot>) -> Vec<VirtualServer> {
        let sight = Sight {
            at: self.at,
            reports: self
                .reports
                .iter()
                .flat_map(|report| report.services.iter().map(move |check| (check, report)))
                .collect(),
            kernel: kernel.map(destinations),
            leaving: self
                .table
                .leaving
                .iter()
                .map(|it| (it.service, it.destination))
                .collect(),
            refused: refused(&self.table),
        };
        self.pools
            .iter()
            .map(|pool| sight.virtual_server(pool))
            .collect()
    }
}

/// The same, by what it is looked up by.
struct Sight<'a> {
    at: Instant,
    reports: BTreeMap<&'a CheckName, &'a CheckReport<CheckName, health::Check>>,
    /// `None` if the kernel cannot be asked.
    kernel: Option<Weights>,
    leaving: BTreeSet<(ServiceKey, Endpoint)>,
    /// Of a service, or of one of its destinations.
    refused: BTreeMap<(ServiceKey, Option<Endpoint>), Vec<String>>,
}

/// The weights and connections of all destinations, by their services.
type Weights = BTreeMap<ServiceKey, BTreeMap<Endpoint, (u32, Counts)>>;

fn destinations(snapshot: &Snapshot) -> Weights {
    let services = snapshot.services.iter().map(|service| {
        let destinations = service.destinations.iter();
        let destinations = destinations.map(|it| (it.key, (it.settings.weight.get(), it.counts)));
        (service.key, destinations.collect())
    });
    services.collect()
}

fn refused(table: &TableStatus) -> BTreeMap<(ServiceKey, Option<Endpoint>), Vec<String>> {
    let mut refused = BTreeMap::<_, Vec<_>>::new();
    for refusal in &table.refused {
        let of = match &refusal.change {
            Change::AddService { service, .. }
            | Change::SetService { service, .. }
            | Change::RemoveService { service } => (*service, None),
            Change::AddDestination {
                service,
                destination,
                ..
            }
            | Change::SetDestination {
                service,
                destination,
                ..
            }
            | Change::RemoveDestination {
                service,
                destination,
            } => (*service, Some(*destination)),
            Change::SetTimeouts(_)
            | Change::StartDaemon(_)
            | Change::StopDaemon(_)
            | Change::Zero(_)
            | Change::Flush
            | _ => continue,
        };
        refused.entry(of).or_default().push(chain(refusal));
    }
    refused
}

impl Sight<'_> {
    fn virtual_server(&self, pool: &PoolView) -> VirtualServer {
        let config = &*pool.config;
        let services = config.services.iter().map(|service| Service {
            name: service.to_string(),
            in_kernel: self
                .kernel
                .as_ref()
                .map(|kernel| kernel.contains_key(service)),
            refused: self.refusals(&[(*service, None)]),
        });
        let sorry_server = config.sorry_server.as_ref().map(|sorry| {
            let entries = entries(config, &sorry.destination);
            SorryServer {
                name: RealServerName {
                    address: sorry.destination.address,
                    port: sorry.destination.port,
                }
                .to_string(),
                in_use: pool.sorry_server != Place::Absent && !pool.has_quorum,
                kernel: self.in_kernel(&entries),
                refused: self.refusals(&entries),
            }
        });
        let mut server = VirtualServer {
            name: config.name.to_string(),
            scheduler: config.scheduler.to_string(),
            services: services.collect(),
            has_quorum: pool.has_quorum,
            alive: pool.alive,
            quorum: config.quorum.quorum(),
            hysteresis: config.quorum.hysteresis(),
            sorry_server,
            real_servers: Vec::new(),
            is_suspended: pool.is_suspended,
        };
        let members = pool.members.iter().zip(&config.real_servers);
        server.real_servers = members
            .map(|(member, real)| {
                let mut real = self.real_server(config, member, real);
                real.because =
                    because::of_real_server(&server, &real, member.order, self.kernel.is_some());
                real
            })
            .collect();
        server
    }

    fn real_server(
        &self,
        of: &model::VirtualServer,
        member: &MemberView,
        config: &model::RealServer,
    ) -> RealServer {
        let name = RealServerName::of(config);
        let entries = entries(of, &config.destination);
        let checks = config.checks.iter().enumerate().map(|(number, check)| {
            let name = CheckName {
                virtual_server: of.name.clone(),
                real_server: name,
                number,
            };
            self.check(check, self.reports.get(&name).copied())
        });
        RealServer {
            name: name.to_string(),
            health: word(member.health),
            order: (!member.order.is_none()).then(|| member.order.to_string()),
            weight_configured: config.destination.settings.weight.get(),
            weight: member.weight,
            weight_wanted: match member.place {
                Place::Absent => None,
                Place::Present { weight } => Some(weight),
            },
            slow_start_ms: member
                .ramp
                .map(|ramp| millis((ramp.since + ramp.span).saturating_duration_since(self.at))),
            kernel: self.in_kernel(&entries),
            refused: self.refusals(&entries),
            checks: checks.collect(),
            because: String::new(),
        }
    }

    fn check(
        &self,
        config: &model::Check,
        report: Option<&CheckReport<CheckName, health::Check>>,
    ) -> Check {
        let ago = |at: Instant| millis(self.at.saturating_duration_since(at));
        let probes = report.into_iter().flat_map(|report| &report.recent);
        let streak = report.map(|report| report.streak).unwrap_or_default();
        Check {
            what: config.kind.to_string(),
            health: word(report.map_or(Health::Unknown, |report| report.standing.health)),
            for_ms: report.and_then(|report| report.changed_at).map(ago),
            passes: streak.passes,
            rise: config.config.rise.get(),
            failures: streak.failures,
            fall: config.config.fall.get(),
            is_running: report.is_some_and(|report| report.is_running),
            next_in_ms: report
                .and_then(|report| report.next_run_at)
                .map(|at| millis(at.saturating_duration_since(self.at))),
            probes: probes
                .map(|probe| Probe {
                    ago_ms: ago(probe.began_at),
                    took_ms: millis(probe.took),
                    failure: probe.failure.as_ref().map(|failure| chain(failure)),
                })
                .collect(),
            last_failure: report
                .and_then(|report| report.last_failure.as_ref())
                .map(|failure| chain(failure)),
            warning: report.and_then(|report| report.warning.clone()),
        }
    }

    fn in_kernel(&self, entries: &[(ServiceKey, Option<Endpoint>)]) -> Vec<InKernel> {
        let Some(kernel) = &self.kernel else {
            return Vec::new();
        };
        let there = entries.iter().filter_map(|(service, destination)| {
            let destination = (*destination)?;
            let (weight, counts) = kernel.get(service)?.get(&destination)?;
            Some(InKernel {
                service: service.to_string(),
                weight: *weight,
                active: counts.active,
                inactive: counts.inactive,
                persistent: counts.persistent,
                leaving: self.leaving.contains(&(*service, destination)),
            })
        });
        there.collect()
    }

    fn refusals(&self, entries: &[(ServiceKey, Option<Endpoint>)]) -> Vec<String> {
        let refused = entries.iter().filter_map(|entry| self.refused.get(entry));
        refused.flatten().cloned().collect()
    }
}

/// Where a destination stands, or would stand.
fn entries(
    of: &model::VirtualServer,
    destination: &Destination,
) -> Vec<(ServiceKey, Option<Endpoint>)> {
    let services = of.services.iter();
    let entries = services.map(|service| (*service, Some(destination.endpoint(service))));
    entries.collect()
}

fn word(health: Health) -> String {
    String::from(match health {
        Health::Up => "up",
        Health::Down => "down",
        Health::Unknown => "unknown",
    })
}
