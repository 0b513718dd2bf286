use serde_json::{Value, json};

use super::*;
use crate::dialect::hub::{
    Call, Media, MediaKind, Reasoning, Sampling, Signature, Source, Strictness, Thought, Tool,
    ToolChoice, ToolResult,
};
use crate::dialect::target::{Abilities, Quirks};
use crate::dialect::{Address, Dialect};

fn target(abilities: &Abilities, strictness: Strictness) -> Target<'_> {
    Target { model: "gpt-x", abilities, quirks: Quirks::NONE, strictness }
}

pub(super) fn write_for(
    request: &Request<'_>,
    abilities: &Abilities,
) -> Result<Written, Untranslatable> {
    write_request(request, &target(abilities, Strictness::Normal))
}

fn body(written: &Written) -> Value {
    serde_json::from_slice(&written.body).unwrap()
}

fn value(request: &Request<'_>) -> Value {
    body(&write_for(request, &Abilities::unknown()).unwrap())
}

pub(super) fn user(text: &'static str) -> Turn<'static> {
    Turn { role: Role::User, blocks: vec![Block::Text(text.into())] }
}

pub(super) fn assistant(blocks: Vec<Block<'static>>) -> Turn<'static> {
    Turn { role: Role::Assistant, blocks }
}

fn call(id: Option<&'static str>, name: &'static str, arguments: &'static str) -> Block<'static> {
    Block::Call(Box::new(Call {
        id: id.map(Into::into),
        name: name.into(),
        arguments: arguments.into(),
        free_text: false,
        signature: None,
    }))
}

fn result(
    id: Option<&'static str>,
    name: Option<&'static str>,
    text: &'static str,
) -> Block<'static> {
    Block::Result(Box::new(ToolResult {
        id: id.map(Into::into),
        name: name.map(Into::into),
        content: vec![Block::Text(text.into())],
        is_error: false,
    }))
}

pub(super) fn media(
    kind: MediaKind,
    media_type: &'static str,
    source: Source<'static>,
) -> Block<'static> {
    let media_type = media_type.into();
    Block::Media(Box::new(Media { kind, media_type, source, name: None, detail: None }))
}

pub(super) fn of(turns: Vec<Turn<'static>>) -> Request<'static> {
    Request { turns, ..Request::new() }
}

pub(super) fn tool(name: &'static str, free_text: bool) -> Tool<'static> {
    let parameters = (!free_text).then(|| "{\"type\":\n\"object\"}".into());
    Tool {
        name: name.into(),
        description: None,
        parameters,
        strict: None,
        free_text,
        cache_point: false,
    }
}

fn message(role: &str, kind: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})
}

#[test]
fn a_plain_request() {
    let mut request = of(vec![user("hi")]);
    request.system = vec![Block::Text("Be".into()), Block::Text("brief".into())];
    request.max_output_tokens = Some(100);
    request.sampling =
        Sampling { temperature: Some("0.10"), top_p: Some("1e0"), ..Sampling::default() };
    request.stream = true;
    request.user = Some("ann".into());
    let written = write_for(&request, &Abilities::unknown()).unwrap();
    let expected = r#"{"model":"gpt-x","instructions":"Be\n\nbrief","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"max_output_tokens":100,"temperature":0.10,"top_p":1e0,"safety_identifier":"ann","store":false,"stream":true}"#;
    assert_eq!(std::str::from_utf8(&written.body), Ok(expected));
    assert!(written.dropped.is_empty() && written.legend.is_empty());
}

#[test]
fn turns_become_items() {
    let check = |turns: Vec<Turn<'static>>, expected: Value| {
        assert_eq!(value(&of(turns))["input"], expected);
    };
    let signed = |by, text: &'static str| {
        let signature = Some(Signature { by, value: "enc".into() });
        Block::Thought(Box::new(Thought { text: text.into(), signature, redacted: false }))
    };
    check(
        vec![user("a"), Turn { role: Role::System, blocks: vec![Block::Text("s".into())] }],
        json!([message("user", "input_text", "a"), message("developer", "input_text", "s")]),
    );
    check(
        vec![
            user("a"),
            assistant(vec![
                signed(Dialect::Anthropic, "foreign"),
                signed(Dialect::Responses, "own"),
                Block::Text("b".into()),
                call(Some("toolu_1"), "f", ""),
                call(None, "g", "{\"x\":1}"),
            ]),
            Turn {
                role: Role::User,
                blocks: vec![
                    result(Some("toolu_1"), None, "r"),
                    result(None, Some("g"), "s"),
                    Block::Text("c".into()),
                ],
            },
        ],
        json!([
            message("user", "input_text", "a"),
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "own"}], "encrypted_content": "enc"},
            message("assistant", "output_text", "b"),
            {"type": "function_call", "call_id": "toolu_1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "call_unnamed_1", "name": "g", "arguments": "{\"x\":1}"},
            {"type": "function_call_output", "call_id": "toolu_1", "output": "r"},
            {"type": "function_call_output", "call_id": "call_unnamed_1", "output": "s"},
            message("user", "input_text", "c"),
        ]),
    );
    check(
        vec![user("a"), assistant(vec![Block::Refusal("no".into())]), user("b")],
        json!([
            message("user", "input_text", "a"),
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            message("user", "input_text", "b"),
        ]),
    );
}

