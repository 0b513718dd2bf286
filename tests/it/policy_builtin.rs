//! The built-in policy, as a component: it answers, and answers what its logic
//! answers natively.

use std::sync::Arc;
use std::time::Duration;

use backstay::failover::attempt::{AttemptView, Failure, Phase};
use backstay::failover::call::{
    AttemptId, Bar, Call, CandidateId, CandidateView, Features, HealthView, Operation, TargetFacts,
};
use backstay::failover::classify::FailureClass;
use backstay::failover::consult::{
    Decider, Launch, NextStep, Opinion, PolicyRefusal, Question, Ruling, Selection, Verb, Verdict,
};
use backstay::policy::{Finish, Material, Policy, ToolCall};
use backstay_policy_default::contract::backstay::policy::{exchange, types as wit};
use backstay_policy_default::decide;
use proptest::prelude::*;

use crate::support::policies::{
    Body, builtin_only, call, candidates, classify, material, material_of, select, validate,
};

#[test]
fn the_embedded_component_answers_every_verb() {
    let library = builtin_only();
    let policy = library.current().policy("default").unwrap();
    let material = material("{}");
    assert_eq!(
        policy.ask(&select(candidates(2)), &material),
        Opinion::Select(Selection::Launch(vec![Launch::plain(CandidateId(0))]))
    );
    let ruling = Ruling {
        class: FailureClass::Timeout,
        counts: true,
        cooldown: Duration::ZERO,
        next: NextStep::Reselect,
    };
    assert_eq!(
        policy.ask(&classify(candidates(2), FailureClass::Timeout), &material),
        Opinion::Classify(ruling)
    );
    assert_eq!(policy.ask(&validate(candidates(1)), &material), Opinion::Validate(Verdict::Accept));
    assert_eq!(library.allocation().label(), "pooled");
}

/// Reused instances are replaced now and then; nobody notices.
#[test]
fn a_thousand_answers_and_more_are_the_same() {
    let library = builtin_only();
    let policy = library.builtin();
    let (question, material) = (select(candidates(3)), material("{}"));
    let first = policy.ask(&question, &material);
    for _ in 0..2_500 {
        assert_eq!(policy.ask(&question, &material), first);
    }
    let (instances, memory) = library.usage();
    assert!(instances <= 1 && memory < 4 << 20, "{instances} instances, {memory} bytes");
}

#[test]
fn the_component_decides_as_its_logic_does_natively() {
    let library = builtin_only();
    let policy = library.builtin();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) };
    proptest!(config, |(question in questions(), call in calls(), body in bodies(),
                        settings in proptest::sample::select(SETTINGS))| {
        let material = material_of(call, settings, body.clone());
        agrees(&policy, &question, &material, &body)?;
    });
}

const SETTINGS: &[&str] = &[
    "{}",
    r#"{"prefer": "cheap"}"#,
    r#"{"retry": false, "unknown": [1]}"#,
    r#"{"schema_check": false, "on_content_filter": "reselect"}"#,
    "not json",
];

fn agrees(
    policy: &Policy,
    question: &Question,
    material: &Material,
    body: &Body,
) -> Result<(), TestCaseError> {
    let call = native_call(question, material);
    let candidates: Vec<_> = question.candidates.iter().map(native_candidate).collect();
    let attempts: Vec<_> = question.attempts.iter().map(native_attempt).collect();
    let expected = match question.verb {
        Verb::SelectProvider => selection(decide::select(&call, &candidates, &attempts)),
        Verb::ClassifyError { .. } => decide::classify(&call, &candidates, &attempts)
            .map_or(Opinion::None, |ruling| Opinion::Classify(native_ruling(&ruling))),
        Verb::ValidateOutput { .. } => {
            verdict(decide::validate(&call, &NativeBody(body), &NativeBody(body)))
        }
    };
    prop_assert_eq!(policy.ask(question, material), expected);
    Ok(())
}

