//! What the heart costs: one call from its arrival to its end, and one piece of
//! a stream under way.

use std::sync::Arc;
use std::time::Duration;

use backstay::failover::consult::{Launch, Selection, Verdict};
use backstay::failover::{
    Action, Answer, AttemptId, Call, CallRules, Candidate, CandidateId, Event, Exchange, Features,
    Operation, Opinion, Outcome, Progress, Route, Target, TargetFacts, TargetRules, Timestamp,
};
use divan::Bencher;

fn main() {
    divan::main();
}

fn route(targets: u32) -> Arc<Route> {
    let candidates = (0..targets).map(|n| Candidate {
        facts: Arc::new(TargetFacts {
            target: format!("provider-{n}/model"),
            provider: format!("provider-{n}"),
            model: "model".to_owned(),
            priority: n + 1,
            weight: 1,
            offers: Features::ALL,
            context_window: None,
            input_price: None,
            output_price: None,
        }),
        target: Arc::new(Target::new(TargetRules::default(), Arc::default(), u64::from(n))),
    });
    Arc::new(Route {
        name: "model".to_owned(),
        rules: CallRules::default(),
        candidates: candidates.collect(),
    })
}

fn call(needs: Features) -> Arc<Call> {
    Arc::new(Call {
        id: "bench".to_owned(),
        model: "model".to_owned(),
        operation: Operation::Chat,
        needs,
        input_tokens: 100,
        max_output_tokens: None,
        tenant: None,
        labels: Vec::new(),
        origin_unix: Duration::ZERO,
        seed: 7,
        own_policy: false,
    })
}

/// Tells the exchange, and answers its questions: the first target, accepted.
fn tell(exchange: &mut Exchange, event: Event, now: Timestamp) {
    let mut next = Some(event);
    while let Some(event) = next.take() {
        for action in exchange.on(event, now) {
            if let Action::Consult(question) = action {
                let opinion = match question.verb {
                    backstay::failover::Verb::SelectProvider => {
                        Opinion::Select(Selection::Launch(vec![Launch::plain(CandidateId(0))]))
                    }
                    backstay::failover::Verb::ValidateOutput { .. } => {
                        Opinion::Validate(Verdict::Accept)
                    }
                    backstay::failover::Verb::ClassifyError { .. } => Opinion::None,
                };
                next = Some(Event::Answered(Answer { number: question.number, opinion }));
            }
        }
    }
}

/// A whole call that goes well, without anything around it.
#[divan::bench(args = [2, 8])]
fn a_call(bencher: Bencher<'_, '_>, targets: u32) {
    let (route, call) = (route(targets), call(Features::NONE));
    let mut ms = 0;
    bencher.bench_local(|| {
        ms += 1;
        let now = Timestamp::from_millis(ms);
        let mut exchange = Exchange::new(Arc::clone(&call), Arc::clone(&route), now);
        tell(&mut exchange, Event::Begin, now);
        tell(&mut exchange, Event::Progress(AttemptId(0), Progress::Headers), now);
        tell(&mut exchange, Event::Ended(AttemptId(0), Outcome::Completed), now);
        assert!(exchange.is_over());
    });
}

/// One piece of content of a stream that was committed.
#[divan::bench]
fn a_step(bencher: Bencher<'_, '_>) {
    let now = Timestamp::from_millis(1);
    let mut exchange = Exchange::new(call(Features::STREAMING), route(2), now);
    tell(&mut exchange, Event::Begin, now);
    tell(&mut exchange, Event::Progress(AttemptId(0), Progress::Headers), now);
    let content = Progress::Content { text: 5, blank: false, continuable: true };
    tell(&mut exchange, Event::Progress(AttemptId(0), content), now);
    bencher.bench_local(|| {
        let actions = exchange.on(Event::Progress(AttemptId(0), content), now);
        (actions.len(), exchange.wake_at())
    });
}
