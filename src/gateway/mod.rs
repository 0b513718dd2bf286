//! The gateway: accepts calls, drives the heart with sockets and policies, and
//! relays the answers. What is decided, and why, is not its business.
//!
//! `server` accepts, `ingress` turns a request into a call, `driver` serves the
//! call, `relay` hands the answer over through an `outlet`; `generation` is the
//! configuration made ready, `targets` what outlives it, `trace` what is left.

mod driver;
mod generation;
mod ingress;
mod inquiry;
mod outlet;
mod output;
mod patience;
mod relay;
mod reply;
mod running;
mod server;
mod targets;
mod timer;
mod trace;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

pub use generation::{Generation, LiveRoute, SetupError};
pub use server::{Drained, serve};
pub use targets::Targets;
pub use trace::{End, Trace, Traces};

use crate::clock::Clock;
use crate::config::Config;
use crate::failover::backoff::Rng;
use crate::policy::{Library, Policy};

/// What all calls share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub library: Library,
    pub targets: Targets,
    pub traces: Traces,
    generation: ArcSwap<Generation>,
    /// Serialises reloads, which read the generation and then replace it.
    reloading: Mutex<()>,
    under_way: AtomicUsize,
    /// Advanced for every id and seed.
    random: AtomicU64,
}

/// A call's place among those under way; gives it back when dropped.
#[derive(Debug)]
pub struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who decides for a route.
struct Deciders {
    /// The route's own policy, if it names one that is loaded.
    own: Option<Arc<Policy>>,
    /// Name and short digest of whoever is asked first.
    tag: Arc<str>,
}

impl Shared {
    /// Makes a configuration ready to serve. `seed` is where all randomness
    /// comes from.
    pub fn start(
        config: Config,
        library: Library,
        clock: Clock,
        seed: u64,
    ) -> Result<Arc<Self>, SetupError> {
        let targets = Targets::default();
        let traces = Traces::new(config.admin.as_ref().map_or(0, |admin| admin.traces));
        let generation = Generation::build(1, Arc::new(config), &targets, seed)?;
        Ok(Arc::new(Self {
            clock,
            library,
            targets,
            traces,
            generation: ArcSwap::from_pointee(generation),
            reloading: Mutex::new(()),
            under_way: AtomicUsize::new(0),
            random: AtomicU64::new(seed),
        }))
    }

    /// The current configuration. A call takes it once.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Replaces the configuration for the calls to come; on failure nothing
    /// changes.
    pub fn reload(&self, config: Config) -> Result<u64, SetupError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.generation().number + 1;
        let next = Generation::build(number, Arc::new(config), &self.targets, self.new_seed())?;
        self.library.keep_only(|name| next.names_policy(name));
        self.generation.store(Arc::new(next));
        self.targets.forget_unused();
        Ok(number)
    }

    /// Calls under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// A place for one more call, if there is one.
    fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        (before < most).then_some(place)
    }

    fn policy_for(&self, name: &str) -> Deciders {
        let builtin = self.library.builtin();
        let named = self.library.current().policy(name);
        let own = named
            .filter(|policy| !Arc::ptr_eq(policy, &builtin))
            .and_then(|policy| policy.answering());
        let first = own.as_ref().unwrap_or(&builtin);
        let tag = format!("{}@{}", first.name(), first.short_digest()).into();
        Deciders { own, tag }
    }

    fn new_seed(&self) -> u64 {
        // The increment is splitmix64's, so that every step is a new state of it.
        let state = self.random.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        Rng::new(state).next()
    }

    fn new_id(&self) -> String {
        format!("bs-{:016x}", self.new_seed())
    }
}
