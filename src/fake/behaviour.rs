//! What a fake provider does, as values: which fault, when it strikes, and how
//! its healthy answers look. Decides; never touches a socket.

use std::time::Duration;

use super::answer::{DEFAULT_WORDS, mix};

/// All that a provider does, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    pub(super) fault: Fault,
    pub(super) when: When,
    /// Words in a healthy answer.
    pub(super) words: usize,
    /// Between the chunks of a stream.
    pub(super) chunk_delay: Duration,
    /// Before the headers: a base and, uniformly on top, up to so much jitter.
    pub(super) latency: (Duration, Duration),
    /// Whether a request that ends with an assistant message is continued.
    pub(super) prefill: bool,
    pub(super) continues: Continues,
    /// Calls in an answer that calls tools, unless the request wants one at most.
    pub(super) calls: usize,
    /// Words of reasoning before an answer.
    pub(super) thoughts: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            when: When::Always,
            words: DEFAULT_WORDS,
            chunk_delay: Duration::ZERO,
            latency: (Duration::ZERO, Duration::ZERO),
            prefill: true,
            continues: Continues::Exact,
            calls: 1,
            thoughts: 0,
        }
    }
}

impl Behaviour {
    /// Whether connections are refused altogether.
    pub(super) fn refuses(&self) -> bool {
        self.fault == Fault::Connection(ConnectionFault::Refuse)
    }

    /// The fault that strikes the call with this number (from 0), so long
    /// after the behaviour came into force.
    pub(super) fn fault_at(&self, call: u64, age: Duration, seed: u64) -> &Fault {
        if self.when.strikes(call, age, seed) { &self.fault } else { &Fault::None }
    }

    /// The wait before the headers of the call with this number.
    pub(super) fn latency_at(&self, call: u64, seed: u64) -> Duration {
        let (base, jitter) = self.latency;
        // Another sequence than that of the faults, or the fast calls would be the failing ones.
        if jitter.is_zero() { base } else { base + jitter.mul_f64(uniform(!seed, call)) }
    }
}

/// What a provider says when it is asked to go on after a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continues {
    /// The rest, from exactly there.
    Exact,
    /// The whole answer again.
    Restart,
    /// The rest, with the last three words again.
    Overlap,
}

/// Which calls a fault strikes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum When {
    Always,
    /// The first calls, and none after.
    First(u64),
    /// So many calls are well, then so many fail, and so on.
    FlapCalls {
        ok: u64,
        bad: u64,
    },
    /// So long all is well, then so long all fails, and so on.
    FlapTime {
        ok: Duration,
        bad: Duration,
    },
    /// This share of the calls, picked by the seed.
    Rate(f64),
}

impl When {
    fn strikes(&self, call: u64, age: Duration, seed: u64) -> bool {
        match self {
            Self::Always => true,
            Self::First(calls) => call < *calls,
            Self::FlapCalls { ok, bad } => call % (ok + bad).max(1) >= *ok,
            Self::FlapTime { ok, bad } => {
                let period = (*ok + *bad).as_nanos().max(1);
                age.as_nanos() % period >= ok.as_nanos()
            }
            Self::Rate(share) => uniform(seed, call) < *share,
        }
    }
}

/// A number from 0 (inclusive) to 1 (exclusive), the same for the same pair.
fn uniform(seed: u64, call: u64) -> f64 {
    let high = u32::try_from(mix(seed, call) >> 32).expect("half of 64 bits are 32");
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

/// What goes wrong with one call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    Connection(ConnectionFault),
    Rejection(Rejection),
    Slow(SlowFault),
    Body(BodyFault),
    Stream(StreamFault),
    Content(ContentFault),
}

/// Faults before, or instead of, an HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionFault {
    Refuse,
    Reset,
    Close,
    Silence,
    HeadersOnly,
    Garbage,
    HugeHeader { bytes: usize },
    Redirect,
}

/// A healthy answer that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowFault {
    /// Between the headers and the first content of a stream; before the
    /// headers of a whole answer.
    First(Duration),
    /// Before the headers.
    Whole(Duration),
}

/// An answer with an error status, in the provider's error shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub kind: RejectionKind,
    pub hint: Hint,
    pub bulk: Bulk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RejectionKind {
    BadRequest,
    ContextLength,
    ContentFilter,
    /// Repeats the key it got, in the body and in a header.
    Unauthorized,
    Payment,
    Forbidden,
    ModelNotFound,
    RateLimited,
    Quota,
    Overloaded,
    Status(u16),
}

/// What an error answer says about when to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    None,
    /// A header with the value as it was given, sensible or not.
    Header(&'static str, String),
    /// `retry-after` with the date so far from now.
    Date(Duration),
}

/// How large an error body is, and how it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bulk {
    Plain,
    Padded { bytes: usize },
    Dribbled { every: Duration },
}

/// Answers with status 200, or an HTML page, whose body is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    ErrorBody,
    Empty,
    Html { status: u16 },
    Short,
    TruncatedJson,
    JsonForStream,
}

/// Streams that break. A whole answer breaks in the way that is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamFault {
    CutReset {
        after: usize,
    },
    CutClean {
        after: usize,
    },
    CutFin {
        after: usize,
    },
    Stall {
        after: usize,
    },
    Malformed {
        after: usize,
    },
    BadChunking {
        after: usize,
    },
    ErrorEvent {
        after: usize,
    },
    /// An error after the stream has begun and before any content.
    ErrorStart,
    NoDone {
        stays_open: bool,
    },
    Empty,
    Comments {
        every: Duration,
    },
    Trickle {
        every: Duration,
    },
}

/// Well-formed answers whose content is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentFault {
    Empty,
    Filtered {
        after: usize,
    },
    Length {
        after: usize,
    },
    ToolCalls,
    ToolCut {
        after: usize,
    },
    /// The model declines in words.
    Refusal,
    WrongJson,
    WrongSchema,
    DoubleFinish,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_when_it_should() {
        let millis = Duration::from_millis;
        let check = |when: When, expected: &str| {
            let struck: String = (0..8)
                .map(|call| if when.strikes(call, millis(call * 100), 7) { 'x' } else { '.' })
                .collect();
            assert_eq!(struck, expected, "{when:?}");
        };
        check(When::Always, "xxxxxxxx");
        check(When::First(2), "xx......");
        check(When::FlapCalls { ok: 2, bad: 1 }, "..x..x..");
        check(When::FlapTime { ok: millis(300), bad: millis(100) }, "...x...x");
        check(When::Rate(0.0), "........");
        check(When::Rate(1.0), "xxxxxxxx");
    }

    #[test]
    fn a_rate_is_met_and_depends_on_the_seed() {
        let struck = |seed| {
            (0..1000)
                .filter(|call| When::Rate(0.3).strikes(*call, Duration::ZERO, seed))
                .collect::<Vec<_>>()
        };
        assert!((250..350).contains(&struck(1).len()));
        assert_eq!(struck(1), struck(1));
        assert_ne!(struck(1), struck(2));
    }
}
