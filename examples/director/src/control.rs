//! The control socket: how `director status`, `drain`, `reload` and so on speak with a running
//! daemon.
//!
//! A Unix stream socket. A client writes one JSON object a line, `{"request":"status"}`, and gets
//! one line for each: `{"ok":true,"result":…}` or `{"ok":false,"error":"…"}`. Only root, or the user
//! the daemon runs as, may connect. What [`Ask`] wants more of stands with its name:
//! `{"request":{"server":{"which":{"real_server":"192.0.2.1:80"},"action":"drain"}}}`.

use std::fmt;
use std::future;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::debug;

use crate::balance::{Action, Selection};
use crate::run::OnStop;
use crate::state::file::beside;

pub mod client;
pub mod status;

/// Where the daemon listens and its commands ask if they are told nothing else.
pub const DEFAULT_PATH: &str = "/run/director.sock";

/// The longest request, in bytes; a longer one ends the connection.
const LONGEST_REQUEST: u64 = 64 * 1024;

/// How long a client may take between two requests.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Ask {
    /// The state of everything: [`status::Status`].
    Status,
    /// Read the configuration file again.
    Reload,
    /// What a reload of another file, or of the same, would change: [`Planned`](crate::run::Planned).
    Plan {
        /// The file; an absolute path.
        file: PathBuf,
    },
    /// Leave gracefully.
    Stop,
    /// Leave gracefully, and do that with the table, whatever the daemon was told at its start.
    #[serde(rename = "stop_with")]
    StopWith {
        /// What.
        on_stop: OnStop,
    },
    /// Why an instance, a virtual server or a real server is as it is: [`status::Why`].
    Why {
        /// What it is called.
        name: String,
    },
    /// Do something with real servers.
    Server {
        /// With which.
        which: Selection,
        /// What.
        action: Action,
    },
}

/// Who asks, as the kernel tells it (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) uid: u32,
    pub(crate) pid: Option<i32>,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)?;
        match self.pid {
            None => Ok(()),
            Some(pid) => write!(f, ", pid {pid}"),
        }
    }
}

/// A request as it stands on its line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    request: Ask,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) ask: Ask,
    pub(crate) client: Client,
    pub(crate) reply: Reply,
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Reply(oneshot::Sender<Result<Value, String>>);

impl Reply {
    pub(crate) fn text(self, result: Result<String, String>) {
        // The client may have gone.
        drop(self.0.send(result.map(Value::String)));
    }

    pub(crate) fn value<T: Serialize>(self, result: Result<T, String>) {
        let value =
            result.and_then(|told| serde_json::to_value(told).map_err(|error| error.to_string()));
        // The client may have gone.
        drop(self.0.send(value));
    }
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Somebody answers there.
    #[error(
        "another daemon answers on {}: stop it, or give this one another socket with --control",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something else at that place.
    #[error("{} is no socket: choose another path with --control", path.display())]
    NotASocket {
        /// What is no socket.
        path: PathBuf,
    },
    /// The file cannot be made.
    #[error("cannot listen on {}: choose another path with --control", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// The daemon's end of the socket. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    /// Which file that is: another daemon may have put its own there since.
    file: Option<FileId>,
    requests: mpsc::Receiver<Request>,
    listener: AbortHandle,
}

/// Device and inode.
type FileId = (u64, u64);

fn file_id(path: &Path) -> Option<FileId> {
    let file = std::fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

impl Control {
    /// Listens, in place of a daemon that left its socket behind.
    pub(crate) fn listen(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Io {
            path: path.to_owned(),
            source,
        };
        match std::fs::symlink_metadata(path) {
            Ok(file) if !file.file_type().is_socket() => {
                return Err(ListenError::NotASocket {
                    path: path.to_owned(),
                });
            }
            Ok(_) if client::answers(path) => {
                return Err(ListenError::InUse {
                    path: path.to_owned(),
                });
            }
            Ok(_) => std::fs::remove_file(path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        let (sender, requests) = mpsc::channel(16);
        let listener = tokio::spawn(accept(listener, sender)).abort_handle();
        Ok(Self {
            path: path.to_owned(),
            file: file_id(path),
            requests,
            listener,
        })
    }
}

/// Where a daemon that listens on that socket keeps what it knows.
pub(crate) fn state_path(socket: &Path) -> PathBuf {
    beside(socket, ".state")
}

impl Control {
    /// Where a daemon that listens here keeps what it knows.
    pub(crate) fn state_path(&self) -> PathBuf {
        state_path(&self.path)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.listener.abort();
        if file_id(&self.path) == self.file {
            // Nobody is harmed by a file that stays.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// The next request; never, without a socket. Cancel safe.
pub(crate) async fn next(control: Option<&mut Control>) -> Request {
    let next = match control {
        Some(control) => control.requests.recv().await,
        None => None,
    };
    match next {
        Some(request) => request,
        None => future::pending().await,
    }
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<Request>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let requests = requests.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &requests).await {
                        debug!(%error, "a client of the control socket was cut off");
                    }
                });
            }
            Err(error) => {
                debug!(%error, "cannot accept a client of the control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let client = Client {
        uid: peer.uid(),
        pid: peer.pid(),
    };
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut read).take(LONGEST_REQUEST);
        let length = timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
        if length == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let answer = match serde_json::from_slice(&line) {
            Ok(Question { request }) => ask_daemon(request, client, requests).await,
            Err(error) => Err(format!(
                "not a request: {error}; expected {{\"request\":\"status\"}} or reload, \
                 plan, stop, stop_with, why, server"
            )),
        };
        let answer = match answer {
            Ok(result) => serde_json::json!({ "ok": true, "result": result }),
            Err(error) => serde_json::json!({ "ok": false, "error": error }),
        };
        write.write_all(format!("{answer}\n").as_bytes()).await?;
        if !whole {
            return Ok(());
        }
    }
}

async fn ask_daemon(
    ask: Ask,
    client: Client,
    requests: &mpsc::Sender<Request>,
) -> Result<Value, String> {
    let (reply, answer) = oneshot::channel();
    let reply = Reply(reply);
    let gone = || String::from("the daemon is stopping");
    requests
        .send(Request { ask, client, reply })
        .await
        .map_err(|_| gone())?;
    answer.await.unwrap_or_else(|_| Err(gone()))
}

#[cfg(test)]
mod tests;
