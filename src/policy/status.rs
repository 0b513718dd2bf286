//! A policy as the operator sees it.

use std::path::PathBuf;
use std::time::Duration;

use super::faults::{LastFault, Standing};
use super::handle::{Digest, Origin, Policy};
use super::library::Snapshot;
use super::shelf::FileRecord;
use crate::failover::time::Timestamp;

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
    /// The first version of it is being compiled.
    Compiling,
    /// No version of it may decide.
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
            Self::Compiling => "compiling",
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
    /// The content may be good, but is not the pinned one.
    pub by_pin: bool,
    /// The reason may pass by itself: the file is tried again.
    pub retry: Option<Retry>,
}

/// When a file is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    pub at: Timestamp,
    /// How long that was from the refusal.
    pub pause: Duration,
}

/// Content that is on its way to become a policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compiling {
    pub digest: Digest,
    pub since: Timestamp,
}

/// One policy as the operator sees it.
#[derive(Clone, Debug)]
pub struct PolicyStatus {
    pub name: String,
    pub file: Option<PathBuf>,
    /// Of the version that is current, if there is one.
    pub digest: Option<Digest>,
    /// Of the version a rollback goes back to, if there is one.
    pub previous: Option<Digest>,
    /// The version the operator left. Its file is not loaded again until its
    /// content changes.
    pub rolled_back_from: Option<Digest>,
    /// The only content that may decide under this name.
    pub pin: Option<Digest>,
    /// The version of the contract that the current version is built for.
    pub contract: Option<String>,
    pub state: PolicyState,
    pub faults: u64,
    pub last_fault: Option<LastFault>,
    /// Questions the current version could not be asked, for want of a thread.
    pub not_asked: u64,
    /// Set while the file's latest content is not what is current.
    pub last_refusal: Option<FileRefusal>,
    /// The file's latest content, while it is compiled and tried.
    pub compiling: Option<Compiling>,
    pub compile_time: Option<Duration>,
    pub quick: bool,
    pub loaded_at: Option<Timestamp>,
    /// The file is gone; its last good version still serves.
    pub deleted: bool,
}

pub(super) fn status(
    name: &str,
    current: &Snapshot,
    file: Option<&FileRecord>,
    pin: Option<&Digest>,
) -> PolicyStatus {
    let policy = current.policy(name);
    let policy = policy.as_deref();
    let compiling = file.and_then(|record| record.compiling);
    let without = if compiling.is_some() { PolicyState::Compiling } else { PolicyState::Refused };
    let (faults, last_fault) = policy.map(Policy::fault_record).unwrap_or_default();
    PolicyStatus {
        name: name.to_owned(),
        file: file.map(|record| record.path.clone()),
        digest: policy.map(Policy::digest),
        previous: policy.and_then(Policy::before).map(|policy| policy.digest()),
        rolled_back_from: file.and_then(|record| record.rolled_back_from),
        pin: pin.copied(),
        contract: policy.map(|policy| policy.facts().interfaces.contract.to_string()),
        state: policy.map_or(without, state),
        faults,
        last_fault,
        not_asked: policy.map(Policy::not_asked).unwrap_or_default(),
        last_refusal: file.and_then(|record| record.refusal.clone()),
        compiling,
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
