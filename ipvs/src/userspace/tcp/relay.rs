//! The two ways of a connection together.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

use super::{
    reset,
    way::{End, Moved, PipesOf, Way},
};
use crate::{
    Traffic,
    plane::{Passed, Step},
    userspace::{carried::Carried, now},
};

/// Moves bytes both ways until both ends have said that they send no more, or one breaks off, which
/// the other one is told by a reset. Dropped before, it resets both.
pub(super) async fn relay(carried: &Carried, client: TcpStream, server: TcpStream) {
    let mut relay = Relay {
        carried,
        client,
        server,
        up: Some(Way::default()),
        down: Some(Way::default()),
    };
    relay.note(Step::Established, Traffic::ZERO);
    poll_fn(|context| relay.poll(context)).await;
}

struct Relay<'a> {
    carried: &'a Carried,
    client: TcpStream,
    server: TcpStream,
    /// From the client; `None` when it has ended.
    up: Option<Way>,
    /// To the client; `None` when it has ended.
    down: Option<Way>,
}

/// What a look at one way has brought.
#[derive(Debug, Default)]
struct Look {
    moved: Moved,
    is_finished: bool,
    is_broken: bool,
}

impl Relay<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let pipes = pipes(self.carried);
        let (client, server) = (&mut self.client, &mut self.server);
        let is_last = self.down.is_none();
        let up = look(
            &mut self.up,
            context,
            [&mut *client, &mut *server],
            pipes,
            is_last,
        );
        let is_last = self.up.is_none();
        let down = look(&mut self.down, context, [server, client], pipes, is_last);
        self.note_looks(&up, &down);
        let is_over = match (&self.up, &self.down) {
            (None, None) => true,
            // The one that still sends talks to nobody, and was told all that there was.
            (Some(way), None) | (None, Some(way)) => way.is_deaf(),
            (Some(_), Some(_)) => false,
        };
        match is_over || up.is_broken || down.is_broken {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Enters what went through in a look at both ways.
    fn note_looks(&self, up: &Look, down: &Look) {
        let step = match (up.is_finished, down.is_finished) {
            (true, _) => Step::ClientFin,
            (_, true) => Step::DestinationFin,
            _ => Step::Data,
        };
        if step == Step::Data && up.moved.is_zero() && down.moved.is_zero() {
            return;
        }
        let traffic = Traffic {
            packets_in: up.moved.writes,
            packets_out: down.moved.writes,
            bytes_in: up.moved.bytes,
            bytes_out: down.moved.bytes,
            ..Traffic::ZERO
        };
        self.note(step, traffic);
    }

    fn note(&self, step: Step, traffic: Traffic) {
        let at = now();
        let Carried { shared, shard, id } = self.carried;
        shared.note(*shard, *id, Passed { traffic, step, at });
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        let pipes = pipes(self.carried);
        let mut open = self.up.iter_mut().chain(&mut self.down).peekable();
        if open.peek().is_some() {
            reset(&self.client);
            reset(&self.server);
        }
        open.for_each(|way| way.clear(pipes));
    }
}

fn look(
    way: &mut Option<Way>,
    context: &mut Context<'_>,
    ends: [&mut TcpStream; 2],
    pipes: PipesOf<'_>,
    is_last: bool,
) -> Look {
    let mut look = Look::default();
    if let Some(open) = way {
        let end = open.poll(context, ends, pipes, is_last);
        look.moved = open.take_moved();
        match end {
            Poll::Pending => {}
            Poll::Ready(End::Broken) => look.is_broken = true,
            Poll::Ready(End::Finished) => {
                open.clear(pipes);
                look.is_finished = true;
                *way = None;
            }
        }
    }
    look
}

fn pipes(carried: &Carried) -> PipesOf<'_> {
    PipesOf {
        pipes: &carried.shared.pipes,
        shard: carried.shard,
    }
}
