use serde_json::{Value, json};

use super::super::write_request;
use crate::dialect::Dialect;
use crate::dialect::hub::{
    Block, Call, Effort, Format, Media, MediaKind, Reasoning, Request, Role, Signature, Source,
    Strictness, Thought, Tool, ToolChoice, ToolResult, Turn,
};
use crate::dialect::openai::ids::{Ids, hashed};
use crate::dialect::target::{Abilities, Quirks, SamplingRule, Target, Thinking, Written};

/// A target of OpenAI itself, of a model that continues its own turns.
fn abilities() -> Abilities {
    Abilities { prefill: true, max_completion_tokens: true, ..Abilities::unknown() }
}

struct Case {
    abilities: Abilities,
    quirks: Quirks,
    strictness: Strictness,
}

impl Case {
    fn usual() -> Self {
        Self::with(Quirks::NONE)
    }

    fn with(quirks: Quirks) -> Self {
        Self { abilities: abilities(), quirks, strictness: Strictness::Normal }
    }

    fn lenient() -> Self {
        Self { strictness: Strictness::Lenient, ..Self::usual() }
    }

    fn able(abilities: Abilities) -> Self {
        Self { abilities, ..Self::usual() }
    }

    fn write(&self, request: &Request<'_>) -> Result<(Value, Written), String> {
        let target = Target {
            model: "t",
            abilities: &self.abilities,
            quirks: self.quirks,
            strictness: self.strictness,
        };
        let written = write_request(request, &target).map_err(|error| error.field)?;
        let mut body: Value = serde_json::from_slice(&written.body).unwrap();
        assert_eq!(body.as_object_mut().unwrap().remove("model"), Some(json!("t")));
        Ok((body, written))
    }

    /// The messages that are written, and what is lost.
    fn messages(&self, turns: Vec<Turn<'_>>, expected: &Value, lost: &[&str]) {
        let (body, written) = self.write(&Request { turns, ..Request::new() }).unwrap();
        assert_eq!(&body["messages"], expected);
        assert_eq!(written.dropped, lost);
    }

    /// The fields besides the messages.
    fn fields(&self, request: &Request<'_>, expected: &Value, lost: &[&str]) {
        let (mut body, written) = self.write(request).unwrap();
        body.as_object_mut().unwrap().remove("messages");
        assert_eq!(&body, expected);
        assert_eq!(written.dropped, lost);
    }

    fn refuses(&self, request: &Request<'_>, field: &str) {
        assert_eq!(self.write(request).map(|written| written.0), Err(field.to_owned()));
    }
}

fn text(text: &str) -> Block<'_> {
    Block::Text(text.into())
}

fn turn<'a>(role: Role, blocks: Vec<Block<'a>>) -> Turn<'a> {
    Turn { role, blocks }
}

fn user<'a>(blocks: Vec<Block<'a>>) -> Turn<'a> {
    turn(Role::User, blocks)
}

fn assistant<'a>(blocks: Vec<Block<'a>>) -> Turn<'a> {
    turn(Role::Assistant, blocks)
}

fn calling<'a>(id: Option<&'a str>, name: &'a str) -> Call<'a> {
    let (id, name) = (id.map(Into::into), name.into());
    Call { id, name, arguments: "{}".into(), free_text: false, signature: None }
}

fn call<'a>(id: &'a str, name: &'a str) -> Block<'a> {
    Block::Call(Box::new(calling(Some(id), name)))
}

fn result<'a>(id: Option<&'a str>, name: Option<&'a str>, content: Vec<Block<'a>>) -> Block<'a> {
    let (id, name) = (id.map(Into::into), name.map(Into::into));
    Block::Result(Box::new(ToolResult { id, name, content, is_error: false }))
}

fn media<'a>(kind: MediaKind, media_type: &'a str, source: Source<'a>) -> Block<'a> {
    let (media_type, name, detail) = (media_type.into(), None, None);
    Block::Media(Box::new(Media { kind, media_type, source, name, detail }))
}

fn image() -> Block<'static> {
    media(MediaKind::Image, "image/png", Source::Base64("QQ==".into()))
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

fn said(call: &Value) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": [call]})
}

fn function(id: &str, name: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}})
}

