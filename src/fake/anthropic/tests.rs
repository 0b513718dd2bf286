use serde_json::{Value, json};

use super::super::answer::answer;
use super::super::script::End;
use super::super::testing::{Told, tell, tell_raw};

const HEADERS: &str = "x-api-key: k\nanthropic-version: 2023-06-01";

fn ask(more: &Value, spec: &str) -> Told {
    tell("/v1/messages", HEADERS, &question(more), spec)
}

fn question(more: &Value) -> Value {
    let mut body = json!({
        "model": "m",
        "max_tokens": 1000,
        "messages": [{ "role": "user", "content": "hi" }],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn streamed(spec: &str) -> Told {
    ask(&json!({ "stream": true }), spec)
}

fn tools() -> Value {
    json!([{ "name": "find", "input_schema": {
        "type": "object",
        "properties": { "size": { "type": "integer" }, "name": { "type": "string" } },
    } }])
}

fn tool_use(id: &str) -> Value {
    let block = json!({ "type": "tool_use", "id": id, "name": "find", "input": {} });
    json!({ "role": "assistant", "content": [block] })
}

fn result(id: &str) -> Value {
    json!({ "type": "tool_result", "tool_use_id": id, "content": "done" })
}

/// What the deltas of a stream say.
fn said(told: &Told, member: &str) -> String {
    let events = told.events().into_iter();
    events.filter_map(|(_, data)| data["delta"][member].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_whole_answer_is_a_message() {
    let told = ask(&json!({}), "words=4");
    assert_eq!((told.status, told.dialect), (200, "anthropic"));
    assert_eq!(told.header("request-id").as_deref(), Some("req-fake-7"));
    let message = told.json();
    assert_eq!(message["content"], json!([{ "type": "text", "text": answer("hi", 4) }]));
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["output_tokens"], 4);
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
}

#[test]
fn a_stream_has_its_events_in_order() {
    let told = streamed("words=4");
    assert_eq!(
        told.names(),
        "message_start content_block_start ping content_block_delta content_block_stop \
         message_delta message_stop"
    );
    for (name, data) in told.events() {
        assert_eq!(data["type"], *name);
    }
    assert_eq!(said(&told, "text"), answer("hi", 4));
    assert_eq!(said(&told, "stop_reason"), "end_turn");
    assert!(told.complete && told.end == End::KeepAlive);
}

#[test]
fn keys_and_versions_are_asked_for() {
    let check = |headers: &str, status: u16, expected: &str| {
        let told = tell("/v1/messages", headers, &question(&json!({})), "ok");
        assert_eq!(told.status, status, "{headers}");
        assert!(told.body.contains(expected), "{}", told.body);
    };
    check("x-api-key: k\nanthropic-version: 2026-10-21", 200, "");
    check("authorization: Bearer k\nanthropic-version: 2023-06-01", 200, "");
    check("x-api-key: other\nanthropic-version: 2023-06-01", 401, "authentication_error");
    check("x-api-key: k", 400, "anthropic-version: header is required");
    check("x-api-key: k\nanthropic-version: 2024-01-01", 400, "is not a valid version");
}

#[test]
fn a_tool_is_called() {
    let check = |more: Value, spec: &str, expected: Option<Value>| {
        let message = ask(&more, spec).json();
        let found = message["content"][0].get("input").cloned();
        assert_eq!(found, expected, "{more}");
        let reason = if expected.is_some() { "tool_use" } else { "end_turn" };
        assert_eq!(message["stop_reason"], reason);
        let mut more = more;
        more["stream"] = true.into();
        let parts = said(&ask(&more, spec), "partial_json");
        assert_eq!(serde_json::from_str(&parts).ok(), expected, "{parts}");
    };
    let text = answer("hi", 2);
    let query = json!({ "query": text });
    let fitting = json!({ "size": 1, "name": text });
    let with = |choice: Value| json!({ "tools": tools(), "tool_choice": choice });
    check(json!({}), "words=2+tool-calls", Some(query));
    check(with(json!({ "type": "auto" })), "words=2", None);
    check(with(json!({ "type": "any" })), "words=2", Some(fitting.clone()));
    check(with(json!({ "type": "tool", "name": "find" })), "words=2", Some(fitting));
    let mut answered = with(json!({ "type": "any" }));
    let user = json!({ "role": "user", "content": "hi" });
    let results = json!({ "role": "user", "content": [result("a")] });
    answered["messages"] = json!([user, tool_use("a"), results]);
    check(answered, "words=2", None);
}

#[test]
fn a_schema_is_met() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } },
        "additionalProperties": false });
    let format = json!({ "format": { "type": "json_schema", "schema": schema } });
    let more = json!({ "output_config": format });
    let message = ask(&more, "words=2").json();
    let text = message["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({ "a": answer("hi", 2) }));
    let wrong = ask(&more, "wrong-schema").json();
    assert_eq!(wrong["content"][0]["text"], "{\"unexpected\": true}");
}

