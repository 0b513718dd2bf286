//! `OpenAI`'s Responses: how a request is read. What it shares with Chat
//! Completions, errors and schemas, it takes from there.

pub(super) mod answer;
mod check;
pub(super) mod stream;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::answer::Shape;
use super::error_body::ErrorBody;
use super::http::Request;
use super::openai::{errors, parsed};
use super::question::{
    Choice, Delivery, Question, Role, Tool, Turn, Words, last_text, text_of, tokens_of,
};
use super::route::{Reading, What};

pub(super) fn read(request: &Request) -> Reading<'_> {
    reading(request, What::Answer)
}

pub(super) fn read_count(request: &Request) -> Reading<'_> {
    reading(request, |question| What::Count(question.prompt_tokens))
}

fn reading(request: &Request, what: fn(Question<'static>) -> What<'static>) -> Reading<'_> {
    let body: Map<String, Value> = match parsed(&request.body) {
        Ok(body) => body,
        Err(error) => return Reading::unreadable(error),
    };
    let body = Value::Object(body);
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let delivery = if body["stream"] == true { Delivery::Events } else { Delivery::Whole };
    let answer = check::body(&body).map(|()| what(question(&body, delivery)));
    Reading::of(model.into(), delivery, answer)
}

fn question(body: &Value, delivery: Delivery) -> Question<'static> {
    let input = &body["input"];
    let turns = match input.as_array() {
        Some(items) => items.iter().map(turn).collect(),
        None => vec![Turn { role: Role::User, words: Words::Text(text_of(input)) }],
    };
    let format = &body["text"]["format"];
    Question {
        delivery,
        prompt_tokens: tokens_of(&turns) + text_of(&body["instructions"]).len() / 4,
        turns,
        shape: match format["type"].as_str() {
            Some("json_object") => Shape::Json,
            Some("json_schema") => Shape::Schema(format["schema"].clone()),
            Some(_) | None => Shape::Text,
        },
        tools: body["tools"].as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: forced(&body["tool_choice"]),
        parallel: body["parallel_tool_calls"] != false,
        token_limit: body["max_output_tokens"].as_u64(),
        include_usage: true,
    }
}

fn turn(item: &Value) -> Turn<'static> {
    let role = match check::kind(item) {
        "message" => match item["role"].as_str() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some(_) | None => Role::Other,
        },
        "function_call_output" | "custom_tool_call_output" => Role::Tool,
        _ => Role::Other,
    };
    let content = &item["content"];
    let text = if role == Role::User { last_text(content) } else { text_of(content) };
    Turn { role, words: Words::Text(text) }
}

fn tool(tool: &Value) -> Option<Tool> {
    if tool["type"] != "function" {
        return None;
    }
    let name = tool["name"].as_str()?.to_owned();
    Some(Tool { name, schema: tool["parameters"].clone() })
}

fn forced(choice: &Value) -> Choice {
    let name = |value: &Value| value["name"].as_str().map(str::to_owned);
    match choice["type"].as_str().or_else(|| choice.as_str()) {
        Some("required") => Choice::Forced(None),
        Some("function") => Choice::Forced(name(choice)),
        Some("allowed_tools") if choice["mode"] == "required" => {
            Choice::Forced(name(&choice["tools"][0]))
        }
        Some(_) | None => Choice::Free,
    }
}

/// A 400 that names the parameter.
fn invalid(path: &str, code: Option<&str>, message: &str) -> ErrorBody {
    errors::invalid_parameter(path, code, message)
}
