//! How a connection with TLS may end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TlsProblem;

/// A connection with TLS whose end without a closure is the end like any other, or an error of its
/// own, [`TlsProblem::Unclosed`].
#[derive(Debug)]
pub(crate) struct Closing<S> {
    stream: S,
    strict: bool,
}

impl<S> Closing<S> {
    pub(crate) const fn new(stream: S, strict: bool) -> Self {
        Self { stream, strict }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Closing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        Poll::Ready(match read {
            Err(ref error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if self.strict {
                    Err(io::Error::other(TlsProblem::Unclosed))
                } else {
                    Ok(())
                }
            }
            Ok(()) | Err(_) => read,
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Closing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
