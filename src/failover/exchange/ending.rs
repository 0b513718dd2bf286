//! Settling attempts, and ending the whole: the commit, the end of the answer,
//! the refusal.

use std::time::Duration;

use super::{Action, AttemptState, Delivery, Exchange};
use crate::failover::attempt::{Failure, Outcome, Phase};
use crate::failover::call::{AttemptId, Bar, CandidateId};
use crate::failover::classify::{FailureClass, Weight};
use crate::failover::consult::{Decider, NextStep, PolicyRefusal, Ruling};
use crate::failover::fallback;
use crate::failover::health::{HealthChange, Observation};
use crate::failover::note::Note;
use crate::failover::refusal::{self, Cause, LONGEST_RETRY_AFTER, Refusal, SHORTEST_RETRY_AFTER};
use crate::failover::time::Timestamp;

impl Exchange {
    /// The commit: this attempt's answer goes to the client, the others end.
    pub(super) fn deliver(&mut self, id: AttemptId, amended: Option<String>, now: Timestamp) {
        let held = amended.as_ref().map_or(self.attempts[id.index()].text, |text| {
            u32::try_from(text.len()).unwrap_or(u32::MAX)
        });
        self.delivered = self.delivered.saturating_add(held);
        self.committed = Some(id);
        self.cancel_others(id, now);
        self.note(Note::Committed { attempt: id });
        self.actions.push(Action::Deliver(Delivery::Attempt { attempt: id, amended }));
    }

    /// A whole answer was accepted.
    pub(super) fn accept(&mut self, id: AttemptId, amended: Option<String>, now: Timestamp) {
        if self.committed != Some(id) {
            self.deliver(id, amended, now);
        }
        self.settle_succeeded(id, now);
        self.actions.push(Action::Finish);
        self.end(now);
    }

    /// An answer, or the beginning of one, was rejected.
    pub(super) fn reject(&mut self, id: AttemptId, reason: String, counts: bool, now: Timestamp) {
        let attempt = &mut self.attempts[id.index()];
        if matches!(attempt.state, AttemptState::Running) {
            self.actions.push(Action::Abort(id));
        }
        attempt.state = AttemptState::Ended { outcome: Outcome::Rejected { reason }, at: now };
        let ruling = Ruling {
            class: FailureClass::InvalidOutput,
            counts,
            cooldown: Duration::ZERO,
            next: NextStep::Reselect,
        };
        self.settle_failed(id, &ruling, now);
        if self.committed == Some(id) {
            self.refuse_with(Cause::Rejected, now);
        } else {
            self.move_on(now);
        }
    }

    /// After a failure: on to what is planned, or to the next question; after
    /// the commit only if the text can be continued.
    pub(super) fn move_on(&mut self, now: Timestamp) {
        if !self.may_go_on() {
            self.refuse_with(Cause::Exhausted, now);
        } else if self.attempts_left() == 0 && self.is_idle() {
            self.give_up(now);
        }
    }

    /// Whether another attempt could still serve the client.
    pub(super) fn may_go_on(&self) -> bool {
        let Some(id) = self.committed else { return true };
        let attempt = &self.attempts[id.index()];
        attempt.continuable
            && !attempt.overflowed
            && self.route.rules.continues(self.call.operation)
    }

    /// Tells the target how the failed attempt ended; gives back how long the
    /// provider asked to be left alone.
    pub(super) fn settle_failed(
        &mut self,
        id: AttemptId,
        ruling: &Ruling,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut failure = self.failure(id)?;
        failure.class = ruling.class;
        let retry_after = failure.retry_after;
        let attempt = &self.attempts[id.index()];
        let target = &self.route.candidates[attempt.launch.candidate.index()].target;
        let cooldown = ruling.cooldown.max(retry_after.unwrap_or_default());
        if !cooldown.is_zero() {
            target.cool_down(now + cooldown, ruling.class);
        }
        let fair = match attempt.ran_out_in() {
            Some(Phase::Body) => !self.was_cut_by_plan(attempt, now),
            Some(Phase::Connect | Phase::Headers | Phase::FirstToken) => {
                self.had_fair_time(attempt, now)
            }
            None => !attempt.no_end,
        };
        let weight = match (ruling.counts && fair, ruling.class.weight()) {
            (false, _) => Weight::None,
            (true, Weight::None) => Weight::Hard,
            (true, weight) => weight,
        };
        let observation = Observation::Failed {
            class: ruling.class,
            weight,
            elapsed: now.since(attempt.started),
            least_pause: retry_after.unwrap_or_default(),
            congested: attempt.is_congested(ruling.class),
        };
        self.settle(id, Some(failure), observation, now);
        retry_after
    }

