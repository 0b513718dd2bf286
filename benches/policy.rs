//! What a decision costs: each verb through a component, with an instance that
//! is reused (the built-in) and a fresh one for every call (a user's policy).

use std::sync::Arc;
use std::time::Duration;

use backstay::failover::attempt::{AttemptView, Failure, Phase};
use backstay::failover::call::{
    AttemptId, Call, CandidateId, CandidateView, Features, HealthView, Operation, TargetFacts,
};
use backstay::failover::classify::FailureClass;
use backstay::failover::consult::{Decider, Question, Verb};
use backstay::failover::time::Timestamp;
use backstay::policy::{
    Compiler, Finish, Library, LibraryConfig, Limits, Material, OutputView, Policy, RequestView,
    ToolCall,
};

fn main() {
    divan::main();
}

const COUNTS: [u32; 2] = [2, 8];

#[divan::bench(args = COUNTS)]
fn select_reused(bencher: divan::Bencher, candidates: u32) {
    bench(bencher, Verb::SelectProvider, candidates, Instances::Reused);
}

#[divan::bench(args = COUNTS)]
fn select_fresh(bencher: divan::Bencher, candidates: u32) {
    bench(bencher, Verb::SelectProvider, candidates, Instances::Fresh);
}

#[divan::bench(args = COUNTS)]
fn classify_reused(bencher: divan::Bencher, candidates: u32) {
    let verb = Verb::ClassifyError { attempt: AttemptId(0) };
    bench(bencher, verb, candidates, Instances::Reused);
}

#[divan::bench(args = COUNTS)]
fn classify_fresh(bencher: divan::Bencher, candidates: u32) {
    let verb = Verb::ClassifyError { attempt: AttemptId(0) };
    bench(bencher, verb, candidates, Instances::Fresh);
}

#[divan::bench(args = COUNTS)]
fn validate_reused(bencher: divan::Bencher, candidates: u32) {
    bench(bencher, VALIDATE, candidates, Instances::Reused);
}

#[divan::bench(args = COUNTS)]
fn validate_fresh(bencher: divan::Bencher, candidates: u32) {
    bench(bencher, VALIDATE, candidates, Instances::Fresh);
}

const VALIDATE: Verb =
    Verb::ValidateOutput { attempt: AttemptId(0), candidate: CandidateId(0), complete: true };

#[derive(Clone, Copy)]
enum Instances {
    Reused,
    Fresh,
}

fn bench(bencher: divan::Bencher, verb: Verb, count: u32, instances: Instances) {
    // The same component under a user's name is given a fresh instance each time.
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    std::fs::write(directory.path().join("mine.wasm"), backstay::policy::BUILT_IN)
        .expect("the directory was just made");
    let library = Library::open(LibraryConfig {
        directory: Some(directory.path().to_owned()),
        limits: Limits::default(),
        clock: Arc::new(|| Timestamp::ORIGIN),
        compiler: Compiler::InProcess,
        cache: None,
    })
    .expect("the built-in loads");
    let policy = match instances {
        Instances::Reused => library.builtin(),
        Instances::Fresh => library.current().policy("mine").expect("it is the built-in's copy"),
    };
    let (question, material) = (question(verb, count), material());
    bencher.bench_local(|| Policy::ask(&policy, &question, &material));
}

fn question(verb: Verb, count: u32) -> Question {
    Question {
        number: 1,
        verb,
        decider: Decider::Policy,
        time_left: Duration::from_mins(2),
        attempts_left: 3,
        delivered: 0,
        now_unix_ms: 1.7e12,
        seed: 7,
        candidates: (0..count).map(candidate).collect(),
        attempts: match verb {
            Verb::SelectProvider | Verb::ValidateOutput { .. } => Vec::new(),
            Verb::ClassifyError { .. } => vec![failed_attempt()],
        },
    }
}

fn candidate(number: u32) -> CandidateView {
    let facts = TargetFacts {
        target: format!("provider-{number}/some-model"),
        provider: format!("provider-{number}"),
        model: "some-model".to_owned(),
        priority: 1,
        weight: 1,
        offers: Features::ALL,
        context_window: Some(128_000),
        input_price: Some(1.0),
        output_price: Some(4.0),
    };
    let health = HealthView { samples: 50, load: f64::from(number), ..HealthView::default() };
    CandidateView { facts: Arc::new(facts), health, tried: 0, barred: None }
}

fn failed_attempt() -> AttemptView {
    AttemptView {
        candidate: CandidateId(0),
        elapsed: Duration::from_millis(20),
        first_token: None,
        failure: Some(Failure {
            phase: Phase::Headers,
            class: FailureClass::ServerError,
            status: Some(500),
            code: "server_error".to_owned(),
            message: "The server had an error while processing your request".to_owned(),
            retry_after: None,
        }),
    }
}

fn material() -> Material {
    let call = Call {
        id: "0123456789abcdef".to_owned(),
        model: "some-model".to_owned(),
        operation: Operation::Chat,
        needs: Features::NONE,
        input_tokens: 1_000,
        max_output_tokens: None,
        tenant: None,
        labels: Vec::new(),
        origin_unix: Duration::ZERO,
        seed: 7,
        own_policy: true,
    };
    Material {
        call: Arc::new(call),
        route: "some-model".into(),
        settings: "{}".into(),
        request: Arc::new(Body),
        output: Some(Arc::new(Body)),
    }
}

struct Body;

impl RequestView for Body {
    fn header(&self, _: &str) -> Option<String> {
        None
    }

    fn json(&self, _: &str) -> Option<String> {
        None
    }
}

impl OutputView for Body {
    fn complete(&self) -> bool {
        true
    }

    fn text(&self, _: u32, _: u32) -> String {
        "An answer.".to_owned()
    }

    fn text_length(&self) -> u32 {
        10
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
