use bytes::Bytes;
use proptest::prelude::*;

use super::head;
use crate::dialect::anthropic::{Decoder, Writer};
use crate::dialect::hub::{Answer, Event, Finish, Usage};
use crate::dialect::sse::{Frame, Framer};
use crate::dialect::stream::{Decoded, Part, Reader};
use crate::dialect::{Dialect, ErrorOut};

const GOLDEN: &str = include_str!("../../../../tests/golden/dialects/anthropic/stream.sse");

fn frames(stream: &[u8]) -> Vec<Frame> {
    let mut framer = Framer::default();
    framer.push(Bytes::copy_from_slice(stream));
    std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
}

/// Decodes events, given as their data.
fn decode(data: &[&str]) -> (Vec<Event>, Vec<Decoded>) {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let results = data.iter().map(|data| {
        let frame = Frame::parse(Bytes::from(format!("data: {data}\n\n")));
        decoder.decode(&frame, &[], &mut events)
    });
    let results = results.collect();
    (events, results)
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

fn thought(text: &str, signature: Option<&str>) -> Event {
    let signature = signature.map(|proof| (Dialect::Anthropic, proof.to_owned()));
    Event::Thought { choice: 0, text: text.to_owned(), signature, redacted: false }
}

fn begin() -> Event {
    Event::Begin { id: "msg_1".to_owned(), model: "m".to_owned() }
}

fn call(call: u32, id: &str, name: &str) -> Event {
    let (id, name) = (id.to_owned(), name.to_owned());
    Event::CallBegin { choice: 0, call, id, name, free_text: false, signature: None }
}

fn more(call: u32, fragment: &str) -> Event {
    Event::CallArguments { choice: 0, call, fragment: fragment.to_owned() }
}

fn stop(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

#[test]
fn the_golden_stream_is_read() {
    let mut reader =
        Reader::decoding(Dialect::Anthropic, 1, crate::dialect::hub::Legend::default());
    let mut events = Vec::new();
    let mut parts = Vec::new();
    for frame in frames(GOLDEN.as_bytes()) {
        parts.push(reader.read(&frame, &[]));
        events.extend(reader.take_events());
    }
    assert_eq!(
        (&parts[0], &parts[1], &parts[2]),
        (&Part::Lifecycle, &Part::Lifecycle, &Part::Comment)
    );
    assert!(matches!(parts[3], Part::Content(content) if content.continuable));
    assert_eq!(parts[parts.len() - 2], Part::Finish(None));
    assert_eq!(parts[parts.len() - 1], Part::Done);
    assert!(reader.completed() && !reader.ended());
    assert_eq!(reader.answer().text, "I'll \"look\" é\n");
    let usage = Usage {
        input: Some(3915),
        cached: Some(1800),
        cache_written: Some(20),
        output: Some(89),
        reasoning: None,
    };
    let expected = [
        Event::Begin { id: "msg_01Golden".into(), model: "claude-sonnet-5".into() },
        thought("The user wants ", None),
        thought("the weather.", None),
        thought("", Some("EqQBCkYIBxgCKkA=")),
        text("I'll \"look\" "),
        text("é\n"),
        call(0, "toolu_01A", "weather"),
        more(0, "{\"city\": \"Par"),
        more(0, "is\"}"),
        call(1, "toolu_01B", "now"),
        stop(Finish::ToolCalls),
        Event::Usage(usage),
    ];
    assert_eq!(events, expected);
}

#[test]
fn every_event_is_read() {
    let check = |data: &[&str], expected: &[Event]| {
        let (events, decoded) = decode(data);
        assert_eq!(events, expected, "{data:?}");
        assert!(decoded.iter().all(|decoded| *decoded == Decoded::Events), "{decoded:?}");
    };
    let start = |block: &str| {
        format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#)
    };
    let delta =
        |delta: &str| format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#);
    let end = r#"{"type":"content_block_stop","index":0}"#;
    let opaque = |what| Event::Opaque { choice: 0, what };
    check(&[&start(r#"{"type":"text","text":"a"}"#)], &[text("a")]);
    let redacted = Event::Thought {
        choice: 0,
        text: String::new(),
        signature: Some((Dialect::Anthropic, "d".to_owned())),
        redacted: true,
    };
    check(&[&start(r#"{"type":"redacted_thinking","data":"d"}"#), end], &[redacted]);
    let server = start(r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#);
    let input = delta(r#"{"type":"input_json_delta","partial_json":"{}"}"#);
    check(&[&server, &input, end], &[opaque("server_tool_use")]);
    check(
        &[&start(r#"{"type":"web_search_tool_result","content":[]}"#)],
        &[opaque("server_tool_result")],
    );
    check(&[&start(r#"{"type":"fallback"}"#)], &[opaque("fallback")]);
    check(&[&start(r#"{"type":"hologram"}"#)], &[opaque("unknown_block")]);
    check(&[&delta(r#"{"type":"citations_delta","citation":{}}"#)], &[opaque("citations")]);
    check(&[&delta(r#"{"type":"hologram_delta"}"#)], &[opaque("unknown_delta")]);
    check(&[&delta(r#"{"type":"text_delta","text":""}"#)], &[]);
    check(&[r#"{"type":"next_year"}"#], &[]);
    // Servers that send the arguments at once, with or without deltas as well.
    let whole = start(r#"{"type":"tool_use","id":"i","name":"f","input":{"a":1}}"#);
    check(&[&whole, end], &[call(0, "i", "f"), more(0, r#"{"a":1}"#)]);
    check(&[&whole, &input, end], &[call(0, "i", "f"), more(0, "{}")]);
    let refused = r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"explanation":"no"}}}"#;
    check(
        &[refused],
        &[Event::Refusal { choice: 0, text: "no".to_owned() }, stop(Finish::Refusal)],
    );
}

#[test]
fn what_is_no_event_is_told_apart() {
    let check = |data: &str, expected: &str| {
        let (events, decoded) = decode(&[data]);
        let seen = match &decoded[0] {
            Decoded::Nothing => "nothing".to_owned(),
            Decoded::Done => "done".to_owned(),
            Decoded::Error(reply) => reply.class.label().to_owned(),
            Decoded::Malformed(_) => "malformed".to_owned(),
            Decoded::Events | Decoded::Last => "events".to_owned(),
        };
        assert_eq!((&*seen, events.len()), (expected, 0), "{data}");
    };
    check("", "nothing");
    check("[DONE]", "nothing");
    check(r#"{"type":"ping"}"#, "nothing");
    check(r#"{"type":"message_stop"}"#, "done");
    check(
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        "overloaded",
    );
    check(r#"{"error":{"type":"api_error"}}"#, "server-error");
    check("{\"type\":", "malformed");
    check(r#"{"choices":[]}"#, "malformed");
    check("7", "malformed");
    let frame = Frame::parse(Bytes::from_static(b"event: error\ndata: it broke\n\n"));
    let seen = Decoder::default().decode(&frame, &[], &mut Vec::new());
    assert!(matches!(seen, Decoded::Error(_)));
}

/// What a writer makes of events, each frame as `name data`.
fn write(events: &[Event], finish: bool) -> Vec<String> {
    let mut writer = Writer::new(head());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    if finish {
        writer.finish(&mut out);
    }
    told(&out)
}

fn told(out: &[u8]) -> Vec<String> {
    let frame = |frame: Frame| {
        let name = String::from_utf8(frame.event.unwrap().to_vec()).unwrap();
        let data = String::from_utf8(frame.data.unwrap().to_vec()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(value["type"], *name);
        let index = value["index"].as_u64().map(|n| format!(" {n}")).unwrap_or_default();
        let detail = match &*name {
            "content_block_start" => {
                let block = &value["content_block"];
                let words = ["type", "name", "id", "data"].map(|key| block[key].as_str());
                words.into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            "content_block_delta" => {
                let delta = &value["delta"];
                let keys = ["text", "thinking", "partial_json", "signature"];
                keys.iter().find_map(|key| delta[*key].as_str()).unwrap().to_owned()
            }
            "message_start" => value["message"]["id"].as_str().unwrap().to_owned(),
            "message_delta" => {
                format!("{} {}", value["delta"]["stop_reason"].as_str().unwrap(), value["usage"])
            }
            _ => String::new(),
        };
        format!("{}{index} {detail}", name.replace("content_block_", ""))
    };
    frames(out).into_iter().map(frame).collect()
}

#[test]
fn the_golden_stream_is_written_as_it_was_read() {
    let mut reader =
        Reader::decoding(Dialect::Anthropic, 1, crate::dialect::hub::Legend::default());
    let mut writer = Writer::new(head());
    let mut out = Vec::new();
    for frame in frames(GOLDEN.as_bytes()) {
        reader.read(&frame, &[]);
        for event in reader.take_events() {
            writer.write(&event, &mut out);
        }
    }
    writer.finish(&mut out);
    // What the hub does not keep: pings, empty deltas, and that the input's
    // counts came first.
    let kept = |frame: &Frame| {
        let data = std::str::from_utf8(frame.data.as_deref().unwrap()).unwrap();
        !data.contains("ping") && !data.contains(r#""partial_json":"""#)
    };
    let expected: Vec<String> = frames(GOLDEN.as_bytes())
        .into_iter()
        .filter(kept)
        .map(|frame| String::from_utf8(frame.bytes.to_vec()).unwrap())
        .collect();
    let counts = r#""usage":{"input_tokens":2095,"cache_creation_input_tokens":20,"cache_read_input_tokens":1800,"output_tokens":1}"#;
    let expected = expected
        .concat()
        .replace(counts, r#""usage":{"input_tokens":0,"output_tokens":0}"#)
        .replace(
            r#""usage":{"output_tokens":89}"#,
            r#""usage":{"input_tokens":2095,"cache_creation_input_tokens":20,"cache_read_input_tokens":1800,"output_tokens":89}"#,
        );
    assert_eq!(std::str::from_utf8(&out), Ok(&*expected));
}

#[test]
fn blocks_are_opened_and_closed() {
    let check = |events: &[Event], expected: &[&str]| {
        assert_eq!(write(events, true), expected, "{events:?}");
    };
    let end = |reason: &str| format!("message_delta {reason} {{\"output_tokens\":0}}");
    check(&[], &["message_start msg_t1", &end("end_turn"), "message_stop "]);
    check(
        &[
            begin(),
            begin(),
            text(""),
            thought("a", None),
            text("b"),
            text("c"),
            stop(Finish::Length),
        ],
        &[
            "message_start msg_1",
            "start 0 thinking",
            "delta 0 a",
            "stop 0 ",
            "start 1 text",
            "delta 1 b",
            "delta 1 c",
            "stop 1 ",
            &end("max_tokens"),
            "message_stop ",
        ],
    );
}

#[test]
fn thoughts_are_closed_by_their_signature() {
    let end = "message_delta end_turn {\"output_tokens\":0}";
    // Signed thoughts are closed; what another provider hid is nobody's.
    let hidden = |by| Event::Thought {
        choice: 0,
        text: String::new(),
        signature: Some((by, "d".to_owned())),
        redacted: true,
    };
    let foreign = Event::Thought {
        choice: 0,
        text: String::new(),
        signature: Some((Dialect::Gemini, "g".to_owned())),
        redacted: false,
    };
    let seen = write(
        &[
            begin(),
            thought("a", Some("s")),
            thought("b", None),
            foreign,
            hidden(Dialect::Responses),
            hidden(Dialect::Anthropic),
        ],
        true,
    );
    assert_eq!(
        seen,
        [
            "message_start msg_1",
            "start 0 thinking",
            "delta 0 a",
            "delta 0 s",
            "stop 0 ",
            "start 1 thinking",
            "delta 1 b",
            "stop 1 ",
            "start 2 redacted_thinking d",
            "stop 2 ",
            end,
            "message_stop ",
        ],
    );
}

#[test]
fn there_is_one_choice_and_a_refusal_is_words() {
    let other = Event::Text { choice: 1, text: "x".to_owned() };
    let refusal = Event::Refusal { choice: 0, text: "no".to_owned() };
    let seen = write(
        &[other, Event::Opaque { choice: 0, what: "audio" }, refusal, stop(Finish::Stop)],
        true,
    );
    assert_eq!(
        seen,
        [
            "message_start msg_t1",
            "start 0 text",
            "delta 0 no",
            "stop 0 ",
            "message_delta refusal {\"output_tokens\":0}",
            "message_stop ",
        ],
    );
}

#[test]
fn calls_come_one_after_the_other() {
    let check = |events: &[Event], expected: &[&str]| {
        let seen = write(events, true);
        let calls: Vec<&str> = seen[1..seen.len() - 2].iter().map(|s| &**s).collect();
        assert_eq!(calls, expected, "{events:?}");
        assert!(seen[seen.len() - 2].starts_with("message_delta tool_use"));
    };
    let first = ["start 0 tool_use f a", "delta 0 {\"x\":", "delta 0 \"}\"}", "stop 0 "];
    let second = ["start 1 tool_use g b", "delta 1 {}", "stop 1 "];
    let both = [&first[..], &second].concat();
    // In order, the second begins as soon as the first is complete.
    let ordered = [
        call(0, "a", "f"),
        more(0, "{\"x\":"),
        more(0, "\"}\"}"),
        call(1, "b", "g"),
        more(1, "{}"),
    ];
    check(&ordered, &both);
    assert_eq!(write(&ordered, false)[5], "start 1 tool_use g b");
    // Interleaved.
    let interleaved = [
        call(0, "a", "f"),
        call(1, "b", "g"),
        more(0, "{\"x\":"),
        more(1, "{"),
        more(1, "}"),
        more(0, "\"}\"}"),
        stop(Finish::Stop),
    ];
    check(&interleaved, &both);
    // Without arguments, and with a text between.
    check(
        &[call(0, "a", "f"), text("t"), call(1, "", "g"), stop(Finish::ToolCalls)],
        &[
            "start 0 tool_use f a",
            "stop 0 ",
            "start 1 text",
            "delta 1 t",
            "stop 1 ",
            "start 2 tool_use g toolu_t1_1",
            "stop 2 ",
        ],
    );
    let free = Event::CallBegin {
        choice: 0,
        call: 0,
        id: "a".to_owned(),
        name: "f".to_owned(),
        free_text: true,
        signature: None,
    };
    check(
        &[free, more(0, "x\n"), more(0, "\"}")],
        &[
            "start 0 tool_use f a",
            "delta 0 {\"input\":\"",
            "delta 0 x\\n",
            "delta 0 \\\"}",
            "delta 0 \"}",
            "stop 0 ",
        ],
    );
    // What waits is bounded.
    let mut flood = vec![call(0, "a", "f")];
    flood.extend((0..3000).flat_map(|n| [call(n + 1, "b", "g"), more(n + 1, "{}")]));
    assert!(write(&flood, false).len() > 3000);
}

#[test]
fn the_reason_and_the_counts_come_together() {
    let usage =
        |output| Event::Usage(Usage { input: Some(7), output: Some(output), ..Usage::default() });
    let told = r#"message_delta end_turn {"input_tokens":7,"output_tokens":3}"#;
    let after = write(&[begin(), stop(Finish::Stop), usage(3)], false);
    assert_eq!(after.last().unwrap(), told);
    let before = write(&[begin(), usage(2), usage(3), stop(Finish::Stop)], false);
    assert_eq!(before, ["message_start msg_1"]);
    let finished = write(&[begin(), usage(2), usage(3), stop(Finish::Stop)], true);
    assert_eq!(finished[1..], [told, "message_stop "]);
    let twice = write(&[begin(), stop(Finish::Stop), usage(3), usage(3)], true);
    assert_eq!(twice[1..], [told, "message_stop "]);
    // What waits for an open call comes before them.
    let late = write(&[stop(Finish::Length), call(0, "a", "f"), text("t"), usage(3)], true);
    assert_eq!(late[4..6], ["delta 1 t", "stop 1 "]);
    assert!(late[6].starts_with("message_delta max_tokens"));
}

#[test]
fn an_error_is_the_end() {
    let error = ErrorOut {
        status: 503,
        code: "server_is_overloaded",
        message: "all\ngone",
        param: None,
        retry_after: None,
        trace: "t",
        attempts: &[],
    };
    let mut writer = Writer::new(head());
    let mut out = Vec::new();
    writer.write(&text("a"), &mut out);
    writer.error(&error, &mut out);
    writer.finish(&mut out);
    writer.write(&text("b"), &mut out);
    writer.error(&error, &mut out);
    let seen = told(&out);
    assert_eq!(seen[1..], ["start 0 text", "delta 0 a", "error "]);
    let text = std::str::from_utf8(&out).unwrap();
    assert!(text.contains(
        "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\""
    ));
}

/// The golden stream passes up to and without its nth event; then come events.
fn passed(count: usize, events: &[Event]) -> Vec<String> {
    let mut reader = Reader::passing(Dialect::Anthropic, 1);
    let mut writer = Writer::new(head());
    let mut out = Vec::new();
    for frame in frames(GOLDEN.as_bytes()).iter().take(count) {
        let part = reader.read(frame, &[]);
        writer.pass(frame, &part, &mut out);
    }
    let length: usize = frames(GOLDEN.as_bytes()).iter().take(count).map(|f| f.bytes.len()).sum();
    assert_eq!(&out[..], &GOLDEN.as_bytes()[..length]);
    for event in events {
        writer.write(event, &mut out);
    }
    writer.finish(&mut out);
    told(&out[length..])
}

#[test]
fn an_answer_that_passed_is_continued() {
    let check = |count, expected: &[&str]| {
        let seen = passed(count, &[begin(), text("x"), stop(Finish::Stop)]);
        assert_eq!(seen, expected, "{count}");
    };
    let end = ["message_delta end_turn {\"output_tokens\":0}", "message_stop "];
    // Within the text: in the same block.
    check(9, &["delta 1 x", "stop 1 ", end[0], end[1]]);
    // Within the thought, and after it: in the next.
    check(4, &["stop 0 ", "start 1 text", "delta 1 x", "stop 1 ", end[0], end[1]]);
    check(7, &["start 1 text", "delta 1 x", "stop 1 ", end[0], end[1]]);
    // Before anything, and after everything.
    check(0, &["message_start msg_1", "start 0 text", "delta 0 x", "stop 0 ", end[0], end[1]]);
    let all = frames(GOLDEN.as_bytes()).len();
    assert_eq!(passed(all - 1, &[]), ["message_stop "]);
    let told = passed(all - 2, &[]);
    assert_eq!(told, ["message_delta tool_use {\"output_tokens\":0}", "message_stop "]);
    // The provider's own terminator waits for the end, and is nobody else's.
    let mut writer = Writer::new(head());
    let mut out = Vec::new();
    let own =
        GOLDEN.replace(r#"{"type":"message_stop"}"#, r#"{"type":"message_stop","x":{"y": 1}}"#);
    let mut reader = Reader::passing(Dialect::Anthropic, 1);
    for frame in frames(own.as_bytes()) {
        let part = reader.read(&frame, &[]);
        writer.pass(&frame, &part, &mut out);
    }
    assert!(!out.is_empty() && !std::str::from_utf8(&out).unwrap().contains("message_stop"));
    writer.write(&text("late"), &mut out);
    writer.finish(&mut out);
    writer.finish(&mut out);
    assert_eq!(std::str::from_utf8(&out), Ok(&*own));
}

fn any_event() -> impl Strategy<Value = Event> {
    let words = "[a-c\"\\\\{}é\n]{0,6}";
    prop_oneof![
        words.prop_map(|words| text(&words)),
        (words, proptest::option::of("[a-c]{1,3}"))
            .prop_map(|(words, proof)| thought(&words, proof.as_deref())),
        (0..3_u32, "[a-c]{0,2}").prop_map(|(n, name)| call(n, "", &name)),
        (0..3_u32, words).prop_map(|(n, words)| more(n, &words)),
        Just(stop(Finish::Stop)),
        Just(Event::Usage(Usage { output: Some(1), ..Usage::default() })),
        Just(begin()),
    ]
}

proptest! {
    /// Whatever comes: one beginning, one end, blocks in order and closed.
    #[test]
    fn every_stream_is_well_formed(events in proptest::collection::vec(any_event(), 0..20)) {
        let seen = write(&events, true);
        prop_assert!(seen[0].starts_with("message_start"));
        prop_assert!(seen[seen.len() - 2].starts_with("message_delta"));
        prop_assert_eq!(&seen[seen.len() - 1], "message_stop ");
        let mut open = None;
        let mut next = 0_u32;
        for line in &seen[1..seen.len() - 2] {
            let mut words = line.split(' ');
            let (kind, index) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
            match kind {
                "start" => {
                    prop_assert_eq!((open, index), (None, next));
                    open = Some(index);
                    next += 1;
                }
                "delta" => prop_assert_eq!(open, Some(index)),
                "stop" => prop_assert_eq!(open.take(), Some(index)),
                other => prop_assert!(false, "{}", other),
            }
        }
        prop_assert_eq!(open, None);
    }

    #[test]
    fn no_text_is_lost(events in proptest::collection::vec(any_event(), 0..20)) {
        let open = |event: &&Event| !matches!(event, Event::Finish { .. });
        let events: Vec<Event> = events.iter().filter(open).cloned().collect();
        let mut writer = Writer::new(head());
        let mut out = Vec::new();
        for event in &events {
            writer.write(event, &mut out);
        }
        writer.finish(&mut out);
        let mut reader = Reader::passing(Dialect::Anthropic, 1);
        for frame in &frames(&out) {
            reader.read(frame, &[]);
        }
        prop_assert_eq!(&reader.answer().text, &Answer::of(events).text().text);
    }

    #[test]
    fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..60), near in "\\{\"type\":\"(message_start|content_block_start|content_block_delta|content_block_stop|message_delta)\",\"(index|delta|content_block|message|usage)\":[\\{\\}\\[\\]\"0-9a-z:,_]{0,30}\\}") {
        let mut decoder = Decoder::default();
        let mut writer = Writer::new(head());
        for data in [&data[..], near.as_bytes()] {
            let bytes = [b"data: ", data, b"\n\n"].concat();
            let frame = Frame::parse(Bytes::from(bytes));
            let _ = decoder.decode(&frame, &[], &mut Vec::new());
            writer.pass(&frame, &Part::Lifecycle, &mut Vec::new());
        }
    }
}
