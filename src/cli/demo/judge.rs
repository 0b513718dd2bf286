//! Whether a client got what it asked for: the whole answer, exactly once, and
//! properly ended. Pure.

use serde_json::Value;

/// What a client would complain about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Complaint {
    /// No answer, or none to the end.
    Lost(String),
    /// An answer with an error status.
    Status(u16),
    /// Not what was promised: no JSON, or JSON of another shape.
    Unreadable,
    /// An error event within a stream.
    ErrorEvent,
    /// Too little, too much, or something else.
    WrongText,
    /// A stream without a reason for its end, or without its terminator.
    Unfinished,
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "no complete answer: {why}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Unreadable => f.write_str("an answer of an unknown shape"),
            Self::ErrorEvent => f.write_str("an error within the stream"),
            Self::WrongText => f.write_str("not the whole text exactly once"),
            Self::Unfinished => f.write_str("a stream without a proper end"),
        }
    }
}

/// Checks a whole answer.
pub fn whole(status: u16, body: &[u8], expected: &str) -> Result<(), Complaint> {
    if status != 200 {
        return Err(Complaint::Status(status));
    }
    let answer: Value = serde_json::from_slice(body).map_err(|_| Complaint::Unreadable)?;
    let choice = &answer["choices"][0];
    let text = choice["message"]["content"].as_str().ok_or(Complaint::Unreadable)?;
    if text != expected {
        return Err(Complaint::WrongText);
    }
    if choice["finish_reason"] == "stop" { Ok(()) } else { Err(Complaint::Unfinished) }
}

/// Checks a streamed answer. Returns whether its closing comment says that
/// another provider finished it.
pub fn stream(status: u16, body: &[u8], expected: &str) -> Result<bool, Complaint> {
    if status != 200 {
        return Err(Complaint::Status(status));
    }
    let body = std::str::from_utf8(body).map_err(|_| Complaint::Unreadable)?;
    let (mut text, mut stopped, mut done, mut continued) = (String::new(), 0, 0, false);
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix(':') {
            continued |= comment.contains("finished-by=");
        }
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
        if data == "[DONE]" {
            done += 1;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| Complaint::Unreadable)?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Complaint::ErrorEvent);
        }
        let choice = &chunk["choices"][0];
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        stopped += usize::from(choice["finish_reason"] == "stop");
    }
    if text != expected {
        return Err(Complaint::WrongText);
    }
    if (stopped, done) == (1, 1) { Ok(continued) } else { Err(Complaint::Unfinished) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"data: {"choices":[{"delta":{"content":"Hel"}}]}"#;
    const WORLD: &str = r#"data: {"choices":[{"delta":{"content":"lo"},"finish_reason":null}]}"#;
    const STOP: &str = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    const DONE: &str = "data: [DONE]";

    #[test]
    fn a_stream_must_be_whole_and_ended() {
        let check = |lines: &[&str], expected| {
            let body = lines.join("\n\n");
            assert_eq!(stream(200, body.as_bytes(), "Hello"), expected, "{body}");
        };
        check(&[HELLO, WORLD, STOP, DONE], Ok(false));
        check(&[HELLO, ": keep-alive", WORLD, STOP, DONE], Ok(false));
        check(&[HELLO, WORLD, STOP, ": x finished-by=beta", DONE], Ok(true));
        check(&[HELLO, WORLD, STOP], Err(Complaint::Unfinished));
        check(&[HELLO, WORLD, DONE], Err(Complaint::Unfinished));
        check(&[HELLO, WORLD, STOP, STOP, DONE], Err(Complaint::Unfinished));
        check(&[HELLO, STOP, DONE], Err(Complaint::WrongText));
        check(&[HELLO, WORLD, WORLD, STOP, DONE], Err(Complaint::WrongText));
        check(&[HELLO, r#"data: {"error":{"code":"x"}}"#], Err(Complaint::ErrorEvent));
        check(&[HELLO, "data: {"], Err(Complaint::Unreadable));
        assert_eq!(stream(502, b"", "Hello"), Err(Complaint::Status(502)));
    }

    #[test]
    fn a_whole_answer_must_be_whole_and_ended() {
        let check = |status, body: &str, expected| {
            assert_eq!(whole(status, body.as_bytes(), "Hello"), expected, "{body}");
        };
        let answer = |text: &str, finish: &str| {
            format!(
                r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"{finish}"}}]}}"#
            )
        };
        check(200, &answer("Hello", "stop"), Ok(()));
        check(200, &answer("Hell", "stop"), Err(Complaint::WrongText));
        check(200, &answer("Hello", "length"), Err(Complaint::Unfinished));
        check(200, r#"{"error":{"message":"no"}}"#, Err(Complaint::Unreadable));
        check(200, "<html>", Err(Complaint::Unreadable));
        check(429, &answer("Hello", "stop"), Err(Complaint::Status(429)));
    }
}
