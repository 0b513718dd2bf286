//! Anthropic Messages to the others (wire formats §4.2): limits, sampling,
//! thinking, formats, and what tunes.

use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, drops, is, refuses};

#[test]
fn limits_and_sampling() {
    let mut rows = Rows::of("§4.2");
    rows.request(
        "max_tokens",
        ANTHROPIC,
        &json!({ "max_tokens": 77 }),
        [
            (CHAT, is(json!({ "max_tokens": 77, "max_completion_tokens": null }))),
            (RESPONSES, is(json!({ "max_output_tokens": 77 }))),
            (GEMINI, is(json!({ "generationConfig": { "maxOutputTokens": 77 } }))),
        ],
    );
    rows.request(
        "max_tokens 0 (cache prewarm)",
        ANTHROPIC,
        &json!({ "max_tokens": 0 }),
        [CHAT, RESPONSES, GEMINI].map(|wire| (wire, refuses("max_tokens"))),
    );
    rows.request(
        "stop_sequences",
        ANTHROPIC,
        &json!({ "stop_sequences": ["x", "y"] }),
        [
            (CHAT, is(json!({ "stop": ["x", "y"] }))),
            (RESPONSES, refuses("stop_sequences")),
            (GEMINI, is(json!({ "generationConfig": { "stopSequences": ["x", "y"] } }))),
        ],
    );
    let many = json!({ "stop_sequences": ["1", "2", "3", "4", "5", "6"] });
    rows.request(
        "more stop_sequences than are taken",
        ANTHROPIC,
        &many,
        [
            (CHAT, drops(&["stop_sequences"], json!({ "stop": ["1", "2", "3", "4"] }))),
            (
                GEMINI,
                drops(
                    &["stop_sequences"],
                    json!({ "generationConfig": { "stopSequences": ["1", "2", "3", "4", "5"] } }),
                ),
            ),
        ],
    );
    rows.request(
        "temperature",
        ANTHROPIC,
        &json!({ "temperature": 0.3 }),
        [
            (CHAT, is(json!({ "temperature": 0.3 }))),
            (RESPONSES, is(json!({ "temperature": 0.3 }))),
            (GEMINI, is(json!({ "generationConfig": { "temperature": 0.3 } }))),
        ],
    );
    rows.request(
        "top_p",
        ANTHROPIC,
        &json!({ "top_p": 0.3 }),
        [
            (CHAT, is(json!({ "top_p": 0.3 }))),
            (RESPONSES, is(json!({ "top_p": 0.3 }))),
            (GEMINI, is(json!({ "generationConfig": { "topP": 0.3 } }))),
        ],
    );
    rows.request(
        "top_k",
        ANTHROPIC,
        &json!({ "top_k": 5 }),
        [
            (CHAT, drops(&["top_k"], json!({ "top_k": null }))),
            (RESPONSES, drops(&["top_k"], json!({ "top_k": null }))),
            (GEMINI, is(json!({ "generationConfig": { "topK": 5 } }))),
        ],
    );
    rows.model(CHAT, "gpt-6-luna");
    rows.request(
        "max_tokens of OpenAI",
        ANTHROPIC,
        &json!({ "max_tokens": 77 }),
        [(CHAT, is(json!({ "max_completion_tokens": 77, "max_tokens": null })))],
    );
    rows.request(
        "max_tokens above the limit",
        ANTHROPIC,
        &json!({ "max_tokens": 999_999 }),
        [
            (CHAT, drops(&["max_tokens"], json!({ "max_completion_tokens": 128_000 }))),
            (RESPONSES, drops(&["max_tokens"], json!({ "max_output_tokens": 128_000 }))),
            (
                GEMINI,
                drops(
                    &["max_tokens"],
                    json!({ "generationConfig": { "maxOutputTokens": 128_000 } }),
                ),
            ),
        ],
    );
    rows.done();
}

