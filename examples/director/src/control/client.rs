//! The commands' end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Ask, Question};

/// How long the daemon may take to answer; a reload takes well under a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a daemon that lives takes at most to show it.
const LIFE_SIGN: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody listens there.
    #[error("no daemon answers on {}: is it running, with this --control, and may you ask it?",
            path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It cannot be written as JSON: the name of a file is not UTF-8.
    #[error("this cannot be asked")]
    Unwritable(#[source] serde_json::Error),
    /// The connection broke.
    #[error("the daemon did not answer")]
    Broken(#[from] io::Error),
    /// The daemon says no.
    #[error("{0}")]
    Refused(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Done { result: Value },
    Refused { error: String },
}

/// Asks the daemon behind a socket and waits for its answer.
///
/// # Errors
/// Nobody answers, or the daemon refuses.
pub fn ask(path: &Path, ask: Ask) -> Result<Value, AskError> {
    let request =
        serde_json::to_string(&Question { request: ask }).map_err(AskError::Unwritable)?;
    ask_within(path, &request, PATIENCE)
}

/// Whether a daemon lives behind a socket. That somebody holds the socket is not enough: it may be
/// a script that a killed daemon was just about to start.
///
/// It is asked nothing, which it refuses by itself whatever else it is busy with.
pub(super) fn answers(path: &Path) -> bool {
    match ask_within(path, "", LIFE_SIGN) {
        Ok(_) | Err(AskError::Refused(_)) => true,
        Err(AskError::Unreachable { .. } | AskError::Unwritable(_) | AskError::Broken(_)) => false,
    }
}

fn ask_within(path: &Path, request: &str, patience: Duration) -> Result<Value, AskError> {
    let mut stream = UnixStream::connect(path).map_err(|source| AskError::Unreachable {
        path: path.to_owned(),
        source,
    })?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match serde_json::from_str(&line).map_err(io::Error::from)? {
        Answer::Done { result } => Ok(result),
        Answer::Refused { error } => Err(AskError::Refused(error)),
    }
}
