//! The JSON of chat answers, borrowed: chunks of a stream, and whole bodies.
//! Lenient, because servers differ: only what is looked at is read, and fields
//! of an unexpected type are taken raw. Owns what counts as content; must not
//! know what came before.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::answer::{AnswerText, FinishReason};
use crate::dialect::errors;
use crate::dialect::json;
use crate::dialect::node::Node;
use crate::dialect::sse::Frame;
use crate::dialect::stream::MAX_CHOICES;
use crate::failover::attempt::ErrorReply;
use crate::failover::classify::FailureClass;
use crate::secret::Secret;

use super::error_table::TABLE;

/// What a stream's frame is, before its chunk is looked at.
pub enum Opened<'a> {
    /// A comment, or an event without data.
    Empty,
    /// The normal terminator.
    Done,
    Error(ErrorReply),
    Malformed(String),
    Chunk(Box<Reply<'a>>),
}

/// Opens a frame. `secrets` are cut out of errors.
pub fn open<'a>(frame: &'a Frame, secrets: &[&Secret]) -> Opened<'a> {
    let data = frame.data.as_deref().unwrap_or_default().trim_ascii();
    if data.is_empty() {
        return Opened::Empty;
    }
    if data == b"[DONE]" {
        return Opened::Done;
    }
    let Ok(data) = std::str::from_utf8(data) else {
        return Opened::Malformed("an event's data is not UTF-8".to_owned());
    };
    let error = || Opened::Error(errors::hidden_error(TABLE, data, secrets));
    if frame.event.as_deref() == Some(b"error") {
        return error();
    }
    match serde_json::from_str::<Reply<'_>>(data) {
        Ok(reply) if reply.is_error() => error(),
        Ok(reply) => Opened::Chunk(Box::new(reply)),
        // Google's endpoint wraps errors in a list.
        Err(_) if data.starts_with('[') && data.contains("\"error\"") => error(),
        Err(error) => Opened::Malformed(format!("an event's data: {error}")),
    }
}

/// A chunk, or a whole body: they differ in `delta` and `message` only.
#[derive(Default)]
pub struct Reply<'a> {
    pub id: Option<&'a RawValue>,
    pub object: Option<&'a RawValue>,
    pub created: Option<&'a RawValue>,
    pub model: Option<&'a RawValue>,
    pub choices: Option<Choices<'a>>,
    pub usage: Option<&'a RawValue>,
    pub error: Option<&'a RawValue>,
}

/// Of a member that occurs twice the last one counts, as with clients' parsers.
impl<'de: 'a, 'a> Deserialize<'de> for Reply<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReplyVisitor)
    }
}

struct ReplyVisitor;

impl<'de> Visitor<'de> for ReplyVisitor {
    type Value = Reply<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reply<'de>, A::Error> {
        let mut reply = Reply::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "id" => reply.id = map.next_value()?,
                "object" => reply.object = map.next_value()?,
                "created" => reply.created = map.next_value()?,
                "model" => reply.model = map.next_value()?,
                "choices" => reply.choices = map.next_value()?,
                "usage" => reply.usage = map.next_value()?,
                "error" => reply.error = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(reply)
    }
}

impl Reply<'_> {
    /// Whether this is an error in disguise, in the newer or the older shape.
    pub fn is_error(&self) -> bool {
        let older = self.object.is_some_and(|object| object.get() == r#""error""#);
        older || self.error.is_some_and(|error| !is_vacant(error.get()))
    }
}

/// The choices, as many as are told apart; the rest is not looked at.
pub struct Choices<'a>(pub Vec<Choice<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Choices<'de>, A::Error> {
        let mut choices = Vec::new();
        while choices.len() < MAX_CHOICES as usize {
            match list.next_element()? {
                Some(choice) => choices.push(choice),
                None => return Ok(Choices(choices)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Choices(choices))
    }
}

#[derive(Default)]
pub struct Choice<'a> {
    pub index: Option<u32>,
    pub delta: Option<Message<'a>>,
    pub message: Option<Message<'a>>,
    finish_reason: Option<&'a RawValue>,
}

/// The same of twice as in a [`Reply`].
impl<'de: 'a, 'a> Deserialize<'de> for Choice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ChoiceVisitor)
    }
}

