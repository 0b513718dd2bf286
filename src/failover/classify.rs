//! What an outcome means: outcome → failure class → whom it counts against.

use super::attempt::{Failure, Outcome, Phase};

/// What a failure means. The contract documents each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FailureClass {
    Network,
    Timeout,
    RateLimited,
    Overloaded,
    ServerError,
    Quota,
    Authentication,
    Permission,
    NotFound,
    BadRequest,
    Unsupported,
    ContextLength,
    ContentFilter,
    InvalidOutput,
    StreamBroken,
    Cancelled,
    Unknown,
}

/// How a failure weighs on a target's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// In the success rate and in the row that opens the circuit.
    Hard,
    /// In the success rate only.
    Soft,
    /// Not at all.
    None,
}

impl FailureClass {
    pub const ALL: [Self; 17] = [
        Self::Network,
        Self::Timeout,
        Self::RateLimited,
        Self::Overloaded,
        Self::ServerError,
        Self::Quota,
        Self::Authentication,
        Self::Permission,
        Self::NotFound,
        Self::BadRequest,
        Self::Unsupported,
        Self::ContextLength,
        Self::ContentFilter,
        Self::InvalidOutput,
        Self::StreamBroken,
        Self::Cancelled,
        Self::Unknown,
    ];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate-limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server-error",
            Self::Quota => "quota",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::NotFound => "not-found",
            Self::BadRequest => "bad-request",
            Self::Unsupported => "unsupported",
            Self::ContextLength => "context-length",
            Self::ContentFilter => "content-filter",
            Self::InvalidOutput => "invalid-output",
            Self::StreamBroken => "stream-broken",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// How this class weighs when it counts at all (design, "counts against
    /// nobody": client gone, bad request, context length, content filter).
    #[must_use]
    pub const fn weight(self) -> Weight {
        match self {
            Self::Network
            | Self::Timeout
            | Self::Overloaded
            | Self::ServerError
            | Self::InvalidOutput
            | Self::StreamBroken => Weight::Hard,
            Self::RateLimited => Weight::Soft,
            Self::Quota
            | Self::Authentication
            | Self::Permission
            | Self::NotFound
            | Self::BadRequest
            | Self::Unsupported
            | Self::ContextLength
            | Self::ContentFilter
            | Self::Cancelled
            | Self::Unknown => Weight::None,
        }
    }

    /// Whether the same request could succeed at the same target later in the
    /// same call.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Network
            | Self::Timeout
            | Self::RateLimited
            | Self::Overloaded
            | Self::ServerError
            | Self::InvalidOutput
            | Self::StreamBroken => true,
            Self::Quota
            | Self::Authentication
            | Self::Permission
            | Self::NotFound
            | Self::BadRequest
            | Self::Unsupported
            | Self::ContextLength
            | Self::ContentFilter
            | Self::Cancelled
            | Self::Unknown => false,
        }
    }

    /// Whether the same request could succeed at another target.
    #[must_use]
    pub const fn may_pass_elsewhere(self) -> bool {
        match self {
            Self::Network
            | Self::Timeout
            | Self::RateLimited
            | Self::Overloaded
            | Self::ServerError
            | Self::Quota
            | Self::Authentication
            | Self::Permission
            | Self::NotFound
            | Self::Unsupported
            | Self::ContextLength
            | Self::InvalidOutput
            | Self::StreamBroken
            | Self::Unknown => true,
            Self::BadRequest | Self::ContentFilter | Self::Cancelled => false,
        }
    }

    /// Whether the failure is one of the request as that target takes it:
    /// another may take the same.
    #[must_use]
    pub const fn is_of_the_target(self) -> bool {
        matches!(self, Self::Unsupported | Self::ContextLength | Self::BadRequest)
    }

    /// What a provider's verdict on a translated request means. What is wrong
    /// with that need not be wrong with the client's own (wire formats §6, row 9).
    #[must_use]
    pub const fn of_a_translation(self) -> Self {
        match self {
            Self::BadRequest => Self::Unsupported,
            Self::Network
            | Self::Timeout
            | Self::RateLimited
            | Self::Overloaded
            | Self::ServerError
            | Self::Quota
            | Self::Authentication
            | Self::Permission
            | Self::NotFound
            | Self::Unsupported
            | Self::ContextLength
            | Self::ContentFilter
            | Self::InvalidOutput
            | Self::StreamBroken
            | Self::Cancelled
            | Self::Unknown => self,
        }
    }

    /// Whether the credential, and not the target, is what failed.
    #[must_use]
    pub const fn blames_credential(self) -> bool {
        matches!(self, Self::Quota | Self::Authentication)
    }
}

