//! Chat Completions to the others (wire formats §4.1; to Responses §4.4).

use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, drops, is, refuses};

fn user(part: Value) -> Value {
    json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "q" }, part] }] })
}

fn blocks(block: Value) -> Value {
    json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "q" }, block] }] })
}

fn parts(part: Value) -> Value {
    json!({ "contents": [{ "role": "user", "parts": [{ "text": "q" }, part] }] })
}

fn items(part: Value) -> Value {
    json!({ "input": [{ "role": "user", "content": [{ "type": "input_text", "text": "q" }, part] }] })
}

#[test]
fn model_and_system() {
    let mut rows = Rows::of("§4.1");
    rows.request(
        "model",
        CHAT,
        &json!({}),
        [
            (
                ANTHROPIC,
                is(json!({ "model": "m", "messages": [{ "role": "user",
            "content": [{ "type": "text", "text": "q" }] }] })),
            ),
            (
                GEMINI,
                is(json!({ "model": null, "contents": [{ "role": "user",
            "parts": [{ "text": "q" }] }] })),
            ),
            (RESPONSES, is(json!({ "model": "m", "store": false }))),
        ],
    );
    let leading = json!({ "messages": [
        { "role": "system", "content": "one" },
        { "role": "developer", "content": [{ "type": "text", "text": "two" }] },
        { "role": "user", "content": "q" }] });
    rows.request(
        "system, developer (leading)",
        CHAT,
        &leading,
        [
            (
                ANTHROPIC,
                is(json!({ "system": [{ "type": "text", "text": "one" },
                                          { "type": "text", "text": "two" }] })),
            ),
            (
                GEMINI,
                is(json!({ "systemInstruction": { "parts": [{ "text": "one" },
                                                             { "text": "two" }] } })),
            ),
            (RESPONSES, is(json!({ "instructions": "one\n\ntwo" }))),
        ],
    );
    let later = json!({ "messages": [
        { "role": "user", "content": "q" }, { "role": "assistant", "content": "a" },
        { "role": "system", "content": "s" }, { "role": "user", "content": "r" }] });
    rows.request(
        "system later in the list",
        CHAT,
        &later,
        [
            (
                ANTHROPIC,
                drops(
                    &["messages[].role"],
                    json!({ "messages": [
            { "role": "user" }, { "role": "assistant" },
            { "role": "user", "content": [
                { "type": "text", "text": "<system>\ns\n</system>" },
                { "type": "text", "text": "r" }] }] }),
                ),
            ),
            (
                GEMINI,
                drops(
                    &["messages[].role"],
                    json!({ "contents": [
            { "role": "user" }, { "role": "model" },
            { "role": "user", "parts": [{ "text": "<system>\ns\n</system>" },
                                        { "text": "r" }] }] }),
                ),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "role": "user" }, { "role": "assistant" },
            { "role": "developer", "content": [{ "text": "s" }] }, { "role": "user" }] })),
            ),
        ],
    );
    rows.system_turns();
    rows.request(
        "system later in the list, where the model takes it",
        CHAT,
        &later,
        [(
            ANTHROPIC,
            is(json!({ "messages": [{ "role": "user" }, { "role": "assistant" },
            { "role": "system", "content": [{ "type": "text", "text": "s" }] },
            { "role": "user" }] })),
        )],
    );
    rows.done();
}

