//! The attribute of a destination (`IPVS_CMD_ATTR_DEST`).

use std::num::NonZeroU16;

use super::{
    WireError,
    attribute::{Attribute, attributes, put, put_address, put_family, put_port, put_u16, put_u32},
    counters::{Width, put_counters, read_counters},
};
use crate::{
    Counts, DestinationSettings, DestinationState, Endpoint, Family, Forwarding, GreChecksum,
    GueChecksum, Statistics, Thresholds, Tunnel, Weight,
};

const ADDR: u16 = 1;
const PORT: u16 = 2;
const FWD_METHOD: u16 = 3;
const WEIGHT: u16 = 4;
const U_THRESH: u16 = 5;
const L_THRESH: u16 = 6;
const ACTIVE_CONNS: u16 = 7;
const INACT_CONNS: u16 = 8;
const PERSIST_CONNS: u16 = 9;
const STATS: u16 = 10;
const ADDR_FAMILY: u16 = 11;
const STATS64: u16 = 12;
const TUN_TYPE: u16 = 13;
const TUN_PORT: u16 = 14;
const TUN_FLAGS: u16 = 15;

/// `IP_VS_CONN_F_FWD_MASK`.
const FORWARDING_MASK: u32 = 7;

const TUN_CSUM: u16 = 1;
const TUN_REMCSUM: u16 = 2;

/// Appends what names a destination.
pub(super) fn put_key(out: &mut Vec<u8>, key: &Endpoint) {
    put_family(out, ADDR_FAMILY, key.family());
    put_address(out, ADDR, key.address);
    put_port(out, PORT, key.port);
}

/// Appends how a destination is set up.
pub(super) fn put_settings(out: &mut Vec<u8>, settings: &DestinationSettings) {
    put_u32(out, FWD_METHOD, forwarding_number(settings.forwarding));
    put_u32(out, WEIGHT, settings.weight.get());
    let (kind, port, flags) = tunnel_numbers(settings.forwarding);
    put(out, TUN_TYPE, &[kind]);
    put_port(out, TUN_PORT, port);
    put_u16(out, TUN_FLAGS, flags);
    put_u32(out, U_THRESH, settings.thresholds.upper());
    put_u32(out, L_THRESH, settings.thresholds.lower());
}

/// Appends what was counted.
pub(super) fn put_counted(out: &mut Vec<u8>, counts: &Counts, statistics: &Statistics) {
    put_u32(out, ACTIVE_CONNS, counts.active);
    put_u32(out, INACT_CONNS, counts.inactive);
    put_u32(out, PERSIST_CONNS, counts.persistent);
    put_counters(out, STATS, Width::Narrow, statistics);
    put_counters(out, STATS64, Width::Wide, statistics);
}

const fn forwarding_number(forwarding: Forwarding) -> u32 {
    match forwarding {
        Forwarding::Masquerade => 0,
        Forwarding::Local => 1,
        Forwarding::Tunnel(_) => 2,
        Forwarding::DirectRoute => 3,
        Forwarding::Bypass => 4,
    }
}

/// Type, port and flags of the tunnel, zero where there is none.
const fn tunnel_numbers(forwarding: Forwarding) -> (u8, u16, u16) {
    match forwarding {
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => {
            let flags = match checksum {
                GueChecksum::None => 0,
                GueChecksum::Csum => TUN_CSUM,
                GueChecksum::Remcsum => TUN_REMCSUM,
            };
            (1, port.get(), flags)
        }
        Forwarding::Tunnel(Tunnel::Gre {
            checksum: GreChecksum::None,
        }) => (2, 0, 0),
        Forwarding::Tunnel(Tunnel::Gre {
            checksum: GreChecksum::Csum,
        }) => (2, 0, TUN_CSUM),
        Forwarding::Tunnel(Tunnel::Ipip)
        | Forwarding::Masquerade
        | Forwarding::Local
        | Forwarding::DirectRoute
        | Forwarding::Bypass => (0, 0, 0),
    }
}

fn tunnel(kind: u8, port: u16, flags: u16) -> Result<Tunnel, WireError> {
    match kind {
        0 => Ok(Tunnel::Ipip),
        1 => {
            let missing = WireError::Value {
                attribute: "IPVS_DEST_ATTR_TUN_PORT",
                value: 0,
            };
            let port = NonZeroU16::new(port).ok_or(missing)?;
            let checksum = if flags & TUN_REMCSUM != 0 {
                GueChecksum::Remcsum
            } else if flags & TUN_CSUM != 0 {
                GueChecksum::Csum
            } else {
                GueChecksum::None
            };
            Ok(Tunnel::Gue { port, checksum })
        }
        2 if flags & TUN_CSUM != 0 => Ok(Tunnel::Gre {
            checksum: GreChecksum::Csum,
        }),
        2 => Ok(Tunnel::Gre {
            checksum: GreChecksum::None,
        }),
        kind => Err(WireError::Value {
            attribute: "IPVS_DEST_ATTR_TUN_TYPE",
            value: kind.into(),
        }),
    }
}

