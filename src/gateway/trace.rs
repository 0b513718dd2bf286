//! Decision traces: what was done for each of the last calls, and why. Never a
//! prompt, an answer, a key, or a provider's own words, which may quote them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::failover::{AttemptId, Call, CandidateId, Note, Refusal, Route, Timestamp};

/// The trace of one call.
#[derive(Debug)]
pub struct Trace {
    pub call: Arc<Call>,
    pub route: Arc<Route>,
    /// The policy that decided: name and short digest.
    pub policy: Arc<str>,
    pub begun: Timestamp,
    pub ended: Timestamp,
    pub generation: u64,
    pub end: End,
    pub notes: Vec<(Timestamp, Note)>,
}

/// The start of an attempt, as noted.
struct Started {
    at: Timestamp,
    attempt: AttemptId,
    candidate: CandidateId,
    why: &'static str,
    probe: bool,
}

/// How a call ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    Delivered,
    /// A policy answered by itself.
    Answered,
    Refused {
        refusal: Refusal,
        committed: bool,
    },
    Parked,
    ClientGone,
}

/// The last calls, newest last. The oldest is dropped when it is full.
#[derive(Debug)]
pub struct Traces {
    kept: Mutex<VecDeque<Arc<Trace>>>,
    most: usize,
}

impl Traces {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { kept: Mutex::default(), most }
    }

    pub fn add(&self, trace: Trace) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = if kept.len() >= self.most { kept.pop_front() } else { None };
        if self.most > 0 {
            kept.push_back(Arc::new(trace));
        }
        drop(kept);
        drop(dropped);
    }

    /// The newest first.
    #[must_use]
    pub fn recent(&self, most: usize) -> Vec<Arc<Trace>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().take(most).cloned().collect()
    }

    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Trace>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().find(|trace| trace.call.id == id).cloned()
    }
}

impl Trace {
    /// One line of the list.
    #[must_use]
    pub fn summary(&self) -> Value {
        json!({
            "id": self.call.id,
            "at_unix_ms": self.unix_ms(),
            "route": self.route.name,
            "stream": self.call.streams(),
            "client": self.call.tenant,
            "policy": &*self.policy,
            "end": self.end.label(),
            "status": self.end.status(),
            "attempts": self.count_attempts(),
            "target": self.target(),
            "duration_ms": self.ms(self.ended),
        })
    }

    /// Everything.
    #[must_use]
    pub fn detail(&self) -> Value {
        let mut whole = self.summary();
        whole["generation"] = json!(self.generation);
        whole["input_tokens"] = json!(self.call.input_tokens);
        if let End::Refused { refusal, committed } = &self.end {
            whole["refusal"] = json!({
                "cause": refusal.cause.label(),
                "status": refusal.status,
                "within_stream": committed,
                "retry_after_ms": refusal.retry_after.map(|l| l.as_millis()),
            });
        }
        whole["attempts"] = self.attempts();
        whole["steps"] = self.notes.iter().map(|(at, note)| self.step(*at, note)).collect();
        whole
    }

    fn unix_ms(&self) -> u128 {
        (self.call.origin_unix + self.begun.since_origin()).as_millis()
    }

    fn ms(&self, at: Timestamp) -> f64 {
        (at.since(self.begun).as_secs_f64() * 1e6).round() / 1e3
    }

    fn name(&self, candidate: CandidateId) -> &str {
        self.route.candidates.get(candidate.index()).map_or("unknown", |c| &c.facts.target)
    }

    fn candidate_of(&self, attempt: AttemptId) -> Option<CandidateId> {
        self.started().find(|started| started.attempt == attempt).map(|started| started.candidate)
    }

    pub(super) fn count_attempts(&self) -> u32 {
        u32::try_from(self.started().count()).unwrap_or(u32::MAX)
    }

    /// The target that answered last.
    pub(super) fn target(&self) -> Option<&str> {
        let committed = self.notes.iter().rev().find_map(|(_, note)| {
            if let Note::Committed { attempt } = note { Some(*attempt) } else { None }
        })?;
        self.candidate_of(committed).map(|id| self.name(id))
    }

