//! Streams to a client. See [`Writer`](crate::dialect::writer::Writer) for what
//! each function promises. Owns the order of chunks: the role first, then what
//! comes, and at the end finish reasons, token counts and the terminator.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::ErrorOut;
use crate::dialect::hub::{Event, Finish, Usage};
use crate::dialect::json;
use crate::dialect::sse::Frame;
use crate::dialect::stream::{MAX_CHOICES, Part};
use crate::dialect::writer::Head;

use super::compose::Json;
use super::reply::{self, ChunkHead};
use super::{answer, ids};

/// Writes one stream.
#[derive(Debug)]
pub struct Writer {
    head: Head,
    /// What all chunks have in common, once it is known.
    chunk: Option<ChunkHead>,
    /// The choices that have begun, by index.
    choices: Vec<Choice>,
    usage: Option<Usage>,
    passed: Passed,
}

/// What of the end has passed already.
#[derive(Debug, Default)]
struct Passed {
    finish: bool,
    usage: bool,
    /// The provider's own terminator, until the end.
    terminator: Option<Bytes>,
    done: bool,
}

#[derive(Debug)]
struct Choice {
    index: u32,
    finish: Option<Finish>,
    refused: bool,
    calls: Vec<Call>,
}

/// A call that was written.
#[derive(Debug)]
struct Call {
    index: u32,
    free_text: bool,
    /// None of its arguments came yet.
    empty: bool,
}

