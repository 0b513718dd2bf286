//! What Anthropic refuses in a request, in its words: the fields of the body;
//! messages are looked at in `blocks`. Pure.

use serde_json::{Map, Value};

use super::{Terms, blocks, schema};

const FIELDS: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "system",
    "stop_sequences",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
    "service_tier",
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "speed",
    "temperature",
    "top_p",
    "top_k",
];
const BETA_FIELDS: &[&str] = &[
    "mcp_servers",
    "context_management",
    "compaction",
    "fallbacks",
    "fallback_credit_token",
    "thread",
    "billing_policy",
];
/// What counting tokens takes.
const COUNT_FIELDS: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
];
const TOOL_FIELDS: &[&str] = &[
    "type",
    "name",
    "description",
    "input_schema",
    "strict",
    "cache_control",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
    "allowed_callers",
];
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];
const LAST_VERSION: &str = super::VERSIONS[1];
const MIN_THINKING: u64 = 1024;

/// The first thing that is wrong with the body.
pub(super) fn body(body: &Map<String, Value>, terms: &Terms<'_>) -> Result<(), String> {
    let known = if terms.counting { COUNT_FIELDS } else { FIELDS };
    let more = if terms.beta { BETA_FIELDS } else { &[] };
    let mut names = body.keys().map(String::as_str);
    if let Some(name) = names.find(|name| !known.contains(name) && !more.contains(name)) {
        return Err(extra_input(name));
    }
    let field = |name: &str| body.get(name).unwrap_or(&Value::Null);
    if !field("model").is_string() {
        return Err("model: Field required".to_owned());
    }
    if !terms.counting {
        limits(body, terms)?;
    }
    system(field("system"))?;
    blocks::messages(field("messages"), terms.version == LAST_VERSION)?;
    tools(field("tools"))?;
    choice(body)?;
    thinking(body)?;
    let format = &field("output_config")["format"];
    if !format.is_null() {
        if format["type"] != "json_schema" {
            return Err("output_config.format.type: Input should be 'json_schema'".to_owned());
        }
        schema::check(&format["schema"])
            .map_err(|problem| format!("output_config.format.schema: {problem}"))?;
    }
    Ok(())
}

pub(super) fn extra_input(path: &str) -> String {
    format!("{path}: Extra inputs are not permitted")
}

