use serde_json::{Value, json};

use super::{able, target, written};
use crate::dialect::Dialect;
use crate::dialect::anthropic::write_request;
use crate::dialect::hub::{
    Block, Call, Effort, Format, Media, MediaKind, Reasoning, Request, Role, Sampling, Signature,
    Source, Strictness, Thought, Tool, ToolChoice, ToolResult, Turn,
};
use crate::dialect::target::{Abilities, SamplingRule, Target, Thinking};

pub(super) fn turn(role: Role, blocks: Vec<Block<'_>>) -> Turn<'_> {
    Turn { role, blocks }
}

pub(super) fn text(text: &str) -> Block<'_> {
    Block::Text(text.into())
}

pub(super) fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Block<'a> {
    Block::Call(Box::new(Call {
        id: (!id.is_empty()).then_some(id.into()),
        name: name.into(),
        arguments: arguments.into(),
        free_text: false,
        signature: None,
    }))
}

pub(super) fn result<'a>(id: &'a str, name: &'a str, content: &'a str) -> Block<'a> {
    Block::Result(Box::new(ToolResult {
        id: (!id.is_empty()).then_some(id.into()),
        name: (!name.is_empty()).then_some(name.into()),
        content: vec![text(content)],
        is_error: false,
    }))
}

fn media<'a>(kind: MediaKind, media_type: &'a str, source: Source<'a>) -> Block<'a> {
    let (name, detail) = (None, None);
    Block::Media(Box::new(Media { kind, media_type: media_type.into(), source, name, detail }))
}

pub(super) fn tool(name: &str) -> Tool<'_> {
    Tool {
        name: name.into(),
        description: None,
        parameters: Some(r#"{"type":"object"}"#.into()),
        strict: None,
        free_text: false,
        cache_point: false,
    }
}

pub(super) fn asking<'a>() -> Request<'a> {
    Request { turns: vec![turn(Role::User, vec![text("hi")])], ..Request::new() }
}

pub(super) const HI: &str = r#"{"role":"user","content":[{"type":"text","text":"hi"}]}"#;

/// The messages as written, with what was dropped.
fn messages(turns: Vec<Turn<'_>>, abilities: &Abilities) -> (Value, Vec<String>) {
    let request = Request { turns, ..Request::new() };
    let (body, written) = written(&request, abilities).unwrap();
    (body["messages"].clone(), written.dropped)
}

fn check_messages(turns: Vec<Turn<'_>>, expected: &Value, dropped: &[&str]) {
    let (seen, lost) = messages(turns, &able());
    assert_eq!(seen, *expected);
    assert_eq!(lost, dropped);
}

fn said(role: Role, words: &str) -> Turn<'_> {
    turn(role, vec![text(words)])
}

/// A block of text, a call of `f`, and its result, as they are written.
fn t(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn u(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {}})
}

