//! Requests in the `OpenAI` dialect: the peek, and the request that continues a
//! broken answer. The body is never parsed into a tree and written back, so
//! numbers, key order, unknown fields and odd escapes survive.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::dialect::edit;
use crate::dialect::json::{self, Item, Items, Patch, Span};
use crate::dialect::peeking::{self, Blobs, Mark, Marks};
use crate::dialect::request::{ASK, Address, BadRequest, Continuation, Peek, Task, model_patch};
use crate::failover::call::Features;

static IMAGES: LazyLock<Marks> = LazyLock::new(|| Marks::new(&[Mark::Key("image_url")]));
static BLOBS: LazyLock<Blobs> = LazyLock::new(|| Blobs::new(&[]));

/// The fields that are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Model,
    Messages,
    Input,
    Stream,
    StreamOptions,
    N,
    MaxTokens,
    MaxCompletionTokens,
    Tools,
    Functions,
    ResponseFormat,
    ReasoningEffort,
}

impl peeking::Field for Field {
    const NAMES: &'static [&'static str] = &[
        "model",
        "messages",
        "input",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "tools",
        "functions",
        "response_format",
        "reasoning_effort",
    ];

    fn place(self) -> usize {
        self as usize
    }
}

type Fields<'a> = peeking::Fields<'a, Field>;

/// Takes out of a body what routing needs.
pub fn peek(task: Task, body: &[u8], address: &Address) -> Result<Peek, BadRequest> {
    let fields = Fields::of(body)?;
    let named = fields.string(Field::Model)?;
    // Azure names the deployment in the URL, and what the body says is ignored.
    let model = address.model.clone().or(named).ok_or_else(|| peeking::missing("model"))?;
    let input = input(task, &fields)?;
    let stream = fields.flag(Field::Stream)?;
    let images = IMAGES.count(input);
    Ok(Peek {
        model,
        model_span: fields.span(Field::Model),
        turns: fields.span(Field::Messages),
        stream,
        include_usage: fields.get(Field::StreamOptions).is_some_and(includes_usage),
        choices: fields.number(Field::N).unwrap_or(1).max(1),
        max_output_tokens: fields
            .number(Field::MaxCompletionTokens)
            .or_else(|| fields.number(Field::MaxTokens)),
        needs: needs(&fields, stream, images > 0),
        input_tokens: tokens(&fields, input, images),
    })
}

/// The messages of a chat, the input of an embedding.
fn input<'a>(task: Task, fields: &Fields<'a>) -> Result<&'a str, BadRequest> {
    match task {
        Task::Generate => fields.array(Field::Messages),
        Task::Embed => fields.required(Field::Input),
        Task::EmbedBatch | Task::CountTokens => Ok(fields.get(Field::Input).unwrap_or("")),
    }
}

fn includes_usage(options: &str) -> bool {
    edit::json_at(options.as_bytes(), "/include_usage") == Some("true")
}

