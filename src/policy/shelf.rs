//! Which version of each policy is current, and what is known of its file. All
//! changes of that are made here, one at a time, and none of them waits for a
//! compiler. It must not know where files come from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::handle::{Digest, Origin, Policy};
use super::library::{DEFAULT, Snapshot};
use super::notes::Notes;
use super::status::{Compiling, FileRefusal, PolicyStatus, Retry, status};
use crate::failover::time::Timestamp;

/// The first pause before a file is tried again that was refused for a reason
/// which may pass; it doubles up to the longest, and there it stays: a machine
/// may be short of memory for a day.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_mins(10);

/// The only content that may decide under a name.
pub type Pins = BTreeMap<String, Digest>;

/// What an operator's command changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rolled {
    pub name: String,
    pub from: Digest,
    pub to: Digest,
    /// What stepped in is the built-in: `default` had no other version before.
    pub to_built_in: bool,
}

/// Why there is no way back.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RollbackFault {
    #[error("no policy {name:?} is loaded; there are: {known}")]
    NoSuchPolicy { name: String, known: String },
    #[error("policy {name:?} has no version before {current}: there is nothing to go back to")]
    NothingBefore { name: String, current: Digest },
    #[error(
        "policy {name:?} is pinned to sha256:{pin}, and the version before is sha256:{before}: \
         change [policies.pin] first"
    )]
    Pinned { name: String, pin: Digest, before: Digest },
}

/// A file's content is not what its name is pinned to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the name is pinned to sha256:{pin}, and this is sha256:{found}: put the pinned file back, or \
     write {name:?} = \"sha256:{found}\" under [policies.pin]"
)]
pub struct PinFault {
    pub name: String,
    pub pin: Digest,
    pub found: Digest,
}

/// What is to be done about a file's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Intent {
    Load,
    Refuse(PinFault),
    /// It is current, was refused already, or was rolled back from.
    Leave,
}

/// What is known of a name's file.
#[derive(Clone, Debug)]
pub struct FileRecord {
    pub path: PathBuf,
    /// Of what was last read.
    pub content: Option<Digest>,
    pub refusal: Option<FileRefusal>,
    pub compiling: Option<Compiling>,
    pub deleted: bool,
    /// The operator left this version: it is not loaded again before another
    /// one was.
    pub rolled_back_from: Option<Digest>,
}

/// See the module.
#[derive(Debug)]
pub struct Shelf {
    builtin: Arc<Policy>,
    current: ArcSwap<Snapshot>,
    /// Whoever replaces a version holds it.
    state: Mutex<State>,
    notes: Mutex<BTreeMap<String, Arc<Notes>>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, FileRecord>,
    pins: Pins,
}

impl State {
    fn record(&mut self, name: &str, path: &Path) -> &mut FileRecord {
        let record = self.files.entry(name.to_owned()).or_insert_with(|| FileRecord {
            path: path.to_owned(),
            content: None,
            refusal: None,
            compiling: None,
            deleted: false,
            rolled_back_from: None,
        });
        path.clone_into(&mut record.path);
        record
    }

