//! The thread that talks to the kernel.

use std::{io, sync::mpsc, thread, time::Duration};

use tokio::{sync::oneshot, time};

use super::link::{Fault, Link};

/// The longest that a piece of work may take: the kernel keeps the system call waiting while it
/// loads a module or while somebody else works on the table. Beyond this, a caller is better
/// served by an error than by silence.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce(&mut Link) + Send>;

/// A thread that does one piece of work after the other. It ends when the last clone is gone.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    /// Starts the thread, in the network namespace of the calling one.
    pub(super) fn start(mut link: Link) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("ipvs-netlink".to_owned())
            .spawn(move || {
                while let Ok(job) = queue.recv() {
                    job(&mut link);
                }
            })?;
        Ok(Self { jobs })
    }

    /// Has some work done. Work that waits behind other work and that nobody waits for any more is
    /// not begun; what has begun is brought to its end, so that nothing of it is left in the socket.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Link) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (tell, told) = oneshot::channel();
        let job = Box::new(move |link: &mut Link| {
            // Whoever gave up waiting was told that it failed, so it must not happen any more.
            if !tell.is_closed() {
                // The caller may have gone meanwhile; then nobody wants to know.
                drop(tell.send(work(link)));
            }
        });
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.jobs.send(job).map_err(|_| Fault::Broken(gone()))?;
        match time::timeout(ANSWER_TIMEOUT, told).await {
            Ok(result) => result.map_err(|_| Fault::Lost(gone()))?,
            Err(elapsed) => Err(Fault::Lost(elapsed.into())),
        }
    }
}
