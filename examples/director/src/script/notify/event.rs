//! What is told of an instance or a group, and in which words.

use std::fmt;

use crate::script::command::Command;

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the first word `notify` appends")]
pub enum Subject {
    /// A `vrrp_instance`, by name.
    Instance(String),
    /// A `vrrp_sync_group`, by name.
    Group(String),
    /// A `virtual_server`, by what it is written for. It has no roles, only scripts of its own.
    VirtualServer(String),
}

impl Subject {
    const fn parts(&self) -> (&'static str, &String) {
        match self {
            Self::Instance(name) => ("INSTANCE", name),
            Self::Group(name) => ("GROUP", name),
            Self::VirtualServer(name) => ("VIRTUAL_SERVER", name),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind} {name}")
    }
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the events that keepalived notifies of"
)]
pub enum Event {
    /// It became master.
    Master,
    /// It became backup.
    Backup,
    /// It went to fault.
    Fault,
    /// The daemon stops.
    Stop,
    /// A reload removed it.
    Deleted,
    /// As master it received an advertisement of lower priority. `notify` is not told.
    MasterRxLowerPriority,
    /// Its priority is another one, as master. FIFOs alone are told, if they shall be.
    MasterPriority,
    /// Its priority is another one, in any other role. FIFOs alone are told, if they shall be.
    BackupPriority,
}

/// An event to tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever sees the event")]
pub struct Notification {
    /// Whom it is about.
    pub subject: Subject,
    /// What happened.
    pub event: Event,
    /// The effective priority; of a group 0 is told, whatever stands here.
    pub priority: u8,
}

impl Notification {
    const fn told_priority(&self) -> u8 {
        match self.subject {
            Subject::Instance(_) => self.priority,
            Subject::Group(_) | Subject::VirtualServer(_) => 0,
        }
    }
}

/// `notify_deleted` of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the keyword is absent, alone or with a script"
)]
pub enum NotifyDeleted {
    /// Not set: `notify` is told FAULT, and no script of an event runs.
    #[default]
    Absent,
    /// Set without a script: `notify` is told DELETED.
    Alone,
    /// Set with a script, which runs before `notify` is told DELETED.
    Script(Command),
}

/// The `notify*` scripts of an instance or a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "one field for each keyword")]
pub struct Scripts {
    /// `notify_master`
    pub master: Option<Command>,
    /// `notify_backup`
    pub backup: Option<Command>,
    /// `notify_fault`
    pub fault: Option<Command>,
    /// `notify_stop`
    pub stop: Option<Command>,
    /// `notify_deleted`
    pub deleted: NotifyDeleted,
    /// `notify_master_rx_lower_pri`
    pub master_rx_lower_priority: Option<Command>,
    /// `notify`: told of every change of state.
    pub any: Option<Command>,
    /// `notify_priority_changes`: FIFOs are told of changes of the priority.
    pub priority_changes: bool,
}

impl Scripts {
    /// What runs for an event, in order.
    ///
    /// The scripts of one event get exactly the configured words, `notify` has
    /// `INSTANCE|GROUP NAME STATE PRIORITY` appended (observed with keepalived 2.2.7).
    #[must_use]
    pub fn commands(&self, notification: &Notification) -> Vec<Command> {
        let own = match notification.event {
            Event::Master => self.master.as_ref(),
            Event::Backup => self.backup.as_ref(),
            Event::Fault => self.fault.as_ref(),
            Event::Stop => self.stop.as_ref(),
            Event::Deleted => match &self.deleted {
                NotifyDeleted::Absent | NotifyDeleted::Alone => None,
                NotifyDeleted::Script(script) => Some(script),
            },
            Event::MasterRxLowerPriority => self.master_rx_lower_priority.as_ref(),
            Event::MasterPriority | Event::BackupPriority => None,
        };
        let is_state = !matches!(
            notification.event,
            Event::MasterRxLowerPriority | Event::MasterPriority | Event::BackupPriority
        );
        let any = self.any.as_ref().filter(|_| is_state).map(|any| {
            let (kind, name) = notification.subject.parts();
            let priority = notification.told_priority().to_string();
            any.clone()
                .with_args([kind, name, self.word(notification.event), &priority])
        });
        own.cloned().into_iter().chain(any).collect()
    }

    /// What a FIFO is told of it, in one line (observed with keepalived 2.2.7); `None`: nothing.
    #[must_use]
    pub fn line(&self, notification: &Notification) -> Option<String> {
        let is_priority = matches!(
            notification.event,
            Event::MasterPriority | Event::BackupPriority
        );
        if is_priority && !self.priority_changes {
            return None;
        }
        let (kind, name) = notification.subject.parts();
        let word = self.word(notification.event);
        let priority = notification.told_priority();
        Some(format!("{kind} \"{name}\" {word} {priority}\n"))
    }

    const fn word(&self, event: Event) -> &'static str {
        match event {
            Event::Master => "MASTER",
            Event::Backup => "BACKUP",
            Event::Fault => "FAULT",
            Event::Stop => "STOP",
            Event::Deleted => match &self.deleted {
                NotifyDeleted::Absent => "FAULT",
                NotifyDeleted::Alone | NotifyDeleted::Script(_) => "DELETED",
            },
            Event::MasterRxLowerPriority => "MASTER_RX_LOWER_PRI",
            Event::MasterPriority => "MASTER_PRIORITY",
            Event::BackupPriority => "BACKUP_PRIORITY",
        }
    }
}
