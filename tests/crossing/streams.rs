//! Streams of every dialect as clients of every other get them (wire formats
//! §4.10). The whole sequences are golden files; here is what each rule says.

use backstay::dialect::{Dialect, hub::Legend};
use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, covers, streamed};

/// Frames of these objects, with event lines where the dialect has them.
pub fn frames(dialect: Dialect, objects: &[Value]) -> String {
    let frame = |object: &Value| match dialect {
        Dialect::OpenAi | Dialect::Gemini => format!("data: {object}\n\n"),
        Dialect::Responses | Dialect::Anthropic => {
            format!("event: {}\ndata: {object}\n\n", object["type"].as_str().unwrap())
        }
    };
    objects.iter().map(frame).collect()
}

/// The objects of a client's stream; the terminator of Chat as a string. The
/// rules for bytes hold of it: one line of data, after an event line exactly
/// where the dialect has them.
pub fn heard(client: Dialect, stream: &str) -> Vec<Value> {
    assert!(stream.ends_with("\n\n"), "half an event: {stream}");
    let mut objects = Vec::new();
    for block in stream.split_terminator("\n\n") {
        let lines: Vec<&str> = block.lines().collect();
        let (event, data) = match (&lines[..], client) {
            ([data], Dialect::OpenAi | Dialect::Gemini) => (None, data),
            ([event, data], Dialect::Responses | Dialect::Anthropic) => {
                (event.strip_prefix("event: "), data)
            }
            _ => panic!("no event of {}: {block}", client.label()),
        };
        let data = data.strip_prefix("data: ").expect("data, and a space");
        let object: Value =
            if data == "[DONE]" { data.into() } else { serde_json::from_str(data).unwrap() };
        if event.is_some() {
            assert_eq!(object["type"].as_str(), event, "{block}");
        }
        objects.push(object);
    }
    objects
}

fn sees(wire: Dialect, sent: &str, client: Dialect, wanted: &[Value]) {
    let seen = heard(client, &streamed(wire, sent, client, Legend::default()));
    let seen = Value::Array(seen);
    let case = format!("{} to {}", wire.label(), client.label());
    if let Err(wrong) = covers(&seen, &Value::Array(wanted.to_vec()), "") {
        panic!("{case}: {wrong} in {seen:#}");
    }
}

fn chunk(delta: Value) -> Value {
    json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn finished(reason: &str) -> Value {
    json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn counted() -> Value {
    json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 4,
                                      "total_tokens": 13 } })
}

fn chat(objects: &[Value]) -> String {
    frames(CHAT, objects) + "data: [DONE]\n\n"
}

fn piece(call: u32, arguments: &str) -> Value {
    chunk(json!({ "tool_calls": [{ "index": call, "function": { "arguments": arguments } }] }))
}

fn called(call: u32, name: &str) -> Value {
    chunk(json!({ "tool_calls": [{ "index": call, "id": format!("call_{call}"),
                  "type": "function", "function": { "name": name, "arguments": "" } }] }))
}

