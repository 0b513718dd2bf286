//! Requests of the Responses API as bytes: the peek, the request that continues
//! a broken answer, and the system prompt put into a template. Every byte that
//! is not named stays as it was. What requests mean, [`reading`](super::reading)
//! knows.

use std::sync::LazyLock;

use bytes::Bytes;

use super::input;
use crate::dialect::json::{self, Item, Items, Patch, Span};
use crate::dialect::node::Node;
use crate::dialect::peeking::{self, Blobs, Mark, Marks, missing, wrong};
use crate::dialect::request::{ASK, Address, BadRequest, Continuation, Peek, Task, model_patch};
use crate::failover::call::Features;

/// The fields that are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Model,
    Input,
    Instructions,
    Stream,
    MaxOutputTokens,
    Tools,
    Text,
    Reasoning,
}

impl peeking::Field for Field {
    const NAMES: &'static [&'static str] = &[
        "model",
        "input",
        "instructions",
        "stream",
        "max_output_tokens",
        "tools",
        "text",
        "reasoning",
    ];

    fn place(self) -> usize {
        self as usize
    }
}

type Fields<'a> = peeking::Fields<'a, Field>;

static IMAGES: LazyLock<Marks> = LazyLock::new(|| {
    Marks::new(&[Mark::Is("type", "input_image"), Mark::Is("type", "computer_screenshot")])
});

/// Files, and state that only its server can read.
static BLOBS: LazyLock<Blobs> =
    LazyLock::new(|| Blobs::new(&["file_data", "data", "encrypted_content"]));

/// Takes out of a body what routing needs. The input may be absent: stored
/// prompts and conversations have one of their own.
pub fn peek(task: Task, body: &[u8], address: &Address) -> Result<Peek, BadRequest> {
    match task {
        Task::Generate | Task::CountTokens => {}
        Task::Embed | Task::EmbedBatch => {
            return Err(BadRequest::new("unsupported", None, "this API has no embeddings"));
        }
    }
    let fields = Fields::of(body)?;
    let model = match (&address.model, fields.string(Field::Model)?) {
        (Some(model), _) => model.clone(),
        (None, Some(model)) => model,
        (None, None) => return Err(missing("model")),
    };
    let input = fields.get(Field::Input).unwrap_or("");
    if !(input.is_empty() || input.starts_with(['"', '['])) {
        return Err(wrong("input", "must be a string or an array"));
    }
    let stream = fields.flag(Field::Stream)?;
    let images = IMAGES.count(input);
    Ok(Peek {
        model,
        model_span: fields.span(Field::Model),
        turns: fields.span(Field::Input),
        stream,
        include_usage: true,
        choices: 1,
        max_output_tokens: fields.number(Field::MaxOutputTokens),
        needs: needs(&fields, stream, images > 0),
        input_tokens: tokens(&fields, input, images),
    })
}

fn needs(fields: &Fields<'_>, stream: bool, images: bool) -> Features {
    let text = Node::new(fields.get(Field::Text).unwrap_or(""));
    let format = text.get("format").and_then(|format| format.text("type"));
    let formatted = format.is_some_and(|kind| matches!(&*kind, "json_schema" | "json_object"));
    let reasoning = Node::new(fields.get(Field::Reasoning).unwrap_or(""));
    let effort = reasoning.text("effort");
    Features::NONE
        .with(Features::STREAMING, stream)
        .with(Features::TOOLS, fields.filled(Field::Tools))
        .with(Features::JSON_SCHEMA, formatted)
        .with(Features::VISION, images)
        .with(Features::REASONING, effort.is_some_and(|effort| effort != "none"))
}

fn tokens(fields: &Fields<'_>, input: &str, images: usize) -> u32 {
    let others =
        [Field::Instructions, Field::Tools].map(|field| fields.get(field).map_or(0, str::len));
    let text = input.len().saturating_sub(BLOBS.bytes(input));
    peeking::tokens(text + others.iter().sum::<usize>(), images)
}

/// The request that continues a broken answer at another target of this
/// dialect: the client's, with the answer so far as an item and a user's item
/// that asks for the rest. A model of this API answers anew after a turn of the
/// assistant, so that it is asked whatever the continuation.
pub fn continue_from(
    body: &Bytes,
    peek: &Peek,
    model: &str,
    partial: &str,
    how: Continuation,
) -> Result<Bytes, BadRequest> {
    match how {
        Continuation::Prefill | Continuation::Ask => {}
    }
    let mut patches: Vec<Patch> =
        peek.model_span.iter().map(|span| model_patch(span, model)).collect();
    if !partial.is_empty() {
        let input = peek.turns.as_ref().ok_or_else(|| missing("input"))?;
        patches.extend(turns(body, input, partial));
    }
    Ok(json::patch(body, patches))
}

