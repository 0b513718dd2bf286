//! Streams from a provider: what each event says. Owns which blocks are open;
//! must not know what becomes of the events.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::error_table::TABLE;
use super::words;
use crate::dialect::Dialect;
use crate::dialect::errors;
use crate::dialect::hub::{Event, Usage};
use crate::dialect::node::Node;
use crate::dialect::sse::Frame;
use crate::dialect::stream::Decoded;
use crate::secret::Secret;

/// Blocks that may be open at once; there should be one.
const MAX_OPEN: usize = 64;

/// Reads the frames of one stream, in order.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    open: Vec<Block>,
    calls: u32,
    /// From the beginning, until the end says more.
    usage: Usage,
}

#[derive(Debug)]
struct Block {
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Text, or reasoning.
    Plain,
    Call {
        call: u32,
        /// Arguments that came with the beginning: some servers send no deltas.
        whole: Option<String>,
    },
    Opaque,
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
        // A terminator of another dialect, which some servers add.
        if data.is_empty() || data == b"[DONE]" {
            return Decoded::Nothing;
        }
        let Ok(data) = std::str::from_utf8(data) else {
            return Decoded::Malformed("an event's data is not UTF-8".to_owned());
        };
        let named_error = frame.event.as_deref() == Some(b"error");
        if let Err(error) = serde_json::from_str::<IgnoredAny>(data)
            && !named_error
        {
            return Decoded::Malformed(format!("an event's data: {error}"));
        }
        let node = Node::new(data);
        let kind = node.text("type");
        if named_error || kind.as_deref() == Some("error") || node.get("error").is_some() {
            return Decoded::Error(errors::hidden_error(TABLE, data, secrets));
        }
        match kind {
            Some(kind) => self.event(&kind, node, events),
            None => Decoded::Malformed("an event without a type".to_owned()),
        }
    }

    fn event(&mut self, kind: &str, node: Node<'_>, events: &mut Vec<Event>) -> Decoded {
        let index = node.get("index").and_then(Node::u32).unwrap_or(0);
        match kind {
            "ping" => return Decoded::Nothing,
            "message_start" => self.start(node, events),
            "content_block_start" => {
                if let Some(block) = node.get("content_block") {
                    self.block_start(index, block, events);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = node.get("delta") {
                    self.delta(index, delta, events);
                }
            }
            "content_block_stop" => self.block_stop(index, events),
            "message_delta" => self.end(node, events),
            "message_stop" => return Decoded::Done,
            // An event of a later version.
            _ => {}
        }
        Decoded::Events
    }

    fn start(&mut self, node: Node<'_>, events: &mut Vec<Event>) {
        let Some(message) = node.get("message") else { return };
        if let Some(usage) = message.get("usage") {
            // The output's number is no count yet.
            self.usage = Usage { output: None, ..words::usage(usage) };
        }
        if !std::mem::replace(&mut self.begun, true) {
            let text = |name| message.text(name).unwrap_or_default().into_owned();
            events.push(Event::Begin { id: text("id"), model: text("model") });
        }
    }

    fn block_start(&mut self, index: u32, block: Node<'_>, events: &mut Vec<Event>) {
        let text = |name| block.text(name).unwrap_or_default();
        let kind = match block.text("type").as_deref() {
            Some("text") => {
                push_text(text("text"), events);
                Kind::Plain
            }
            Some("thinking") => {
                push_thought(text("thinking"), text("signature"), false, events);
                Kind::Plain
            }
            Some("redacted_thinking") => {
                push_thought(Cow::Borrowed(""), text("data"), true, events);
                Kind::Plain
            }
            Some("tool_use") => {
                let call = self.calls;
                self.calls += 1;
                events.push(Event::CallBegin {
                    choice: 0,
                    call,
                    id: text("id").into_owned(),
                    name: text("name").into_owned(),
                    free_text: false,
                    signature: None,
                });
                let whole = block.get("input").filter(|i| i.members().next().is_some());
                Kind::Call { call, whole: whole.map(|input| input.raw().to_owned()) }
            }
            other => {
                let what = other.map_or("unknown_block", words::opaque);
                events.push(Event::Opaque { choice: 0, what });
                Kind::Opaque
            }
        };
        self.open.retain(|open| open.index != index);
        if self.open.len() < MAX_OPEN {
            self.open.push(Block { index, kind });
        }
    }

    fn delta(&mut self, index: u32, delta: Node<'_>, events: &mut Vec<Event>) {
        let text = |name| delta.text(name).unwrap_or_default();
        match delta.text("type").as_deref() {
            Some("text_delta") => push_text(text("text"), events),
            Some("thinking_delta") => {
                push_thought(text("thinking"), Cow::Borrowed(""), false, events);
            }
            Some("signature_delta") => {
                push_thought(Cow::Borrowed(""), text("signature"), false, events);
            }
            Some("input_json_delta") => self.arguments(index, text("partial_json"), events),
            Some("citations_delta") => events.push(Event::Opaque { choice: 0, what: "citations" }),
            Some(_) | None => events.push(Event::Opaque { choice: 0, what: "unknown_delta" }),
        }
    }

    fn arguments(&mut self, index: u32, fragment: Cow<'_, str>, events: &mut Vec<Event>) {
        let open = self.open.iter_mut().rfind(|open| open.index == index);
        let Some(Block { kind: Kind::Call { call, whole }, .. }) = open else { return };
        if !fragment.is_empty() {
            *whole = None;
            let fragment = fragment.into_owned();
            events.push(Event::CallArguments { choice: 0, call: *call, fragment });
        }
    }

    fn block_stop(&mut self, index: u32, events: &mut Vec<Event>) {
        let Some(at) = self.open.iter().rposition(|open| open.index == index) else { return };
        match self.open.remove(at).kind {
            Kind::Call { call, whole: Some(fragment) } => {
                events.push(Event::CallArguments { choice: 0, call, fragment });
            }
            Kind::Call { whole: None, .. } | Kind::Plain | Kind::Opaque => {}
        }
    }

    fn end(&mut self, node: Node<'_>, events: &mut Vec<Event>) {
        if let Some(delta) = node.get("delta") {
            let refusal = words::explanation(delta);
            events.extend(refusal.map(|text| Event::Refusal { choice: 0, text }));
            let finish = words::finish(delta);
            events.extend(finish.map(|finish| Event::Finish { choice: 0, finish }));
        }
        if let Some(usage) = node.get("usage") {
            self.usage = words::usage(usage).over(self.usage);
            events.push(Event::Usage(self.usage));
        }
    }
}

fn push_text(text: Cow<'_, str>, events: &mut Vec<Event>) {
    if !text.is_empty() {
        events.push(Event::Text { choice: 0, text: text.into_owned() });
    }
}

fn push_thought(text: Cow<'_, str>, proof: Cow<'_, str>, redacted: bool, events: &mut Vec<Event>) {
    if text.is_empty() && proof.is_empty() {
        return;
    }
    let proof = Some(proof.into_owned()).filter(|proof| !proof.is_empty());
    let signature = proof.map(|proof| (Dialect::Anthropic, proof));
    events.push(Event::Thought { choice: 0, text: text.into_owned(), signature, redacted });
}