/// Rules 1 to 3 and 5: the message starts once, blocks open and close, the
/// counts that come last are told at the end.
#[test]
fn chat_to_anthropic() {
    let sent = chat(&[
        chunk(json!({ "role": "assistant", "content": "" })),
        chunk(json!({ "reasoning_content": "h" })),
        chunk(json!({ "reasoning_content": "m" })),
        chunk(json!({ "content": "a" })),
        chunk(json!({ "content": "b" })),
        called(0, "f"),
        piece(0, "{\"x\":"),
        piece(0, "1}"),
        finished("tool_calls"),
        counted(),
    ]);
    let delta = |index: u32, delta: Value| {
        json!({ "type": "content_block_delta",
                                                   "index": index, "delta": delta })
    };
    let start = |index: u32, block: Value| {
        json!({ "type": "content_block_start",
                                                   "index": index, "content_block": block })
    };
    let stop = |index: u32| json!({ "type": "content_block_stop", "index": index });
    let json_delta = |text: &str| json!({ "type": "input_json_delta", "partial_json": text });
    sees(
        CHAT,
        &sent,
        ANTHROPIC,
        &[
            json!({ "type": "message_start", "message": { "type": "message", "role": "assistant",
            "model": "m", "content": [], "stop_reason": null,
            "usage": { "input_tokens": 0, "output_tokens": 0 } } }),
            start(0, json!({ "type": "thinking", "thinking": "" })),
            delta(0, json!({ "type": "thinking_delta", "thinking": "h" })),
            delta(0, json!({ "type": "thinking_delta", "thinking": "m" })),
            stop(0),
            start(1, json!({ "type": "text", "text": "" })),
            delta(1, json!({ "type": "text_delta", "text": "a" })),
            delta(1, json!({ "type": "text_delta", "text": "b" })),
            stop(1),
            start(2, json!({ "type": "tool_use", "name": "f", "input": {} })),
            delta(2, json_delta("{\"x\":")),
            delta(2, json_delta("1}")),
            stop(2),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" },
                "usage": { "input_tokens": 9, "output_tokens": 4 } }),
            json!({ "type": "message_stop" }),
        ],
    );
}

/// Rule 4: a block is one call's; what comes of another one meanwhile waits.
#[test]
fn interleaved_calls_to_anthropic() {
    let sent = chat(&[
        called(0, "f"),
        called(1, "g"),
        piece(1, "{\"y\":"),
        piece(0, "{\"x\":1}"),
        piece(1, "2}"),
        finished("tool_calls"),
    ]);
    let seen = heard(ANTHROPIC, &streamed(CHAT, &sent, ANTHROPIC, Legend::default()));
    let mut said = vec![String::new(), String::new()];
    let mut open = None;
    for event in &seen {
        match event["type"].as_str().unwrap() {
            "content_block_start" => assert_eq!(open.replace(event["index"].clone()), None),
            "content_block_stop" => assert_eq!(open.take(), Some(event["index"].clone())),
            "content_block_delta" => {
                assert_eq!(open.as_ref(), Some(&event["index"]), "{event}");
                let at = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
                said[at].push_str(event["delta"]["partial_json"].as_str().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(said, ["{\"x\":1}", "{\"y\":2}"]);
}

/// Empty arguments: Anthropic's clients make `{}` of nothing, the others are
/// given it.
#[test]
fn calls_without_arguments() {
    let sent = chat(&[called(0, "f"), finished("tool_calls")]);
    sees(
        CHAT,
        &sent,
        ANTHROPIC,
        &[
            json!({ "type": "message_start" }),
            json!({ "type": "content_block_start", "content_block": { "input": {} } }),
            json!({ "type": "content_block_stop" }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" } }),
            json!({ "type": "message_stop" }),
        ],
    );
    sees(
        CHAT,
        &sent,
        GEMINI,
        &[
            json!({ "candidates": [{ "content": { "parts": [
            { "functionCall": { "name": "f", "args": {} } }] } }] }),
            json!({ "candidates": [{ "finishReason": "STOP" }] }),
        ],
    );
    let sent = frames(
        ANTHROPIC,
        &[
            message_start(),
            json!({ "type": "content_block_start", "index": 0, "content_block":
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} } }),
            json!({ "type": "content_block_stop", "index": 0 }),
            message_delta("tool_use"),
            json!({ "type": "message_stop" }),
        ],
    );
    let calls = |seen: &[Value]| -> String {
        let pointer = "/choices/0/delta/tool_calls/0/function/arguments";
        seen.iter().filter_map(|chunk| chunk.pointer(pointer)?.as_str()).collect()
    };
    let seen = heard(CHAT, &streamed(ANTHROPIC, &sent, CHAT, Legend::default()));
    assert_eq!(calls(&seen), "{}", "{seen:?}");
}

fn message_start() -> Value {
    json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message",
        "role": "assistant", "model": "m", "content": [], "stop_reason": null,
        "usage": { "input_tokens": 9, "output_tokens": 1 } } })
}