fn answered(id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

#[test]
fn system_texts_are_one_message() {
    let check = |system: Vec<Block<'_>>, expected: Value, lost: &[&str]| {
        let (body, written) = Case::usual().write(&Request { system, ..Request::new() }).unwrap();
        assert_eq!(body["messages"], expected);
        assert_eq!(written.dropped, lost);
    };
    check(vec![], json!([]), &[]);
    check(vec![text("a")], json!([{"role": "system", "content": "a"}]), &[]);
    let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    check(
        vec![text("a"), Block::CachePoint(None), text("b")],
        json!([{"role": "system", "content": parts}]),
        &["cache_control"],
    );
    Case::usual().messages(
        vec![user(vec![text("a")]), turn(Role::System, vec![text("b"), text("c")])],
        &json!([{"role": "user", "content": "a"}, {"role": "system", "content": "b\n\nc"}]),
        &[],
    );
}

#[test]
fn what_the_user_says() {
    let check = |blocks: Vec<Block<'_>>, expected: Value, lost: &[&str]| {
        let expected = json!([{"role": "user", "content": expected}]);
        Case::usual().messages(vec![user(blocks)], &expected, lost);
    };
    let part = |text: &str| json!({"type": "text", "text": text});
    check(vec![text("a")], json!("a"), &[]);
    check(vec![], json!(""), &[]);
    check(vec![text("a"), Block::CachePoint(None)], json!("a"), &["cache_control"]);
    check(vec![text("a"), text("b")], json!([part("a"), part("b")]), &[]);
    let inline = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}});
    check(vec![text("a"), image()], json!([part("a"), inline]), &[]);
    let detailed = Block::Media(Box::new(Media {
        kind: MediaKind::Image,
        media_type: "".into(),
        source: Source::Url("https://x".into()),
        name: None,
        detail: Some("low".into()),
    }));
    let expected =
        json!([{"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}]);
    check(vec![detailed], expected, &[]);
    check(
        vec![media(MediaKind::Audio, "audio/x-wav", Source::Base64("QQ".into()))],
        json!([{"type": "input_audio", "input_audio": {"data": "QQ", "format": "wav"}}]),
        &[],
    );
    check(
        vec![media(MediaKind::Document, "application/pdf", Source::Base64("QQ".into()))],
        json!([{"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,QQ"}}]),
        &[],
    );
    let plain = |source| media(MediaKind::Document, "text/plain", source);
    check(vec![plain(Source::Text("d".into()))], json!([part("d")]), &[]);
    check(vec![plain(Source::Base64("w6k=".into()))], json!([part("é")]), &[]);
}

#[test]
fn what_cannot_be_sent_is_vital() {
    let check = |block: Block<'_>, field: &str| {
        let turns = vec![user(vec![block])];
        Case::lenient().refuses(&Request { turns, ..Request::new() }, field);
    };
    check(media(MediaKind::Audio, "audio/ogg", Source::Base64("QQ".into())), "audio");
    check(media(MediaKind::Audio, "audio/wav", Source::Url("https://x".into())), "audio");
    let by_url = Source::Url("https://x/y.pdf".into());
    check(media(MediaKind::Document, "application/pdf", by_url), "documents");
    check(media(MediaKind::Document, "text/plain", Source::Base64("/w==".into())), "documents");
    check(media(MediaKind::Image, "", Source::Text("x".into())), "images");
}

#[test]
fn what_the_assistant_says() {
    let thought = || {
        Block::Thought(Box::new(Thought { text: "hm".into(), signature: None, redacted: false }))
    };
    let message = |content: Value| json!([{"role": "assistant", "content": content}]);
    let usual = Case::usual();
    usual.messages(vec![assistant(vec![text("a"), text("b")])], &message(json!("ab")), &[]);
    usual.messages(
        vec![assistant(vec![text("a")]), assistant(vec![text("b")])],
        &message(json!("a\n\nb")),
        &[],
    );
    usual.messages(vec![assistant(vec![thought()])], &message(json!("")), &[]);
    usual.messages(vec![assistant(vec![thought(), text("a")])], &message(json!("a")), &[]);
    Case::with(Quirks::REASONING_ECHO).messages(
        vec![assistant(vec![thought(), text("a")])],
        &json!([{"role": "assistant", "content": "a", "reasoning_content": "hm"}]),
        &[],
    );
    let refusal = || vec![assistant(vec![Block::Refusal("no".into())])];
    usual.messages(
        refusal(),
        &json!([{"role": "assistant", "content": null, "refusal": "no"}]),
        &[],
    );
    Case::with(Quirks::MAX_TOKENS).messages(refusal(), &message(json!("no")), &[]);
    let turns = vec![assistant(vec![image()])];
    Case::lenient().refuses(&Request { turns, ..Request::new() }, "images");
}

