//! Talking to the kernel about interfaces and addresses: whole batches, every answer accounted for.
//!
//! rtnetlink's own requests go out one by one, each after the answer to the one before, even when
//! many are asked for at once. A batch here is one datagram: the kernel works through it within a
//! single system call and the answers come back in the same order.

use std::{future::Future, io, thread, time::Duration};

use futures_util::StreamExt as _;
use rtnetlink::{
    MulticastGroup,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST,
        NetlinkMessage,
    },
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::AddressMessage,
        link::{LinkAttribute, LinkExtentMask, LinkMessage},
    },
    proto::{self, ConnectionHandle},
    sys::{AsyncSocket as _, SocketAddr, protocols::NETLINK_ROUTE},
};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time,
};

use super::{decode::answer, sys};

/// The longest that an answer may take. The kernel answers within the system call, but that waits
/// while somebody else changes interfaces; beyond this, a caller is better served by an error than
/// by silence, and everything here can be asked again.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many requests go into one datagram. Each answer takes up to 1 KiB of the socket's receive
/// buffer (208 KiB by default) until all are there, and what does not fit is lost.
const BATCH_LEN: usize = 64;

/// How often a listing is asked for again because something changed while it was made.
const DUMP_ATTEMPTS: u32 = 10;

pub(super) type Message = NetlinkMessage<RouteNetlinkMessage>;

/// The kernel's answer to a request: consent, or what was asked for.
pub(super) type Answer = io::Result<Option<RouteNetlinkMessage>>;

/// What the kernel sends unasked, from the multicast groups that were subscribed to.
pub(super) type Events = futures_util::stream::BoxStream<'static, Message>;