fn message_delta(reason: &str) -> Value {
    json!({ "type": "message_delta", "delta": { "stop_reason": reason },
            "usage": { "output_tokens": 4 } })
}

fn text_block(index: u32, text: &str) -> Vec<Value> {
    vec![
        json!({ "type": "content_block_start", "index": index,
                "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": index,
                "delta": { "type": "text_delta", "text": text } }),
        json!({ "type": "content_block_stop", "index": index }),
    ]
}

fn anthropic(blocks: &[Vec<Value>], end: &[Value]) -> String {
    let blocks: Vec<Value> = blocks.iter().flatten().cloned().collect();
    frames(ANTHROPIC, &[&[message_start()], &blocks[..], end].concat())
}

#[test]
fn anthropic_to_chat() {
    let call = vec![
        json!({ "type": "content_block_start", "index": 1, "content_block":
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 1, "delta":
            { "type": "input_json_delta", "partial_json": "{\"x\":1}" } }),
        json!({ "type": "content_block_stop", "index": 1 }),
    ];
    let end = [message_delta("tool_use"), json!({ "type": "message_stop" })];
    let sent = anthropic(&[text_block(0, "a"), vec![json!({ "type": "ping" })], call], &end);
    let delta = |delta: Value| {
        json!({ "object": "chat.completion.chunk",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
    };
    sees(
        ANTHROPIC,
        &sent,
        CHAT,
        &[
            delta(json!({ "role": "assistant" })),
            delta(json!({ "content": "a" })),
            // A counter of its own: the first call is call 0.
            delta(json!({ "tool_calls": [{ "index": 0, "id": "toolu_1", "type": "function",
            "function": { "name": "f", "arguments": "" } }] })),
            delta(
                json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"x\":1}" } }] }),
            ),
            json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
            json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 4 } }),
            "[DONE]".into(),
        ],
    );
}

fn gemini_event(parts: Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts }, "index": 0 });
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    json!({ "candidates": [candidate], "modelVersion": "m", "responseId": "r",
            "usageMetadata": { "promptTokenCount": 9, "candidatesTokenCount": 4,
                               "totalTokenCount": 13 } })
}

#[test]
fn gemini_to_chat_and_anthropic() {
    let sent = frames(
        GEMINI,
        &[
            gemini_event(json!([{ "text": "hm", "thought": true }]), None),
            gemini_event(json!([{ "text": "a" }]), None),
            gemini_event(
                json!([{ "functionCall": { "name": "f", "args": { "x": 1 } } }]),
                Some("STOP"),
            ),
        ],
    );
    let seen = heard(CHAT, &streamed(GEMINI, &sent, CHAT, Legend::default()));
    let deltas: Vec<&Value> = seen.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[1]["reasoning_content"], "hm");
    assert_eq!(deltas[2]["content"], "a");
    let call = &deltas[3]["tool_calls"][0];
    assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()), "{call}");
    let finishes: Vec<&Value> =
        seen.iter().map(|c| &c["choices"][0]["finish_reason"]).filter(|f| !f.is_null()).collect();
    assert_eq!(finishes, ["tool_calls"]);
    assert_eq!(seen.last().unwrap(), "[DONE]");
    let seen = heard(ANTHROPIC, &streamed(GEMINI, &sent, ANTHROPIC, Legend::default()));
    let kinds: Vec<&str> =
        seen.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"]);
    let blocked = frames(GEMINI, &[json!({ "promptFeedback": { "blockReason": "SAFETY" } })]);
    let seen = heard(ANTHROPIC, &streamed(GEMINI, &blocked, ANTHROPIC, Legend::default()));
    assert!(seen.iter().any(|event| event["delta"]["stop_reason"] == "refusal"), "{seen:?}");
}

