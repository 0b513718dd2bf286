//! A canary: a policy that decides a share of a route's calls, and when it is
//! given up. Both arms are counted over the same stretch of time; a difference
//! must exceed its margin and be more than chance.

use std::time::Duration;

use super::attempt::Failure;
use super::latency::{Percentiles, Samples};
use super::refusal::unsent_field;
use super::time::Timestamp;

/// A difference this many standard errors wide is no chance. The arms are compared
/// after every call of the canary, so that chance has thousands of tries: simulated
/// over 3,000 of its calls, 3 gave up one in six canaries that were like the other
/// arm, 4.5 none of 60. One that refuses 15 in 100 calls more is still found at the
/// first comparisons.
const STANDARD_ERRORS: f64 = 4.5;
/// Lengths kept of each arm.
const KEPT: usize = 512;
/// The least lengths of each arm that are compared.
const LEAST_SAMPLES: u32 = 20;
/// A difference in latency below this is nobody's concern.
const LATENCY_FLOOR: Duration = Duration::from_millis(10);
/// By definition, so many are above the 95th percentile.
const ABOVE_P95: f64 = 0.05;

/// What a canary may cost before it is given up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Margins {
    /// By how much more of its calls may be refused, and by how much more be bad
    /// requests, as shares of them.
    pub availability: f64,
    /// By how much its 95th percentiles may be longer, as a share of the others.
    pub latency: f64,
    /// Its calls before it is judged, and at least so many from then on.
    pub calls: u32,
    /// With so many faults it is given up at once.
    pub max_faults: u32,
}

/// Whose policy decides a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arm {
    Own,
    Canary,
}

/// What a call drew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lot {
    pub arm: Arm,
    /// Whether its latency is compared: all of the canary's, and as many of the
    /// others, so that both come from the same stretch of time.
    pub matched: bool,
}

impl Lot {
    /// By the call's id: the same id always draws the same.
    #[must_use]
    pub fn of(id: &str, share: f64) -> Self {
        let place = place(id);
        if place < share {
            return Self { arm: Arm::Canary, matched: true };
        }
        Self { arm: Arm::Own, matched: place < 2.0 * share }
    }
}

/// Where an id lies between 0 and 1: FNV-1a, then splitmix64's finalizer, since
/// ids differ little.
fn place(id: &str) -> f64 {
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // 53 bits are exact in a float.
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// How a call ended, as far as it concerns the policy that decided it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallEnd {
    Delivered {
        /// To the first byte for the client, and to the end.
        first: Duration,
        total: Duration,
    },
    Refused,
    /// Every attempt failed because of the request. Who made it so, the client or
    /// the policy with its edits and choices, no single call can tell: only a
    /// comparison with the other arm, which has clients like these.
    BadRequest,
    /// The client left: it counts against no policy.
    Excused,
}

/// Whether a failure is the request's own. By the provider's word: what a policy
/// makes of a failure must not excuse the policy.
#[must_use]
pub fn blames_request(failure: &Failure) -> bool {
    matches!(failure.status, Some(400 | 413 | 422)) || unsent_field(failure).is_some()
}

/// What one arm did since the canary began.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub calls: u64,
    pub delivered: u64,
    pub refused: u64,
    pub bad_requests: u64,
    pub excused: u64,
    pub attempts: u64,
    /// Of the policy: traps, overruns, answers that cannot be done.
    pub faults: u64,
    first: Samples<KEPT>,
    total: Samples<KEPT>,
}

impl Figures {
    /// To the first byte for the client, and to the end, of the calls whose
    /// latency is compared.
    pub fn latencies(&mut self, now: Timestamp) -> (Percentiles, Percentiles) {
        (self.first.percentiles(now), self.total.percentiles(now))
    }

