//! Streams from a provider, and whole answers, as events. Owns what the members
//! of a message mean as events and how calls in pieces are put together; what a
//! frame is, [`chunk`](super::chunk) knows.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::dialect::Dialect;
use crate::dialect::hub::{Event, Finish, Usage};
use crate::dialect::json;
use crate::dialect::node::Node;
use crate::dialect::sse::Frame;
use crate::dialect::stream::Decoded;
use crate::failover::attempt::ErrorReply;
use crate::secret::Secret;

use super::chunk::{self, Call, Choice, Message, Opened, Reply};

/// The most tool calls of one answer.
const MAX_CALLS: usize = 128;

/// The most events of one frame.
const MAX_EVENTS: usize = 4 * MAX_CALLS;

/// Reads the frames of one stream, in order.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    calls: Vec<OpenCall>,
    /// Bit n: choice n has finished.
    finished: u128,
    /// Bit n: choice n has declined.
    refused: u128,
}

/// A call that has begun.
#[derive(Debug)]
struct OpenCall {
    choice: u32,
    /// The provider's `index`.
    index: Option<u32>,
    /// Its place among the calls of its choice.
    call: u32,
    /// Until it is told, since its name may come in pieces.
    held: Option<Held>,
    id: String,
}

#[derive(Debug)]
struct Held {
    name: String,
    free_text: bool,
    signature: Option<String>,
}

impl Decoder {
    /// Pushes the frame's events.
    pub fn decode(
        &mut self,
        frame: &Frame,
        secrets: &[&Secret],
        events: &mut Vec<Event>,
    ) -> Decoded {
        match chunk::open(frame, secrets) {
            Opened::Empty => Decoded::Nothing,
            Opened::Done => {
                self.end(events);
                Decoded::Done
            }
            Opened::Error(reply) => Decoded::Error(reply),
            Opened::Malformed(detail) => Decoded::Malformed(detail),
            Opened::Chunk(reply) => self.take(&reply, events),
        }
    }

    /// Pushes the events of a chunk or a whole body.
    pub(super) fn take(&mut self, reply: &Reply<'_>, events: &mut Vec<Event>) -> Decoded {
        let choices = reply.choices.as_ref().map_or(&[][..], |choices| &choices.0);
        self.begin(reply, !choices.is_empty(), events);
        for (place, choice) in (0..).zip(choices) {
            // A whole body's choices stand in their order.
            let index = choice.index.unwrap_or(if choice.message.is_some() { place } else { 0 });
            if let Some(message) = choice.delta.as_ref().or(choice.message.as_ref()) {
                self.message(index, message, events);
            }
            if let Some(error) = self.finish(index, choice, events) {
                return Decoded::Error(error);
            }
            if self.calls.len() > MAX_CALLS || events.len() > MAX_EVENTS {
                return Decoded::Malformed(format!("more than {MAX_CALLS} tool calls"));
            }
        }
        events.extend(reply.usage.and_then(usage).map(Event::Usage));
        Decoded::Events
    }

    /// Tells of calls that are still held, where no finish reason came.
    pub(super) fn end(&mut self, events: &mut Vec<Event>) {
        self.calls.iter_mut().for_each(|call| call.tell(events));
    }

    /// Azure's first chunk has neither a name nor a choice.
    fn begin(&mut self, reply: &Reply<'_>, choices: bool, events: &mut Vec<Event>) {
        let text = |value: Option<&RawValue>| {
            value.and_then(|value| json::unquote(value.get())).map(Cow::into_owned)
        };
        let id = text(reply.id).unwrap_or_default();
        if !self.begun && (choices || !id.is_empty()) {
            self.begun = true;
            let model = text(reply.model).unwrap_or_default();
            events.push(Event::Begin { id, model });
        }
    }

