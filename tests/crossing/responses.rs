//! Responses to the others (wire formats §4.4, §1.2).

use backstay::dialect::hub::legend::Undo;
use backstay::dialect::hub::{Answer, Event, Finish};
use backstay::dialect::{Dialect, Quirks};
use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, covers, drops, is, refuses, whole};

#[test]
fn the_conversation() {
    let mut rows = Rows::of("§4.4");
    rows.request(
        "instructions, input string",
        RESPONSES,
        &json!({ "instructions": "s" }),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "role": "system", "content": "s" },
                                       { "role": "user", "content": "q" }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "system": [{ "text": "s" }], "messages": [{ "role": "user" }] })),
            ),
            (GEMINI, is(json!({ "systemInstruction": { "parts": [{ "text": "s" }] } }))),
        ],
    );
    let call = |id: &str| {
        json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id,
                                  "name": "f", "arguments": "{}" })
    };
    let output = |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": id });
    let items = json!({ "input": [
        { "role": "developer", "content": "d" },
        { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "q" }] },
        { "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": "t" }],
          "encrypted_content": "x" },
        { "type": "message", "role": "assistant",
          "content": [{ "type": "output_text", "text": "a" }] },
        call("one"), call("two"), output("one"), output("two")] });
    rows.request(
        "items; consecutive calls are one message; no reasoning",
        RESPONSES,
        &items,
        [
            (
                CHAT,
                is(json!({ "messages": [
            { "role": "system", "content": "d" }, { "role": "user" },
            { "role": "assistant", "content": "a", "reasoning_content": null,
              "tool_calls": [{ "id": "one" }, { "id": "two" }] },
            { "role": "tool", "tool_call_id": "one", "content": "one" },
            { "role": "tool", "tool_call_id": "two", "content": "two" }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "system": [{ "text": "d" }], "messages": [{ "role": "user" },
            { "role": "assistant", "content": [{ "type": "text", "text": "a" },
                { "type": "tool_use", "id": "one" }, { "type": "tool_use", "id": "two" }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "one" },
                { "type": "tool_result", "tool_use_id": "two" }] }] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{ "role": "user" },
            { "role": "model", "parts": [{ "text": "a" }, { "functionCall": { "id": "one" } },
                                         { "functionCall": { "id": "two" } }] },
            { "role": "user", "parts": [{ "functionResponse": { "id": "one" } },
                                        { "functionResponse": { "id": "two" } }] }] })),
            ),
        ],
    );
    rows.done();
}

#[test]
fn the_fields() {
    let mut rows = Rows::of("§4.4");
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } },
                         "required": ["a"], "additionalProperties": false });
    let format = json!({ "text": { "format": { "type": "json_schema", "name": "x",
                                               "schema": schema, "strict": true } } });
    rows.request(
        "text.format",
        RESPONSES,
        &format,
        [
            (
                CHAT,
                is(json!({ "response_format": { "type": "json_schema", "json_schema":
            { "name": "x", "schema": schema, "strict": true } } })),
            ),
            (ANTHROPIC, is(json!({ "output_config": { "format": { "schema": schema } } }))),
            (GEMINI, is(json!({ "generationConfig": { "responseJsonSchema": schema } }))),
        ],
    );
    rows.request(
        "reasoning.effort",
        RESPONSES,
        &json!({ "reasoning": { "effort": "high" } }),
        [
            (CHAT, is(json!({ "reasoning_effort": "high" }))),
            (ANTHROPIC, is(json!({ "output_config": { "effort": "high" } }))),
            (
                GEMINI,
                is(json!({ "generationConfig": { "thinkingConfig":
            { "thinkingBudget": 16_384 } } })),
            ),
        ],
    );
    rows.request(
        "max_output_tokens",
        RESPONSES,
        &json!({ "max_output_tokens": 77 }),
        [
            (CHAT, is(json!({ "max_tokens": 77 }))),
            (ANTHROPIC, is(json!({ "max_tokens": 77 }))),
            (GEMINI, is(json!({ "generationConfig": { "maxOutputTokens": 77 } }))),
        ],
    );
    let tool = json!({ "tools": [{ "type": "function", "name": "f", "description": "d",
                                   "parameters": schema, "strict": true }] });
    rows.request(
        "flat tools",
        RESPONSES,
        &tool,
        [
            (
                CHAT,
                is(json!({ "tools": [{ "type": "function", "function": { "name": "f",
            "description": "d", "parameters": schema, "strict": true } }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "tools": [{ "name": "f", "description": "d", "strict": true,
            "input_schema": schema }] })),
            ),
            (
                GEMINI,
                drops(
                    &["tools[].strict"],
                    json!({ "tools": [{ "functionDeclarations": [{ "name": "f",
            "description": "d", "parametersJsonSchema": schema }] }] }),
                ),
            ),
        ],
    );
    rows.request(
        "temperature, top_p",
        RESPONSES,
        &json!({ "top_p": 0.5 }),
        [
            (CHAT, is(json!({ "top_p": 0.5 }))),
            (ANTHROPIC, is(json!({ "top_p": 0.5 }))),
            (GEMINI, is(json!({ "generationConfig": { "topP": 0.5 } }))),
        ],
    );
    let verbosity = json!({ "text": { "verbosity": "low" } });
    rows.request(
        "text.verbosity",
        RESPONSES,
        &verbosity,
        [CHAT, ANTHROPIC, GEMINI].map(|wire| (wire, drops(&["text.verbosity"], json!({})))),
    );
    rows.request(
        "client_metadata",
        RESPONSES,
        &json!({ "client_metadata": { "a": "b" } }),
        [CHAT, ANTHROPIC, GEMINI].map(|wire| (wire, is(json!({ "client_metadata": null })))),
    );
    rows.done();
}

