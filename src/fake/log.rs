//! What a fake provider has seen, bounded, for tests and displays to read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use super::http::{Request, header_lines};

/// Bytes of a body that are kept.
const KEPT_BODY_BYTES: usize = 64 * 1024;
/// Bytes of all heads and bodies that are kept; the oldest requests go first.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// One request as it was seen.
#[derive(Debug)]
pub struct Seen {
    /// From 0, in the order in which requests were read.
    pub number: u64,
    /// From 0, in the order in which connections were accepted.
    pub connection: u64,
    /// When it had been read.
    pub at: Instant,
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What follows the `?` of the path, as received; empty without.
    pub query: String,
    /// The dialect it was taken for: `openai`, `azure`, `openai-responses`,
    /// `anthropic` or `gemini`.
    pub dialect: &'static str,
    /// As received; empty without a model.
    pub model: String,
    pub stream: bool,
    /// Whether a fault struck it.
    pub faulty: bool,
    /// The first 64 KiB.
    pub body: Bytes,
    head: Bytes,
    ended: OnceLock<Instant>,
    gone: OnceLock<Instant>,
}

impl Seen {
    pub(super) fn new(request: &Request, connection: u64, number: u64, at: Instant) -> Self {
        let body = if request.body.len() > KEPT_BODY_BYTES {
            // A copy, or the part would keep the whole alive.
            Bytes::copy_from_slice(&request.body[..KEPT_BODY_BYTES])
        } else {
            request.body.clone()
        };
        Self {
            number,
            connection,
            at,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            dialect: "",
            model: String::new(),
            stream: false,
            faulty: false,
            body,
            head: request.head.clone(),
            ended: OnceLock::new(),
            gone: OnceLock::new(),
        }
    }

    /// Names and values of the headers, as received.
    pub fn headers(&self) -> Vec<(String, String)> {
        let head = String::from_utf8_lossy(&self.head);
        header_lines(&head).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers().into_iter();
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// When the last byte that was to be written had been written.
    pub fn ended(&self) -> Option<Instant> {
        self.ended.get().copied()
    }

    /// When it was noticed that the client had gone before that.
    pub fn gone(&self) -> Option<Instant> {
        self.gone.get().copied()
    }
}

/// Numbers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub connections: u64,
    pub open_connections: u64,
    pub requests: u64,
    pub in_flight: u64,
    /// Requests that a fault struck.
    pub faulty: u64,
    /// Requests whose client went before the end.
    pub gone: u64,
}

/// The last requests, and the counts of all.
#[derive(Debug)]
pub(super) struct Log {
    entries: Mutex<Entries>,
    limit: usize,
    connections: AtomicU64,
    closed_connections: AtomicU64,
    requests: AtomicU64,
    finished: AtomicU64,
    faulty: AtomicU64,
    gone: AtomicU64,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    list: VecDeque<Arc<Seen>>,
    bytes: usize,
}

impl Log {
    pub fn new(limit: usize) -> Self {
        Self {
            entries: Mutex::default(),
            limit,
            connections: AtomicU64::new(0),
            closed_connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            faulty: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// Counts a connection and returns its number.
    pub fn connected(&self) -> u64 {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
        number
    }

    pub fn disconnected(&self) {
        self.closed_connections.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Counts a request and returns its number.
    pub fn count(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    pub fn add(&self, seen: Seen) -> Arc<Seen> {
        if seen.faulty {
            self.faulty.fetch_add(1, Ordering::Relaxed);
        }
        let seen = Arc::new(seen);
        self.keep(&seen);
        self.changed.notify_waiters();
        seen
    }

    /// Appends, and drops the oldest while there are too many or too large.
    fn keep(&self, seen: &Arc<Seen>) {
        if self.limit == 0 {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.bytes += size(seen);
        entries.list.push_back(Arc::clone(seen));
        while entries.list.len() > self.limit || entries.bytes > KEPT_BYTES {
            let Some(oldest) = entries.list.pop_front() else { break };
            entries.bytes -= size(&oldest);
        }
    }

    pub fn ended(&self, seen: &Seen, at: Instant) {
        let _first = seen.ended.set(at);
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub fn gone(&self, seen: &Seen, at: Instant) {
        let _first = seen.gone.set(at);
        self.gone.fetch_add(1, Ordering::Relaxed);
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub fn list(&self) -> Vec<Arc<Seen>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.list.iter().cloned().collect()
    }

    pub fn counts(&self) -> Counts {
        // What only grows later is read first, so that no difference is negative.
        let closed = self.closed_connections.load(Ordering::Relaxed);
        let finished = self.finished.load(Ordering::Relaxed);
        let connections = self.connections.load(Ordering::Relaxed);
        let requests = self.requests.load(Ordering::Relaxed);
        Counts {
            connections,
            open_connections: connections.saturating_sub(closed),
            requests,
            in_flight: requests.saturating_sub(finished),
            faulty: self.faulty.load(Ordering::Relaxed),
            gone: self.gone.load(Ordering::Relaxed),
        }
    }

    /// Notified at every change.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }
}

fn size(seen: &Seen) -> usize {
    seen.head.len() + seen.body.len()
}
