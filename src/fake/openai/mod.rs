//! Chat Completions and Embeddings, of `OpenAI` and on Azure's paths: how a
//! request is read. Knows no other dialect.

pub(super) mod answer;
pub(super) mod check;
pub(super) mod errors;
pub(super) mod small;
pub(super) mod stream;
pub(super) mod strict;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::Shape;
use super::error_body::ErrorBody;
use super::http::Request;
use super::question::{Choice, Delivery, Question, Role, Tool, Turn, Words, tokens_of};
use super::route::{Reading, What};
use super::vectors::{DEFAULT_DIMENSIONS, Form, Vectors};

/// `M` is a `String` where the body must name the model.
#[derive(Debug, Deserialize)]
struct ChatBody<'a, M> {
    model: M,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(borrow, default)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_choice: Option<&'a RawValue>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_call_id: Option<&'a RawValue>,
    /// What may stand in for the content of an assistant's message.
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
struct EmbeddingsBody<'a, M> {
    model: M,
    #[serde(borrow)]
    input: &'a RawValue,
    #[serde(default)]
    dimensions: Option<u16>,
    #[serde(borrow, default)]
    encoding_format: Option<Cow<'a, str>>,
}

pub(super) fn read_chat(request: &Request) -> Reading<'_> {
    match parsed::<ChatBody<'_, String>>(&request.body) {
        Ok(mut body) => {
            let model = std::mem::take(&mut body.model);
            chat(model, &body)
        }
        Err(error) => Reading::unreadable(error),
    }
}

/// The same with the model in the path.
pub(super) fn read_deployed_chat(request: &Request, name: String) -> Reading<'_> {
    match parsed::<ChatBody<'_, Option<String>>>(&request.body) {
        Ok(body) => chat(name, &body),
        Err(error) => Reading::refused(name.into(), Delivery::Whole, error),
    }
}

fn chat<'a, M>(model: String, body: &ChatBody<'a, M>) -> Reading<'a> {
    let delivery = if body.stream == Some(true) { Delivery::Events } else { Delivery::Whole };
    let what = body.question(delivery).map(What::Answer);
    Reading::of(model.into(), delivery, what)
}

pub(super) fn read_embeddings(request: &Request) -> Reading<'_> {
    match parsed::<EmbeddingsBody<'_, String>>(&request.body) {
        Ok(mut body) => {
            let model = std::mem::take(&mut body.model);
            body.reading(model)
        }
        Err(error) => Reading::unreadable(error),
    }
}

pub(super) fn read_deployed_embeddings(request: &Request, name: String) -> Reading<'_> {
    match parsed::<EmbeddingsBody<'_, Option<String>>>(&request.body) {
        Ok(body) => body.reading(name),
        Err(error) => Reading::refused(name.into(), Delivery::Whole, error),
    }
}

/// The body as JSON of the expected kind.
pub(super) fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ErrorBody> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("We could not parse the JSON body of your request: {error}.");
        errors::invalid_request(400, "invalid_json", &message)
    })
}

impl<'a, M> ChatBody<'a, M> {
    fn question(&self, delivery: Delivery) -> Result<Question<'a>, ErrorBody> {
        let (tools, choice, format) =
            (value(self.tools), value(self.tool_choice), value(self.response_format));
        check::messages(&self.messages)?;
        check::tools(&tools, &choice)?;
        check::format(&format)?;
        if self.stream_options.is_some() && !delivery.streamed() {
            let message =
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(errors::invalid_parameter("stream_options", None, message));
        }
        let turns: Vec<_> = self.messages.iter().map(Message::turn).collect();
        Ok(Question {
            delivery,
            prompt_tokens: tokens_of(&turns),
            turns,
            shape: shape(&format),
            tools: function_tools(&tools),
            choice: forced(&choice),
            parallel: self.parallel_tool_calls != Some(false),
            token_limit: self.max_completion_tokens.or(self.max_tokens),
            include_usage: self
                .stream_options
                .as_ref()
                .is_some_and(|options| options.include_usage),
        })
    }
}

impl<'a> Message<'a> {
    fn turn(&self) -> Turn<'a> {
        let role = match &*self.role {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" | "function" => Role::Tool,
            _ => Role::Other,
        };
        Turn { role, words: Words::Raw(self.content) }
    }
}

/// A small part of the body; null if it is not there.
fn value(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn shape(format: &Value) -> Shape {
    match format["type"].as_str() {
        Some("json_object") => Shape::Json,
        Some("json_schema") => Shape::Schema(format["json_schema"]["schema"].clone()),
        Some(_) | None => Shape::Text,
    }
}

fn function_tools(tools: &Value) -> Vec<Tool> {
    let functions = tools.as_array().into_iter().flatten().map(|tool| &tool["function"]);
    let tool = |function: &Value| {
        let name = function["name"].as_str()?.to_owned();
        Some(Tool { name, schema: function["parameters"].clone() })
    };
    functions.filter_map(tool).collect()
}

fn forced(choice: &Value) -> Choice {
    let name = |value: &Value| value["function"]["name"].as_str().map(str::to_owned);
    match choice["type"].as_str().or_else(|| choice.as_str()) {
        Some("required") => Choice::Forced(None),
        Some("function") => Choice::Forced(name(choice)),
        Some("allowed_tools") if choice["allowed_tools"]["mode"] == "required" => {
            Choice::Forced(name(&choice["allowed_tools"]["tools"][0]))
        }
        Some(_) | None => Choice::Free,
    }
}

impl<'a, M> EmbeddingsBody<'a, M> {
    fn reading(&self, model: String) -> Reading<'a> {
        let base64 = self.encoding_format.as_deref() == Some("base64");
        let vectors = Vectors {
            inputs: self.inputs().into_iter().map(Cow::Borrowed).collect(),
            dimensions: self.dimensions.unwrap_or(DEFAULT_DIMENSIONS),
            form: Form::List { base64 },
        };
        Reading::of(model.into(), Delivery::Whole, Ok(What::Vectors(vectors)))
    }

    /// The inputs, each as it was written: a list of numbers is one input.
    fn inputs(&self) -> Vec<&'a str> {
        match serde_json::from_str::<Vec<&RawValue>>(self.input.get()) {
            Ok(list) if list.first().is_some_and(|first| !is_number(first)) => {
                list.into_iter().map(RawValue::get).collect()
            }
            Ok(_) | Err(_) => vec![self.input.get()],
        }
    }
}

fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}