#[test]
fn media_become_parts() {
    let check = |block: Block<'static>, expected: Value| {
        let request = of(vec![Turn { role: Role::User, blocks: vec![block] }]);
        assert_eq!(value(&request)["input"][0]["content"][0], expected);
    };
    let base64 = || Source::Base64("QQ==".into());
    check(
        media(MediaKind::Image, "image/png", base64()),
        json!({"type": "input_image", "image_url": "data:image/png;base64,QQ=="}),
    );
    check(
        media(MediaKind::Image, "", Source::Url("https://x".into())),
        json!({"type": "input_image", "image_url": "https://x"}),
    );
    check(
        media(MediaKind::Document, "application/pdf", base64()),
        json!({"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,QQ=="}),
    );
    check(
        media(MediaKind::Document, "", Source::Url("https://x".into())),
        json!({"type": "input_file", "file_url": "https://x"}),
    );
    check(
        media(MediaKind::Document, "text/plain", Source::Text("t".into())),
        json!({"type": "input_text", "text": "t"}),
    );
}

#[test]
fn results_hold_what_tools_gave() {
    let check = |content: Vec<Block<'static>>, is_error, expected: Value| {
        let block = Block::Result(Box::new(ToolResult {
            id: Some("c".into()),
            name: None,
            content,
            is_error,
        }));
        let turns = vec![
            assistant(vec![call(Some("c"), "f", "{}")]),
            Turn { role: Role::User, blocks: vec![block] },
        ];
        assert_eq!(value(&of(turns))["input"][1]["output"], expected);
    };
    let text = |text: &'static str| Block::Text(text.into());
    check(vec![], false, json!(""));
    check(vec![text("a")], false, json!("a"));
    check(vec![text("a")], true, json!("Error: a"));
    check(vec![], true, json!("Error:"));
    let image = media(MediaKind::Image, "image/png", Source::Base64("QQ==".into()));
    let part = json!({"type": "input_image", "image_url": "data:image/png;base64,QQ=="});
    check(
        vec![text("a"), image.clone()],
        false,
        json!([{"type": "input_text", "text": "a"}, part]),
    );
    check(vec![image], true, json!([{"type": "input_text", "text": "Error:"}, part]));
}

#[test]
fn calls_and_results_are_paired() {
    let long = "x".repeat(100);
    let mut free = call(Some("c2"), "patch", "p");
    if let Block::Call(call) = &mut free {
        call.free_text = true;
    }
    let request = Request {
        turns: vec![
            assistant(vec![
                Block::Call(Box::new(Call {
                    id: Some(long.clone().into()),
                    name: "a.b".into(),
                    arguments: "{}".into(),
                    free_text: false,
                    signature: None,
                })),
                free,
                call(Some("lost"), "f", "{}"),
            ]),
            Turn {
                role: Role::User,
                blocks: vec![
                    result(Some("c2"), None, "done"),
                    Block::Result(Box::new(ToolResult {
                        id: Some(long.into()),
                        name: None,
                        content: vec![],
                        is_error: false,
                    })),
                ],
            },
        ],
        tools: vec![tool("a.b", false), tool("patch", true)],
        ..Request::new()
    };
    let written = write_for(&request, &Abilities::unknown()).unwrap();
    let input = body(&written)["input"].clone();
    let id = input[0]["call_id"].as_str().unwrap();
    assert!(id.starts_with("call_") && id.len() <= 64);
    assert_eq!(input[1]["type"], "custom_tool_call");
    assert_eq!(
        input[3],
        json!({"type": "function_call_output", "call_id": "lost", "output": "Error: this call has no result."})
    );
    assert_eq!(
        input[4],
        json!({"type": "custom_tool_call_output", "call_id": "c2", "output": "done"})
    );
    assert_eq!(input[5]["call_id"], id);
    assert_eq!(written.dropped, ["tool_calls"]);
    let name = input[0]["name"].as_str().unwrap();
    assert!(name.starts_with("a_b_"));
    assert_eq!(written.legend.names.get(name).map(String::as_str), Some("a.b"));
    assert_eq!(body(&written)["tools"][0]["name"], name);
    assert_eq!(body(&written)["tools"][1], json!({"type": "custom", "name": "patch"}));
}