    fn ended(&mut self, end: CallEnd, attempts: u32, matched: bool) {
        self.calls += 1;
        self.attempts += u64::from(attempts);
        match end {
            CallEnd::Delivered { first, total } => {
                self.delivered += 1;
                if matched {
                    self.first.record(first);
                    self.total.record(total);
                }
            }
            CallEnd::Refused => self.refused += 1,
            CallEnd::BadRequest => self.bad_requests += 1,
            CallEnd::Excused => self.excused += 1,
        }
    }
}

/// Calls of a stretch of time that count.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    delivered: u32,
    refused: u32,
    bad_requests: u32,
}

impl Tally {
    fn count(&mut self, end: CallEnd) {
        match end {
            CallEnd::Delivered { .. } => self.delivered += 1,
            CallEnd::Refused => self.refused += 1,
            CallEnd::BadRequest => self.bad_requests += 1,
            CallEnd::Excused => {}
        }
    }

    const fn calls(self) -> u32 {
        self.delivered + self.refused + self.bad_requests
    }

    const fn and(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            refused: self.refused + other.refused,
            bad_requests: self.bad_requests + other.bad_requests,
        }
    }
}

/// Both arms over the same stretch.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    own: Tally,
    canary: Tally,
}

/// Why a canary was given up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Why {
    Faults(u64),
    /// The host asks it no more.
    Quarantined,
    /// Shares of calls that were refused.
    LessAvailable {
        canary: f64,
        own: f64,
    },
    /// Shares of calls that failed as bad requests.
    MoreBadRequests {
        canary: f64,
        own: f64,
    },
    /// 95th percentiles to the first byte for the client.
    SlowerToBegin {
        canary: Duration,
        own: Duration,
    },
    /// 95th percentiles to the end.
    SlowerToEnd {
        canary: Duration,
        own: Duration,
    },
}

impl Why {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Faults(_) => "faults",
            Self::Quarantined => "quarantined",
            Self::LessAvailable { .. } => "less-available",
            Self::MoreBadRequests { .. } => "more-bad-requests",
            Self::SlowerToBegin { .. } => "slower-to-begin",
            Self::SlowerToEnd { .. } => "slower-to-end",
        }
    }

    /// With its figures.
    #[must_use]
    pub fn describe(self) -> String {
        let lengths = |what: &str, canary: Duration, own: Duration| {
            let (canary, own) = (canary.as_millis(), own.as_millis());
            format!("p95 {what} {canary} ms, of the route's own policy {own} ms")
        };
        let shares = |what: &str, canary: f64, own: f64| {
            let (canary, own) = (canary * 100.0, own * 100.0);
            format!("{canary:.2} % {what}, of the route's own policy {own:.2} %")
        };
        match self {
            Self::Faults(count) => format!("{count} faults"),
            Self::Quarantined => "in quarantine after repeated faults".to_owned(),
            Self::LessAvailable { canary, own } => shares("refused", canary, own),
            Self::MoreBadRequests { canary, own } => shares("bad requests", canary, own),
            Self::SlowerToBegin { canary, own } => lengths("to the first content", canary, own),
            Self::SlowerToEnd { canary, own } => lengths("to the end", canary, own),
        }
    }
}

/// Both arms, counted and compared.
#[derive(Clone, Debug)]
pub struct Canary {
    margins: Margins,
    pub own: Figures,
    pub canary: Figures,
    /// The stretch before the current one: what was long ago must not outweigh
    /// what is now.
    before: Window,
    current: Window,
}

impl Canary {
    #[must_use]
    pub fn new(margins: Margins) -> Self {
        Self {
            margins,
            own: Figures::default(),
            canary: Figures::default(),
            before: Window::default(),
            current: Window::default(),
        }
    }

    /// The policy of an arm failed to answer, or answered what cannot be done.
    pub fn faulted(&mut self, arm: Arm) -> Option<Why> {
        match arm {
            Arm::Own => {
                self.own.faults += 1;
                None
            }
            Arm::Canary => {
                self.canary.faults += 1;
                let faults = self.canary.faults;
                (faults >= u64::from(self.margins.max_faults)).then_some(Why::Faults(faults))
            }
        }
    }

