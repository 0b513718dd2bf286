//! Whole answers: why they stopped (wire formats §4.5) and what they cost
//! (§4.7), refusals and reasoning, of every dialect as every other reads them.

use backstay::dialect::Dialect;
use backstay::dialect::hub::Legend;
use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows};

fn chat(message: Value, finish: &str) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{ "index": 0, "message": message, "finish_reason": finish }] })
}

fn responses(output: Value, status: &str, reason: Option<&str>) -> Value {
    json!({ "id": "resp_1", "object": "response", "created_at": 1, "model": "m",
            "status": status, "incomplete_details": reason.map(|reason| json!({ "reason": reason })),
            "output": output })
}

fn anthropic(content: Value, stop: &str) -> Value {
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": content, "stop_reason": stop,
            "usage": { "input_tokens": 1, "output_tokens": 1 } })
}

fn gemini(parts: Value, finish: &str) -> Value {
    json!({ "candidates": [{ "content": { "role": "model", "parts": parts },
            "finishReason": finish, "index": 0 }], "modelVersion": "m", "responseId": "r" })
}

/// An answer that says `a`, in this dialect, and stopped for this reason.
fn said(dialect: Dialect, finish: &str) -> Value {
    match dialect {
        Dialect::OpenAi => chat(json!({ "role": "assistant", "content": "a" }), finish),
        Dialect::Responses => {
            let message = json!([{ "type": "message", "id": "msg_1", "role": "assistant",
                "status": "completed",
                "content": [{ "type": "output_text", "text": "a", "annotations": [] }] }]);
            match finish {
                "completed" => responses(message, "completed", None),
                reason => responses(message, "incomplete", Some(reason)),
            }
        }
        Dialect::Anthropic => anthropic(json!([{ "type": "text", "text": "a" }]), finish),
        Dialect::Gemini => gemini(json!([{ "text": "a" }]), finish),
    }
}

/// How a client of a dialect reads that an answer stopped for this reason.
fn heard(dialect: Dialect, finish: &str) -> Value {
    match dialect {
        Dialect::OpenAi => json!({ "choices": [{ "finish_reason": finish,
                                                 "message": { "content": "a" } }] }),
        Dialect::Responses if finish == "completed" => {
            json!({ "status": "completed", "incomplete_details": null })
        }
        Dialect::Responses => {
            json!({ "status": "incomplete", "incomplete_details": { "reason": finish } })
        }
        Dialect::Anthropic => json!({ "stop_reason": finish }),
        Dialect::Gemini => json!({ "candidates": [{ "finishReason": finish }] }),
    }
}

#[test]
fn why_it_stopped() {
    let mut rows = Rows::of("§4.5");
    // The reason, and its words in Chat, Responses, Anthropic and Gemini, as
    // read and as written.
    for (name, words) in [
        ("natural end", ["stop", "completed", "end_turn", "STOP"]),
        ("length", ["length", "max_output_tokens", "max_tokens", "MAX_TOKENS"]),
        ("filtered output", ["content_filter", "content_filter", "refusal", "SAFETY"]),
    ] {
        let named = || Dialect::ALL.into_iter().zip(words);
        for (wire, word) in named() {
            let wants = named().filter(|(client, _)| *client != wire);
            let wants = wants.map(|(client, word)| (client, heard(client, word)));
            rows.answer(name, wire, &said(wire, word), wants.collect::<Vec<_>>());
        }
    }
    for word in [
        "PROHIBITED_CONTENT",
        "BLOCKLIST",
        "SPII",
        "RECITATION",
        "IMAGE_SAFETY",
        "MODEL_ARMOR",
        "ESCALATION",
    ] {
        rows.answer(
            word,
            GEMINI,
            &said(GEMINI, word),
            [
                (CHAT, heard(CHAT, "content_filter")),
                (RESPONSES, heard(RESPONSES, "content_filter")),
                (ANTHROPIC, heard(ANTHROPIC, "refusal")),
            ],
        );
    }
    let mut sequence = said(ANTHROPIC, "stop_sequence");
    sequence["stop_sequence"] = json!("x");
    rows.answer(
        "stop sequence",
        ANTHROPIC,
        &sequence,
        [
            (CHAT, heard(CHAT, "stop")),
            (RESPONSES, heard(RESPONSES, "completed")),
            (GEMINI, heard(GEMINI, "STOP")),
        ],
    );
    rows.answer(
        "context overflow",
        ANTHROPIC,
        &said(ANTHROPIC, "model_context_window_exceeded"),
        [
            (CHAT, heard(CHAT, "length")),
            (RESPONSES, heard(RESPONSES, "max_output_tokens")),
            (GEMINI, heard(GEMINI, "MAX_TOKENS")),
        ],
    );
    rows.answer(
        "paused server loop",
        ANTHROPIC,
        &said(ANTHROPIC, "pause_turn"),
        [
            (CHAT, heard(CHAT, "length")),
            (RESPONSES, json!({ "status": "incomplete" })),
            (GEMINI, heard(GEMINI, "MAX_TOKENS")),
        ],
    );
    rows.done();
}

