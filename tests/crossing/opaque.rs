//! Ids of calls and what only its maker can read (wire formats §4.8).

use backstay::dialect::hub::Legend;
use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, is, whole};

/// A conversation of Chat Completions with two calls of these ids.
fn called(first: &str, second: &str) -> Value {
    let call = |id: &str| {
        json!({ "id": id, "type": "function",
                                  "function": { "name": "f", "arguments": "{}" } })
    };
    let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "r" });
    json!({ "messages": [{ "role": "user", "content": "q" },
        { "role": "assistant", "tool_calls": [call(first), call(second)] },
        result(first), result(second)] })
}

/// The ids of calls and of results in a body that was written.
fn ids(body: &Value, found: &mut Vec<String>) {
    match body {
        Value::Object(members) => {
            for (key, value) in members {
                if let ("id" | "call_id" | "tool_call_id" | "tool_use_id", Some(id)) =
                    (key.as_str(), value.as_str())
                {
                    found.push(id.to_owned());
                }
                ids(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| ids(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn written(rows: &mut Rows, body: &Value, wire: backstay::dialect::Dialect) -> Vec<String> {
    let mut found = Vec::new();
    ids(&rows.body(CHAT, body, wire), &mut found);
    found
}

/// Ids are fit for the dialect, stay different, and still pair.
#[test]
fn ids_of_calls() {
    let mut rows = Rows::of("§4.8");
    let long = "x".repeat(300);
    for (first, second) in [
        ("call.1", "call:1"),
        ("a b", "a_b"),
        ("é", "è"),
        (&*format!("{long}1"), &*format!("{long}2")),
    ] {
        let body = called(first, second);
        for wire in [ANTHROPIC, RESPONSES, GEMINI] {
            let seen = written(&mut rows, &body, wire);
            assert_eq!(seen.len(), 4, "{} {seen:?}", wire.label());
            assert_ne!(seen[0], seen[1], "{}", wire.label());
            assert_eq!(seen[..2], seen[2..], "{}", wire.label());
            let plain = |id: &String| {
                id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            };
            if wire == ANTHROPIC {
                assert!(seen.iter().all(plain), "{seen:?}");
            }
            if wire == RESPONSES {
                assert!(seen.iter().all(|id| id.len() <= 64), "{seen:?}");
            }
            rows.count();
        }
    }
    rows.done();
}

/// What comes from a provider without ids gets some that stay the same.
#[test]
fn ids_that_are_made() {
    let mut rows = Rows::of("§4.8");
    let call = json!({ "functionCall": { "name": "f", "args": {} } });
    let body = json!({ "candidates": [{ "content": { "role": "model", "parts": [call, call] },
                       "finishReason": "STOP" }], "responseId": "r1", "modelVersion": "m" });
    for client in [CHAT, ANTHROPIC, RESPONSES] {
        let (mut once, mut again) = (Vec::new(), Vec::new());
        ids(&whole(GEMINI, &body, client, Legend::default()), &mut once);
        ids(&whole(GEMINI, &body, client, Legend::default()), &mut again);
        assert_eq!(once, again, "{}", client.label());
        let mut different = once.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), once.len(), "{once:?}");
        assert!(once.iter().all(|id| !id.is_empty()), "{once:?}");
        rows.count();
    }
    // Items of Responses have ids of their own kinds.
    let chat = json!({ "id": "c", "object": "chat.completion", "model": "m", "choices": [{
        "index": 0, "finish_reason": "tool_calls", "message": { "role": "assistant",
            "content": "a", "reasoning_content": "hm", "tool_calls": [{ "id": "toolu_1",
            "type": "function", "function": { "name": "f", "arguments": "{}" } }] } }] });
    let seen = whole(CHAT, &chat, RESPONSES, Legend::default());
    for item in seen["output"].as_array().expect("items") {
        let prefix = match item["type"].as_str() {
            Some("message") => "msg",
            Some("reasoning") => "rs",
            _ => "fc",
        };
        assert!(item["id"].as_str().is_some_and(|id| id.starts_with(prefix)), "{item}");
    }
    assert_eq!(seen["output"][2]["call_id"], "toolu_1");
    rows.done();
}

/// Proofs are shown to their maker only.
#[test]
fn proofs_stay_with_their_maker() {
    let mut rows = Rows::of("§4.8");
    let anthropic = json!({ "messages": [{ "role": "user", "content": "q" },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm", "signature": "s3cret" },
            { "type": "redacted_thinking", "data": "s3cret" },
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "toolu_1", "content": "r" }] }] });
    let responses = json!({ "input": [{ "role": "user", "content": "q" },
        { "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "s3cret" },
        { "role": "assistant", "content": "a" }, { "role": "user", "content": "r" }] });
    let gemini = json!({ "contents": [{ "role": "user", "parts": [{ "text": "q" }] },
        { "role": "model", "parts": [{ "functionCall": { "name": "f", "args": {} },
                                       "thoughtSignature": "s3cret" }] },
        { "role": "user", "parts": [{ "functionResponse": { "name": "f", "response": {} } }] }] });
    for (client, body) in [(ANTHROPIC, anthropic), (RESPONSES, responses), (GEMINI, gemini)] {
        for wire in backstay::dialect::Dialect::ALL.into_iter().filter(|wire| *wire != client) {
            let seen = rows.body(client, &body, wire).to_string();
            assert!(!seen.contains("s3cret"), "{} to {}: {seen}", client.label(), wire.label());
            rows.count();
        }
    }
    rows.done();
}

/// Gemini's signatures travel with a client of Chat Completions, in Google's
/// own extension, and come back.
#[test]
fn signatures_of_gemini_come_back() {
    let mut rows = Rows::of("§4.8");
    let body = json!({ "candidates": [{ "content": { "role": "model", "parts": [
            { "functionCall": { "name": "f", "args": {} }, "thoughtSignature": "c2ln" }] },
        "finishReason": "STOP" }], "responseId": "r1", "modelVersion": "m" });
    let told = whole(GEMINI, &body, CHAT, Legend::default());
    let message = told["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].clone();
    assert_eq!(message["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "c2ln");
    let again = json!({ "messages": [{ "role": "user", "content": "q" }, message,
        { "role": "tool", "tool_call_id": id, "content": "r" }] });
    rows.model(GEMINI, "gemini-3-pro");
    rows.request(
        "a signature comes back",
        CHAT,
        &again,
        [(
            GEMINI,
            is(json!({ "contents": [{}, { "parts": [{ "functionCall": { "name": "f" },
                                                  "thoughtSignature": "c2ln" }] }, {}] })),
        )],
    );
    // Only the first call of a step made elsewhere is excused.
    rows.request(
        "the placeholder is on the first call only",
        CHAT,
        &called("a", "b"),
        [(
            GEMINI,
            is(json!({ "contents": [{}, { "parts": [
            { "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=" },
            { "thoughtSignature": null }] }, {}] })),
        )],
    );
    rows.done();
}
