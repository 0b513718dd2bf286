//! Gemini to the others (wire formats §4.3).

use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, drops, is, refuses};

fn user(part: Value) -> Value {
    json!({ "contents": [{ "role": "user", "parts": [part] }] })
}

fn config(config: Value) -> Value {
    json!({ "generationConfig": config })
}

#[test]
fn conversation() {
    let mut rows = Rows::of("§4.3");
    let system = json!({ "systemInstruction": { "parts": [{ "text": "s" }] } });
    rows.request(
        "systemInstruction",
        GEMINI,
        &system,
        [
            (CHAT, is(json!({ "messages": [{ "role": "system", "content": "s" }, {}] }))),
            (ANTHROPIC, is(json!({ "system": [{ "type": "text", "text": "s" }] }))),
            (RESPONSES, is(json!({ "instructions": "s" }))),
        ],
    );
    let snake = json!({ "system_instruction": { "parts": [{ "text": "s" }] },
                        "generation_config": { "max_output_tokens": 7 } });
    rows.request(
        "snake_case is accepted too",
        GEMINI,
        &snake,
        [(ANTHROPIC, is(json!({ "system": [{ "text": "s" }], "max_tokens": 7 })))],
    );
    let roles = json!({ "contents": [{ "parts": [{ "text": "q" }] },
        { "role": "model", "parts": [{ "text": "a" }] },
        { "role": "user", "parts": [{ "text": "r" }] }] });
    rows.request(
        "role user, model, none",
        GEMINI,
        &roles,
        [
            (
                CHAT,
                is(json!({ "messages": [{ "role": "user", "content": "q" },
            { "role": "assistant", "content": "a" }, { "role": "user", "content": "r" }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "messages": [{ "role": "user" }, { "role": "assistant" },
            { "role": "user" }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "role": "user" }, { "role": "assistant" },
            { "role": "user" }] })),
            ),
        ],
    );
    let thought = json!({ "contents": [{ "role": "user", "parts": [{ "text": "q" }] },
        { "role": "model", "parts": [{ "text": "hm", "thought": true },
                                     { "text": "a", "thoughtSignature": "c2ln" }] },
        { "role": "user", "parts": [{ "text": "r" }] }] });
    rows.request(
        "thought: true text",
        GEMINI,
        &thought,
        [
            (
                CHAT,
                is(json!({ "messages": [{}, { "content": "a", "reasoning_content": null }, {}] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "messages": [{}, { "content": [{ "type": "text", "text": "a" }] },
            {}] })),
            ),
            (RESPONSES, is(json!({ "input": [{}, { "content": [{ "text": "a" }] }, {}] }))),
        ],
    );
    rows.done();
}

