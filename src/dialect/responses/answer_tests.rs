use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::answer::FinishReason;
use crate::dialect::hub::{Finish, Usage};
use crate::dialect::writer::Framing;

const ANSWER: &str = include_str!("../../../tests/golden/dialects/responses/answer.json");

fn head() -> Head {
    Head {
        id: "t-1".to_owned(),
        model: "route".to_owned(),
        created: 7,
        include_usage: true,
        framing: Framing::Sse,
    }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn call(id: &str, name: &str, arguments: &str, free_text: bool) -> Part {
    Part::Call {
        id: format!("call_{id}"),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        free_text,
        signature: None,
    }
}

fn thought(text: &str, proof: Option<(Dialect, &str)>) -> Part {
    let signature = proof.map(|(by, value)| (by, value.to_owned()));
    Part::Thought { text: text.to_owned(), redacted: text.is_empty(), signature }
}

fn of(parts: Vec<Part>, finish: Option<Finish>) -> Answer {
    Answer { choices: vec![Choice { parts, finish }], ..Answer::default() }
}

#[test]
fn an_answer_is_read() {
    let answer = read_answer(ANSWER.as_bytes()).unwrap();
    assert_eq!((&*answer.id, &*answer.model), ("resp_68ab", "gpt-5.5-2026-04-01"));
    let parts = vec![
        thought("**Weather**\n\nTwo cities.", Some((Dialect::Responses, "gAAAAAB="))),
        text("Let me look é."),
        call("1", "weather", r#"{"city":"Oslo"}"#, false),
        call("2", "python", "print(1)", true),
        Part::Opaque("web_search_call"),
    ];
    assert_eq!(answer.choices[0].parts, parts);
    assert_eq!(answer.choices[0].finish, Some(Finish::ToolCalls));
    let usage = Usage {
        input: Some(81),
        cached: Some(64),
        cache_written: Some(5),
        output: Some(35),
        reasoning: Some(12),
    };
    assert_eq!(answer.usage, Some(usage));
    let whole = read_whole(Task::Generate, None, ANSWER.as_bytes(), &[]).unwrap();
    assert_eq!(whole.answer, answer.text());
    assert_eq!(whole.model.as_deref(), Some("gpt-5.5-2026-04-01"));
}

#[test]
fn why_answers_end() {
    let check = |rest: &str, expected: Option<Finish>| {
        let body = format!(r#"{{"output":[],{rest}}}"#);
        let answer = read_answer(body.as_bytes()).unwrap();
        assert_eq!(answer.choices[0].finish, expected, "{rest}");
    };
    let incomplete = |reason: &str| {
        format!(r#""status":"incomplete","incomplete_details":{{"reason":"{reason}"}}"#)
    };
    check(r#""status":"completed""#, Some(Finish::Stop));
    check(r#""x":1"#, Some(Finish::Stop));
    // In the background: what is empty is not an empty answer.
    check(r#""status":"queued""#, Some(Finish::Other("queued".to_owned())));
    check(r#""status":"in_progress""#, Some(Finish::Other("in_progress".to_owned())));
    check(&incomplete("max_output_tokens"), Some(Finish::Length));
    check(&incomplete("content_filter"), Some(Finish::ContentFilter));
    check(&incomplete("steered"), Some(Finish::Other("steered".to_owned())));
    let refusal =
        r#"{"output":[{"type":"message","content":[{"type":"refusal","refusal":"no"}]}]}"#;
    let answer = read_answer(refusal.as_bytes()).unwrap();
    assert_eq!(answer.choices[0].finish, Some(Finish::Refusal));
    assert_eq!(answer.text().finish, FinishReason::Refusal);
}

#[test]
fn bodies_that_are_no_answer() {
    let check = |task, body: &str, expected: &str| {
        let seen = whole::tests::read(Dialect::Responses, task, body).unwrap_err();
        assert!(seen.starts_with(expected), "{body}: {seen}");
    };
    let generate = |body: &str, expected| check(Task::Generate, body, expected);
    generate("", "an empty body");
    generate("<!doctype html>", "an HTML page");
    generate("event: response.created\n\n", "a stream");
    generate(&ANSWER[..300], "a body that is not the JSON of an answer: EOF");
    generate("7", "a body that is not a JSON object");
    generate("{}", "a JSON body without output");
    generate(r#"{"output":"x"}"#, "a JSON body without output");
    generate(r#"{"error":{"code":"rate_limit_exceeded"}}"#, "rate-limited");
    generate(r#"[{"error":{"code":503}}]"#, "overloaded");
    generate(r#"{"type":"error","code":"insufficient_quota"}"#, "quota");
    let failed = |code: &str| {
        format!(
            r#"{{"status":"failed","output":[],"metadata":{{"code":"insufficient_quota"}},"error":{{"code":"{code}","message":"x"}}}}"#
        )
    };
    generate(&failed("server_error"), "server-error");
    generate(&failed("bio_policy"), "content-filter");
    generate(r#"{"status":"failed","output":[]}"#, "server-error");
    generate(r#"{"status":"cancelled","output":[]}"#, "server-error");
    check(Task::CountTokens, r#"{"error":"x"}"#, "server-error");
    assert!(read_whole(Task::CountTokens, None, br#"{"input_tokens":3}"#, &[]).is_ok());
}

#[test]
fn an_amended_answer_differs_in_its_text_only() {
    let check = |body: &str, expected: Option<&str>| {
        let seen = amend_whole(body.as_bytes(), "n\"o");
        assert_eq!(seen.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap()), expected);
    };
    check(ANSWER, Some(&ANSWER.replace(r#""Let me look \u00e9.""#, r#""n\"o""#)));
    check(
        r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]}]}"#,
        Some(
            r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"n\"o"},{"type":"output_text","text":""}]}]}"#,
        ),
    );
    check(r#"{"output":[]}"#, None);
    check("", None);
}

#[test]
fn an_answer_is_written() {
    let parts = vec![
        thought("hm", Some((Dialect::Anthropic, "foreign"))),
        text("a"),
        Part::Refusal("b".to_owned()),
        Part::Opaque("audio"),
        call("f", "f", "", false),
        call("g", "g", "x", true),
        thought("", Some((Dialect::Responses, "enc"))),
        thought("", Some((Dialect::Anthropic, "hidden"))),
    ];
    let mut answer = of(parts, Some(Finish::ToolCalls));
    answer.usage = Some(Usage { input: Some(3), output: Some(4), ..Usage::default() });
    let seen: Value = serde_json::from_slice(&write_answer(&answer, &head())).unwrap();
    let expected = json!({
        "id": "resp_t-1", "object": "response", "created_at": 7, "status": "completed",
        "background": false, "error": null, "incomplete_details": null, "instructions": null,
        "max_output_tokens": null, "model": "route",
        "output": [
            {"id": "rs_backstay_t-1_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"id": "msg_t-1_1", "type": "message", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "annotations": [], "logprobs": [], "text": "a"},
                {"type": "refusal", "refusal": "b"}]},
            {"id": "fc_t-1_2", "type": "function_call", "status": "completed", "arguments": "{}", "call_id": "call_f", "name": "f"},
            {"id": "ctc_t-1_3", "type": "custom_tool_call", "status": "completed", "input": "x", "call_id": "call_g", "name": "g"},
            {"id": "rs_backstay_t-1_4", "type": "reasoning", "summary": [], "encrypted_content": "enc"},
        ],
        "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": false, "temperature": null,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": null,
        "truncation": "disabled",
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7},
        "user": null, "metadata": {},
    });
    assert_eq!(seen, expected);
}

#[test]
fn ends_have_a_status() {
    let check = |finish: Option<Finish>, status: &str, reason: Value| {
        let written = write_answer(&of(vec![text("a")], finish.clone()), &head());
        let seen: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(seen["status"], status, "{finish:?}");
        assert_eq!(seen["incomplete_details"]["reason"], reason, "{finish:?}");
    };
    let length = json!("max_output_tokens");
    check(None, "completed", Value::Null);
    check(Some(Finish::Stop), "completed", Value::Null);
    check(Some(Finish::StopSequence(None)), "completed", Value::Null);
    check(Some(Finish::ToolCalls), "completed", Value::Null);
    // Whoever declines in words has answered; else the text was cut short.
    check(Some(Finish::Refusal), "incomplete", json!("content_filter"));
    let declined = of(vec![Part::Refusal("no".to_owned())], Some(Finish::Refusal));
    let seen: Value = serde_json::from_slice(&write_answer(&declined, &head())).unwrap();
    assert_eq!(seen["status"], "completed");
    check(Some(Finish::Length), "incomplete", length.clone());
    check(Some(Finish::ContextFull), "incomplete", length.clone());
    check(Some(Finish::Paused), "incomplete", length.clone());
    check(Some(Finish::Other("x".to_owned())), "incomplete", length);
    check(Some(Finish::ContentFilter), "incomplete", json!("content_filter"));
}

fn parts() -> impl Strategy<Value = Part> {
    prop_oneof![
        "\\PC{1,9}".prop_map(Part::Text),
        "\\PC{1,9}".prop_map(Part::Refusal),
        ("[a-z]{1,5}", "\\PC{1,9}", any::<bool>())
            .prop_map(|(name, arguments, free_text)| call("1", &name, &arguments, free_text)),
        "\\PC{1,9}".prop_map(|text| thought(&text, Some((Dialect::Responses, "enc")))),
        "\\PC{1,9}".prop_map(|text| thought(&text, None)),
    ]
}

proptest! {
    #[test]
    fn what_can_be_said_survives(parts in proptest::collection::vec(parts(), 0..6), input in any::<u16>(), output in any::<u16>()) {
        let usage = Usage { input: Some(input.into()), cached: Some(1), cache_written: Some(3), output: Some(output.into()), reasoning: Some(2) };
        let mut answer = of(parts, None);
        answer.usage = Some(usage);
        let again = read_answer(&write_answer(&answer, &head())).unwrap();
        prop_assert_eq!(again.usage, answer.usage);
        // Texts in a row are one, in whatever items they came.
        let joined = |answer: Answer| Answer::of(answer.into_events()).choices.pop().map(|choice| choice.parts);
        prop_assert_eq!(joined(again).unwrap_or_default(), joined(answer).unwrap_or_default());
    }

    #[test]
    fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"output\":\\[\\{\"(type|content)\":[\\{\\}\\[\\]\"0-9a-z:,]{0,30}\\}\\]\\}") {
        let _ = read_whole(Task::Generate, None, &body, &[]);
        let _ = read_answer(&body);
        let _ = amend_whole(&body, "x");
        let _ = read_whole(Task::Generate, None, near.as_bytes(), &[]);
        let _ = read_answer(near.as_bytes());
        let _ = amend_whole(near.as_bytes(), "x");
    }
}