fn turns(body: &[u8], input: &Span, partial: &str) -> Vec<Patch> {
    let partial = json::quote(partial);
    let ask = json::quote(ASK);
    let added = format!(
        r#"{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":{partial}}}]}},{{"type":"message","role":"user","content":[{{"type":"input_text","text":{ask}}}]}}"#
    );
    let insert = |at: usize, text: String| Patch { span: at..at, text };
    if body.get(input.start) == Some(&b'"') {
        let before = r#"[{"type":"message","role":"user","content":"#.to_owned();
        return vec![insert(input.start, before), insert(input.end, format!("}},{added}]"))];
    }
    let last = Items::new(body, input).last();
    vec![json::append(input, last.as_ref(), &added)]
}

/// The body with its system prompt put into a template (`{{system}}` stands for
/// the client's own; without it the template replaces it). The client's own are
/// the instructions and the system's messages before all others; they become
/// the instructions.
#[must_use]
pub fn with_system(body: &Bytes, template: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    let whole = json::whole(body);
    let (mut instructions, mut input, mut first) = (None, None, None);
    for item in Items::new(body, &whole) {
        let Some(key) = &item.key else { break };
        if json::key_is(body, key, "instructions") {
            instructions = Some(item.value.clone());
        } else if json::key_is(body, key, "input") {
            input = Some(item.value.clone());
        }
        first.get_or_insert(item);
    }
    let (leading, removal) = input.map_or_else(Default::default, |span| leading(text, &span));
    let own = instructions.clone().and_then(|span| json::unquote(&text[span]));
    let mut texts: Vec<_> = own.into_iter().filter(|text| !text.is_empty()).collect();
    texts.extend(leading);
    let system = json::quote(&template.replace("{{system}}", &texts.join("\n\n")));
    let mut patches: Vec<Patch> =
        removal.map(|span| Patch { span, text: String::new() }).into_iter().collect();
    match (instructions, first) {
        (Some(span), _) => patches.push(Patch { span, text: system }),
        (None, Some(first)) => patches.push(new_field(&first, &system)),
        (None, None) => return body.clone(),
    }
    json::patch(body, patches)
}

