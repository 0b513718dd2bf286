//! What holds in every dialect alike: the text of a healthy answer, and that
//! each fault is there, and ends as it does in the others.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Server;
use super::answer::answer;
use super::grammar::FAULTS;
use super::script::End;
use super::server::Options;
use super::testing::{Told, tell};

/// One way to ask "hi": where, with which headers, with which body.
struct Way {
    target: &'static str,
    headers: &'static str,
    body: Value,
}

const GEMINI: &str = "x-goog-api-key: k";
const ANTHROPIC: &str = "x-api-key: k\nanthropic-version: 2023-06-01";

/// All ways to ask for a whole answer, or for a stream.
fn ways(streamed: bool) -> Vec<Way> {
    let way = |target, headers, body| Way { target, headers, body };
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let chat = json!({ "model": "m", "messages": messages, "stream": streamed });
    let mut anthropic = chat.clone();
    anthropic["max_tokens"] = 1000.into();
    let responses = json!({ "model": "m", "input": "hi", "stream": streamed });
    let gemini = json!({ "contents": [{ "parts": [{ "text": "hi" }] }] });
    let deployed = "/openai/deployments/m/chat/completions?api-version=1";
    let mut ways = vec![
        way("/v1/chat/completions", "authorization: Bearer k", chat.clone()),
        way(deployed, "api-key: k", chat),
        way("/v1/responses", "authorization: Bearer k", responses),
        way("/v1/messages", ANTHROPIC, anthropic),
    ];
    if streamed {
        let events = "/v1beta/models/m:streamGenerateContent?alt=sse";
        ways.push(way(events, GEMINI, gemini.clone()));
        ways.push(way("/v1beta/models/m:streamGenerateContent", GEMINI, gemini));
    } else {
        ways.push(way("/v1/models/m:generateContent", GEMINI, gemini));
    }
    ways
}

impl Way {
    fn ask(&self, spec: &str) -> Told {
        tell(self.target, self.headers, &self.body, spec)
    }
}

/// The text in an answer of any dialect.
fn text(told: &Told) -> String {
    let events = told.events();
    let values: Vec<_> = if !events.is_empty() {
        events.into_iter().map(|(_, data)| data).collect()
    } else if told.body.starts_with('[') {
        serde_json::from_str(&told.body).unwrap()
    } else {
        vec![told.json()]
    };
    let pointers = [
        "/choices/0/message/content",
        "/choices/0/delta/content",
        "/content/0/text",
        "/delta/text",
        "/output/0/content/0/text",
        "/delta",
        "/candidates/0/content/parts/0/text",
    ];
    let found = |value: &Value| {
        let said = pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_str());
        said.map(str::to_owned)
    };
    values.iter().filter_map(found).collect()
}

#[test]
fn a_healthy_answer_is_the_same_text() {
    for way in ways(false).into_iter().chain(ways(true)) {
        for spec in ["ok", "words=0", "words=1", "slow-first:1ms", "huge-header"] {
            let words = match spec {
                "words=0" => 0,
                "words=1" => 1,
                _ => 60,
            };
            let told = way.ask(spec);
            assert_eq!(told.status, 200, "{}: {}", way.target, told.body);
            assert_eq!(text(&told), answer("hi", words), "{} {spec}", way.target);
        }
    }
}

/// The way's request with two tools; `one` if it wants one call at most.
fn with_tools(way: &Way, one: bool) -> Value {
    let mut body = way.body.clone();
    let schema = json!({ "type": "object" });
    let chat = |name: &str| json!({ "type": "function", "function": { "name": name } });
    let flat = |name: &str| json!({ "type": "function", "name": name });
    let anthropic = |name: &str| json!({ "name": name, "input_schema": schema });
    if way.target.contains("models") {
        let declared = json!([{ "name": "f" }, { "name": "g" }]);
        body["tools"] = json!([{ "functionDeclarations": declared }]);
    } else if way.target.ends_with("messages") {
        body["tools"] = json!([anthropic("f"), anthropic("g")]);
        body["tool_choice"] = json!({ "type": "auto", "disable_parallel_tool_use": one });
    } else {
        let responses = way.target.ends_with("responses");
        let tool = |name| if responses { flat(name) } else { chat(name) };
        body["tools"] = json!([tool("f"), tool("g")]);
        body["parallel_tool_calls"] = json!(!one);
    }
    body
}