#[test]
fn a_prefill_needs_a_model_that_continues_it() {
    let request = Request {
        turns: vec![user(vec![text("a")]), assistant(vec![text("b")])],
        ..Request::new()
    };
    let mut case = Case::able(Abilities { prefill: false, ..abilities() });
    case.refuses(&request, "messages");
    case.strictness = Strictness::Lenient;
    let (body, written) = case.write(&request).unwrap();
    assert_eq!(
        (body["messages"].as_array().unwrap().len(), &*written.dropped),
        (2, &["messages".to_owned()][..])
    );
}

#[test]
fn results_follow_their_calls() {
    let usual = Case::usual();
    // Before what the user says, whatever the order, and however many turns.
    usual.messages(
        vec![
            assistant(vec![text("x")]),
            assistant(vec![call("1", "f"), call("2", "g")]),
            user(vec![text("a"), result(Some("2"), None, vec![text("r2"), text("s")])]),
            user(vec![result(Some("1"), None, vec![text("r1")])]),
        ],
        &json!([
            {"role": "assistant", "content": "x", "tool_calls": [function("1", "f"), function("2", "g")]},
            answered("2", "r2\ns"), answered("1", "r1"),
            {"role": "user", "content": [{"type": "text", "text": "a"}]}]),
        &[],
    );
    // By name and order, with ids that are made.
    let nameless = |name| Block::Call(Box::new(calling(None, name)));
    let turns = vec![
        assistant(vec![nameless("f"), nameless("f")]),
        user(vec![
            result(None, Some("f"), vec![text("1")]),
            result(None, Some("f"), vec![text("2")]),
        ]),
    ];
    let (body, _) = usual.write(&Request { turns, ..Request::new() }).unwrap();
    let messages = &body["messages"];
    let calls = &messages[0]["tool_calls"];
    assert_eq!(
        (&messages[1]["tool_call_id"], &messages[1]["content"]),
        (&calls[0]["id"], &json!("1"))
    );
    assert_eq!(
        (&messages[2]["tool_call_id"], &messages[2]["content"]),
        (&calls[1]["id"], &json!("2"))
    );
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    // Missing ones.
    usual.messages(
        vec![assistant(vec![call("1", "f")])],
        &json!([said(&function("1", "f")), answered("1", "Error: there is no result")]),
        &["tool_results"],
    );
}

#[test]
fn orphaned_results_are_told_of() {
    let orphan = || result(Some("9"), None, vec![text("r")]);
    let turns = || vec![user(vec![orphan(), text("a")])];
    Case::usual().refuses(&Request { turns: turns(), ..Request::new() }, "tool_results");
    let expected = json!([{"role": "user", "content": [{"type": "text", "text": "a"}]}]);
    Case::lenient().messages(turns(), &expected, &["tool_results"]);
    // The same result twice.
    let twice = vec![
        assistant(vec![call("1", "f")]),
        user(vec![result(Some("1"), None, vec![]), result(Some("1"), None, vec![])]),
    ];
    Case::usual().refuses(&Request { turns: twice, ..Request::new() }, "tool_results");
}

#[test]
fn results_with_errors_and_images() {
    let failed = Block::Result(Box::new(ToolResult {
        id: Some("1".into()),
        name: None,
        content: vec![text("r")],
        is_error: true,
    }));
    Case::usual().messages(
        vec![assistant(vec![call("1", "f")]), user(vec![failed])],
        &json!([said(&function("1", "f")), answered("1", "Error: r")]),
        &[],
    );
    let inline = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}});
    let shown = |rest: Vec<Turn<'static>>, expected: Value| {
        let mut turns = vec![
            assistant(vec![call("1", "f")]),
            user(vec![result(Some("1"), None, vec![image()])]),
        ];
        turns.extend(rest);
        let expected = json!([said(&function("1", "f")),
            answered("1", "The result is in the next message."),
            {"role": "user", "content": expected}]);
        Case::usual().messages(turns, &expected, &["images"]);
    };
    shown(vec![], json!([inline]));
    shown(vec![user(vec![text("a")])], json!([inline, {"type": "text", "text": "a"}]));
}