#[test]
fn chat_and_anthropic_to_gemini() {
    let sent = chat(&[
        chunk(json!({ "content": "a" })),
        called(0, "f"),
        piece(0, "{\"x\":"),
        piece(0, "1}"),
        finished("tool_calls"),
        counted(),
    ]);
    sees(
        CHAT,
        &sent,
        GEMINI,
        &[
            json!({ "candidates": [{ "index": 0,
            "content": { "role": "model", "parts": [{ "text": "a" }] } }] }),
            json!({ "candidates": [{ "content": { "parts": [
            { "functionCall": { "name": "f", "args": { "x": 1 } } }] } }] }),
            json!({ "candidates": [{ "finishReason": "STOP" }], "modelVersion": "m",
                "responseId": "c", "usageMetadata": { "promptTokenCount": 9,
                    "candidatesTokenCount": 4, "totalTokenCount": 13 } }),
        ],
    );
    let end = [message_delta("max_tokens"), json!({ "type": "message_stop" })];
    sees(
        ANTHROPIC,
        &anthropic(&[text_block(0, "a")], &end),
        GEMINI,
        &[
            json!({ "candidates": [{ "content": { "parts": [{ "text": "a" }] } }] }),
            json!({ "candidates": [{ "finishReason": "MAX_TOKENS" }] }),
        ],
    );
}

#[test]
fn any_to_responses() {
    let sent = chat(&[
        chunk(json!({ "content": "a" })),
        chunk(json!({ "content": "b" })),
        called(0, "f"),
        piece(0, "{}"),
        finished("tool_calls"),
        counted(),
    ]);
    let seen = heard(RESPONSES, &streamed(CHAT, &sent, RESPONSES, Legend::default()));
    let numbers: Vec<u64> =
        seen.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let kinds: Vec<&str> = seen
        .iter()
        .map(|e| e["type"].as_str().unwrap().strip_prefix("response.").unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    assert_eq!(seen[6]["text"], "ab");
    assert_eq!(seen[11]["arguments"], "{}");
    covers(
        &seen[13]["response"],
        &json!({ "status": "completed", "output": [
        { "type": "message", "content": [{ "type": "output_text", "text": "ab" }] },
        { "type": "function_call", "call_id": "call_0", "name": "f", "arguments": "{}" }],
        "usage": { "input_tokens": 9, "output_tokens": 4, "total_tokens": 13 } }),
        "",
    )
    .unwrap();
    for item in seen[13]["response"]["output"].as_array().unwrap() {
        let prefix = if item["type"] == "message" { "msg" } else { "fc" };
        assert!(item["id"].as_str().unwrap().starts_with(prefix), "{item}");
    }
}

/// Some servers tell the arguments only at the end; none are told twice.
#[test]
fn responses_to_any() {
    let item = |arguments: &str| {
        json!({ "type": "function_call", "id": "fc_1",
        "call_id": "call_1", "name": "f", "arguments": arguments, "status": "completed" })
    };
    let response = |status: &str, output: Value| {
        json!({ "id": "resp_1", "object": "response",
        "model": "m", "status": status, "output": output,
        "usage": { "input_tokens": 9, "output_tokens": 4, "total_tokens": 13 } })
    };
    for deltas in [&[][..], &["{\"x\":", "1}"][..], &["{\"x\":"][..]] {
        let mut sent = vec![
            json!({ "type": "response.created", "response": response("in_progress", json!([])) }),
            json!({ "type": "response.output_item.added", "output_index": 0, "item": item("") }),
        ];
        sent.extend(deltas.iter().map(|delta| {
            json!({ "output_index": 0, "item_id": "fc_1",
            "type": "response.function_call_arguments.delta", "delta": delta })
        }));
        sent.extend([
            json!({ "type": "response.function_call_arguments.done", "output_index": 0,
                    "item_id": "fc_1", "arguments": "{\"x\":1}" }),
            json!({ "type": "response.output_item.done", "output_index": 0,
                    "item": item("{\"x\":1}") }),
            json!({ "type": "response.completed",
                    "response": response("completed", json!([item("{\"x\":1}")])) }),
        ]);
        let sent = frames(RESPONSES, &sent);
        let seen = heard(ANTHROPIC, &streamed(RESPONSES, &sent, ANTHROPIC, Legend::default()));
        let json = seen.iter().filter_map(|event| event["delta"]["partial_json"].as_str());
        assert_eq!(json.collect::<String>(), "{\"x\":1}", "{deltas:?}");
        let seen = heard(GEMINI, &streamed(RESPONSES, &sent, GEMINI, Legend::default()));
        let call = &seen[0]["candidates"][0]["content"]["parts"][0]["functionCall"];
        covers(call, &json!({ "name": "f", "args": { "x": 1 } }), "").unwrap();
    }
}

/// A stream of this dialect that breaks: by an error, or by ending too early.
fn broken(wire: Dialect, by_error: bool) -> String {
    let error = json!({ "message": "m", "type": "server_error", "code": "server_error" });
    let mut objects = match wire {
        Dialect::OpenAi => vec![chunk(json!({ "content": "a" }))],
        Dialect::Responses => vec![
            json!({ "type": "response.created", "response": { "id": "r", "status": "in_progress" } }),
            json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0,
                    "item_id": "msg_1", "delta": "a" }),
        ],
        Dialect::Anthropic => {
            let mut sent = vec![message_start()];
            sent.extend(text_block(0, "a").into_iter().take(2));
            sent
        }
        Dialect::Gemini => vec![gemini_event(json!([{ "text": "a" }]), None)],
    };
    if by_error {
        objects.push(match wire {
            Dialect::OpenAi => json!({ "error": error }),
            Dialect::Responses => {
                json!({ "type": "error", "code": "server_error", "message": "m" })
            }
            Dialect::Anthropic => {
                json!({ "type": "error", "error": { "type": "overloaded_error", "message": "m" } })
            }
            Dialect::Gemini => {
                json!({ "error": { "code": 503, "message": "m", "status": "UNAVAILABLE" } })
            }
        });
    }
    frames(wire, &objects)
}