#[test]
fn content() {
    let mut rows = Rows::of("§4.1");
    let empty = json!({ "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "" }, { "type": "text", "text": " \n" },
        { "type": "text", "text": "q" }] }] });
    rows.request(
        "user text parts, blank ones",
        CHAT,
        &empty,
        [
            (
                ANTHROPIC,
                is(json!({ "messages": [{ "role": "user",
            "content": [{ "type": "text", "text": "q" }] }] })),
            ),
            (GEMINI, is(json!({ "contents": [{ "role": "user" }] }))),
        ],
    );
    let image = |url: &str| user(json!({ "type": "image_url", "image_url": { "url": url } }));
    rows.request(
        "image_url data URI",
        CHAT,
        &image("data:image/png;base64,AAAA"),
        [
            (
                ANTHROPIC,
                is(blocks(json!({ "type": "image", "source":
            { "type": "base64", "media_type": "image/png", "data": "AAAA" } }))),
            ),
            (
                GEMINI,
                is(parts(json!({ "inlineData": { "mimeType": "image/png", "data": "AAAA" } }))),
            ),
            (
                RESPONSES,
                is(items(json!({ "type": "input_image",
            "image_url": "data:image/png;base64,AAAA" }))),
            ),
        ],
    );
    rows.request(
        "image/jpg is image/jpeg",
        CHAT,
        &image("data:image/jpg;base64,AAAA"),
        [
            (ANTHROPIC, is(blocks(json!({ "source": { "media_type": "image/jpeg" } })))),
            (GEMINI, is(parts(json!({ "inlineData": { "mimeType": "image/jpeg" } })))),
        ],
    );
    rows.request(
        "image_url of another type",
        CHAT,
        &image("data:image/tiff;base64,AAAA"),
        [(ANTHROPIC, refuses("messages[].content[].image_url"))],
    );
    rows.request(
        "image_url http(s)",
        CHAT,
        &image("https://a.example/x.png"),
        [
            (
                ANTHROPIC,
                is(blocks(json!({ "type": "image",
            "source": { "type": "url", "url": "https://a.example/x.png" } }))),
            ),
            (GEMINI, refuses("messages[].content[].image_url")),
            (
                RESPONSES,
                is(items(json!({ "type": "input_image",
            "image_url": "https://a.example/x.png" }))),
            ),
        ],
    );
    let detailed = user(json!({ "type": "image_url", "image_url":
        { "url": "data:image/png;base64,AAAA", "detail": "low" } }));
    rows.request(
        "image detail",
        CHAT,
        &detailed,
        [
            (
                ANTHROPIC,
                drops(
                    &["messages[].content[].image_url.detail"],
                    blocks(json!({ "type": "image" })),
                ),
            ),
            (
                GEMINI,
                drops(
                    &["messages[].content[].image_url.detail"],
                    parts(json!({ "inlineData": {} })),
                ),
            ),
            (RESPONSES, is(items(json!({ "type": "input_image", "detail": "low" })))),
        ],
    );
    let audio = user(json!({ "type": "input_audio",
                             "input_audio": { "data": "AAAA", "format": "wav" } }));
    rows.request(
        "input_audio",
        CHAT,
        &audio,
        [
            (ANTHROPIC, refuses("messages[].content[].input_audio")),
            (
                GEMINI,
                is(parts(json!({ "inlineData": { "mimeType": "audio/wav", "data": "AAAA" } }))),
            ),
            (RESPONSES, refuses("messages[].content[].input_audio")),
        ],
    );
    let pdf = user(json!({ "type": "file", "file": { "filename": "a.pdf",
                           "file_data": "data:application/pdf;base64,JVBERi0=" } }));
    rows.request(
        "file",
        CHAT,
        &pdf,
        [
            (
                ANTHROPIC,
                is(blocks(json!({ "type": "document", "title": "a.pdf", "source":
            { "type": "base64", "media_type": "application/pdf", "data": "JVBERi0=" } }))),
            ),
            (
                GEMINI,
                is(parts(json!({ "inlineData":
            { "mimeType": "application/pdf", "data": "JVBERi0=" } }))),
            ),
            (
                RESPONSES,
                is(items(json!({ "type": "input_file", "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBERi0=" }))),
            ),
        ],
    );
    let id = user(json!({ "type": "file", "file": { "file_id": "file-1" } }));
    rows.request(
        "file_id",
        CHAT,
        &id,
        [ANTHROPIC, GEMINI, RESPONSES].map(|wire| (wire, refuses("messages[].content[].file"))),
    );
    rows.done();
}

/// A call with these arguments, and its result.
fn called(arguments: &str) -> Value {
    json!({ "messages": [
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": null, "tool_calls": [{ "id": "call_1",
            "type": "function", "function": { "name": "f", "arguments": arguments } }] },
        { "role": "tool", "tool_call_id": "call_1", "content": "r" }] })
}

