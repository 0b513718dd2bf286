//! The gateway: accepts calls, drives the heart with sockets and policies, and
//! relays the answers. What is decided, and why, is not its business.
//!
//! `server` accepts, `ingress` turns a request into a call, `driver` serves the
//! call, `relay` hands the answer over through an `outlet`; `generation` is the
//! configuration made ready, `targets` what outlives it, `trace` what is left.
//! `shadow` asks policies that have no effect, `trial` compares a canary with the
//! route's own policy.

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
mod shadow;
mod targets;
mod timer;
mod trace;
mod trial;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use generation::Lasting;
pub use generation::{Generation, LiveRoute, SetupError};
pub use server::{Drained, serve};
pub use shadow::{Compared, Disagreement, ShadowView};
pub use targets::Targets;
pub use trace::{End, Trace, Traces};

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::failover::Timestamp;
use crate::failover::backoff::Rng;
use crate::failover::canary::Arm;
use crate::journal::{self, Journal};
use crate::policy::{Digest, Library, Pins, Policy, Snapshot};

/// What all calls share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub library: Library,
    pub targets: Targets,
    pub traces: Traces,
    shadows: shadow::Shadows,
    trials: trial::Trials,
    generation: ArcSwap<Generation>,
    /// Of the file on disk, if it is not the current generation's.
    config_fault: Mutex<Option<ConfigFault>>,
    /// Serialises reloads, which read the generation and then replace it.
    reloading: Mutex<()>,
    under_way: AtomicUsize,
    /// Calls under way are to be refused: the drain limit passed.
    halted: AtomicBool,
    /// Advanced for every id and seed.
    random: AtomicU64,
}

/// The pins of a configuration, as the library takes them.
#[must_use]
pub fn pins(config: &Config) -> Pins {
    let pins = config.policies.pins.iter();
    pins.map(|(name, digest)| (name.clone(), Digest::from_bytes(*digest))).collect()
}

/// Why the configuration on disk is not the one that is served by.
#[derive(Clone, Debug)]
pub struct ConfigFault {
    pub said: String,
    /// No good one came since then.
    pub since: Timestamp,
}

/// Characters of what is wrong with a configuration that are kept; the log has
/// all of it.
const FAULT_CHARS_MAX: usize = 4_000;

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
    /// In the trial of the route's canary.
    part: Option<trial::Part>,
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
        let (shadows, trials) = (shadow::Shadows::default(), trial::Trials::default());
        let lasting = Lasting { targets: &targets, shadows: &shadows, trials: &trials };
        let journal = journal_of(&config, None, clock);
        let generation = Generation::build(1, Arc::new(config), lasting, journal, seed)?;
        Ok(Arc::new(Self {
            clock,
            library,
            targets,
            traces,
            shadows,
            trials,
            generation: ArcSwap::from_pointee(generation),
            config_fault: Mutex::default(),
            reloading: Mutex::new(()),
            under_way: AtomicUsize::new(0),
            halted: AtomicBool::new(false),
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
        let before = self.generation();
        let number = before.number + 1;
        let Self { targets, shadows, trials, .. } = self;
        let lasting = Lasting { targets, shadows, trials };
        let journal = journal_of(&config, before.journal.as_ref(), self.clock);
        let config = Arc::new(config);
        let next = Generation::build(number, config, lasting, journal, self.new_seed())?;
        self.library.keep_only(|name| next.names_policy(name));
        let route = |name: &str| next.routes.get(name);
        shadows.keep_only(|name| route(name).is_some_and(|route| route.shadow.is_some()));
        trials.keep_only(|name| route(name).is_some_and(|route| route.trial.is_some()));
        self.library.pin(pins(&next.config));
        self.generation.store(Arc::new(next));
        self.targets.forget_unused();
        *self.config_fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(number)
    }

    /// The configuration on disk cannot be used, until the next good one.
    pub fn refuse_config(&self, problem: &str) {
        let mut fault = self.config_fault.lock().unwrap_or_else(PoisonError::into_inner);
        let since = fault.as_ref().map_or_else(|| self.clock.now(), |fault| fault.since);
        let said = problem.chars().take(FAULT_CHARS_MAX).collect();
        *fault = Some(ConfigFault { said, since });
    }

    #[must_use]
    pub fn config_fault(&self) -> Option<ConfigFault> {
        self.config_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Has every call under way refused, within `driver::LOOK`.
    fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// A place for one more call, if there is one.
    fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        (before < most).then_some(place)
    }

    /// Who decides this call: the route's own policy, or, by the call's id, its
    /// canary.
    fn deciders(&self, route: &LiveRoute, id: &str) -> Deciders {
        let loaded = self.library.current();
        let Some(trial) = &route.trial else { return self.deciders_of(&loaded, &route.policy) };
        let canary = loaded.policy(trial.policy());
        let drawn = trial.draw(id, canary.as_deref(), self.clock.now());
        let name = match drawn.lot.arm {
            Arm::Own => &route.policy,
            Arm::Canary => trial.policy(),
        };
        let part = trial::Part { trial: Arc::clone(trial), drawn };
        Deciders { part: Some(part), ..self.deciders_of(&loaded, name) }
    }

    fn deciders_of(&self, loaded: &Snapshot, name: &str) -> Deciders {
        let builtin = self.library.builtin();
        let own = loaded
            .policy(name)
            .filter(|policy| !Arc::ptr_eq(policy, &builtin))
            .and_then(|policy| policy.answering());
        let first = own.as_ref().unwrap_or(&builtin);
        let tag = format!("{}@{}", first.name(), first.short_digest()).into();
        Deciders { own, tag, part: None }
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

/// The journal that a configuration asks for: the one there is, if it is the
/// same.
fn journal_of(
    config: &Config,
    before: Option<&Arc<Journal>>,
    clock: Clock,
) -> Option<Arc<Journal>> {
    let config::Journal { directory, max_file, max_total } = config.journal.clone()?;
    let settings = journal::Settings { directory, max_file, max_total };
    match before {
        Some(journal) if *journal.settings() == settings => Some(Arc::clone(journal)),
        Some(_) | None => Some(Arc::new(Journal::start(settings, clock))),
    }
}
