//! From a request to the head of its answer, over a connection that lives. One
//! that was kept may have died without a word (a load balancer changed, a NAT
//! forgot it), and then all kept ones may have: the request goes out once more,
//! over a new connection. That says nothing about the provider, so it is no
//! attempt of its own.

use std::cell::Cell;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use reqwest::Response;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::endpoint::{Asked, Endpoint};

/// A connection that died while nobody used it shows that within a round trip or
/// two; what breaks later, broke at work.
const AT_ONCE: Duration = Duration::from_secs(1);

type Going = Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>>;

/// A request under way.
pub struct Sending {
    going: Going,
    /// It has a connection that it opened itself.
    opened: bool,
    sent: Instant,
    /// To send it again.
    spare: Option<(Asked, HeaderMap, Bytes)>,
}

impl Sending {
    /// Nothing is sent before the first poll. `None` for what the provider does
    /// not have.
    pub fn new(
        endpoint: &Endpoint,
        asked: Asked,
        forwarded: HeaderMap,
        body: Bytes,
    ) -> Option<Self> {
        let request = endpoint.request(asked, forwarded.clone(), body.clone())?;
        let going = Box::pin(endpoint.client().execute(request));
        let spare = Some((asked, forwarded, body));
        Some(Self { going, opened: false, sent: Instant::now(), spare })
    }

    pub fn poll(
        &mut self,
        endpoint: &Endpoint,
        cx: &mut Context<'_>,
    ) -> Poll<reqwest::Result<Response>> {
        loop {
            OPENED.set(false);
            let polled = self.going.as_mut().poll(cx);
            self.opened |= OPENED.get();
            match ready!(polled) {
                Err(error) if self.was_dead(&error) => match self.again(endpoint) {
                    Some(going) => self.going = going,
                    None => return Poll::Ready(Err(error)),
                },
                done => return Poll::Ready(done),
            }
        }
    }

    /// Whether its connection was dead when it was taken.
    fn was_dead(&self, error: &reqwest::Error) -> bool {
        !self.opened && self.sent.elapsed() < AT_ONCE && is_lost(error)
    }

    fn again(&mut self, endpoint: &Endpoint) -> Option<Going> {
        let (asked, forwarded, body) = self.spare.take()?;
        let request = endpoint.request(asked, forwarded, body)?;
        tracing::debug!("a kept connection was dead: sent again over a new one");
        Some(Box::pin(endpoint.unpooled()?.execute(request)))
    }
}

/// Whether the connection ended under the request, and nothing else happened.
fn is_lost(error: &reqwest::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<hyper::Error>()
            && (inner.is_incomplete_message() || inner.is_canceled() || inner.is_closed())
        {
            return true;
        }
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return matches!(
                inner.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::UnexpectedEof
            );
        }
        cause = inner.source();
    }
    false
}

thread_local! {
    /// Whether what is polled on this thread began to connect.
    static OPENED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that a connection is opened, in the poll of the request that wants it.
#[derive(Clone, Copy, Debug)]
pub struct NoteOpening;

impl<S> Layer<S> for NoteOpening {
    type Service = Noting<S>;

    fn layer(&self, connector: S) -> Noting<S> {
        Noting(connector)
    }
}

#[derive(Clone, Debug)]
pub struct Noting<S>(S);

impl<S: Service<R>, R> Service<R> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        OPENED.set(true);
        self.0.call(request)
    }
}
