use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::dialect::Dialect;
use crate::dialect::hub::{Finish, Part as AnswerPart, Usage};
use crate::dialect::sse::Framer;
use crate::dialect::stream::{Part, Reader};

fn frames(text: &str) -> Vec<Frame> {
    let mut framer = Framer::default();
    framer.push(Bytes::copy_from_slice(text.as_bytes()));
    std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
}

fn data(json: &str) -> Frame {
    Frame::parse(Bytes::from(format!("data: {json}\n\n")))
}

/// The events of some frames, and what the last frame was.
fn decode(frames: &[Frame]) -> (Vec<Event>, Decoded) {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let mut last = Decoded::Nothing;
    for frame in frames {
        last = decoder.decode(frame, &[], &mut events);
    }
    (events, last)
}

fn all(frames: &[Frame]) -> Vec<Event> {
    decode(frames).0
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

fn thought(text: &str, proof: Option<&str>, redacted: bool) -> Event {
    let signature = proof.map(|value| (Dialect::Responses, value.to_owned()));
    Event::Thought { choice: 0, text: text.to_owned(), signature, redacted }
}

fn begin(id: &str, model: &str) -> Event {
    Event::Begin { id: id.to_owned(), model: model.to_owned() }
}

fn call(call: u32, id: &str, name: &str, free_text: bool) -> Event {
    let (id, name) = (id.to_owned(), name.to_owned());
    Event::CallBegin { choice: 0, call, id, name, free_text, signature: None }
}

fn more(call: u32, fragment: &str) -> Event {
    Event::CallArguments { choice: 0, call, fragment: fragment.to_owned() }
}

fn end(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

#[test]
fn a_stream_with_everything() {
    let golden = include_str!("../../../tests/golden/dialects/responses/stream-tools.sse");
    let (events, last) = decode(&frames(golden));
    let usage = Usage {
        input: Some(81),
        cached: Some(64),
        cache_written: None,
        output: Some(35),
        reasoning: Some(12),
    };
    let expected = [
        begin("resp_1", "gpt-5.5"),
        thought("**Wea", None, false),
        thought("ther**", None, false),
        thought("\n\nTwo cities.", None, false),
        thought("", Some("gAAAAAB="), false),
        text("Let me"),
        text(" look é."),
        call(0, "call_1", "weather", false),
        more(0, "{\"city\":"),
        more(0, "\"Oslo\"}"),
        call(1, "call_2", "python", true),
        more(1, "print(1)"),
        Event::Usage(usage),
        end(Finish::ToolCalls),
    ];
    assert_eq!(events, expected);
    assert_eq!(last, Decoded::Last);
    // The same as the whole that the terminal event repeats, but for what only
    // the items' ends said.
    let answer = Answer::of(events);
    assert!(
        matches!(&answer.choices[0].parts[1], AnswerPart::Text(text) if text == "Let me look é.")
    );
}

/// Lifecycle frames are held back: the error that follows is before all
/// content.
#[test]
fn an_error_after_the_beginning() {
    let golden = include_str!("../../../tests/golden/dialects/responses/stream-quota.sse");
    let mut reader =
        Reader::decoding(Dialect::Responses, 1, crate::dialect::hub::Legend::default());
    let frames = frames(golden);
    let parts: Vec<Part> = frames.iter().map(|frame| reader.read(frame, &[])).collect();
    assert_eq!(parts[..2], [Part::Lifecycle, Part::Lifecycle]);
    for part in &parts[2..] {
        let Part::Error(reply) = part else { panic!("{part:?}") };
        assert_eq!((reply.class.label(), &*reply.code), ("quota", "insufficient_quota"));
        assert!(reply.message.starts_with("You exceeded"));
    }
}

#[test]
fn a_server_that_sends_no_deltas() {
    let golden = include_str!("../../../tests/golden/dialects/responses/stream-done-only.sse");
    let expected = [
        begin("resp_2", "local"),
        call(0, "call_1", "weather", false),
        more(0, "{\"city\":\"Oslo\"}"),
        text("Looking."),
        end(Finish::ToolCalls),
    ];
    assert_eq!(all(&frames(golden)), expected);
    let only_the_end = data(
        r#"{"type":"response.completed","response":{"id":"r","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"message","content":[{"type":"output_text","text":"a"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}}"#,
    );
    let expected =
        [begin("r", ""), text("a"), call(0, "c", "f", false), more(0, "{}"), end(Finish::Length)];
    assert_eq!(all(&[only_the_end]), expected);
}

#[test]
fn nothing_is_told_twice() {
    let item = r#""output_index":0,"item_id":"m","content_index":0"#;
    let delta = |text: &str| {
        data(&format!(r#"{{"type":"response.output_text.delta",{item},"delta":"{text}"}}"#))
    };
    let done =
        data(&format!(r#"{{"type":"response.output_text.done",{item},"text":"h\u00e9llo"}}"#));
    let item_done = data(
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"h\u00e9llo","annotations":[{"type":"url_citation"}]}]}}"#,
    );
    let seen = all(&[delta("h"), delta("\u{e9}l"), delta(""), done.clone(), done, item_done]);
    let cites = Event::Opaque { choice: 0, what: "citations" };
    assert_eq!(seen, [text("h"), text("él"), text("lo"), cites]);
}

#[test]
fn steps_of_all_kinds() {
    let check = |rows: &[&str], expected: &[Event]| {
        let frames: Vec<Frame> = rows.iter().map(|row| data(row)).collect();
        assert_eq!(all(&frames), expected, "{rows:?}");
    };
    let opaque = |what| Event::Opaque { choice: 0, what };
    check(
        &[
            r#"{"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":"no"}"#,
            r#"{"type":"response.completed","response":{"status":"completed"}}"#,
        ],
        &[Event::Refusal { choice: 0, text: "no".to_owned() }, begin("", ""), end(Finish::Refusal)],
    );
    check(
        &[
            r#"{"type":"response.reasoning_text.delta","output_index":0,"content_index":0,"delta":"a"}"#,
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"b"}"#,
        ],
        &[thought("a", None, false)],
    );
    check(
        &[
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","summary":[],"encrypted_content":"x"}}"#,
        ],
        &[thought("", Some("x"), true)],
    );
    check(
        &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"web_search_call"}}"#,
            r#"{"type":"response.web_search_call.searching","output_index":0}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"web_search_call"}}"#,
            r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"news"}}"#,
            r#"{"type":"response.audio.delta","delta":"QQ=="}"#,
            r#"{"type":"response.output_text.annotation.added"}"#,
            r#"{"type":"keepalive"}"#,
        ],
        &[
            opaque("web_search_call"),
            opaque("unknown item"),
            opaque("unknown item"),
            opaque("citations"),
        ],
    );
    // Arguments before the name, and no indexes at all.
    check(
        &[
            r#"{"type":"response.function_call_arguments.delta","delta":"{"}"#,
            r#"{"type":"response.output_item.done","item":{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}}"#,
            r#"{"type":"response.output_item.added","item":{"type":"function_call","call_id":"d","name":"g"}}"#,
            r#"{"type":"response.function_call_arguments.delta","delta":"{}"}"#,
        ],
        &[call(0, "c", "f", false), more(0, "{}"), call(1, "d", "g", false), more(1, "{}")],
    );
}

