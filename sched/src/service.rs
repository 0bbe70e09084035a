//! A virtual service: servers, scheduler, persistence, thresholds and counters together.

mod connections;
mod error;

use std::{net::SocketAddr, time::Instant};

pub use self::error::ServiceError;
use crate::{
    kind::Kind,
    persistence::{Persistence, Remembered, Templates},
    rules::Rules,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId, ServerSettings},
    servers::Servers,
};

/// One virtual service, as the kernel keeps it: hands each new connection to a server.
///
/// It is a plain value. Time comes with each call and must not run backwards; nothing happens
/// between calls. [`poll_timeout`](Self::poll_timeout) says when
/// [`handle_timeout`](Self::handle_timeout) has something to do, but every call that takes a
/// time does what is due first, so that a late driver gives no other decisions.
///
/// It has neither address nor mark of its own: the same value serves an address and port, all
/// ports, or a firewall mark, of either family, because which packets belong to a service is the
/// caller's to know.
#[derive(Debug)]
pub struct Service {
    /// What the scheduler is, if it is the kernel's.
    kind: Option<Kind>,
    scheduler: Box<dyn Scheduler>,
    servers: Servers,
    templates: Templates,
    persistence: Option<Persistence>,
    flags: Flags,
    rules: Rules,
}

impl Service {
    /// A service without servers, scheduled as the kernel's `kind`.
    #[must_use]
    pub fn new(kind: Kind, rules: Rules, now: Instant) -> Self {
        let mut service = Self::with_scheduler(kind.scheduler(&rules), rules, now);
        service.kind = Some(kind);
        service
    }

    /// A service without servers, with a scheduler of your own.
    #[must_use]
    pub fn with_scheduler(mut scheduler: Box<dyn Scheduler>, rules: Rules, now: Instant) -> Self {
        let servers = Servers::default();
        scheduler.start(&servers, now);
        let templates = Templates::default();
        Self {
            kind: None,
            scheduler,
            servers,
            templates,
            persistence: None,
            flags: Flags::NONE,
            rules,
        }
    }

    /// The servers, newest first.
    #[must_use]
    pub const fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The scheduler.
    #[must_use]
    pub fn scheduler(&self) -> &dyn Scheduler {
        self.scheduler.as_ref()
    }

    /// Which of the kernel's schedulers it is; `None` for one that was given as a
    /// [`Scheduler`].
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The flags.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// The persistence, if there is one.
    #[must_use]
    pub const fn persistence(&self) -> Option<Persistence> {
        self.persistence
    }