struct ChoiceVisitor;

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = Choice<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a choice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Choice<'de>, A::Error> {
        let mut choice = Choice::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "index" => choice.index = map.next_value()?,
                "delta" => choice.delta = map.next_value()?,
                "message" => choice.message = map.next_value()?,
                "finish_reason" => choice.finish_reason = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(choice)
    }
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
    pub refusal: Option<&'a RawValue>,
    /// The model's thoughts, as text or as a list of details.
    pub reasoning: Option<&'a RawValue>,
    /// Audio, annotations, or something new: which of these it is.
    pub other: Option<&'static str>,
}

impl Message<'_> {
    /// Whether there is anything a client would show or act on.
    pub const fn has_content(&self) -> bool {
        self.content.is_some() || self.reasoning.is_some() || self.has_more_than_text()
    }

    /// Whether it brings content that is neither text nor a call: annotations
    /// only tell of a text.
    pub fn is_more_than_said(&self) -> bool {
        self.other.is_some_and(|other| other != "annotations")
    }

    pub const fn has_more_than_text(&self) -> bool {
        let calls = self.tool_calls.is_some() || self.function_call.is_some();
        calls || self.refusal.is_some() || self.other.is_some()
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
                "refusal" => message.refusal = Some(value),
                "reasoning_content" => message.reasoning = Some(value),
                "reasoning" | "reasoning_details" => {
                    // The same once more; the details are no text.
                    let text = message.reasoning.filter(|known| known.get().starts_with('"'));
                    message.reasoning = text.or(Some(value));
                }
                "audio" => message.other = Some("audio"),
                "annotations" => message.other = Some("annotations"),
                _ => message.other = Some("other"),
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
    let texts = Node::new(content).items().filter_map(|part| part.text("text"));
    Cow::Owned(texts.collect())
}

/// A tool call, or a piece of one.
pub struct Call<'a> {
    pub index: Option<u32>,
    /// Empty where it is not given.
    pub id: Cow<'a, str>,
    /// Empty in most pieces.
    pub name: Cow<'a, str>,
    /// JSON, or of a free-text tool the text; often a piece of it.
    pub arguments: Cow<'a, str>,
    pub free_text: bool,
    /// Google's proof that its model made the call.
    pub signature: Option<Cow<'a, str>>,
}

impl<'a> Call<'a> {
    fn read(call: Node<'a>) -> Self {
        let custom = call.get("custom");
        let function = call.get("function").or(custom);
        let google = call.get("extra_content").and_then(|extra| extra.get("google"));
        Self {
            index: call.get("index").and_then(Node::u32),
            id: call.text("id").unwrap_or_default(),
            free_text: custom.is_some() && call.get("function").is_none(),
            signature: google.and_then(|google| google.text("thought_signature")),
            ..Self::of_function(function)
        }
    }

    fn of_function(function: Option<Node<'a>>) -> Self {
        let member = |name| function.and_then(|function| function.get(name));
        // Some servers give the arguments as an object.
        let text = |value: Option<Node<'a>>| {
            value.map(|value| value.str().unwrap_or(Cow::Borrowed(value.raw()))).unwrap_or_default()
        };
        Self {
            index: None,
            id: Cow::Borrowed(""),
            name: text(member("name")),
            arguments: text(member("arguments").or_else(|| member("input"))),
            free_text: false,
            signature: None,
        }
    }
}

/// The calls in a message or a piece of one, the legacy one too.
pub fn calls<'a>(message: &Message<'a>) -> impl Iterator<Item = Call<'a>> + use<'a> {
    let listed = message.tool_calls.map(|calls| Node::new(calls.get()).items());
    let listed = listed.into_iter().flatten().filter(|call| call.is_object()).map(Call::read);
    let legacy = message.function_call.map(|function| Node::new(function.get()));
    let legacy = legacy.filter(|function| function.is_object());
    listed.chain(legacy.map(|function| Call::of_function(Some(function))))
}

/// Adds a whole message to an answer.
pub fn add_message(answer: &mut AnswerText, message: &Message<'_>) {
    if let Some(content) = message.content {
        answer.push_text(&content_text(content.get()));
    }
    for call in calls(message) {
        answer.push_call(&call.name, &call.arguments, call.free_text);
    }
    answer.opaque |= message.is_more_than_said();
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
