//! Requests as bytes: the peek, the request that continues a broken answer, and
//! another system prompt. Every byte that is not named stays as it was. Must not
//! know the internal form; that is [`read`](super::read) and
//! [`write`](super::write).

use std::sync::LazyLock;

use bytes::Bytes;

use super::fields::{field, texts};
use crate::dialect::json::{self, Item, Items, Patch, Span};
use crate::dialect::node::Node;
use crate::dialect::peeking::{self, Blobs, Field as _, Mark, Marks};
use crate::dialect::request::{ASK, Address, BadRequest, Continuation, Peek, Task};
use crate::failover::call::Features;

/// What is looked at. Keys in `snake_case` are known to the server too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Contents,
    Content,
    Requests,
    GenerateContentRequest,
    SnakeGenerateContentRequest,
    SystemInstruction,
    SnakeSystemInstruction,
    Tools,
    GenerationConfig,
    SnakeGenerationConfig,
}

impl peeking::Field for Field {
    const NAMES: &'static [&'static str] = &[
        "contents",
        "content",
        "requests",
        "generateContentRequest",
        "generate_content_request",
        "systemInstruction",
        "system_instruction",
        "tools",
        "generationConfig",
        "generation_config",
    ];

    fn place(self) -> usize {
        self as usize
    }
}

type Fields<'a> = peeking::Fields<'a, Field>;

static IMAGES: LazyLock<Marks> = LazyLock::new(|| {
    Marks::new(&[Mark::Begins("mimeType", "image/"), Mark::Begins("mime_type", "image/")])
});
static BLOBS: LazyLock<Blobs> =
    LazyLock::new(|| Blobs::new(&["data", "thoughtSignature", "thought_signature"]));

/// Takes out of a body what routing needs. The model, and whether a stream is
/// wanted, say the URL.
pub fn peek(task: Task, body: &[u8], address: &Address) -> Result<Peek, BadRequest> {
    let fields = Fields::of(body)?;
    let model = address.model.clone().ok_or_else(|| peeking::missing("model"))?;
    let input = input(task, &fields)?;
    let system =
        either(&fields, Field::SystemInstruction, Field::SnakeSystemInstruction)?.unwrap_or("");
    let tools = fields.get(Field::Tools).unwrap_or("");
    let config =
        either(&fields, Field::GenerationConfig, Field::SnakeGenerationConfig)?.map(Node::new);
    let config = |name: &str| config.and_then(|config| field(config, name));
    let schema = config("responseSchema").or_else(|| config("responseJsonSchema"));
    let images = IMAGES.count(input);
    let bytes = input.len() - BLOBS.bytes(input) + system.len() + tools.len();
    Ok(Peek {
        model,
        model_span: None,
        turns: fields.span(Field::Contents),
        stream: address.stream,
        include_usage: true,
        choices: config("candidateCount").and_then(Node::u32).unwrap_or(1).max(1),
        max_output_tokens: config("maxOutputTokens").and_then(Node::u32),
        needs: Features::NONE
            .with(Features::STREAMING, address.stream)
            .with(Features::TOOLS, fields.filled(Field::Tools))
            .with(
                Features::JSON_SCHEMA,
                schema.is_some() || promises_json(config("responseMimeType")),
            )
            .with(Features::VISION, images > 0)
            .with(Features::REASONING, config("thinkingConfig").is_some_and(thinks)),
        input_tokens: peeking::tokens(bytes + schema.map_or(0, |s| s.raw().len()), images),
    })
}

/// The contents, or the texts to embed.
fn input<'a>(task: Task, fields: &Fields<'a>) -> Result<&'a str, BadRequest> {
    match task {
        Task::Generate => fields.array(Field::Contents),
        Task::Embed => fields.required(Field::Content),
        Task::EmbedBatch => fields.array(Field::Requests),
        Task::CountTokens => {
            let whole =
                either(fields, Field::GenerateContentRequest, Field::SnakeGenerateContentRequest)?;
            Ok(whole.or_else(|| fields.get(Field::Contents)).unwrap_or(""))
        }
    }
}