fn r(id: &str, content: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn user(blocks: &[Value]) -> Value {
    json!({"role": "user", "content": blocks})
}

fn model(blocks: &[Value]) -> Value {
    json!({"role": "assistant", "content": blocks})
}

#[test]
fn turns_are_merged_and_results_come_first() {
    // Turns of one role become one message, empty texts none.
    check_messages(
        vec![said(Role::User, "a"), said(Role::User, " \n"), said(Role::User, "b")],
        &json!([user(&[t("a"), t("b")])]),
        &[],
    );
    // Parallel calls, results in several turns and after a text.
    check_messages(
        vec![
            said(Role::User, "a"),
            turn(Role::Assistant, vec![text("so"), call("1", "f", ""), call("2", "f", "{ }")]),
            turn(Role::User, vec![text("by the way"), result("2", "", "two")]),
            turn(Role::User, vec![result("1", "", "one")]),
        ],
        &json!([
            user(&[t("a")]),
            model(&[t("so"), u("1"), u("2")]),
            user(&[r("2", "two"), r("1", "one"), t("by the way")]),
        ]),
        &[],
    );
}

#[test]
fn calls_without_ids_or_results_get_them() {
    // Without ids, results are the calls' in order; ids that occur twice differ.
    check_messages(
        vec![
            said(Role::User, "a"),
            turn(Role::Assistant, vec![call("", "f", ""), call("x", "f", "")]),
            turn(Role::User, vec![result("", "f", "one"), result("", "", "two")]),
            turn(Role::Assistant, vec![call("x", "f", "")]),
            turn(Role::User, vec![result("x", "", "three")]),
        ],
        &json!([
            user(&[t("a")]),
            model(&[u("toolu_0"), u("x")]),
            user(&[r("toolu_0", "one"), r("x", "two")]),
            model(&[u("x_2")]),
            user(&[r("x_2", "three")]),
        ]),
        &[],
    );
    // A call without a result gets one.
    let none = json!({"type": "tool_result", "tool_use_id": "1", "content": "There is no result of this call.", "is_error": true});
    check_messages(
        vec![
            said(Role::User, "a"),
            turn(Role::Assistant, vec![call("1", "f", "")]),
            said(Role::User, "never mind"),
            said(Role::Assistant, "ok"),
            said(Role::User, "b"),
        ],
        &json!([
            user(&[t("a")]),
            model(&[u("1")]),
            user(&[none.clone(), t("never mind")]),
            model(&[t("ok")]),
            user(&[t("b")]),
        ]),
        &["messages"],
    );
    check_messages(
        vec![said(Role::User, "a"), turn(Role::Assistant, vec![call("1", "f", "")])],
        &json!([user(&[t("a")]), model(&[u("1")]), user(std::slice::from_ref(&none))]),
        &["messages"],
    );
}

#[test]
fn the_first_turn_is_the_user_s() {
    // The first turn is the user's.
    check_messages(
        vec![said(Role::Assistant, "a"), said(Role::User, "b")],
        &json!([user(&[t("Continue.")]), model(&[t("a")]), user(&[t("b")])]),
        &["messages"],
    );
    check_messages(Vec::new(), &json!([user(&[t("Continue.")])]), &["messages"]);
}

#[test]
fn thoughts_refusals_and_cache_points_find_their_place() {
    // A refusal is what the client saw; a foreign thought is nobody's.
    let foreign = Thought { text: "hm".into(), signature: None, redacted: false };
    let own = |redacted| {
        let signature = Some(Signature { by: Dialect::Anthropic, value: "s".into() });
        Block::Thought(Box::new(Thought { text: "hm".into(), signature, redacted }))
    };
    check_messages(
        vec![
            said(Role::User, "a"),
            turn(
                Role::Assistant,
                vec![
                    Block::Thought(Box::new(foreign)),
                    own(false),
                    own(true),
                    Block::Refusal("no".into()),
                ],
            ),
            said(Role::User, "b"),
        ],
        &json!([
            user(&[t("a")]),
            model(&[
                json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
                json!({"type": "redacted_thinking", "data": "s"}),
                t("no"),
            ]),
            user(&[t("b")]),
        ]),
        &[],
    );
    // Cache points belong to the block before them.
    let point = || Block::CachePoint(Some("1h".into()));
    check_messages(
        vec![turn(Role::User, vec![point(), text("a"), point(), point(), text("b")])],
        &json!([user(&[
            json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
            t("b")
        ])]),
        &[],
    );
}

#[test]
fn system_turns_stand_where_the_model_takes_them() {
    let turns = || {
        vec![
            turn(Role::User, vec![text("a")]),
            turn(Role::Assistant, vec![text("b")]),
            turn(Role::System, vec![text("now")]),
            turn(Role::User, vec![text("c")]),
        ]
    };
    let (seen, lost) = messages(turns(), &able());
    assert_eq!(seen[2], json!({"role": "system", "content": [{"type": "text", "text": "now"}]}));
    assert_eq!(lost.len(), 0);
    let (seen, lost) = messages(turns(), &Abilities::unknown());
    assert_eq!(seen[2]["role"], "user");
    assert_eq!(seen[2]["content"][0]["text"], "<system>\nnow\n</system>");
    assert_eq!((seen[2]["content"][1]["text"].as_str(), lost), (Some("c"), vec!["system".into()]));
}

#[test]
fn a_last_turn_of_the_assistant_needs_a_model_that_continues_it() {
    let turns =
        || vec![turn(Role::User, vec![text("a")]), turn(Role::Assistant, vec![text("so: ")])];
    let (seen, _) = messages(turns(), &able());
    assert_eq!(seen[1]["content"][0]["text"], "so:");
    let request = Request { turns: turns(), ..Request::new() };
    assert!(written(&request, &Abilities::unknown()).unwrap_err().starts_with("messages"));
    let abilities = Abilities::unknown();
    let lenient = Target { strictness: Strictness::Lenient, ..target(&abilities) };
    let body = write_request(&request, &lenient).unwrap().body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["messages"][2]["role"], "user");
}

