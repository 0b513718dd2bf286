//! The question to the policy, the answer from it, and its admission.

use std::time::Duration;

use super::attempt::AttemptView;
use super::call::{AttemptId, CandidateId, CandidateView};
use super::classify::FailureClass;

/// What a decider is asked. Everything the decision may depend on is in here,
/// except the bodies, which the driver holds.
#[derive(Clone, Debug)]
pub struct Question {
    /// Counts the questions of one exchange; an answer names its question.
    pub number: u32,
    pub verb: Verb,
    pub decider: Decider,
    /// Left of the whole call's time and attempts.
    pub time_left: Duration,
    pub attempts_left: u32,
    /// Bytes of answer text the client already has.
    pub delivered: u32,
    /// Unix time in milliseconds.
    pub now_unix_ms: f64,
    pub seed: u32,
    pub candidates: Vec<CandidateView>,
    /// Finished attempts, oldest first. For `ClassifyError` the failed one is last.
    pub attempts: Vec<AttemptView>,
}

/// Which of the three decisions is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    SelectProvider,
    ClassifyError {
        attempt: AttemptId,
    },
    /// `complete` is false for the held beginning of a stream.
    ValidateOutput {
        attempt: AttemptId,
        candidate: CandidateId,
        complete: bool,
    },
}

impl Verb {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SelectProvider => "select-provider",
            Self::ClassifyError { .. } => "classify-error",
            Self::ValidateOutput { .. } => "validate-output",
        }
    }
}

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decider {
    /// The route's own policy.
    Policy,
    /// The built-in policy.
    BuiltIn,
    /// The heart itself, when neither had a usable answer.
    Fallback,
}

impl Decider {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::BuiltIn => "built-in",
            Self::Fallback => "fallback",
        }
    }
}

/// A decider's answer to one question.
#[derive(Clone, PartialEq, Debug)]
pub enum Opinion {
    /// No opinion: the next decider is asked.
    None,
    Select(Selection),
    Classify(Ruling),
    Validate(Verdict),
    /// It trapped, overran or answered nonsense: the next decider is asked.
    Fault {
        reason: String,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The question's number.
    pub number: u32,
    pub opinion: Opinion,
}

/// Where the call goes.
#[derive(Clone, PartialEq, Debug)]
pub enum Selection {
    Launch(Vec<Launch>),
    Wait(Duration),
    Defer,
    Answer(String),
    Refuse(PolicyRefusal),
}

/// One attempt to start.
#[derive(Clone, PartialEq, Debug)]
pub struct Launch {
    pub candidate: CandidateId,
    /// After the first launch of the plan.
    pub after: Duration,
    pub first_token_timeout: Option<Duration>,
    pub total_timeout: Option<Duration>,
    pub edits: Vec<Edit>,
}

impl Launch {
    /// A launch now, with the route's limits.
    #[must_use]
    pub const fn plain(candidate: CandidateId) -> Self {
        Self {
            candidate,
            after: Duration::ZERO,
            first_token_timeout: None,
            total_timeout: None,
            edits: Vec::new(),
        }
    }
}

/// A change to the request: the JSON at a pointer, or its removal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// RFC 6901.
    pub pointer: String,
    /// JSON text.
    pub value: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyRefusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub retry_after: Option<Duration>,
}

/// What a failure means and what follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruling {
    pub class: FailureClass,
    pub counts: bool,
    pub cooldown: Duration,
    pub next: NextStep,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextStep {
    /// The same target again, after a pause.
    Retry(Duration),
    Reselect,
    /// Hand this failure to the client as it is.
    Surface,
}

/// Whether an answer may be delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accept,
    Amend(String),
    Reject { reason: String, counts: bool },
}
