use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::dialect::hub::Answer;

/// An event in short.
fn shown(event: &Event) -> String {
    let proof = |signature: &Option<(Dialect, String)>| match signature {
        Some((by, value)) => format!(" {}:{value}", by.label()),
        None => String::new(),
    };
    match event {
        Event::Begin { id, model } => format!("begin {id} {model}"),
        Event::Text { choice, text } => format!("{choice} text {text}"),
        Event::Thought { choice, text, .. } => format!("{choice} thought {text}"),
        Event::Refusal { choice, text } => format!("{choice} refusal {text}"),
        Event::CallBegin { choice, call, id, name, free_text, signature } => {
            let kind = if *free_text { "free" } else { "call" };
            format!("{choice} {kind} {call} [{id}] {name}{}", proof(signature))
        }
        Event::CallArguments { choice, call, fragment } => {
            format!("{choice} arguments {call} {fragment}")
        }
        Event::Opaque { choice, what } => format!("{choice} opaque {what}"),
        Event::Finish { choice, finish } => format!("{choice} finish {finish:?}"),
        Event::Usage(usage) => {
            let Usage { input, cached, cache_written, output, reasoning } = usage;
            let counts = [*input, *cached, *cache_written, *output, *reasoning];
            let counts = counts.map(|count| count.map_or("-".to_owned(), |n| n.to_string()));
            format!("usage {}", counts.join(" "))
        }
    }
}

/// What comes of some frames' data: events in short, and every end.
fn decoded(frames: &[&str]) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for data in frames {
        let mut events = Vec::new();
        let frame = Frame::parse(crate::dialect::sse::event(data));
        let end = decoder.decode(&frame, &[], &mut events);
        seen.extend(events.iter().map(shown));
        match end {
            Decoded::Nothing | Decoded::Events => {}
            Decoded::Last => seen.push("last".to_owned()),
            Decoded::Done => seen.push("done".to_owned()),
            Decoded::Error(reply) => seen.push(format!("error {}", reply.class.label())),
            Decoded::Malformed(_) => seen.push("malformed".to_owned()),
        }
    }
    seen
}

fn check(frames: &[&str], expected: &[&str]) {
    assert_eq!(decoded(frames), expected, "{frames:?}");
}

/// One delta of the first choice.
fn delta(delta: &str, expected: &[&str]) {
    let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#);
    let mut all = vec!["begin  "];
    all.extend(expected);
    check(&[&chunk], &all);
}

#[test]
fn a_text_stream() {
    check(
        &[
            r#"{"id":"","model":"","choices":[],"prompt_filter_results":[{}]}"#,
            r#"{"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":"\"\u00e9"}}],"obfuscation":"x"}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}}"#,
            "[DONE]",
        ],
        &["begin c1 m", "0 text Hé", "0 text \"é", "0 finish Stop", "usage 9 4 1 5 2", "done"],
    );
}

