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
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
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
    requests: mpsc::Receiver<Request>,
    listener: AbortHandle,
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
            requests,
            listener,
        })
    }
}

impl Control {
    /// Where a daemon that listens here keeps what it knows.
    pub(crate) fn state_path(&self) -> PathBuf {
        beside(&self.path, ".state")
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.listener.abort();
        // Nobody is harmed by a file that stays.
        std::fs::remove_file(&self.path).ok();
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
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_word_and_nothing_else() {
        let ask = |text: &str| {
            let question = serde_json::from_str::<Question>(text).ok();
            question.map(|question| question.request)
        };
        assert_eq!(ask(r#"{"request":"status"}"#), Some(Ask::Status));
        assert_eq!(ask(r#"{"request":"stop"}"#), Some(Ask::Stop));
        assert_eq!(ask(r#"{"request":"dance"}"#), None);
        assert_eq!(ask(r#"{"request":"stop","now":true}"#), None);
    }

    #[test]
    fn what_is_done_with_real_servers_stands_with_them() {
        let ask = |which: &str, action: &str| {
            let line =
                format!(r#"{{"request":{{"server":{{"which":{which},"action":{action}}}}}}}"#);
            let question = serde_json::from_str::<Question>(&line);
            question
                .map(|question| question.request)
                .map_err(|error| error.to_string())
        };
        let which = Selection {
            real_server: "[2001:db8::1]:80".parse().unwrap(),
            virtual_server: Some(String::from("fwmark 5")),
        };
        let written = r#"{"real_server":"[2001:db8::1]:80","virtual_server":"fwmark 5"}"#;
        for (text, action) in [
            (r#""drain""#, Action::Drain),
            (r#"{"weight":null}"#, Action::Weight(None)),
            (
                r#"{"disable":{"drain":true}}"#,
                Action::Disable { drain: true },
            ),
            (r#"{"disable":{}}"#, Action::Disable { drain: false }),
        ] {
            let which = which.clone();
            assert_eq!(ask(written, text), Ok(Ask::Server { which, action }));
        }
        for (which, action, expected) in [
            (
                written,
                r#"{"weight":65536}"#,
                "65536 is no weight: expected 0 to 65535",
            ),
            (
                written,
                r#"{"disable":{"gently":true}}"#,
                "unknown field `gently`",
            ),
            (
                r#"{"real_server":"rs1"}"#,
                r#""drain""#,
                "`rs1` is no real server",
            ),
            (
                r#"{"real_server":"10.0.0.1","port":80}"#,
                r#""drain""#,
                "unknown field `port`",
            ),
        ] {
            let error = ask(which, action).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keepalived.conf");
        std::fs::write(&file, "precious").unwrap();
        let refused = Control::listen(&file).expect_err("it is no socket");
        assert!(matches!(refused, ListenError::NotASocket { .. }));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_request_comes_with_who_asks_and_its_answer_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("director.sock");
        let mut control = Control::listen(&path).unwrap();
        let ask = Ask::Server {
            which: Selection {
                real_server: "192.0.2.1".parse().unwrap(),
                virtual_server: None,
            },
            action: Action::Drain,
        };
        let asked = tokio::task::spawn_blocking({
            let (path, ask) = (path.clone(), ask.clone());
            move || client::ask(&path, ask)
        });
        let request = next(Some(&mut control)).await;
        assert_eq!(request.ask, ask);
        assert_eq!(request.client.uid, nix::unistd::getuid().as_raw());
        assert_eq!(request.client.pid, i32::try_from(std::process::id()).ok());
        request.reply.text(Err(String::from("there is none")));
        let refused = asked.await.unwrap().unwrap_err();
        assert_eq!(refused.to_string(), "there is none");
    }
}
