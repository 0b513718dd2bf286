//! Saying no in the client's dialect, with every attempt named.

use super::Driver;
use crate::dialect::{AttemptLine, ErrorOut};
use crate::failover::refusal::{self, LONGEST_RETRY_AFTER};
use crate::failover::{AttemptId, Cause, Failure, FailureClass, Note, Refusal, Timestamp};
use crate::gateway::reply;
use crate::gateway::trace::End;
use crate::upstream::ErrorBody;

impl Driver {
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let broken = self.relay.take_stream();
        let stamp = self.stamp(None);
        let attempted = self.attempted();
        let error = ErrorOut {
            status: refusal.status,
            code: self.code_of(&refusal),
            message: &refusal.message,
            param: refusal.param.as_deref(),
            retry_after: refusal.retry_after,
            trace: &stamp.trace,
            attempts: &attempted,
        };
        let dialect = self.inquiry.dialect;
        if let Some(stream) = broken {
            stream.break_off(&error);
        } else if let Some(original) = self.original(&refusal) {
            let response = reply::surfaced(&refusal, original, &stamp);
            self.relay.respond(response);
        } else {
            let mut response = reply::error(dialect, &error, &stamp);
            if refusal.cause == Cause::Halted {
                reply::invite_retry(&mut response);
            }
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
        let dialect = self.inquiry.dialect;
        (self.is_native(id) && dialect.is_error(&error.body)).then_some(error)
    }

    /// Whether an attempt's target speaks the client's dialect.
    fn is_native(&self, id: AttemptId) -> bool {
        let target = &self.route.targets[self.attempts[id.index()].candidate.index()];
        target.endpoint.wire(self.inquiry.dialect) == self.inquiry.dialect
    }

    /// A code the client can know: another dialect's is put in the gateway's
    /// words. One that names a field is the gateway's own.
    fn code_of<'a>(&self, refusal: &'a Refusal) -> &'a str {
        match refusal.cause {
            Cause::Surfaced(id) if refusal.param.is_none() && !self.is_native(id) => {
                let class = self.notes.iter().rev().find_map(|(_, note)| class_of(note, id));
                class.map_or(&refusal.code, |class| refusal::status_of(class).1)
            }
            Cause::Surfaced(_)
            | Cause::Exhausted
            | Cause::Deadline
            | Cause::NothingToTry
            | Cause::Policy
            | Cause::Rejected
            | Cause::Halted => &refusal.code,
        }
    }

    pub(super) fn park(&mut self) {
        self.end = End::Parked;
        let stamp = self.stamp(None);
        let error = ErrorOut {
            status: 503,
            param: None,
            retry_after: Some(LONGEST_RETRY_AFTER),
            code: "deferred_unavailable",
            message: "the policy deferred this call, and there is no queue to keep it in",
            trace: &stamp.trace,
            attempts: &self.attempted(),
        };
        self.relay.respond(reply::error(self.inquiry.dialect, &error, &stamp));
    }

    fn attempted(&self) -> Vec<AttemptLine<'_>> {
        let ended = self.notes.iter().filter_map(|(at, note)| {
            let (id, failure) = failure_in(note)?;
            Some(self.attempted_one(*at, id, failure))
        });
        ended.collect()
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

/// The attempt that failed, by this note, and how.
const fn failure_in(note: &Note) -> Option<(AttemptId, &Failure)> {
    match note {
        Note::Ended { attempt, failure: Some(failure) } => Some((*attempt, failure)),
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
    }
}

fn class_of(note: &Note, id: AttemptId) -> Option<FailureClass> {
    failure_in(note).filter(|(of, _)| *of == id).map(|(_, failure)| failure.class)
}
