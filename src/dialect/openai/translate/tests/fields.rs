//! The fields besides the messages, written.

use serde_json::{Value, json};

use super::writing::{Case, abilities, assistant, call, result, text, tool, user};
use crate::dialect::digest;
use crate::dialect::hub::{Effort, Format, Reasoning, Request, Tool, ToolChoice};
use crate::dialect::target::{Abilities, Quirks, SamplingRule, Thinking};

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
    Case::usual().fields(&named, &json!({"user": digest::letters(&["u"], 32)}), &[]);
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

fn one_tool(tool: Tool<'_>) -> Request<'_> {
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
    let request = Request { turns, tools, tool_choice, ..Request::new() };
    let (body, written) = Case::usual().write(&request).unwrap();
    let sent: Vec<&str> = body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["function"]["name"].as_str().unwrap())
        .collect();
    let apart = |plain: &str, name: &str| format!("{plain}_{}", digest::letters(&[name], 12));
    let (dot, slash, accent) = (&*apart("a_b", "a.b"), &*apart("a_b", "a/b"), &*apart("_", "é"));
    assert_eq!(sent, [dot, "a_b", slash, &long[..64], "_", accent]);
    assert_eq!(body["messages"][0]["tool_calls"][0]["function"]["name"], dot);
    assert_eq!(body["tool_choice"]["function"]["name"], dot);
    let client = |sent: &str| written.legend.names.get(sent).map(String::as_str);
    assert_eq!(
        [dot, slash, &long[..64], "_", accent].map(client),
        ["a.b", "a/b", &long, "", "é"].map(Some)
    );
    assert_eq!(written.legend.names.len(), 5);
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