#[test]
fn calls_are_written_as_the_server_takes_them() {
    let check = |case: &Case, call: Call<'_>, expected: Value| {
        let id = call.id.clone();
        let block = result(id.as_deref(), None, vec![]);
        let turns = vec![assistant(vec![Block::Call(Box::new(call.clone()))]), user(vec![block])];
        let (body, _) = case.write(&Request { turns, ..Request::new() }).unwrap();
        assert_eq!(body["messages"][0]["tool_calls"][0], expected);
        assert_eq!(body["messages"][1]["tool_call_id"], expected["id"]);
    };
    let usual = Case::usual();
    let empty = Call { arguments: "".into(), ..calling(Some("1"), "f") };
    check(&usual, empty, function("1", "f"));
    let free = || Call { arguments: "ls".into(), free_text: true, ..calling(Some("1"), "sh") };
    check(
        &usual,
        free(),
        json!({"id": "1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}),
    );
    check(
        &Case::with(Quirks::FUNCTIONS_ONLY),
        free(),
        json!({"id": "1", "type": "function", "function": {"name": "sh", "arguments": "{\"input\":\"ls\"}"}}),
    );
    let short = Ids::new(true).of("toolu_1");
    check(
        &Case::with(Quirks::SHORT_CALL_IDS),
        calling(Some("toolu_1"), "f"),
        function(&short, "f"),
    );
    let long = "x".repeat(60);
    check(&usual, calling(Some(&long), "f"), function(&Ids::new(false).of(&long), "f"));
    let signed = |by| Call {
        signature: Some(Signature { by, value: "s".into() }),
        ..calling(Some("1"), "f")
    };
    let mut with_proof = function("1", "f");
    with_proof["extra_content"] = json!({"google": {"thought_signature": "s"}});
    let google = Case::able(Abilities { call_signatures: true, ..abilities() });
    check(&google, signed(Dialect::Gemini), with_proof);
    check(&google, signed(Dialect::Anthropic), function("1", "f"));
    check(&usual, signed(Dialect::Gemini), function("1", "f"));
    let echo = Case::with(Quirks::REASONING_ECHO);
    let turns = vec![assistant(vec![call("1", "f")]), user(vec![result(Some("1"), None, vec![])])];
    let (body, _) = echo.write(&Request { turns, ..Request::new() }).unwrap();
    assert_eq!(body["messages"][0]["reasoning_content"], "");
}

#[test]
fn limits_and_stops() {
    let limited = |tokens| Request { max_output_tokens: Some(tokens), ..Request::new() };
    Case::usual().fields(&limited(7), &json!({"max_completion_tokens": 7}), &[]);
    Case::with(Quirks::MAX_TOKENS).fields(&limited(7), &json!({"max_tokens": 7}), &[]);
    Case::able(Abilities::unknown()).fields(&limited(7), &json!({"max_tokens": 7}), &[]);
    let small = Case::able(Abilities { max_output: Some(5), ..abilities() });
    small.fields(&limited(7), &json!({"max_completion_tokens": 5}), &["max_tokens"]);
    small.fields(&limited(5), &json!({"max_completion_tokens": 5}), &[]);
    Case::usual().refuses(&limited(0), "max_tokens");
    let stops = |n: usize| Request {
        stop: ["a", "b", "c", "d", "e"][..n].iter().map(|stop| (*stop).into()).collect(),
        ..Request::new()
    };
    Case::usual().fields(&stops(4), &json!({"stop": ["a", "b", "c", "d"]}), &[]);
    Case::usual().fields(&stops(5), &json!({"stop": ["a", "b", "c", "d"]}), &["stop"]);
    let many = Request { choices: 3, ..Request::new() };
    Case::usual().fields(&many, &json!({"n": 3}), &[]);
    let named = Request { user: Some("u".into()), ..Request::new() };
    Case::usual().fields(&named, &json!({"user": hashed("u", 32)}), &[]);
    Case::with(Quirks::NO_STORE).fields(&named, &json!({}), &[]);
}

#[test]
fn sampling_goes_by_the_model() {
    let mut request = Request::new();
    request.sampling.temperature = Some("0.5");
    request.sampling.top_p = Some("1.0");
    request.sampling.seed = Some("4");
    request.sampling.presence_penalty = Some("0.1");
    let rule = |sampling| Case::able(Abilities { sampling, ..abilities() });
    let all = json!({"temperature": 0.5, "top_p": 1.0, "seed": 4, "presence_penalty": 0.1});
    rule(SamplingRule::Always).fields(&request, &all, &[]);
    let lost = ["temperature", "presence_penalty"];
    rule(SamplingRule::Never).fields(&request, &json!({"seed": 4}), &lost);
    rule(SamplingRule::WithoutReasoning).fields(&request, &json!({"seed": 4}), &lost);
    request.reasoning = Some(Reasoning { effort: Some(Effort::None), ..Reasoning::default() });
    let mut all = all;
    all["reasoning_effort"] = json!("none");
    rule(SamplingRule::WithoutReasoning).fields(&request, &all, &[]);
    let mut request = Request::new();
    request.sampling.top_k = Some("3");
    Case::usual().fields(&request, &json!({}), &["top_k"]);
    let probable = |n| Request { logprobs: Some(n), ..Request::new() };
    Case::usual().fields(&probable(0), &json!({"logprobs": true}), &[]);
    Case::usual().fields(&probable(2), &json!({"logprobs": true, "top_logprobs": 2}), &[]);
    rule(SamplingRule::Never).refuses(&probable(0), "logprobs");
}

#[test]
fn reasoning_by_effort_or_budget() {
    let check = |case: &Case,
                 effort: Option<Effort>,
                 budget: Option<u32>,
                 expected: Option<&str>,
                 lost: &[&str]| {
        let reasoning = Some(Reasoning { effort, budget, shown: None });
        let expected = expected.map_or(json!({}), |word| json!({"reasoning_effort": word}));
        case.fields(&Request { reasoning, ..Request::new() }, &expected, lost);
    };
    let usual = Case::usual();
    check(&usual, Some(Effort::Xhigh), None, Some("xhigh"), &[]);
    check(&usual, Some(Effort::None), None, Some("none"), &[]);
    check(&usual, None, Some(1024), Some("low"), &[]);
    check(&usual, None, Some(8000), Some("medium"), &[]);
    check(&usual, None, Some(32_000), Some("high"), &[]);
    check(&usual, None, Some(100_000), Some("xhigh"), &[]);
    check(&usual, None, None, None, &[]);
    let never = Case::able(Abilities { thinking: Thinking::No, ..abilities() });
    check(&never, Some(Effort::Low), None, None, &["reasoning_effort"]);
    check(&never, Some(Effort::None), None, None, &[]);
    let always = Case::able(Abilities { always_thinks: true, ..abilities() });
    check(&always, None, Some(0), Some("minimal"), &[]);
    let refused = Case::with(Quirks::NO_REASONING_EFFORT);
    check(&refused, Some(Effort::Low), None, None, &["reasoning_effort"]);
}

#[test]
fn streams_ask_for_counts() {
    let request = Request { stream: true, ..Request::new() };
    let expected = json!({"stream": true, "stream_options": {"include_usage": true}});
    Case::usual().fields(&request, &expected, &[]);
    Case::with(Quirks::NO_STREAM_OPTIONS).fields(&request, &json!({"stream": true}), &[]);
}

const STRICT: &str = r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
const OPEN: &str = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#;

fn one_tool<'a>(tool: Tool<'a>) -> Request<'a> {
    Request { tools: vec![tool], ..Request::new() }
}

