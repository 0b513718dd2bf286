//! Streams from a provider. Text, arguments and reasoning are taken from their
//! deltas; what a server sends only at the end of a part, of an item or of the
//! response is taken from there.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::answer::failure;
use super::error_table::TABLE;
use super::item::{self, Kind, Seen};
use crate::dialect::errors;
use crate::dialect::hub::{Answer, Choice, Event};
use crate::dialect::node::Node;
use crate::dialect::sse::Frame;
use crate::dialect::stream::Decoded;
use crate::secret::Secret;

/// Reads the frames of one stream, in order.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    calls: u32,
    seen: Seen,
    /// Something was told; the terminal event is not looked through for more.
    told: bool,
    items: Vec<Item>,
}

/// An item as far as it has come.
#[derive(Debug)]
struct Item {
    index: u32,
    kind: Kind,
    /// The number of a call that has begun.
    call: Option<u32>,
    /// For each part that had text, how many bytes of it were told.
    told: Vec<(u32, usize)>,
    /// Which of summary and reasoning is told: the one that came first.
    summary: Option<bool>,
}

/// The most items and parts that are told apart.
const MOST: usize = 4096;

/// A delta, or all of a text at the end of its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Piece {
    Delta,
    Whole,
}

impl Decoder {
    /// Pushes the frame's events.
    pub fn decode(
        &mut self,
        frame: &Frame,
        secrets: &[&Secret],
        events: &mut Vec<Event>,
    ) -> Decoded {
        let data = frame.data.as_deref().unwrap_or_default().trim_ascii();
        if data.is_empty() {
            return Decoded::Nothing;
        }
        if data == b"[DONE]" {
            return Decoded::Done;
        }
        let Ok(data) = std::str::from_utf8(data) else {
            return Decoded::Malformed("an event's data is not UTF-8".to_owned());
        };
        let is_error = frame.event.as_deref() == Some(b"error");
        if let (Err(error), false) = (serde_json::from_str::<&RawValue>(data), is_error) {
            return Decoded::Malformed(format!("an event's data: {error}"));
        }
        let node = Node::new(data);
        let named = frame.event.as_deref().and_then(|name| std::str::from_utf8(name).ok());
        let kind = node.text("type").or(named.map(Cow::Borrowed));
        let error = |json: &str| Decoded::Error(errors::hidden_error(TABLE, json, secrets));
        let Some(kind) = kind.filter(|_| !is_error) else {
            // An error as Chat Completions sends it, or of a server in between.
            let plain = is_error || data.contains("\"error\"");
            let what = || Decoded::Malformed("an event without a type".to_owned());
            return if plain { error(data) } else { what() };
        };
        match &*kind {
            "error" => error(data),
            "response.completed" | "response.incomplete" => self.ended(node, secrets, events),
            "response.failed" | "response.cancelled" => {
                let failed = node.get("response").and_then(failure);
                error(failed.as_deref().unwrap_or(data))
            }
            kind => {
                self.step(kind, node, events);
                Decoded::Events
            }
        }
    }

    /// The terminal event of an answer; of one that failed all the same, if it
    /// says so.
    fn ended(&mut self, node: Node<'_>, secrets: &[&Secret], events: &mut Vec<Event>) -> Decoded {
        let Some(response) = node.get("response") else {
            return Decoded::Malformed("the last event without its response".to_owned());
        };
        if let Some(json) = failure(response) {
            return Decoded::Error(errors::hidden_error(TABLE, &json, secrets));
        }
        self.end(response, events);
        Decoded::Last
    }