#[test]
fn media() {
    let mut rows = Rows::of("§4.3");
    let inline = |kind: &str| user(json!({ "inlineData": { "mimeType": kind, "data": "AAAA" } }));
    rows.request(
        "inlineData image",
        GEMINI,
        &inline("image/png"),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "content": [{ "type": "image_url",
            "image_url": { "url": "data:image/png;base64,AAAA" } }] }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "messages": [{ "content": [{ "type": "image", "source":
            { "type": "base64", "media_type": "image/png", "data": "AAAA" } }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "content": [{ "type": "input_image",
            "image_url": "data:image/png;base64,AAAA" }] }] })),
            ),
        ],
    );
    rows.request(
        "inlineData pdf",
        GEMINI,
        &inline("application/pdf"),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "content": [{ "type": "file",
            "file": { "file_data": "data:application/pdf;base64,AAAA" } }] }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "messages": [{ "content": [{ "type": "document", "source":
            { "media_type": "application/pdf", "data": "AAAA" } }] }] })),
            ),
            (RESPONSES, is(json!({ "input": [{ "content": [{ "type": "input_file" }] }] }))),
        ],
    );
    rows.request(
        "inlineData audio",
        GEMINI,
        &inline("audio/wav"),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "content": [{ "type": "input_audio",
            "input_audio": { "data": "AAAA", "format": "wav" } }] }] })),
            ),
            (ANTHROPIC, refuses("contents[].parts[].inlineData")),
            (RESPONSES, refuses("contents[].parts[].inlineData")),
        ],
    );
    rows.request(
        "inlineData audio, neither wav nor mp3",
        GEMINI,
        &inline("audio/ogg"),
        [CHAT, ANTHROPIC, RESPONSES].map(|wire| (wire, refuses("contents[].parts[].inlineData"))),
    );
    let file = |uri: &str| user(json!({ "fileData": { "mimeType": "image/png", "fileUri": uri } }));
    let own = file("https://generativelanguage.googleapis.com/v1beta/files/x");
    rows.request(
        "fileData URI",
        GEMINI,
        &own,
        [CHAT, ANTHROPIC, RESPONSES].map(|wire| (wire, refuses("contents[].parts[].fileData"))),
    );
    rows.request(
        "fileData URI, an http image",
        GEMINI,
        &file("https://a.example/x.png"),
        [
            (
                CHAT,
                is(json!({ "messages": [{ "content": [{ "type": "image_url",
            "image_url": { "url": "https://a.example/x.png" } }] }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "messages": [{ "content": [{ "type": "image",
            "source": { "type": "url", "url": "https://a.example/x.png" } }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{ "content": [{ "type": "input_image",
            "image_url": "https://a.example/x.png" }] }] })),
            ),
        ],
    );
    rows.done();
}

/// A call and its response, without ids.
fn called() -> Value {
    json!({ "contents": [
        { "role": "user", "parts": [{ "text": "q" }] },
        { "role": "model", "parts": [
            { "functionCall": { "name": "f", "args": { "a": 1 } } },
            { "functionCall": { "name": "f", "args": { "a": 2 } } }] },
        { "role": "user", "parts": [
            { "functionResponse": { "name": "f", "response": { "x": 1 } } },
            { "functionResponse": { "name": "f", "response": { "result": "two" } } }] }] })
}

#[test]
fn calls_get_ids_and_keep_their_pairs() {
    let mut rows = Rows::of("§4.3");
    rows.request(
        "functionCall and functionResponse",
        GEMINI,
        &called(),
        [
            (
                CHAT,
                is(json!({ "messages": [{},
            { "tool_calls": [{ "function": { "name": "f", "arguments": "{\"a\":1}" } },
                             { "function": { "name": "f", "arguments": "{\"a\":2}" } }] },
            { "role": "tool", "content": "{\"x\":1}" },
            { "role": "tool", "content": "two" }] })),
            ),
            (
                ANTHROPIC,
                is(json!({ "messages": [{},
            { "content": [{ "type": "tool_use", "name": "f", "input": { "a": 1 } },
                          { "type": "tool_use", "name": "f", "input": { "a": 2 } }] },
            { "content": [
                { "type": "tool_result", "content": "{\"x\":1}" },
                { "type": "tool_result", "content": "two" }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "input": [{}, { "arguments": "{\"a\":1}" },
            { "arguments": "{\"a\":2}" }, { "output": "{\"x\":1}" }, { "output": "two" }] })),
            ),
        ],
    );
    let failed = json!({ "contents": [
        { "role": "user", "parts": [{ "text": "q" }] },
        { "role": "model", "parts": [{ "functionCall": { "name": "f" } }] },
        { "role": "user", "parts": [
            { "functionResponse": { "name": "f", "response": { "error": "no" } } }] }] });
    rows.request(
        "functionResponse that is an error",
        GEMINI,
        &failed,
        [
            (CHAT, is(json!({ "messages": [{}, {}, { "content": "Error: no" }] }))),
            (ANTHROPIC, is(json!({ "messages": [{}, {}, { "content": [{ "is_error": true }] }] }))),
        ],
    );
    for (key, field) in [
        ("executableCode", "contents[].parts[].executableCode"),
        ("codeExecutionResult", "contents[].parts[].codeExecutionResult"),
        ("toolCall", "contents[].parts[].toolCall"),
        ("toolResponse", "contents[].parts[].toolResponse"),
    ] {
        let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "q" }] },
            { "role": "model", "parts": [{ key: { "language": "PYTHON", "code": "1" } }] },
            { "role": "user", "parts": [{ "text": "r" }] }] });
        rows.request(
            key,
            GEMINI,
            &body,
            [CHAT, ANTHROPIC, RESPONSES].map(|wire| (wire, refuses(field))),
        );
    }
    rows.done();
}