/// The failure in an outcome; `None` for a completed answer. `phase` is how far
/// the attempt got by the heart's own account.
#[must_use]
pub fn failure(outcome: &Outcome, phase: Phase) -> Option<Failure> {
    let plain = |class, phase, message: &str| {
        Some(Failure {
            phase,
            class,
            status: None,
            code: String::new(),
            message: message.to_owned(),
            retry_after: None,
        })
    };
    match outcome {
        Outcome::Completed => None,
        Outcome::Unreachable { detail } => plain(FailureClass::Network, Phase::Connect, detail),
        Outcome::ConnectTimeout => {
            plain(FailureClass::Network, Phase::Connect, "no connection within the connect timeout")
        }
        Outcome::Reset { detail } => plain(FailureClass::Network, phase, detail),
        Outcome::Error(reply) => Some(Failure {
            phase,
            class: reply.class,
            status: Some(reply.status),
            code: reply.code.clone(),
            message: reply.message.clone(),
            retry_after: reply.retry_after,
        }),
        Outcome::NotAnAnswer { detail } => plain(FailureClass::InvalidOutput, phase, detail),
        Outcome::Cut { detail } | Outcome::Malformed { detail } => {
            plain(FailureClass::StreamBroken, phase, detail)
        }
        Outcome::TimedOut { phase } => plain(FailureClass::Timeout, *phase, timeout_text(*phase)),
        Outcome::Rejected { reason } => plain(FailureClass::InvalidOutput, phase, reason),
        Outcome::Unsupported { field, detail } => {
            Some(unsent(FailureClass::Unsupported, phase, field, detail))
        }
        Outcome::Unreadable { field, detail } => {
            Some(unsent(FailureClass::BadRequest, phase, field, detail))
        }
        Outcome::Cancelled => plain(FailureClass::Cancelled, phase, "cancelled by the gateway"),
    }
}

/// A request that was never sent has no status, and its field for a code.
fn unsent(class: FailureClass, phase: Phase, field: &str, detail: &str) -> Failure {
    let (code, message) = (field.to_owned(), detail.to_owned());
    Failure { phase, class, status: None, code, message, retry_after: None }
}

const fn timeout_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Connect | Phase::Headers => "no answer within the time limit",
        Phase::FirstToken => "no content within the time limit",
        Phase::Body => "the answer stalled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translation_is_not_the_client_s_fault() {
        for class in FailureClass::ALL {
            let bad = class == FailureClass::BadRequest;
            let expected = if bad { FailureClass::Unsupported } else { class };
            assert_eq!(class.of_a_translation(), expected, "{}", class.label());
        }
        assert!(!FailureClass::BadRequest.may_pass_elsewhere());
        assert!(FailureClass::BadRequest.of_a_translation().may_pass_elsewhere());
    }

    #[test]
    fn what_was_never_sent_names_its_field() {
        let check = |outcome: &Outcome, class| {
            let failure = failure(outcome, Phase::Connect).expect("a failure");
            assert_eq!((failure.class, failure.status, &*failure.code), (class, None, "n"));
        };
        let (field, detail) = ("n".to_owned(), "one answer only".to_owned());
        let unsupported = Outcome::Unsupported { field: field.clone(), detail: detail.clone() };
        check(&unsupported, FailureClass::Unsupported);
        check(&Outcome::Unreadable { field, detail }, FailureClass::BadRequest);
    }
}
