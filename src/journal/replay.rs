//! Asking recorded questions again: what another policy would have decided.
//!
//! Every question is put as it was recorded, also those that would not have come
//! up if an earlier decision of the same call had been another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::format::{Decision, Line, Verb};
use super::read::shown;
use super::restore::{LookedFor, Restored, gist};
use crate::failover::gist::{Gist, Taken};
use crate::failover::{Decider, Timestamp};
use crate::policy::{Clock, Panel, Policy};

/// Names that are counted by themselves; the rest share one.
const MOST_NAMES: usize = 1_000;
const FURTHER: &str = "(others)";

/// The host's clock during a replay: it stands at the call that is asked about,
/// so that what a policy remembers expires as it would have.
#[derive(Clone, Debug, Default)]
pub struct RecordedClock(Arc<AtomicU64>);

impl RecordedClock {
    #[must_use]
    pub fn as_clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Arc::new(move || Timestamp::from_millis(now.load(Ordering::Relaxed)))
    }
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    own: Option<Arc<Policy>>,
    builtin: Arc<Policy>,
    clock: RecordedClock,
    most_examples: usize,
    report: Report,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub calls: u64,
    pub total: Count,
    pub by_verb: BTreeMap<&'static str, Count>,
    pub by_route: BTreeMap<String, Count>,
    /// What the policy looked for that no journal holds, and in how many
    /// questions.
    pub looked_for: Unreadable,
    /// The first differences, so many as were asked for.
    pub differences: Vec<Difference>,
    /// Reasons of faults, and how often.
    pub faults: BTreeMap<String, u64>,
    /// Questions of lines that contradict themselves.
    pub contradictory: u64,
    /// Whether the policy uses what the host remembers for it, which the journal
    /// does not hold.
    pub uses_memory: bool,
}

/// By name.
pub type Unreadable = BTreeMap<String, u64>;

/// Questions, by what came of them: `asked` is the sum of the next three.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Count {
    pub asked: u64,
    pub same: u64,
    pub differ: u64,
    /// The policy looked for a text that the journal does not hold.
    pub not_replayable: u64,
    /// Faults of the policy; the built-in decided.
    pub faults: u64,
}

/// A decision that would have been another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// The trace id.
    pub call: String,
    pub at_unix_ms: u64,
    pub route: String,
    pub verb: &'static str,
    pub was: String,
    pub was_by: &'static str,
    pub would_be: String,
    pub would_be_by: &'static str,
}

/// What came of one question.
enum Fate {
    Same,
    Differs,
    NotReplayable(Vec<String>),
}

impl Replay {
    /// Without a policy of its own, it is the built-in's turn. `clock` is what
    /// both were loaded with.
    #[must_use]
    pub fn new(
        own: Option<Arc<Policy>>,
        builtin: Arc<Policy>,
        clock: RecordedClock,
        most_examples: usize,
    ) -> Self {
        Self { own, builtin, clock, most_examples, report: Report::default() }
    }

    /// Asks about every decision of a call.
    pub fn call(&mut self, line: &Line) {
        self.clock.0.store(line.at_unix_ms, Ordering::Relaxed);
        self.report.calls += 1;
        let restored = Restored::of(line);
        for decision in &line.decisions {
            self.decision(line, &restored, decision);
        }
    }

    #[must_use]
    pub fn report(mut self) -> Report {
        self.report.uses_memory = self.own.as_ref().is_some_and(|own| own.remembers());
        self.report
    }

    fn decision(&mut self, line: &Line, restored: &Restored, decision: &Decision) {
        let Some(question) = restored.question(decision) else {
            self.report.contradictory += 1;
            return;
        };
        // A plan that could not be started: the built-in alone was asked.
        let followed = line.call.own_policy && Decider::from(decision.asked) != Decider::Policy;
        let own = self.own.clone().filter(|_| !followed);
        let panel = Panel { own, builtin: Arc::clone(&self.builtin) };
        let (by_own, by_builtin) = (LookedFor::default(), LookedFor::default());
        let shown_to = |decider: Decider| {
            let looked_for = match decider {
                Decider::Policy => &by_own,
                Decider::BuiltIn | Decider::Fallback => &by_builtin,
            };
            restored.material(decision, looked_for)
        };
        let decided = panel.decide_shown(&question, &shown_to, restored.cooldown_max);
        let was = Taken { decider: decision.decider.into(), gist: gist(&decision.answer) };
        let would_be = Taken { decider: decided.decider, gist: Gist::of(&decided.opinion) };
        let fate = self.fate(was, would_be, &by_own.names(), by_builtin.names());
        self.note_faults(&decided.faults);
        self.count(line, decision, &fate, decided.faults.len());
        if matches!(fate, Fate::Differs) && self.report.differences.len() < self.most_examples {
            let name = |candidate| restored.target(candidate);
            self.report.differences.push(Difference {
                call: shown(&line.id),
                at_unix_ms: line.at_unix_ms,
                route: shown(&line.route.name),
                verb: label(decision.verb),
                was: shown(&was.gist.describe(name)),
                was_by: was.decider.label(),
                would_be: shown(&would_be.gist.describe(name)),
                would_be_by: would_be.decider.label(),
            });
        }
    }

    fn fate(&self, was: Taken, would_be: Taken, own: &[String], builtin: Vec<String>) -> Fate {
        if !own.is_empty() {
            return Fate::NotReplayable(own.to_vec());
        }
        let agree = match &self.own {
            Some(_) => was.agrees(&would_be),
            // The built-in is on trial itself: that both left it to the built-in
            // says nothing.
            None => was.gist == would_be.gist,
        };
        let left_to_it = self.own.is_some() && was.decider != Decider::Policy;
        if !builtin.is_empty() && !left_to_it {
            return Fate::NotReplayable(builtin);
        }
        if agree { Fate::Same } else { Fate::Differs }
    }

    fn count(&mut self, line: &Line, decision: &Decision, fate: &Fate, faults: usize) {
        if let Fate::NotReplayable(names) = fate {
            for name in names {
                *entry(&mut self.report.looked_for, name) += 1;
            }
        }
        let counts = [
            &mut self.report.total,
            self.report.by_verb.entry(label(decision.verb)).or_default(),
            entry(&mut self.report.by_route, &shown(&line.route.name)),
        ];
        for count in counts {
            count.asked += 1;
            count.faults += u64::from(faults > 0);
            match fate {
                Fate::Same => count.same += 1,
                Fate::Differs => count.differ += 1,
                Fate::NotReplayable(_) => count.not_replayable += 1,
            }
        }
    }

    /// A policy that is replayed is asked every question, whatever it did
    /// before: a copy without its record goes on.
    fn note_faults(&mut self, faults: &[(Decider, String)]) {
        for (_, reason) in faults {
            *entry(&mut self.report.faults, reason) += 1;
        }
        if !faults.is_empty() {
            self.own = self.own.as_ref().map(|own| Arc::new(own.apart(Some(own))));
        }
    }
}

/// The count under a name, or what it shares with others once there are many.
fn entry<'m, T: Default>(counts: &'m mut BTreeMap<String, T>, name: &str) -> &'m mut T {
    let known = counts.contains_key(name) || counts.len() < MOST_NAMES;
    counts.entry(if known { name } else { FURTHER }.to_owned()).or_default()
}

const fn label(verb: Verb) -> &'static str {
    match verb {
        Verb::SelectProvider => "select-provider",
        Verb::ClassifyError { .. } => "classify-error",
        Verb::ValidateOutput { .. } => "validate-output",
    }
}
