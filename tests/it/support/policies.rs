//! Questions, material and libraries for tests of policies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backstay::failover::attempt::{AttemptView, Failure, Phase};
use backstay::failover::call::{
    AttemptId, Call, CandidateId, CandidateView, Features, HealthView, Operation, TargetFacts,
};
use backstay::failover::classify::FailureClass;
use backstay::failover::consult::{Decider, Question, Verb};
use backstay::failover::time::Timestamp;
use backstay::policy::{
    Compiler, Finish, Library, LibraryConfig, Limits, Material, OutputView, Policy, PolicyStatus,
    RequestView, ToolCall,
};

/// A clock that tests move.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn advance(&self, length: Duration) {
        let millis = u64::try_from(length.as_millis()).expect("a test is short");
        self.0.fetch_add(millis, Ordering::Relaxed);
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

pub fn config(directory: Option<&Path>, clock: &TestClock) -> LibraryConfig {
    let clock = clock.clone();
    LibraryConfig {
        directory: directory.map(PathBuf::from),
        limits: Limits::default(),
        clock: Arc::new(move || clock.now()),
        compiler: Compiler::InProcess,
        cache: None,
    }
}

/// A library with only the built-in.
pub fn builtin_only() -> Library {
    Library::open(config(None, &TestClock::default())).expect("the built-in loads")
}

/// A directory with these policies, and a library over it.
pub fn library_of(policies: &[(&str, &[u8])], limits: Limits, clock: &TestClock) -> Fixture {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    for (name, component) in policies {
        let path = directory.path().join(format!("{name}.wasm"));
        std::fs::write(path, component).expect("the directory was just made");
    }
    let config = LibraryConfig { limits, ..config(Some(directory.path()), clock) };
    let library = Library::open(config).expect("the built-in loads");
    Fixture { library, directory }
}

/// A library, and the directory it watches as long as it lives.
pub struct Fixture {
    pub library: Library,
    pub directory: tempfile::TempDir,
}

impl Fixture {
    pub fn policy(&self, name: &str) -> Arc<Policy> {
        let found = self.library.current().policy(name);
        found.unwrap_or_else(|| panic!("no {name}: {:?}", self.library.status()))
    }

    pub fn status(&self, name: &str) -> PolicyStatus {
        let found = self.library.status().into_iter().find(|status| status.name == name);
        found.unwrap_or_else(|| panic!("no status of {name}"))
    }
}

pub fn select(candidates: Vec<CandidateView>) -> Question {
    Question {
        number: 1,
        verb: Verb::SelectProvider,
        decider: Decider::Policy,
        time_left: Duration::from_mins(2),
        attempts_left: 4,
        delivered: 0,
        now_unix_ms: 1.7e12,
        seed: 7,
        candidates,
        attempts: Vec::new(),
    }
}

pub fn classify(candidates: Vec<CandidateView>, class: FailureClass) -> Question {
    let failure = Failure {
        phase: Phase::Headers,
        class,
        status: Some(500),
        code: String::new(),
        message: String::new(),
        retry_after: None,
    };
    let attempt = AttemptView {
        candidate: CandidateId(0),
        elapsed: Duration::from_millis(30),
        first_token: None,
        failure: Some(failure),
    };
    Question {
        verb: Verb::ClassifyError { attempt: AttemptId(0) },
        attempts: vec![attempt],
        ..select(candidates)
    }
}

pub fn validate(candidates: Vec<CandidateView>) -> Question {
    let verb =
        Verb::ValidateOutput { attempt: AttemptId(0), candidate: CandidateId(0), complete: true };
    Question { verb, ..select(candidates) }
}

/// Candidates `t0/m`, `t1/m` … of tiers 1, 2 …
pub fn candidates(count: u32) -> Vec<CandidateView> {
    let candidate = |number: u32| {
        let facts = TargetFacts {
            target: format!("t{number}/m"),
            provider: format!("t{number}"),
            model: "m".into(),
            priority: number + 1,
            weight: 1,
            offers: Features::ALL,
            context_window: None,
            input_price: None,
            output_price: None,
        };
        CandidateView {
            facts: Arc::new(facts),
            health: HealthView::default(),
            tried: 0,
            barred: None,
        }
    };
    (0..count).map(candidate).collect()
}

pub fn call() -> Call {
    Call {
        id: "0123456789abcdef".into(),
        model: "m".into(),
        operation: Operation::Chat,
        needs: Features::NONE,
        input_tokens: 100,
        max_output_tokens: None,
        tenant: None,
        labels: Vec::new(),
        origin_unix: Duration::ZERO,
        seed: 7,
        own_policy: true,
    }
}

pub fn material(settings: &str) -> Material {
    material_of(call(), settings, Body::default())
}

pub fn material_of(call: Call, settings: &str, body: Body) -> Material {
    let body = Arc::new(body);
    Material {
        call: Arc::new(call),
        route: "route".into(),
        settings: settings.into(),
        request: Arc::clone(&body) as Arc<dyn RequestView>,
        output: Some(body),
    }
}

/// A request and an answer, as data.
#[derive(Clone, Debug)]
pub struct Body {
    pub json: Vec<(String, String)>,
    pub complete: bool,
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
    pub finish: Finish,
    pub violations: Vec<String>,
}

impl Default for Body {
    fn default() -> Self {
        Self {
            json: Vec::new(),
            complete: true,
            text: "An answer.".into(),
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            violations: Vec::new(),
        }
    }
}

impl RequestView for Body {
    fn header(&self, _: &str) -> Option<String> {
        None
    }

    fn json(&self, pointer: &str) -> Option<String> {
        self.json.iter().find(|(name, _)| name == pointer).map(|(_, value)| value.clone())
    }
}

impl OutputView for Body {
    fn complete(&self) -> bool {
        self.complete
    }

    fn text(&self, offset: u32, limit: u32) -> String {
        self.text.chars().skip(offset as usize).take(limit as usize).collect()
    }

    fn text_length(&self) -> u32 {
        u32::try_from(self.text.len()).expect("texts are short")
    }

    fn tool_calls(&self) -> Vec<ToolCall> {
        self.tool_calls.clone()
    }

    fn finish(&self) -> Finish {
        self.finish
    }

    fn violations(&self, _: &str) -> Vec<String> {
        self.violations.clone()
    }
}
