//! Saying no in the client's dialect, with every attempt named.

use super::Driver;
use crate::dialect::{AttemptLine, ErrorOut};
use crate::failover::refusal::LONGEST_RETRY_AFTER;
use crate::failover::{AttemptId, Cause, Failure, Note, Refusal, Timestamp};
use crate::gateway::reply;
use crate::gateway::trace::End;
use crate::upstream::ErrorBody;

impl Driver {
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let stamp = self.stamp(None);
        let attempted = self.attempted();
        let error = ErrorOut {
            status: refusal.status,
            kind: reply::kind(refusal.status),
            code: &refusal.code,
            message: &refusal.message,
            param: None,
            trace: &stamp.trace,
            attempts: &attempted,
        };
        let dialect = self.inquiry.dialect;
        if self.source.is_some() {
            self.relay.break_off(dialect.error_event(&error));
        } else if let Some(original) = self.original(&refusal) {
            let response = reply::surfaced(&refusal, original, &stamp);
            self.relay.respond(response);
        } else {
            let response = reply::error(dialect, &error, refusal.retry_after, &stamp);
            self.relay.respond(response);
        }
        self.end = End::Refused { refusal, committed: self.source.is_some() };
    }

    /// The provider's own words, where the client is to have them: of the same
    /// dialect, and only with the status the heart agreed to.
    fn original(&self, refusal: &Refusal) -> Option<&ErrorBody> {
        let Cause::Surfaced(id) = refusal.cause else { return None };
        let running = &self.attempts[id.index()];
        let error = running.error.as_ref()?;
        let endpoint = &self.route.endpoints[running.candidate.index()];
        let same = endpoint.dialect() == self.inquiry.dialect;
        (same && endpoint.dialect().is_error(&error.body)).then_some(error)
    }

    pub(super) fn park(&mut self) {
        self.end = End::Parked;
        let stamp = self.stamp(None);
        let error = ErrorOut {
            status: 503,
            kind: reply::kind(503),
            param: None,
            code: "deferred_unavailable",
            message: "the policy deferred this call, and there is no queue to keep it in",
            trace: &stamp.trace,
            attempts: &self.attempted(),
        };
        let after = Some(LONGEST_RETRY_AFTER);
        self.relay.respond(reply::error(self.inquiry.dialect, &error, after, &stamp));
    }

    fn attempted(&self) -> Vec<AttemptLine<'_>> {
        let ended = self.notes.iter().filter_map(|(at, note)| match note {
            Note::Ended { attempt, failure: Some(failure) } => Some((*at, *attempt, failure)),
            Note::Ended { failure: None, .. }
            | Note::Decided { .. }
            | Note::PassedOver { .. }
            | Note::Faulted { .. }
            | Note::Barred { .. }
            | Note::Started { .. }
            | Note::Exempted { .. }
            | Note::Committed { .. }
            | Note::Circuit { .. }
            | Note::CredentialOut { .. }
            | Note::Waiting { .. } => None,
        });
        ended.map(|(at, id, failure)| self.attempted_one(at, id, failure)).collect()
    }

    fn attempted_one(&self, at: Timestamp, id: AttemptId, failure: &Failure) -> AttemptLine<'_> {
        let running = &self.attempts[id.index()];
        AttemptLine {
            target: self.target_name(running.candidate),
            class: failure.class.label(),
            status: failure.status,
            ms: u64::try_from(at.since(running.started).as_millis()).unwrap_or(u64::MAX),
        }
    }
}
