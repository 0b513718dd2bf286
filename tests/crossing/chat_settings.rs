//! Chat Completions to the others (wire formats §4.1): limits, sampling, formats,
//! tools, and what tunes.

use backstay::dialect::Quirks;
use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, drops, is, refuses};

#[test]
fn limits_and_sampling() {
    let mut rows = Rows::of("§4.1");
    for field in ["max_completion_tokens", "max_tokens"] {
        rows.request(
            field,
            CHAT,
            &json!({ field: 77 }),
            [
                (ANTHROPIC, is(json!({ "max_tokens": 77 }))),
                (GEMINI, is(json!({ "generationConfig": { "maxOutputTokens": 77 } }))),
                (RESPONSES, is(json!({ "max_output_tokens": 77 }))),
            ],
        );
    }
    rows.request(
        "no limit",
        CHAT,
        &json!({}),
        [
            (ANTHROPIC, is(json!({ "max_tokens": 4096 }))),
            (GEMINI, is(json!({ "generationConfig": null }))),
        ],
    );
    rows.request(
        "temperature",
        CHAT,
        &json!({ "temperature": 0.3 }),
        [
            (ANTHROPIC, is(json!({ "temperature": 0.3 }))),
            (GEMINI, is(json!({ "generationConfig": { "temperature": 0.3 } }))),
            (RESPONSES, is(json!({ "temperature": 0.3 }))),
        ],
    );
    rows.request(
        "temperature above one",
        CHAT,
        &json!({ "temperature": 1.7 }),
        [
            (ANTHROPIC, is(json!({ "temperature": 1 }))),
            (GEMINI, is(json!({ "generationConfig": { "temperature": 1.7 } }))),
        ],
    );
    rows.request(
        "top_p",
        CHAT,
        &json!({ "top_p": 0.5 }),
        [
            (ANTHROPIC, is(json!({ "top_p": 0.5 }))),
            (GEMINI, is(json!({ "generationConfig": { "topP": 0.5 } }))),
            (RESPONSES, is(json!({ "top_p": 0.5 }))),
        ],
    );
    rows.request(
        "temperature and top_p",
        CHAT,
        &json!({ "temperature": 0.3, "top_p": 0.5 }),
        [(ANTHROPIC, drops(&["top_p"], json!({ "temperature": 0.3, "top_p": null })))],
    );
    rows.request(
        "stop, a string",
        CHAT,
        &json!({ "stop": "x" }),
        [
            (ANTHROPIC, is(json!({ "stop_sequences": ["x"] }))),
            (GEMINI, is(json!({ "generationConfig": { "stopSequences": ["x"] } }))),
            (RESPONSES, refuses("stop")),
        ],
    );
    rows.request(
        "stop, blank ones",
        CHAT,
        &json!({ "stop": ["\n", "x"] }),
        [
            (ANTHROPIC, drops(&["stop"], json!({ "stop_sequences": ["x"] }))),
            (GEMINI, is(json!({ "generationConfig": { "stopSequences": ["\n", "x"] } }))),
        ],
    );
    rows.request(
        "n",
        CHAT,
        &json!({ "n": 2 }),
        [
            (ANTHROPIC, refuses("n")),
            (GEMINI, is(json!({ "generationConfig": { "candidateCount": 2 } }))),
            (RESPONSES, refuses("n")),
        ],
    );
    for (field, there, value) in [
        ("seed", "seed", json!(7)),
        ("frequency_penalty", "frequencyPenalty", json!(0.5)),
        ("presence_penalty", "presencePenalty", json!(-0.5)),
    ] {
        let fields: &'static [&'static str] = match field {
            "seed" => &["seed"],
            "frequency_penalty" => &["frequency_penalty"],
            _ => &["presence_penalty"],
        };
        rows.request(
            field,
            CHAT,
            &json!({ field: value }),
            [
                (ANTHROPIC, drops(fields, json!({ field: null }))),
                (GEMINI, is(json!({ "generationConfig": { there: value } }))),
                (RESPONSES, drops(fields, json!({ field: null }))),
            ],
        );
    }
    rows.request(
        "logit_bias",
        CHAT,
        &json!({ "logit_bias": { "1": 2 } }),
        [
            (ANTHROPIC, drops(&["logit_bias"], json!({ "logit_bias": null }))),
            (GEMINI, drops(&["logit_bias"], json!({}))),
            (RESPONSES, drops(&["logit_bias"], json!({}))),
        ],
    );
    // No answer brings them back across dialects.
    rows.request(
        "logprobs",
        CHAT,
        &json!({ "logprobs": true, "top_logprobs": 2 }),
        [
            (ANTHROPIC, refuses("logprobs")),
            (GEMINI, refuses("logprobs")),
            (RESPONSES, refuses("logprobs")),
        ],
    );
    rows.request(
        "logprobs: false",
        CHAT,
        &json!({ "logprobs": false }),
        [
            (ANTHROPIC, is(json!({ "logprobs": null }))),
            (GEMINI, is(json!({ "generationConfig": null }))),
            (RESPONSES, is(json!({ "top_logprobs": null }))),
        ],
    );
    rows.done();
}

