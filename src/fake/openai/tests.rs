use serde_json::{Value, json};

use super::super::answer::answer;
use super::super::script::End;
use super::super::testing::{Told, tell};

const KEY: &str = "authorization: Bearer k";

fn chat(body: &Value, spec: &str) -> Told {
    tell("/v1/chat/completions", KEY, body, spec)
}

fn question(more: &Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn tools() -> Value {
    json!([{ "type": "function", "function": { "name": "find", "parameters": {
        "type": "object",
        "properties": { "size": { "type": "integer" }, "name": { "type": "string" } },
    } } }])
}

/// The text, the refusal or the arguments of a streamed answer.
fn said(told: &Told, pointer: &str) -> String {
    let pointer = format!("/choices/0/delta/{pointer}");
    let events = told.events().into_iter();
    events.filter_map(|(_, data)| data.pointer(&pointer)?.as_str().map(str::to_owned)).collect()
}

#[test]
fn an_answer_is_begun_or_continued() {
    let whole = answer("hi", 4);
    let begun = answer("hi", 2);
    let rest = &whole[begun.len()..];
    let check = |messages: &str, spec: &str, expected: &str| {
        let messages = messages.replace('\'', "\"").replace("BEGUN", &begun);
        let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
        let told = chat(&serde_json::from_str(&body).unwrap(), spec);
        assert_eq!(told.json()["choices"][0]["message"]["content"], expected, "{messages}");
    };
    let user = "[{'role':'user','content':'hi'}]";
    let parts = "[{'role':'user','content':[{'type':'text','text':'hi'}]}]";
    let prefill = "[{'role':'user','content':'hi'},{'role':'assistant','content':'BEGUN'}]";
    let go_on = "[{'role':'user','content':'hi'},{'role':'assistant','content':'BEGUN'},\
                 {'role':'user','content':'go on'}]";
    let another = "[{'role':'user','content':'hi'},{'role':'assistant','content':'other'},\
                   {'role':'user','content':'go on'}]";
    let result = "[{'role':'user','content':'hi'},{'role':'assistant','content':null,\
                  'tool_calls':[{'id':'c','type':'function','function':{'name':'f','arguments':'{}'}}]},\
                  {'role':'tool','tool_call_id':'c','content':'done'}]";
    check(user, "words=4", &whole);
    check(parts, "words=4", &whole);
    check(prefill, "words=4", rest);
    check(prefill, "words=4+continues=restart", &whole);
    check(prefill, "words=4+continues=overlap", &whole);
    check(go_on, "words=4", rest);
    check(go_on, "words=4+prefill=off", rest);
    check(another, "words=4", &answer("go on", 4));
    check("[]", "words=4", &answer("", 4));
    check(result, "words=4", &whole);
    check(result, "words=4+tool-calls", &whole);
}

#[test]
fn a_prefill_may_be_refused() {
    let messages = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": "x" },
    ]);
    let told = chat(&question(&json!({ "messages": messages })), "prefill=off");
    assert_eq!((told.status, &told.json()["error"]["code"]), (400, &json!("unsupported_value")));
}

#[test]
fn a_tool_is_called_when_the_request_forces_it() {
    let check = |choice: Value, called: bool| {
        let more = json!({ "tools": tools(), "tool_choice": choice });
        let message = chat(&question(&more), "words=2").json()["choices"][0].take();
        assert_eq!(message["finish_reason"] == "tool_calls", called, "{choice}");
        let arguments = message["message"]["tool_calls"][0]["function"]["arguments"].as_str();
        let arguments: Option<Value> = arguments.map(|text| serde_json::from_str(text).unwrap());
        let expected = json!({ "size": 1, "name": answer("hi", 2) });
        assert_eq!(arguments, called.then_some(expected), "{choice}");
    };
    check(json!("auto"), false);
    check(json!("none"), false);
    check(json!("required"), true);
    check(json!({ "type": "function", "function": { "name": "find" } }), true);
    let allowed = json!([{ "type": "function", "function": { "name": "find" } }]);
    let allowed = json!({ "mode": "required", "tools": allowed });
    check(json!({ "type": "allowed_tools", "allowed_tools": allowed }), true);
}

#[test]
fn a_forced_call_is_streamed_and_breaks_like_text() {
    let more = json!({ "tools": tools(), "tool_choice": "required", "stream": true });
    let told = chat(&question(&more), "words=3");
    let arguments = said(&told, "tool_calls/0/function/arguments");
    let expected = json!({ "size": 1, "name": answer("hi", 3) });
    assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), expected);
    let told = chat(&question(&more), "cut-reset:after=1+words=3");
    assert_eq!(told.end, End::Reset);
    assert!(expected.to_string().starts_with(&said(&told, "tool_calls/0/function/arguments")));
}

#[test]
fn a_refusal_is_no_content() {
    let told = chat(&question(&json!({})), "refusal");
    let choice = told.json()["choices"][0].take();
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&Value::Null, &json!("stop"))
    );
    let streamed = chat(&question(&json!({ "stream": true })), "refusal");
    assert_eq!(said(&streamed, "refusal"), choice["message"]["refusal"].as_str().unwrap());
}

