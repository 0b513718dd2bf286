use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::dialect::hub::request::MOST_OTHERS;
use crate::dialect::hub::{Role, ToolChoice};

const CODEX: &str = include_str!("../../../tests/golden/dialects/responses/codex-request.json");
const REQUEST: &str = include_str!("../../../tests/golden/dialects/responses/request.json");

fn read(body: &str) -> Result<Request<'_>, BadRequest> {
    read_request(body, &Address::default())
}

/// A turn in one line.
pub fn shown(request: &Request<'_>) -> Vec<String> {
    let turns = request.turns.iter().map(|turn| {
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
        };
        turn.blocks.iter().fold(format!("{role}:"), |line, block| line + " " + &block_shown(block))
    });
    turns.collect()
}

fn block_shown(block: &Block<'_>) -> String {
    match block {
        Block::Text(text) => format!("{text:?}"),
        Block::Media(media) => {
            let mut line = format!("{:?}[{}]", media.kind, media.media_type);
            write!(line, "{:?}", media.source).unwrap();
            for extra in [&media.name, &media.detail].into_iter().flatten() {
                write!(line, "+{extra}").unwrap();
            }
            line
        }
        Block::Thought(thought) => {
            let proof = thought.signature.as_ref().map(|proof| &*proof.value);
            format!("thought({:?}, {proof:?}, {})", thought.text, thought.redacted)
        }
        Block::Call(call) => {
            let kind = if call.free_text { "custom" } else { "call" };
            format!("{kind}({:?}, {}, {:?})", call.id.as_deref(), call.name, call.arguments)
        }
        Block::Result(result) => {
            let content: Vec<String> = result.content.iter().map(block_shown).collect();
            let error = if result.is_error { "!" } else { "" };
            format!("result{error}({:?}, {})", result.id.as_deref(), content.join(", "))
        }
        Block::Refusal(text) => format!("refusal({text:?})"),
        Block::CachePoint(ttl) => format!("cache({ttl:?})"),
    }
}

fn others(request: &Request<'_>) -> Vec<(String, Gravity)> {
    let hosted = request.hosted.iter().map(|tool| (tool.to_string(), request.hosted_gravity()));
    let others = request.others.iter().map(|other| (other.field.to_string(), other.gravity));
    others.chain(hosted).collect()
}

