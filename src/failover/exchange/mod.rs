//! One client call and all that is done for it: events in, actions out.
//!
//! The machine is told what happened and when; it answers what to do next. It
//! asks one question at a time; what else must be decided waits on the agenda.
//! `launching` starts attempts, `deciding` puts questions and applies answers,
//! `ending` settles attempts and the whole.

mod deciding;
mod ending;
mod launching;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod script;
#[cfg(test)]
mod scripts;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Failure, Outcome, Phase, Progress};
use super::backoff::Rng;
use super::call::{AttemptId, Call, CandidateId, Continuation, TargetFacts};
use super::consult::{Answer, Edit, Launch, Question};
use super::health::{Pass, Target};
use super::note::Note;
use super::refusal::{Cause, Refusal};
use super::rules::{CallRules, Hold};
use super::time::Timestamp;

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The call arrived.
    Begin,
    /// A question was answered.
    Answered(Answer),
    /// An attempt goes on.
    Progress(AttemptId, Progress),
    /// An attempt is over. Said once of every started attempt, unless it was aborted.
    Ended(AttemptId, Outcome),
    /// The client left.
    ClientGone,
    /// The gateway ends, and cannot wait for this call any longer.
    Halted,
    /// `wake_at` has come.
    Woke,
}

/// What to do next, in this order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ask a decider; its answer is an event.
    Consult(Box<Question>),
    /// Start an attempt.
    Start(Start),
    /// End an attempt: nothing more is said of it, nor taken from it. What it
    /// brought is kept, for it may be delivered: a finished answer whose
    /// terminator does not come is ended this way.
    Abort(AttemptId),
    /// The commit: hand over what is held, and what follows as it comes. Said
    /// again only for an attempt that continues a broken answer.
    Deliver(Delivery),
    /// The delivered answer is whole: end it properly.
    Finish,
    /// No answer, or no more of it. Before the commit an error, after it an
    /// error within the stream and no normal terminator.
    Refuse(Refusal),
    /// Store the call; the client gets a ticket.
    Park,
    /// For the trace and the log.
    Record(Note),
}

/// An attempt to start.
#[derive(Clone, PartialEq, Debug)]
pub struct Start {
    pub attempt: AttemptId,
    pub candidate: CandidateId,
    /// Continue the delivered text rather than answer from the beginning. No
    /// text may have been delivered yet: then it is the same request again,
    /// and its answer follows what the client has.
    pub continues: bool,
    pub edits: Vec<Edit>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// This attempt's answer, its text (or held beginning) replaced if `amended`.
    Attempt { attempt: AttemptId, amended: Option<String> },
    /// A policy's own text: the whole answer, and the end of the exchange.
    Text(String),
}

/// Where calls for one model name can go, and by which rules.
#[derive(Debug)]
pub struct Route {
    pub name: String,
    pub rules: CallRules,
    pub candidates: Vec<Candidate>,
}

#[derive(Clone, Debug)]
pub struct Candidate {
    pub facts: Arc<TargetFacts>,
    pub target: Arc<Target>,
}

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    call: Arc<Call>,
    route: Arc<Route>,
    rng: Rng,
    deadline: Timestamp,
    attempts: Vec<Attempt>,
    planned: Vec<Planned>,
    asking: Option<Asking>,
    agenda: VecDeque<Matter>,
    questions: u32,
    /// A policy said to ask again then.
    waiting_until: Option<Timestamp>,
    /// The attempt the client's answer comes from.
    committed: Option<AttemptId>,
    delivered: u32,
    over: bool,
    actions: Vec<Action>,
}

/// One try at one target.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state machine")]
struct Attempt {
    /// What it was launched with, for the same target again.
    launch: Launch,
    started: Timestamp,
    phase: Phase,
    first_token: Option<Duration>,
    /// The latest content, or the start.
    heard: Timestamp,
    text: u32,
    /// See `Progress`.
    blank: bool,
    continuable: bool,
    finished: bool,
    blocked: bool,
    overflowed: bool,
    /// It continues a delivered answer.
    continues: bool,
    /// Nowhere else to go: its limits are lifted, and looked at again then.
    exempt_until: Option<Timestamp>,
    /// The held beginning was asked about.
    checked: bool,
    /// The request could not be put to the target.
    unsent: bool,
    /// It was asked to go on with a text and said nothing, as it should if there
    /// is no more: that nobody can know it is not to blame for.
    no_end: bool,
    state: AttemptState,
    pass: Option<Pass>,
}