#[test]
fn deltas_of_every_kind() {
    delta("null", &[]);
    delta(r#"{"content":null,"tool_calls":[],"reasoning_content":null}"#, &[]);
    delta(r#"{"reasoning_content":"hm"}"#, &["0 thought hm"]);
    delta(r#"{"reasoning":"hm","reasoning_details":[{}]}"#, &["0 thought hm"]);
    delta(r#"{"reasoning_details":[{}],"reasoning":"hm"}"#, &["0 thought hm"]);
    delta(
        r#"{"reasoning_content":"a","reasoning":"a","content":"b"}"#,
        &["0 thought a", "0 text b"],
    );
    delta(r#"{"reasoning_details":[{"type":"reasoning.encrypted"}]}"#, &[]);
    delta(r#"{"refusal":"I cannot"}"#, &["0 refusal I cannot"]);
    delta(r#"{"audio":{"data":"x"}}"#, &["0 opaque audio"]);
    delta(r#"{"annotations":[{"type":"url_citation"}]}"#, &["0 opaque annotations"]);
    delta(r#"{"new_thing":1}"#, &["0 opaque other"]);
    delta(
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"},{"text":"m"}]},{"type":"text","text":"abc"},{"type":"reference"}]}"#,
        &["0 thought hm", "0 text abc", "0 opaque other"],
    );
    delta(r#"{"content":"\ud83d"}"#, &["0 text \u{fffd}"]);
    delta(r#"{"content":7}"#, &[]);
}

/// Pieces of tool calls, a frame each, and what they become.
fn check_calls(pieces: &[&str], expected: &[&str]) {
    let call = |json: &&str| {
        format!(
            r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{{"tool_calls":[{json}]}}}}]}}"#
        )
    };
    let frames: Vec<String> = pieces.iter().map(call).collect();
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;
    let mut frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    frames.push(end);
    let mut all = vec!["begin c m"];
    all.extend(expected);
    all.push("0 finish ToolCalls");
    check(&frames, &all);
}

#[test]
fn calls_are_told_when_their_names_are_complete() {
    // Interleaved.
    check_calls(
        &[
            r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}"#,
            r#"{"index":1,"id":"b","type":"function","function":{"name":"g"}}"#,
            r#"{"index":0,"function":{"arguments":"{\"x\":"}}"#,
            r#"{"index":1,"function":{"arguments":"[]"}}"#,
            r#"{"index":0,"function":{"arguments":"1}"}}"#,
        ],
        &[
            "0 call 0 [a] f",
            "0 arguments 0 {\"x\":",
            "0 call 1 [b] g",
            "0 arguments 1 []",
            "0 arguments 0 1}",
        ],
    );
    // A name in pieces, and one that is repeated.
    check_calls(
        &[
            r#"{"index":0,"id":"a","function":{"name":"loo"}}"#,
            r#"{"index":0,"function":{"name":"kup","arguments":"{}"}}"#,
            r#"{"index":1,"id":"b","function":{"name":"g"}}"#,
            r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}"#,
            r#"{"index":1,"id":"b","function":{"name":"g","arguments":"}"}}"#,
        ],
        &[
            "0 call 0 [a] lookup",
            "0 arguments 0 {}",
            "0 call 1 [b] g",
            "0 arguments 1 {",
            "0 arguments 1 }",
        ],
    );
}

#[test]
fn calls_of_odd_servers() {
    // All at once, without an index, as an object; all with the same index.
    check_calls(
        &[
            r#"{"id":"a","function":{"name":"f","arguments":{"y":2}}},{"function":{"name":"g"}}"#,
            r#"{"function":{"arguments":"{}"}}"#,
        ],
        &["0 call 0 [a] f", "0 arguments 0 {\"y\":2}", "0 call 1 [] g", "0 arguments 1 {}"],
    );
    check_calls(
        &[
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}"#,
            r#"{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}"#,
        ],
        &["0 call 0 [a] f gemini:s", "0 arguments 0 {}", "0 call 1 [b] f", "0 arguments 1 {}"],
    );
    check_calls(
        &[r#"{"index":0,"id":"a","type":"custom","custom":{"name":"sh","input":"ls -l"}}"#],
        &["0 free 0 [a] sh", "0 arguments 0 ls -l"],
    );
    // Without arguments at all.
    check_calls(&[r#"{"index":0,"id":"a","function":{"name":"now"}}"#, "7"], &["0 call 0 [a] now"]);
}

#[test]
fn the_legacy_call() {
    check(
        &[
            r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":""}}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"function_call":{"arguments":"{}"}}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"function_call"}]}"#,
        ],
        &["begin  ", "0 call 0 [] f", "0 arguments 0 {}", "0 finish ToolCalls"],
    );
}

#[test]
fn a_call_is_told_at_the_terminator_at_last() {
    check(
        &[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}"#,
            "[DONE]",
        ],
        &["begin  ", "0 call 0 [] f", "done"],
    );
}

#[test]
fn finish_reasons() {
    let row = |reason: &str, expected: &str| {
        let chunk = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
        check(&[&chunk], &["begin  ", expected]);
    };
    row("stop", "0 finish Stop");
    row("eos", "0 finish Stop");
    row("length", "0 finish Length");
    row("model_length", "0 finish Length");
    row("tool_calls", "0 finish ToolCalls");
    row("content_filter", "0 finish ContentFilter");
    row("new_reason", "0 finish Other(\"new_reason\")");
    row("error", "error server-error");
    row("insufficient_system_resource", "error overloaded");
    check(
        &[
            r#"{"choices":[{"delta":{"refusal":"no"}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        ],
        &["begin  ", "0 refusal no", "0 finish Refusal"],
    );
    // Some servers say `stop` after calls.
    check(
        &[
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}"#,
        ],
        &["begin  ", "0 call 0 [] f", "0 arguments 0 {}", "0 finish ToolCalls"],
    );
}

#[test]
fn frames_that_are_no_chunks() {
    check(&[""], &[]);
    check(&["{}"], &[]);
    check(&["[DONE", "<html>", r#"{"choices":7}"#], &["malformed"; 3]);
    check(&[r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#], &["error rate-limited"]);
    check(&[r#"[{"error":{"code":503}}]"#], &["error overloaded"]);
    let comment = Frame::parse(Bytes::from_static(b": keep-alive\n\n"));
    assert_eq!(Decoder::default().decode(&comment, &[], &mut Vec::new()), Decoded::Nothing);
    let named = Frame::parse(Bytes::from_static(
        b"event: error\ndata: {\"message\":\"quota\",\"code\":\"insufficient_quota\"}\n\n",
    ));
    let seen = Decoder::default().decode(&named, &[], &mut Vec::new());
    assert!(matches!(seen, Decoded::Error(_)), "{seen:?}");
}

#[test]
fn several_choices() {
    let chunk = |index: u32, rest: &str| {
        format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"ab"}}{rest}}}]}}"#)
    };
    check(
        &[&chunk(1, ""), &chunk(0, r#","finish_reason":"length""#), &chunk(4000, "")],
        &["begin  ", "1 text ab", "0 text ab", "0 finish Length", "4000 text ab"],
    );
}

#[test]
fn calls_are_bounded() {
    let calls = r#"{"function":{"name":"f","arguments":"{}"}},"#.repeat(5000);
    let chunk = format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{calls}7]}}}}]}}"#);
    let mut events = Vec::new();
    let frame = Frame::parse(crate::dialect::sse::event(&chunk));
    let seen = Decoder::default().decode(&frame, &[], &mut events);
    assert!(matches!(seen, Decoded::Malformed(_)), "{seen:?}");
    assert!(events.len() < 1000);
}

