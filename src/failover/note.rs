//! What the heart says of its own steps, for the decision trace and the log.

use std::time::Duration;

use super::attempt::Failure;
use super::breaker::Change;
use super::call::{AttemptId, Bar, CandidateId};
use super::classify::FailureClass;
use super::consult::Decider;

/// One step, with its reason.
#[derive(Clone, PartialEq, Debug)]
pub enum Note {
    /// A decider's answer was taken.
    Decided { verb: &'static str, decider: Decider, answer: String },
    /// A decider had no opinion.
    PassedOver { verb: &'static str, decider: Decider },
    /// A decider failed, or answered what cannot be done.
    Faulted { verb: &'static str, decider: Decider, reason: String, fault: FaultKind },
    /// A launch was not started.
    Barred { candidate: CandidateId, bar: Bar },
    /// An attempt was started.
    Started { attempt: AttemptId, candidate: CandidateId, why: StartReason, probe: bool },
    /// A time limit was lifted: there is nowhere else to go.
    Exempted { attempt: AttemptId },
    /// An attempt ended; `failure` is `None` if its answer was accepted.
    Ended { attempt: AttemptId, failure: Option<Failure> },
    /// The answer's first byte went to the client.
    Committed { attempt: AttemptId },
    /// A target's circuit changed.
    Circuit { candidate: CandidateId, change: Change },
    /// A credential was taken out.
    CredentialOut { candidate: CandidateId, class: FailureClass, length: Duration },
    /// The call waits, because of a policy or before a retry.
    Waiting { length: Duration },
}

/// Why an attempt was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartReason {
    Selected,
    Hedge,
    Retry,
    Continuation,
}

impl StartReason {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::Hedge => "hedge",
            Self::Retry => "retry",
            Self::Continuation => "continuation",
        }
    }
}

/// In what way a decider is no help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// It failed.
    Failed,
    /// It answered what cannot be done.
    Inadmissible,
    /// It could not be asked, which is no fault of its own.
    NotAsked,
}

impl FaultKind {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Failed => "fault",
            Self::Inadmissible => "inadmissible answer",
            Self::NotAsked => "not asked",
        }
    }
}