#[test]
fn formats() {
    let mut rows = Rows::of("§4.1");
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } },
                         "required": ["a"], "additionalProperties": false });
    let asked = json!({ "response_format": { "type": "json_schema",
        "json_schema": { "name": "x", "strict": true, "schema": schema } } });
    rows.request(
        "response_format json_schema",
        CHAT,
        &asked,
        [
            (
                ANTHROPIC,
                is(json!({ "output_config": { "format":
            { "type": "json_schema", "schema": schema } }, "tools": null })),
            ),
            (
                GEMINI,
                is(json!({ "generationConfig": { "responseMimeType": "application/json",
            "responseJsonSchema": schema } })),
            ),
            (
                RESPONSES,
                is(json!({ "text": { "format": { "type": "json_schema", "name": "x",
            "strict": true, "schema": schema } } })),
            ),
        ],
    );
    let object = json!({ "response_format": { "type": "json_object" },
                         "messages": [{ "role": "user", "content": "json please" }] });
    rows.request(
        "response_format json_object",
        CHAT,
        &object,
        [
            (ANTHROPIC, drops(&["response_format"], json!({ "system": [{ "type": "text" }] }))),
            (GEMINI, is(json!({ "generationConfig": { "responseMimeType": "application/json" } }))),
            (RESPONSES, is(json!({ "text": { "format": { "type": "json_object" } } }))),
        ],
    );
    rows.request(
        "response_format text",
        CHAT,
        &json!({ "response_format": { "type": "text" } }),
        [
            (ANTHROPIC, is(json!({ "output_config": null }))),
            (GEMINI, is(json!({ "generationConfig": null }))),
            (RESPONSES, is(json!({ "text": null }))),
        ],
    );
    rows.done();
}

/// Members with two functions, and more.
fn with_tools(more: &Value) -> Value {
    let mut body = json!({ "tools": [
        { "type": "function", "function": { "name": "f", "description": "does f",
          "parameters": { "type": "object", "properties": { "a": { "type": "integer" } } } } },
        { "type": "function", "function": { "name": "g" } }] });
    for (key, value) in more.as_object().expect("members") {
        body[key] = value.clone();
    }
    body
}