/// A stream as a provider sent it; see the directory for what comes of it.
#[test]
fn a_real_stream_as_events() {
    let stream = include_str!("../../../../tests/golden/dialects/openai/stream_tools.sse");
    let frames = stream.split_inclusive("\n\n");
    let mut decoder = Decoder::default();
    let mut seen = String::new();
    for frame in frames {
        let mut events = Vec::new();
        decoder.decode(&Frame::parse(Bytes::from(frame)), &[], &mut events);
        for event in &events {
            seen.extend([&shown(event), "\n"]);
        }
    }
    let expected = include_str!("../../../../tests/golden/dialects/openai/stream_tools.events");
    assert_eq!(seen, expected);
}

proptest! {
    #[test]
    fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"choices\":\\[\\{\"delta\":\\{\"(content|tool_calls|reasoning|refusal|function_call)\":(\"[a-z]{0,4}\"|\\[\\{\"(index|id|function|thinking)\":(\\{\"(name|arguments)\":[\"a-z0-9\\{\\}]{0,9}\\}|[0-9]{1,9})\\}\\])\\},\"(index|finish_reason)\":(\"[a-z]{0,4}\"|[0-9]{1,9})\\}\\]\\}") {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        let raw = Frame { bytes: Bytes::new(), event: None, data: Some(Bytes::from(data)) };
        decoder.decode(&raw, &[], &mut events);
        let near = Frame::parse(crate::dialect::sse::event(&near));
        decoder.decode(&near, &[], &mut events);
        decoder.decode(&near, &[], &mut events);
        let _ = Answer::of(events);
    }
}
