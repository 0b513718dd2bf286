//! Gemini's answers: the JSON of a response, which is also that of each event
//! of a stream. Pure.

use serde_json::{Value, json};

use super::super::call::{Call, Content, Finish};
use super::super::script::{put, put_json};

/// What comes with the first call of a step and must come back with it.
const SIGNATURE: &str = "ZmFrZS10aG91Z2h0LXNpZ25hdHVyZQ==";

pub(in super::super) fn put_whole(out: &mut Vec<u8>, call: &Call<'_>) {
    let mut parts = Vec::new();
    if !call.thoughts.is_empty() {
        put_thought(&mut parts, call.thoughts);
        if call.content != Content::Text("") {
            parts.push(b',');
        }
    }
    match call.content {
        Content::Text("") => {}
        Content::Text(text) | Content::Refusal(text) => put_text(&mut parts, text),
        Content::Tool { .. } => put_calls(&mut parts, call, call.content.text()),
    }
    let finish = finish_reason(call, call.finish, call.content.text());
    put_response(out, call, &parts, Some(finish), call.completion_tokens());
}

/// A part with text.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"text\":");
    put_json(out, text);
    out.push(b'}');
}

/// A part with reasoning.
pub(super) fn put_thought(out: &mut Vec<u8>, text: &str) {
    put_text(out, text);
    out.pop();
    out.extend_from_slice(b",\"thought\":true}");
}

/// A response with these parts, after so many tokens.
pub(super) fn put_response(
    out: &mut Vec<u8>,
    call: &Call<'_>,
    parts: &[u8],
    finish: Option<&str>,
    tokens: usize,
) {
    out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"parts\":[");
    out.extend_from_slice(parts);
    out.extend_from_slice(b"],\"role\":\"model\"}");
    if let Some(reason) = finish {
        put(out, format_args!(",\"finishReason\":\"{reason}\""));
        let rating = match reason {
            "SAFETY" => json!([{
                "category": "HARM_CATEGORY_DANGEROUS_CONTENT",
                "probability": "HIGH",
                "blocked": true,
            }]),
            _ => Value::Null,
        };
        if !rating.is_null() {
            put(out, format_args!(",\"safetyRatings\":{rating}"));
        }
        if reason == MALFORMED {
            out.extend_from_slice(b",\"finishMessage\":\"Malformed function call\"");
        }
    }
    let thoughts = call.thought_tokens();
    let (prompt, total) = (call.prompt_tokens, call.prompt_tokens + tokens + thoughts);
    put(out, format_args!(",\"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":{prompt},"));
    if thoughts > 0 {
        put(out, format_args!("\"thoughtsTokenCount\":{thoughts},"));
    }
    put(out, format_args!("\"candidatesTokenCount\":{tokens},\"totalTokenCount\":{total}}},"));
    out.extend_from_slice(b"\"modelVersion\":");
    put_json(out, call.model);
    put(out, format_args!(",\"responseId\":\"{}-{}\"}}", call.provider, call.number));
}

const MALFORMED: &str = "MALFORMED_FUNCTION_CALL";

/// Why it ends; a call whose arguments are no object cannot be told.
pub(super) fn finish_reason(call: &Call<'_>, finish: Finish, said: &str) -> &'static str {
    match finish {
        Finish::ToolCalls => match call.content {
            Content::Tool { name, .. } if function_call(name, said).is_none() => MALFORMED,
            Content::Tool { .. } | Content::Text(_) | Content::Refusal(_) => "STOP",
        },
        Finish::Stop | Finish::Refused => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filtered => "SAFETY",
    }
}

/// Parts with all calls, if the arguments of the first, which are these, are an
/// object. The first part of a step is the one that is signed.
pub(super) fn put_calls(out: &mut Vec<u8>, call: &Call<'_>, arguments: &str) {
    for (place, (name, own)) in call.tool_calls().enumerate() {
        let arguments = if place == 0 { arguments } else { own };
        let Some(mut part) = function_call(name, arguments) else { return };
        if place == 0 {
            part["thoughtSignature"] = SIGNATURE.into();
        } else {
            out.push(b',');
        }
        put(out, format_args!("{part}"));
    }
}

/// A part with a call, if the arguments are an object.
fn function_call(name: &str, arguments: &str) -> Option<Value> {
    let args: Value = serde_json::from_str(arguments).ok().filter(Value::is_object)?;
    let call = json!({ "name": name, "args": args });
    Some(json!({ "functionCall": call }))
}