prop_compose! {
    fn questions()(
        kind in 0..3_u8,
        candidates in prop::collection::vec(candidate_views(), 1..6),
        attempts in prop::collection::vec(attempt_views(), 1..4),
        time_left in 0..20_000_u64,
        attempts_left in 0..4_u32,
        delivered in prop_oneof![Just(0), 1..500_u32],
        seed: u32,
    ) -> Question {
        let attempt = AttemptId(0);
        let verb = match kind {
            0 => Verb::SelectProvider,
            1 => Verb::ClassifyError { attempt },
            _ => Verb::ValidateOutput { attempt, candidate: CandidateId(0), complete: true },
        };
        Question {
            number: 1,
            verb,
            decider: Decider::BuiltIn,
            time_left: Duration::from_millis(time_left),
            attempts_left,
            delivered,
            now_unix_ms: 1.7e12,
            seed,
            candidates,
            attempts,
        }
    }
}

fn features() -> impl Strategy<Value = Features> {
    prop::collection::vec(any::<bool>(), 6).prop_map(|chosen| {
        let named = Features::NAMES.iter().zip(chosen);
        named.fold(Features::NONE, |set, ((_, feature), yes)| set.with(*feature, yes))
    })
}

const BARS: &[Bar] = &[
    Bar::CircuitOpen,
    Bar::CoolingDown,
    Bar::CredentialOut,
    Bar::Full,
    Bar::TriedOut,
    Bar::Hopeless,
    Bar::OverBudget,
];

prop_compose! {
    fn candidate_views()(
        model in "[ab]",
        priority in 1..3_u32,
        weight in 0..3_u32,
        offers in prop_oneof![Just(Features::ALL), features()],
        context_window in prop::option::of(prop_oneof![Just(100), Just(1_000), Just(10_000_u32)]),
        price in prop::option::of(0.0..10.0_f64),
        load in 0.0..1_000.0_f64,
        cooldown in prop_oneof![Just(0), 0..10_000_u64],
        tried in 0..3_u32,
        barred in prop::option::weighted(0.4, prop::sample::select(BARS)),
    ) -> CandidateView {
        let facts = TargetFacts {
            target: format!("p/{model}"),
            provider: "p".into(),
            model,
            priority,
            weight,
            offers,
            context_window,
            input_price: price,
            output_price: price,
        };
        let cooldown = Duration::from_millis(cooldown);
        let health = HealthView { load, cooldown, ..HealthView::default() };
        CandidateView { facts: Arc::new(facts), health, tried, barred }
    }
}

prop_compose! {
    fn attempt_views()(
        candidate in 0..6_u32,
        class in prop::option::weighted(0.9, prop::sample::select(&FailureClass::ALL[..])),
        status in prop::option::of(prop_oneof![Just(429), Just(500), Just(503_u16)]),
        retry_after in prop::option::of(0..10_000_u64),
    ) -> AttemptView {
        let failure = class.map(|class| Failure {
            phase: Phase::Headers,
            class,
            status,
            code: "code".into(),
            message: "message".into(),
            retry_after: retry_after.map(Duration::from_millis),
        });
        AttemptView {
            candidate: CandidateId(candidate),
            elapsed: Duration::from_millis(10),
            first_token: None,
            failure,
        }
    }
}

prop_compose! {
    fn calls()(
        operation in prop::sample::select(
            &[Operation::Chat, Operation::Responses, Operation::Embeddings, Operation::Other][..]),
        needs in prop_oneof![Just(Features::NONE), Just(Features::JSON_SCHEMA), features()],
        input_tokens in 0..2_000_u32,
        max_output_tokens in prop::option::of(0..2_000_u32),
    ) -> Call {
        Call { operation, needs, input_tokens, max_output_tokens, ..call() }
    }
}

