//! `director run`: the daemon.
//!
//! | module | subject |
//! |---|---|
//! | `settings` | what a configuration makes of the parts of the daemon |
//! | `vrrp_thread` | the thread that VRRP has to itself |
//! | `daemon` | the task that owns the configuration and hears everything |
//! | `balancing` | the task that keeps virtual servers |
//! | `means` | what it is carried out with: the kernel, or memory |
//! | `preparation` | what the machine is set to for it |
//! | `full_nat` | FULLNAT in step with the table |
//! | `track_files` | files with numbers: written at the start, and followed |
//! | `keeping` | what is known, kept for the next start |
//! | `look` | what is known of everything at one moment, for who asks |
//! | `planning` | what a reload, or a start, would change |
//! | `farewell` | what whoever asks is told while it stops |
//! | `events` | what happens, in the words of the log and as notifications |
//!
//! `SIGHUP` reads the file again: an error in it changes nothing, and what is the same in it is not
//! touched. `SIGTERM` and `SIGINT` leave gracefully.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::conf::{self, Environment, model::Config, render};
use crate::control::{self, Ask, Control, Reply};
use crate::log::chain;
use crate::plan::Plan;

mod balancing;
mod current_runner;
mod daemon;
mod events;
mod farewell;
mod full_nat;
mod keeping;
mod look;
mod means;
mod planning;
mod preparation;
mod settings;
mod track_files;
mod vrrp_thread;

pub use crate::sys::share_one_heap;
pub use balancing::OnStop;
use balancing::{Act, Ending};
use daemon::{Daemon, Wiring};
use look::Look;
pub use planning::{Planned, plan};
use settings::Settings;
use vrrp_thread::VrrpThread;

/// What `director run` is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The configuration file.
    pub file: PathBuf,
    /// How to read it.
    pub reading: conf::Options,
    /// The socket on which the daemon answers; `None`: [`control::DEFAULT_PATH`] if that is free.
    pub control: Option<PathBuf>,
    /// Where what is known is kept for the next start; `None`: beside the control socket, in
    /// `CONTROL.state`, and nowhere if there is no control socket.
    pub state: Option<PathBuf>,
    /// What balances load, where the file asks for it.
    pub backend: Backend,
    /// What becomes of the table when the daemon stops, if nothing else is said then.
    pub on_stop: OnStop,
    /// How long [`OnStop::Drain`] waits for connections. Default: 60 s.
    pub drain_deadline: Duration,
}

/// What balances load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Backend {
    /// The kernel's IPVS.
    #[default]
    Kernel,
    /// This process itself, which needs neither IPVS nor root: TCP and UDP.
    Userspace,
    /// Rules of nftables, for kernels without IPVS: NAT alone, and no scheduler that counts
    /// connections.
    Nftables,
    /// A table in memory, which nothing goes through: to try a configuration.
    Memory,
}

impl Options {
    /// Runs this file, strictly read, with the default control socket.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self {
            file,
            reading: conf::Options::default(),
            control: None,
            state: None,
            backend: Backend::default(),
            on_stop: OnStop::default(),
            drain_deadline: Duration::from_secs(60),
        }
    }
}

