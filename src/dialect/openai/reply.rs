//! What the gateway itself says to a client of the `OpenAI` dialect: errors, the
//! list of models, and the frame of a stream's chunks. Must not know why it says
//! so.

use bytes::Bytes;
use serde::Serialize;

use crate::dialect::json;
use crate::dialect::{AttemptLine, ErrorOut, sse};

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    backstay: Trail<'a>,
}

#[derive(Serialize)]
struct Trail<'a> {
    trace: &'a str,
    attempts: &'a [AttemptLine<'a>],
}

/// The type of an error.
const fn kind(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    }
}

/// An error's body, as JSON.
#[must_use]
pub fn error_json(error: &ErrorOut<'_>) -> String {
    let body = ErrorBody {
        error: ErrorObject {
            message: error.message,
            kind: kind(error.status),
            param: error.param,
            code: error.code,
            backstay: Trail { trace: error.trace, attempts: error.attempts },
        },
    };
    serde_json::to_string(&body).expect("strings and numbers can always be written as JSON")
}

/// The last event of a stream that failed. No terminator follows it.
#[must_use]
pub fn error_event(error: &ErrorOut<'_>) -> Bytes {
    sse::event(&error_json(error))
}

/// The normal terminator.
#[must_use]
pub const fn done() -> Bytes {
    Bytes::from_static(b"data: [DONE]\n\n")
}

/// What all chunks of one stream have in common, as JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChunkHead {
    id: String,
    model: String,
    created: String,
}

impl ChunkHead {
    #[must_use]
    pub fn new(id: &str, model: &str, created: u64) -> Self {
        Self { id: json::quote(id), model: json::quote(model), created: created.to_string() }
    }

    fn frame(&self, rest: &str) -> Bytes {
        let Self { id, model, created } = self;
        sse::event(&format!(
            r#"{{"id":{id},"object":"chat.completion.chunk","created":{created},"model":{model},{rest}}}"#
        ))
    }

    /// One chunk with one choice; index, delta and finish reason are JSON.
    #[must_use]
    pub fn chunk(&self, index: &str, delta: &str, finish: &str) -> Bytes {
        self.frame(&format!(
            r#""choices":[{{"index":{index},"delta":{delta},"finish_reason":{finish}}}]"#
        ))
    }

    /// The usage chunk; `usage` is JSON.
    #[must_use]
    pub fn usage(&self, usage: &str) -> Bytes {
        self.frame(&format!(r#""choices":[],"usage":{usage}"#))
    }
}

#[derive(Serialize)]
struct ModelsList<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// The answer to `GET /v1/models`.
#[must_use]
pub fn models_list<'a>(names: impl IntoIterator<Item = &'a str>, created: u64) -> Bytes {
    let model = |id| Model { id, object: "model", created, owned_by: "backstay" };
    let list = ModelsList { object: "list", data: names.into_iter().map(model).collect() };
    Bytes::from(serde_json::to_vec(&list).expect("strings and numbers can always be written"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::sse::Frame;

    #[test]
    fn errors_have_the_api_s_shape_and_the_trail() {
        let attempts =
            [AttemptLine { target: "a/m", class: "rate-limited", status: Some(429), ms: 12 }];
        let error = ErrorOut {
            status: 429,
            code: "rate_limit_exceeded",
            message: "all \"targets\"\nfailed",
            param: None,
            retry_after: None,
            trace: "t1",
            attempts: &attempts,
        };
        let expected = json!({"error": {
            "message": "all \"targets\"\nfailed", "type": "rate_limit_error", "param": null,
            "code": "rate_limit_exceeded",
            "backstay": {"trace": "t1", "attempts": [
                {"target": "a/m", "class": "rate-limited", "status": 429, "ms": 12}]}}});
        let body: Value = serde_json::from_str(&error_json(&error)).unwrap();
        assert_eq!(body, expected);
        let frame = Frame::parse(error_event(&error));
        assert_eq!(serde_json::from_slice::<Value>(&frame.data.unwrap()).unwrap(), expected);
    }

    #[test]
    fn models_are_listed() {
        let list: Value = serde_json::from_slice(&models_list(["a", "b"], 7)).unwrap();
        let model = |id| json!({"id": id, "object": "model", "created": 7, "owned_by": "backstay"});
        assert_eq!(list, json!({"object": "list", "data": [model("a"), model("b")]}));
    }
}
