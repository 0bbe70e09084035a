//! Servers of Debian, each from a directory and in a network namespace of its test.

use std::{
    fs,
    future::Future,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use health::Target;
use lab::wait_until;

/// Longer than any server takes to start or to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is killed at the end of its test.
pub(crate) struct Server {
    child: Child,
    pub(crate) target: Target,
}

impl Server {
    pub(crate) fn start(command: &mut Command, directory: &Path, port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let log = fs::File::create(directory.join("log")).expect("a log");
        let child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server is installed and starts");
        let server = Self {
            child,
            target: Target::new(address),
        };
        wait_until(&format!("{command:?} listens"), PATIENCE, || {
            TcpStream::connect(address).is_ok()
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        tokio::time::timeout(PATIENCE, future)
            .await
            .expect("in time")
    })
}
