//! The attribute of a sync daemon (`IPVS_CMD_ATTR_DAEMON`).

use std::{
    net::IpAddr,
    num::{NonZeroU8, NonZeroU16},
};

use super::{
    WireError,
    attribute::{attributes, put, put_text, put_u16, put_u32},
};
use crate::{InterfaceName, SyncDaemon, SyncMaxLength, SyncRole};

const STATE: u16 = 1;
const MCAST_IFN: u16 = 2;
const SYNC_ID: u16 = 3;
const SYNC_MAXLEN: u16 = 4;
const MCAST_GROUP: u16 = 5;
const MCAST_GROUP6: u16 = 6;
const MCAST_PORT: u16 = 7;
const MCAST_TTL: u16 = 8;

fn put_role(out: &mut Vec<u8>, role: SyncRole) {
    put_u32(out, STATE, if role == SyncRole::Master { 1 } else { 2 });
}

pub(super) fn put_daemon(out: &mut Vec<u8>, daemon: &SyncDaemon) {
    put_role(out, daemon.role);
    put_text(out, MCAST_IFN, daemon.interface.as_str());
    put_u32(out, SYNC_ID, daemon.sync_id.into());
    if let Some(length) = daemon.max_length {
        put_u16(out, SYNC_MAXLEN, length.bytes());
    }
    if let Some(port) = daemon.port {
        put_u16(out, MCAST_PORT, port.get());
    }
    if let Some(ttl) = daemon.ttl {
        put(out, MCAST_TTL, &[ttl.get()]);
    }
    match daemon.group {
        None => {}
        Some(IpAddr::V4(group)) => put(out, MCAST_GROUP, &group.octets()),
        Some(IpAddr::V6(group)) => put(out, MCAST_GROUP6, &group.octets()),
    }
}

/// What ipvsadm sends to stop a daemon; the kernel reads the role alone.
pub(super) fn put_stop(out: &mut Vec<u8>, role: SyncRole) {
    put_role(out, role);
    put_text(out, MCAST_IFN, "");
    put_u32(out, SYNC_ID, 0);
}

/// The role alone.
pub(super) fn read_role(value: &[u8]) -> Result<SyncRole, WireError> {
    let name = "IPVS_DAEMON_ATTR_STATE";
    for attribute in attributes(value) {
        let it = attribute?;
        if it.kind == STATE {
            return match it.u32(name)? {
                1 => Ok(SyncRole::Master),
                2 => Ok(SyncRole::Backup),
                value => Err(WireError::Value {
                    attribute: name,
                    value,
                }),
            };
        }
    }
    Err(WireError::Missing { attribute: name })
}

pub(super) fn read_daemon(value: &[u8]) -> Result<SyncDaemon, WireError> {
    let role = read_role(value)?;
    let (mut interface, mut sync_id, mut max_length) = (None, 0, None);
    let (mut group, mut port, mut ttl) = (None, None, None);
    for attribute in attributes(value) {
        let it = attribute?;
        match it.kind {
            MCAST_IFN => interface = it.name::<InterfaceName>("IPVS_DAEMON_ATTR_MCAST_IFN")?,
            SYNC_ID => {
                let attribute = "IPVS_DAEMON_ATTR_SYNC_ID";
                let value = it.u32(attribute)?;
                let wrong = |_| WireError::Value { attribute, value };
                sync_id = u8::try_from(value).map_err(wrong)?;
            }
            SYNC_MAXLEN => {
                let length = it.u16("IPVS_DAEMON_ATTR_SYNC_MAXLEN")?;
                max_length = SyncMaxLength::new(length.into()).ok();
            }
            MCAST_GROUP => group = Some(IpAddr::V4(it.ipv4("IPVS_DAEMON_ATTR_MCAST_GROUP")?)),
            MCAST_GROUP6 => group = Some(IpAddr::V6(it.ipv6("IPVS_DAEMON_ATTR_MCAST_GROUP6")?)),
            MCAST_PORT => port = NonZeroU16::new(it.u16("IPVS_DAEMON_ATTR_MCAST_PORT")?),
            MCAST_TTL => ttl = NonZeroU8::new(it.u8("IPVS_DAEMON_ATTR_MCAST_TTL")?),
            _ => {}
        }
    }
    let missing = WireError::Missing {
        attribute: "IPVS_DAEMON_ATTR_MCAST_IFN",
    };
    let interface = interface.ok_or(missing)?;
    Ok(SyncDaemon {
        role,
        interface,
        sync_id,
        max_length,
        group,
        port,
        ttl,
    })
}
