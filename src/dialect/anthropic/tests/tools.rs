//! Tools and promised formats, as they are written for Anthropic.
use std::borrow::Cow;

use serde_json::{Value, json};

use super::{able, target, written};
use crate::dialect::anthropic::write_request;
use crate::dialect::hub::{Format, Request, Role, Strictness, Tool, ToolChoice};
use crate::dialect::target::{Abilities, Target};

use super::writing::{HI, asking, call, rest, result, text, tool, turn};

#[test]
fn tools_are_chosen() {
    let check = |choice, parallel, forced, expected: Value, dropped: &[&str]| {
        let abilities = Abilities { forced_tools: forced, ..able() };
        let request = Request {
            tools: vec![tool("f"), tool("g")],
            tool_choice: choice,
            parallel_tools: parallel,
            ..asking()
        };
        let (seen, lost) = rest(&request, &abilities);
        assert_eq!(seen.get("tool_choice").unwrap_or(&Value::Null), &expected);
        assert_eq!(lost, dropped);
    };
    check(None, None, true, Value::Null, &[]);
    check(Some(ToolChoice::Auto), None, true, json!({"type": "auto"}), &[]);
    check(Some(ToolChoice::Never), Some(false), true, json!({"type": "none"}), &[]);
    check(Some(ToolChoice::Required), None, true, json!({"type": "any"}), &[]);
    check(Some(ToolChoice::Required), None, false, json!({"type": "auto"}), &["tool_choice"]);
    check(None, Some(false), true, json!({"type": "auto", "disable_parallel_tool_use": true}), &[]);
    let among = ToolChoice::Among { names: vec!["g".into()], required: true };
    check(Some(among.clone()), None, true, json!({"type": "any"}), &[]);
    let request =
        Request { tools: vec![tool("f"), tool("g")], tool_choice: Some(among), ..asking() };
    let (body, _) = rest(&request, &able());
    assert_eq!(
        (body["tools"].as_array().unwrap().len(), &body["tools"][0]["name"]),
        (1, &json!("g"))
    );
    // Without tools there is nothing to choose.
    let none = Request { tool_choice: Some(ToolChoice::Auto), ..asking() };
    assert_eq!(rest(&none, &able()).0, json!({}));
}

#[test]
fn odd_tools_are_made_to_fit() {
    let schema = |parameters: Option<&'static str>| {
        let tools = vec![Tool { parameters: parameters.map(Into::into), ..tool("f") }];
        let request = Request { tools, ..asking() };
        written(&request, &able()).map(|(body, _)| body["tools"][0]["input_schema"].clone())
    };
    assert_eq!(schema(None), Ok(json!({"type": "object"})));
    assert_eq!(schema(Some("{}")), Ok(json!({"type": "object"})));
    assert_eq!(schema(Some("null")), Ok(json!({"type": "object"})));
    assert_eq!(
        schema(Some(r#"{"properties":{}}"#)),
        Ok(json!({"type": "object", "properties": {}}))
    );
    assert!(schema(Some(r#"{"type":"string"}"#)).is_err());

    let strict = Tool {
        strict: Some(true),
        parameters: Some(
            r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}"#.into(),
        ),
        ..tool("f")
    };
    let request = Request { tools: vec![strict], ..asking() };
    let (body, _) = rest(&request, &able());
    assert_eq!(body["tools"][0]["input_schema"]["additionalProperties"], json!(false));
    assert_eq!(body["tools"][0]["strict"], json!(true));
    let (body, _) = rest(&request, &Abilities { structured_output: false, ..able() });
    assert_eq!(body["tools"][0].get("strict"), None);

    let free = Tool { free_text: true, parameters: None, ..tool("apply patch") };
    let request = Request { tools: vec![free], ..asking() };
    let (body, written) = written(&request, &able()).unwrap();
    assert_eq!(body["tools"][0]["name"], "apply_patch");
    assert_eq!(body["tools"][0]["input_schema"]["required"], json!(["input"]));
    assert_eq!(written.legend.names["apply_patch"], "apply patch");
    assert_eq!(written.legend.free_text, ["apply patch"]);
    assert_eq!(written.dropped, ["tools[].custom"]);

    // Tools of the past are defined, lest their calls are refused.
    let turns = vec![
        turn(Role::User, vec![text("a")]),
        turn(Role::Assistant, vec![call("1", "old.one", "")]),
        turn(Role::User, vec![result("1", "", "x")]),
    ];
    let (body, _) = rest(&Request { turns, ..Request::new() }, &able());
    assert_eq!(
        body,
        json!({"tools": [{"name": "old_one", "input_schema": {"type": "object"}}], "tool_choice": {"type": "none"}})
    );
}

#[test]
fn a_promised_format_is_kept() {
    let schema: Cow<'_, str> = r#"{"type":"object","properties":{"a":{"maxLength":3}}}"#.into();
    let format = Format::Schema { name: None, description: None, schema, strict: Some(true) };
    let request = Request { format: Some(format), ..asking() };
    let (body, lost) = rest(&request, &able());
    let rewritten = json!({"type": "object", "properties": {"a": {"description": "(maxLength: 3)"}}, "additionalProperties": false});
    assert_eq!(
        body,
        json!({"output_config": {"format": {"type": "json_schema", "schema": rewritten}}})
    );
    assert_eq!(lost.len(), 0);

    let old = Abilities { structured_output: false, ..able() };
    let (body, written) = written(&request, &old).unwrap();
    assert_eq!(body["tools"][0]["name"], "respond");
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "respond"}));
    assert_eq!(written.legend.format_tool.as_deref(), Some("respond"));
    // Beside the client's own tools, of which one has the name.
    let both = Request { tools: vec![tool("respond")], ..request.clone() };
    let (body, written) = super::written(&both, &old).unwrap();
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    assert_eq!(written.legend.format_tool.as_deref(), Some("respond_2"));
    // A demanded call is no text.
    let demanded = Request { tool_choice: Some(ToolChoice::Required), ..both };
    assert_eq!(super::written(&demanded, &old).unwrap().1.legend.format_tool, None);

    let neither = Abilities { forced_tools: false, ..old };
    assert!(super::written(&request, &neither).unwrap_err().starts_with("response_format"));
    let lenient = Target { strictness: Strictness::Lenient, ..target(&neither) };
    let body = write_request(&request, &lenient).unwrap().body;
    assert!(std::str::from_utf8(&body).unwrap().contains("JSON Schema"));

    let (body, _) = rest(&Request { format: Some(Format::Json), ..asking() }, &able());
    assert!(body["system"][0]["text"].as_str().unwrap().starts_with("Answer with one JSON"));
}

#[test]
fn a_request_is_compact() {
    let request = Request { stream: true, ..asking() };
    let abilities = able();
    let body = write_request(&request, &target(&abilities)).unwrap().body;
    let expected =
        format!(r#"{{"model":"claude","max_tokens":4096,"messages":[{HI}],"stream":true}}"#);
    assert_eq!(std::str::from_utf8(&body), Ok(&*expected));
}
