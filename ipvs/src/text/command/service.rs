//! Commands about a service.

use super::{At, Line, SERVICES, address_and_port, parsed, wrong};
use crate::text::Problem;
use crate::{
    ClientMask, Endpoint, Family, Flags, Persistence, PrefixLen, Protocol, SchedulerName, Seconds,
    ServiceKey, ServiceSettings,
};

impl Line<'_> {
    pub(super) fn service(&self) -> At<ServiceKey> {
        let missing = || self.missing("a service: -t, -u, --sctp-service or -f");
        let option = self.one_of(&SERVICES)?.ok_or_else(missing)?;
        let word = *option.values.first().ok_or_else(missing)?;
        let protocol = match option.name {
            "tcp-service" => Protocol::Tcp,
            "udp-service" => Protocol::Udp,
            "sctp-service" => Protocol::Sctp,
            _ => {
                let mark = parsed(word, "a firewall mark of 1 to 4294967295")?;
                let family = if self.has("ipv6") {
                    Family::V6
                } else {
                    Family::V4
                };
                return Ok(ServiceKey::Fwmark { mark, family });
            }
        };
        if let Some(ipv6) = self.find("ipv6") {
            let problem = Problem::Conflict {
                option: "ipv6",
                other: option.name,
            };
            return Err((ipv6.column, problem));
        }
        let (address, port) = address_and_port(word)?;
        let endpoint = Endpoint::new(address, port.unwrap_or(0));
        Ok(ServiceKey::Address { protocol, endpoint })
    }

    pub(super) fn service_settings(&self, service: &ServiceKey) -> At<ServiceSettings> {
        let scheduler = self.value("scheduler", "the name of a scheduler, as wlc")?;
        let scheduler = scheduler.unwrap_or(SchedulerName::WLC);
        let mut flags = self.flags(scheduler)?;
        flags.one_packet = self.has("ops");
        let persistence = match self.find("persistent") {
            Some(_) => Some(self.persistence(service.family())?),
            None => {
                for name in ["netmask", "pe"] {
                    if let Some(option) = self.find(name) {
                        let missing = "-p where -M or --pe is given";
                        return Err((option.column, self.missing(missing).1));
                    }
                }
                None
            }
        };
        Ok(ServiceSettings {
            scheduler,
            flags,
            persistence,
        })
    }

    fn persistence(&self, family: Family) -> At<Persistence> {
        let timeout = self.value("persistent", "a time in seconds, 1 to 2678400")?;
        let timeout = timeout.map_or(Persistence::DEFAULT_TIMEOUT, Seconds::new);
        let mut persistence = Persistence::new(family, timeout);
        if let Some(word) = self.word("netmask") {
            persistence.clients = match family {
                Family::V4 => ClientMask::V4(parsed(word, "a netmask, as 255.255.255.0")?),
                Family::V6 => {
                    let expected = "a prefix length of 1 to 128";
                    let prefix = PrefixLen::new(parsed(word, expected)?);
                    ClientMask::V6(prefix.map_err(|_| wrong(word, expected))?)
                }
            };
        }
        persistence.engine = self.value("pe", "the name of a persistence engine, as sip")?;
        Ok(persistence)
    }

    fn flags(&self, scheduler: SchedulerName) -> At<Flags> {
        let mut flags = Flags::NONE;
        let Some(word) = self.word("sched-flags") else {
            return Ok(flags);
        };
        for name in word.text.split(',') {
            match (name, scheduler) {
                ("flag-1", _)
                | ("sh-fallback", SchedulerName::SH)
                | ("mh-fallback", SchedulerName::MH) => flags.fallback = true,
                ("flag-2", _) | ("sh-port", SchedulerName::SH) | ("mh-port", SchedulerName::MH) => {
                    flags.port = true;
                }
                ("flag-3", _) => flags.third = true,
                _ => {
                    let expected = format!(
                        "a list of flags of {scheduler}: flag-1, flag-2, flag-3, of sh and mh \
                         also NAME-fallback, NAME-port"
                    );
                    return Err(wrong(word, &expected));
                }
            }
        }
        Ok(flags)
    }
}
