use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::dialect::Dialect;
use crate::dialect::gemini::read_request;
use crate::dialect::hub::{
    Call, Effort, Media, MediaKind, Reasoning, Role, Sampling, Signature, Source, Strictness,
    Thought, Tool, ToolChoice, ToolResult, Turn,
};
use crate::dialect::request::Address;
use crate::dialect::target::{Abilities, Quirks, SamplingRule, Thinking};

fn write(
    request: &Request<'_>,
    abilities: &Abilities,
    strictness: Strictness,
) -> Result<(Value, Vec<String>, Legend), Untranslatable> {
    let target = Target { model: "g", abilities, quirks: Quirks::NONE, strictness };
    let written = write_request(request, &target)?;
    let body = serde_json::from_slice(&written.body).expect("valid JSON");
    Ok((body, written.dropped, written.legend))
}

/// The body at a place, and what was dropped.
fn check_with(
    request: &Request<'_>,
    abilities: &Abilities,
    pointer: &str,
    expected: &Value,
    dropped: &[&str],
) {
    let (body, seen, _) = write(request, abilities, Strictness::Normal).unwrap();
    assert_eq!(body.pointer(pointer).unwrap_or(&Value::Null), expected, "{body}");
    assert_eq!(seen, dropped);
}

fn check(request: &Request<'_>, pointer: &str, expected: &Value, dropped: &[&str]) {
    check_with(request, &Abilities::unknown(), pointer, expected, dropped);
}

fn refused(request: &Request<'_>, field: &str) {
    let seen = write(request, &Abilities::unknown(), Strictness::Normal);
    assert_eq!(seen.unwrap_err().field, field);
}

pub fn text(text: &str) -> Block<'_> {
    Block::Text(text.into())
}

fn turn<'a>(role: Role, blocks: &[Block<'a>]) -> Turn<'a> {
    Turn { role, blocks: blocks.to_vec() }
}

fn asked() -> Request<'static> {
    Request { turns: vec![turn(Role::User, &[text("q")])], ..Request::new() }
}

fn turns<'a>(turns: &[(Role, &[Block<'a>])]) -> Request<'a> {
    let turns = turns.iter().map(|(role, blocks)| turn(*role, blocks)).collect();
    Request { turns, ..Request::new() }
}

fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Call<'a> {
    let id = (!id.is_empty()).then(|| id.into());
    Call { id, name: name.into(), arguments: arguments.into(), free_text: false, signature: None }
}

fn calls(call: Call<'_>) -> Block<'_> {
    Block::Call(Box::new(call))
}

fn result<'a>(id: &'a str, name: &'a str, content: &'a str) -> Block<'a> {
    let some = |text: &'a str| (!text.is_empty()).then(|| text.into());
    let content = vec![text(content)];
    Block::Result(Box::new(ToolResult { id: some(id), name: some(name), content, is_error: false }))
}

fn tool(name: &str) -> Tool<'_> {
    Tool {
        name: name.into(),
        description: None,
        parameters: None,
        strict: None,
        free_text: false,
        cache_point: false,
    }
}

pub fn media<'a>(kind: MediaKind, media_type: &'a str, source: Source<'a>) -> Block<'a> {
    let media_type = media_type.into();
    Block::Media(Box::new(Media { kind, media_type, source, name: None, detail: None }))
}

#[test]
fn systems_and_turns() {
    let mut request = turns(&[
        (Role::User, &[text("a"), text("")]),
        (Role::User, &[text("b")]),
        (Role::Assistant, &[text("c"), Block::Refusal("no".into())]),
        (Role::Assistant, &[text("d")]),
        (Role::User, &[text("e")]),
    ]);
    request.system = vec![text("s"), text(""), text("t\n")];
    check(&request, "/systemInstruction", &json!({"parts": [{"text": "s"}, {"text": "t\n"}]}), &[]);
    let expected = json!([
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "no"}, {"text": "d"}]},
        {"role": "user", "parts": [{"text": "e"}]},
    ]);
    check(&request, "/contents", &expected, &[]);
    let request = turns(&[(Role::User, &[text("a")]), (Role::System, &[text("b")])]);
    let expected = json!([{"text": "a"}, {"text": "<system>\nb\n</system>"}]);
    check(&request, "/contents/0/parts", &expected, &["system turns within the conversation"]);
    check(&asked(), "/generationConfig", &Value::Null, &[]);
}

