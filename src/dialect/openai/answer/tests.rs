use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::writer::Framing;

pub fn head() -> Head {
    Head {
        id: "t1".to_owned(),
        model: "asked".to_owned(),
        created: 7,
        include_usage: true,
        framing: Framing::Sse,
    }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn called(id: &str, name: &str, arguments: &str) -> Part {
    Part::Call {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        free_text: false,
        signature: None,
    }
}

fn thought(text: &str) -> Part {
    Part::Thought { text: text.to_owned(), signature: None, redacted: false }
}

fn answer(parts: Vec<Part>, finish: Option<Finish>) -> Answer {
    Answer { choices: vec![Choice { parts, finish }], ..Answer::default() }
}

fn written(answer: &Answer) -> Value {
    serde_json::from_slice(&write_answer(answer, &head())).unwrap()
}

/// The message and the finish reason that are written.
fn check(parts: Vec<Part>, finish: Option<Finish>, message: &Value, reason: &str) {
    let seen = written(&answer(parts, finish));
    let choice = &seen["choices"][0];
    assert_eq!((&choice["message"], &choice["finish_reason"]), (message, &json!(reason)));
}

#[test]
fn messages_of_every_kind() {
    let said = |content: &str| json!({"role": "assistant", "content": content, "refusal": null});
    check(vec![text("a"), text("b")], Some(Finish::Stop), &said("ab"), "stop");
    check(vec![], None, &said(""), "stop");
    check(vec![Part::Opaque("audio")], Some(Finish::Stop), &said(""), "stop");
    check(
        vec![thought("hm"), thought("!"), text("a")],
        Some(Finish::Stop),
        &json!({"role": "assistant", "content": "a", "refusal": null, "reasoning_content": "hm!"}),
        "stop",
    );
    let refused = json!({"role": "assistant", "content": null, "refusal": "no"});
    check(vec![Part::Refusal("no".to_owned())], Some(Finish::Refusal), &refused, "stop");
    check(vec![], Some(Finish::Refusal), &said(""), "content_filter");
    let function = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let calls = |calls: Value| json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": calls});
    let made = ids::made("t1", 0, 1);
    check(
        vec![called("a", "f", ""), called("", "f", "{\"x\":1}")],
        Some(Finish::Stop),
        &calls(json!([function("a", "{}"), function(&made, "{\"x\":1}")])),
        "tool_calls",
    );
    let signed = Part::Call {
        id: "a".to_owned(),
        name: "sh".to_owned(),
        arguments: "ls".to_owned(),
        free_text: true,
        signature: Some((Dialect::Gemini, "s".to_owned())),
    };
    check(
        vec![signed],
        Some(Finish::ToolCalls),
        &calls(json!([{"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"},
            "extra_content": {"google": {"thought_signature": "s"}}}])),
        "tool_calls",
    );
}

#[test]
fn finish_reasons() {
    let check = |finish: Finish, expected: &str| {
        assert_eq!(finish_word(Some(&finish), false, false), expected, "{finish:?}");
    };
    check(Finish::Stop, "stop");
    check(Finish::StopSequence(Some("x".to_owned())), "stop");
    check(Finish::Length, "length");
    check(Finish::ToolCalls, "tool_calls");
    check(Finish::ContentFilter, "content_filter");
    check(Finish::Refusal, "content_filter");
    check(Finish::ContextFull, "length");
    check(Finish::Paused, "length");
    check(Finish::Other("new".to_owned()), "length");
    assert_eq!(finish_word(Some(&Finish::Refusal), false, true), "stop");
    assert_eq!(finish_word(Some(&Finish::Length), true, false), "length");
    assert_eq!(finish_word(None, true, false), "tool_calls");
}

#[test]
fn names_and_counts() {
    let seen = written(&answer(vec![], None));
    assert_eq!((&seen["id"], &seen["model"]), (&json!("chatcmpl-t1"), &json!("asked")));
    assert_eq!((&seen["created"], seen.get("usage")), (&json!(7), None));
    let usage = Usage {
        input: Some(9),
        cached: Some(4),
        cache_written: None,
        output: Some(5),
        reasoning: Some(0),
    };
    let given = Answer { id: "i".into(), model: "m".into(), usage: Some(usage), choices: vec![] };
    let seen = written(&given);
    assert_eq!((&seen["id"], &seen["model"]), (&json!("i"), &json!("m")));
    let expected = json!({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 0}});
    assert_eq!(seen["usage"], expected);
    assert_eq!(
        usage_json(&Usage { output: Some(1), ..Usage::default() }),
        r#"{"completion_tokens":1,"total_tokens":1}"#
    );
}