    fn check_pin(&self, name: &str, found: Digest) -> Result<(), PinFault> {
        match self.pins.get(name) {
            Some(pin) if *pin != found => Err(PinFault { name: name.to_owned(), pin: *pin, found }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Shelf {
    /// With nothing but the built-in.
    pub fn new(builtin: Arc<Policy>, pins: Pins) -> Self {
        let policies = BTreeMap::from([(DEFAULT.into(), Arc::clone(&builtin))]);
        Self {
            builtin,
            current: ArcSwap::from_pointee(Snapshot::first(policies)),
            state: Mutex::new(State { files: BTreeMap::new(), pins }),
            notes: Mutex::default(),
        }
    }

    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub fn builtin(&self) -> Arc<Policy> {
        Arc::clone(&self.builtin)
    }

    pub fn policy(&self, name: &str) -> Option<Arc<Policy>> {
        self.current.load().policy(name)
    }

    /// What a name remembers; all its versions share it.
    pub fn notes(&self, name: &str) -> Arc<Notes> {
        Arc::clone(lock(&self.notes).entry(name.to_owned()).or_default())
    }

    pub fn status(&self) -> Vec<PolicyStatus> {
        let state = self.state();
        let current = self.current();
        let known = current.names().chain(state.files.keys().map(String::as_str));
        let names: BTreeSet<_> = known.chain(state.pins.keys().map(String::as_str)).collect();
        let one = |name| status(name, &current, state.files.get(name), state.pins.get(name));
        names.into_iter().map(one).collect()
    }

    /// Notes what a file holds, and says what follows from it. What is to be
    /// loaded counts as being compiled until it is active or refused.
    pub fn weigh(&self, name: &str, path: &Path, content: Digest, now: Timestamp) -> Intent {
        let mut state = self.state();
        let allowed = state.check_pin(name, content);
        let is_pinned = state.pins.contains_key(name) && allowed.is_ok();
        let current = self.policy(name).filter(|policy| !policy.is_built_in());
        let record = state.record(name, path);
        record.content = Some(content);
        let refused = record.refusal.as_ref().filter(|refusal| refusal.digest == Some(content));
        let settled = |refusal: &FileRefusal| !refusal.by_pin && !is_due(refusal, now);
        let known_bad = refused.is_some_and(settled) && !record.deleted;
        record.deleted = false;
        if let Err(fault) = allowed {
            return Intent::Refuse(fault);
        }
        if known_bad {
            return Intent::Leave;
        }
        let is_current = current.is_some_and(|policy| policy.digest() == content);
        let is_left = record.rolled_back_from == Some(content) && !is_pinned;
        if is_current || is_left {
            record.refusal = None;
            return Intent::Leave;
        }
        record.compiling = Some(Compiling { digest: content, since: now });
        Intent::Load
    }

    /// The names whose file is to be tried again now.
    pub fn due(&self, now: Timestamp) -> Vec<String> {
        let state = self.state();
        let due = state.files.iter().filter(|(_, record)| {
            let refusal = record.refusal.as_ref();
            record.compiling.is_none() && refusal.is_some_and(|refusal| is_due(refusal, now))
        });
        due.map(|(name, _)| name.clone()).collect()
    }

    /// Makes a version current, with what its name remembers, unless a pin came
    /// in between.
    pub fn activate(&self, policy: Policy, path: &Path) -> Result<(), PinFault> {
        let policy = Arc::new(policy);
        let mut state = self.state();
        state.check_pin(policy.name(), policy.digest())?;
        if let Some(previous) = self.policy(policy.name()) {
            policy.succeed(&previous);
        }
        let record = state.record(policy.name(), path);
        record.refusal = None;
        record.compiling = None;
        record.rolled_back_from = None;
        self.replace(policy.name(), Some(&policy));
        let (name, digest, quick) = (policy.name(), policy.short_digest(), policy.quick());
        let compiled_in = policy.facts().compile_time;
        tracing::info!(policy = name, digest, quick, ?compiled_in, "policy active");
        Ok(())
    }

    /// Notes why a file did not become a policy, and when it is tried again if
    /// the reason may pass.
    pub fn refuse(&self, name: &str, path: &Path, mut refusal: FileRefusal, may_pass: bool) {
        let current = self.policy(name);
        let mut state = self.state();
        let record = state.record(name, path);
        if may_pass {
            let before = record.refusal.as_ref().filter(|before| before.digest == refusal.digest);
            let pause = before.and_then(|before| before.retry).map(|retry| retry.pause * 2);
            let pause = pause.unwrap_or(RETRY_MIN).min(RETRY_MAX);
            refusal.retry = Some(Retry { at: refusal.at + pause, pause });
        }
        tracing::warn!(
            policy = name,
            file = ?path,
            digest = refusal.digest.map(|digest| digest.short()),
            serving = current.as_ref().map_or("none", |policy| policy.short_digest()),
            again_in = ?refusal.retry.map(|retry| retry.pause),
            "policy refused: {}", refusal.reason
        );
        record.deleted = false;
        record.compiling = None;
        record.refusal = Some(refusal);
    }

    /// A file that is gone leaves its last good version in place.
    pub fn note_deleted(&self, is_present: impl Fn(&str) -> bool) {
        let mut state = self.state();
        for (name, record) in &mut state.files {
            if !record.deleted && !is_present(name) {
                record.deleted = true;
                let serves = self.policy(name).is_some_and(|policy| !policy.is_built_in());
                let then =
                    if serves { "its last good version stays" } else { "it had no good one" };
                tracing::warn!(policy = name, "policy file is gone; {then}");
            }
        }
        // What never was good is of no use without its file.
        state.files.retain(|name, record| !record.deleted || self.policy(name).is_some());
    }

    /// Gives up policies whose file is gone and whose name is not wanted any more.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        let mut state = self.state();
        let unwanted = |name: &str, record: &FileRecord| record.deleted && !wanted(name);
        let gone = state.files.iter().filter(|(name, record)| unwanted(name, record));
        let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            state.files.remove(&name);
            self.withdraw(&name);
            lock(&self.notes).remove(&name);
        }
    }

    /// Back to the version before, at once. From there the same way leads forward.
    pub fn rollback(&self, name: &str) -> Result<Rolled, RollbackFault> {
        let mut state = self.state();
        let Some(left) = self.policy(name) else {
            let known: Vec<_> = self.current().names().map(str::to_owned).collect();
            let name = name.to_owned();
            return Err(RollbackFault::NoSuchPolicy { name, known: known.join(", ") });
        };
        let Some(before) = self.before(&left) else {
            let (name, current) = (name.to_owned(), left.digest());
            return Err(RollbackFault::NothingBefore { name, current });
        };
        if let Err(PinFault { name, pin, found: before }) = state.check_pin(name, before.digest()) {
            return Err(RollbackFault::Pinned { name, pin, before });
        }
        self.step_back(&mut state, &left, &before);
        let (from, to) = (left.short_digest(), before.short_digest());
        tracing::warn!(policy = name, from, to, "policy rolled back by the operator");
        Ok(Rolled {
            name: name.to_owned(),
            from: left.digest(),
            to: before.digest(),
            to_built_in: before.is_built_in(),
        })
    }

    /// Other pins: what they do not allow ends now. Returns the names whose file
    /// has to be read again.
    pub fn repin(&self, pins: Pins) -> Vec<String> {
        let mut state = self.state();
        let names: BTreeSet<String> = state.pins.keys().chain(pins.keys()).cloned().collect();
        let changed = |name: &String| state.pins.get(name) != pins.get(name);
        let changed: Vec<String> = names.into_iter().filter(changed).collect();
        state.pins = pins;
        for name in &changed {
            self.enforce_pin(&mut state, name);
            if let Some(record) = state.files.get_mut(name) {
                // Whatever was said of the file is said anew when it is read; what
                // the operator writes now overrules what was commanded before.
                record.refusal = None;
                record.rolled_back_from = None;
            }
        }
        changed
    }

    fn enforce_pin(&self, state: &mut State, name: &str) {
        let Some(left) = self.policy(name).filter(|policy| !policy.is_built_in()) else { return };
        let Err(fault) = state.check_pin(name, left.digest()) else { return };
        match left.before() {
            Some(before) if before.digest() == fault.pin => {
                self.step_back(state, &left, &before);
                let to = before.short_digest();
                tracing::warn!(policy = name, to, "back to the version before: {fault}");
            }
            Some(_) | None => {
                self.withdraw(name);
                tracing::warn!(policy = name, "withdrawn, the built-in decides: {fault}");
            }
        }
    }

    /// Under `default` there is the built-in before everything.
    fn before(&self, left: &Arc<Policy>) -> Option<Arc<Policy>> {
        let is_default = left.name() == DEFAULT && !left.is_built_in();
        left.before().or_else(|| is_default.then(|| self.builtin()))
    }

    fn step_back(&self, state: &mut State, left: &Arc<Policy>, before: &Arc<Policy>) {
        before.step_in_for(left);
        let path = [left, before].into_iter().find_map(|policy| match &policy.facts().origin {
            Origin::File(path) => Some(path.clone()),
            Origin::BuiltIn => None,
        });
        if let Some(path) = path {
            let record = state.record(left.name(), &path);
            let as_the_file_says = record.content == Some(before.digest());
            record.rolled_back_from = (!as_the_file_says).then(|| left.digest());
        }
        self.replace(left.name(), Some(before));
    }

    fn withdraw(&self, name: &str) {
        if let Some(left) = self.policy(name) {
            left.forget_before();
        }
        self.replace(name, (name == DEFAULT).then_some(&self.builtin));
    }

    fn replace(&self, name: &str, policy: Option<&Arc<Policy>>) {
        self.current.rcu(|current| current.with(name, policy));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn is_due(refusal: &FileRefusal, now: Timestamp) -> bool {
    refusal.retry.is_some_and(|retry| retry.at <= now)
}

/// What these locks guard is changed in steps that each leave it whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
