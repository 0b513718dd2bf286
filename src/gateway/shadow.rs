//! Shadows: policies that are asked what was asked of the route's own, and have
//! no effect. They run on a thread of their own behind a bounded queue, as
//! copies with faults and notes of their own; their disagreements are counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::failover::gist::{Gist, Taken};
use crate::failover::{Decider, Opinion, Question};
use crate::policy::{Material, Panel, Policy};

/// Questions that wait for the shadow's thread; one more is dropped and counted.
const QUEUE_MAX: usize = 256;
/// Bytes of requests and answers that wait with them; more is dropped as well.
const BYTES_MAX: usize = 64 << 20;
/// Disagreements kept of each route; the oldest goes.
const KEPT: usize = 100;
/// How far the shadows' thread steps back when the processor is wanted.
const NICE: i32 = 10;

/// All shadows. Their thread starts with the first question.
#[derive(Debug, Default)]
pub struct Shadows {
    queue: OnceLock<SyncSender<Job>>,
    waiting_bytes: Arc<AtomicUsize>,
    /// By route: they outlive the configurations.
    routes: Mutex<BTreeMap<String, Arc<ShadowRecord>>>,
}

/// What is known of a route's shadow.
#[derive(Debug)]
pub struct ShadowRecord {
    /// The policy's name.
    pub policy: String,
    dropped: AtomicU64,
    seen: Mutex<ShadowView>,
}

/// What a route's shadow did, as it is shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShadowView {
    pub policy: String,
    /// Of the version that was asked last.
    pub digest: Option<String>,
    pub by_verb: BTreeMap<&'static str, Compared>,
    /// Questions that found the queue full.
    pub dropped: u64,
    /// Questions it was not asked: it is in quarantine, or not loaded.
    pub not_asked: u64,
    pub last_fault: Option<String>,
    /// The newest last.
    pub disagreements: VecDeque<Disagreement>,
}

/// Of one verb. A fault is neither agreement nor disagreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Compared {
    pub asked: u64,
    pub agreed: u64,
    pub disagreed: u64,
    pub faults: u64,
}

/// A decision that the shadow would have made otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Disagreement {
    pub trace: String,
    pub at_unix_ms: u64,
    pub verb: &'static str,
    pub done: String,
    pub done_by: &'static str,
    pub shadow: String,
    pub shadow_by: &'static str,
}

/// One question, on its way to the shadow.
struct Job {
    record: Arc<ShadowRecord>,
    policy: Arc<Policy>,
    builtin: Arc<Policy>,
    question: Question,
    material: Material,
    done: Taken,
    cooldown_max: Duration,
    _bytes: Held,
}

/// Bytes that wait; given back when the job is done.
struct Held {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The shadow of a call's route, as the call began with it.
pub struct ShadowOfCall {
    pub shared: Arc<super::Shared>,
    pub record: Arc<ShadowRecord>,
    /// `None`: no policy of that name is loaded.
    pub policy: Option<Arc<Policy>>,
    pub cooldown_max: Duration,
    /// Bytes of the client's request, which a waiting question keeps.
    pub body_bytes: usize,
}

/// What a witness saw decided.
pub struct Seen<'a> {
    pub question: Question,
    pub material: Material,
    pub decider: Decider,
    pub opinion: &'a Opinion,
}

