//! The place with a clock and tasks: runs a [`Node`] on a [`Network`] and a [`VipManager`].
//!
//! One task owns the node. It sends advertisements itself and at once; work on addresses and the
//! telling of events goes through one in-order lane for each router, so that a slow kernel delays
//! no advertisement and nobody is told of a role before its addresses are there. There is no policy
//! here: what follows from what is decided by the values.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{error, trace};

use crate::{
    Change, ConfigError, Input, Links, Network, Node, NodeInput, NodeOutput, Output, Role,
    RouterConfig, RouterId, Tracked, TrackerState, VipManager,
    handle::{Happening, NodeHandle, NodeStatus, PortStatus, Roles, RouterStatus},
};

mod lane;
mod ports;

use lane::{Lanes, Work};
use ports::{Ports, Reading};

/// Events that a slow listener may lag behind before it misses some.
const EVENTS_KEPT: usize = 4096;

/// Starts a node without routers on the current runtime; the handle gives it some.
///
/// Advertisements are as punctual as the runtime: a program with long-running tasks of its own
/// should give this one a thread with a runtime to itself.
///
/// # Panics
/// There is no tokio runtime with time (and, for `net`, IO) enabled.
pub fn spawn(network: Arc<dyn Network>, vips: Arc<dyn VipManager>) -> NodeHandle {
    let (commands, command_queue) = mpsc::unbounded_channel();
    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let roles = Roles::default();
    let driver = Driver {
        node: Node::new(),
        links: Some(network.links()),
        ports: Ports::new(network),
        lanes: Lanes::new(vips, events.clone(), roles.clone()),
        commands: command_queue,
        stop_replies: Vec::new(),
    };
    tokio::spawn(driver.run());
    NodeHandle::new(commands, events, roles)
}

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Configure(
        Vec<RouterConfig>,
        oneshot::Sender<Result<Vec<Change>, ConfigError>>,
    ),
    Track(Tracked, TrackerState),
    Router(Arc<str>, Input),
    Status(oneshot::Sender<NodeStatus>),
    Stop(Option<oneshot::Sender<()>>),
}

struct Driver {
    node: Node,
    /// `None` once whoever watched the interfaces is gone.
    links: Option<watch::Receiver<Links>>,
    ports: Ports,
    lanes: Lanes,
    commands: mpsc::UnboundedReceiver<Command>,
    stop_replies: Vec<oneshot::Sender<()>>,
}

enum Wake {
    Reading(Reading),
    Result(RouterId, Input),
    Links,
    LinksGone,
    Command(Command),
    Time,
}

impl Driver {
    async fn run(mut self) {
        self.on_links().await;
        let mut stopping = false;
        while !stopping {
            self.work_off().await;
            match self.wake().await {
                Wake::Reading(reading) => self.on_reading(reading),
                Wake::Result(id, input) => self.handle(NodeInput::Router { id, input }),
                Wake::Links => self.on_links().await,
                Wake::LinksGone => {
                    error!("the interfaces are watched no more: their changes go unnoticed");
                    self.links = None;
                }
                Wake::Command(command) => stopping = self.on_command(command).await,
                Wake::Time => {}
            }
            // Checked whatever it was that woke us: no flood of packets keeps a timer from firing.
            if self.deadline().is_some_and(|at| at <= now()) {
                self.on_time().await;
            }
        }
        self.stop().await;
    }

