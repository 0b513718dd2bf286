//! What is told of a call: to the operator at once where he must act, and in
//! its trace.

use std::sync::Arc;

use tracing::{debug, info, warn};

use super::Driver;
use crate::failover::breaker::Change as CircuitChange;
use crate::failover::call::Circuit;
use crate::failover::note::FaultKind;
use crate::failover::{CandidateId, Decider, Note, Timestamp};
use crate::gateway::trace::Trace;

impl Driver {
    /// Keeps a note for the trace; tells the operator what concerns him.
    pub(super) fn record(&mut self, note: Note, now: Timestamp) {
        self.witness.noted(&note);
        if let Some(part) = &self.part {
            part.noted(&note, now);
        }
        match &note {
            Note::Circuit { candidate, change } => {
                self.log_circuit(*candidate, *change);
            }
            Note::CredentialOut { candidate, class, length } => warn!(
                target = self.target_name(*candidate),
                class = class.label(),
                for_s = length.as_secs(),
                "credential taken out: check the provider's key and quota"
            ),
            Note::Faulted { decider: Decider::Policy, reason, fault, .. } => {
                if let (FaultKind::Inadmissible, Some(policy)) = (fault, &self.policy) {
                    policy.count_fault(reason);
                }
            }
            Note::Ended { attempt, failure: Some(failure) } => debug!(
                trace = self.call.id,
                attempt = attempt.0 + 1,
                class = failure.class.label(),
                phase = failure.phase.label(),
                status = failure.status,
                "attempt failed"
            ),
            Note::Ended { failure: None, .. }
            | Note::Faulted { .. }
            | Note::Decided { .. }
            | Note::PassedOver { .. }
            | Note::Barred { .. }
            | Note::Started { .. }
            | Note::Exempted { .. }
            | Note::Committed { .. }
            | Note::Waiting { .. } => {}
        }
        self.notes.push((now, note));
    }

    fn log_circuit(&self, candidate: CandidateId, change: CircuitChange) {
        let target = self.target_name(candidate);
        let pause_ms = u64::try_from(change.pause.as_millis()).unwrap_or(u64::MAX);
        match change.to {
            Circuit::Open => warn!(target, reason = change.why, pause_ms, "circuit opened"),
            Circuit::HalfOpen | Circuit::Closed => {
                info!(target, reason = change.why, "circuit closed");
            }
        }
    }

    /// Leaves the trace behind, and tells those who look on how it ended.
    pub(super) fn close(self) {
        let trace = Trace {
            call: self.call,
            route: Arc::clone(&self.route.rules),
            policy: self.policy_tag,
            begun: self.begun,
            ended: self.shared.clock.now(),
            generation: self.generation.number,
            end: self.end,
            notes: self.notes,
        };
        if let Some(part) = &self.part {
            part.close(&trace);
        }
        let policy = || self.policy.unwrap_or_else(|| self.shared.library.builtin());
        self.witness.close(&trace, &self.route.settings, policy);
        self.shared.traces.add(trace);
    }
}