/// A field by either of its names; both at once are as bad as the same twice.
fn either<'a>(
    fields: &Fields<'a>,
    camel: Field,
    snake: Field,
) -> Result<Option<&'a str>, BadRequest> {
    match (fields.get(camel), fields.get(snake)) {
        (Some(_), Some(_)) => {
            let (camel, snake) = (camel.name(), snake.name());
            let message = format!("{camel} occurs twice, once as {snake}");
            Err(BadRequest::new("duplicate_field", Some(camel), message))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn promises_json(media_type: Option<Node<'_>>) -> bool {
    media_type.and_then(Node::str).is_some_and(|kind| kind == "application/json")
}

/// Whether a thinking configuration asks for thoughts, and not for none.
fn thinks(config: Node<'_>) -> bool {
    let budget = field(config, "thinkingBudget");
    field(config, "thinkingLevel").is_some() || budget.is_some_and(|budget| budget.raw() != "0")
}

/// The request that continues a broken answer at another target of this
/// dialect: the client's, with the answer so far as the last content. A content
/// of the model that the client put there itself is extended. The model is in
/// the URL.
pub fn continue_from(
    body: &Bytes,
    peek: &Peek,
    _model: &str,
    partial: &str,
    how: Continuation,
) -> Result<Bytes, BadRequest> {
    if partial.is_empty() {
        return Ok(body.clone());
    }
    let contents = peek.turns.as_ref().ok_or_else(|| peeking::missing("contents"))?;
    Ok(json::patch(body, turns(body, contents, partial, how)))
}

fn turns(body: &[u8], contents: &Span, partial: &str, how: Continuation) -> Vec<Patch> {
    let last = Items::new(body, contents).last();
    let text = format!(r#"{{"text":{}}}"#, json::quote(partial));
    let mut patches = Vec::new();
    let mut added = Vec::new();
    match last.as_ref().and_then(|last| begun(body, last)) {
        Some(after) => patches.push(Patch { span: after..after, text: format!(",{text}") }),
        None => added.push(format!(r#"{{"role":"model","parts":[{text}]}}"#)),
    }
    if how == Continuation::Ask {
        added.push(format!(r#"{{"role":"user","parts":[{{"text":{}}}]}}"#, json::quote(ASK)));
    }
    if !added.is_empty() {
        patches.push(json::append(contents, last.as_ref(), &added.join(",")));
    }
    patches
}

/// Where the parts of a content end, if it is one of the model's that calls no
/// function.
fn begun(body: &[u8], content: &Item) -> Option<usize> {
    let text = std::str::from_utf8(body.get(content.value.clone())?).ok()?;
    let node = Node::new(text);
    let parts = node.get("parts")?;
    let calls = parts.items().any(|part| field(part, "functionCall").is_some());
    if calls || node.text("role")? != "model" {
        return None;
    }
    let last = parts.items().last()?;
    let within = peeking::span(text, last.raw());
    Some(content.value.start + within.end)
}

/// The body with its system prompt put into a template (`{{system}}` stands for
/// the client's own; without it the template replaces it).
#[must_use]
pub fn with_system(body: &Bytes, template: &str) -> Bytes {
    let named = Items::new(body, &json::whole(body)).filter(|item| {
        let is = |name| item.key.as_ref().is_some_and(|key| json::key_is(body, key, name));
        is("systemInstruction") || is("system_instruction")
    });
    let found = named.last();
    let own = found.as_ref().and_then(|item| std::str::from_utf8(&body[item.value.clone()]).ok());
    let own = own.map(|own| texts(Node::new(own)).join("\n\n")).unwrap_or_default();
    let text = template.replace("{{system}}", &own);
    let content = format!(r#"{{"parts":[{{"text":{}}}]}}"#, json::quote(&text));
    let patch = match found {
        Some(item) if text.is_empty() => Patch { span: item.removal(), text: String::new() },
        Some(item) => Patch { span: item.value, text: content },
        None if text.is_empty() => return body.clone(),
        None => {
            let whole = json::whole(body);
            if whole.is_empty() {
                return body.clone();
            }
            json::prepend(body, &whole, &format!(r#""systemInstruction":{content}"#))
        }
    };
    json::patch(body, vec![patch])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address() -> Address {
        Address { model: Some("g".to_owned()), ..Address::default() }
    }

    fn generate(body: &str) -> Result<Peek, BadRequest> {
        peek(Task::Generate, body.as_bytes(), &address())
    }

    #[test]
    fn needs_and_limits() {
        let check = |fields: &str, expected: Features| {
            let body = format!(r#"{{"contents":[{{"parts":[{{"text":"x"}}]}}]{fields}}}"#);
            assert_eq!(generate(&body).unwrap().needs, expected, "{fields}");
        };
        check("", Features::NONE);
        check(r#","tools":[]"#, Features::NONE);
        check(r#","tools":[{}]"#, Features::TOOLS);
        let config = |config: &str, expected| {
            check(&format!(r#","generationConfig":{config}"#), expected);
            check(&format!(r#","generation_config":{config}"#), expected);
        };
        config(r#"{"responseMimeType":"application/json"}"#, Features::JSON_SCHEMA);
        config(r#"{"response_mime_type":"text/plain"}"#, Features::NONE);
        config(r#"{"response_schema":{}}"#, Features::JSON_SCHEMA);
        config(r#"{"responseJsonSchema":{}}"#, Features::JSON_SCHEMA);
        config(r#"{"thinkingConfig":{"thinkingBudget":0}}"#, Features::NONE);
        config(r#"{"thinking_config":{"thinking_level":"LOW"}}"#, Features::REASONING);
        config(r#"{"thinkingConfig":{"includeThoughts":true}}"#, Features::NONE);
        let image = r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png"}}]}]}"#;
        assert_eq!(generate(image).unwrap().needs, Features::VISION);

        let body =
            r#"{"contents":[],"generationConfig":{"candidateCount":3,"max_output_tokens":9}}"#;
        let seen = generate(body).unwrap();
        assert_eq!((seen.choices, seen.max_output_tokens), (3, Some(9)));
        assert_eq!(&body[seen.turns.unwrap()], "[]");
        let streamed = Address { stream: true, ..address() };
        let seen = peek(Task::Generate, body.as_bytes(), &streamed).unwrap();
        assert!(seen.stream && seen.include_usage && seen.needs == Features::STREAMING);
    }

    #[test]
    fn tasks_ask_for_their_own_fields() {
        let check = |task, body: &str, expected: Result<(), &str>| {
            let seen = peek(task, body.as_bytes(), &address());
            let seen = seen.map(|_| ()).map_err(|error| error.code);
            assert_eq!(seen, expected, "{body}");
        };
        let missing = Err("missing_required_parameter");
        check(Task::Generate, "{}", missing);
        check(Task::Generate, r#"{"contents":{}}"#, Err("invalid_value"));
        check(Task::Generate, "[]", Err("invalid_json"));
        check(Task::Embed, r#"{"content":{}}"#, Ok(()));
        check(Task::Embed, r#"{"contents":[]}"#, missing);
        check(Task::EmbedBatch, r#"{"requests":[]}"#, Ok(()));
        check(Task::EmbedBatch, r#"{"content":{}}"#, missing);
        check(Task::CountTokens, r#"{"contents":[]}"#, Ok(()));
        check(Task::CountTokens, r#"{"generateContentRequest":{}}"#, Ok(()));
        let twice = r#"{"contents":[],"systemInstruction":{},"system_instruction":{}}"#;
        check(Task::Generate, twice, Err("duplicate_field"));
        check(Task::Generate, r#"{"contents":[],"tools":[],"tools":[]}"#, Err("duplicate_field"));
        let unnamed = peek(Task::Generate, br#"{"contents":[]}"#, &Address::default());
        assert_eq!(unnamed.unwrap_err().param, Some("model"));
    }

    #[test]
    fn the_input_is_estimated_without_its_media() {
        let data = "QUFB".repeat(1000);
        let body = format!(
            r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}]}}]}}"#
        );
        let tokens = generate(&body).unwrap().input_tokens;
        assert!((1000..1050).contains(&tokens), "{tokens}");
        let text =
            format!(r#"{{"contents":[{{"parts":[{{"text":"{}"}}]}}]}}"#, "word ".repeat(800));
        assert!((1000..1050).contains(&generate(&text).unwrap().input_tokens));
    }

    #[test]
    fn a_broken_answer_is_continued() {
        let check = |contents: &str, how, expected: &str| {
            let body = Bytes::from(format!(r#"{{"contents" : {contents}, "x":1e2}}"#));
            let peek = generate(std::str::from_utf8(&body).unwrap()).unwrap();
            let seen = continue_from(&body, &peek, "m", "so \"far", how).unwrap();
            let expected = format!(r#"{{"contents" : {expected}, "x":1e2}}"#);
            assert_eq!(std::str::from_utf8(&seen), Ok(&*expected));
        };
        let user = r#"{"parts":[{"text":"q"}]}"#;
        let model = r#"{"role":"model","parts":[{"text":"so \"far"}]}"#;
        let ask = format!(r#"{{"role":"user","parts":[{{"text":"{ASK}"}}]}}"#);
        check(&format!("[{user}]"), Continuation::Prefill, &format!("[{user},{model}]"));
        check(&format!("[{user} ]"), Continuation::Ask, &format!("[{user},{model},{ask} ]"));
        check("[]", Continuation::Ask, &format!("[{model},{ask}]"));
        let begun = r#"{"parts":[{"text":"a"} ],"role":"model"}"#;
        let more = r#"{"parts":[{"text":"a"},{"text":"so \"far"} ],"role":"model"}"#;
        check(&format!("[{begun}]"), Continuation::Prefill, &format!("[{more}]"));
        check(&format!("[{begun}]"), Continuation::Ask, &format!("[{more},{ask}]"));
        let calls = r#"{"role":"model","parts":[{"function_call":{"name":"f"}}]}"#;
        check(&format!("[{calls}]"), Continuation::Prefill, &format!("[{calls},{model}]"));
    }

    #[test]
    fn the_system_prompt_is_put_into_a_template() {
        let check = |body: &'static str, template: &str, expected: &str| {
            let seen = with_system(&Bytes::from_static(body.as_bytes()), template);
            assert_eq!(std::str::from_utf8(&seen), Ok(expected));
        };
        let own = r#"{"contents":[], "system_instruction":{"parts":[{"text":"a\n"},{"text":"b"}]}, "x":1}"#;
        check(
            own,
            "Be brief. {{system}}!",
            r#"{"contents":[], "system_instruction":{"parts":[{"text":"Be brief. a\n\n\nb!"}]}, "x":1}"#,
        );
        check(
            own,
            "New",
            r#"{"contents":[], "system_instruction":{"parts":[{"text":"New"}]}, "x":1}"#,
        );
        check(own, "", r#"{"contents":[],  "x":1}"#);
        check(
            r#"{"contents":[]}"#,
            "[{{system}}]",
            r#"{"systemInstruction":{"parts":[{"text":"[]"}]},"contents":[]}"#,
        );
        check(r#"{"contents":[]}"#, "{{system}}", r#"{"contents":[]}"#);
        check(" {}", "x", r#" {"systemInstruction":{"parts":[{"text":"x"}]}}"#);
        check("", "x", "");
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..100), near in "\\{\"(contents|systemInstruction|generationConfig)\":[\\{\\}\\[\\]\"0-9a-z:, ]{0,30}\\}") {
            for body in [Bytes::from(body), Bytes::from(near)] {
                for task in [Task::Generate, Task::Embed, Task::EmbedBatch, Task::CountTokens] {
                    if let Ok(peek) = peek(task, &body, &address()) {
                        let _ = continue_from(&body, &peek, "m", "x", Continuation::Ask);
                    }
                }
                let _ = with_system(&body, "x {{system}}");
            }
        }
    }
}
