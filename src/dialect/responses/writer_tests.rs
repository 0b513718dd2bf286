use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Decoder;
use super::*;
use crate::dialect::hub::{Answer, Part as AnswerPart};
use crate::dialect::sse::Framer;
use crate::dialect::stream::Reader;
use crate::dialect::writer::Framing;

const STREAM: &str = include_str!("../../../tests/golden/dialects/responses/stream-tools.sse");
const QUOTA: &str = include_str!("../../../tests/golden/dialects/responses/stream-quota.sse");

fn writer() -> Writer {
    Writer::new(Head {
        id: "t1".to_owned(),
        model: "route".to_owned(),
        created: 7,
        include_usage: true,
        framing: Framing::Sse,
    })
}

fn frames(text: &[u8]) -> Vec<Frame> {
    let mut framer = Framer::default();
    framer.push(Bytes::copy_from_slice(text));
    std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
}

fn event_text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

fn thought(text: &str, proof: Option<(Dialect, &str)>) -> Event {
    let signature = proof.map(|(by, value)| (by, value.to_owned()));
    Event::Thought { choice: 0, text: text.to_owned(), signature, redacted: false }
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

fn begin() -> Event {
    Event::Begin { id: "msg_01".to_owned(), model: "claude".to_owned() }
}

fn written(events: &[Event]) -> String {
    let (mut writer, mut out) = (writer(), Vec::new());
    for event in events {
        writer.write(event, &mut out);
    }
    writer.finish(&mut out);
    let length = out.len();
    writer.finish(&mut out);
    writer.write(&event_text("late"), &mut out);
    assert_eq!(out.len(), length, "nothing follows the end");
    String::from_utf8(out).unwrap()
}

/// What every stream must be like. Gives the type of each event, and the last
/// response.
fn checked(stream: &str) -> (Vec<String>, Value) {
    let mut kinds = Vec::new();
    let mut last = Value::Null;
    let mut items: BTreeMap<u64, Value> = BTreeMap::new();
    let mut pieces: BTreeMap<String, String> = BTreeMap::new();
    for (n, frame) in frames(stream.as_bytes()).iter().enumerate() {
        let event: Value = serde_json::from_slice(frame.data.as_ref().unwrap()).unwrap();
        let kind = event["type"].as_str().unwrap().to_owned();
        assert_eq!(frame.event.as_deref(), Some(kind.as_bytes()));
        assert_eq!(event["sequence_number"], n, "{kind}");
        let part = event.get("content_index").or(event.get("summary_index"));
        let place = format!("{} {:?}", event["output_index"], part);
        if let Some(delta) = event.get("delta") {
            assert_eq!(items[&event["output_index"].as_u64().unwrap()]["id"], event["item_id"]);
            pieces.entry(place).or_default().push_str(delta.as_str().unwrap());
        } else if let (Some(base), false) =
            (kind.strip_suffix(".done"), event.get("part").is_some())
        {
            let key = match base {
                "response.refusal" => "refusal",
                "response.function_call_arguments" => "arguments",
                "response.custom_tool_call_input" => "input",
                _ => "text",
            };
            if base != "response.output_item" {
                assert_eq!(event[key], pieces.get(&place).map_or("", |text| text), "{kind}");
            }
        }
        if kind.starts_with("response.output_item.") {
            let known =
                items.insert(event["output_index"].as_u64().unwrap(), event["item"].clone());
            assert_eq!(known.is_some(), kind.ends_with("done"));
        }
        if let Some(response) = event.get("response") {
            last = response.clone();
        }
        kinds.push(kind.trim_start_matches("response.").to_owned());
    }
    let items: Vec<Value> = items.into_values().collect();
    assert_eq!(last["output"], Value::Array(items));
    (kinds, last)
}

fn read_back(stream: &str) -> Answer {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for frame in frames(stream.as_bytes()) {
        decoder.decode(&frame, &[], &mut events);
    }
    Answer::of(events)
}

#[test]
fn a_text_with_everything_around_it() {
    let stream = written(&[
        begin(),
        event_text("Hel"),
        event_text(""),
        event_text("lo"),
        end(Finish::Length),
        Event::Usage(Usage { input: Some(3), output: Some(2), ..Usage::default() }),
    ]);
    let golden = include_str!("../../../tests/golden/dialects/responses/written-text.sse");
    assert_eq!(stream, golden);
    let (kinds, last) = checked(&stream);
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(last["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!((&last["model"], &last["id"]), (&json!("claude"), &json!("resp_t1")));
    assert_eq!(last["usage"]["total_tokens"], 5);
    assert_eq!(last["output"][0]["status"], "incomplete");
}

#[test]
fn reasoning_text_and_calls() {
    let stream = written(&[
        thought("why", None),
        thought("", Some((Dialect::Anthropic, "sig"))),
        thought("again", None),
        event_text("a"),
        Event::Refusal { choice: 0, text: "b".to_owned() },
        call(0, "toolu_1", "f", false),
        call(1, "", "patch", true),
        more(0, "{\"x\":"),
        more(1, "p"),
        more(0, "1}"),
        call(2, "c", "g", false),
        end(Finish::ToolCalls),
    ]);
    let (kinds, last) = checked(&stream);
    assert_eq!(kinds.last().map(String::as_str), Some("completed"));
    let expected = json!([
        {"id": "rs_backstay_t1_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}]},
        {"id": "rs_backstay_t1_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "again"}]},
        {"id": "msg_t1_2", "type": "message", "status": "completed", "role": "assistant", "content": [
            {"type": "output_text", "annotations": [], "logprobs": [], "text": "a"},
            {"type": "refusal", "refusal": "b"}]},
        {"id": "fc_t1_3", "type": "function_call", "status": "completed", "arguments": "{\"x\":1}", "call_id": "toolu_1", "name": "f"},
        {"id": "ctc_t1_4", "type": "custom_tool_call", "status": "completed", "input": "p", "call_id": "call_t1_1", "name": "patch"},
        {"id": "fc_t1_5", "type": "function_call", "status": "completed", "arguments": "{}", "call_id": "c", "name": "g"},
    ]);
    assert_eq!(last["output"], expected);
    assert_eq!(last["model"], "route");
    let golden = include_str!("../../../tests/golden/dialects/responses/written-tools.sse");
    assert_eq!(stream, golden);
}

#[test]
fn nothing_but_an_end() {
    let (kinds, last) = checked(&written(&[]));
    assert_eq!(kinds, ["created", "in_progress", "completed"]);
    assert_eq!((&last["status"], &last["usage"]), (&json!("completed"), &Value::Null));
    // There is one choice, and no place for what only others have.
    let stream = written(&[
        Event::Text { choice: 1, text: "x".to_owned() },
        Event::Opaque { choice: 0, what: "audio" },
        more(9, "lost"),
    ]);
    assert_eq!(checked(&stream).0.len(), 3);
}

fn error() -> ErrorOut<'static> {
    ErrorOut {
        status: 503,
        code: "server_is_overloaded",
        message: "all targets\nfailed",
        param: None,
        retry_after: None,
        trace: "t1",
        attempts: &[],
    }
}

#[test]
fn an_error_is_told_twice() {
    let (mut writer, mut out) = (writer(), Vec::new());
    writer.write(&event_text("so far"), &mut out);
    let before = out.len();
    writer.error(&error(), &mut out);
    let golden = include_str!("../../../tests/golden/dialects/responses/written-error.sse");
    assert_eq!(std::str::from_utf8(&out), Ok(golden));
    let length = out.len();
    writer.finish(&mut out);
    writer.error(&error(), &mut out);
    assert_eq!(out.len(), length, "nothing follows an error");
    let tail = frames(&out[before..]);
    let of =
        |frame: &Frame| -> Value { serde_json::from_slice(frame.data.as_ref().unwrap()).unwrap() };
    assert_eq!(tail.len(), 2);
    assert_eq!(tail[0].event.as_deref(), Some(&b"error"[..]));
    let flat = of(&tail[0]);
    assert_eq!((&flat["type"], &flat["sequence_number"]), (&json!("error"), &json!(5)));
    for told in [&flat, &flat["error"]] {
        assert_eq!(
            (&told["code"], &told["message"]),
            (&json!("server_is_overloaded"), &json!("all targets\nfailed"))
        );
        assert!(told.get("param").is_some());
    }
    assert_eq!(flat["error"]["type"], "server_error");
    assert_eq!(tail[1].event.as_deref(), Some(&b"response.failed"[..]));
    let failed = of(&tail[1]);
    assert_eq!(failed["sequence_number"], 6);
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["error"]["code"], "server_is_overloaded");
    assert_eq!(failed["response"]["output"][0]["content"][0]["text"], "so far");
}

/// Passes the first frames of a stream.
fn passed(stream: &str, count: usize) -> (Writer, Vec<u8>) {
    let (mut writer, mut out) = (writer(), Vec::new());
    let mut reader = Reader::passing(Dialect::Responses, 1);
    for frame in frames(stream.as_bytes()).iter().take(count) {
        let part = reader.read(frame, &[]);
        writer.pass(frame, &part, &mut out);
    }
    (writer, out)
}

#[test]
fn what_passes_is_not_touched() {
    let (mut writer, mut out) = passed(STREAM, usize::MAX);
    writer.finish(&mut out);
    writer.error(&error(), &mut out);
    assert_eq!(out, STREAM.as_bytes());
    let (mut writer, mut out) = passed(QUOTA, 3);
    let length = out.len();
    writer.finish(&mut out);
    assert_eq!(out.len(), length, "an error that passed is the end");
}

/// Wherever a stream breaks off, what continues it fits.
#[test]
fn a_stream_that_passed_is_continued() {
    let total = frames(STREAM.as_bytes()).len();
    for count in 1..total {
        let (mut writer, mut out) = passed(STREAM, count);
        let continuation =
            [begin(), event_text("and on"), call(0, "c", "h", false), end(Finish::ToolCalls)];
        for event in &continuation {
            writer.write(event, &mut out);
        }
        writer.finish(&mut out);
        let stream = String::from_utf8(out).unwrap();
        let (_, last) = checked_but_for_raw(&stream);
        assert_eq!((&last["id"], &last["model"]), (&json!("resp_1"), &json!("gpt-5.5")), "{count}");
        assert_eq!(last["created_at"], 1_763_700_000_u64);
        let text: String = read_back(&stream).choices[0].parts.iter().fold(
            String::new(),
            |all, part| match part {
                AnswerPart::Text(text) => all + text,
                AnswerPart::Thought { .. }
                | AnswerPart::Refusal(_)
                | AnswerPart::Call { .. }
                | AnswerPart::Opaque(_) => all,
            },
        );
        let first = match count {
            0..=13 => "",
            14 => "Let me",
            _ => "Let me look é.",
        };
        assert_eq!(text, format!("{first}and on"), "{count}");
    }
}

/// The terminal event repeats the items as they were told at their ends.
fn checked_but_for_raw(stream: &str) -> (Vec<Value>, Value) {
    let mut done: BTreeMap<u64, Value> = BTreeMap::new();
    let mut last = Value::Null;
    for (n, frame) in frames(stream.as_bytes()).iter().enumerate() {
        let event: Value = serde_json::from_slice(frame.data.as_ref().unwrap()).unwrap();
        assert_eq!(event["sequence_number"], n);
        if event["type"] == "response.output_item.done" {
            done.insert(event["output_index"].as_u64().unwrap(), event["item"].clone());
        }
        last = event.get("response").unwrap_or(&Value::Null).clone();
    }
    let done: Vec<Value> = done.into_values().collect();
    assert_eq!(last["output"], Value::Array(done.clone()));
    (done, last)
}

/// The text goes on in the part that the first provider opened.
#[test]
fn a_text_goes_on_in_its_part() {
    let (mut writer, mut out) = passed(STREAM, 14);
    let before = out.len();
    writer.write(&event_text(" look."), &mut out);
    let expected = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":14,\"item_id\":\"msg_1\",\"output_index\":1,\"content_index\":0,\"delta\":\" look.\",\"logprobs\":[]}\n\n";
    assert_eq!(std::str::from_utf8(&out[before..]), Ok(expected));
    writer.finish(&mut out);
    let stream = String::from_utf8(out).unwrap();
    let (done, last) = checked_but_for_raw(&stream);
    assert_eq!(done[1]["content"][0]["text"], "Let me look.");
    assert_eq!(last["output"][0]["encrypted_content"], "gAAAAAB=");
}

fn steps() -> impl Strategy<Value = Event> {
    prop_oneof![
        "\\PC{0,6}".prop_map(|text| event_text(&text)),
        "\\PC{0,6}".prop_map(|text| thought(&text, None)),
        "\\PC{1,6}".prop_map(|text| thought(&text, Some((Dialect::Responses, "enc")))),
        "\\PC{1,6}".prop_map(|text| Event::Refusal { choice: 0, text }),
        (0..4_u32, any::<bool>()).prop_map(|(n, free_text)| call(n, "c", "f", free_text)),
        (0..4_u32, "\\PC{0,6}").prop_map(|(n, fragment)| more(n, &fragment)),
    ]
}

proptest! {
    #[test]
    fn every_stream_is_sound(mut events in proptest::collection::vec(steps(), 0..20)) {
        // Each call begins once.
        let mut begun = Vec::new();
        events.retain(|event| match event {
            Event::CallBegin { call, .. } if begun.contains(call) => false,
            Event::CallBegin { call, .. } => {
                begun.push(*call);
                true
            }
            Event::Begin { .. } | Event::Text { .. } | Event::Thought { .. } | Event::Refusal { .. }
            | Event::CallArguments { .. } | Event::Opaque { .. } | Event::Finish { .. } | Event::Usage(_) => true,
        });
        let stream = written(&events);
        checked(&stream);
        let mut expected = Answer::of(events);
        let parts = expected.choices.pop().map(|choice| choice.parts).unwrap_or_default();
        let said = |parts: &[AnswerPart]| -> String {
            parts.iter().filter_map(|part| match part {
                AnswerPart::Text(text) => Some(&**text),
                AnswerPart::Thought { .. } | AnswerPart::Refusal(_) | AnswerPart::Call { .. } | AnswerPart::Opaque(_) => None,
            }).collect()
        };
        let again = read_back(&stream);
        prop_assert_eq!(said(&again.choices[0].parts), said(&parts));
    }

    #[test]
    fn no_frame_upsets_it(near in proptest::collection::vec("\\{\"type\":\"response\\.(created|output_item\\.(added|done)|content_part\\.added|output_text\\.delta|reasoning_summary_text\\.delta|function_call_arguments\\.delta)\"(,\"(item|delta|part|output_index|response|sequence_number)\":([0-9]|\"[a-z]{0,3}\"|\\{\"type\":\"(message|function_call|reasoning|x)\"\\})){0,4}\\}", 0..8), cut in any::<bool>()) {
        let (mut writer, mut out) = (writer(), Vec::new());
        for json in near {
            let frame = Frame::parse(Bytes::from(format!("data: {json}\n\n")));
            writer.pass(&frame, &FramePart::Lifecycle, &mut out);
        }
        for event in [thought("t", None), event_text("x"), call(0, "c", "f", false), more(0, "{}")] {
            writer.write(&event, &mut out);
        }
        if cut { writer.error(&error(), &mut out) } else { writer.finish(&mut out) }
        prop_assert!(out.ends_with(b"\n\n"));
        let last = frames(&out).pop().unwrap();
        let value: Result<Value, _> = serde_json::from_slice(&last.data.unwrap());
        prop_assert!(value.is_ok());
    }
}