#[test]
fn tools_and_choices() {
    let mut request = of(vec![user("a")]);
    request.tools = vec![tool("f", false), tool("g", true)];
    request.parallel_tools = Some(false);
    let seen = value(&request);
    assert_eq!(
        seen["tools"][0],
        json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false})
    );
    assert_eq!((&seen["parallel_tool_calls"], &seen["tool_choice"]), (&json!(false), &Value::Null));
    let weak = Abilities { forced_tools: false, ..Abilities::unknown() };
    let mut check = |choice: ToolChoice<'static>, expected: Value, without: Value| {
        request.tool_choice = Some(choice);
        assert_eq!(value(&request)["tool_choice"], expected);
        let written = write_for(&request, &weak).unwrap();
        assert_eq!(body(&written)["tool_choice"], without);
        assert_eq!(!written.dropped.is_empty(), expected != without);
    };
    check(ToolChoice::Auto, json!("auto"), json!("auto"));
    check(ToolChoice::Never, json!("none"), json!("none"));
    check(ToolChoice::Required, json!("required"), json!("auto"));
    let one = |name: &'static str| ToolChoice::Named(name.into());
    check(one("f"), json!({"type": "function", "name": "f"}), json!("auto"));
    check(one("g"), json!({"type": "custom", "name": "g"}), json!("auto"));
    let among = |mode: &str| json!({"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": "f"}]});
    let names = || vec!["f".into()];
    check(ToolChoice::Among { names: names(), required: true }, among("required"), among("auto"));
    check(ToolChoice::Among { names: names(), required: false }, among("auto"), among("auto"));
    let mut strict = tool("s", false);
    strict.strict = Some(true);
    strict.parameters = Some(r#"{"type":"object","additionalProperties":false}"#.into());
    request = Request { tools: vec![strict], ..of(vec![user("a")]) };
    assert_eq!(value(&request)["tools"][0]["strict"], true);
}

#[test]
fn formats() {
    let schema = |closed: bool, strict| Format::Schema {
        name: Some("a b".into()),
        description: None,
        schema: format!(
            r#"{{"type":"object","properties":{{}}{}}}"#,
            if closed { r#","additionalProperties":false"# } else { "" }
        )
        .into(),
        strict,
    };
    let check = |format: Format<'static>, strict: bool| {
        let request = Request { format: Some(format), ..of(vec![user("a")]) };
        let seen = value(&request);
        let format = &seen["text"]["format"];
        assert_eq!((&format["type"], &format["strict"]), (&json!("json_schema"), &json!(strict)));
        assert!(format["name"].as_str().unwrap().starts_with("a_b_"));
    };
    check(schema(true, None), true);
    check(schema(true, Some(true)), true);
    check(schema(true, Some(false)), false);
    check(schema(false, Some(true)), false);
    check(schema(false, None), false);

    let json_mode = |text| value(&Request { format: Some(Format::Json), ..of(vec![user(text)]) });
    assert_eq!(json_mode("give me Json")["input"].as_array().unwrap().len(), 1);
    let asked = json_mode("give me data");
    assert_eq!(asked["text"], json!({"format": {"type": "json_object"}}));
    assert_eq!(asked["input"][1]["role"], "developer");

    let old = Abilities { structured_output: false, ..Abilities::unknown() };
    let mut request = Request { format: Some(schema(true, None)), ..of(vec![user("a")]) };
    let written = write_for(&request, &old).unwrap();
    assert_eq!(written.legend.format_tool.as_deref(), Some(FORMAT_TOOL));
    assert_eq!(body(&written)["tool_choice"], json!({"type": "function", "name": FORMAT_TOOL}));
    assert_eq!(body(&written)["text"], Value::Null);
    request.tools = vec![tool("f", false)];
    assert_eq!(write_for(&request, &old).unwrap_err().field, "response_format");
}

