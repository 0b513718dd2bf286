//! Anthropic's answers, whole: the JSON of a message, of the list of models
//! and of a count. Pure.

use serde_json::{Value, json};

use super::super::call::{Call, Content, Finish};
use super::super::script::{put, put_json};
use super::super::vectors::model_names;

/// What comes with a thought and must come back with it.
pub(super) const SIGNATURE: &str = "ZmFrZS1zaWduYXR1cmU=";

pub(in super::super) fn put_whole(out: &mut Vec<u8>, call: &Call<'_>) {
    out.extend_from_slice(b"{");
    put_identity(out, call);
    out.extend_from_slice(b",\"content\":[");
    if !call.thoughts.is_empty() {
        let block =
            json!({ "type": "thinking", "thinking": call.thoughts, "signature": SIGNATURE });
        let empty = call.content == Content::Text("");
        put(out, format_args!("{block}{}", if empty { "" } else { "," }));
    }
    match call.content {
        Content::Text("") => {}
        Content::Text(text) | Content::Refusal(text) => {
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            put_json(out, text);
            out.push(b'}');
        }
        Content::Tool { .. } => {
            for (place, (name, arguments)) in call.tool_calls().enumerate() {
                let (comma, id) = (if place > 0 { "," } else { "" }, call.tool_id("toolu", place));
                put(out, format_args!("{comma}{{\"type\":\"tool_use\",\"id\":\"{id}\","));
                out.extend_from_slice(b"\"name\":");
                put_json(out, name);
                // As they are: cut arguments break the body.
                put(out, format_args!(",\"input\":{arguments}}}"));
            }
        }
    }
    out.push(b']');
    let delta = stop(call.finish);
    for name in ["stop_reason", "stop_sequence", "stop_details"] {
        put(out, format_args!(",\"{name}\":{}", delta[name]));
    }
    put(out, format_args!(",\"usage\":{}}}", usage(call, call.completion_tokens())));
}

/// The members that every message begins with.
pub(super) fn put_identity(out: &mut Vec<u8>, call: &Call<'_>) {
    put(out, format_args!("\"id\":\"msg_{}_{}\",", id_safe(call.provider), call.number));
    out.extend_from_slice(b"\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    put_json(out, call.model);
}

/// A provider's name may hold a dot, an id may not.
fn id_safe(name: &str) -> String {
    name.replace('.', "-")
}

/// Why the message ends, in the three fields that say it.
pub(super) fn stop(finish: Finish) -> Value {
    let reason = match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Filtered | Finish::Refused => "refusal",
    };
    let details = match finish {
        Finish::Filtered | Finish::Refused => json!({
            "type": "refusal",
            "category": "general_harms",
            "explanation": "The model declined to answer.",
        }),
        Finish::Stop | Finish::Length | Finish::ToolCalls => Value::Null,
    };
    json!({ "stop_reason": reason, "stop_sequence": null, "stop_details": details })
}

pub(super) fn usage(call: &Call<'_>, output_tokens: usize) -> Value {
    let mut usage = json!({
        "input_tokens": call.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens + call.thought_tokens(),
    });
    if !call.thoughts.is_empty() {
        usage["output_tokens_details"] = json!({ "thinking_tokens": call.thought_tokens() });
    }
    usage
}

pub(in super::super) fn put_count(out: &mut Vec<u8>, tokens: usize) {
    put(out, format_args!("{{\"input_tokens\":{tokens}}}"));
}

pub(in super::super) fn put_models(out: &mut Vec<u8>, provider: &str) {
    let ids: Vec<_> = model_names(provider).collect();
    let entry = |id: &String| {
        let created = "1970-01-01T00:00:00Z";
        json!({ "type": "model", "id": id, "display_name": id, "created_at": created })
    };
    let data: Vec<_> = ids.iter().map(entry).collect();
    let (first, last) = (ids.first(), ids.last());
    let page = json!({ "data": data, "has_more": false, "first_id": first, "last_id": last });
    put(out, format_args!("{page}"));
}