#[test]
fn what_is_not_portable() {
    let mut rows = Rows::of("§1.2");
    let all = [CHAT, ANTHROPIC, GEMINI];
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("prompt", json!({ "id": "pmpt_1" })),
    ] {
        let name: &'static str = match field {
            "previous_response_id" => "previous_response_id",
            "conversation" => "conversation",
            "background" => "background",
            _ => "prompt",
        };
        let asked = json!({ field: value });
        rows.request(field, RESPONSES, &asked, all.map(|wire| (wire, refuses(name))));
    }
    for kind in [
        "web_search",
        "file_search",
        "code_interpreter",
        "image_generation",
        "mcp",
        "tool_search",
        "shell",
    ] {
        let field: &'static str = Box::leak(format!("tools[].{kind}").into_boxed_str());
        let asked = json!({ "tools": [{ "type": kind }] });
        rows.request(kind, RESPONSES, &asked, all.map(|wire| (wire, refuses(field))));
    }
    let offered =
        json!({ "tools": [{ "type": "web_search" }, { "type": "function", "name": "f" }] });
    rows.request(
        "a hosted tool beside another",
        RESPONSES,
        &offered,
        all.map(|wire| (wire, drops(&["tools[].web_search"], json!({ "tools": [{}] })))),
    );
    let reference = json!({ "input": [{ "type": "item_reference", "id": "msg_1" },
                                      { "role": "user", "content": "q" }] });
    rows.request(
        "item_reference",
        RESPONSES,
        &reference,
        all.map(|wire| (wire, refuses("input[].item_reference"))),
    );
    rows.lenient();
    let hosted = json!({ "tools": [{ "type": "web_search" }, { "type": "tool_search" }] });
    rows.request(
        "hosted tools in a lenient route",
        RESPONSES,
        &hosted,
        all.map(|wire| {
            (wire, drops(&["tools[].web_search", "tools[].tool_search"], json!({ "tools": null })))
        }),
    );
    rows.done();
}

/// A tool that takes free text is wrapped as one of a string, and unwrapped on
/// the way back.
#[test]
fn custom_tools_are_wrapped_and_unwrapped() {
    let mut rows = Rows::of("§4.4");
    let asked = json!({ "tools": [{ "type": "custom", "name": "apply_patch" }],
        "input": [{ "role": "user", "content": "q" },
            { "type": "custom_tool_call", "call_id": "c1", "name": "apply_patch",
              "input": "*** \"Begin\"\n" },
            { "type": "custom_tool_call_output", "call_id": "c1", "output": "ok" }] });
    let wrapped = json!({ "type": "object", "properties": { "input": { "type": "string" } },
                          "required": ["input"] });
    rows.request(
        "custom",
        RESPONSES,
        &asked,
        [
            (
                ANTHROPIC,
                drops(
                    &["tools[].custom"],
                    json!({
            "tools": [{ "name": "apply_patch", "input_schema": wrapped }],
            "messages": [{}, { "content": [{ "type": "tool_use",
                "input": { "input": "*** \"Begin\"\n" } }] },
                { "content": [{ "type": "tool_result", "tool_use_id": "c1" }] }] }),
                ),
            ),
            (
                GEMINI,
                drops(
                    &["tools[].custom"],
                    json!({
            "tools": [{ "functionDeclarations": [{ "parametersJsonSchema": wrapped }] }],
            "contents": [{}, { "parts": [{ "functionCall":
                { "args": { "input": "*** \"Begin\"\n" } } }] }, {}] }),
                ),
            ),
            (
                CHAT,
                is(json!({ "tools": [{ "type": "custom", "custom": { "name": "apply_patch" } }],
            "messages": [{}, { "tool_calls": [{ "type": "custom",
                "custom": { "name": "apply_patch", "input": "*** \"Begin\"\n" } }] }, {}] })),
            ),
        ],
    );
    rows.quirks(Quirks::FUNCTIONS_ONLY);
    rows.request(
        "custom, to a server of functions",
        RESPONSES,
        &asked,
        [(
            CHAT,
            drops(
                &["tools[].custom"],
                json!({ "tools": [{ "type": "function" }],
            "messages": [{}, { "tool_calls": [{ "function":
                { "arguments": "{\"input\":\"*** \\\"Begin\\\"\\n\"}" } }] }, {}] }),
            ),
        )],
    );
    for wire in [CHAT, ANTHROPIC, GEMINI] {
        rows.count();
        let mut undo = Undo::new(rows.legend(RESPONSES, &asked, wire));
        let said = undo.apply(called("apply_patch", &["{\"inp", "ut\":\"a\\", "nb\"}"]));
        let answer = Answer::of(said.clone()).text();
        if answer.tool_calls.iter().all(|call| call.arguments != "a\nb") {
            rows.note("unwrapped", wire, RESPONSES, &format!("{said:?}"), &Value::Null);
        }
    }
    rows.done();
}