#[test]
fn an_answer_is_continued() {
    let (whole, begun) = (answer("hi", 4), answer("hi", 2));
    let rest = &whole[begun.len()..];
    let user =
        |text: &str| json!({ "role": "user", "content": [{ "type": "text", "text": text }] });
    let partial = json!({ "role": "assistant", "content": [{ "type": "text", "text": begun }] });
    let prefill = json!({ "messages": [user("hi"), partial] });
    let go_on = json!({ "messages": [user("hi"), partial, user("go on")] });
    assert_eq!(ask(&prefill, "words=4").json()["content"][0]["text"], rest);
    assert_eq!(ask(&go_on, "words=4+prefill=off").json()["content"][0]["text"], rest);
    let refused = ask(&prefill, "prefill=off");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("does not support assistant message prefill"));
}

#[test]
fn errors_have_their_own_shape() {
    let check = |spec: &str, status: u16, kind: &str| {
        let told = ask(&json!({}), spec);
        let json = told.json();
        assert_eq!((told.status, &json["error"]["type"]), (status, &json!(kind)), "{spec}");
        assert_eq!((&json["type"], &json["request_id"]), (&json!("error"), &json!("req-fake-7")));
        told
    };
    check("bad-request", 400, "invalid_request_error");
    check("context-length", 400, "invalid_request_error");
    check("401", 401, "authentication_error");
    check("402", 402, "billing_error");
    check("403", 403, "permission_error");
    check("404", 404, "not_found_error");
    check("413", 413, "request_too_large");
    check("500", 500, "api_error");
    check("504", 504, "timeout_error");
    check("529", 529, "overloaded_error");
    let quota = check("quota", 429, "rate_limit_error").json();
    assert_eq!(quota["error"]["details"]["error_code"], "enforced_spend_limit_reached");
    let hinted = check("429:retry-after=2", 429, "rate_limit_error");
    assert_eq!(hinted.header("retry-after").as_deref(), Some("2"));
    let reset = hinted.header("anthropic-ratelimit-requests-reset");
    assert_eq!(reset.as_deref(), Some("2027-01-15T08:00:02Z"));
    assert_eq!(check("429", 429, "rate_limit_error").header("retry-after"), None);
    check("429:retry-after=inf", 429, "rate_limit_error");
}

