//! The matrix of what translates between dialects, as the documentation shows
//! it: made from the code, and held against `src/dialect/translation.md`.

use std::fmt::Write as _;
use std::path::Path;

use backstay::dialect::hub::Strictness;
use backstay::dialect::translate::{Original, translate};
use backstay::dialect::{Abilities, Address, Dialect, Framing, Quirks, Target, Task};
use serde_json::{Value, json};

/// A thing a client may ask, by what its body then has besides a question.
type Probe = (&'static str, Value);

fn base(client: Dialect) -> Value {
    match client {
        Dialect::OpenAi => {
            json!({ "model": "m", "messages": [{ "role": "user", "content": "q" }] })
        }
        Dialect::Responses => json!({ "model": "m", "input": "q" }),
        Dialect::Anthropic => json!({ "model": "m", "max_tokens": 100,
                                      "messages": [{ "role": "user", "content": "q" }] }),
        Dialect::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": "q" }] }] }),
    }
}

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn schema() -> Value {
    json!({ "type": "object", "properties": { "a": { "type": "string" } },
            "required": ["a"], "additionalProperties": false })
}

fn probes(client: Dialect) -> Vec<Probe> {
    match client {
        Dialect::OpenAi => openai(),
        Dialect::Responses => responses(),
        Dialect::Anthropic => anthropic(),
        Dialect::Gemini => gemini(),
    }
}

/// A conversation that ends with the assistant.
fn last_word(field: &str) -> Value {
    json!({ field: [{ "role": "user", "content": "q" }, { "role": "assistant", "content": "a" }] })
}

fn openai() -> Vec<Probe> {
    [openai_conversation(), openai_tools(), openai_settings()].concat()
}

fn openai_conversation() -> Vec<Probe> {
    let user = |part: Value| json!({ "messages": [{ "role": "user", "content": [part] }] });
    vec![
        (
            "system message",
            json!({ "messages": [{ "role": "system", "content": "s" },
                                                { "role": "user", "content": "q" }] }),
        ),
        (
            "system message later on",
            json!({ "messages": [
            { "role": "user", "content": "q" }, { "role": "assistant", "content": "a" },
            { "role": "system", "content": "s" }, { "role": "user", "content": "r" }] }),
        ),
        ("a turn of the assistant at the end", last_word("messages")),
        (
            "image, inline",
            user(json!({ "type": "image_url", "image_url":
            { "url": format!("data:image/png;base64,{PIXEL}") } })),
        ),
        (
            "image, by URL",
            user(json!({ "type": "image_url", "image_url":
            { "url": "https://a.example/x.png" } })),
        ),
        (
            "input_audio",
            user(json!({ "type": "input_audio", "input_audio":
            { "data": "AAAA", "format": "wav" } })),
        ),
        (
            "file, inline PDF",
            user(json!({ "type": "file", "file": { "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBERi0=" } })),
        ),
        ("file_id", user(json!({ "type": "file", "file": { "file_id": "file-1" } }))),
    ]
}

fn openai_tools() -> Vec<Probe> {
    let function = json!({ "type": "function",
                           "function": { "name": "f", "parameters": schema() } });
    let with_tools = |more: Value| {
        let mut body = json!({ "tools": [function] });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("one"));
        body
    };
    vec![
        ("tools: function", with_tools(json!({}))),
        ("tools: custom", json!({ "tools": [{ "type": "custom", "custom": { "name": "c" } }] })),
        ("tool_choice: required", with_tools(json!({ "tool_choice": "required" }))),
        (
            "tool_choice: one function",
            with_tools(json!({ "tool_choice":
            { "type": "function", "function": { "name": "f" } } })),
        ),
        (
            "tool_choice: allowed_tools",
            with_tools(json!({ "tool_choice": { "type": "allowed_tools",
            "allowed_tools": { "mode": "auto", "tools":
                [{ "type": "function", "function": { "name": "f" } }] } } })),
        ),
        ("parallel_tool_calls: false", with_tools(json!({ "parallel_tool_calls": false }))),
        (
            "tool calls and their results",
            json!({ "messages": [
            { "role": "user", "content": "q" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "call_1",
                "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "call_1", "content": "r" }] }),
        ),
        (
            "tool call with broken arguments",
            json!({ "messages": [
            { "role": "user", "content": "q" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "call_1",
                "type": "function", "function": { "name": "f", "arguments": "not json" } }] },
            { "role": "tool", "tool_call_id": "call_1", "content": "r" }] }),
        ),
    ]
}

fn openai_settings() -> Vec<Probe> {
    vec![
        (
            "response_format: json_schema",
            json!({ "response_format": { "type": "json_schema",
            "json_schema": { "name": "x", "schema": schema() } } }),
        ),
        ("response_format: json_object", json!({ "response_format": { "type": "json_object" } })),
        ("max_completion_tokens", json!({ "max_completion_tokens": 100 })),
        ("stop", json!({ "stop": ["x"] })),
        ("temperature", json!({ "temperature": 0.5 })),
        ("top_p", json!({ "top_p": 0.5 })),
        ("seed", json!({ "seed": 7 })),
        ("frequency_penalty", json!({ "frequency_penalty": 0.5 })),
        ("presence_penalty", json!({ "presence_penalty": 0.5 })),
        ("logit_bias", json!({ "logit_bias": { "1": 1 } })),
        ("logprobs", json!({ "logprobs": true, "top_logprobs": 2 })),
        ("n", json!({ "n": 2 })),
        ("reasoning_effort", json!({ "reasoning_effort": "high" })),
        ("verbosity", json!({ "verbosity": "low" })),
        (
            "modalities: audio",
            json!({ "modalities": ["text", "audio"],
                                      "audio": { "voice": "alloy", "format": "wav" } }),
        ),
        ("prediction", json!({ "prediction": { "type": "content", "content": "x" } })),
        ("web_search_options", json!({ "web_search_options": {} })),
        ("prompt_cache_key", json!({ "prompt_cache_key": "k" })),
        ("user", json!({ "user": "u" })),
        ("service_tier", json!({ "service_tier": "flex" })),
        ("store: true", json!({ "store": true })),
        ("metadata", json!({ "metadata": { "a": "b" } })),
        ("a field nobody knows", json!({ "x_new": 1 })),
    ]
}

fn responses() -> Vec<Probe> {
    [responses_conversation(), responses_tools(), responses_settings()].concat()
}

fn responses_conversation() -> Vec<Probe> {
    let user = |part: Value| json!({ "input": [{ "role": "user", "content": [part] }] });
    vec![
        ("instructions", json!({ "instructions": "s" })),
        ("a turn of the assistant at the end", last_word("input")),
        (
            "input_image, inline",
            user(json!({ "type": "input_image",
            "image_url": format!("data:image/png;base64,{PIXEL}") })),
        ),
        (
            "input_image, by URL",
            user(json!({ "type": "input_image",
            "image_url": "https://a.example/x.png" })),
        ),
        (
            "input_file, inline PDF",
            user(json!({ "type": "input_file", "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBERi0=" })),
        ),
    ]
}

fn responses_tools() -> Vec<Probe> {
    let function = json!({ "type": "function", "name": "f", "parameters": schema() });
    let hosted = |kind: &str| json!({ "tools": [{ "type": kind }] });
    let beside = |kind: &str| json!({ "tools": [{ "type": kind }, function] });
    vec![
        ("tools: function", json!({ "tools": [function] })),
        ("tools: custom", json!({ "tools": [{ "type": "custom", "name": "c" }] })),
        (
            "tools: namespace",
            json!({ "tools": [{ "type": "namespace", "name": "n", "tools": [function] }] }),
        ),
        ("tools: web_search", hosted("web_search")),
        ("tools: web_search beside function", beside("web_search")),
        ("tools: file_search", hosted("file_search")),
        (
            "web_search_call",
            json!({ "input": [{ "role": "user", "content": "q" },
            { "type": "web_search_call", "id": "ws_1", "status": "completed" },
            { "role": "assistant", "content": "a" }, { "role": "user", "content": "r" }] }),
        ),
        (
            "function calls and their outputs",
            json!({ "input": [
            { "role": "user", "content": "q" },
            { "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "call_1", "output": "r" }] }),
        ),
        (
            "reasoning items",
            json!({ "input": [{ "role": "user", "content": "q" },
            { "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" },
            { "role": "assistant", "content": "a" }, { "role": "user", "content": "r" }] }),
        ),
    ]
}

fn responses_settings() -> Vec<Probe> {
    let function = json!({ "type": "function", "name": "f", "parameters": schema() });
    vec![
        (
            "text.format: json_schema",
            json!({ "text": { "format":
            { "type": "json_schema", "name": "x", "schema": schema() } } }),
        ),
        ("text.verbosity", json!({ "text": { "verbosity": "low" } })),
        ("max_output_tokens", json!({ "max_output_tokens": 100 })),
        ("temperature", json!({ "temperature": 0.5 })),
        ("reasoning.effort", json!({ "reasoning": { "effort": "high" } })),
        (
            "parallel_tool_calls: false",
            json!({ "tools": [function], "parallel_tool_calls": false }),
        ),
        (
            "item_reference",
            json!({ "input": [{ "type": "item_reference", "id": "msg_1" },
            { "role": "user", "content": "r" }] }),
        ),
        ("previous_response_id", json!({ "previous_response_id": "resp_1" })),
        ("conversation", json!({ "conversation": "conv_1" })),
        ("background: true", json!({ "background": true })),
        ("prompt", json!({ "prompt": { "id": "pmpt_1" } })),
        ("store: true", json!({ "store": true })),
        ("truncation: auto", json!({ "truncation": "auto" })),
        ("prompt_cache_key", json!({ "prompt_cache_key": "k" })),
        ("a field nobody knows", json!({ "x_new": 1 })),
    ]
}

fn anthropic() -> Vec<Probe> {
    [anthropic_conversation(), anthropic_tools(), anthropic_settings()].concat()
}

fn anthropic_conversation() -> Vec<Probe> {
    let user = |block: Value| json!({ "messages": [{ "role": "user", "content": [block] }] });
    let source =
        |kind: &str, data: &str| json!({ "type": "base64", "media_type": kind, "data": data });
    vec![
        ("system", json!({ "system": "s" })),
        (
            "cache_control",
            json!({ "system": [{ "type": "text", "text": "s",
            "cache_control": { "type": "ephemeral" } }] }),
        ),
        ("image, inline", user(json!({ "type": "image", "source": source("image/png", PIXEL) }))),
        (
            "image, by URL",
            user(json!({ "type": "image", "source":
            { "type": "url", "url": "https://a.example/x.png" } })),
        ),
        (
            "document, inline PDF",
            user(json!({ "type": "document",
            "source": source("application/pdf", "JVBERi0=") })),
        ),
        (
            "document, file id",
            user(json!({ "type": "document", "source":
            { "type": "file", "file_id": "file_1" } })),
        ),
        (
            "thinking in history",
            json!({ "messages": [{ "role": "user", "content": "q" },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "t", "signature": "s" },
                { "type": "text", "text": "a" }] }, { "role": "user", "content": "r" }] }),
        ),
    ]
}

fn anthropic_tools() -> Vec<Probe> {
    let tool = json!({ "name": "f", "input_schema": schema() });
    let source =
        |kind: &str, data: &str| json!({ "type": "base64", "media_type": kind, "data": data });
    vec![
        ("tools: custom", json!({ "tools": [tool] })),
        ("tools: bash_20250124", json!({ "tools": [{ "type": "bash_20250124", "name": "bash" }] })),
        (
            "tools: web_search_20250305",
            json!({ "tools": [
            { "type": "web_search_20250305", "name": "web_search" }] }),
        ),
        (
            "tools: web_search_20250305 beside custom",
            json!({ "tools": [tool,
            { "type": "web_search_20250305", "name": "web_search" }] }),
        ),
        ("tool_choice: any", json!({ "tools": [tool], "tool_choice": { "type": "any" } })),
        (
            "disable_parallel_tool_use",
            json!({ "tools": [tool],
            "tool_choice": { "type": "auto", "disable_parallel_tool_use": true } }),
        ),
        (
            "tool_use and tool_result",
            json!({ "messages": [{ "role": "user", "content": "q" },
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "toolu_1", "content": "r" }] }] }),
        ),
        (
            "tool_result with an image",
            json!({ "messages": [{ "role": "user", "content": "q" },
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "toolu_1",
                "content": [{ "type": "image", "source": source("image/png", PIXEL) }] }] }] }),
        ),
    ]
}

