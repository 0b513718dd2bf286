//! A chat stream, frame by frame: what each frame is, and the answer so far.
//! Owns the meaning of chunks; must not know when they came or what is done
//! with them.

use crate::dialect::answer::{AnswerText, FinishReason};
use crate::dialect::sse::Frame;
use crate::dialect::stream::{Content, MAX_CHOICES, Part};
use crate::failover::attempt::ErrorReply;
use crate::secret::Secret;

use super::chunk::{self, Choice, Message, Opened, Reply};

/// Reads the frames of one stream, in order.
#[derive(Debug)]
pub struct Reader {
    choices: u32,
    /// Bit n: choice n has finished.
    finished: u128,
    continuable: bool,
    refused: bool,
    usage: bool,
    id: Option<String>,
    model: Option<String>,
    created: Option<u64>,
    answer: AnswerText,
    /// The `index` of each tool call in `answer`.
    calls: Vec<Option<u32>>,
}

impl Reader {
    /// `choices` is how many the request asked for.
    #[must_use]
    pub fn new(choices: u32) -> Self {
        let choices = choices.clamp(1, MAX_CHOICES);
        Self {
            choices,
            finished: 0,
            continuable: choices == 1,
            refused: false,
            usage: false,
            id: None,
            model: None,
            created: None,
            answer: AnswerText::default(),
            calls: Vec::new(),
        }
    }

    /// The next frame. `secrets` are cut out of errors.
    pub fn read(&mut self, frame: &Frame, secrets: &[&Secret]) -> Part {
        match chunk::open(frame, secrets) {
            Opened::Empty => Part::Comment,
            Opened::Done => Part::Done,
            Opened::Error(reply) => Part::Error(reply),
            Opened::Malformed(detail) => Part::Malformed { detail },
            Opened::Chunk(reply) => self.chunk(&reply),
        }
    }

    fn chunk(&mut self, reply: &Reply<'_>) -> Part {
        self.identify(reply);
        let choices = reply.choices.as_ref().map_or(&[][..], |choices| &choices.0);
        let was_finished = self.completed();
        let mut content: Option<Content> = None;
        for choice in choices {
            if let Some(error) = self.finish(choice) {
                return Part::Error(error);
            }
            let Some(delta) = choice.delta.as_ref().filter(|delta| delta.has_content()) else {
                continue;
            };
            let text = self.delta(choice.index.unwrap_or(0), delta);
            let before = content.map_or(0, |content| content.text_bytes);
            let text_bytes = before.saturating_add(u32::try_from(text).unwrap_or(u32::MAX));
            content = Some(Content { text_bytes, continuable: self.continuable });
        }
        let usage = reply.usage.is_some_and(|usage| !chunk::is_vacant(usage.get()));
        self.usage |= usage;
        match content {
            content if self.completed() && !was_finished => Part::Finish(content),
            Some(content) => Part::Content(content),
            None if usage => Part::Usage,
            None => Part::Lifecycle,
        }
    }

    fn identify(&mut self, reply: &Reply<'_>) {
        if self.id.is_some() {
            return;
        }
        let text = |value: Option<&serde_json::value::RawValue>| {
            crate::dialect::json::unquote(value?.get())
                .filter(|text| !text.is_empty())
                .map(std::borrow::Cow::into_owned)
        };
        self.id = text(reply.id);
        self.model = text(reply.model);
        self.created = reply.created.and_then(|created| created.get().parse().ok());
    }

    /// Takes a choice's finish reason; gives the error it may be.
    fn finish(&mut self, choice: &Choice<'_>) -> Option<ErrorReply> {
        let reason = choice.finish_reason()?;
        let index = choice.index.unwrap_or(0);
        self.finished |= 1_u128.checked_shl(index).unwrap_or(0);
        self.refused |= choice.delta.as_ref().is_some_and(|delta| delta.refusal.is_some());
        if index == 0 {
            self.answer.finish = chunk::finish_reason(&reason, self.refused);
        }
        chunk::failed_finish(&reason)
    }

    /// Takes a piece of content; gives the bytes of text in it.
    fn delta(&mut self, index: u32, delta: &Message<'_>) -> usize {
        self.refused |= delta.refusal.is_some();
        self.continuable &= index == 0 && !delta.has_more_than_text();
        let text = delta.content.map(|content| chunk::content_text(content.get()));
        let text = text.unwrap_or_default();
        if index == 0 {
            // Half of a surrogate pair was here: the text is not what the
            // client will show.
            self.continuable &= !text.contains('\u{fffd}');
            self.answer.push_text(&text);
            self.tool_calls(delta);
            self.answer.opaque |= delta.is_more_than_said();
            self.continuable &= !self.answer.overflowed();
        }
        text.len()
    }

    fn tool_calls(&mut self, delta: &Message<'_>) {
        for call in chunk::calls(delta) {
            self.tool_call(&call);
        }
    }

