//! Anthropic Messages to the others (wire formats §4.2).

use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, drops, is, refuses};

/// A user's message of this block.
fn user(block: Value) -> Value {
    json!({ "messages": [{ "role": "user", "content": [block] }] })
}

/// What else is beside this block in a conversation.
fn said(block: Value) -> Value {
    json!({ "messages": [
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": [block, { "type": "text", "text": "a" }] },
        { "role": "user", "content": "r" }] })
}

#[test]
fn system_and_texts() {
    let mut rows = Rows::of("§4.2");
    let blocks = json!({ "system": [{ "type": "text", "text": "one" },
                                    { "type": "text", "text": "two" }] });
    rows.request(
        "system blocks",
        ANTHROPIC,
        &blocks,
        [
            (
                CHAT,
                is(json!({ "messages": [{ "role": "system", "content": [
            { "type": "text", "text": "one" }, { "type": "text", "text": "two" }] }, {}] })),
            ),
            (RESPONSES, is(json!({ "instructions": "one\n\ntwo" }))),
            (
                GEMINI,
                is(json!({ "systemInstruction":
            { "parts": [{ "text": "one" }, { "text": "two" }] } })),
            ),
        ],
    );
    rows.request(
        "system string",
        ANTHROPIC,
        &json!({ "system": "one" }),
        [
            (CHAT, is(json!({ "messages": [{ "role": "system", "content": "one" }, {}] }))),
            (RESPONSES, is(json!({ "instructions": "one" }))),
            (GEMINI, is(json!({ "systemInstruction": { "parts": [{ "text": "one" }] } }))),
        ],
    );
    let mid = json!({ "messages": [{ "role": "user", "content": "q" },
        { "role": "system", "content": [{ "type": "text", "text": "s" }] }] });
    rows.request(
        "system-role message",
        ANTHROPIC,
        &mid,
        [
            (
                CHAT,
                is(json!({ "messages": [{ "role": "user", "content": "q" },
                                       { "role": "system", "content": "s" }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "role": "user" },
            { "role": "developer", "content": [{ "type": "input_text", "text": "s" }] }] })),
            ),
            (
                GEMINI,
                drops(
                    &["messages[].role"],
                    json!({ "contents": [{ "role": "user", "parts": [
                { "text": "q" }, { "text": "<system>\ns\n</system>" }] }] }),
                ),
            ),
        ],
    );
    let cached = |place: Value| place;
    let marked = json!({ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } });
    for (name, body) in [
        ("cache_control on system", cached(json!({ "system": [marked] }))),
        ("cache_control on a block", user(marked.clone())),
        (
            "cache_control on a tool",
            json!({ "tools": [{ "name": "f",
            "input_schema": { "type": "object" }, "cache_control": { "type": "ephemeral" } }] }),
        ),
        ("cache_control on top", json!({ "cache_control": { "type": "ephemeral" } })),
    ] {
        rows.request(
            name,
            ANTHROPIC,
            &body,
            [CHAT, RESPONSES, GEMINI]
                .map(|wire| (wire, drops(&["cache_control"], json!({ "cache_control": null })))),
        );
    }
    let text = user(json!({ "type": "text", "text": "t" }));
    rows.request(
        "text",
        ANTHROPIC,
        &text,
        [
            (CHAT, is(json!({ "messages": [{ "role": "user", "content": "t" }] }))),
            (
                RESPONSES,
                is(json!({ "input": [{ "content": [{ "type": "input_text", "text": "t" }] }] })),
            ),
            (GEMINI, is(json!({ "contents": [{ "parts": [{ "text": "t" }] }] }))),
        ],
    );
    rows.done();
}

