//! A small native stand-in for the built-in policy: what the scripts need of
//! its decisions, with a fixed pause of 100 ms where the real one draws one.

use std::time::Duration;

use crate::failover::call::{Bar, CandidateView};
use crate::failover::classify::{FailureClass, Weight};
use crate::failover::consult::{
    Launch, NextStep, Opinion, PolicyRefusal, Question, Ruling, Selection, Verb, Verdict,
};
use crate::failover::{Call, CandidateId, Failure};

const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(in crate::failover::exchange) fn stand_in(call: &Call, question: &Question) -> Opinion {
    match question.verb {
        Verb::SelectProvider => Opinion::Select(select(call, question)),
        Verb::ClassifyError { .. } => match question.attempts.last() {
            Some(attempt) => attempt.failure.as_ref().map_or(Opinion::None, |failure| {
                Opinion::Classify(classify(call, question, attempt.candidate, failure))
            }),
            None => Opinion::None,
        },
        Verb::ValidateOutput { .. } => Opinion::Validate(Verdict::Accept),
    }
}

/// Untried before tried, then by priority; else a short wait, else a refusal.
fn select(call: &Call, question: &Question) -> Selection {
    let able = || (0..).map(CandidateId).zip(&question.candidates).filter(|(_, c)| fits(call, c));
    let open = able().filter(|(_, c)| c.barred.is_none());
    if let Some((id, _)) = open.min_by_key(|(_, c)| (c.tried, c.facts.priority)) {
        return Selection::Launch(vec![Launch::plain(id)]);
    }
    let passing = able().filter(|(_, c)| c.barred.is_some_and(passes));
    let soonest = passing.map(|(_, c)| c.health.cooldown.max(PAUSE)).min();
    match soonest {
        Some(wait) if wait <= LONGEST_WAIT && wait < question.time_left => Selection::Wait(wait),
        Some(_) | None => Selection::Refuse(PolicyRefusal {
            status: 503,
            code: "no_target_available".to_owned(),
            message: String::new(),
            retry_after: soonest,
        }),
    }
}

fn fits(call: &Call, candidate: &CandidateView) -> bool {
    candidate.facts.can_serve(call)
}

const fn passes(bar: Bar) -> bool {
    match bar {
        Bar::CircuitOpen | Bar::CoolingDown | Bar::Full => true,
        Bar::CredentialOut | Bar::TriedOut | Bar::Hopeless | Bar::OverBudget => false,
    }
}

fn classify(call: &Call, question: &Question, failed: CandidateId, failure: &Failure) -> Ruling {
    let tried = &question.candidates[failed.index()];
    let others = || {
        let all = (0..).map(CandidateId).zip(&question.candidates);
        all.filter(|(id, other)| *id != failed && fits(call, other)).map(|(_, other)| other.barred)
    };
    let another = others().any(|barred| barred.is_none());
    let another_later = others().any(|barred| barred.is_some_and(|bar| bar != Bar::Hopeless));
    let may_retry = question.attempts_left > 0 && tried.tried <= 1 && question.delivered == 0;
    let asked = failure.retry_after.unwrap_or_default();
    let worth_it = asked <= LONGEST_WAIT && asked < question.time_left;
    let (next, cooldown) = match failure.class {
        FailureClass::Network | FailureClass::ServerError if may_retry => {
            (NextStep::Retry(PAUSE), Duration::ZERO)
        }
        FailureClass::RateLimited if !another && may_retry && worth_it => {
            (NextStep::Retry(asked), Duration::ZERO)
        }
        FailureClass::RateLimited => (NextStep::Reselect, asked.max(Duration::from_secs(1))),
        FailureClass::Network
        | FailureClass::ServerError
        | FailureClass::Timeout
        | FailureClass::Overloaded
        | FailureClass::Quota
        | FailureClass::Authentication
        | FailureClass::Permission
        | FailureClass::NotFound
        | FailureClass::InvalidOutput
        | FailureClass::StreamBroken
        | FailureClass::Unknown => (NextStep::Reselect, asked),
        FailureClass::Unsupported | FailureClass::ContextLength if another || another_later => {
            (NextStep::Reselect, Duration::ZERO)
        }
        FailureClass::BadRequest if (another || another_later) && failure.status.is_none() => {
            (NextStep::Reselect, Duration::ZERO)
        }
        FailureClass::Unsupported
        | FailureClass::ContextLength
        | FailureClass::BadRequest
        | FailureClass::ContentFilter
        | FailureClass::Cancelled => (NextStep::Surface, Duration::ZERO),
    };
    let class = failure.class;
    Ruling { class, counts: class.weight() != Weight::None, cooldown, next }
}