#[test]
fn media_is_what_anthropic_takes() {
    let base64 = |data: &'static str| Source::Base64(data.into());
    let block = |kind, media_type, source| {
        let turns = vec![turn(Role::User, vec![media(kind, media_type, source)])];
        let request = Request { turns, ..Request::new() };
        let body = written(&request, &able());
        body.map(|(body, _)| body["messages"][0]["content"][0].clone())
    };
    let check = |kind, media_type, source, expected: Value| {
        assert_eq!(block(kind, media_type, source), Ok(expected), "{media_type}");
    };
    let image = |media_type: &str| json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": "QQ=="}});
    check(MediaKind::Image, "image/png", base64("QQ=="), image("image/png"));
    check(MediaKind::Image, "image/jpg", base64("QQ=="), image("image/jpeg"));
    check(
        MediaKind::Image,
        "",
        Source::Url("https://x".into()),
        json!({"type": "image", "source": {"type": "url", "url": "https://x"}}),
    );
    let pdf = json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}});
    check(MediaKind::Document, "application/pdf", base64("JVBERi0="), pdf.clone());
    check(MediaKind::Document, "", base64("JVBERi0="), pdf);
    let plain = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A"}});
    check(MediaKind::Document, "text/csv", base64("QQ=="), plain.clone());
    check(MediaKind::Document, "text/plain", Source::Text("A".into()), plain);
    let refused = |kind, media_type, source, field: &str| {
        assert!(block(kind, media_type, source).unwrap_err().starts_with(field));
    };
    refused(MediaKind::Image, "image/tiff", base64("QQ=="), "images");
    refused(MediaKind::Document, "application/zip", base64("QQ=="), "files");
    refused(MediaKind::Audio, "audio/wav", base64("QQ=="), "audio");
}