#[test]
fn tools_and_their_choice() {
    let mut rows = Rows::of("§4.1");
    let parameters = json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
    rows.request(
        "tools function",
        CHAT,
        &with_tools(&json!({})),
        [
            (
                ANTHROPIC,
                is(json!({ "tools": [
            { "name": "f", "description": "does f", "input_schema": parameters },
            { "name": "g", "input_schema": { "type": "object" } }] })),
            ),
            (
                GEMINI,
                is(json!({ "tools": [{ "functionDeclarations": [
            { "name": "f", "description": "does f", "parametersJsonSchema": parameters },
            { "name": "g", "parametersJsonSchema": null }] }] })),
            ),
            (
                RESPONSES,
                is(json!({ "tools": [
            { "type": "function", "name": "f", "parameters": parameters, "strict": false },
            { "type": "function", "name": "g", "strict": false }] })),
            ),
        ],
    );
    let odd = json!({ "tools": [{ "type": "function", "function": { "name": "a.b" } },
                                { "type": "function", "function": { "name": "a_b" } }] });
    rows.request("names are sanitised, and stay different", CHAT, &odd, [(
        GEMINI,
        is(json!({ "tools": [{ "functionDeclarations": [{ "name": "a.b" }, { "name": "a_b" }] }] })),
    )]);
    for wire in [ANTHROPIC, RESPONSES] {
        let legend = rows.legend(CHAT, &odd, wire);
        let wrong = legend.names.len() != 1 || !legend.names.values().any(|name| name == "a.b");
        rows.count();
        if wrong || legend.names.contains_key("a_b") {
            rows.note("names", CHAT, wire, &format!("{legend:?}"), &odd);
        }
    }
    let custom = json!({ "tools": [{ "type": "custom", "custom": { "name": "c", "format":
        { "type": "grammar", "grammar": { "syntax": "lark", "definition": "start: A" } } } }] });
    let wrapped = json!({ "type": "object", "properties": { "input": { "type": "string" } } });
    rows.request(
        "tools custom",
        CHAT,
        &custom,
        [
            (
                ANTHROPIC,
                drops(
                    &["tools[].custom.format", "tools[].custom"],
                    json!({ "tools": [{ "name": "c", "input_schema": wrapped }] }),
                ),
            ),
            (
                GEMINI,
                drops(
                    &["tools[].custom.format", "tools[].custom"],
                    json!({ "tools":
            [{ "functionDeclarations": [{ "name": "c", "parametersJsonSchema": wrapped }] }] }),
                ),
            ),
        ],
    );
    let choice = |choice: Value| with_tools(&json!({ "tool_choice": choice }));
    let mode = |mode: &str| json!({ "toolConfig": { "functionCallingConfig": { "mode": mode } } });
    for (word, anthropic, gemini) in
        [("auto", "auto", "AUTO"), ("none", "none", "NONE"), ("required", "any", "ANY")]
    {
        rows.request(
            word,
            CHAT,
            &choice(json!(word)),
            [
                (ANTHROPIC, is(json!({ "tool_choice": { "type": anthropic } }))),
                (GEMINI, is(mode(gemini))),
                (RESPONSES, is(json!({ "tool_choice": word }))),
            ],
        );
    }
    let function = choice(json!({ "type": "function", "function": { "name": "g" } }));
    rows.request(
        "tool_choice function",
        CHAT,
        &function,
        [
            (ANTHROPIC, is(json!({ "tool_choice": { "type": "tool", "name": "g" } }))),
            (
                GEMINI,
                is(json!({ "toolConfig": { "functionCallingConfig":
            { "mode": "ANY", "allowedFunctionNames": ["g"] } } })),
            ),
            (RESPONSES, is(json!({ "tool_choice": { "type": "function", "name": "g" } }))),
        ],
    );
    for (wanted, anthropic, gemini) in [("auto", "auto", "VALIDATED"), ("required", "any", "ANY")] {
        let allowed = choice(json!({ "type": "allowed_tools", "allowed_tools": { "mode": wanted,
            "tools": [{ "type": "function", "function": { "name": "g" } }] } }));
        rows.request(
            "allowed_tools",
            CHAT,
            &allowed,
            [
                (
                    ANTHROPIC,
                    is(json!({ "tools": [{ "name": "g" }],
                                   "tool_choice": { "type": anthropic } })),
                ),
                (
                    GEMINI,
                    is(json!({ "toolConfig": { "functionCallingConfig":
                { "mode": gemini, "allowedFunctionNames": ["g"] } } })),
                ),
                (
                    RESPONSES,
                    is(json!({ "tool_choice": { "type": "allowed_tools", "mode": wanted,
                "tools": [{ "type": "function", "name": "g" }] } })),
                ),
            ],
        );
    }
    let alone = with_tools(&json!({ "parallel_tool_calls": false }));
    rows.request(
        "parallel_tool_calls=false",
        CHAT,
        &alone,
        [
            (
                ANTHROPIC,
                is(json!({ "tool_choice":
            { "type": "auto", "disable_parallel_tool_use": true } })),
            ),
            (GEMINI, drops(&["parallel_tool_calls"], json!({}))),
            (RESPONSES, is(json!({ "parallel_tool_calls": false }))),
        ],
    );
    rows.quirks(Quirks::FUNCTIONS_ONLY);
    rows.request(
        "custom tools of a server with functions only",
        CHAT,
        &custom,
        [(
            RESPONSES,
            drops(
                &["tools[].custom.format"],
                json!({ "tools": [{ "type": "function", "name": "c", "parameters": wrapped }] }),
            ),
        )],
    );
    rows.done();
}