/// The numbers, and the sequences that stop an answer.
fn limits(body: &Map<String, Value>, terms: &Terms<'_>) -> Result<(), String> {
    match body.get("max_tokens") {
        None => return Err("max_tokens: Field required".to_owned()),
        Some(limit) if !limit.is_u64() => {
            return Err("max_tokens: Input should be a valid integer".to_owned());
        }
        Some(_) => {}
    }
    for name in SAMPLING {
        let Some(value) = body.get(name) else { continue };
        if terms.version == LAST_VERSION {
            return Err(format!("{name}: is not supported as of anthropic-version {LAST_VERSION}"));
        }
        let Some(number) = value.as_f64() else {
            return Err(format!("{name}: Input should be a valid number"));
        };
        if name != "top_k" && !(0.0..=1.0).contains(&number) {
            return Err(format!("{name}: range: 0..1"));
        }
    }
    let sequences = body.get("stop_sequences").and_then(Value::as_array);
    for (at, sequence) in sequences.into_iter().flatten().enumerate() {
        match sequence.as_str() {
            None => return Err(format!("stop_sequences.{at}: Input should be a valid string")),
            Some(text) if text.trim().is_empty() => {
                let problem = "each stop sequence must contain non-whitespace";
                return Err(format!("stop_sequences: {problem}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn system(system: &Value) -> Result<(), String> {
    match system {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(list) => {
            for (at, block) in list.iter().enumerate() {
                if block["type"] != "text" {
                    return Err(format!("system.{at}.type: Input should be 'text'"));
                }
                if block["text"].as_str().is_none_or(str::is_empty) {
                    return Err("system: text content blocks must be non-empty".to_owned());
                }
                blocks::only(
                    block,
                    &["type", "text", "cache_control", "citations"],
                    &format!("system.{at}"),
                )?;
            }
            Ok(())
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err("system: Input should be a valid string".to_owned())
        }
    }
}

fn tools(tools: &Value) -> Result<(), String> {
    let mut names: Vec<&str> = Vec::new();
    for (at, tool) in tools.as_array().into_iter().flatten().enumerate() {
        let custom = tool["type"].is_null() || tool["type"] == "custom";
        let path = format!("tools.{at}.custom");
        if tool["type"] == "function" {
            return Err(format!(
                "tools.{at}: Input tag 'function' found using 'type' does not match any of the \
                 expected tags: 'bash_20250124', 'custom', 'text_editor_20250728', \
                 'web_search_20250305'"
            ));
        }
        let Some(name) = tool["name"].as_str() else {
            return Err(format!("{path}.name: Field required"));
        };
        if names.contains(&name) {
            return Err("tools: Tool names must be unique.".to_owned());
        }
        names.push(name);
        if !custom {
            continue;
        }
        blocks::only(tool, TOOL_FIELDS, &path)?;
        if !(1..=128).contains(&name.len()) || !blocks::plain(name) {
            return Err(format!(
                "{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            ));
        }
        if !tool["input_schema"].is_object() {
            return Err(format!("{path}.input_schema: Field required"));
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(format!("{path}.input_schema.type: Input should be 'object'"));
        }
        if tool["strict"] == true {
            schema::check(&tool["input_schema"]).map_err(|problem| format!("{path}: {problem}"))?;
        }
    }
    Ok(())
}

fn choice(body: &Map<String, Value>) -> Result<(), String> {
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    let tools = body.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let forced = match choice["type"].as_str() {
        Some("auto" | "none") => false,
        Some("any" | "tool") => true,
        Some(_) | None => {
            let kind = choice["type"].as_str().unwrap_or_default();
            return Err(format!(
                "tool_choice: Input tag '{kind}' found using 'type' does not match any of the \
                 expected tags: 'any', 'auto', 'none', 'tool'"
            ));
        }
    };
    blocks::only(choice, &["type", "name", "disable_parallel_tool_use"], "tool_choice")?;
    if tools.is_empty() && choice["type"] != "none" {
        return Err(
            "tool_choice: tool_choice may only be specified while providing tools".to_owned()
        );
    }
    if choice["type"] == "tool" && !tools.iter().any(|tool| tool["name"] == choice["name"]) {
        let name = choice["name"].as_str().unwrap_or_default();
        return Err(format!("Tool '{name}' not found in provided tools"));
    }
    let thinks = body.get("thinking").is_some_and(|thinking| thinking["type"] == "enabled");
    if forced && thinks {
        return Err("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    Ok(())
}

fn thinking(body: &Map<String, Value>) -> Result<(), String> {
    let Some(thinking) = body.get("thinking") else { return Ok(()) };
    match thinking["type"].as_str() {
        Some("disabled" | "adaptive" | "between_tools") => Ok(()),
        Some("enabled") => {
            let budget = thinking["budget_tokens"].as_u64();
            let Some(budget) = budget else {
                return Err("thinking.enabled.budget_tokens: Field required".to_owned());
            };
            if budget < MIN_THINKING {
                return Err(format!(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to \
                     {MIN_THINKING}"
                ));
            }
            let limit = body.get("max_tokens").and_then(Value::as_u64);
            if limit.is_some_and(|limit| limit <= budget) {
                return Err(
                    "`max_tokens` must be greater than `thinking.budget_tokens`.".to_owned()
                );
            }
            Ok(())
        }
        Some(_) | None => {
            Err("thinking.type: Input should be 'enabled', 'disabled' or 'adaptive'".to_owned())
        }
    }
}