#[test]
fn limits_and_reasoning() {
    let limit = |wanted, max_output| {
        let abilities = Abilities { max_output, ..Abilities::unknown() };
        let request = Request { max_output_tokens: Some(wanted), ..of(vec![user("a")]) };
        let written = write_for(&request, &abilities).unwrap();
        (body(&written)["max_output_tokens"].as_u64().unwrap(), !written.dropped.is_empty())
    };
    assert_eq!(limit(1, None), (16, true));
    assert_eq!(limit(16, None), (16, false));
    assert_eq!(limit(900, Some(400)), (400, true));

    let reasoning = |wanted, thinking, always_thinks| {
        let abilities = Abilities { thinking, always_thinks, ..Abilities::unknown() };
        let request = Request { reasoning: Some(wanted), ..of(vec![user("a")]) };
        let written = write_for(&request, &abilities).unwrap();
        (body(&written)["reasoning"].clone(), written.dropped.len())
    };
    let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
    let budget = |tokens| Reasoning { budget: Some(tokens), ..Reasoning::default() };
    let shown = Reasoning { shown: Some(true), ..Reasoning::default() };
    let both = Thinking::Both;
    assert_eq!(reasoning(effort(Effort::Xhigh), both, false), (json!({"effort": "xhigh"}), 0));
    assert_eq!(reasoning(effort(Effort::None), both, false), (json!({"effort": "none"}), 0));
    assert_eq!(reasoning(effort(Effort::None), both, true), (json!({"effort": "minimal"}), 0));
    assert_eq!(reasoning(budget(4_000), both, false), (json!({"effort": "medium"}), 0));
    assert_eq!(reasoning(shown, both, false), (json!({"summary": "auto"}), 0));
    assert_eq!(reasoning(effort(Effort::Low), Thinking::No, false), (Value::Null, 1));
    assert_eq!(reasoning(effort(Effort::None), Thinking::No, false), (Value::Null, 0));

    let sampled = |rule, effort: Option<Effort>| {
        let abilities = Abilities { sampling: rule, ..Abilities::unknown() };
        let sampling =
            Sampling { temperature: Some("0.5"), top_p: Some("1.0"), ..Sampling::default() };
        let reasoning = Some(Reasoning { effort, ..Reasoning::default() });
        let request = Request { sampling, reasoning, ..of(vec![user("a")]) };
        let written = write_for(&request, &abilities).unwrap();
        (body(&written)["temperature"].as_f64(), written.dropped)
    };
    let dropped = || vec!["temperature".to_owned()];
    assert_eq!(sampled(SamplingRule::Always, None), (Some(0.5), vec![]));
    assert_eq!(sampled(SamplingRule::WithoutReasoning, None), (None, dropped()));
    assert_eq!(sampled(SamplingRule::WithoutReasoning, Some(Effort::None)), (Some(0.5), vec![]));
    assert_eq!(sampled(SamplingRule::Never, Some(Effort::None)), (None, dropped()));
}

#[test]
fn what_cannot_be_said() {
    let base = || of(vec![user("a")]);
    let sampling = |change: fn(&mut Sampling<'static>)| {
        let mut request = base();
        change(&mut request.sampling);
        request
    };
    let drops = |request: Request<'_>, field: &str| {
        let abilities = Abilities::unknown();
        assert_eq!(write_for(&request, &abilities).unwrap().dropped, [field]);
        let strict = write_request(&request, &target(&abilities, Strictness::Strict));
        assert_eq!(strict.unwrap_err().field, field);
    };
    drops(sampling(|s| s.top_k = Some("5")), "top_k");
    drops(sampling(|s| s.seed = Some("5")), "seed");
    drops(sampling(|s| s.frequency_penalty = Some("1")), "frequency_penalty");
    drops(sampling(|s| s.presence_penalty = Some("1")), "presence_penalty");
    drops(
        of(vec![Turn {
            role: Role::User,
            blocks: vec![Block::Text("a".into()), Block::CachePoint(None)],
        }]),
        "cache_control",
    );
    let refuses = |request: Request<'_>, field: &str, lenient: bool| {
        let abilities = Abilities::unknown();
        assert_eq!(write_for(&request, &abilities).unwrap_err().field, field);
        let seen = write_request(&request, &target(&abilities, Strictness::Lenient));
        assert_eq!(seen.is_ok(), lenient, "{field}");
    };
    refuses(Request { stop: vec!["x".into()], ..base() }, "stop", true);
    refuses(Request { choices: 2, ..base() }, "n", true);
    refuses(Request { max_output_tokens: Some(0), ..base() }, "max_tokens", true);
    refuses(of(vec![user("a"), assistant(vec![Block::Text("so".into())])]), "prefill", true);
    refuses(
        of(vec![Turn { role: Role::User, blocks: vec![result(Some("x"), None, "r")] }]),
        "tool_results",
        true,
    );
    let audio = media(MediaKind::Audio, "audio/wav", Source::Base64("QQ==".into()));
    refuses(of(vec![Turn { role: Role::User, blocks: vec![audio] }]), "audio", false);
    let logprobs = value(&Request { logprobs: Some(3), ..base() });
    assert_eq!(logprobs["top_logprobs"], 3);
    assert_eq!(logprobs["include"], json!(["message.output_text.logprobs"]));
}