#[test]
fn all_else() {
    let mut rows = Rows::of("§4.1");
    let nothing = || json!({});
    let everywhere = |fields: &'static [&'static str]| {
        [ANTHROPIC, GEMINI, RESPONSES].map(|wire| (wire, drops(fields, json!({}))))
    };
    let nowhere =
        |field: &'static str| [ANTHROPIC, GEMINI, RESPONSES].map(|wire| (wire, refuses(field)));
    let silently = || [ANTHROPIC, GEMINI, RESPONSES].map(|wire| (wire, is(nothing())));
    rows.request("verbosity", CHAT, &json!({ "verbosity": "low" }), everywhere(&["verbosity"]));
    let spoken = json!({ "modalities": ["text", "audio"] });
    rows.request("modalities", CHAT, &spoken, nowhere("modalities"));
    rows.request("modalities, text only", CHAT, &json!({ "modalities": ["text"] }), silently());
    let prediction = json!({ "prediction": { "type": "content", "content": "x" } });
    rows.request("prediction", CHAT, &prediction, everywhere(&["prediction"]));
    let search = json!({ "web_search_options": {} });
    rows.request("web_search_options", CHAT, &search, nowhere("web_search_options"));
    let moderated = |word: &str| {
        json!({ "moderation": { "model": "o",
                                         "policy": { "input": word, "output": "score" } } })
    };
    rows.request("moderation block", CHAT, &moderated("block"), nowhere("moderation"));
    rows.request("moderation score", CHAT, &moderated("score"), everywhere(&["moderation"]));
    let breakpoint = json!({ "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "q",
          "prompt_cache_breakpoint": { "mode": "explicit", "ttl": "30m" } },
        { "type": "text", "text": "r" }] }] });
    rows.request(
        "prompt_cache_breakpoint",
        CHAT,
        &breakpoint,
        [
            (
                ANTHROPIC,
                is(json!({ "messages": [{ "content": [
            { "text": "q", "cache_control": { "type": "ephemeral", "ttl": "1h" } },
            { "text": "r", "cache_control": null }] }] })),
            ),
            (GEMINI, drops(&["prompt_cache_breakpoint"], nothing())),
            (RESPONSES, drops(&["prompt_cache_breakpoint"], nothing())),
        ],
    );
    let key = json!({ "prompt_cache_key": "k" });
    rows.request("prompt_cache_key", CHAT, &key, everywhere(&["prompt_cache_key"]));
    for field in ["user", "safety_identifier"] {
        rows.request(
            field,
            CHAT,
            &json!({ field: "u1" }),
            [
                (ANTHROPIC, is(json!({ "metadata": { "user_id": "u1" } }))),
                (GEMINI, is(json!({ "labels": null }))),
                (RESPONSES, is(json!({ "safety_identifier": "u1" }))),
            ],
        );
    }
    rows.request("store", CHAT, &json!({ "store": false }), silently());
    rows.request("store: true", CHAT, &json!({ "store": true }), everywhere(&["store"]));
    rows.request("metadata", CHAT, &json!({ "metadata": { "a": "b" } }), silently());
    rows.request("service_tier", CHAT, &json!({ "service_tier": "flex" }), silently());
    let usage = json!({ "stream": true, "stream_options": { "include_usage": true } });
    rows.request(
        "stream_options.include_usage",
        CHAT,
        &usage,
        [
            (ANTHROPIC, is(json!({ "stream": true, "stream_options": null }))),
            (GEMINI, is(json!({ "stream": null, "stream_options": null }))),
            (RESPONSES, is(json!({ "stream": true, "stream_options": null }))),
        ],
    );
    rows.request("unknown field", CHAT, &json!({ "x_new": 1 }), everywhere(&["x_new"]));
    rows.done();
}
