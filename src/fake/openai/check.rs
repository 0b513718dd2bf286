//! What `OpenAI` refuses in a Chat Completions request, in its words. Only what
//! a translation may get wrong is checked. Pure.

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::error_body::ErrorBody;
use super::Message;
use super::errors::invalid_parameter;
use super::strict;

const ROLES: &str = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'";
const MAX_CALL_ID: usize = 40;

pub(super) fn messages(messages: &[Message<'_>]) -> Result<(), ErrorBody> {
    let mut at = 0;
    while let Some(message) = messages.get(at) {
        role(at, message)?;
        content(at, message)?;
        let answers = &messages[at + 1..];
        let answers = &answers[..answers.iter().take_while(|next| next.role == "tool").count()];
        match &*message.role {
            "assistant" => answered(at, message, answers)?,
            "tool" => {
                let message = "Invalid parameter: messages with role 'tool' must be a response to \
                               a preceeding message with 'tool_calls'.";
                return Err(invalid_parameter(&format!("messages.[{at}].role"), None, message));
            }
            _ => {
                at += 1;
                continue;
            }
        }
        for (place, answer) in answers.iter().enumerate() {
            content(at + 1 + place, answer)?;
        }
        at += 1 + answers.len();
    }
    Ok(())
}

fn role(at: usize, message: &Message<'_>) -> Result<(), ErrorBody> {
    match &*message.role {
        "system" | "assistant" | "user" | "function" | "tool" | "developer" => Ok(()),
        other => Err(invalid_value(&format!("messages[{at}].role"), other, ROLES)),
    }
}

fn content(at: usize, message: &Message<'_>) -> Result<(), ErrorBody> {
    let path = format!("messages[{at}].content");
    let content = message.content.filter(|content| content.get() != "null");
    let Some(content) = content else {
        let stand_ins = [message.tool_calls, message.refusal, message.audio, message.function_call];
        let stands_in = |raw: &&RawValue| raw.get() != "null";
        if message.role == "assistant" && stand_ins.iter().flatten().any(stands_in) {
            return Ok(());
        }
        let text = "Invalid value for 'content': expected a string, got null.";
        return Err(invalid_parameter(&format!("messages.[{at}].content"), None, text));
    };
    if content.get().starts_with('"') {
        return Ok(());
    }
    let Ok(Value::Array(parts)) = serde_json::from_str(content.get()) else {
        let text = format!(
            "Invalid type for '{path}': expected one of a string or array of objects instead."
        );
        return Err(invalid_parameter(&path, Some("invalid_type"), &text));
    };
    let (known, words): (&[&str], _) = match &*message.role {
        "user" => (
            &["text", "image_url", "input_audio", "file"],
            "'text', 'image_url', 'input_audio', and 'file'",
        ),
        "assistant" => (&["text", "refusal"], "'text' and 'refusal'"),
        _ => (&["text"], "'text'"),
    };
    for (place, part) in parts.iter().enumerate() {
        let kind = part["type"].as_str().unwrap_or_default();
        if !known.contains(&kind) {
            return Err(invalid_value(&format!("{path}[{place}].type"), kind, words));
        }
    }
    Ok(())
}

/// Each call has its result among the messages that follow, and each of these a call.
fn answered(at: usize, message: &Message<'_>, answers: &[Message<'_>]) -> Result<(), ErrorBody> {
    let calls = super::value(message.tool_calls);
    let mut open = Vec::new();
    for (place, call) in calls.as_array().into_iter().flatten().enumerate() {
        let path = format!("messages[{at}].tool_calls[{place}]");
        let Some(id) = call["id"].as_str() else {
            return Err(missing(&format!("{path}.id")));
        };
        if id.len() > MAX_CALL_ID {
            let text = format!(
                "Invalid '{path}.id': string too long. Expected a string with maximum length \
                 {MAX_CALL_ID}, but got a string with length {} instead.",
                id.len()
            );
            let path = format!("{path}.id");
            return Err(invalid_parameter(&path, Some("string_above_max_length"), &text));
        }
        if call["type"] == "function" && !call["function"]["arguments"].is_string() {
            let path = format!("{path}.function.arguments");
            let text = format!("Invalid type for '{path}': expected a string.");
            return Err(invalid_parameter(&path, Some("invalid_type"), &text));
        }
        open.push(id);
    }
    for (place, answer) in answers.iter().enumerate() {
        let id = super::value(answer.tool_call_id);
        let Some(known) = open.iter().position(|open| id == *open) else {
            let path = format!("messages.[{}].role", at + 1 + place);
            let text = "Invalid parameter: 'tool_call_id' of a message with role 'tool' was not \
                        found in 'tool_calls' of the previous message.";
            return Err(invalid_parameter(&path, None, text));
        };
        open.remove(known);
    }
    if open.is_empty() {
        return Ok(());
    }
    let text = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to \
         each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(invalid_parameter(&format!("messages.[{at}].role"), None, &text))
}