/// The instructions as the body's first member.
fn new_field(first: &Item, system: &str) -> Patch {
    let at = first.key.as_ref().map_or(first.value.start, |key| key.start);
    Patch { span: at..at, text: format!(r#""instructions":{system},"#) }
}

/// The texts of the system's messages before all others, and where they lie.
fn leading<'a>(text: &'a str, input: &Span) -> (Vec<std::borrow::Cow<'a, str>>, Option<Span>) {
    let mut texts = Vec::new();
    let mut start = None;
    let mut end = input.start;
    for item in Items::new(text.as_bytes(), input) {
        let Some(system) = input::system_texts(Node::new(&text[item.value.clone()])) else {
            return (texts, start.map(|start| start..item.value.start));
        };
        texts.extend(system);
        start.get_or_insert(item.value.start);
        end = item.value.end;
    }
    (texts, start.map(|start| start..end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(body: &str) -> Peek {
        peek(Task::Generate, body.as_bytes(), &Address::default()).unwrap()
    }

    #[test]
    fn needs_and_limits() {
        let check = |fields: &str, expected: Features| {
            let body = format!(r#"{{"model":"a","input":"x"{fields}}}"#);
            assert_eq!(seen(&body).needs, expected, "{fields}");
        };
        check("", Features::NONE);
        check(r#","stream":true"#, Features::STREAMING);
        check(r#","tools":[]"#, Features::NONE);
        check(r#","tools":[{}]"#, Features::TOOLS);
        check(r#","text":{"format":{"type":"json_schema"}}"#, Features::JSON_SCHEMA);
        check(r#","text":{"format":{"type":"text"},"verbosity":"low"}"#, Features::NONE);
        check(r#","reasoning":{"effort":"low"}"#, Features::REASONING);
        check(r#","reasoning":{"effort":"none"}"#, Features::NONE);
        check(r#","reasoning":null"#, Features::NONE);
        let image = r#"{"model":"a","input":[{"content":[{"type":"input_image"}]}]}"#;
        assert_eq!(seen(image).needs, Features::VISION);
        let peek = seen(r#"{"model":"a","input":"x","max_output_tokens":9,"n":3}"#);
        assert_eq!((peek.choices, peek.max_output_tokens, peek.include_usage), (1, Some(9), true));
        assert_eq!(seen(r#"{"model":"a","prompt":{"id":"p"}}"#).turns, None);
    }

    #[test]
    fn tokens_are_estimated() {
        let text = format!(r#"{{"model":"a","input":"{}"}}"#, "word ".repeat(800));
        assert!((1000..1010).contains(&seen(&text).input_tokens));
        let blob = "A".repeat(1 << 20);
        let image = format!(
            r#"{{"model":"a","input":[{{"type":"reasoning","encrypted_content":"{blob}"}},{{"content":[{{"type":"input_image","image_url":"data:image/png;base64,{blob}"}}]}}]}}"#
        );
        assert!((1000..1060).contains(&seen(&image).input_tokens));
    }

    #[test]
    fn bad_requests_name_the_field() {
        let check = |body: &str, code: &str, param: Option<&str>| {
            let error = peek(Task::Generate, body.as_bytes(), &Address::default()).unwrap_err();
            assert_eq!((error.code, error.param), (code, param), "{body}");
        };
        check("[]", "invalid_json", None);
        check(r#"{"input":"x"}"#, "missing_required_parameter", Some("model"));
        check(r#"{"model":7,"input":"x"}"#, "invalid_value", Some("model"));
        check(r#"{"model":"a","input":{}}"#, "invalid_value", Some("input"));
        check(r#"{"model":"a","input":"x","stream":"yes"}"#, "invalid_value", Some("stream"));
        check(r#"{"model":"a","input":"x","model":"b"}"#, "duplicate_field", Some("model"));
        assert!(peek(Task::Embed, b"{}", &Address::default()).is_err());
    }

    #[test]
    fn continuing_adds_items_and_nothing_else() {
        let ask = json::quote(ASK);
        let added = format!(
            r#"{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"a\"b"}}]}},{{"type":"message","role":"user","content":[{{"type":"input_text","text":{ask}}}]}}"#
        );
        let check = |input: &str, expected: &str| {
            for how in [Continuation::Prefill, Continuation::Ask] {
                let body = format!(r#"{{"x":1.0, "input" :{input} ,"model":"m","y":-0}}"#);
                let out = continue_from(&Bytes::from(body.clone()), &seen(&body), "o", "a\"b", how);
                let expected = format!(r#"{{"x":1.0, "input" :{expected} ,"model":"o","y":-0}}"#);
                assert_eq!(std::str::from_utf8(&out.unwrap()), Ok(&*expected));
            }
        };
        check(
            r#""h\u00e9""#,
            &format!(r#"[{{"type":"message","role":"user","content":"h\u00e9"}},{added}]"#),
        );
        check("[ ]", &format!("[{added} ]"));
        check(r#"[{"role":"user"} ]"#, &format!(r#"[{{"role":"user"}},{added} ]"#));
        let bare = Bytes::from_static(br#"{"model":"m"}"#);
        let peek = seen(r#"{"model":"m"}"#);
        assert!(continue_from(&bare, &peek, "o", "x", Continuation::Ask).is_err());
        let same = continue_from(&bare, &peek, "o", "", Continuation::Ask).unwrap();
        assert_eq!(&same[..], br#"{"model":"o"}"#);
    }

    #[test]
    fn a_template_takes_the_system_prompt_in() {
        let check = |body: &str, template: &str, expected: &str| {
            let out = with_system(&Bytes::from(body.to_owned()), template);
            assert_eq!(std::str::from_utf8(&out), Ok(expected), "{body}");
        };
        check(
            r#"{"model":"m", "instructions": "be\n" ,"x":1}"#,
            "<{{system}}>",
            r#"{"model":"m", "instructions": "<be\n>" ,"x":1}"#,
        );
        check(r#"{"model":"m"}"#, "Be.", r#"{"instructions":"Be.","model":"m"}"#);
        check(
            r#"{"instructions":"a","input":[{"role":"developer","content":"b"}, {"type":"message","role":"system","content":[{"type":"input_text","text":"c"}]} , {"role":"user","content":"d"}]}"#,
            "{{system}}!",
            r#"{"instructions":"a\n\nb\n\nc!","input":[{"role":"user","content":"d"}]}"#,
        );
        check(
            r#"{"input":[ {"role":"system","content":"b"} ],"model":"m"}"#,
            "x",
            r#"{"instructions":"x","input":[  ],"model":"m"}"#,
        );
        check(r#"{"instructions":null,"input":"q"}"#, "x", r#"{"instructions":"x","input":"q"}"#);
        check("{}", "x", "{}");
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"(model|input|instructions|text|reasoning)\":[\\{\\}\\[\\]\"0-9a-z:, ]{0,30}\\}") {
            let _ = peek(Task::Generate, &body, &Address::default());
            let _ = with_system(&Bytes::from(body), "{{system}}");
            let _ = with_system(&Bytes::from(near.clone()), "{{system}}");
            if let Ok(seen) = peek(Task::CountTokens, near.as_bytes(), &Address::default()) {
                let _ = continue_from(&Bytes::from(near), &seen, "o", "x", Continuation::Ask);
            }
        }
    }
}