#[test]
fn streams_break_in_their_own_way() {
    let check = |spec: &str, last: &str, complete: bool, end: End| {
        let told = streamed(&format!("{spec}+words=6"));
        let names = told.names();
        assert!(names.ends_with(last), "{spec}: {names}");
        assert_eq!((told.complete, told.end), (complete, end), "{spec}");
    };
    check("cut-reset", "content_block_delta", false, End::Reset);
    check("cut-clean", "content_block_delta", true, End::KeepAlive);
    check("cut-fin", "content_block_delta", false, End::Close);
    check("stall", "content_block_delta", false, End::Silence);
    check("error-first", "error", true, End::KeepAlive);
    check("error-start", "message_start error", true, End::KeepAlive);
    check("error-mid", "content_block_delta error", true, End::KeepAlive);
    check("no-done", "message_delta", true, End::KeepAlive);
    check("double-finish", "message_delta message_stop", true, End::KeepAlive);
    check("empty-stream", "", true, End::KeepAlive);
    let broken = streamed("malformed").events();
    assert_eq!(broken.iter().filter(|(_, data)| data.is_string()).count(), 1);
    let End::Repeat { bytes, .. } = streamed("comments").end else { panic!("it ends") };
    assert!(String::from_utf8(bytes).unwrap().contains("event: ping"));
    assert_eq!(streamed("empty-answer").names(), "message_start message_delta message_stop");
    assert_eq!(said(&streamed("length:2"), "stop_reason"), "max_tokens");
    let filtered = streamed("filtered:2");
    assert_eq!(said(&filtered, "stop_reason"), "refusal");
    assert!(filtered.body.contains("\"stop_details\":{\"type\":\"refusal\""));
    assert_eq!(said(&streamed("refusal"), "stop_reason"), "refusal");
    assert_eq!(ask(&json!({}), "empty-answer").json()["content"], json!([]));
    assert_eq!(ask(&json!({}), "error-body").json()["type"], "error");
    let short = streamed("short-body");
    assert!(!short.complete && short.end == End::Close);
    assert_eq!(ask(&json!({ "max_tokens": 3 }), "ok").json()["stop_reason"], "max_tokens");
}

#[test]
fn tokens_are_counted_and_models_listed() {
    let path = "/v1/messages/count_tokens";
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "12345678" }] });
    assert_eq!(tell(path, HEADERS, &body, "ok").json(), json!({ "input_tokens": 3 }));
    let limited = tell(path, HEADERS, &question(&json!({})), "ok");
    assert!(limited.body.contains("max_tokens: Extra inputs are not permitted"));
    assert_eq!(tell(path, HEADERS, &body, "529").status, 529);
    let models = tell_raw("GET", "/v1/models", HEADERS, "", "ok").json();
    assert_eq!(models["data"][0]["type"], "model");
}

#[track_caller]
fn refuses(more: &Value, expected: &str) {
    refuses_with(HEADERS, more, expected);
}

#[track_caller]
fn refuses_with(headers: &str, more: &Value, expected: &str) {
    let told = tell("/v1/messages", headers, &question(more), "ok");
    let error = told.json()["error"].take();
    assert_eq!((told.status, &error["type"]), (400, &json!("invalid_request_error")), "{more}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn odd_fields_are_refused() {
    refuses(&json!({ "n": 1 }), "n: Extra inputs are not permitted");
    refuses(&json!({ "context_management": {} }), "Extra inputs are not permitted");
    refuses(&json!({ "max_tokens": null }), "max_tokens: Input should be a valid integer");
    refuses(&json!({ "temperature": 1.5 }), "temperature: range: 0..1");
    refuses(&json!({ "stop_sequences": ["\n"] }), "must contain non-whitespace");
    refuses(&json!({ "system": [{ "type": "text", "text": "" }] }), "must be non-empty");
    let latest = "x-api-key: k\nanthropic-version: 2026-10-21";
    refuses_with(latest, &json!({ "temperature": 1 }), "temperature: is not supported");
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
    let told = tell("/v1/messages", HEADERS, &body, "ok");
    assert!(told.body.contains("max_tokens: Field required"));
    let beta = format!("{HEADERS}\nanthropic-beta: context-management-2025-06-27");
    let told = tell("/v1/messages", &beta, &question(&json!({ "context_management": {} })), "ok");
    assert_eq!(told.status, 200, "{}", told.body);
}

#[test]
fn odd_tools_are_refused() {
    let tool = |tool: Value| json!({ "tools": [tool] });
    refuses(&tool(json!({ "name": "a.b", "input_schema": {} })), "String should match pattern");
    refuses(&tool(json!({ "name": "a" })), "input_schema: Field required");
    refuses(&tool(json!({ "name": "a", "input_schema": {} })), "type: Input should be 'object'");
    refuses(&tool(json!({ "type": "function", "function": {} })), "Input tag 'function'");
    refuses(
        &tool(json!({ "name": "a", "input_schema": { "type": "object" }, "parameters": {} })),
        "Extra inputs",
    );
    refuses(&json!({ "tool_choice": { "type": "any" } }), "while providing tools");
    let choice = |choice: Value| json!({ "tools": tools(), "tool_choice": choice });
    refuses(&choice(json!({ "type": "tool", "name": "x" })), "Tool 'x' not found");
    refuses(&choice(json!({ "type": "required" })), "Input tag 'required'");
    let mut thinking = choice(json!({ "type": "any" }));
    thinking["thinking"] = json!({ "type": "enabled", "budget_tokens": 1024 });
    refuses(&thinking, "Thinking may not be enabled");
    refuses(
        &json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } }),
        "must be greater than",
    );
    refuses(
        &json!({ "thinking": { "type": "enabled", "budget_tokens": 10 } }),
        "greater than or equal to 1024",
    );
    let format = |schema: Value| json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } });
    refuses(&format(json!({ "type": "object" })), "'additionalProperties' must be explicitly");
    let limited = json!({ "type": "object", "additionalProperties": false,
        "properties": { "a": { "type": "integer", "minimum": 1 } } });
    refuses(&format(limited), "property 'minimum' is not supported");
}

