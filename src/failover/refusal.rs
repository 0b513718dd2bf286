//! The final failure: what the client is told when nothing is left.

use std::time::Duration;

use super::attempt::Failure;
use super::call::AttemptId;
use super::classify::FailureClass;

/// Retry-After is never asked to be longer (SDKs sleep it whole, wire formats §2.5).
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Nor shorter: the header counts in seconds, and zero would invite a hot loop.
pub const SHORTEST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// An answer that says no. After the commit it ends the stream as an error.
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    /// The field of the client's request that no target could be asked.
    pub param: Option<String>,
    pub retry_after: Option<Duration>,
    pub cause: Cause,
}

/// Where a refusal comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// This attempt's failure, handed on as it is.
    Surfaced(AttemptId),
    /// Every attempt failed.
    Exhausted,
    /// The deadline passed.
    Deadline,
    /// No target can be tried.
    NothingToTry,
    /// A policy said so.
    Policy,
    /// The end of a delivered answer was rejected.
    Rejected,
    /// The gateway ends: another one may serve the call.
    Halted,
}

impl Cause {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Surfaced(_) => "surfaced",
            Self::Exhausted => "exhausted",
            Self::Deadline => "deadline",
            Self::NothingToTry => "nothing-to-try",
            Self::Policy => "policy",
            Self::Rejected => "rejected",
            Self::Halted => "halted",
        }
    }
}

/// The status and code for a failure of this class, when it is the client's
/// last word (wire formats §4.11). A provider's refusal of *our* credential is
/// never the client's 401 or 429.
#[must_use]
pub const fn status_of(class: FailureClass) -> (u16, &'static str) {
    match class {
        FailureClass::RateLimited => (429, "rate_limit_exceeded"),
        FailureClass::Overloaded => (503, "server_is_overloaded"),
        FailureClass::Timeout => (504, "timeout"),
        FailureClass::Quota => (503, "upstream_quota"),
        FailureClass::Authentication => (502, "upstream_auth"),
        FailureClass::Permission => (502, "upstream_permission"),
        FailureClass::NotFound => (404, "model_not_found"),
        FailureClass::BadRequest => (400, "invalid_request"),
        FailureClass::Unsupported => (400, "unsupported_by_fallback"),
        FailureClass::ContextLength => (400, "context_length_exceeded"),
        FailureClass::ContentFilter => (400, "content_filter"),
        FailureClass::Network
        | FailureClass::ServerError
        | FailureClass::InvalidOutput
        | FailureClass::StreamBroken
        | FailureClass::Cancelled
        | FailureClass::Unknown => (502, "upstream_error"),
    }
}

/// The class that stands for several failures: the one all share, else the
/// last one that is not about the request or the credential.
#[must_use]
pub fn common_class<'a>(failures: impl Iterator<Item = &'a Failure> + Clone) -> FailureClass {
    let mut classes = failures.clone().map(|f| f.class);
    let Some(first) = classes.next() else { return FailureClass::Unknown };
    if classes.all(|class| class == first) {
        return first;
    }
    let general = failures.clone().map(|f| f.class).filter(|class| class.may_pass()).last();
    general.or_else(|| failures.map(|f| f.class).last()).unwrap_or(FailureClass::Unknown)
}

/// The field because of which an attempt was never sent: no target can be asked
/// it, or the client wrote it wrong.
#[must_use]
pub fn unsent_field(failure: &Failure) -> Option<String> {
    let unsent = matches!(failure.class, FailureClass::Unsupported | FailureClass::BadRequest)
        && failure.status.is_none();
    (unsent && !failure.code.is_empty()).then(|| failure.code.clone())
}

/// The code for a field because of which nothing was sent.
#[must_use]
pub const fn unsent_code(class: FailureClass) -> &'static str {
    if matches!(class, FailureClass::BadRequest) { "invalid_value" } else { status_of(class).1 }
}

/// A provider's status when a surfaced failure has none of its own.
#[must_use]
pub fn surfaced(attempt: AttemptId, failure: &Failure) -> Refusal {
    let (status, code) = status_of(failure.class);
    let own_fault = failure.class.blames_credential() || failure.class == FailureClass::Permission;
    let status = match failure.status {
        Some(given) if (400..600).contains(&given) && !own_fault => given,
        Some(_) | None => status,
    };
    let param = unsent_field(failure);
    let code = match (&param, &*failure.code) {
        (Some(_), _) => unsent_code(failure.class),
        (None, "") => code,
        (None, given) => given,
    };
    Refusal {
        status,
        code: code.to_owned(),
        message: failure.message.clone(),
        param,
        retry_after: failure.retry_after.map(|length| length.min(LONGEST_RETRY_AFTER)),
        cause: Cause::Surfaced(attempt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_class_makes_clients_doubt_their_own_key() {
        for class in FailureClass::ALL {
            let (status, code) = status_of(class);
            assert!((400..600).contains(&status) && !code.is_empty(), "{}", class.label());
            assert!(!matches!(status, 401..=403), "{}", class.label());
        }
    }
}
