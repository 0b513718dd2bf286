//! What a writer must know of the frames that pass it, so that an answer that
//! began with them can be continued, ended or broken off. The frames were read
//! before: what is wrong with them is not told here.

use super::draft::{Body, Draft, Part, Reasoning, ToolCall};
use super::item::{self, Kind, Status};
use super::response::Identity;
use super::tools::one_line;
use crate::dialect::node::Node;

/// What frames that passed say of the answer as a whole.
#[derive(Debug, Default)]
pub struct Noted {
    /// Of the last frame.
    pub sequence: Option<u64>,
    pub ended: bool,
}

/// Takes note of one frame.
pub fn note(data: &str, identity: &mut Identity, draft: &mut Draft) -> Noted {
    let node = Node::new(data);
    let sequence = node.get("sequence_number").and_then(|number| number.raw().parse().ok());
    let mut noted = Noted { sequence, ended: false };
    let kind = node.text("type").unwrap_or_default();
    match &*kind {
        "response.created" | "response.queued" | "response.in_progress" => {
            if let Some(response) = node.get("response") {
                identify(response, identity);
            }
        }
        "response.completed"
        | "response.incomplete"
        | "response.failed"
        | "response.cancelled"
        | "error" => noted.ended = true,
        "response.output_item.added" => added(node, draft),
        "response.output_item.done" => done(node, draft),
        _ => piece(&kind, node, draft),
    }
    noted
}

fn identify(response: Node<'_>, identity: &mut Identity) {
    if let Some(id) = response.text("id").filter(|id| !id.is_empty()) {
        identity.id = id.into_owned();
    }
    if let Some(model) = response.text("model").filter(|model| !model.is_empty()) {
        identity.model = model.into_owned();
    }
    let created = response.get("created_at").and_then(Node::number);
    // Some servers give fractions of a second.
    let created = created.and_then(|number| number.split('.').next()?.parse().ok());
    identity.created = created.unwrap_or(identity.created);
}

fn index(node: Node<'_>, draft: &Draft) -> u32 {
    let last = draft.items.last().map_or(0, |item| item.index);
    node.get("output_index").and_then(Node::u32).unwrap_or(last)
}

fn added(node: Node<'_>, draft: &mut Draft) {
    let Some(item) = node.get("item") else { return };
    let owned = |name| item.text(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
    let kind = Kind::of(item);
    let body = match kind {
        Kind::Message => Body::Message(Vec::new()),
        Kind::Reasoning => Body::Reasoning(Reasoning::default()),
        Kind::Function | Kind::Custom => Body::Call(ToolCall {
            // No event of another stream is about it.
            number: u32::MAX,
            call_id: owned("call_id"),
            name: item::call_name(item).into_owned(),
            arguments: String::new(),
            free_text: kind == Kind::Custom,
        }),
        Kind::Opaque(_) => Body::Raw(raw(item, draft)),
    };
    let next = draft.next_index();
    let index = node.get("output_index").and_then(Node::u32).unwrap_or(next);
    if draft.place(index).is_none() && draft.keep(0) {
        draft.add(owned("id"), index, body);
    }
}

fn raw(item: Node<'_>, draft: &mut Draft) -> String {
    let json = item.raw();
    if draft.keep(json.len()) { one_line(json).into_owned() } else { String::new() }
}

fn done(node: Node<'_>, draft: &mut Draft) {
    let Some(item) = node.get("item") else { return };
    let index = index(node, draft);
    let json = raw(item, draft);
    let id = item.text("id").map(std::borrow::Cow::into_owned).unwrap_or_default();
    let place = draft.place(index);
    let place = place.unwrap_or_else(|| draft.add(id, index, Body::Raw(String::new())));
    draft.items[place].body = Body::Raw(json);
    draft.items[place].ended = Some(Status::Completed);
}

/// A piece of an item.
fn piece(kind: &str, node: Node<'_>, draft: &mut Draft) {
    let Some(place) = draft.place(index(node, draft)) else { return };
    let text = node.text("delta").unwrap_or_default();
    let fits = draft.keep(text.len());
    let text = if fits { &*text } else { "" };
    match &mut draft.items[place].body {
        Body::Message(parts) => message(kind, node, text, parts),
        Body::Reasoning(reasoning) => thought(kind, text, reasoning),
        Body::Call(call) => match kind {
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                call.arguments.push_str(text);
            }
            _ => {}
        },
        Body::Raw(_) => {}
    }
}

fn message(kind: &str, node: Node<'_>, text: &str, parts: &mut Vec<Part>) {
    match kind {
        "response.content_part.added" => {
            let of = node.get("part").and_then(|part| part.text("type"));
            let refusal = of.is_some_and(|of| of == "refusal");
            parts.push(Part { refusal, text: String::new(), open: true });
        }
        "response.content_part.done" => {
            if let Some(part) = parts.last_mut() {
                part.open = false;
            }
        }
        "response.output_text.delta" | "response.refusal.delta" => {
            if !parts.last().is_some_and(|part| part.open) {
                let refusal = kind == "response.refusal.delta";
                parts.push(Part { refusal, text: String::new(), open: true });
            }
            if let Some(part) = parts.last_mut() {
                part.text.push_str(text);
            }
        }
        _ => {}
    }
}

fn thought(kind: &str, text: &str, reasoning: &mut Reasoning) {
    match kind {
        "response.reasoning_summary_part.added" => {
            reasoning.parts.push(String::new());
            reasoning.open = true;
        }
        "response.reasoning_summary_part.done" | "response.reasoning_text.done" => {
            reasoning.open = false;
        }
        "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
            reasoning.bare |= kind == "response.reasoning_text.delta";
            if !std::mem::replace(&mut reasoning.open, true) {
                reasoning.parts.push(String::new());
            }
            if let Some(part) = reasoning.parts.last_mut() {
                part.push_str(text);
            }
        }
        _ => {}
    }
}