/// Runs the daemon until it is told to stop. Blocks the calling thread.
///
/// The exit code is 0 after a graceful stop, 1 if the file has errors, 2 if it cannot be read, 3 if
/// the system does not allow what is needed or a part of the daemon has died.
pub fn run(options: &Options, environment: &dyn Environment) -> ExitCode {
    let settings = match read(&options.file, options, environment, None) {
        Ok(settings) => settings,
        Err(refusal) => return refusal.report(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("cannot start: {}", chain(&error));
            return ExitCode::from(3);
        }
    };
    let code = match runtime.block_on(serve(settings, options, environment)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", chain(&error));
            ExitCode::from(3)
        }
    };
    // The start of a script may hang in the kernel; that must not keep us here.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Vrrp(#[from] vrrp_thread::StartError),
    #[error(transparent)]
    Start(#[from] daemon::ReloadError),
    #[error(transparent)]
    Control(#[from] control::ListenError),
    #[error("VRRP has ended by itself: this is a defect, please report it")]
    VrrpEnded,
}

async fn serve(
    settings: Settings,
    options: &Options,
    environment: &dyn Environment,
) -> Result<(), RunError> {
    let listen = |kind| signal(kind).map_err(RunError::Signals);
    let mut hangup = listen(SignalKind::hangup())?;
    let mut stops = [
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    ];
    let mut control = match &options.control {
        Some(path) => Some(Control::listen(path)?),
        None => Control::listen(Path::new(control::DEFAULT_PATH))
            .inspect_err(|error| warn!("No control socket: {}", chain(error)))
            .ok(),
    };
    info!(file = %options.file.display(), "Starting with {}", options.file.display());
    // Without the socket it may be another daemon's.
    let beside = control.as_ref().map(Control::state_path);
    let means = Wiring {
        backend: options.backend,
        state: options.state.clone().or(beside),
    };
    let mut daemon = Daemon::start(VrrpThread::start().await?, means, settings).await?;
    let mut ending = Ending {
        on_stop: options.on_stop,
        drain_deadline: options.drain_deadline,
    };
    let reason = loop {
        tokio::select! {
            heard = daemon.hear() => heard.map_err(|_| RunError::VrrpEnded)?,
            Some(()) = hangup.recv() => {
                let reload = reload(&mut daemon, options, environment);
                // The answer is in the log.
                match unless_stopped(&mut stops, reload).await {
                    Ok(_) => {}
                    Err(reason) => break reason,
                }
            }
            reason = stop(&mut stops) => break reason,
            request = control::next(control.as_mut()) => {
                let control::Request { ask, client, reply } = request;
                match ask {
                    Ask::Status => {
                        answer(reply, daemon.look().await, |look| async { Ok(look.status().await) });
                    }
                    Ask::Why { name } => {
                        answer(reply, daemon.look().await, |look| async move { look.why(&name).await });
                    }
                    Ask::Server { which, action } => {
                        reply.text(daemon.act(Act { which, action, client }).await);
                    }
                    Ask::Reload => {
                        info!(uid = client.uid, pid = client.pid, "{client} ordered reload");
                        let reload = reload(&mut daemon, options, environment);
                        match unless_stopped(&mut stops, reload).await {
                            Ok(answer) => reply.text(answer),
                            Err(reason) => {
                                reply.text(Err(format!("stopped by {reason} meanwhile")));
                                break reason;
                            }
                        }
                    }
                    Ask::Plan { file } => {
                        let planned =
                            planning::of_reload(&daemon, &file, options, environment).await;
                        reply.value(Ok(planned));
                    }
                    Ask::StopWith { on_stop } => {
                        info!(uid = client.uid, pid = client.pid, "{client} ordered stop");
                        reply.text(Ok(String::from("stopping")));
                        ending.on_stop = on_stop;
                        break "asked to";
                    }
                    Ask::Stop => {
                        info!(uid = client.uid, pid = client.pid, "{client} ordered stop");
                        reply.text(Ok(String::from("stopping")));
                        break "asked to";
                    }
                }
            }
        }
    };
    info!("Stopping: {reason}");
    let again = Notify::new();
    let hurry = async {
        tokio::select! {
            _ = stop(&mut stops) => {}
            () = again.notified() => {}
        }
    };
    tokio::select! {
        () = daemon.shutdown(ending, hurry) => {}
        never = farewell::answer(control.as_mut(), &again) => match never {},
    }
    info!("Stopped");
    Ok(())
}

/// Answers once the kernel has told its part, which the daemon does not wait for.
fn answer<T, F>(reply: Reply, look: Option<Look>, telling: impl FnOnce(Look) -> F + Send + 'static)
where
    T: Serialize,
    F: Future<Output = Result<T, String>> + Send,
{
    tokio::spawn(async move {
        reply.value(match look {
            Some(look) => telling(look).await,
            None => Err(String::from("VRRP has ended")),
        });
    });
}

/// Does something if no signal to stop comes before its end; it is dropped then.
async fn unless_stopped<T>(
    signals: &mut [Signal; 2],
    work: impl Future<Output = T>,
) -> Result<T, &'static str> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        reason = stop(signals) => Err(reason),
    }
}

async fn stop(signals: &mut [Signal; 2]) -> &'static str {
    let [terminate, interrupt] = signals;
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Goes over to what the file says now. The answer is for whoever asked; the log has it too.
async fn reload(
    daemon: &mut Daemon,
    options: &Options,
    environment: &dyn Environment,
) -> Result<String, String> {
    info!(file = %options.file.display(), "Reloading {}", options.file.display());
    let refused = match read(&options.file, options, environment, daemon.config()) {
        Ok(settings) => match daemon.reload(settings).await {
            Ok(plan) => {
                log_changes(&plan);
                return Ok(format!("reloaded\n{}", plan.to_string().trim_end()));
            }
            Err(error) => chain(&error),
        },
        Err(refusal) => refusal.text(),
    };
    error!("Reload refused, going on with the configuration as it was:\n{refused}");
    Err(refused)
}

/// More lines are for `director plan`.
const LINES_LOGGED: usize = 100;

fn log_changes(plan: &Plan) {
    info!("Reloaded: {}", plan.summary());
    let text = plan.to_string();
    let mut lines = text.lines();
    // The last line is the summary.
    lines.next_back();
    lines
        .by_ref()
        .take(LINES_LOGGED)
        .for_each(|line| info!("{line}"));
    match lines.count() {
        0 => {}
        more => info!("and {more} lines more"),
    }
}

/// Why a file gives no settings.
enum Refusal {
    Unreadable(PathBuf, io::Error),
    Wrong(String),
}

impl Refusal {
    fn text(&self) -> String {
        match self {
            Self::Unreadable(path, error) => format!("cannot read {}: {error}", path.display()),
            Self::Wrong(text) => text.clone(),
        }
    }

    fn report(&self) -> ExitCode {
        error!("Not started:\n{}", self.text());
        match self {
            Self::Unreadable(..) => ExitCode::from(2),
            Self::Wrong(_) => ExitCode::from(1),
        }
    }
}

fn read(
    file: &Path,
    options: &Options,
    environment: &dyn Environment,
    before: Option<&Config>,
) -> Result<Settings, Refusal> {
    let loaded = match before {
        Some(before) => conf::load_after(before, file, environment, &options.reading),
        None => conf::load(file, environment, &options.reading),
    };
    let loaded = loaded.map_err(|error| Refusal::Unreadable(file.to_owned(), error))?;
    let text = || render::text(&loaded.diagnostics, &loaded.sources, false);
    match &loaded.config {
        None => Err(Refusal::Wrong(text())),
        Some(config) => {
            if !loaded.diagnostics.is_empty() {
                warn!("The configuration has warnings:\n{}", text());
            }
            Ok(Settings::from(config))
        }
    }
}
