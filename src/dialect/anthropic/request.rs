//! Requests as bytes: the peek, the request that continues a broken answer, and
//! the system prompt put into a template. The body is never parsed into a tree
//! and written back, so everything not touched survives.

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;

use crate::dialect::Dialect;
use crate::dialect::json::{self, Item, Items, Patch, Span};
use crate::dialect::node::Node;
use crate::dialect::peeking::{self, Blobs, Mark, Marks};
use crate::dialect::request::{ASK, Address, BadRequest, Continuation, Peek, Task, model_patch};
use crate::failover::call::Features;

/// The fields that are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Model,
    Messages,
    Stream,
    MaxTokens,
    System,
    Tools,
    Thinking,
    OutputConfig,
    OutputFormat,
}

impl peeking::Field for Field {
    const NAMES: &'static [&'static str] = &[
        "model",
        "messages",
        "stream",
        "max_tokens",
        "system",
        "tools",
        "thinking",
        "output_config",
        "output_format",
    ];

    fn place(self) -> usize {
        self as usize
    }
}

type Fields<'a> = peeking::Fields<'a, Field>;

static IMAGES: LazyLock<Marks> = LazyLock::new(|| Marks::new(&[Mark::Is("type", "image")]));
static BASE64: LazyLock<Blobs> = LazyLock::new(|| Blobs::new(&["data"]));

/// Where a template has the client's own system prompt.
const SYSTEM: &str = "{{system}}";

/// Takes out of a body what routing needs.
pub fn peek(_task: Task, body: &[u8], address: &Address) -> Result<Peek, BadRequest> {
    let fields = Fields::of(body)?;
    let named = fields.string(Field::Model)?;
    let model = address.model.clone().or(named).ok_or_else(|| peeking::missing("model"))?;
    let messages = fields.array(Field::Messages)?;
    let stream = fields.flag(Field::Stream)?;
    let images = IMAGES.count(messages);
    Ok(Peek {
        model,
        model_span: fields.span(Field::Model),
        turns: fields.span(Field::Messages),
        stream,
        include_usage: true,
        choices: 1,
        max_output_tokens: fields.number(Field::MaxTokens),
        needs: needs(&fields, stream, images > 0),
        input_tokens: peeking::tokens(text_bytes(&fields), images),
    })
}

fn text_bytes(fields: &Fields<'_>) -> usize {
    let texts =
        [Field::Messages, Field::System, Field::Tools, Field::OutputConfig, Field::OutputFormat];
    let texts = texts.into_iter().filter_map(|field| fields.get(field));
    texts.map(|text| text.len().saturating_sub(BASE64.bytes(text))).sum()
}

fn needs(fields: &Fields<'_>, stream: bool, images: bool) -> Features {
    let node = |field| fields.get(field).map(Node::new);
    let config = node(Field::OutputConfig);
    let format = config.and_then(|config| config.get("format")).or(node(Field::OutputFormat));
    let thinks = node(Field::Thinking).and_then(|thinking| thinking.text("type"));
    let thinks = thinks.is_some_and(|kind| kind != "disabled");
    let effort = config.and_then(|config| config.get("effort")).is_some();
    Features::NONE
        .with(Features::STREAMING, stream)
        .with(Features::TOOLS, fields.filled(Field::Tools))
        .with(Features::JSON_SCHEMA, format.is_some())
        .with(Features::VISION, images)
        .with(Features::REASONING, thinks || effort)
}

/// The request that continues a broken answer at another target of this dialect.
pub fn continue_from(
    body: &Bytes,
    peek: &Peek,
    model: &str,
    partial: &str,
    how: Continuation,
) -> Result<Bytes, BadRequest> {
    let mut patches: Vec<Patch> =
        peek.model_span.iter().map(|span| model_patch(span, model)).collect();
    let partial = Dialect::Anthropic.shown(partial, how);
    // A turn that is nothing but white space is refused.
    if !partial.trim().is_empty() {
        let missing = || peeking::missing("messages");
        let messages = peek.turns.as_ref().ok_or_else(missing)?;
        patches.extend(turns(body, messages, partial, how));
    }
    Ok(json::patch(body, patches))
}

