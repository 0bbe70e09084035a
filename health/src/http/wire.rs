//! HTTP on a connection that is there. Whatever runs beside a request runs within its future, so
//! that nothing is left when that is dropped.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::HeaderMap,
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Failure;

/// The most that the head of a response may have, in bytes.
const MOST_OF_HEAD: usize = 16 * 1024;

/// A connection, with TLS or without.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of either kind.
pub(crate) type Stream = Box<dyn Io>;

/// Sends a request by HTTP/1, has the response judged, and gives back the connection.
pub(crate) async fn by_http1<T, E: From<hyper::Error>>(
    stream: Stream,
    request: Request<Full<Bytes>>,
    judge: impl AsyncFnOnce(Response<Incoming>) -> Result<T, E>,
) -> Result<(T, Stream), E> {
    let (mut sender, mut connection) = http1::Builder::new()
        .max_buf_size(MOST_OF_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let exchange = async { judge(sender.send_request(request).await?).await };
    let mut over = false;
    let judged = beside(exchange, |context| {
        // How it ended is told by the exchange, which depends on it.
        over = over || connection.poll_without_shutdown(context).is_ready();
    });
    let judged = judged.await?;
    Ok((judged, connection.into_parts().io.into_inner()))
}

/// Sends a request by HTTP/2, which the server is known to speak, and has the response judged.
pub(crate) async fn by_http2<T, E: From<hyper::Error>>(
    stream: Stream,
    request: Request<Full<Bytes>>,
    judge: impl AsyncFnOnce(Response<Incoming>) -> Result<T, E>,
) -> Result<T, E> {
    let tasks = Tasks::default();
    let exchange = async {
        let handshake = http2::Builder::new(tasks.spawner())
            .max_header_list_size(16 * 1024)
            .handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await?;
        tasks.push(Box::pin(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "A connection of HTTP/2 ended");
            }
        }));
        judge(sender.send_request(request).await?).await
    };
    beside(exchange, |context| tasks.poll(context)).await
}

/// Reads a body and what follows it.
pub(crate) async fn read<P>(
    mut incoming: Incoming,
    limit: usize,
) -> Result<(Vec<u8>, HeaderMap), Failure<P>> {
    let mut body = Vec::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| Failure::Hyper("sending its response", error))?;
        match frame.into_data() {
            Ok(data) if body.len().saturating_add(data.len()) > limit => {
                return Err(Failure::TooLong { limit });
            }
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((body, trailers))
}

/// Runs a future to its end, and whatever it waits for beside it.
async fn beside<T>(
    work: impl Future<Output = T>,
    mut background: impl FnMut(&mut Context<'_>),
) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            background(context);
        }
        polled
    })
    .await
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks that live as long as this does.
#[derive(Default)]
struct Tasks(Arc<Mutex<Vec<Task>>>);

impl Tasks {
    /// What tasks may hold to add others, without which they would keep each other alive.
    fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }

    fn push(&self, task: Task) {
        push(&self.0, task);
    }

    /// Polls all, and those that they add.
    fn poll(&self, context: &mut Context<'_>) {
        let mut waiting = Vec::new();
        loop {
            let tasks = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if tasks.is_empty() {
                break;
            }
            waiting.extend(tasks.into_iter().filter_map(
                |mut task| match task.as_mut().poll(context) {
                    Poll::Ready(()) => None,
                    Poll::Pending => Some(task),
                },
            ));
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }
}

fn push(tasks: &Mutex<Vec<Task>>, task: Task) {
    let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.push(task);
}

/// Adds to [`Tasks`], as long as they are there.
#[derive(Clone)]
struct Spawner(Weak<Mutex<Vec<Task>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        if let Some(tasks) = self.0.upgrade() {
            push(&tasks, Box::pin(future));
        }
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}
