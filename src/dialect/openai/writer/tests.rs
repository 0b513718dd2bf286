use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::answer::FinishReason;
use crate::dialect::hub::Answer;
use crate::dialect::openai::answer::tests::{answers, head};
use crate::dialect::openai::decoder::Decoder;
use crate::dialect::stream::Reader;
use crate::dialect::{AttemptLine, Dialect};

/// The data of each event in a stream.
fn data(stream: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(stream).unwrap();
    let events = text.split_terminator("\n\n");
    events.map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
}

/// The choices of each chunk, the terminator, or the token counts.
fn shown(stream: &[u8]) -> Vec<Value> {
    let short = |data: String| match serde_json::from_str::<Value>(&data) {
        Ok(chunk) if chunk["choices"] == json!([]) => chunk["usage"].clone(),
        Ok(chunk) => {
            let choice = &chunk["choices"][0];
            json!([choice["index"], choice["delta"], choice["finish_reason"]])
        }
        Err(_) => json!(data),
    };
    data(stream).into_iter().map(short).collect()
}

fn written(events: &[Event]) -> Vec<u8> {
    let mut writer = Writer::new(head());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    writer.finish(&mut out);
    out
}

fn begin() -> Event {
    Event::Begin { id: "c1".to_owned(), model: "m".to_owned() }
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

fn call(call: u32, id: &str, free_text: bool) -> Event {
    let (id, name) = (id.to_owned(), "f".to_owned());
    Event::CallBegin { choice: 0, call, id, name, free_text, signature: None }
}

fn fragment(call: u32, fragment: &str) -> Event {
    Event::CallArguments { choice: 0, call, fragment: fragment.to_owned() }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

fn check(events: &[Event], expected: &[Value]) {
    let role = json!([0, {"role": "assistant", "content": ""}, null]);
    let mut all = vec![role];
    all.extend_from_slice(expected);
    all.push(json!("[DONE]"));
    assert_eq!(shown(&written(events)), all, "{events:?}");
}

#[test]
fn streams_of_every_kind() {
    let usage = Usage { input: Some(3), output: Some(4), ..Usage::default() };
    let thought =
        Event::Thought { choice: 0, text: "hm".to_owned(), signature: None, redacted: false };
    check(
        &[begin(), thought, text("a"), text(""), finish(Finish::Stop), Event::Usage(usage)],
        &[
            json!([0, {"reasoning_content": "hm"}, null]),
            json!([0, {"content": "a"}, null]),
            json!([0, {}, "stop"]),
            json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}),
        ],
    );
    check(
        &[begin(), Event::Refusal { choice: 0, text: "no".to_owned() }, finish(Finish::Refusal)],
        &[json!([0, {"refusal": "no"}, null]), json!([0, {}, "stop"])],
    );
    check(&[begin(), finish(Finish::Refusal)], &[json!([0, {}, "content_filter"])]);
    check(&[], &[json!([0, {}, "stop"])]);
    let redacted =
        Event::Thought { choice: 0, text: String::new(), signature: None, redacted: true };
    let opaque = Event::Opaque { choice: 0, what: "audio" };
    check(&[begin(), redacted, opaque, finish(Finish::Length)], &[json!([0, {}, "length"])]);
}

#[test]
fn calls_keep_their_index_and_always_have_arguments() {
    let begun = |index: u32, id: &str| {
        json!([0, {"tool_calls": [{"index": index, "id": id, "type": "function",
            "function": {"name": "f", "arguments": ""}}]}, null])
    };
    let more = |index: u32, arguments: &str| json!([0, {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}, null]);
    check(
        &[
            begin(),
            call(0, "a", false),
            call(1, "", false),
            fragment(0, "{"),
            fragment(0, "}"),
            fragment(7, "lost"),
            fragment(1, ""),
            finish(Finish::Stop),
        ],
        &[
            begun(0, "a"),
            begun(1, &ids::made("t1", 0, 1)),
            more(0, "{"),
            more(0, "}"),
            more(1, "{}"),
            json!([0, {}, "tool_calls"]),
        ],
    );
    check(
        &[call(0, "a", true), fragment(0, "ls")],
        &[
            json!([0, {"tool_calls": [{"index": 0, "id": "a", "type": "custom",
                "custom": {"name": "f", "input": ""}}]}, null]),
            json!([0, {"tool_calls": [{"index": 0, "custom": {"input": "ls"}}]}, null]),
            json!([0, {}, "tool_calls"]),
        ],
    );
}