#[test]
fn a_request_of_codex() {
    let request = read(CODEX).unwrap();
    let system =
        ["You are a coding agent running in a terminal.", "<permissions>read-only</permissions>"];
    assert_eq!(request.system, system.map(|text| Block::Text(text.into())));
    let expected = [
        r#"user: "<environment_context>\n  <cwd>/srv/app</cwd>\n</environment_context>""#,
        r#"user: "fix the typo in README.md""#,
        concat!(
            r#"assistant: thought("**Looking at the file**", Some("gAAAAABopaque=="), false)"#,
            r#" "I'll read the file first.""#,
            r#" call(Some("call_9aX"), shell, "{\"command\":[\"cat\",\"README.md\"]}")"#,
            r#" call(Some("call_9aY"), shell, "{\"command\":[\"git\",\"status\"]}")"#,
        ),
        concat!(
            r##"user: result(Some("call_9aX"), "{\"output\":\"# Teh app\\n\",\"metadata\":{\"exit_code\":0}}")"##,
            r#" result(Some("call_9aY"), "clean", Image[image/png]Base64("iVBORw0KGgo="))"#,
        ),
        concat!(
            r#"assistant: custom(Some("call_9aZ"), apply_patch, "*** Begin Patch\n"#,
            r#"*** Update File: README.md\n-# Teh app\n+# The app\n*** End Patch\n")"#,
        ),
        r#"user: result(Some("call_9aZ"), "Success.")"#,
        r#"system: "<model_switch/>""#,
        r#"user: "thanks 😀, what does it look like?" Image[]Url("https://example.com/a.png")+high"#,
    ];
    assert_eq!(shown(&request), expected);
    assert_eq!(request.tools.len(), 2);
    assert!(request.tools[0].parameters.as_ref().unwrap().starts_with(r#"{"type": "object""#));
    assert_eq!((request.tools[0].strict, request.tools[1].free_text), (Some(false), true));
    let told = request.tools[1].description.as_ref().unwrap();
    assert_eq!(
        told,
        "Edits files.\n\nThe input must match this grammar (lark):\nstart: begin_patch hunk+ end_patch"
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Auto));
    assert_eq!(
        (request.parallel_tools, request.stream, request.include_usage),
        (Some(true), true, true)
    );
    let reasoning = Reasoning { effort: Some(Effort::Medium), budget: None, shown: Some(true) };
    assert_eq!(request.reasoning, Some(reasoning));
    let expected = [
        ("text.verbosity", Gravity::Tuning),
        ("prompt_cache_key", Gravity::Tuning),
        ("tools[].format", Gravity::Tuning),
        ("tools[].tool_search", Gravity::Tuning),
        ("tools[].web_search", Gravity::Tuning),
    ];
    let mut seen = others(&request);
    seen.sort();
    let mut expected = expected.map(|(field, gravity)| (field.to_owned(), gravity));
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_request_with_files_and_a_schema() {
    let request = read(REQUEST).unwrap();
    let expected = [
        concat!(
            r#"user: "What is in these?" cache(Some("30m"))"#,
            r#" Document[application/pdf]Base64("JVBERi0=")+a.pdf"#,
            r#" Document[]Url("https://example.com/b.pdf")"#,
        ),
        r#"assistant: "Two files." refusal("I cannot open them.")"#,
        r#"user: "Why?""#,
    ];
    assert_eq!(shown(&request), expected);
    assert_eq!(request.max_output_tokens, Some(300));
    assert_eq!((request.sampling.temperature, request.sampling.top_p), (Some("0.70"), Some("1")));
    assert_eq!((request.logprobs, request.user.as_deref()), (Some(2), Some("u-1")));
    let Some(Format::Schema { name, schema, strict, .. }) = &request.format else { panic!() };
    assert_eq!((name.as_deref(), *strict), (Some("reply"), Some(true)));
    assert!(schema.starts_with(r#"{"type": "object""#));
    let among = ToolChoice::Among { names: vec!["look".into()], required: true };
    assert_eq!(request.tool_choice, Some(among));
    assert_eq!(request.others, []);
}

#[test]
fn items_become_turns() {
    let check = |items: &str, expected: &[&str]| {
        let body = format!(r#"{{"model":"m","input":{items}}}"#);
        assert_eq!(shown(&read(&body).unwrap()), expected, "{items}");
    };
    check(r#""hi \ud800""#, &["user: \"hi \u{fffd}\""]);
    check("[]", &[]);
    check(r#"[{"role":"system","content":"s"}]"#, &[]);
    check(
        r#"[{"role":"user","content":"a"},{"role":"system","content":"s"}]"#,
        &[r#"user: "a""#, r#"system: "s""#],
    );
    check(r#"[{"type":"reasoning","summary":[],"id":"rs_1"}]"#, &[]);
    check(
        r#"[{"type":"reasoning","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}]}]"#,
        &[r#"assistant: thought("a\n\nb", None, false)"#],
    );
    check(
        r#"[{"type":"reasoning","summary":[],"encrypted_content":"x"}]"#,
        &[r#"assistant: thought("", Some("x"), true)"#],
    );
    check(
        r#"[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"QQ==","format":"mp3"}}]}]"#,
        &[r#"user: Audio[audio/mpeg]Base64("QQ==")"#],
    );
    check(
        r#"[{"role":"user","content":[{"type":"input_file","file_data":"QQ=="}]}]"#,
        &[r#"user: Document[application/pdf]Base64("QQ==")"#],
    );
    check(
        r#"[{"role":"user","content":[{"type":"input_image","image_url":"data:image\/png;base64,QQ=="}]}]"#,
        &[r#"user: Image[image/png]Base64("QQ==")"#],
    );
    check(
        r#"[{"type":"function_call_output","call_id":"c","output":{"a":1}}]"#,
        &[r#"user: result(Some("c"), "{\"a\":1}")"#],
    );
}

#[test]
fn what_has_no_place_is_noted() {
    let check = |fields: &str, expected: &[(&str, Gravity)]| {
        let body = format!(r#"{{"model":"m"{fields}}}"#);
        let expected: Vec<_> =
            expected.iter().map(|(field, gravity)| ((*field).to_owned(), *gravity)).collect();
        assert_eq!(others(&read(&body).unwrap()), expected, "{fields}");
    };
    let (tuning, meaning, vital) = (Gravity::Tuning, Gravity::Meaning, Gravity::Vital);
    for silent in [
        r#""store":false"#,
        r#""store":null"#,
        r#""metadata":{"a":"b"}"#,
        r#""client_metadata":{}"#,
        r#""service_tier":"flex""#,
        r#""truncation":"disabled""#,
        r#""background":false"#,
        r#""previous_response_id":null"#,
        r#""stream_options":{"include_obfuscation":false}"#,
        r#""text":{"format":{"type":"text"}}"#,
        r#""include":["reasoning.encrypted_content"]"#,
    ] {
        check(&format!(",{silent}"), &[]);
    }
    check(r#","store":true"#, &[("store", tuning)]);
    check(r#","truncation":"auto""#, &[("truncation", tuning)]);
    check(r#","prompt_cache_key":"k""#, &[("prompt_cache_key", tuning)]);
    check(r#","context_management":[]"#, &[("context_management", tuning)]);
    check(r#","max_tool_calls":3"#, &[("max_tool_calls", tuning)]);
    check(r#","text":{"verbosity":"high"}"#, &[("text.verbosity", tuning)]);
    check(r#","reasoning":{"effort":"vast"}"#, &[("reasoning.effort", tuning)]);
    check(r#","something_new":1,"something_new":2"#, &[("something_new", tuning)]);
    check(r#","moderation":{"policy":{"input":"score"}}"#, &[("moderation", tuning)]);
    check(r#","moderation":{"policy":{"input":"block"}}"#, &[("moderation", meaning)]);
    check(r#","previous_response_id":"resp_1""#, &[("previous_response_id", vital)]);
    check(r#","conversation":"conv_1""#, &[("conversation", vital)]);
    check(r#","prompt":{"id":"p"}"#, &[("prompt", vital)]);
    check(r#","background":true"#, &[("background", vital)]);
    check(r#","input":[{"type":"item_reference","id":"i"}]"#, &[("input[].item_reference", vital)]);
    check(r#","input":[{"id":"i"}]"#, &[("input[].item_reference", vital)]);
    check(
        r#","input":[{"type":"compaction","encrypted_content":"x"}]"#,
        &[("input[].compaction", vital)],
    );
    check(
        r#","input":[{"type":"web_search_call"},{"type":"web_search_call"}]"#,
        &[("input[].web_search_call", tuning)],
    );
    check(
        r#","input":[{"type":"image_generation_call"}]"#,
        &[("input[].image_generation_call", meaning)],
    );
    let part = |part: &str| format!(r#","input":[{{"role":"user","content":[{part}]}}]"#);
    let file_id = [("input[].content[].file_id", vital)];
    check(&part(r#"{"type":"input_file","file_id":"f"}"#), &file_id);
    check(&part(r#"{"type":"input_image","file_id":"f"}"#), &file_id);
    check(
        &part(r#"{"type":"input_image","image_url":"ftp:x"}"#),
        &[("input[].content[].image_url", vital)],
    );
    check(&part(r#"{"type":"new\n","x":1}"#), &[("input[].content[].new", meaning)]);
    for hosted in ["web_search", "file_search", "code_interpreter", "mcp", "tool_search"] {
        let fields = format!(r#","tools":[{{"type":"{hosted}"}}]"#);
        check(&fields, &[(&*format!("tools[].{hosted}"), meaning)]);
    }
    check(r#","tool_choice":{"type":"web_search"}"#, &[("tool_choice", meaning)]);
}

/// Beside tools of the client's own the model may do without, unless it must call
/// one, or they hold what is the client's.
#[test]
fn tools_of_the_provider_are_only_offered() {
    let beside = |tool: &str, choice: &str, gravity| {
        let own = r#"{"type":"function","name":"f"}"#;
        let fields = format!(r#","tools":[{{"type":"{tool}"}},{own}],"tool_choice":{choice}"#);
        let body = format!("{{{}}}", fields.trim_start_matches(','));
        let request = read(&body).unwrap();
        assert_eq!(others(&request), [(format!("tools[].{tool}"), gravity)], "{fields}");
    };
    let (tuning, meaning) = (Gravity::Tuning, Gravity::Meaning);
    for tool in ["web_search", "web_search_preview_2025_03_11", "image_generation", "tool_search"] {
        beside(tool, r#""auto""#, tuning);
        beside(tool, r#""none""#, tuning);
        beside(tool, r#"{"type":"function","name":"f"}"#, tuning);
        beside(tool, r#""required""#, meaning);
    }
    for tool in ["file_search", "mcp", "local_shell", "unheard_of"] {
        beside(tool, r#""auto""#, meaning);
    }
}

#[test]
fn choices_of_tools() {
    let check = |json: &str, expected: ToolChoice<'_>| {
        let body = format!(r#"{{"tool_choice":{json}}}"#);
        assert_eq!(read(&body).unwrap().tool_choice, Some(expected), "{json}");
    };
    check(r#""auto""#, ToolChoice::Auto);
    check(r#""none""#, ToolChoice::Never);
    check(r#""required""#, ToolChoice::Required);
    check(r#"{"type":"function","name":"f"}"#, ToolChoice::Named("f".into()));
    check(r#"{"type":"custom","name":"f"}"#, ToolChoice::Named("f".into()));
    let among = ToolChoice::Among { names: vec!["f".into()], required: false };
    check(
        r#"{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"},{"type":"mcp"}]}"#,
        among,
    );
}

#[test]
fn wrong_types_name_the_field() {
    let check = |fields: &str, param: &str| {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        let error = read(&body).unwrap_err();
        assert_eq!((error.code, error.param), ("invalid_value", Some(param)), "{fields}");
    };
    check(r#""input":7"#, "input");
    check(r#""input":[7]"#, "input");
    check(r#""input":[{}]"#, "input");
    check(r#""input":[{"role":"nobody","content":""}]"#, "input");
    check(r#""input":[{"role":"user","content":7}]"#, "input");
    check(r#""input":[{"role":"user","content":[{"text":"x"}]}]"#, "input");
    check(r#""input":[{"role":"user","content":[{"type":"input_text"}]}]"#, "input");
    check(r#""input":[{"type":"function_call","name":"f","arguments":""}]"#, "input");
    check(r#""input":[{"type":"function_call_output","output":""}]"#, "input");
    check(r#""instructions":7"#, "instructions");
    check(r#""max_output_tokens":"7""#, "max_output_tokens");
    check(r#""temperature":"hot""#, "temperature");
    check(r#""stream":1"#, "stream");
    check(r#""tools":{}"#, "tools");
    check(r#""tools":[{"type":"function"}]"#, "tools");
    check(r#""tool_choice":7"#, "tool_choice");
    check(r#""tool_choice":{"type":"function"}"#, "tool_choice");
    check(r#""text":{"format":{"type":"json_schema"}}"#, "text");
}

#[test]
fn notes_are_bounded() {
    let fields: String = (0..1000).fold(String::new(), |all, n| all + &format!(",\"x{n}\":0"));
    let body = format!(r#"{{"model":"m"{fields},"background":true}}"#);
    let request = read(&body).unwrap();
    assert_eq!(request.others.len(), MOST_OTHERS + 1);
    assert_eq!(request.others.last().map(|other| other.gravity), Some(Gravity::Vital));
}

/// Bytes that the blocks of a request hold on to, roughly.
fn held(request: &Request<'_>) -> usize {
    let block = |block: &Block<'_>| match block {
        Block::Call(_) => size_of::<crate::dialect::hub::Call<'_>>(),
        Block::Media(_) => size_of::<crate::dialect::hub::Media<'_>>(),
        Block::Thought(_) => size_of::<crate::dialect::hub::Thought<'_>>(),
        Block::Result(result) => {
            size_of::<crate::dialect::hub::ToolResult<'_>>()
                + result.content.capacity() * size_of::<Block<'_>>()
        }
        Block::Text(_) | Block::Refusal(_) | Block::CachePoint(_) => 0,
    };
    let turns = request.turns.capacity() * size_of::<crate::dialect::hub::Turn<'_>>();
    let tools = request.tools.capacity() * size_of::<crate::dialect::hub::Tool<'_>>();
    let blocks = request.turns.iter().map(|turn| {
        let blocks = turn.blocks.iter().map(block).sum::<usize>();
        blocks + turn.blocks.capacity() * size_of::<Block<'_>>()
    });
    turns + tools + blocks.sum::<usize>() + request.system.capacity() * size_of::<Block<'_>>()
}

#[test]
fn memory_is_a_small_multiple_of_the_text() {
    let check = |item: &str| {
        let count = if item.len() < 200 { 1000 } else { 10 };
        let body = format!(r#"{{"input":[{}]}}"#, vec![item; count].join(","));
        let request = read(&body).unwrap();
        assert!(held(&request) <= 4 * body.len(), "{item}: {} of {}", held(&request), body.len());
    };
    check(r#"{"role":"user","content":"a"}"#);
    check(r#"{"role":"user","content":[]}"#);
    check(r#"{"role":"assistant","content":"a"}"#);
    check(r#"{"role":"system","content":"a"}"#);
    check(r#"{"type":"function_call","call_id":"","name":"","arguments":""}"#);
    check(r#"{"type":"function_call_output","call_id":"","output":""}"#);
    check(r#"{"type":"custom_tool_call","call_id":"","name":"","input":""}"#);
    check(r#"{"type":"reasoning","encrypted_content":"a"}"#);
    check(r#"{"type":"x"}"#);
    let parts = vec![r#"{"type":"text","text":""}"#; 1000].join(",");
    check(&format!(r#"{{"role":"user","content":[{parts}]}}"#));
    let images = vec![r#"{"type":"input_image","image_url":"http://"}"#; 1000].join(",");
    check(&format!(r#"{{"role":"user","content":[{images}]}}"#));
    let tools = vec![r#"{"type":"function","name":""}"#; 1000].join(",");
    let body = format!(r#"{{"tools":[{tools}]}}"#);
    assert!(held(&read(&body).unwrap()) <= 4 * body.len());
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,60}", near in "(\\{|\\[|\\}|\\]|,|:|\"(input|type|role|content|user|message|function_call|text|tools|input_image|image_url|data:;base64,)\"){0,30}") {
        let _ = read(&text);
        let _ = read(&near);
        let _ = read(&format!("{{\"input\":[{near}"));
        let _ = read(&format!("{{\"tools\":[{near}],\"text\":{near}}}"));
    }
}
