//! The language the heart is tested in: a world in a line, then rows of what
//! happens and what must follow from it.
//!
//! ```text
//! check("a b | deadline=3s", "
//!     0ms begin                    -> start a1
//!     10ms a1 429 retry-after=10s  -> start b2
//!     20ms b2 content 5            -> deliver b2
//!     30ms b2 done                 -> finish
//! ");
//! ```
//!
//! A row without an event (`10s -> abort a1, start b2`) is a wake-up that does
//! something; those that do nothing go unmentioned. `a1` is the exchange's first
//! attempt, at target a. `#2` before a row speaks of a second exchange with the
//! same targets. Questions are answered at once: by the `policy` rows, and where
//! there is none for the verb by a stand-in for the built-in policy. In a world
//! with `ask`, questions are shown and wait for `answer` rows. A policy's answer
//! is used once, or, as `policy always …`, for every question of its verb.
//!
//! `read` turns words into values, `show` actions into words; this file plays.

mod read;
mod show;
mod stand_in;

use std::sync::Arc;

use super::{Event, Exchange};
use crate::failover::consult::{Answer, Decider, Opinion, Question};
use crate::failover::health::{Ask, Observation, Target};
use crate::failover::{Action, CandidateId, Timestamp};

pub(super) use read::World;
pub(super) use stand_in::stand_in;

/// Plays the rows in the world; panics at the first that does not come true.
#[track_caller]
pub(super) fn check(world: &str, script: &str) {
    let mut stage = Stage::new(World::read(world, script.contains("policy ")));
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Err(problem) = stage.play(line) {
            panic!("in the world {world:?}\n  at the row  {line}\n  {problem}\n{script}");
        }
    }
    stage.close();
}

struct Stage {
    world: World,
    exchanges: Vec<Played>,
    policy: Vec<Scripted>,
}

/// An answer of the policy: to the next question of this verb, or to all.
struct Scripted {
    verb: String,
    opinion: Opinion,
    always: bool,
}

struct Played {
    exchange: Exchange,
    /// The targets of its attempts.
    started: Vec<CandidateId>,
    asked: Option<Question>,
    /// The last thing was said: finish, refusal, park, or a policy's text.
    ended: bool,
}

/// What a row says.
pub(super) struct Row<'a> {
    at: Timestamp,
    exchange: usize,
    event: &'a str,
    expected: String,
}

impl Stage {
    fn new(world: World) -> Self {
        Self { world, exchanges: Vec::new(), policy: Vec::new() }
    }

    fn play(&mut self, line: &str) -> Result<(), String> {
        if let Some(answer) = line.strip_prefix("policy ") {
            let always = answer.starts_with("always ");
            let answer = answer.trim_start_matches("always ");
            let (verb, opinion) = answer.split_once(' ').expect("policy VERB ANSWER");
            let (verb, opinion) = (verb.to_owned(), read::opinion(opinion));
            self.policy.push(Scripted { verb, opinion, always });
            return Ok(());
        }
        let row = Row::read(line);
        self.let_time_pass(row.at)?;
        let seen = self.perform(&row)?.join(", ");
        if seen == row.expected {
            return Ok(());
        }
        Err(format!("expected    {}\n  but saw     {seen}", row.expected))
    }

    /// Wakes everyone due before then; that must not show.
    fn let_time_pass(&mut self, until: Timestamp) -> Result<(), String> {
        for _ in 0..10_000 {
            let wakes = self.exchanges.iter().map(|p| p.exchange.wake_at()).enumerate();
            let due = wakes.filter_map(|(n, at)| Some((at.filter(|at| *at < until)?, n))).min();
            let Some((at, n)) = due else { return Ok(()) };
            let seen = self.step(n, Event::Woke, at);
            if !seen.is_empty() {
                let ms = at.since_origin().as_millis();
                return Err(format!("unexpected  #{} {ms}ms -> {}", n + 1, seen.join(", ")));
            }
        }
        Err(format!("woken without end before {until:?}"))
    }

    fn perform(&mut self, row: &Row<'_>) -> Result<Vec<String>, String> {
        let words: Vec<_> = row.event.split_whitespace().collect();
        let event = match words[..] {
            [] => {
                let wake_at = self.exchanges[row.exchange].exchange.wake_at();
                if wake_at != Some(row.at) {
                    return Err(format!("it would be woken at {wake_at:?}"));
                }
                Event::Woke
            }
            ["begin"] => {
                self.begin(row);
                Event::Begin
            }
            ["woke"] => Event::Woke,
            ["gone"] => Event::ClientGone,
            ["answer", ..] => return Ok(self.answer(row)),
            [what @ ("circuit" | "cooldown"), name] => {
                return Ok(vec![self.world.look(what, name, row.at)]);
            }
            [name, "fails" | "succeeds" | "cools", ..] => {
                prepare(self.world.target(name), &words[1..], row.at);
                return Ok(Vec::new());
            }
            [attempt, ..] => read::attempt_event(attempt, &words[1..]),
        };
        Ok(self.step(row.exchange, event, row.at))
    }

