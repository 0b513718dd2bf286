//! The JSON of chat answers, borrowed: chunks of a stream, and whole bodies.
//! Lenient, because servers differ: only what is looked at is read, and fields
//! of an unexpected type are taken raw. Owns what counts as content; must not
//! know what came before.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::answer::{AnswerText, FinishReason};
use crate::dialect::json;
use crate::failover::attempt::ErrorReply;
use crate::failover::classify::FailureClass;

/// A chunk, or a whole body: they differ in `delta` and `message` only.
#[derive(Deserialize)]
pub struct Reply<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub created: Option<&'a RawValue>,
    #[serde(borrow)]
    pub model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

impl Reply<'_> {
    /// Whether this is an error in disguise, in the newer or the older shape.
    pub fn is_error(&self) -> bool {
        let older = self.object.is_some_and(|object| object.get() == r#""error""#);
        older || self.error.is_some_and(|error| !is_vacant(error.get()))
    }
}

#[derive(Deserialize)]
pub struct Choice<'a> {
    pub index: Option<u32>,
    #[serde(borrow)]
    pub delta: Option<Message<'a>>,
    #[serde(borrow)]
    pub message: Option<Message<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    pub fn finish_reason(&self) -> Option<Cow<'a, str>> {
        json::unquote(self.finish_reason?.get()).filter(|reason| !reason.is_empty())
    }
}

/// The members of a message, or of a piece of one, that are not vacant.
#[derive(Default)]
pub struct Message<'a> {
    pub content: Option<&'a RawValue>,
    pub tool_calls: Option<&'a RawValue>,
    pub function_call: Option<&'a RawValue>,
    pub refusal: bool,
    pub reasoning: bool,
    /// Audio, annotations, or something new.
    pub other: bool,
}

impl Message<'_> {
    /// Whether there is anything a client would show or act on.
    pub const fn has_content(&self) -> bool {
        self.content.is_some() || self.reasoning || self.has_more_than_text()
    }

    pub const fn has_more_than_text(&self) -> bool {
        let calls = self.tool_calls.is_some() || self.function_call.is_some();
        calls || self.refusal || self.other
    }
}

/// Whether a member says nothing.
pub fn is_vacant(json: &str) -> bool {
    matches!(json, "null" | "\"\"" | "[]" | "{}" | "false")
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MessageVisitor)
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
        let mut message = Message::default();
        while let Some(Text(key)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            if is_vacant(value.get()) {
                continue;
            }
            match &*key {
                "role" | "name" => {}
                "content" => message.content = Some(value),
                "tool_calls" => message.tool_calls = Some(value),
                "function_call" => message.function_call = Some(value),
                "refusal" => message.refusal = true,
                "reasoning_content" | "reasoning" | "reasoning_details" => message.reasoning = true,
                _ => message.other = true,
            }
        }
        Ok(message)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a `content`: a string, or the text parts of a list (Mistral's
/// reasoning models).
pub fn content_text(content: &str) -> Cow<'_, str> {
    if let Some(text) = json::unquote(content) {
        return text;
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content).unwrap_or_default();
    let texts = parts.iter().filter_map(|part| json::unquote(part.text?.get()));
    Cow::Owned(texts.collect())
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

/// A tool call, or a piece of one.
#[derive(Deserialize)]
pub struct Call<'a> {
    pub index: Option<u32>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow, alias = "input")]
    arguments: Option<&'a RawValue>,
}

impl<'a> Call<'a> {
    /// Name and arguments; either may be empty in a piece.
    pub fn parts(&self) -> (Cow<'a, str>, Cow<'a, str>) {
        match self.function.as_ref().or(self.custom.as_ref()) {
            Some(function) => function.parts(),
            None => (Cow::Borrowed(""), Cow::Borrowed("")),
        }
    }
}

impl<'a> Function<'a> {
    pub fn parts(&self) -> (Cow<'a, str>, Cow<'a, str>) {
        let text = |value: Option<&'a RawValue>| {
            let raw = value.map_or("\"\"", RawValue::get);
            // Some servers give the arguments as an object.
            json::unquote(raw).unwrap_or(Cow::Borrowed(raw))
        };
        (text(self.name), text(self.arguments))
    }
}

pub fn calls(tool_calls: &RawValue) -> Vec<Call<'_>> {
    serde_json::from_str(tool_calls.get()).unwrap_or_default()
}

pub fn function(function_call: &RawValue) -> Option<Function<'_>> {
    serde_json::from_str(function_call.get()).ok()
}

/// Adds a whole message to an answer.
pub fn add_message(answer: &mut AnswerText, message: &Message<'_>) {
    if let Some(content) = message.content {
        answer.push_text(&content_text(content.get()));
    }
    for call in message.tool_calls.map(calls).unwrap_or_default() {
        let (name, arguments) = call.parts();
        answer.push_call(&name, &arguments);
    }
    if let Some(function) = message.function_call.and_then(function) {
        let (name, arguments) = function.parts();
        answer.push_call(&name, &arguments);
    }
}

/// What a finish reason means; the rarer names are those of compatible servers.
pub fn finish_reason(reason: &str, refused: bool) -> FinishReason {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" if refused => FinishReason::Refusal,
        "stop" | "eos" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        "refusal" => FinishReason::Refusal,
        _ => FinishReason::Other,
    }
}

/// Finish reasons that say the provider failed.
pub fn failed_finish(reason: &str) -> Option<ErrorReply> {
    let class = match reason {
        "error" => FailureClass::ServerError,
        "insufficient_system_resource" => FailureClass::Overloaded,
        _ => return None,
    };
    Some(ErrorReply {
        status: 200,
        class,
        code: reason.to_owned(),
        message: format!("the provider ended the answer with finish reason {reason:?}"),
        retry_after: None,
    })
}
