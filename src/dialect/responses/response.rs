//! The response object around an answer's items: whole, and in the events of a
//! stream that repeat it. What a client's SDK demands of it is there even if
//! nobody has anything to say about it.

use super::item::{Status, plain};
use super::object::{Object, array};
use crate::dialect::hub::{Finish, Usage};
use crate::dialect::writer::Head;

/// What a response says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub id: String,
    pub model: String,
    /// Unix time in seconds.
    pub created: u64,
}

impl Identity {
    #[must_use]
    pub fn new(head: &Head, model: &str) -> Self {
        let model = if model.is_empty() { &head.model } else { model };
        let id = format!("resp_{}", plain(&head.id));
        Self { id, model: model.to_owned(), created: head.created }
    }
}

/// How a response stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State<'a> {
    InProgress,
    Completed,
    /// For this reason.
    Incomplete(&'a str),
    /// With this code and message.
    Failed(&'a str, &'a str),
}

impl<'a> State<'a> {
    /// After an answer that ended like this (wire formats §4.5); `refused`: it
    /// says so in words of its own. What has no word here was cut short by
    /// something.
    #[must_use]
    pub const fn of(finish: Option<&'a Finish>, refused: bool) -> Self {
        match finish {
            None | Some(Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls) => {
                Self::Completed
            }
            Some(Finish::Refusal) if refused => Self::Completed,
            Some(Finish::ContentFilter | Finish::Refusal) => Self::Incomplete("content_filter"),
            Some(Finish::Length | Finish::ContextFull | Finish::Paused | Finish::Other(_)) => {
                Self::Incomplete("max_output_tokens")
            }
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed(..) => "failed",
        }
    }

    /// How the items that were open at the end stand.
    #[must_use]
    pub const fn items(self) -> Status {
        match self {
            Self::InProgress | Self::Completed => Status::Completed,
            Self::Incomplete(_) | Self::Failed(..) => Status::Incomplete,
        }
    }

    /// The end of the type of the event that tells of it.
    #[must_use]
    pub const fn event(self) -> &'static str {
        self.status()
    }
}

/// The object, with these items.
#[must_use]
pub fn write(
    identity: &Identity,
    state: State<'_>,
    items: &[String],
    usage: Option<&Usage>,
) -> String {
    let (error, details) = match state {
        State::InProgress | State::Completed => (None, None),
        State::Incomplete(reason) => (None, Some(Object::new().text("reason", reason).end())),
        State::Failed(code, message) => {
            (Some(Object::new().text("code", code).text("message", message).end()), None)
        }
    };
    let null = "null";
    Object::new()
        .text("id", &identity.id)
        .text("object", "response")
        .number("created_at", identity.created)
        .text("status", state.status())
        .bool("background", false)
        .raw("error", error.as_deref().unwrap_or(null))
        .raw("incomplete_details", details.as_deref().unwrap_or(null))
        .raw("instructions", null)
        .raw("max_output_tokens", null)
        .text("model", &identity.model)
        .raw("output", &array(items))
        .bool("parallel_tool_calls", true)
        .raw("previous_response_id", null)
        .raw("reasoning", r#"{"effort":null,"summary":null}"#)
        .bool("store", false)
        .raw("temperature", null)
        .raw("text", r#"{"format":{"type":"text"}}"#)
        .text("tool_choice", "auto")
        .raw("tools", "[]")
        .raw("top_p", null)
        .text("truncation", "disabled")
        .raw("usage", usage.and_then(write_usage).as_deref().unwrap_or(null))
        .raw("user", null)
        .raw("metadata", "{}")
        .end()
}

/// Token counts; SDKs demand every one of them.
fn write_usage(usage: &Usage) -> Option<String> {
    let total = usage.total()?;
    let number = |count: Option<u32>| u64::from(count.unwrap_or(0));
    let input = Object::new()
        .number("cached_tokens", number(usage.cached))
        .number("cache_write_tokens", number(usage.cache_written));
    let output = Object::new().number("reasoning_tokens", number(usage.reasoning));
    let counts = Object::new()
        .number("input_tokens", number(usage.input))
        .raw("input_tokens_details", &input.end())
        .number("output_tokens", number(usage.output))
        .raw("output_tokens_details", &output.end());
    Some(counts.number("total_tokens", total.into()).end())
}