#[test]
fn the_assistant_s_turns() {
    let mut rows = Rows::of("§4.1");
    let said = |message: Value| {
        json!({ "messages": [
        { "role": "user", "content": "q" }, message, { "role": "user", "content": "r" }] })
    };
    rows.request(
        "assistant text",
        CHAT,
        &said(json!({ "role": "assistant", "content": "a" })),
        [
            (
                ANTHROPIC,
                is(json!({ "messages": [{}, { "role": "assistant",
            "content": [{ "type": "text", "text": "a" }] }, {}] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{}, { "role": "model", "parts": [{ "text": "a" }] },
            {}] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{}, { "role": "assistant",
            "content": [{ "type": "output_text", "text": "a" }] }, {}] })),
            ),
        ],
    );
    let refusal = json!({ "role": "assistant",
                          "content": [{ "type": "refusal", "refusal": "no" }] });
    rows.request(
        "assistant refusal part",
        CHAT,
        &said(refusal),
        [
            (
                ANTHROPIC,
                is(json!({ "messages": [{}, { "role": "assistant",
            "content": [{ "type": "text", "text": "no" }] }, {}] })),
            ),
            (GEMINI, is(json!({ "contents": [{}, { "parts": [{ "text": "no" }] }, {}] }))),
            (
                RESPONSES,
                is(json!({ "input": [{}, { "content":
            [{ "type": "refusal", "refusal": "no" }] }, {}] })),
            ),
        ],
    );
    let use_of = |input: Value| {
        json!({ "messages": [{},
        { "role": "assistant", "content": [
            { "type": "tool_use", "id": "call_1", "name": "f", "input": input }] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "call_1" }] }] })
    };
    rows.request(
        "assistant tool_calls",
        CHAT,
        &called("{\"a\":1.50}"),
        [
            (ANTHROPIC, is(use_of(json!({ "a": 1.5 })))),
            (
                GEMINI,
                is(json!({ "contents": [{}, { "role": "model", "parts": [
            { "functionCall": { "id": "call_1", "name": "f", "args": { "a": 1.5 } } }] },
            { "role": "user", "parts": [{ "functionResponse":
                { "id": "call_1", "name": "f", "response": { "result": "r" } } }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{},
            { "type": "function_call", "call_id": "call_1", "name": "f",
              "arguments": "{\"a\":1.50}" },
            { "type": "function_call_output", "call_id": "call_1", "output": "r" }] })),
            ),
        ],
    );
    rows.request(
        "tool_calls with empty arguments",
        CHAT,
        &called(""),
        [
            (ANTHROPIC, is(use_of(json!({})))),
            (
                GEMINI,
                is(json!({ "contents": [{}, { "parts": [{ "functionCall": { "args": {} } }] },
            {}] })),
            ),
            (RESPONSES, is(json!({ "input": [{}, { "arguments": "{}" }, {}] }))),
        ],
    );
    rows.request(
        "tool_calls with broken arguments",
        CHAT,
        &called("{\"a\":"),
        [
            (ANTHROPIC, drops(&["messages[].tool_calls"], use_of(json!({ "_raw": "{\"a\":" })))),
            (
                GEMINI,
                drops(
                    &["messages[].tool_calls"],
                    json!({ "contents": [{},
            { "parts": [{ "functionCall": { "args": { "_raw": "{\"a\":" } } }] }, {}] }),
                ),
            ),
            (RESPONSES, is(json!({ "input": [{}, { "arguments": "{\"a\":" }, {}] }))),
        ],
    );
    let legacy = json!({ "messages": [
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": null,
          "function_call": { "name": "f", "arguments": "{}" } },
        { "role": "function", "name": "f", "content": "r" }] });
    rows.request(
        "function role (legacy)",
        CHAT,
        &legacy,
        [
            (
                ANTHROPIC,
                is(json!({ "messages": [{},
            { "content": [{ "type": "tool_use", "name": "f", "input": {} }] },
            { "content": [{ "type": "tool_result",
                            "content": "r" }] }] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{}, { "parts": [{ "functionCall": { "name": "f" } }] },
            { "parts": [{ "functionResponse":
                { "name": "f", "response": { "result": "r" } } }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{}, { "type": "function_call", "name": "f" },
            { "type": "function_call_output", "output": "r" }] })),
            ),
        ],
    );
    let named = json!({ "messages": [{ "role": "user", "name": "ann", "content": "q" }] });
    rows.request(
        "name on messages",
        CHAT,
        &named,
        [
            (ANTHROPIC, is(json!({ "messages": [{ "name": null }] }))),
            (GEMINI, is(json!({ "contents": [{ "name": null }] }))),
            (RESPONSES, is(json!({ "input": [{ "name": null }] }))),
        ],
    );
    let prefill = json!({ "messages": [{ "role": "user", "content": "q" },
                                       { "role": "assistant", "content": "a" }] });
    rows.request(
        "trailing assistant message (prefill)",
        CHAT,
        &prefill,
        [
            (
                ANTHROPIC,
                drops(
                    &["messages"],
                    json!({ "messages": [{}, { "role": "assistant" }, { "role": "user" }] }),
                ),
            ),
            (
                GEMINI,
                drops(
                    &["messages"],
                    json!({ "contents": [{}, { "role": "model" }, { "role": "user" }] }),
                ),
            ),
            (RESPONSES, is(json!({ "input": [{}, { "role": "assistant" }] }))),
        ],
    );
    rows.model(ANTHROPIC, "claude-sonnet-4-5");
    rows.request(
        "prefill where it is supported",
        CHAT,
        &prefill,
        [(
            ANTHROPIC,
            is(json!({ "messages": [{}, { "role": "assistant",
            "content": [{ "type": "text", "text": "a" }] }] })),
        )],
    );
    rows.done();
}

#[test]
fn results_of_tools() {
    let mut rows = Rows::of("§4.1");
    let call = |id: &str| {
        json!({ "id": id, "type": "function",
                                  "function": { "name": id, "arguments": "{}" } })
    };
    let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": id });
    let calls =
        json!({ "role": "assistant", "content": null, "tool_calls": [call("a"), call("b")] });
    let q = json!({ "role": "user", "content": "q" });
    let more = json!({ "role": "user", "content": "more" });
    // The results come in another order than the calls.
    let both = json!({ "messages": [q, calls, result("b"), result("a"), more] });
    rows.request(
        "tool messages are one turn, before any text",
        CHAT,
        &both,
        [
            (
                ANTHROPIC,
                is(json!({ "messages": [{}, { "role": "assistant" }, { "role": "user",
            "content": [{ "type": "tool_result", "tool_use_id": "b" },
                        { "type": "tool_result", "tool_use_id": "a" },
                        { "type": "text", "text": "more" }] }] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{}, { "role": "model" },
            { "role": "user", "parts": [
                { "functionResponse": { "id": "a", "name": "a", "response": { "result": "a" } } },
                { "functionResponse": { "id": "b", "response": { "result": "b" } } }] },
            { "role": "user", "parts": [{ "text": "more" }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{}, { "call_id": "a" }, { "call_id": "b" },
            { "type": "function_call_output", "call_id": "b" },
            { "type": "function_call_output", "call_id": "a" }, { "role": "user" }] })),
            ),
        ],
    );
    let object = json!({ "messages": [q, { "role": "assistant", "tool_calls": [call("a")] },
        { "role": "tool", "tool_call_id": "a", "content": "{\"x\":[1]}" }] });
    rows.request(
        "a response that is an object",
        CHAT,
        &object,
        [(
            GEMINI,
            is(json!({ "contents": [{}, {}, { "parts": [{ "functionResponse":
            { "response": { "x": [1] } } }] }] })),
        )],
    );
    let orphan = json!({ "messages": [q, result("a")] });
    rows.request(
        "orphan result",
        CHAT,
        &orphan,
        [
            (ANTHROPIC, refuses("messages")),
            (GEMINI, refuses("messages[].tool_call_id")),
            (RESPONSES, refuses("messages[].tool_call_id")),
        ],
    );
    let missing = json!({ "messages": [q, calls, result("a"), more] });
    rows.request(
        "missing result",
        CHAT,
        &missing,
        [
            (
                ANTHROPIC,
                drops(
                    &["messages"],
                    json!({ "messages": [{}, {}, { "content": [
            { "type": "tool_result", "tool_use_id": "a" },
            { "type": "tool_result", "tool_use_id": "b", "is_error": true },
            { "type": "text", "text": "more" }] }] }),
                ),
            ),
            (
                GEMINI,
                drops(
                    &["messages[].tool_calls"],
                    json!({ "contents": [{}, {},
            { "parts": [{}, { "functionResponse":
                { "id": "b", "response": { "error": "no result was given" } } }] }, {}] }),
                ),
            ),
            (
                RESPONSES,
                drops(&["messages[].tool_calls"], json!({ "input": [{}, {}, {}, {}, {}, {}] })),
            ),
        ],
    );
    let first = json!({ "messages": [{ "role": "assistant", "content": "a" }, q] });
    rows.request(
        "first turn not user",
        CHAT,
        &first,
        [
            (
                ANTHROPIC,
                drops(
                    &["messages"],
                    json!({ "messages": [{ "role": "user" },
            { "role": "assistant" }, { "role": "user" }] }),
                ),
            ),
            (
                GEMINI,
                drops(
                    &["messages"],
                    json!({ "contents": [{ "role": "user" },
            { "role": "model" }, { "role": "user" }] }),
                ),
            ),
            (RESPONSES, is(json!({ "input": [{ "role": "assistant" }, { "role": "user" }] }))),
        ],
    );
    rows.done();
}