#[test]
fn results_may_hold_images_and_errors() {
    let failed = ToolResult {
        id: Some("1".into()),
        name: None,
        content: vec![
            text("see"),
            media(MediaKind::Image, "image/png", Source::Base64("QQ==".into())),
        ],
        is_error: true,
    };
    let turns = vec![
        turn(Role::User, vec![text("a")]),
        turn(Role::Assistant, vec![call("1", "f", r#"{"a":1e2}"#)]),
        turn(Role::User, vec![Block::Result(Box::new(failed))]),
    ];
    let (seen, _) = messages(turns, &able());
    let block = &seen[2]["content"][0];
    assert_eq!(
        (block["is_error"].as_bool(), &block["content"][1]["type"]),
        (Some(true), &json!("image"))
    );
}

#[test]
fn what_is_lost_depends_on_the_route() {
    let check = |change: &dyn Fn(&mut Request<'static>), expected: Result<&[&str], &str>| {
        let mut request = asking();
        change(&mut request);
        match (written(&request, &Abilities::unknown()), expected) {
            (Ok((_, written)), Ok(dropped)) => assert_eq!(written.dropped, dropped),
            (Err(error), Err(field)) => assert!(error.starts_with(field), "{error}"),
            (seen, expected) => panic!("{seen:?}, not {expected:?}"),
        }
    };
    check(&|_| {}, Ok(&[]));
    check(&|r| r.sampling.seed = Some("1"), Ok(&["seed"]));
    check(&|r| r.sampling.presence_penalty = Some("1"), Ok(&["presence_penalty"]));
    check(&|r| r.sampling.frequency_penalty = Some("1"), Ok(&["frequency_penalty"]));
    check(&|r| r.choices = 2, Err("n "));
    check(&|r| r.logprobs = Some(0), Err("logprobs"));
    check(&|r| r.format = Some(Format::Json), Ok(&["response_format"]));
    check(&|r| r.stop = vec!["\n".into(), "x".into()], Ok(&["stop"]));
    check(&|r| r.user = Some("u".into()), Ok(&[]));
    check(&|r| r.turns.insert(0, turn(Role::User, vec![result("9", "", "x")])), Err("messages"));
    let called = |arguments| {
        vec![
            turn(Role::User, vec![text("a")]),
            turn(Role::Assistant, vec![call("1", "f", arguments)]),
            turn(Role::User, vec![result("1", "", "x")]),
        ]
    };
    check(&|r| r.turns = called("{\"a\":"), Ok(&["tool_calls"]));
    check(&|r| r.turns = called("[1]"), Ok(&["tool_calls"]));
    check(&|r| r.turns = called(" {} "), Ok(&[]));
}

/// The members of a request besides model, limit and messages.
pub(super) fn rest(request: &Request<'_>, abilities: &Abilities) -> (Value, Vec<String>) {
    let (mut body, written) = written(request, abilities).unwrap();
    let object = body.as_object_mut().unwrap();
    assert_eq!(object.shift_remove("model"), Some(json!("claude")));
    assert!(object.shift_remove("messages").is_some());
    object.shift_remove("max_tokens");
    (body, written.dropped)
}

#[test]
fn options_are_written() {
    let request = Request {
        system: vec![text("a"), Block::CachePoint(None), text(" "), text("b")],
        tools: vec![Tool { description: Some("d".into()), cache_point: true, ..tool("f") }],
        tool_choice: Some(ToolChoice::Named("f".into())),
        parallel_tools: Some(false),
        stop: vec!["x".into()],
        user: Some("u".into()),
        stream: true,
        ..asking()
    };
    let expected = json!({
        "system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "stop_sequences": ["x"], "metadata": {"user_id": "u"}, "stream": true});
    assert_eq!(rest(&request, &able()), (expected, vec![]));
    let personal = Request { user: Some("me@example.org".into()), ..asking() };
    assert_eq!(rest(&personal, &able()).0, json!({}));
}

#[test]
fn the_limit_is_always_there() {
    let limit = |wanted, most| {
        let abilities = Abilities { max_output: most, ..able() };
        let request = Request { max_output_tokens: wanted, ..asking() };
        let (body, written) = written(&request, &abilities).unwrap();
        (body["max_tokens"].as_u64().unwrap(), written.dropped.len())
    };
    assert_eq!(limit(None, None), (4096, 0));
    assert_eq!(limit(None, Some(64_000)), (64_000, 0));
    assert_eq!(limit(Some(9), Some(64_000)), (9, 0));
    assert_eq!(limit(Some(99_000), Some(64_000)), (64_000, 1));
}

#[test]
fn sampling_follows_the_model() {
    let check = |sampling, rule, expected: Value, dropped: &[&str]| {
        let abilities = Abilities { sampling: rule, ..able() };
        let mut request = asking();
        request.sampling.temperature = sampling;
        request.sampling.top_p = Some("0.9");
        request.sampling.top_k = Some("5");
        let (seen, lost) = rest(&request, &abilities);
        assert_eq!((seen, lost), (expected, dropped.iter().map(ToString::to_string).collect()));
    };
    check(Some("0.7"), SamplingRule::Always, json!({"temperature": 0.7, "top_k": 5}), &["top_p"]);
    check(Some("1.7"), SamplingRule::Always, json!({"temperature": 1, "top_k": 5}), &["top_p"]);
    check(None, SamplingRule::Always, json!({"top_p": 0.9, "top_k": 5}), &[]);
    check(Some("0"), SamplingRule::Never, json!({}), &["temperature", "top_p", "top_k"]);
}

#[test]
fn thinking_follows_the_model() {
    let check = |reasoning: Reasoning, form, always, expected: Value, dropped: &[&str]| {
        let abilities = Abilities { thinking: form, always_thinks: always, ..able() };
        let request = Request { reasoning: Some(reasoning), ..asking() };
        let (seen, lost) = rest(&request, &abilities);
        assert_eq!(seen, expected, "{reasoning:?} {form:?}");
        assert_eq!(lost, dropped, "{reasoning:?} {form:?}");
    };
    let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
    let budget = |tokens| Reasoning { budget: Some(tokens), ..Reasoning::default() };
    let enabled = |tokens: u32| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let adaptive = |effort: &str| json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}});
    let disabled = json!({"thinking": {"type": "disabled"}});
    check(effort(Effort::Minimal), Thinking::Effort, false, adaptive("low"), &[]);
    check(effort(Effort::Max), Thinking::Both, false, adaptive("max"), &[]);
    check(budget(9000), Thinking::Effort, false, adaptive("high"), &[]);
    check(budget(9000), Thinking::Both, false, enabled(9000), &[]);
    check(budget(9), Thinking::Budget, false, enabled(1024), &[]);
    check(effort(Effort::High), Thinking::Budget, false, enabled(16_384), &[]);
    check(effort(Effort::None), Thinking::Effort, false, disabled.clone(), &[]);
    check(budget(0), Thinking::Budget, false, disabled, &[]);
    let least = json!({"output_config": {"effort": "low"}});
    check(effort(Effort::None), Thinking::Effort, true, least, &["reasoning_effort"]);
    check(effort(Effort::High), Thinking::No, false, json!({}), &["reasoning_effort"]);
    check(effort(Effort::None), Thinking::No, false, json!({}), &[]);
    let shown = Reasoning { shown: Some(true), ..Reasoning::default() };
    let summarized = json!({"thinking": {"type": "adaptive", "display": "summarized"}});
    check(shown, Thinking::Effort, false, summarized, &[]);
}

#[test]
fn thinking_leaves_room_and_needs_it() {
    let abilities = Abilities { thinking: Thinking::Budget, ..able() };
    let request = |limit| Request {
        reasoning: Some(Reasoning { budget: Some(16_384), ..Reasoning::default() }),
        max_output_tokens: limit,
        ..asking()
    };
    let seen = |request: &Request<'_>| {
        let (body, written) = written(request, &abilities).unwrap();
        let budget = body["thinking"]["budget_tokens"].as_u64();
        (body["max_tokens"].as_u64().unwrap(), budget, written.dropped.len())
    };
    assert_eq!(seen(&request(None)), (20_480, Some(16_384), 0));
    assert_eq!(seen(&request(Some(8000))), (8000, Some(6000), 0));
    assert_eq!(seen(&request(Some(500))), (500, None, 1));
    // Calls that are being answered were not thought about.
    let calls = vec![
        turn(Role::User, vec![text("a")]),
        turn(Role::Assistant, vec![call("1", "f", "")]),
        turn(Role::User, vec![result("1", "", "x")]),
    ];
    let answered = Request { turns: calls, ..request(None) };
    assert_eq!(seen(&answered).1, None);
    // A demanded call leaves no thought.
    let forced = Request {
        tools: vec![tool("f")],
        tool_choice: Some(ToolChoice::Required),
        sampling: Sampling { temperature: Some("1"), ..Sampling::default() },
        ..request(None)
    };
    let (body, lost) = rest(&forced, &abilities);
    assert_eq!((body.get("thinking"), &body["temperature"]), (None, &json!(1)));
    assert_eq!(lost, ["reasoning_effort"]);
}