    fn message(&mut self, choice: u32, message: &Message<'_>, events: &mut Vec<Event>) {
        if let Some(reasoning) = message.reasoning {
            thought(choice, json::unquote(reasoning.get()), events);
        }
        if let Some(parts) = message.content {
            content(choice, parts.get(), events);
        }
        if let Some(text) = message.refusal.and_then(|refusal| json::unquote(refusal.get())) {
            self.refused |= bit(choice);
            events.push(Event::Refusal { choice, text: text.into_owned() });
        }
        for call in chunk::calls(message) {
            if self.calls.len() <= MAX_CALLS && events.len() <= MAX_EVENTS {
                self.call(choice, &call, events);
            }
        }
        if let Some(what) = message.other {
            say(Event::Opaque { choice, what }, events);
        }
    }

    fn call(&mut self, choice: u32, piece: &Call<'_>, events: &mut Vec<Event>) {
        let known = self.known(choice, piece).filter(|at| !self.is_another(*at, piece));
        let at = known.unwrap_or_else(|| {
            self.tell_held(choice, events);
            self.open(choice, piece);
            self.calls.len() - 1
        });
        let open = &mut self.calls[at];
        open.add(piece);
        if !piece.arguments.is_empty() {
            open.tell(events);
            let fragment = piece.arguments.to_string();
            say(Event::CallArguments { choice, call: open.call, fragment }, events);
        }
    }

    /// The call a piece belongs to.
    fn known(&self, choice: u32, piece: &Call<'_>) -> Option<usize> {
        let of_choice = |call: &OpenCall| call.choice == choice;
        match piece.index {
            Some(_) => {
                self.calls.iter().rposition(|call| of_choice(call) && call.index == piece.index)
            }
            // Without an index a name begins a call, and the rest belongs to it.
            None if piece.name.is_empty() => self.calls.iter().rposition(of_choice),
            None => None,
        }
    }

    /// Some servers number all calls 0: then another id begins another call.
    fn is_another(&self, at: usize, piece: &Call<'_>) -> bool {
        let known = &self.calls[at].id;
        !piece.name.is_empty() && !known.is_empty() && !piece.id.is_empty() && *known != piece.id
    }

    fn open(&mut self, choice: u32, piece: &Call<'_>) {
        let before = self.calls.iter().filter(|call| call.choice == choice).count();
        self.calls.push(OpenCall {
            choice,
            index: piece.index,
            call: u32::try_from(before).unwrap_or(u32::MAX),
            held: Some(Held { name: String::new(), free_text: piece.free_text, signature: None }),
            id: String::new(),
        });
    }

    /// Tells of the calls of a choice that are not known to be complete: no
    /// more of their names will come.
    fn tell_held(&mut self, choice: u32, events: &mut Vec<Event>) {
        let held = self.calls.iter_mut().filter(|call| call.choice == choice);
        held.for_each(|call| call.tell(events));
    }

    /// Takes a choice's finish reason; gives the error it may be.
    fn finish(
        &mut self,
        index: u32,
        choice: &Choice<'_>,
        events: &mut Vec<Event>,
    ) -> Option<ErrorReply> {
        let reason = choice.finish_reason()?;
        if let Some(error) = chunk::failed_finish(&reason) {
            return Some(error);
        }
        self.tell_held(index, events);
        if self.finished & bit(index) == 0 {
            self.finished |= bit(index);
            let called = self.calls.iter().any(|call| call.choice == index);
            let finish = meaning(&reason, self.refused & bit(index) != 0, called);
            events.push(Event::Finish { choice: index, finish });
        }
        None
    }
}

impl OpenCall {
    fn add(&mut self, piece: &Call<'_>) {
        if self.id.is_empty() {
            piece.id.as_ref().clone_into(&mut self.id);
        }
        let Some(held) = &mut self.held else { return };
        // Some servers repeat the name in every piece.
        if held.name != piece.name {
            held.name.push_str(&piece.name);
        }
        if let Some(signature) = &piece.signature {
            held.signature = Some(signature.to_string());
        }
    }

