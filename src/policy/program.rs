//! A compiled policy, ready to be called: a fresh instance for every call, or,
//! for the built-in, one of a few that are kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use wasmtime::Store;
use wasmtime::component::{Component, Linker, Resource};

use super::bindings::{Instance, InstanceMaker, OutputHandle, RequestHandle, exchange, host};
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
    #[error("it does not export `{export}` as the contract has it: {0}", export = bindings::EXPORT)]
    Export(String),
    #[error("its imports do not fit what the gateway provides: {0}")]
    Mismatch(String),
}

pub struct Program {
    engine: Arc<PolicyEngine>,
    maker: InstanceMaker<Sandbox>,
    owner: Owner,
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
        let imports_wasi = check_imports(engine, component)?;
        let mismatch = |error: wasmtime::Error| LinkFault::Mismatch(chain(&error));
        let mut linker = Linker::new(engine.wasmtime());
        exchange::add_to_linker::<Sandbox, Whole>(&mut linker, |sandbox| sandbox)
            .and_then(|()| host::add_to_linker::<Sandbox, Whole>(&mut linker, |sandbox| sandbox))
            .map_err(mismatch)?;
        if imports_wasi {
            wasi::add_to_linker(&mut linker).map_err(mismatch)?;
        }
        let pre = linker.instantiate_pre(component).map_err(mismatch)?;
        let maker = InstanceMaker::new(pre).map_err(|error| LinkFault::Export(chain(&error)))?;
        let slots = match instances {
            Instances::Fresh => 0,
            Instances::Reused => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let kept = std::iter::repeat_with(|| Mutex::new(None)).take(slots).collect();
        Ok(Self { engine: Arc::clone(engine), maker, owner, imports_wasi, kept })
    }

    /// The same code for another owner, with instances of its own.
    pub fn afresh(&self, owner: Owner) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            maker: self.maker.clone(),
            owner,
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
        let mut store = self.store();
        self.begin(&mut store, question, material);
        let instance =
            self.maker.instantiate(&mut store).map_err(|error| describe(&store, &error))?;
        call(&mut store, &instance, question, material)
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

/// Names an import that nobody provides before the linker would, and says
/// whether there is any of WASI.
fn check_imports(engine: &PolicyEngine, component: &Component) -> Result<bool, LinkFault> {
    let mut imports_wasi = false;
    for (name, _) in component.component_type().imports(engine.wasmtime()) {
        if wasi::PACKAGES.iter().any(|package| name.starts_with(package)) {
            imports_wasi = true;
        } else if !name.starts_with(bindings::PACKAGE) {
            return Err(LinkFault::Import(clean(name, REASON_BYTES_MAX)));
        }
    }
    Ok(imports_wasi)
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
        Some(wasmtime::Trap::Interrupt) => "time limit reached".to_owned(),
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