#[test]
fn tools_are_written_as_the_server_takes_them() {
    let wrote = |case: &Case, tool: Tool<'_>, expected: Value, lost: &[&str]| {
        case.fields(&one_tool(tool), &json!({"tools": [expected]}), lost);
    };
    let of = |members: Value| json!({"type": "function", "function": members});
    let nothing = json!({"type": "object", "properties": {}});
    let usual = Case::usual();
    wrote(&usual, tool("f"), of(json!({"name": "f", "parameters": nothing})), &[]);
    let cached = Tool { cache_point: true, ..tool("f") };
    wrote(&usual, cached, of(json!({"name": "f", "parameters": nothing})), &["cache_control"]);
    let given = |parameters, strict| Tool {
        description: Some("d".into()),
        parameters: Some(parameters),
        strict,
        ..tool("f")
    };
    let schema = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let full = |strict: Option<bool>, json: &str| {
        let mut members = json!({"name": "f", "description": "d", "parameters": schema(json)});
        if let Some(strict) = strict {
            members["strict"] = json!(strict);
        }
        of(members)
    };
    let (strict, open) = (|| STRICT.into(), || OPEN.into());
    wrote(&usual, given(strict(), None), full(None, STRICT), &[]);
    wrote(&usual, given(strict(), Some(true)), full(Some(true), STRICT), &[]);
    wrote(&usual, given(open(), Some(false)), full(Some(false), OPEN), &[]);
    wrote(&usual, given(open(), Some(true)), full(None, OPEN), &["tools[].strict"]);
    let lax = Case::with(Quirks::NO_STRICT);
    wrote(&lax, given(strict(), Some(true)), full(None, STRICT), &["tools[].strict"]);
    wrote(&lax, given(strict(), Some(false)), full(None, STRICT), &[]);
    // The type is demanded.
    wrote(&usual, given("{}".into(), None), full(None, r#"{"type":"object"}"#), &[]);
    let untyped = r#"{"properties":{}}"#;
    wrote(
        &usual,
        given(untyped.into(), None),
        full(None, r#"{"type":"object","properties":{}}"#),
        &[],
    );
    let free = || Tool { free_text: true, ..tool("sh") };
    wrote(&usual, free(), json!({"type": "custom", "custom": {"name": "sh"}}), &[]);
    let wrapped = json!({"type": "object", "properties": {"input": {"type": "string"}},
        "required": ["input"], "additionalProperties": false});
    let functions = Case::with(Quirks::FUNCTIONS_ONLY);
    wrote(
        &functions,
        free(),
        of(json!({"name": "sh", "parameters": wrapped})),
        &["tools[].custom"],
    );
    let (_, written) = functions.write(&one_tool(free())).unwrap();
    assert_eq!(written.legend.free_text, ["sh"]);
}

#[test]
fn names_fit_and_stay_different() {
    let long = "x".repeat(70);
    let names = ["a.b", "a_b", "a/b", &long, "", "é"];
    let tools = names.iter().map(|name| tool(name)).collect();
    let turns =
        vec![assistant(vec![call("1", "a.b")]), user(vec![result(Some("1"), None, vec![])])];
    let tool_choice = Some(ToolChoice::Named("a.b".into()));
    let request = Request { tools, turns, tool_choice, ..Request::new() };
    let (body, written) = Case::usual().write(&request).unwrap();
    let sent: Vec<&str> = body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["function"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(sent, ["a_b_2", "a_b", "a_b_3", &long[..64], "_", "__2"]);
    assert_eq!(body["messages"][0]["tool_calls"][0]["function"]["name"], "a_b_2");
    assert_eq!(body["tool_choice"]["function"]["name"], "a_b_2");
    let undone: Vec<(&str, &str)> =
        written.legend.names.iter().map(|(sent, name)| (&**sent, &**name)).collect();
    assert_eq!(
        undone,
        [("_", ""), ("__2", "é"), ("a_b_2", "a.b"), ("a_b_3", "a/b"), (&long[..64], &long)]
    );
}

#[test]
fn choices_of_tools() {
    let check = |case: &Case, choice: ToolChoice<'_>, expected: Value, lost: &[&str]| {
        let tools = vec![tool("f"), tool("g")];
        let request = Request { tools, tool_choice: Some(choice), ..Request::new() };
        let (body, written) = case.write(&request).unwrap();
        assert_eq!(body["tool_choice"], expected);
        assert_eq!(written.dropped, lost);
    };
    let usual = Case::usual();
    let named = json!({"type": "function", "function": {"name": "f"}});
    check(&usual, ToolChoice::Auto, json!("auto"), &[]);
    check(&usual, ToolChoice::Never, json!("none"), &[]);
    check(&usual, ToolChoice::Required, json!("required"), &[]);
    check(&usual, ToolChoice::Named("f".into()), named.clone(), &[]);
    let among = |required| ToolChoice::Among { names: vec!["f".into()], required };
    let allowed = |mode: &str| json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named]}});
    check(&usual, among(true), allowed("required"), &[]);
    check(&usual, among(false), allowed("auto"), &[]);
    let unforced = Case::able(Abilities { forced_tools: false, ..abilities() });
    let lost = ["tool_choice"];
    check(&unforced, ToolChoice::Required, json!("auto"), &lost);
    check(&unforced, ToolChoice::Named("f".into()), json!("auto"), &lost);
    check(&unforced, among(true), allowed("auto"), &lost);
    check(&unforced, among(false), allowed("auto"), &[]);
    // Others are only given the tools that are allowed.
    let tools = vec![tool("f"), tool("g")];
    let request = Request { tools, tool_choice: Some(among(true)), ..Request::new() };
    let (body, _) = Case::with(Quirks::MAX_TOKENS).write(&request).unwrap();
    assert_eq!(
        (body["tools"].as_array().unwrap().len(), &body["tool_choice"]),
        (1, &json!("required"))
    );
    // Without tools there is nothing to choose.
    let request = Request {
        tool_choice: Some(ToolChoice::Auto),
        parallel_tools: Some(false),
        ..Request::new()
    };
    usual.fields(&request, &json!({}), &[]);
}