#[test]
fn every_chunk_has_the_first_provider_s_names() {
    let second = Event::Begin { id: "c2".to_owned(), model: "m2".to_owned() };
    for chunk in data(&written(&[begin(), text("a"), second, text("b")])) {
        let named = chunk
            .starts_with(r#"{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","#);
        assert!(named || chunk == "[DONE]", "{chunk}");
    }
    let unnamed = Event::Begin { id: String::new(), model: String::new() };
    let chunk: Value = serde_json::from_str(&data(&written(&[unnamed]))[0]).unwrap();
    assert_eq!((&chunk["id"], &chunk["model"]), (&json!("chatcmpl-t1"), &json!("asked")));
}

#[test]
fn counts_come_only_if_they_were_asked_for() {
    let events = [begin(), text("a"), Event::Usage(Usage::default())];
    let mut writer = Writer::new(Head { include_usage: false, ..head() });
    let mut out = Vec::new();
    for event in &events {
        writer.write(event, &mut out);
    }
    writer.finish(&mut out);
    assert!(!String::from_utf8(out).unwrap().contains("usage"));
}

/// Passes frames as the gateway would, with their parts.
fn passed(frames: &[&str]) -> (Writer, Vec<u8>) {
    let mut writer = Writer::new(head());
    let mut reader = Reader::passing(Dialect::OpenAi, 1);
    let mut out = Vec::new();
    for frame in frames {
        let frame = Frame::parse(Bytes::from(format!("data: {frame}\n\n")));
        let part = reader.read(&frame, &[]);
        writer.pass(&frame, &part, &mut out);
    }
    (writer, out)
}

const ROLE: &str = r#"{"id":"p1","created":9,"model":"pm","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
const TEXT: &str =
    r#"{"id":"p1","created":9,"model":"pm","choices":[{"index":0,"delta":{"content":"a"}}],"x":1}"#;
const END: &str = r#"{"id":"p1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn what_began_by_passing_continues_by_events() {
    let (mut writer, mut out) = passed(&[r#"{"id":"","choices":[]}"#, ROLE, TEXT]);
    let passed_bytes = out.len();
    for event in [begin(), text("b"), finish(Finish::Length)] {
        writer.write(&event, &mut out);
    }
    writer.finish(&mut out);
    let seen = data(&out[passed_bytes..]);
    let chunk = |delta: &str, finish: &str| {
        format!(
            r#"{{"id":"p1","object":"chat.completion.chunk","created":9,"model":"pm","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
        )
    };
    let expected =
        [chunk(r#"{"content":"b"}"#, "null"), chunk("{}", r#""length""#), "[DONE]".to_owned()];
    assert_eq!(seen, expected);
}

#[test]
fn what_has_passed_is_not_owed() {
    let usage = r#"{"id":"p1","choices":[],"usage":{"total_tokens":1}}"#;
    let finish = r#"{"id":"p1","object":"chat.completion.chunk","created":9,"model":"pm","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let check = |frames: &[&str], owed: &[&str]| {
        let (mut writer, mut out) = passed(frames);
        let before = out.len();
        writer.finish(&mut out);
        writer.finish(&mut out);
        assert_eq!(data(&out[before..]), owed, "{frames:?}");
    };
    check(&[ROLE, TEXT, END, usage, "[DONE]"], &["[DONE]"]);
    check(&[ROLE, TEXT, "[DONE]"], &[finish, "[DONE]"]);
    check(&[ROLE, TEXT, END, usage], &["[DONE]"]);
    check(&[ROLE, TEXT, END], &["[DONE]"]);
    let whole: String = [ROLE, TEXT].map(|frame| format!("data: {frame}\n\n")).concat();
    assert_eq!(passed(&[ROLE, TEXT]).1, whole.as_bytes());
}

#[test]
fn an_error_is_the_last_event() {
    let attempts = [AttemptLine { target: "a/m", class: "timeout", status: None, ms: 12 }];
    let error = ErrorOut {
        status: 504,
        code: "timeout",
        message: "too late",
        param: None,
        retry_after: None,
        trace: "t1",
        attempts: &attempts,
    };
    let (mut writer, mut out) = passed(&[ROLE, TEXT]);
    let before = out.len();
    writer.error(&error, &mut out);
    let seen = data(&out[before..]);
    let body: Value = serde_json::from_str(&seen[0]).unwrap();
    assert_eq!((seen.len(), &body["error"]["code"]), (1, &json!("timeout")));
}

#[test]
fn several_choices_end_together() {
    let of = |choice: u32| Event::Text { choice, text: "a".to_owned() };
    let out =
        written(&[of(1), of(0), Event::Finish { choice: 1, finish: Finish::Length }, of(500)]);
    let expected = [
        json!([1, {"role": "assistant", "content": ""}, null]),
        json!([1, {"content": "a"}, null]),
        json!([0, {"role": "assistant", "content": ""}, null]),
        json!([0, {"content": "a"}, null]),
        json!([1, {}, "length"]),
        json!([0, {}, "stop"]),
        json!("[DONE]"),
    ];
    assert_eq!(shown(&out), expected);
}

/// A provider's stream, taken apart and written again.
#[test]
fn a_real_stream_written_again() {
    let stream = include_str!("../../../../tests/golden/dialects/openai/stream_tools.sse");
    let expected =
        include_str!("../../../../tests/golden/dialects/openai/stream_tools.written.sse");
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for frame in stream.split_inclusive("\n\n") {
        let mut more = Vec::new();
        decoder.decode(&Frame::parse(Bytes::from(frame)), &[], &mut more);
        events.append(&mut more);
    }
    assert_eq!(String::from_utf8(written(&events)).unwrap(), expected);
}

proptest! {
    /// A stream says what the answer says, to the decoder and to the reader of
    /// passing frames.
    #[test]
    fn what_is_streamed_is_read_again(answer in answers()) {
        let out = written(&answer.clone().into_events());
        let mut decoder = Decoder::default();
        let choices = u32::try_from(answer.choices.len()).unwrap();
        let mut reader = Reader::passing(Dialect::OpenAi, choices);
        let mut events = Vec::new();
        for frame in std::str::from_utf8(&out).unwrap().split_inclusive("\n\n") {
            let frame = Frame::parse(Bytes::from(frame.to_owned()));
            decoder.decode(&frame, &[], &mut events);
            reader.read(&frame, &[]);
        }
        prop_assert!(reader.completed());
        prop_assert!(reader.finish_reason() != FinishReason::Unfinished);
        prop_assert_eq!(Answer::of(events), answer);
    }
}