fn anthropic_settings() -> Vec<Probe> {
    vec![
        (
            "output_config.format",
            json!({ "output_config": { "format":
            { "type": "json_schema", "schema": schema() } } }),
        ),
        ("stop_sequences", json!({ "stop_sequences": ["x"] })),
        ("temperature", json!({ "temperature": 0.5 })),
        ("top_k", json!({ "top_k": 5 })),
        (
            "thinking: enabled",
            json!({ "max_tokens": 5000,
            "thinking": { "type": "enabled", "budget_tokens": 2000 } }),
        ),
        ("metadata.user_id", json!({ "metadata": { "user_id": "u" } })),
        ("service_tier", json!({ "service_tier": "auto" })),
        ("inference_geo", json!({ "inference_geo": "eu" })),
        ("container", json!({ "container": "c" })),
        ("mcp_servers", json!({ "mcp_servers": [{ "type": "url", "url": "https://a.example" }] })),
        ("context_management", json!({ "context_management": { "edits": [] } })),
        (
            "prefill",
            json!({ "messages": [{ "role": "user", "content": "q" },
                                         { "role": "assistant", "content": "a" }] }),
        ),
        ("a field nobody knows", json!({ "x_new": 1 })),
    ]
}

fn gemini() -> Vec<Probe> {
    let user = |part: Value| json!({ "contents": [{ "role": "user", "parts": [part] }] });
    let config = |config: Value| json!({ "generationConfig": config });
    let tools = json!([{ "functionDeclarations": [
        { "name": "f", "parametersJsonSchema": schema() }] }]);
    let mode = |mode: &str| {
        json!({ "tools": tools, "toolConfig":
        { "functionCallingConfig": { "mode": mode } } })
    };
    vec![
        ("systemInstruction", json!({ "systemInstruction": { "parts": [{ "text": "s" }] } })),
        (
            "inlineData, image",
            user(json!({ "inlineData": { "mimeType": "image/png", "data": PIXEL } })),
        ),
        (
            "inlineData, audio",
            user(json!({ "inlineData": { "mimeType": "audio/wav", "data": "AAAA" } })),
        ),
        (
            "fileData",
            user(json!({ "fileData": { "mimeType": "image/png",
            "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x" } })),
        ),
        ("functionDeclarations", json!({ "tools": tools })),
        ("googleSearch", json!({ "tools": [{ "googleSearch": {} }] })),
        (
            "googleSearch beside functionDeclarations",
            json!({ "tools": [tools[0], { "googleSearch": {} }] }),
        ),
        ("codeExecution", json!({ "tools": [{ "codeExecution": {} }] })),
        ("mode ANY", mode("ANY")),
        ("mode NONE", mode("NONE")),
        (
            "functionCall and functionResponse",
            json!({ "contents": [
            { "role": "user", "parts": [{ "text": "q" }] },
            { "role": "model", "parts": [{ "functionCall": { "name": "f", "args": {} } }] },
            { "role": "user", "parts": [{ "functionResponse":
                { "name": "f", "response": { "result": "r" } } }] }] }),
        ),
        (
            "responseJsonSchema",
            config(json!({ "responseMimeType": "application/json",
                                              "responseJsonSchema": schema() })),
        ),
        ("responseMimeType: JSON", config(json!({ "responseMimeType": "application/json" }))),
        ("maxOutputTokens", config(json!({ "maxOutputTokens": 100 }))),
        ("stopSequences", config(json!({ "stopSequences": ["x"] }))),
        ("temperature", config(json!({ "temperature": 0.5 }))),
        ("topK", config(json!({ "topK": 5 }))),
        ("seed", config(json!({ "seed": 7 }))),
        ("candidateCount", config(json!({ "candidateCount": 2 }))),
        ("responseLogprobs", config(json!({ "responseLogprobs": true, "logprobs": 2 }))),
        ("thinkingConfig", config(json!({ "thinkingConfig": { "thinkingBudget": 2000 } }))),
        ("responseModalities: AUDIO", config(json!({ "responseModalities": ["AUDIO"] }))),
        (
            "safetySettings",
            json!({ "safetySettings": [{ "category": "HARM_CATEGORY_HARASSMENT",
                                                        "threshold": "BLOCK_NONE" }] }),
        ),
        ("cachedContent", json!({ "cachedContent": "cachedContents/x" })),
        ("labels", json!({ "labels": { "a": "b" } })),
        ("a field nobody knows", json!({ "xNew": 1 })),
    ]
}