    fn begin(&mut self, row: &Row<'_>) {
        assert_eq!(row.exchange, self.exchanges.len(), "exchanges begin in order, once");
        let exchange = Exchange::new(self.world.call(), Arc::clone(&self.world.route), row.at);
        let played = Played { exchange, started: Vec::new(), asked: None, ended: false };
        self.exchanges.push(played);
    }

    /// `answer` by whoever is asked, `answer OPINION`, `answer again OPINION`
    /// to the question before.
    fn answer(&mut self, row: &Row<'_>) -> Vec<String> {
        let words = row.event.strip_prefix("answer").expect("an answer").trim();
        let question = self.exchanges[row.exchange].asked.take().expect("a question");
        let answer = match words.strip_prefix("again ") {
            Some(words) => Answer { number: question.number - 1, opinion: read::opinion(words) },
            None if words.is_empty() => self.decide(&question),
            None => Answer { number: question.number, opinion: read::opinion(words) },
        };
        self.exchanges[row.exchange].asked = Some(question);
        self.step(row.exchange, Event::Answered(answer), row.at)
    }

    /// Tells the exchange, answers what it asks, and shows the rest.
    fn step(&mut self, number: usize, event: Event, now: Timestamp) -> Vec<String> {
        let mut seen = Vec::new();
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for action in self.exchanges[number].exchange.on(event, now) {
                let played = &mut self.exchanges[number];
                assert!(!played.ended, "said after the end: {action:?}");
                if let Action::Start(start) = &action {
                    played.started.push(start.candidate);
                }
                seen.extend(show::action(&self.world, &played.started, &action));
                played.ended = is_last(&action);
                if let Action::Consult(question) = action {
                    played.asked = Some(*question);
                }
            }
            if !self.world.shows_questions {
                let asked = self.exchanges[number].asked.take();
                next = asked.map(|question| Event::Answered(self.decide(&question)));
            }
        }
        seen
    }

    fn decide(&mut self, question: &Question) -> Answer {
        let opinion = match question.decider {
            Decider::Policy => self.policy_s_opinion(show::verb(question)),
            Decider::BuiltIn | Decider::Fallback => stand_in(&self.world.call(), question),
        };
        Answer { number: question.number, opinion }
    }

    fn policy_s_opinion(&mut self, verb: &str) -> Opinion {
        let Some(n) = self.policy.iter().position(|scripted| scripted.verb == verb) else {
            return Opinion::None;
        };
        if self.policy[n].always {
            return self.policy[n].opinion.clone();
        }
        self.policy.remove(n).opinion
    }

    /// Whatever a script leaves under way, the targets get everything back.
    fn close(mut self) {
        for Played { exchange, ended, .. } in self.exchanges.drain(..) {
            assert!(!ended || exchange.is_over(), "it ended and is not over");
        }
        for candidate in &self.world.route.candidates {
            let left = candidate.target.snapshot(Timestamp::ORIGIN).in_flight;
            assert_eq!(left, 0, "in flight at {}", candidate.facts.target);
        }
    }
}

/// Whether nothing may be said after this.
pub(super) const fn is_last(action: &Action) -> bool {
    match action {
        Action::Finish | Action::Refuse(_) | Action::Park => true,
        Action::Deliver(super::Delivery::Text(_)) => true,
        Action::Deliver(super::Delivery::Attempt { .. })
        | Action::Consult(_)
        | Action::Start(_)
        | Action::Abort(_)
        | Action::Record(_) => false,
    }
}

/// `fails 5 server-error`, `succeeds 20 in 300ms`, `cools 3s rate-limited`: what other calls
/// made of the target before.
fn prepare(target: &Arc<Target>, words: &[&str], now: Timestamp) {
    let (times, observation) = match words {
        ["fails", times, class] => (times, read::failed(class)),
        ["succeeds", times, "in", length] => {
            let length = read::length(length);
            (times, Observation::Succeeded { first_token: length, total: length })
        }
        ["cools", length, class] => {
            let class = read::class(class).expect("a class");
            return target.cool_down(now + read::length(length), class);
        }
        other => panic!("cannot prepare {other:?}"),
    };
    for _ in 0..times.parse::<u32>().expect("a number of times") {
        let pass = target.start(Ask::default(), now).expect("a start to prepare with");
        let _ = pass.settle(observation, now);
    }
}