    fn tool_call(&mut self, call: &chunk::Call<'_>) {
        let (index, name, arguments) = (call.index, &*call.name, &*call.arguments);
        let known = match index {
            Some(_) => self.calls.iter().rposition(|call| *call == index),
            // Without an index a name begins a call, and the rest belongs to it.
            None if name.is_empty() => self.calls.len().checked_sub(1),
            None => None,
        };
        if let Some(call) = known {
            self.answer.extend_call(call, name, arguments);
            return;
        }
        let before = self.answer.tool_calls.len();
        self.answer.push_call(name, arguments, call.free_text);
        if self.answer.tool_calls.len() > before {
            self.calls.push(index);
        }
    }

    /// Whether every choice has said why it stopped: then the answer is whole,
    /// even if the terminator never comes.
    #[must_use]
    pub const fn completed(&self) -> bool {
        self.finished.count_ones() >= self.choices
    }

    /// Whether token counts came.
    #[must_use]
    pub const fn usage_seen(&self) -> bool {
        self.usage
    }

    /// Whether another target could continue the stream from here.
    #[must_use]
    pub const fn continuable(&self) -> bool {
        self.continuable
    }

    /// The id, model and creation time of the first chunk that had an id.
    #[must_use]
    pub fn identity(&self) -> (Option<&str>, Option<&str>, Option<u64>) {
        (self.id.as_deref(), self.model.as_deref(), self.created)
    }

    /// The first choice, as far as it has come.
    #[must_use]
    pub const fn answer(&self) -> &AnswerText {
        &self.answer
    }

