//! Streams to a client. See [`Writer`](crate::dialect::writer::Writer) for what
//! each function promises.
//!
//! Every item, part and text is announced, streamed, and repeated at its end;
//! the last event repeats the whole answer. A message and reasoning follow each
//! other; calls stay open until the end, since their arguments may be
//! interleaved.

use super::draft::{Body, Draft, Item, Part, Reasoning, ToolCall};
use super::foreign::FOREIGN_REASONING;
use super::item::{self, Status};
use super::object::Object;
use super::passing;
use super::response::{self, Identity, State};
use super::tools::unqualified;
use crate::dialect::hub::{Event, Finish, Usage};
use crate::dialect::sse::Frame;
use crate::dialect::stream::Part as FramePart;
use crate::dialect::writer::Head;
use crate::dialect::{Dialect, ErrorOut, edit};

/// Writes one stream.
#[derive(Debug)]
pub struct Writer {
    head: Head,
    identity: Identity,
    /// Of the next event.
    sequence: u64,
    begun: bool,
    ended: bool,
    draft: Draft,
    finish: Option<Finish>,
    /// The model declined in words.
    refused: bool,
    usage: Option<Usage>,
}

type Signature = Option<(Dialect, String)>;

impl Writer {
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self {
            identity: Identity::new(&head, ""),
            head,
            sequence: 0,
            begun: false,
            ended: false,
            draft: Draft::default(),
            finish: None,
            refused: false,
            usage: None,
        }
    }

    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Begin { id: _, model } => {
                if !self.begun {
                    self.identity = Identity::new(&self.head, model);
                    self.begin(out);
                }
            }
            Event::Text { choice: 0, text } => self.say(false, text, out),
            Event::Refusal { choice: 0, text } => {
                self.refused = true;
                self.say(true, text, out);
            }
            Event::Thought { choice: 0, text, signature, redacted: _ } => {
                self.think(text, signature, out);
            }
            Event::CallBegin { choice: 0, call, id, name, free_text, signature: _ } => {
                self.call(*call, id, name, *free_text, out);
            }
            Event::CallArguments { choice: 0, call, fragment } => {
                self.arguments(*call, fragment, out);
            }
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
            Event::Usage(usage) => {
                self.usage = Some(usage.over(self.usage.unwrap_or_default()));
            }
            // There is one choice, and content of no other dialect.
            Event::Text { .. }
            | Event::Refusal { .. }
            | Event::Thought { .. }
            | Event::CallBegin { .. }
            | Event::CallArguments { .. }
            | Event::Finish { .. }
            | Event::Opaque { .. } => {}
        }
    }

    pub fn pass(&mut self, frame: &Frame, part: &FramePart, out: &mut Vec<u8>) {
        // Of this API the terminator is the last response, which `finish` owes.
        if *part == FramePart::Done {
            return;
        }
        out.extend_from_slice(&frame.bytes);
        let data = frame.data.as_deref().and_then(|data| std::str::from_utf8(data).ok());
        let Some(data) = data.filter(|data| data.starts_with('{')) else { return };
        let noted = passing::note(data, &mut self.identity, &mut self.draft);
        self.sequence = noted.sequence.map_or(self.sequence, |at| at.saturating_add(1));
        self.begun = true;
        self.ended |= noted.ended;
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.begin(out);
        let finish = self.finish.take();
        let state = State::of(finish.as_ref(), self.refused);
        let status = state.items();
        for place in 0..self.draft.items.len() {
            self.close(place, status, out);
        }
        self.whole(state, Status::Completed, out);
        self.ended = true;
    }

    pub fn error(&mut self, error: &ErrorOut<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let json = super::error_json(error);
        let nested = edit::json_at(json.as_bytes(), "/error").unwrap_or("null");
        let object = self.event("error").text("code", error.code).text("message", error.message);
        let object = match error.param {
            Some(param) => object.text("param", param),
            None => object.raw("param", "null"),
        };
        send("error", object.raw("error", nested), out);
        self.whole(State::Failed(error.code, error.message), Status::Incomplete, out);
        self.ended = true;
    }

    /// The next event of the stream.
    fn event(&mut self, kind: &str) -> Object {
        let sequence = self.sequence;
        self.sequence = sequence.saturating_add(1);
        Object::typed(kind).number("sequence_number", sequence)
    }

    /// An event about an item.
    fn item_event(&mut self, kind: &str, place: usize) -> Object {
        let object = self.event(kind);
        let item = &self.draft.items[place];
        object.text("item_id", &item.id).number("output_index", item.index.into())
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let response = response::write(&self.identity, State::InProgress, &[], None);
            let object = self.event(kind).raw("response", &response);
            send(kind, object, out);
        }
    }

    /// The event that repeats the whole answer.
    fn whole(&mut self, state: State<'_>, open: Status, out: &mut Vec<u8>) {
        let items = self.draft.json(open);
        let response = response::write(&self.identity, state, &items, self.usage.as_ref());
        let kind = format!("response.{}", state.event());
        let object = self.event(&kind).raw("response", &response);
        send(&kind, object, out);
    }

    /// Announces a new item; gives its place.
    fn open(&mut self, prefix: &str, body: Body, out: &mut Vec<u8>) -> usize {
        let index = self.draft.next_index();
        let id = item::id(prefix, &self.head.id, index as usize);
        let place = self.draft.add(id, index, body);
        let item = self.draft.items[place].json(Status::InProgress).unwrap_or_default();
        let kind = "response.output_item.added";
        let object = self.event(kind).number("output_index", index.into()).raw("item", &item);
        send(kind, object, out);
        place
    }

    /// The place of the message or the reasoning that is open; they never are
    /// both. Only the last item that is no call can be.
    fn current(&self) -> Option<usize> {
        let open = |item: &Item| match &item.body {
            Body::Message(_) | Body::Reasoning(_) => item.ended.is_none(),
            Body::Call(_) | Body::Raw(_) => false,
        };
        self.draft.items.iter().rposition(open)
    }

    /// More text, or more of a refusal.
    fn say(&mut self, refusal: bool, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.begin(out);
        let place = self.message(out);
        let part = self.part(place, refusal, out);
        let name = if refusal { "refusal" } else { "output_text" };
        let kind = format!("response.{name}.delta");
        let object = self.item_event(&kind, place).number("content_index", part as u64);
        let object = object.text("delta", text);
        send(&kind, if refusal { object } else { object.raw("logprobs", "[]") }, out);
        let fits = self.draft.keep(text.len());
        if let (Body::Message(parts), true) = (&mut self.draft.items[place].body, fits) {
            parts[part].text.push_str(text);
        }
    }

    /// The place of the open message, which is opened if need be.
    fn message(&mut self, out: &mut Vec<u8>) -> usize {
        if let Some(place) = self.current() {
            if matches!(self.draft.items[place].body, Body::Message(_)) {
                return place;
            }
            self.close(place, Status::Completed, out);
        }
        self.open("msg", Body::Message(Vec::new()), out)
    }

    /// The open part of a message, which is opened if need be.
    fn part(&mut self, place: usize, refusal: bool, out: &mut Vec<u8>) -> usize {
        if let Body::Message(parts) = &self.draft.items[place].body
            && let Some(part) = parts.last().filter(|part| part.open)
            && part.refusal == refusal
        {
            return parts.len() - 1;
        }
        self.close_part(place, out);
        let Body::Message(parts) = &mut self.draft.items[place].body else { return 0 };
        parts.push(Part { refusal, text: String::new(), open: true });
        let part = parts.len() - 1;
        let kind = "response.content_part.added";
        let object = self.item_event(kind, place).number("content_index", part as u64);
        send(kind, object.raw("part", &item::write_part(refusal, "")), out);
        part
    }

    /// Ends the open part of a message, if there is one.
    fn close_part(&mut self, place: usize, out: &mut Vec<u8>) {
        let Body::Message(parts) = &mut self.draft.items[place].body else { return };
        let index = parts.len().saturating_sub(1) as u64;
        let Some(part) = parts.last_mut().filter(|part| part.open) else { return };
        part.open = false;
        let (refusal, text) = (part.refusal, part.text.clone());
        let (name, key) = if refusal { ("refusal", "refusal") } else { ("output_text", "text") };
        let kind = format!("response.{name}.done");
        let object = self.item_event(&kind, place).number("content_index", index);
        let object = object.text(key, &text);
        send(&kind, if refusal { object } else { object.raw("logprobs", "[]") }, out);
        let kind = "response.content_part.done";
        let object = self.item_event(kind, place).number("content_index", index);
        send(kind, object.raw("part", &item::write_part(refusal, &text)), out);
    }

    /// More reasoning. A signature ends it; only this API's own is shown.
    fn think(&mut self, text: &str, signature: &Signature, out: &mut Vec<u8>) {
        let own = signature.as_ref().filter(|(by, _)| *by == Dialect::Responses);
        if text.is_empty() && own.is_none() {
            if signature.is_some() {
                self.end_thought(out);
            }
            return;
        }
        self.begin(out);
        let place = self.reasoning(out);
        if !text.is_empty() {
            self.summarize(place, text, out);
        }
        if let Some((_, value)) = own
            && self.draft.keep(value.len())
            && let Body::Reasoning(reasoning) = &mut self.draft.items[place].body
        {
            reasoning.encrypted = Some(value.clone());
        }
        if signature.is_some() {
            self.close(place, Status::Completed, out);
        }
    }

    fn end_thought(&mut self, out: &mut Vec<u8>) {
        if let Some(place) = self.current()
            && matches!(self.draft.items[place].body, Body::Reasoning(_))
        {
            self.close(place, Status::Completed, out);
        }
    }

    /// The place of the open reasoning, which is opened if need be.
    fn reasoning(&mut self, out: &mut Vec<u8>) -> usize {
        if let Some(place) = self.current() {
            if let Body::Reasoning(Reasoning { bare: false, .. }) = self.draft.items[place].body {
                return place;
            }
            self.close(place, Status::Completed, out);
        }
        self.open(FOREIGN_REASONING, Body::Reasoning(Reasoning::default()), out)
    }

    fn summarize(&mut self, place: usize, text: &str, out: &mut Vec<u8>) {
        let Body::Reasoning(reasoning) = &mut self.draft.items[place].body else { return };
        let opened = !std::mem::replace(&mut reasoning.open, true);
        if opened {
            reasoning.parts.push(String::new());
        }
        let index = reasoning.parts.len() as u64 - 1;
        if opened {
            let kind = "response.reasoning_summary_part.added";
            let object = self.item_event(kind, place).number("summary_index", index);
            send(kind, object.raw("part", &item::write_summary("")), out);
        }
        let kind = "response.reasoning_summary_text.delta";
        let object = self.item_event(kind, place).number("summary_index", index);
        send(kind, object.text("delta", text), out);
        let fits = self.draft.keep(text.len());
        if let (Body::Reasoning(reasoning), true) = (&mut self.draft.items[place].body, fits)
            && let Some(part) = reasoning.parts.last_mut()
        {
            part.push_str(text);
        }
    }

    /// Ends the open part of a summary, if there is one.
    fn close_summary(&mut self, place: usize, out: &mut Vec<u8>) {
        let Body::Reasoning(reasoning) = &mut self.draft.items[place].body else { return };
        if !std::mem::replace(&mut reasoning.open, false) {
            return;
        }
        let text = reasoning.parts.last().cloned().unwrap_or_default();
        let index = (reasoning.parts.len() as u64).saturating_sub(1);
        if reasoning.bare {
            let kind = "response.reasoning_text.done";
            let object = self.item_event(kind, place).number("content_index", index);
            send(kind, object.text("text", &text), out);
            return;
        }
        let kind = "response.reasoning_summary_text.done";
        let object = self.item_event(kind, place).number("summary_index", index);
        send(kind, object.text("text", &text), out);
        let kind = "response.reasoning_summary_part.done";
        let object = self.item_event(kind, place).number("summary_index", index);
        send(kind, object.raw("part", &item::write_summary(&text)), out);
    }

    fn call(&mut self, number: u32, id: &str, name: &str, free_text: bool, out: &mut Vec<u8>) {
        self.begin(out);
        if let Some(place) = self.current() {
            self.close(place, Status::Completed, out);
        }
        let call_id = if id.is_empty() {
            item::id("call", &self.head.id, number as usize)
        } else {
            id.to_owned()
        };
        let (name, arguments) = (name.to_owned(), String::new());
        let call = ToolCall { number, call_id, name, arguments, free_text };
        self.open(if free_text { "ctc" } else { "fc" }, Body::Call(call), out);
    }

    fn arguments(&mut self, number: u32, fragment: &str, out: &mut Vec<u8>) {
        let this = |item: &Item| matches!(&item.body, Body::Call(call) if call.number == number);
        let place = self.draft.items.iter().rposition(this);
        let Some(place) = place.filter(|place| self.draft.items[*place].ended.is_none()) else {
            return;
        };
        if !fragment.is_empty() {
            self.argue(place, fragment, out);
        }
    }

    fn argue(&mut self, place: usize, fragment: &str, out: &mut Vec<u8>) {
        let fits = self.draft.keep(fragment.len());
        let Body::Call(call) = &mut self.draft.items[place].body else { return };
        if fits {
            call.arguments.push_str(fragment);
        }
        let kind = if call.free_text {
            "response.custom_tool_call_input.delta"
        } else {
            "response.function_call_arguments.delta"
        };
        let object = self.item_event(kind, place).text("delta", fragment);
        send(kind, object, out);
    }

    fn close_call(&mut self, place: usize, out: &mut Vec<u8>) {
        let Body::Call(call) = &self.draft.items[place].body else { return };
        if call.arguments.is_empty() && !call.free_text {
            self.argue(place, "{}", out);
        }
        let Body::Call(call) = &self.draft.items[place].body else { return };
        let (arguments, name) = (call.arguments.clone(), call.name.clone());
        let (kind, key) = if call.free_text {
            ("response.custom_tool_call_input.done", "input")
        } else {
            ("response.function_call_arguments.done", "arguments")
        };
        let object = self.item_event(kind, place).text(key, &arguments);
        send(kind, object.text("name", unqualified(&name).1), out);
    }

    /// Ends an item, if it is open.
    fn close(&mut self, place: usize, status: Status, out: &mut Vec<u8>) {
        if self.draft.items[place].ended.is_some() {
            return;
        }
        match self.draft.items[place].body {
            Body::Message(_) => self.close_part(place, out),
            Body::Reasoning(_) => self.close_summary(place, out),
            Body::Call(_) => self.close_call(place, out),
            Body::Raw(_) => {}
        }
        let item = &mut self.draft.items[place];
        item.ended = Some(status);
        let (index, json) = (item.index, item.json(status));
        let Some(json) = json else { return };
        let kind = "response.output_item.done";
        let object = self.event(kind).number("output_index", index.into()).raw("item", &json);
        send(kind, object, out);
    }
}

/// Appends one event.
fn send(kind: &str, object: Object, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(object.end().as_bytes());
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