    fn attempts(&self) -> Value {
        self.started().map(|started| self.attempt(&started)).collect()
    }

    fn started(&self) -> impl Iterator<Item = Started> {
        self.notes.iter().filter_map(|(at, note)| {
            let Note::Started { attempt, candidate, why, probe } = note else { return None };
            let (attempt, candidate) = (*attempt, *candidate);
            Some(Started { at: *at, attempt, candidate, why: why.label(), probe: *probe })
        })
    }

    fn attempt(&self, started: &Started) -> Value {
        let mut row = json!({
            "attempt": started.attempt.0 + 1,
            "target": self.name(started.candidate),
            "why": started.why,
            "probe": started.probe,
            "started_ms": self.ms(started.at),
        });
        for (at, note) in &self.notes {
            if let Note::Committed { attempt } = note
                && *attempt == started.attempt
            {
                row["committed_ms"] = json!(self.ms(*at));
            }
            if let Note::Ended { attempt, failure } = note
                && *attempt == started.attempt
            {
                row["ended_ms"] = json!(self.ms(*at));
                row["class"] = json!(failure.as_ref().map_or("answered", |f| f.class.label()));
                row["phase"] = json!(failure.as_ref().map(|f| f.phase.label()));
                row["status"] = json!(failure.as_ref().and_then(|f| f.status));
                let retry_after = failure.as_ref().and_then(|f| f.retry_after);
                row["retry_after_ms"] = json!(retry_after.map(|length| length.as_millis()));
            }
        }
        row
    }

    fn step(&self, at: Timestamp, note: &Note) -> Value {
        let what = match note {
            Note::Decided { verb, decider, answer } => {
                format!("{verb}: {} answered {answer}", decider.label())
            }
            Note::PassedOver { verb, decider } => {
                format!("{verb}: {} had no opinion", decider.label())
            }
            Note::Faulted { verb, decider, reason, fault } => {
                format!("{verb}: {} of {}: {reason}", fault.label(), decider.label())
            }
            Note::Barred { candidate, bar } => {
                format!("{} not started: {}", self.name(*candidate), bar.label())
            }
            Note::Started { attempt, candidate, why, .. } => {
                format!("attempt {} at {}: {}", attempt.0 + 1, self.name(*candidate), why.label())
            }
            Note::Exempted { attempt } => {
                format!("attempt {} may take its time: nowhere else to go", attempt.0 + 1)
            }
            Note::Ended { attempt, failure: None } => {
                format!("attempt {} answered", attempt.0 + 1)
            }
            Note::Ended { attempt, failure: Some(failure) } => {
                let (class, phase) = (failure.class.label(), failure.phase.label());
                format!("attempt {} failed: {class} while in {phase}", attempt.0 + 1)
            }
            Note::Committed { attempt } => {
                format!("attempt {} goes to the client", attempt.0 + 1)
            }
            Note::Circuit { candidate, change } => {
                format!(
                    "circuit of {} {}: {}",
                    self.name(*candidate),
                    change.to.label(),
                    change.why
                )
            }
            Note::CredentialOut { candidate, class, length } => format!(
                "credential of {} out for {} s: {}",
                self.name(*candidate),
                length.as_secs(),
                class.label()
            ),
            Note::Waiting { length } => format!("wait {} ms", length.as_millis()),
        };
        json!({ "ms": self.ms(at), "what": what })
    }
}

impl End {
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Answered => "answered-by-policy",
            Self::Refused { .. } => "refused",
            Self::Parked => "parked",
            Self::ClientGone => "client-gone",
        }
    }

    /// Why it was refused.
    pub(super) const fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.cause.label()),
            Self::Delivered | Self::Answered | Self::Parked | Self::ClientGone => None,
        }
    }

    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Delivered | Self::Answered => 200,
            Self::Refused { refusal, committed } => {
                if *committed {
                    200
                } else {
                    refusal.status
                }
            }
            Self::Parked => 503,
            Self::ClientGone => 499,
        }
    }
}