    /// A call of an arm ended. Says why the canary is to be given up, if it is.
    pub fn ended(&mut self, lot: Lot, end: CallEnd, attempts: u32, now: Timestamp) -> Option<Why> {
        let (figures, tally) = match lot.arm {
            Arm::Own => (&mut self.own, &mut self.current.own),
            Arm::Canary => (&mut self.canary, &mut self.current.canary),
        };
        figures.ended(end, attempts, lot.matched);
        tally.count(end);
        let why = match lot.arm {
            Arm::Own => None,
            Arm::Canary => self.judge(now),
        };
        if self.current.canary.calls() >= self.margins.calls {
            self.before = std::mem::take(&mut self.current);
        }
        why
    }

    fn judge(&mut self, now: Timestamp) -> Option<Why> {
        let own = self.before.own.and(self.current.own);
        let canary = self.before.canary.and(self.current.canary);
        if canary.calls() < self.margins.calls {
            return None;
        }
        let more = |of: fn(Tally) -> u32| more_of(of, canary, own, self.margins.availability);
        let refused = more(|arm| arm.refused);
        let bad_requests = more(|arm| arm.bad_requests);
        refused
            .map(|(canary, own)| Why::LessAvailable { canary, own })
            .or_else(|| bad_requests.map(|(canary, own)| Why::MoreBadRequests { canary, own }))
            .or_else(|| self.slower(now))
    }

    fn slower(&mut self, now: Timestamp) -> Option<Why> {
        let margin = self.margins.latency;
        let begin = slower(&mut self.canary.first, &mut self.own.first, margin, now);
        begin.map(|(canary, own)| Why::SlowerToBegin { canary, own }).or_else(|| {
            let end = slower(&mut self.canary.total, &mut self.own.total, margin, now);
            end.map(|(canary, own)| Why::SlowerToEnd { canary, own })
        })
    }
}

/// The shares of both arms' calls, if the canary's is larger by more than the
/// margin and by more than chance: two proportions, pooled.
fn more_of(of: fn(Tally) -> u32, canary: Tally, own: Tally, margin: f64) -> Option<(f64, f64)> {
    let share = |arm: Tally| f64::from(of(arm)) / f64::from(arm.calls().max(1));
    let difference = share(canary) - share(own);
    let pooled = share(canary.and(own));
    let per_call = 1.0 / f64::from(canary.calls().max(1)) + 1.0 / f64::from(own.calls().max(1));
    let error = (pooled * (1.0 - pooled) * per_call).sqrt();
    let worse = difference > margin && difference >= STANDARD_ERRORS * error;
    (own.calls() > 0 && worse).then(|| (share(canary), share(own)))
}

/// The 95th percentiles, if the canary's is longer by more than the margin, and
/// more of its lengths lie beyond than chance would put there.
fn slower(
    canary: &mut Samples<KEPT>,
    own: &mut Samples<KEPT>,
    margin: f64,
    now: Timestamp,
) -> Option<(Duration, Duration)> {
    if canary.count() < LEAST_SAMPLES || own.count() < LEAST_SAMPLES {
        return None;
    }
    let (p95, own_p95) = (canary.percentiles(now).p95, own.percentiles(now).p95);
    let limit = own_p95.mul_f64(1.0 + margin).max(own_p95 + LATENCY_FLOOR);
    if p95 <= limit {
        return None;
    }
    let count = f64::from(canary.count());
    let beyond = f64::from(canary.longer_than(limit)) / count;
    let per_call = 1.0 / count + 1.0 / f64::from(own.count());
    let error = (ABOVE_P95 * (1.0 - ABOVE_P95) * per_call).sqrt();
    (beyond >= ABOVE_P95 + STANDARD_ERRORS * error).then_some((p95, own_p95))
}

#[cfg(test)]
#[path = "canary_tests.rs"]
mod tests;
