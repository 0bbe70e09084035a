//! What a configuration makes of the parts of the daemon.

use std::collections::{BTreeMap, BTreeSet};

use vrrp::{RouterConfig, Tracked};

use crate::conf::model::{
    self, Config, FifoAbout, Global, NotifyFifo, TrackFile, VrrpInstance, VrrpScript,
};
use crate::script::check::CheckConfig;
use crate::script::checks::CheckDefinition;
use crate::script::command::{Command, ScriptUser};
use crate::script::fifo::{About, FifoConfig};
use crate::script::notify::{NotifyDeleted, Scripts, Subject};

/// The same configuration, cut to what each part is given.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) routers: Vec<RouterConfig>,
    /// By name; only those that somebody tracks.
    pub(super) checks: BTreeMap<String, CheckDefinition>,
    /// Only those that an instance tracks.
    pub(super) track_files: Vec<TrackFile>,
    pub(super) notify: BTreeMap<Subject, Scripts>,
    pub(super) script_user: Option<ScriptUser>,
    pub(super) enforce_script_security: bool,
    pub(super) log_unknown_vrids: bool,
    pub(super) fifos: Vec<FifoConfig>,
    /// All of it, of which load balancing takes its part.
    pub(super) config: Config,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let routers: Vec<_> = config
            .instances
            .iter()
            .map(|instance| instance.router.clone())
            .collect();
        let tracked = tracked_conditions(&routers);
        let instances = config
            .instances
            .iter()
            .map(|VrrpInstance { router, notify, .. }| {
                let groups = config.sync_groups.iter();
                let mut of_it = groups.filter(|group| group.members.contains(&router.name));
                let mut scripts = scripts(notify);
                scripts.priority_changes = notify
                    .priority_changes
                    .or_else(|| of_it.find_map(|group| group.notify.priority_changes))
                    .unwrap_or(config.global.notify_priority_changes);
                (Subject::Instance(router.name.to_string()), scripts)
            });
        let groups = config.sync_groups.iter().map(|group| {
            (
                Subject::Group(group.name.to_string()),
                scripts(&group.notify),
            )
        });
        Self {
            notify: instances.chain(groups).collect(),
            checks: config
                .scripts
                .iter()
                .filter(|script| tracked.contains(&*script.name))
                .map(|script| (script.name.to_string(), check(script)))
                .collect(),
            track_files: config
                .track_files
                .iter()
                .filter(|file| tracked.contains(&*file.condition()))
                .cloned()
                .collect(),
            fifos: config
                .global
                .fifos
                .iter()
                .map(|it| fifo(it, &config.global))
                .collect(),
            script_user: config.global.script_user.as_ref().map(user),
            enforce_script_security: config.global.enable_script_security,
            log_unknown_vrids: config.global.log_unknown_vrids,
            routers,
            config: config.clone(),
        }
    }
}

fn tracked_conditions(routers: &[RouterConfig]) -> BTreeSet<String> {
    let trackers = routers.iter().flat_map(|router| &router.trackers);
    let names = trackers.filter_map(|tracker| {
        if let Tracked::Condition(name) = &tracker.tracked {
            Some(name.to_string())
        } else {
            None
        }
    });
    names.collect()
}

fn check(script: &VrrpScript) -> CheckDefinition {
    let config = CheckConfig {
        interval: script.interval,
        timeout: script.timeout,
        rise: script.rise,
        fall: script.fall,
        init_fail: script.init_fail,
    };
    CheckDefinition {
        command: command(&script.script),
        config,
    }
}

pub(super) fn command(script: &model::Script) -> Command {
    let mut words = script.argv.iter().cloned();
    let command = Command::new(words.next().unwrap_or_default()).with_args(words);
    match &script.user {
        Some(account) => command.with_user(user(account)),
        None => command,
    }
}

fn user(account: &model::ScriptUser) -> ScriptUser {
    ScriptUser {
        user: account.user.clone(),
        group: account.group.clone(),
    }
}

fn fifo(fifo: &NotifyFifo, global: &Global) -> FifoConfig {
    FifoConfig {
        about: match fifo.about {
            FifoAbout::Everything => None,
            FifoAbout::Roles => Some(About::Roles),
            FifoAbout::Services => Some(About::Services),
        },
        path: fifo.path.clone(),
        owner: fifo
            .owner
            .as_ref()
            .or(global.script_user.as_ref())
            .map(user),
        script: fifo.script.as_ref().map(command),
    }
}

fn scripts(notify: &model::Notify) -> Scripts {
    let of = |script: &Option<model::Script>| script.as_ref().map(command);
    Scripts {
        master: of(&notify.master),
        backup: of(&notify.backup),
        fault: of(&notify.fault),
        stop: of(&notify.stop),
        deleted: match (&notify.deleted, notify.report_deleted) {
            (Some(script), _) => NotifyDeleted::Script(command(script)),
            (None, true) => NotifyDeleted::Alone,
            (None, false) => NotifyDeleted::Absent,
        },
        master_rx_lower_priority: of(&notify.master_rx_lower_pri),
        any: of(&notify.any),
        priority_changes: notify.priority_changes == Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{MemoryEnvironment, Options, load};

    /// Whether FIFOs are told of priorities of an instance that is in a group.
    fn told(of_all: &str, of_group: &str, of_instance: &str) -> bool {
        const PATH: &str = "/etc/keepalived/keepalived.conf";
        let text = format!(
            "global_defs {{\n{of_all}\n}}\nvrrp_sync_group G {{\ngroup {{\nV\n}}\n{of_group}\n}}\n\
             vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\npriority 100\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n{of_instance}\n}}\n"
        );
        let machine = MemoryEnvironment::with_file(PATH, text);
        let loaded = load(PATH, &machine, &Options::default()).unwrap();
        let config = loaded.config.unwrap();
        let settings = Settings::from(&config);
        settings.notify[&Subject::Instance("V".to_owned())].priority_changes
    }

    /// As keepalived 2.2.7 does.
    #[test]
    fn of_priorities_fifos_are_told_as_the_instance_says_or_its_group_or_all() {
        let (all, one) = ("vrrp_notify_priority_changes", "notify_priority_changes");
        for (of_all, of_group, of_instance, expected) in [
            ("", "", "", false),
            (all, "", "", true),
            ("", one, "", true),
            ("", "", one, true),
            ("", one, "notify_priority_changes no", false),
            (all, "", "notify_priority_changes no", false),
        ] {
            let is_told = told(of_all, of_group, of_instance);
            assert_eq!(is_told, expected, "{of_all}, {of_group}, {of_instance}");
        }
    }
}
