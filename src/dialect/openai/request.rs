//! Requests in the `OpenAI` dialect: the peek, and the request that continues a
//! broken answer. The body is never parsed into a tree and written back, so
//! numbers, key order, unknown fields and odd escapes survive.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::json::{self, Item, Items, Patch, Span};
use crate::dialect::request::{ASK, Address, BadRequest, Continuation, Peek, Task, model_patch};
use crate::failover::call::Features;

/// Bytes of English text per token, on average over current tokenizers.
const BYTES_PER_TOKEN: usize = 4;

/// What an image costs; providers charge between 85 and some 1,500.
const TOKENS_PER_IMAGE: usize = 1000;

/// Made once: to prepare a search costs more than to search a short body.
static IMAGE_KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""image_url""#));
static BASE64: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b";base64,"));

/// Takes out of a body what routing needs. Checks that the body is one JSON
/// object in UTF-8 and that no field which is looked at occurs twice: gateway
/// and provider could disagree on which of the two counts.
pub fn peek(task: Task, body: &[u8], address: &Address) -> Result<Peek, BadRequest> {
    let text = std::str::from_utf8(body)
        .map_err(|error| invalid(format!("the body is not UTF-8: {error}")))?;
    if text.starts_with('\u{feff}') {
        return Err(invalid("the body begins with a byte order mark"));
    }
    let fields: Fields = serde_json::from_str(text)
        .map_err(|error| invalid(format!("the body is not a JSON object of the API: {error}")))?;
    if let Some(key) = fields.repeated {
        return Err(BadRequest::new("duplicate_field", Some(key), format!("{key} occurs twice")));
    }
    read(task, text, &fields, address)
}

fn invalid(message: impl Into<String>) -> BadRequest {
    BadRequest::new("invalid_json", None, message)
}

fn wrong(param: &'static str, message: &str) -> BadRequest {
    BadRequest::new("invalid_value", Some(param), format!("{param} {message}"))
}

fn read(
    task: Task,
    text: &str,
    fields: &Fields<'_>,
    address: &Address,
) -> Result<Peek, BadRequest> {
    let written = fields.get(Field::Model);
    let named = written.map(serde_json::from_str::<Cow<'_, str>>).transpose();
    let named = named.map_err(|_| wrong("model", "must be a string"))?;
    // Azure names the deployment in the URL, and what the body says is ignored.
    let model = address.model.clone().or_else(|| named.map(Cow::into_owned)).ok_or_else(|| {
        BadRequest::new("missing_required_parameter", Some("model"), "model is missing")
    })?;
    let input = input(task, fields)?;
    let stream =
        flag(fields.get(Field::Stream)).map_err(|()| wrong("stream", "must be a boolean"))?;
    let size = Size::of(input, fields);
    Ok(Peek {
        model,
        model_span: written.map(|written| span(text, written)),
        turns: fields.get(Field::Messages).map(|messages| span(text, messages)),
        stream,
        include_usage: fields.get(Field::StreamOptions).is_some_and(includes_usage),
        choices: fields.number(Field::N).unwrap_or(1).max(1),
        max_output_tokens: fields
            .number(Field::MaxCompletionTokens)
            .or_else(|| fields.number(Field::MaxTokens)),
        needs: needs(fields, stream, size.images > 0),
        input_tokens: size.tokens(),
    })
}

/// The messages of a chat, the input of an embedding.
fn input<'a>(task: Task, fields: &Fields<'a>) -> Result<&'a str, BadRequest> {
    let missing = |param| {
        BadRequest::new("missing_required_parameter", Some(param), format!("{param} is missing"))
    };
    match task {
        Task::Generate => {
            let messages = fields.get(Field::Messages).ok_or_else(|| missing("messages"))?;
            if !messages.starts_with('[') {
                return Err(wrong("messages", "must be an array"));
            }
            Ok(messages)
        }
        Task::Embed => fields.get(Field::Input).ok_or_else(|| missing("input")),
        Task::EmbedBatch | Task::CountTokens => Ok(fields.get(Field::Input).unwrap_or("")),
    }
}

fn flag(json: Option<&str>) -> Result<bool, ()> {
    match json {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(()),
    }
}

fn includes_usage(options: &str) -> bool {
    let options = options.as_bytes();
    crate::dialect::edit::json_at(options, "/include_usage") == Some("true")
}

