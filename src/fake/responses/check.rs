//! What `OpenAI` refuses in a Responses request, in its words. Pure.

use serde_json::Value;

use super::super::error_body::ErrorBody;
use super::super::openai::check::{function, invalid_value, json_schema, missing};
use super::invalid;

const FIELDS: &[&str] = &[
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "temperature",
    "top_p",
    "top_logprobs",
    "truncation",
    "stream",
    "stream_options",
    "include",
    "store",
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "context_management",
    "metadata",
    "safety_identifier",
    "user",
    "service_tier",
    "moderation",
    "access_programs",
    "image",
    "client_metadata",
];
/// Fields of Chat Completions that have another name here.
const MOVED: &[(&str, &str)] = &[
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("messages", "input"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
];
const MAX_CALL_ID: usize = 64;
const ITEMS: &[&str] = &[
    "message",
    "function_call",
    "function_call_output",
    "reasoning",
    "item_reference",
    "custom_tool_call",
    "custom_tool_call_output",
    "web_search_call",
    "file_search_call",
    "computer_call",
    "computer_call_output",
    "code_interpreter_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "tool_search_call",
    "tool_search_output",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "program",
    "program_output",
    "compaction",
    "additional_tools",
];

/// What an item is: one without a type is a message.
pub(super) fn kind(item: &Value) -> &str {
    item["type"].as_str().unwrap_or("message")
}

/// The first thing that is wrong with the body.
pub(super) fn body(body: &Value) -> Result<(), ErrorBody> {
    fields(body)?;
    if !body["model"].is_string() {
        return Err(missing("model"));
    }
    if let Some(id) = body["previous_response_id"].as_str() {
        let text = format!("Previous response with id '{id}' not found.");
        return Err(invalid("previous_response_id", Some("previous_response_not_found"), &text));
    }
    match &body["input"] {
        Value::Null if body["prompt"].is_object() => {}
        Value::Null => return Err(missing("input")),
        Value::String(_) => {}
        Value::Array(items) => input(items)?,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            let text = "Invalid type for 'input': expected one of a string or array of objects.";
            return Err(invalid("input", Some("invalid_type"), text));
        }
    }
    tools(&body["tools"], &body["tool_choice"])?;
    let format = &body["text"]["format"];
    match format["type"].as_str() {
        None if format.is_null() => Ok(()),
        Some("text" | "json_object") => Ok(()),
        Some("json_schema") => json_schema("text.format", format),
        kind => {
            let known = "'text', 'json_object', and 'json_schema'";
            Err(invalid_value("text.format.type", kind.unwrap_or_default(), known))
        }
    }
}

fn fields(body: &Value) -> Result<(), ErrorBody> {
    let mut names = body.as_object().into_iter().flat_map(|body| body.keys());
    let Some(name) = names.find(|name| !FIELDS.contains(&name.as_str())) else { return Ok(()) };
    let (code, text) = match MOVED.iter().find(|(old, _)| old == name) {
        Some((_, new)) => (
            "unsupported_parameter",
            format!(
                "Unsupported parameter: '{name}'. In the Responses API, this parameter has moved \
                 to '{new}'."
            ),
        ),
        None => ("unknown_parameter", format!("Unknown parameter: '{name}'.")),
    };
    Err(invalid(name, Some(code), &text))
}

fn input(items: &[Value]) -> Result<(), ErrorBody> {
    for (at, item) in items.iter().enumerate() {
        let path = format!("input[{at}]");
        match kind(item) {
            "message" => message(&path, item)?,
            "function_call" => call(&path, item)?,
            "function_call_output" => output(&path, item)?,
            "reasoning" => id(&path, item, "rs")?,
            kind if ITEMS.contains(&kind) => {}
            kind => {
                let known = ITEMS.iter().map(|kind| format!("'{kind}'")).collect::<Vec<_>>();
                return Err(invalid_value(&path, kind, &known.join(", ")));
            }
        }
    }
    pairs(items)
}

fn message(path: &str, item: &Value) -> Result<(), ErrorBody> {
    id(path, item, "msg")?;
    let role = item["role"].as_str().unwrap_or_default();
    if !["user", "assistant", "system", "developer"].contains(&role) {
        let known = "'assistant', 'system', 'developer', and 'user'";
        return Err(invalid_value(&format!("{path}.role"), role, known));
    }
    let parts = match &item["content"] {
        Value::String(_) => return Ok(()),
        Value::Array(parts) => parts,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err(missing(&format!("{path}.content")));
        }
    };
    let (known, words): (&[&str], _) = if role == "assistant" {
        (&["output_text", "refusal"], "'output_text' and 'refusal'")
    } else {
        (
            &["input_text", "input_image", "input_file", "input_audio"],
            "'input_text', 'input_image', 'input_file', and 'input_audio'",
        )
    };
    for (at, part) in parts.iter().enumerate() {
        let kind = part["type"].as_str().unwrap_or_default();
        if !known.contains(&kind) {
            return Err(invalid_value(&format!("{path}.content[{at}]"), kind, words));
        }
    }
    Ok(())
}