/// Tools in a namespace are functions elsewhere; their calls come back as they
/// were asked for.
#[test]
fn namespaces_are_flattened_and_restored() {
    let mut rows = Rows::of("§2.8");
    let schema = json!({ "type": "object", "properties": { "q": { "type": "string" } } });
    let asked = json!({
        "tools": [
            { "type": "namespace", "name": "mcp__docs", "description": "", "tools": [
                { "type": "function", "name": "search", "strict": false, "parameters": schema }] },
            { "type": "function", "name": "mcp__docs_search", "strict": false,
              "parameters": schema }],
        "input": [{ "role": "user", "content": "q" },
            { "type": "function_call", "call_id": "c1", "namespace": "mcp__docs",
              "name": "search", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "r" }] });
    for wire in [CHAT, ANTHROPIC, GEMINI] {
        rows.count();
        let body = rows.body(RESPONSES, &asked, wire);
        let legend = rows.legend(RESPONSES, &asked, wire);
        let (flat, _) = legend.names.iter().next().expect("a name that was changed");
        assert!(body.to_string().matches(&format!("\"{flat}\"")).count() >= 2, "{body}");
        assert!(flat.starts_with("mcp__docs_search_"), "the plain name is another's: {flat}");
        assert!(!body.to_string().contains("\\u001f"), "{body}");
        let answer = match wire {
            Dialect::OpenAi | Dialect::Responses => json!({ "id": "c", "object": "chat.completion",
                "model": "m", "choices": [{ "index": 0, "finish_reason": "tool_calls",
                "message": { "role": "assistant", "content": null, "tool_calls": [{ "id": "c2",
                "type": "function", "function": { "name": flat, "arguments": "{}" } }] } }] }),
            Dialect::Anthropic => json!({ "id": "msg_1", "type": "message", "role": "assistant",
                "model": "m", "stop_reason": "tool_use", "usage": { "input_tokens": 1,
                "output_tokens": 1 }, "content": [{ "type": "tool_use", "id": "c2",
                "name": flat, "input": {} }] }),
            Dialect::Gemini => json!({ "modelVersion": "m", "responseId": "r", "candidates": [{
                "index": 0, "finishReason": "STOP", "content": { "role": "model",
                "parts": [{ "functionCall": { "name": flat, "args": {} } }] } }] }),
        };
        let call = json!({ "type": "function_call", "namespace": "mcp__docs", "name": "search",
                           "arguments": "{}" });
        let seen = whole(wire, &answer, RESPONSES, legend);
        covers(&seen, &json!({ "output": [call] }), "").unwrap();
    }
    let described = json!({ "tools": [{ "type": "namespace", "name": "n", "description": "d",
        "tools": [{ "type": "function", "name": "f" }, { "type": "web_search" }] }] });
    rows.request(
        "what else is in a namespace",
        RESPONSES,
        &described,
        [(
            ANTHROPIC,
            drops(
                &["tools[].namespace.description", "tools[].web_search"],
                json!({ "tools": [{ "name": "n_f" }] }),
            ),
        )],
    );
    rows.done();
}

fn called(name: &str, fragments: &[&str]) -> Vec<Event> {
    let begin = Event::CallBegin {
        choice: 0,
        call: 0,
        id: "i".to_owned(),
        name: name.to_owned(),
        free_text: false,
        signature: None,
    };
    let more = |fragment: &&str| Event::CallArguments {
        choice: 0,
        call: 0,
        fragment: (*fragment).to_owned(),
    };
    let finish = Finish::ToolCalls;
    let end = Event::Finish { choice: 0, finish };
    [begin].into_iter().chain(fragments.iter().map(more)).chain([end]).collect()
}