/// A request to add an address, which fails if it is there already.
pub(super) fn add_address(message: AddressMessage) -> Message {
    request(
        RouteNetlinkMessage::NewAddress(message),
        NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// A request to remove an address.
pub(super) fn remove_address(message: AddressMessage) -> Message {
    request(RouteNetlinkMessage::DelAddress(message), NLM_F_ACK)
}

/// A request for the state of the interface with this index.
pub(super) fn get_link(index: u32) -> Message {
    let mut message = link_message();
    message.header.index = index;
    request(RouteNetlinkMessage::GetLink(message), 0)
}

/// A request for the state of the interface with this name.
pub(super) fn get_link_by_name(name: &str) -> Message {
    let mut message = link_message();
    message
        .attributes
        .push(LinkAttribute::IfName(name.to_owned()));
    request(RouteNetlinkMessage::GetLink(message), 0)
}

/// A request for the state of every interface.
pub(super) fn list_links() -> Message {
    request(RouteNetlinkMessage::GetLink(link_message()), NLM_F_DUMP)
}

/// A request for the addresses of one family, of one interface or of all (`None`).
///
/// A kernel before 4.20 lists those of all interfaces in either case.
pub(super) fn list_addresses(family: AddressFamily, interface: Option<u32>) -> Message {
    let mut message = AddressMessage::default();
    message.header.family = family;
    message.header.index = interface.unwrap_or_default();
    request(RouteNetlinkMessage::GetAddress(message), NLM_F_DUMP)
}

fn link_message() -> LinkMessage {
    let mut message = LinkMessage::default();
    // The counters would be two thirds of every answer.
    let without_counters = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
    message.attributes.push(without_counters);
    message
}

fn request(message: RouteNetlinkMessage, flags: u16) -> Message {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message
}

/// A netlink socket and the task that moves its messages.
#[derive(Debug)]
pub(super) struct Connection {
    handle: ConnectionHandle<RouteNetlinkMessage>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Opens a socket in the network namespace of the calling thread.
    pub(super) fn open(
        groups: &[MulticastGroup],
        receive_buffer_len: Option<i32>,
    ) -> io::Result<(Self, Events)> {
        let (mut connection, handle, unasked) = proto::new_connection(NETLINK_ROUTE)?;
        connection.set_forward_ack(true);
        connection.set_forward_done(true);
        let socket = connection.socket_mut().socket_mut();
        // Refused by a kernel before 4.20, which then lists more than it was asked for.
        drop(socket.set_netlink_get_strict_chk(true));
        if let Some(bytes) = receive_buffer_len {
            sys::set_receive_buffer(socket, bytes)?;
        }
        let groups = groups
            .iter()
            .fold(0, |bits, group| bits | 1 << (*group as u32 - 1));
        socket.bind(&SocketAddr::new(0, groups))?;
        let task = tokio::spawn(connection);
        let events = unasked.map(|(message, _)| message).boxed();
        Ok((Self { handle, task }, events))
    }

    /// Breaks it, as a failure would.
    #[cfg(test)]
    pub(super) async fn end(&self) {
        self.task.abort();
        while !self.is_closed() {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.task.is_finished()
    }

    /// Sends requests that have one answer each, in one datagram.
    pub(super) async fn batch(&self, requests: Vec<Message>) -> io::Result<Vec<Answer>> {
        let expected = requests.len();
        let answers = self.exchange(requests).await?;
        if answers.len() != expected {
            let text = format!("{} of {expected} requests were answered", answers.len());
            return Err(io::Error::other(text));
        }
        Ok(answers.into_iter().map(answer).collect())
    }

    /// Sends a request that is answered with a list.
    ///
    /// `None`: what it asks about does not exist.
    pub(super) async fn list(
        &self,
        request: &Message,
    ) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
        for _ in 0..DUMP_ATTEMPTS {
            let messages = self.exchange(vec![request.clone()]).await?;
            if messages
                .iter()
                .any(|message| message.header.flags & NLM_F_DUMP_INTR != 0)
            {
                continue;
            }
            let list: io::Result<Vec<_>> = messages
                .into_iter()
                .filter_map(|message| answer(message).transpose())
                .collect();
            return match list {
                Ok(list) => Ok(Some(list)),
                Err(error) if super::errno(&error) == libc::ENODEV => Ok(None),
                Err(error) => Err(error),
            };
        }
        Err(io::Error::other(
            "the interfaces change faster than the kernel can list them",
        ))
    }

    async fn exchange(&self, requests: Vec<Message>) -> io::Result<Vec<Message>> {
        let answers = self
            .handle
            .request_batch(requests, SocketAddr::new(0, 0))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        time::timeout(ANSWER_TIMEOUT, answers.collect())
            .await
            .map_err(io::Error::from)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks the kernel from a thread of its own, one exchange after the other.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    exchanges: mpsc::UnboundedSender<Exchange>,
}

#[derive(Debug)]
enum Exchange {
    Batch {
        requests: Vec<Message>,
        answer: oneshot::Sender<io::Result<Vec<Answer>>>,
    },
    List {
        request: Message,
        answer: oneshot::Sender<io::Result<Option<Vec<RouteNetlinkMessage>>>>,
    },
}

impl Asker {
    /// Starts the thread. It ends when the last clone of the asker is gone.
    pub(super) async fn start() -> io::Result<Self> {
        let (exchanges, queue) = mpsc::unbounded_channel();
        let (ready, started) = oneshot::channel();
        spawn_thread("vrrp-netlink", async move || {
            match Connection::open(&[], None) {
                Ok((connection, _)) => {
                    if ready.send(Ok(())).is_ok() {
                        answer_all(connection, queue).await;
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        receive(started).await??;
        Ok(Self { exchanges })
    }

    /// Sends requests that have one answer each; the answers are in the order of the requests.
    ///
    /// # Errors
    /// The kernel did not answer all of them.
    pub(super) async fn batch(&self, requests: Vec<Message>) -> io::Result<Vec<Answer>> {
        let mut requests = requests.into_iter();
        let mut pending = Vec::new();
        loop {
            let requests: Vec<_> = requests.by_ref().take(BATCH_LEN).collect();
            if requests.is_empty() {
                break;
            }
            let (answer, answered) = oneshot::channel();
            self.send(Exchange::Batch { requests, answer })?;
            pending.push(answered);
        }
        let mut answers = Vec::new();
        for answered in pending {
            answers.append(&mut receive(answered).await??);
        }
        Ok(answers)
    }

    /// Sends a request that is answered with a list; `None`: what it asks about does not exist.
    pub(super) async fn list(
        &self,
        request: Message,
    ) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
        let (answer, answered) = oneshot::channel();
        self.send(Exchange::List { request, answer })?;
        receive(answered).await?
    }

    fn send(&self, exchange: Exchange) -> io::Result<()> {
        self.exchanges
            .send(exchange)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// Works through the exchanges; a connection that broke or fell silent is replaced.
async fn answer_all(first: Connection, mut queue: mpsc::UnboundedReceiver<Exchange>) {
    let mut connection = Some(first);
    while let Some(exchange) = queue.recv().await {
        let alive = connection
            .take()
            .filter(|connection| !connection.is_closed())
            .map_or_else(
                || Connection::open(&[], None).map(|(connection, _)| connection),
                Ok,
            );
        // Whoever gave up waiting was told that it failed, so it must not happen any more.
        let is_good = match exchange {
            Exchange::Batch { answer, .. } if answer.is_closed() => true,
            Exchange::List { answer, .. } if answer.is_closed() => true,
            Exchange::Batch { requests, answer } => match &alive {
                Ok(connection) => reply(answer, connection.batch(requests).await),
                Err(error) => reply(answer, Err(copy(error))),
            },
            Exchange::List { request, answer } => match &alive {
                Ok(connection) => reply(answer, connection.list(&request).await),
                Err(error) => reply(answer, Err(copy(error))),
            },
        };
        connection = alive.ok().filter(|_| is_good);
    }
}

/// Hands a result over; says whether it was one.
fn reply<T>(answer: oneshot::Sender<io::Result<T>>, result: io::Result<T>) -> bool {
    let is_good = result.is_ok();
    // The caller may have gone; then nobody wants to know.
    drop(answer.send(result));
    is_good
}

fn copy(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Waits for something from a thread, which may hang in the kernel or have died.
pub(super) async fn receive<T>(answer: oneshot::Receiver<T>) -> io::Result<T> {
    time::timeout(ANSWER_TIMEOUT, answer)
        .await
        .map_err(io::Error::from)?
        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
}

/// Runs a future on a thread of its own, which stays in the network namespace of the caller.
pub(super) fn spawn_thread<F>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()>
where
    F: Future<Output = ()>,
{
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(work()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_ended_is_replaced() {
        let (connection, _) = Connection::open(&[], None).unwrap();
        connection.end().await;
        let (exchanges, queue) = mpsc::unbounded_channel();
        let asker = Asker { exchanges };
        let (listed, ()) = tokio::join!(
            async move { asker.list(list_links()).await },
            answer_all(connection, queue)
        );
        assert!(!listed.unwrap().unwrap().is_empty(), "there is a loopback");
    }
}
