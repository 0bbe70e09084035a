//! Scripts are run by the rules of the configuration that is in force.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use super::settings::Settings;
use crate::script::command::{Command, ScriptUser};
use crate::script::run::{ProcessRunner, Report, Runner, Stop};
use crate::script::security::Policy;

/// Runs scripts by the rules of the configuration that is in force.
pub(super) struct CurrentRunner(RwLock<(Rules, Arc<ProcessRunner>)>);

/// `enable_script_security` and `script_user`.
pub(super) type Rules = (bool, Option<ScriptUser>);

impl CurrentRunner {
    pub(super) fn new(settings: &Settings) -> Self {
        let rules = rules(settings);
        let runner = Arc::new(runner(&rules));
        Self(RwLock::new((rules, runner)))
    }

    pub(super) fn follow(&self, rules: Rules) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if current.0 != rules {
            let runner = Arc::new(runner(&rules));
            *current = (rules, runner);
        }
    }
}

#[async_trait]
impl Runner for CurrentRunner {
    async fn run(&self, command: &Command, stop: Stop) -> Report {
        let current = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).1);
        current.run(command, stop).await
    }
}

/// Those of a configuration.
pub(super) fn rules(settings: &Settings) -> Rules {
    (
        settings.enforce_script_security,
        settings.script_user.clone(),
    )
}

fn runner((enforce, user): &Rules) -> ProcessRunner {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ProcessRunner::new(Policy::new(*enforce, user.clone(), path))
}
