//! What the gateway itself says to a client of the `OpenAI` dialect: errors,
//! answers of its own, the list of models, and the chunks of a stream it had to
//! touch. Must not know why it says so.

use bytes::Bytes;
use serde::Serialize;

use crate::dialect::json::{self, Items};
use crate::dialect::{AttemptLine, ErrorOut, edit, sse};
use crate::failover::consult::Edit;

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

/// The body of an error response.
#[must_use]
pub fn error_body(error: &ErrorOut<'_>) -> Bytes {
    Bytes::from(error_json(error))
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

/// Sent while nothing else is, so that the connection is not thought dead.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

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

    /// From the JSON of an answer.
    #[must_use]
    pub fn raw(id: Option<&str>, model: Option<&str>, created: Option<&str>) -> Self {
        Self {
            id: id.unwrap_or("\"chatcmpl-backstay\"").to_owned(),
            model: model.unwrap_or("\"\"").to_owned(),
            created: created.unwrap_or("0").to_owned(),
        }
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

    /// A chunk of the first choice's text.
    #[must_use]
    pub fn text(&self, text: &str) -> Bytes {
        self.chunk("0", &format!(r#"{{"content":{}}}"#, json::quote(text)), "null")
    }

    /// The usage chunk; `usage` is JSON.
    #[must_use]
    pub fn usage(&self, usage: &str) -> Bytes {
        self.frame(&format!(r#""choices":[],"usage":{usage}"#))
    }
}

const NO_USAGE: &str = r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;

/// A whole answer with this text.
#[must_use]
pub fn text_whole(id: &str, model: &str, created: u64, text: &str) -> Bytes {
    let (id, model, text) = (json::quote(id), json::quote(model), json::quote(text));
    Bytes::from(format!(
        r#"{{"id":{id},"object":"chat.completion","created":{created},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":{text},"refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{NO_USAGE}}}"#
    ))
}

/// The same as a stream, with its terminator.
#[must_use]
pub fn text_stream(head: &ChunkHead, text: &str, include_usage: bool) -> Vec<Bytes> {
    let role = head.chunk("0", r#"{"role":"assistant","content":""}"#, "null");
    let mut frames = vec![role, head.text(text), head.chunk("0", "{}", "\"stop\"")];
    if include_usage {
        frames.push(head.usage(NO_USAGE));
    }
    frames.push(done());
    frames
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

/// A chunk of a continuing stream as a chunk of the stream it continues: with
/// the first one's id, model and creation time, without a role, and with this
/// text as its content (`None` leaves the content as it is, an empty text takes
/// it out). `None` for data that is no chunk.
#[must_use]
pub fn rewrite(data: &str, head: &ChunkHead, text: Option<&str>) -> Option<Bytes> {
    let set = |pointer: &str, value: &str| Edit {
        pointer: pointer.to_owned(),
        value: Some(value.to_owned()),
    };
    let remove = |pointer: &str| Edit { pointer: pointer.to_owned(), value: None };
    let mut edits =
        vec![set("/id", &head.id), set("/model", &head.model), set("/created", &head.created)];
    if has_delta(data.as_bytes()) {
        edits.push(remove("/choices/0/delta/role"));
        match text {
            None => {}
            Some("") => edits.push(remove("/choices/0/delta/content")),
            Some(text) => edits.push(set("/choices/0/delta/content", &json::quote(text))),
        }
    }
    let edited = edit::edit(data.as_bytes(), &edits).ok()?;
    std::str::from_utf8(&edited).ok().map(sse::event)
}

fn has_delta(data: &[u8]) -> bool {
    let delta = edit::json_at(data, "/choices/0/delta");
    delta.is_some_and(|delta| Items::new(delta.as_bytes(), &(0..delta.len())).next().is_some())
        || delta == Some("{}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::Part;
    use crate::dialect::answer::FinishReason;
    use crate::dialect::openai::stream::Reader;
    use crate::dialect::openai::whole::read_whole;
    use crate::dialect::request::Task;
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
        let body: Value = serde_json::from_slice(&error_body(&error)).unwrap();
        assert_eq!(body, expected);
        let frame = Frame::parse(error_event(&error));
        assert_eq!(serde_json::from_slice::<Value>(&frame.data.unwrap()).unwrap(), expected);
    }

    #[test]
    fn an_answer_of_our_own_reads_like_any_other() {
        let whole = text_whole("i", "m", 7, "say \"é\"");
        let whole = read_whole(Task::Generate, None, &whole, &[]).unwrap();
        assert_eq!((&*whole.answer.text, whole.answer.finish), ("say \"é\"", FinishReason::Stop));

        let head = ChunkHead::new("i", "m", 7);
        let mut reader = Reader::new(1);
        let frames = text_stream(&head, "say \"é\"", true);
        let parts: Vec<Part> =
            frames.into_iter().map(|frame| reader.read(&Frame::parse(frame), &[])).collect();
        assert_eq!(parts.last(), Some(&Part::Done));
        assert_eq!(reader.answer(), &whole.answer);
        assert_eq!(reader.identity(), (Some("i"), Some("m"), Some(7)));
        assert!(reader.completed() && reader.usage_seen());
        assert_eq!(text_stream(&head, "", false).len(), 4);
    }

    #[test]
    fn models_are_listed() {
        let list: Value = serde_json::from_slice(&models_list(["a", "b"], 7)).unwrap();
        let model = |id| json!({"id": id, "object": "model", "created": 7, "owned_by": "backstay"});
        assert_eq!(list, json!({"object": "list", "data": [model("a"), model("b")]}));
    }

    #[test]
    fn a_continuing_chunk_takes_the_first_stream_s_name() {
        let head = ChunkHead::new("c1", "m1", 7);
        let check = |data: &str, text, expected: Option<&str>| {
            let expected = expected.map(|expected| format!("data: {expected}\n\n"));
            let seen = rewrite(data, &head, text);
            let seen = seen.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap());
            assert_eq!(seen, expected.as_deref(), "{data}");
        };
        let named = r#""id":"c1","created":7,"model":"m1""#;
        let other = r#""id":"c2","created":8,"model":"m2""#;
        check(
            &format!(
                r#"{{{other},"choices":[{{"delta":{{"role":"assistant","content":"abc"}}}}]}}"#
            ),
            Some("c\n"),
            Some(&format!(r#"{{{named},"choices":[{{"delta":{{"content":"c\n"}}}}]}}"#)),
        );
        check(
            &format!(
                r#"{{{other},"choices":[{{"delta":{{"content":"abc"}},"finish_reason":"stop"}}]}}"#
            ),
            Some(""),
            Some(&format!(r#"{{{named},"choices":[{{"delta":{{}},"finish_reason":"stop"}}]}}"#)),
        );
        check(
            &format!(r#"{{{other},"choices":[{{"delta":{{}}}}],"usage":null}}"#),
            None,
            Some(&format!(r#"{{{named},"choices":[{{"delta":{{}}}}],"usage":null}}"#)),
        );
        check(
            &format!("{{{other},\n\"choices\":[]}}"),
            Some("x"),
            Some(&format!("{{{named}, \"choices\":[]}}")),
        );
        check("[1]", None, None);
        check("", None, None);
    }
}
