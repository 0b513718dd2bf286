//! Chat Completions, whole: the JSON of an answer. Pure.

use serde_json::{Value, json};

use super::super::call::{Call, Content, Finish};
use super::super::script::{put, put_json};

/// The opening brace and the members that every answer and chunk begins with.
pub(super) fn put_identity(out: &mut Vec<u8>, call: &Call<'_>, object: &str) {
    put(out, format_args!("{{\"id\":\"chatcmpl-{}-{}\",", call.provider, call.number));
    put(out, format_args!("\"object\":\"{object}\",\"created\":{},\"model\":", call.created));
    put_json(out, call.model);
    put(out, format_args!(",\"system_fingerprint\":\"fp_{}\"", call.provider));
}

pub(super) fn put_usage(out: &mut Vec<u8>, call: &Call<'_>) {
    let thoughts = call.thought_tokens();
    let (prompt, completion) = (call.prompt_tokens, call.completion_tokens() + thoughts);
    put(out, format_args!("{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},"));
    if thoughts > 0 {
        let details = format_args!("{{\"reasoning_tokens\":{thoughts}}}");
        put(out, format_args!("\"completion_tokens_details\":{details},"));
    }
    put(out, format_args!("\"total_tokens\":{}}}", prompt + completion));
}

pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Refused => "stop",
        Finish::Length => "length",
        Finish::Filtered => "content_filter",
        Finish::ToolCalls => "tool_calls",
    }
}

pub(in super::super) fn put_whole(out: &mut Vec<u8>, call: &Call<'_>) {
    put_identity(out, call, "chat.completion");
    out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",");
    if !call.thoughts.is_empty() {
        out.extend_from_slice(b"\"reasoning_content\":");
        put_json(out, call.thoughts);
        out.push(b',');
    }
    out.extend_from_slice(b"\"content\":");
    match call.content {
        Content::Text(text) => {
            put_json(out, text);
            out.extend_from_slice(b",\"refusal\":null");
        }
        Content::Refusal(text) => {
            out.extend_from_slice(b"null,\"refusal\":");
            put_json(out, text);
        }
        Content::Tool { .. } => {
            let tool = |(place, (name, arguments)): (usize, (&str, &str))| {
                json!({
                    "id": call.tool_id("call", place),
                    "type": "function",
                    "function": { "name": name, "arguments": arguments },
                })
            };
            let calls: Value = call.tool_calls().enumerate().map(tool).collect();
            put(out, format_args!("null,\"tool_calls\":{calls},\"refusal\":null"));
        }
    }
    out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
    put_json(out, finish_reason(call.finish));
    out.extend_from_slice(b"}],\"usage\":");
    put_usage(out, call);
    out.push(b'}');
}
