//! Whole answers: whether a 200 body is one, what it says, and the same written
//! for a client.

use bytes::Bytes;

use super::error_table::TABLE;
use super::foreign::FOREIGN_REASONING;
use super::item::{self, CallItem, Seen, Status};
use super::object::Object;
use super::response::{self, Identity, State};
use crate::dialect::answer::AnswerText;
use crate::dialect::hub::{Answer, Choice, Finish, Part};
use crate::dialect::json::{self, Patch};
use crate::dialect::node::Node;
use crate::dialect::peeking::span;
use crate::dialect::request::Task;
use crate::dialect::whole::{self, Whole, not_an_answer};
use crate::dialect::writer::Head;
use crate::dialect::{Dialect, errors};
use crate::failover::attempt::Outcome;
use crate::secret::Secret;

/// Reads the complete body of a 200, or says what is wrong with it.
pub fn read_whole(
    task: Task,
    content_type: Option<&str>,
    body: &[u8],
    secrets: &[&Secret],
) -> Result<Whole, Outcome> {
    let text = whole::json(content_type, body)?;
    let root = Node::new(text);
    let listed = text.starts_with('[') && text.contains("\"error\"");
    if listed || root.text("type").is_some_and(|kind| kind == "error") {
        return Err(Outcome::Error(errors::hidden_error(TABLE, text, secrets)));
    }
    if let Some(error) = failure(root) {
        return Err(Outcome::Error(errors::hidden_error(TABLE, &error, secrets)));
    }
    if !root.is_object() {
        return Err(not_an_answer("a body that is not a JSON object"));
    }
    let model = root.text("model").map(std::borrow::Cow::into_owned);
    match task {
        Task::Generate if root.get("output").is_some_and(Node::is_array) => {
            Ok(Whole { answer: answer(root).text(), model })
        }
        Task::Generate => Err(not_an_answer("a JSON body without output")),
        Task::CountTokens | Task::Embed | Task::EmbedBatch => {
            Ok(Whole { answer: AnswerText::default(), model })
        }
    }
}

/// The JSON of the error a response holds. Only that: what the client put into
/// the response must not decide.
pub fn failure(response: Node<'_>) -> Option<String> {
    if let Some(error) = response.get("error") {
        return Some(Object::new().raw("error", error.raw()).end());
    }
    let status = response.text("status")?;
    matches!(&*status, "failed" | "cancelled").then(|| {
        let message = format!("the response is {status}");
        let error = Object::new().text("code", &status).text("message", &message).end();
        Object::new().raw("error", &error).end()
    })
}

/// The answer in a body that passed `read_whole`.
#[must_use]
pub fn read_answer(body: &[u8]) -> Option<Answer> {
    let root = Node::new(std::str::from_utf8(body).ok()?);
    root.get("output").is_some_and(Node::is_array).then(|| answer(root))
}

fn answer(root: Node<'_>) -> Answer {
    let parts = item::read_all(root.get("output"));
    let owned = |name| root.text(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
    // Of a call in the background: there is no answer yet, but nothing is wrong.
    let under_way = || Finish::Other(root.text("status").unwrap_or_default().into_owned());
    let finish = Some(item::finish(root, Seen::of(&parts)).unwrap_or_else(under_way));
    Answer {
        id: owned("id"),
        model: owned("model"),
        choices: vec![Choice { parts, finish }],
        usage: root.get("usage").map(item::usage),
    }
}

/// An answer as a whole body. There is one choice, the first.
#[must_use]
pub fn write_answer(answer: &Answer, head: &Head) -> Bytes {
    let identity = Identity::new(head, &answer.model);
    let first = answer.choices.first();
    let refused = |choice: &Choice| choice.parts.iter().any(|p| matches!(p, Part::Refusal(_)));
    let finish = first.and_then(|choice| choice.finish.as_ref());
    let state = State::of(finish, first.is_some_and(refused));
    let items = first.map_or_else(Vec::new, |choice| items(&choice.parts, &head.id, state.items()));
    Bytes::from(response::write(&identity, state, &items, answer.usage.as_ref()))
}

/// The items of an answer; text and refusals in a row are one message. `last` is
/// how a message at the end stands.
fn items(parts: &[Part], trace: &str, last: Status) -> Vec<String> {
    let mut items = Vec::new();
    let mut message = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => message.push(item::write_part(false, text)),
            Part::Refusal(text) => message.push(item::write_part(true, text)),
            Part::Thought { .. } | Part::Call { .. } => {
                end_message(&mut message, &mut items, trace, Status::Completed);
                items.extend(write_item(part, trace, items.len()));
            }
            Part::Opaque(_) => {}
        }
    }
    end_message(&mut message, &mut items, trace, last);
    items
}

fn end_message(message: &mut Vec<String>, items: &mut Vec<String>, trace: &str, status: Status) {
    if !message.is_empty() {
        let id = item::id("msg", trace, items.len());
        items.push(item::write_message(&id, status, message));
        message.clear();
    }
}

fn write_item(part: &Part, trace: &str, place: usize) -> Option<String> {
    match part {
        Part::Call { id, name, arguments, free_text, signature: _ } => {
            let own = item::id(if *free_text { "ctc" } else { "fc" }, trace, place);
            let call_id = if id.is_empty() { item::id("call", trace, place) } else { id.clone() };
            let bare = arguments.is_empty() && !free_text;
            let arguments = if bare { "{}" } else { arguments };
            let free_text = *free_text;
            let call = CallItem { id: &own, call_id: &call_id, name, arguments, free_text };
            Some(item::write_call(call, Status::Completed))
        }
        Part::Thought { text, signature, redacted: _ } => {
            let own = signature.as_ref().filter(|(by, _)| *by == Dialect::Responses);
            let encrypted = own.map(|(_, value)| &**value);
            let summary = if text.is_empty() { Vec::new() } else { vec![text.clone()] };
            let id = item::id(FOREIGN_REASONING, trace, place);
            (!summary.is_empty() || encrypted.is_some())
                .then(|| item::write_reasoning(&id, &summary, encrypted))
        }
        Part::Text(_) | Part::Refusal(_) | Part::Opaque(_) => None,
    }
}

/// The body with this text as the answer's; further texts become empty. `None`
/// if there is no text to replace.
#[must_use]
pub fn amend_whole(body: &[u8], text: &str) -> Option<Bytes> {
    let body_text = std::str::from_utf8(body).ok()?;
    let output = Node::new(body_text).get("output")?;
    let messages = output.items().filter(|item| item::Kind::of(*item) == item::Kind::Message);
    let parts = messages.filter_map(|item| item.get("content")).flat_map(Node::items);
    let texts = parts.filter(|part| part.text("type").is_some_and(|kind| kind == "output_text"));
    let mut patches: Vec<Patch> = texts
        .filter_map(|part| part.get("text"))
        .map(|node| Patch { span: span(body_text, node.raw()), text: "\"\"".to_owned() })
        .collect();
    patches.first_mut()?.text = json::quote(text);
    Some(json::patch(body, patches))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
