//! Anthropic's answers, streamed: named events, one block, `message_stop` at
//! the end.

use serde_json::json;

use super::super::call::{Call, Content, Finish};
use super::super::script::{put, put_json};
use super::super::stream::{Voice, Wire};
use super::answer::{put_identity, stop, tool_id, usage};

const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";
/// More than any event takes, apart from what is said in it.
const EVENT_BYTES: usize = 1024;

pub(in super::super) struct Blocks<'a> {
    call: &'a Call<'a>,
    /// Whether a block has begun and not ended.
    open: bool,
}

impl<'a> Blocks<'a> {
    pub fn new(call: &'a Call<'a>) -> Self {
        Self { call, open: false }
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

    fn open_content(&mut self, wire: &mut Wire<'_>) {
        let block = match self.call.content {
            Content::Text(_) | Content::Refusal(_) => json!({ "type": "text", "text": "" }),
            Content::Tool { name, .. } => {
                json!({ "type": "tool_use", "id": tool_id(self.call), "name": name, "input": {} })
            }
        };
        let start = json!({ "type": "content_block_start", "index": 0, "content_block": block });
        wire.event("content_block_start", start);
        wire.raw(PING);
        self.open = true;
        if self.call.content.is_tool() {
            self.piece(wire, "");
        }
    }

    fn piece(&mut self, wire: &mut Wire<'_>, piece: &str) {
        let (kind, member) = match self.call.content {
            Content::Text(_) | Content::Refusal(_) => ("text_delta", "text"),
            Content::Tool { .. } => ("input_json_delta", "partial_json"),
        };
        let out = wire.begin();
        out.extend_from_slice(
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",",
        );
        put(out, format_args!("\"index\":0,\"delta\":{{\"type\":\"{kind}\",\"{member}\":"));
        put_json(out, piece);
        out.extend_from_slice(b"}}\n\n");
        wire.send();
    }

    fn finish(&mut self, wire: &mut Wire<'_>, finish: Finish) {
        if self.open {
            wire.event("content_block_stop", json!({ "type": "content_block_stop", "index": 0 }));
            self.open = false;
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