#[test]
fn an_error_may_follow_the_start() {
    let told = chat(&question(&json!({ "stream": true })), "error-start");
    let events = told.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].1["error"]["code"], "overloaded");
    assert!(!told.body.contains("[DONE]"));
}

#[test]
fn what_a_provider_refuses_is_refused() {
    let check = |more: Value, expected: &str| {
        let told = chat(&question(&more), "ok");
        let error = told.json()["error"].take();
        assert_eq!((told.status, &error["type"]), (400, &json!("invalid_request_error")), "{more}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    };
    let messages = |list: Value| json!({ "messages": list });
    let user = || json!({ "role": "user", "content": "hi" });
    let call = |id: &str| {
        let function = json!({ "name": "f", "arguments": "{}" });
        let calls = json!([{ "id": id, "type": "function", "function": function }]);
        json!({ "role": "assistant", "content": null, "tool_calls": calls })
    };
    let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "x" });
    check(messages(json!([{ "role": "model", "content": "x" }])), "Invalid value: 'model'");
    check(messages(json!([user(), result("c")])), "must be a response to a preceeding message");
    check(messages(json!([user(), call("c"), user()])), "did not have response messages: c");
    check(messages(json!([user(), call("c"), result("d")])), "was not found in 'tool_calls'");
    check(messages(json!([user(), call("c"), result("c"), result("c")])), "was not found");
    check(messages(json!([{ "role": "user", "content": null }])), "expected a string, got null");
    check(
        messages(json!([{ "role": "assistant", "content": null }])),
        "expected a string, got null",
    );
    let part = json!([{ "type": "input_text", "text": "x" }]);
    check(messages(json!([{ "role": "user", "content": part }])), "Invalid value: 'input_text'");
    let mut image = result("c");
    image["content"] = json!([{ "type": "image_url", "image_url": { "url": "x" } }]);
    check(messages(json!([user(), call("c"), image])), "Supported values are: 'text'");
    let mut object = call("c");
    object["tool_calls"][0]["function"]["arguments"] = json!({});
    check(messages(json!([user(), object, result("c")])), "expected a string");
    check(messages(json!([user(), call(&"c".repeat(41)), result("c")])), "maximum length 40");
    check(json!({ "tools": [] }), "Expected an array with minimum length 1");
    check(
        json!({ "tools": [{ "name": "f", "input_schema": {} }] }),
        "Supported values are: 'function'",
    );
    let odd = json!([{ "type": "function", "function": { "name": "a.b" } }]);
    check(json!({ "tools": odd }), "does not match pattern");
    check(json!({ "tool_choice": "auto" }), "only allowed when 'tools' are specified");
    let other = json!({ "type": "function", "function": { "name": "g" } });
    check(json!({ "tools": tools(), "tool_choice": other }), "not found in 'tools'");
    check(json!({ "stream_options": { "include_usage": true } }), "only allowed when 'stream'");
    let strict = |schema: Value| {
        json!({ "response_format": { "type": "json_schema",
            "json_schema": { "name": "n", "strict": true, "schema": schema } } })
    };
    let open = json!({ "type": "object", "properties": {} });
    check(strict(open), "'additionalProperties' is required");
    let optional = json!({ "type": "object", "additionalProperties": false,
        "properties": { "a": { "type": "string" } }, "required": [] });
    check(strict(optional), "Missing 'a'");
}

#[test]
fn azure_has_its_own_paths_and_words() {
    let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": true });
    let path = "/openai/deployments/gpt!words=2/chat/completions?api-version=2024-10-21";
    let told = tell(path, "api-key: k", &body, "ok");
    assert_eq!((told.status, told.dialect), (200, "azure"));
    assert_eq!(told.header("apim-request-id").as_deref(), Some("req-fake-7"));
    assert_eq!(told.events()[0].1["choices"], json!([]));
    assert_eq!(said(&told, "content"), answer("hi", 60));
    let unversioned = path.split('?').next().unwrap();
    assert_eq!(tell(unversioned, "api-key: k", &body, "ok").status, 404);
    assert_eq!(tell(path, "api-key: other", &body, "ok").json()["error"]["code"], "401");
    let missing = tell(path, "api-key: k", &body, "model-not-found");
    assert_eq!(missing.json()["error"]["code"], "DeploymentNotFound");
    let newer = tell("/openai/v1/chat/completions", "api-key: k", &question(&json!({})), "ok");
    assert_eq!((newer.status, newer.dialect), (200, "azure"));
    let vectors = "/openai/deployments/e/embeddings?api-version=1";
    let told = tell(vectors, "api-key: k", &json!({ "input": ["a", "b"] }), "ok");
    assert_eq!(told.json()["data"].as_array().unwrap().len(), 2);
}

#[test]
fn inputs_are_counted() {
    let check = |input: Value, expected: usize| {
        let told = tell("/v1/embeddings", KEY, &json!({ "model": "m", "input": input }), "ok");
        assert_eq!(told.json()["data"].as_array().unwrap().len(), expected, "{input}");
    };
    check(json!("one"), 1);
    check(json!(["one", "two"]), 2);
    check(json!([1, 2, 3]), 1);
    check(json!([[1, 2], [3]]), 2);
}
