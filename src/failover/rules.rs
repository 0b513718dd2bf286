//! The numbers of failover, with the design's defaults. All configurable.

use std::time::Duration;

use super::call::Operation;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The rules for one call, per route.
#[derive(Clone, PartialEq, Debug)]
pub struct CallRules {
    /// One deadline for everything that is done for a call.
    pub deadline: Duration,
    /// Attempts per call, over all targets.
    pub attempts: u32,
    /// Attempts per call on one target.
    pub attempts_per_target: u32,
    /// Until the first content of a stream.
    pub first_token: Duration,
    /// Added to `first_token` for every 8,000 estimated input tokens.
    pub first_token_per_8k: Duration,
    /// Between two pieces of content of a stream.
    pub between_chunks: Duration,
    /// For the terminator, once the model said why it stopped.
    pub terminator: Duration,
    /// Limit of a whole answer while fewer than `whole_samples` are known, and
    /// its upper bound after.
    pub whole_max: Duration,
    /// Lower bound of the adaptive limit of a whole answer.
    pub whole_min: Duration,
    /// From this many samples on, the limit is `whole_factor` × the p95.
    pub whole_samples: u32,
    pub whole_factor: u32,
    /// Full jitter between zero and base × 2ⁿ, at most max.
    pub backoff_base: Duration,
    pub backoff_max: Duration,
    /// The longest Retry-After that is waited for; a longer one is a cooldown.
    pub retry_after_wait: Duration,
    /// The longest cooldown a Retry-After or a ruling can set.
    pub cooldown_max: Duration,
    /// What happens to a stream that breaks after the commit.
    pub rescue: Rescue,
    /// How much of a stream is kept back before the commit.
    pub hold: Hold,
}

impl Default for CallRules {
    fn default() -> Self {
        Self {
            deadline: secs(120),
            attempts: 4,
            attempts_per_target: 2,
            first_token: secs(10),
            first_token_per_8k: secs(1),
            between_chunks: secs(15),
            terminator: secs(2),
            whole_max: secs(60),
            whole_min: secs(10),
            whole_samples: 20,
            whole_factor: 3,
            backoff_base: Duration::from_millis(250),
            backoff_max: secs(8),
            retry_after_wait: secs(5),
            cooldown_max: secs(24 * 3600),
            rescue: Rescue::Continue,
            hold: Hold::First,
        }
    }
}

/// What happens to a stream that breaks after the commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rescue {
    /// Another target continues the text.
    Continue,
    /// The client gets an error event.
    Error,
}

/// How much of a stream is kept back before the commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// Until the first content.
    First,
    /// Until this many bytes of answer text.
    Bytes(u32),
    /// The whole answer.
    All,
}

/// The rules for one target, shared by every route that uses it.
#[derive(Clone, PartialEq, Debug)]
pub struct TargetRules {
    pub breaker: BreakerRules,
    /// The sliding window of rates and budgets.
    pub window: Duration,
    /// Retries may be this share of the calls in the window …
    pub retry_ratio: f64,
    /// … and at least this many a second.
    pub retry_min_per_second: u32,
    /// Hedges may be this share of the calls in the window.
    pub hedge_ratio: f64,
    /// A rejected or exhausted credential is out for this long.
    pub credential_out: Duration,
    /// While nothing is healthy, a target may be probed this often.
    pub probe_interval: Duration,
    pub concurrency: Concurrency,
}

impl Default for TargetRules {
    fn default() -> Self {
        Self {
            breaker: BreakerRules::default(),
            window: secs(10),
            retry_ratio: 0.2,
            retry_min_per_second: 1,
            hedge_ratio: 0.02,
            credential_out: secs(30 * 60),
            probe_interval: secs(1),
            concurrency: Concurrency::Unlimited,
        }
    }
}

/// When a circuit opens, and for how long.
#[derive(Clone, PartialEq, Debug)]
pub struct BreakerRules {
    /// Hard failures in a row that open it.
    pub consecutive_failures: u32,
    /// A success rate under this opens it …
    pub success_rate: f64,
    /// … with at least this many samples in the window.
    pub min_samples: u32,
    /// The first pause; it doubles up to the longest.
    pub open_min: Duration,
    pub open_max: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            success_rate: 0.8,
            min_samples: 5,
            open_min: secs(1),
            open_max: secs(60),
        }
    }
}

/// How many calls a target may have in flight.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Concurrency {
    Unlimited,
    Fixed(u32),
    /// Additive increase, × 0.9 on 429, 503, 529 or connect timeout, at most
    /// once a second; never above the bound.
    Adaptive {
        max: u32,
    },
}

impl CallRules {
    /// Whether a broken answer of this operation can be continued elsewhere.
    #[must_use]
    pub fn continues(&self, operation: Operation) -> bool {
        let answers = match operation {
            Operation::Chat | Operation::Responses => true,
            Operation::Embeddings | Operation::Other => false,
        };
        self.rescue == Rescue::Continue && answers
    }
}