/// The values of all members with this name, in order of appearance.
fn named<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        if key == name {
            found.push(inner);
        }
        named(inner, name, found);
    }
    for inner in value.as_array().into_iter().flatten() {
        named(inner, name, found);
    }
}

#[test]
fn several_tools_may_be_called_at_once() {
    for (streamed, one) in [(false, false), (false, true), (true, false), (true, true)] {
        for way in ways(streamed) {
            let body = with_tools(&way, one);
            let told = tell(way.target, way.headers, &body, "tool-calls+calls=3+words=2");
            let events = told.events().into_iter().map(|(_, data)| data).collect::<Vec<_>>();
            let whole = if events.is_empty() { told.json() } else { Value::Array(events) };
            let mut names = Vec::new();
            named(&whole, "name", &mut names);
            let mut names: Vec<_> = names.iter().filter_map(|name| name.as_str()).collect();
            // In a stream of Responses each is named several times, and all again at the end.
            names.dedup();
            names.truncate(3);
            let one = one && told.dialect != "gemini";
            let expected: &[&str] = if one { &["f"] } else { &["f", "g", "f"] };
            assert_eq!(names, expected, "{} {}", way.target, told.body);
            let asked = answer("hi", 2);
            let count = told.body.matches(asked.split(' ').next_back().unwrap()).count();
            assert!(count >= expected.len(), "{} {}", way.target, told.body);
        }
    }
}

/// The same call in another dialect may have two turns of the user in one: the
/// answer is the same all the same.
#[test]
fn the_last_text_of_the_user_is_answered() {
    for way in ways(false).into_iter().chain(ways(true)) {
        let mut body = way.body.clone();
        let kind = if way.target.ends_with("responses") { "input_text" } else { "text" };
        let part = |text: &str| json!({ "type": kind, "text": text });
        let said = json!([{ "role": "user", "content": [part("before"), part("hi")] }]);
        if way.target.contains("models") {
            let parts = json!([{ "text": "before" }, { "text": "hi" }]);
            body["contents"] = json!([{ "role": "user", "parts": parts }]);
        } else if way.target.ends_with("responses") {
            body["input"] = said;
        } else {
            body["messages"] = said;
        }
        let told = tell(way.target, way.headers, &body, "words=9");
        assert_eq!(text(&told), answer("hi", 9), "{}: {}", way.target, told.body);
    }
}

/// The way's request whose tool was called and answered; `more` was said after
/// the result.
fn after_a_result(way: &Way, more: Option<&str>) -> Value {
    let mut body = with_tools(way, false);
    let text = |text: &str| json!({ "role": "user", "content": text });
    if way.target.contains("models") {
        let mut answered = vec![json!({ "functionResponse": { "name": "f", "response": {} } })];
        answered.extend(more.map(|more| json!({ "text": more })));
        body["toolConfig"] = json!({ "functionCallingConfig": { "mode": "ANY" } });
        body["contents"] = json!([
            { "role": "user", "parts": [{ "text": "hi" }] },
            { "role": "model", "parts": [{ "functionCall": { "name": "f", "args": {} } }] },
            { "role": "user", "parts": answered },
        ]);
    } else if way.target.ends_with("messages") {
        let result = json!({ "type": "tool_result", "tool_use_id": "toolu_1", "content": "r" });
        let mut answered = vec![result];
        answered.extend(more.map(|more| json!({ "type": "text", "text": more })));
        body["tool_choice"] = json!({ "type": "any" });
        body["messages"] = json!([
            text("hi"),
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }] },
            { "role": "user", "content": answered },
        ]);
    } else if way.target.ends_with("responses") {
        let call = json!({ "type": "function_call", "call_id": "call_1", "name": "f",
                           "arguments": "{}" });
        let output = json!({ "type": "function_call_output", "call_id": "call_1", "output": "r" });
        let mut input = vec![text("hi"), call, output];
        input.extend(more.map(text));
        body["tool_choice"] = json!("required");
        body["input"] = Value::Array(input);
    } else {
        let calls = json!([{ "id": "call_1", "type": "function",
                             "function": { "name": "f", "arguments": "{}" } }]);
        let mut messages = vec![
            text("hi"),
            json!({ "role": "assistant", "content": null, "tool_calls": calls }),
            json!({ "role": "tool", "tool_call_id": "call_1", "content": "r" }),
        ];
        messages.extend(more.map(text));
        body["tool_choice"] = json!("required");
        body["messages"] = Value::Array(messages);
    }
    body
}

