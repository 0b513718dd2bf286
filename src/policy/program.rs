//! A compiled policy, ready to be called: a fresh instance for every call, or,
//! for the built-in, one of a few that are kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use semver::Version;
use wasmtime::Store;
use wasmtime::component::{Component, Linker, Resource};

use super::bindings::{Instance, InstanceMaker, OutputHandle, RequestHandle, exchange, host};
use super::contract::{self, ContractFault};
use super::convert::{self, Excess};
use super::engine::PolicyEngine;
use super::notes::Notes;
use super::sandbox::{Owner, Sandbox, clean};
use super::wasi::{self, Wasi};
use super::{Material, bindings};
use crate::failover::consult::{Opinion, Question, Verb};

/// Calls an instance of the built-in serves before it is replaced.
const REUSES_MAX: u32 = 1_000;
const REASON_BYTES_MAX: usize = 512;
/// Why a call did not come to an end.
pub const OUT_OF_TIME: &str = "time limit reached";
/// More than a call can use in any time.
const FUEL: u64 = u64::MAX / 2;

/// Whether instances outlive a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instances {
    /// No call sees what an earlier one left behind.
    Fresh,
    /// For a policy of ours that keeps no state.
    Reused,
}

/// Why a component cannot be used as a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkFault {
    #[error(
        "it imports `{0}`, which the gateway does not provide; a policy may import \
         backstay:policy and WASI 0.2 without wasi:http"
    )]
    Import(String),
    #[error("its imports do not fit what the gateway provides: {0}")]
    Mismatch(String),
    #[error(transparent)]
    Contract(#[from] ContractFault),
    /// Of a compatible version, but of other types.
    #[error(
        "it is built for contract {theirs}, and what it {what} is not what this gateway's \
         {ours} says: {reason}: rebuild it with wit/failover-policy.wit of this gateway, or run a \
         gateway that speaks what it was built with"
    )]
    Types { what: &'static str, theirs: Version, ours: Version, reason: String },
}

impl LinkFault {
    fn types(what: &'static str, theirs: &Version, error: &wasmtime::Error) -> Self {
        let (theirs, ours) = (theirs.clone(), contract::ours());
        Self::Types { what, theirs, ours, reason: chain(error) }
    }
}

/// What a component says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interfaces {
    /// The version of the contract it is built for.
    pub contract: Version,
    /// What it imports, ours and WASI's, in its order.
    pub imports: Vec<String>,
}

/// One call of a fresh instance: what came of it and what it used.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    pub opinion: Opinion,
    /// From asking to the instance's end.
    pub time: Duration,
    /// Bytes over all linear memories; they never shrink.
    pub memory: usize,
    /// About one for each instruction; only a metered engine counts.
    pub fuel: Option<u64>,
}

pub struct Program {
    engine: Arc<PolicyEngine>,
    maker: InstanceMaker<Sandbox>,
    owner: Owner,
    interfaces: Interfaces,
    imports_wasi: bool,
    kept: Vec<Mutex<Option<Kept>>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("name", &self.owner.name).finish_non_exhaustive()
    }
}

struct Kept {
    store: Store<Sandbox>,
    instance: Instance,
    uses: u32,
}

impl Program {
    pub fn link(
        engine: &Arc<PolicyEngine>,
        component: &Component,
        owner: Owner,
        instances: Instances,
    ) -> Result<Self, LinkFault> {
        let (imports, imported) = imports(engine, component)?;
        let imports_wasi = imports.iter().any(|name| is_wasi(name));
        let mismatch = |error: wasmtime::Error| match &imported {
            Some(theirs) if chain(&error).contains(bindings::PACKAGE) => {
                LinkFault::types("imports", theirs, &error)
            }
            Some(_) | None => LinkFault::Mismatch(chain(&error)),
        };
        let mut linker = Linker::new(engine.wasmtime());
        exchange::add_to_linker::<Sandbox, Whole>(&mut linker, |sandbox| sandbox)
            .and_then(|()| host::add_to_linker::<Sandbox, Whole>(&mut linker, |sandbox| sandbox))
            .map_err(mismatch)?;
        if imports_wasi {
            wasi::add_to_linker(&mut linker).map_err(mismatch)?;
        }
        let pre = linker.instantiate_pre(component).map_err(mismatch)?;
        let described = component.component_type();
        let exports = described.exports(engine.wasmtime()).map(|(name, _)| name);
        let contract = contract::exported(exports, &contract::ours())?;
        let maker = InstanceMaker::new(pre)
            .map_err(|error| LinkFault::types("exports", &contract, &error))?;
        let interfaces = Interfaces { contract, imports };
        let slots = match instances {
            Instances::Fresh => 0,
            Instances::Reused => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let kept = std::iter::repeat_with(|| Mutex::new(None)).take(slots).collect();
        Ok(Self { engine: Arc::clone(engine), maker, owner, interfaces, imports_wasi, kept })
    }

    pub const fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }

    /// Whether its functions have the types of the contract: of an instance only
    /// can that be seen. One that cannot be made says so when it is asked.
    pub fn check_types(&self, question: &Question, material: &Material) -> Result<(), LinkFault> {
        let _ticking = self.engine.call_begins();
        let mut store = self.store();
        self.begin(&mut store, question, material);
        let Ok(instance) = self.maker.instance_pre().instantiate(&mut store) else {
            return Ok(());
        };
        let fits = Instance::new(&mut store, &instance);
        fits.map(drop)
            .map_err(|error| LinkFault::types("exports", &self.interfaces.contract, &error))
    }

    /// The same code for another owner, with instances of its own.
    pub fn afresh(&self, owner: Owner) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            maker: self.maker.clone(),
            owner,
            interfaces: self.interfaces.clone(),
            imports_wasi: self.imports_wasi,
            kept: std::iter::repeat_with(|| Mutex::new(None)).take(self.kept.len()).collect(),
        }
    }

    /// The same guest with other notes.
    pub fn apart(&self, notes: Arc<Notes>) -> Self {
        self.afresh(Owner { notes, ..self.owner.clone() })
    }

    pub fn notes(&self) -> &Arc<Notes> {
        &self.owner.notes
    }

    /// Asks the guest. Whatever goes wrong in there is a fault with a reason.
    pub fn ask(&self, question: &Question, material: &Material) -> Opinion {
        let asked = match self.kept_slot() {
            Some(slot) => self.ask_kept(slot, question, material),
            None => self.ask_fresh(question, material),
        };
        asked.unwrap_or_else(|reason| Opinion::Fault { reason })
    }

    fn ask_fresh(&self, question: &Question, material: &Material) -> Result<Opinion, String> {
        let _ticking = self.engine.call_begins();
        self.ask_in(&mut self.store(), question, material)
    }

    fn ask_in(
        &self,
        store: &mut Store<Sandbox>,
        question: &Question,
        material: &Material,
    ) -> Result<Opinion, String> {
        self.begin(store, question, material);
        let instance =
            self.maker.instantiate(&mut *store).map_err(|error| describe(store, &error))?;
        call(store, &instance, question, material)
    }

    /// Asks a fresh instance, and says what the call used.
    pub fn measure(&self, question: &Question, material: &Material) -> Measured {
        let before = (self.owner.clock)();
        let ticking = self.engine.call_begins();
        let mut store = self.store();
        let asked = self.ask_in(&mut store, question, material);
        let memory = store.data().limiter.memory();
        let fuel = store.get_fuel().ok().map(|left| FUEL.saturating_sub(left));
        drop(store);
        drop(ticking);
        let time = (self.owner.clock)().since(before);
        let opinion = asked.unwrap_or_else(|reason| Opinion::Fault { reason });
        Measured { opinion, time, memory, fuel }
    }

    /// A kept instance goes back only after a call without a fault.
    fn ask_kept(
        &self,
        slot: &Mutex<Option<Kept>>,
        question: &Question,
        material: &Material,
    ) -> Result<Opinion, String> {
        let Ok(mut slot) = slot.try_lock() else {
            return self.ask_fresh(question, material);
        };
        let _ticking = self.engine.call_begins();
        let mut kept = match slot.take() {
            Some(kept) => kept,
            None => self.keep(question, material)?,
        };
        self.begin(&mut kept.store, question, material);
        let opinion = call(&mut kept.store, &kept.instance, question, material)?;
        kept.store.data_mut().end();
        kept.uses += 1;
        if kept.uses < REUSES_MAX {
            *slot = Some(kept);
        }
        Ok(opinion)
    }

    fn keep(&self, question: &Question, material: &Material) -> Result<Kept, String> {
        let mut store = self.store();
        self.begin(&mut store, question, material);
        let instance =
            self.maker.instantiate(&mut store).map_err(|error| describe(&store, &error))?;
        Ok(Kept { store, instance, uses: 0 })
    }

    /// Each thread has its own slot, as long as there are enough.
    fn kept_slot(&self) -> Option<&Mutex<Option<Kept>>> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        let count = self.kept.len();
        if count == 0 { None } else { self.kept.get(THREAD.with(|thread| thread % count)) }
    }

    fn store(&self) -> Store<Sandbox> {
        let limits = self.engine.limits();
        let sandbox = Sandbox::new(self.owner.clone(), limits, Arc::clone(self.engine.usage()));
        let mut store = Store::new(self.engine.wasmtime(), sandbox);
        store.limiter(|sandbox| &mut sandbox.limiter);
        store.set_hostcall_fuel(limits.hostcall_fuel);
        store.set_max_component_handles(limits.handles);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().overdue()));
        if self.engine.is_metered() {
            store.set_fuel(FUEL).expect("a metered engine has fuel");
        }
        store
    }

    fn begin(&self, store: &mut Store<Sandbox>, question: &Question, material: &Material) {
        let sandbox = store.data_mut();
        sandbox.begin(material.clone());
        if self.imports_wasi {
            let wasi = Wasi::new(question.now_unix_ms, question.seed, &sandbox.log());
            sandbox.wasi = Some(Box::new(wasi));
        }
        let deadline = sandbox.first_deadline();
        store.set_epoch_deadline(deadline);
    }
}