fn needs(fields: &Fields<'_>, stream: bool, images: bool) -> Features {
    let filled = |field| fields.get(field).is_some_and(|json| !is_empty(json));
    let promises_json = fields.get(Field::ResponseFormat).is_some_and(|format| {
        let kind = crate::dialect::edit::json_at(format.as_bytes(), "/type");
        matches!(kind, Some(r#""json_schema""# | r#""json_object""#))
    });
    Features::NONE
        .with(Features::STREAMING, stream)
        .with(Features::TOOLS, filled(Field::Tools) || filled(Field::Functions))
        .with(Features::JSON_SCHEMA, promises_json)
        .with(Features::VISION, images)
        .with(Features::REASONING, filled(Field::ReasoningEffort))
}

fn is_empty(json: &str) -> bool {
    let mut bytes = json.bytes().filter(|byte| !byte.is_ascii_whitespace());
    matches!((bytes.next(), bytes.next()), (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}')))
}

/// How long the input is.
struct Size {
    bytes: usize,
    images: usize,
}

impl Size {
    fn of(input: &str, fields: &Fields<'_>) -> Self {
        let definitions = [Field::Tools, Field::Functions, Field::ResponseFormat];
        let defined: usize = definitions.iter().filter_map(|f| fields.get(*f)).map(str::len).sum();
        let input = input.as_bytes();
        let images = IMAGE_KEY
            .find_iter(input)
            .filter(|at| is_key(&input[at + IMAGE_KEY.needle().len()..]))
            .count();
        Self { bytes: defined + input.len() - data_uri_bytes(input), images }
    }

    fn tokens(&self) -> u32 {
        let tokens = self.bytes / BYTES_PER_TOKEN + self.images * TOKENS_PER_IMAGE;
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }
}

/// Whether what follows a string makes it a key. A quoted `"image_url"` in a
/// user's text never looks like this: its quotes are escaped.
fn is_key(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// Bytes of base64 in data URIs: images and files are no text.
fn data_uri_bytes(input: &[u8]) -> usize {
    let mut total = 0;
    let mut at = 0;
    while let Some(found) = BASE64.find(&input[at..]) {
        at += found;
        let length = memchr::memchr(b'"', &input[at..]).unwrap_or(input.len() - at);
        total += length;
        at += length;
    }
    total
}

/// Where a borrowed part of the text lies in it.
fn span(text: &str, part: &str) -> Span {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

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

impl Field {
    const COUNT: usize = 12;
    const NAMES: [(&'static str, Self); Self::COUNT] = [
        ("model", Self::Model),
        ("messages", Self::Messages),
        ("input", Self::Input),
        ("stream", Self::Stream),
        ("stream_options", Self::StreamOptions),
        ("n", Self::N),
        ("max_tokens", Self::MaxTokens),
        ("max_completion_tokens", Self::MaxCompletionTokens),
        ("tools", Self::Tools),
        ("functions", Self::Functions),
        ("response_format", Self::ResponseFormat),
        ("reasoning_effort", Self::ReasoningEffort),
    ];
}

/// The field a key is, if it is one. `Model` counts as `model`, since some
/// servers read keys in any case.
fn field(key: &RawValue) -> Option<(&'static str, Field)> {
    let key = json::unquote(key.get())?;
    Field::NAMES.into_iter().find(|(name, _)| key.eq_ignore_ascii_case(name))
}

/// The raw values of the fields; `null` is as good as absent.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a RawValue>; Field::COUNT],
    repeated: Option<&'static str>,
}

impl<'a> Fields<'a> {
    fn get(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize].map(RawValue::get).filter(|json| *json != "null")
    }

    /// A count; anything else is left for the provider to judge.
    fn number(&self, field: Field) -> Option<u32> {
        self.get(field)?.parse().ok()
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        // Keys are raw, because one may hold half of a surrogate pair.
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            if let Some((name, field)) = field(key)
                && fields.values[field as usize].replace(value).is_some()
            {
                fields.repeated.get_or_insert(name);
            }
        }
        Ok(fields)
    }
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
        let messages = peek.turns.as_ref().ok_or_else(|| wrong("messages", "is missing"))?;
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
        let at = last.as_ref().map_or(messages.start + 1, |last| last.value.end);
        let comma = if last.is_some() { "," } else { "" };
        patches.push(Patch { span: at..at, text: format!("{comma}{}", added.join(",")) });
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