#[test]
fn bodies_of_other_shapes_are_read() {
    let check = |body: &str, expected: Vec<Part>, finish: Option<Finish>| {
        let read = read_answer(body.as_bytes()).unwrap();
        assert_eq!(read.choices, [Choice { parts: expected, finish }], "{body}");
    };
    let choice = |message: &str, finish: &str| {
        format!(r#" {{"choices":[{{"message":{message},"finish_reason":"{finish}"}}]}} "#)
    };
    check(&choice(r#"{"content":"a"}"#, "stop"), vec![text("a")], Some(Finish::Stop));
    check(&choice(r#"{"content":null}"#, ""), vec![], None);
    check(
        &choice(r#"{"function_call":{"name":"f","arguments":"{}"}}"#, "function_call"),
        vec![called("", "f", "{}")],
        Some(Finish::ToolCalls),
    );
    check(
        &choice(
            r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":{}}},{"id":"b","function":{"name":"g"}}]}"#,
            "",
        ),
        vec![called("a", "f", "{}"), called("b", "g", "")],
        None,
    );
    check(
        &choice(r#"{"refusal":"no","reasoning":"hm"}"#, "stop"),
        vec![thought("hm"), Part::Refusal("no".to_owned())],
        Some(Finish::Refusal),
    );
    assert_eq!(read_answer(b"[]"), None);
    assert_eq!(read_answer(br#"{"choices":[{"message":{},"finish_reason":"error"}]}"#), None);
    let two =
        read_answer(br#"{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}"#);
    assert_eq!(two.unwrap().choices.len(), 2);
}

/// An answer as a provider sent it, and as it is written again.
#[test]
fn a_real_answer() {
    let body = include_bytes!("../../../../tests/golden/dialects/openai/answer.json");
    let expected = include_bytes!("../../../../tests/golden/dialects/openai/answer.written.json");
    let seen = written(&read_answer(body).unwrap());
    assert_eq!(seen, serde_json::from_slice::<Value>(expected).unwrap());
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let thoughts = proptest::option::of("\\PC{1,9}").prop_map(|t| t.map(|t| thought(&t)));
    let texts = proptest::option::of("\\PC{1,9}").prop_map(|t| t.map(Part::Text));
    let refusals = proptest::option::of("\\PC{1,9}").prop_map(|t| t.map(Part::Refusal));
    let call = ("[a-z]{1,4}", "[a-z]{1,4}", "\\{\\PC{0,9}\\}", any::<bool>(), any::<bool>());
    let call = call.prop_map(|(id, name, arguments, free_text, signed)| {
        let signature = signed.then(|| (Dialect::Gemini, "s".to_owned()));
        Part::Call { id, name, arguments, free_text, signature }
    });
    let calls = proptest::collection::vec(call, 0..4);
    (thoughts, texts, refusals, calls).prop_map(|(thought, text, refusal, mut calls)| {
        // Numbered, since the same id twice is one call.
        for (n, part) in calls.iter_mut().enumerate() {
            if let Part::Call { id, .. } = part {
                id.push_str(&n.to_string());
            }
        }
        let said = [thought, text, refusal].into_iter().flatten();
        said.chain(calls).collect()
    })
}

pub fn answers() -> impl Strategy<Value = Answer> {
    let count = || proptest::option::of(0..1000_u32);
    let usage = (0..1000_u32, count(), count(), count(), count());
    let usage = usage.prop_map(|(input, cached, cache_written, output, reasoning)| Usage {
        input: Some(input),
        cached,
        cache_written,
        output,
        reasoning,
    });
    let choice = (parts(), 0..3_u8).prop_map(|(parts, finish)| {
        let calls = parts.iter().any(|part| matches!(part, Part::Call { .. }));
        let refused = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
        let finish = match finish {
            0 => Finish::Length,
            1 => Finish::ContentFilter,
            _ if calls => Finish::ToolCalls,
            _ if refused => Finish::Refusal,
            _ => Finish::Stop,
        };
        Choice { parts, finish: Some(finish) }
    });
    let choices = proptest::collection::vec(choice, 1..3);
    ("[a-z]{1,5}", "[a-z]{1,5}", choices, proptest::option::of(usage))
        .prop_map(|(id, model, choices, usage)| Answer { id, model, choices, usage })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(answer in answers()) {
        prop_assert_eq!(read_answer(&write_answer(&answer, &head())), Some(answer));
    }

    #[test]
    fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_answer(&body);
    }
}
