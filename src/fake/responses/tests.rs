use serde_json::{Value, json};

use super::super::answer::answer;
use super::super::script::End;
use super::super::testing::{Told, tell};

const KEY: &str = "authorization: Bearer k";

fn question(more: &Value) -> Value {
    let mut body = json!({ "model": "m", "input": "hi" });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn ask(more: &Value, spec: &str) -> Told {
    tell("/v1/responses", KEY, &question(more), spec)
}

fn streamed(spec: &str) -> Told {
    ask(&json!({ "stream": true }), spec)
}

fn text(told: &Told) -> Value {
    told.json()["output"][0]["content"][0]["text"].clone()
}

fn deltas(told: &Told) -> String {
    let events = told.events().into_iter();
    events.filter_map(|(_, data)| data["delta"].as_str().map(str::to_owned)).collect()
}

fn tools() -> Value {
    json!([{ "type": "function", "name": "find", "parameters": {
        "type": "object",
        "properties": { "size": { "type": "integer" }, "name": { "type": "string" } },
    } }])
}

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "id": "fc_1", "call_id": id, "name": "find", "arguments": "{}" })
}

fn output(id: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": "done" })
}

fn message(role: &str, kind: &str, text: &str) -> Value {
    json!({ "role": role, "content": [{ "type": kind, "text": text }] })
}

#[test]
fn a_whole_answer_is_a_response() {
    let told = ask(&json!({}), "words=4");
    assert_eq!((told.status, told.dialect), (200, "openai-responses"));
    let response = told.json();
    assert_eq!(text(&told), answer("hi", 4));
    assert_eq!(
        (&response["object"], &response["status"]),
        (&json!("response"), &json!("completed"))
    );
    assert_eq!(response["usage"]["output_tokens"], 4);
    assert!(response["output"][0]["id"].as_str().unwrap().starts_with("msg_"));
    let azure = tell("/openai/v1/responses", "api-key: k", &question(&json!({})), "ok");
    assert_eq!(azure.status, 200);
}

#[test]
fn a_stream_has_its_events_in_order() {
    let told = streamed("words=4");
    assert_eq!(
        told.names(),
        "response.created response.in_progress response.output_item.added \
         response.content_part.added response.output_text.delta response.output_text.done \
         response.content_part.done response.output_item.done response.completed"
    );
    let events = told.events();
    for (at, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(name), &json!(at)));
    }
    assert_eq!(deltas(&told), answer("hi", 4));
    let last = &events.last().unwrap().1["response"];
    assert_eq!(last["output"][0]["content"][0]["text"], answer("hi", 4));
    assert!(!told.body.contains("[DONE]"));
}

#[test]
fn a_tool_is_called() {
    let said = answer("hi", 2);
    let check = |more: Value, spec: &str, expected: Option<Value>| {
        let item = ask(&more, spec).json()["output"][0].take();
        let found =
            item["arguments"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(found, expected, "{more}");
        let mut more = more;
        more["stream"] = true.into();
        let told = ask(&more, spec);
        assert_eq!(serde_json::from_str(&deltas(&told)).ok(), expected);
        assert_eq!(told.names().contains("function_call_arguments.done"), expected.is_some());
    };
    let fitting = json!({ "size": 1, "name": said });
    let with = |choice: Value| json!({ "tools": tools(), "tool_choice": choice });
    check(json!({}), "words=2+tool-calls", Some(json!({ "query": said })));
    check(with(json!("auto")), "words=2", None);
    check(with(json!("required")), "words=2", Some(fitting.clone()));
    check(with(json!({ "type": "function", "name": "find" })), "words=2", Some(fitting));
    let mut answered = with(json!("required"));
    answered["input"] = json!([message("user", "input_text", "hi"), call("c"), output("c")]);
    check(answered, "words=2", None);
}

#[test]
fn a_schema_is_met() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let format = json!({ "type": "json_schema", "name": "n", "schema": schema });
    let told = ask(&json!({ "text": { "format": format } }), "words=2");
    let value: Value = serde_json::from_str(text(&told).as_str().unwrap()).unwrap();
    assert_eq!(value, json!({ "a": answer("hi", 2) }));
}

#[test]
fn an_answer_is_continued() {
    let (whole, begun) = (answer("hi", 4), answer("hi", 2));
    let rest = &whole[begun.len()..];
    let hi = message("user", "input_text", "hi");
    let partial = message("assistant", "output_text", &begun);
    let go_on = message("user", "input_text", "go on");
    let prefill = json!({ "input": [hi, partial] });
    assert_eq!(text(&ask(&prefill, "words=4")), rest);
    assert_eq!(ask(&prefill, "prefill=off").status, 400);
    assert_eq!(text(&ask(&json!({ "input": [hi, partial, go_on] }), "words=4")), rest);
}