#[test]
fn tools() {
    let mut rows = Rows::of("§4.3");
    let old = json!({ "tools": [{ "functionDeclarations": [{ "name": "f", "parameters": {
        "type": "OBJECT", "properties": { "a": { "type": "STRING", "nullable": true } } } }] }] });
    let schema = json!({ "type": "object",
                         "properties": { "a": { "type": ["string", "null"] } } });
    rows.request(
        "functionDeclarations.parameters",
        GEMINI,
        &old,
        [
            (CHAT, is(json!({ "tools": [{ "function": { "name": "f", "parameters": schema } }] }))),
            (ANTHROPIC, is(json!({ "tools": [{ "name": "f", "input_schema": schema }] }))),
            (RESPONSES, is(json!({ "tools": [{ "name": "f", "parameters": schema }] }))),
        ],
    );
    for (tool, field) in [
        ("googleSearch", "tools[].googleSearch"),
        ("codeExecution", "tools[].codeExecution"),
        ("urlContext", "tools[].urlContext"),
    ] {
        rows.request(
            tool,
            GEMINI,
            &json!({ "tools": [{ tool: {} }] }),
            [CHAT, ANTHROPIC, RESPONSES].map(|wire| (wire, refuses(field))),
        );
    }
    let declared = json!([{ "functionDeclarations": [{ "name": "f" }, { "name": "g" }] }]);
    let calling = |config: Value| {
        json!({ "tools": declared,
                                          "toolConfig": { "functionCallingConfig": config } })
    };
    for (mode, openai, anthropic) in
        [("ANY", "required", "any"), ("AUTO", "auto", "auto"), ("NONE", "none", "none")]
    {
        rows.request(
            mode,
            GEMINI,
            &calling(json!({ "mode": mode })),
            [
                (CHAT, is(json!({ "tool_choice": openai }))),
                (ANTHROPIC, is(json!({ "tool_choice": { "type": anthropic } }))),
                (RESPONSES, is(json!({ "tool_choice": openai }))),
            ],
        );
    }
    let one = calling(json!({ "mode": "ANY", "allowedFunctionNames": ["g"] }));
    rows.request(
        "allowedFunctionNames, one",
        GEMINI,
        &one,
        [
            (
                CHAT,
                is(json!({ "tool_choice": { "type": "function", "function": { "name": "g" } } })),
            ),
            (ANTHROPIC, is(json!({ "tool_choice": { "type": "tool", "name": "g" } }))),
            (RESPONSES, is(json!({ "tool_choice": { "type": "function", "name": "g" } }))),
        ],
    );
    let both = calling(json!({ "mode": "ANY", "allowedFunctionNames": ["f", "g"] }));
    rows.request(
        "allowedFunctionNames, several",
        GEMINI,
        &both,
        [
            (
                CHAT,
                is(json!({ "tool_choice": { "type": "allowed_tools", "allowed_tools":
            { "mode": "required", "tools": [{ "function": { "name": "f" } },
                                            { "function": { "name": "g" } }] } } })),
            ),
            (
                ANTHROPIC,
                is(json!({ "tool_choice": { "type": "any" },
                               "tools": [{ "name": "f" }, { "name": "g" }] })),
            ),
            (
                RESPONSES,
                is(json!({ "tool_choice": { "type": "allowed_tools", "mode": "required" } })),
            ),
        ],
    );
    let checked = calling(json!({ "mode": "VALIDATED", "allowedFunctionNames": ["g"] }));
    rows.request(
        "mode VALIDATED",
        GEMINI,
        &checked,
        [
            (CHAT, is(json!({ "tool_choice": { "allowed_tools": { "mode": "auto" } } }))),
            (
                ANTHROPIC,
                is(json!({ "tool_choice": { "type": "auto" }, "tools": [{ "name": "g" }] })),
            ),
            (RESPONSES, is(json!({ "tool_choice": { "mode": "auto" } }))),
        ],
    );
    rows.done();
}

#[test]
fn formats_and_thinking() {
    let mut rows = Rows::of("§4.3");
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } },
                         "required": ["a"], "additionalProperties": false });
    let old = json!({ "type": "OBJECT", "properties": { "a": { "type": "STRING" } },
                      "required": ["a"] });
    let asked = |key: &str, schema: &Value| {
        config(json!({ "responseMimeType": "application/json", key: schema }))
    };
    rows.request(
        "responseJsonSchema",
        GEMINI,
        &asked("responseJsonSchema", &schema),
        [
            (
                CHAT,
                is(json!({ "response_format": { "json_schema": { "schema": schema,
                                                                "strict": true } } })),
            ),
            (ANTHROPIC, is(json!({ "output_config": { "format": { "schema": schema } } }))),
            (RESPONSES, is(json!({ "text": { "format": { "schema": schema } } }))),
        ],
    );
    rows.request(
        "responseSchema",
        GEMINI,
        &asked("responseSchema", &old),
        [
            (
                CHAT,
                is(json!({ "response_format": { "json_schema": { "schema":
            { "type": "object", "properties": { "a": { "type": "string" } } } } } })),
            ),
            (
                ANTHROPIC,
                is(json!({ "output_config": { "format": { "schema":
            { "type": "object", "additionalProperties": false } } } })),
            ),
        ],
    );
    rows.request(
        "responseMimeType",
        GEMINI,
        &config(json!({
        "responseMimeType": "application/json" })),
        [
            (CHAT, is(json!({ "response_format": { "type": "json_object" } }))),
            (ANTHROPIC, drops(&["generationConfig.responseMimeType"], json!({}))),
            (RESPONSES, is(json!({ "text": { "format": { "type": "json_object" } } }))),
        ],
    );
    let thinks = |thinking: Value| config(json!({ "thinkingConfig": thinking }));
    rows.request(
        "thinkingBudget",
        GEMINI,
        &thinks(json!({ "thinkingBudget": 4000 })),
        [
            (CHAT, is(json!({ "reasoning_effort": "medium" }))),
            (ANTHROPIC, is(json!({ "thinking": { "type": "enabled", "budget_tokens": 4000 } }))),
            (RESPONSES, is(json!({ "reasoning": { "effort": "medium" } }))),
        ],
    );
    rows.request(
        "thinkingBudget 0",
        GEMINI,
        &thinks(json!({ "thinkingBudget": 0 })),
        [
            (CHAT, is(json!({ "reasoning_effort": "none" }))),
            (ANTHROPIC, is(json!({ "thinking": { "type": "disabled" } }))),
        ],
    );
    rows.request(
        "thinkingLevel",
        GEMINI,
        &thinks(json!({ "thinkingLevel": "HIGH" })),
        [
            (CHAT, is(json!({ "reasoning_effort": "high" }))),
            (
                ANTHROPIC,
                is(json!({ "thinking": { "type": "adaptive" },
                               "output_config": { "effort": "high" } })),
            ),
            (RESPONSES, is(json!({ "reasoning": { "effort": "high" } }))),
        ],
    );
    let shown = thinks(json!({ "thinkingLevel": "LOW", "includeThoughts": true }));
    rows.request(
        "includeThoughts",
        GEMINI,
        &shown,
        [
            (ANTHROPIC, is(json!({ "thinking": { "type": "adaptive", "display": "summarized" } }))),
            (RESPONSES, is(json!({ "reasoning": { "effort": "low", "summary": "auto" } }))),
        ],
    );
    rows.done();
}