fn call(path: &str, item: &Value) -> Result<(), ErrorBody> {
    id(path, item, "fc")?;
    call_id(path, item)?;
    let name = item["name"].as_str().unwrap_or_default();
    function(path, &serde_json::json!({ "name": name }))?;
    if !item["arguments"].is_string() {
        let path = format!("{path}.arguments");
        let text = format!("Invalid type for '{path}': expected a string.");
        return Err(invalid(&path, Some("invalid_type"), &text));
    }
    Ok(())
}

fn output(path: &str, item: &Value) -> Result<(), ErrorBody> {
    call_id(path, item)?;
    let path = format!("{path}.output");
    match &item["output"] {
        Value::String(_) => Ok(()),
        Value::Array(parts) => {
            let known = ["input_text", "input_image", "input_file"];
            let kinds = parts.iter().map(|part| part["type"].as_str().unwrap_or_default());
            match kinds.enumerate().find(|(_, kind)| !known.contains(kind)) {
                None => Ok(()),
                Some((at, kind)) => {
                    let known = "'input_text', 'input_image', and 'input_file'";
                    Err(invalid_value(&format!("{path}[{at}]"), kind, known))
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(missing(&path)),
    }
}

fn id(path: &str, item: &Value, prefix: &str) -> Result<(), ErrorBody> {
    let Some(id) = item["id"].as_str() else { return Ok(()) };
    if id.starts_with(prefix) {
        return Ok(());
    }
    let path = format!("{path}.id");
    let text = format!("Invalid '{path}': '{id}'. Expected an ID that begins with '{prefix}'.");
    Err(invalid(&path, Some("invalid_value"), &text))
}

fn call_id(path: &str, item: &Value) -> Result<(), ErrorBody> {
    let path = format!("{path}.call_id");
    let Some(id) = item["call_id"].as_str().filter(|id| !id.is_empty()) else {
        return Err(missing(&path));
    };
    if id.len() <= MAX_CALL_ID {
        return Ok(());
    }
    let text = format!(
        "Invalid '{path}': string too long. Expected a string with maximum length {MAX_CALL_ID}, \
         but got a string with length {} instead.",
        id.len()
    );
    Err(invalid(&path, Some("string_above_max_length"), &text))
}

/// Each output follows its call, and each call has one.
fn pairs(items: &[Value]) -> Result<(), ErrorBody> {
    let mut open: Vec<&str> = Vec::new();
    for item in items {
        let id = item["call_id"].as_str().unwrap_or_default();
        match kind(item) {
            "function_call" => open.push(id),
            "function_call_output" => {
                let Some(at) = open.iter().position(|open| *open == id) else {
                    let text =
                        format!("No tool call found for function call output with call_id {id}.");
                    return Err(invalid("input", None, &text));
                };
                open.remove(at);
            }
            _ => {}
        }
    }
    match open.first() {
        None => Ok(()),
        Some(id) => {
            let text = format!("No tool output found for function call {id}.");
            Err(invalid("input", None, &text))
        }
    }
}

fn tools(tools: &Value, choice: &Value) -> Result<(), ErrorBody> {
    let list = tools.as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, tool) in list.iter().enumerate() {
        match tool["type"].as_str() {
            None => return Err(missing(&format!("tools[{at}].type"))),
            Some("function") => function(&format!("tools[{at}]"), tool)?,
            Some(_) => {}
        }
    }
    if choice["type"] == "function" {
        let Some(name) = choice["name"].as_str() else { return Err(missing("tool_choice.name")) };
        if !list.iter().any(|tool| tool["name"] == name) {
            let text = "Tool choice 'function' not found in 'tools' parameter.";
            return Err(invalid("tool_choice", None, text));
        }
    }
    if let Some(word) = choice.as_str()
        && !["none", "auto", "required"].contains(&word)
    {
        let known = "'none', 'auto', and 'required'";
        return Err(invalid_value("tool_choice", word, known));
    }
    if choice == "required" && list.is_empty() {
        let text = "Tool choice 'required' must be specified with 'tools' parameter.";
        return Err(invalid("tool_choice", None, text));
    }
    Ok(())
}
