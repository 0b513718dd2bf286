//! Anthropic's answers, streamed: named events, one block, `message_stop` at
//! the end.

use serde_json::{Value, json};

use super::super::answer::pieces;
use super::super::call::{Call, Content, Finish};
use super::super::calls::ToolCall;
use super::super::script::{put, put_json};
use super::super::stream::{Voice, Wire};
use super::answer::{SIGNATURE, put_identity, stop, usage};

const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";
/// More than any event takes, apart from what is said in it.
const EVENT_BYTES: usize = 1024;

pub(in super::super) struct Blocks<'a> {
    call: &'a Call<'a>,
    /// Whether a block has begun and not ended.
    open: bool,
    /// Its place, or that of the last one.
    index: usize,
    /// Calls of tools that are still to be told.
    more: &'a [ToolCall],
}

impl<'a> Blocks<'a> {
    pub fn new(call: &'a Call<'a>) -> Self {
        Self { call, open: false, index: 0, more: call.more_calls }
    }

    fn open_block(&mut self, wire: &mut Wire<'_>, block: &Value) {
        let index = self.index;
        let start =
            json!({ "type": "content_block_start", "index": index, "content_block": block });
        wire.event("content_block_start", start);
        self.open = true;
    }

    fn open_tool(&mut self, wire: &mut Wire<'_>, name: &str) {
        let id = self.call.tool_id("toolu", self.index);
        self.open_block(wire, &json!({ "type": "tool_use", "id": id, "name": name, "input": {} }));
    }

    fn delta(&self, wire: &mut Wire<'_>, kind: &str, member: &str, text: &str) {
        let out = wire.begin();
        out.extend_from_slice(
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",",
        );
        put(out, format_args!("\"index\":{},", self.index));
        put(out, format_args!("\"delta\":{{\"type\":\"{kind}\",\"{member}\":"));
        put_json(out, text);
        out.extend_from_slice(b"}}\n\n");
        wire.send();
    }

    fn close_block(&mut self, wire: &mut Wire<'_>) {
        if self.open {
            let stop = json!({ "type": "content_block_stop", "index": self.index });
            wire.event("content_block_stop", stop);
            self.open = false;
        }
    }
}

impl Voice for Blocks<'_> {
    fn start(&mut self, wire: &mut Wire<'_>) {
        let out = wire.begin();
        out.extend_from_slice(
            b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{",
        );
        put_identity(out, self.call);
        out.extend_from_slice(b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
        put(out, format_args!("\"stop_details\":null,\"usage\":{}}}}}\n\n", usage(self.call, 1)));
        wire.send();
    }

    fn think(&mut self, wire: &mut Wire<'_>) {
        self.open_block(wire, &json!({ "type": "thinking", "thinking": "", "signature": "" }));
        for piece in pieces(self.call.thoughts) {
            self.delta(wire, "thinking_delta", "thinking", piece);
        }
        self.delta(wire, "signature_delta", "signature", SIGNATURE);
        self.close_block(wire);
        self.index += 1;
    }

    fn open_content(&mut self, wire: &mut Wire<'_>) {
        match self.call.content {
            Content::Text(_) | Content::Refusal(_) => {
                self.open_block(wire, &json!({ "type": "text", "text": "" }));
                wire.raw(PING);
            }
            Content::Tool { name, .. } => {
                self.open_tool(wire, name);
                wire.raw(PING);
                self.piece(wire, "");
            }
        }
    }

    fn piece(&mut self, wire: &mut Wire<'_>, piece: &str) {
        let (kind, member) = match self.call.content {
            Content::Text(_) | Content::Refusal(_) => ("text_delta", "text"),
            Content::Tool { .. } => ("input_json_delta", "partial_json"),
        };
        self.delta(wire, kind, member, piece);
    }

    fn finish(&mut self, wire: &mut Wire<'_>, finish: Finish) {
        self.close_block(wire);
        if finish == Finish::ToolCalls {
            for more in std::mem::take(&mut self.more) {
                self.index += 1;
                self.open_tool(wire, &more.name);
                self.piece(wire, &more.arguments);
                self.close_block(wire);
            }
        }
        let usage = usage(self.call, self.call.completion_tokens());
        let delta = json!({ "type": "message_delta", "delta": stop(finish), "usage": usage });
        wire.event("message_delta", delta);
    }

    fn close(&mut self, wire: &mut Wire<'_>) {
        wire.event("message_stop", json!({ "type": "message_stop" }));
    }

    fn error(&mut self, wire: &mut Wire<'_>) {
        wire.event("error", self.call.tongue.overloaded().json);
    }

    fn malformed(&mut self, wire: &mut Wire<'_>) {
        wire.raw(
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
              \"delta\":{\"type\":\"text_del\n\n",
        );
    }

    fn half_event(&mut self, wire: &mut Wire<'_>) {
        wire.raw(b"event: content_block_delta\ndata: {\"type\":\"content_block_del");
    }

    fn idle(&self) -> Vec<u8> {
        PING.to_vec()
    }

    fn more_than(&self, pieces: usize) -> usize {
        (pieces + 6) * EVENT_BYTES + 6 * (self.call.content.text().len() + self.call.model.len())
    }
}
