//! The fake provider as a whole: its options, what is in force, its task.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::behaviour::Behaviour;
use super::connection::serve;
use super::door::Door;
use super::grammar::{SpecError, spec_in};
use super::log::{Counts, Log, Seen};

/// Model names with a behaviour of their own that are remembered, with their
/// counts of calls; all are forgotten when there are more.
const MAX_MODELS: usize = 1024;
/// After a failed accept, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What a fake provider is started with.
#[derive(Clone)]
pub struct Options {
    /// Port 0 picks a free one.
    pub addr: SocketAddr,
    /// Shown in ids, in `system_fingerprint` and in the list of models. Other
    /// characters than ASCII letters, digits, `-`, `_` and `.` are left out.
    pub name: String,
    pub behaviour: Behaviour,
    /// Calls with another key are answered with 401 (Gemini: 400, as the
    /// provider does).
    pub api_key: Option<String>,
    /// For faults and latencies by chance.
    pub seed: u64,
    /// Requests that the log keeps; the oldest go first.
    pub log_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            name: "fake".to_owned(),
            behaviour: Behaviour::default(),
            api_key: None,
            seed: 0,
            log_limit: 10_000,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("addr", &self.addr)
            .field("name", &self.name)
            .field("behaviour", &self.behaviour)
            .field("has_api_key", &self.api_key.is_some())
            .field("seed", &self.seed)
            .field("log_limit", &self.log_limit)
            .finish()
    }
}

/// A running fake provider. Dropped, it closes its port and all connections.
#[derive(Debug)]
pub struct Server {
    door: Arc<Door>,
    provider: Arc<Provider>,
    active: watch::Sender<Arc<Active>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds and begins to accept, on the current tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(options: Options) -> io::Result<Self> {
        let Options { addr, name, behaviour, api_key, seed, log_limit } = options;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = name.chars().filter(|c| plain(*c)).collect();
        let door = Arc::new(Door::open_at(addr)?);
        if behaviour.refuses() {
            door.shut()?;
        }
        let provider = Arc::new(Provider { name, api_key, seed, log: Log::new(log_limit) });
        let (active, receiver) = watch::channel(Arc::new(Active::new(behaviour)));
        let task = tokio::spawn(accept(Arc::clone(&door), Arc::clone(&provider), receiver));
        Ok(Self { door, provider, active, task })
    }

    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The URL that an SDK is pointed at.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr())
    }

    /// Puts a behaviour in force for all requests read from now on, and starts
    /// all counts of calls at zero. Answers under way go on as they began.
    /// Must be called from within a tokio runtime.
    ///
    /// # Errors
    /// If the port cannot be opened again.
    pub fn set(&self, behaviour: Behaviour) -> io::Result<()> {
        let refuses = behaviour.refuses();
        self.active.send_replace(Arc::new(Active::new(behaviour)));
        if refuses { self.door.shut() } else { self.door.open() }
    }

    /// The requests seen, the oldest first.
    pub fn log(&self) -> Vec<Arc<Seen>> {
        self.provider.log.list()
    }

    pub fn counts(&self) -> Counts {
        self.provider.log.counts()
    }

    /// Waits until `probe` finds something; it is asked after every change of
    /// the log or the counts.
    pub async fn wait_for<T>(&self, mut probe: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.provider.log.changed().notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = probe(self) {
                return found;
            }
            changed.await;
        }
    }

    /// Closes the port and all connections, and waits until that is done.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // It ends by being cancelled, which is what was asked for.
        let _cancelled = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(door: Arc<Door>, provider: Arc<Provider>, active: watch::Receiver<Arc<Active>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = door.accept() => match accepted {
                Ok(socket) => {
                    connections.spawn(serve(socket, Arc::clone(&provider), active.clone()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// What stays the same while the behaviour changes.
pub(super) struct Provider {
    pub name: String,
    api_key: Option<String>,
    pub seed: u64,
    pub log: Log,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Provider").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Provider {
    pub fn accepts(&self, key: &str) -> bool {
        self.api_key.as_deref().is_none_or(|expected| expected == key)
    }
}

/// The behaviour in force, and those that models ask for on top of it.
#[derive(Debug)]
pub(super) struct Active {
    default: Arc<Counted>,
    by_model: Mutex<HashMap<String, Arc<Counted>>>,
}

impl Active {
    fn new(behaviour: Behaviour) -> Self {
        Self { default: Arc::new(Counted::new(behaviour)), by_model: Mutex::default() }
    }

    pub fn refuses(&self) -> bool {
        self.default.behaviour.refuses()
    }

    pub fn for_model(&self, model: &str) -> Result<Arc<Counted>, SpecError> {
        let Some(spec) = spec_in(model) else { return Ok(Arc::clone(&self.default)) };
        let mut by_model = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_model.get(model) {
            return Ok(Arc::clone(known));
        }
        if by_model.len() >= MAX_MODELS {
            by_model.clear();
        }
        let counted = Arc::new(Counted::new(self.default.behaviour.with(spec)?));
        by_model.insert(model.to_owned(), Arc::clone(&counted));
        Ok(counted)
    }
}

/// A behaviour, how often it was asked, and since when.
#[derive(Debug)]
pub(super) struct Counted {
    behaviour: Behaviour,
    calls: AtomicU64,
    since: Instant,
}

impl Counted {
    fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, calls: AtomicU64::new(0), since: now() }
    }

    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// The number of this call, from 0, and the age of the behaviour.
    pub fn count(&self, now: Instant) -> (u64, Duration) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        (call, now.saturating_duration_since(self.since))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fake provider stands outside; it has its own clock"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fake provider stands outside; it has its own clock"
)]
pub(super) fn wall() -> SystemTime {
    SystemTime::now()
}