#[test]
fn beginnings_and_ends() {
    let request = turns(&[(Role::Assistant, &[text("a")]), (Role::User, &[text("b")])]);
    check(&request, "/contents/0/role", &json!("user"), &["first turn"]);
    check(&request, "/contents/1/role", &json!("model"), &["first turn"]);
    check(&Request::new(), "/contents/0/role", &json!("user"), &[]);
    let request = turns(&[(Role::User, &[text("a")]), (Role::Assistant, &[text("b")])]);
    refused(&request, "a trailing turn of the assistant");
    let prefills = Abilities { prefill: true, ..Abilities::unknown() };
    check_with(&request, &prefills, "/contents/1/role", &json!("model"), &[]);
}

#[test]
fn media_are_inlined() {
    let one = |block: Block<'static>, expected: Value| {
        check(&turns(&[(Role::User, &[block])]), "/contents/0/parts/0", &expected, &[]);
    };
    let data = || Source::Base64("QQ==".into());
    let inline = |kind| json!({"inlineData": {"mimeType": kind, "data": "QQ=="}});
    one(media(MediaKind::Image, "image/png", data()), inline("image/png"));
    one(media(MediaKind::Image, "image/jpg", data()), inline("image/jpeg"));
    one(media(MediaKind::Document, "application/pdf", data()), inline("application/pdf"));
    one(media(MediaKind::Audio, "audio/wav", data()), inline("audio/wav"));
    one(media(MediaKind::Document, "text/plain", Source::Text("t".into())), json!({"text": "t"}));
    let own = "https://generativelanguage.googleapis.com/v1beta/files/x";
    one(
        media(MediaKind::Image, "", Source::Url(own.into())),
        json!({"fileData": {"fileUri": own}}),
    );
    let cloud = json!({"fileData": {"mimeType": "image/png", "fileUri": "gs://b/x"}});
    one(media(MediaKind::Image, "image/png", Source::Url("gs://b/x".into())), cloud);

    let web = media(MediaKind::Image, "", Source::Url("https://x.org/a.png".into()));
    let web = turns(&[(Role::User, &[web])]);
    let seen = write(&web, &Abilities::unknown(), Strictness::Lenient).unwrap_err();
    assert!(seen.to_string().ends_with("fetching is not enabled"), "{seen}");
    refused(&turns(&[(Role::User, &[media(MediaKind::Image, "", data())])]), "images");
    let closely = Media {
        kind: MediaKind::Image,
        media_type: "image/png".into(),
        source: data(),
        name: None,
        detail: Some("high".into()),
    };
    let closely = turns(&[(Role::User, &[Block::Media(Box::new(closely))])]);
    check(&closely, "/contents/0/parts/0", &inline("image/png"), &["detail"]);
}

#[test]
fn results_follow_their_calls_in_order() {
    let mut failed = ToolResult {
        id: Some("2".into()),
        name: None,
        content: vec![
            text("bad"),
            media(MediaKind::Image, "image/png", Source::Base64("QQ==".into())),
        ],
        is_error: true,
    };
    let request = turns(&[
        (Role::User, &[text("q")]),
        (
            Role::Assistant,
            &[text("a"), calls(call("1", "f", " {\"x\":1.50} ")), calls(call("2", "g", ""))],
        ),
        (Role::User, &[Block::Result(Box::new(failed.clone()))]),
        (Role::User, &[text("also"), result("1", "", "{\"y\":2}")]),
    ]);
    let expected = json!([
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [{"text": "a"},
            {"functionCall": {"id": "1", "name": "f", "args": {"x": 1.50}}},
            {"functionCall": {"id": "2", "name": "g", "args": {}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "1", "name": "f", "response": {"y": 2}}},
            {"functionResponse": {"id": "2", "name": "g", "response": {"error": "bad"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "QQ=="}}]}}]},
        {"role": "user", "parts": [{"text": "also"}]},
    ]);
    check(&request, "/contents", &expected, &[]);
    failed.is_error = false;
    failed.content = vec![text("[1]"), text("plain")];
    let request = turns(&[
        (Role::User, &[text("q")]),
        (Role::Assistant, &[calls(call("2", "g", "{}"))]),
        (Role::User, &[Block::Result(Box::new(failed))]),
    ]);
    let expected = json!({"result": "[1]\nplain"});
    check(&request, "/contents/2/parts/0/functionResponse/response", &expected, &[]);
}