/// Agents add reminders after the results of their tools: a provider that then
/// called again, and again, would keep them busy for ever.
#[test]
fn a_result_is_answered_even_if_more_was_said_after_it() {
    for (streamed, more) in
        [(false, None), (true, None), (false, Some("be brief")), (true, Some("be brief"))]
    {
        for way in ways(streamed) {
            for spec in ["words=2", "tool-calls+words=2"] {
                let told = tell(way.target, way.headers, &after_a_result(&way, more), spec);
                assert_eq!(told.status, 200, "{}: {}", way.target, told.body);
                let said = answer(more.unwrap_or("hi"), 2);
                assert_eq!(text(&told), said, "{} {more:?} {spec}: {}", way.target, told.body);
            }
            let asked = with_tools(&way, false);
            let called = tell(way.target, way.headers, &asked, "tool-calls+words=2");
            assert!(called.body.contains("\"f\""), "{}: {}", way.target, called.body);
        }
    }
}

#[test]
fn reasoning_may_come_before_the_answer() {
    for streamed in [false, true] {
        for way in ways(streamed) {
            let told = way.ask("thoughts=2+words=2");
            let thoughts = answer("thoughts", 2);
            let (first, second) = thoughts.split_once(' ').unwrap();
            let at = |word: &str| told.body.find(word).unwrap_or_else(|| panic!("{}", told.body));
            assert!(at(first) < at(second), "{}", way.target);
            assert!(at(second) < at(answer("hi", 1).as_str()), "{} {}", way.target, told.body);
            let events: Vec<_> = told.events().into_iter().map(|(_, data)| data).collect();
            let whole = if events.is_empty() { told.json() } else { Value::Array(events) };
            let mut tokens = Vec::new();
            for name in ["reasoning_tokens", "thinking_tokens", "thoughtsTokenCount"] {
                named(&whole, name, &mut tokens);
            }
            let counted = tokens.iter().all(|tokens| **tokens == 2);
            // A stream of Chat Completions has its usage when asked for it.
            let asked = !streamed || !["openai", "azure"].contains(&told.dialect);
            assert!(counted && asked != tokens.is_empty(), "{} {}", way.target, told.body);
        }
    }
}

/// How an answer ends, which is not a matter of dialects.
fn ending(told: &Told) -> (bool, &'static str) {
    let end = match &told.end {
        End::KeepAlive => "keep-alive",
        End::Close => "close",
        End::Reset => "reset",
        End::Silence => "silence",
        End::Repeat { .. } => "repeat",
    };
    (told.complete, end)
}

#[test]
fn every_fault_is_there_and_ends_alike() {
    let parts = FAULTS
        .iter()
        .filter(|(_, _, effect)| !effect.starts_with("when:") && !effect.starts_with("setting:"));
    for (name, ..) in parts {
        let name = if name.starts_with("400") { "418" } else { name };
        // Nothing is answered: there is no dialect in it.
        if ["refuse", "reset", "close", "silence", "garbage"].contains(&name) {
            continue;
        }
        for streamed in [false, true] {
            let ways = ways(streamed);
            let first = ways[0].ask(name);
            for way in &ways[1..] {
                let told = way.ask(name);
                assert_eq!(ending(&told), ending(&first), "{name} {}", way.target);
                let own = ["overloaded", "content-filter"];
                if told.dialect != "gemini" || !own.contains(&name) {
                    assert_eq!(told.status, first.status, "{name} {}", way.target);
                }
            }
        }
    }
}

#[test]
fn a_fault_leaves_the_words_before_it() {
    for way in ways(true) {
        for spec in ["cut-reset", "cut-clean", "cut-fin", "stall", "bad-chunking"] {
            let told = way.ask(&format!("{spec}:after=3+words=9"));
            let begun = answer("hi", 3);
            if told.events().is_empty() {
                assert!(told.body.contains(begun.split(' ').next_back().unwrap()), "{}", told.body);
            } else {
                assert_eq!(text(&told), begun, "{spec} {}", way.target);
            }
        }
    }
}

#[test]
fn a_bad_key_is_told_in_every_dialect() {
    for way in ways(false) {
        let headers = way.headers.replace(" k", " other");
        let told = tell(way.target, &headers, &way.body, "ok");
        let status = if told.dialect == "gemini" { 400 } else { 401 };
        assert_eq!(told.status, status, "{}", way.target);
        assert!(told.json()["error"].is_object());
    }
}

