//! Responses, whole: the JSON of a response and of its items. Pure.

use serde_json::{Value, json};

use super::super::call::{Call, Content, Finish};
use super::super::script::put;

pub(in super::super) fn put_whole(out: &mut Vec<u8>, call: &Call<'_>) {
    let status = ended(call.finish);
    let said = call.content.text();
    let mut output = Vec::new();
    if !call.thoughts.is_empty() {
        output.push(reasoning(call, call.thoughts));
    }
    let tools = call.tool_calls().enumerate();
    output.extend(tools.map(|(place, tool)| tool_item(call, status, place, tool)));
    if !call.content.is_tool() && !said.is_empty() {
        output.push(item(call, status, said));
    }
    put(out, format_args!("{}", response(call, status, call.finish, &Value::Array(output))));
}

pub(in super::super) fn put_count(out: &mut Vec<u8>, tokens: usize) {
    let json = json!({ "object": "response.input_tokens", "input_tokens": tokens });
    put(out, format_args!("{json}"));
}

/// The status of a response, and of its last item, that ended so.
pub(super) fn ended(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls | Finish::Refused => "completed",
        Finish::Length | Finish::Filtered => "incomplete",
    }
}

/// The response as a whole; `finish` matters once it is incomplete.
pub(super) fn response(call: &Call<'_>, status: &str, finish: Finish, output: &Value) -> Value {
    let reason = match finish {
        Finish::Length => json!({ "reason": "max_output_tokens" }),
        Finish::Filtered => json!({ "reason": "content_filter" }),
        Finish::Stop | Finish::ToolCalls | Finish::Refused => Value::Null,
    };
    let reason = if status == "incomplete" { reason } else { Value::Null };
    let usage = match status {
        "completed" | "incomplete" => usage(call),
        _ => Value::Null,
    };
    json!({
        "id": format!("resp_{}_{}", call.provider, call.number),
        "object": "response",
        "created_at": call.created,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": reason,
        "instructions": null,
        "max_output_tokens": null,
        "model": call.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null },
        "store": false,
        "temperature": 1.0,
        "text": { "format": { "type": "text" } },
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "metadata": {},
    })
}

fn usage(call: &Call<'_>) -> Value {
    let thoughts = call.thought_tokens();
    let (input, output) = (call.prompt_tokens, call.completion_tokens() + thoughts);
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": thoughts },
        "total_tokens": input + output,
    })
}

pub(super) fn reasoning_id(call: &Call<'_>) -> String {
    format!("rs_{}_{}", call.provider, call.number)
}

/// The item with so much of the reasoning; without any it is in progress.
pub(super) fn reasoning(call: &Call<'_>, said: &str) -> Value {
    let summary = json!([{ "type": "summary_text", "text": said }]);
    let summary = if said.is_empty() { json!([]) } else { summary };
    json!({ "id": reasoning_id(call), "type": "reasoning", "summary": summary })
}

/// The id of the first item after the reasoning.
pub(super) fn item_id(call: &Call<'_>) -> String {
    if call.content.is_tool() {
        return tool_item_id(call, 0);
    }
    format!("msg_{}_{}", call.provider, call.number)
}

/// The id of the item with the call at this place.
pub(super) fn tool_item_id(call: &Call<'_>, place: usize) -> String {
    call.tool_id(&format!("fc_{}", call.provider), place)
}

/// The item with the call at this place: its name, and its arguments so far.
pub(super) fn tool_item(call: &Call<'_>, status: &str, place: usize, tool: (&str, &str)) -> Value {
    let (name, arguments) = tool;
    json!({
        "id": tool_item_id(call, place),
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": call.tool_id("call", place),
        "name": name,
    })
}

/// The item with so much of it said; an item in progress has no parts yet.
pub(super) fn item(call: &Call<'_>, status: &str, said: &str) -> Value {
    match call.content {
        Content::Tool { name, .. } => tool_item(call, status, 0, (name, said)),
        Content::Text(_) | Content::Refusal(_) => {
            let parts = if status == "in_progress" { json!([]) } else { json!([part(call, said)]) };
            json!({
                "id": item_id(call),
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": parts,
            })
        }
    }
}

/// The part of a message with so much of it said.
pub(super) fn part(call: &Call<'_>, said: &str) -> Value {
    match call.content {
        Content::Refusal(_) => json!({ "type": "refusal", "refusal": said }),
        Content::Text(_) | Content::Tool { .. } => {
            json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": said })
        }
    }
}
