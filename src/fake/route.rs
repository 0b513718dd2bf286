//! Which dialect and which endpoint a request is for, told by its method, its
//! path and its headers; the dialect's own module reads the rest. Pure.

use std::borrow::Cow;

use super::error_body::ErrorBody;
use super::http::{Request, percent_decoded};
use super::question::{Delivery, Question};
use super::tongue::Tongue;
use super::vectors::Vectors;
use super::{anthropic, gemini, openai, responses};

/// What a request asks for.
pub(super) struct Asked<'a> {
    pub tongue: Tongue,
    /// What the caller authenticated with; empty without.
    pub key: Cow<'a, str>,
    pub delivery: Delivery,
    pub what: What<'a>,
    model: Cow<'a, str>,
}

pub(super) enum What<'a> {
    Answer(Question<'a>),
    Vectors(Vectors<'a>),
    Models,
    /// The number of tokens of what would have been asked.
    Count(usize),
    /// Nothing that can be answered with success.
    Nothing(ErrorBody),
}

/// A request as its dialect reads it. What cannot be read has no model.
pub(super) struct Reading<'a> {
    pub model: Cow<'a, str>,
    pub delivery: Delivery,
    pub what: What<'a>,
}

impl<'a> Reading<'a> {
    /// A request that gets this error, if no fault is faster.
    pub fn refused(model: Cow<'a, str>, delivery: Delivery, error: ErrorBody) -> Self {
        Self { model, delivery, what: What::Nothing(error) }
    }

    pub fn unreadable(error: ErrorBody) -> Self {
        Self::refused(Cow::Borrowed(""), Delivery::Whole, error)
    }

    /// What was asked, once nothing in it is wrong.
    pub fn of(model: Cow<'a, str>, delivery: Delivery, what: Result<What<'a>, ErrorBody>) -> Self {
        Self { model, delivery, what: what.unwrap_or_else(What::Nothing) }
    }

    pub fn models() -> Self {
        Self { model: Cow::Borrowed(""), delivery: Delivery::Whole, what: What::Models }
    }
}

impl<'a> Asked<'a> {
    pub fn of(request: &'a Request) -> Self {
        if let Some(rest) = request.path.strip_prefix("/openai/") {
            return Self::of_azure(request, rest);
        }
        if let Some(reading) = gemini::read(request) {
            return Self::new(Tongue::Gemini, request, reading);
        }
        let path = request.path.strip_prefix("/v1").unwrap_or(&request.path);
        let (tongue, reading) = match (request.method.as_str(), path) {
            ("POST", "/chat/completions") => (Tongue::OpenAi, openai::read_chat(request)),
            ("POST", "/embeddings") => (Tongue::OpenAi, openai::read_embeddings(request)),
            ("POST", "/responses") => (Tongue::Responses, responses::read(request)),
            ("POST", "/responses/input_tokens") => {
                (Tongue::Responses, responses::read_count(request))
            }
            ("POST", "/messages") => (Tongue::Anthropic, anthropic::read(request)),
            ("POST", "/messages/count_tokens") => {
                (Tongue::Anthropic, anthropic::read_count(request))
            }
            ("GET", "/models") if request.header("anthropic-version").is_some() => {
                (Tongue::Anthropic, Reading::models())
            }
            ("GET", "/models") => (Tongue::OpenAi, Reading::models()),
            (method, path) => (Tongue::OpenAi, unknown(method, path)),
        };
        Self::new(tongue, request, reading)
    }

    fn of_azure(request: &'a Request, rest: &'a str) -> Self {
        let method = request.method.as_str();
        let (tongue, reading) = match (method, rest.strip_prefix("v1/").unwrap_or(rest)) {
            ("POST", "chat/completions") => (Tongue::Azure, openai::read_chat(request)),
            ("POST", "embeddings") => (Tongue::Azure, openai::read_embeddings(request)),
            ("POST", "responses") => (Tongue::Responses, responses::read(request)),
            ("GET", "models") => (Tongue::Azure, Reading::models()),
            (method, rest) => (Tongue::Azure, deployment(request, method, rest)),
        };
        Self::new(tongue, request, reading)
    }

    fn new(tongue: Tongue, request: &'a Request, reading: Reading<'a>) -> Self {
        let Reading { model, delivery, what } = reading;
        Self { tongue, key: key(tongue, request), model, delivery, what }
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    pub fn stream(&self) -> bool {
        self.delivery.streamed()
    }
}

/// A deployment of Azure's: the model is in the path, which may hold anything.
fn deployment<'a>(request: &'a Request, method: &str, rest: &'a str) -> Reading<'a> {
    let missing = || Reading::unreadable(openai::errors::azure(404, "404", "Resource not found"));
    let Some(rest) = rest.strip_prefix("deployments/") else { return missing() };
    if method != "POST" || request.parameter("api-version").is_none() {
        return missing();
    }
    if let Some(name) = rest.strip_suffix("/chat/completions") {
        openai::read_deployed_chat(request, percent_decoded(name))
    } else if let Some(name) = rest.strip_suffix("/embeddings") {
        openai::read_deployed_embeddings(request, percent_decoded(name))
    } else {
        missing()
    }
}

fn unknown(method: &str, path: &str) -> Reading<'static> {
    let message = format!("Unknown request URL: {method} {path}.");
    Reading::unreadable(Tongue::OpenAi.invalid(404, "unknown_url", &message))
}

/// The key, where this dialect's clients put it.
fn key(tongue: Tongue, request: &Request) -> Cow<'_, str> {
    let header = |name| request.header(name).map(Cow::Borrowed);
    let own = match tongue {
        Tongue::OpenAi => None,
        Tongue::Azure => header("api-key"),
        // Azure serves this one too, with its own header.
        Tongue::Responses if request.path.starts_with("/openai/") => header("api-key"),
        Tongue::Responses => None,
        Tongue::Anthropic => header("x-api-key"),
        Tongue::Gemini => {
            header("x-goog-api-key").or_else(|| request.parameter("key").map(Cow::Owned))
        }
    };
    own.unwrap_or_else(|| Cow::Borrowed(request.bearer()))
}
