//! Accepts connections and speaks HTTP/1.1 or h2c on each, until told to
//! drain: then no new ones, and those there may finish.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::patience::Patient;
use super::{Shared, driver, ingress};

const H2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often a connection that has sent part of the preface is looked at.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);
/// After an accept that failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long clients have to take their errors once the drain limit has passed.
const LAST_WORDS: Duration = driver::LOOK.saturating_mul(2);

/// Whether everything under way was finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drained {
    Fully,
    /// The limit passed; this many calls were refused or cut off.
    CutOff(usize),
}

/// Serves until `stop` is true, then drains within the configured limit.
pub async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) -> Drained {
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => accept(&shared, stream, graceful.watcher(), stop.clone()),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    let limit = shared.generation().config.server.drain_timeout;
    let mut draining = std::pin::pin!(graceful.shutdown());
    if tokio::time::timeout(limit, &mut draining).await.is_ok() {
        return Drained::Fully;
    }
    let left = shared.under_way();
    shared.halt();
    // Whoever does not take his error in this time is cut off without one.
    let _ = tokio::time::timeout(LAST_WORDS, draining).await;
    Drained::CutOff(left)
}

/// Whoever could say stop is gone: then it is said.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn accept(shared: &Arc<Shared>, stream: TcpStream, watcher: Watcher, stop: watch::Receiver<bool>) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        if let Err(error) = connection(shared, stream, watcher, stop).await {
            debug!(%error, "connection ended");
        }
    });
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    watcher: Watcher,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let generation = shared.generation();
    let server = &generation.config.server;
    let (header_timeout, idle_timeout) = (server.header_timeout, server.idle_timeout);
    let write_timeout = server.write_timeout;
    drop(generation);
    let http2 = tokio::select! {
        // Nothing was asked yet: nobody waits for an answer.
        () = stopped(&mut stop) => return Ok(()),
        spoken = tokio::time::timeout(header_timeout, speaks_http2(&stream)) => spoken??,
    };
    let asked = Arc::new(AtomicBool::new(false));
    let io = Patient::new(stream, write_timeout).with_limit(header_timeout, &asked);
    let io = TokioIo::new(io);
    let service = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(ingress::serve(shared, request).await) }
    });
    if http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(idle_timeout)
            .keep_alive_timeout(header_timeout)
            .serve_connection(io, service);
        watcher.watch(connection).await?;
    } else {
        // hyper has one timer for the head and for the pause before it: the limit
        // of a head is that of the first one.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle_timeout)
            .serve_connection(io, service);
        watcher.watch(connection).await?;
    }
    Ok(())
}

/// Looks at the first bytes without taking them.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; H2_PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        let seen = &seen[..length];
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !H2_PREFACE.starts_with(seen) {
            return Ok(false);
        }
        if length == H2_PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}
