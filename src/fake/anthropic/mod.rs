//! Anthropic's Messages: how a request is read. Knows no other dialect.

pub(super) mod answer;
mod blocks;
mod check;
pub(super) mod errors;
mod schema;
pub(super) mod stream;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::answer::Shape;
use super::error_body::ErrorBody;
use super::http::Request;
use super::question::{
    Choice, Delivery, Question, Role, Tool, Turn, Words, last_text, text_of, tokens_of,
};
use super::route::{Reading, What};

/// The first version, and the one that no longer takes sampling parameters.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];

/// What a request is judged by besides its body.
struct Terms<'a> {
    version: &'a str,
    /// Whether betas were asked for: they have fields of their own.
    beta: bool,
    /// Whether only tokens are counted.
    counting: bool,
}

pub(super) fn read(request: &Request) -> Reading<'_> {
    reading(request, false)
}

pub(super) fn read_count(request: &Request) -> Reading<'_> {
    reading(request, true)
}

fn reading(request: &Request, counting: bool) -> Reading<'_> {
    let body = match serde_json::from_slice(&request.body) {
        Ok(Value::Object(body)) => body,
        Ok(_) => return Reading::unreadable(invalid("Input should be a valid dictionary")),
        Err(error) => {
            let message = format!("The request body is not valid JSON: {error}");
            return Reading::unreadable(invalid(&message));
        }
    };
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let streamed = body.get("stream") == Some(&Value::Bool(true));
    let delivery = if streamed { Delivery::Events } else { Delivery::Whole };
    let what = judged(request, counting, &body).map(|()| {
        let question = question(&body, delivery);
        if counting { What::Count(question.prompt_tokens) } else { What::Answer(question) }
    });
    Reading::of(model.into(), delivery, what)
}

fn judged(request: &Request, counting: bool, body: &Map<String, Value>) -> Result<(), ErrorBody> {
    let Some(version) = request.header("anthropic-version") else {
        return Err(invalid("anthropic-version: header is required"));
    };
    if !VERSIONS.contains(&version) {
        return Err(invalid(&format!("anthropic-version: \"{version}\" is not a valid version")));
    }
    let beta = request.header("anthropic-beta").is_some_and(|betas| !betas.is_empty());
    check::body(body, &Terms { version, beta, counting }).map_err(|problem| invalid(&problem))
}

fn invalid(message: &str) -> ErrorBody {
    errors::invalid(400, message)
}

fn question(body: &Map<String, Value>, delivery: Delivery) -> Question<'static> {
    let field = |name| body.get(name).unwrap_or(&Value::Null);
    let messages = field("messages").as_array().into_iter().flatten();
    let turns: Vec<_> = messages.flat_map(turns_of).collect();
    Question {
        delivery,
        prompt_tokens: tokens_of(&turns) + text_of(field("system")).len() / 4,
        turns,
        shape: shape(&field("output_config")["format"]["schema"]),
        tools: field("tools").as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: match field("tool_choice")["type"].as_str() {
            Some("any") => Choice::Forced(None),
            Some("tool") => {
                Choice::Forced(field("tool_choice")["name"].as_str().map(str::to_owned))
            }
            Some(_) | None => Choice::Free,
        },
        parallel: field("tool_choice")["disable_parallel_tool_use"] != true,
        token_limit: field("max_tokens").as_u64(),
        include_usage: true,
    }
}

fn shape(schema: &Value) -> Shape {
    if schema.is_null() { Shape::Text } else { Shape::Schema(schema.clone()) }
}

/// The turns that a message makes: results of tools are turns of their own.
fn turns_of(message: &Value) -> Vec<Turn<'static>> {
    let content = &message["content"];
    let text = text_of(content);
    let is_result = |block: &Value| block["type"] == "tool_result";
    let results = content.as_array().is_some_and(|blocks| blocks.iter().any(is_result));
    let role = match message["role"].as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some(_) | None => Role::Other,
    };
    let mut turns = Vec::new();
    if results {
        turns.push(Turn { role: Role::Tool, words: Words::Text(String::new()) });
    }
    if !results || !text.is_empty() {
        let text = if role == Role::User { last_text(content) } else { text };
        turns.push(Turn { role, words: Words::Text(text) });
    }
    turns
}

fn tool(tool: &Value) -> Option<Tool> {
    let name = tool["name"].as_str()?.to_owned();
    Some(Tool { name, schema: tool["input_schema"].clone() })
}
