//! Streams to a client. See [`Writer`](crate::dialect::writer::Writer) for what
//! each function promises. The Python SDK chokes on comments, on `event:` lines
//! and on `data:` without a space after it: none of these is ever written.

use super::compose;
use super::reply::error_json;
use crate::dialect::ErrorOut;
use crate::dialect::hub::{Event, Finish, Usage};
use crate::dialect::sse::{self, Frame};
use crate::dialect::stream::Part;
use crate::dialect::writer::{Framing, Head};
use crate::dialect::{Dialect, edit, json};

/// Writes one stream.
#[derive(Debug)]
pub struct Writer {
    head: Head,
    /// The provider of the first bytes said this of itself.
    named: bool,
    /// The array has an element.
    begun: bool,
    /// Nothing may follow.
    over: bool,
    /// Calls whose arguments are still coming: a call can only be written whole.
    calls: Vec<Pending>,
    /// Why choices stopped; told at the end, with the token counts.
    finishes: Vec<(u32, Finish)>,
    /// Choices that declined in words.
    refusals: u128,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct Pending {
    choice: u32,
    call: u32,
    id: String,
    name: String,
    free_text: bool,
    signature: Option<(Dialect, String)>,
    arguments: String,
}

impl Pending {
    fn part(&self) -> String {
        let args = compose::args(&self.arguments, self.free_text);
        let signature = compose::own_signature(self.signature.as_ref());
        compose::call_part(&self.id, &self.name, &args, signature)
    }

    /// A JSON object that is whole cannot go on; free text may.
    fn whole(&self) -> bool {
        !self.free_text && super::fields::is_object(&self.arguments)
    }
}

impl Writer {
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self {
            head,
            named: false,
            begun: false,
            over: false,
            calls: Vec::new(),
            finishes: Vec::new(),
            refusals: 0,
            usage: None,
        }
    }

    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Begin { id, model } => self.name(id, model),
            Event::Text { choice, text } => self.text(*choice, text, out),
            Event::Refusal { choice, text } => {
                self.refusals |= 1_u128.checked_shl(*choice).unwrap_or(0);
                self.text(*choice, text, out);
            }
            Event::Thought { choice, text, signature, .. } => {
                self.flush_calls(*choice, false, out);
                if let Some(part) = compose::thought_part(text, signature.as_ref()) {
                    self.part(*choice, &part, out);
                }
            }
            Event::CallBegin { choice, call, id, name, free_text, signature } => {
                self.flush_calls(*choice, false, out);
                self.calls.push(Pending {
                    choice: *choice,
                    call: *call,
                    id: id.clone(),
                    name: name.clone(),
                    free_text: *free_text,
                    signature: signature.clone(),
                    arguments: String::new(),
                });
            }
            Event::CallArguments { choice, call, fragment } => {
                let open = self.calls.iter_mut();
                let open = open.rev().find(|open| (open.choice, open.call) == (*choice, *call));
                if let Some(open) = open {
                    open.arguments.push_str(fragment);
                }
            }
            Event::Opaque { .. } => {}
            Event::Finish { choice, finish } => {
                self.flush_calls(*choice, true, out);
                self.finishes.retain(|(of, _)| of != choice);
                self.finishes.push((*choice, finish.clone()));
            }
            Event::Usage(usage) => self.usage = Some(usage.over(self.usage.unwrap_or_default())),
        }
    }

    pub fn pass(&mut self, frame: &Frame, part: &Part, out: &mut Vec<u8>) {
        let Some(data) = &frame.data else { return };
        if self.over || *part == Part::Comment {
            return;
        }
        if !self.named {
            let at = |pointer| edit::json_at(data, pointer).and_then(json::unquote);
            let (id, model) = (at("/responseId"), at("/modelVersion"));
            self.name(&id.unwrap_or_default(), &model.unwrap_or_default());
        }
        match self.head.framing {
            Framing::Sse if is_plain(frame, data) => out.extend_from_slice(&frame.bytes),
            Framing::Sse => {
                out.extend_from_slice(b"data: ");
                out.extend(data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
                out.extend_from_slice(b"\n\n");
            }
            Framing::Array => {
                self.separate(out);
                out.extend_from_slice(data);
            }
        }
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        while let Some(choice) = self.calls.first().map(|call| call.choice) {
            self.flush_calls(choice, true, out);
        }
        let mut candidates = Vec::with_capacity(self.finishes.len());
        for (choice, finish) in std::mem::take(&mut self.finishes) {
            let said = self.refusals.checked_shr(choice).is_some_and(|bits| bits & 1 == 1);
            let word = compose::finish_word(&finish, said);
            candidates.push(compose::candidate(choice, &compose::text_part(""), Some(word)));
        }
        let usage = self.usage.take();
        if !candidates.is_empty() || usage.is_some() {
            self.response(&candidates.join(","), usage.as_ref(), out);
        }
        self.close(out);
    }

    pub fn error(&mut self, error: &ErrorOut<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        self.object(&error_json(error), out);
        self.close(out);
    }

    /// What the first provider says of itself stays: all chunks are of one
    /// answer.
    fn name(&mut self, id: &str, model: &str) {
        if self.named {
            return;
        }
        self.named = true;
        if !id.is_empty() {
            id.clone_into(&mut self.head.id);
        }
        if !model.is_empty() {
            model.clone_into(&mut self.head.model);
        }
    }

    fn text(&mut self, choice: u32, text: &str, out: &mut Vec<u8>) {
        self.flush_calls(choice, false, out);
        if !text.is_empty() {
            self.part(choice, &compose::text_part(text), out);
        }
    }

    /// Writes the calls of a choice that are whole, or all of them. The order is
    /// kept: a call behind one that is not whole waits.
    fn flush_calls(&mut self, choice: u32, all: bool, out: &mut Vec<u8>) {
        let mut parts = Vec::new();
        while let Some(at) = self.calls.iter().position(|call| call.choice == choice) {
            if !all && !self.calls[at].whole() {
                break;
            }
            parts.push(self.calls.remove(at).part());
        }
        if !parts.is_empty() {
            self.part(choice, &parts.join(","), out);
        }
    }

    fn part(&mut self, choice: u32, parts: &str, out: &mut Vec<u8>) {
        self.response(&compose::candidate(choice, parts, None), None, out);
    }

    fn response(&mut self, candidates: &str, usage: Option<&Usage>, out: &mut Vec<u8>) {
        let json = compose::response(candidates, usage, &self.head.model, &self.head.id);
        self.object(&json, out);
    }

    fn object(&mut self, json: &str, out: &mut Vec<u8>) {
        match self.head.framing {
            Framing::Sse => out.extend_from_slice(&sse::event(json)),
            Framing::Array => {
                self.separate(out);
                out.extend_from_slice(json.as_bytes());
            }
        }
    }

    /// What goes before an element of the array.
    fn separate(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.begun { b",\n" } else { b"[" });
        self.begun = true;
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        self.calls = Vec::new();
        match (self.head.framing, self.begun) {
            (Framing::Sse, _) => {}
            (Framing::Array, true) => out.extend_from_slice(b"]\n"),
            (Framing::Array, false) => out.extend_from_slice(b"[]\n"),
        }
    }
}

/// Whether a frame is one `data: ` line and nothing else.
fn is_plain(frame: &Frame, data: &[u8]) -> bool {
    let rest = frame.bytes.strip_prefix(b"data: ").and_then(|rest| rest.strip_prefix(data));
    rest.is_some_and(|rest| rest.iter().all(|byte| matches!(byte, b'\n' | b'\r')))
}

#[cfg(test)]
mod tests;