/// The sandbox as a whole implements every interface of the contract.
struct Whole;

impl wasmtime::component::HasData for Whole {
    type Data<'a> = &'a mut Sandbox;
}

/// All imports, and the version of the contract among them. Names one that
/// nobody provides, or of a contract not spoken here, before the linker would.
fn imports(
    engine: &PolicyEngine,
    component: &Component,
) -> Result<(Vec<String>, Option<Version>), LinkFault> {
    let described = component.component_type();
    let names = || described.imports(engine.wasmtime()).map(|(name, _)| name);
    let foreign = names().find(|name| !is_wasi(name) && !name.starts_with(bindings::PACKAGE));
    if let Some(name) = foreign {
        return Err(LinkFault::Import(clean(name, REASON_BYTES_MAX)));
    }
    let imported = contract::imported(names(), &contract::ours())?;
    Ok((names().map(|name| clean(name, REASON_BYTES_MAX)).collect(), imported))
}

fn is_wasi(name: &str) -> bool {
    wasi::PACKAGES.iter().any(|package| name.starts_with(package))
}

fn call(
    store: &mut Store<Sandbox>,
    instance: &Instance,
    question: &Question,
    material: &Material,
) -> Result<Opinion, String> {
    let labels = convert::labels(material);
    let call = convert::call(question, material, &labels);
    let policy = instance.backstay_policy_failover_policy();
    let request = Resource::<RequestHandle>::new_borrow(0);
    let answered = match question.verb {
        Verb::SelectProvider => {
            let (candidates, attempts) =
                (convert::candidates(question), convert::attempts(question));
            policy
                .call_select_provider(&mut *store, call, request, &candidates, &attempts)
                .map(|answer| answer.map_or(Ok(Opinion::None), select))
        }
        Verb::ClassifyError { .. } => {
            let (candidates, attempts) =
                (convert::candidates(question), convert::attempts(question));
            policy
                .call_classify_error(&mut *store, call, &candidates, &attempts)
                .map(|answer| Ok(answer.map_or(Opinion::None, classify)))
        }
        Verb::ValidateOutput { candidate, .. } => {
            let view = question.candidates.get(candidate.index());
            let candidate = convert::candidate(view.ok_or("the question names no candidate")?);
            let output = Resource::<OutputHandle>::new_borrow(0);
            policy
                .call_validate_output(&mut *store, call, request, candidate, output)
                .map(|answer| answer.map_or(Ok(Opinion::None), validate))
        }
    };
    match answered {
        Ok(converted) => converted.map_err(|Excess(reason)| reason),
        Err(error) => Err(describe(store, &error)),
    }
}

fn select(answer: bindings::types::Selection) -> Result<Opinion, Excess> {
    convert::selection(answer).map(Opinion::Select)
}

fn classify(answer: bindings::types::Ruling) -> Opinion {
    Opinion::Classify(convert::ruling(&answer))
}

fn validate(answer: bindings::types::Verdict) -> Result<Opinion, Excess> {
    convert::verdict(answer).map(Opinion::Validate)
}

/// A fault in words: what wasmtime says, and what the limiter refused before.
fn describe(store: &Store<Sandbox>, error: &wasmtime::Error) -> String {
    let reason = match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => OUT_OF_TIME.to_owned(),
        Some(wasmtime::Trap::StackOverflow) => "stack limit reached".to_owned(),
        _ => reason_of(error),
    };
    match store.data().limiter.refused() {
        Some(refused) => format!("{refused}; {reason}"),
        None => reason,
    }
}

/// All causes in a row, the outermost first.
fn chain(error: &wasmtime::Error) -> String {
    clean(&format!("{error:#}"), REASON_BYTES_MAX)
}

/// The innermost cause: the outer ones say where in the guest, at length.
pub fn reason_of(error: &wasmtime::Error) -> String {
    let exit = error.downcast_ref::<wasmtime_wasi::I32Exit>();
    match exit {
        Some(code) => format!("called exit with {}", code.0),
        None => clean(&error.root_cause().to_string(), REASON_BYTES_MAX),
    }
}
