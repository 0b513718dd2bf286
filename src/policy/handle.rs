//! One version of one policy, as the rest of the gateway knows it: ask it, and
//! see how it does.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sha2::{Digest as _, Sha256};

use super::faults::{Change, Faults, LastFault, Standing};
use super::pool::SlowPool;
use super::program::{Interfaces, Measured, Program};
use super::sandbox::Owner;
use super::{Clock, Material};
use crate::failover::consult::{Opinion, Question};
use crate::failover::time::Timestamp;

/// The SHA-256 of a policy's file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first eight digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(8);
        digits
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where a policy came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    BuiltIn,
    File(PathBuf),
}

/// An answer of a quick policy that takes longer lags, and so many in a row are
/// no accident.
const LAGGING: Duration = Duration::from_millis(1);
const LAGGARD: u32 = 3;

/// What is known of a policy once it is loaded.
#[derive(Clone, Debug)]
pub struct Facts {
    pub name: Arc<str>,
    pub origin: Origin,
    pub digest: Digest,
    pub interfaces: Interfaces,
    pub compile_time: Duration,
    pub loaded_at: Timestamp,
    /// Whether it answers so fast that it may do so on the asking thread.
    pub quick: bool,
}

/// One version of one policy. A call keeps the one it began with.
pub struct Policy {
    facts: Facts,
    short_digest: String,
    program: Program,
    clock: Clock,
    pool: Arc<SlowPool>,
    faults: Mutex<Faults>,
    /// Whether the record of faults has to be looked at: from a fault until the
    /// policy has proved itself again.
    watched: AtomicBool,
    /// Whether it may be asked on a thread that serves others; see `pace`.
    quick: AtomicBool,
    /// Answers in a row that were not quick at all.
    laggard: AtomicU32,
    /// Questions it could not be asked, for want of a thread.
    not_asked: AtomicU64,
    /// The version before, always kept: it answers while this one is in
    /// quarantine, and takes over when the operator goes back. Only the current
    /// version has one, so that two are kept at most.
    previous: ArcSwapOption<Policy>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Policy {
    pub(super) fn new(facts: Facts, program: Program, clock: Clock, pool: Arc<SlowPool>) -> Self {
        let quick = facts.quick;
        Self {
            short_digest: facts.digest.short(),
            facts,
            program,
            clock,
            pool,
            faults: Mutex::default(),
            watched: AtomicBool::new(false),
            quick: AtomicBool::new(quick),
            laggard: AtomicU32::new(0),
            not_asked: AtomicU64::new(0),
            previous: ArcSwapOption::empty(),
        }
    }

    /// The same code with an empty memory, a clean record and a clock of its
    /// own: for a run that must know nothing of any other.
    #[must_use]
    pub fn afresh(&self, clock: Clock) -> Self {
        let name = Arc::clone(&self.facts.name);
        let (notes, log) = (Arc::default(), Arc::default());
        let owner = Owner { name, notes, log, clock: Arc::clone(&clock) };
        let facts = Facts { loaded_at: clock(), ..self.facts.clone() };
        Self::new(facts, self.program.afresh(owner), clock, Arc::clone(&self.pool))
    }

    /// Takes over from `previous`, which becomes the version before. Of one in
    /// quarantine, the version before that is the better one to go back to.
    pub(super) fn succeed(&self, previous: &Arc<Self>) {
        let before = previous.previous.swap(None);
        let kept = match (previous.standing(), &previous.facts.origin) {
            (_, Origin::BuiltIn) => None,
            (Standing::Active, Origin::File(_)) => Some(Arc::clone(previous)),
            (Standing::Quarantined { .. } | Standing::OnProbation, Origin::File(_)) => {
                before.or_else(|| Some(Arc::clone(previous)))
            }
        };
        self.previous.store(kept);
    }

    /// Takes over again from the version that came after it.
    pub(super) fn step_in_for(&self, after: &Arc<Self>) {
        after.previous.store(None);
        let after = (!after.is_built_in()).then(|| Arc::clone(after));
        self.previous.store(after);
    }

    pub(super) fn forget_before(&self) {
        self.previous.store(None);
    }

    /// The version that it took over from.
    #[must_use]
    pub fn before(&self) -> Option<Arc<Self>> {
        self.previous.load_full()
    }

    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.facts.origin == Origin::BuiltIn
    }

    /// Asks a fresh instance, counts nothing, and says what the call used.
    pub(super) fn measure(&self, question: &Question, material: &Material) -> Measured {
        self.program.measure(question, material)
    }

    /// The same version for another purpose: with a record of faults of its
    /// own, and notes of its own or those of `before`. What it does there has no
    /// effect here.
    #[must_use]
    pub fn apart(&self, before: Option<&Self>) -> Self {
        let notes = before.map(|before| Arc::clone(before.program.notes())).unwrap_or_default();
        let program = self.program.apart(notes);
        Self::new(self.facts.clone(), program, Arc::clone(&self.clock), Arc::clone(&self.pool))
    }

