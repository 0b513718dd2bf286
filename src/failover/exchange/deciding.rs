//! Putting questions and applying answers. The route's policy is asked first,
//! then the built-in, and in the end `fallback` decides.

use std::time::Duration;

use super::{
    Action, Answer, Asking, Attempt, AttemptState, Delivery, Exchange, Matter, Part, Question,
};
use crate::failover::attempt::AttemptView;
use crate::failover::backoff::full_jitter;
use crate::failover::call::{AttemptId, CandidateId, CandidateView};
use crate::failover::consult::{
    Admission, Decider, NextStep, Opinion, Ruling, Selection, Verb, Verdict,
};
use crate::failover::note::{FaultKind, Note};
use crate::failover::rules::CallRules;
use crate::failover::time::Timestamp;
use crate::failover::{Failure, Outcome, classify, fallback};

/// From this many questions on, a policy is not asked any more, and after as
/// many again nobody is: one that only ever answers "wait a moment" must not be
/// asked for two minutes.
const MOST_QUESTIONS: u32 = 256;
/// The shortest wait a policy can ask for.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

impl Exchange {
    /// Starts deciding a matter, unless the course of things has settled it.
    pub(super) fn take_up(&mut self, matter: Matter, now: Timestamp) {
        if !self.stands(matter) {
            return;
        }
        if let Matter::Validate(id, Part::Beginning) = matter
            && self.attempts[id.index()].continues
        {
            // The beginning of a continuation is in the middle of an answer:
            // there is nothing yet that a policy could judge.
            self.deliver(id, None, now);
            return;
        }
        if let Matter::Validate(id, Part::Whole) = matter
            && self.attempts[id.index()].overflowed
        {
            // It was handed on unread: there is no text that could be judged.
            self.accept(id, None, now);
            return;
        }
        let first = if self.call.own_policy { Decider::Policy } else { Decider::BuiltIn };
        let seed = self.rng.next_u32();
        self.ask(matter, first, seed, now);
    }

    /// Whether the matter is still to be decided: an attempt may have ended, or
    /// the client's answer been found, since it came up.
    fn stands(&self, matter: Matter) -> bool {
        match matter {
            Matter::Select => self.is_idle(),
            Matter::Validate(id, Part::Beginning) => {
                matches!(self.state(id), AttemptState::Running) && !self.is_taken()
            }
            Matter::Classify(id) | Matter::Validate(id, Part::Whole) => {
                matches!(self.state(id), AttemptState::Ended { .. })
            }
        }
    }

    /// Whether the client's answer comes from an attempt that still stands.
    pub(super) fn is_taken(&self) -> bool {
        self.committed.is_some_and(|id| !self.attempts[id.index()].is_settled())
    }

    fn state(&self, id: AttemptId) -> &AttemptState {
        &self.attempts[id.index()].state
    }

    fn ask(&mut self, matter: Matter, decider: Decider, seed: u32, now: Timestamp) {
        let decider = self.still_asked(decider);
        if decider == Decider::Fallback {
            self.fall_back(matter, now);
            return;
        }
        let question = self.question(matter, decider, seed, now);
        self.asking = Some(Asking { number: question.number, matter, decider, seed });
        self.actions.push(Action::Consult(Box::new(question)));
    }

    /// Who is asked in place of one that had its questions.
    const fn still_asked(&self, decider: Decider) -> Decider {
        match decider {
            _ if self.questions >= 2 * MOST_QUESTIONS => Decider::Fallback,
            Decider::Policy if self.questions >= MOST_QUESTIONS => Decider::BuiltIn,
            Decider::Policy | Decider::BuiltIn | Decider::Fallback => decider,
        }
    }

    fn question(
        &mut self,
        matter: Matter,
        decider: Decider,
        seed: u32,
        now: Timestamp,
    ) -> Question {
        self.questions += 1;
        let last = match matter {
            Matter::Classify(id) => Some(id),
            Matter::Select | Matter::Validate(..) => None,
        };
        Question {
            number: self.questions,
            verb: self.verb(matter),
            decider,
            time_left: self.deadline.since(now),
            attempts_left: self.attempts_left(),
            delivered: self.delivered,
            now_unix_ms: (now + self.call.origin_unix).since_origin().as_millis() as f64,
            seed,
            candidates: self.candidate_views(now),
            attempts: self.attempt_views(last, now),
        }
    }

