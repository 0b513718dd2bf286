//! What can go wrong with an attempt: the words of scenarios, and what the heart
//! is told.

use std::time::Duration;

use crate::failover::{ErrorReply, FailureClass, Outcome};

/// One way to fail.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// No connection: refused.
    Refuse,
    /// No connection within the time limit.
    ConnectTimeout,
    /// The connection is lost before any answer.
    Reset,
    /// The request is read and never answered.
    Silence,
    /// An error answer.
    Status { status: u16, class: FailureClass, retry_after: Option<Duration> },
    /// A 200 that is no answer: nothing in it.
    Empty,
    /// A stream that breaks off after so many tokens; a whole answer that ends
    /// too early.
    Cut { after: u32 },
    /// The same, but nothing more is heard.
    Stall { after: u32 },
    /// An event of broken JSON after so many tokens; a body that is none.
    Malformed { after: u32 },
    /// A proper answer without a word.
    EmptyAnswer,
    /// Text where the client was promised JSON; a good answer where it was not.
    InvalidJson,
}

/// All words, for messages. `NNN` is a status from 400 to 599.
pub const WORDS: [&str; 16] = [
    "refuse",
    "connect-timeout",
    "reset",
    "silence",
    "empty",
    "cut",
    "stall",
    "malformed",
    "empty-answer",
    "invalid-json",
    "quota",
    "unauthorized",
    "context-length",
    "content-filter",
    "model-not-found",
    "NNN",
];

/// Tokens before a stream breaks, unless the scenario says.
const BREAKS_AFTER: u32 = 8;

impl Fault {
    /// Reads `503`, `429:retry-after=2s`, `cut:after=10`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let word = parts.next().unwrap_or_default();
        let mut fault = Self::of_word(word)?;
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match (&mut fault, name) {
                (Self::Status { retry_after, .. }, "retry-after") => {
                    let length = humantime::parse_duration(value);
                    *retry_after =
                        Some(length.map_err(|_| format!("`{value}` is no length of time"))?);
                }
                (
                    Self::Cut { after } | Self::Stall { after } | Self::Malformed { after },
                    "after",
                ) => {
                    *after = value.parse().map_err(|_| format!("`{value}` is no number"))?;
                }
                (
                    Self::Refuse
                    | Self::ConnectTimeout
                    | Self::Reset
                    | Self::Silence
                    | Self::Status { .. }
                    | Self::Empty
                    | Self::Cut { .. }
                    | Self::Stall { .. }
                    | Self::Malformed { .. }
                    | Self::EmptyAnswer
                    | Self::InvalidJson,
                    _,
                ) => return Err(format!("`{word}` has no `{name}`")),
            }
        }
        Ok(fault)
    }

    fn of_word(word: &str) -> Result<Self, String> {
        let error = |status, class| Self::Status { status, class, retry_after: None };
        Ok(match word {
            "refuse" => Self::Refuse,
            "connect-timeout" => Self::ConnectTimeout,
            "reset" => Self::Reset,
            "silence" => Self::Silence,
            "empty" => Self::Empty,
            "cut" => Self::Cut { after: BREAKS_AFTER },
            "stall" => Self::Stall { after: BREAKS_AFTER },
            "malformed" => Self::Malformed { after: BREAKS_AFTER },
            "empty-answer" => Self::EmptyAnswer,
            "invalid-json" => Self::InvalidJson,
            "quota" => error(429, FailureClass::Quota),
            "unauthorized" => error(401, FailureClass::Authentication),
            "context-length" => error(400, FailureClass::ContextLength),
            "content-filter" => error(400, FailureClass::ContentFilter),
            "model-not-found" => error(404, FailureClass::NotFound),
            status => {
                let number = status.parse().ok().filter(|number| (400..600).contains(number));
                let status: u16 = number.ok_or_else(|| format!("there is no fault `{status}`"))?;
                error(status, class_of(status))
            }
        })
    }

    /// Whether it strikes before the provider does any work.
    #[must_use]
    pub const fn at_the_door(&self) -> bool {
        match self {
            Self::Refuse
            | Self::ConnectTimeout
            | Self::Reset
            | Self::Silence
            | Self::Status { .. } => true,
            Self::Empty
            | Self::Cut { .. }
            | Self::Stall { .. }
            | Self::Malformed { .. }
            | Self::EmptyAnswer
            | Self::InvalidJson => false,
        }
    }
}

/// What a bare status means, as the dialects' tables have it.
#[must_use]
pub const fn class_of(status: u16) -> FailureClass {
    match status {
        401 => FailureClass::Authentication,
        402 => FailureClass::Quota,
        403 => FailureClass::Permission,
        404 => FailureClass::NotFound,
        408 => FailureClass::Timeout,
        429 => FailureClass::RateLimited,
        503 | 529 => FailureClass::Overloaded,
        500..600 => FailureClass::ServerError,
        _ => FailureClass::BadRequest,
    }
}

/// An error answer of a provider.
#[must_use]
pub fn error(status: u16, class: FailureClass, retry_after: Option<Duration>) -> Outcome {
    let (code, message) = (class.label().to_owned(), format!("simulated {status}"));
    Outcome::Error(ErrorReply { status, class, code, message, retry_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_with_their_parameters() {
        let status = |status, class, retry_after| Fault::Status { status, class, retry_after };
        let two = Some(Duration::from_secs(2));
        for (text, expected) in [
            ("reset", Fault::Reset),
            ("429:retry-after=2s", status(429, FailureClass::RateLimited, two)),
            ("503", status(503, FailureClass::Overloaded, None)),
            ("cut:after=3", Fault::Cut { after: 3 }),
        ] {
            assert_eq!(Fault::parse(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("boom", "there is no fault `boom`"),
            ("200", "there is no fault `200`"),
            ("429:retry-after=2", "`2` is no length of time"),
            ("reset:after=2", "`reset` has no `after`"),
            ("cut:after=x", "`x` is no number"),
        ] {
            assert_eq!(Fault::parse(text), Err(expected.to_owned()), "{text}");
        }
    }
}
