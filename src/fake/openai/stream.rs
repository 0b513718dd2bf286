//! Chat Completions, streamed: chunks without event names, `[DONE]` at the end.

use serde_json::json;

use super::super::answer::pieces;
use super::super::call::{Call, Content, Finish};
use super::super::calls::ToolCall;
use super::super::script::{put, put_json};
use super::super::stream::{Voice, Wire};
use super::answer::{finish_reason, put_identity, put_usage};

pub(in super::super) struct Chunks<'a> {
    call: &'a Call<'a>,
    /// What every chunk begins with.
    prefix: Vec<u8>,
    /// Whether Azure's verdict on the prompt comes first.
    azure: bool,
    /// Calls of tools that are still to be told.
    more: &'a [ToolCall],
}

impl<'a> Chunks<'a> {
    pub fn new(call: &'a Call<'a>, azure: bool) -> Self {
        let mut prefix = Vec::with_capacity(256);
        put_identity(&mut prefix, call, "chat.completion.chunk");
        Self { call, prefix, azure, more: call.more_calls }
    }

    /// One chunk of the answer.
    fn chunk(&self, wire: &mut Wire<'_>, delta: &str, finish: Option<&str>) {
        let out = self.begin(wire);
        let choice = "\"index\":0,\"delta\":";
        put(
            out,
            format_args!(",\"choices\":[{{{choice}{delta},\"logprobs\":null,\"finish_reason\":"),
        );
        match finish {
            Some(reason) => put_json(out, reason),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]}\n\n");
        wire.send();
    }

    fn open_tool(&self, wire: &mut Wire<'_>, place: usize, name: &str) {
        let opening = json!({ "tool_calls": [{
            "index": place,
            "id": self.call.tool_id("call", place),
            "type": "function",
            "function": { "name": name, "arguments": "" },
        }] });
        self.chunk(wire, &opening.to_string(), None);
    }

    fn arguments(&self, wire: &mut Wire<'_>, place: usize, fragment: &str) {
        let function = json!({ "arguments": fragment });
        let delta = json!({ "tool_calls": [{ "index": place, "function": function }] });
        self.chunk(wire, &delta.to_string(), None);
    }

    fn begin<'w>(&self, wire: &'w mut Wire<'_>) -> &'w mut Vec<u8> {
        let out = wire.begin();
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.prefix);
        out
    }

    /// One piece of text: the hot path, written without intermediate strings.
    fn words(&self, wire: &mut Wire<'_>, member: &str, words: &str) {
        let out = self.begin(wire);
        put(out, format_args!(",\"choices\":[{{\"index\":0,\"delta\":{{\"{member}\":"));
        put_json(out, words);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
        wire.send();
    }
}

impl Voice for Chunks<'_> {
    fn start(&mut self, wire: &mut Wire<'_>) {
        if self.azure {
            let out = self.begin(wire);
            let verdict = json!({ "hate": { "filtered": false, "severity": "safe" } });
            let results = json!([{ "prompt_index": 0, "content_filter_results": verdict }]);
            put(out, format_args!(",\"choices\":[],\"prompt_filter_results\":{results}}}\n\n"));
            wire.send();
        }
        self.chunk(wire, r#"{"role":"assistant","content":"","refusal":null}"#, None);
    }

    /// As many servers have it, if not `OpenAI`.
    fn think(&mut self, wire: &mut Wire<'_>) {
        for piece in pieces(self.call.thoughts) {
            self.words(wire, "reasoning_content", piece);
        }
    }

    fn open_content(&mut self, wire: &mut Wire<'_>) {
        let name = match self.call.content {
            Content::Text(_) | Content::Refusal(_) => return,
            Content::Tool { name, .. } => name,
        };
        self.open_tool(wire, 0, name);
    }

    fn piece(&mut self, wire: &mut Wire<'_>, piece: &str) {
        match self.call.content {
            Content::Text(_) => self.words(wire, "content", piece),
            Content::Refusal(_) => self.words(wire, "refusal", piece),
            Content::Tool { .. } => {
                self.arguments(wire, 0, piece);
            }
        }
    }

    fn finish(&mut self, wire: &mut Wire<'_>, finish: Finish) {
        if finish == Finish::ToolCalls {
            for (place, more) in std::mem::take(&mut self.more).iter().enumerate() {
                self.open_tool(wire, place + 1, &more.name);
                self.arguments(wire, place + 1, &more.arguments);
            }
        }
        self.chunk(wire, "{}", Some(finish_reason(finish)));
    }

    fn close(&mut self, wire: &mut Wire<'_>) {
        if self.call.include_usage {
            let out = self.begin(wire);
            out.extend_from_slice(b",\"choices\":[],\"usage\":");
            put_usage(out, self.call);
            out.extend_from_slice(b"}\n\n");
            wire.send();
        }
        wire.raw(b"data: [DONE]\n\n");
    }

    fn error(&mut self, wire: &mut Wire<'_>) {
        wire.data(self.call.tongue.overloaded().json);
    }

    fn malformed(&mut self, wire: &mut Wire<'_>) {
        wire.raw(b"data: {\"id\":\"chatcmpl-broken\",\"choices\":[{\"delta\":{\"cont\n\n");
    }

    fn half_event(&mut self, wire: &mut Wire<'_>) {
        wire.raw(b"data: {\"id\":\"chatcmpl-broken\",\"choices\":[{\"del");
    }

    fn idle(&self) -> Vec<u8> {
        b": keep-alive\n\n".to_vec()
    }

    fn more_than(&self, pieces: usize) -> usize {
        (pieces + 2) * (self.prefix.len() + 100) * 2
    }
}
