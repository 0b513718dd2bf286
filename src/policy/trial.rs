//! The made-up questions a policy must answer before it is let near a call.

use std::sync::Arc;
use std::time::Duration;

use super::program::{LinkFault, OUT_OF_TIME, Program};
use super::{Clock, Finish, Material, OutputView, RequestView, ToolCall};
use crate::failover::attempt::{AttemptView, Failure, Phase};
use crate::failover::call::{
    AttemptId, Call, CandidateId, CandidateView, Features, HealthView, Operation, TargetFacts,
};
use crate::failover::classify::FailureClass;
use crate::failover::consult::{Decider, Opinion, Question, Verb};

/// A policy slower than this runs on threads of its own (design, "Policies").
const QUICK_MAX: Duration = Duration::from_micros(200);
/// The first round also pays for what later calls find ready: its faults are
/// looked at only if they come again.
const ROUNDS: usize = 3;

/// Why a policy failed its trial.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it fails a made-up `{verb}` question: {reason}")]
pub struct TrialFault {
    pub verb: &'static str,
    pub reason: String,
    /// It did not come to an end in time, which may be the fault of a busy machine.
    pub out_of_time: bool,
}

impl TrialFault {
    pub fn new(verb: Verb, reason: String) -> Self {
        let out_of_time = reason == OUT_OF_TIME;
        Self { verb: verb.label(), reason, out_of_time }
    }
}

/// Whether it can be asked at all.
pub fn check_types(program: &Program) -> Result<(), LinkFault> {
    program.check_types(&question(Verb::SelectProvider), &material())
}

/// Asks one question of each verb. Returns whether the policy is quick.
pub fn run(program: &Program, clock: &Clock) -> Result<bool, TrialFault> {
    let material = material();
    let mut best = Duration::MAX;
    for round in 0..ROUNDS {
        let mut slowest = Duration::ZERO;
        for verb in VERBS {
            let before = clock();
            match program.ask(&question(verb), &material) {
                Opinion::Fault { .. } if round == 0 => {}
                Opinion::Fault { reason } | Opinion::Unasked { reason } => {
                    return Err(TrialFault::new(verb, reason));
                }
                Opinion::None
                | Opinion::Select(_)
                | Opinion::Classify(_)
                | Opinion::Validate(_) => {}
            }
            slowest = slowest.max(clock().since(before));
        }
        best = best.min(slowest);
    }
    Ok(best <= QUICK_MAX)
}

/// One of each.
pub const VERBS: [Verb; 3] = [
    Verb::SelectProvider,
    Verb::ClassifyError { attempt: AttemptId(0) },
    Verb::ValidateOutput { attempt: AttemptId(0), candidate: CandidateId(0), complete: true },
];

pub fn question(verb: Verb) -> Question {
    let attempts = match verb {
        Verb::SelectProvider | Verb::ValidateOutput { .. } => Vec::new(),
        Verb::ClassifyError { .. } => vec![failed_attempt()],
    };
    Question {
        number: 1,
        verb,
        decider: Decider::Policy,
        time_left: Duration::from_mins(2),
        attempts_left: 4,
        delivered: 0,
        now_unix_ms: 1.7e12,
        seed: 7,
        candidates: vec![candidate("first", 1), candidate("second", 2)],
        attempts,
    }
}

fn candidate(name: &str, priority: u32) -> CandidateView {
    let facts = TargetFacts {
        target: format!("{name}/model"),
        provider: name.to_owned(),
        model: "model".to_owned(),
        priority,
        weight: 1,
        offers: Features::ALL,
        context_window: None,
        input_price: None,
        output_price: None,
    };
    CandidateView { facts: Arc::new(facts), health: HealthView::default(), tried: 0, barred: None }
}

fn failed_attempt() -> AttemptView {
    AttemptView {
        candidate: CandidateId(0),
        elapsed: Duration::from_millis(20),
        first_token: None,
        failure: Some(Failure {
            phase: Phase::Headers,
            class: FailureClass::RateLimited,
            status: Some(429),
            code: "rate_limit_exceeded".to_owned(),
            message: "Rate limit reached".to_owned(),
            retry_after: Some(Duration::from_secs(1)),
        }),
    }
}

pub fn material() -> Material {
    let call = Call {
        id: "trial".to_owned(),
        model: "model".to_owned(),
        operation: Operation::Chat,
        needs: Features::NONE,
        input_tokens: 100,
        max_output_tokens: None,
        tenant: None,
        labels: Vec::new(),
        origin_unix: Duration::ZERO,
        seed: 7,
        own_policy: true,
    };
    Material {
        call: Arc::new(call),
        route: "trial".into(),
        settings: "{}".into(),
        request: Arc::new(MadeUp),
        output: Some(Arc::new(MadeUp)),
    }
}

/// An empty request and a short answer.
struct MadeUp;

impl RequestView for MadeUp {
    fn header(&self, _: &str) -> Option<String> {
        None
    }

    fn json(&self, pointer: &str) -> Option<String> {
        pointer.is_empty().then(|| "{}".to_owned())
    }
}

const ANSWER: &str = "An answer.";

impl OutputView for MadeUp {
    fn complete(&self) -> bool {
        true
    }

    fn text(&self, offset: u32, limit: u32) -> String {
        ANSWER.chars().skip(offset as usize).take(limit as usize).collect()
    }

    fn text_length(&self) -> u32 {
        u32::try_from(ANSWER.len()).unwrap_or(u32::MAX)
    }

    fn tool_calls(&self) -> Vec<ToolCall> {
        Vec::new()
    }

    fn finish(&self) -> Finish {
        Finish::Stop
    }

    fn violations(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}