pub(super) fn tools(tools: &Value, choice: &Value) -> Result<(), ErrorBody> {
    let list = tools.as_array().map(Vec::as_slice).unwrap_or_default();
    if tools.is_array() && list.is_empty() {
        let text = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got \
                    an empty array instead.";
        return Err(invalid_parameter("tools", Some("empty_array"), text));
    }
    for (at, tool) in list.iter().enumerate() {
        match tool["type"].as_str() {
            Some("function") => function(&format!("tools[{at}].function"), &tool["function"])?,
            Some("custom") => {}
            kind => {
                let kind = kind.unwrap_or_default();
                return Err(invalid_value(
                    &format!("tools[{at}].type"),
                    kind,
                    "'function' and 'custom'",
                ));
            }
        }
    }
    if !choice.is_null() && choice != "none" && list.is_empty() {
        let text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' \
                    are specified.";
        return Err(invalid_parameter("tool_choice", None, text));
    }
    let named = choice["function"]["name"].as_str();
    if named.is_some_and(|name| !list.iter().any(|tool| tool["function"]["name"] == name)) {
        let text = "Tool choice 'function' not found in 'tools' parameter.";
        return Err(invalid_parameter("tool_choice", None, text));
    }
    Ok(())
}

/// One function, which is described the same way in Chat and in Responses.
pub(in super::super) fn function(path: &str, function: &Value) -> Result<(), ErrorBody> {
    let Some(name) = function["name"].as_str() else {
        return Err(missing(&format!("{path}.name")));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let text = format!(
            "Invalid '{path}.name': string does not match pattern. Expected a string that matches \
             the pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(invalid_parameter(&format!("{path}.name"), Some("invalid_value"), &text));
    }
    if function["strict"] == true {
        strict::check(&function["parameters"]).map_err(|problem| {
            let text = format!("Invalid schema for function '{name}': {problem}");
            let path = format!("{path}.parameters");
            invalid_parameter(&path, Some("invalid_function_parameters"), &text)
        })?;
    }
    Ok(())
}

pub(super) fn format(format: &Value) -> Result<(), ErrorBody> {
    if format.is_null() {
        return Ok(());
    }
    let kind = format["type"].as_str().unwrap_or_default();
    match kind {
        "text" | "json_object" => Ok(()),
        "json_schema" => json_schema("response_format.json_schema", &format["json_schema"]),
        kind => {
            let known = "'json_object', 'json_schema', and 'text'";
            Err(invalid_value("response_format.type", kind, known))
        }
    }
}

/// A named schema for an answer, in Chat and in Responses.
pub(in super::super) fn json_schema(path: &str, format: &Value) -> Result<(), ErrorBody> {
    let Some(name) = format["name"].as_str() else {
        return Err(missing(&format!("{path}.name")));
    };
    if format["strict"] == true {
        strict::check(&format["schema"]).map_err(|problem| {
            let text = format!("Invalid schema for response_format '{name}': {problem}");
            invalid_parameter(path, None, &text)
        })?;
    }
    Ok(())
}

pub(in super::super) fn invalid_value(path: &str, found: &str, known: &str) -> ErrorBody {
    let text = format!("Invalid value: '{found}'. Supported values are: {known}.");
    invalid_parameter(path, Some("invalid_value"), &text)
}

pub(in super::super) fn missing(path: &str) -> ErrorBody {
    let text = format!("Missing required parameter: '{path}'.");
    invalid_parameter(path, Some("missing_required_parameter"), &text)
}
