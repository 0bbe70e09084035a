//! A table whose time a test moves.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use crate::{
    Change, Connection, Counts, Endpoint, Seconds, ServiceKey,
    plane::{Dropped, Errno, Flow, FlowId, Plane, Step},
};

/// Where the clock stops: 34,000 years, which every platform can add to an instant.
const END_OF_TIME: Duration = Duration::from_secs(1 << 40);

#[derive(Debug)]
pub(super) struct State {
    pub(super) plane: Plane,
    /// The moment at which the kernel started.
    started: Instant,
    /// Since then.
    pub(super) now: Duration,
}

impl State {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the start of a clock that only a test moves"
    )]
    pub(super) fn new() -> Self {
        Self {
            plane: Plane::new(),
            started: Instant::now(),
            now: Duration::ZERO,
        }
    }

    fn at(&self) -> Instant {
        self.started + self.now
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Errno> {
        self.plane.apply(change, self.at())
    }

    /// Stops at each moment at which something is due.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now.saturating_add(by).min(END_OF_TIME);
        let until = self.started + end;
        while let Some(at) = self.plane.poll_timeout().filter(|at| *at <= until) {
            let at = at.saturating_duration_since(self.started);
            self.now = self.now.max(at);
            self.plane.handle_timeout(self.at());
            // Nothing waits for these clients.
            while self.plane.poll_output().is_some() {}
        }
        self.now = end;
    }

    pub(super) fn set_counts(
        &mut self,
        service: &ServiceKey,
        destination: &Endpoint,
        counts: Counts,
    ) -> bool {
        let at = self.at();
        self.plane.set_counts(service, destination, counts, at)
    }

    /// A client's first packet, and the rest of the handshake.
    pub(super) fn connect(
        &mut self,
        flow: Flow,
        mark: Option<NonZeroU32>,
    ) -> Result<Connection, Dropped> {
        let route = self.plane.connect(flow, mark, self.at())?;
        match route.id {
            Some(id) => self.after(id, &[Step::Established]),
            None => {
                let ends = [flow.client, flow.to, route.destination];
                let (protocol, expires) = (Some(flow.protocol), Seconds::default());
                Ok(Connection::new(protocol, ends, "UDP", expires))
            }
        }
    }

    pub(super) fn send(&mut self, flow: Flow, steps: &[Step]) -> Result<Connection, Dropped> {
        let id = self.plane.find(&flow)?;
        self.after(id, steps)
    }

    fn after(&mut self, id: FlowId, steps: &[Step]) -> Result<Connection, Dropped> {
        let at = self.at();
        for step in steps {
            self.plane.send(id, *step, at)?;
        }
        let connection = self.plane.connection(id, at);
        Ok(connection.expect("it was found, and only time forgets it"))
    }

    pub(super) fn connections(&self) -> Vec<Connection> {
        self.plane.connections(self.at())
    }
}
