//! The connections of a service: picked, counted, and counted out.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::Service;
use crate::{
    connection::{Connection, Pick},
    flow::{Arrival, Protocol},
    persistence::{self, TemplateId},
    server::{Server, ServerId},
};

impl Service {
    /// Picks a server for a new connection and counts the connection; `None` refuses it.
    ///
    /// With persistence, a template of the client's network decides if its server is in the
    /// list, even with weight 0 and even overloaded; else the scheduler does, by the client's
    /// own address. A connection is active if it is TCP, inactive if not. With
    /// [`Flags::one_packet`](crate::Flags::one_packet) a UDP packet leaves no connection.
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
}