#[test]
fn all_else() {
    let mut rows = Rows::of("§4.3");
    let all = [CHAT, ANTHROPIC, RESPONSES];
    rows.request(
        "candidateCount",
        GEMINI,
        &config(json!({ "candidateCount": 2 })),
        [
            (CHAT, is(json!({ "n": 2 }))),
            (ANTHROPIC, refuses("generationConfig.candidateCount")),
            (RESPONSES, refuses("generationConfig.candidateCount")),
        ],
    );
    let settings = json!({ "safetySettings": [{ "category": "HARM_CATEGORY_HARASSMENT",
                                                "threshold": "BLOCK_NONE" }] });
    rows.request(
        "safetySettings",
        GEMINI,
        &settings,
        all.map(|wire| (wire, drops(&["safetySettings"], json!({})))),
    );
    rows.request(
        "labels",
        GEMINI,
        &json!({ "labels": { "a": "b" } }),
        all.map(|wire| (wire, drops(&["labels"], json!({})))),
    );
    rows.request(
        "cachedContent",
        GEMINI,
        &json!({ "cachedContent": "cachedContents/x" }),
        all.map(|wire| (wire, refuses("cachedContent"))),
    );
    let resolution = config(json!({ "mediaResolution": "MEDIA_RESOLUTION_LOW" }));
    rows.request(
        "mediaResolution",
        GEMINI,
        &resolution,
        all.map(|wire| (wire, drops(&["generationConfig.mediaResolution"], json!({})))),
    );
    rows.request(
        "topK",
        GEMINI,
        &config(json!({ "topK": 5 })),
        [
            (CHAT, drops(&["generationConfig.topK"], json!({ "top_k": null }))),
            (ANTHROPIC, is(json!({ "top_k": 5 }))),
            (RESPONSES, drops(&["generationConfig.topK"], json!({}))),
        ],
    );
    let tuned = config(json!({ "seed": 7, "frequencyPenalty": 0.5, "presencePenalty": 0.25 }));
    let dropped: &'static [&'static str] = &[
        "generationConfig.seed",
        "generationConfig.frequencyPenalty",
        "generationConfig.presencePenalty",
    ];
    rows.request(
        "seed, penalties",
        GEMINI,
        &tuned,
        [
            (CHAT, is(json!({ "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.25 }))),
            (ANTHROPIC, drops(dropped, json!({}))),
            (RESPONSES, drops(dropped, json!({}))),
        ],
    );
    let logged = config(json!({ "responseLogprobs": true, "logprobs": 2 }));
    rows.request(
        "logprobs",
        GEMINI,
        &logged,
        all.map(|wire| (wire, refuses("generationConfig.responseLogprobs"))),
    );
    rows.request(
        "temperature, topP, limits, stops",
        GEMINI,
        &config(json!({
        "temperature": 0.3, "maxOutputTokens": 7, "stopSequences": ["x"] })),
        [
            (CHAT, is(json!({ "temperature": 0.3, "max_tokens": 7, "stop": ["x"] }))),
            (
                ANTHROPIC,
                is(json!({ "temperature": 0.3, "max_tokens": 7, "stop_sequences": ["x"] })),
            ),
            (RESPONSES, refuses("generationConfig.stopSequences")),
        ],
    );
    rows.done();
}