    /// Why the first choice stopped.
    #[must_use]
    pub const fn finish_reason(&self) -> FinishReason {
        self.answer.finish
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::CallText;
    use crate::failover::classify::FailureClass;

    fn frame(data: &str) -> Frame {
        Frame::parse(crate::dialect::sse::event(data))
    }

    /// A part in short: `text 5`, `text 5!` when no longer continuable.
    fn shown(part: &Part) -> String {
        let content =
            |c: &Content| format!("{}{}", c.text_bytes, if c.continuable { "" } else { "!" });
        match part {
            Part::Comment => "comment".into(),
            Part::Lifecycle => "lifecycle".into(),
            Part::Content(c) => format!("text {}", content(c)),
            Part::Finish(None) => "finish".into(),
            Part::Finish(Some(c)) => format!("finish {}", content(c)),
            Part::Usage => "usage".into(),
            Part::Done => "done".into(),
            Part::Error(reply) => format!("error {}", reply.class.label()),
            Part::Malformed { .. } => "malformed".into(),
        }
    }

    fn check_stream(choices: u32, rows: &[(&str, &str)]) -> Reader {
        let mut reader = Reader::new(choices);
        for (data, expected) in rows {
            assert_eq!(shown(&reader.read(&frame(data), &[])), *expected, "{data}");
        }
        reader
    }

    fn check(data: &str, expected: &str) {
        check_stream(1, &[(data, expected)]);
    }

    fn delta(delta: &str) -> String {
        format!(r#"{{"id":"c1","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
    }

    #[test]
    fn a_text_stream() {
        let reader = check_stream(
            1,
            &[
                (r#"{"id":"","choices":[],"prompt_filter_results":[{}]}"#, "lifecycle"),
                (
                    r#"{"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null}"#,
                    "lifecycle",
                ),
                (
                    r#"{"id":"c2","choices":[{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}"#,
                    "text 3",
                ),
                (
                    r#"{"id":"c2","choices":[{"delta":{"content":"\"\u00e9"}}],"obfuscation":"x"}"#,
                    "text 3",
                ),
                (r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#, "finish"),
                (r#"{"choices":[],"usage":{"total_tokens":3}}"#, "usage"),
                ("[DONE]", "done"),
            ],
        );
        assert_eq!(reader.identity(), (Some("c1"), Some("m"), Some(7)));
        assert_eq!(reader.answer().text, "Hé\"é");
        assert_eq!(reader.finish_reason(), FinishReason::Stop);
        assert!(reader.completed() && reader.usage_seen() && reader.continuable());
    }

    #[test]
    fn deltas_of_every_kind() {
        let row = |json: &str, expected| check(&delta(json), expected);
        row("null", "lifecycle");
        row("{}", "lifecycle");
        row(r#"{"content":null,"tool_calls":[],"reasoning_content":null}"#, "lifecycle");
        row(r#"{"content":" "}"#, "text 1");
        row(r#"{"reasoning_content":"hm"}"#, "text 0");
        row(r#"{"reasoning":"hm","reasoning_details":[{}]}"#, "text 0");
        row(
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}"#,
            "text 0!",
        );
        row(r#"{"function_call":{"name":"f"}}"#, "text 0!");
        row(r#"{"refusal":"I cannot"}"#, "text 0!");
        row(r#"{"audio":{"data":"x"}}"#, "text 0!");
        row(r#"{"new_thing":1}"#, "text 0!");
        row(
            r#"{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"abc"}]}"#,
            "text 3",
        );
        row(r#"{"content":"\ud83d"}"#, "text 3!");
    }

    #[test]
    fn frames_that_are_no_chunks() {
        let mut reader = Reader::new(1);
        let ping = Frame::parse(Bytes::from_static(b": OPENROUTER PROCESSING\n\n"));
        assert_eq!(reader.read(&ping, &[]), Part::Comment);
        let bad = Frame::parse(Bytes::from_static(b"data: \"\xff\"\n\n"));
        assert_eq!(shown(&reader.read(&bad, &[])), "malformed");
        check("", "comment");
        check("{}", "lifecycle");
        check(r#"{"type":"ping"}"#, "lifecycle");
        // Of a key that is there twice the last one counts.
        check(
            r#"{"id":"a","id":"b","choices":[],"choices":[{"delta":{"content":"x"},"delta":{"content":"abc"}}]}"#,
            "text 3",
        );
        check(r#"{"error":{"message":"x"},"error":null,"choices":[]}"#, "lifecycle");
        check(" [DONE] ", "done");
        check("[DONE", "malformed");
        check(r#"{"choices":[{"delta":{"content":"x"#, "malformed");
        check(r#"{"choices":7}"#, "malformed");
        check("<html>", "malformed");
        check("7", "malformed");
    }

    #[test]
    fn errors_in_any_position() {
        check(r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#, "error rate-limited");
        check(r#"{"error":"boom"}"#, "error server-error");
        check(r#"{"error":null,"choices":[]}"#, "lifecycle");
        check(
            r#"{"id":"c","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":429,"message":"x"}}"#,
            "error rate-limited",
        );
        check(
            r#"{"object":"error","message":"maximum context length","code":400}"#,
            "error context-length",
        );
        check(r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#, "error overloaded");
        check(r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#, "error server-error");
        check(
            r#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
            "error overloaded",
        );
        let named = Frame::parse(Bytes::from_static(
            b"event: error\ndata: {\"message\":\"quota\",\"code\":\"insufficient_quota\"}\n\n",
        ));
        assert_eq!(shown(&Reader::new(1).read(&named, &[])), "error quota");
    }

    #[test]
    fn errors_lose_their_keys() {
        let key = Secret::new("sk-1");
        let part = Reader::new(1).read(&frame(r#"{"error":{"message":"bad key sk-1"}}"#), &[&key]);
        let Part::Error(reply) = part else { panic!("{part:?}") };
        assert_eq!(
            (reply.message.as_str(), reply.class),
            ("bad key [redacted]", FailureClass::ServerError)
        );
    }

    #[test]
    fn tool_calls_are_put_together() {
        let call = |json: &str| delta(&format!(r#"{{"tool_calls":[{json}]}}"#));
        let mut reader = Reader::new(1);
        for json in [
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}"#,
            r#"{"index":1,"id":"b","function":{"name":"g"}}"#,
            r#"{"index":0,"function":{"arguments":"{\"x\":"}}"#,
            r#"{"index":1,"function":{"arguments":"[]"}}"#,
            r#"{"index":0,"function":{"arguments":"1}"}}"#,
            r#"{"function":{"name":"h","arguments":{"y":2}}}"#,
            r#"{"index":3,"type":"custom","custom":{"name":"patch","input":"*** "}}"#,
            r#"{"index":3,"custom":{"input":"Begin"}}"#,
        ] {
            reader.read(&frame(&call(json)), &[]);
        }
        let mut expected = [("f", r#"{"x":1}"#), ("g", "[]"), ("h", r#"{"y":2}"#)]
            .map(|(name, arguments)| CallText::json(name, arguments))
            .to_vec();
        expected.push(CallText { free_text: true, ..CallText::json("patch", "*** Begin") });
        assert_eq!(reader.answer().tool_calls, expected);
        assert!(!reader.continuable());
    }

    #[test]
    fn several_choices_finish_together() {
        let chunk = |index: u32, finish: &str| {
            format!(
                r#"{{"choices":[{{"index":{index},"delta":{{"content":"ab"}},"finish_reason":{finish}}}]}}"#
            )
        };
        let reader = check_stream(
            2,
            &[
                (&chunk(0, "null"), "text 2!"),
                (&chunk(1, r#""stop""#), "text 2!"),
                (&chunk(0, r#""length""#), "finish 2!"),
                (&chunk(0, r#""length""#), "text 2!"),
            ],
        );
        assert_eq!(reader.finish_reason(), FinishReason::Length);
        assert_eq!(reader.answer().text, "ababab");
        assert!(!check_stream(2, &[(&chunk(1, r#""stop""#), "text 2!")]).completed());
        check_stream(1, &[(&chunk(3, r#""""#), "text 2!"), (&chunk(4000, r#""stop""#), "text 2!")]);
    }

    proptest! {
        #[test]
        fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"(choices|error)\":\\[\\{\"(delta|index|finish_reason)\":[\\{\\}\\[\\]\"0-9a-z:,]{0,20}") {
            let mut reader = Reader::new(1);
            let raw = Frame { bytes: Bytes::new(), event: None, data: Some(Bytes::from(data)) };
            reader.read(&raw, &[]);
            reader.read(&frame(&near), &[]);
        }
    }
}