#[test]
fn servers_that_deviate() {
    let mut call = call(Some("c"), "patch", "p");
    if let Block::Call(call) = &mut call {
        call.free_text = true;
    }
    let answered = Turn { role: Role::User, blocks: vec![result(Some("c"), None, "r")] };
    let system = Turn { role: Role::System, blocks: vec![Block::Text("s".into())] };
    let request = Request {
        tools: vec![tool("patch", true), tool("f", false)],
        tool_choice: Some(ToolChoice::Named("patch".into())),
        parallel_tools: Some(true),
        reasoning: Some(Reasoning { effort: Some(Effort::Low), ..Reasoning::default() }),
        ..of(vec![user("a"), assistant(vec![call]), answered, system])
    };
    let quirks = [
        Quirks::FUNCTIONS_ONLY,
        Quirks::NO_STRICT,
        Quirks::NO_STORE,
        Quirks::NO_PARALLEL_TOOL_CALLS,
        Quirks::NO_DEVELOPER_ROLE,
        Quirks::NO_REASONING_EFFORT,
    ];
    let quirks = quirks.into_iter().fold(Quirks::NONE, Quirks::with);
    let abilities = Abilities::unknown();
    let target = Target { quirks, ..target(&abilities, Strictness::Normal) };
    let written = write_request(&request, &target).unwrap();
    assert_eq!(written.dropped, ["parallel_tool_calls", "reasoning_effort"]);
    assert_eq!(written.legend.free_text, ["patch"]);
    let seen = body(&written);
    let expected = json!({
        "model": "gpt-x",
        "input": [
            message("user", "input_text", "a"),
            {"type": "function_call", "call_id": "c", "name": "patch", "arguments": "{\"input\":\"p\"}"},
            {"type": "function_call_output", "call_id": "c", "output": "r"},
            message("system", "input_text", "s"),
        ],
        "tools": [
            {"type": "function", "name": "patch", "parameters": {"type": "object",
                "properties": {"input": {"type": "string"}}, "required": ["input"], "additionalProperties": false}},
            {"type": "function", "name": "f", "parameters": {"type": "object"}},
        ],
        "tool_choice": {"type": "function", "name": "patch"},
    });
    assert_eq!(seen, expected);
}

#[test]
fn users_are_not_given_away() {
    let check = |user: &'static str, same: bool| {
        let seen = value(&Request { user: Some(user.into()), ..of(vec![]) });
        let told = seen["safety_identifier"].as_str().unwrap().to_owned();
        assert_eq!((told == user, told.len() <= 64), (same, true), "{user}");
    };
    check("ann@example.com", true);
    check(r#"{"device_id":"1"}"#, false);
    check("0123456789012345678901234567890123456789012345678901234567890123456789", false);
}

/// The golden request that reads without a loss is written as it was.
#[test]
fn what_was_read_is_written() {
    let golden = include_str!("../../../tests/golden/dialects/responses/request.json");
    let request = super::super::read_request(golden, &Address::default()).unwrap();
    let written = write_for(&request, &Abilities::unknown()).unwrap();
    let again = std::str::from_utf8(&written.body).unwrap();
    let again = super::super::read_request(again, &Address::default()).unwrap();
    assert_eq!(written.dropped, ["cache_control"]);
    assert_eq!(again.turns.len(), request.turns.len());
    assert_eq!((again.format.is_some(), &again.tool_choice), (true, &request.tool_choice));
}
