//! Whole answers: whether a body is one, what it says, and an answer of any
//! dialect as one.

use std::fmt::Write as _;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::error_table::TABLE;
use super::ids;
use super::request::member;
use super::turns::text_json;
use super::words;
use crate::dialect::Dialect;
use crate::dialect::answer::AnswerText;
use crate::dialect::errors;
use crate::dialect::hub::legend::FREE_TEXT_PARAMETER;
use crate::dialect::hub::{Answer, Choice, Part};
use crate::dialect::json::{self, Item, Items, Patch};
use crate::dialect::node::Node;
use crate::dialect::request::Task;
use crate::dialect::whole::{self, Whole, not_an_answer};
use crate::dialect::writer::Head;
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
    let node = Node::new(text);
    let error = node.text("type").as_deref() == Some("error") || node.get("error").is_some();
    if error || node.is_array() && text.contains("\"error\"") {
        return Err(Outcome::Error(errors::hidden_error(TABLE, text, secrets)));
    }
    let model = node.text("model").map(std::borrow::Cow::into_owned);
    match task {
        Task::Generate if !node.get("content").is_some_and(Node::is_array) => {
            Err(not_an_answer("a JSON body without content"))
        }
        Task::Generate => Ok(Whole { answer: of(node).text(), model }),
        Task::CountTokens if node.get("input_tokens").is_none() => {
            Err(not_an_answer("a JSON body without a count"))
        }
        Task::CountTokens => Ok(Whole { answer: AnswerText::default(), model }),
        Task::Embed | Task::EmbedBatch => Err(not_an_answer("there are no embeddings")),
    }
}

/// The answer in a body that passed `read_whole`.
#[must_use]
pub fn read_answer(body: &[u8]) -> Option<Answer> {
    let node = Node::new(std::str::from_utf8(body).ok()?);
    node.get("content").filter(|content| content.is_array())?;
    Some(of(node))
}

fn of(node: Node<'_>) -> Answer {
    let mut choice = Choice { parts: Vec::new(), finish: words::finish(node) };
    for block in node.get("content").into_iter().flat_map(Node::items) {
        read_block(block, &mut choice);
    }
    if let Some(refusal) = words::explanation(node) {
        choice.add_refusal(refusal.into());
    }
    let text = |name| node.text(name).unwrap_or_default().into_owned();
    Answer {
        id: text("id"),
        model: text("model"),
        choices: vec![choice],
        usage: node.get("usage").map(words::usage),
    }
}

/// Thoughts without anything in them are left out; a call of no tool is none.
fn read_block(block: Node<'_>, choice: &mut Choice) {
    let text = |name| block.text(name).unwrap_or_default();
    let proof = |name| Some(text(name)).filter(|proof| !proof.is_empty());
    let proof = |name| proof(name).map(|proof| (Dialect::Anthropic, proof.into_owned()));
    match block.text("type").as_deref() {
        Some("text") => {
            choice.add_text(text("text"));
            if block.get("citations").is_some_and(|list| list.items().next().is_some()) {
                choice.add_opaque("citations");
            }
        }
        Some("thinking") => {
            let (text, signature) = (text("thinking").into_owned(), proof("signature"));
            if !text.is_empty() || signature.is_some() {
                choice.push(Part::Thought { text, signature, redacted: false });
            }
        }
        Some("redacted_thinking") => {
            let (text, signature) = (String::new(), proof("data"));
            if signature.is_some() {
                choice.push(Part::Thought { text, signature, redacted: true });
            }
        }
        Some("tool_use") if !text("name").is_empty() => choice.push(Part::Call {
            id: text("id").into_owned(),
            name: text("name").into_owned(),
            arguments: block.get("input").map_or("{}", Node::raw).to_owned(),
            free_text: false,
            signature: None,
        }),
        Some(other) => choice.add_opaque(words::opaque(other)),
        None => choice.add_opaque("unknown_block"),
    }
}