    fn verb(&self, matter: Matter) -> Verb {
        match matter {
            Matter::Select => Verb::SelectProvider,
            Matter::Classify(attempt) => Verb::ClassifyError { attempt },
            Matter::Validate(attempt, part) => Verb::ValidateOutput {
                attempt,
                candidate: self.attempts[attempt.index()].launch.candidate,
                complete: part == Part::Whole,
            },
        }
    }

    fn candidate_views(&self, now: Timestamp) -> Vec<CandidateView> {
        let bars = self.bars(now);
        let ids = (0..).map(CandidateId);
        let candidates = ids.zip(&self.route.candidates).zip(bars);
        candidates
            .map(|((id, candidate), barred)| CandidateView {
                facts: candidate.facts.clone(),
                health: candidate.target.snapshot(now),
                tried: self.tried(id),
                barred,
            })
            .collect()
    }

    /// The finished attempts; `last` goes to the end.
    fn attempt_views(&self, last: Option<AttemptId>, now: Timestamp) -> Vec<AttemptView> {
        let others = self.numbered().filter(|(id, _)| Some(*id) != last);
        let asked = last.map(|id| (id, &self.attempts[id.index()]));
        others.chain(asked).filter_map(|(_, attempt)| attempt.view(now)).collect()
    }

    pub(super) fn answered(&mut self, answer: Answer, now: Timestamp) {
        let Some(asking) = self.asking.take_if(|asking| asking.number == answer.number) else {
            return;
        };
        let Asking { matter, decider, seed, .. } = asking;
        if !self.stands(matter) {
            return;
        }
        let verb = self.verb(matter).label();
        let reason = match self.usable(matter, &answer.opinion, now) {
            Ok(true) => {
                let answer_text = answer.opinion.describe();
                self.note(Note::Decided { verb, decider, answer: answer_text });
                self.apply(matter, decider, answer.opinion, now);
                return;
            }
            Ok(false) => {
                self.note(Note::PassedOver { verb, decider });
                None
            }
            Err(reason) => Some(reason),
        };
        if let Some(reason) = reason {
            let fault = match answer.opinion {
                Opinion::Fault { .. } => FaultKind::Failed,
                Opinion::Unasked { .. } => FaultKind::NotAsked,
                Opinion::None
                | Opinion::Select(_)
                | Opinion::Classify(_)
                | Opinion::Validate(_) => FaultKind::Inadmissible,
            };
            self.note(Note::Faulted { verb, decider, reason, fault });
        }
        self.ask_next(matter, decider, seed, now);
    }

    /// Whether the opinion answers the matter and can be done; `Ok(false)` is
    /// no opinion.
    fn usable(&self, matter: Matter, opinion: &Opinion, now: Timestamp) -> Result<bool, String> {
        let admission = Admission {
            candidates: self.route.candidates.len(),
            time_left: self.deadline.since(now),
            attempts_left: self.attempts_left(),
            cooldown_max: self.route.rules.cooldown_max,
            committed: self.committed.is_some(),
        };
        admission.admit(self.verb(matter), opinion)
    }

    fn ask_next(&mut self, matter: Matter, decider: Decider, seed: u32, now: Timestamp) {
        let next = match decider {
            Decider::Policy => Decider::BuiltIn,
            Decider::BuiltIn | Decider::Fallback => Decider::Fallback,
        };
        self.ask(matter, next, seed, now);
    }

    fn fall_back(&mut self, matter: Matter, now: Timestamp) {
        let opinion = match matter {
            Matter::Select => Opinion::Select(fallback::select(&self.candidate_views(now))),
            Matter::Classify(id) => match self.failure(id) {
                Some(failure) => Opinion::Classify(fallback::classify(&failure)),
                None => return,
            },
            Matter::Validate(..) => Opinion::Validate(fallback::validate()),
        };
        let verb = self.verb(matter).label();
        self.note(Note::Decided { verb, decider: Decider::Fallback, answer: opinion.describe() });
        self.apply(matter, Decider::Fallback, opinion, now);
    }