#[test]
fn results_without_ids_go_by_name_and_order() {
    let request = turns(&[
        (Role::User, &[text("q")]),
        (
            Role::Assistant,
            &[calls(call("", "f", "{}")), calls(call("", "g", "{}")), calls(call("", "f", "{}"))],
        ),
        (Role::User, &[result("", "f", "1"), result("", "f", "2"), result("", "g", "3")]),
    ]);
    let (body, ..) = write(&request, &Abilities::unknown(), Strictness::Strict).unwrap();
    let parts = body["contents"][2]["parts"].as_array().unwrap();
    let seen: Vec<_> =
        parts.iter().map(|part| &part["functionResponse"]["response"]["result"]).collect();
    assert_eq!(seen, ["1", "3", "2"]);
    assert!(parts[0]["functionResponse"].get("id").is_none());
    let half = turns(&[
        (Role::User, &[text("q")]),
        (Role::Assistant, &[calls(call("1", "f", "{}")), calls(call("", "f", "{}"))]),
        (Role::User, &[result("9", "f", "late"), result("", "f", "first")]),
    ]);
    let (body, ..) = write(&half, &Abilities::unknown(), Strictness::Strict).unwrap();
    let part = |at: usize| body["contents"][2]["parts"][at]["functionResponse"]["response"].clone();
    assert_eq!((part(0), part(1)), (json!({"result": "first"}), json!({"result": "late"})));
}

#[test]
fn results_and_calls_that_have_no_other() {
    let lost = turns(&[(Role::User, &[text("q"), result("9", "", "x")])]);
    refused(&lost, "tool results");
    let (body, dropped, _) = write(&lost, &Abilities::unknown(), Strictness::Lenient).unwrap();
    assert_eq!((body["contents"].as_array().unwrap().len(), &*dropped[0]), (1, "tool results"));
    let unanswered = turns(&[
        (Role::User, &[text("q")]),
        (Role::Assistant, &[calls(call("1", "f", "{}"))]),
        (Role::User, &[text("never mind")]),
    ]);
    let expected = json!({"id": "1", "name": "f", "response": {"error": "no result was given"}});
    let dropped = ["tool calls without a result"];
    check(&unanswered, "/contents/2/parts/0/functionResponse", &expected, &dropped);
    let broken = turns(&[
        (Role::User, &[text("q")]),
        (Role::Assistant, &[calls(call("1", "f", "{oops"))]),
        (Role::User, &[result("1", "", "x")]),
    ]);
    check(
        &broken,
        "/contents/1/parts/0/functionCall/args",
        &json!({"_raw": "{oops"}),
        &["tool_calls"],
    );
}

#[test]
fn signatures_are_gemini_s_or_a_stand_in() {
    assert_eq!(BASE64_STANDARD.encode("skip_thought_signature_validator"), contents::NO_SIGNATURE);
    let signed = |by, value: &'static str| Some(Signature { by, value: value.into() });
    let with = |signature| Call { signature, ..call("1", "f", "{}") };
    let thought = |signature| {
        Block::Thought(Box::new(Thought { text: "t".into(), signature, redacted: false }))
    };
    let history = |first: Call<'static>| {
        turns(&[
            (Role::User, &[text("q")]),
            (
                Role::Assistant,
                &[
                    thought(signed(Dialect::Anthropic, "theirs")),
                    thought(None),
                    thought(signed(Dialect::Gemini, "ours")),
                    calls(first),
                    calls(call("2", "f", "{}")),
                ],
            ),
            (Role::User, &[result("1", "", "x"), result("2", "", "y")]),
            (Role::Assistant, &[calls(call("3", "f", "{}"))]),
            (Role::User, &[result("3", "", "z")]),
        ])
    };
    let seen = |request: &Request<'_>, abilities: &Abilities| {
        let (body, ..) = write(request, abilities, Strictness::Strict).unwrap();
        let parts = [
            "/contents/1/parts/0",
            "/contents/1/parts/1",
            "/contents/1/parts/2",
            "/contents/3/parts/0",
        ];
        parts.map(|part| {
            let part = body.pointer(part).unwrap();
            part["thoughtSignature"].as_str().unwrap_or("").to_owned()
        })
    };
    let plain = Abilities::unknown();
    let strict = Abilities { call_signatures: true, ..Abilities::unknown() };
    let stand_in = contents::NO_SIGNATURE;
    let foreign = history(with(signed(Dialect::Anthropic, "x")));
    assert_eq!(seen(&foreign, &plain), ["ours", "", "", ""]);
    assert_eq!(seen(&foreign, &strict), ["ours", stand_in, "", stand_in]);
    let own = history(with(signed(Dialect::Gemini, "own")));
    assert_eq!(seen(&own, &plain), ["ours", "own", "", ""]);
    assert_eq!(seen(&own, &strict), ["ours", "own", "", stand_in]);
}