prop_compose! {
    fn bodies()(
        format in prop::option::of(prop::sample::select(&["json_object", "json_schema", "text"][..])),
        complete in prop::bool::weighted(0.9),
        text in "[a-c]{0,2}",
        arguments in prop::option::of(prop::sample::select(&["{}", "", "{", "[1]"][..])),
        finish in prop::sample::select(&[Finish::Stop, Finish::Length, Finish::ToolCalls,
            Finish::ContentFilter, Finish::Refusal, Finish::Other, Finish::Unfinished][..]),
        violations in prop::collection::vec("[a-z]{1,8}", 0..2),
    ) -> Body {
        let json = format.map(|format| ("/response_format/type".to_owned(), format!("{format:?}")));
        let call = |arguments: &str| ToolCall { name: "f".into(), arguments: arguments.into() };
        Body {
            json: json.into_iter().collect(),
            complete,
            text,
            tool_calls: arguments.map(call).into_iter().collect(),
            finish,
            violations,
        }
    }
}

fn native_millis(length: Duration) -> u32 {
    u32::try_from(length.as_millis()).expect("questions here are short")
}

fn native_features(features: Features) -> wit::Features {
    wit::Features::from_bits_retain(features.bits())
}

fn native_call(question: &Question, material: &Material) -> wit::Call {
    let call = &*material.call;
    wit::Call {
        id: call.id.clone(),
        route: material.route.to_string(),
        model: call.model.clone(),
        operation: match call.operation {
            Operation::Chat => wit::Operation::Chat,
            Operation::Responses => wit::Operation::Responses,
            Operation::Embeddings => wit::Operation::Embeddings,
            Operation::Other => wit::Operation::Other,
        },
        needs: native_features(call.needs),
        input_tokens: call.input_tokens,
        max_output_tokens: call.max_output_tokens,
        tenant: None,
        labels: Vec::new(),
        settings: material.settings.to_string(),
        time_left: native_millis(question.time_left),
        attempts_left: question.attempts_left,
        delivered: question.delivered,
        now: question.now_unix_ms,
        seed: question.seed,
    }
}

fn native_candidate(view: &CandidateView) -> wit::Candidate {
    wit::Candidate {
        target: view.facts.target.clone(),
        provider: view.facts.provider.clone(),
        model: view.facts.model.clone(),
        priority: view.facts.priority,
        weight: view.facts.weight,
        offers: native_features(view.facts.offers),
        context_window: view.facts.context_window,
        input_price: view.facts.input_price,
        output_price: view.facts.output_price,
        health: wit::Health {
            circuit: wit::Circuit::Closed,
            cooldown: native_millis(view.health.cooldown),
            samples: 0,
            error_rate: 0.0,
            consecutive_failures: 0,
            in_flight: 0,
            first_token_p50: 0,
            first_token_p95: 0,
            total_p50: 0,
            total_p95: 0,
            load: view.health.load,
            requests_left: None,
            tokens_left: None,
        },
        tried: view.tried,
        barred: view.barred.map(|bar| match bar {
            Bar::CircuitOpen => wit::Bar::CircuitOpen,
            Bar::CoolingDown => wit::Bar::CoolingDown,
            Bar::CredentialOut => wit::Bar::CredentialOut,
            Bar::Full => wit::Bar::Full,
            Bar::TriedOut => wit::Bar::TriedOut,
            Bar::Hopeless => wit::Bar::Hopeless,
            Bar::OverBudget => wit::Bar::OverBudget,
        }),
    }
}

/// In the order of the contract, which is the order of `FailureClass::ALL`.
const CLASSES: [wit::FailureClass; 17] = [
    wit::FailureClass::Network,
    wit::FailureClass::Timeout,
    wit::FailureClass::RateLimited,
    wit::FailureClass::Overloaded,
    wit::FailureClass::ServerError,
    wit::FailureClass::Quota,
    wit::FailureClass::Authentication,
    wit::FailureClass::Permission,
    wit::FailureClass::NotFound,
    wit::FailureClass::BadRequest,
    wit::FailureClass::Unsupported,
    wit::FailureClass::ContextLength,
    wit::FailureClass::ContentFilter,
    wit::FailureClass::InvalidOutput,
    wit::FailureClass::StreamBroken,
    wit::FailureClass::Cancelled,
    wit::FailureClass::Unknown,
];

