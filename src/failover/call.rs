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

    /// What a context window must hold: the input, and the output it may have.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.input_tokens.saturating_add(self.max_output_tokens.unwrap_or(0))
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

/// How another target is asked to continue a broken answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Continuation {
    /// The answer so far is the last turn; the target continues it.
    Prefill,
    /// A further user turn asks for the rest.
    Ask,
}

impl TargetFacts {
    /// How the target is asked to continue a broken answer. A model that thinks
    /// first cannot begin in the middle of its answer.
    #[must_use]
    pub const fn continuation(&self, call: &Call) -> Continuation {
        let thinks = call.needs.contains(Features::REASONING);
        if self.offers.contains(Features::PREFILL) && !thinks {
            Continuation::Prefill
        } else {
            Continuation::Ask
        }
    }

    /// Whether an answer from here can stand for one of the route's first
    /// target. Vectors of different models do not compare: an embedding has no
    /// stand-in but the same model elsewhere, whatever its provider puts before
    /// the name.
    #[must_use]
    pub fn stands_in_for(&self, first: &Self, operation: Operation) -> bool {
        let name =
            |facts: &Self| facts.model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        match operation {
            Operation::Chat | Operation::Responses | Operation::Other => true,
            Operation::Embeddings => name(self) == name(first),
        }
    }

    /// Whether the target offers what the call needs and has room for its input
    /// and output. A continuation does without prefill, and an answer without
    /// reasoning is better than none.
    #[must_use]
    pub fn can_serve(&self, call: &Call) -> bool {
        let needs = call.needs.without(Features::PREFILL).without(Features::REASONING);
        self.offers.contains(needs)
            && self.context_window.is_none_or(|window| call.tokens() <= window)
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
    /// This call failed there in a way that trying again cannot mend, or an
    /// answer from there could not stand for one of the first target.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(model: &str, offers: Features) -> TargetFacts {
        TargetFacts {
            target: format!("p/{model}"),
            provider: "p".to_owned(),
            model: model.to_owned(),
            priority: 0,
            weight: 1,
            offers,
            context_window: None,
            input_price: None,
            output_price: None,
        }
    }

    fn call(needs: Features) -> Call {
        Call {
            id: String::new(),
            model: "r".to_owned(),
            operation: Operation::Chat,
            needs,
            input_tokens: 1,
            max_output_tokens: None,
            tenant: None,
            labels: Vec::new(),
            origin_unix: Duration::ZERO,
            seed: 0,
            own_policy: false,
        }
    }

    #[test]
    fn only_a_model_that_does_not_think_begins_in_the_middle() {
        let check = |offers, needs, expected| {
            assert_eq!(facts("m", offers).continuation(&call(needs)), expected);
        };
        let (prefill, thinks) = (Features::PREFILL, Features::REASONING);
        check(prefill, Features::NONE, Continuation::Prefill);
        check(prefill, Features::STREAMING | Features::TOOLS, Continuation::Prefill);
        check(prefill | thinks, thinks, Continuation::Ask);
        check(Features::ALL.without(prefill), Features::NONE, Continuation::Ask);
        check(Features::NONE, thinks, Continuation::Ask);
    }

    #[test]
    fn vectors_compare_with_those_of_the_same_model() {
        let check = |first: &str, other: &str, operation, expected| {
            let (first, other) = (facts(first, Features::ALL), facts(other, Features::ALL));
            assert_eq!(other.stands_in_for(&first, operation), expected, "{}", other.model);
        };
        let embeds = Operation::Embeddings;
        check("text-embedding-3-small", "text-embedding-3-small", embeds, true);
        check("text-embedding-3-small", "openai/Text-Embedding-3-Small", embeds, true);
        check("models/gemini-embedding-001", "gemini-embedding-001", embeds, true);
        check("text-embedding-3-small", "text-embedding-3-large", embeds, false);
        check("text-embedding-3-small", "gemini-embedding-001", embeds, false);
        for operation in [Operation::Chat, Operation::Responses, Operation::Other] {
            check("gpt-5.5", "claude-opus-5-5", operation, true);
        }
    }
}