#[test]
fn tool_calls() {
    let mut rows = Rows::of("§4.5");
    let call = |arguments: &str| {
        json!({ "role": "assistant", "content": null, "tool_calls": [
        { "id": "call_1", "type": "function",
          "function": { "name": "f", "arguments": arguments } }] })
    };
    let to_chat = (
        CHAT,
        json!({ "choices": [{ "finish_reason": "tool_calls", "message":
        { "content": null, "tool_calls": [{ "type": "function",
          "function": { "name": "f", "arguments": "{\"a\":1}" } }] } }] }),
    );
    let to_responses = (
        RESPONSES,
        json!({ "status": "completed", "output": [
        { "type": "function_call", "name": "f", "arguments": "{\"a\":1}",
          "status": "completed" }] }),
    );
    let to_anthropic = (
        ANTHROPIC,
        json!({ "stop_reason": "tool_use", "content": [
        { "type": "tool_use", "name": "f", "input": { "a": 1 } }] }),
    );
    let to_gemini = (
        GEMINI,
        json!({ "candidates": [{ "finishReason": "STOP", "content":
        { "parts": [{ "functionCall": { "name": "f", "args": { "a": 1 } } }] } }] }),
    );
    // Several servers say `stop` although there are calls.
    for finish in ["tool_calls", "stop"] {
        rows.answer(
            "tool call",
            CHAT,
            &chat(call("{\"a\":1}"), finish),
            [to_responses.clone(), to_anthropic.clone(), to_gemini.clone()],
        );
    }
    let item = json!([{ "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
                        "arguments": "{\"a\":1}", "status": "completed" }]);
    rows.answer(
        "tool call",
        RESPONSES,
        &responses(item, "completed", None),
        [to_chat.clone(), to_anthropic.clone(), to_gemini.clone()],
    );
    let block = json!([{ "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "a": 1 } }]);
    rows.answer(
        "tool call",
        ANTHROPIC,
        &anthropic(block, "tool_use"),
        [to_chat.clone(), to_responses.clone(), to_gemini],
    );
    let part = json!([{ "functionCall": { "name": "f", "args": { "a": 1 } } }]);
    rows.answer("tool call", GEMINI, &gemini(part, "STOP"), [to_chat, to_responses, to_anthropic]);
    rows.done();
}

#[test]
fn refusals() {
    let mut rows = Rows::of("§4.5");
    let refused = chat(json!({ "role": "assistant", "content": null, "refusal": "no" }), "stop");
    rows.answer(
        "refusal text",
        CHAT,
        &refused,
        [
            (
                RESPONSES,
                json!({ "output": [{ "content": [{ "type": "refusal", "refusal": "no" }] }] }),
            ),
            (
                ANTHROPIC,
                json!({ "stop_reason": "refusal",
                            "content": [{ "type": "text", "text": "no" }] }),
            ),
            (
                GEMINI,
                json!({ "candidates": [{ "finishReason": "STOP",
                                          "content": { "parts": [{ "text": "no" }] } }] }),
            ),
        ],
    );
    let part = json!([{ "type": "message", "id": "msg_1", "role": "assistant",
                        "content": [{ "type": "refusal", "refusal": "no" }] }]);
    rows.answer(
        "refusal part",
        RESPONSES,
        &responses(part, "completed", None),
        [
            (
                CHAT,
                json!({ "choices": [{ "finish_reason": "stop",
                                     "message": { "content": null, "refusal": "no" } }] }),
            ),
            (ANTHROPIC, json!({ "stop_reason": "refusal" })),
        ],
    );
    let blocked = json!({ "promptFeedback": { "blockReason": "SAFETY" }, "modelVersion": "m" });
    rows.answer(
        "blockReason without candidates",
        GEMINI,
        &blocked,
        [
            (CHAT, json!({ "choices": [{ "finish_reason": "content_filter" }] })),
            (
                RESPONSES,
                json!({ "status": "incomplete",
                            "incomplete_details": { "reason": "content_filter" } }),
            ),
            (ANTHROPIC, json!({ "stop_reason": "refusal" })),
        ],
    );
    rows.done();
}

/// A provider's failure is no reason to stop: it must never read as an answer.
#[test]
fn failures_are_no_answers() {
    let mut rows = Rows::of("§4.5");
    for (wire, word) in [
        (CHAT, "error"),
        (CHAT, "insufficient_system_resource"),
        (GEMINI, "MALFORMED_RESPONSE"),
        (GEMINI, "MALFORMED_FUNCTION_CALL"),
        (GEMINI, "UNEXPECTED_TOOL_CALL"),
        (GEMINI, "TOO_MANY_TOOL_CALLS"),
        (GEMINI, "MISSING_THOUGHT_SIGNATURE"),
    ] {
        let body = said(wire, word);
        let clients = Dialect::ALL.into_iter().filter(|client| *client != wire);
        for client in clients {
            rows.count();
            let seen = crate::rows::whole(wire, &body, client, Legend::default());
            if seen["outcome"].is_null() {
                rows.note(word, wire, client, "an answer", &seen);
            }
        }
    }
    let failed = json!({ "id": "resp_1", "object": "response", "status": "failed", "output": [],
                         "error": { "code": "server_error", "message": "no" } });
    rows.answer("response.failed", RESPONSES, &failed, []);
    rows.count();
    if crate::rows::whole(RESPONSES, &failed, CHAT, Legend::default())["outcome"].is_null() {
        rows.note("response.failed", RESPONSES, CHAT, "an answer", &failed);
    }
    rows.done();
}

#[test]
fn reasoning() {
    let mut rows = Rows::of("§4.10");
    let thought = chat(
        json!({ "role": "assistant", "content": "a",
                               "reasoning_content": "hm" }),
        "stop",
    );
    rows.answer(
        "reasoning_content",
        CHAT,
        &thought,
        [
            (
                ANTHROPIC,
                json!({ "content": [{ "type": "thinking", "thinking": "hm" },
                                        { "type": "text", "text": "a" }] }),
            ),
            (
                GEMINI,
                json!({ "candidates": [{ "content": { "parts": [
            { "text": "hm", "thought": true }, { "text": "a" }] } }] }),
            ),
            (
                RESPONSES,
                json!({ "output": [{ "type": "reasoning",
            "summary": [{ "type": "summary_text", "text": "hm" }] }, { "type": "message" }] }),
            ),
        ],
    );
    let signed = anthropic(
        json!([
        { "type": "thinking", "thinking": "hm", "signature": "s3cret" },
        { "type": "redacted_thinking", "data": "s3cret" },
        { "type": "text", "text": "a" }]),
        "end_turn",
    );
    rows.answer("thinking", ANTHROPIC, &signed, [
        (CHAT, json!({ "choices": [{ "message": { "content": "a", "reasoning_content": "hm" } }] })),
        (GEMINI, json!({ "candidates": [{ "content": { "parts": [
            { "text": "hm", "thought": true }, { "text": "a" }] } }] })),
    ]);
    for client in [CHAT, GEMINI, RESPONSES] {
        rows.count();
        let seen = crate::rows::whole(ANTHROPIC, &signed, client, Legend::default());
        if client == CHAT && seen.to_string().contains("s3cret") {
            rows.note("signatures stay", ANTHROPIC, client, "shown", &seen);
        }
    }
    let parts = json!([{ "text": "hm", "thought": true }, { "text": "a" }]);
    rows.answer("thought parts", GEMINI, &gemini(parts, "STOP"), [
        (CHAT, json!({ "choices": [{ "message": { "content": "a", "reasoning_content": "hm" } }] })),
        (ANTHROPIC, json!({ "content": [{ "type": "thinking" }, { "text": "a" }] })),
    ]);
    rows.done();
}

/// Whether the client asked for the reasoning decides whether it is shown.
#[test]
fn reasoning_is_for_those_who_ask() {
    let mut rows = Rows::of("§4.10");
    let thought = |wire| match wire {
        Dialect::Gemini => {
            gemini(json!([{ "text": "hm", "thought": true }, { "text": "a" }]), "STOP")
        }
        Dialect::OpenAi => {
            let message = json!({ "role": "assistant", "content": "a", "reasoning_content": "hm" });
            chat(message, "stop")
        }
        Dialect::Responses | Dialect::Anthropic => anthropic(
            json!([{ "type": "thinking", "thinking": "hm", "signature": "s" },
                   { "type": "text", "text": "a" }]),
            "end_turn",
        ),
    };
    for (client, asked, shown) in [
        (CHAT, json!({}), false),
        (CHAT, json!({ "reasoning_effort": "high" }), false),
        (CHAT, json!({ "include_reasoning": true }), true),
        (CHAT, json!({ "include_reasoning": false }), false),
        (CHAT, json!({ "reasoning": { "effort": "high" } }), true),
        (CHAT, json!({ "reasoning": { "exclude": true } }), false),
        (CHAT, json!({ "reasoning_format": "parsed" }), true),
        (CHAT, json!({ "reasoning_format": "hidden" }), false),
        (GEMINI, json!({}), false),
        (
            GEMINI,
            json!({ "generationConfig": { "thinkingConfig": { "thinkingBudget": 2000 } } }),
            false,
        ),
        (
            GEMINI,
            json!({ "generationConfig": { "thinkingConfig": { "includeThoughts": true } } }),
            true,
        ),
        (RESPONSES, json!({}), true),
        (RESPONSES, json!({ "reasoning": { "summary": "none" } }), false),
        (ANTHROPIC, json!({}), true),
        (ANTHROPIC, json!({ "thinking": { "type": "adaptive", "display": "omitted" } }), false),
    ] {
        for wire in [CHAT, ANTHROPIC, GEMINI].into_iter().filter(|wire| *wire != client) {
            rows.count();
            let legend = rows.legend(client, &asked, wire);
            let seen = crate::rows::whole(wire, &thought(wire), client, legend);
            if seen.to_string().contains("\"hm\"") != shown {
                rows.note(&asked.to_string(), wire, client, "shown, or not", &seen);
            }
            if !seen.to_string().contains("\"a\"") {
                rows.note(&asked.to_string(), wire, client, "no answer", &seen);
            }
        }
    }
    rows.done();
}

#[test]
fn token_counts() {
    let mut rows = Rows::of("§4.7");
    // Input 100, of which 60 were read from a cache and 10 written to one;
    // output 50, of which 20 were reasoning.
    let with = |mut body: Value, key: &str, usage: Value| {
        body[key] = usage;
        body
    };
    let from_chat = with(
        said(CHAT, "stop"),
        "usage",
        json!({
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": { "cached_tokens": 60, "cache_write_tokens": 10 },
        "completion_tokens_details": { "reasoning_tokens": 20 } }),
    );
    let from_responses = with(
        said(RESPONSES, "completed"),
        "usage",
        json!({
        "input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
        "input_tokens_details": { "cached_tokens": 60, "cache_write_tokens": 10 },
        "output_tokens_details": { "reasoning_tokens": 20 } }),
    );
    let from_anthropic = with(
        said(ANTHROPIC, "end_turn"),
        "usage",
        json!({
        "input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
        "output_tokens": 50, "output_tokens_details": { "thinking_tokens": 20 } }),
    );
    let from_gemini = with(
        said(GEMINI, "STOP"),
        "usageMetadata",
        json!({
        "promptTokenCount": 90, "toolUsePromptTokenCount": 10, "cachedContentTokenCount": 60,
        "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": 150 }),
    );
    let chat = |written: Value| {
        (
            CHAT,
            json!({ "usage": { "prompt_tokens": 100,
        "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": { "cached_tokens": 60, "cache_write_tokens": written },
        "completion_tokens_details": { "reasoning_tokens": 20 } } }),
        )
    };
    let responses = (
        RESPONSES,
        json!({ "usage": { "input_tokens": 100, "output_tokens": 50,
        "total_tokens": 150, "input_tokens_details": { "cached_tokens": 60 },
        "output_tokens_details": { "reasoning_tokens": 20 } } }),
    );
    let anthropic = |input: u32, written: Value| {
        (
            ANTHROPIC,
            json!({ "usage": {
        "input_tokens": input, "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": written, "output_tokens": 50,
        "output_tokens_details": { "thinking_tokens": 20 } } }),
        )
    };
    let gemini = (
        GEMINI,
        json!({ "usageMetadata": { "promptTokenCount": 100,
        "cachedContentTokenCount": 60, "candidatesTokenCount": 30, "thoughtsTokenCount": 20,
        "totalTokenCount": 150 } }),
    );
    rows.answer(
        "O→A, O→G",
        CHAT,
        &from_chat,
        [responses.clone(), anthropic(30, json!(10)), gemini.clone()],
    );
    rows.answer(
        "O→A, O→G",
        RESPONSES,
        &from_responses,
        [chat(json!(10)), anthropic(30, json!(10)), gemini.clone()],
    );
    rows.answer("A→O", ANTHROPIC, &from_anthropic, [chat(json!(10)), responses.clone(), gemini]);
    rows.answer(
        "G→O, G→A",
        GEMINI,
        &from_gemini,
        [chat(Value::Null), responses, anthropic(40, Value::Null)],
    );
    rows.answer(
        "absent is not zero",
        CHAT,
        &said(CHAT, "stop"),
        [
            (GEMINI, json!({ "usageMetadata": null })),
            (RESPONSES, json!({ "usage": null })),
            (
                ANTHROPIC,
                json!({ "usage": { "input_tokens": 0, "output_tokens": 0,
                                       "cache_read_input_tokens": null } }),
            ),
        ],
    );
    rows.done();
}
