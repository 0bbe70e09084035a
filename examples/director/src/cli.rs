//! The command line.

mod ask;
mod check;
mod demo;
mod real_server;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use director::control::Ask;

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
    #[command(name = "realserver", subcommand)]
    RealServer(real_server::RealServerCommand),
    Run(run::Run),
    Status(ask::ShowStatus),
    /// Has a running daemon read its file again; on an error it goes on as it was.
    Reload(ask::Socket),
    /// Has a running daemon leave gracefully.
    Stop(ask::Socket),
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Check(check) => check.run(),
        Command::Demo(demo) => demo.run(),
        Command::RealServer(command) => command.run(),
        Command::Run(run) => run.run(),
        Command::Status(status) => status.run(),
        Command::Reload(socket) => socket.ask(Ask::Reload),
        Command::Stop(socket) => socket.ask(Ask::Stop),
    }
}