#[derive(Debug)]
enum AttemptState {
    Running,
    /// Its outcome is known and not yet decided upon.
    Ended {
        outcome: Outcome,
        at: Timestamp,
    },
    /// Done with; `failure` is `None` if its answer was accepted.
    Settled {
        at: Timestamp,
        failure: Option<Failure>,
    },
}

#[derive(Debug)]
struct Planned {
    at: Timestamp,
    launch: Launch,
    retry: bool,
}

/// A question under way.
#[derive(Debug)]
struct Asking {
    number: u32,
    matter: Matter,
    decider: super::consult::Decider,
    /// Of the matter: whoever is asked about it draws the same numbers.
    seed: u32,
}

/// Something that must be decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Matter {
    Select,
    Classify(AttemptId),
    Validate(AttemptId, Part),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Beginning,
    Whole,
}

impl Exchange {
    #[must_use]
    pub fn new(call: Arc<Call>, route: Arc<Route>, now: Timestamp) -> Self {
        Self {
            rng: Rng::new(call.seed),
            deadline: now + route.rules.deadline,
            call,
            route,
            attempts: Vec::new(),
            planned: Vec::new(),
            asking: None,
            agenda: VecDeque::new(),
            questions: 0,
            waiting_until: None,
            committed: None,
            delivered: 0,
            over: false,
            actions: Vec::new(),
        }
    }