/// A broken stream ends in the client's own error, and never in a terminator.
#[test]
fn a_broken_stream_never_ends_well() {
    for wire in Dialect::ALL {
        for by_error in [true, false] {
            for client in Dialect::ALL.into_iter().filter(|client| *client != wire) {
                let case = format!("{} to {}, {by_error}", wire.label(), client.label());
                let sent = broken(wire, by_error);
                let seen = heard(client, &streamed(wire, &sent, client, Legend::default()));
                let told = serde_json::to_string(&seen).unwrap();
                assert!(told.contains("\"a\""), "{case}: the text is lost: {told}");
                let last = seen.last().unwrap();
                match client {
                    Dialect::OpenAi => assert!(last["error"]["code"].is_string(), "{case}: {told}"),
                    Dialect::Responses => {
                        let [.., error, failed] = &seen[..] else { panic!("{case}: {told}") };
                        covers(error, &json!({ "type": "error" }), "").unwrap();
                        assert!(error["error"]["message"].is_string(), "{case}: nested: {told}");
                        assert!(error["message"].is_string(), "{case}: flat: {told}");
                        covers(
                            failed,
                            &json!({ "type": "response.failed",
                            "response": { "status": "failed" } }),
                            "",
                        )
                        .unwrap();
                    }
                    Dialect::Anthropic => {
                        covers(last, &json!({ "type": "error" }), "").unwrap();
                        assert!(last["error"]["type"].is_string(), "{case}: {told}");
                    }
                    Dialect::Gemini => {
                        assert!(last["error"]["status"].is_string(), "{case}: {told}");
                    }
                }
                for end in ["[DONE]", "message_stop", "response.completed", "finishReason\":\"STOP"]
                {
                    assert!(!told.contains(end), "{case}: {end}: {told}");
                }
            }
        }
    }
}
