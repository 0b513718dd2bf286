//! Streams to a client. See [`Writer`](crate::dialect::writer::Writer) for what
//! each function promises. Owns the numbers of blocks and which one is open: one
//! at a time, so what belongs to another waits until the open one is complete.

use bytes::Bytes;

use super::answer::call_id;
use super::reply::error_json;
use super::words;
use crate::dialect::hub::legend::FREE_TEXT_PARAMETER;
use crate::dialect::hub::{Event, Finish, Usage};
use crate::dialect::json;
use crate::dialect::node::Node;
use crate::dialect::sse::Frame;
use crate::dialect::stream::Part;
use crate::dialect::writer::Head;
use crate::dialect::{Dialect, ErrorOut};

/// So many events may wait for an open call, with so many bytes; then it counts
/// as complete.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 8 << 20;

/// Writes one stream.
#[derive(Debug)]
pub struct Writer {
    head: Head,
    stage: Stage,
    /// The number of the next block.
    next: u32,
    open: Option<Open>,
    /// What came while a call was open that is not its own.
    waiting: Vec<Event>,
    waiting_bytes: usize,
    calls: u32,
    refused: bool,
    /// Held so that one event says it together with the counts.
    finish: Option<Finish>,
    usage: Usage,
    /// The provider's own terminator.
    terminator: Option<Bytes>,
}

/// How far the stream has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    New,
    Begun,
    /// The event that says why it stopped was written.
    Told,
    Ended,
}

/// The block that is open.
#[derive(Debug)]
struct Open {
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thought,
    Call {
        call: u32,
        arguments: Arguments,
    },
    /// Of a frame that passed.
    Other,
}

/// How far a call's arguments have come.
#[derive(Debug, Default)]
struct Arguments {
    free_text: bool,
    begun: bool,
    depth: u32,
    place: Place,
}

/// Where in JSON the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    #[default]
    Outside,
    String,
    Escape,
}