#[test]
fn what_frames_are() {
    let check = |frame: &str, expected: &str| {
        let frame = Frame::parse(Bytes::from(frame.to_owned()));
        let seen = match decode(std::slice::from_ref(&frame)).1 {
            Decoded::Nothing => "nothing".to_owned(),
            Decoded::Events => "events".to_owned(),
            Decoded::Last => "last".to_owned(),
            Decoded::Done => "done".to_owned(),
            Decoded::Error(reply) => reply.class.label().to_owned(),
            Decoded::Malformed(_) => "malformed".to_owned(),
        };
        assert_eq!(seen, expected, "{frame:?}");
    };
    check(": ping\n\n", "nothing");
    check("event: ping\n\n", "nothing");
    check("data: [DONE]\n\n", "done");
    check("data: {\"type\":\n\n", "malformed");
    check("data: {\"choices\":[]}\n\n", "malformed");
    check("event: response.created\ndata: {\"response\":{}}\n\n", "events");
    check("data: {\"type\":\"response.completed\"}\n\n", "malformed");
    check("data: {\"error\":{\"code\":\"rate_limit_exceeded\"}}\n\n", "rate-limited");
    check(
        "event: error\ndata: {\"code\":\"rate_limit_exceeded\",\"message\":\"x\"}\n\n",
        "rate-limited",
    );
    check("data: {\"type\":\"error\",\"code\":\"server_is_overloaded\"}\n\n", "overloaded");
    check(
        "data: {\"type\":\"error\",\"error\":{\"code\":\"context_length_exceeded\"}}\n\n",
        "context-length",
    );
    check("event: error\ndata: oops\n\n", "server-error");
    let failed = |kind: &str, response: &str| {
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"response\":{response}}}\n\n")
    };
    let error = r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"x"}}"#;
    check(&failed("response.failed", error), "rate-limited");
    check(&failed("response.failed", "{}"), "server-error");
    check(&failed("response.cancelled", r#"{"status":"cancelled"}"#), "server-error");
    check(&failed("response.completed", error), "rate-limited");
    check(&failed("response.completed", "{}"), "last");
    check(&failed("response.incomplete", r#"{"status":"incomplete"}"#), "last");
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), near in proptest::collection::vec("\\{\"type\":\"response\\.(output_item\\.(added|done)|output_text\\.(delta|done)|function_call_arguments\\.done|completed)\"(,\"(item|delta|text|output_index|response)\":([0-9]|\"[a-z]{0,3}\"|\\{\"(type|content)\":\"(message|function_call|reasoning)\"\\})){0,4}\\}", 0..6)) {
        let raw = Frame { bytes: Bytes::new(), event: None, data: Some(Bytes::from(bytes)) };
        let mut frames: Vec<Frame> = near.iter().map(|json| data(json)).collect();
        frames.push(raw);
        let _ = decode(&frames);
    }
}
