//! Gemini's `generateContent` and its relatives: how a request is read. Knows
//! no other dialect.

pub(super) mod answer;
mod check;
mod contents;
pub(super) mod errors;
mod schema;
pub(super) mod small;
pub(super) mod stream;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::answer::Shape;
use super::error_body::ErrorBody;
use super::http::{Request, percent_decoded};
use super::question::{
    Choice, Delivery, Question, Role, Tool, Turn, Words, last_text, text_of, tokens_of,
};
use super::route::{Reading, What};

/// Members that hold the caller's own names, which are not ours to rewrite.
const OPAQUE: &[&str] = &[
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "parameters_json_schema",
    "responseSchema",
    "response_schema",
    "responseJsonSchema",
    "response_json_schema",
    "labels",
];

/// Reads the body of one kind of request for a model.
type Reader = fn(&str, Map<String, Value>, Delivery) -> Result<What<'static>, ErrorBody>;

/// The request, if it is for this dialect: the last colon of the path divides
/// the model, which may hold anything, from what is to be done.
pub(super) fn read(request: &Request) -> Option<Reading<'static>> {
    let versions = ["/v1beta", "/v1alpha", "/v1", ""];
    let version = versions.iter().find(|version| request.path.starts_with(**version))?;
    let own = version.len() > 3;
    let path = percent_decoded(&request.path[version.len()..]);
    let keyed = || request.header("x-goog-api-key").is_some() || request.parameter("key").is_some();
    if request.method == "GET" && path == "/models" && (own || keyed()) {
        return Some(Reading::models());
    }
    let call = path.strip_prefix("/models/").and_then(|rest| rest.rsplit_once(':'));
    let call = call.filter(|_| request.method == "POST");
    let delivery = match call {
        Some((_, "streamGenerateContent"))
            if request.parameter("alt").as_deref() == Some("sse") =>
        {
            Delivery::Events
        }
        Some((_, "streamGenerateContent")) => Delivery::Array,
        Some(_) | None => Delivery::Whole,
    };
    let read: Reader = match call {
        Some((_, "generateContent" | "streamGenerateContent")) => read_question,
        Some((_, "countTokens")) => read_count,
        Some((_, "embedContent")) => small::read_embed,
        Some((_, "batchEmbedContents")) => small::read_batch,
        Some(_) | None if own => {
            return Some(Reading::unreadable(errors::invalid(
                404,
                "Requested entity was not found.",
            )));
        }
        Some(_) | None => return None,
    };
    let model = call.map(|(model, _)| model.to_owned()).unwrap_or_default();
    let what = parsed(&request.body).and_then(|body| read(&model, body, delivery));
    Some(Reading::of(Cow::Owned(model), delivery, what))
}

/// The body with its own names in camel case: both are taken.
fn parsed(body: &[u8]) -> Result<Map<String, Value>, ErrorBody> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(body)) => Ok(camel_cased(body)),
        Ok(_) => Err(errors::invalid(400, "Invalid JSON payload received. Expected an object.")),
        Err(error) => Err(errors::invalid(400, &format!("Invalid JSON payload received. {error}"))),
    }
}

fn camel_cased(object: Map<String, Value>) -> Map<String, Value> {
    let renamed = object.into_iter().map(|(name, value)| {
        let value = if OPAQUE.contains(&name.as_str()) { value } else { within(value) };
        (camel(&name), value)
    });
    renamed.collect()
}

fn within(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(camel_cased(object)),
        Value::Array(list) => Value::Array(list.into_iter().map(within).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut camel, part| {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
        camel
    })
}

fn read_question(
    model: &str,
    body: Map<String, Value>,
    delivery: Delivery,
) -> Result<What<'static>, ErrorBody> {
    let body = Value::Object(body);
    check::body(model, &body)?;
    Ok(What::Answer(question(&body, delivery)))
}

fn read_count(
    model: &str,
    mut body: Map<String, Value>,
    delivery: Delivery,
) -> Result<What<'static>, ErrorBody> {
    if let Some(inner) = body.remove("generateContentRequest") {
        check::body(model, &inner)?;
        return Ok(What::Count(question(&inner, delivery).prompt_tokens));
    }
    let body = Value::Object(body);
    check::only(&body, &["contents"], "")?;
    check::body(model, &body)?;
    Ok(What::Count(question(&body, delivery).prompt_tokens))
}

fn question(body: &Value, delivery: Delivery) -> Question<'static> {
    let turns: Vec<_> =
        body["contents"].as_array().into_iter().flatten().flat_map(turns_of).collect();
    let config = &body["generationConfig"];
    let calling = &body["toolConfig"]["functionCallingConfig"];
    let declared = body["tools"].as_array().into_iter().flatten();
    let declared =
        declared.flat_map(|tool| tool["functionDeclarations"].as_array().into_iter().flatten());
    Question {
        delivery,
        prompt_tokens: tokens_of(&turns) + text_of(&body["systemInstruction"]["parts"]).len() / 4,
        turns,
        shape: shape(config),
        tools: declared.filter_map(tool).collect(),
        choice: match calling["mode"].as_str() {
            Some("ANY") => {
                let name = calling["allowedFunctionNames"][0].as_str();
                Choice::Forced(name.map(str::to_owned))
            }
            Some(_) | None => Choice::Free,
        },
        parallel: true,
        token_limit: config["maxOutputTokens"].as_u64(),
        include_usage: true,
    }
}

/// The turns that one content makes: results of functions are turns of their own.
fn turns_of(content: &Value) -> Vec<Turn<'static>> {
    let parts = &content["parts"];
    let text = text_of(parts);
    let is_result = |part: &Value| part.get("functionResponse").is_some();
    let results = parts.as_array().is_some_and(|parts| parts.iter().any(is_result));
    let role = if content["role"] == "model" { Role::Assistant } else { Role::User };
    let mut turns = Vec::new();
    if results {
        turns.push(Turn { role: Role::Tool, words: Words::Text(String::new()) });
    }
    if !results || !text.is_empty() {
        let text = if role == Role::User { last_text(parts) } else { text };
        turns.push(Turn { role, words: Words::Text(text) });
    }
    turns
}

fn shape(config: &Value) -> Shape {
    if config["responseMimeType"] != "application/json" {
        return Shape::Text;
    }
    let (own, json) = (&config["responseSchema"], &config["responseJsonSchema"]);
    if !json.is_null() {
        Shape::Schema(json.clone())
    } else if !own.is_null() {
        Shape::Schema(schema::plain(own))
    } else {
        Shape::Json
    }
}

fn tool(declaration: &Value) -> Option<Tool> {
    let name = declaration["name"].as_str()?.to_owned();
    let json = &declaration["parametersJsonSchema"];
    let own = || schema::plain(&declaration["parameters"]);
    let schema = if json.is_null() { own() } else { json.clone() };
    Some(Tool { name, schema })
}