#[test]
fn streams_break_in_their_own_way() {
    let check = |spec: &str, last: &str, complete: bool, end: End| {
        let told = streamed(&format!("{spec}+words=6"));
        let names = told.names();
        assert!(names.ends_with(last), "{spec}: {names}");
        assert_eq!((told.complete, told.end), (complete, end), "{spec}");
    };
    check("cut-reset", "response.output_text.delta", false, End::Reset);
    check("cut-clean", "response.output_text.delta", true, End::KeepAlive);
    check("stall", "response.output_text.delta", false, End::Silence);
    check("error-first", "error", true, End::KeepAlive);
    check("error-start", "response.in_progress error", true, End::KeepAlive);
    check("error-mid", "response.output_text.delta error response.failed", true, End::KeepAlive);
    check("no-done", "response.output_item.done", true, End::KeepAlive);
    check("length:2", "response.incomplete", true, End::KeepAlive);
    check("filtered:2", "response.incomplete", true, End::KeepAlive);
    check("empty-answer", "response.in_progress response.completed", true, End::KeepAlive);
    check("refusal", "response.completed", true, End::KeepAlive);
    let reason = |spec: &str| {
        let events = streamed(spec).events();
        events.last().unwrap().1["response"]["incomplete_details"]["reason"].clone()
    };
    assert_eq!(reason("length:2"), "max_output_tokens");
    assert_eq!(reason("filtered:2"), "content_filter");
    let twice = streamed("double-finish").events();
    assert_eq!(twice.iter().filter(|(name, _)| name == "response.completed").count(), 2);
    let refusal = ask(&json!({}), "refusal").json();
    assert_eq!(refusal["output"][0]["content"][0]["type"], "refusal");
    assert!(streamed("refusal").names().contains("response.refusal.delta"));
    assert_eq!(ask(&json!({ "max_output_tokens": 3 }), "ok").json()["status"], "incomplete");
    assert_eq!(ask(&json!({}), "429").json()["error"]["code"], "rate_limit_exceeded");
    let short = streamed("short-body");
    assert!(!short.complete && short.end == End::Close);
}

#[test]
fn what_a_provider_refuses_is_refused() {
    let check = |more: Value, expected: &str| {
        let told = ask(&more, "ok");
        let error = told.json()["error"].take();
        assert_eq!((told.status, &error["type"]), (400, &json!("invalid_request_error")), "{more}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    };
    check(json!({ "n": 1 }), "Unknown parameter: 'n'.");
    check(json!({ "max_tokens": 1 }), "has moved to 'max_output_tokens'");
    check(json!({ "input": null }), "Missing required parameter: 'input'");
    check(json!({ "previous_response_id": "resp_1" }), "'resp_1' not found");
    let input = |items: Value| json!({ "input": items });
    let mut odd = call("c");
    odd["id"] = "toolu_1".into();
    check(input(json!([odd, output("c")])), "Expected an ID that begins with 'fc'");
    let mut odd = message("assistant", "output_text", "x");
    odd["id"] = "chatcmpl-1".into();
    check(input(json!([odd])), "Expected an ID that begins with 'msg'");
    check(input(json!([call("c")])), "No tool output found for function call c.");
    check(
        input(json!([output("c")])),
        "No tool call found for function call output with call_id c.",
    );
    check(input(json!([output("c"), call("c")])), "No tool call found");
    check(input(json!([call(&"c".repeat(65))])), "maximum length 64");
    check(input(json!([message("assistant", "input_text", "x")])), "'output_text' and 'refusal'");
    check(input(json!([message("user", "text", "x")])), "Invalid value: 'text'");
    check(input(json!([message("tool", "input_text", "x")])), "Invalid value: 'tool'");
    check(input(json!([{ "type": "tool_use" }])), "Invalid value: 'tool_use'");
    let mut odd = call("c");
    odd["arguments"] = json!({});
    check(input(json!([odd, output("c")])), "expected a string");
    let nested = json!({ "type": "function", "function": { "name": "f" } });
    check(json!({ "tools": [nested] }), "Missing required parameter: 'tools[0].name'");
    let choice = |choice: Value| json!({ "tools": tools(), "tool_choice": choice });
    check(choice(json!("any")), "Invalid value: 'any'");
    check(
        choice(json!({ "type": "function", "function": { "name": "find" } })),
        "'tool_choice.name'",
    );
    check(json!({ "tool_choice": "required" }), "must be specified with 'tools'");
    let format = json!({ "type": "json_schema", "schema": {} });
    check(json!({ "text": { "format": format } }), "'text.format.name'");
}

#[test]
fn tokens_are_counted() {
    let told = tell(
        "/v1/responses/input_tokens",
        KEY,
        &json!({ "model": "m", "input": "12345678" }),
        "ok",
    );
    assert_eq!(told.json()["input_tokens"], 3);
}