    /// Whether it ever used what the host remembers for it.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.program.notes().used()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        self.facts.digest
    }

    /// The digest's first eight digits.
    #[must_use]
    pub fn short_digest(&self) -> &str {
        &self.short_digest
    }

    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether it may be asked on a thread that serves others too: it, and
    /// whoever answers for it in quarantine.
    #[must_use]
    pub fn quick(&self) -> bool {
        let stands = !self.watched.load(Ordering::Relaxed);
        let before = || self.previous.load().as_ref().is_none_or(|before| before.quick());
        self.quick.load(Ordering::Relaxed) && (stands || before())
    }

    /// Counts a question it could not be asked, and tells the operator once.
    pub(super) fn count_not_asked(&self, reason: &str) {
        if self.not_asked.fetch_add(1, Ordering::Relaxed) == 0 {
            let (policy, digest) = (self.name(), self.short_digest());
            tracing::warn!(
                policy,
                digest,
                reason,
                "policy too slow for its calls: the built-in decides some of them; \
                 /status counts them as not_asked"
            );
        }
    }

    #[must_use]
    pub fn not_asked(&self) -> u64 {
        self.not_asked.load(Ordering::Relaxed)
    }

    /// Whether it is still to be seen that it is quick: of the built-in, which
    /// every call asks, that is known.
    fn is_paced(&self) -> bool {
        !self.is_built_in() && self.quick.load(Ordering::Relaxed)
    }

    /// What made it quick were made-up questions. One that is not with real ones
    /// delays whoever shares its thread, and gets one of the pool.
    fn pace(&self, took: Duration) {
        if took < LAGGING {
            self.laggard.store(0, Ordering::Relaxed);
        } else if self.laggard.fetch_add(1, Ordering::Relaxed) + 1 == LAGGARD
            && self.quick.swap(false, Ordering::Relaxed)
        {
            let (policy, digest) = (self.name(), self.short_digest());
            let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            tracing::info!(policy, digest, took_us, "policy is asked on the pool for slow ones");
        }
    }

    /// Who answers when this policy is asked now: itself, in quarantine the last
    /// good version, or nobody.
    #[must_use]
    pub fn answering(self: &Arc<Self>) -> Option<Arc<Self>> {
        if !self.watched.load(Ordering::Relaxed) {
            return Some(Arc::clone(self));
        }
        match self.standing() {
            Standing::Quarantined { until } if self.now() < until => {
                self.previous.load_full()?.answering()
            }
            Standing::Quarantined { .. } | Standing::Active | Standing::OnProbation => {
                Some(Arc::clone(self))
            }
        }
    }

    /// Asks on this thread. A fault is counted and is an answer like any other;
    /// in quarantine the last good version answers, or nobody (`None`).
    #[must_use]
    pub fn ask(&self, question: &Question, material: &Material) -> Opinion {
        if self.watched.load(Ordering::Relaxed) && !self.may_answer() {
            return match self.previous.load_full() {
                Some(previous) => previous.ask(question, material),
                None => Opinion::None,
            };
        }
        let opinion = if self.is_paced() {
            let asked_at = (self.clock)();
            let opinion = self.program.ask(question, material);
            self.pace((self.clock)().since(asked_at));
            opinion
        } else {
            self.program.ask(question, material)
        };
        match &opinion {
            Opinion::Fault { reason } => self.count_fault(reason),
            // Those come from the pool alone.
            Opinion::Unasked { .. } => {}
            Opinion::None | Opinion::Select(_) | Opinion::Classify(_) | Opinion::Validate(_) => {
                self.count_success();
            }
        }
        opinion
    }

    /// Asks on this thread if the policy is quick, else on a thread of the pool
    /// for slow ones, so that it delays nobody else.
    pub async fn ask_anywhere(
        self: &Arc<Self>,
        question: &Question,
        material: &Material,
    ) -> Opinion {
        if self.quick() {
            return self.ask(question, material);
        }
        self.pool.ask(Arc::clone(self), question.clone(), material.clone()).await
    }

    /// Counts a fault that was found in an answer, after it was given.
    pub fn count_fault(&self, reason: &str) {
        let change = self.faults().fault(reason, (self.clock)());
        match self.facts.origin {
            // There is nobody better to ask, so it is counted only.
            Origin::BuiltIn => self.log_fault(reason),
            Origin::File(_) => {
                self.watched.store(true, Ordering::Relaxed);
                self.log(change, reason);
            }
        }
    }

    #[must_use]
    pub fn standing(&self) -> Standing {
        self.faults().standing()
    }

    /// Faults so far, and the last one.
    #[must_use]
    pub fn fault_record(&self) -> (u64, Option<LastFault>) {
        let faults = self.faults();
        (faults.total(), faults.last().cloned())
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn may_answer(&self) -> bool {
        let (may, change) = self.faults().may_answer((self.clock)());
        self.log(change, "");
        may
    }

    fn count_success(&self) {
        if !self.watched.load(Ordering::Relaxed) {
            return;
        }
        let mut faults = self.faults();
        let change = faults.success();
        if faults.has_proved_itself() {
            self.watched.store(false, Ordering::Relaxed);
        }
        drop(faults);
        self.log(change, "");
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        // The record is changed in single steps: a panic leaves none half done.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, change: Option<Change>, reason: &str) {
        let (policy, digest) = (self.name(), self.short_digest());
        match change {
            Some(Change::Quarantined { pause }) => tracing::warn!(
                policy,
                digest,
                reason,
                pause_s = pause.as_secs(),
                last_good_version = self.previous.load().is_some(),
                "policy quarantined after repeated faults"
            ),
            Some(Change::Retried) => tracing::warn!(policy, digest, "policy on probation"),
            Some(Change::Restored) => tracing::warn!(policy, digest, "policy restored"),
            None if reason.is_empty() => {}
            None => self.log_fault(reason),
        }
    }

    fn log_fault(&self, reason: &str) {
        let (policy, digest) = (self.name(), self.short_digest());
        tracing::debug!(policy, digest, reason, "policy fault");
    }
}
