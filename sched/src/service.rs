//! A virtual service: servers, scheduler, persistence, thresholds and counters together.

mod error;

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

pub use self::error::ServiceError;
use crate::{
    connection::{Connection, Pick},
    flow::{Arrival, Protocol},
    kind::Kind,
    persistence::{self, Persistence, TemplateId, Templates},
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

    /// Picks a server for a new connection and counts the connection; `None` refuses it.
    ///
    /// With persistence, a template of the client's network decides if its server is in the
    /// list, even with weight 0 and even overloaded; else the scheduler does, by the client's
    /// own address. A connection is active if it is TCP, inactive if not. With
    /// [`Flags::one_packet`] a UDP packet leaves no connection.
    pub fn connect(&mut self, arrival: &Arrival) -> Option<Pick> {
        let now = arrival.now;
        self.handle_timeout(now);
        let (server, template, by_template) = match self.persistence {
            None => (self.schedule(arrival)?, None, false),
            Some(persistence) => {
                let network = persistence.network(arrival.flow.client.ip());
                if let Some((template, server)) = self.valid_template(network) {
                    (server, Some(template), true)
                } else {
                    let server = self.schedule(arrival)?;
                    let timeout = persistence.timeout;
                    let template = self.templates.insert(network, server, timeout, now);
                    self.change(server, now, |server, rules| {
                        server.templates = server.templates.saturating_add(1);
                        server.overloaded = rules.overload.after_open(server);
                    });
                    (server, Some(template), false)
                }
            }
        };
        let address = self.servers.get(server)?.address();
        let active = arrival.flow.protocol == Protocol::Tcp;
        let connection = self.open(server, active, template, now);
        let connection = if self.flags.one_packet && arrival.flow.protocol == Protocol::Udp {
            self.expire(connection, now);
            None
        } else {
            Some(connection)
        };
        Some(Pick {
            server,
            address,
            by_template,
            connection,
        })
    }

    /// Counts a connection that was not picked here: one that another director handed over.
    ///
    /// `None` if the server is not in the list.
    pub fn adopt(&mut self, server: ServerId, active: bool, now: Instant) -> Option<Connection> {
        self.handle_timeout(now);
        let listed = self.servers.get(server).is_some_and(Server::is_listed);
        listed.then(|| self.open(server, active, None, now))
    }

    /// Counts a connection as active (established) or inactive (closing, closed). Idempotent.
    ///
    /// Never touches the overload mark, since the sum stays.
    pub fn set_active(&mut self, connection: &mut Connection, active: bool) {
        if connection.active == active {
            return;
        }
        connection.active = active;
        if let Some(server) = self.servers.get_mut(connection.server) {
            let (from, to) = if active {
                (&mut server.inactive, &mut server.active)
            } else {
                (&mut server.active, &mut server.inactive)
            };
            *from = from.saturating_sub(1);
            *to = to.saturating_add(1);
        }
        self.tell_load(connection.server);
    }

    /// Counts a connection out: it has left the connection table.
    pub fn expire(&mut self, connection: Connection, now: Instant) {
        self.handle_timeout(now);
        self.change(connection.server, now, |server, rules| {
            let counter = if connection.active {
                &mut server.active
            } else {
                &mut server.inactive
            };
            *counter = counter.saturating_sub(1);
            server.overloaded = rules.overload.after_close(server);
        });
        if let Some(template) = connection.template {
            self.templates.release(template);
        }
    }

    /// Tells the scheduler how long a response took; the kernel's schedulers do not listen.
    pub fn observe(&mut self, connection: &Connection, latency: Duration, now: Instant) {
        self.scheduler.observed(connection.server, latency, now);
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

    fn schedule(&mut self, arrival: &Arrival) -> Option<ServerId> {
        let picked = self.scheduler.pick(arrival, self.flags, &self.servers)?;
        self.servers
            .get(picked)
            .filter(|server| server.is_listed())
            .map(Server::id)
    }

    /// The template of a network if it may be used; one that may not is let go for good.
    fn valid_template(&mut self, network: IpAddr) -> Option<(TemplateId, ServerId)> {
        let (template, server) = self.templates.find(network)?;
        let quiescent = self.rules.expire_quiescent_template;
        if self
            .servers
            .get(server)
            .is_some_and(|server| persistence::is_valid(server, quiescent))
        {
            Some((template, server))
        } else {
            self.templates.invalidate(template);
            None
        }
    }

    fn open(
        &mut self,
        server: ServerId,
        active: bool,
        template: Option<TemplateId>,
        now: Instant,
    ) -> Connection {
        self.change(server, now, |server, rules| {
            let counter = if active {
                &mut server.active
            } else {
                &mut server.inactive
            };
            *counter = counter.saturating_add(1);
            server.overloaded = rules.overload.after_open(server);
        });
        if let Some(template) = template {
            self.templates.use_for_connection(template, now);
        }
        Connection {
            server,
            active,
            template,
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