    /// Takes in what happened and says what to do. After the end, nothing.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        if self.over {
            return Vec::new();
        }
        let expired = now >= self.deadline;
        match event {
            Event::Ended(id, outcome) => self.ended(id, outcome, now),
            Event::ClientGone => self.end(now),
            Event::Halted => self.refuse_with(Cause::Halted, now),
            // Too late to start or to deliver anything: `turn` ends the call.
            Event::Begin | Event::Answered(_) | Event::Progress(..) if expired => {}
            Event::Begin => self.want(Matter::Select),
            Event::Answered(answer) => self.answered(answer, now),
            Event::Progress(id, progress) => self.progressed(id, progress, now),
            Event::Woke => {}
        }
        self.turn(now);
        std::mem::take(&mut self.actions)
    }

    /// When to be woken if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.over {
            return None;
        }
        let launches = self.planned.iter().map(|planned| planned.at);
        let limits = self.running().filter_map(|(_, attempt)| self.limit(attempt));
        launches.chain(limits).chain(self.waiting_until).chain([self.deadline]).min()
    }

    /// Whether all has been said.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// What follows by itself from the present state and time.
    fn turn(&mut self, now: Timestamp) {
        if !self.over && now >= self.deadline {
            self.expire(now);
        }
        if self.over {
            return;
        }
        self.enforce_limits(now);
        if self.waiting_until.is_some_and(|until| until <= now) {
            self.waiting_until = None;
        }
        loop {
            self.start_due(now);
            if self.over || self.asking.is_some() {
                break;
            }
            match self.agenda.pop_front() {
                Some(matter) => self.take_up(matter, now),
                None if self.is_idle() => self.want(Matter::Select),
                None => break,
            }
        }
    }

    /// Nothing is under way, planned or waited for.
    fn is_idle(&self) -> bool {
        self.planned.is_empty()
            && self.waiting_until.is_none()
            && self.attempts.iter().all(|a| matches!(a.state, AttemptState::Settled { .. }))
    }

    fn want(&mut self, matter: Matter) {
        if !self.agenda.contains(&matter) {
            self.agenda.push_back(matter);
        }
    }

    fn progressed(&mut self, id: AttemptId, progress: Progress, now: Timestamp) {
        let Some(attempt) = self.attempts.get_mut(id.index()) else { return };
        if !matches!(attempt.state, AttemptState::Running) {
            return;
        }
        attempt.blocked = false;
        match progress {
            Progress::Headers => attempt.phase = attempt.phase.max(Phase::FirstToken),
            Progress::Content { text, blank, continuable } => {
                attempt.blank &= blank;
                attempt.continuable &= continuable;
                self.content(id, text, now);
            }
            Progress::Finished if attempt.finished => {}
            Progress::Finished => {
                attempt.finished = true;
                attempt.heard = now;
            }
            Progress::Blocked => attempt.blocked = true,
            Progress::Unblocked => attempt.heard = now,
            Progress::Overflow => {
                attempt.overflowed = true;
                attempt.checked = true;
                attempt.hear(now);
                if !self.is_taken() {
                    self.deliver(id, None, now);
                }
            }
        }
    }

    fn content(&mut self, id: AttemptId, text: u32, now: Timestamp) {
        let hold = if self.call.streams() { self.route.rules.hold } else { Hold::All };
        let committed = self.committed == Some(id);
        let Some(attempt) = self.attempts.get_mut(id.index()) else { return };
        attempt.text = attempt.text.saturating_add(text);
        // Whatever comes after the end must not put it off.
        let counts = self.call.streams() || attempt.overflowed;
        if counts && !attempt.finished {
            attempt.hear(now);
        }
        if committed {
            self.delivered = self.delivered.saturating_add(text);
        } else if attempt.is_ripe(hold) && !attempt.checked {
            attempt.checked = true;
            self.want(Matter::Validate(id, Part::Beginning));
        }
    }

    fn ended(&mut self, id: AttemptId, mut outcome: Outcome, now: Timestamp) {
        let no_end = self.is_no_end(id);
        let Some(attempt) = self.attempts.get_mut(id.index()) else { return };
        if !matches!(attempt.state, AttemptState::Running) {
            return;
        }
        // Once the model said why it stopped, only the terminator can be lost,
        // whatever comes in its place.
        if attempt.finished {
            outcome = Outcome::Completed;
        }
        if outcome == Outcome::Completed && no_end {
            attempt.no_end = true;
            outcome = Outcome::NotAnAnswer { detail: "an empty continuation".to_owned() };
        }
        if let Outcome::Error(reply) = &mut outcome {
            let longest = self.route.rules.cooldown_max;
            reply.retry_after = reply.retry_after.map(|asked| asked.min(longest));
        }
        attempt.unsent =
            matches!(outcome, Outcome::Unsupported { .. } | Outcome::Unreadable { .. });
        let completed = outcome == Outcome::Completed;
        attempt.state = AttemptState::Ended { outcome, at: now };
        if completed {
            let since_start = now.since(attempt.started);
            attempt.first_token.get_or_insert(since_start);
            self.agenda.retain(|m| *m != Matter::Validate(id, Part::Beginning));
            self.want(Matter::Validate(id, Part::Whole));
        } else {
            self.agenda.retain(|m| !matches!(m, Matter::Validate(of, _) if *of == id));
            self.want(Matter::Classify(id));
        }
    }

    /// Whether the attempt, if it ends here, did not end the answer: its target
    /// was asked to go on with a text and said nothing. What the client has
    /// would pass for whole. A target that takes the text as the beginning of
    /// its own answer can know that there is no more.
    fn is_no_end(&self, id: AttemptId) -> bool {
        self.attempts.get(id.index()).is_some_and(|attempt| {
            let candidate = &self.route.candidates[attempt.launch.candidate.index()];
            let how = candidate.facts.continuation(&self.call);
            attempt.continues && attempt.blank && self.delivered > 0 && how == Continuation::Ask
        })
    }

    fn running(&self) -> impl Iterator<Item = (AttemptId, &Attempt)> {
        self.numbered().filter(|(_, a)| matches!(a.state, AttemptState::Running))
    }

    fn numbered(&self) -> impl Iterator<Item = (AttemptId, &Attempt)> {
        (0..).map(AttemptId).zip(&self.attempts)
    }

    fn note(&mut self, note: Note) {
        self.actions.push(Action::Record(note));
    }
}

impl Attempt {
    /// Content arrived.
    fn hear(&mut self, now: Timestamp) {
        self.phase = Phase::Body;
        self.heard = now;
        let since_start = now.since(self.started);
        self.first_token.get_or_insert(since_start);
    }

    /// Whether enough of a stream is held to ask about its beginning.
    const fn is_ripe(&self, hold: Hold) -> bool {
        match hold {
            _ if self.continues => true,
            Hold::First => true,
            Hold::Bytes(least) => self.text >= least || !self.continuable,
            Hold::All => false,
        }
    }
}
