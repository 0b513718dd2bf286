//! The stream to one client: a buffer bounded in bytes between the exchange
//! that fills it and the connection that drains it. What lies ready at once
//! leaves as one piece; nothing waits for more to come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

#[derive(Debug, Default)]
struct Shared {
    ready: VecDeque<Bytes>,
    bytes: usize,
    /// No more will come.
    end: Option<Ending>,
    /// The client's connection is gone.
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How the exchange left the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// All was said: the connection can serve the next call.
    Closed,
    /// What was said is no whole body, and HTTP must not make it look like one.
    Abandoned,
}

/// The exchange's end. Dropped without `close`, it leaves a body that breaks
/// off, after what was pushed.
#[derive(Debug)]
pub struct Outlet {
    shared: Arc<Mutex<Shared>>,
    limit: usize,
}

/// The connection's end: a response body.
#[derive(Debug)]
pub struct OutletBody(Arc<Mutex<Shared>>);

/// A stream that counts as full from `limit` bytes on.
#[must_use]
pub fn channel(limit: usize) -> (Outlet, OutletBody) {
    let shared = Arc::default();
    (Outlet { shared: Arc::clone(&shared), limit }, OutletBody(shared))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outlet {
    /// The proper end of the body.
    pub fn close(self) {
        self.end(Ending::Closed);
    }

    fn end(&self, ending: Ending) {
        let mut shared = lock(&self.shared);
        shared.end.get_or_insert(ending);
        if let Some(reader) = shared.reader.take() {
            drop(shared);
            reader.wake();
        }
    }

    /// Adds a piece. A piece larger than the limit is taken whole: the limit
    /// decides when the exchange stops reading, not what it may have read.
    pub fn push(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let mut shared = lock(&self.shared);
        if shared.gone {
            return;
        }
        shared.bytes += piece.len();
        shared.ready.push_back(piece);
        if let Some(reader) = shared.reader.take() {
            drop(shared);
            reader.wake();
        }
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        lock(&self.shared).bytes >= self.limit
    }

    /// Ready when the client is gone (`Err`) or there is room (`Ok`); without
    /// `want_room`, only when the client is gone.
    pub fn poll_room(&self, want_room: bool, cx: &Context<'_>) -> Poll<Result<(), ClientGone>> {
        let mut shared = lock(&self.shared);
        if shared.gone {
            return Poll::Ready(Err(ClientGone));
        }
        if want_room && shared.bytes < self.limit {
            return Poll::Ready(Ok(()));
        }
        shared.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.end(Ending::Abandoned);
    }
}

/// The client's connection ended before the answer did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientGone;

/// The answer ended before its body did: the connection has to end as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct BrokenOff;

impl Shared {
    fn take_all(&mut self) -> Option<Bytes> {
        let first = self.ready.pop_front()?;
        self.bytes = 0;
        if self.ready.is_empty() {
            return Some(first);
        }
        let rest: usize = self.ready.iter().map(Bytes::len).sum();
        let mut all = BytesMut::with_capacity(first.len() + rest);
        all.extend_from_slice(&first);
        for piece in self.ready.drain(..) {
            all.extend_from_slice(&piece);
        }
        Some(all.freeze())
    }
}

impl Body for OutletBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let mut shared = lock(&self.0);
        if let Some(piece) = shared.take_all() {
            if let Some(writer) = shared.writer.take() {
                drop(shared);
                writer.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match shared.end {
            Some(Ending::Closed) => return Poll::Ready(None),
            Some(Ending::Abandoned) => return Poll::Ready(Some(Err(BrokenOff))),
            None => {}
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for OutletBody {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.gone = true;
        shared.ready = VecDeque::new();
        shared.bytes = 0;
        if let Some(writer) = shared.writer.take() {
            drop(shared);
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_lies_ready_leaves_as_one_piece() {
        let (outlet, mut body) = channel(100);
        outlet.push(Bytes::from_static(b"one "));
        outlet.push(Bytes::from_static(b"two"));
        let piece = body.frame().await.expect("a frame").expect("data").into_data();
        assert_eq!(piece.expect("data"), "one two");
        outlet.close();
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn an_abandoned_outlet_is_no_end() {
        let (outlet, mut body) = channel(100);
        outlet.push(Bytes::from_static(b"half"));
        drop(outlet);
        assert_eq!(
            body.frame().await.and_then(Result::ok).map(|frame| frame.is_data()),
            Some(true)
        );
        assert!(matches!(body.frame().await, Some(Err(BrokenOff))));
    }

    #[tokio::test]
    async fn a_full_outlet_has_room_again_once_it_was_read() {
        let (outlet, mut body) = channel(4);
        outlet.push(Bytes::from_static(b"12345"));
        assert!(outlet.is_full());
        let room = poll_fn(|cx| Poll::Ready(outlet.poll_room(true, cx))).await;
        assert!(room.is_pending());
        let _ = body.frame().await;
        let room = poll_fn(|cx| outlet.poll_room(true, cx)).await;
        assert_eq!(room, Ok(()));
    }

    #[tokio::test]
    async fn a_dropped_body_tells_the_exchange() {
        let (outlet, body) = channel(4);
        let gone = poll_fn(|cx| Poll::Ready(outlet.poll_room(false, cx))).await;
        assert!(gone.is_pending());
        drop(body);
        assert_eq!(poll_fn(|cx| outlet.poll_room(false, cx)).await, Err(ClientGone));
        outlet.push(Bytes::from_static(b"kept nowhere"));
        assert!(!outlet.is_full());
    }
}
