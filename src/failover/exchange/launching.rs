//! Starting attempts, and ending those whose time is up.

use std::time::Duration;

use super::{Action, Attempt, AttemptState, Exchange, Matter, Planned, Start};
use crate::failover::attempt::{Outcome, Phase};
use crate::failover::call::{AttemptId, Bar, CandidateId};
use crate::failover::classify::FailureClass;
use crate::failover::consult::Launch;
use crate::failover::health::{Ask, Pass};
use crate::failover::note::{Note, StartReason};
use crate::failover::time::Timestamp;

/// How often an exempt attempt is looked at again: a target that recovers in
/// the meantime is a better hope than one that stays silent.
const EXEMPTION: Duration = Duration::from_secs(1);

impl Exchange {
    pub(super) fn attempts_left(&self) -> u32 {
        // What could not be asked of a target at all cost nothing.
        let sent = self.attempts.iter().filter(|attempt| !attempt.unsent).count();
        let used = u32::try_from(sent).unwrap_or(u32::MAX);
        self.route.rules.attempts.saturating_sub(used)
    }

    pub(super) fn tried(&self, candidate: CandidateId) -> u32 {
        let count = self.attempts.iter().filter(|a| a.launch.candidate == candidate).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Why each candidate could not be started now. While nothing at all can
    /// be, an open circuit may be probed early: better a probe than a refusal.
    pub(super) fn bars(&self, now: Timestamp) -> Vec<Option<Bar>> {
        let ids = (0..).map(CandidateId).take(self.route.candidates.len());
        let bars: Vec<_> = ids.clone().map(|id| self.bar(id, false, now)).collect();
        if self.running().next().is_some() || bars.iter().any(Option::is_none) {
            return bars;
        }
        ids.map(|id| self.bar(id, true, now)).collect()
    }

    fn bar(&self, id: CandidateId, early: bool, now: Timestamp) -> Option<Bar> {
        self.bar_to(self.kind_of_start(id, early), id, now)
    }

    fn bar_to(&self, ask: Ask, id: CandidateId, now: Timestamp) -> Option<Bar> {
        if self.attempts.iter().any(|a| a.launch.candidate == id && a.is_hopeless()) {
            return Some(Bar::Hopeless);
        }
        if !self.may_retry(id) {
            return Some(Bar::TriedOut);
        }
        let candidate = self.route.candidates.get(id.index())?;
        let first = &self.route.candidates.first()?.facts;
        if !candidate.facts.stands_in_for(first, self.call.operation) {
            return Some(Bar::Hopeless);
        }
        candidate.target.bar(ask, now)
    }

    fn kind_of_start(&self, id: CandidateId, early: bool) -> Ask {
        Ask {
            further: !self.attempts.is_empty(),
            again: self.tried(id) > 0,
            beside: self.running().next().is_some(),
            early,
        }
    }

    /// Plans the launches; true if at least one started or still may.
    pub(super) fn plan(&mut self, launches: Vec<Launch>, now: Timestamp) -> bool {
        let before = self.attempts.len();
        let planned = launches.into_iter().map(|launch| Planned {
            at: now + launch.after,
            launch,
            retry: false,
        });
        self.planned.extend(planned);
        self.start_due(now);
        self.attempts.len() > before || !self.planned.is_empty()
    }

    /// Starts the planned launches whose time has come; without any under way,
    /// also the next one planned.
    pub(super) fn start_due(&mut self, now: Timestamp) {
        while let Some(index) = self.next_due(now) {
            let planned = self.planned.remove(index);
            self.launch(planned, now);
        }
    }

    fn next_due(&self, now: Timestamp) -> Option<usize> {
        let earliest = self.planned.iter().enumerate().min_by_key(|(_, planned)| planned.at);
        let (index, planned) = earliest?;
        let under_way = self.attempts.iter().any(|a| !a.is_settled());
        let brought_forward = !under_way && !planned.retry;
        (planned.at <= now || brought_forward).then_some(index)
    }

    fn launch(&mut self, planned: Planned, now: Timestamp) {
        let candidate = planned.launch.candidate;
        let started = match self.bars(now).get(candidate.index()).copied().flatten() {
            Some(bar) => Err(bar),
            None => self.start(&planned, now),
        };
        match started {
            Ok(pass) => self.started(planned, pass, now),
            Err(bar) => self.note(Note::Barred { candidate, bar }),
        }
    }

    fn start(&self, planned: &Planned, now: Timestamp) -> Result<Pass, Bar> {
        let id = planned.launch.candidate;
        let early = self.bar(id, false, now).is_some();
        let candidate = self.route.candidates.get(id.index()).ok_or(Bar::Hopeless)?;
        candidate.target.start(self.kind_of_start(id, early), now)
    }

    fn started(&mut self, planned: Planned, pass: Pass, now: Timestamp) {
        let attempt = AttemptId(u32::try_from(self.attempts.len()).unwrap_or(u32::MAX));
        let Planned { launch, retry, .. } = planned;
        let candidate = launch.candidate;
        let continues = self.committed.is_some();
        let why = match (continues, retry, self.running().next().is_some()) {
            (true, _, _) => StartReason::Continuation,
            (_, true, _) => StartReason::Retry,
            (_, _, true) => StartReason::Hedge,
            (false, false, false) => StartReason::Selected,
        };
        self.note(Note::Started { attempt, candidate, why, probe: pass.is_probe() });
        let edits = launch.edits.clone();
        self.actions.push(Action::Start(Start { attempt, candidate, continues, edits }));
        self.attempts.push(Attempt {
            launch: Launch { after: Duration::ZERO, ..launch },
            started: now,
            // That there was no connection, the outcome says.
            phase: Phase::Headers,
            first_token: None,
            heard: now,
            text: 0,
            blank: true,
            continuable: true,
            finished: false,
            blocked: false,
            overflowed: false,
            continues,
            exempt_until: None,
            checked: false,
            unsent: false,
            no_end: false,
            state: AttemptState::Running,
            pass: Some(pass),
        });
    }

    /// When a running attempt's present time limit runs out; `None` is the deadline.
    pub(super) fn limit(&self, attempt: &Attempt) -> Option<Timestamp> {
        if !matches!(attempt.state, AttemptState::Running) {
            return None;
        }
        let rules = &self.route.rules;
        let silence = if attempt.blocked {
            None
        } else if attempt.finished {
            Some(attempt.heard + rules.terminator)
        } else if attempt.phase == Phase::Body {
            Some(attempt.heard + rules.between_chunks)
        } else {
            let first = attempt.started + self.first_limit(attempt);
            Some(attempt.exempt_until.unwrap_or(first))
        };
        let total = attempt.launch.total_timeout.map(|length| attempt.started + length);
        let total = total.filter(|_| attempt.exempt_until.is_none());
        silence.into_iter().chain(total).min()
    }

    /// The limit for the first content. A target that stays silent must leave
    /// time for another one: it gets half of what was left at its start.
    fn first_limit(&self, attempt: &Attempt) -> Duration {
        let patience = if !self.call.streams() && self.was_outlasted() {
            attempt.own_limit(self.route.rules.whole_max)
        } else {
            self.patience(attempt)
        };
        patience.min(self.deadline.since(attempt.started) / 2)
    }

    /// Whether an attempt of this call ran out of time before any content. A
    /// whole answer may then simply be a long one, whoever gives it: to cut it
    /// off at its target's usual time again would only lose more.
    fn was_outlasted(&self) -> bool {
        self.attempts.iter().any(|attempt| match &attempt.state {
            AttemptState::Settled { failure: Some(failure), .. } => {
                failure.class == FailureClass::Timeout && failure.phase < Phase::Body
            }
            AttemptState::Settled { failure: None, .. }
            | AttemptState::Running
            | AttemptState::Ended { .. } => false,
        })
    }

    /// Whether an attempt had as long for its first content as the route gives
    /// it, or half of the whole call: less says nothing about the target, and
    /// what a policy's plan gives may be any less.
    pub(super) fn had_fair_time(&self, attempt: &Attempt, until: Timestamp) -> bool {
        let half = self.route.rules.deadline / 2;
        until.since(attempt.started) >= self.usual_patience(attempt).min(half)
    }

    /// Whether it was its plan's own limit that ended an attempt at its answer.
    pub(super) fn was_cut_by_plan(&self, attempt: &Attempt, until: Timestamp) -> bool {
        let total = attempt.launch.total_timeout;
        total.is_some_and(|total| until.since(attempt.started) >= total)
            && until.since(attempt.heard) < self.route.rules.between_chunks
    }

    /// How long the first content may take.
    fn patience(&self, attempt: &Attempt) -> Duration {
        attempt.own_limit(self.usual_patience(attempt))
    }

    /// The same by the route: of a stream, or of a whole answer.
    fn usual_patience(&self, attempt: &Attempt) -> Duration {
        let rules = &self.route.rules;
        if self.call.streams() {
            let for_input = rules.first_token_per_8k.saturating_mul(self.call.input_tokens / 8_000);
            rules.first_token.saturating_add(for_input)
        } else {
            let candidate = self.route.candidates.get(attempt.launch.candidate.index());
            candidate.map_or(rules.whole_max, |c| c.target.answer_limit(rules, attempt.started))
        }
    }

    /// Ends the attempts whose limit has passed. The last possible attempt is
    /// exempt from the first-token limit: a slow answer beats none.
    pub(super) fn enforce_limits(&mut self, now: Timestamp) {
        let late: Vec<_> = self
            .running()
            .filter(|(_, attempt)| self.limit(attempt).is_some_and(|limit| limit <= now))
            .map(|(id, _)| id)
            .collect();
        for id in late {
            let attempt = &self.attempts[id.index()];
            if attempt.finished {
                self.actions.push(Action::Abort(id));
                self.ended(id, Outcome::Completed, now);
            } else if attempt.phase < Phase::Body && self.is_last_chance(id, now) {
                self.exempt(id, now);
            } else {
                let phase = attempt.phase;
                self.actions.push(Action::Abort(id));
                self.ended(id, Outcome::TimedOut { phase }, now);
            }
        }
    }

    /// Lifts an attempt's limits while there is nowhere else to go.
    fn exempt(&mut self, id: AttemptId, now: Timestamp) {
        let until = now + EXEMPTION;
        if self.attempts[id.index()].exempt_until.replace(until).is_none() {
            self.note(Note::Exempted { attempt: id });
        }
    }

    /// Whether giving this attempt up would leave nothing else to try.
    fn is_last_chance(&self, id: AttemptId, now: Timestamp) -> bool {
        if !self.planned.is_empty() || self.running().any(|(other, _)| other != id) {
            return false;
        }
        let own = self.attempts[id.index()].launch.candidate;
        let ids = (0..).map(CandidateId);
        let others = ids.zip(&self.route.candidates).filter(|(other, _)| *other != own);
        !others.into_iter().any(|(other, candidate)| {
            let again = self.tried(other) > 0;
            let ask = Ask { further: true, again, beside: false, early: false };
            candidate.facts.can_serve(&self.call) && self.bar_to(ask, other, now).is_none()
        })
    }

    /// Plans the same target again, as it was launched.
    pub(super) fn retry(&mut self, id: AttemptId, pause: Duration, now: Timestamp) {
        let launch = self.attempts[id.index()].launch.clone();
        self.note(Note::Waiting { length: pause });
        self.planned.push(Planned { at: now + pause, launch, retry: true });
        self.agenda.retain(|matter| *matter != Matter::Select);
    }

    /// Whether the call has an attempt left for this target.
    pub(super) fn may_retry(&self, candidate: CandidateId) -> bool {
        self.attempts_left() > 0 && self.tried(candidate) < self.route.rules.attempts_per_target
    }
}

impl Attempt {
    /// The route's limit, or the launch's own if that is shorter.
    fn own_limit(&self, route: Duration) -> Duration {
        let own = [self.launch.first_token_timeout, self.launch.total_timeout];
        own.into_iter().flatten().fold(route, Duration::min)
    }

    pub(super) const fn is_settled(&self) -> bool {
        matches!(self.state, AttemptState::Settled { .. })
    }

    /// Whether it failed in a way that the same target cannot mend.
    fn is_hopeless(&self) -> bool {
        match &self.state {
            AttemptState::Settled { failure: Some(failure), .. } => !failure.class.may_pass(),
            AttemptState::Settled { failure: None, .. }
            | AttemptState::Running
            | AttemptState::Ended { .. } => false,
        }
    }
}
