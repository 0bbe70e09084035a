//! What a reload would change: from the configuration that is in force to another one, and from the
//! kernel's table to the one that would be. A value: it is computed, and nothing is done.
//!
//! | module | subject |
//! |---|---|
//! | `difference` | lists of named things that come, go and change |
//! | `settings` | blocks of the configuration in the words of keepalived.conf |
//! | `balancing` | virtual servers with their real servers and checks |
//! | `kernel` | the changes of the kernel's table, and what they do to clients |
//! | `text` | all of it for people |

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::conf::model::{Config, Global, Lvs, TlsClient};

mod balancing;
mod difference;
mod kernel;
mod settings;
mod text;

pub use difference::{Changed, Difference, Setting};
pub use kernel::{Connections, Effect, Kernel, KernelChange, Tables};

/// What would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// What holds for all: `global_defs` and `SSL`.
    pub global: Difference,
    /// `vrrp_instance` blocks.
    pub instances: Difference,
    /// `vrrp_sync_group` blocks.
    pub sync_groups: Difference,
    /// `vrrp_script` blocks.
    pub scripts: Difference,
    /// `track_file` blocks.
    pub track_files: Difference,
    /// `virtual_server` blocks, without their real servers.
    pub virtual_servers: Difference,
    /// `real_server` and `sorry_server` blocks, without their checks.
    pub real_servers: Difference,
    /// Health checks that begin, stop and change.
    pub checks: Difference,
    /// What of it cannot do as the file says on this machine as it is, for people.
    pub warnings: Vec<String>,
    /// The kernel's table; `None`: nothing is balanced, before and after.
    pub kernel: Option<Kernel>,
}

impl Plan {
    /// From what is in force, if anything is, to another configuration. The kernel's part is told
    /// by whoever knows the tables.
    #[must_use]
    pub fn new(before: Option<&Config>, after: &Config, kernel: Option<Kernel>) -> Self {
        let mut plan = Self {
            kernel,
            ..Self::default()
        };
        plan.compare_global(before, after);
        let instances = before.map_or(&[][..], |before| &before.instances);
        difference::pairs(instances, &after.instances, |it| &it.router.name)
            .into_iter()
            .for_each(|(name, before, after)| {
                let settings = settings::instance(before, after);
                plan.instances
                    .note(name, before.is_some(), after.is_some(), settings);
            });
        let groups = before.map_or(&[][..], |before| &before.sync_groups);
        for (name, before, after) in difference::pairs(groups, &after.sync_groups, |it| &it.name) {
            plan.sync_groups
                .compare(name, before, after, settings::sync_group);
        }
        let scripts = before.map_or(&[][..], |before| &before.scripts);
        for (name, before, after) in difference::pairs(scripts, &after.scripts, |it| &it.name) {
            plan.scripts.compare(name, before, after, settings::script);
        }
        let files = before.map_or(&[][..], |before| &before.track_files);
        for (name, before, after) in difference::pairs(files, &after.track_files, |it| &it.name) {
            plan.track_files
                .compare(name, before, after, settings::track_file);
        }
        let servers = before.map_or(&[][..], |before| &before.virtual_servers);
        plan.compare_virtual_servers(servers, &after.virtual_servers);
        plan
    }

    fn compare_global(&mut self, before: Option<&Config>, after: &Config) {
        let (global, lvs, tls) = (Global::default(), Lvs::default(), None::<TlsClient>);
        let (was_global, was_lvs, was_tls) = match before {
            Some(before) => (&before.global, &before.lvs, &before.tls),
            None => (&global, &lvs, &tls),
        };
        let settings = |global: &Global, lvs: &Lvs| settings::global(global, lvs);
        self.global.note(
            "global_defs",
            true,
            true,
            Setting::between(
                settings(was_global, was_lvs),
                settings(&after.global, &after.lvs),
            ),
        );
        let settings = settings::tls(was_tls.as_ref(), after.tls.as_ref());
        self.global
            .note("SSL", was_tls.is_some(), after.tls.is_some(), settings);
    }

    /// Notes that an instance needs an interface that there is not, if anything changes about that
    /// instance: of another it is no news.
    pub fn warn_of_missing_interface(&mut self, instance: &str, interface: impl fmt::Display) {
        let mut changed = self.instances.changed.iter().map(|changed| &changed.name);
        let is_news = self.instances.added.iter().any(|name| name == instance)
            || changed.any(|name| name == instance);
        if is_news {
            self.warnings.push(format!(
                "interface {interface} does not exist: {instance} waits for it in FAULT STATE"
            ));
        }
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let blocks = self.parts().iter().all(|(_, part)| part.is_empty());
        blocks && self.kernel.as_ref().is_none_or(Kernel::is_empty)
    }

    /// All but the kernel's part, each with the word that it is known by in keepalived.conf.
    fn parts(&self) -> [(&'static str, &Difference); 8] {
        [
            ("global_defs", &self.global),
            ("vrrp_instance", &self.instances),
            ("vrrp_sync_group", &self.sync_groups),
            ("vrrp_script", &self.scripts),
            ("track_file", &self.track_files),
            ("virtual_server", &self.virtual_servers),
            ("real_server", &self.real_servers),
            ("check", &self.checks),
        ]
    }
}

#[cfg(test)]
mod tests;