    /// Does what was decided.
    fn apply(&mut self, matter: Matter, decider: Decider, opinion: Opinion, now: Timestamp) {
        match (matter, opinion) {
            (Matter::Select, Opinion::Select(selection)) => self.select(selection, decider, now),
            (Matter::Classify(id), Opinion::Classify(ruling)) => self.rule(id, &ruling, now),
            (Matter::Validate(id, part), Opinion::Validate(verdict)) => {
                self.judge(id, part, verdict, now);
            }
            (
                Matter::Select | Matter::Classify(_) | Matter::Validate(..),
                Opinion::None
                | Opinion::Fault { .. }
                | Opinion::Unasked { .. }
                | Opinion::Select(_)
                | Opinion::Classify(_)
                | Opinion::Validate(_),
            ) => {}
        }
    }

    fn select(&mut self, selection: Selection, decider: Decider, now: Timestamp) {
        match selection {
            Selection::Launch(launches) => {
                if self.plan(launches, now) {
                    return;
                }
                if decider == Decider::Fallback {
                    self.give_up(now);
                } else {
                    let seed = self.rng.next_u32();
                    self.ask_next(Matter::Select, decider, seed, now);
                }
            }
            Selection::Wait(length) => {
                let length = length.max(SHORTEST_WAIT);
                self.note(Note::Waiting { length });
                self.waiting_until = Some(now + length);
            }
            Selection::Defer => self.park(now),
            Selection::Answer(text) => {
                self.end(now);
                self.actions.push(Action::Deliver(Delivery::Text(text)));
            }
            Selection::Refuse(refusal) => self.refuse_by(refusal, decider, now),
        }
    }

    fn rule(&mut self, id: AttemptId, ruling: &Ruling, now: Timestamp) {
        let retry_after = self.settle_failed(id, ruling, now);
        let candidate = self.attempts[id.index()].launch.candidate;
        match ruling.next {
            NextStep::Surface => self.surface(id, now),
            NextStep::Reselect => self.move_on(now),
            NextStep::Retry(pause) => {
                let can = ruling.class.may_pass() && self.may_retry(candidate) && self.may_go_on();
                match self.pause(candidate, pause, retry_after, now) {
                    Some(pause) if can => self.retry(id, pause, now),
                    Some(_) | None => self.move_on(now),
                }
            }
        }
    }

    /// How long to wait before the same target is tried again: as ruled, or by
    /// the route's schedule if no pause was, and never sooner than the provider
    /// asked. `None` if that is not worth waiting for, or would come too late.
    fn pause(
        &mut self,
        candidate: CandidateId,
        ruled: Duration,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Option<Duration> {
        let CallRules { retry_after_wait, backoff_base, backoff_max, .. } = self.route.rules;
        let asked = retry_after.unwrap_or_default();
        if asked > retry_after_wait {
            return None;
        }
        let pause = if ruled.is_zero() && asked.is_zero() {
            let earlier = self.tried(candidate).saturating_sub(1);
            full_jitter(backoff_base, backoff_max, earlier, &mut self.rng)
        } else {
            ruled.max(asked)
        };
        (now + pause < self.deadline).then_some(pause)
    }

    fn judge(&mut self, id: AttemptId, part: Part, verdict: Verdict, now: Timestamp) {
        match (part, verdict) {
            (Part::Beginning, Verdict::Accept) => self.deliver(id, None, now),
            (Part::Beginning, Verdict::Amend(text)) => self.deliver(id, Some(text), now),
            (Part::Whole, Verdict::Accept) => self.accept(id, None, now),
            (Part::Whole, Verdict::Amend(text)) => self.accept(id, Some(text), now),
            (Part::Beginning | Part::Whole, Verdict::Reject { reason, counts }) => {
                self.reject(id, reason, counts, now);
            }
        }
    }

    pub(super) fn failure(&self, id: AttemptId) -> Option<Failure> {
        let attempt = &self.attempts[id.index()];
        match &attempt.state {
            AttemptState::Ended { outcome, .. } => classify::failure(outcome, attempt.phase),
            AttemptState::Settled { failure, .. } => failure.clone(),
            AttemptState::Running => None,
        }
    }
}

impl Attempt {
    fn view(&self, now: Timestamp) -> Option<AttemptView> {
        let (at, failure) = match &self.state {
            AttemptState::Running => return None,
            AttemptState::Ended { outcome: Outcome::Completed, .. } => return None,
            AttemptState::Ended { outcome, at } => (*at, classify::failure(outcome, self.phase)),
            AttemptState::Settled { at, failure } => (*at, failure.clone()),
        };
        Some(AttemptView {
            candidate: self.launch.candidate,
            elapsed: at.min(now).since(self.started),
            first_token: self.first_token,
            failure,
        })
    }
}
