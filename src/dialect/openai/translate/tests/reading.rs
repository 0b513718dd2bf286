use proptest::prelude::*;

use super::super::read_request;
use crate::dialect::hub::{
    Block, Effort, Format, Gravity, Media, MediaKind, Request, Role, Source, ToolChoice,
};
use crate::dialect::request::Address;

fn read(body: &str) -> Request<'_> {
    read_request(body, &Address::default()).unwrap()
}

fn media(media: &Media<'_>) -> String {
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
    };
    let source = match &media.source {
        Source::Base64(data) => format!("base64:{data}"),
        Source::Url(url) => format!("url:{url}"),
        Source::Text(text) => format!("text:{text}"),
    };
    let name = media.name.as_ref().map(|name| format!(" name={name}")).unwrap_or_default();
    let detail = media.detail.as_ref().map(|d| format!(" detail={d}")).unwrap_or_default();
    format!("{kind}({} {source}{name}{detail})", media.media_type)
}

fn block(block: &Block<'_>) -> String {
    match block {
        Block::Text(text) => format!("{text:?}"),
        Block::Media(of) => media(of),
        Block::Thought(thought) => format!("thought {:?}", thought.text),
        Block::Call(call) => {
            let kind = if call.free_text { "free" } else { "call" };
            let id = call.id.as_deref().unwrap_or("-");
            let proof = call.signature.as_ref().map(|s| format!(" {}:{}", s.by.label(), s.value));
            format!("{kind} {id} {}({}){}", call.name, call.arguments, proof.unwrap_or_default())
        }
        Block::Result(result) => {
            let content: Vec<String> = result.content.iter().map(self::block).collect();
            let (id, name) = (result.id.as_deref(), result.name.as_deref());
            format!("result {} {} [{}]", id.unwrap_or("-"), name.unwrap_or("-"), content.join(" "))
        }
        Block::Refusal(text) => format!("refusal {text:?}"),
        Block::CachePoint(ttl) => format!("cache {}", ttl.as_deref().unwrap_or("-")),
    }
}

fn blocks(blocks: &[Block<'_>]) -> String {
    blocks.iter().map(block).collect::<Vec<_>>().join(" ")
}

fn others(request: &Request<'_>) -> Vec<String> {
    let gravity = |gravity: Gravity| match gravity {
        Gravity::Nothing => "S",
        Gravity::Tuning => "W",
        Gravity::Meaning => "E",
        Gravity::Vital => "V",
    };
    request
        .others
        .iter()
        .map(|other| format!("{} {}", gravity(other.gravity), other.field))
        .collect()
}

/// Messages, as the conversation that is read: `system: ..`, `user: ..`.
fn check(messages: &str, expected: &[&str], lost: &[&str]) {
    let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
    let request = read(&body);
    let mut seen = Vec::new();
    if !request.system.is_empty() {
        seen.push(format!("prompt: {}", blocks(&request.system)));
    }
    for turn in &request.turns {
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
        };
        seen.push(format!("{role}: {}", blocks(&turn.blocks)));
    }
    assert_eq!(seen, expected, "{messages}");
    assert_eq!(others(&request), lost, "{messages}");
}

