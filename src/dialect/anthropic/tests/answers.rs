use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::head;
use crate::dialect::answer::{CallText, FinishReason};
use crate::dialect::anthropic::{amend_whole, read_answer, read_whole, write_answer};
use crate::dialect::hub::{Answer, Choice, Event, Finish, Part, Usage};
use crate::dialect::whole::tests::read;
use crate::dialect::{Dialect, Task};

const GOLDEN: &str = include_str!("../../../../tests/golden/dialects/anthropic/answer.json");

fn whole(task: Task, body: &str) -> Result<String, String> {
    read(Dialect::Anthropic, task, body)
}

#[test]
fn an_answer_is_read() {
    let seen = read_whole(Task::Generate, None, GOLDEN.as_bytes(), &[]).unwrap();
    assert_eq!(seen.model.as_deref(), Some("claude-sonnet-5"));
    assert_eq!(seen.answer.text, "Sunny in Paris.\nOne moment.");
    assert_eq!(
        seen.answer.tool_calls,
        [CallText::json("weather", r#"{"city":"Paris","days":1e0}"#)]
    );
    assert_eq!(seen.answer.finish, FinishReason::ToolCalls);

    let answer = read_answer(GOLDEN.as_bytes()).unwrap();
    assert_eq!((&*answer.id, &*answer.model), ("msg_01Golden", "claude-sonnet-5"));
    let usage = Usage {
        input: Some(2095 + 1800 + 20),
        cached: Some(1800),
        cache_written: Some(20),
        output: Some(503),
        reasoning: Some(100),
    };
    assert_eq!(answer.usage, Some(usage));
    let kinds: Vec<&str> = answer.choices[0].parts.iter().map(kind).collect();
    assert_eq!(
        kinds,
        [
            "signed",
            "redacted",
            "server_tool_use",
            "server_tool_result",
            "text",
            "citations",
            "text",
            "call"
        ]
    );
}

#[test]
fn blocks_that_say_nothing_cost_nothing() {
    let check = |block: &str, expected: &[Part]| {
        let body = format!(r#"{{"content":[{block}{}]}}"#, format!(",{block}").repeat(99));
        let seen = read_answer(body.as_bytes()).unwrap().choices.remove(0).parts;
        assert_eq!(seen, expected, "{block}");
    };
    check("{}", &[Part::Opaque("unknown_block")]);
    check(r#"{"type":"tool_use","id":"a"}"#, &[Part::Opaque("unknown_block")]);
    check(r#"{"type":"text"}"#, &[]);
    check(r#"{"type":"thinking","thinking":"","signature":""}"#, &[]);
    check(r#"{"type":"redacted_thinking"}"#, &[]);
    check(r#"{"type":"text","text":"a"}"#, &[Part::Text("a".repeat(100))]);
}

fn kind(part: &Part) -> &'static str {
    match part {
        Part::Text(_) => "text",
        Part::Thought { redacted: true, .. } => "redacted",
        Part::Thought { signature: Some(_), .. } => "signed",
        Part::Thought { .. } => "thought",
        Part::Refusal(_) => "refusal",
        Part::Call { .. } => "call",
        Part::Opaque(what) => what,
    }
}

#[test]
fn bodies_that_are_no_answer() {
    let check = |task, body: &str, expected: &str| {
        let seen = whole(task, body).unwrap_err();
        assert!(seen.starts_with(expected), "{body}: {seen}");
    };
    let message = |body: &str, expected| check(Task::Generate, body, expected);
    message("", "an empty body");
    message("<html>", "an HTML page");
    message("event: ping\n\n", "a stream");
    message(&GOLDEN[..200], "a body that is not the JSON of an answer: EOF");
    message("{}", "a JSON body without content");
    message(r#"{"content":"x"}"#, "a JSON body without content");
    message(r#"{"type":"error","error":{"type":"overloaded_error"}}"#, "overloaded");
    message(r#"{"error":{"type":"rate_limit_error"}}"#, "rate-limited");
    message(r#"[{"error":{"type":"api_error"}}]"#, "server-error");
    check(Task::CountTokens, "{}", "a JSON body without a count");
    assert_eq!(whole(Task::CountTokens, r#"{"input_tokens":7}"#), Ok(String::new()));
    assert_eq!(whole(Task::Generate, r#"{"content":[]}"#), Ok(String::new()));
}

#[test]
fn reasons_to_stop() {
    let check = |words: &str, finish: Option<Finish>| {
        let body = format!(r#"{{"content":[],{words}}}"#);
        let seen = read_answer(body.as_bytes()).unwrap().choices.remove(0).finish;
        assert_eq!(seen, finish, "{words}");
    };
    check(r#""stop_reason":"end_turn""#, Some(Finish::Stop));
    check(
        r#""stop_reason":"stop_sequence","stop_sequence":"x""#,
        Some(Finish::StopSequence(Some("x".to_owned()))),
    );
    check(r#""stop_reason":"max_tokens""#, Some(Finish::Length));
    check(r#""stop_reason":"tool_use""#, Some(Finish::ToolCalls));
    check(r#""stop_reason":"refusal""#, Some(Finish::Refusal));
    check(r#""stop_reason":"pause_turn""#, Some(Finish::Paused));
    check(r#""stop_reason":"model_context_window_exceeded""#, Some(Finish::ContextFull));
    check(r#""stop_reason":"compaction""#, Some(Finish::Other("compaction".to_owned())));
    check(r#""stop_reason":null"#, None);

    let check = |finish: Option<Finish>, parts: Vec<Part>, reason: &str, sequence: Value| {
        let answer = Answer { choices: vec![Choice { parts, finish }], ..Answer::default() };
        let body: Value = serde_json::from_slice(&write_answer(&answer, &head())).unwrap();
        assert_eq!((&body["stop_reason"], &body["stop_sequence"]), (&json!(reason), &sequence));
    };
    let call = || Part::Call {
        id: String::new(),
        name: "f".to_owned(),
        arguments: String::new(),
        free_text: false,
        signature: None,
    };
    let refusal = || Part::Refusal("no".to_owned());
    check(Some(Finish::Stop), vec![], "end_turn", Value::Null);
    check(Some(Finish::Stop), vec![call()], "tool_use", Value::Null);
    check(Some(Finish::Stop), vec![refusal()], "refusal", Value::Null);
    check(Some(Finish::ToolCalls), vec![], "end_turn", Value::Null);
    check(Some(Finish::ToolCalls), vec![call()], "tool_use", Value::Null);
    check(Some(Finish::StopSequence(Some("x".into()))), vec![], "stop_sequence", json!("x"));
    check(Some(Finish::StopSequence(None)), vec![], "stop_sequence", Value::Null);
    check(Some(Finish::Length), vec![call()], "max_tokens", Value::Null);
    check(Some(Finish::ContentFilter), vec![], "refusal", Value::Null);
    check(Some(Finish::Refusal), vec![], "refusal", Value::Null);
    check(Some(Finish::ContextFull), vec![], "model_context_window_exceeded", Value::Null);
    check(Some(Finish::Paused), vec![], "pause_turn", Value::Null);
    check(Some(Finish::Other("RECITATION".into())), vec![], "max_tokens", Value::Null);
    check(None, vec![], "end_turn", Value::Null);
}

#[test]
fn an_explained_refusal_is_words() {
    let body = r#"{"content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","category":"bio","explanation":"I may not."}}"#;
    let answer = read_answer(body.as_bytes()).unwrap();
    assert_eq!(answer.choices[0].parts, [Part::Refusal("I may not.".to_owned())]);
}

#[test]
fn counts_are_counted_as_each_side_does() {
    let answer = |usage| Answer { usage: Some(usage), ..Answer::default() };
    let check = |usage: Usage, expected: Value| {
        let body: Value = serde_json::from_slice(&write_answer(&answer(usage), &head())).unwrap();
        assert_eq!(body["usage"], expected);
    };
    let usage = Usage {
        input: Some(100),
        cached: Some(60),
        cache_written: Some(10),
        output: Some(9),
        reasoning: Some(4),
    };
    check(
        usage,
        json!({"input_tokens": 30, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 60,
            "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}),
    );
    check(
        Usage { input: Some(5), cached: Some(9), ..Usage::default() },
        json!({"input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 0}),
    );
    check(Usage::default(), json!({"input_tokens": 0, "output_tokens": 0}));
}

#[test]
fn an_answer_is_written() {
    let thought = |text: &str, signature, redacted| Part::Thought {
        text: text.to_owned(),
        signature,
        redacted,
    };
    let call = |id: &str, arguments: &str, free_text| Part::Call {
        id: id.to_owned(),
        name: "f".to_owned(),
        arguments: arguments.to_owned(),
        free_text,
        signature: None,
    };
    let parts = vec![
        thought("a", Some((Dialect::Anthropic, "s".to_owned())), false),
        thought("b", Some((Dialect::Gemini, "g".to_owned())), false),
        thought("", Some((Dialect::Responses, "enc".to_owned())), true),
        Part::Text("c".to_owned()),
        Part::Text(String::new()),
        Part::Opaque("audio"),
        call("call_1", r#"{"x": 1e2}"#, false),
        call("", "", false),
        call("fc:2", "a \"patch\"", true),
        call("d", "{broken", false),
    ];
    let choice = Choice { parts, finish: Some(Finish::ToolCalls) };
    let answer = Answer { id: "chatcmpl-1".into(), choices: vec![choice], ..Answer::default() };
    let body = write_answer(&answer, &head());
    let expected = concat!(
        r#"{"id":"msg_t1","type":"message","role":"assistant","model":"asked","content":["#,
        r#"{"type":"thinking","thinking":"a","signature":"s"},"#,
        r#"{"type":"thinking","thinking":"b","signature":""},"#,
        r#"{"type":"text","text":"c"},"#,
        r#"{"type":"tool_use","id":"call_1","name":"f","input":{"x": 1e2}},"#,
        r#"{"type":"tool_use","id":"toolu_t1_7","name":"f","input":{}},"#,
        r#"{"type":"tool_use","id":"toolu_fc-3a2","name":"f","input":{"input":"a \"patch\""}},"#,
        r#"{"type":"tool_use","id":"d","name":"f","input":{"input":"{broken"}}"#,
        r#"],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}"#,
    );
    assert_eq!(std::str::from_utf8(&body), Ok(expected));
}

#[test]
fn an_amended_answer_differs_in_its_text_only() {
    let check = |content: &str, expected: &str| {
        let body = format!(r#"{{"id":"m", "content": [{content}] ,"x":1.0}}"#);
        let seen = amend_whole(body.as_bytes(), "n\"o").unwrap();
        let expected = format!(r#"{{"id":"m", "content": [{expected}] ,"x":1.0}}"#);
        assert_eq!(std::str::from_utf8(&seen), Ok(&*expected));
    };
    let new = r#"{"type":"text","text":"n\"o"}"#;
    let old = r#"{"type":"text","text":"a","citations":[{}]}"#;
    let thought = r#"{"type":"thinking","thinking":"","signature":"s"}"#;
    let call = r#"{"type":"tool_use","id":"i","name":"f","input":{}}"#;
    check(old, new);
    check("", new);
    check(&format!("{thought},{old},{old},{call}"), &format!("{thought},{new},{call}"));
    check(&format!("{thought},{call}"), &format!("{thought},{new},{call}"));
    assert_eq!(amend_whole(b"{}", "x"), None);
    assert_eq!(amend_whole(br#"{"content":"x"}"#, "x"), None);
}

#[test]
fn the_golden_answer_comes_back() {
    let answer = read_answer(GOLDEN.as_bytes()).unwrap();
    let again = read_answer(&write_answer(&answer, &head())).unwrap();
    // Without what has no place, and with the texts before and after it joined.
    let own = |answer: &Answer| {
        let events = answer.clone().into_events().into_iter();
        Answer::of(events.filter(|event| !matches!(event, Event::Opaque { .. }))).choices
    };
    assert_eq!(own(&again), own(&answer));
    assert_eq!((again.id, again.model, again.usage), (answer.id, answer.model, answer.usage));
}

proptest! {
    #[test]
    fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"(content|usage|stop_reason)\":[\\{\\}\\[\\]\"0-9a-z:,]{0,40}\\}") {
        for body in [&body[..], near.as_bytes()] {
            let _ = read_whole(Task::Generate, None, body, &[]);
            if let Some(answer) = read_answer(body) {
                let _: Bytes = write_answer(&answer, &head());
            }
            let _ = amend_whole(body, "x");
        }
    }
}
