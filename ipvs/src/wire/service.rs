//! The attribute of a service (`IPVS_CMD_ATTR_SERVICE`).

use std::num::NonZeroU32;

use super::{
    WireError,
    attribute::{attributes, put, put_address, put_family, put_port, put_text, put_u16, put_u32},
    counters::{Width, put_counters, read_counters},
};
use crate::{
    ClientMask, Endpoint, EngineName, Family, Flags, Persistence, PrefixLen, Protocol,
    SchedulerName, Seconds, ServiceKey, ServiceSettings, Statistics,
};

const AF: u16 = 1;
const PROTOCOL: u16 = 2;
const ADDR: u16 = 3;
const PORT: u16 = 4;
const FWMARK: u16 = 5;
const SCHED_NAME: u16 = 6;
const FLAGS: u16 = 7;
const TIMEOUT: u16 = 8;
const NETMASK: u16 = 9;
const STATS: u16 = 10;
const PE_NAME: u16 = 11;
const STATS64: u16 = 12;

/// Appends what names a service.
pub(super) fn put_key(out: &mut Vec<u8>, key: &ServiceKey) {
    put_family(out, AF, key.family());
    match key {
        ServiceKey::Address { protocol, endpoint } => {
            put_u16(out, PROTOCOL, protocol.number().into());
            put_address(out, ADDR, endpoint.address);
            put_port(out, PORT, endpoint.port);
        }
        ServiceKey::Fwmark { mark, .. } => put_u32(out, FWMARK, mark.get()),
    }
}

/// Appends how a service is set up. The kernel is told every flag, set or not.
pub(super) fn put_settings(out: &mut Vec<u8>, family: Family, settings: &ServiceSettings) {
    put_text(out, SCHED_NAME, settings.scheduler.as_str());
    if let Some(engine) = settings
        .persistence
        .and_then(|persistence| persistence.engine)
    {
        put_text(out, PE_NAME, engine.as_str());
    }
    let persistent = settings.persistence.map_or(0, |_| Flags::PERSISTENT_BIT);
    let flags = settings.flags.bits() | persistent;
    let mut value = flags.to_ne_bytes().to_vec();
    value.extend(u32::MAX.to_ne_bytes());
    put(out, FLAGS, &value);
    let timeout = settings
        .persistence
        .map_or(0, |persistence| persistence.timeout.get());
    put_u32(out, TIMEOUT, timeout);
    let each = ClientMask::each(family);
    match settings
        .persistence
        .map_or(each, |persistence| persistence.clients)
    {
        ClientMask::V4(mask) => put(out, NETMASK, &mask.octets()),
        ClientMask::V6(prefix) => put_u32(out, NETMASK, prefix.bits().into()),
    }
}

pub(super) fn put_statistics(out: &mut Vec<u8>, statistics: &Statistics) {
    put_counters(out, STATS, Width::Narrow, statistics);
    put_counters(out, STATS64, Width::Wide, statistics);
}

/// What is in the attribute of a service, of which much may be missing.
#[derive(Debug, Default)]
pub(super) struct ServiceAttributes {
    key: Option<ServiceKey>,
    scheduler: Option<SchedulerName>,
    flags: Option<u32>,
    persistence: Option<Persistence>,
    /// What passed through the service.
    pub(super) statistics: Statistics,
}

impl ServiceAttributes {
    pub(super) fn read(value: &[u8]) -> Result<Self, WireError> {
        let (mut family, mut protocol, mut address, mut port) = (None, None, None, None);
        let (mut mark, mut timeout, mut netmask, mut engine) = (None, 0, None, None);
        let (mut narrow, mut wide) = (None, None);
        let mut read = Self::default();
        for attribute in attributes(value) {
            let it = attribute?;
            match it.kind {
                AF => family = it.family("IPVS_SVC_ATTR_AF")?,
                PROTOCOL => protocol = Some(it.u16("IPVS_SVC_ATTR_PROTOCOL")?),
                ADDR => address = Some(it.address("IPVS_SVC_ATTR_ADDR")?),
                PORT => port = Some(it.port("IPVS_SVC_ATTR_PORT")?),
                FWMARK => mark = NonZeroU32::new(it.u32("IPVS_SVC_ATTR_FWMARK")?),
                SCHED_NAME => read.scheduler = it.name("IPVS_SVC_ATTR_SCHED_NAME")?,
                FLAGS => read.flags = Some(it.flags("IPVS_SVC_ATTR_FLAGS")?),
                TIMEOUT => timeout = it.u32("IPVS_SVC_ATTR_TIMEOUT")?,
                NETMASK => netmask = Some(it),
                STATS => narrow = Some(read_counters(it.value)?),
                PE_NAME => engine = it.name::<EngineName>("IPVS_SVC_ATTR_PE_NAME")?,
                STATS64 => wide = Some(read_counters(it.value)?),
                _ => {}
            }
        }
        let missing = |attribute| WireError::Missing { attribute };
        let family = family.ok_or_else(|| missing("IPVS_SVC_ATTR_AF"))?;
        read.key = match (mark, protocol) {
            (Some(mark), _) => Some(ServiceKey::Fwmark { mark, family }),
            (None, None) => None,
            (None, Some(number)) => {
                let known = u8::try_from(number).ok().and_then(Protocol::from_number);
                let attribute = "IPVS_SVC_ATTR_PROTOCOL";
                let unknown = WireError::Value {
                    attribute,
                    value: number.into(),
                };
                let protocol = known.ok_or(unknown)?;
                let address = address
                    .ok_or_else(|| missing("IPVS_SVC_ATTR_ADDR"))?
                    .of(family);
                let port = port.ok_or_else(|| missing("IPVS_SVC_ATTR_PORT"))?;
                let endpoint = Endpoint::new(address, port);
                Some(ServiceKey::Address { protocol, endpoint })
            }
        };
        if read
            .flags
            .is_some_and(|flags| flags & Flags::PERSISTENT_BIT != 0)
        {
            let name = "IPVS_SVC_ATTR_NETMASK";
            let clients = match (netmask, family) {
                (None, family) => ClientMask::each(family),
                (Some(mask), Family::V4) => ClientMask::V4(mask.ipv4(name)?),
                (Some(mask), Family::V6) => {
                    let value = mask.u32(name)?;
                    let prefix = PrefixLen::new(value);
                    let prefix = prefix.map_err(|_| WireError::Value {
                        attribute: name,
                        value,
                    })?;
                    ClientMask::V6(prefix)
                }
            };
            let timeout = Seconds::new(timeout);
            read.persistence = Some(Persistence {
                timeout,
                clients,
                engine,
            });
        }
        read.statistics = wide.or(narrow).unwrap_or_default();
        Ok(read)
    }

    /// What names the service.
    pub(super) fn key(&self) -> Result<ServiceKey, WireError> {
        let attribute = "IPVS_SVC_ATTR_FWMARK nor IPVS_SVC_ATTR_PROTOCOL";
        self.key.ok_or(WireError::Missing { attribute })
    }

    /// How the service is set up.
    pub(super) fn settings(&self) -> Result<ServiceSettings, WireError> {
        let missing = |attribute| WireError::Missing { attribute };
        Ok(ServiceSettings {
            scheduler: self
                .scheduler
                .ok_or_else(|| missing("IPVS_SVC_ATTR_SCHED_NAME"))?,
            flags: Flags::from_bits(self.flags.ok_or_else(|| missing("IPVS_SVC_ATTR_FLAGS"))?),
            persistence: self.persistence,
        })
    }
}