#[test]
fn thinking_and_formats() {
    let mut rows = Rows::of("§4.2");
    for (budget, effort) in
        [(1024, "low"), (2048, "low"), (8192, "medium"), (32_768, "high"), (32_769, "xhigh")]
    {
        let body = json!({ "max_tokens": 64_000,
                           "thinking": { "type": "enabled", "budget_tokens": budget } });
        rows.request(
            "thinking enabled",
            ANTHROPIC,
            &body,
            [
                (CHAT, is(json!({ "reasoning_effort": effort }))),
                (RESPONSES, is(json!({ "reasoning": { "effort": effort } }))),
                (
                    GEMINI,
                    is(json!({ "generationConfig": { "thinkingConfig":
                { "thinkingBudget": budget.min(24_576) } } })),
                ),
            ],
        );
    }
    for (effort, level) in
        [("low", "LOW"), ("medium", "MEDIUM"), ("high", "HIGH"), ("max", "XHIGH")]
    {
        let body = json!({ "thinking": { "type": "adaptive" },
                           "output_config": { "effort": effort } });
        rows.model(GEMINI, "gemini-3-pro");
        rows.request(
            "thinking adaptive and effort",
            ANTHROPIC,
            &body,
            [
                (CHAT, is(json!({ "reasoning_effort": effort }))),
                (RESPONSES, is(json!({ "reasoning": { "effort": effort } }))),
                (
                    GEMINI,
                    is(json!({ "generationConfig": { "thinkingConfig":
                { "thinkingLevel": level } } })),
                ),
            ],
        );
    }
    let off = json!({ "thinking": { "type": "disabled" } });
    rows.model(GEMINI, "gemini-3.6-flash");
    rows.request(
        "thinking disabled",
        ANTHROPIC,
        &off,
        [(
            GEMINI,
            is(json!({ "generationConfig": { "thinkingConfig": { "thinkingLevel": "MINIMAL" } } })),
        )],
    );
    let mut rows_of_openai = Rows::of("§4.2");
    rows_of_openai.request(
        "thinking disabled",
        ANTHROPIC,
        &off,
        [
            (CHAT, is(json!({ "reasoning_effort": "none" }))),
            (RESPONSES, is(json!({ "reasoning": { "effort": "none" } }))),
        ],
    );
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } },
                         "required": ["a"], "additionalProperties": false });
    let format = |schema: &Value| {
        json!({ "output_config": { "format":
        { "type": "json_schema", "schema": schema } } })
    };
    rows_of_openai.request(
        "output_config.format",
        ANTHROPIC,
        &format(&schema),
        [
            (
                CHAT,
                is(json!({ "response_format": { "type": "json_schema",
            "json_schema": { "name": "answer", "strict": true, "schema": schema } } })),
            ),
            (
                RESPONSES,
                is(json!({ "text": { "format": { "type": "json_schema",
            "strict": true, "schema": schema } } })),
            ),
            (
                GEMINI,
                is(json!({ "generationConfig": { "responseMimeType": "application/json",
            "responseJsonSchema": schema } })),
            ),
        ],
    );
    let open = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    rows_of_openai.request(
        "a schema that is not strict",
        ANTHROPIC,
        &format(&open),
        [
            (CHAT, is(json!({ "response_format": { "json_schema": { "strict": null } } }))),
            (RESPONSES, is(json!({ "text": { "format": { "strict": false } } }))),
        ],
    );
    rows_of_openai.done();
    rows.done();
}

#[test]
fn all_else() {
    let mut rows = Rows::of("§4.2");
    let everywhere = |fields: &'static [&'static str]| {
        [CHAT, RESPONSES, GEMINI].map(|wire| (wire, drops(fields, json!({}))))
    };
    let nowhere =
        |field: &'static str| [CHAT, RESPONSES, GEMINI].map(|wire| (wire, refuses(field)));
    rows.request(
        "metadata.user_id",
        ANTHROPIC,
        &json!({ "metadata": { "user_id": "u1" } }),
        [
            (RESPONSES, is(json!({ "safety_identifier": "u1" }))),
            (GEMINI, is(json!({ "metadata": null }))),
        ],
    );
    let device = "{\"device_id\":\"d-1\",\"account\":\"ann@example.com\"}";
    let private = json!({ "metadata": { "user_id": device } });
    for wire in [CHAT, RESPONSES, GEMINI] {
        rows.request(
            "metadata.user_id with ids of devices",
            ANTHROPIC,
            &private,
            [(wire, is(json!({ "metadata": null })))],
        );
    }
    let tier = json!({ "service_tier": "standard_only" });
    rows.request("service_tier", ANTHROPIC, &tier, everywhere(&["service_tier"]));
    rows.request("speed", ANTHROPIC, &json!({ "speed": "fast" }), everywhere(&["speed"]));
    let place = json!({ "inference_geo": "eu" });
    rows.request("inference_geo", ANTHROPIC, &place, everywhere(&["inference_geo"]));
    rows.request("container", ANTHROPIC, &json!({ "container": "c" }), nowhere("container"));
    let servers = json!({ "mcp_servers": [{ "type": "url", "url": "https://a.example" }] });
    rows.request("mcp_servers", ANTHROPIC, &servers, nowhere("mcp_servers"));
    let managed = json!({ "context_management": { "edits": [] } });
    rows.request("context_management", ANTHROPIC, &managed, everywhere(&["context_management"]));
    rows.request("compaction", ANTHROPIC, &json!({ "compaction": {} }), nowhere("compaction"));
    rows.request("thread", ANTHROPIC, &json!({ "thread": "t" }), nowhere("thread"));
    let fallbacks = json!({ "fallbacks": [{ "model": "x" }] });
    rows.request("fallbacks", ANTHROPIC, &fallbacks, nowhere("fallbacks"));
    let diagnostics = json!({ "diagnostics": { "previous_message_id": "m" } });
    rows.request("diagnostics", ANTHROPIC, &diagnostics, everywhere(&["diagnostics"]));
    rows.done();
}

/// What agents put there must reach nobody else.
#[test]
fn no_device_s_id_leaves() {
    use crate::rows::{covers, question};
    use backstay::dialect::hub::Strictness;
    use backstay::dialect::translate::{Original, translate};
    use backstay::dialect::{Abilities, Address, Dialect, Quirks, Target, Task};
    let mut body = question(ANTHROPIC);
    body["metadata"] = json!({ "user_id": "{\"device_id\":\"d-1\"}" });
    let text = body.to_string();
    for wire in [CHAT, RESPONSES, GEMINI] {
        let (abilities, address) = (Abilities::unknown(), Address::default());
        let (strictness, quirks) = (Strictness::Normal, Quirks::NONE);
        let target = Target { model: "m", abilities: &abilities, quirks, strictness };
        let (client, task, continues) = (Dialect::Anthropic, Task::Generate, None);
        let original = Original { client, task, body: &text, address: &address, continues };
        let written = translate(original, wire, &target).unwrap();
        let sent = String::from_utf8_lossy(&written.body);
        assert!(!sent.contains("d-1") && !sent.contains("device"), "{sent}");
        let seen: Value = serde_json::from_str(&sent).unwrap();
        covers(&seen, &json!({ "metadata": null }), "").unwrap();
    }
}
