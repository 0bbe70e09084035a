//! Running the programs that change netfilter.

use std::{io, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt as _, process::Command, time};

use super::SourceNatError;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Has a program carry out what it reads.
pub(super) async fn run(
    program: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<(), SourceNatError> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| SourceNatError::NoProgram { program, source })?;
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
            .map_err(|_| SourceNatError::TimedOut {
                program,
                after: TIMEOUT,
            })?;
    let output = ended.map_err(|source| SourceNatError::NoProgram { program, source })?;
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match (output.status.success(), written) {
        (true, Ok(())) => Ok(()),
        (true, Err(error)) => Err(SourceNatError::Refused {
            program,
            text: error.to_string(),
        }),
        (false, _) if text.contains("ermission denied") || text.contains("not permitted") => {
            Err(SourceNatError::Forbidden { program, text })
        }
        (false, _) => Err(SourceNatError::Refused { program, text }),
    }
}