/// An answer as a whole body. There is one choice only.
#[must_use]
pub fn write_answer(answer: &Answer, head: &Head) -> Bytes {
    let first = answer.choices.first();
    let parts = first.map_or(&[][..], |choice| &choice.parts);
    let mut blocks = Vec::with_capacity(parts.len());
    for (n, part) in parts.iter().enumerate() {
        blocks.extend(part_json(part, n, head));
    }
    let calls = parts.iter().any(|part| matches!(part, Part::Call { .. }));
    let refused = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let finish = first.and_then(|choice| choice.finish.as_ref());
    let model = if answer.model.is_empty() { &head.model } else { &answer.model };
    let body = format!(
        r#"{{"id":"{}","type":"message","role":"assistant","model":{},"content":[{}],{},"usage":{}}}"#,
        words::message_id(&answer.id, &head.id),
        json::quote(model),
        blocks.join(","),
        words::finish_json(finish, calls, refused),
        words::usage_json(&answer.usage.unwrap_or_default(), true),
    );
    Bytes::from(body)
}

fn part_json(part: &Part, n: usize, head: &Head) -> Option<String> {
    match part {
        Part::Text(text) | Part::Refusal(text) => (!text.is_empty()).then(|| text_json(text)),
        Part::Thought { text, signature, redacted } => {
            let own = signature.as_ref().filter(|(by, _)| *by == Dialect::Anthropic);
            let proof = own.map(|(_, proof)| proof.as_str()).unwrap_or_default();
            if *redacted {
                let block = |proof| format!(r#"{{"type":"redacted_thinking","data":{proof}}}"#);
                return own.map(|_| block(json::quote(proof)));
            }
            if text.is_empty() && proof.is_empty() {
                return None;
            }
            let (text, proof) = (json::quote(text), json::quote(proof));
            Some(format!(r#"{{"type":"thinking","thinking":{text},"signature":{proof}}}"#))
        }
        Part::Call { id, name, arguments, free_text, .. } => Some(format!(
            r#"{{"type":"tool_use","id":{},"name":{},"input":{}}}"#,
            json::quote(&call_id(id, n, head)),
            json::quote(name),
            input(arguments, *free_text)
        )),
        Part::Opaque(_) => None,
    }
}

/// A call's id for the client: the provider's, as Anthropic allows it.
#[must_use]
pub fn call_id(id: &str, n: usize, head: &Head) -> String {
    if id.is_empty() {
        return format!("toolu_{}_{n}", &words::message_id("", &head.id)["msg_".len()..]);
    }
    ids::call_id(id).into_owned()
}

/// Arguments as the object they must be.
fn input(arguments: &str, free_text: bool) -> String {
    let trimmed = arguments.trim();
    if trimmed.is_empty() && !free_text {
        return "{}".to_owned();
    }
    let object = !free_text && trimmed.starts_with('{');
    if object && serde_json::from_str::<IgnoredAny>(trimmed).is_ok() {
        return trimmed.to_owned();
    }
    let mut out = String::new();
    let _ = write!(out, r#"{{"{FREE_TEXT_PARAMETER}":{}}}"#, json::quote(arguments));
    out
}

/// The body with this text in place of all its texts; `None` if there is no
/// place for it.
#[must_use]
pub fn amend_whole(body: &[u8], text: &str) -> Option<Bytes> {
    let whole = std::str::from_utf8(body).ok()?;
    let content = member(body, &json::whole(body), "content")?;
    if body.get(content.start) != Some(&b'[') {
        return None;
    }
    let kind = |item: &Item| {
        let kind = member(body, &item.value, "type").and_then(|kind| json::unquote(&whole[kind]));
        kind.unwrap_or_default()
    };
    // All but the texts; the first of them is replaced.
    let mut blocks: Vec<String> = Vec::new();
    let mut place = None;
    let mut first_call = None;
    for item in Items::new(body, &content) {
        match &*kind(&item) {
            "text" => {
                place.get_or_insert(blocks.len());
            }
            kind => {
                if kind == "tool_use" {
                    first_call.get_or_insert(blocks.len());
                }
                blocks.push(whole[item.value].to_owned());
            }
        }
    }
    let place = place.or(first_call).unwrap_or(blocks.len());
    if !text.is_empty() {
        blocks.insert(place, text_json(text));
    }
    let text = format!("[{}]", blocks.join(","));
    Some(json::patch(body, vec![Patch { span: content, text }]))
}
