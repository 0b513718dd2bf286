//! A whole (not streamed) 200 body: whether it is an answer, what it says, and
//! the same as a stream for a client that asked for one. The gateway is the
//! only layer that notices a 200 that is no answer: SDKs take `{}`, an error
//! object or a page of HTML without complaint.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::dialect::answer::AnswerText;
use crate::dialect::json::{self, Item, Items, Span};
use crate::dialect::request::Task;
use crate::dialect::{edit, errors};
use crate::failover::attempt::Outcome;
use crate::secret::Secret;

use super::chunk::{self, Choices, Reply};
use super::error_table::TABLE;
use super::reply::{ChunkHead, done};

/// What a whole answer says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whole {
    /// The first choice; empty for embeddings.
    pub answer: AnswerText,
    /// The model that answered, where the body names it.
    pub model: Option<String>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    data: Option<Vec<IgnoredAny>>,
}

/// Reads the complete body of a 200, or says what is wrong with it.
pub fn read_whole(
    task: Task,
    content_type: Option<&str>,
    body: &[u8],
    secrets: &[&Secret],
) -> Result<Whole, Outcome> {
    let text = std::str::from_utf8(body).map_err(|_| not_an_answer("a body that is not UTF-8"))?;
    let text = text.trim_ascii();
    let no_json = |error: &serde_json::Error| no_json(text, content_type, error);
    match task {
        Task::Generate => match serde_json::from_str::<Reply<'_>>(text) {
            Ok(reply) if reply.is_error() => Err(hidden(text, secrets)),
            Ok(reply) => chat(&reply),
            Err(error) => Err(hidden_in_list(text, secrets).unwrap_or_else(|| no_json(&error))),
        },
        Task::Embed => match serde_json::from_str::<Embeddings<'_>>(text) {
            Ok(reply) if reply.error.is_some() => Err(hidden(text, secrets)),
            Ok(reply) => embeddings(&reply),
            Err(error) => Err(hidden_in_list(text, secrets).unwrap_or_else(|| no_json(&error))),
        },
        Task::EmbedBatch | Task::CountTokens => {
            let value: &RawValue = serde_json::from_str(text).map_err(|error| no_json(&error))?;
            match edit::json_at(value.get().as_bytes(), "/error") {
                None | Some("null") => Ok(Whole { answer: AnswerText::default(), model: None }),
                Some(_) => Err(hidden(text, secrets)),
            }
        }
    }
}

fn hidden(text: &str, secrets: &[&Secret]) -> Outcome {
    Outcome::Error(errors::hidden_error(TABLE, text, secrets))
}

fn hidden_in_list(text: &str, secrets: &[&Secret]) -> Option<Outcome> {
    let listed = text.starts_with('[') && text.contains("\"error\"");
    (listed && serde_json::from_str::<IgnoredAny>(text).is_ok()).then(|| hidden(text, secrets))
}

fn not_an_answer(what: impl Into<String>) -> Outcome {
    Outcome::NotAnAnswer { detail: what.into() }
}

fn no_json(text: &str, content_type: Option<&str>, error: &serde_json::Error) -> Outcome {
    let html = content_type.is_some_and(|kind| kind.starts_with("text/html"));
    if text.is_empty() {
        return not_an_answer("an empty body");
    }
    if html || text.starts_with('<') {
        return not_an_answer("an HTML page");
    }
    if text.starts_with("data:") || text.starts_with("event:") || text.starts_with(':') {
        return not_an_answer("a stream, although none was asked for");
    }
    not_an_answer(format!("a body that is not the JSON of an answer: {error}"))
}

fn chat(reply: &Reply<'_>) -> Result<Whole, Outcome> {
    let Some(Choices(choices)) = &reply.choices else {
        return Err(not_an_answer("a JSON body without choices"));
    };
    let Some(first) = choices.iter().min_by_key(|choice| choice.index.unwrap_or(0)) else {
        return Err(not_an_answer("a JSON body without a choice"));
    };
    let mut failed =
        choices.iter().filter_map(|choice| chunk::failed_finish(&choice.finish_reason()?));
    if let Some(error) = failed.next() {
        return Err(Outcome::Error(error));
    }
    let Some(message) = &first.message else {
        return Err(not_an_answer("a choice without a message"));
    };
    let mut answer = AnswerText::default();
    chunk::add_message(&mut answer, message);
    if let Some(reason) = first.finish_reason() {
        answer.finish = chunk::finish_reason(&reason, message.refusal.is_some());
    }
    Ok(Whole { answer, model: model(reply.model) })
}

fn embeddings(reply: &Embeddings<'_>) -> Result<Whole, Outcome> {
    match &reply.data {
        None => Err(not_an_answer("a JSON body without data")),
        Some(data) if data.is_empty() => Err(not_an_answer("a JSON body without an embedding")),
        Some(_) => Ok(Whole { answer: AnswerText::default(), model: model(reply.model) }),
    }
}