    /// Waits for what is next.
    async fn wake(&mut self) -> Wake {
        let deadline = self.deadline();
        let links = self.links.as_mut();
        tokio::select! {
            biased;
            reading = self.ports.read() => Wake::Reading(reading),
            (id, input) = self.lanes.result() => Wake::Result(id, input),
            changed = changed(links) => if changed { Wake::Links } else { Wake::LinksGone },
            command = self.commands.recv() => {
                Wake::Command(command.unwrap_or(Command::Stop(None)))
            }
            () = sleep_or_wait(deadline) => Wake::Time,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let node = self.node.poll_timeout().map(Instant::from_std);
        node.into_iter().chain(self.ports.retry_at()).min()
    }

    fn handle(&mut self, input: NodeInput) {
        self.node.handle(input, now().into_std());
    }

    fn on_reading(&mut self, reading: Reading) {
        match reading {
            Reading::Received(interface, received) => {
                trace!(%interface, from = %received.from, vrid = %received.advert.vrid(), "received");
                self.handle(NodeInput::Received {
                    interface,
                    received,
                });
            }
            Reading::Closed(port, number) => self.ports.close(&port, number, now()),
        }
    }

    async fn on_time(&mut self) {
        if self.deadline().is_some_and(|at| now() > at + LATE) {
            // A process that was stopped for a while hears the others before it believes that they
            // were silent. Lets the readers run, which have been waiting as long as we have.
            tokio::task::yield_now().await;
            while let Some(reading) = self.ports.try_read() {
                self.on_reading(reading);
            }
        }
        self.handle(NodeInput::Timeout);
        if self.ports.retry_at().is_some_and(|at| at <= now()) {
            self.open_ports().await;
        }
    }

    async fn on_links(&mut self) {
        if let Some(links) = &mut self.links {
            let links = links.borrow_and_update().clone();
            self.handle(NodeInput::Links(links));
        }
        self.open_ports().await;
    }

    /// Has an advertiser open for each interface that a router is on, and tells the routers.
    async fn open_ports(&mut self) {
        for (id, input) in self.ports.open(&self.node, now()).await {
            self.handle(NodeInput::Router { id, input });
        }
    }

    async fn on_command(&mut self, command: Command) -> bool {
        match command {
            Command::Configure(configs, reply) => {
                let result = self.node.configure(configs, now().into_std());
                self.lanes.set_routers(&self.node);
                // New routers may advertise at once, and those removed have a last word.
                self.open_ports().await;
                self.work_off().await;
                self.lanes.forget_removed(&self.node);
                self.ports.close_unused(&self.node);
                drop(reply.send(result));
            }
            Command::Track(tracked, state) => self.handle(NodeInput::Tracker { tracked, state }),
            Command::Router(name, input) => {
                let named = |(_, router): &(_, &crate::VirtualRouter)| router.config().name == name;
                let id = self.node.routers().find(named).map(|(id, _)| id);
                if let Some(id) = id {
                    self.handle(NodeInput::Router { id, input });
                }
            }
            Command::Status(reply) => drop(reply.send(self.status())),
            Command::Stop(reply) => {
                self.stop_replies.extend(reply);
                return true;
            }
        }
        false
    }

    /// Does what the node wants done until it wants nothing more.
    async fn work_off(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                NodeOutput::Router { id, output } => self.on_output(id, output).await,
                NodeOutput::Group { name, by, from, to } => {
                    let happening = Happening::Group { name, from, to };
                    self.lanes.push(by, Work::Tell(happening));
                }
                NodeOutput::UnknownVrid {
                    interface,
                    vrid,
                    from,
                } => {
                    self.lanes.tell(Happening::UnknownVrid {
                        interface,
                        vrid,
                        from,
                    });
                }
            }
        }
    }

    async fn on_output(&mut self, id: RouterId, output: Output) {
        let work = match output {
            Output::Transmit { advert, delivery } => {
                let Err(error) = self.ports.send(id, &self.node, &advert, &delivery).await else {
                    return;
                };
                let input = Input::SendFailed(error);
                return self.handle(NodeInput::Router { id, input });
            }
            Output::Acquire(vips) => Work::Acquire(vips),
            Output::Release(vips) => Work::Release(vips),
            Output::Announce { vips, rounds, gap } => Work::Announce { vips, rounds, gap },
            Output::Event(event) => {
                let Some(router) = self.node.router(id) else {
                    return;
                };
                Work::Tell(Happening::Router {
                    name: Arc::clone(&router.config().name),
                    priority: router.priority(),
                    event,
                })
            }
        };
        self.lanes.push(id, work);
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            routers: self
                .node
                .routers()
                .map(|(_, router)| RouterStatus::of(router))
                .collect(),
            groups: self
                .node
                .groups()
                .map(|(name, group)| (Arc::clone(name), group.role()))
                .collect::<Vec<(Arc<str>, Role)>>(),
            ports: self.ports.status().collect::<Vec<PortStatus>>(),
            unknown_vrids: self.node.unknown_vrids(),
        }
    }

    /// Leaves: the last advertisements are out before the sockets go, the addresses are gone before
    /// anybody is told that it is done.
    async fn stop(mut self) {
        self.handle(NodeInput::Stop);
        self.work_off().await;
        self.lanes.finish().await;
        while let Some((id, input)) = self.lanes.try_result() {
            self.handle(NodeInput::Router { id, input });
        }
        self.work_off().await;
        drop(self.ports);
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Stop(reply) = command {
                self.stop_replies.extend(reply);
            }
        }
        for reply in self.stop_replies {
            reply.send(()).ok();
        }
    }
}

/// A deadline missed by more than this means that the process was not running.
const LATE: Duration = Duration::from_millis(5);

async fn changed(links: Option<&mut watch::Receiver<Links>>) -> bool {
    match links {
        Some(links) => links.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

async fn sleep_or_wait(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver is where time is read"
)]
fn now() -> Instant {
    Instant::now()
}