/// Bodies with most of what is read, for the ways to ask for a whole answer.
fn rich(way: &Way) -> Value {
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["a"],
        "properties": { "a": { "type": "string" } } });
    let mut body = way.body.clone();
    let more = match way.target {
        target if target.ends_with("messages") => json!({
            "system": [{ "type": "text", "text": "s" }],
            "tools": [{ "name": "f", "input_schema": schema }],
            "tool_choice": { "type": "any" },
            "stop_sequences": ["x"],
            "output_config": { "format": { "type": "json_schema", "schema": schema } },
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "hi" }] },
                { "role": "assistant", "content": [
                    { "type": "tool_use", "id": "a", "name": "f", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "a", "content": "x" },
                ] },
            ],
        }),
        target if target.ends_with("responses") => json!({
            "tools": [{ "type": "function", "name": "f", "parameters": schema, "strict": true }],
            "tool_choice": "required",
            "text": { "format": { "type": "json_schema", "name": "n", "schema": schema } },
            "input": [
                { "role": "user", "content": [{ "type": "input_text", "text": "hi" }] },
                { "type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "" },
                { "type": "function_call_output", "call_id": "c", "output": "x" },
            ],
        }),
        target if target.contains("models") => json!({
            "systemInstruction": { "parts": [{ "text": "s" }] },
            "tools": [{ "functionDeclarations": [{ "name": "f", "parametersJsonSchema": schema }] }],
            "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["f"] } },
            "generationConfig": { "responseMimeType": "application/json", "responseJsonSchema": schema },
            "contents": [
                { "role": "user", "parts": [{ "text": "hi" }] },
                { "role": "model", "parts": [{ "functionCall": { "name": "f", "args": {} } }] },
                { "role": "user", "parts": [{ "functionResponse": { "name": "f", "response": {} } }] },
            ],
        }),
        _ => json!({
            "tools": [{ "type": "function",
                "function": { "name": "f", "parameters": schema, "strict": true } }],
            "tool_choice": "required",
            "response_format": { "type": "json_schema",
                "json_schema": { "name": "n", "schema": schema } },
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "hi" }] },
                { "role": "assistant", "content": null, "tool_calls": [{ "id": "c",
                    "type": "function", "function": { "name": "f", "arguments": "" } }] },
                { "role": "tool", "tool_call_id": "c", "content": "x" },
            ],
        }),
    };
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The places in a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    for (name, inner) in value.as_object().into_iter().flatten() {
        places(inner, &format!("{at}/{name}"), found);
    }
    for (place, inner) in value.as_array().into_iter().flatten().enumerate() {
        places(inner, &format!("{at}/{place}"), found);
    }
}

#[test]
fn no_body_is_too_odd_to_be_answered() {
    let odd = [json!(null), json!(5), json!(""), json!([]), json!({}), json!([{}]), json!([5])];
    for way in ways(false) {
        let whole = rich(&way);
        let told = tell(way.target, way.headers, &whole, "ok");
        assert_eq!(told.status, 200, "{}: {}", way.target, told.body);
        let mut found = Vec::new();
        places(&whole, "", &mut found);
        for place in found {
            for value in &odd {
                let mut body = whole.clone();
                *body.pointer_mut(&place).unwrap() = value.clone();
                let told = super::testing::tell_raw(
                    "POST",
                    way.target,
                    way.headers,
                    &body.to_string(),
                    "ok",
                );
                assert!([200, 400].contains(&told.status), "{} {place} {value}", way.target);
                told.json();
            }
        }
    }
}

#[tokio::test]
async fn what_arrived_is_in_the_log_with_its_dialect() {
    let server = Server::start(Options::default()).unwrap();
    for way in ways(true) {
        let body = way.body.to_string();
        let request = format!(
            "POST {} HTTP/1.1\r\n{}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            way.target,
            way.headers.replace('\n', "\r\n"),
            body.len()
        );
        let mut socket = TcpStream::connect(server.addr()).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = socket.read_to_string(&mut answer);
        timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let log = server.log();
        let seen = log.last().unwrap();
        let (path, query) = way.target.split_once('?').unwrap_or((way.target, ""));
        assert_eq!((seen.path.as_str(), seen.query.as_str()), (path, query));
        assert_eq!(
            (seen.model.as_str(), seen.stream, &seen.body[..]),
            ("m", true, body.as_bytes())
        );
    }
    let dialects: Vec<_> = server.log().iter().map(|seen| seen.dialect).collect();
    let expected = ["openai", "azure", "openai-responses", "anthropic", "gemini", "gemini"];
    assert_eq!(dialects, expected);
}
