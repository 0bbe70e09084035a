//! `director plan`: what a reload, or a start, would change.

use std::{path::Path, sync::Arc};

use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};

use super::{
    Options, Refusal,
    balancing::plan_start,
    current_runner::CurrentRunner,
    daemon::{Daemon, ReloadError, missing_interfaces},
    keeping::look,
    means::Means,
    read,
    settings::Settings,
};
use crate::{balance::Probes, conf::Environment, control, log::chain, plan::Plan};

/// What came of asking for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks has to tell them apart"
)]
pub enum Planned {
    /// What would change.
    Plan(Box<Plan>),
    /// The file has errors: these, for people.
    Wrong(String),
    /// The file cannot be read: why.
    Unreadable(String),
    /// It would be refused, or nothing is known of the system: why.
    Impossible(String),
}

impl From<Refusal> for Planned {
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::Unreadable(..) => Self::Unreadable(refusal.text()),
            Refusal::Wrong(_) => Self::Wrong(refusal.text()),
        }
    }
}

impl From<Result<Plan, ReloadError>> for Planned {
    fn from(plan: Result<Plan, ReloadError>) -> Self {
        match plan {
            Ok(plan) => Self::Plan(Box::new(plan)),
            Err(error) => Self::Impossible(chain(&error)),
        }
    }
}

/// What starting with these options would change on this machine, where no daemon runs. What is
/// gone on with of what a daemon has kept, and what is not, is told to `remark`, a line each. Changes
/// nothing. Blocks the calling thread.
pub fn plan(
    options: &Options,
    environment: &dyn Environment,
    remark: &mut dyn FnMut(&str),
) -> Planned {
    let settings = match read(&options.file, options, environment, None) {
        Ok(settings) => settings,
        Err(refusal) => return refusal.into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime
            .block_on(of_start(options, &settings, remark))
            .into(),
        Err(error) => Planned::Impossible(chain(&error)),
    }
}

async fn of_start(
    options: &Options,
    settings: &Settings,
    remark: &mut dyn FnMut(&str),
) -> Result<Plan, ReloadError> {
    let config = &settings.config;
    let kernel = match config.balances() {
        false => None,
        true => {
            let means = Means::of(options.backend).await?;
            let probes = Probes::new(Arc::new(CurrentRunner::new(settings)));
            let socket = options.control.as_deref();
            let beside =
                || control::state_path(socket.unwrap_or_else(|| Path::new(control::DEFAULT_PATH)));
            let path = options.state.clone().unwrap_or_else(beside);
            let (state, remarks) = look(&path).await;
            remarks.iter().for_each(|it| remark(it.text()));
            Some(plan_start(&*means.backend, probes, config, state).await?)
        }
    };
    let mut plan = Plan::new(None, config, kernel);
    let is_there = |name: &str| if_nametoindex(name).is_ok();
    for (router, interface) in missing_interfaces(&settings.routers, is_there) {
        plan.warn_of_missing_interface(&router.name, &interface);
    }
    Ok(plan)
}

/// What a reload of that file would change.
pub(super) async fn of_reload(
    daemon: &Daemon,
    file: &Path,
    options: &Options,
    environment: &dyn Environment,
) -> Planned {
    match read(file, options, environment, daemon.config()) {
        Ok(settings) => daemon.plan(&settings).await.into(),
        Err(refusal) => refusal.into(),
    }
}