    fn settle_succeeded(&mut self, id: AttemptId, now: Timestamp) {
        let attempt = &self.attempts[id.index()];
        let total = match attempt.state {
            AttemptState::Ended { at, .. } => at.since(attempt.started),
            AttemptState::Running | AttemptState::Settled { .. } => now.since(attempt.started),
        };
        let first_token = attempt.first_token.unwrap_or(total);
        self.settle(id, None, Observation::Succeeded { first_token, total }, now);
    }

    fn settle(
        &mut self,
        id: AttemptId,
        failure: Option<Failure>,
        observation: Observation,
        now: Timestamp,
    ) {
        let attempt = &mut self.attempts[id.index()];
        let candidate = attempt.launch.candidate;
        let at = match attempt.state {
            AttemptState::Ended { at, .. } => at,
            AttemptState::Running | AttemptState::Settled { .. } => now,
        };
        attempt.state = AttemptState::Settled { at, failure: failure.clone() };
        let changes = attempt.pass.take().map(|pass| pass.settle(observation, now));
        self.note(Note::Ended { attempt: id, failure });
        for change in changes.into_iter().flatten() {
            self.note(match change {
                HealthChange::Circuit(change) => Note::Circuit { candidate, change },
                HealthChange::CredentialOut { class, length } => {
                    Note::CredentialOut { candidate, class, length }
                }
            });
        }
    }

    /// Ends every attempt but this one, without blame.
    fn cancel_others(&mut self, winner: AttemptId, now: Timestamp) {
        let others: Vec<_> = self.unsettled().filter(|id| *id != winner).collect();
        for id in others {
            self.cancel(id, now);
        }
        self.planned.clear();
    }

    fn cancel(&mut self, id: AttemptId, now: Timestamp) {
        if matches!(self.attempts[id.index()].state, AttemptState::Running) {
            self.actions.push(Action::Abort(id));
            let state = AttemptState::Ended { outcome: Outcome::Cancelled, at: now };
            self.attempts[id.index()].state = state;
            let failure = self.failure(id);
            self.settle(id, failure, Observation::Nothing, now);
        } else {
            // It ended by itself and was not judged: by its own outcome, then.
            self.settle_unjudged(id, now);
        }
    }

    fn settle_unjudged(&mut self, id: AttemptId, now: Timestamp) {
        match self.failure(id) {
            None => self.settle_succeeded(id, now),
            Some(failure) => {
                let ruling = fallback::classify(&failure);
                self.settle_failed(id, &ruling, now);
            }
        }
    }

    fn unsettled(&self) -> impl Iterator<Item = AttemptId> {
        self.numbered().filter(|(_, a)| !a.is_settled()).map(|(id, _)| id)
    }

    /// Nothing more will be said: whatever is under way ends.
    pub(super) fn end(&mut self, now: Timestamp) {
        let left: Vec<_> = self.unsettled().collect();
        for id in left {
            self.cancel(id, now);
        }
        self.planned.clear();
        self.agenda.clear();
        self.asking = None;
        self.waiting_until = None;
        self.over = true;
    }

    pub(super) fn park(&mut self, now: Timestamp) {
        self.end(now);
        self.actions.push(Action::Park);
    }

