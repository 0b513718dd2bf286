//! The policies there are: the built-in, and those in a directory that is
//! watched. What is current is one immutable snapshot, swapped as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::compile::{Compiler, Workshop};
use super::engine::{Allocation, PolicyEngine};
use super::faults::{LastFault, Standing};
use super::handle::{Digest, Origin, Policy};
use super::load::{LoadFault, Loader, patience};
use super::notes::Notes;
use super::pool::SlowPool;
use super::scan::Scanner;
use super::watch::Watcher;
use super::{Clock, Limits};
use crate::failover::time::Timestamp;

/// The name of the built-in, and of the file that overrules it.
pub const DEFAULT: &str = "default";

/// `policies/default` as a component; see `build.rs`.
pub const BUILT_IN: &[u8] = include_bytes!(env!("BACKSTAY_BUILTIN_POLICY"));

pub struct LibraryConfig {
    /// Where `NAME.wasm` files are looked for; without it there is only the
    /// built-in.
    pub directory: Option<PathBuf>,
    pub limits: Limits,
    pub clock: Clock,
    pub compiler: Compiler,
    /// A private directory for compiled policies.
    pub cache: Option<PathBuf>,
}

impl std::fmt::Debug for LibraryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LibraryConfig")
            .field("directory", &self.directory)
            .field("limits", &self.limits)
            .field("compiler", &self.compiler)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// The gateway's binary cannot run its own policy: there is nothing to serve with.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error("the built-in policy does not load: {0}")]
    BuiltIn(#[from] LoadFault),
}

/// The policies that are current, by name. A call takes one snapshot and keeps
/// it to its end.
#[derive(Clone, Debug)]
pub struct Snapshot {
    policies: BTreeMap<Arc<str>, Arc<Policy>>,
    generation: u64,
}

impl Snapshot {
    /// The policy of a route. `default` is always there.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Arc<Policy>> {
        self.policies.get(name).cloned()
    }

    /// Counts the swaps.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(|name| &**name)
    }
}

/// How a policy is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyState {
    BuiltIn,
    Active,
    Quarantined {
        until: Timestamp,
    },
    /// Asked again after a quarantine.
    OnProbation,
    /// No version of it was ever good.
    Refused,
}

impl PolicyState {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Active => "active",
            Self::Quarantined { .. } => "quarantined",
            Self::OnProbation => "on-probation",
            Self::Refused => "refused",
        }
    }
}

/// A file that did not become a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRefusal {
    pub reason: String,
    /// `None` if the file could not be read.
    pub digest: Option<Digest>,
    pub at: Timestamp,
}

/// One policy as the operator sees it.
#[derive(Clone, Debug)]
pub struct PolicyStatus {
    pub name: String,
    pub file: Option<PathBuf>,
    /// Of the version that is current, if there is one.
    pub digest: Option<Digest>,
    pub state: PolicyState,
    pub faults: u64,
    pub last_fault: Option<LastFault>,
    /// Set while the file's latest content is not what is current.
    pub last_refusal: Option<FileRefusal>,
    pub compile_time: Option<Duration>,
    pub quick: bool,
    pub loaded_at: Option<Timestamp>,
    /// The file is gone; its last good version still serves.
    pub deleted: bool,
}

/// What is known of a name's file.
#[derive(Clone, Debug)]
pub(super) struct FileRecord {
    pub path: PathBuf,
    pub refusal: Option<FileRefusal>,
    pub deleted: bool,
}

pub(super) struct Shared {
    pub loader: Loader,
    current: ArcSwap<Snapshot>,
    files: Mutex<BTreeMap<String, FileRecord>>,
    notes: Mutex<BTreeMap<String, Arc<Notes>>>,
    pub scanner: Mutex<Option<Scanner>>,
}

/// All policies, kept up to date by a thread that ends with it.
pub struct Library {
    shared: Arc<Shared>,
    builtin: Arc<Policy>,
    _watcher: Option<Watcher>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library")
            .field("current", &self.shared.current.load())
            .finish_non_exhaustive()
    }
}

impl Library {
    /// Loads the built-in and whatever good policies the directory holds. A
    /// broken file there is no error: it is in the log and in the status.
    pub fn open(config: LibraryConfig) -> Result<Self, OpenFault> {
        let (loader, builtin) = start(&config)?;
        let builtin = Arc::new(builtin);
        let policies = BTreeMap::from([(DEFAULT.into(), Arc::clone(&builtin))]);
        let shared = Arc::new(Shared {
            loader,
            current: ArcSwap::from_pointee(Snapshot { policies, generation: 0 }),
            files: Mutex::default(),
            notes: Mutex::default(),
            scanner: Mutex::new(config.directory.clone().map(Scanner::new)),
        });
        shared.first_pass();
        let watcher =
            config.directory.map(|directory| Watcher::start(directory, Arc::clone(&shared)));
        Ok(Self { shared, builtin, _watcher: watcher })
    }

    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.shared.current.load_full()
    }

    /// The embedded policy, whatever `default.wasm` says.
    #[must_use]
    pub fn builtin(&self) -> Arc<Policy> {
        Arc::clone(&self.builtin)
    }

    /// A policy from a file beside the library: nothing is served with it, and
    /// nobody but the caller knows it.
    pub fn load_file(&self, name: &str, path: &std::path::Path) -> Result<Policy, LoadFault> {
        let size = std::fs::metadata(path)?.len();
        if size > super::load::FILE_BYTES_MAX {
            return Err(LoadFault::TooLarge);
        }
        let bytes = std::fs::read(path)?;
        let origin = Origin::File(path.to_owned());
        self.shared.loader.load(name, origin, &bytes, Arc::default())
    }

    /// Every policy and every refused file, by name.
    #[must_use]
    pub fn status(&self) -> Vec<PolicyStatus> {
        let current = self.current();
        let files = lock(&self.shared.files).clone();
        let refused = files.keys().filter(|name| current.policy(name).is_none());
        let mut names: Vec<&str> = current.names().chain(refused.map(String::as_str)).collect();
        names.sort_unstable();
        names.into_iter().map(|name| status(name, &current, files.get(name))).collect()
    }

    /// Looks at the directory now, and returns when what has settled there is
    /// loaded or refused.
    pub fn rescan_now(&self) {
        self.shared.pass();
    }

    /// Gives up policies whose file is gone and whose name is not wanted any more.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        let mut files = lock(&self.shared.files);
        let gone: Vec<String> = files
            .iter()
            .filter(|(name, record)| record.deleted && !wanted(name))
            .map(|(name, _)| name.clone())
            .collect();
        files.retain(|name, _| !gone.contains(name));
        drop(files);
        for name in gone {
            self.shared.replace(&name, (name == DEFAULT).then_some(&self.builtin));
            lock(&self.shared.notes).remove(&name);
        }
    }

    /// How instances get their memory.
    #[must_use]
    pub fn allocation(&self) -> Allocation {
        self.shared.loader.engine.allocation()
    }

    /// Instances alive and bytes of linear memory they hold.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let usage = self.shared.loader.engine.usage();
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        (usage.instances.load(relaxed), usage.memory.load(relaxed))
    }
}