fn user(parts: &str, expected: &str, lost: &[&str]) {
    let messages = format!(r#"{{"role":"user","content":[{parts}]}}"#);
    check(&messages, &[&format!("user: {expected}")], lost);
}

#[test]
fn system_messages_lead_or_stand_in_between() {
    check(
        r#"{"role":"developer","content":"a"},{"role":"system","content":[{"type":"text","text":"b"}]},
           {"role":"user","content":"c","name":"n"},{"role":"developer","content":"d"}"#,
        &[r#"prompt: "a" "b""#, r#"user: "c""#, r#"system: "d""#],
        &[],
    );
    check(
        r#"{"role":"system","content":[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}]}"#,
        &[r#"prompt: "a" cache -"#],
        &[],
    );
    check(
        r#"{"role":"system","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}"#,
        &[],
        &["V messages[].content of a system message"],
    );
}

#[test]
fn parts_of_the_user() {
    user(r#"{"type":"text","text":"a\u00e9"},{"text":"b","type":"text"}"#, r#""aé" "b""#, &[]);
    user(
        r#"{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}"#,
        r#""a" cache 1h"#,
        &[],
    );
    let image = |url: &str| {
        format!(r#"{{"type":"image_url","image_url":{{"url":"{url}","detail":"low"}}}}"#)
    };
    user(&image("data:image/jpg;base64,QUJD"), "image(image/jpeg base64:QUJD detail=low)", &[]);
    user(
        &image("data:image/png;charset=x;base64,QQ=="),
        "image(image/png base64:QQ== detail=low)",
        &[],
    );
    user(&image(r"data:image\/webp;base64,QQ=="), "image(image/webp base64:QQ== detail=low)", &[]);
    user(&image("https://x/y.png"), "image( url:https://x/y.png detail=low)", &[]);
    let no_image = ["V messages[].content[].image_url"];
    user(&image("data:image/png,QQ"), "", &no_image);
    user(&image("gs://b/o"), "", &no_image);
    user(&image("é"), "", &no_image);
    user(r#"{"type":"image_url","image_url":"http://x"}"#, "image( url:http://x)", &[]);
    user(
        r#"{"type":"input_audio","input_audio":{"data":"QQ","format":"wav"}},{"type":"input_audio","input_audio":{"data":"QQ","format":"mp3"}}"#,
        "audio(audio/wav base64:QQ) audio(audio/mp3 base64:QQ)",
        &[],
    );
    let file = |members: &str| format!(r#"{{"type":"file","file":{{{members}}}}}"#);
    user(
        &file(r#""filename":"a.pdf","file_data":"data:application/pdf;base64,QQ""#),
        "document(application/pdf base64:QQ name=a.pdf)",
        &[],
    );
    user(&file(r#""file_data":"QQ""#), "document(application/pdf base64:QQ)", &[]);
    user(
        &file(r#""file_data":"QQ","filename":"a.txt""#),
        "document(text/plain base64:QQ name=a.txt)",
        &[],
    );
    user(&file(r#""file_id":"file-1""#), "", &["V messages[].content[].file"]);
    user(r#"{"type":"video_url","video_url":{}}"#, "", &["V messages[].content[].video_url"]);
}

#[test]
fn turns_of_the_assistant() {
    let assistant = |members: &str, expected: &str, lost: &[&str]| {
        let messages = format!(r#"{{"role":"assistant",{members}}}"#);
        check(&messages, &[&format!("assistant: {expected}")], lost);
    };
    assistant(r#""content":"a""#, r#""a""#, &[]);
    assistant(r#""content":null,"refusal":"no""#, r#"refusal "no""#, &[]);
    assistant(
        r#""content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"no"}]"#,
        r#""a" refusal "no""#,
        &[],
    );
    assistant(r#""content":"a","reasoning_content":"hm""#, r#"thought "hm" "a""#, &[]);
    assistant(
        r#""content":"a","reasoning":"hm","reasoning_details":[{}]"#,
        r#"thought "hm" "a""#,
        &[],
    );
    assistant(
        r#""content":[{"type":"thinking","thinking":[{"text":"h"},{"text":"m"}]},{"type":"text","text":"a"}]"#,
        r#"thought "hm" "a""#,
        &[],
    );
    assistant(r#""content":"","audio":{"id":"x"}"#, r#""""#, &["V messages[].audio"]);
    assistant(
        r#""content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"},"extra_content":{"google":{"thought_signature":"s"}}},
            {"id":"2","function":{"name":"g","arguments":{"b":2}}},{"id":"3","type":"custom","custom":{"name":"h","input":"x"}}]"#,
        r#"call 1 f({"a":1}) gemini:s call 2 g({"b":2}) free 3 h(x)"#,
        &[],
    );
}

#[test]
fn results_of_tools() {
    let tool = |id: &str| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"r{id}"}}"#);
    let user = r#"{"role":"user","content":"u"}"#;
    check(
        &format!("{},{},{user},{}", tool("1"), tool("2"), tool("3")),
        &[
            r#"user: result 1 - ["r1"] result 2 - ["r2"]"#,
            r#"user: "u""#,
            r#"user: result 3 - ["r3"]"#,
        ],
        &[],
    );
    check(
        r#"{"role":"tool","tool_call_id":"1","name":"f","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
        &[r#"user: result 1 f ["a" "b"]"#],
        &[],
    );
    check(r#"{"role":"tool","tool_call_id":"1","content":""}"#, &["user: result 1 - []"], &[]);
    check(
        r#"{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}"#,
        &["assistant: call function_call_1 f({})", r#"user: result function_call_1 f ["r"]"#],
        &[],
    );
}

#[test]
fn fields_of_every_kind() {
    let body = r#"{"model":"m","messages":[],"max_tokens":5,"max_completion_tokens":6.0,"temperature":1e0,"top_p":0.5,
        "top_k":3,"seed":-4,"frequency_penalty":0.1,"presence_penalty":-0.2,"n":3,"stop":["a","b"],"stream":true,
        "stream_options":{"include_usage":true,"include_obfuscation":false},"logprobs":true,"top_logprobs":2,
        "user":"u","safety_identifier":"s","reasoning_effort":"xhigh","parallel_tool_calls":false}"#;
    let request = read(body);
    let sampling = request.sampling;
    assert_eq!(request.max_output_tokens, Some(6));
    assert_eq!(
        (sampling.temperature, sampling.top_p, sampling.top_k),
        (Some("1e0"), Some("0.5"), Some("3"))
    );
    assert_eq!((sampling.seed, sampling.frequency_penalty), (Some("-4"), Some("0.1")));
    assert_eq!((sampling.presence_penalty, request.choices), (Some("-0.2"), 3));
    assert_eq!((&request.stop[..], request.logprobs), (&["a".into(), "b".into()][..], Some(2)));
    assert!(request.stream && request.include_usage);
    assert_eq!((request.user.as_deref(), request.parallel_tools), (Some("s"), Some(false)));
    assert_eq!(request.reasoning.unwrap().effort, Some(Effort::Xhigh));
    assert!(request.others.is_empty());
    let request =
        read(r#"{"messages":[],"max_tokens":5,"stop":"x","n":null,"top_logprobs":2,"user":"u"}"#);
    assert_eq!((request.max_output_tokens, request.choices, request.logprobs), (Some(5), 1, None));
    assert_eq!((&*request.stop[0], request.user.as_deref()), ("x", Some("u")));
}

#[test]
fn fields_without_a_place() {
    let check = |field: &str, lost: &[&str]| {
        let body = format!(r#"{{"messages":[],{field}}}"#);
        assert_eq!(others(&read(&body)), lost, "{field}");
    };
    check(r#""logit_bias":{"1":2},"logit_bias":{"1":2}"#, &["W logit_bias"]);
    check(r#""logit_bias":{},"prediction":null"#, &[]);
    check(r#""verbosity":"low","prediction":{"type":"content"}"#, &["W verbosity", "W prediction"]);
    check(r#""modalities":["text","audio"],"audio":{"voice":"x"}"#, &["E modalities", "E audio"]);
    check(r#""modalities":["text"]"#, &[]);
    check(r#""web_search_options":{}"#, &["E web_search_options"]);
    check(
        r#""moderation":{"model":"m","policy":{"input":"block","output":"score"}}"#,
        &["E moderation"],
    );
    check(r#""moderation":{"policy":{"input":"score"}}"#, &["W moderation"]);
    check(r#""store":true"#, &["W store"]);
    check(r#""store":false,"metadata":{"a":"b"},"service_tier":"flex""#, &[]);
    check(
        r#""prompt_cache_key":"k","prompt_cache_retention":"24h""#,
        &["W prompt_cache_key", "W prompt_cache_retention"],
    );
    check(r#""reasoning_effort":"huge","new_thing":1"#, &["W reasoning_effort", "W new_thing"]);
    check(r#""response_format":{"type":"grammar"}"#, &["E response_format"]);
    let many: Vec<String> = (0..500).map(|n| format!(r#""x{n}":1"#)).collect();
    let body = format!(r#"{{"messages":[],{},"audio":{{"a":1}}}}"#, many.join(","));
    let lost = others(&read(&body));
    assert_eq!((lost.len(), &*lost[64]), (65, "E audio"));
}

#[test]
fn tools_of_every_kind() {
    let body = r#"{"messages":[],"tools":[
        {"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},
        {"function":{"name":"g","parameters":null}},
        {"type":"custom","custom":{"name":"h","description":"d","format":{"type":"text"}}},
        {"type":"custom","custom":{"name":"i","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: x"}}}},
        {"type":"web_search"}]}"#;
    let request = read(body);
    let tools: Vec<_> = request
        .tools
        .iter()
        .map(|t| {
            (&*t.name, t.description.as_deref(), t.parameters.as_deref(), t.strict, t.free_text)
        })
        .collect();
    let grammar = "The input must follow this grammar (lark):\nstart: x";
    assert_eq!(
        tools,
        [
            ("f", Some("d"), Some(r#"{"type":"object"}"#), Some(true), false),
            ("g", None, None, None, false),
            ("h", Some("d"), None, None, true),
            ("i", Some(grammar), None, None, true),
        ]
    );
    assert_eq!(others(&request), ["W tools[].custom.format", "E tools[].web_search"]);
    let legacy = read(r#"{"messages":[],"functions":[{"name":"f"}],"function_call":{"name":"f"}}"#);
    assert_eq!((legacy.tools.len(), legacy.tool_choice), (1, Some(ToolChoice::Named("f".into()))));
}

#[test]
fn choices_of_tools() {
    let check = |choice: &str, expected: ToolChoice<'_>| {
        let body = format!(r#"{{"messages":[],"tool_choice":{choice}}}"#);
        assert_eq!(read(&body).tool_choice, Some(expected), "{choice}");
    };
    check(r#""auto""#, ToolChoice::Auto);
    check(r#""none""#, ToolChoice::Never);
    check(r#""required""#, ToolChoice::Required);
    check(r#"{"type":"function","function":{"name":"f"}}"#, ToolChoice::Named("f".into()));
    check(r#"{"type":"custom","custom":{"name":"f"}}"#, ToolChoice::Named("f".into()));
    check(
        r#"{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}"#,
        ToolChoice::Among { names: vec!["f".into()], required: true },
    );
}

#[test]
fn formats() {
    let check = |format: &str, expected: Option<Format<'_>>| {
        let body = format!(r#"{{"messages":[],"response_format":{format}}}"#);
        assert_eq!(read(&body).format, expected, "{format}");
    };
    check(r#"{"type":"text"}"#, None);
    check(r#"{"type":"json_object"}"#, Some(Format::Json));
    let schema = Format::Schema {
        name: Some("n".into()),
        description: None,
        schema: r#"{"type": "object"}"#.into(),
        strict: Some(true),
    };
    check(
        r#"{"type":"json_schema","json_schema":{"name":"n","schema":{"type": "object"},"strict":true}}"#,
        Some(schema),
    );
}

#[test]
fn bad_requests_name_the_field() {
    let check = |fields: &str, param: &str| {
        let body = format!("{{{fields}}}");
        let error = read_request(&body, &Address::default()).unwrap_err();
        assert_eq!((error.code, error.param), ("invalid_value", Some(param)), "{fields}");
    };
    let messages = |messages: &str| check(&format!(r#""messages":{messages}"#), "messages");
    messages("{}");
    messages("[7]");
    messages("[{}]");
    messages(r#"[{"role":"tool","content":"x"}]"#);
    messages(r#"[{"role":"tool","tool_call_id":"x"}]"#);
    messages(r#"[{"role":"narrator","content":"x"}]"#);
    messages(r#"[{"role":"user","content":7}]"#);
    messages(r#"[{"role":"user","content":[{}]}]"#);
    messages(r#"[{"role":"user","content":["a"]}]"#);
    messages(r#"[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":""}}]}]"#);
    messages(r#"[{"role":"assistant","tool_calls":[{"id":"a"}]}]"#);
    messages(r#"[{"role":"assistant","tool_calls":[{"id":"a","function":{"arguments":""}}]}]"#);
    messages(r#"[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]}]"#);
    check(r#""max_tokens":-1"#, "max_tokens");
    check(r#""max_completion_tokens":"7""#, "max_completion_tokens");
    check(r#""temperature":"hot""#, "temperature");
    check(r#""n":1.5"#, "n");
    check(r#""stop":7"#, "stop");
    check(r#""stop":[7]"#, "stop");
    check(&format!(r#""stop":[{}""]"#, r#""","#.repeat(256)), "stop");
    check(r#""stream":1"#, "stream");
    check(r#""logprobs":1"#, "logprobs");
    check(r#""user":1"#, "user");
    check(r#""reasoning_effort":1"#, "reasoning_effort");
    check(r#""tools":{}"#, "tools");
    check(r#""tools":[7]"#, "tools");
    check(r#""tools":[{"type":"function"}]"#, "tools");
    check(r#""tools":[{"type":"function","function":{}}]"#, "tools");
    check(r#""tool_choice":"all""#, "tool_choice");
    check(r#""tool_choice":{}"#, "tool_choice");
    check(r#""functions":[{}]"#, "functions");
    let many = r#"{"name":"f"},"#.repeat(1024);
    check(&format!(r#""functions":[{many}{{"name":"f"}}]"#), "functions");
    check(r#""response_format":{}"#, "response_format");
    check(r#""response_format":{"type":"json_schema"}"#, "response_format");
}

/// Short lists of short things take no more room than their text explains.
#[test]
fn lists_are_no_larger_than_a_small_multiple_of_their_text() {
    let check = |messages: &str| {
        let messages = messages.repeat(1000);
        let body = format!(r#"{{"messages":[{}]}}"#, messages.trim_end_matches(','));
        let Ok(request) = read_request(&body, &Address::default()) else { return };
        let blocks =
            request.turns.iter().map(|turn| turn.blocks.capacity() * size_of::<Block<'_>>());
        let turns = request.turns.capacity() * size_of_val(&request.turns[0]);
        let room = turns + blocks.sum::<usize>();
        assert!(room < 3 * body.len(), "{room} of {}", body.len());
    };
    check(r#"{"role":"user"},"#);
    check(r#"{"role":"user","content":""},"#);
    check(r#"{"role":"tool","tool_call_id":"","content":null},"#);
    check(r#"{"role":"user","content":[{"type":"text","text":""}]},"#);
    check("7,");
}

proptest! {
    #[test]
    fn nothing_panics(body in "\\{\"(messages|tools|stop|response_format|tool_choice)\":[\\[\\]\\{\\}\",:0-9a-z]{0,30}\\}", near in "\\{\"messages\":\\[\\{\"role\":\"(user|assistant|tool|system)\",\"(content|tool_calls|tool_call_id)\":(\"\\\\\\\\ud800\"|\\[\\{\"(type|text|image_url|id)\":[\"a-z\\{\\}0-9:,]{0,20}\\}\\])\\}\\]\\}") {
        let _ = read_request(&body, &Address::default());
        let _ = read_request(&near, &Address::default());
    }
}
