//! The command line.

mod ask;
mod check;
mod demo;
mod plan;
mod real_server;
mod run;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use director::{balance::Action, control::Ask};

/// Failover and load balancing from a keepalived.conf.
#[derive(Debug, Parser)]
#[command(name = "director", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Demo(demo::Demo),
    Plan(plan::Plan),
    #[command(name = "realserver", subcommand)]
    RealServer(real_server::RealServerCommand),
    Run(run::Run),
    Status(ask::ShowStatus),
    Why(ask::ShowWhy),
    /// Gives real servers no new connections; those they have go on. Until `undrain`.
    ///
    /// What is ordered outlives reloads and restarts, until a daemon clears the table at its end.
    Drain(server::Servers),
    /// Gives real servers connections again, with the weight of the file and of the checks.
    Undrain(server::Servers),
    Weight(server::Weight),
    Disable(server::Disable),
    /// Puts real servers back in the table, if their checks let them.
    Enable(server::Servers),
    /// Has the checks of real servers look now instead of at their next time.
    Probe(server::Servers),
    /// Has a running daemon read its file again; on an error it goes on as it was.
    Reload(ask::Socket),
    Stop(ask::Stop),
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Check(check) => check.run(),
        Command::Demo(demo) => demo.run(),
        Command::Plan(plan) => plan.run(),
        Command::RealServer(command) => command.run(),
        Command::Run(run) => run.run(),
        Command::Status(status) => status.run(),
        Command::Why(why) => why.run(),
        Command::Drain(servers) => servers.act(Action::Drain),
        Command::Undrain(servers) => servers.act(Action::Undrain),
        Command::Weight(weight) => weight.run(),
        Command::Disable(disable) => disable.run(),
        Command::Enable(servers) => servers.act(Action::Enable),
        Command::Probe(servers) => servers.act(Action::Probe),
        Command::Reload(socket) => socket.ask(Ask::Reload),
        Command::Stop(stop) => stop.run(),
    }
}
