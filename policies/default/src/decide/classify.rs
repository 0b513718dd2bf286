//! What a failure means and what follows from it.

use super::{Obstacle, Settings, obstacle};
use crate::contract::backstay::policy::types::{
    Attempt, Bar, Call, Candidate, Failure, FailureClass, NextStep, Ruling,
};

/// The pause of the route's own schedule.
const SCHEDULED: u32 = 0;
/// How long a rate-limited target that gave no hint is left alone.
const UNHINTED_COOLDOWN_MS: u32 = 1_000;
/// How long a target without permission, or without the model, stays out.
const MISCONFIGURED_COOLDOWN_MS: u32 = 60_000;

/// The ruling on the last attempt; none if that did not fail.
#[must_use]
pub fn classify(call: &Call, candidates: &[Candidate], attempts: &[Attempt]) -> Option<Ruling> {
    let attempt = attempts.last()?;
    let failure = attempt.failure.as_ref()?;
    let case = Case { call, candidates, failure, failed: attempt.candidate };
    let class = meaning(failure);
    let (next, cooldown) = case.next(class);
    Some(Ruling { failure_class: class, counts: counts(class), cooldown, next })
}

/// The gateway's class, but that a 503 is a lack of capacity: trying again at
/// once would add to it.
fn meaning(failure: &Failure) -> FailureClass {
    match (failure.failure_class, failure.status) {
        (FailureClass::ServerError, Some(503)) => FailureClass::Overloaded,
        (class, _) => class,
    }
}

/// Whether a failure says something about the target's health.
fn counts(class: FailureClass) -> bool {
    match class {
        FailureClass::Network
        | FailureClass::Timeout
        | FailureClass::RateLimited
        | FailureClass::Overloaded
        | FailureClass::ServerError
        | FailureClass::InvalidOutput
        | FailureClass::StreamBroken => true,
        FailureClass::Quota
        | FailureClass::Authentication
        | FailureClass::Permission
        | FailureClass::NotFound
        | FailureClass::BadRequest
        | FailureClass::Unsupported
        | FailureClass::ContextLength
        | FailureClass::ContentFilter
        | FailureClass::Cancelled
        | FailureClass::Unknown => false,
    }
}

/// One failure with all that bears on what follows from it.
struct Case<'a> {
    call: &'a Call,
    candidates: &'a [Candidate],
    failure: &'a Failure,
    failed: u32,
}

impl Case<'_> {
    /// What follows, and for how many milliseconds the target is left alone.
    fn next(&self, class: FailureClass) -> (NextStep, u32) {
        match class {
            FailureClass::Network | FailureClass::ServerError => (self.retry_once(), 0),
            FailureClass::RateLimited => self.rate_limited(),
            FailureClass::Overloaded => {
                (self.elsewhere_or_again(), self.failure.retry_after.unwrap_or(0))
            }
            FailureClass::Timeout | FailureClass::StreamBroken | FailureClass::InvalidOutput => {
                (self.elsewhere_or_again(), 0)
            }
            FailureClass::Quota | FailureClass::Authentication | FailureClass::Unknown => {
                (NextStep::Reselect, 0)
            }
            FailureClass::Permission | FailureClass::NotFound => {
                (NextStep::Reselect, MISCONFIGURED_COOLDOWN_MS)
            }
            FailureClass::ContentFilter => {
                let elsewhere = Settings::read(&self.call.settings).reselect_on_content_filter;
                (reselect_if(elsewhere), 0)
            }
            FailureClass::ContextLength => {
                (reselect_if(self.another(self.window()) || self.another_later()), 0)
            }
            FailureClass::Unsupported => {
                (reselect_if(self.another(None) || self.another_later()), 0)
            }
            // Nothing was sent: the gateway could not read the request well
            // enough to translate it. Another target may take it as it is.
            FailureClass::BadRequest if self.failure.status.is_none() => {
                (reselect_if(self.another(None) || self.another_later()), 0)
            }
            FailureClass::BadRequest | FailureClass::Cancelled => (NextStep::Surface, 0),
        }
    }

    /// A transient failure is worth one more try where the connections are
    /// warm, unless it is the last attempt and another target could have it.
    fn retry_once(&self) -> NextStep {
        let Some(failed) = self.failed_candidate() else { return NextStep::Reselect };
        let last_but_one_elsewhere = self.call.attempts_left <= 1 && self.another(None);
        let may = failed.tried <= 1
            && failed.barred.is_none()
            && self.call.delivered == 0
            && self.call.attempts_left > 0
            && !last_but_one_elsewhere
            && Settings::read(&self.call.settings).retry;
        if !may {
            return NextStep::Reselect;
        }
        NextStep::Retry(SCHEDULED)
    }

    /// Moves on if there is somewhere to go, else comes back after a pause.
    fn elsewhere_or_again(&self) -> NextStep {
        if self.another(None) { NextStep::Reselect } else { NextStep::Retry(SCHEDULED) }
    }

    /// Moves on if there is somewhere to go; waits for the target only if it
    /// is the last one. Whether its Retry-After is worth the wait, the gateway
    /// knows.
    fn rate_limited(&self) -> (NextStep, u32) {
        let cooldown = self.failure.retry_after.unwrap_or(UNHINTED_COOLDOWN_MS);
        let elsewhere = (NextStep::Reselect, cooldown);
        if self.another(None) || !self.may_wait_for_failed() {
            return elsewhere;
        }
        match self.failure.retry_after {
            Some(pause) if pause >= self.call.time_left => elsewhere,
            Some(pause) => (NextStep::Retry(pause), 0),
            None => (NextStep::Retry(UNHINTED_COOLDOWN_MS), 0),
        }
    }

    /// Whether nothing but its own cooldown speaks against the failed target.
    fn may_wait_for_failed(&self) -> bool {
        let Some(failed) = self.failed_candidate() else { return false };
        self.call.attempts_left > 0
            && match failed.barred {
                None | Some(Bar::CoolingDown) => true,
                Some(
                    Bar::CircuitOpen
                    | Bar::CredentialOut
                    | Bar::Full
                    | Bar::TriedOut
                    | Bar::Hopeless
                    | Bar::OverBudget,
                ) => false,
            }
    }

    fn failed_candidate(&self) -> Option<&Candidate> {
        self.candidates.get(self.failed as usize)
    }

    /// The context window that proved too small, if it is known.
    fn window(&self) -> Option<u32> {
        self.failed_candidate()?.context_window
    }

    /// Whether another candidate could take the call but for what passes by
    /// itself: then the client is not told that its request is at fault, which
    /// is so for a stand-in only.
    fn another_later(&self) -> bool {
        (0..).zip(self.candidates).any(|(id, candidate): (u32, _)| {
            let obstacle = obstacle(self.call, candidate, None);
            id != self.failed
                && matches!(obstacle, Some(Obstacle::Barred(bar)) if bar != Bar::Hopeless)
        })
    }

    /// Whether another candidate could take the call now.
    fn another(&self, too_small: Option<u32>) -> bool {
        (0..).zip(self.candidates).any(|(id, candidate): (u32, _)| {
            id != self.failed && obstacle(self.call, candidate, too_small).is_none()
        })
    }
}

fn reselect_if(elsewhere: bool) -> NextStep {
    if elsewhere { NextStep::Reselect } else { NextStep::Surface }
}
