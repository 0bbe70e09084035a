//! One of the two ways through a connection.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, Interest, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::{
    sys::splice::splice,
    userspace::{
        now,
        pipes::{Pipe, Pipes},
        shared::ShardId,
    },
};

/// What is read at a time. Every thread has one buffer of it, which is empty between two polls.
const SCRATCH_BYTES: usize = 64 * 1024;

/// How often in succession the buffer has to be filled before data goes through a pipe.
const FULL_READS: u8 = 2;

/// How often it is looked whether a sender is still there that is not read from, because its receiver
/// takes nothing. Data that is not read hides the news from who waits for more.
const LOOK: Duration = Duration::from_secs(2);

/// What a pipe has to carry at a time to be worth its system calls.
const WORTH_A_PIPE: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// One way through a connection: from one end to the other.
///
/// It holds nothing while nothing flows. What its receiver does not take is held until it does, and
/// nothing is read meanwhile: the sender feels it as if it talked to the receiver.
#[derive(Debug, Default)]
pub(super) struct Way {
    held: Held,
    /// Reads in succession that filled the buffer.
    full_reads: u8,
    /// Whether the sender has said that it sends no more.
    ended: bool,
    /// Whether the receiver takes nothing any more. What the sender still sends is thrown away, so
    /// that it can read what came for it before.
    is_deaf: bool,
    /// When to look after the sender, while its receiver takes nothing.
    look: Option<Pin<Box<Sleep>>>,
    /// What went through since it was last asked for.
    moved: Moved,
}

/// What was read and not written yet.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Bytes {
        bytes: Box<[u8]>,
        written: usize,
    },
    Piped {
        pipe: Pipe,
        bytes: usize,
    },
}

/// What went through.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) bytes: u64,
    pub(super) writes: u64,
}

/// How a way ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The sender sends no more, and the receiver was told so.
    Finished,
    /// The sender broke the connection off.
    Broken,
}

/// The pipes of a shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct PipesOf<'a> {
    pub(super) pipes: &'a Pipes,
    pub(super) shard: ShardId,
}

impl Way {
    /// What went through since the last call.
    pub(super) fn take_moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    /// Whether the receiver takes nothing any more.
    pub(super) const fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Moves what there is to move. `is_last`: the other way has ended, so both ends are closed
    /// after this one, which tells the receiver enough.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        [from, to]: [&mut TcpStream; 2],
        pipes: PipesOf<'_>,
        is_last: bool,
    ) -> Poll<End> {
        loop {
            match self.poll_write_held(context, to) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.clear(pipes);
                    self.is_deaf = true;
                }
                Poll::Pending => {
                    ready!(self.poll_look(context, from));
                    return Poll::Ready(End::Broken);
                }
            }
            if self.ended && is_last {
                return Poll::Ready(End::Finished);
            }
            if self.ended {
                // Whether it can be told or has gone meanwhile, it gets no more.
                drop(ready!(Pin::new(to).poll_shutdown(context)));
                return Poll::Ready(End::Finished);
            }
            let filled = if self.full_reads < FULL_READS || !self.has_pipe(pipes) {
                self.poll_copy(context, from, to)
            } else {
                self.poll_splice(context, from)
            };
            match filled {
                Poll::Pending => {
                    // An idle connection has no pipe: this one is empty.
                    self.clear(pipes);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(End::Broken),
            }
        }
    }

    /// Looks after the sender from time to time, until it has broken off.
    fn poll_look(&mut self, context: &mut Context<'_>, from: &TcpStream) -> Poll<()> {
        let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
        while look.as_mut().poll(context).is_ready() {
            if !matches!(SockRef::from(from).take_error(), Ok(None)) {
                return Poll::Ready(());
            }
            look.as_mut().reset((now() + LOOK).into());
        }
        Poll::Pending
    }

    fn has_pipe(&mut self, pipes: PipesOf<'_>) -> bool {
        if let Held::Nothing = self.held
            && let Some(pipe) = pipes.pipes.take(pipes.shard)
        {
            self.held = Held::Piped { pipe, bytes: 0 };
        }
        matches!(self.held, Held::Piped { .. })
    }

    /// Gives everything back that is held.
    pub(super) fn clear(&mut self, pipes: PipesOf<'_>) {
        self.look = None;
        if let Held::Piped { pipe, bytes } = std::mem::take(&mut self.held) {
            match bytes {
                0 => pipes.pipes.give_back(pipes.shard, pipe),
                _ => pipes.pipes.discard(pipe),
            }
        }
    }

    fn poll_write_held(
        &mut self,
        context: &mut Context<'_>,
        to: &mut TcpStream,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.held {
                Held::Nothing | Held::Piped { bytes: 0, .. } => return Poll::Ready(Ok(())),
                Held::Bytes { bytes, written } => {
                    let rest = bytes.get(*written..).unwrap_or_default();
                    if rest.is_empty() {
                        self.held = Held::Nothing;
                        return Poll::Ready(Ok(()));
                    }
                    let count = ready!(Pin::new(&mut *to).poll_write(context, rest))?;
                    *written += count;
                    self.moved.add(count);
                }
                Held::Piped { pipe, bytes } => {
                    ready!(to.poll_write_ready(context))?;
                    let out = || splice(&pipe.reader, &*to, *bytes);
                    match to.try_io(Interest::WRITABLE, out) {
                        Ok(count) => {
                            *bytes = bytes.saturating_sub(count);
                            self.moved.add(count);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            }
        }
    }

    /// Reads into the buffer and writes at once. What cannot be written is held.
    fn poll_copy(
        &mut self,
        context: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(from).poll_read(context, &mut buffer))?;
            let is_full = buffer.remaining() == 0;
            let read = buffer.filled();
            self.full_reads = match is_full && !self.is_deaf {
                true => self.full_reads.saturating_add(1),
                false => 0,
            };
            if read.is_empty() || self.is_deaf {
                return Poll::Ready(Ok(read.len()));
            }
            let written = match Pin::new(to).poll_write(context, read) {
                Poll::Ready(Ok(count)) => {
                    self.moved.add(count);
                    count
                }
                // An error is met again when the rest is written.
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            let rest = read.get(written..).unwrap_or_default();
            if !rest.is_empty() {
                self.held = Held::Bytes {
                    bytes: rest.into(),
                    written: 0,
                };
            }
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Fills the pipe, which is empty.
    fn poll_splice(
        &mut self,
        context: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        let Held::Piped { pipe, bytes } = &mut self.held else {
            return Poll::Pending;
        };
        loop {
            ready!(from.poll_read_ready(context))?;
            let filled = || splice(from, &pipe.writer, pipe.size);
            match from.try_io(Interest::READABLE, filled) {
                Ok(count) => {
                    *bytes = count;
                    if count < WORTH_A_PIPE {
                        self.full_reads = 0;
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Moved {
    pub(super) const fn is_zero(self) -> bool {
        self.writes == 0
    }

    fn add(&mut self, bytes: usize) {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.writes = self.writes.saturating_add(1);
    }
}