#[test]
fn tools_are_declared() {
    let parameters = r#"{"type":"object","additionalProperties":false}"#;
    let full = Tool {
        description: Some("d".into()),
        parameters: Some(parameters.into()),
        strict: Some(true),
        cache_point: true,
        ..tool("f")
    };
    let free = Tool { free_text: true, ..tool("my tool") };
    let request = Request { tools: vec![full, tool("g"), free], ..asked() };
    let input = json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]});
    let expected = json!([{"functionDeclarations": [
        {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object", "additionalProperties": false}},
        {"name": "g"},
        {"name": "my_tool", "parametersJsonSchema": input},
    ]}]);
    check(&request, "/tools", &expected, &["cache_control", "strict", "custom tools"]);
    let (_, _, legend) = write(&request, &Abilities::unknown(), Strictness::Normal).unwrap();
    assert_eq!(legend.names["my_tool"], "my tool");
    assert_eq!((&legend.free_text[..], legend.format_tool), (&["my tool".to_owned()][..], None));

    let history = Call { free_text: true, ..call("1", "my tool", "free") };
    let request = turns(&[
        (Role::User, &[text("q")]),
        (Role::Assistant, &[calls(history)]),
        (Role::User, &[result("1", "", "x")]),
    ]);
    let expected = json!({"id": "1", "name": "my_tool", "args": {"input": "free"}});
    check(&request, "/contents/1/parts/0/functionCall", &expected, &[]);
}

#[test]
fn tool_choices() {
    let chosen = |choice| {
        let tools = vec![tool("f"), tool("g h")];
        Request { tools, tool_choice: Some(choice), ..asked() }
    };
    let at = "/toolConfig/functionCallingConfig";
    let one = |choice, expected: Value| check(&chosen(choice), at, &expected, &[]);
    let among = |required| ToolChoice::Among { names: vec!["f".into(), "g h".into()], required };
    one(ToolChoice::Auto, json!({"mode": "AUTO"}));
    one(ToolChoice::Never, json!({"mode": "NONE"}));
    one(ToolChoice::Required, json!({"mode": "ANY"}));
    one(ToolChoice::Named("g h".into()), json!({"mode": "ANY", "allowedFunctionNames": ["g_h"]}));
    one(among(true), json!({"mode": "ANY", "allowedFunctionNames": ["f", "g_h"]}));
    one(among(false), json!({"mode": "VALIDATED", "allowedFunctionNames": ["f", "g_h"]}));
    let weak = Abilities { forced_tools: false, ..Abilities::unknown() };
    let auto = json!({"mode": "AUTO"});
    for choice in [ToolChoice::Required, ToolChoice::Named("f".into())] {
        check_with(&chosen(choice), &weak, at, &auto, &["tool_choice"]);
    }
    let request = Request { parallel_tools: Some(false), ..chosen(ToolChoice::Auto) };
    check(&request, at, &auto, &["parallel_tool_calls"]);
    let without = Request { tools: vec![], ..chosen(ToolChoice::Auto) };
    check(&without, "/toolConfig", &Value::Null, &[]);
}