#[test]
fn media() {
    let mut rows = Rows::of("§4.2");
    let base64 = |kind: &str, media_type: &str| {
        user(json!({ "type": kind, "source":
        { "type": "base64", "media_type": media_type, "data": "AAAA" } }))
    };
    rows.request(
        "image base64",
        ANTHROPIC,
        &base64("image", "image/webp"),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "content": [{ "type": "image_url",
            "image_url": { "url": "data:image/webp;base64,AAAA" } }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "content": [{ "type": "input_image",
            "image_url": "data:image/webp;base64,AAAA" }] }] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{ "parts": [{ "inlineData":
            { "mimeType": "image/webp", "data": "AAAA" } }] }] })),
            ),
        ],
    );
    let url = |kind: &str| {
        user(json!({ "type": kind, "source":
        { "type": "url", "url": "https://a.example/x" } }))
    };
    rows.request(
        "image url",
        ANTHROPIC,
        &url("image"),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "content": [{ "type": "image_url",
            "image_url": { "url": "https://a.example/x" } }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "content": [{ "image_url": "https://a.example/x" }] }] })),
            ),
            (GEMINI, refuses("messages[].content[].image")),
        ],
    );
    for kind in ["image", "document"] {
        let field =
            if kind == "image" { "messages[].image.source" } else { "messages[].document.source" };
        let file = user(json!({ "type": kind, "source": { "type": "file", "file_id": "f" } }));
        rows.request(
            "file_id",
            ANTHROPIC,
            &file,
            [CHAT, RESPONSES, GEMINI].map(|wire| (wire, refuses(field))),
        );
    }
    rows.request(
        "document pdf base64",
        ANTHROPIC,
        &base64("document", "application/pdf"),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "content": [{ "type": "file", "file":
            { "file_data": "data:application/pdf;base64,AAAA" } }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "content": [{ "type": "input_file",
            "file_data": "data:application/pdf;base64,AAAA" }] }] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{ "parts": [{ "inlineData":
            { "mimeType": "application/pdf", "data": "AAAA" } }] }] })),
            ),
        ],
    );
    rows.request(
        "document url",
        ANTHROPIC,
        &url("document"),
        [
            (CHAT, refuses("messages[].content[].document")),
            (
                RESPONSES,
                is(json!({ "input": [{ "content": [{ "type": "input_file",
            "file_url": "https://a.example/x" }] }] })),
            ),
            (GEMINI, refuses("messages[].content[].document")),
        ],
    );
    for source in [
        json!({ "type": "text", "media_type": "text/plain", "data": "t" }),
        json!({ "type": "content", "content": [{ "type": "text", "text": "t" }] }),
    ] {
        let document = user(json!({ "type": "document", "source": source }));
        rows.request("document text or content", ANTHROPIC, &document, [
            (RESPONSES, is(json!({ "input": [{ "content": [{ "type": "input_text", "text": "t" }] }] }))),
            (GEMINI, is(json!({ "contents": [{ "parts": [{ "text": "t" }] }] }))),
        ]);
    }
    let search =
        user(json!({ "type": "search_result", "title": "T", "source": "https://a.example",
                              "content": [{ "type": "text", "text": "t" }] }));
    let flat = "T\nhttps://a.example\nt";
    rows.request(
        "search_result",
        ANTHROPIC,
        &search,
        [
            (CHAT, drops(&["search_result"], json!({ "messages": [{ "content": flat }] }))),
            (
                RESPONSES,
                drops(&["search_result"], json!({ "input": [{ "content": [{ "text": flat }] }] })),
            ),
            (
                GEMINI,
                drops(&["search_result"], json!({ "contents": [{ "parts": [{ "text": flat }] }] })),
            ),
        ],
    );
    let cited = said(json!({ "type": "text", "text": "c",
                             "citations": [{ "type": "char_location", "cited_text": "x" }] }));
    rows.request(
        "citations",
        ANTHROPIC,
        &cited,
        [
            (CHAT, drops(&["citations"], json!({ "messages": [{}, { "content": "ca" }, {}] }))),
            (RESPONSES, drops(&["citations"], json!({}))),
            (GEMINI, drops(&["citations"], json!({}))),
        ],
    );
    rows.done();
}

