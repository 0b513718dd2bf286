use serde_json::{Value, json};

use super::super::answer::answer;
use super::super::script::End;
use super::super::testing::{Told, tell, tell_raw};

const KEY: &str = "x-goog-api-key: k";

fn question(more: &Value) -> Value {
    let mut body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn ask(more: &Value, spec: &str) -> Told {
    tell("/v1beta/models/m:generateContent", KEY, &question(more), spec)
}

fn events(more: &Value, spec: &str) -> Told {
    tell("/v1beta/models/m:streamGenerateContent?alt=sse", KEY, &question(more), spec)
}

fn array(more: &Value, spec: &str) -> Told {
    tell("/v1/models/m:streamGenerateContent", KEY, &question(more), spec)
}

fn part(told: &Told) -> Value {
    told.json()["candidates"][0]["content"]["parts"][0].clone()
}

/// What a list of responses says.
fn said<'a>(list: impl IntoIterator<Item = &'a Value>) -> String {
    let parts = list.into_iter().map(|response| &response["candidates"][0]["content"]["parts"]);
    parts.filter_map(|parts| parts[0]["text"].as_str()).collect()
}

fn tools() -> Value {
    json!([{ "functionDeclarations": [{ "name": "find", "parameters": {
        "type": "OBJECT",
        "properties": { "size": { "type": "INTEGER" }, "name": { "type": "STRING" } },
    } }] }])
}

fn call(name: &str) -> Value {
    let call = json!({ "functionCall": { "name": name, "args": {} }, "thoughtSignature": "c2ln" });
    json!({ "role": "model", "parts": [call] })
}

fn result(name: &str) -> Value {
    json!({ "functionResponse": { "name": name, "response": { "result": 1 } } })
}

fn user(parts: &Value) -> Value {
    json!({ "role": "user", "parts": parts })
}

#[test]
fn a_whole_answer_has_a_candidate() {
    let told = ask(&json!({}), "words=4");
    assert_eq!((told.status, told.dialect), (200, "gemini"));
    let response = told.json();
    assert_eq!(part(&told), json!({ "text": answer("hi", 4) }));
    assert_eq!(response["candidates"][0]["finishReason"], "STOP");
    assert_eq!(response["usageMetadata"]["candidatesTokenCount"], 4);
    assert_eq!(response["modelVersion"], "m");
}