#[test]
fn calls_at_once() {
    let check = |case: &Case, parallel: bool, expected: Value, lost: &[&str]| {
        let request = Request { parallel_tools: Some(parallel), ..one_tool(tool("f")) };
        let (body, written) = case.write(&request).unwrap();
        assert_eq!(body["parallel_tool_calls"], expected);
        assert_eq!(written.dropped, lost);
    };
    check(&Case::usual(), false, json!(false), &[]);
    check(&Case::usual(), true, json!(true), &[]);
    let refused = Case::with(Quirks::NO_PARALLEL_TOOL_CALLS);
    check(&refused, false, Value::Null, &["parallel_tool_calls"]);
    check(&refused, true, Value::Null, &[]);
}

#[test]
fn formats() {
    let schema = |schema, strict| Format::Schema {
        name: Some("my form".into()),
        description: Some("d".into()),
        schema,
        strict,
    };
    let check =
        |case: &Case, format: Format<'_>, expected: Value, told: Option<&str>, lost: &[&str]| {
            let (body, written) =
                case.write(&Request { format: Some(format), ..Request::new() }).unwrap();
            assert_eq!(body["response_format"], expected);
            assert_eq!(body["messages"][0]["content"].as_str(), told);
            assert_eq!(written.dropped, lost);
        };
    let written = |json: &str, strict: Option<bool>| {
        let schema: Value = serde_json::from_str(json).unwrap();
        let mut inner = json!({"name": "my_form", "description": "d", "schema": schema});
        if let Some(strict) = strict {
            inner["strict"] = json!(strict);
        }
        json!({"type": "json_schema", "json_schema": inner})
    };
    let usual = Case::usual();
    let promised = || written(STRICT, Some(true));
    check(&usual, schema(STRICT.into(), None), promised(), None, &[]);
    check(&usual, schema(STRICT.into(), Some(true)), promised(), None, &[]);
    check(&usual, schema(STRICT.into(), Some(false)), written(STRICT, None), None, &[]);
    check(&usual, schema(OPEN.into(), None), written(OPEN, None), None, &[]);
    let lost = ["response_format.strict"];
    check(&usual, schema(OPEN.into(), Some(true)), written(OPEN, None), None, &lost);
    let lax = Case::with(Quirks::NO_STRICT);
    check(&lax, schema(STRICT.into(), Some(true)), written(STRICT, None), None, &lost);
    check(&lax, schema(STRICT.into(), None), written(STRICT, None), None, &[]);
    let object = || json!({"type": "json_object"});
    let told = format!(
        "Answer with a JSON object that matches this JSON Schema, and with nothing else:\n{OPEN}"
    );
    let lost = ["response_format"];
    let untold = Case::with(Quirks::NO_JSON_SCHEMA);
    check(&untold, schema(OPEN.into(), None), object(), Some(&told), &lost);
    let unable = Case::able(Abilities { structured_output: false, ..abilities() });
    check(&unable, schema(OPEN.into(), None), object(), Some(&told), &lost);
    let asked = Some("Answer with a JSON object and nothing else.");
    check(&usual, Format::Json, object(), asked, &[]);
    let turns = vec![user(vec![text("As Json, please")])];
    let (body, _) =
        usual.write(&Request { turns, format: Some(Format::Json), ..Request::new() }).unwrap();
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
}
