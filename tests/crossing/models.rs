//! What single models cannot do, by the catalog (wire formats §4.6).

use backstay::dialect::Quirks;
use serde_json::json;

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, drops, is};

#[test]
fn sampling() {
    let mut rows = Rows::of("§4.6");
    let sampled = json!({ "temperature": 0.3, "top_p": 0.5 });
    for model in [
        "claude-opus-4-7",
        "claude-opus-5-5",
        "claude-sonnet-5",
        "claude-haiku-5-5",
        "claude-fable-5-1",
        "claude-mythos-5",
    ] {
        rows.model(ANTHROPIC, model);
        rows.request(
            model,
            CHAT,
            &sampled,
            [(
                ANTHROPIC,
                drops(&["temperature", "top_p"], json!({ "temperature": null, "top_p": null })),
            )],
        );
    }
    for model in ["gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.8-flash"] {
        rows.model(GEMINI, model);
        rows.request(
            model,
            CHAT,
            &sampled,
            [(GEMINI, drops(&["temperature", "top_p"], json!({ "generationConfig": null })))],
        );
    }
    let warm = |effort: &str| json!({ "temperature": 0.3, "output_config": { "effort": effort } });
    rows.model(CHAT, "gpt-5.5");
    rows.request(
        "sampling only if the effort is none",
        ANTHROPIC,
        &warm("high"),
        [
            (
                CHAT,
                drops(&["temperature"], json!({ "temperature": null, "reasoning_effort": "high" })),
            ),
            (RESPONSES, drops(&["temperature"], json!({ "temperature": null }))),
        ],
    );
    let off = json!({ "temperature": 0.3, "thinking": { "type": "disabled" } });
    rows.request(
        "effort none",
        ANTHROPIC,
        &off,
        [(CHAT, is(json!({ "temperature": 0.3, "reasoning_effort": "none" })))],
    );
    rows.request(
        "temperature 1 is always ok",
        ANTHROPIC,
        &json!({ "temperature": 1 }),
        [(CHAT, is(json!({})))],
    );
    rows.done();
}

#[test]
fn tools_prefill_and_formats() {
    let mut rows = Rows::of("§4.6");
    let forced = json!({ "tool_choice": "required",
        "tools": [{ "type": "function", "function": { "name": "f" } }] });
    for model in ["claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-1", "claude-mythos-5-1"] {
        rows.model(ANTHROPIC, model);
        rows.request(
            "no forced tool choice",
            CHAT,
            &forced,
            [(ANTHROPIC, drops(&["tool_choice"], json!({ "tool_choice": { "type": "auto" } })))],
        );
    }
    let prefill = json!({ "messages": [{ "role": "user", "content": "q" },
                                       { "role": "assistant", "content": "a" }] });
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } },
                         "required": ["a"], "additionalProperties": false });
    let promised = json!({ "response_format": { "type": "json_schema",
        "json_schema": { "name": "x", "schema": schema } } });
    for model in ["claude-sonnet-4-5", "claude-haiku-4-5"] {
        rows.model(ANTHROPIC, model);
        rows.request("prefill supported", CHAT, &prefill, [(ANTHROPIC, is(json!({})))]);
    }
    rows.model(ANTHROPIC, "claude-opus-4-6");
    rows.request(
        "no prefill",
        CHAT,
        &prefill,
        [(ANTHROPIC, drops(&["messages"], json!({ "messages": [{}, {}, { "role": "user" }] })))],
    );
    rows.model(ANTHROPIC, "claude-sonnet-4-5");
    rows.request(
        "native structured output",
        CHAT,
        &promised,
        [(ANTHROPIC, is(json!({ "output_config": { "format": { "schema": schema } } })))],
    );
    rows.model(ANTHROPIC, "claude-sonnet-4");
    rows.request(
        "the tool trick",
        CHAT,
        &promised,
        [(
            ANTHROPIC,
            is(
                json!({ "output_config": null, "tool_choice": { "type": "tool", "name": "respond" },
                   "tools": [{ "name": "respond", "input_schema": schema }] }),
            ),
        )],
    );
    rows.done();
}