#[test]
fn limits_and_sampling() {
    let sampling = Sampling {
        temperature: Some("0.20"),
        top_p: Some("1"),
        top_k: Some("40"),
        seed: Some("-7"),
        frequency_penalty: Some("0.5"),
        presence_penalty: Some("-1"),
    };
    let stop = ["a", "", "b", "c", "d", "e"].map(Into::into).to_vec();
    let request = Request {
        sampling,
        stop,
        max_output_tokens: Some(100),
        choices: 3,
        logprobs: Some(2),
        user: Some("u".into()),
        ..asked()
    };
    let mut expected = json!({"maxOutputTokens": 100, "stopSequences": ["a", "b", "c", "d", "e"], "candidateCount": 3,
        "temperature": 0.20, "topP": 1, "topK": 40, "seed": -7, "frequencyPenalty": 0.5, "presencePenalty": -1,
        "responseLogprobs": true, "logprobs": 2});
    check(&request, "/generationConfig", &expected, &[]);
    for name in ["temperature", "topP", "topK"] {
        expected.as_object_mut().unwrap().remove(name);
    }
    let rule = |sampling| Abilities { sampling, ..Abilities::unknown() };
    let at = "/generationConfig";
    let never = rule(SamplingRule::Never);
    check_with(&request, &never, at, &expected, &["temperature", "top_k"]);
    let without = rule(SamplingRule::WithoutReasoning);
    check_with(&request, &without, at, &expected, &["temperature", "top_k"]);
    let reasoning = Some(Reasoning { effort: Some(Effort::None), ..Reasoning::default() });
    let request = Request { reasoning, ..request };
    check_with(&request, &without, "/generationConfig/temperature", &json!(0.20), &[]);
}

#[test]
fn limits_that_are_too_high() {
    let small = Abilities { max_output: Some(50), ..Abilities::unknown() };
    let request = Request { max_output_tokens: Some(100), ..asked() };
    let at = "/generationConfig/maxOutputTokens";
    check_with(&request, &small, at, &json!(50), &["max_output_tokens"]);
    refused(&Request { max_output_tokens: Some(0), ..asked() }, "max_output_tokens");
    refused(&Request { choices: 9, ..asked() }, "n");
    let stop = ["a", "b", "c", "d", "e", "f"].map(Into::into).to_vec();
    let expected = json!(["a", "b", "c", "d", "e"]);
    check(&Request { stop, ..asked() }, "/generationConfig/stopSequences", &expected, &["stop"]);
    let sampling = Sampling { seed: Some("9007199254740993"), ..Sampling::default() };
    check(&Request { sampling, ..asked() }, "/generationConfig", &Value::Null, &["seed"]);
    let strict = Request { stop: vec!["a".into(); 6], ..asked() };
    let seen = write(&strict, &Abilities::unknown(), Strictness::Strict).unwrap_err();
    assert_eq!(seen.field, "stop");
}

#[test]
fn forms_of_the_answer() {
    let json = Request { format: Some(Format::Json), ..asked() };
    check(&json, "/generationConfig", &json!({"responseMimeType": "application/json"}), &[]);
    let schema = Format::Schema {
        name: Some("n".into()),
        description: None,
        schema: r#"{"type":"object"}"#.into(),
        strict: Some(true),
    };
    let request = Request { format: Some(schema), ..asked() };
    let expected =
        json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}});
    check(&request, "/generationConfig", &expected, &[]);

    let old = Abilities { structured_output: false, ..Abilities::unknown() };
    let (body, dropped, legend) = write(&request, &old, Strictness::Strict).unwrap();
    let function = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(function["parametersJsonSchema"], json!({"type": "object"}));
    let expected = json!({"mode": "ANY", "allowedFunctionNames": [FORMAT_TOOL]});
    assert_eq!(body["toolConfig"]["functionCallingConfig"], expected);
    assert_eq!((body.get("generationConfig"), dropped.len()), (None, 0));
    assert_eq!(legend.format_tool.as_deref(), Some(FORMAT_TOOL));
    let tools = Request { tools: vec![tool("f")], ..request };
    assert_eq!(write(&tools, &old, Strictness::Normal).unwrap_err().field, "response_format");
    let (body, dropped, _) = write(&tools, &old, Strictness::Lenient).unwrap();
    assert_eq!(body["generationConfig"], json!({"responseMimeType": "application/json"}));
    assert_eq!(dropped, ["response_format"]);
}

