//! The thread that VRRP has to itself: no script, log line or reload can delay an advertisement.

use std::{io, sync::Arc, thread};

use tokio::sync::{oneshot, watch};
use vrrp::net::{Kernel, OpenError};
use vrrp::{Links, NodeHandle};

/// A running node on a thread of its own.
#[derive(Debug)]
pub(super) struct VrrpThread {
    node: NodeHandle,
    links: watch::Receiver<Links>,
    done: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// Why VRRP could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The thread, or what it needs.
    #[error("cannot start the VRRP thread")]
    Thread(#[source] io::Error),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] OpenError),
}

impl VrrpThread {
    /// Starts the thread and a node without routers on it.
    pub(super) async fn start() -> Result<Self, StartError> {
        let (ready, started) = oneshot::channel();
        let (done, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("vrrp".into())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(ready.send(Err(StartError::Thread(error)))),
                };
                runtime.block_on(async {
                    let started = Kernel::connect().await.map_err(StartError::Kernel);
                    let started = started.map(|kernel| {
                        let links = vrrp::Network::links(&kernel);
                        let vips = kernel.vips();
                        (vrrp::spawn(Arc::new(kernel), vips), links)
                    });
                    let go_on = started.is_ok();
                    if ready.send(started).is_ok() && go_on {
                        // An error means that the owner is gone, which stops the node as well.
                        drop(stopped.await);
                    }
                });
            })
            .map_err(StartError::Thread)?;
        let died = |_| StartError::Thread(io::Error::other("it ended at once"));
        let (node, links) = started.await.map_err(died)??;
        Ok(Self {
            node,
            links,
            done,
            thread,
        })
    }

    pub(super) const fn node(&self) -> &NodeHandle {
        &self.node
    }

    /// The interfaces of this host.
    pub(super) fn links(&self) -> watch::Receiver<Links> {
        self.links.clone()
    }

    /// Leaves gracefully and ends the thread.
    pub(super) async fn shutdown(self) {
        self.node.shutdown().await;
        // An error means that the thread has ended already.
        self.done.send(()).ok();
        let thread = self.thread;
        if tokio::task::spawn_blocking(move || thread.join())
            .await
            .is_ok_and(|end| end.is_err())
        {
            tracing::error!("the VRRP thread has panicked: this is a defect, please report it");
        }
    }
}
