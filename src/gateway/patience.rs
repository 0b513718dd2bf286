//! A client's connection that ends with an error once the client has taken
//! nothing for too long, what waits to be written would wait for ever, or has
//! not said for too long what it wants.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// See the module.
#[derive(Debug)]
pub struct Patient<T> {
    io: T,
    patience: Duration,
    /// Runs from the first write that the client did not take.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Runs until the first request has come.
    unasked: Option<Unasked>,
}

/// The time a client has for the head of its first request, however it comes:
/// bytes that trickle in keep nothing open.
#[derive(Debug)]
struct Unasked {
    limit: Pin<Box<Sleep>>,
    asked: Arc<AtomicBool>,
}

impl<T> Patient<T> {
    pub const fn new(io: T, patience: Duration) -> Self {
        Self { io, patience, waiting: None, unasked: None }
    }

    /// The same, with a limit for the first request. Whoever serves the
    /// connection says that it came.
    pub fn with_limit(mut self, limit: Duration, asked: &Arc<AtomicBool>) -> Self {
        let (limit, asked) = (Box::pin(sleep(limit)), Arc::clone(asked));
        self.unasked = Some(Unasked { limit, asked });
        self
    }

    /// Ready once the first request took too long.
    fn gave_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(unasked) = &mut self.unasked else { return Poll::Pending };
        if unasked.asked.load(Ordering::Relaxed) {
            self.unasked = None;
            return Poll::Pending;
        }
        unasked.limit.as_mut().poll(cx)
    }

    /// A write as it went, or its end if it has been going for too long.
    fn bounded(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.gave_up(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.bounded(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.bounded(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(near, Duration::from_millis(50));
        // Four bytes fit, four more are taken, and then no more.
        let writing = near.write_all(b"123456789");
        let reading = async {
            far.read_exact(&mut [0; 4]).await.expect("four bytes are there");
        };
        let (written, ()) = tokio::join!(writing, reading);
        assert_eq!(written.expect_err("one byte is left").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_first_request_that_trickles_in_is_given_up() {
        let limit = Duration::from_millis(100);
        for comes in [false, true] {
            let (near, mut far) = duplex(64);
            let asked = Arc::new(AtomicBool::new(comes));
            let mut near = Patient::new(near, limit).with_limit(limit, &asked);
            let trickle = async {
                for _ in 0..12 {
                    sleep(limit / 10).await;
                    far.write_all(b"x").await.expect("there is room");
                }
                drop(far);
            };
            let mut read = Vec::new();
            let (ended, ()) = tokio::join!(near.read_to_end(&mut read), trickle);
            assert_eq!(ended.is_ok(), comes, "{ended:?}");
            assert_eq!(read.len() == 12, comes, "{read:?}");
        }
    }
}
