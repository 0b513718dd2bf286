//! Lists of any length take time in proportion: code that looked through one of
//! them for each element of another would take minutes over these.

use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows};

const MANY: usize = 15_000;

fn many(one: impl Fn(usize) -> Value) -> Vec<Value> {
    (0..MANY).map(one).collect()
}

/// Calls with these ids and their results, of a Chat client.
fn chat(call: impl Fn(usize) -> String, result: impl Fn(usize) -> String) -> Value {
    let function = json!({ "name": "f", "arguments": "{}" });
    let calls = many(|n| json!({ "id": call(n), "type": "function", "function": function }));
    let mut messages = vec![json!({ "role": "assistant", "tool_calls": calls })];
    let result =
        |n| json!({ "role": "tool", "tool_call_id": result(n), "content": format!("is {n}") });
    messages.extend(many(result));
    json!({ "messages": messages })
}

/// Calls by name only, and their results in reverse, of a Gemini client.
fn gemini() -> Value {
    let calls = many(|n| json!({ "functionCall": { "name": format!("f{n}"), "args": {} } }));
    let result = |n: usize| {
        let name = format!("f{}", MANY - 1 - n);
        json!({ "functionResponse": { "name": name, "response": { "is": n } } })
    };
    json!({ "contents": [
        { "role": "model", "parts": calls }, { "role": "user", "parts": many(result) },
    ] })
}

#[test]
fn calls_and_results() {
    let rows = Rows::of("many calls");
    let same = chat(|_| "c".to_owned(), |_| "c".to_owned());
    let reversed = chat(|n| format!("c{n}"), |n| format!("c{}", MANY - 1 - n));
    for (client, more, wire) in [
        (CHAT, &same, ANTHROPIC),
        (CHAT, &reversed, ANTHROPIC),
        (CHAT, &reversed, GEMINI),
        (GEMINI, &gemini(), CHAT),
        (GEMINI, &gemini(), RESPONSES),
    ] {
        let body = rows.body(client, more, wire).to_string();
        let last = body.contains(&format!("is {}", MANY - 1))
            || body.contains(&format!(r#"\"is\":{}"#, MANY - 1));
        assert!(last, "{} to {}", client.label(), wire.label());
    }
}

#[test]
fn allowed_tools() {
    let rows = Rows::of("many tools");
    let tool = |n: usize| json!({ "name": format!("f{n}") });
    let more = json!({
        "tools": many(|n| json!({ "type": "function", "function": tool(n) })),
        "tool_choice": { "type": "allowed_tools", "allowed_tools": {
            "mode": "auto",
            "tools": many(|n| json!({ "type": "function", "function": tool(MANY - 1 - n) })),
        } },
    });
    for wire in [ANTHROPIC, GEMINI, RESPONSES] {
        let tools = &rows.body(CHAT, &more, wire)["tools"];
        let tools = tools[0].get("functionDeclarations").unwrap_or(tools);
        assert_eq!(tools.as_array().map(Vec::len), Some(MANY), "{}", wire.label());
    }
}
