//! The typed configuration: what a keepalived.conf means.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use vrrp::{RouterConfig, Weight};

mod check;
mod served;
mod virtual_server;

pub use check::{
    Check, CheckKind, Connect, FileCheck, ForwardingPath, HttpCheck, HttpVersion, MiscCheck,
    Origin, RecordType, RegexOptions, Reply, ServerName, StatusRange, UdpCheck, Url, UrlRegex,
};
pub use served::{Served, Vip};
pub use virtual_server::{
    Apart, Destination, FlushOnStop, Lvs, LvsSyncDaemon, RealServer, SorryServer, TlsClient,
    VirtualServer, VirtualServerName, VirtualServerSubject,
};

use super::source::Span;

/// A whole configuration. Two are equal if they mean the same, wherever it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// What holds for all.
    pub global: Global,
    /// The virtual routers, in the order of the file.
    pub instances: Vec<VrrpInstance>,
    /// The groups that change role together.
    pub sync_groups: Vec<SyncGroup>,
    /// The scripts that instances and groups track.
    pub scripts: Vec<VrrpScript>,
    /// The files that checks and instances read.
    pub track_files: Vec<TrackFile>,
    /// The virtual servers, in the order of the file. Who goes by them shares them: there may be
    /// thousands.
    pub virtual_servers: Vec<Arc<VirtualServer>>,
    /// What holds for all virtual servers.
    pub lvs: Lvs,
    /// Who `SSL_GET` says it is; `None`: nobody.
    pub tls: Option<TlsClient>,
}

/// `global_defs`, without what the instances already took over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Global {
    /// `router_id`: what this machine calls itself; `None`: its host name.
    pub router_id: Option<String>,
    /// `default_interface`: where addresses go that belong to no instance.
    pub default_interface: Option<String>,
    /// `script_user`: who runs the scripts that name no user.
    pub script_user: Option<ScriptUser>,
    /// `enable_script_security`: no script runs as root that others could change.
    pub enable_script_security: bool,
    /// `log_unknown_vrids`: report advertisements for virtual routers we do not have.
    pub log_unknown_vrids: bool,
    /// `vrrp_notify_priority_changes`: FIFOs are told of changes of priorities, unless an instance
    /// or its sync group says otherwise.
    pub notify_priority_changes: bool,
    /// `notify_fifo`, `vrrp_notify_fifo` and `lvs_notify_fifo`, those that there are.
    pub fifos: Vec<NotifyFifo>,
}

/// A FIFO that is told of events. Two are equal wherever they stand in the file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NotifyFifo {
    /// What it is told of.
    pub about: FifoAbout,
    /// Its path, an absolute one.
    pub path: String,
    /// Whose it is; `None`: the [`Global::script_user`].
    pub owner: Option<ScriptUser>,
    /// What reads it.
    pub script: Option<Script>,
    /// Where its path stands in the file.
    pub span: Span,
}

impl PartialEq for NotifyFifo {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            about,
            path,
            owner,
            script,
            span: _,
        } = self;
        (about, path, owner, script) == (&other.about, &other.path, &other.owner, &other.script)
    }
}

impl Eq for NotifyFifo {}

/// What a FIFO is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the kinds that keepalived has")]
pub enum FifoAbout {
    /// `notify_fifo`: of both.
    Everything,
    /// `vrrp_notify_fifo`: of instances and sync groups.
    Roles,
    /// `lvs_notify_fifo`: of virtual servers and real servers.
    Services,
}

/// `vrrp_instance`: a virtual router and what happens when its role changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VrrpInstance {
    /// The virtual router, ready for the `vrrp` crate. Its [`Condition`](vrrp::Tracked) trackers
    /// are names of [`VrrpScript`]s; those of its sync group are among them.
    pub router: RouterConfig,
    /// Its scripts.
    pub notify: Notify,
    /// Where its settings stand in the file.
    pub places: Places,
}

/// `vrrp_sync_group`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncGroup {
    /// Its name.
    pub name: Arc<str>,
    /// The names of its instances, in the order of the file.
    pub members: Vec<Arc<str>>,
    /// Its scripts.
    pub notify: Notify,
    /// Where its settings stand in the file.
    pub places: Places,
}

/// `vrrp_script`: a command whose exit code says whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VrrpScript {
    /// Its name.
    pub name: Arc<str>,
    /// What is run.
    pub script: Script,
    /// Time between two starts. Default: 1 s.
    pub interval: Duration,
    /// Time after which a run has failed. Default: the interval.
    pub timeout: Duration,
    /// The weight for instances that give none of their own. Default: 0, required.
    pub weight: Weight,
    /// Takes success for failure and failure for success.
    pub reverse: bool,
    /// Successes in a row that it takes to hold. Default: 1.
    pub rise: NonZeroU32,
    /// Failures in a row that it takes to hold no more. Default: 1.
    pub fall: NonZeroU32,
    /// Whether it is taken for failed until it succeeded.
    pub init_fail: bool,
    /// Where its settings stand in the file.
    pub places: Places,
}

