//! The lines of a journal, version 1. A file is one [`Head`] and then a
//! [`Line`] for every call. Types of their own: what the heart renames must not
//! change what old journals mean. Readers skip fields they do not know.

use serde::{Deserialize, Serialize};

use crate::failover;
use crate::failover::call::{Bar as HeartBar, Circuit as HeartCircuit};
use crate::policy;

/// What the first line of a file is told by.
pub const FORMAT: &str = "backstay-journal";
pub const VERSION: u32 = 1;

/// The first line of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    pub format: String,
    pub version: u32,
    /// The gateway's version.
    pub gateway: String,
    /// The contract that its policies are written against.
    pub contract: String,
    pub created_unix_ms: u64,
}

/// One call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The trace id.
    pub id: String,
    pub at_unix_ms: u64,
    pub call: Call,
    pub route: Route,
    pub policy: Policy,
    pub decisions: Vec<Decision>,
    /// Decisions beyond those.
    #[serde(default, skip_serializing_if = "is_default")]
    pub left_out: u32,
    pub end: End,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Call {
    pub model: String,
    pub operation: Operation,
    /// Names as in configurations.
    pub needs: Vec<String>,
    pub input_tokens: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_output_tokens: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: Vec<(String, String)>,
    pub seed: u64,
    /// Whether a policy of the route's own was asked before the built-in.
    pub own_policy: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Route {
    pub name: String,
    /// The policy's settings: a JSON document, as text.
    pub settings: String,
    pub cooldown_max_ms: u64,
    pub candidates: Vec<Facts>,
}

/// What the configuration says of a target.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Facts {
    pub provider: String,
    pub model: String,
    pub priority: u32,
    pub weight: u32,
    pub offers: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub context_window: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub input_price: Option<f64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub output_price: Option<f64>,
}

/// The policy that was asked first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    pub digest: String,
}

/// One question, and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decision {
    #[serde(flatten)]
    pub verb: Verb,
    /// Who was asked first.
    pub asked: Decider,
    pub time_left_ns: u64,
    pub attempts_left: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub delivered: u32,
    pub now_unix_ms: f64,
    pub seed: u32,
    /// By candidate.
    pub candidates: Vec<Candidate>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Option<Output>,
    pub decider: Decider,
    pub answer: Answer,
    #[serde(default, skip_serializing_if = "is_default")]
    pub faults: Vec<Fault>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    SelectProvider,
    ClassifyError { attempt: u32 },
    ValidateOutput { attempt: u32, candidate: u32, complete: bool },
}

/// What was measured of a target. What is left out is zero, closed, or not so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    #[serde(default, skip_serializing_if = "is_default")]
    pub circuit: Circuit,
    #[serde(default, skip_serializing_if = "is_default")]
    pub cooldown_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub samples: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub error_rate: f32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub consecutive_failures: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub in_flight: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_token_p50_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_token_p95_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub total_p50_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub total_p95_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub load: f64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub requests_left: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tokens_left: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tried: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub barred: Option<Bar>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub candidate: u32,
    pub elapsed_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_token_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure: Option<Failure>,
}

/// A failure without the provider's message, which may quote a prompt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub phase: Phase,
    pub class: Class,
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Option<u16>,
    /// The provider's code, if it looks like one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_after_ms: Option<u64>,
}

/// What can be told of an answer without its text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Output {
    pub complete: bool,
    /// In bytes.
    pub text_length: u32,
    pub finish: Finish,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tool_calls: u32,
}

/// What was decided. Texts are told by their length in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Launch(Vec<Launch>),
    WaitMs(u64),
    Defer,
    AnswerBytes(usize),
    Refuse {
        status: u16,
        #[serde(default, skip_serializing_if = "is_default")]
        retry_after_ms: Option<u64>,
    },
    Rule {
        class: Class,
        counts: bool,
        cooldown_ms: u64,
        next: Next,
    },
    Accept,
    AmendBytes(usize),
    Reject {
        counts: bool,
        reason_bytes: usize,
    },
    Nothing,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Launch {
    pub candidate: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub after_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_token_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub total_timeout_ms: Option<u64>,
    /// How many changes to the request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub edits: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    RetryMs(u64),
    Reselect,
    Surface,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    pub decider: Decider,
    /// In the host's words.
    pub reason: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    pub outcome: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    pub cause: Option<String>,
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub target: Option<String>,
    pub duration_ms: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An enum of the format that stands for one of the heart's. A new variant there
/// does not compile until it is written here.
macro_rules! stands_for {
    ($name:ident, $of:path, [$($(#[$attribute:meta])* $variant:ident),+ $(,)?]) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$attribute])* $variant),+
        }

        impl From<$of> for $name {
            fn from(it: $of) -> Self {
                use $of as Of;
                match it {
                    $(Of::$variant => Self::$variant),+
                }
            }
        }

        impl From<$name> for $of {
            fn from(it: $name) -> Self {
                match it {
                    $($name::$variant => Self::$variant),+
                }
            }
        }
    };
}

stands_for!(Operation, failover::Operation, [Chat, Responses, Embeddings, Other]);
stands_for!(Decider, failover::Decider, [Policy, BuiltIn, Fallback]);
stands_for!(Phase, failover::Phase, [Connect, Headers, FirstToken, Body]);
stands_for!(Circuit, HeartCircuit, [Closed, HalfOpen, Open]);
stands_for!(
    Bar,
    HeartBar,
    [CircuitOpen, CoolingDown, CredentialOut, Full, TriedOut, Hopeless, OverBudget]
);
stands_for!(
    Finish,
    policy::Finish,
    [Stop, Length, ToolCalls, ContentFilter, Refusal, Other, Unfinished]
);
stands_for!(
    Class,
    failover::FailureClass,
    [
        Network,
        Timeout,
        RateLimited,
        Overloaded,
        ServerError,
        Quota,
        Authentication,
        Permission,
        NotFound,
        BadRequest,
        Unsupported,
        ContextLength,
        ContentFilter,
        InvalidOutput,
        StreamBroken,
        Cancelled,
        Unknown,
    ]
);

#[expect(clippy::derivable_impls, reason = "the macro writes the enum for all of them")]
impl Default for Circuit {
    fn default() -> Self {
        Self::Closed
    }
}