#[test]
fn thinking() {
    let mut rows = Rows::of("§4.6");
    let off = json!({ "reasoning_effort": "none" });
    for model in ["claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5", "claude-mythos-5"] {
        rows.model(ANTHROPIC, model);
        rows.request(
            "thinking is always on",
            CHAT,
            &off,
            [(ANTHROPIC, drops(&["reasoning_effort"], json!({ "thinking": null })))],
        );
    }
    let high = json!({ "reasoning_effort": "high", "max_tokens": 64_000 });
    rows.model(ANTHROPIC, "claude-opus-4-7");
    rows.request("adaptive only", CHAT, &high, [(
        ANTHROPIC,
        is(json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "high" } })),
    )]);
    rows.request(
        "off",
        CHAT,
        &off,
        [(ANTHROPIC, is(json!({ "thinking": { "type": "disabled" } })))],
    );
    rows.model(ANTHROPIC, "claude-haiku-4-5");
    rows.request(
        "budget only",
        CHAT,
        &high,
        [(
            ANTHROPIC,
            is(json!({ "thinking": { "type": "enabled", "budget_tokens": 16_384 },
                   "output_config": null })),
        )],
    );
    for (effort, budget) in [("low", 1024), ("medium", 4096), ("high", 16_384)] {
        let asked = json!({ "reasoning_effort": effort, "max_tokens": 64_000 });
        rows.request(
            "budgets",
            CHAT,
            &asked,
            [(ANTHROPIC, is(json!({ "thinking": { "budget_tokens": budget } })))],
        );
    }
    rows.model(GEMINI, "gemini-2.5-flash");
    rows.request(
        "thinkingBudget of 2.5",
        CHAT,
        &high,
        [(
            GEMINI,
            is(json!({ "generationConfig": { "thinkingConfig": { "thinkingBudget": 16_384 } } })),
        )],
    );
    rows.model(GEMINI, "gemini-3-pro");
    rows.request(
        "thinkingLevel of 3",
        CHAT,
        &high,
        [(
            GEMINI,
            is(json!({ "generationConfig": { "thinkingConfig": { "thinkingLevel": "HIGH" } } })),
        )],
    );
    rows.done();
}

#[test]
fn echoes_and_names_of_limits() {
    let mut rows = Rows::of("§4.6");
    let thought = json!({ "messages": [
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm", "signature": "s" },
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "toolu_1", "content": "r" }] }] });
    rows.quirks(Quirks::REASONING_ECHO);
    rows.request(
        "requires the reasoning's echo",
        ANTHROPIC,
        &thought,
        [(CHAT, is(json!({ "messages": [{}, { "reasoning_content": "hm" }, {}] })))],
    );
    rows.quirks(Quirks::SHORT_CALL_IDS);
    rows.request("nine letters and digits", ANTHROPIC, &thought, [(CHAT, is(json!({})))]);
    rows.quirks(Quirks::NONE);
    rows.model(GEMINI, "gemini-3-pro");
    rows.request(
        "signature where there is none",
        ANTHROPIC,
        &thought,
        [(
            GEMINI,
            is(json!({ "contents": [{}, { "parts": [{ "functionCall": {},
            "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=" }] }, {}] })),
        )],
    );
    for (model, name, other) in [
        ("gpt-6-luna", "max_completion_tokens", "max_tokens"),
        ("gpt-5.1", "max_completion_tokens", "max_tokens"),
        ("o4-mini", "max_completion_tokens", "max_tokens"),
        ("mistral-small-latest", "max_tokens", "max_completion_tokens"),
    ] {
        rows.model(CHAT, model);
        rows.request(
            model,
            ANTHROPIC,
            &json!({ "max_tokens": 77 }),
            [(CHAT, is(json!({ name: 77, other: null })))],
        );
    }
    rows.done();
}