    fn step(&mut self, kind: &str, node: Node<'_>, events: &mut Vec<Event>) {
        let before = events.len();
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.begin(node, events);
                return;
            }
            "response.output_item.added" => self.added(node, events),
            "response.output_item.done" => self.done(node, events),
            "response.output_text.delta" => self.text(node, "delta", Piece::Delta, events),
            "response.output_text.done" => self.text(node, "text", Piece::Whole, events),
            "response.refusal.delta" => self.refusal(node, "delta", Piece::Delta, events),
            "response.refusal.done" => self.refusal(node, "refusal", Piece::Whole, events),
            "response.function_call_arguments.delta" => {
                self.arguments(node, Kind::Function, "delta", Piece::Delta, events);
            }
            "response.function_call_arguments.done" => {
                self.arguments(node, Kind::Function, "arguments", Piece::Whole, events);
            }
            "response.custom_tool_call_input.delta" => {
                self.arguments(node, Kind::Custom, "delta", Piece::Delta, events);
            }
            "response.custom_tool_call_input.done" => {
                self.arguments(node, Kind::Custom, "input", Piece::Whole, events);
            }
            "response.reasoning_summary_text.delta" => {
                self.thought(node, true, "delta", Piece::Delta, events);
            }
            "response.reasoning_summary_text.done" => {
                self.thought(node, true, "text", Piece::Whole, events);
            }
            "response.reasoning_text.delta" => {
                self.thought(node, false, "delta", Piece::Delta, events);
            }
            "response.reasoning_text.done" => {
                self.thought(node, false, "text", Piece::Whole, events);
            }
            "response.output_text.annotation.added" => opaque("citations", events),
            // Lifecycle of parts and of hosted tools, or something new: it is
            // content only if it brings some.
            kind if kind.rsplit('.').next() == Some("delta") => opaque("unknown item", events),
            _ => {}
        }
        self.told |= events.len() > before;
    }

    fn begin(&mut self, node: Node<'_>, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.begun, true) {
            let owned = |name| {
                let value = node.get("response").and_then(|response| response.text(name));
                value.map(Cow::into_owned).unwrap_or_default()
            };
            events.push(Event::Begin { id: owned("id"), model: owned("model") });
        }
    }

    /// The item an event belongs to; the last of its kind, where the server
    /// gives no index. `None` when there are too many.
    fn item(&mut self, node: Node<'_>, kind: Kind) -> Option<&mut Item> {
        let index = node.get("output_index").and_then(Node::u32);
        let known = self.items.iter().rposition(|item| match index {
            Some(index) => item.index == index,
            None => item.kind == kind,
        });
        let at = match known {
            Some(at) => at,
            None if self.items.len() >= MOST => return None,
            None => {
                let index = index.unwrap_or(u32::MAX);
                let told = Vec::new();
                self.items.push(Item { index, kind, call: None, told, summary: None });
                self.items.len() - 1
            }
        };
        self.items.get_mut(at)
    }

    fn added(&mut self, node: Node<'_>, events: &mut Vec<Event>) {
        let Some(added) = node.get("item") else { return };
        let kind = Kind::of(added);
        if node.get("output_index").is_none() {
            // Without an index every item that is added is another one.
            self.items.retain(|item| item.kind != kind);
        }
        match kind {
            Kind::Message | Kind::Reasoning => {
                self.item(node, kind);
            }
            Kind::Function | Kind::Custom => self.begin_call(node, added, kind, events),
            Kind::Opaque(what) => {
                self.item(node, kind);
                opaque(what, events);
            }
        }
    }

    fn begin_call(
        &mut self,
        node: Node<'_>,
        call_item: Node<'_>,
        kind: Kind,
        events: &mut Vec<Event>,
    ) {
        let call = self.calls;
        let name = item::call_name(call_item);
        if name.is_empty() {
            return;
        }
        let Some(item) = self.item(node, kind) else { return };
        if item.call.is_some() {
            return;
        }
        item.call = Some(call);
        self.calls += 1;
        self.seen.calls = true;
        events.push(Event::CallBegin {
            choice: 0,
            call,
            id: call_item.text("call_id").map(Cow::into_owned).unwrap_or_default(),
            name: name.into_owned(),
            free_text: kind == Kind::Custom,
            signature: None,
        });
    }

    fn text(&mut self, node: Node<'_>, key: &str, piece: Piece, events: &mut Vec<Event>) {
        let Some(item) = self.item(node, Kind::Message) else { return };
        if let Some(text) = item.news(node, "content_index", key, piece) {
            self.seen.text = true;
            events.push(Event::Text { choice: 0, text });
        }
    }

    fn refusal(&mut self, node: Node<'_>, key: &str, piece: Piece, events: &mut Vec<Event>) {
        let Some(item) = self.item(node, Kind::Message) else { return };
        if let Some(text) = item.news(node, "content_index", key, piece) {
            self.seen.refusal = true;
            events.push(Event::Refusal { choice: 0, text });
        }
    }

    /// Arguments of a call whose name has not come yet wait for the end of its
    /// item.
    fn arguments(
        &mut self,
        node: Node<'_>,
        kind: Kind,
        key: &str,
        piece: Piece,
        events: &mut Vec<Event>,
    ) {
        let Some(item) = self.item(node, kind) else { return };
        let Some(call) = item.call else { return };
        if let Some(fragment) = item.news(node, "", key, piece) {
            events.push(Event::CallArguments { choice: 0, call, fragment });
        }
    }

    fn thought(
        &mut self,
        node: Node<'_>,
        summary: bool,
        key: &str,
        piece: Piece,
        events: &mut Vec<Event>,
    ) {
        let Some(item) = self.item(node, Kind::Reasoning) else { return };
        if *item.summary.get_or_insert(summary) != summary {
            return;
        }
        let later = !item.told.is_empty();
        let parts = item.told.len();
        let index = if summary { "summary_index" } else { "content_index" };
        if let Some(mut text) = item.news(node, index, key, piece) {
            // A further part begins.
            if later && item.told.len() > parts {
                text.insert_str(0, "\n\n");
            }
            events.push(Event::Thought { choice: 0, text, signature: None, redacted: false });
        }
    }

    /// The end of an item: whatever its deltas did not bring.
    fn done(&mut self, node: Node<'_>, events: &mut Vec<Event>) {
        let Some(done) = node.get("item") else { return };
        match Kind::of(done) {
            Kind::Message => self.message_done(node, done, events),
            kind @ (Kind::Function | Kind::Custom) => {
                self.begin_call(node, done, kind, events);
                let Some(item) = self.item(node, kind) else { return };
                if let (Some(call), Some(fragment)) =
                    (item.call, item.rest(0, done.text(kind.arguments())))
                {
                    events.push(Event::CallArguments { choice: 0, call, fragment });
                }
            }
            Kind::Reasoning => {
                let Some(item) = self.item(node, Kind::Reasoning) else { return };
                let told = !item.told.is_empty();
                let text = if told { String::new() } else { item::reasoning_text(done) };
                let signature = item::encrypted(done);
                let redacted = !told && text.is_empty();
                if !text.is_empty() || signature.is_some() {
                    item.told.push((0, text.len()));
                    events.push(Event::Thought { choice: 0, text, signature, redacted });
                }
            }
            kind @ Kind::Opaque(what) => {
                let known = self.items.len();
                self.item(node, kind);
                if self.items.len() > known {
                    opaque(what, events);
                }
            }
        }
    }

    fn message_done(&mut self, node: Node<'_>, done: Node<'_>, events: &mut Vec<Event>) {
        let Some(item) = self.item(node, Kind::Message) else { return };
        let mut seen = Seen::default();
        for (index, part) in (0..).zip(done.get("content").into_iter().flat_map(Node::items)) {
            let refusal = part.text("type").is_some_and(|kind| kind == "refusal");
            let whole = part.text(if refusal { "refusal" } else { "text" });
            seen.refusal |= refusal;
            seen.text |= !refusal;
            if let Some(text) = item.rest(index, whole) {
                events.push(if refusal {
                    Event::Refusal { choice: 0, text }
                } else {
                    Event::Text { choice: 0, text }
                });
            }
            if item::has_annotations(part) {
                opaque("citations", events);
            }
        }
        self.seen.text |= seen.text;
        self.seen.refusal |= seen.refusal;
    }

    /// The end of the response.
    fn end(&mut self, response: Node<'_>, events: &mut Vec<Event>) {
        if !self.begun {
            let owned = |name| response.text(name).map(Cow::into_owned).unwrap_or_default();
            events.push(Event::Begin { id: owned("id"), model: owned("model") });
            self.begun = true;
        }
        if !self.told {
            self.tell_all(response, events);
        }
        if let Some(usage) = response.get("usage") {
            events.push(Event::Usage(item::usage(usage)));
        }
        if let Some(finish) = item::finish(response, self.seen) {
            events.push(Event::Finish { choice: 0, finish });
        }
    }

    /// A server that streams nothing but its end.
    fn tell_all(&mut self, response: Node<'_>, events: &mut Vec<Event>) {
        let parts = item::read_all(response.get("output"));
        self.seen = Seen::of(&parts);
        let choices = vec![Choice { parts, finish: None }];
        let all = Answer { choices, ..Answer::default() }.into_events();
        events.extend(all.into_iter().filter(|event| !matches!(event, Event::Begin { .. })));
    }
}

