//! Actions, questions and health in the words of the scripts.

use super::World;
use crate::failover::call::{AttemptId, CandidateId};
use crate::failover::consult::{Question, Verb};
use crate::failover::note::FaultKind;
use crate::failover::{Action, Delivery, Note, Refusal, Timestamp};

impl World {
    pub(super) fn name(&self, id: CandidateId) -> &str {
        &self.route.candidates[id.index()].facts.target
    }

    /// The target's circuit, and with `cooldown` for how many whole seconds it
    /// is to be left alone.
    pub(super) fn look(&self, what: &str, name: &str, now: Timestamp) -> String {
        let health = self.target(name).snapshot(now);
        match what {
            "circuit" => health.circuit.label().to_owned(),
            "cooldown" => format!("{}s", health.cooldown.as_secs()),
            other => panic!("cannot look at {other}"),
        }
    }
}

pub(super) fn verb(question: &Question) -> &'static str {
    match question.verb {
        Verb::SelectProvider => "select",
        Verb::ClassifyError { .. } => "classify",
        Verb::ValidateOutput { .. } => "validate",
    }
}

/// The action in words, if scripts speak of it. `started` are the targets of
/// the exchange's attempts.
pub(super) fn action(world: &World, started: &[CandidateId], action: &Action) -> Option<String> {
    let name = |id: AttemptId| format!("{}{}", world.name(started[id.index()]), id.0 + 1);
    Some(match action {
        Action::Consult(question) => {
            if !world.shows_questions {
                return None;
            }
            format!("ask {} {}", verb(question), question.decider.label())
        }
        Action::Start(start) => {
            let what = if start.continues { "continue" } else { "start" };
            let without = start.edits.iter().map(|edit| format!(" without {}", edit.pointer));
            format!("{what} {}{}", name(start.attempt), without.collect::<String>())
        }
        Action::Abort(id) => format!("abort {}", name(*id)),
        Action::Deliver(Delivery::Attempt { attempt, amended }) => {
            let amended = amended.as_ref().map_or(String::new(), |text| format!(" as {text}"));
            format!("deliver {}{amended}", name(*attempt))
        }
        Action::Deliver(Delivery::Text(text)) => format!("say {text}"),
        Action::Finish => "finish".to_owned(),
        Action::Refuse(refusal) => self::refusal(refusal),
        Action::Park => "park".to_owned(),
        Action::Record(Note::Exempted { attempt }) => format!("exempt {}", name(*attempt)),
        Action::Record(note) => return self::note(world, note),
    })
}

fn refusal(refusal: &Refusal) -> String {
    let Refusal { status, code, retry_after, cause, .. } = refusal;
    let after = retry_after.map_or(String::new(), |after| format!(" after={}s", after.as_secs()));
    format!("refuse {status} {code} {}{after}", cause.label())
}

/// The notes on what would otherwise not show.
fn note(world: &World, note: &Note) -> Option<String> {
    Some(match note {
        Note::Barred { candidate, bar } => {
            format!("barred {} {}", world.name(*candidate), bar.label())
        }
        Note::Faulted { decider, reason, fault, .. } => {
            let what = match fault {
                FaultKind::Failed => "fault",
                FaultKind::Inadmissible => "inadmissible",
                FaultKind::NotAsked => "unasked",
            };
            format!("{what} {}: {reason}", decider.label())
        }
        Note::Circuit { candidate, change } => {
            format!("{} {}", world.name(*candidate), change.to.label())
        }
        Note::CredentialOut { candidate, class, .. } => {
            format!("{} out {}", world.name(*candidate), class.label())
        }
        Note::Decided { .. }
        | Note::PassedOver { .. }
        | Note::Started { .. }
        | Note::Ended { .. }
        | Note::Exempted { .. }
        | Note::Committed { .. }
        | Note::Waiting { .. } => return None,
    })
}
