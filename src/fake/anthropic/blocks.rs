//! What Anthropic refuses in messages and their blocks, in its words. Pure.

use serde_json::Value;

use super::check::extra_input;

/// The first thing that is wrong with the messages; `latest` is the version
/// that takes no documents from assistants.
pub(super) fn messages(messages: &Value, latest: bool) -> Result<(), String> {
    let Some(list) = messages.as_array() else { return Err("messages: Field required".to_owned()) };
    if list.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    if list[0]["role"] == "assistant" {
        return Err("messages: first message must use the \"user\" role".to_owned());
    }
    for (at, message) in list.iter().enumerate() {
        check(&format!("messages.{at}"), message, at + 1 == list.len(), latest)?;
    }
    pairs(list)
}

fn check(path: &str, message: &Value, last: bool, latest: bool) -> Result<(), String> {
    let role = message["role"].as_str().unwrap_or_default();
    if !["user", "assistant", "system"].contains(&role) {
        return Err(format!("{path}.role: Input should be 'user' or 'assistant'"));
    }
    only(message, &["role", "content"], path)?;
    let ends = last && role == "assistant";
    match &message["content"] {
        Value::String(text) => words(path, text, ends, false),
        Value::Array(blocks) if blocks.is_empty() && !ends => Err(empty(path)),
        Value::Array(blocks) => {
            for (at, block) in blocks.iter().enumerate() {
                let path = format!("{path}.content.{at}");
                if latest && role == "assistant" && block["type"] == "document" {
                    return Err(format!(
                        "{path}: `document` blocks are not permitted in `assistant` messages"
                    ));
                }
                self::block(&path, role, block, ends && at + 1 == blocks.len())?;
            }
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(format!("{path}.content: Input should be a valid list"))
        }
    }
}

fn empty(path: &str) -> String {
    format!(
        "{path}: all messages must have non-empty content except for the optional final assistant \
         message"
    )
}

/// A text, alone or in a block; `ends` if an answer is to go on after it.
fn words(path: &str, text: &str, ends: bool, block: bool) -> Result<(), String> {
    if ends && text.ends_with(char::is_whitespace) {
        let problem = "final assistant content cannot end with trailing whitespace";
        return Err(format!("messages: {problem}"));
    }
    if text.is_empty() && block {
        return Err("messages: text content blocks must be non-empty".to_owned());
    }
    if text.is_empty() && !ends {
        return Err(empty(path));
    }
    if text.trim().is_empty() && !ends {
        return Err("messages: text content blocks must contain non-whitespace text".to_owned());
    }
    Ok(())
}

fn block(path: &str, role: &str, block: &Value, ends: bool) -> Result<(), String> {
    let kind = block["type"].as_str().unwrap_or_default();
    let needs = |wanted: &str| {
        if role == wanted {
            return Ok(());
        }
        Err(format!("{path}: `{kind}` blocks can only be in `{wanted}` messages"))
    };
    match kind {
        "text" => {
            only(block, &["type", "text", "cache_control", "citations"], &format!("{path}.text"))?;
            let Some(text) = block["text"].as_str() else {
                return Err(format!("{path}.text.text: Field required"));
            };
            words(path, text, ends, true)
        }
        "image" => {
            only(
                block,
                &["type", "source", "cache_control", "transformations"],
                &format!("{path}.image"),
            )?;
            image(path, &block["source"])
        }
        "tool_use" => {
            needs("assistant")?;
            tool_use(path, block)
        }
        "tool_result" => {
            needs("user")?;
            tool_result(path, block)
        }
        "thinking" => {
            needs("assistant")?;
            if block["signature"].as_str().is_none_or(str::is_empty) {
                return Err(format!("{path}.thinking.signature: Field required"));
            }
            Ok(())
        }
        "redacted_thinking" => needs("assistant"),
        "document" | "search_result" | "server_tool_use" | "container_upload" | "fallback" => {
            Ok(())
        }
        kind if kind.ends_with("_tool_result") || kind.starts_with("mcp_tool") => Ok(()),
        kind => Err(format!(
            "{path}: Input tag '{kind}' found using 'type' does not match any of the expected \
             tags: 'document', 'image', 'redacted_thinking', 'search_result', 'text', 'thinking', \
             'tool_result', 'tool_use'"
        )),
    }
}

fn image(path: &str, source: &Value) -> Result<(), String> {
    match source["type"].as_str() {
        Some("url" | "file") => Ok(()),
        Some("base64") => {
            let kinds = ["image/jpeg", "image/png", "image/gif", "image/webp"];
            if source["media_type"].as_str().is_some_and(|kind| kinds.contains(&kind)) {
                return Ok(());
            }
            Err(format!(
                "{path}.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', \
                 'image/gif' or 'image/webp'"
            ))
        }
        Some(_) | None => Err(format!("{path}.image.source: Field required")),
    }
}

