//! From a request of the Responses API to the internal form: the top-level
//! fields. The input's items are [`input`]'s, the tools [`tools`]'s.

use std::borrow::Cow;

use super::{input, tools};
use crate::dialect::hub::{Block, Effort, Format, Gravity, Reasoning, Request};
use crate::dialect::node::Node;
use crate::dialect::peeking::wrong;
use crate::dialect::request::{Address, BadRequest};

/// The fields that are read after the others.
#[derive(Default)]
struct Parts<'a> {
    instructions: Option<Node<'a>>,
    input: Option<Node<'a>>,
    tools: Option<Node<'a>>,
    tool_choice: Option<Node<'a>>,
    safety_identifier: Option<Node<'a>>,
    user: Option<Node<'a>>,
}

/// Reads a request that passed `peek`.
pub fn read_request<'a>(body: &'a str, _address: &Address) -> Result<Request<'a>, BadRequest> {
    let mut request = Request { include_usage: true, ..Request::new() };
    let mut parts = Parts::default();
    for (key, value) in Node::new(body).members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "model" | "stream_options" | "metadata" | "client_metadata" | "service_tier" => {}
            "instructions" => parts.instructions = Some(value),
            "input" => parts.input = Some(value),
            "tools" => parts.tools = Some(value),
            "tool_choice" => parts.tool_choice = Some(value),
            "user" => parts.user = Some(value),
            "safety_identifier" => parts.safety_identifier = Some(value),
            "text" => text(&mut request, value)?,
            "reasoning" => reasoning(&mut request, value),
            _ => scalar(&mut request, key, value)?,
        }
    }
    let user = parts.safety_identifier.or(parts.user);
    request.user = user.and_then(Node::str);
    if let Some(instructions) = parts.instructions {
        read_instructions(&mut request, instructions)?;
    }
    if let Some(value) = parts.input {
        input::read_input(&mut request, value)?;
    }
    if let Some(value) = parts.tools {
        tools::read_tools(&mut request, value)?;
    }
    if let Some(value) = parts.tool_choice {
        tools::read_choice(&mut request, value)?;
    }
    Ok(request)
}

/// A string; or, as answers repeat it, a list of items.
fn read_instructions<'a>(request: &mut Request<'a>, value: Node<'a>) -> Result<(), BadRequest> {
    if let Some(text) = value.str() {
        request.system.push(Block::Text(text));
        return Ok(());
    }
    for item in value.items() {
        match input::system_texts(item) {
            Some(texts) => request.system.extend(texts.into_iter().map(Block::Text)),
            None => return Err(wrong("instructions", "must be a string")),
        }
    }
    if value.is_array() { Ok(()) } else { Err(wrong("instructions", "must be a string")) }
}

fn flag(name: &'static str, value: Node<'_>) -> Result<bool, BadRequest> {
    value.bool().ok_or_else(|| wrong(name, "must be a boolean"))
}

fn count(name: &'static str, value: Node<'_>) -> Result<u32, BadRequest> {
    value.u32().ok_or_else(|| wrong(name, "must be a whole number"))
}

fn number<'a>(name: &'static str, value: Node<'a>) -> Result<&'a str, BadRequest> {
    value.number().ok_or_else(|| wrong(name, "must be a number"))
}

/// A field that stands for itself.
fn scalar<'a>(
    request: &mut Request<'a>,
    key: Cow<'a, str>,
    value: Node<'a>,
) -> Result<(), BadRequest> {
    match &*key {
        "stream" => request.stream = flag("stream", value)?,
        "max_output_tokens" => {
            request.max_output_tokens = Some(count("max_output_tokens", value)?);
        }
        "temperature" => request.sampling.temperature = Some(number("temperature", value)?),
        "top_p" => request.sampling.top_p = Some(number("top_p", value)?),
        "parallel_tool_calls" => {
            request.parallel_tools = Some(flag("parallel_tool_calls", value)?);
        }
        "top_logprobs" => {
            let wanted = count("top_logprobs", value)?;
            request.logprobs = request.logprobs.or((wanted > 0).then_some(wanted));
        }
        "include" => {
            let mut wanted = value.items().filter_map(Node::str);
            if wanted.any(|item| item == "message.output_text.logprobs") {
                request.logprobs.get_or_insert(0);
            }
        }
        // State that only its server has.
        "previous_response_id" | "conversation" | "prompt" => request.other(key, Gravity::Vital),
        "background" if value.bool() == Some(true) => request.other(key, Gravity::Vital),
        "store" if value.bool() == Some(true) => request.other(key, Gravity::Tuning),
        "truncation" if value.str().is_some_and(|how| how == "auto") => {
            request.other(key, Gravity::Tuning);
        }
        "background" | "store" | "truncation" => {}
        "moderation" => {
            let blocks = value.raw().contains("\"block\"");
            request.other(key, if blocks { Gravity::Meaning } else { Gravity::Tuning });
        }
        _ => request.other(key, Gravity::Tuning),
    }
    Ok(())
}

fn text<'a>(request: &mut Request<'a>, value: Node<'a>) -> Result<(), BadRequest> {
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        if key == "format" {
            request.format = format(request, value)?;
        } else {
            request.other(format!("text.{key}"), Gravity::Tuning);
        }
    }
    Ok(())
}

fn format<'a>(
    request: &mut Request<'a>,
    value: Node<'a>,
) -> Result<Option<Format<'a>>, BadRequest> {
    match value.text("type").as_deref() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let schema = value.get("schema").filter(|schema| schema.is_object());
            let schema = schema.ok_or_else(|| wrong("text", "has a format without a schema"))?;
            Ok(Some(Format::Schema {
                name: value.text("name"),
                description: value.text("description"),
                schema: schema.raw().into(),
                strict: value.get("strict").and_then(Node::bool),
            }))
        }
        Some(_) => {
            request.other("text.format", Gravity::Meaning);
            Ok(None)
        }
        None => Err(wrong("text", "has a format without a type")),
    }
}

fn reasoning<'a>(request: &mut Request<'a>, value: Node<'a>) {
    let mut wanted = Reasoning::default();
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "effort" => {
                wanted.effort = value.str().and_then(|effort| Effort::named(&effort));
                if wanted.effort.is_none() {
                    request.other("reasoning.effort", Gravity::Tuning);
                }
            }
            "summary" | "generate_summary" => {
                wanted.shown = Some(value.str().is_some_and(|kind| kind != "none"));
            }
            _ => request.other(format!("reasoning.{key}"), Gravity::Tuning),
        }
    }
    if wanted != Reasoning::default() {
        request.reasoning = Some(wanted);
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
