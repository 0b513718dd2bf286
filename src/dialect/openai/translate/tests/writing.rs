//! The messages, written.

use serde_json::{Value, json};

use super::super::write_request;
use crate::dialect::Dialect;
use crate::dialect::hub::{
    Block, Call, Media, MediaKind, Request, Role, Signature, Source, Strictness, Thought, Tool,
    ToolResult, Turn,
};
use crate::dialect::openai::ids::Ids;
use crate::dialect::target::{Abilities, Quirks, Target, Written};

/// A target of OpenAI itself, of a model that continues its own turns.
pub fn abilities() -> Abilities {
    Abilities { prefill: true, max_completion_tokens: true, ..Abilities::unknown() }
}

pub struct Case {
    pub abilities: Abilities,
    pub quirks: Quirks,
    pub strictness: Strictness,
}

impl Case {
    pub fn usual() -> Self {
        Self::with(Quirks::NONE)
    }

    pub fn with(quirks: Quirks) -> Self {
        Self { abilities: abilities(), quirks, strictness: Strictness::Normal }
    }

    pub fn lenient() -> Self {
        Self { strictness: Strictness::Lenient, ..Self::usual() }
    }

    pub fn able(abilities: Abilities) -> Self {
        Self { abilities, ..Self::usual() }
    }

    pub fn write(&self, request: &Request<'_>) -> Result<(Value, Written), String> {
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
    pub fn messages(&self, turns: Vec<Turn<'_>>, expected: &Value, lost: &[&str]) {
        let (body, written) = self.write(&Request { turns, ..Request::new() }).unwrap();
        assert_eq!(&body["messages"], expected);
        assert_eq!(written.dropped, lost);
    }

    /// The fields besides the messages.
    pub fn fields(&self, request: &Request<'_>, expected: &Value, lost: &[&str]) {
        let (mut body, written) = self.write(request).unwrap();
        body.as_object_mut().unwrap().remove("messages");
        assert_eq!(&body, expected);
        assert_eq!(written.dropped, lost);
    }

    pub fn refuses(&self, request: &Request<'_>, field: &str) {
        assert_eq!(self.write(request).map(|written| written.0), Err(field.to_owned()));
    }
}

pub fn text(text: &str) -> Block<'_> {
    Block::Text(text.into())
}

fn turn(role: Role, blocks: Vec<Block<'_>>) -> Turn<'_> {
    Turn { role, blocks }
}

pub fn user(blocks: Vec<Block<'_>>) -> Turn<'_> {
    turn(Role::User, blocks)
}

pub fn assistant(blocks: Vec<Block<'_>>) -> Turn<'_> {
    turn(Role::Assistant, blocks)
}

fn calling<'a>(id: Option<&'a str>, name: &'a str) -> Call<'a> {
    let (id, name) = (id.map(Into::into), name.into());
    Call { id, name, arguments: "{}".into(), free_text: false, signature: None }
}

pub fn call<'a>(id: &'a str, name: &'a str) -> Block<'a> {
    Block::Call(Box::new(calling(Some(id), name)))
}

pub fn result<'a>(
    id: Option<&'a str>,
    name: Option<&'a str>,
    content: Vec<Block<'a>>,
) -> Block<'a> {
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

pub fn tool(name: &str) -> Tool<'_> {
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
            {"role": "user", "content": "a"}]),
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
    let expected = json!([{"role": "user", "content": "a"}]);
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
