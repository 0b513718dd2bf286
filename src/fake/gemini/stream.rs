//! Gemini's answers, streamed: whole responses, each with what is new, as
//! events without names or as the elements of an array. There is no terminator
//! but the end of the array.

use super::super::answer::pieces;
use super::super::call::{Call, Content, Finish};
use super::super::question::Delivery;
use super::super::script::{put, put_json};
use super::super::stream::{Voice, Wire};
use super::answer::{finish_reason, put_calls, put_response, put_text, put_thought};

/// More than any event takes, apart from what is said in it.
const EVENT_BYTES: usize = 1024;

pub(in super::super) struct Snapshots<'a> {
    call: &'a Call<'a>,
    /// Whether the elements of an array are told.
    array: bool,
    /// Whether anything was.
    begun: bool,
    tokens: usize,
    /// The arguments of a call, which is told as a whole.
    arguments: String,
}

impl<'a> Snapshots<'a> {
    pub fn new(call: &'a Call<'a>) -> Self {
        let array = call.delivery == Delivery::Array;
        Self { call, array, begun: false, tokens: 0, arguments: String::new() }
    }

    fn begin<'w>(&mut self, wire: &'w mut Wire<'_>) -> &'w mut Vec<u8> {
        let begun = std::mem::replace(&mut self.begun, true);
        let out = wire.begin();
        out.extend_from_slice(match (self.array, begun) {
            (false, _) => b"data: ".as_slice(),
            (true, false) => b"[",
            (true, true) => b",\r\n",
        });
        out
    }

    fn response(&mut self, wire: &mut Wire<'_>, parts: &[u8], finish: Option<&str>) {
        let (call, tokens, array) = (self.call, self.tokens, self.array);
        let out = self.begin(wire);
        put_response(out, call, parts, finish, tokens);
        if !array {
            out.extend_from_slice(b"\n\n");
        }
        wire.send();
    }

    /// The beginning of an element, framed as a whole one if `ends`.
    fn broken(&mut self, wire: &mut Wire<'_>, ends: bool) {
        let out = self.begin(wire);
        out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"par");
        if ends {
            out.extend_from_slice(b"\n\n");
        }
        wire.send();
    }
}

impl Voice for Snapshots<'_> {
    fn start(&mut self, _wire: &mut Wire<'_>) {}

    fn think(&mut self, wire: &mut Wire<'_>) {
        for piece in pieces(self.call.thoughts) {
            let mut part = Vec::new();
            put_thought(&mut part, piece);
            self.response(wire, &part, None);
        }
    }

    fn open_content(&mut self, _wire: &mut Wire<'_>) {}

    fn piece(&mut self, wire: &mut Wire<'_>, piece: &str) {
        self.tokens += 1;
        if self.call.content.is_tool() {
            self.arguments.push_str(piece);
            return;
        }
        let mut part = Vec::with_capacity(piece.len() + 16);
        put_text(&mut part, piece);
        self.response(wire, &part, None);
    }

    /// A call is told as a whole, so what breaks off is the middle of an event.
    fn break_off(&mut self, wire: &mut Wire<'_>) {
        let Content::Tool { name, .. } = self.call.content else { return };
        if self.arguments.is_empty() {
            return;
        }
        let arguments = std::mem::take(&mut self.arguments);
        let out = self.begin(wire);
        out.extend_from_slice(
            b"{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":",
        );
        put_json(out, name);
        put(out, format_args!(",\"args\":{arguments}"));
        wire.send();
    }

    fn finish(&mut self, wire: &mut Wire<'_>, finish: Finish) {
        let mut parts = Vec::new();
        let mut reason = finish_reason(self.call, finish, "{}");
        if !self.arguments.is_empty() {
            let arguments = std::mem::take(&mut self.arguments);
            reason = finish_reason(self.call, finish, &arguments);
            put_calls(&mut parts, self.call, &arguments);
            if !parts.is_empty() {
                self.response(wire, &parts, None);
                parts.clear();
            }
        }
        put_text(&mut parts, "");
        self.tokens = self.call.completion_tokens();
        self.response(wire, &parts, Some(reason));
    }

    fn close(&mut self, wire: &mut Wire<'_>) {
        if self.array {
            wire.raw(b"\n]");
        }
    }

    fn error(&mut self, wire: &mut Wire<'_>) {
        let array = self.array;
        let error = self.call.tongue.overloaded().json;
        let out = self.begin(wire);
        put(out, format_args!("{error}{}", if array { "]" } else { "\n\n" }));
        wire.send();
    }

    fn malformed(&mut self, wire: &mut Wire<'_>) {
        self.broken(wire, !self.array);
    }

    fn half_event(&mut self, wire: &mut Wire<'_>) {
        self.broken(wire, false);
    }

    /// Neither form has comments: clients fail at them.
    fn idle(&self) -> Vec<u8> {
        if self.array {
            return b"\n".to_vec();
        }
        let mut part = Vec::new();
        put_text(&mut part, "");
        let mut out = b"data: ".to_vec();
        put_response(&mut out, self.call, &part, None, 0);
        out.extend_from_slice(b"\n\n");
        out
    }

    fn more_than(&self, pieces: usize) -> usize {
        let (said, model) = (self.call.content.text().len(), self.call.model.len());
        (pieces + 2) * (EVENT_BYTES + 6 * model) + 6 * said
    }
}
