//! Between the heart's vocabulary and the contract's. What a guest answers is
//! bounded here; whether it makes sense is judged by the heart.

use std::time::Duration;

use super::Material;
use super::bindings::types as wit;
use crate::failover::attempt::{AttemptView, Failure, Phase};
use crate::failover::call::{Bar, CandidateId, CandidateView, Circuit, Features, Operation};
use crate::failover::classify::FailureClass;
use crate::failover::consult::{
    Edit, Launch, NextStep, PolicyRefusal, Question, Ruling, Selection, Verdict,
};
use crate::failover::time::millis;
use crate::pointer;
use serde::de::IgnoredAny;

const LAUNCHES_MAX: usize = 64;
const EDITS_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 64 << 10;

/// An answer beyond all bounds, in words for its author.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excess(pub String);

pub type Converted<T> = Result<T, Excess>;

/// The labels of a call, borrowed; `call` borrows them in turn.
pub fn labels(material: &Material) -> Vec<(&str, &str)> {
    material.call.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

pub fn call<'a>(
    question: &Question,
    material: &'a Material,
    labels: &'a [(&'a str, &'a str)],
) -> wit::Call<'a> {
    let call = &*material.call;
    wit::Call {
        id: &call.id,
        route: &material.route,
        model: &call.model,
        operation: operation(call.operation),
        needs: features(call.needs),
        input_tokens: call.input_tokens,
        max_output_tokens: call.max_output_tokens,
        tenant: call.tenant.as_deref(),
        labels,
        settings: &material.settings,
        time_left: millis(question.time_left),
        attempts_left: question.attempts_left,
        delivered: question.delivered,
        now: question.now_unix_ms,
        seed: question.seed,
    }
}

pub fn candidate(view: &CandidateView) -> wit::Candidate<'_> {
    let facts = &*view.facts;
    let health = &view.health;
    wit::Candidate {
        target: &facts.target,
        provider: &facts.provider,
        model: &facts.model,
        priority: facts.priority,
        weight: facts.weight,
        offers: features(facts.offers),
        context_window: facts.context_window,
        input_price: facts.input_price,
        output_price: facts.output_price,
        health: wit::Health {
            circuit: match health.circuit {
                Circuit::Closed => wit::Circuit::Closed,
                Circuit::HalfOpen => wit::Circuit::HalfOpen,
                Circuit::Open => wit::Circuit::Open,
            },
            cooldown: millis(health.cooldown),
            samples: health.samples,
            error_rate: health.error_rate,
            consecutive_failures: health.consecutive_failures,
            in_flight: health.in_flight,
            first_token_p50: millis(health.first_token_p50),
            first_token_p95: millis(health.first_token_p95),
            total_p50: millis(health.total_p50),
            total_p95: millis(health.total_p95),
            load: health.load,
            requests_left: health.requests_left,
            tokens_left: health.tokens_left,
        },
        tried: view.tried,
        barred: view.barred.map(bar),
    }
}

pub fn candidates(question: &Question) -> Vec<wit::Candidate<'_>> {
    question.candidates.iter().map(candidate).collect()
}

pub fn attempts(question: &Question) -> Vec<wit::Attempt<'_>> {
    question.attempts.iter().map(attempt).collect()
}

fn attempt(view: &AttemptView) -> wit::Attempt<'_> {
    wit::Attempt {
        candidate: view.candidate.0,
        elapsed: millis(view.elapsed),
        first_token: view.first_token.map(millis),
        failure: view.failure.as_ref().map(failure),
    }
}

fn failure(failure: &Failure) -> wit::Failure<'_> {
    wit::Failure {
        phase: match failure.phase {
            Phase::Connect => wit::Phase::Connect,
            Phase::Headers => wit::Phase::Headers,
            Phase::FirstToken => wit::Phase::FirstToken,
            Phase::Body => wit::Phase::Body,
        },
        failure_class: class_to_wit(failure.class),
        status: failure.status,
        code: &failure.code,
        message: &failure.message,
        retry_after: failure.retry_after.map(millis),
    }
}

fn operation(operation: Operation) -> wit::Operation {
    match operation {
        Operation::Chat => wit::Operation::Chat,
        Operation::Responses => wit::Operation::Responses,
        Operation::Embeddings => wit::Operation::Embeddings,
        Operation::Other => wit::Operation::Other,
    }
}

fn features(features: Features) -> wit::Features {
    let mut set = wit::Features::empty();
    for (bit, flag) in [
        (Features::STREAMING, wit::Features::STREAMING),
        (Features::TOOLS, wit::Features::TOOLS),
        (Features::JSON_SCHEMA, wit::Features::JSON_SCHEMA),
        (Features::VISION, wit::Features::VISION),
        (Features::REASONING, wit::Features::REASONING),
        (Features::PREFILL, wit::Features::PREFILL),
    ] {
        if features.contains(bit) {
            set |= flag;
        }
    }
    set
}

