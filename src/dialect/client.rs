//! What a client of a dialect is told by the gateway itself: errors, lists,
//! answers of its own.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::hub::{Answer, Choice, Finish, Part};
use super::writer::{Head, Writer};
use super::{Dialect, anthropic, gemini, openai, responses};

/// One attempt, as a final error tells of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AttemptLine<'a> {
    pub target: &'a str,
    /// The failure class's label.
    pub class: &'a str,
    pub status: Option<u16>,
    pub ms: u64,
}

/// An error for the client, before it is put in the words of a dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorOut<'a> {
    /// As `OpenAI` would have it; see [`Dialect::error_status`].
    pub status: u16,
    /// One of `failover::refusal::status_of`, of the gateway's own checks, or a
    /// provider's of the same dialect.
    pub code: &'a str,
    pub message: &'a str,
    /// The field at fault.
    pub param: Option<&'a str>,
    /// When another try makes sense.
    pub retry_after: Option<Duration>,
    /// The trace id.
    pub trace: &'a str,
    pub attempts: &'a [AttemptLine<'a>],
}

impl Dialect {
    #[must_use]
    pub fn error_body(self, error: &ErrorOut<'_>) -> Bytes {
        Bytes::from(match self {
            Self::OpenAi => openai::reply::error_json(error),
            Self::Responses => responses::error_json(error),
            Self::Anthropic => anthropic::error_json(error),
            Self::Gemini => gemini::error_json(error),
        })
    }

    /// The status that clients of this dialect expect for an error: Anthropic
    /// has one of its own for overload.
    #[must_use]
    pub const fn error_status(self, status: u16) -> u16 {
        match (self, status) {
            (Self::Anthropic, 503) => 529,
            (Self::OpenAi | Self::Responses | Self::Anthropic | Self::Gemini, status) => status,
        }
    }

    /// Whether a body is an error as this dialect's clients know it.
    #[must_use]
    pub fn is_error(self, body: &[u8]) -> bool {
        let has_error = super::edit::json_at(body, "/error").is_some_and(|e| e.starts_with('{'));
        let typed = super::edit::json_at(body, "/type") == Some("\"error\"");
        match self {
            Self::OpenAi | Self::Responses | Self::Gemini => has_error,
            Self::Anthropic => has_error && typed,
        }
    }

    #[must_use]
    pub fn models_list(self, names: &[&str], created_unix: Duration) -> Bytes {
        let created = created_unix.as_secs();
        match self {
            Self::OpenAi | Self::Responses => {
                openai::reply::models_list(names.iter().copied(), created)
            }
            Self::Anthropic => anthropic::models_list(names, created),
            Self::Gemini => gemini::models_list(names, created),
        }
    }

    /// One model, as its list shows it.
    #[must_use]
    pub fn model(self, name: &str, created_unix: Duration) -> Bytes {
        let list = self.models_list(&[name], created_unix);
        let pointer = match self {
            Self::OpenAi | Self::Responses | Self::Anthropic => "/data/0",
            Self::Gemini => "/models/0",
        };
        let model = super::edit::json_at(&list, pointer).unwrap_or("{}");
        Bytes::from(model.to_owned())
    }

    /// The answer to a request to count tokens.
    #[must_use]
    pub fn token_count(self, tokens: u32) -> Bytes {
        Bytes::from(match self {
            Self::OpenAi | Self::Responses | Self::Anthropic => {
                format!(r#"{{"input_tokens":{tokens}}}"#)
            }
            Self::Gemini => format!(r#"{{"totalTokens":{tokens}}}"#),
        })
    }

    /// A whole answer's body.
    #[must_use]
    pub fn write_answer(self, answer: &Answer, head: &Head) -> Bytes {
        match self {
            Self::OpenAi => openai::write_answer(answer, head),
            Self::Responses => responses::write_answer(answer, head),
            Self::Anthropic => anthropic::write_answer(answer, head),
            Self::Gemini => gemini::write_answer(answer, head),
        }
    }

    /// An answer as a stream, with its terminator.
    #[must_use]
    pub fn write_stream(self, answer: Answer, head: Head) -> Bytes {
        let mut writer = Writer::new(self, head);
        let mut out = Vec::new();
        for event in answer.into_events() {
            writer.write(&event, &mut out);
        }
        writer.finish(&mut out);
        Bytes::from(out)
    }

    /// A whole answer with another text.
    #[must_use]
    pub fn amend(self, body: &Bytes, text: &str) -> Bytes {
        let amended = match self {
            Self::OpenAi => openai::whole::amend_whole(body, text),
            Self::Responses => responses::amend_whole(body, text),
            Self::Anthropic => anthropic::amend_whole(body, text),
            Self::Gemini => gemini::amend_whole(body, text),
        };
        amended.unwrap_or_else(|| body.clone())
    }
}

/// An answer that is nothing but this text.
#[must_use]
pub fn text_answer(text: &str) -> Answer {
    let parts = vec![Part::Text(text.to_owned())];
    let choice = Choice { parts, finish: Some(Finish::Stop) };
    Answer { choices: vec![choice], ..Answer::default() }
}
