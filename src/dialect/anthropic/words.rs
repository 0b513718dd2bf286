//! What whole answers and streams say in the same words: why the model stopped,
//! token counts, blocks that only this dialect has.

use std::fmt::Write as _;

use crate::dialect::hub::{Finish, Usage};
use crate::dialect::json;
use crate::dialect::node::Node;

/// Why the model stopped. `None` where it is not said.
#[must_use]
pub fn finish(holder: Node<'_>) -> Option<Finish> {
    Some(match &*holder.text("stop_reason")? {
        "end_turn" => Finish::Stop,
        "stop_sequence" => {
            Finish::StopSequence(holder.text("stop_sequence").map(std::borrow::Cow::into_owned))
        }
        "max_tokens" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        "model_context_window_exceeded" => Finish::ContextFull,
        "pause_turn" => Finish::Paused,
        other => Finish::Other(other[..other.floor_char_boundary(64)].to_owned()),
    })
}

/// What the model says about its refusal.
#[must_use]
pub fn explanation(holder: Node<'_>) -> Option<String> {
    let text = holder.get("stop_details")?.text("explanation")?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// The members `stop_reason` and `stop_sequence`. Calls decide, whatever the
/// provider's word: some say `stop` and call.
#[must_use]
pub fn finish_json(finish: Option<&Finish>, calls: bool, refused: bool) -> String {
    let mut sequence = "null".to_owned();
    let reason = match finish {
        Some(Finish::Stop | Finish::ToolCalls | Finish::StopSequence(None)) | None if calls => {
            "tool_use"
        }
        Some(Finish::Stop) | None if refused => "refusal",
        Some(Finish::Stop | Finish::ToolCalls) | None => "end_turn",
        Some(Finish::StopSequence(which)) => {
            if let Some(which) = which {
                sequence = json::quote(which);
            }
            "stop_sequence"
        }
        Some(Finish::Length) => "max_tokens",
        Some(Finish::ContentFilter | Finish::Refusal) => "refusal",
        Some(Finish::ContextFull) => "model_context_window_exceeded",
        Some(Finish::Paused) => "pause_turn",
        // Something cut the answer short: never an end as wanted.
        Some(Finish::Other(_)) => "max_tokens",
    };
    format!(r#""stop_reason":"{reason}","stop_sequence":{sequence}"#)
}

/// Token counts; Anthropic's input leaves out what was cached.
#[must_use]
pub fn usage(node: Node<'_>) -> Usage {
    let count = |name| node.get(name).and_then(Node::u32);
    let cached = count("cache_read_input_tokens");
    let cache_written = count("cache_creation_input_tokens");
    let both = cached.unwrap_or(0).saturating_add(cache_written.unwrap_or(0));
    let details = node.get("output_tokens_details");
    Usage {
        input: count("input_tokens").map(|input| input.saturating_add(both)),
        cached,
        cache_written,
        output: count("output_tokens"),
        reasoning: details.and_then(|d| d.get("thinking_tokens")).and_then(Node::u32),
    }
}

/// The same as an object. Clients need the output's number, and at the
/// beginning (`input_too`) the input's.
#[must_use]
pub fn usage_json(usage: &Usage, input_too: bool) -> String {
    let mut out = String::from("{");
    let mut member = |name: &str, count: Option<u32>| {
        if let Some(count) = count {
            let comma = if out.len() > 1 { "," } else { "" };
            let _ = write!(out, r#"{comma}"{name}":{count}"#);
        }
    };
    let input = usage.fresh_input().or(input_too.then_some(0));
    member("input_tokens", input);
    member("cache_creation_input_tokens", usage.cache_written);
    member("cache_read_input_tokens", usage.cached);
    member("output_tokens", Some(usage.output.unwrap_or(0)));
    if let Some(reasoning) = usage.reasoning {
        let _ = write!(out, r#","output_tokens_details":{{"thinking_tokens":{reasoning}}}"#);
    }
    out.push('}');
    out
}

/// A kind of block that no other dialect has.
#[must_use]
pub fn opaque(kind: &str) -> &'static str {
    match kind {
        "server_tool_use" | "mcp_tool_use" => "server_tool_use",
        "container_upload" => "container_upload",
        "compaction" => "compaction",
        "fallback" => "fallback",
        kind if kind.ends_with("_tool_result") => "server_tool_result",
        _ => "unknown_block",
    }
}

/// An answer's id as Anthropic's clients know them: the provider's if it is one,
/// else made of the trace's.
#[must_use]
pub fn message_id(provider: &str, trace: &str) -> String {
    let plain = |text: &str| {
        let plain = text.bytes().filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        plain.map(char::from).collect::<String>()
    };
    if provider.starts_with("msg_") {
        return plain(provider);
    }
    format!("msg_{}", plain(trace))
}