fn bar(bar: Bar) -> wit::Bar {
    match bar {
        Bar::CircuitOpen => wit::Bar::CircuitOpen,
        Bar::CoolingDown => wit::Bar::CoolingDown,
        Bar::CredentialOut => wit::Bar::CredentialOut,
        Bar::Full => wit::Bar::Full,
        Bar::TriedOut => wit::Bar::TriedOut,
        Bar::Hopeless => wit::Bar::Hopeless,
        Bar::OverBudget => wit::Bar::OverBudget,
    }
}

/// Both directions of one correspondence.
macro_rules! same_classes {
    ($($class:ident),+ $(,)?) => {
        fn class_to_wit(class: FailureClass) -> wit::FailureClass {
            match class { $(FailureClass::$class => wit::FailureClass::$class),+ }
        }

        fn class_from_wit(class: wit::FailureClass) -> FailureClass {
            match class { $(wit::FailureClass::$class => FailureClass::$class),+ }
        }
    };
}

same_classes!(
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
);

fn length(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

pub fn selection(selection: wit::Selection) -> Converted<Selection> {
    Ok(match selection {
        wit::Selection::Pick(id) => Selection::Launch(vec![Launch::plain(CandidateId(id))]),
        wit::Selection::Launch(plan) => {
            at_most(LAUNCHES_MAX, plan.len(), "launches")?;
            Selection::Launch(plan.into_iter().map(launch).collect::<Converted<_>>()?)
        }
        wit::Selection::Wait(pause) => Selection::Wait(length(pause)),
        wit::Selection::Defer => Selection::Defer,
        wit::Selection::Answer(text) => Selection::Answer(text),
        wit::Selection::Refuse(refusal) => Selection::Refuse(PolicyRefusal {
            status: refusal.status,
            code: short(refusal.code)?,
            message: short(refusal.message)?,
            retry_after: refusal.retry_after.map(length),
        }),
    })
}

fn launch(launch: wit::Launch) -> Converted<Launch> {
    at_most(EDITS_MAX, launch.edits.len(), "edits")?;
    Ok(Launch {
        candidate: CandidateId(launch.candidate),
        after: length(launch.after),
        first_token_timeout: launch.first_token_timeout.map(length),
        total_timeout: launch.total_timeout.map(length),
        edits: launch.edits.into_iter().map(edit).collect::<Converted<_>>()?,
    })
}

fn edit(edit: wit::Edit) -> Converted<Edit> {
    let (pointer, value) = (short(edit.pointer)?, edit.value.map(short).transpose()?);
    let flaw = match (pointer::tokens(&pointer), &value) {
        (Err(flaw), _) => Some(flaw),
        (Ok(_), Some(value)) => {
            serde_json::from_str::<IgnoredAny>(value).err().map(|_| "the value is not JSON")
        }
        (Ok(_), None) => None,
    };
    match flaw {
        None => Ok(Edit { pointer, value }),
        Some(flaw) => Err(Excess(format!("answered with an edit of {pointer:?}: {flaw}"))),
    }
}

pub fn ruling(ruling: &wit::Ruling) -> Ruling {
    Ruling {
        class: class_from_wit(ruling.failure_class),
        counts: ruling.counts,
        cooldown: length(ruling.cooldown),
        next: match ruling.next {
            wit::NextStep::Retry(pause) => NextStep::Retry(length(pause)),
            wit::NextStep::Reselect => NextStep::Reselect,
            wit::NextStep::Surface => NextStep::Surface,
        },
    }
}

pub fn verdict(verdict: wit::Verdict) -> Converted<Verdict> {
    Ok(match verdict {
        wit::Verdict::Accept => Verdict::Accept,
        wit::Verdict::Amend(text) => Verdict::Amend(text),
        wit::Verdict::Reject(rejection) => {
            Verdict::Reject { reason: short(rejection.reason)?, counts: rejection.counts }
        }
    })
}

/// Texts that stand for the answer itself are bounded by the memory limit
/// alone; all others are short.
fn short(text: String) -> Converted<String> {
    at_most(TEXT_BYTES_MAX, text.len(), "bytes of text")?;
    Ok(text)
}

fn at_most(max: usize, count: usize, what: &str) -> Converted<()> {
    if count <= max {
        return Ok(());
    }
    Err(Excess(format!("answered with {count} {what}, of which at most {max} are allowed")))
}