impl Writer {
    #[must_use]
    pub fn new(head: Head) -> Self {
        let (choices, passed) = (Vec::new(), Passed::default());
        Self { head, chunk: None, choices, usage: None, passed }
    }

    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Begin { id, model } => self.begin(id, model),
            Event::Text { choice, text } => self.piece(*choice, "content", text, out),
            Event::Thought { choice, text, .. } => {
                self.piece(*choice, "reasoning_content", text, out);
            }
            Event::Refusal { choice, text } => {
                self.piece(*choice, "refusal", text, out);
                if let Some(at) = self.place(*choice) {
                    self.choices[at].refused = true;
                }
            }
            Event::CallBegin { choice, call, id, name, free_text, signature } => {
                let made = ids::made(&self.head.id, *choice, *call);
                let id = if id.is_empty() { &made } else { id };
                let mut json = Json::default();
                json.open(b'{').key("tool_calls").open(b'[').open(b'{').key("index").number(*call);
                answer::call_head(&mut json, id, name, *free_text);
                json.text(if *free_text { "input" } else { "arguments" }, "").close(b'}');
                answer::proof(&mut json, signature.as_ref());
                json.close(b'}').close(b']').close(b'}');
                self.call(*choice, *call, *free_text, &json.into_text(), out);
            }
            Event::CallArguments { choice, call, fragment } => {
                self.arguments(*choice, *call, fragment, out);
            }
            Event::Opaque { .. } => {}
            Event::Finish { choice, finish } => {
                if let Some(at) = self.open(*choice, out) {
                    self.choices[at].finish = Some(finish.clone());
                }
            }
            Event::Usage(usage) => {
                self.usage = Some(usage.over(self.usage.unwrap_or_default()));
            }
        }
    }

    pub fn pass(&mut self, frame: &Frame, part: &Part, out: &mut Vec<u8>) {
        if *part == Part::Done {
            self.passed.terminator = Some(frame.bytes.clone());
            return;
        }
        if self.chunk.is_none() {
            self.identify(frame);
        }
        match part {
            Part::Content(_) => self.note_first(),
            Part::Finish(_) => {
                self.note_first();
                self.passed.finish = true;
            }
            Part::Usage => self.passed.usage = true,
            Part::Comment
            | Part::Lifecycle
            | Part::Done
            | Part::Error(_)
            | Part::Malformed { .. } => {}
        }
        out.extend_from_slice(&frame.bytes);
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.choices.is_empty() && !self.passed.finish {
            self.open(0, out);
        }
        if !self.passed.finish {
            for choice in std::mem::take(&mut self.choices) {
                self.end(&choice, out);
            }
        }
        let wanted = self.head.include_usage && !self.passed.usage && !self.passed.done;
        if let (true, Some(usage)) = (wanted, self.usage) {
            let usage = answer::usage_json(&usage);
            out.extend_from_slice(&self.chunk().usage(&usage));
        }
        if !self.passed.done {
            let own = self.passed.terminator.take();
            out.extend_from_slice(&own.unwrap_or_else(reply::done));
        }
        self.passed = Passed { finish: true, usage: true, terminator: None, done: true };
    }

    pub fn error(&mut self, error: &ErrorOut<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&reply::error_event(error));
    }

    fn begin(&mut self, id: &str, model: &str) {
        if self.chunk.is_none() {
            let id = answer::id(id, &self.head);
            let model = answer::model(model, &self.head);
            self.chunk = Some(ChunkHead::new(&id, model, self.head.created));
        }
    }

    fn chunk(&mut self) -> &ChunkHead {
        self.begin("", "");
        self.chunk.as_ref().expect("it has just begun")
    }

    /// The place of a choice that has begun.
    fn place(&self, index: u32) -> Option<usize> {
        self.choices.iter().position(|choice| choice.index == index)
    }

    /// The place of a choice, which begins with its role. There are only so
    /// many.
    fn open(&mut self, index: u32, out: &mut Vec<u8>) -> Option<usize> {
        let known = self.place(index);
        if known.is_some() || index >= MAX_CHOICES {
            return known;
        }
        let role = r#"{"role":"assistant","content":""}"#;
        let bytes = self.chunk().chunk(&index.to_string(), role, "null");
        out.extend_from_slice(&bytes);
        self.choices.push(Choice::new(index));
        Some(self.choices.len() - 1)
    }

    /// The first choice has begun by passing.
    fn note_first(&mut self) {
        if self.choices.is_empty() {
            self.choices.push(Choice::new(0));
        }
    }

    fn delta(&mut self, choice: u32, delta: &str, out: &mut Vec<u8>) {
        if self.open(choice, out).is_some() {
            out.extend_from_slice(&self.chunk().chunk(&choice.to_string(), delta, "null"));
        }
    }

    fn piece(&mut self, choice: u32, member: &str, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            let mut json = Json::with_capacity(text.len() + 32);
            json.open(b'{').text(member, text).close(b'}');
            self.delta(choice, &json.into_text(), out);
        }
    }

    fn call(&mut self, choice: u32, index: u32, free_text: bool, delta: &str, out: &mut Vec<u8>) {
        self.delta(choice, delta, out);
        if let Some(at) = self.place(choice) {
            self.choices[at].calls.push(Call { index, free_text, empty: true });
        }
    }

    fn arguments(&mut self, choice: u32, call: u32, fragment: &str, out: &mut Vec<u8>) {
        let Some(at) = self.place(choice) else { return };
        let known = self.choices[at].calls.iter_mut().rfind(|known| known.index == call);
        let Some(known) = known.filter(|_| !fragment.is_empty()) else { return };
        known.empty = false;
        let delta = arguments(call, known.free_text, fragment);
        self.delta(choice, &delta, out);
    }

    /// The last chunks of a choice. A call without arguments gets empty ones,
    /// since clients parse them.
    fn end(&mut self, choice: &Choice, out: &mut Vec<u8>) {
        let index = choice.index.to_string();
        for call in choice.calls.iter().filter(|call| call.empty && !call.free_text) {
            let delta = arguments(call.index, false, "{}");
            out.extend_from_slice(&self.chunk().chunk(&index, &delta, "null"));
        }
        let called = !choice.calls.is_empty();
        let word = answer::finish_word(choice.finish.as_ref(), called, choice.refused);
        out.extend_from_slice(&self.chunk().chunk(&index, "{}", &json::quote(word)));
    }

    /// Takes the names from the first chunk that has any.
    fn identify(&mut self, frame: &Frame) {
        #[derive(Deserialize)]
        struct Names<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            model: Option<&'a RawValue>,
            #[serde(borrow)]
            created: Option<&'a RawValue>,
        }
        let data = frame.data.as_deref().unwrap_or_default();
        let Ok(names) = serde_json::from_slice::<Names<'_>>(data) else { return };
        let text = |value: Option<&RawValue>| {
            value.and_then(|value| json::unquote(value.get())).unwrap_or_default().into_owned()
        };
        let id = text(names.id);
        if !id.is_empty() {
            let model = text(names.model);
            let created = names.created.and_then(|created| created.get().parse().ok());
            let created = created.unwrap_or(self.head.created);
            let model = answer::model(&model, &self.head);
            self.chunk = Some(ChunkHead::new(&id, model, created));
        }
    }
}

impl Choice {
    const fn new(index: u32) -> Self {
        Self { index, finish: None, refused: false, calls: Vec::new() }
    }
}

/// A piece of a call's arguments as a delta.
fn arguments(call: u32, free_text: bool, fragment: &str) -> String {
    let (kind, member) = if free_text { ("custom", "input") } else { ("function", "arguments") };
    let mut json = Json::with_capacity(fragment.len() + 64);
    json.open(b'{').key("tool_calls").open(b'[').open(b'{').key("index").number(call);
    json.key(kind).open(b'{').text(member, fragment).close(b'}');
    json.close(b'}').close(b']').close(b'}');
    json.into_text()
}

#[cfg(test)]
mod tests;
