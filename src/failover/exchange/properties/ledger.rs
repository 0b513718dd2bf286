//! An exchange under watch: every action is held to the promises of the heart.

use std::sync::Arc;

use crate::failover::call::{AttemptId, CandidateId};
use crate::failover::consult::{Answer, Opinion, Question};
use crate::failover::exchange::script::is_last;
use crate::failover::exchange::{Action, Delivery, Event, Exchange, Route, Start};
use crate::failover::{Call, Note, Outcome, Timestamp};

/// No call may ask more than this, whatever its policy answers.
const MOST_QUESTIONS: u32 = 512;

pub(super) struct Watched {
    exchange: Exchange,
    call: Arc<Call>,
    route: Arc<Route>,
    deadline: Timestamp,
    attempts: Vec<Tracked>,
    /// The latest question, and whether it was answered.
    asked: Option<Question>,
    answered: bool,
    committed: bool,
    finals: u32,
    gone: bool,
    said: Vec<String>,
}

/// What was said of an attempt.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name")]
struct Tracked {
    candidate: CandidateId,
    continues: bool,
    /// Neither aborted nor reported as ended.
    running: bool,
    /// Its request could not be put to the target, which costs no attempt.
    unsent: bool,
    /// A note of its start, and of its end.
    noted: (bool, bool),
    delivered: bool,
}

impl Watched {
    pub(super) fn new(call: Arc<Call>, route: Arc<Route>, now: Timestamp) -> Self {
        Self {
            exchange: Exchange::new(Arc::clone(&call), Arc::clone(&route), now),
            deadline: now + route.rules.deadline,
            call,
            route,
            attempts: Vec::new(),
            asked: None,
            answered: true,
            committed: false,
            finals: 0,
            gone: false,
            said: Vec::new(),
        }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.exchange.wake_at()
    }

    pub(super) const fn is_over(&self) -> bool {
        self.exchange.is_over()
    }

    /// The question that waits for its answer.
    pub(super) fn question(&self) -> Option<&Question> {
        self.asked.as_ref().filter(|_| !self.answered && !self.is_over())
    }

    /// The attempt with this number, counted round; of the highest there is none.
    pub(super) fn attempt(&self, number: u32) -> AttemptId {
        let count = u32::try_from(self.attempts.len()).expect("few").max(1);
        AttemptId(if number == u32::MAX { number } else { number % count })
    }

    /// An answer to the latest question.
    pub(super) fn answer(&self, opinion: Opinion) -> Answer {
        Answer { number: self.asked.as_ref().map_or(0, |question| question.number), opinion }
    }

    pub(super) fn tell(&mut self, event: Event, now: Timestamp) {
        let was_over = self.is_over();
        match &event {
            Event::Answered(answer) => {
                self.answered |= self.asked.as_ref().is_some_and(|q| q.number == answer.number);
            }
            Event::Ended(id, outcome) => {
                if let Some(attempt) = self.attempts.get_mut(id.index()) {
                    attempt.unsent |= attempt.running
                        && matches!(
                            outcome,
                            Outcome::Unsupported { .. } | Outcome::Unreadable { .. }
                        );
                    attempt.running = false;
                }
            }
            Event::ClientGone => self.gone |= !was_over,
            Event::Begin | Event::Progress(..) | Event::Halted | Event::Woke => {}
        }
        let actions = self.exchange.on(event, now);
        assert!(!was_over || actions.is_empty(), "said after the end: {actions:?}");
        for action in actions {
            self.said.push(format!("{now:?} {action:?}"));
            self.hold_to(action, now);
        }
        assert_eq!(self.is_over(), self.finals == 1 || self.gone, "over with a last word only");
        assert_eq!(self.wake_at().is_none(), self.is_over(), "woken until the end");
    }

    fn hold_to(&mut self, action: Action, now: Timestamp) {
        assert_eq!(self.finals, 0, "something after the last word: {action:?}");
        self.finals += u32::from(is_last(&action));
        match action {
            Action::Consult(question) => self.consulted(*question),
            Action::Start(start) => self.started(&start, now),
            Action::Abort(id) => {
                let attempt = &mut self.attempts[id.index()];
                assert!(std::mem::take(&mut attempt.running), "{id:?} was over, and is aborted");
            }
            Action::Deliver(delivery) => self.delivered(&delivery),
            Action::Finish => assert!(self.committed, "the end of no answer"),
            Action::Refuse(refusal) => {
                assert!((400..600).contains(&refusal.status), "refused with {}", refusal.status);
            }
            Action::Park => assert!(!self.committed, "half an answer was parked"),
            Action::Record(note) => self.noted(&note),
        }
    }

    fn consulted(&mut self, question: Question) {
        assert!(self.answered, "two questions at a time");
        let before = self.asked.as_ref().map_or(0, |question| question.number);
        assert_eq!(question.number, before + 1, "questions are counted");
        assert!(question.number <= MOST_QUESTIONS, "asked without end");
        self.answered = false;
        self.asked = Some(question);
    }

    fn started(&mut self, start: &Start, now: Timestamp) {
        assert!(now < self.deadline, "started at {now:?}, the deadline being {:?}", self.deadline);
        assert_eq!(start.continues, self.committed, "after the commit only a continuation");
        assert!(!self.is_being_delivered(), "started beside the answer");
        assert_eq!(start.attempt.index(), self.attempts.len(), "attempts are counted");
        self.attempts.push(Tracked {
            candidate: start.candidate,
            continues: start.continues,
            running: true,
            unsent: false,
            noted: (true, false),
            delivered: false,
        });
        let there = self.attempts.iter().filter(|a| a.candidate == start.candidate).count();
        let rules = &self.route.rules;
        let sent = self.attempts.iter().filter(|attempt| !attempt.unsent).count();
        assert!(sent <= rules.attempts as usize, "too many attempts");
        assert!(there <= rules.attempts_per_target as usize, "too many attempts at one target");
    }

    fn is_being_delivered(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.delivered && attempt.running)
    }

    fn delivered(&mut self, delivery: &Delivery) {
        assert!(!self.is_being_delivered(), "two answers at once");
        match delivery {
            Delivery::Attempt { attempt, .. } => {
                let attempt = &mut self.attempts[attempt.index()];
                assert_eq!(attempt.continues, self.committed, "one answer, and what continues it");
                assert!(!std::mem::replace(&mut attempt.delivered, true), "delivered twice");
            }
            Delivery::Text(_) => assert!(!self.committed, "one answer only"),
        }
        self.committed = true;
    }

    fn noted(&mut self, note: &Note) {
        if let Note::Ended { attempt: AttemptId(n), .. } = note {
            let attempt = &mut self.attempts[*n as usize];
            let ended_before = std::mem::replace(&mut attempt.noted.1, true);
            assert!(!ended_before, "attempt {n} ended twice");
        }
    }

    /// Ends the watch and drops the exchange; gives back what was said.
    pub(super) fn close(self) -> Vec<String> {
        if self.is_over() {
            for attempt in &self.attempts {
                assert!(!attempt.running, "left running: {attempt:?}");
                assert!(attempt.noted.1, "without an end: {attempt:?}");
            }
        }
        self.said
    }
}
