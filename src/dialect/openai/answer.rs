//! Whole answers, to and from the internal form. Owns the members of a message
//! and of `usage` as they are written; what they mean when read, the decoder
//! knows.

use bytes::Bytes;

use crate::dialect::Dialect;
use crate::dialect::hub::{Answer, Choice, Finish, Part, Usage};
use crate::dialect::stream::Decoded;
use crate::dialect::writer::Head;

use super::chunk::Reply;
use super::compose::Json;
use super::decoder::Decoder;
use super::ids;

/// The answer in a body that passed `read_whole`.
#[must_use]
pub fn read_answer(body: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(body).ok()?;
    let reply: Reply<'_> = serde_json::from_str(text.trim_ascii()).ok()?;
    let mut events = Vec::new();
    let mut decoder = Decoder::default();
    match decoder.take(&reply, &mut events) {
        Decoded::Events => {}
        Decoded::Nothing
        | Decoded::Last
        | Decoded::Done
        | Decoded::Error(_)
        | Decoded::Malformed(_) => return None,
    }
    decoder.end(&mut events);
    let mut answer = Answer::of(events);
    // A choice that says nothing is one nevertheless.
    let choices = reply.choices.map_or(0, |choices| choices.0.len());
    answer.choices.resize(answer.choices.len().max(choices), Choice::default());
    Some(answer)
}

/// An answer as a whole body.
#[must_use]
pub fn write_answer(answer: &Answer, head: &Head) -> Bytes {
    let mut json = Json::default();
    json.open(b'{').text("id", &id(&answer.id, head)).text("object", "chat.completion");
    json.key("created").number(head.created).text("model", model(&answer.model, head));
    json.key("choices").open(b'[');
    for (index, choice) in (0_u32..).zip(&answer.choices) {
        json.open(b'{').key("index").number(index).key("message");
        message(&mut json, choice, index, head);
        json.key("logprobs").raw("null");
        json.text("finish_reason", finish_of(choice)).close(b'}');
    }
    json.close(b']');
    if let Some(usage) = &answer.usage {
        json.key("usage").raw(&usage_json(usage));
    }
    json.close(b'}');
    Bytes::from(json.into_bytes())
}

/// An answer's id, made of the trace's where the provider gives none.
pub fn id(given: &str, head: &Head) -> String {
    if given.is_empty() { format!("chatcmpl-{}", head.id) } else { given.to_owned() }
}

/// The model that answered, or that was asked.
pub fn model<'a>(given: &'a str, head: &'a Head) -> &'a str {
    if given.is_empty() { &head.model } else { given }
}

fn message(json: &mut Json, choice: &Choice, index: u32, head: &Head) {
    let (mut text, mut thoughts, mut refusal) = (None::<String>, String::new(), None::<String>);
    let mut calls = Vec::new();
    for part in &choice.parts {
        match part {
            Part::Text(more) => text.get_or_insert_default().push_str(more),
            Part::Thought { text, .. } => thoughts.push_str(text),
            Part::Refusal(more) => refusal.get_or_insert_default().push_str(more),
            Part::Call { .. } => calls.push(part),
            Part::Opaque(_) => {}
        }
    }
    json.open(b'{').text("role", "assistant").key("content");
    match &text {
        Some(text) => json.string(text),
        None if refusal.is_none() && calls.is_empty() => json.string(""),
        None => json.raw("null"),
    };
    json.key("refusal");
    match &refusal {
        Some(refusal) => json.string(refusal),
        None => json.raw("null"),
    };
    if !thoughts.is_empty() {
        json.text("reasoning_content", &thoughts);
    }
    if !calls.is_empty() {
        json.key("tool_calls").open(b'[');
        for (n, part) in (0..).zip(calls) {
            call(json, part, &ids::made(&head.id, index, n));
        }
        json.close(b']');
    }
    json.close(b'}');
}

/// `made` is the id of a call that has none.
fn call(json: &mut Json, part: &Part, made: &str) {
    let Part::Call { id, name, arguments, free_text, signature } = part else { return };
    let id = if id.is_empty() { made } else { id };
    json.open(b'{');
    call_head(json, id, name, *free_text);
    if *free_text {
        json.text("input", arguments);
    } else {
        json.text("arguments", if arguments.is_empty() { "{}" } else { arguments });
    }
    json.close(b'}');
    proof(json, signature.as_ref());
    json.close(b'}');
}

/// The members of a call up to its name; the arguments must follow.
pub fn call_head(json: &mut Json, id: &str, name: &str, free_text: bool) {
    let kind = if free_text { "custom" } else { "function" };
    json.text("id", id).text("type", kind).key(kind).open(b'{').text("name", name);
}

/// Where Google puts its signatures in this dialect. Others are not for it.
pub fn proof(json: &mut Json, signature: Option<&(Dialect, String)>) {
    if let Some((Dialect::Gemini, signature)) = signature {
        json.key("extra_content").open(b'{').key("google").open(b'{');
        json.text("thought_signature", signature).close(b'}').close(b'}');
    }
}

fn finish_of(choice: &Choice) -> &'static str {
    let calls = choice.parts.iter().any(|part| matches!(part, Part::Call { .. }));
    let refused = choice.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    finish_word(choice.finish.as_ref(), calls, refused)
}

/// A finish as this dialect says it (wire formats §4.5); `None` if it was not
/// said.
pub const fn finish_word(finish: Option<&Finish>, calls: bool, refused: bool) -> &'static str {
    match finish {
        Some(Finish::Stop | Finish::StopSequence(_)) | None if calls => "tool_calls",
        Some(Finish::Stop | Finish::StopSequence(_)) | None => "stop",
        Some(Finish::ToolCalls) => "tool_calls",
        Some(Finish::ContentFilter) => "content_filter",
        Some(Finish::Refusal) if refused => "stop",
        Some(Finish::Refusal) => "content_filter",
        // A client must not take for whole what is not.
        Some(Finish::Length | Finish::ContextFull | Finish::Paused | Finish::Other(_)) => "length",
    }
}

/// Token counts as JSON; what is not known is left out.
pub fn usage_json(usage: &Usage) -> String {
    let mut json = Json::default();
    json.open(b'{');
    counts(
        &mut json,
        &[
            ("prompt_tokens", usage.input),
            ("completion_tokens", usage.output),
            ("total_tokens", usage.total()),
        ],
    );
    if usage.cached.or(usage.cache_written).is_some() {
        json.key("prompt_tokens_details").open(b'{');
        let details =
            [("cached_tokens", usage.cached), ("cache_write_tokens", usage.cache_written)];
        counts(&mut json, &details);
        json.close(b'}');
    }
    if usage.reasoning.is_some() {
        json.key("completion_tokens_details").open(b'{');
        counts(&mut json, &[("reasoning_tokens", usage.reasoning)]);
        json.close(b'}');
    }
    json.close(b'}');
    json.into_text()
}

fn counts(json: &mut Json, counts: &[(&str, Option<u32>)]) {
    for (name, count) in counts {
        if let Some(count) = count {
            json.key(name).number(*count);
        }
    }
}

#[cfg(test)]
pub mod tests;
