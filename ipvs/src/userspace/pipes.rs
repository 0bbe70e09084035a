//! The pipes that bulk data goes through: few, and taken only while data flows.

use std::{
    io::{self, PipeReader, PipeWriter},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::shared::ShardId;
use crate::sys::splice::set_pipe_size;

/// Bytes that a pipe holds.
const PIPE_BYTES: i32 = 256 * 1024;

/// Pipes that a shard keeps open though nothing flows.
const KEPT: usize = 16;

#[derive(Debug)]
pub(super) struct Pipes {
    most: usize,
    open: AtomicUsize,
    /// Empty ones, for each shard its own.
    idle: Box<[Mutex<Vec<Pipe>>]>,
}

/// A pipe; empty when it is given back.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) reader: PipeReader,
    pub(super) writer: PipeWriter,
    pub(super) size: usize,
}

impl Pipes {
    pub(super) fn new(most: usize, shards: usize) -> Self {
        Self {
            most,
            open: AtomicUsize::new(0),
            idle: (0..shards).map(|_| Mutex::default()).collect(),
        }
    }

    /// An empty pipe, if there is one left.
    pub(super) fn take(&self, shard: ShardId) -> Option<Pipe> {
        let idle = self.idle.get(shard.0)?;
        let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.or_else(|| self.open())
    }

    fn open(&self) -> Option<Pipe> {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.most
            && let Ok(pipe) = Pipe::new()
        {
            return Some(pipe);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Gives a pipe back that is empty.
    pub(super) fn give_back(&self, shard: ShardId, pipe: Pipe) {
        if let Some(idle) = self.idle.get(shard.0) {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                return idle.push(pipe);
            }
        }
        self.discard(pipe);
    }

    /// Closes a pipe, with what is in it.
    pub(super) fn discard(&self, pipe: Pipe) {
        drop(pipe);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // A process has 16,384 pages for pipes unless it is privileged; one of 16 pages serves too.
        let size = set_pipe_size(&writer, PIPE_BYTES).unwrap_or(16 * 4096);
        Ok(Self {
            reader,
            writer,
            size,
        })
    }
}