impl Arguments {
    fn add(&mut self, fragment: &str) {
        for byte in fragment.bytes() {
            match (self.place, byte) {
                (Place::Escape, _) | (Place::Outside, b'"') => self.place = Place::String,
                (Place::String, b'\\') => self.place = Place::Escape,
                (Place::String, b'"') => self.place = Place::Outside,
                (Place::Outside, b'{' | b'[') => {
                    self.depth = self.depth.saturating_add(1);
                    self.begun = true;
                }
                (Place::Outside, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                (Place::String | Place::Outside, _) => {}
            }
        }
    }

    /// Whether they are a whole JSON object. Free text never is.
    const fn complete(&self) -> bool {
        self.begun && self.depth == 0 && !self.free_text
    }
}

impl Writer {
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self {
            head,
            stage: Stage::New,
            next: 0,
            open: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            calls: 0,
            refused: false,
            finish: None,
            usage: Usage::default(),
            terminator: None,
        }
    }

    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.stage == Stage::Ended {
            return;
        }
        match event {
            Event::Begin { id, model } => self.begin(id, model, out),
            Event::Finish { choice: 0, finish } => {
                self.release(true, out);
                self.finish = Some(finish.clone());
            }
            Event::Usage(usage) => {
                self.usage = usage.over(self.usage);
                if self.finish.is_some() {
                    self.tell(out);
                }
            }
            event if first_choice(event) && self.stage < Stage::Told => self.content(event, out),
            // There is one choice only.
            Event::Text { .. }
            | Event::Thought { .. }
            | Event::Refusal { .. }
            | Event::CallBegin { .. }
            | Event::CallArguments { .. }
            | Event::Opaque { .. }
            | Event::Finish { .. } => {}
        }
    }

    pub fn pass(&mut self, frame: &Frame, part: &Part, out: &mut Vec<u8>) {
        if *part == Part::Done {
            self.terminator = Some(frame.bytes.clone());
            return;
        }
        out.extend_from_slice(&frame.bytes);
        // Most frames: nothing changes, so nothing is read.
        if frame.event.as_deref() == Some(b"content_block_delta") {
            return;
        }
        let data = frame.data.as_deref().and_then(|data| std::str::from_utf8(data).ok());
        let Some(node) = data.map(Node::new) else { return };
        match node.text("type").as_deref() {
            Some("message_start") => self.stage = self.stage.max(Stage::Begun),
            Some("content_block_start") => {
                let index = node.get("index").and_then(Node::u32).unwrap_or(self.next);
                self.next = index.saturating_add(1);
                let kind = node.get("content_block").and_then(|block| block.text("type"));
                let kind = match kind.as_deref() {
                    Some("text") => Kind::Text,
                    Some("thinking") => Kind::Thought,
                    Some("tool_use") => {
                        self.calls = self.calls.saturating_add(1);
                        Kind::Other
                    }
                    Some(_) | None => Kind::Other,
                };
                self.open = Some(Open { index, kind });
            }
            Some("content_block_stop") => self.open = None,
            Some("message_delta") => {
                let reason = node.get("delta").and_then(|delta| delta.get("stop_reason"));
                if reason.is_some() {
                    self.stage = self.stage.max(Stage::Told);
                }
            }
            Some("error") => self.stage = Stage::Ended,
            Some(_) | None => {}
        }
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.stage == Stage::Ended {
            return;
        }
        self.tell(out);
        match self.terminator.take() {
            Some(own) => out.extend_from_slice(&own),
            None => emit("message_stop", r#"{"type":"message_stop"}"#, out),
        }
        self.stage = Stage::Ended;
    }

    pub fn error(&mut self, error: &ErrorOut<'_>, out: &mut Vec<u8>) {
        if self.stage != Stage::Ended {
            emit("error", &error_json(error), out);
            self.stage = Stage::Ended;
        }
    }

    /// The first event; later ones are another target's.
    fn begin(&mut self, id: &str, model: &str, out: &mut Vec<u8>) {
        if self.stage > Stage::New {
            return;
        }
        self.stage = Stage::Begun;
        let model = if model.is_empty() { &self.head.model } else { model };
        let data = format!(
            r#"{{"type":"message_start","message":{{"id":"{}","type":"message","role":"assistant","model":{},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{}}}}}"#,
            words::message_id(id, &self.head.id),
            json::quote(model),
            words::usage_json(&self.usage, true),
        );
        emit("message_start", &data, out);
    }

    /// Content of the first choice, now or later.
    fn content(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.begin("", "", out);
        let Some(Open { kind: Kind::Call { call: open, arguments }, .. }) = &self.open else {
            return self.put(event, out);
        };
        let own = matches!(event, Event::CallArguments { call, .. } if call == open);
        if own || (arguments.complete() && self.waiting.is_empty()) {
            self.put(event, out);
            return self.release(false, out);
        }
        self.wait(event);
        if self.waiting.len() > MAX_WAITING || self.waiting_bytes > MAX_WAITING_BYTES {
            self.release(true, out);
        }
    }

    fn wait(&mut self, event: &Event) {
        self.waiting_bytes += match event {
            Event::Text { text, .. } | Event::Thought { text, .. } => text.len(),
            Event::CallArguments { fragment, .. } => fragment.len(),
            Event::Begin { .. }
            | Event::Refusal { .. }
            | Event::CallBegin { .. }
            | Event::Opaque { .. }
            | Event::Finish { .. }
            | Event::Usage(_) => 0,
        };
        if let (
            Event::CallArguments { call, fragment, .. },
            Some(Event::CallArguments { call: last, fragment: before, .. }),
        ) = (event, self.waiting.last_mut())
            && call == last
        {
            before.push_str(fragment);
            return;
        }
        self.waiting.push(event.clone());
    }

    /// Writes what waits, as far as the open call is complete; with `all` every
    /// open call counts as complete.
    fn release(&mut self, all: bool, out: &mut Vec<u8>) {
        while let Some(event) = self.next_waiting(all) {
            self.waiting_bytes = 0;
            self.put(&event, out);
        }
        if all {
            self.close(out);
        }
    }

    fn next_waiting(&mut self, all: bool) -> Option<Event> {
        if let Some(Open { kind: Kind::Call { call: open, arguments }, .. }) = &self.open {
            let own =
                |event: &Event| matches!(event, Event::CallArguments { call, .. } if call == open);
            if let Some(at) = self.waiting.iter().position(own) {
                return Some(self.waiting.remove(at));
            }
            if !all && !arguments.complete() {
                return None;
            }
        }
        (!self.waiting.is_empty()).then(|| self.waiting.remove(0))
    }

    /// Writes content into its block.
    fn put(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { text, .. } => self.text(text, out),
            Event::Refusal { text, .. } => {
                self.refused = true;
                self.text(text, out);
            }
            Event::Thought { text, signature, redacted, .. } => {
                let own = signature.as_ref().filter(|(by, _)| *by == Dialect::Anthropic);
                let proof = own.map(|(_, proof)| proof.as_str());
                self.thought(text, proof, signature.is_some(), *redacted, out);
            }
            Event::CallBegin { call, id, name, free_text, .. } => {
                self.call(*call, id, name, *free_text, out);
            }
            Event::CallArguments { call, fragment, .. } => self.arguments(*call, fragment, out),
            Event::Begin { .. } | Event::Opaque { .. } | Event::Finish { .. } | Event::Usage(_) => {
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if !matches!(&self.open, Some(Open { kind: Kind::Text, .. })) {
            self.start(Kind::Text, r#"{"type":"text","text":""}"#, out);
        }
        self.delta(&format!(r#"{{"type":"text_delta","text":{}}}"#, json::quote(text)), out);
    }

    fn thought(
        &mut self,
        text: &str,
        proof: Option<&str>,
        closed: bool,
        redacted: bool,
        out: &mut Vec<u8>,
    ) {
        if redacted {
            // Nobody but its maker can read it.
            let Some(proof) = proof else { return };
            let data = json::quote(proof);
            self.start(
                Kind::Other,
                &format!(r#"{{"type":"redacted_thinking","data":{data}}}"#),
                out,
            );
            return self.close(out);
        }
        let thinking = matches!(&self.open, Some(Open { kind: Kind::Thought, .. }));
        let silent = text.is_empty() && proof.is_none();
        if !thinking && !silent {
            self.start(Kind::Thought, r#"{"type":"thinking","thinking":"","signature":""}"#, out);
        }
        if !text.is_empty() {
            let text = json::quote(text);
            self.delta(&format!(r#"{{"type":"thinking_delta","thinking":{text}}}"#), out);
        }
        if let Some(proof) = proof {
            let proof = json::quote(proof);
            self.delta(&format!(r#"{{"type":"signature_delta","signature":{proof}}}"#), out);
        }
        if closed && matches!(&self.open, Some(Open { kind: Kind::Thought, .. })) {
            self.close(out);
        }
    }

    fn call(&mut self, call: u32, id: &str, name: &str, free_text: bool, out: &mut Vec<u8>) {
        let id = call_id(id, self.calls as usize, &self.head);
        self.calls = self.calls.saturating_add(1);
        let block = format!(
            r#"{{"type":"tool_use","id":{},"name":{},"input":{{}}}}"#,
            json::quote(&id),
            json::quote(name)
        );
        let arguments = Arguments { free_text, ..Arguments::default() };
        self.start(Kind::Call { call, arguments }, &block, out);
        if free_text {
            self.partial_json(&format!(r#"{{"{FREE_TEXT_PARAMETER}":""#), out);
        }
    }

    fn arguments(&mut self, call: u32, fragment: &str, out: &mut Vec<u8>) {
        let Some(Open { kind: Kind::Call { call: open, arguments }, .. }) = &mut self.open else {
            return;
        };
        if *open != call || fragment.is_empty() {
            return;
        }
        arguments.add(fragment);
        if arguments.free_text {
            let quoted = json::quote(fragment);
            self.partial_json(&quoted[1..quoted.len() - 1], out);
        } else {
            self.partial_json(fragment, out);
        }
    }

    fn partial_json(&self, text: &str, out: &mut Vec<u8>) {
        let text = json::quote(text);
        self.delta(&format!(r#"{{"type":"input_json_delta","partial_json":{text}}}"#), out);
    }

    fn start(&mut self, kind: Kind, block: &str, out: &mut Vec<u8>) {
        self.close(out);
        let index = self.next;
        self.next = index.saturating_add(1);
        let data =
            format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#);
        emit("content_block_start", &data, out);
        self.open = Some(Open { index, kind });
    }

    fn delta(&self, delta: &str, out: &mut Vec<u8>) {
        let Some(open) = &self.open else { return };
        let index = open.index;
        let data = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#);
        emit("content_block_delta", &data, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(Open { kind: Kind::Call { arguments, .. }, .. }) = &self.open
            && arguments.free_text
        {
            self.partial_json("\"}", out);
        }
        if let Some(open) = self.open.take() {
            let data = format!(r#"{{"type":"content_block_stop","index":{}}}"#, open.index);
            emit("content_block_stop", &data, out);
        }
    }

    /// Why it stopped, and the counts.
    fn tell(&mut self, out: &mut Vec<u8>) {
        if self.stage >= Stage::Told {
            return;
        }
        self.begin("", "", out);
        self.release(true, out);
        self.stage = Stage::Told;
        let data = format!(
            r#"{{"type":"message_delta","delta":{{{}}},"usage":{}}}"#,
            words::finish_json(self.finish.as_ref(), self.calls > 0, self.refused),
            words::usage_json(&self.usage, false),
        );
        emit("message_delta", &data, out);
    }
}

const fn first_choice(event: &Event) -> bool {
    match event {
        Event::Begin { .. } | Event::Finish { .. } | Event::Usage(_) => false,
        Event::Text { choice, .. }
        | Event::Thought { choice, .. }
        | Event::Refusal { choice, .. }
        | Event::CallBegin { choice, .. }
        | Event::CallArguments { choice, .. }
        | Event::Opaque { choice, .. } => *choice == 0,
    }
}

/// One event. Clients skip those whose name is not on a line of its own.
fn emit(name: &str, data: &str, out: &mut Vec<u8>) {
    for part in ["event: ", name, "\ndata: ", data, "\n\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