fn tool_use(path: &str, block: &Value) -> Result<(), String> {
    let path = format!("{path}.tool_use");
    let fields = ["type", "id", "name", "input", "cache_control", "caller", "toolset_name"];
    only(block, &fields, &path)?;
    let id = block["id"].as_str().unwrap_or_default();
    if id.is_empty() || !plain(id) {
        return Err(format!("{path}.id: String should match pattern '^[a-zA-Z0-9_-]+$'"));
    }
    let name = block["name"].as_str().unwrap_or_default();
    if !(1..=128).contains(&name.len()) || !plain(name) {
        return Err(format!("{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"));
    }
    if !block["input"].is_object() {
        return Err(format!("{path}.input: Input should be a valid dictionary"));
    }
    Ok(())
}

fn tool_result(path: &str, block: &Value) -> Result<(), String> {
    let path = format!("{path}.tool_result");
    only(block, &["type", "tool_use_id", "content", "is_error", "cache_control"], &path)?;
    if block["tool_use_id"].as_str().is_none_or(str::is_empty) {
        return Err(format!("{path}.tool_use_id: Field required"));
    }
    match &block["content"] {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(parts) => {
            let known =
                ["text", "image", "document", "search_result", "tool_reference", "browser_state"];
            let odd = |part: &&Value| !known.iter().any(|kind| part["type"] == *kind);
            if parts.iter().any(|part| odd(&part)) {
                return Err(format!(
                    "{path}.content: Input tag does not match any of the expected tags"
                ));
            }
            if parts.iter().any(|part| part["type"] == "text" && part["text"] == "") {
                return Err("messages: text content blocks must be non-empty".to_owned());
            }
            Ok(())
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(format!("{path}.content: Input should be a valid string"))
        }
    }
}

/// Neighbouring messages of one role, which the provider takes as one turn.
struct Turn<'a> {
    /// The index of its last message.
    at: usize,
    role: &'a str,
    blocks: Vec<&'a Value>,
}

/// Each use of a tool has its result in the next turn, before anything else
/// there, and each result its use in the turn before.
fn pairs(messages: &[Value]) -> Result<(), String> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if turns.last().is_none_or(|turn| turn.role != role) {
            turns.push(Turn { at, role, blocks: Vec::new() });
        }
        let turn = turns.last_mut().expect("one was pushed if there was none");
        turn.at = at;
        match message["content"].as_array() {
            Some(blocks) => turn.blocks.extend(blocks),
            // What is said counts as a block of its own.
            None => turn.blocks.push(message),
        }
    }
    let mut open: Vec<&str> = Vec::new();
    for (place, turn) in turns.iter().enumerate() {
        results(turn, &open)?;
        open = ids(&turn.blocks, "tool_use", "id");
        let next = turns.get(place + 1).map(|next| next.blocks.as_slice()).unwrap_or_default();
        answered(turn.at, &open, next)?;
    }
    Ok(())
}

fn ids<'a>(blocks: &[&'a Value], kind: &str, key: &str) -> Vec<&'a str> {
    let of_kind = blocks.iter().filter(|block| block["type"] == kind);
    of_kind.filter_map(|block| block[key].as_str()).collect()
}

fn results(turn: &Turn<'_>, open: &[&str]) -> Result<(), String> {
    let mut seen = Vec::new();
    for id in ids(&turn.blocks, "tool_result", "tool_use_id") {
        if !open.contains(&id) {
            return Err(format!(
                "messages.{}.content: unexpected `tool_use_id` found in `tool_result` blocks: \
                 {id}. Each `tool_result` block must have a corresponding `tool_use` block in the \
                 previous message.",
                turn.at
            ));
        }
        if seen.contains(&id) {
            return Err(format!(
                "messages.{}.content: each tool_use must have a single result. Found multiple \
                 `tool_result` blocks with id: {id}",
                turn.at
            ));
        }
        seen.push(id);
    }
    Ok(())
}

fn answered(at: usize, used: &[&str], next: &[&Value]) -> Result<(), String> {
    let first = next.iter().take_while(|block| block["type"] == "tool_result").copied();
    let answered = ids(&first.collect::<Vec<_>>(), "tool_result", "tool_use_id");
    let open: Vec<_> = used.iter().filter(|id| !answered.contains(id)).copied().collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(format!(
        "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: \
         {}. Each `tool_use` block must have a corresponding `tool_result` block in the next \
         message.",
        open.join(", ")
    ))
}

/// Whether the text keeps to the letters of names and ids.
pub(super) fn plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Fails if an object has other members than these.
pub(super) fn only(object: &Value, known: &[&str], path: &str) -> Result<(), String> {
    let mut names = object.as_object().into_iter().flat_map(|object| object.keys());
    match names.find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(extra_input(&format!("{path}.{name}"))),
    }
}