    /// The persistence templates, in no order to rely on: also those whose server is removed, and
    /// those that another of the same clients has taken the place of, until they expire.
    pub fn templates(&self) -> impl Iterator<Item = Remembered> + '_ {
        self.templates.iter()
    }

    /// Adds a server at the front of the list.
    ///
    /// A server of the same address and port that was removed lately comes back with its
    /// connections, templates and, if the thresholds let it, its overload mark.
    ///
    /// # Errors
    ///
    /// [`ServiceError::ServerExists`], [`ServiceError::Settings`].
    pub fn add_server(
        &mut self,
        address: SocketAddr,
        settings: ServerSettings,
        now: Instant,
    ) -> Result<ServerId, ServiceError> {
        check(address, settings)?;
        self.handle_timeout(now);
        if self.servers.find(address).is_some() {
            return Err(ServiceError::ServerExists(address));
        }
        let id = self.servers.add(address, settings);
        if let Some(server) = self.servers.get_mut(id) {
            server.last_weight = settings.weight;
            set(server, settings, &self.rules);
        }
        self.scheduler.server_added(id, &self.servers);
        Ok(id)
    }

    /// Gives a server new settings, all of them; it keeps its place in the list.
    ///
    /// As in the kernel, an edit that changes nothing is an edit nevertheless: `wrr` begins at
    /// the front of the list again.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NoSuchServer`], [`ServiceError::Settings`].
    pub fn edit_server(
        &mut self,
        address: SocketAddr,
        settings: ServerSettings,
        now: Instant,
    ) -> Result<ServerId, ServiceError> {
        check(address, settings)?;
        self.handle_timeout(now);
        let id = self.listed(address)?;
        if let Some(server) = self.servers.get_mut(id) {
            if settings.weight != 0 {
                server.last_weight = settings.weight;
            }
            set(server, settings, &self.rules);
        }
        self.scheduler.server_edited(id, &self.servers);
        Ok(id)
    }

    /// Takes a server off the list. Its connections stay counted, see [`Servers`].
    ///
    /// # Errors
    ///
    /// [`ServiceError::NoSuchServer`].
    pub fn remove_server(
        &mut self,
        address: SocketAddr,
        now: Instant,
    ) -> Result<ServerId, ServiceError> {
        self.handle_timeout(now);
        let id = self.listed(address)?;
        let previous = self.servers.previous(id);
        self.servers.remove(id, now);
        self.scheduler.server_removed(id, previous, &self.servers);
        Ok(id)
    }

    /// Schedules as the kernel's `kind` from now on.
    ///
    /// Does nothing if it does so already. Otherwise what the scheduler remembered is lost and
    /// the new one begins with the list as it is. Idempotent.
    ///
    /// # Errors
    ///
    /// [`ServiceError::TooManyServers`], for `mh`.
    pub fn set_kind(&mut self, kind: Kind, now: Instant) -> Result<(), ServiceError> {
        if self.kind != Some(kind) {
            self.set_scheduler(kind.scheduler(&self.rules), now)?;
            self.kind = Some(kind);
        }
        Ok(())
    }

    /// Schedules by `scheduler` from now on, which begins with the list as it is.
    ///
    /// # Errors
    ///
    /// [`ServiceError::TooManyServers`].
    pub fn set_scheduler(
        &mut self,
        mut scheduler: Box<dyn Scheduler>,
        now: Instant,
    ) -> Result<(), ServiceError> {
        self.handle_timeout(now);
        let servers = self.servers.len();
        if let Some(max) = scheduler.max_servers().filter(|max| servers > *max) {
            return Err(ServiceError::TooManyServers { max, servers });
        }
        scheduler.start(&self.servers, now);
        self.scheduler = scheduler;
        self.kind = None;
        Ok(())
    }

    /// Sets the flags, which hold from the next connection on; nothing is rebuilt. Idempotent.
    pub const fn set_flags(&mut self, flags: Flags) {
        self.flags = flags;
    }

    /// Sets or ends persistence. Templates that exist keep their timeout. Idempotent.
    pub const fn set_persistence(&mut self, persistence: Option<Persistence>) {
        self.persistence = persistence;
    }

    /// When [`Service::handle_timeout`] has something to do; `None` if nothing is waiting.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.templates.poll_timeout(),
            self.servers.next_forget_at(),
            self.scheduler.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due by `now`: expires templates, forgets removed servers, lets the scheduler
    /// do its own. Does nothing if called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((server, at)) = self.templates.expire(now) {
            self.change(server, at, |server, rules| {
                server.templates = server.templates.saturating_sub(1);
                server.overloaded = rules.overload.after_close(server);
            });
        }
        if self.scheduler.poll_timeout().is_some_and(|at| at <= now) {
            self.scheduler.handle_timeout(now);
        }
        if self.servers.next_forget_at().is_some_and(|at| at <= now) {
            self.servers
                .forget(now, |server| self.scheduler.remembers(server));
        }
    }

    /// Changes the counters of a server and tells who has to know.
    fn change(&mut self, id: ServerId, now: Instant, change: impl FnOnce(&mut Server, &Rules)) {
        if let Some(server) = self.servers.get_mut(id) {
            change(server, &self.rules);
        }
        self.servers.released(id, now);
        self.tell_load(id);
    }

    fn tell_load(&mut self, server: ServerId) {
        if self.servers.get(server).is_some_and(Server::is_listed) {
            self.scheduler.load_changed(server, &self.servers);
        }
    }

    fn listed(&self, address: SocketAddr) -> Result<ServerId, ServiceError> {
        let server = self.servers.find(address).map(Server::id);
        server.ok_or(ServiceError::NoSuchServer(address))
    }
}

fn check(address: SocketAddr, settings: ServerSettings) -> Result<(), ServiceError> {
    settings
        .check()
        .map_err(|source| ServiceError::Settings { address, source })
}

fn set(server: &mut Server, settings: ServerSettings, rules: &Rules) {
    let old = std::mem::replace(&mut server.settings, settings);
    server.overloaded = rules
        .overload
        .after_edit(server, old.upper_threshold, old.lower_threshold);
}
