//! The machines on the switch, and what runs on them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;

use ipvs::{RealServer, Via, machine::Linux};

use crate::log::chain;
use crate::real_server::{Journal, up};

use super::log_line::LogLine;
use super::network::{self, Machine, Switch};
use super::plane::Plane;
use super::process::Process;
use super::scenario::{CLIENT, CLIENT_MAC, Node, Server, VIP};
use super::{director, real_server, sandbox};

/// Something could not be done to a machine.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error("cannot {what} of {name}")]
    Process {
        what: &'static str,
        name: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot prepare the real server {server} for direct routing: {why}")]
    Prepare { server: Server, why: String },
}

/// The switch and all that is connected to it.
#[derive(Debug)]
pub(super) struct Machines {
    switch: Switch,
    plane: Plane,
    pub(super) client: Machine,
    /// Those that have power.
    directors: BTreeMap<Node, (Machine, Process)>,
    servers: BTreeMap<Server, (Machine, Option<Process>)>,
}

impl Machines {
    /// The client and the machines of the real servers, on which nothing runs yet.
    pub(super) fn new(plane: Plane) -> Result<Self, Error> {
        let switch = Switch::new()?;
        let client = Machine::new("client")?;
        switch.connect(&client, CLIENT_MAC, CLIENT)?;
        let mut servers = BTreeMap::new();
        for server in Server::ALL {
            let machine = Machine::new(server.name())?;
            switch.connect(&machine, server.mac(), server.address())?;
            if plane == Plane::Kernel {
                prepare(server, &machine)?;
            }
            servers.insert(server, (machine, None));
        }
        Ok(Self {
            switch,
            plane,
            client,
            directors: BTreeMap::new(),
            servers,
        })
    }

    pub(super) const fn plane(&self) -> &Plane {
        &self.plane
    }

    /// A new machine whose director is started.
    pub(super) fn power_on(
        &mut self,
        node: Node,
        on_line: impl FnMut(Option<LogLine>) + Send + 'static,
    ) -> Result<(), Error> {
        let machine = Machine::new(node.name())?;
        self.switch.connect(&machine, node.mac(), node.address())?;
        let director = machine
            .enter(|| director::start(node, &self.plane, &sandbox::directory(), on_line))?
            .map_err(failed("start the director", node.name()))?;
        self.directors.insert(node, (machine, director));
        Ok(())
    }

    /// The machine is gone. Nothing if it has no power.
    pub(super) fn power_off(&mut self, node: Node) -> Result<(), Error> {
        let Some((machine, mut director)) = self.directors.remove(&node) else {
            return Ok(());
        };
        director
            .kill()
            .map_err(failed("kill the director", node.name()))?;
        // A namespace's kernel has no power to lose: it would go on answering for the address.
        self.switch.disconnect(&machine)?;
        // How it has ended is known.
        director.wait().ok();
        Ok(())
    }

    /// Asks the director to stop. Nothing if it has no power.
    pub(super) fn stop(&self, node: Node) -> Result<(), Error> {
        self.directors.get(&node).map_or(Ok(()), |(_, director)| {
            director
                .stop()
                .map_err(failed("stop the director", node.name()))
        })
    }

    /// Waits for the end of a director whose log has ended: with success, or how.
    pub(super) fn director_end(&mut self, node: Node) -> Option<Result<(), String>> {
        let (_, director) = self.directors.get_mut(&node)?;
        Some(director.wait())
    }

    pub(super) fn start_server(
        &mut self,
        server: Server,
        on_line: impl FnMut(Option<String>) + Send + 'static,
    ) -> Result<(), Error> {
        let Some((machine, running)) = self.servers.get_mut(&server) else {
            return Ok(());
        };
        let started = machine
            .enter(|| Process::start(real_server::command(server)?, server.name(), on_line))?;
        *running = Some(started.map_err(failed("start the real server", server.name()))?);
        Ok(())
    }

    /// Its process is killed. Nothing if it does not run.
    pub(super) fn kill_server(&mut self, server: Server) -> Result<(), Error> {
        let running = self.servers.get_mut(&server);
        let Some(mut process) = running.and_then(|(_, running)| running.take()) else {
            return Ok(());
        };
        process
            .kill()
            .map_err(failed("kill the real server", server.name()))?;
        process.wait().ok();
        Ok(())
    }

    /// Waits for the end of a real server whose standard error has ended; `None` if it was killed
    /// from here.
    pub(super) fn server_end(&mut self, server: Server) -> Option<Result<(), String>> {
        let (_, running) = self.servers.get_mut(&server)?;
        running.take().map(|mut process| process.wait())
    }

    /// The descriptors of this process by which the namespaces of the machines that have power can
    /// be entered, by name.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&'static str, RawFd)> {
        let directors = self.directors.values().map(|(machine, _)| machine);
        let servers = self.servers.values().map(|(machine, _)| machine);
        [&self.client]
            .into_iter()
            .chain(directors)
            .chain(servers)
            .map(|machine| (machine.name(), machine.descriptor()))
    }

    /// The numbers in the sandbox of the processes that run, by the names of their machines.
    pub(super) fn processes(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let directors = self.directors.iter();
        let directors = directors.map(|(node, (_, director))| (node.name(), director.id()));
        let servers = self.servers.iter();
        let servers = servers
            .filter_map(|(server, (_, running))| Some((server.name(), running.as_ref()?.id())));
        directors.chain(servers)
    }
}

/// What `director realserver up` does.
fn prepare(server: Server, machine: &Machine) -> Result<(), Error> {
    let prepared = machine.enter(|| -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let linux = Linux::open().map_err(|error| chain(&error))?;
            let wanted = RealServer::new([(IpAddr::V4(VIP), Via::DirectRoute)]);
            let journal = sandbox::directory().join(format!("{server}.realserver"));
            up(&linux, &wanted, &Journal::at(&journal))
                .await
                .map(drop)
                .map_err(|error| chain(&error))
        })
    })?;
    prepared.map_err(|why| Error::Prepare { server, why })
}

fn failed(what: &'static str, name: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Process { what, name, source }
}