fn needs(fields: &Fields<'_>, stream: bool, images: bool) -> Features {
    let promises_json = fields.get(Field::ResponseFormat).is_some_and(|format| {
        let kind = edit::json_at(format.as_bytes(), "/type");
        matches!(kind, Some(r#""json_schema""# | r#""json_object""#))
    });
    Features::NONE
        .with(Features::STREAMING, stream)
        .with(Features::TOOLS, fields.filled(Field::Tools) || fields.filled(Field::Functions))
        .with(Features::JSON_SCHEMA, promises_json)
        .with(Features::VISION, images)
        .with(Features::REASONING, fields.filled(Field::ReasoningEffort))
}

fn tokens(fields: &Fields<'_>, input: &str, images: usize) -> u32 {
    let definitions = [Field::Tools, Field::Functions, Field::ResponseFormat];
    let defined = definitions.map(|field| fields.get(field).map_or(0, str::len));
    let text = input.len() - BLOBS.bytes(input);
    peeking::tokens(text + defined.iter().sum::<usize>(), images)
}

/// The request that continues a broken answer at another target: the client's,
/// with the answer so far as the last turn. A turn of the assistant the client
/// put there itself is extended.
pub fn continue_from(
    body: &Bytes,
    peek: &Peek,
    model: &str,
    partial: &str,
    how: Continuation,
) -> Result<Bytes, BadRequest> {
    let mut patches: Vec<Patch> =
        peek.model_span.iter().map(|span| model_patch(span, model)).collect();
    if !partial.is_empty() {
        let messages =
            peek.turns.as_ref().ok_or_else(|| peeking::wrong("messages", "is missing"))?;
        patches.extend(turns(body, messages, partial, how));
    }
    Ok(json::patch(body, patches))
}

fn turns(body: &[u8], messages: &Span, partial: &str, how: Continuation) -> Vec<Patch> {
    let last = Items::new(body, messages).last();
    let partial = json::quote(partial);
    let mut patches = Vec::new();
    let mut added = Vec::new();
    match last.as_ref().and_then(|last| prefilled(body, last)) {
        Some(content) => patches.push(Patch {
            span: content.end - 1..content.end - 1,
            text: partial[1..partial.len() - 1].to_owned(),
        }),
        None => added.push(format!(r#"{{"role":"assistant","content":{partial}}}"#)),
    }
    if how == Continuation::Ask {
        added.push(format!(r#"{{"role":"user","content":{}}}"#, json::quote(ASK)));
    }
    if !added.is_empty() {
        patches.push(json::append(messages, last.as_ref(), &added.join(",")));
    }
    patches
}

/// The text of a message, if it is a turn of the assistant with plain text.
fn prefilled(body: &[u8], message: &Item) -> Option<Span> {
    let mut assistant = false;
    let mut content = None;
    for item in Items::new(body, &message.value) {
        let key = item.key?;
        if json::key_is(body, &key, "role") {
            assistant = &body[item.value] == br#""assistant""#;
        } else if json::key_is(body, &key, "content") {
            content = Some(item.value);
        } else if json::key_is(body, &key, "tool_calls") {
            return None;
        }
    }
    content.filter(|content| assistant && body[content.start] == b'"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::request::splice;

    fn chat(body: &str) -> Peek {
        peek(Task::Generate, body.as_bytes(), &Address::default()).unwrap()
    }

    #[test]
    fn the_model_is_found_and_spliced() {
        let check = |body: &str, model: &str, expected: &str| {
            let peek = chat(body);
            assert_eq!(peek.model, model);
            let spliced = splice(&Bytes::from(body.to_owned()), peek.model_span.as_ref(), "o\"1");
            assert_eq!(&spliced[..], expected.as_bytes());
        };
        check(
            r#"{"messages":[],"n":1e2,"model" : "a" }"#,
            "a",
            r#"{"messages":[],"n":1e2,"model" : "o\"1" }"#,
        );
        check(
            r#" {"mod\u0065l":"\u0061\/b","messages":["\ud800"]}"#,
            "a/b",
            r#" {"mod\u0065l":"o\"1","messages":["\ud800"]}"#,
        );
        check(
            r#"{"\ud800":1,"model":"a","messages":[],"x":0.1000000000000000055}"#,
            "a",
            r#"{"\ud800":1,"model":"o\"1","messages":[],"x":0.1000000000000000055}"#,
        );
    }

    #[test]
    fn the_same_model_is_no_copy() {
        let body = Bytes::from_static(br#"{"model":"a","messages":[]}"#);
        let spliced =
            splice(&body, chat(r#"{"model":"a","messages":[]}"#).model_span.as_ref(), "a");
        assert_eq!(spliced.as_ptr(), body.as_ptr());
    }

    #[test]
    fn needs_and_limits() {
        let check = |fields: &str, expected: Features| {
            let body =
                format!(r#"{{"model":"a","messages":[{{"role":"user","content":""}}]{fields}}}"#);
            assert_eq!(chat(&body).needs, expected, "{fields}");
        };
        check("", Features::NONE);
        check(r#","stream":true"#, Features::STREAMING);
        check(r#","stream":null,"tools":[],"functions":[ ]"#, Features::NONE);
        check(r#","tools":[{}]"#, Features::TOOLS);
        check(r#","functions":[{}]"#, Features::TOOLS);
        check(r#","response_format":{"type":"json_schema"}"#, Features::JSON_SCHEMA);
        check(r#","response_format":{"type":"json_object"}"#, Features::JSON_SCHEMA);
        check(r#","response_format":{"type":"text"}"#, Features::NONE);
        check(r#","reasoning_effort":"low""#, Features::REASONING);
        let image = r#"{"model":"a","messages":[{"content":[{"image_url" : {"url":"x"}}]}]}"#;
        assert_eq!(chat(image).needs, Features::VISION);
        let quoted = r#"{"model":"a","messages":[{"content":"\"image_url\": x"}]}"#;
        assert_eq!(chat(quoted).needs, Features::NONE);

        let seen = chat(
            r#"{"model":"a","messages":[],"n":3,"max_tokens":7,"stream_options":{"include_usage":true}}"#,
        );
        assert_eq!((seen.choices, seen.max_output_tokens, seen.include_usage), (3, Some(7), true));
        let seen =
            chat(r#"{"model":"a","messages":[],"n":"x","max_tokens":7,"max_completion_tokens":8}"#);
        assert_eq!((seen.choices, seen.max_output_tokens, seen.include_usage), (1, Some(8), false));
    }

    #[test]
    fn tokens_are_estimated() {
        let text =
            format!(r#"{{"model":"a","messages":[{{"content":"{}"}}]}}"#, "word ".repeat(800));
        assert!((1000..1010).contains(&chat(&text).input_tokens));
        let image = format!(
            r#"{{"model":"a","messages":[{{"image_url":{{"url":"data:image/png;base64,{}"}}}}]}}"#,
            "A".repeat(1 << 20),
        );
        assert!((1000..1030).contains(&chat(&image).input_tokens));
        let body = format!(r#"{{"model":"e","input":["{}"]}}"#, "x".repeat(400));
        let seen = peek(Task::Embed, body.as_bytes(), &Address::default()).unwrap();
        assert_eq!((seen.input_tokens, seen.turns), (101, None));
    }

    #[test]
    fn bad_requests_name_the_field() {
        let check = |body: &[u8], code: &str, param: Option<&str>| {
            let error = peek(Task::Generate, body, &Address::default()).unwrap_err();
            assert_eq!((error.code, error.param), (code, param), "{error}");
        };
        let missing = "missing_required_parameter";
        check(b"", "invalid_json", None);
        check(b"[]", "invalid_json", None);
        check(b"{\"model\":\"a\",\"messages\":[", "invalid_json", None);
        check(br#"{"model":"a","messages":[]} x"#, "invalid_json", None);
        check(br#"{"model":"a","messages":[],"x":01}"#, "invalid_json", None);
        check(b"\xef\xbb\xbf{\"model\":\"a\",\"messages\":[]}", "invalid_json", None);
        check(b"{\"model\":\"a\",\"messages\":[\"\xff\"]}", "invalid_json", None);
        check(b"{\"model\":\"a\",\"messages\":[],\"tool\nx\":{}}", "invalid_json", None);
        check(br#"{"messages":[]}"#, missing, Some("model"));
        check(br#"{"model":null,"messages":[]}"#, missing, Some("model"));
        check(br#"{"model":1,"messages":[]}"#, "invalid_value", Some("model"));
        check(br#"{"model":"\ud800","messages":[]}"#, "invalid_value", Some("model"));
        check(br#"{"model":"a"}"#, missing, Some("messages"));
        check(br#"{"model":"a","messages":{}}"#, "invalid_value", Some("messages"));
        check(br#"{"model":"a","messages":[],"stream":1}"#, "invalid_value", Some("stream"));
        check(br#"{"model":"a","messages":[],"model":"a"}"#, "duplicate_field", Some("model"));
        check(br#"{"model":"a","messages":[],"Model":"b"}"#, "duplicate_field", Some("model"));
        check(
            br#"{"stream":true,"model":"a","str\u0065am":false}"#,
            "duplicate_field",
            Some("stream"),
        );
    }

    #[test]
    fn depth_costs_neither_stack_nor_time() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let seen = chat(&format!(r#"{{"messages":{deep},"x":{deep},"model":"a"}}"#));
        assert_eq!(seen.model, "a");
    }

    #[test]
    fn continuing_adds_turns_and_nothing_else() {
        let user = r#"{"role":"user","content":"hi"}"#;
        let answer = r#"{"role":"assistant","content":"a\"b"}"#;
        let ask = format!(r#"{{"role":"user","content":"{ASK}"}}"#);
        let check = |messages: &str, how, expected: &str| {
            let body = format!(r#"{{"x":1.0, "messages":[{messages} ] ,"model":"m","y":-0}}"#);
            let seen = continue_from(&Bytes::from(body.clone()), &chat(&body), "o", "a\"b", how);
            let expected = format!(r#"{{"x":1.0, "messages":[{expected} ] ,"model":"o","y":-0}}"#);
            assert_eq!(std::str::from_utf8(&seen.unwrap()), Ok(&*expected));
        };
        check(user, Continuation::Prefill, &format!("{user},{answer}"));
        check(user, Continuation::Ask, &format!("{user},{answer},{ask}"));
        check("", Continuation::Prefill, answer);
        let begun = r#"{"content":"so: ","role":"assistant"}"#;
        let extended = r#"{"content":"so: a\"b","role":"assistant"}"#;
        check(begun, Continuation::Prefill, extended);
        check(begun, Continuation::Ask, &format!("{extended},{ask}"));
        let calls = r#"{"role":"assistant","content":"","tool_calls":[]}"#;
        check(calls, Continuation::Prefill, &format!("{calls},{answer}"));
        let parts = r#"{"role":"assistant","content":[]}"#;
        check(parts, Continuation::Prefill, &format!("{parts},{answer}"));
    }

    #[test]
    fn nothing_to_continue_is_the_request_itself() {
        let body = Bytes::from_static(br#"{"model":"a","messages":[7]}"#);
        let peek = peek(Task::Generate, &body, &Address::default()).unwrap();
        let seen = continue_from(&body, &peek, "b", "", Continuation::Ask).unwrap();
        assert_eq!(&seen[..], br#"{"model":"b","messages":[7]}"#);
    }

    proptest! {
        #[test]
        fn the_peek_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), near in "\\{\"(model|messages|n)\":[\\[\\]\\{\\}\",0-9a]{0,30}\\}") {
            let _ = peek(Task::Generate, &body, &Address::default());
            if let Ok(seen) = peek(Task::Embed, near.as_bytes(), &Address::default()) {
                prop_assert!(near[seen.model_span.unwrap()].starts_with('"'));
            }
        }

        #[test]
        fn a_splice_changes_the_model_only(model in "\\PC{0,9}", new in "\\PC{0,9}", key in "[a-z]{8}", text in "\\PC{0,20}") {
            let value = serde_json::json!({ key: text, "model": model, "messages": [text] });
            let body = Bytes::from(value.to_string());
            let peek = peek(Task::Generate, &body, &Address::default()).unwrap();
            let spliced: serde_json::Value = serde_json::from_slice(&splice(&body, peek.model_span.as_ref(), &new)).unwrap();
            let mut expected = value;
            expected["model"] = new.into();
            prop_assert_eq!(spliced, expected);
        }
    }
}
