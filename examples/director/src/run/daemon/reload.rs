//! Going over to other settings: all of them or none.

use std::sync::Arc;

use vrrp::Node;

use super::{Config, Daemon, Settings, addresses, missing_interfaces, tell_roles};
use crate::{
    balance::Probes,
    plan::{Kernel, Plan},
    run::{
        balancing::{BalanceError, Balancing, plan_start},
        current_runner::rules,
        keeping::look,
        means::Means,
    },
    state::State,
};

/// Why settings are not taken over.
#[derive(Debug, thiserror::Error)]
pub(in crate::run) enum ReloadError {
    #[error("the configuration contradicts itself")]
    Contradiction(#[from] vrrp::ConfigError),
    #[error(transparent)]
    Vrrp(#[from] vrrp::ConfigureError),
    #[error("load balancing is not possible")]
    Balance(#[from] BalanceError),
    #[error(
        "the file has no vrrp_instance: one that was cut short would take every address away; to \
         give them up, use `director stop`"
    )]
    NoInstance,
    #[error(
        "the file has no virtual_server: one that was cut short would take every service away; to \
         give them up, use `director stop`"
    )]
    NoVirtualServer,
}

impl Daemon {
    /// Goes over to other settings: all of them or, if they are not good or the kernel does not
    /// follow, none. Tells what has changed.
    ///
    /// # Errors
    /// The settings contradict themselves, cannot be carried out, or would take everything away;
    /// all goes on as it was.
    pub(in crate::run) async fn reload(&mut self, settings: Settings) -> Result<Plan, ReloadError> {
        self.may_follow(&settings)?;
        let checks = settings.checks.clone();
        let plan = self.apply(settings).await?;
        self.checks
            .reload(checks, Arc::clone(&self.runner) as _)
            .await;
        Ok(plan)
    }

    /// Whether a reload would not take everything away.
    fn may_follow(&self, settings: &Settings) -> Result<(), ReloadError> {
        let Some(config) = &self.config else {
            return Ok(());
        };
        if settings.routers.is_empty() && !config.instances.is_empty() {
            return Err(ReloadError::NoInstance);
        }
        let balanced = &settings.config.virtual_servers;
        if balanced.is_empty() && !config.virtual_servers.is_empty() {
            return Err(ReloadError::NoVirtualServer);
        }
        Ok(())
    }

    /// What [`reload`](Self::reload) would change. Nothing changes.
    ///
    /// # Errors
    /// It would be refused, as far as that can be told; or the kernel's table cannot be read.
    pub(in crate::run) async fn plan(&self, settings: &Settings) -> Result<Plan, ReloadError> {
        self.may_follow(settings)?;
        let config = &settings.config;
        let kernel = match &self.balancing {
            Some(balancing) => Some(balancing.plan(config).await?),
            None if config.balances() => {
                let means = Means::of(self.wiring.backend).await?;
                let probes = Probes::new(Arc::clone(&self.runner) as _);
                let state = match &self.wiring.state {
                    Some(path) => look(path).await.0,
                    None => State::default(),
                };
                Some(plan_start(&*means.backend, probes, config, state).await?)
            }
            None => None,
        };
        Ok(self.plan_with(config, kernel))
    }

    /// From what is in force, on the interfaces that there are.
    fn plan_with(&self, config: &Config, kernel: Option<Kernel>) -> Plan {
        let mut plan = Plan::new(self.config.as_ref(), config, kernel);
        let routers = config.instances.iter().map(|instance| &instance.router);
        for (router, interface) in
            missing_interfaces(routers, |name| self.known_links.contains_key(name))
        {
            plan.warn_of_missing_interface(&router.name, &interface);
        }
        plan
    }

    pub(super) async fn apply(&mut self, settings: Settings) -> Result<Plan, ReloadError> {
        // Before what is told through them, and those that are no longer wanted behind it.
        let fifos = settings.fifos.clone();
        self.notifier.open_fifos(fifos.clone());
        let applied = self.apply_rest(settings).await;
        if applied.is_ok() {
            self.fifos = fifos;
        }
        self.notifier.keep_fifos(self.fifos.clone());
        applied
    }

    async fn apply_rest(&mut self, settings: Settings) -> Result<Plan, ReloadError> {
        // Before anybody reads them.
        self.track_files.init(&settings.config.track_files).await;
        // What VRRP would refuse must not have touched the table.
        Node::check(&settings.routers)?;
        // The table first: it is looked at, and taken back as if it had never been.
        let kernel = self.balance(&settings).await?;
        self.apply_vrrp(&settings).await?;
        let plan = self.plan_with(&settings.config, kernel);
        self.config = Some(settings.config);
        Ok(plan)
    }

    /// Tells what has changed in the kernel's table. At the start whatever can be done is done.
    async fn balance(&mut self, settings: &Settings) -> Result<Option<Kernel>, BalanceError> {
        let config = &settings.config;
        if self.balancing.is_none() && !config.balances() {
            return Ok(None);
        }
        let balancing = match self.balancing.take() {
            Some(balancing) => balancing,
            None => {
                let means = Means::of(self.wiring.backend).await?;
                let runner = Arc::clone(&self.runner) as _;
                let notifier = self.notifier.clone();
                let flush = config.lvs.flush;
                let state = self.wiring.state.clone();
                let balancing = Balancing::start(means, runner, notifier, flush, state).await?;
                // Instances may have their roles for long, if it is a reload that asks for it.
                if let Some(status) = self.vrrp.node().status().await {
                    tell_roles(&balancing, &status);
                }
                balancing
            }
        };
        balancing.on_addresses(addresses(&self.known_links));
        let balancing = self.balancing.insert(balancing);
        match self.config {
            None => {
                let balanced = balancing.configure(config);
                self.hear_until(balanced).await.map(|()| None)
            }
            Some(_) => {
                let (runner, rules) = (Arc::clone(&self.runner), rules(settings));
                let begin = Box::new(move || runner.follow(rules));
                let balanced = balancing.reload(config, begin);
                self.hear_until(balanced).await.map(Some)
            }
        }
    }
}