fn opaque(what: &'static str, events: &mut Vec<Event>) {
    events.push(Event::Opaque { choice: 0, what });
}

impl Item {
    /// What a piece brings that was not told before; `None` for nothing.
    fn news(&mut self, node: Node<'_>, index: &str, key: &str, piece: Piece) -> Option<String> {
        let part = node.get(index).and_then(Node::u32).unwrap_or(0);
        let text = node.text(key);
        match piece {
            Piece::Whole => self.rest(part, text),
            Piece::Delta => {
                let text = text.filter(|text| !text.is_empty())?;
                *self.told(part)? += text.len();
                Some(text.into_owned())
            }
        }
    }

    /// The bytes of a part that were told; `None` when there are too many parts.
    fn told(&mut self, part: u32) -> Option<&mut usize> {
        let at = match self.told.iter().rposition(|told| told.0 == part) {
            Some(at) => at,
            None if self.told.len() >= MOST => return None,
            None => {
                self.told.push((part, 0));
                self.told.len() - 1
            }
        };
        self.told.get_mut(at).map(|told| &mut told.1)
    }

    /// The rest of a part's whole text.
    fn rest(&mut self, part: u32, whole: Option<Cow<'_, str>>) -> Option<String> {
        let whole = whole.filter(|whole| !whole.is_empty())?;
        let told = self.told(part)?;
        let rest = whole.get(*told..).filter(|rest| !rest.is_empty())?.to_owned();
        *told = whole.len();
        Some(rest)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