#[test]
fn history() {
    let mut rows = Rows::of("§4.2");
    for thought in [
        json!({ "type": "thinking", "thinking": "t", "signature": "s" }),
        json!({ "type": "redacted_thinking", "data": "d" }),
    ] {
        rows.request(
            "thinking in history",
            ANTHROPIC,
            &said(thought),
            [
                (
                    CHAT,
                    is(json!({ "messages": [{},
                { "role": "assistant", "content": "a", "reasoning_content": null }, {}] })),
                ),
                (
                    RESPONSES,
                    is(json!({ "input": [{},
                { "role": "assistant", "content": [{ "type": "output_text", "text": "a" }] },
                {}] })),
                ),
                (
                    GEMINI,
                    is(json!({ "contents": [{}, { "role": "model", "parts": [{ "text": "a" }] },
                {}] })),
                ),
            ],
        );
    }
    let server = said(json!({ "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search",
                              "input": { "query": "x" } }));
    let flat = "web_search {\"query\":\"x\"}";
    rows.request("server_tool_use in history", ANTHROPIC, &server, [
        (CHAT, drops(&["server_tool_use"],
            json!({ "messages": [{}, { "content": format!("{flat}a") }, {}] }))),
        (RESPONSES, drops(&["server_tool_use"],
            json!({ "input": [{}, { "content": [{ "text": flat }, { "text": "a" }] }, {}] }))),
        (GEMINI, drops(&["server_tool_use"],
            json!({ "contents": [{}, { "parts": [{ "text": flat }, { "text": "a" }] }, {}] }))),
    ]);
    let found = said(json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1",
        "content": [{ "type": "web_search_result", "title": "T", "url": "https://a.example" }] }));
    rows.request(
        "*_tool_result in history",
        ANTHROPIC,
        &found,
        [(
            GEMINI,
            drops(
                &["server_tool_use"],
                json!({ "contents": [{}, { "parts": [
            { "text": "T\nhttps://a.example" }, { "text": "a" }] }, {}] }),
            ),
        )],
    );
    rows.done();
}

/// A call, and this as its result; a text follows in the same turn.
fn answered(result: Value) -> Value {
    let mut block = json!({ "type": "tool_result", "tool_use_id": "toolu_1" });
    for (key, value) in result.as_object().expect("members") {
        block[key] = value.clone();
    }
    json!({ "messages": [
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": [
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "a": 1 } }] },
        { "role": "user", "content": [block, { "type": "text", "text": "more" }] }] })
}

#[test]
fn tool_use_and_results() {
    let mut rows = Rows::of("§4.2");
    let string = answered(json!({ "content": "r" }));
    rows.request(
        "tool_use, tool_result string, text after it",
        ANTHROPIC,
        &string,
        [
            (
                CHAT,
                is(json!({ "messages": [{},
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "toolu_1",
                "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } }] },
            { "role": "tool", "tool_call_id": "toolu_1", "content": "r" },
            { "role": "user", "content": "more" }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{},
            { "type": "function_call", "call_id": "toolu_1", "name": "f",
              "arguments": "{\"a\":1}" },
            { "type": "function_call_output", "call_id": "toolu_1", "output": "r" },
            { "role": "user", "content": [{ "type": "input_text", "text": "more" }] }] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{},
            { "role": "model", "parts": [{ "functionCall":
                { "id": "toolu_1", "name": "f", "args": { "a": 1 } } }] },
            { "role": "user", "parts": [{ "functionResponse":
                { "id": "toolu_1", "name": "f", "response": { "result": "r" } } }] },
            { "role": "user", "parts": [{ "text": "more" }] }] })),
            ),
        ],
    );
    let image = json!({ "content": [{ "type": "text", "text": "r" }, { "type": "image", "source":
        { "type": "base64", "media_type": "image/png", "data": "AAAA" } }] });
    rows.request(
        "tool_result with images",
        ANTHROPIC,
        &answered(image),
        [
            (
                CHAT,
                drops(
                    &["messages[].content[].image"],
                    json!({ "messages": [{}, {},
            { "role": "tool", "content": "r" },
            { "role": "user", "content": [
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
                { "type": "text", "text": "more" }] }] }),
                ),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{}, {}, { "output": [
            { "type": "input_text", "text": "r" },
            { "type": "input_image", "image_url": "data:image/png;base64,AAAA" }] }, {}] })),
            ),
            (
                GEMINI,
                is(json!({ "contents": [{}, {}, { "parts": [{ "functionResponse":
            { "response": { "result": "r" },
              "parts": [{ "inlineData": { "mimeType": "image/png", "data": "AAAA" } }] } }] },
            {}] })),
            ),
        ],
    );
    let failed = answered(json!({ "content": "no", "is_error": true }));
    rows.request(
        "tool_result is_error",
        ANTHROPIC,
        &failed,
        [
            (CHAT, is(json!({ "messages": [{}, {}, { "content": "Error: no" }, {}] }))),
            (RESPONSES, is(json!({ "input": [{}, {}, { "output": "Error: no" }, {}] }))),
            (
                GEMINI,
                is(json!({ "contents": [{}, {}, { "parts": [{ "functionResponse":
            { "response": { "error": "no" } } }] }, {}] })),
            ),
        ],
    );
    rows.model(GEMINI, "gemini-3-pro");
    rows.request(
        "tool_use to Gemini 3 on",
        ANTHROPIC,
        &string,
        [(
            GEMINI,
            is(json!({ "contents": [{}, { "parts": [{
            "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=" }] }, {}, {}] })),
        )],
    );
    rows.done();
}