/// What is in the attribute of a destination, of which much may be missing.
#[derive(Debug, Default)]
pub(super) struct DestinationAttributes {
    key: Option<Endpoint>,
    forwarding: Option<Forwarding>,
    weight: Option<Weight>,
    thresholds: Thresholds,
    counts: Counts,
    statistics: Statistics,
}

impl DestinationAttributes {
    /// Reads a destination; one that does not tell its family is of the family of its service.
    pub(super) fn read(value: &[u8], service: Option<Family>) -> Result<Self, WireError> {
        let (mut family, mut address, mut port) = (service, None, None);
        let (mut method, mut upper, mut lower) = (None, 0, 0);
        let (mut tun_type, mut tun_port, mut tun_flags) = (0, 0, 0);
        let (mut narrow, mut wide) = (None, None);
        let mut read = Self::default();
        for attribute in attributes(value) {
            let it = attribute?;
            match it.kind {
                ADDR => address = Some(it.address("IPVS_DEST_ATTR_ADDR")?),
                PORT => port = Some(it.port("IPVS_DEST_ATTR_PORT")?),
                FWD_METHOD => method = Some(it.u32("IPVS_DEST_ATTR_FWD_METHOD")?),
                WEIGHT => read.weight = Some(weight(it)?),
                U_THRESH => upper = it.u32("IPVS_DEST_ATTR_U_THRESH")?,
                L_THRESH => lower = it.u32("IPVS_DEST_ATTR_L_THRESH")?,
                ACTIVE_CONNS => read.counts.active = it.u32("IPVS_DEST_ATTR_ACTIVE_CONNS")?,
                INACT_CONNS => read.counts.inactive = it.u32("IPVS_DEST_ATTR_INACT_CONNS")?,
                PERSIST_CONNS => {
                    read.counts.persistent = it.u32("IPVS_DEST_ATTR_PERSIST_CONNS")?;
                }
                STATS => narrow = Some(read_counters(it.value)?),
                ADDR_FAMILY => family = it.family("IPVS_DEST_ATTR_ADDR_FAMILY")?.or(service),
                STATS64 => wide = Some(read_counters(it.value)?),
                TUN_TYPE => tun_type = it.u8("IPVS_DEST_ATTR_TUN_TYPE")?,
                TUN_PORT => tun_port = it.port("IPVS_DEST_ATTR_TUN_PORT")?,
                TUN_FLAGS => tun_flags = it.u16("IPVS_DEST_ATTR_TUN_FLAGS")?,
                _ => {}
            }
        }
        if let (Some(address), Some(port)) = (address, port) {
            let attribute = "IPVS_DEST_ATTR_ADDR_FAMILY";
            let family = family.ok_or(WireError::Missing { attribute })?;
            read.key = Some(Endpoint::new(address.of(family), port));
        }
        read.forwarding = match method.map(|method| method & FORWARDING_MASK) {
            None => None,
            Some(0) => Some(Forwarding::Masquerade),
            Some(1) => Some(Forwarding::Local),
            Some(2) => Some(Forwarding::Tunnel(tunnel(tun_type, tun_port, tun_flags)?)),
            Some(3) => Some(Forwarding::DirectRoute),
            Some(4) => Some(Forwarding::Bypass),
            Some(value) => {
                return Err(WireError::Value {
                    attribute: "IPVS_DEST_ATTR_FWD_METHOD",
                    value,
                });
            }
        };
        let attribute = "IPVS_DEST_ATTR_U_THRESH";
        let thresholds = Thresholds::new(upper, lower);
        read.thresholds = thresholds.map_err(|_| WireError::Value {
            attribute,
            value: upper,
        })?;
        read.statistics = wide.or(narrow).unwrap_or_default();
        Ok(read)
    }

    /// What names the destination.
    pub(super) fn key(&self) -> Result<Endpoint, WireError> {
        self.key.ok_or(WireError::Missing {
            attribute: "IPVS_DEST_ATTR_ADDR or _PORT",
        })
    }

    /// How the destination is set up.
    pub(super) fn settings(&self) -> Result<DestinationSettings, WireError> {
        let missing = |attribute| WireError::Missing { attribute };
        Ok(DestinationSettings {
            forwarding: self
                .forwarding
                .ok_or_else(|| missing("IPVS_DEST_ATTR_FWD_METHOD"))?,
            weight: self
                .weight
                .ok_or_else(|| missing("IPVS_DEST_ATTR_WEIGHT"))?,
            thresholds: self.thresholds,
        })
    }

    pub(super) fn state(&self) -> Result<DestinationState, WireError> {
        let (counts, statistics) = (self.counts, self.statistics);
        Ok(DestinationState {
            counts,
            statistics,
            ..DestinationState::new(self.key()?, self.settings()?)
        })
    }
}

fn weight(attribute: Attribute<'_>) -> Result<Weight, WireError> {
    let name = "IPVS_DEST_ATTR_WEIGHT";
    let value = attribute.u32(name)?;
    Weight::new(value).map_err(|_| WireError::Value {
        attribute: name,
        value,
    })
}
