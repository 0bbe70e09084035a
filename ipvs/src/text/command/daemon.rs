//! Commands about a sync daemon.

use std::{
    net::IpAddr,
    num::{NonZeroU8, NonZeroU16},
};

use super::{At, Line, parsed, wrong};
use crate::{SyncDaemon, SyncMaxLength, SyncRole};

impl Line<'_> {
    pub(super) fn role(&self) -> At<SyncRole> {
        let missing = || self.missing("master or backup");
        let word = *self.command.values.first().ok_or_else(missing)?;
        match word.text {
            "master" => Ok(SyncRole::Master),
            "backup" => Ok(SyncRole::Backup),
            _ => Err(wrong(word, "master or backup")),
        }
    }

    pub(super) fn daemon(&self) -> At<SyncDaemon> {
        let interface = self.value("mcast-interface", "the name of an interface, as eth0")?;
        let default = || "eth0".parse().expect("it is a name");
        let mut daemon = SyncDaemon::new(self.role()?, interface.unwrap_or_else(default));
        daemon.sync_id = self.value("syncid", "a number of 0 to 255")?.unwrap_or(0);
        if let Some(word) = self.word("sync-maxlen") {
            let expected = "a length in bytes, 1 to 65507";
            let length = SyncMaxLength::new(parsed(word, expected)?);
            daemon.max_length = Some(length.map_err(|_| wrong(word, expected))?);
        }
        daemon.group = self.value::<IpAddr>("mcast-group", "a group, as 224.0.0.81")?;
        daemon.port = self.value::<NonZeroU16>("mcast-port", "a port of 1 to 65535")?;
        daemon.ttl = self.value::<NonZeroU8>("mcast-ttl", "a number of hops, 1 to 255")?;
        Ok(daemon)
    }
}