/// What becomes of a probe at a target: a word of the legend.
fn fate(client: Dialect, wire: Dialect, probe: &Value) -> &'static str {
    let mut body = base(client);
    for (key, value) in probe.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let body = body.to_string();
    let address =
        Address { model: Some("m".to_owned()), stream: false, framing: Framing::default() };
    let abilities = Abilities::unknown();
    let at = |strictness| {
        let original = Original {
            client,
            task: Task::Generate,
            body: &body,
            address: &address,
            continues: None,
        };
        let target = Target { model: "m", abilities: &abilities, quirks: Quirks::NONE, strictness };
        translate(original, wire, &target)
    };
    match (at(Strictness::Normal), at(Strictness::Lenient)) {
        (Ok(written), _) if written.dropped.is_empty() => "yes",
        (Ok(_), _) => "dropped",
        (Err(_), Ok(_)) => "lenient",
        (Err(_), Err(_)) => "refused",
    }
}

/// The tables, one per client dialect.
fn matrix() -> String {
    let mut text = String::new();
    for client in Dialect::ALL {
        let wires: Vec<Dialect> = Dialect::ALL.into_iter().filter(|wire| *wire != client).collect();
        let _ = writeln!(text, "### Clients of dialect `{}`\n", client.label());
        let heads = wires.iter().map(|wire| format!(" to `{}` |", wire.label()));
        let _ = writeln!(text, "| what the client asks |{}", heads.collect::<String>());
        let _ = writeln!(text, "|---|{}", "---|".repeat(wires.len()));
        for (name, probe) in probes(client) {
            let fates = wires.iter().map(|wire| format!(" {} |", fate(client, *wire, &probe)));
            let _ = writeln!(text, "| {name} |{}", fates.collect::<String>());
        }
        text.push('\n');
    }
    text
}

const BEGIN: &str =
    "<!-- matrix: made by `cargo test translation`, see tests/it/translation.rs -->\n\n";

/// `UPDATE_GOLDEN=1 cargo test translation` writes it anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "golden files are written on request")]
fn the_documented_matrix_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialect/translation.md");
    let documented = std::fs::read_to_string(&path).expect("the documentation");
    let (head, table) = documented.split_once(BEGIN).expect("the matrix's beginning");
    let made = matrix();
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(&path, format!("{head}{BEGIN}{made}")).expect("written");
        return;
    }
    for (documented, made) in table.lines().zip(made.lines()) {
        assert_eq!(documented, made, "write it anew with UPDATE_GOLDEN=1");
    }
    assert_eq!(table, made, "write it anew with UPDATE_GOLDEN=1");
}