fn native_attempt(view: &AttemptView) -> wit::Attempt {
    let class = |class| {
        let place = FailureClass::ALL.iter().position(|other| *other == class);
        CLASSES[place.expect("it lists all")]
    };
    wit::Attempt {
        candidate: view.candidate.0,
        elapsed: native_millis(view.elapsed),
        first_token: view.first_token.map(native_millis),
        failure: view.failure.as_ref().map(|failure| wit::Failure {
            phase: wit::Phase::Headers,
            failure_class: class(failure.class),
            status: failure.status,
            code: failure.code.clone(),
            message: failure.message.clone(),
            retry_after: failure.retry_after.map(native_millis),
        }),
    }
}

fn length(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

/// What the built-in never answers would be a fault of its own.
fn selection(selection: wit::Selection) -> Opinion {
    Opinion::Select(match selection {
        wit::Selection::Pick(id) => Selection::Launch(vec![Launch::plain(CandidateId(id))]),
        wit::Selection::Wait(pause) => Selection::Wait(length(pause)),
        wit::Selection::Refuse(refusal) => Selection::Refuse(PolicyRefusal {
            status: refusal.status,
            code: refusal.code,
            message: refusal.message,
            retry_after: refusal.retry_after.map(length),
        }),
        wit::Selection::Launch(_) | wit::Selection::Defer | wit::Selection::Answer(_) => {
            panic!("{selection:?}")
        }
    })
}

fn native_ruling(ruling: &wit::Ruling) -> Ruling {
    let place = CLASSES.iter().position(|class| *class == ruling.failure_class);
    Ruling {
        class: FailureClass::ALL[place.expect("it lists all")],
        counts: ruling.counts,
        cooldown: length(ruling.cooldown),
        next: match ruling.next {
            wit::NextStep::Retry(pause) => NextStep::Retry(length(pause)),
            wit::NextStep::Reselect => NextStep::Reselect,
            wit::NextStep::Surface => NextStep::Surface,
        },
    }
}

fn verdict(verdict: wit::Verdict) -> Opinion {
    Opinion::Validate(match verdict {
        wit::Verdict::Accept => Verdict::Accept,
        wit::Verdict::Amend(text) => Verdict::Amend(text),
        wit::Verdict::Reject(rejection) => {
            Verdict::Reject { reason: rejection.reason, counts: rejection.counts }
        }
    })
}

struct NativeBody<'a>(&'a Body);

impl decide::RequestBody for NativeBody<'_> {
    fn json(&self, pointer: &str) -> Option<String> {
        backstay::policy::RequestView::json(self.0, pointer)
    }
}

impl decide::AnswerBody for NativeBody<'_> {
    fn complete(&self) -> bool {
        self.0.complete
    }

    fn text_length(&self) -> u32 {
        backstay::policy::OutputView::text_length(self.0)
    }

    fn tool_calls(&self) -> Vec<exchange::ToolCall> {
        let call = |call: &ToolCall| exchange::ToolCall {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        self.0.tool_calls.iter().map(call).collect()
    }

    fn finish(&self) -> exchange::Finish {
        match self.0.finish {
            Finish::Stop => exchange::Finish::Stop,
            Finish::Length => exchange::Finish::Length,
            Finish::ToolCalls => exchange::Finish::ToolCalls,
            Finish::ContentFilter => exchange::Finish::ContentFilter,
            Finish::Refusal => exchange::Finish::Refusal,
            Finish::Other => exchange::Finish::Other,
            Finish::Unfinished => exchange::Finish::Unfinished,
        }
    }

    fn violations(&self, _: &str) -> Vec<String> {
        self.0.violations.clone()
    }
}
