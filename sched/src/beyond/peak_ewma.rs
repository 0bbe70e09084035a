//! Power of two choices by peak-sensitive response times.

use std::time::{Duration, Instant};

use crate::{
    flow::Arrival,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    server_map::ServerMap,
    servers::Servers,
};

/// The better of two random servers, by response time and connections under way.
///
/// The cost of a server is its response time times its connections (active and inactive, and the
/// new one), divided by its weight. The response time is an average that jumps up to any longer
/// one that is measured and then decays: a server that stalls is avoided at once and trusted again
/// gradually. Tell it what you measure by [`Service::observe`](crate::Service::observe); without
/// measurements it chooses by connections alone.
///
/// The two servers are different ones if there are two, each pair as likely as any other. A pick
/// takes the same time for any number of servers.
///
/// Sources: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS
/// 12(10), 2001; the "peak EWMA" balancer of Twitter's Finagle (2015), by description.
#[derive(Debug, Clone)]
pub struct PeakEwma {
    decay: Duration,
    default_latency: Duration,
    /// The usable servers in no particular order, to draw from.
    usable: Vec<ServerId>,
    states: ServerMap<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Where it is in `usable`.
    place: Option<usize>,
    measured: Option<Average>,
}

/// A response time in seconds, as of a moment.
#[derive(Debug, Clone, Copy)]
struct Average {
    seconds: f64,
    at: Instant,
}

impl PeakEwma {
    /// Averages in which a measurement fades to 37 % (1/e) within `decay`, such as 10 s, and
    /// servers of which no response time is known count with `default_latency`.
    #[must_use]
    pub fn new(decay: Duration, default_latency: Duration) -> Self {
        Self {
            decay,
            default_latency,
            usable: Vec::new(),
            states: ServerMap::default(),
        }
    }

    /// What the scheduler takes the response time of `server` to be.
    #[must_use]
    pub fn latency(&self, server: ServerId) -> Duration {
        Duration::try_from_secs_f64(self.seconds(server)).unwrap_or(Duration::MAX)
    }

    fn seconds(&self, server: ServerId) -> f64 {
        let measured = self.states.get(server).and_then(|state| state.measured);
        measured.map_or(self.default_latency.as_secs_f64(), |average| {
            average.seconds
        })
    }

    fn cost(&self, server: &Server) -> f64 {
        // A server that answers in no time at all still has a queue to be compared by.
        let seconds = self.seconds(server.id()).max(1e-9);
        seconds * (server.connections() + 1) as f64 / f64::from(server.weight())
    }

    /// Puts a server among those to draw from, or takes it out, as it is usable or not.
    fn update(&mut self, id: ServerId, servers: &Servers) {
        let mut state = self.states.get(id).copied().unwrap_or_default();
        match (servers.usable(id), state.place) {
            (Some(_), None) => {
                state.place = Some(self.usable.len());
                self.usable.push(id);
            }
            (None, Some(place)) => {
                state.place = None;
                self.usable.swap_remove(place);
                let moved = self.usable.get(place).copied();
                if let Some(moved) = moved.and_then(|id| self.states.get_mut(id)) {
                    moved.place = Some(place);
                }
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.states.insert(id, state);
    }
}

impl Scheduler for PeakEwma {
    fn name(&self) -> &'static str {
        "peak-ewma"
    }

    fn pick(&mut self, arrival: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let count = self.usable.len();
        let draw =
            |random: u32, below: usize| ((u64::from(random) * below as u64) >> u32::BITS) as usize;
        let server = |place: usize| servers.get(*self.usable.get(place)?);
        let (first, second) = arrival.random_halves();
        let first_place = draw(first, count);
        let first = server(first_place)?;
        if count == 1 {
            return Some(first.id());
        }
        // Counted on from the first, so that it is another one.
        let second = server((first_place + 1 + draw(second, count - 1)) % count)?;
        Some(if self.cost(second) < self.cost(first) {
            second.id()
        } else {
            first.id()
        })
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        *self = Self::new(self.decay, self.default_latency);
        for server in servers.iter() {
            self.update(server.id(), servers);
        }
    }

    fn server_added(&mut self, server: ServerId, servers: &Servers) {
        self.update(server, servers);
    }

    fn server_edited(&mut self, server: ServerId, servers: &Servers) {
        self.update(server, servers);
    }

    fn server_removed(&mut self, server: ServerId, _: Option<ServerId>, servers: &Servers) {
        self.update(server, servers);
        self.states.remove(server);
    }

    fn load_changed(&mut self, server: ServerId, servers: &Servers) {
        self.update(server, servers);
    }

    fn observed(&mut self, server: ServerId, latency: Duration, now: Instant) {
        let decay = self.decay.as_secs_f64();
        let Some(state) = self.states.get_mut(server) else {
            return;
        };
        let sample = latency.as_secs_f64();
        let seconds = match state.measured {
            Some(average) if sample < average.seconds => {
                let age = now.saturating_duration_since(average.at).as_secs_f64();
                let kept = if decay > 0.0 {
                    (-age / decay).exp()
                } else {
                    0.0
                };
                average.seconds * kept + sample * (1.0 - kept)
            }
            _ => sample,
        };
        state.measured = Some(Average { seconds, at: now });
    }
}