#[test]
fn thinking() {
    let one = |reasoning, thinking, always_thinks, expected: Value, dropped: &[&str]| {
        let abilities = Abilities { thinking, always_thinks, ..Abilities::unknown() };
        let request = Request { reasoning: Some(reasoning), ..asked() };
        check_with(&request, &abilities, "/generationConfig/thinkingConfig", &expected, dropped);
    };
    let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
    let budget = |tokens| Reasoning { budget: Some(tokens), ..Reasoning::default() };
    let levels = [
        (Effort::None, "MINIMAL"),
        (Effort::Minimal, "MINIMAL"),
        (Effort::Low, "LOW"),
        (Effort::Medium, "MEDIUM"),
        (Effort::High, "HIGH"),
        (Effort::Xhigh, "XHIGH"),
        (Effort::Max, "XHIGH"),
    ];
    for (given, level) in levels {
        one(effort(given), Thinking::Effort, false, json!({"thinkingLevel": level}), &[]);
    }
    one(budget(4000), Thinking::Effort, false, json!({"thinkingLevel": "MEDIUM"}), &[]);
    one(effort(Effort::High), Thinking::Budget, false, json!({"thinkingBudget": 16_384}), &[]);
    one(effort(Effort::Max), Thinking::Both, false, json!({"thinkingBudget": 24_576}), &[]);
    one(budget(512), Thinking::Both, false, json!({"thinkingBudget": 512}), &[]);
    one(effort(Effort::None), Thinking::Both, false, json!({"thinkingBudget": 0}), &[]);
    let lost = &["reasoning_effort"];
    one(effort(Effort::None), Thinking::Both, true, json!({"thinkingBudget": 128}), lost);
    one(effort(Effort::None), Thinking::Effort, true, json!({"thinkingLevel": "MINIMAL"}), lost);
    one(effort(Effort::Low), Thinking::No, false, Value::Null, lost);
    one(effort(Effort::None), Thinking::No, false, Value::Null, &[]);
    let shown = Reasoning { shown: Some(true), ..Reasoning::default() };
    one(shown, Thinking::Both, false, json!({"includeThoughts": true}), &[]);
    one(shown, Thinking::No, false, Value::Null, &[]);
}

#[test]
fn an_agent_s_request_comes_back() {
    let body = include_str!("../../../../tests/golden/dialects/gemini/request-agent.json");
    let mut request = read_request(body, &Address::default()).unwrap();
    request.others.clear();
    let abilities = Abilities { thinking: Thinking::Effort, ..Abilities::unknown() };
    let (written, dropped, _) = write(&request, &abilities, Strictness::Strict).unwrap();
    let expected = include_str!("../../../../tests/golden/dialects/gemini/written-agent.json");
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!((written, dropped.len()), (expected, 0));
}

/// As agents send them: many tools, long descriptions, a long history.
#[test]
fn a_large_request_comes_back() {
    let description = "What it does, at length. ".repeat(20);
    let tools: Vec<String> = (0..200)
        .map(|n| {
            format!(
                r#"{{"name":"mcp__tool_{n}","description":"{description}","parametersJsonSchema":{{"type":"object","properties":{{"path":{{"type":"string"}}}}}}}}"#
            )
        })
        .collect();
    let exchange = r#"{"role":"user","parts":[{"text":"go on"}]},{"role":"model","parts":[{"functionCall":{"name":"mcp__tool_1","args":{"path":"a"}}}]},{"role":"user","parts":[{"functionResponse":{"name":"mcp__tool_1","response":{"output":"b"}}}]}"#;
    let contents = vec![exchange; 200].join(",");
    let body = format!(
        r#"{{"contents":[{contents}],"tools":[{{"functionDeclarations":[{}]}}]}}"#,
        tools.join(",")
    );
    assert!(body.len() > 100_000);
    let request = read_request(&body, &Address::default()).unwrap();
    assert_eq!((request.turns.len(), request.tools.len()), (600, 200));
    let (written, ..) = write(&request, &Abilities::unknown(), Strictness::Strict).unwrap();
    let again = written.to_string();
    let again = read_request(&again, &Address::default()).unwrap();
    assert_eq!((again.turns.len(), &again.tools), (600, &request.tools));
}

#[test]
fn cache_points_are_dropped() {
    let mut request = turns(&[(Role::User, &[text("q"), Block::CachePoint(Some("5m".into()))])]);
    check(&request, "/contents/0/parts", &json!([{"text": "q"}]), &["cache_control"]);
    request.system = vec![text("s"), Block::CachePoint(None)];
    check(&request, "/systemInstruction/parts", &json!([{"text": "s"}]), &["cache_control"]);
}
