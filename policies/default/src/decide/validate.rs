//! Whether an answer may be delivered.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::de::IgnoredAny;

use super::Settings;
use crate::contract::backstay::policy::exchange::{Finish, ToolCall};
use crate::contract::backstay::policy::types::{Call, Features, Operation, Rejection, Verdict};

/// What is read of the request.
pub trait RequestBody {
    /// The JSON value at a pointer (RFC 6901).
    fn json(&self, pointer: &str) -> Option<String>;
}

/// What is read of the answer.
pub trait AnswerBody {
    fn complete(&self) -> bool;
    /// In bytes.
    fn text_length(&self) -> u32;
    fn tool_calls(&self) -> Vec<ToolCall>;
    fn finish(&self) -> Finish;
    /// Where the text breaks the schema; an empty schema asks for any JSON.
    fn violations(&self, schema: &str) -> Vec<String>;
}

/// Judges a complete chat answer: that there is one, and that promised JSON is
/// JSON. Everything else passes unread.
#[must_use]
pub fn validate(call: &Call, request: &impl RequestBody, answer: &impl AnswerBody) -> Verdict {
    if !answer.complete() {
        return Verdict::Accept;
    }
    match call.operation {
        Operation::Chat | Operation::Responses => {}
        Operation::Embeddings | Operation::Other => return Verdict::Accept,
    }
    let has_text = answer.text_length() > 0;
    let finish = answer.finish();
    let objection = if has_text && !call.needs.contains(Features::TOOLS) {
        None
    } else {
        let calls = answer.tool_calls();
        let empty = !has_text && calls.is_empty();
        if empty { about_emptiness(call, finish) } else { about_tool_calls(finish, &calls) }
    };
    objection
        .or_else(|| about_json(call, has_text, finish, request, answer))
        .map_or(Verdict::Accept, Verdict::Reject)
}

/// Nothing was said, and that is not what was asked for or meant.
fn about_emptiness(call: &Call, finish: Finish) -> Option<Rejection> {
    let counts = match finish {
        // The client's own limit was used up before there was anything to show.
        Finish::Length if call.max_output_tokens.is_some() => return None,
        // What the model or its provider meant, or content of another kind.
        Finish::ContentFilter | Finish::Refusal | Finish::Other => return None,
        Finish::Length => false,
        Finish::Stop | Finish::ToolCalls | Finish::Unfinished => true,
    };
    Some(Rejection { reason: "empty answer".to_string(), counts })
}

fn about_tool_calls(finish: Finish, tool_calls: &[ToolCall]) -> Option<Rejection> {
    let ended = match finish {
        Finish::Stop | Finish::ToolCalls => true,
        Finish::Length
        | Finish::ContentFilter
        | Finish::Refusal
        | Finish::Other
        | Finish::Unfinished => false,
    };
    // Some providers send nothing at all for a function without parameters.
    let broken = |call: &&ToolCall| !call.arguments.trim().is_empty() && !is_json(&call.arguments);
    let broken = tool_calls.iter().find(broken).filter(|_| ended)?;
    let mut reason = String::from("the arguments of a tool call are not JSON: ");
    reason.extend(broken.name.chars().take(64));
    Some(Rejection { reason, counts: false })
}

/// A text cut at the client's own limit is not held to a promise of JSON.
fn about_json(
    call: &Call,
    has_text: bool,
    finish: Finish,
    request: &impl RequestBody,
    answer: &impl AnswerBody,
) -> Option<Rejection> {
    let promised = call.needs.contains(Features::JSON_SCHEMA);
    if !promised || !has_text || finish != Finish::Stop {
        return None;
    }
    if !Settings::read(&call.settings).schema_check {
        return None;
    }
    let schema = promised_schema(request)?;
    let first = answer.violations(&schema).into_iter().next()?;
    let mut reason = String::from("the answer breaks the promised JSON: ");
    reason.extend(first.chars().take(256));
    Some(Rejection { reason, counts: false })
}

/// Where each dialect says what form it wants, and where its schema is.
const FORMATS: [(&str, &str); 3] = [
    ("/response_format/type", "/response_format/json_schema/schema"),
    ("/text/format/type", "/text/format/schema"),
    ("/output_config/format/type", "/output_config/format/schema"),
];

/// The JSON Schema the client was promised; empty for any JSON, `None` for none.
fn promised_schema(request: &impl RequestBody) -> Option<String> {
    for (kind, schema) in FORMATS {
        match request.json(kind).as_deref() {
            Some("\"json_object\"") => return Some(String::new()),
            Some("\"json_schema\"") => return Some(request.json(schema).unwrap_or_default()),
            Some(_) | None => {}
        }
    }
    let gemini = request.json("/generationConfig/responseMimeType")?;
    // The older `responseSchema` is no JSON Schema: any JSON will do.
    let schema = || request.json("/generationConfig/responseJsonSchema").unwrap_or_default();
    (gemini == "\"application/json\"").then(schema)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