#[test]
fn odd_messages_are_refused() {
    let check = |messages: Value, expected: &str| {
        refuses(&json!({ "messages": messages }), expected);
    };
    let user = || json!({ "role": "user", "content": "hi" });
    let said = |role: &str, content: Value| json!({ "role": role, "content": content });
    let text = |text: &str| json!({ "type": "text", "text": text });
    check(json!([]), "at least one message");
    check(json!([said("tool", json!("x"))]), "messages.0.role: Input should be");
    check(json!([said("assistant", json!("x")), user()]), "first message must use the \"user\"");
    check(json!([said("user", json!([text("")]))]), "text content blocks must be non-empty");
    check(json!([said("user", json!([text(" \n")]))]), "must contain non-whitespace");
    check(json!([said("user", json!(""))]), "must have non-empty content");
    check(json!([user(), said("assistant", json!("x "))]), "trailing whitespace");
    let mut named = user();
    named["name"] = "x".into();
    check(json!([named]), "messages.0.name: Extra inputs");
    let image = json!({ "type": "image_url", "image_url": { "url": "x" } });
    check(json!([said("user", json!([image]))]), "Input tag 'image_url'");
    let source = json!({ "type": "base64", "media_type": "image/jpg", "data": "AA==" });
    let image = json!({ "type": "image", "source": source });
    check(json!([said("user", json!([image]))]), "media_type: Input should be");
    check(json!([user(), tool_use("a.b")]), "String should match pattern '^[a-zA-Z0-9_-]+$'");
    let mut string = tool_use("a");
    string["content"][0]["input"] = "{}".into();
    check(json!([user(), string]), "Input should be a valid dictionary");
    check(
        json!([user(), tool_use("a"), user()]),
        "without `tool_result` blocks immediately after: a",
    );
    check(json!([user(), tool_use("a")]), "without `tool_result` blocks");
    check(
        json!([user(), tool_use("a"), said("user", json!([text("x"), result("a")]))]),
        "immediately after: a",
    );
    check(json!([said("user", json!([result("a")]))]), "unexpected `tool_use_id`");
    check(
        json!([user(), tool_use("a"), said("user", json!([result("a"), result("a")]))]),
        "single result",
    );
    let role = said("assistant", json!([result("a")]));
    check(json!([user(), role]), "can only be in `user` messages");
    let thinking = json!({ "type": "thinking", "thinking": "x" });
    check(
        json!([user(), said("assistant", json!([thinking])), user()]),
        "signature: Field required",
    );
    let fine = json!([
        user(),
        said(
            "assistant",
            json!([text("x"), tool_use("a")["content"][0], tool_use("b")["content"][0]])
        ),
        said("user", json!([result("b")])),
        said("user", json!([result("a"), text("and now")])),
    ]);
    let told = ask(&json!({ "messages": fine }), "words=2");
    assert_eq!(told.json()["content"][0]["text"], answer("and now", 2));
}
