//! What is known of a call and of the targets it could go to, as data.

use std::ops::BitOr;
use std::sync::Arc;
use std::time::Duration;

/// What a call may need and a target may offer; a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Features(u8);

impl Features {
    pub const NONE: Self = Self(0);
    pub const STREAMING: Self = Self(1);
    pub const TOOLS: Self = Self(1 << 1);
    pub const JSON_SCHEMA: Self = Self(1 << 2);
    pub const VISION: Self = Self(1 << 3);
    pub const REASONING: Self = Self(1 << 4);
    pub const PREFILL: Self = Self(1 << 5);
    pub const ALL: Self = Self(0b11_1111);

    /// Every feature with the name used in configurations.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("streaming", Self::STREAMING),
        ("tools", Self::TOOLS),
        ("json-schema", Self::JSON_SCHEMA),
        ("vision", Self::VISION),
        ("reasoning", Self::REASONING),
        ("prefill", Self::PREFILL),
    ];

    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn with(self, other: Self, yes: bool) -> Self {
        if yes { Self(self.0 | other.0) } else { self }
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bits in the order of `NAMES`, which is the order of the contract.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl BitOr for Features {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The kind of call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    Chat,
    Responses,
    Embeddings,
    Other,
}

/// One client call, as far as failover needs to know it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The trace id.
    pub id: String,
    /// The model name the client asked for.
    pub model: String,
    pub operation: Operation,
    pub needs: Features,
    /// An estimate; never exact across tokenizers.
    pub input_tokens: u32,
    pub max_output_tokens: Option<u32>,
    /// The client's name in the configuration.
    pub tenant: Option<String>,
    /// Request headers the operator chose to expose.
    pub labels: Vec<(String, String)>,
    /// Unix time of the run's origin, so that a `Timestamp` can be told as a date.
    pub origin_unix: Duration,
    /// All randomness of the exchange comes from here.
    pub seed: u64,
    /// Whether a policy of the route's own is asked before the built-in.
    pub own_policy: bool,
}

impl Call {
    #[must_use]
    pub const fn streams(&self) -> bool {
        self.needs.contains(Features::STREAMING)
    }
}

/// What the configuration says of a target: a provider and a model of it.
#[derive(Clone, PartialEq, Debug)]
pub struct TargetFacts {
    /// `provider/model`.
    pub target: String,
    pub provider: String,
    pub model: String,
    pub priority: u32,
    pub weight: u32,
    pub offers: Features,
    pub context_window: Option<u32>,
    /// US dollars per million tokens.
    pub input_price: Option<f64>,
    pub output_price: Option<f64>,
}

impl TargetFacts {
    /// Whether the target offers what the call needs and has room for its input.
    #[must_use]
    pub fn can_serve(&self, call: &Call) -> bool {
        self.offers.contains(call.needs.without(Features::PREFILL))
            && self.context_window.is_none_or(|window| call.input_tokens <= window)
    }
}

/// An index into the route's candidates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CandidateId(pub u32);

impl CandidateId {
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An index into the exchange's attempts, in the order they were started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AttemptId(pub u32);

impl AttemptId {
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A target as a question shows it: its facts, its health, and whether this
/// call could go there now.
#[derive(Clone, Debug)]
pub struct CandidateView {
    pub facts: Arc<TargetFacts>,
    pub health: HealthView,
    /// Attempts this call has made there.
    pub tried: u32,
    /// Set: a launch there would be refused right now.
    pub barred: Option<Bar>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Circuit {
    /// Calls flow.
    #[default]
    Closed,
    /// One probe may go.
    HalfOpen,
    /// No call goes.
    Open,
}

impl Circuit {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// Why an attempt at a target would not be started right now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bar {
    CircuitOpen,
    CoolingDown,
    CredentialOut,
    /// The limit of concurrent calls is reached.
    Full,
    /// This call has used up its attempts there.
    TriedOut,
    /// This call failed there in a way that trying again cannot mend.
    Hopeless,
    /// The retry budget would be overdrawn.
    OverBudget,
}

impl Bar {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit-open",
            Self::CoolingDown => "cooling-down",
            Self::CredentialOut => "credential-out",
            Self::Full => "full",
            Self::TriedOut => "tried-out",
            Self::Hopeless => "hopeless",
            Self::OverBudget => "over-budget",
        }
    }
}

/// What was measured of one target over its sliding window.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct HealthView {
    pub circuit: Circuit,
    /// Until the target may be tried again; zero is now.
    pub cooldown: Duration,
    pub samples: u32,
    /// 0 to 1.
    pub error_rate: f32,
    pub consecutive_failures: u32,
    pub in_flight: u32,
    pub first_token_p50: Duration,
    pub first_token_p95: Duration,
    pub total_p50: Duration,
    pub total_p95: Duration,
    /// Peak-EWMA of the first-token time in milliseconds × (in flight + 1).
    pub load: f64,
    pub requests_left: Option<u32>,
    pub tokens_left: Option<u32>,
}
