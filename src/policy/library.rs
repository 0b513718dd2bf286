//! The policies there are: the built-in, and those in a directory that is
//! watched. What is current is one immutable snapshot, swapped as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::compile::{Compiler, Workshop};
use super::engine::{Allocation, PolicyEngine};
use super::handle::{Origin, Policy};
use super::load::{LoadFault, Loader, patience};
use super::loading::{Loaders, Queue};
use super::pool::SlowPool;
use super::scan::{Left, Scanner};
use super::shelf::{Pins, RollbackFault, Rolled, Shelf, lock};
use super::status::PolicyStatus;
use super::watch::Watcher;
use super::{Clock, Limits};

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
    pub(super) const fn first(policies: BTreeMap<Arc<str>, Arc<Policy>>) -> Self {
        Self { policies, generation: 0 }
    }

    /// The next one, in which this name has this policy, or none.
    pub(super) fn with(&self, name: &str, policy: Option<&Arc<Policy>>) -> Self {
        let mut next = self.clone();
        next.generation += 1;
        match policy {
            Some(policy) => next.policies.insert(name.into(), Arc::clone(policy)),
            None => next.policies.remove(name),
        };
        next
    }

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

/// What the threads that keep a library up to date share with it.
#[derive(Debug)]
pub(super) struct Shared {
    pub loader: Loader,
    pub shelf: Shelf,
    scanner: Mutex<Option<Scanner>>,
    pub queue: Queue,
    /// A hint for the watcher to look; one waiting is as good as a hundred.
    pub hints: SyncSender<()>,
    /// What lay in the directory at the start is loaded or refused.
    loaded: AtomicBool,
}

/// All policies, kept up to date by threads that end with it.
#[derive(Debug)]
pub struct Library {
    shared: Arc<Shared>,
    // In this order they end: whoever finds work before whoever does it.
    _watcher: Option<Watcher>,
    _loaders: Option<Loaders>,
}

impl Library {
    /// Loads the built-in and whatever good policies the directory holds. A
    /// broken file there is no error: it is in the log and in the status.
    pub fn open(config: LibraryConfig) -> Result<Self, OpenFault> {
        Self::open_pinned(config, Pins::new())
    }

    /// The same; where there is a pin, nothing else ever is current.
    pub fn open_pinned(config: LibraryConfig, pins: Pins) -> Result<Self, OpenFault> {
        let library = Self::begin(config, pins)?;
        library.wait_until_loaded();
        Ok(library)
    }

    /// Loads the built-in and begins with the directory, which may take minutes.
    pub fn begin(config: LibraryConfig, pins: Pins) -> Result<Self, OpenFault> {
        let (loader, builtin) = start(&config)?;
        let (hints, receiver) = sync_channel(1);
        let shared = Arc::new(Shared {
            loader,
            shelf: Shelf::new(Arc::new(builtin), pins),
            scanner: Mutex::new(config.directory.clone().map(Scanner::new)),
            queue: Queue::default(),
            hints,
            loaded: AtomicBool::new(false),
        });
        let Some(directory) = config.directory else {
            return Ok(Self { shared, _watcher: None, _loaders: None });
        };
        let loaders = Loaders::start(&shared);
        shared.first_pass();
        let watcher = Watcher::start(directory, Arc::clone(&shared), receiver);
        Ok(Self { shared, _watcher: Some(watcher), _loaders: Some(loaders) })
    }

    /// Returns when what lay in the directory at the start is loaded or refused.
    pub fn wait_until_loaded(&self) {
        self.shared.queue.wait_until_idle();
        self.shared.loaded.store(true, Ordering::Relaxed);
    }

    /// From now on calls are served: compiling goes after them.
    pub fn give_way(&self) {
        self.shared.loader.workshop.give_way();
    }

    /// What that still waits for, by name; `None` when it is over.
    #[must_use]
    pub fn loading(&self) -> Option<Vec<String>> {
        if self.shared.loaded.load(Ordering::Relaxed) {
            return None;
        }
        let status = self.status().into_iter();
        let compiling = status.filter(|status| status.compiling.is_some()).map(|it| it.name);
        Some(compiling.chain(self.shared.queue.waiting()).collect())
    }

    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.shared.shelf.current()
    }

    /// The embedded policy, whatever `default.wasm` says.
    #[must_use]
    pub fn builtin(&self) -> Arc<Policy> {
        self.shared.shelf.builtin()
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
        self.shared.shelf.status()
    }

    /// Looks at the directory now, and returns when what has settled there is
    /// loaded or refused.
    pub fn rescan_now(&self) {
        loop {
            let left = self.shared.pass();
            self.shared.queue.wait_until_idle();
            if !left.busy {
                return;
            }
        }
    }

    /// Gives up policies whose file is gone and whose name is not wanted any more.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        self.shared.shelf.keep_only(wanted);
    }

    /// Goes back to the version before, which is compiled and takes over at once;
    /// calls under way keep theirs. The version left is not loaded again until
    /// its file's content changes; a second time leads forward to it.
    pub fn rollback(&self, name: &str) -> Result<Rolled, RollbackFault> {
        self.shared.shelf.rollback(name)
    }

    /// Replaces all pins. A version that a pin does not allow ends at once: the
    /// version before it takes over, if that is the pinned one, else nobody, and
    /// the built-in decides. Files whose pin changed are read again.
    pub fn pin(&self, pins: Pins) {
        self.shared.read_again(&self.shared.shelf.repin(pins));
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
pub(super) fn start(config: &LibraryConfig) -> Result<(Loader, Policy), OpenFault> {
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

impl Shared {
    /// One look at the directory and all that follows from it. Passes exclude
    /// each other; calls are not held up by them.
    pub fn pass(&self) -> Left {
        let Some(scanner) = &mut *lock(&self.scanner) else { return Left::default() };
        for name in self.shelf.due((self.loader.clock)()) {
            scanner.try_again(&name);
        }
        let (jobs, left) = scanner.changed(&self.shelf);
        self.queue.add(jobs);
        left
    }

    fn first_pass(&self) {
        if let Some(scanner) = &mut *lock(&self.scanner) {
            self.queue.add(scanner.first());
        }
    }

    /// A job is done; its file may have changed meanwhile.
    pub fn finished(&self, name: &str, held_still: bool) {
        if let Some(scanner) = &mut *lock(&self.scanner) {
            scanner.finished(name, held_still);
        }
        self.hint();
    }

    fn read_again(&self, names: &[String]) {
        if let Some(scanner) = &mut *lock(&self.scanner) {
            for name in names {
                scanner.forget(name);
            }
        }
        self.hint();
    }

    pub fn hint(&self) {
        // If there is a hint already, one is enough.
        let _ = self.hints.try_send(());
    }
}