fn model(json: Option<&RawValue>) -> Option<String> {
    json::unquote(json?.get()).map(std::borrow::Cow::into_owned)
}

/// The body with this text as the first choice's content; `None` if there is no
/// message to put it into.
#[must_use]
pub fn amend_whole(body: &[u8], text: &str) -> Option<Bytes> {
    let content = crate::failover::consult::Edit {
        pointer: "/choices/0/message/content".to_owned(),
        value: Some(json::quote(text)),
    };
    edit::edit(body, &[content]).ok()
}

/// A whole answer as the frames of a stream: for a client that asked for one
/// when the provider answered with JSON. The body must have passed
/// `read_whole`; of another there may be `None`.
#[must_use]
pub fn whole_to_stream(body: &[u8], include_usage: bool) -> Option<Vec<Bytes>> {
    let text = std::str::from_utf8(body).ok()?;
    let at = |pointer| edit::json_at(body, pointer);
    let head = ChunkHead::raw(at("/id"), at("/model"), at("/created"));
    let choices = find(body, &json::whole(body), "choices")?;
    let mut frames = Vec::new();
    for (n, choice) in Items::new(body, &choices.value).enumerate() {
        let member = |name| find(body, &choice.value, name).map(|item| &text[item.value]);
        let message = find(body, &choice.value, "message")?;
        let index = member("index").map_or_else(|| n.to_string(), ToOwned::to_owned);
        let content = delta(text, &message.value);
        frames.push(head.chunk(&index, r#"{"role":"assistant"}"#, "null"));
        if content != "{}" {
            frames.push(head.chunk(&index, &content, "null"));
        }
        let finish = member("finish_reason").filter(|reason| *reason != "null");
        frames.push(head.chunk(&index, "{}", finish.unwrap_or("\"stop\"")));
    }
    if include_usage && let Some(usage) = at("/usage") {
        frames.push(head.usage(usage));
    }
    frames.push(done());
    Some(frames)
}

fn find(body: &[u8], object: &Span, name: &str) -> Option<Item> {
    Items::new(body, object)
        .find(|item| item.key.as_ref().is_some_and(|key| json::key_is(body, key, name)))
}

/// A message as a delta: everything it says but the role, which came before.
fn delta(text: &str, message: &Span) -> String {
    let body = text.as_bytes();
    let mut members = Vec::new();
    for item in Items::new(body, message) {
        let Some(key) = item.key else { continue };
        let value = &text[item.value.clone()];
        if chunk::is_vacant(value) || json::key_is(body, &key, "role") {
            continue;
        }
        if json::key_is(body, &key, "tool_calls") {
            members.push(format!(r#""tool_calls":{}"#, indexed_calls(text, &item.value)));
        } else {
            members.push(format!("{}:{value}", &text[key]));
        }
    }
    format!("{{{}}}", members.join(","))
}

/// The tool calls of a message with the `index` a stream needs.
fn indexed_calls(text: &str, calls: &Span) -> String {
    let body = text.as_bytes();
    let call = |(n, call): (usize, Item)| {
        if find(body, &call.value, "index").is_some() {
            return text[call.value].to_owned();
        }
        let comma = if Items::new(body, &call.value).next().is_some() { "," } else { "" };
        format!(r#"{{"index":{n}{comma}{}"#, &text[call.value.start + 1..call.value.end])
    };
    let calls: Vec<String> = Items::new(body, calls).enumerate().map(call).collect();
    format!("[{}]", calls.join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::answer::FinishReason;
    use crate::dialect::openai::stream::Reader;
    use crate::dialect::sse::Frame;

    const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,
        "message":{"role":"assistant","content":"h\u00e9\ud800","refusal":null,
        "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
        "finish_reason":"tool_calls"}],"usage":{"total_tokens":3}}"#;

    /// `Ok` is the text, `Err` the class or the detail.
    fn read(task: Task, body: &str) -> Result<String, String> {
        match read_whole(task, Some("application/json"), body.as_bytes(), &[]) {
            Ok(whole) => Ok(whole.answer.text),
            Err(Outcome::Error(reply)) => Err(reply.class.label().to_owned()),
            Err(Outcome::NotAnAnswer { detail }) => Err(detail),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_read() {
        let whole = read_whole(Task::Generate, None, ANSWER.as_bytes(), &[]).unwrap();
        assert_eq!(whole.model.as_deref(), Some("m"));
        assert!(whole.answer.text.starts_with("hé\u{fffd}"));
        assert_eq!(whole.answer.tool_calls, [("f".into(), "{}".into())]);
        assert_eq!(whole.answer.finish, FinishReason::ToolCalls);
        let refused = r#"{"choices":[{"message":{"refusal":"no"},"finish_reason":"stop"}]}"#;
        let whole = read_whole(Task::Generate, None, refused.as_bytes(), &[]).unwrap();
        assert_eq!(whole.answer.finish, FinishReason::Refusal);
    }

    #[test]
    fn bodies_that_are_no_answer() {
        let check = |task, body: &str, expected: &str| {
            let seen = read(task, body).unwrap_err();
            assert!(seen.starts_with(expected), "{body}: {seen}");
        };
        let chat = |body: &str, expected| check(Task::Generate, body, expected);
        chat("", "an empty body");
        chat(" \n", "an empty body");
        chat("<!doctype html>", "an HTML page");
        chat("data: {}\n\n", "a stream");
        chat(&ANSWER[..100], "a body that is not the JSON of an answer: EOF");
        chat("null", "a body that is not the JSON");
        chat("[]", "a body that is not the JSON");
        chat("{}", "a JSON body without choices");
        chat(r#"{"choices":null}"#, "a JSON body without choices");
        chat(r#"{"choices":[]}"#, "a JSON body without a choice");
        chat(r#"{"choices":[{"index":0}]}"#, "a choice without a message");
        chat(r#"{"choices":[{"message":null}]}"#, "a choice without a message");
        chat(r#"{"error":{"code":"rate_limit_exceeded"}}"#, "rate-limited");
        chat(r#"{"error":{"code":503},"choices":[{"message":{"content":"x"}}]}"#, "overloaded");
        chat(r#"[{"error":{"code":503}}]"#, "overloaded");
        chat(r#"{"choices":[{"message":{},"finish_reason":"error"}]}"#, "server-error");
        let embeddings = |body: &str, expected| check(Task::Embed, body, expected);
        embeddings("{}", "a JSON body without data");
        embeddings(r#"{"data":[]}"#, "a JSON body without an embedding");
        embeddings(r#"{"error":{"code":"insufficient_quota"}}"#, "quota");
        check(Task::CountTokens, r#"{"error":"x"}"#, "server-error");
        let page = read_whole(Task::Generate, Some("text/html"), b"oops", &[]);
        assert_eq!(page, Err(not_an_answer("an HTML page")));
    }

    #[test]
    fn odd_answers_are_answers() {
        let check = |task, body: &str, text: &str| {
            assert_eq!(read(task, body), Ok(text.to_owned()), "{body}");
        };
        check(Task::Generate, r#"{"choices":[{"message":{"content":null}}]}"#, "");
        check(
            Task::Generate,
            r#" {"choices":[{"message":{"content":"x"},"finish_reason":7}],"error":null}"#,
            "x",
        );
        check(Task::Embed, r#"{"data":[{"embedding":"AAAA"}]}"#, "");
        check(Task::CountTokens, "{}", "");
    }

    #[test]
    fn an_amended_answer_differs_in_its_text_only() {
        let amended = amend_whole(ANSWER.as_bytes(), "n\"o").unwrap();
        let expected = ANSWER.replace(r#""h\u00e9\ud800""#, r#""n\"o""#);
        assert_eq!(std::str::from_utf8(&amended), Ok(&*expected));
        assert_eq!(amend_whole(b"{}", "x"), None);
    }

    #[test]
    fn an_answer_becomes_a_stream() {
        let frames = whole_to_stream(ANSWER.as_bytes(), true).unwrap();
        let chunk = |choices: &str| {
            format!(
                "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{choices}]}}\n\n"
            )
        };
        let choice = |delta: &str, finish: &str| {
            chunk(&format!(r#"{{"index":0,"delta":{delta},"finish_reason":{finish}}}"#))
        };
        let calls =
            r#"[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
        let usage = chunk("").replace("[]}", r#"[],"usage":{"total_tokens":3}}"#);
        let expected = [
            choice(r#"{"role":"assistant"}"#, "null"),
            choice(&format!(r#"{{"content":"h\u00e9\ud800","tool_calls":{calls}}}"#), "null"),
            choice("{}", r#""tool_calls""#),
            usage,
            "data: [DONE]\n\n".to_owned(),
        ];
        let seen: Vec<&str> = frames.iter().map(|f| std::str::from_utf8(f).unwrap()).collect();
        assert_eq!(seen, expected);
        assert_eq!(whole_to_stream(b"{}", true), None);
    }

    #[test]
    fn the_stream_says_what_the_whole_says() {
        let mut reader = Reader::new(1);
        for frame in whole_to_stream(ANSWER.as_bytes(), true).unwrap() {
            reader.read(&Frame::parse(frame), &[]);
        }
        let whole = read_whole(Task::Generate, None, ANSWER.as_bytes(), &[]).unwrap();
        assert_eq!(reader.answer(), &whole.answer);
        assert!(reader.completed() && reader.usage_seen());
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"choices\":\\[\\{\"(message|index)\":[\\{\\}\\[\\]\"0-9a-z:,]{0,30}\\}\\]\\}") {
            let _ = read_whole(Task::Generate, None, &body, &[]);
            let _ = whole_to_stream(&body, true);
            let _ = read_whole(Task::Generate, None, near.as_bytes(), &[]);
            let _ = whole_to_stream(near.as_bytes(), true);
        }
    }
}
