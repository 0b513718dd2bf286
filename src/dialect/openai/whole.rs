//! A whole (not streamed) 200 body: whether it is an answer, and what it says.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::dialect::answer::AnswerText;
use crate::dialect::json;
use crate::dialect::request::Task;
use crate::dialect::whole::{self, Whole, not_an_answer};
use crate::dialect::{edit, errors};
use crate::failover::attempt::Outcome;
use crate::secret::Secret;

use super::chunk::{self, Choices, Reply};
use super::error_table::TABLE;

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
    let text = whole::text(body)?;
    let no_json = |error: &serde_json::Error| whole::no_json(text, content_type, error);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::CallText;
    use crate::dialect::Dialect;
    use crate::dialect::answer::FinishReason;

    const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,
        "message":{"role":"assistant","content":"h\u00e9\ud800","refusal":null,
        "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
        "finish_reason":"tool_calls"}],"usage":{"total_tokens":3}}"#;

    /// `Ok` is the text, `Err` the class or the detail.
    fn read(task: Task, body: &str) -> Result<String, String> {
        whole::tests::read(Dialect::OpenAi, task, body)
    }

    #[test]
    fn an_answer_is_read() {
        let whole = read_whole(Task::Generate, None, ANSWER.as_bytes(), &[]).unwrap();
        assert_eq!(whole.model.as_deref(), Some("m"));
        assert!(whole.answer.text.starts_with("hé\u{fffd}"));
        assert_eq!(whole.answer.tool_calls, [CallText::json("f", "{}")]);
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

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"choices\":\\[\\{\"(message|index)\":[\\{\\}\\[\\]\"0-9a-z:,]{0,30}\\}\\]\\}") {
            let _ = read_whole(Task::Generate, None, &body, &[]);
            let _ = read_whole(Task::Generate, None, near.as_bytes(), &[]);
        }
    }
}