fn turns(body: &[u8], messages: &Span, partial: &str, how: Continuation) -> Vec<Patch> {
    let last = Items::new(body, messages).last();
    let text = json::quote(partial);
    let mut patches = Vec::new();
    let mut added = Vec::new();
    match last.as_ref().and_then(|last| begun(body, last)) {
        Some(content) => patches.push(extension(body, &content, &text)),
        None => added.push(format!(r#"{{"role":"assistant","content":{text}}}"#)),
    }
    if how == Continuation::Ask {
        added.push(format!(r#"{{"role":"user","content":{}}}"#, json::quote(ASK)));
    }
    if !added.is_empty() {
        patches.push(json::append(messages, last.as_ref(), &added.join(",")));
    }
    patches
}

/// A member's value.
pub(super) fn member(body: &[u8], object: &Span, name: &str) -> Option<Span> {
    let mut items = Items::new(body, object);
    items.find_map(|item| json::key_is(body, &item.key?, name).then_some(item.value))
}

/// The content of a message, if it is a turn of the assistant.
fn begun(body: &[u8], message: &Item) -> Option<Span> {
    let role = member(body, &message.value, "role")?;
    let content = member(body, &message.value, "content")?;
    let open = matches!(body.get(content.start), Some(b'"' | b'['));
    (open && body.get(role) == Some(br#""assistant""#)).then_some(content)
}

/// Adds to a turn's text, or to its last block of text, or adds a block.
fn extension(body: &[u8], content: &Span, text: &str) -> Patch {
    let inner = text[1..text.len() - 1].to_owned();
    let before_quote = |span: &Span| Patch { span: span.end - 1..span.end - 1, text: inner };
    if body.get(content.start) == Some(&b'"') {
        return before_quote(content);
    }
    let last = Items::new(body, content).last();
    let block = last.as_ref().map(|last| last.value.clone());
    let typed = block.as_ref().and_then(|block| member(body, block, "type"));
    let is_text = typed.is_some_and(|kind| body.get(kind) == Some(br#""text""#));
    let begun = block.as_ref().filter(|_| is_text).and_then(|b| member(body, b, "text"));
    if let Some(text) = begun.filter(|text| body.get(text.start) == Some(&b'"')) {
        return before_quote(&text);
    }
    json::append(content, last.as_ref(), &format!(r#"{{"type":"text","text":{text}}}"#))
}

/// The body with its system prompt put into a template (`{{system}}` stands for
/// the client's own; without it the template replaces it). A cache point within
/// the client's own stays at the end.
#[must_use]
pub fn with_system(body: &Bytes, template: &str) -> Bytes {
    let whole = json::whole(body);
    let item = Items::new(body, &whole)
        .find(|item| item.key.as_ref().is_some_and(|key| json::key_is(body, key, "system")));
    let raw = item.as_ref().and_then(|item| std::str::from_utf8(&body[item.value.clone()]).ok());
    let own = raw.map(Node::new);
    let text = template.replace(SYSTEM, &own.map(system_text).unwrap_or_default());
    let patch = match item {
        Some(item) if text.trim().is_empty() => Patch { span: item.removal(), text: String::new() },
        Some(item) => Patch { span: item.value, text: system_json(&text, own) },
        None if text.trim().is_empty() || body.get(whole.start) != Some(&b'{') => {
            return body.clone();
        }
        None => {
            let member = format!(r#""system":{}"#, system_json(&text, None));
            json::prepend(body, &whole, &member)
        }
    };
    json::patch(body, vec![patch])
}

/// The texts of a system prompt, joined by blank lines.
fn system_text(system: Node<'_>) -> String {
    if let Some(text) = system.str() {
        return text.into_owned();
    }
    let texts = system.items().filter_map(|block| block.text("text"));
    let texts: Vec<Cow<'_, str>> = texts.filter(|text| !text.is_empty()).collect();
    texts.join("\n\n")
}

fn system_json(text: &str, own: Option<Node<'_>>) -> String {
    let text = json::quote(text);
    let cached = own.and_then(|own| own.items().filter_map(|b| b.get("cache_control")).last());
    match cached {
        Some(cached) => {
            format!(r#"[{{"type":"text","text":{text},"cache_control":{}}}]"#, cached.raw())
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(body: &str) -> Peek {
        peek(Task::Generate, body.as_bytes(), &Address::default()).unwrap()
    }

    #[test]
    fn needs_and_limits() {
        let check = |fields: &str, expected: Features| {
            let body = format!(
                r#"{{"model":"c","max_tokens":9,"messages":[{{"role":"user","content":"\"type\":\"image\""}}]{fields}}}"#
            );
            let seen = look(&body);
            assert_eq!(seen.needs, expected, "{fields}");
            assert_eq!((seen.max_output_tokens, seen.choices), (Some(9), 1));
        };
        check("", Features::NONE);
        check(r#","stream":true,"tools":[]"#, Features::STREAMING);
        check(r#","tools":[{"name":"f"}]"#, Features::TOOLS);
        check(r#","output_config":{"format":{"type":"json_schema"}}"#, Features::JSON_SCHEMA);
        check(r#","output_config":{"effort":"low"}"#, Features::REASONING);
        check(r#","thinking":{"type":"adaptive"}"#, Features::REASONING);
        check(r#","thinking":{"type":"disabled"}"#, Features::NONE);
    }

    #[test]
    fn images_are_seen_and_weighed() {
        let image = format!(
            r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{}"}}}}"#,
            "QUFB".repeat(100_000)
        );
        let direct =
            format!(r#"{{"model":"c","messages":[{{"role":"user","content":[{image}]}}]}}"#);
        let result = format!(
            r#"{{"model":"c","messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"a","content":[{image}]}}]}}]}}"#
        );
        for body in [direct, result] {
            let seen = look(&body);
            assert_eq!(seen.needs, Features::VISION);
            assert!((1000..1060).contains(&seen.input_tokens), "{}", seen.input_tokens);
        }
        let system = format!(
            r#"{{"model":"c","messages":[],"system":"{}","tools":[]}}"#,
            "word ".repeat(800)
        );
        assert!((1000..1010).contains(&look(&system).input_tokens));
    }

    #[test]
    fn bad_requests_name_the_field() {
        let check = |body: &str, param: Option<&str>| {
            let error = peek(Task::CountTokens, body.as_bytes(), &Address::default()).unwrap_err();
            assert_eq!(error.param, param, "{error}");
        };
        check("[]", None);
        check(r#"{"messages":[]}"#, Some("model"));
        check(r#"{"model":7,"messages":[]}"#, Some("model"));
        check(r#"{"model":"c"}"#, Some("messages"));
        check(r#"{"model":"c","messages":"x"}"#, Some("messages"));
        check(r#"{"model":"c","messages":[],"stream":"yes"}"#, Some("stream"));
        check(r#"{"model":"c","messages":[],"stream":true,"STREAM":false}"#, Some("stream"));
    }

    #[test]
    fn continuing_adds_turns_and_nothing_else() {
        let user = r#"{"role":"user","content":"hi"}"#;
        let answer = r#"{"role":"assistant","content":"a\"b"}"#;
        let ask = format!(r#"{{"role":"user","content":"{ASK}"}}"#);
        let check = |messages: &str, how, expected: &str| {
            let body = format!(r#"{{"x":1.0, "messages":[{messages} ] ,"model":"m","y":-0}}"#);
            let seen = continue_from(&Bytes::from(body.clone()), &look(&body), "o", "a\"b", how);
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
        let blocks = |blocks: &str| format!(r#"{{"role":"assistant","content":[{blocks}]}}"#);
        let text = r#"{"type":"text","text":"so: "}"#;
        let longer = r#"{"type":"text","text":"so: a\"b"}"#;
        check(&blocks(text), Continuation::Prefill, &blocks(longer));
        let added = r#"{"type":"text","text":"a\"b"}"#;
        check(&blocks(""), Continuation::Prefill, &blocks(added));
        let thought = r#"{"type":"thinking","thinking":"","signature":"s"}"#;
        check(&blocks(thought), Continuation::Prefill, &blocks(&format!("{thought},{added}")));
    }

    #[test]
    fn nothing_to_continue_is_the_request_itself() {
        let body = r#"{"model":"a","messages":[7]}"#;
        let check = |partial, how, expected: &str| {
            let seen = continue_from(&Bytes::from(body), &look(body), "b", partial, how).unwrap();
            assert_eq!(std::str::from_utf8(&seen), Ok(expected));
        };
        check("", Continuation::Ask, r#"{"model":"b","messages":[7]}"#);
        check(" \n", Continuation::Ask, r#"{"model":"b","messages":[7]}"#);
        check(
            "x \n",
            Continuation::Prefill,
            r#"{"model":"b","messages":[7,{"role":"assistant","content":"x"}]}"#,
        );
    }

    #[test]
    fn a_system_prompt_is_put_into_a_template() {
        let check = |body: &str, template, expected: &str| {
            let seen = with_system(&Bytes::from(body.to_owned()), template);
            assert_eq!(std::str::from_utf8(&seen), Ok(expected));
        };
        let own = r#"{"a":1e2, "system" : "be \"x\"" }"#;
        check(own, "[{{system}}]", r#"{"a":1e2, "system" : "[be \"x\"]" }"#);
        check(own, "new", r#"{"a":1e2, "system" : "new" }"#);
        check(own, "", r#"{"a":1e2 }"#);
        check(r#"{"a":1}"#, "new", r#"{"system":"new","a":1}"#);
        check("{}", "new", r#"{"system":"new"}"#);
        check(r#"{"a":1}"#, "{{system}}", r#"{"a":1}"#);
        check(
            r#"{"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}]}"#,
            "{{system}}!",
            r#"{"system":[{"type":"text","text":"a\n\nb!","cache_control":{"type":"ephemeral"}}]}"#,
        );
        check("[]", "x", "[]");
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..200), near in "\\{\"(model|messages|system)\":[\\[\\]\\{\\}\",:0-9a]{0,30}\\}") {
            for body in [&body[..], near.as_bytes()] {
                let bytes = Bytes::copy_from_slice(body);
                let _ = with_system(&bytes, "x{{system}}");
                if let Ok(seen) = peek(Task::Generate, body, &Address::default()) {
                    let _ = continue_from(&bytes, &seen, "m", "x", Continuation::Ask);
                }
            }
        }

        #[test]
        fn continuing_any_messages_never_panics(inner in "[\\[\\]\\{\\}\",:a-c]{0,30}") {
            let body = format!("{{\"model\":\"m\",\"messages\":[{inner}]}}");
            if let Ok(seen) = peek(Task::Generate, body.as_bytes(), &Address::default()) {
                let out = continue_from(&Bytes::from(body), &seen, "m", "x", Continuation::Prefill).unwrap();
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
            }
        }
    }
}
