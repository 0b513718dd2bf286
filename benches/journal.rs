//! What the journal costs: a call that hands itself over, and the thread that
//! writes it down.

use std::sync::Arc;
use std::time::Duration;

use backstay::clock::Clock;
use backstay::failover::call::{CandidateView, HealthView};
use backstay::failover::consult::{Launch, Selection};
use backstay::failover::{
    Call, CallRules, Candidate, CandidateId, Decider, Features, Operation, Opinion, Question,
    Route, Target, TargetFacts, TargetRules, Timestamp, Verb,
};
use backstay::journal::{Decision, End, Journal, Record, Settings};
use divan::Bencher;

/// Fewer than the queue holds, so that none is dropped.
const CALLS: usize = 500;

fn main() {
    divan::main();
}

/// A call with two decisions among four targets.
struct Example {
    call: Arc<Call>,
    route: Arc<Route>,
    question: Question,
}

impl Example {
    fn new() -> Self {
        let facts = |n: u32| {
            Arc::new(TargetFacts {
                target: format!("provider-{n}/model"),
                provider: format!("provider-{n}"),
                model: "model".to_owned(),
                priority: n + 1,
                weight: 1,
                offers: Features::ALL,
                context_window: None,
                input_price: None,
                output_price: None,
            })
        };
        let target = |n| Arc::new(Target::new(TargetRules::default(), Arc::default(), n));
        let candidates =
            (0..4).map(|n| Candidate { facts: facts(n), target: target(u64::from(n)) }).collect();
        let view = |n| CandidateView {
            facts: facts(n),
            health: HealthView::default(),
            tried: 0,
            barred: None,
        };
        let question = Question {
            number: 1,
            verb: Verb::SelectProvider,
            decider: Decider::BuiltIn,
            time_left: Duration::from_mins(2),
            attempts_left: 4,
            delivered: 0,
            now_unix_ms: 1.7e12,
            seed: 7,
            candidates: (0..4).map(view).collect(),
            attempts: Vec::new(),
        };
        let call = Call {
            id: "bs-0123456789abcdef".to_owned(),
            model: "model".to_owned(),
            operation: Operation::Chat,
            needs: Features::NONE,
            input_tokens: 100,
            max_output_tokens: None,
            tenant: None,
            labels: Vec::new(),
            origin_unix: Duration::ZERO,
            seed: 7,
            own_policy: false,
        };
        let rules = CallRules::default();
        let route = Route { name: "model".to_owned(), rules, candidates };
        Self { call: Arc::new(call), route: Arc::new(route), question }
    }

    /// What a call copies and hands over.
    fn record(&self) -> Record {
        let launch = Launch::plain(CandidateId(0));
        let decision = || Decision {
            question: self.question.clone(),
            output: None,
            decider: Decider::BuiltIn,
            opinion: Opinion::Select(Selection::Launch(vec![launch.clone()])),
            faults: Vec::new(),
        };
        Record {
            call: Arc::clone(&self.call),
            route: Arc::clone(&self.route),
            settings: "{}".into(),
            policy: ("default".to_owned(), "0123456789abcdef".to_owned()),
            begun: Timestamp::ORIGIN,
            decisions: vec![decision(), decision()],
            left_out: 0,
            end: End {
                at: Timestamp::from_millis(10),
                outcome: "delivered",
                status: 200,
                cause: None,
                attempts: 1,
                target: None,
            },
        }
    }
}

fn journal() -> (tempfile::TempDir, Journal) {
    let home = tempfile::tempdir().expect("there is room for temporary files");
    let settings =
        Settings { directory: home.path().to_owned(), max_file: 64 << 20, max_total: 256 << 20 };
    (home, Journal::start(settings, Clock::start()))
}

/// The calls' part, for 500 of them.
#[divan::bench]
fn hand_over_500_calls(bencher: Bencher) {
    let example = Example::new();
    let (_home, journal) = journal();
    bencher
        .with_inputs(|| assert!(journal.flush(Duration::from_secs(10)), "the disk is slow"))
        .bench_local_values(|()| (0..CALLS).for_each(|_| journal.record(example.record())));
    assert_eq!(journal.status().dropped, 0);
}

/// The same until they are written.
#[divan::bench]
fn write_500_calls(bencher: Bencher) {
    let example = Example::new();
    let (_home, journal) = journal();
    bencher.bench_local(|| {
        (0..CALLS).for_each(|_| journal.record(example.record()));
        assert!(journal.flush(Duration::from_secs(10)), "the disk is slow");
    });
    assert_eq!(journal.status().dropped, 0);
}