    /// The deadline: attempts that had fair time and stayed silent are to blame.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let late: Vec<_> = self
            .running()
            .filter(|(_, a)| a.phase < Phase::Body && self.had_fair_time(a, now))
            .map(|(id, attempt)| (id, attempt.phase))
            .collect();
        for (id, phase) in late {
            self.actions.push(Action::Abort(id));
            let outcome = Outcome::TimedOut { phase };
            self.attempts[id.index()].state = AttemptState::Ended { outcome, at: now };
            self.settle_unjudged(id, now);
        }
        self.refuse_with(Cause::Deadline, now);
    }

    /// Nobody found anything to try.
    pub(super) fn give_up(&mut self, now: Timestamp) {
        let tried = self.attempts.iter().any(super::Attempt::is_failed);
        self.refuse_with(if tried { Cause::Exhausted } else { Cause::NothingToTry }, now);
    }

    /// A decider refused. The built-in refuses when nothing is left to try;
    /// what the client is told then follows from what was tried.
    pub(super) fn refuse_by(&mut self, said: PolicyRefusal, decider: Decider, now: Timestamp) {
        let tried = self.attempts.iter().any(super::Attempt::is_failed);
        if decider != Decider::Policy && tried {
            self.refuse_with(Cause::Exhausted, now);
            return;
        }
        let (cause, said) = match decider {
            Decider::Policy => (Cause::Policy, said),
            Decider::BuiltIn | Decider::Fallback => {
                (Cause::NothingToTry, self.as_the_targets_say(said, now))
            }
        };
        let PolicyRefusal { status, code, message, retry_after } = said;
        let retry_after = retry_after.map(|l| l.clamp(SHORTEST_RETRY_AFTER, LONGEST_RETRY_AFTER));
        let param = None;
        self.refuse(Refusal { status, code, message, param, retry_after, cause }, now);
    }

    /// The refusal of a call for which nothing can be tried: while its targets
    /// cool down, like that of the call that made them; with the time when the
    /// first comes back.
    fn as_the_targets_say(&self, said: PolicyRefusal, now: Timestamp) -> PolicyRefusal {
        let class = self.cooling_class(now);
        let (status, code) = class.map_or((said.status, said.code), |class| {
            let (status, code) = refusal::status_of(class);
            (status, code.to_owned())
        });
        let retry_after = said.retry_after.or_else(|| self.first_to_come_back(now));
        let retry_after = retry_after.filter(|_| may_pass(status));
        PolicyRefusal { status, code, message: said.message, retry_after }
    }

    /// The failure after which all the targets cool down that this call could
    /// have, if it is one and the same.
    fn cooling_class(&self, now: Timestamp) -> Option<FailureClass> {
        let mut common = None;
        for (candidate, bar) in self.route.candidates.iter().zip(self.bars(now)) {
            match bar {
                None | Some(Bar::Hopeless | Bar::TriedOut) => {}
                Some(Bar::CoolingDown) => {
                    let class = candidate.target.cools_after(now)?;
                    if *common.get_or_insert(class) != class {
                        return None;
                    }
                }
                Some(Bar::CircuitOpen | Bar::CredentialOut | Bar::Full | Bar::OverBudget) => {
                    return None;
                }
            }
        }
        common
    }

    /// In how long the first target comes back that only time keeps from this
    /// call; `None` if there is no such target.
    fn first_to_come_back(&self, now: Timestamp) -> Option<Duration> {
        let candidates = self.route.candidates.iter().zip(self.bars(now));
        let coming = candidates.filter_map(|(candidate, bar)| match bar? {
            Bar::CircuitOpen
            | Bar::CoolingDown
            | Bar::CredentialOut
            | Bar::Full
            | Bar::OverBudget => Some(candidate.target.snapshot(now).cooldown),
            Bar::Hopeless | Bar::TriedOut => None,
        });
        coming.min()
    }

    pub(super) fn surface(&mut self, id: AttemptId, now: Timestamp) {
        match self.failure(id) {
            Some(failure) => self.refuse(refusal::surfaced(id, &failure), now),
            None => self.give_up(now),
        }
    }

    pub(super) fn refuse_with(&mut self, cause: Cause, now: Timestamp) {
        let mut failures = self.attempts.iter().filter_map(super::Attempt::own_failure);
        let class = refusal::common_class(failures.clone());
        let last = failures.next_back().map_or("", |failure| &failure.message);
        let (status, code) = match cause {
            Cause::Deadline => (504, "deadline_exceeded"),
            Cause::Halted => (503, "shutting_down"),
            Cause::NothingToTry => {
                self.cooling_class(now).map_or((503, "no_target_available"), refusal::status_of)
            }
            // Only time keeps a target from this call that may take it.
            Cause::Exhausted
                if class.is_of_the_target() && self.first_to_come_back(now).is_some() =>
            {
                self.cooling_class(now).map_or((503, "no_target_available"), refusal::status_of)
            }
            Cause::Exhausted | Cause::Rejected | Cause::Policy | Cause::Surfaced(_) => {
                refusal::status_of(class)
            }
        };
        let what = self.ending(cause);
        let message = if last.is_empty() { what } else { format!("{what}; the last said: {last}") };
        let retry_after = may_pass(status).then(|| self.soonest_recovery(now));
        let mut failures = self.attempts.iter().filter_map(super::Attempt::own_failure);
        let unsent = failures.find(|f| f.class == class && refusal::unsent_field(f).is_some());
        let param = unsent.and_then(refusal::unsent_field).filter(|_| !may_pass(status));
        let code = if param.is_some() { refusal::unsent_code(class) } else { code }.to_owned();
        self.refuse(Refusal { status, code, message, param, retry_after, cause }, now);
    }

    fn ending(&self, cause: Cause) -> String {
        let count = self.attempts.len();
        match cause {
            Cause::Deadline => format!("the deadline passed after {count} attempts"),
            Cause::NothingToTry => "no target can be tried now".to_owned(),
            Cause::Halted => "the gateway is shutting down".to_owned(),
            Cause::Rejected => "the answer was rejected after it was delivered".to_owned(),
            Cause::Exhausted | Cause::Policy | Cause::Surfaced(_) if self.committed.is_some() => {
                "the answer broke off and could not be continued".to_owned()
            }
            Cause::Exhausted | Cause::Policy | Cause::Surfaced(_) => {
                format!("every target failed ({count} attempts)")
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal, now: Timestamp) {
        self.end(now);
        self.actions.push(Action::Refuse(refusal));
    }

    /// When the first of the targets may be tried again, within what clients
    /// can be asked to wait.
    fn soonest_recovery(&self, now: Timestamp) -> Duration {
        let cannot_take_it = |id: CandidateId| {
            let here = self.attempts.iter().filter(|attempt| attempt.launch.candidate == id);
            let mut failures = here.filter_map(super::Attempt::own_failure);
            failures.any(|failure| failure.class.is_of_the_target())
        };
        let all = (0..).map(CandidateId).zip(&self.route.candidates);
        let hopeful = all.filter(|(id, _)| !cannot_take_it(*id));
        let cooldowns = hopeful.map(|(_, candidate)| candidate.target.snapshot(now).cooldown);
        let soonest = cooldowns.min().unwrap_or_default();
        soonest.clamp(SHORTEST_RETRY_AFTER, LONGEST_RETRY_AFTER)
    }
}

/// What is wrong with the request does not pass by waiting.
const fn may_pass(status: u16) -> bool {
    status == 429 || status >= 500
}

impl super::Attempt {
    /// Whether it ended for want of capacity (429, 503, 529, no connection in
    /// time): an adaptive limit of concurrent calls shrinks.
    const fn is_congested(&self, class: FailureClass) -> bool {
        let refused = matches!(class, FailureClass::RateLimited | FailureClass::Overloaded);
        let AttemptState::Ended { outcome, .. } = &self.state else { return refused };
        refused || matches!(outcome, Outcome::ConnectTimeout)
    }

    /// How far it had got when its time ran out, if that is how it ended.
    const fn ran_out_in(&self) -> Option<Phase> {
        match &self.state {
            AttemptState::Ended { outcome: Outcome::TimedOut { phase }, .. } => Some(*phase),
            AttemptState::Ended { .. } | AttemptState::Running | AttemptState::Settled { .. } => {
                None
            }
        }
    }

    /// How it failed, unless it was ended by us.
    fn own_failure(&self) -> Option<&Failure> {
        match &self.state {
            AttemptState::Settled { failure, .. } => {
                failure.as_ref().filter(|failure| failure.class != FailureClass::Cancelled)
            }
            AttemptState::Running | AttemptState::Ended { .. } => None,
        }
    }

    fn is_failed(&self) -> bool {
        self.own_failure().is_some()
    }
}