impl ShadowOfCall {
    /// Puts the question to the shadow, some time. What the built-in alone was
    /// asked is no question to a policy.
    pub fn show(&self, seen: Seen<'_>) {
        let Seen { question, material, decider, opinion } = seen;
        let own_policy = material.call.own_policy;
        if own_policy && question.decider != Decider::Policy {
            return;
        }
        let Some(policy) = &self.policy else {
            self.record.lock().not_asked += 1;
            return;
        };
        let output = material.output.as_ref().map_or(0, |output| output.text_length() as usize);
        let shadows = &self.shared.shadows;
        let Some(held) = shadows.hold(self.body_bytes + output) else {
            self.record.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let job = Job {
            record: Arc::clone(&self.record),
            policy: Arc::clone(policy),
            builtin: self.shared.library.builtin(),
            question,
            material,
            done: Taken { decider, gist: Gist::of(opinion) },
            cooldown_max: self.cooldown_max,
            _bytes: held,
        };
        if shadows.queue.get_or_init(start).try_send(job).is_err() {
            self.record.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Shadows {
    /// The record of a route's shadow; a new one if the shadow is another.
    pub fn record(&self, route: &str, policy: &str) -> Arc<ShadowRecord> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        match routes.get(route) {
            Some(record) if record.policy == policy => Arc::clone(record),
            Some(_) | None => {
                let record = Arc::new(ShadowRecord::new(policy));
                routes.insert(route.to_owned(), Arc::clone(&record));
                record
            }
        }
    }

    /// Forgets the routes that have no shadow any more.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).retain(|route, _| wanted(route));
    }

    fn hold(&self, bytes: usize) -> Option<Held> {
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { waiting: Arc::clone(&self.waiting_bytes), bytes };
        (before + bytes <= BYTES_MAX).then_some(held)
    }
}

impl ShadowRecord {
    fn new(policy: &str) -> Self {
        let seen = ShadowView { policy: policy.to_owned(), ..ShadowView::default() };
        Self { policy: policy.to_owned(), dropped: AtomicU64::new(0), seen: Mutex::new(seen) }
    }

    #[must_use]
    pub fn view(&self) -> ShadowView {
        let dropped = self.dropped.load(Ordering::Relaxed);
        ShadowView { dropped, ..self.lock().clone() }
    }

    fn lock(&self) -> MutexGuard<'_, ShadowView> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compared(&self, job: &Job, would: Taken, fault: Option<&str>) {
        let verb = job.question.verb.label();
        let mut seen = self.lock();
        seen.digest = Some(job.policy.digest().to_string());
        let count = seen.by_verb.entry(verb).or_default();
        count.asked += 1;
        if let Some(reason) = fault {
            count.faults += 1;
            seen.last_fault = Some(reason.to_owned());
            return;
        }
        if job.done.agrees(&would) {
            count.agreed += 1;
            return;
        }
        count.disagreed += 1;
        if seen.disagreements.len() >= KEPT {
            seen.disagreements.pop_front();
        }
        seen.disagreements.push_back(job.disagreement(would));
    }
}

impl Job {
    fn disagreement(&self, would: Taken) -> Disagreement {
        let name = |candidate: crate::failover::CandidateId| {
            let view = self.question.candidates.get(candidate.index());
            view.map_or("unknown", |view| view.facts.target.as_str())
        };
        Disagreement {
            trace: self.material.call.id.clone(),
            at_unix_ms: whole_ms(self.question.now_unix_ms),
            verb: self.question.verb.label(),
            done: self.done.gist.describe(name),
            done_by: self.done.decider.label(),
            shadow: would.gist.describe(name),
            shadow_by: would.decider.label(),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a date in milliseconds is positive and far below 2^53"
)]
const fn whole_ms(unix_ms: f64) -> u64 {
    unix_ms as u64
}

fn start() -> SyncSender<Job> {
    let (queue, waiting) = sync_channel(QUEUE_MAX);
    std::thread::Builder::new()
        .name("policy-shadow".to_owned())
        .spawn(move || serve(&waiting))
        .expect("a process that cannot start a thread cannot serve");
    queue
}

/// The copies of policies that shadows are asked through, by name.
#[derive(Default)]
struct Copies(BTreeMap<String, Arc<Policy>>);

impl Copies {
    /// The copy of this version; a new version takes over what the one before
    /// remembered.
    fn of(&mut self, policy: &Policy) -> Arc<Policy> {
        let before = self.0.get(policy.name());
        if let Some(copy) = before.filter(|copy| copy.digest() == policy.digest()) {
            return Arc::clone(copy);
        }
        let copy = Arc::new(policy.apart(before.map(|copy| &**copy)));
        self.0.insert(policy.name().to_owned(), Arc::clone(&copy));
        copy
    }
}

fn serve(waiting: &Receiver<Job>) {
    // On Linux this concerns the calling thread only. Where it may not be done,
    // the shadow is as pressing as the rest.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut copies = Copies::default();
    let mut builtin: Option<Arc<Policy>> = None;
    while let Ok(job) = waiting.recv() {
        let copy = copies.of(&job.policy);
        let builtin = builtin.get_or_insert_with(|| Arc::new(job.builtin.apart(None)));
        ask(&job, copy, Arc::clone(builtin));
    }
}

fn ask(job: &Job, copy: Arc<Policy>, builtin: Arc<Policy>) {
    if copy.answering().is_none() {
        job.record.lock().not_asked += 1;
        return;
    }
    let panel = Panel { own: Some(copy), builtin };
    let decided = panel.decide(&job.question, &job.material, job.cooldown_max);
    let fault = decided.faults.iter().find(|(decider, _)| *decider == Decider::Policy);
    let would = Taken { decider: decided.decider, gist: Gist::of(&decided.opinion) };
    job.record.compared(job, would, fault.map(|(_, reason)| reason.as_str()));
}