#[test]
fn a_stream_is_events_or_an_array() {
    let told = events(&json!({}), "words=4");
    assert!(
        !told.body.contains("event:")
            && told.header("content-type").unwrap().contains("event-stream")
    );
    let list: Vec<_> = told.events().into_iter().map(|(_, data)| data).collect();
    assert_eq!((list.len(), said(&list)), (5, answer("hi", 4)));
    assert_eq!(list[4]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(list[1]["usageMetadata"]["candidatesTokenCount"], 2);
    let told = array(&json!({}), "words=4");
    assert!(told.header("content-type").unwrap().starts_with("application/json"));
    let elements = told.json();
    assert_eq!(elements.as_array().unwrap(), &list);
}

#[test]
fn the_path_says_what_is_asked() {
    let check = |target: &str, headers: &str, status: u16, expected: &str| {
        let told = tell(target, headers, &question(&json!({})), "ok");
        assert_eq!(told.status, status, "{target}: {}", told.body);
        assert!(told.body.contains(expected), "{target}: {}", told.body);
    };
    check("/v1/models/m:generateContent", KEY, 200, "\"modelVersion\":\"m\"");
    check("/models/m:generateContent", KEY, 200, "\"modelVersion\":\"m\"");
    check("/v1beta/models/a/b:c:generateContent", KEY, 200, "\"modelVersion\":\"a/b:c\"");
    check(
        "/v1beta/models/a%2Fb!words=1:generateContent",
        KEY,
        200,
        "\"modelVersion\":\"a/b!words=1\"",
    );
    check("/v1beta/models/m:generateContent?key=k", "", 200, "candidates");
    check("/v1beta/models/m:generateContent?key=x", "", 400, "API_KEY_INVALID");
    check("/v1beta/models/m:answer", KEY, 404, "NOT_FOUND");
    let list = tell_raw("GET", "/v1beta/models", KEY, "", "ok").json();
    assert_eq!(list["models"][0]["name"], "models/fake-model");
    assert!(tell_raw("GET", "/v1/models?key=k", "", "", "ok").json()["models"].is_array());
}

#[test]
fn both_spellings_are_taken() {
    let config = json!({ "max_output_tokens": 2, "stop_sequences": ["x"] });
    let more = json!({ "generation_config": config, "system_instruction": { "parts": [{ "text": "s" }] } });
    let told = ask(&more, "ok");
    assert_eq!(part(&told)["text"], answer("hi", 2));
    assert_eq!(told.json()["candidates"][0]["finishReason"], "MAX_TOKENS");
}

#[test]
fn a_tool_is_called_whole() {
    let text = answer("hi", 2);
    let check = |more: Value, spec: &str, expected: Option<Value>| {
        let part = part(&ask(&more, spec));
        assert_eq!(part["functionCall"].get("args").cloned(), expected, "{more}");
        assert_eq!(part["thoughtSignature"].is_string(), expected.is_some());
        let list: Vec<_> = events(&more, spec).events().into_iter().map(|(_, data)| data).collect();
        let called = &list[0]["candidates"][0]["content"]["parts"][0]["functionCall"];
        assert_eq!(called.get("args").cloned(), expected, "{more}");
        assert_eq!(list.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    };
    let mode = |mode: &str| json!({ "tools": tools(), "toolConfig": { "functionCallingConfig": { "mode": mode } } });
    let fitting = json!({ "size": 1, "name": text });
    check(mode("AUTO"), "words=2", None);
    check(mode("ANY"), "words=2", Some(fitting));
    check(json!({ "tools": tools() }), "words=2+tool-calls", Some(json!({ "query": text })));
    let mut answered = mode("ANY");
    let turns =
        json!([user(&json!([{ "text": "hi" }])), call("find"), user(&json!([result("find")]))]);
    answered["contents"] = turns;
    check(answered, "words=2", None);
    let cut = events(&json!({ "tools": tools() }), "tool-cut");
    assert!(cut.body.contains("\"args\":{\"query\"") && !cut.body.contains("\n\n"), "{}", cut.body);
    assert_eq!(cut.end, End::Reset);
    let malformed = ask(&mode("ANY"), "wrong-json").json();
    assert_eq!(malformed["candidates"][0]["finishReason"], "MALFORMED_FUNCTION_CALL");
}

#[test]
fn a_schema_is_met() {
    let check = |name: &str, schema: Value| {
        let config = json!({ "responseMimeType": "application/json", name: schema });
        let told = ask(&json!({ "generationConfig": config }), "words=2");
        let value: Value = serde_json::from_str(part(&told)["text"].as_str().unwrap()).unwrap();
        assert_eq!(value, json!({ "a": answer("hi", 2) }), "{name}");
    };
    check(
        "responseJsonSchema",
        json!({ "type": "object", "properties": { "a": { "type": "string" } }, "additionalProperties": false }),
    );
    check(
        "responseSchema",
        json!({ "type": "OBJECT", "properties": { "a": { "type": "STRING" } } }),
    );
    let config = json!({ "generationConfig": { "responseMimeType": "application/json" } });
    assert_eq!(
        part(&ask(&config, "words=1"))["text"],
        json!({ "answer": answer("hi", 1) }).to_string()
    );
}

#[test]
fn an_answer_is_continued() {
    let (whole, begun) = (answer("hi", 4), answer("hi", 2));
    let rest = &whole[begun.len()..];
    let hi = user(&json!([{ "text": "hi" }]));
    let partial = json!({ "role": "model", "parts": [{ "text": begun }] });
    let go_on = user(&json!([{ "text": "go on" }]));
    let prefill = json!({ "contents": [hi, partial] });
    assert_eq!(part(&ask(&prefill, "words=4"))["text"], rest);
    assert_eq!(ask(&prefill, "prefill=off").status, 400);
    let asked = json!({ "contents": [hi, partial, go_on] });
    assert_eq!(part(&ask(&asked, "words=4"))["text"], rest);
}

#[test]
fn errors_have_their_own_shape() {
    let check = |spec: &str, status: u16, word: &str| {
        let told = ask(&json!({}), spec);
        let error = told.json()["error"].take();
        assert_eq!((told.status, &error["status"]), (status, &json!(word)), "{spec}");
        assert_eq!(error["code"], status);
        assert_eq!((told.header("retry-after"), told.header("x-request-id")), (None, None));
        error
    };
    check("bad-request", 400, "INVALID_ARGUMENT");
    check("context-length", 400, "INVALID_ARGUMENT");
    check("401", 401, "UNAUTHENTICATED");
    check("403", 403, "PERMISSION_DENIED");
    check("404", 404, "NOT_FOUND");
    check("500", 500, "INTERNAL");
    check("504", 504, "DEADLINE_EXCEEDED");
    check("overloaded", 503, "UNAVAILABLE");
    let delay = |spec: &str| {
        let error = check(spec, 429, "RESOURCE_EXHAUSTED");
        let details = error["details"].as_array().unwrap();
        assert!(details[0]["violations"][0]["quotaId"].is_string());
        details.get(1).map(|info| info["retryDelay"].as_str().unwrap().to_owned())
    };
    assert_eq!(delay("429"), None);
    assert_eq!(delay("429:retry-after=2").as_deref(), Some("2s"));
    assert_eq!(delay("429:retry-after-ms=1500").as_deref(), Some("1.5s"));
    assert_eq!(delay("429:reset=1m30s").as_deref(), Some("90s"));
    assert_eq!(delay("429:retry-after=soon").as_deref(), Some("soons"));
    let quota = check("quota", 429, "RESOURCE_EXHAUSTED");
    assert!(quota["details"][0]["violations"][0]["quotaId"].as_str().unwrap().contains("PerDay"));
    assert_eq!(array(&json!({}), "500").json()[0]["error"]["code"], 500);
}

#[test]
fn a_blocked_prompt_has_no_candidates() {
    let check = |response: Value| {
        assert_eq!(response["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
        assert!(response.get("candidates").is_none());
    };
    assert_eq!(ask(&json!({}), "content-filter").status, 200);
    check(ask(&json!({}), "content-filter").json());
    check(events(&json!({}), "content-filter").events()[0].1.clone());
    check(array(&json!({}), "content-filter").json()[0].clone());
}

#[test]
fn streams_break_in_their_own_way() {
    let last = |told: &Told| told.events().pop().map(|(_, data)| data).unwrap_or_default();
    let reason = |spec: &str| {
        let reason = &last(&events(&json!({}), spec))["candidates"][0]["finishReason"];
        reason.as_str().map(str::to_owned)
    };
    assert_eq!(reason("length:2").as_deref(), Some("MAX_TOKENS"));
    assert_eq!(reason("filtered:2").as_deref(), Some("SAFETY"));
    assert_eq!(reason("refusal").as_deref(), Some("STOP"));
    assert_eq!(reason("cut-clean"), None);
    let error = events(&json!({}), "error-mid");
    assert_eq!((error.events().len(), &last(&error)["error"]["code"]), (4, &json!(503)));
    assert_eq!(events(&json!({}), "error-first").events().len(), 1);
    assert_eq!(events(&json!({}), "cut-reset").end, End::Reset);
    assert_eq!(events(&json!({}), "stall").end, End::Silence);
    let whole = array(&json!({}), "error-mid").json();
    assert_eq!(whole[3]["error"]["status"], "UNAVAILABLE");
    assert!(!array(&json!({}), "no-done").body.ends_with(']'));
    assert!(!array(&json!({}), "cut-clean").body.ends_with(']'));
    let malformed = events(&json!({}), "malformed").events();
    assert_eq!(malformed.iter().filter(|(_, data)| data.is_string()).count(), 1);
    let End::Repeat { bytes, .. } = events(&json!({}), "comments").end else { panic!("it ends") };
    assert!(String::from_utf8(bytes).unwrap().contains("data: {"));
    assert!(
        ask(&json!({}), "empty-answer").json()["candidates"][0]["content"]["parts"] == json!([])
    );
    let short = events(&json!({}), "short-body");
    assert!(!short.complete && short.end == End::Close);
}

#[test]
fn the_smaller_endpoints_answer() {
    let content = json!({ "parts": [{ "text": "one" }] });
    let body = json!({ "content": content, "outputDimensionality": 4 });
    let one = tell("/v1beta/models/e:embedContent", KEY, &body, "ok").json();
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 4);
    let request = json!({ "model": "models/e", "content": content, "outputDimensionality": 4 });
    let path = "/v1beta/models/e:batchEmbedContents";
    let batch = tell(path, KEY, &json!({ "requests": [request, request] }), "ok").json();
    assert_eq!(batch["embeddings"], json!([one["embedding"], one["embedding"]]));
    let other = json!({ "requests": [{ "model": "e", "content": content }] });
    assert_eq!(tell(path, KEY, &other, "ok").status, 400);
    let openai = json!({ "model": "e", "input": "one", "dimensions": 4 });
    let openai = tell("/v1/embeddings", "authorization: Bearer k", &openai, "ok").json();
    assert_eq!(openai["data"][0]["embedding"], one["embedding"]["values"]);
    let count = tell("/v1beta/models/m:countTokens", KEY, &question(&json!({})), "ok").json();
    assert_eq!(count["totalTokens"], 1);
}

#[track_caller]
fn refuses(model: &str, more: &Value, expected: &str) {
    let target = format!("/v1beta/models/{model}:generateContent");
    let told = tell(&target, KEY, &question(more), "ok");
    let error = told.json()["error"].take();
    assert_eq!((told.status, &error["status"]), (400, &json!("INVALID_ARGUMENT")), "{more}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn odd_fields_are_refused() {
    let check = |more: Value, expected: &str| refuses("m", &more, expected);
    check(json!({ "model_name": 1 }), "Unknown name \"modelName\": Cannot find field.");
    check(
        json!({ "generationConfig": { "maxTokens": 1 } }),
        "Unknown name \"maxTokens\" at 'generation_config'",
    );
    check(json!({ "generationConfig": { "temperature": 3 } }), "supported range is from 0");
    check(
        json!({ "generationConfig": { "stopSequences": ["a", "b", "c", "d", "e", "f"] } }),
        "at most 5",
    );
    check(
        json!({ "generationConfig": { "responseJsonSchema": {} } }),
        "response_mime_type is application/json",
    );
    let declared =
        |declaration: Value| json!({ "tools": [{ "functionDeclarations": [declaration] }] });
    check(declared(json!({ "name": "a b" })), "Invalid function name");
    check(declared(json!({ "name": "a", "input_schema": {} })), "Unknown name \"inputSchema\"");
    check(
        declared(
            json!({ "name": "a", "parameters": { "type": "OBJECT", "additionalProperties": false } }),
        ),
        "Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters'",
    );
    check(json!({ "tools": [{ "type": "function" }] }), "Unknown name \"type\" at 'tools[0]'");
    let calling = |config: Value| json!({ "tools": tools(), "toolConfig": { "functionCallingConfig": config } });
    check(
        calling(json!({ "mode": "any" })),
        "Invalid value at 'tool_config.function_calling_config.mode'",
    );
    check(calling(json!({ "mode": "AUTO", "allowedFunctionNames": ["find"] })), "only be set when");
    check(
        calling(json!({ "mode": "ANY", "allowedFunctionNames": ["x"] })),
        "not in the function declarations",
    );
}

#[test]
fn odd_contents_are_refused() {
    let on = |model: &str, contents: Value, expected: &str| {
        refuses(model, &json!({ "contents": contents }), expected);
    };
    let check = |contents: Value, expected: &str| on("m", contents, expected);
    let hi = || user(&json!([{ "text": "hi" }]));
    check(json!([]), "contents is not specified");
    check(json!([{ "role": "assistant", "parts": [{ "text": "x" }] }]), "valid role: user, model");
    check(json!([{ "role": "user", "content": "x" }]), "Unknown name \"content\" at 'contents[0]'");
    check(json!([user(&json!([]))]), "parts must not be empty");
    check(json!([user(&json!([{ "type": "text", "text": "x" }]))]), "Unknown name \"type\"");
    check(json!([user(&json!([{}]))]), "required oneof field 'data'");
    let data = json!({ "mimeType": "image/png", "data": "data:image/png;base64,AA==" });
    check(json!([user(&json!([{ "inlineData": data }]))]), "Base64 decoding failed");
    let mut string = result("find");
    string["functionResponse"]["response"] = "done".into();
    check(
        json!([hi(), call("find"), user(&json!([string]))]),
        "Invalid value at 'contents[2].parts[0].function_response.response'",
    );
    check(json!([hi(), user(&json!([result("find")]))]), "immediately after a function call");
    check(json!([hi(), call("find"), hi()]), "immediately after a function call");
    check(
        json!([hi(), call("find"), user(&json!([result("find"), result("find")]))]),
        "number of function response parts",
    );
    check(json!([hi(), call("find"), user(&json!([result("other")]))]), "was not called");
    check(json!([hi(), call("find")]), "end with a user role");
    let mut unsigned = call("find");
    unsigned["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
    let turns = json!([hi(), unsigned, user(&json!([result("find")]))]);
    on("gemini-3-pro", turns.clone(), "missing a thought_signature");
    assert_eq!(ask(&json!({ "contents": turns }), "ok").status, 200);
}
