//! What the dialects' readings of a whole (not streamed) 200 body have in
//! common: the text it must be, and what is said of a body that is no answer.
//! The gateway is the only layer that notices one: SDKs take `{}`, an error
//! object or a page of HTML without complaint. Must not know any field.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::answer::AnswerText;
use crate::failover::attempt::Outcome;

/// What a whole answer says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whole {
    /// The first choice; empty for embeddings.
    pub answer: AnswerText,
    /// The model that answered, where the body names it.
    pub model: Option<String>,
}

/// The outcome of a 200 that says something else than what was asked for.
pub fn not_an_answer(what: impl Into<String>) -> Outcome {
    Outcome::NotAnAnswer { detail: what.into() }
}

/// The body without a byte order mark before it, which some servers write and
/// parsers choke on.
#[must_use]
pub fn unmarked(body: Bytes) -> Bytes {
    if body.starts_with(b"\xef\xbb\xbf") { body.slice(3..) } else { body }
}

/// The text of a body, which may be no JSON yet.
pub fn text(body: &[u8]) -> Result<&str, Outcome> {
    let text = std::str::from_utf8(body).map_err(|_| not_an_answer("a body that is not UTF-8"))?;
    Ok(text.trim_ascii())
}

/// The text of a body that is JSON.
pub fn json<'a>(content_type: Option<&str>, body: &'a [u8]) -> Result<&'a str, Outcome> {
    let text = text(body)?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(text),
        Err(error) => Err(no_json(text, content_type, &error)),
    }
}

/// What a text that is not the JSON of an answer is.
pub fn no_json(text: &str, content_type: Option<&str>, error: &serde_json::Error) -> Outcome {
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

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::dialect::{Dialect, Task};

    /// Reads a body: `Ok` is its text, `Err` the error's class or the detail.
    pub fn read(dialect: Dialect, task: Task, body: &str) -> Result<String, String> {
        match dialect.read_whole(task, Some("application/json"), body.as_bytes(), &[]) {
            Ok(whole) => Ok(whole.answer.text),
            Err(Outcome::Error(reply)) => Err(reply.class.label().to_owned()),
            Err(Outcome::NotAnAnswer { detail }) => Err(detail),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_body() {
        let check = |body: &'static str, expected: &str| {
            assert_eq!(unmarked(Bytes::from_static(body.as_bytes())), expected);
        };
        check("\u{feff}{}", "{}");
        check("{\"\u{feff}\":1}", "{\"\u{feff}\":1}");
        check("", "");
    }

    #[test]
    fn bodies_that_are_no_json() {
        let check = |kind: Option<&str>, body: &[u8], expected: &str| match json(kind, body) {
            Err(Outcome::NotAnAnswer { detail }) => {
                assert!(detail.starts_with(expected), "{detail}");
            }
            other => panic!("{other:?}"),
        };
        let plain = Some("application/json");
        check(plain, b"", "an empty body");
        check(plain, b" \n", "an empty body");
        check(plain, b"\xff", "a body that is not UTF-8");
        check(plain, b" <!doctype html>", "an HTML page");
        check(Some("text/html; charset=utf-8"), b"oops", "an HTML page");
        check(plain, b"data: {}\n\n", "a stream");
        check(plain, b"event: ping\n\n", "a stream");
        check(None, b": a comment\n\n", "a stream");
        check(None, b"{\"a\":", "a body that is not the JSON of an answer: EOF");
        assert_eq!(json(None, b" {\"a\":[1]}\r\n"), Ok("{\"a\":[1]}"));
        // What is JSON is left for the dialect to judge.
        assert_eq!(json(Some("text/html"), b"{}"), Ok("{}"));
    }
}
