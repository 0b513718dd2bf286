//! One chat call and the JSON of its answer. Pure.

use std::time::Duration;

use serde_json::json;

use super::answer::pieces;
use super::script::{put, put_json};

/// One chat call, with all that its answer shows.
pub(super) struct Call<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    pub number: u64,
    pub created: u64,
    pub text: &'a str,
    pub finish: &'static str,
    pub prompt_tokens: usize,
    pub include_usage: bool,
    pub chunk_delay: Duration,
    /// The function that a tool call names.
    pub tool: &'a str,
}

impl Call<'_> {
    /// The opening brace and the members that every answer and chunk begins with.
    pub fn put_identity(&self, out: &mut Vec<u8>, object: &str) {
        put(out, format_args!("{{\"id\":\"chatcmpl-{}-{}\",", self.provider, self.number));
        put(out, format_args!("\"object\":\"{object}\",\"created\":{},\"model\":", self.created));
        put_json(out, self.model);
        put(out, format_args!(",\"system_fingerprint\":\"fp_{}\"", self.provider));
    }

    pub fn put_usage(&self, out: &mut Vec<u8>) {
        let (prompt, completion) = (self.prompt_tokens, pieces(self.text).count());
        put(out, format_args!("{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},"));
        put(out, format_args!("\"total_tokens\":{}}}", prompt + completion));
    }

    pub fn tool_arguments(&self) -> String {
        json!({ "query": self.text }).to_string()
    }

    pub fn put_whole(&self, out: &mut Vec<u8>, message: Message<'_>) {
        self.put_identity(out, "chat.completion");
        out.extend_from_slice(
            b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
        );
        match message {
            Message::Text(text) => put_json(out, text),
            Message::ToolCall { arguments } => {
                let call = json!([{
                    "id": format!("call_{}", self.number),
                    "type": "function",
                    "function": { "name": self.tool, "arguments": arguments },
                }]);
                put(out, format_args!("null,\"tool_calls\":{call}"));
            }
        }
        out.extend_from_slice(b",\"refusal\":null},\"logprobs\":null,\"finish_reason\":");
        put_json(out, self.finish);
        out.extend_from_slice(b"}],\"usage\":");
        self.put_usage(out);
        out.push(b'}');
    }
}

/// What a whole answer consists of.
#[derive(Clone, Copy)]
pub(super) enum Message<'a> {
    Text(&'a str),
    ToolCall { arguments: &'a str },
}