#[test]
fn tools_and_their_choice() {
    let mut rows = Rows::of("§4.2");
    let schema = json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
    let tool = json!({ "name": "f", "description": "does f", "input_schema": schema });
    rows.request(
        "custom tools",
        ANTHROPIC,
        &json!({ "tools": [tool] }),
        [
            (
                CHAT,
                is(json!({ "tools": [{ "type": "function", "function":
            { "name": "f", "description": "does f", "parameters": schema } }] })),
            ),
            (
                RESPONSES,
                is(json!({ "tools": [{ "type": "function", "name": "f",
            "description": "does f", "parameters": schema, "strict": false }] })),
            ),
            (
                GEMINI,
                is(json!({ "tools": [{ "functionDeclarations": [{ "name": "f",
            "description": "does f", "parametersJsonSchema": schema }] }] })),
            ),
        ],
    );
    for (field, value) in [
        ("input_examples", json!([{ "a": 1 }])),
        ("defer_loading", json!(true)),
        ("allowed_callers", json!(["direct"])),
        ("eager_input_streaming", json!(true)),
    ] {
        let dropped: &'static [&'static str] = match field {
            "input_examples" => &["tools[].input_examples"],
            "defer_loading" => &["tools[].defer_loading"],
            "allowed_callers" => &["tools[].allowed_callers"],
            _ => &["tools[].eager_input_streaming"],
        };
        let mut tool = tool.clone();
        tool[field] = value;
        rows.request(
            field,
            ANTHROPIC,
            &json!({ "tools": [tool] }),
            [CHAT, RESPONSES, GEMINI].map(|wire| (wire, drops(dropped, json!({})))),
        );
    }
    for (kind, field) in [
        ("bash_20250124", "tools[].bash_20250124"),
        ("text_editor_20250728", "tools[].text_editor_20250728"),
        ("memory_20250818", "tools[].memory_20250818"),
        ("web_search_20250305", "tools[].web_search_20250305"),
        ("web_fetch_20250910", "tools[].web_fetch_20250910"),
        ("code_execution_20250825", "tools[].code_execution_20250825"),
    ] {
        let typed = json!({ "tools": [{ "type": kind, "name": "t" }] });
        rows.request(
            "typed and server tools",
            ANTHROPIC,
            &typed,
            [CHAT, RESPONSES, GEMINI].map(|wire| (wire, refuses(field))),
        );
    }
    let choice = |choice: Value| json!({ "tools": [tool], "tool_choice": choice });
    let mode = |mode: &str| json!({ "toolConfig": { "functionCallingConfig": { "mode": mode } } });
    for (word, openai, gemini) in
        [("any", "required", "ANY"), ("none", "none", "NONE"), ("auto", "auto", "AUTO")]
    {
        rows.request(
            word,
            ANTHROPIC,
            &choice(json!({ "type": word })),
            [
                (CHAT, is(json!({ "tool_choice": openai }))),
                (RESPONSES, is(json!({ "tool_choice": openai }))),
                (GEMINI, is(mode(gemini))),
            ],
        );
    }
    rows.request(
        "tool",
        ANTHROPIC,
        &choice(json!({ "type": "tool", "name": "f" })),
        [
            (
                CHAT,
                is(json!({ "tool_choice": { "type": "function", "function": { "name": "f" } } })),
            ),
            (RESPONSES, is(json!({ "tool_choice": { "type": "function", "name": "f" } }))),
            (
                GEMINI,
                is(json!({ "toolConfig": { "functionCallingConfig":
            { "mode": "ANY", "allowedFunctionNames": ["f"] } } })),
            ),
        ],
    );
    let alone = choice(json!({ "type": "auto", "disable_parallel_tool_use": true }));
    rows.request(
        "disable_parallel_tool_use",
        ANTHROPIC,
        &alone,
        [
            (CHAT, is(json!({ "parallel_tool_calls": false }))),
            (RESPONSES, is(json!({ "parallel_tool_calls": false }))),
            (GEMINI, drops(&["tool_choice.disable_parallel_tool_use"], json!({}))),
        ],
    );
    rows.done();
}
