//! The one wasmtime engine of the process, and the thread that makes its
//! epochs pass. It must not know what runs on it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmFeatures,
};

use super::limits::{Limits, Usage};

/// One epoch.
pub const TICK: Duration = Duration::from_millis(1);
/// Ticks without a call after which the ticking thread parks itself.
const IDLE_TICKS: u32 = 50;
/// Calls that can run at once; on demand there is no such bound.
const SLOTS: u32 = 128;
const WASM_PAGE: u64 = 64 << 10;
/// Memory of a pool's slot that is cleared in place rather than given back.
const KEEP_RESIDENT: usize = 1 << 20;

/// Where the memory of instances comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allocation {
    /// From slots set aside at the start.
    Pooled,
    /// Mapped for each instance: slower, but content with little address space.
    OnDemand,
}

impl Allocation {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::OnDemand => "on-demand",
        }
    }
}

/// Whether code counts the fuel it burns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metering {
    Off,
    On,
}

/// The engine, its limits, and what is in use of it.
#[derive(Debug)]
pub struct PolicyEngine {
    engine: Engine,
    allocation: Allocation,
    metering: Metering,
    limits: Limits,
    usage: Arc<Usage>,
    ticker: Ticker,
}

impl PolicyEngine {
    pub fn new(limits: Limits, allocation: Allocation) -> wasmtime::Result<Self> {
        Self::with(limits, allocation, Metering::Off)
    }

    /// Counts the fuel of every call, and is slower for it: for measuring only.
    pub fn metered(limits: Limits) -> wasmtime::Result<Self> {
        Self::with(limits, Allocation::OnDemand, Metering::On)
    }

    fn with(limits: Limits, allocation: Allocation, metering: Metering) -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(&limits, allocation, metering))?;
        let ticker = Ticker::start(engine.clone());
        Ok(Self { engine, allocation, metering, limits, usage: Arc::default(), ticker })
    }

    pub fn is_metered(&self) -> bool {
        self.metering == Metering::On
    }

    pub const fn metering(&self) -> Metering {
        self.metering
    }

    pub fn wasmtime(&self) -> &Engine {
        &self.engine
    }

    pub const fn allocation(&self) -> Allocation {
        self.allocation
    }

    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub const fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Makes epochs pass until the guard is dropped.
    pub fn call_begins(&self) -> CallGuard<'_> {
        self.ticker.begin();
        CallGuard(&self.ticker)
    }
}

/// An engine that only compiles, for what an engine with `memory` as its limit
/// is to run.
pub fn compiling_engine(memory: usize, metering: Metering) -> wasmtime::Result<Engine> {
    let limits = Limits { memory, ..Limits::default() };
    let mut config = config(&limits, Allocation::OnDemand, metering);
    config.parallel_compilation(true);
    Engine::new(&config)
}

/// Everything that shapes compiled code is the same for both allocations, so
/// that an artefact serves either.
fn config(limits: &Limits, allocation: Allocation, metering: Metering) -> Config {
    let reservation = (limits.memory as u64).next_multiple_of(WASM_PAGE);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .consume_fuel(metering == Metering::On)
        .max_wasm_stack(limits.stack)
        .memory_reservation(reservation)
        .memory_reservation_for_growth(0)
        .memory_guard_size(WASM_PAGE)
        .memory_init_cow(true)
        .relaxed_simd_deterministic(true)
        // The threads of it would stay with the process, which serves calls.
        .parallel_compilation(false);
    for feature in
        [WasmFeatures::MEMORY64, WasmFeatures::MULTI_MEMORY, WasmFeatures::CUSTOM_PAGE_SIZES]
    {
        config.wasm_features(feature, false);
    }
    match allocation {
        Allocation::Pooled => {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        }
        Allocation::OnDemand => {
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        }
    }
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let count = |per_call: usize| u32::try_from(per_call).unwrap_or(u32::MAX);
    let of_all = |per_call: usize| SLOTS.saturating_mul(count(per_call));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(SLOTS)
        .max_core_instances_per_component(count(limits.instances))
        .total_core_instances(of_all(limits.instances))
        .max_memories_per_component(count(limits.memories))
        .total_memories(of_all(limits.memories))
        .max_memory_size(limits.memory)
        .max_tables_per_component(count(limits.tables))
        .total_tables(of_all(limits.tables))
        .max_tables_per_module(count(limits.tables))
        .table_elements(limits.table_elements)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(if swaps() { Enabled::No } else { Enabled::Auto });
    pool
}

/// Whether the machine swaps. The scan of page maps that clears a slot for its
/// next user does not see what was swapped out, which would show one call's
/// memory to the next (design, "Policies").
fn swaps() -> bool {
    match std::fs::read_to_string(Path::new("/proc/swaps")) {
        Ok(table) => table.lines().count() > 1,
        // Not Linux: there is no such scan either.
        Err(_) => true,
    }
}

/// A call is under way; see `PolicyEngine::call_begins`.
#[derive(Debug)]
pub struct CallGuard<'a>(&'a Ticker);

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.shared.active.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The thread that advances the epoch every millisecond while calls are under
/// way. When there are none it parks: an idle gateway does nothing.
#[derive(Debug)]
struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    active: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
}

impl Ticker {
    fn start(engine: Engine) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let handle = std::thread::Builder::new()
            .name("policy-epochs".into())
            .spawn(move || tick(&engine, &of_thread))
            .expect("a process that cannot start a thread cannot serve");
        Self { shared, thread: handle.thread().clone(), handle: Some(handle) }
    }

    /// Both sides write first and read then, in one total order: either the
    /// thread sees the call, or the call sees that the thread parks.
    fn begin(&self) {
        self.shared.active.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread runs no code that panics, and there is nobody to tell.
            let _ = handle.join();
        }
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut idle = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.active.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle > IDLE_TICKS {
            park_until_needed(shared);
            idle = 0;
        }
        std::thread::park_timeout(TICK);
        engine.increment_epoch();
    }
}

fn park_until_needed(shared: &Shared) {
    shared.parked.store(true, Ordering::SeqCst);
    while shared.active.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
        std::thread::park();
    }
    shared.parked.store(false, Ordering::SeqCst);
}
