//! What holds for every call whatever happens: random worlds, random events
//! (also nonsense ones) and random opinions (also inadmissible ones).
//!
//! `generate` makes the plans, `ledger` holds the promises; here they meet.

mod generate;
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::Event;
use super::script::stand_in;
use crate::failover::consult::Answer;
use crate::failover::health::Ask;
use crate::failover::{Opinion, Timestamp, Verb};
use generate::{Plan, Step, Stroke};
use ledger::Watched;

/// Wake-ups at one moment that may pass before time must go on: each ends, or
/// starts, an attempt of at most a handful.
const WAKES_AT_ONCE: u32 = 32;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_promise_is_kept(plan in generate::plan()) {
        let first = Run::new(&plan).play(&plan);
        let second = Run::new(&plan).play(&plan);
        prop_assert_eq!(first, second, "the same seed and events gave other actions");
    }
}

/// Two calls to the same targets.
struct Run {
    watched: Vec<Watched>,
    now: Timestamp,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let route = Arc::new(plan.route());
        let calls = [plan.seed, plan.seed ^ 1].map(|seed| plan.call(seed));
        let watched = calls.map(|call| Watched::new(call, Arc::clone(&route), Timestamp::ORIGIN));
        Self { watched: watched.into(), now: Timestamp::ORIGIN }
    }

    /// Plays the plan; gives back all that was said.
    fn play(mut self, plan: &Plan) -> Vec<String> {
        for stroke in &plan.strokes {
            self.strike(stroke);
        }
        if plan.to_the_end {
            self.play_out();
        }
        self.settle(plan)
    }

    fn strike(&mut self, stroke: &Stroke) {
        self.now = self.now + stroke.after;
        let watched = &mut self.watched[stroke.call];
        let event = match &stroke.step {
            Step::Begin => Event::Begin,
            Step::Woke => Event::Woke,
            Step::Gone => Event::ClientGone,
            Step::Progress(n, progress) => Event::Progress(watched.attempt(*n), *progress),
            Step::Ended(n, outcome) => Event::Ended(watched.attempt(*n), outcome.clone()),
            Step::Answer(opinion) => Event::Answered(watched.answer(opinion.clone())),
            Step::AnswerLate(opinion) => {
                let Answer { number, opinion } = watched.answer(opinion.clone());
                Event::Answered(Answer { number: number.saturating_sub(1), opinion })
            }
            Step::Fitting(selection, ruling, verdict) => {
                let opinion = match watched.question().map(|question| question.verb) {
                    Some(Verb::SelectProvider) => Opinion::Select(selection.clone()),
                    Some(Verb::ClassifyError { .. }) => Opinion::Classify(ruling.clone()),
                    Some(Verb::ValidateOutput { .. }) => Opinion::Validate(verdict.clone()),
                    None => Opinion::None,
                };
                Event::Answered(watched.answer(opinion))
            }
            Step::BuiltIn => {
                let opinion = watched.question().map(|q| stand_in(watched.call(), q));
                Event::Answered(watched.answer(opinion.unwrap_or(Opinion::None)))
            }
        };
        watched.tell(event, self.now);
    }

    /// Lets time pass until both calls are over: questions are answered by the
    /// stand-in, attempts stay silent.
    fn play_out(&mut self) {
        let mut wakes_at_once = 0;
        loop {
            for n in 0..self.watched.len() {
                while self.watched[n].question().is_some() {
                    let after = Duration::ZERO;
                    self.strike(&Stroke { after, call: n, step: Step::BuiltIn });
                }
            }
            let wakes = self.watched.iter().enumerate();
            let next = wakes.filter_map(|(n, w)| Some((w.wake_at()?, n))).min();
            let Some((at, n)) = next else { break };
            wakes_at_once = if at > self.now { 0 } else { wakes_at_once + 1 };
            assert!(wakes_at_once <= WAKES_AT_ONCE, "woken again and again at {:?}", self.now);
            self.now = self.now.max(at);
            self.watched[n].tell(Event::Woke, self.now);
        }
        assert!(self.watched.iter().all(Watched::is_over), "nothing to wait for, and not over");
    }

    /// Both calls end, one way or the other: what they held is given back.
    fn settle(self, plan: &Plan) -> Vec<String> {
        let route = Arc::clone(self.watched[0].route());
        let said = self.watched.into_iter().flat_map(Watched::close).collect();
        let much_later = self.now + Duration::from_hours(100);
        for candidate in &route.candidates {
            let in_flight = candidate.target.snapshot(self.now).in_flight;
            assert_eq!(in_flight, 0, "in flight at {}", candidate.facts.target);
            let start = candidate.target.start(Ask::default(), much_later);
            assert!(start.is_ok(), "{start:?} of {} after {plan:?}", candidate.facts.target);
        }
        said
    }
}
