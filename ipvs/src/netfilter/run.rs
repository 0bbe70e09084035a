//! Running them.

use std::{io, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt as _, process::Command, time};

use super::NetfilterError;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Has a program carry out what it reads, and gives what it writes.
pub(crate) async fn run(
    program: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<String, NetfilterError> {
    let mut child = Command::new(program)
        .args(arguments)
        // Errors are known by their words.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| NetfilterError::NoProgram { program, source })?;
    let stdin = child.stdin.take();
    let told = async {
        let written = match stdin {
            Some(mut stdin) => stdin.write_all(input.as_bytes()).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        (written, child.wait_with_output().await)
    };
    let (written, ended) =
        time::timeout(TIMEOUT, told)
            .await
            .map_err(|_| NetfilterError::TimedOut {
                program,
                after: TIMEOUT,
            })?;
    let output = ended.map_err(|source| NetfilterError::NoProgram { program, source })?;
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match (output.status.success(), written) {
        (true, Ok(())) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        (true, Err(error)) => Err(NetfilterError::Refused {
            program,
            text: error.to_string(),
        }),
        (false, _) if text.contains("ermission denied") || text.contains("not permitted") => {
            Err(NetfilterError::Forbidden { program, text })
        }
        (false, _) => Err(NetfilterError::Refused { program, text }),
    }
}