/// Starts the engine and proves it on the built-in: with a memory pool, or, if
/// the address space or the kernel does not allow one, without.
fn start(config: &LibraryConfig) -> Result<(Loader, Policy), OpenFault> {
    match start_with(config, Allocation::Pooled) {
        Ok(started) => Ok(started),
        Err(fault) => {
            tracing::warn!(%fault, "no memory pool for policies: memory is mapped for each call");
            start_with(config, Allocation::OnDemand)
        }
    }
}

fn start_with(
    config: &LibraryConfig,
    allocation: Allocation,
) -> Result<(Loader, Policy), OpenFault> {
    let limits = &config.limits;
    let engine = PolicyEngine::new(limits.clone(), allocation)
        .map_err(|error| OpenFault::Engine(error.to_string()))?;
    let workshop = Workshop::new(config.compiler.clone(), config.cache.clone(), limits.memory);
    let loader = Loader {
        engine: Arc::new(engine),
        workshop: Arc::new(workshop),
        pool: Arc::new(SlowPool::new(patience(limits.time))),
        clock: Arc::clone(&config.clock),
    };
    let builtin = loader.load(DEFAULT, Origin::BuiltIn, BUILT_IN, Arc::default())?;
    Ok((loader, builtin))
}

fn status(name: &str, current: &Snapshot, file: Option<&FileRecord>) -> PolicyStatus {
    let policy = current.policy(name);
    let policy = policy.as_deref();
    let (faults, last_fault) = policy.map(Policy::fault_record).unwrap_or_default();
    PolicyStatus {
        name: name.to_owned(),
        file: file.map(|record| record.path.clone()),
        digest: policy.map(Policy::digest),
        state: policy.map_or(PolicyState::Refused, state),
        faults,
        last_fault,
        last_refusal: file.and_then(|record| record.refusal.clone()),
        compile_time: policy.map(|policy| policy.facts().compile_time),
        quick: policy.is_some_and(Policy::quick),
        loaded_at: policy.map(|policy| policy.facts().loaded_at),
        deleted: file.is_some_and(|record| record.deleted),
    }
}

fn state(policy: &Policy) -> PolicyState {
    match (&policy.facts().origin, policy.standing()) {
        (Origin::BuiltIn, _) => PolicyState::BuiltIn,
        (Origin::File(_), Standing::Active) => PolicyState::Active,
        (Origin::File(_), Standing::Quarantined { until }) => PolicyState::Quarantined { until },
        (Origin::File(_), Standing::OnProbation) => PolicyState::OnProbation,
    }
}

impl Shared {
    /// One look at the directory and all that follows from it. Passes exclude
    /// each other; calls are not held up by them.
    pub fn pass(&self) -> bool {
        match &mut *lock(&self.scanner) {
            Some(scanner) => scanner.pass(self),
            None => false,
        }
    }

    fn first_pass(&self) {
        if let Some(scanner) = &mut *lock(&self.scanner) {
            scanner.first_pass(self);
        }
    }

    pub fn policy(&self, name: &str) -> Option<Arc<Policy>> {
        self.current.load().policy(name)
    }

    /// Makes a version current, with what its name remembers.
    pub fn activate(&self, policy: Policy) {
        let policy = Arc::new(policy);
        let name = policy.name().to_owned();
        if let Some(previous) = self.policy(&name)
            && previous.facts().origin != Origin::BuiltIn
        {
            policy.succeed(&previous);
        }
        let digest = policy.short_digest();
        tracing::info!(policy = name, digest, quick = policy.quick(), "policy active");
        self.replace(&name, Some(&policy));
    }

    /// Only the passes and the operator's commands write, one at a time or on
    /// names of their own.
    fn replace(&self, name: &str, policy: Option<&Arc<Policy>>) {
        self.current.rcu(|current| {
            let mut next = Snapshot::clone(current);
            next.generation += 1;
            match policy {
                Some(policy) => next.policies.insert(name.into(), Arc::clone(policy)),
                None => next.policies.remove(name),
            };
            next
        });
    }

    pub fn notes(&self, name: &str) -> Arc<Notes> {
        Arc::clone(lock(&self.notes).entry(name.to_owned()).or_default())
    }

    pub fn files(&self) -> MutexGuard<'_, BTreeMap<String, FileRecord>> {
        lock(&self.files)
    }
}

/// What these locks guard is changed in steps that each leave it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
