//! Streams from a provider: each frame is a whole response with what is new. No
//! terminator follows the last one.

use super::chunk::{Chunks, Fault};
use super::error_table::TABLE;
use crate::dialect::errors::hidden_error;
use crate::dialect::hub::Event;
use crate::dialect::node::Node;
use crate::dialect::sse::Frame;
use crate::dialect::stream::Decoded;
use crate::secret::Secret;

/// Reads the frames of one stream, in order.
#[derive(Debug, Default)]
pub struct Decoder {
    chunks: Chunks,
}

impl Decoder {
    /// Pushes the frame's events.
    pub fn decode(
        &mut self,
        frame: &Frame,
        secrets: &[&Secret],
        events: &mut Vec<Event>,
    ) -> Decoded {
        let Some(data) = &frame.data else { return Decoded::Nothing };
        let Ok(text) = std::str::from_utf8(data) else {
            return Decoded::Malformed("an event that is not UTF-8".to_owned());
        };
        if text.trim_ascii().is_empty() {
            return Decoded::Nothing;
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            return Decoded::Malformed(format!("an event that is not JSON: {error}"));
        }
        let node = Node::new(text);
        if is_error(node) {
            return Decoded::Error(hidden_error(TABLE, text, secrets));
        }
        if self.chunks.is_surplus(node) {
            return Decoded::Nothing;
        }
        match self.chunks.take(node, events) {
            Ok(()) => Decoded::Events,
            Err(Fault::Failed(reply)) => Decoded::Error(reply),
            Err(Fault::Malformed(why)) => {
                Decoded::Malformed(format!("an event that is no response: {why}"))
            }
        }
    }
}

/// An error object, alone or as the first element of an array.
#[must_use]
pub fn is_error(node: Node<'_>) -> bool {
    let first = if node.is_array() { node.items().next() } else { Some(node) };
    first.is_some_and(|object| object.get("error").is_some())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::answer::FinishReason;
    use crate::dialect::hub::{Answer, Part as Piece};
    use crate::dialect::stream::{Part, Reader};
    use crate::dialect::{Dialect, Framer};
    use crate::failover::classify::FailureClass;

    fn frame(data: &str) -> Frame {
        Frame::parse(Bytes::from(format!("data: {data}\n\n")))
    }

    fn decode(data: &str) -> Decoded {
        Decoder::default().decode(&frame(data), &[], &mut Vec::new())
    }

    fn frames(text: &'static str) -> Vec<Frame> {
        let mut framer = Framer::default();
        framer.push(Bytes::from_static(text.as_bytes()));
        std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
    }

    const THINKING: &str =
        include_str!("../../../tests/golden/dialects/gemini/stream-thinking-tools.sse");

    #[test]
    fn a_stream_with_thoughts_and_calls() {
        let mut reader =
            Reader::decoding(Dialect::Gemini, 1, crate::dialect::hub::Legend::default());
        let mut parts = Vec::new();
        let mut events = Vec::new();
        for frame in frames(THINKING) {
            parts.push(reader.read(&frame, &[]));
            events.extend(reader.take_events());
        }
        assert!(matches!(parts.last(), Some(Part::Finish(_))), "{parts:?}");
        assert!(reader.completed() && !reader.ended());
        assert_eq!(reader.finish_reason(), FinishReason::ToolCalls);
        assert_eq!(reader.answer().text, "Let me look both up.");
        assert_eq!(reader.answer().tool_calls.len(), 2);
        let answer = Answer::of(events);
        assert_eq!((&*answer.id, &*answer.model), ("kQ0aaYbXN5", "gemini-3.1-pro"));
        let usage = answer.usage.unwrap();
        assert_eq!((usage.input, usage.output, usage.reasoning), (Some(163), Some(411), Some(352)));
        let Piece::Thought { text, .. } = &answer.choices[0].parts[0] else { panic!() };
        assert!(text.starts_with("**Planning**"));
        let Piece::Call { id, arguments, signature, .. } = &answer.choices[0].parts[2] else {
            panic!()
        };
        assert_eq!((&**id, &**arguments), ("fc-1", r#"{"city":"Köln","days":2}"#));
        assert!(signature.is_some());
    }

    #[test]
    fn errors_within_a_stream() {
        let check = |data: &str, expected: FailureClass| {
            let seen = decode(data);
            let Decoded::Error(reply) = seen else { panic!("{seen:?}") };
            assert_eq!(reply.class, expected, "{data}");
        };
        check(
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            FailureClass::Overloaded,
        );
        check(
            r#"[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]"#,
            FailureClass::RateLimited,
        );
        check(
            r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
            FailureClass::InvalidOutput,
        );
    }

    #[test]
    fn frames_that_are_no_chunks() {
        let malformed =
            |data: &str| assert!(matches!(decode(data), Decoded::Malformed(_)), "{data}");
        malformed("{");
        malformed("[DONE]");
        malformed("[{}]");
        malformed("7");
        assert_eq!(decode(" "), Decoded::Nothing);
        assert_eq!(decode(r#"{"error":null}"#), Decoded::Events);
        let comment = Frame::parse(Bytes::from_static(b": x\n\n"));
        assert_eq!(Decoder::default().decode(&comment, &[], &mut Vec::new()), Decoded::Nothing);
    }

    /// Where the reason to stop stands at the end, nothing belongs to the answer
    /// after it but counts of tokens.
    #[test]
    fn what_follows_the_end_is_left_out() {
        let check = |chunks: &[&str], text: &str, parts: &[&str]| {
            let mut reader = Reader::passing(Dialect::Gemini, 1);
            let seen: Vec<String> = chunks
                .iter()
                .map(|chunk| {
                    let part = reader.read(&frame(chunk), &[]);
                    format!("{part:?}").split(['(', ' ']).next().unwrap().to_owned()
                })
                .collect();
            assert_eq!(
                (&*reader.answer().text, &seen[..]),
                (text, &parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()[..])
            );
        };
        let a = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
        let b = r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}"#;
        let end = r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}"#;
        let call = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}"#;
        let usage = r#"{"usageMetadata":{"promptTokenCount":1}}"#;
        check(&[a, b, usage], "ab", &["Content", "Finish", "Usage"]);
        check(&[a, b, a, b], "ab", &["Content", "Finish", "Comment", "Comment"]);
        check(&[a, end, a, end], "a", &["Content", "Finish", "Comment", "Usage"]);
        check(&[a, b, call], "ab", &["Content", "Finish", "Comment"]);
        // Some servers give a reason in every chunk.
        check(&[b, a, b], "bab", &["Finish", "Content", "Content"]);
    }

    #[test]
    fn a_cut_stream_is_not_complete() {
        let mut reader = Reader::passing(Dialect::Gemini, 1);
        let mut all = frames(THINKING);
        all.pop();
        for frame in all {
            reader.read(&frame, &[]);
        }
        assert!(!reader.completed());
    }

    proptest! {
        #[test]
        fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"candidates\":\\[\\{\"(content|index|finishReason)\":[\\{\\}\\[\\]\"0-9a-zA-Z:,\\\\]{0,40}\\}\\]\\}") {
            let mut decoder = Decoder::default();
            for data in [Bytes::from(data), Bytes::from(near)] {
                let frame = Frame { bytes: Bytes::new(), event: None, data: Some(data) };
                let mut events = Vec::new();
                let _ = decoder.decode(&frame, &[], &mut events);
                let _ = Answer::of(events);
            }
        }
    }
}