/// `track_file`: a file on this machine that holds a number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackFile {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The file; an absolute path.
    pub path: String,
    /// What its number is multiplied with for checks and instances that give no weight of their own;
    /// with 0 any number but 0 is a failure. Default: 1.
    pub weight: i32,
    /// Turns the sense of the number round.
    pub reverse: bool,
    /// `init_file`: what is written into it at the start.
    pub init: Option<InitFile>,
    /// Where its settings stand in the file.
    pub places: Places,
}

impl TrackFile {
    /// What it is called among the conditions that instances track.
    #[must_use]
    pub fn condition(&self) -> Arc<str> {
        format!("track_file {}", self.name).into()
    }

    /// The weight for instances that give none of their own: a larger one has no other effect.
    #[must_use]
    pub fn vrrp_weight(&self) -> Weight {
        let weight = self.weight.clamp(-254, 254);
        let weight = i16::try_from(weight).ok();
        let weight = weight.and_then(|weight| Weight::new(weight).ok());
        weight.unwrap_or_default()
    }
}

/// `init_file`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InitFile {
    /// The number. Default: 0.
    pub value: i32,
    /// Whether it is written where the file is there already.
    pub overwrite: bool,
}

/// A command line and who runs it. Two are equal wherever they stand in the file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Script {
    /// The program and its arguments, exactly; never empty.
    pub argv: Vec<String>,
    /// Who runs it; `None`: the [`Global::script_user`].
    pub user: Option<ScriptUser>,
    /// Where it stands in the file.
    pub span: Span,
}

/// A user and a group by name. Two are equal wherever they stand in the file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScriptUser {
    /// The user.
    pub user: String,
    /// The group; `None`: the user's own.
    pub group: Option<String>,
    /// Where they stand in the file.
    pub span: Span,
}

impl PartialEq for Script {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            argv,
            user,
            span: _,
        } = self;
        (argv, user) == (&other.argv, &other.user)
    }
}

impl Eq for Script {}

impl PartialEq for ScriptUser {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            user,
            group,
            span: _,
        } = self;
        (user, group) == (&other.user, &other.group)
    }
}

impl Eq for ScriptUser {}

/// The scripts that are run when a role changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Script>,
    /// `notify_backup`.
    pub backup: Option<Script>,
    /// `notify_fault`.
    pub fault: Option<Script>,
    /// `notify_stop`.
    pub stop: Option<Script>,
    /// `notify_deleted` with a script.
    pub deleted: Option<Script>,
    /// `notify_deleted`, with or without a script: a deleted instance is reported as DELETED,
    /// and not as FAULT.
    pub report_deleted: bool,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<Script>,
    /// `notify`: run at every change, behind the others, with four words added.
    pub any: Option<Script>,
    /// `notify_priority_changes`: FIFOs are told of changes of the priority; `None`: as the sync
    /// group of an instance says, or else [`Global::notify_priority_changes`].
    pub priority_changes: Option<bool>,
}

/// Where the settings of a block stand in the file, for errors that are found later.
///
/// Where they stand is no difference between two blocks: all are equal.
#[derive(Debug, Clone)]
pub struct Places {
    /// The line that opens the block.
    block: Span,
    /// Each once. A short list: there may be a hundred thousand of them.
    keywords: Vec<(&'static str, Span)>,
    entries: BTreeMap<(&'static str, String), Span>,
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl Places {
    pub(super) const fn new(block: Span) -> Self {
        Self {
            block,
            keywords: Vec::new(),
            entries: BTreeMap::new(),
        }
    }

    pub(super) fn set(&mut self, keyword: &'static str, span: Span) {
        match self.keywords.iter_mut().find(|(set, _)| *set == keyword) {
            Some((_, place)) => *place = span,
            None => self.keywords.push((keyword, span)),
        }
    }

    pub(super) fn set_entry(&mut self, list: &'static str, entry: impl ToString, span: Span) {
        self.entries.insert((list, entry.to_string()), span);
    }

    /// The line that opens the block.
    #[must_use]
    pub const fn block(&self) -> Span {
        self.block
    }

    /// Where a keyword is set, as `interface`; the block's first line if it is not.
    #[must_use]
    pub fn of(&self, keyword: &str) -> Span {
        let mut keywords = self.keywords.iter();
        let set = keywords.find(|(set, _)| *set == keyword);
        set.map_or(self.block, |(_, span)| *span)
    }

    /// Where an entry of a list stands: an address in `virtual_ipaddress`, an interface in
    /// `track_interface`; the block's first line if it is not there.
    #[must_use]
    pub fn of_entry(&self, list: &'static str, entry: impl ToString) -> Span {
        self.entry(list, entry).unwrap_or(self.block)
    }

    /// As [`of_entry`](Self::of_entry), if it is there.
    pub(super) fn entry(&self, list: &'static str, entry: impl ToString) -> Option<Span> {
        self.entries.get(&(list, entry.to_string())).copied()
    }
}
