use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::dialect::hub::{Answer, Part as Piece};
use crate::dialect::stream::{Reader, events_of};
use crate::dialect::{Framer, errors};

fn head(framing: Framing) -> Head {
    Head {
        id: "trace".to_owned(),
        model: "asked".to_owned(),
        created: 7,
        include_usage: true,
        framing,
    }
}

fn written(events: &[Event], framing: Framing) -> String {
    let mut writer = Writer::new(head(framing));
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    writer.finish(&mut out);
    String::from_utf8(out).unwrap()
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

fn begin() -> Event {
    Event::Begin { id: "r1".to_owned(), model: "m1".to_owned() }
}

fn call(call: u32, name: &str, free_text: bool) -> Event {
    let id = format!("id{call}");
    Event::CallBegin { choice: 0, call, id, name: name.to_owned(), free_text, signature: None }
}

fn more(call: u32, fragment: &str) -> Event {
    Event::CallArguments { choice: 0, call, fragment: fragment.to_owned() }
}

fn end(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

fn usage(input: u32, output: u32) -> Event {
    Event::Usage(Usage { input: Some(input), output: Some(output), ..Usage::default() })
}

/// The parts and the finish reason of each object, one line each.
fn shown(stream: &str) -> Vec<String> {
    let objects = stream.split("\n\n").filter(|line| !line.is_empty());
    let objects = objects.map(|line| line.strip_prefix("data: ").expect("only data lines"));
    let shown = objects.map(|json| {
        let value: Value = serde_json::from_str(json).unwrap();
        let candidate = &value["candidates"][0];
        let finish = candidate["finishReason"].as_str().unwrap_or("");
        format!("{}{finish}", candidate["content"]["parts"])
    });
    shown.collect()
}

fn frames(text: &str) -> Vec<Frame> {
    let mut framer = Framer::default();
    framer.push(Bytes::from(text.to_owned()));
    std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
}

fn error() -> ErrorOut<'static> {
    ErrorOut {
        status: 503,
        code: "server_is_overloaded",
        message: "busy",
        param: None,
        retry_after: None,
        trace: "t",
        attempts: &[],
    }
}

const THINKING: &str =
    include_str!("../../../../tests/golden/dialects/gemini/stream-thinking-tools.sse");

#[test]
fn a_stream_of_text() {
    let events = [begin(), text("Hel"), text("lo\n"), end(Finish::Stop), usage(3, 4)];
    let expected = include_str!("../../../../tests/golden/dialects/gemini/written-text.sse");
    assert_eq!(written(&events, Framing::Sse), expected);
}

#[test]
fn calls_are_written_whole() {
    let events = [
        begin(),
        call(0, "f", false),
        more(0, "{\"a\""),
        call(1, "g", false),
        more(1, "{}"),
        more(0, ":[1,\n2]}"),
        call(2, "h", true),
        more(2, "free "),
        text("so"),
        more(2, "text"),
        call(3, "i", false),
        more(3, "{broken"),
        call(4, "j", false),
        end(Finish::ToolCalls),
    ];
    let expected = [
        r#"[{"functionCall":{"id":"id0","name":"f","args":{"a":[1,2]}}},{"functionCall":{"id":"id1","name":"g","args":{}}}]"#,
        r#"[{"text":"so"}]"#,
        r#"[{"functionCall":{"id":"id2","name":"h","args":{"input":"free text"}}},{"functionCall":{"id":"id3","name":"i","args":{"_raw":"{broken"}}},{"functionCall":{"id":"id4","name":"j","args":{}}}]"#,
        r#"[{"text":""}]STOP"#,
    ];
    assert_eq!(shown(&written(&events, Framing::Sse)), expected);
}

#[test]
fn refusals_and_what_is_left_out() {
    let refusal = Event::Refusal { choice: 0, text: "no".to_owned() };
    let opaque = Event::Opaque { choice: 0, what: "citations" };
    let seen = written(&[refusal, opaque, text(""), end(Finish::Refusal)], Framing::Sse);
    assert_eq!(shown(&seen), [r#"[{"text":"no"}]"#, r#"[{"text":""}]STOP"#]);
    let seen = written(&[end(Finish::Refusal)], Framing::Sse);
    assert_eq!(shown(&seen), [r#"[{"text":""}]SAFETY"#]);
}

#[test]
fn an_array_is_json() {
    let check = |events: &[Event], length: usize| {
        let seen = written(events, Framing::Array);
        let value: Value = serde_json::from_str(&seen).unwrap();
        assert_eq!(value.as_array().unwrap().len(), length, "{seen}");
    };
    check(&[], 0);
    check(&[begin(), text("a"), text("b"), end(Finish::Stop)], 3);

    let mut writer = Writer::new(head(Framing::Array));
    let mut out = Vec::new();
    for frame in frames(THINKING) {
        writer.pass(&frame, &Part::Lifecycle, &mut out);
    }
    writer.error(&error(), &mut out);
    writer.write(&text("late"), &mut out);
    writer.finish(&mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    let elements = value.as_array().unwrap();
    assert_eq!(elements.len(), 6);
    assert_eq!(elements[5]["error"]["status"], "UNAVAILABLE");
}

#[test]
fn what_passes_is_as_it_came() {
    let mut writer = Writer::new(head(Framing::Sse));
    let mut out = Vec::new();
    for frame in frames(THINKING) {
        writer.pass(&frame, &Part::Lifecycle, &mut out);
    }
    let comment = Frame::parse(Bytes::from_static(b": ping\n\n"));
    writer.pass(&comment, &Part::Comment, &mut out);
    writer.finish(&mut out);
    assert_eq!(std::str::from_utf8(&out), Ok(THINKING));

    // But for what the Python SDK cannot read.
    for odd in ["data:{}\n\n", ": x\ndata: {}\n\n", "event: e\ndata: {}\n\n", "data: {}\nid: 7\n\n"]
    {
        let mut writer = Writer::new(head(Framing::Sse));
        let mut out = Vec::new();
        writer.pass(&frames(odd)[0], &Part::Lifecycle, &mut out);
        assert_eq!(std::str::from_utf8(&out), Ok("data: {}\n\n"), "{odd:?}");
    }
}

#[test]
fn events_continue_what_passed() {
    let mut writer = Writer::new(head(Framing::Sse));
    let mut out = Vec::new();
    writer.pass(&frames(THINKING)[1], &Part::Lifecycle, &mut out);
    let before = out.len();
    let other = Event::Begin { id: "other".to_owned(), model: "other".to_owned() };
    for event in [other, text("more"), end(Finish::Stop), usage(1, 2)] {
        writer.write(&event, &mut out);
    }
    writer.finish(&mut out);
    let added = std::str::from_utf8(&out[before..]).unwrap();
    assert_eq!(shown(added), [r#"[{"text":"more"}]"#, r#"[{"text":""}]STOP"#]);
    for frame in frames(added) {
        let value: Value = serde_json::from_slice(&frame.data.unwrap()).unwrap();
        assert_eq!(value["responseId"], "kQ0aaYbXN5");
        assert_eq!(value["modelVersion"], "gemini-3.1-pro");
    }
    assert!(added.contains(r#""totalTokenCount":3"#));
}

#[test]
fn an_error_is_the_last_event() {
    let mut writer = Writer::new(head(Framing::Sse));
    let mut out = Vec::new();
    writer.write(&text("a"), &mut out);
    writer.write(&call(0, "f", false), &mut out);
    let before = out.len();
    writer.error(&error(), &mut out);
    writer.finish(&mut out);
    let frames = frames(std::str::from_utf8(&out[before..]).unwrap());
    assert_eq!(frames.len(), 1);
    let reply = errors::hidden_error(
        super::super::ERRORS,
        std::str::from_utf8(frames[0].data.as_ref().unwrap()).unwrap(),
        &[],
    );
    assert_eq!((reply.class.label(), &*reply.message), ("overloaded", "busy"));
}

#[test]
fn what_is_written_reads_like_any_stream() {
    let events: Vec<Event> = events_of(Dialect::Gemini, &frames(THINKING)).concat();
    let again = written(&events, Framing::Sse);
    let seen: Vec<Event> = events_of(Dialect::Gemini, &frames(&again)).concat();
    assert_eq!(Answer::of(seen), Answer::of(events));
    let mut reader = Reader::passing(Dialect::Gemini, 1);
    for frame in frames(&again) {
        reader.read(&frame, &[]);
    }
    assert!(reader.completed());
}

fn event() -> impl Strategy<Value = Event> {
    let finish = prop_oneof![Just(Finish::Stop), Just(Finish::Length), Just(Finish::ToolCalls)];
    prop_oneof![
        (0..3_u32, "\\PC{0,6}").prop_map(|(choice, text)| Event::Text { choice, text }),
        (0..3_u32, "\\PC{0,6}").prop_map(|(choice, text)| Event::Refusal { choice, text }),
        (0..200_u32, 0..2_u32, any::<bool>()).prop_map(|(choice, call, free_text)| {
            let (id, name) = (String::new(), "f".to_owned());
            Event::CallBegin { choice, call, id, name, free_text, signature: None }
        }),
        (0..3_u32, 0..3_u32, "[\\{\\}\"a:\n]{0,6}")
            .prop_map(|(choice, call, fragment)| Event::CallArguments { choice, call, fragment }),
        (0..200_u32, finish).prop_map(|(choice, finish)| Event::Finish { choice, finish }),
    ]
}

proptest! {
    #[test]
    fn any_events_make_a_valid_stream(events in proptest::collection::vec(event(), 0..20)) {
        let array: Value = serde_json::from_str(&written(&events, Framing::Array)).unwrap();
        let stream = written(&events, Framing::Sse);
        let frames = frames(&stream);
        prop_assert_eq!(array.as_array().unwrap().len(), frames.len());
        prop_assert!(!stream.contains('\r') && !stream.contains("\n:"));
        let mut expected = String::new();
        for event in &events {
            if let Event::Text { choice: 0, text } | Event::Refusal { choice: 0, text } = event {
                expected.push_str(text);
            }
        }
        let seen = Answer::of(events_of(Dialect::Gemini, &frames).concat());
        let parts = seen.choices.first().map(|first| &first.parts[..]).unwrap_or_default();
        let mut said = String::new();
        for part in parts {
            if let Piece::Text(text) = part {
                said.push_str(text);
            }
        }
        prop_assert_eq!(said, expected);
    }
}