    fn tell(&mut self, events: &mut Vec<Event>) {
        let Some(Held { name, free_text, signature }) = self.held.take() else { return };
        events.push(Event::CallBegin {
            choice: self.choice,
            call: self.call,
            id: self.id.clone(),
            name,
            free_text,
            signature: signature.map(|signature| (Dialect::Gemini, signature)),
        });
    }
}

fn bit(choice: u32) -> u128 {
    1_u128.checked_shl(choice).unwrap_or(0)
}

/// A text, or a list of parts: Mistral's reasoning models think in one of them.
fn content(choice: u32, content: &str, events: &mut Vec<Event>) {
    let content = Node::new(content);
    if let Some(whole) = content.str() {
        return text(choice, whole, events);
    }
    for part in content.items() {
        match (part.get("thinking"), part.text("text")) {
            (Some(thinking), _) => {
                let text: String = thinking.items().filter_map(|part| part.text("text")).collect();
                thought(choice, thinking.str().or(Some(text.into())), events);
            }
            (None, Some(piece)) => text(choice, piece, events),
            (None, None) => say(Event::Opaque { choice, what: "other" }, events),
        }
    }
}

/// Pushes an event, or adds it to the last one: a frame of many small parts
/// makes few events.
fn say(event: Event, events: &mut Vec<Event>) {
    match (events.last_mut(), &event) {
        (Some(Event::Text { choice, text }), Event::Text { choice: same, text: more })
        | (
            Some(Event::Thought { choice, text, .. }),
            Event::Thought { choice: same, text: more, .. },
        ) if choice == same => text.push_str(more),
        (
            Some(Event::CallArguments { choice, call, fragment }),
            Event::CallArguments { choice: same, call: known, fragment: more },
        ) if *choice == *same && *call == *known => fragment.push_str(more),
        (Some(Event::Opaque { choice, what }), Event::Opaque { choice: same, what: known })
            if choice == same && what == known => {}
        _ => events.push(event),
    }
}

fn text(choice: u32, text: Cow<'_, str>, events: &mut Vec<Event>) {
    if !text.is_empty() {
        say(Event::Text { choice, text: text.into_owned() }, events);
    }
}

fn thought(choice: u32, text: Option<Cow<'_, str>>, events: &mut Vec<Event>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let text = text.into_owned();
        say(Event::Thought { choice, text, signature: None, redacted: false }, events);
    }
}

/// What a finish reason means as an event. Several servers say `stop` after
/// tool calls.
fn meaning(reason: &str, refused: bool, called: bool) -> Finish {
    use crate::dialect::FinishReason;
    match chunk::finish_reason(reason, refused) {
        FinishReason::Stop | FinishReason::Refusal if called => Finish::ToolCalls,
        FinishReason::Stop => Finish::Stop,
        FinishReason::Length => Finish::Length,
        FinishReason::ToolCalls => Finish::ToolCalls,
        FinishReason::ContentFilter => Finish::ContentFilter,
        FinishReason::Refusal => Finish::Refusal,
        FinishReason::Other | FinishReason::Unfinished => Finish::Other(reason.to_owned()),
    }
}

/// The token counts of a `usage`, if there are any.
pub fn usage(usage: &RawValue) -> Option<Usage> {
    let usage = Node::new(usage.get());
    let count = |node: Option<Node<'_>>, name: &str| node?.get(name)?.u32();
    let (input, output) =
        (usage.get("prompt_tokens_details"), usage.get("completion_tokens_details"));
    let counts = Usage {
        input: count(Some(usage), "prompt_tokens"),
        // DeepSeek has a name of its own.
        cached: count(input, "cached_tokens")
            .or_else(|| count(Some(usage), "prompt_cache_hit_tokens")),
        cache_written: count(input, "cache_write_tokens"),
        output: count(Some(usage), "completion_tokens"),
        reasoning: count(output, "reasoning_tokens"),
    };
    (counts != Usage::default()).then_some(counts)
}

#[cfg(test)]
mod tests;
