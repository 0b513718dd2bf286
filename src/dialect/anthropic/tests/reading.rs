use proptest::prelude::*;

use super::read;
use crate::dialect::Dialect;
use crate::dialect::hub::{
    Block, Call, Effort, Format, Gravity, Media, Reasoning, Role, Source, Thought, Tool,
    ToolChoice, ToolResult, Turn,
};

/// A field within a request that has all it needs; what is noted about it.
fn others(field: &str) -> String {
    let body = format!(r#"{{"model":"c","max_tokens":9,{field}}}"#);
    let request = read(&body).unwrap();
    let gravity = |gravity| match gravity {
        Gravity::Nothing => "S",
        Gravity::Tuning => "W",
        Gravity::Meaning => "E",
        Gravity::Vital => "E!",
    };
    let hosted = request.hosted.iter().map(|tool| (request.hosted_gravity(), tool));
    let others = request.others.iter().map(|other| (other.gravity, &other.field)).chain(hosted);
    let others = others.map(|(grave, field)| format!("{} {field}", gravity(grave)));
    others.collect::<Vec<_>>().join(", ")
}

#[test]
fn what_has_no_place_is_noted() {
    let check = |field: &str, expected: &str| assert_eq!(others(field), expected, "{field}");
    check(r#""metadata":{"user_id":"u"},"stream":true,"system":"x""#, "");
    check(r#""cache_control":{"type":"ephemeral"}"#, "W cache_control");
    check(r#""service_tier":"auto","speed":"fast""#, "W service_tier, W speed");
    check(r#""inference_geo":"eu""#, "W inference_geo");
    check(r#""context_management":{},"diagnostics":null"#, "W context_management");
    check(r#""container":"c1""#, "E! container");
    check(r#""thread":{}"#, "E! thread");
    check(r#""mcp_servers":[]"#, "");
    check(r#""mcp_servers":[{}]"#, "E mcp_servers");
    check(r#""fallbacks":[{}],"compaction":{}"#, "E fallbacks, E compaction");
    check(r#""next_year":1,"next_year":2"#, "W next_year");
    check(r#""output_config":{"task_budget":1}"#, "W output_config.task_budget");
    check(r#""output_config":{"format":{"type":"grammar"}}"#, "E output_config.format");
    check(r#""output_config":{"effort":"huge"}"#, "W output_config.effort");
    check(r#""thinking":{"type":"between_tools"}"#, "W thinking.type");
    check(r#""tools":[{"type":"bash_20250124","name":"bash"}]"#, "E tools[].bash_20250124");
    check(
        r#""tools":[{"name":"f","input_schema":{},"defer_loading":true,"input_examples":[]}]"#,
        "W tools[].defer_loading",
    );
    let fields: Vec<String> = (0..500).map(|n| format!("\"x{n}\":1")).collect();
    assert_eq!(others(&fields.join(",")).split(", ").count(), 64);
    let prewarm = read(r#"{"max_tokens":0}"#).unwrap();
    assert_eq!(prewarm.others[0].gravity, Gravity::Vital);
}

/// What is noted about a block of the user's, and what becomes of it.
fn block(block: &str) -> (String, String) {
    let field = format!(r#""messages":[{{"role":"user","content":[{block}]}}]"#);
    let body = format!("{{{field}}}");
    let request = read(&body).unwrap();
    let seen = request.turns[0].blocks.iter().map(|block| match block {
        Block::Text(text) => format!("text {text}"),
        Block::Media(media) => {
            let source = match &media.source {
                Source::Base64(data) => format!("base64 {data}"),
                Source::Url(url) => format!("url {url}"),
                Source::Text(text) => format!("text {text}"),
            };
            format!("{:?} {} {source}", media.kind, media.media_type)
        }
        Block::Thought(thought) => format!(
            "thought {} {:?} {}",
            thought.text,
            thought.signature.as_ref().map(|s| (s.by, &*s.value)),
            thought.redacted
        ),
        Block::Call(call) => format!("call {:?} {} {}", call.id, call.name, call.arguments),
        Block::Result(result) => format!(
            "result {:?} {} {}",
            result.id.as_deref(),
            result.content.len(),
            result.is_error
        ),
        Block::Refusal(text) => format!("refusal {text}"),
        Block::CachePoint(ttl) => format!("cache {}", ttl.as_deref().unwrap_or("-")),
    });
    (seen.collect::<Vec<_>>().join(" | "), others(&field))
}

fn check_block(json: &str, expected: &str, noted: &str) {
    assert_eq!(block(json), (expected.to_owned(), noted.to_owned()), "{json}");
}

#[test]
fn texts_and_media_are_read() {
    let check = check_block;
    check(r#"{"type":"text","text":"a\ud800"}"#, "text a\u{fffd}", "");
    check(
        r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
        "text a | cache 1h",
        "",
    );
    check(r#"{"type":"text","text":"a","citations":[{}]}"#, "text a", "W citations");
    check(
        r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QQ=="}}"#,
        "Image image/png base64 QQ==",
        "",
    );
    check(
        r#"{"type":"image","source":{"type":"url","url":"https://x"}}"#,
        "Image  url https://x",
        "",
    );
    check(
        r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#,
        "",
        "E! messages[].image.source",
    );
    check(
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"title":"t","citations":{"enabled":true}}"#,
        "Document application/pdf base64 JVBERi0=",
        "W citations",
    );
    check(
        r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"context":"c"}"#,
        "Document text/plain text d",
        "W messages[].document.context",
    );
    check(
        r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"d"}]}}"#,
        "text d",
        "",
    );
    check(
        r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#,
        "",
        "E! messages[].document.source",
    );
    check(
        r#"{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"x"}]}"#,
        "text t\ns\nx",
        "W search_result",
    );
}

#[test]
fn thoughts_and_tools_are_read() {
    let check = check_block;
    check(
        r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}}"#,
        r#"text web_search {"query":"q"}"#,
        "W server_tool_use",
    );
    check(
        r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"t","url":"u","encrypted_content":"zz"}]}"#,
        "text t\nu",
        "W server_tool_use",
    );
    check(
        r#"{"type":"thinking","thinking":"t","signature":"s"}"#,
        r#"thought t Some((Anthropic, "s")) false"#,
        "",
    );
    check(r#"{"type":"thinking","thinking":"","signature":""}"#, "", "");
    check(
        r#"{"type":"redacted_thinking","data":"d"}"#,
        r#"thought  Some((Anthropic, "d")) true"#,
        "",
    );
    check(
        r#"{"type":"tool_use","id":"i","name":"n","input":{"a": 1e2}}"#,
        r#"call Some("i") n {"a": 1e2}"#,
        "",
    );
    check(r#"{"type":"tool_use","id":"i","name":"n","input":null}"#, r#"call Some("i") n {}"#, "");
    check(
        r#"{"type":"tool_result","tool_use_id":"i","content":"x"}"#,
        r#"result Some("i") 1 false"#,
        "",
    );
    check(
        r#"{"type":"tool_result","tool_use_id":"i","is_error":true}"#,
        r#"result Some("i") 0 true"#,
        "",
    );
    check(
        r#"{"type":"tool_result","tool_use_id":"i","content":[{"type":"image","source":{"type":"url","url":"u"}},{"type":"tool_reference","tool_name":"x"}]}"#,
        r#"result Some("i") 1 false"#,
        "E messages[].content[].tool_reference",
    );
    check(r#"{"type":"container_upload","file_id":"f"}"#, "", "E! messages[].container_upload");
    check(r#"{"type":"hologram"}"#, "", "E messages[].hologram");
}

#[test]
fn options_are_read() {
    let body = r#"{"model":"c","max_tokens":7,"system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}],
        "temperature":0.50,"top_p":1e-1,"top_k":3,"stop_sequences":["x","\n"],"stream":true,
        "tools":[{"type":"custom","name":"f","description":"d","input_schema":{"type": "object"},"strict":true,"cache_control":{}}],
        "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},
        "output_config":{"effort":"xhigh","format":{"type":"json_schema","schema":{"a":1}}},"metadata":{"user_id":"u"},
        "messages":[{"role":"user","content":"hi"},{"role":"system","content":"now"},{"role":"assistant","content":[]}]}"#;
    let request = read(body).unwrap();
    assert_eq!(request.others, []);
    assert_eq!(request.system.len(), 3);
    assert_eq!(request.system[2], Block::CachePoint(None));
    assert_eq!(request.max_output_tokens, Some(7));
    let sampling = request.sampling;
    assert_eq!(
        (sampling.temperature, sampling.top_p, sampling.top_k),
        (Some("0.50"), Some("1e-1"), Some("3"))
    );
    assert_eq!(request.stop, ["x", "\n"]);
    assert!(request.stream && request.include_usage);
    let tool = &request.tools[0];
    assert_eq!((tool.strict, tool.cache_point), (Some(true), true));
    assert_eq!(tool.parameters.as_deref(), Some(r#"{"type": "object"}"#));
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!((request.parallel_tools, request.user.as_deref()), (Some(false), Some("u")));
    assert!(
        matches!(&request.format, Some(Format::Schema { schema, .. }) if schema == r#"{"a":1}"#)
    );
    let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::System, Role::Assistant]);
}

#[test]
fn thinking_is_read() {
    let check = |fields: &str, effort, budget, shown| {
        let body = format!("{{{fields}}}");
        let seen = read(&body).unwrap().reasoning;
        assert_eq!(seen, Some(Reasoning { effort, budget, shown }), "{fields}");
    };
    check(r#""thinking":{"type":"enabled","budget_tokens":2048}"#, None, Some(2048), None);
    check(r#""thinking":{"type":"disabled"}"#, Some(Effort::None), None, None);
    check(r#""thinking":{"type":"adaptive"}"#, Some(Effort::High), None, None);
    check(
        r#""output_config":{"effort":"max"},"thinking":{"type":"adaptive","display":"omitted"}"#,
        Some(Effort::Max),
        None,
        Some(false),
    );
    check(r#""output_config":{"effort":"low"}"#, Some(Effort::Low), None, None);
    assert_eq!(read("{}").unwrap().reasoning, None);
}

#[test]
fn wrong_types_name_the_field() {
    let check = |field: &str, param: &str| {
        let body = format!("{{{field}}}");
        assert_eq!(read(&body).unwrap_err().param, Some(param), "{field}");
    };
    check(r#""messages":7"#, "messages");
    check(r#""messages":[7]"#, "messages");
    check(r#""messages":[{"role":"robot","content":""}]"#, "messages");
    check(r#""messages":[{"role":"user"}]"#, "messages");
    check(r#""messages":[{"role":"user","content":7}]"#, "messages");
    check(r#""messages":[{"role":"user","content":[7]}]"#, "messages");
    check(r#""messages":[{"role":"user","content":[{"type":"text"}]}]"#, "messages");
    check(r#""messages":[{"role":"user","content":[{"type":"tool_use","id":"i"}]}]"#, "messages");
    check(r#""messages":[{"role":"user","content":[{"type":"tool_result"}]}]"#, "messages");
    check(r#""system":7"#, "system");
    check(r#""max_tokens":"x""#, "max_tokens");
    check(r#""stream":1"#, "stream");
    check(r#""temperature":"hot""#, "temperature");
    check(r#""stop_sequences":"x""#, "stop_sequences");
    check(r#""stop_sequences":[1]"#, "stop_sequences");
    check(r#""tools":{}"#, "tools");
    check(r#""tools":[{"name":"f"}]"#, "tools");
    check(r#""tools":[{"input_schema":{}}]"#, "tools");
    check(r#""tool_choice":"auto""#, "tool_choice");
    check(r#""tool_choice":{"type":"tool"}"#, "tool_choice");
    check(r#""thinking":true"#, "thinking");
    check(r#""output_config":{"format":{"type":"json_schema"}}"#, "output_config");
}

/// As an agent sends it: tools by the dozen, betas, a cached system prompt, a
/// system turn, 100 KB.
#[test]
fn an_agent_s_request_is_read() {
    let body = agent();
    assert!(body.len() > 100_000);
    let request = read(&body).unwrap();
    let others: Vec<&str> = request.others.iter().map(|other| &*other.field).collect();
    assert_eq!(others, ["context_management"]);
    assert_eq!((request.tools.len(), request.turns.len(), request.system.len()), (24, 4, 5));
    assert!(request.tools.iter().all(|tool| tool.parameters.is_some()));
    let thought = &request.turns[2].blocks[0];
    let Block::Thought(thought) = thought else { panic!("{thought:?}") };
    assert_eq!(thought.signature.as_ref().unwrap().by, Dialect::Anthropic);
    // Ids of devices go to nobody else.
    assert_eq!(request.user.as_ref().unwrap().len(), 32);
    // Borrowed, but for what has escapes.
    assert!(std::mem::size_of::<Block<'_>>() <= 32);
}

/// The shortest text of each costs no more than four times its length, with the
/// allocator's own bytes.
#[test]
fn no_block_costs_much() {
    let check = |text: &str, size: usize| {
        let cost = size_of::<Block<'_>>() + size + if size > 0 { 16 } else { 0 };
        assert!(cost <= 4 * (text.len() + 1), "{text}: {cost}");
    };
    check(r#"{"type":"text","text":""}"#, 0);
    check(r#"{"type":"thinking","thinking":"x"}"#, size_of::<Thought<'_>>());
    check(r#"{"type":"redacted_thinking","data":"x"}"#, size_of::<Thought<'_>>());
    check(r#"{"type":"tool_use","id":"","name":"","input":0}"#, size_of::<Call<'_>>());
    check(r#"{"type":"tool_result","tool_use_id":""}"#, size_of::<ToolResult<'_>>());
    check(r#"{"type":"image","source":{"type":"url","url":""}}"#, size_of::<Media<'_>>());
    check(r#"{"role":"user","content":""}"#, size_of::<Turn<'_>>());
    check(r#"{"name":"","input_schema":{}}"#, size_of::<Tool<'_>>() - size_of::<Block<'_>>());
}

pub fn agent() -> String {
    let tool = include_str!("../../../../tests/golden/dialects/anthropic/agent-tool.json").trim();
    let tools: Vec<String> = (0..24).map(|n| tool.replace("TOOL", &format!("Tool{n}"))).collect();
    let tools = tools.join(",");
    let body = include_str!("../../../../tests/golden/dialects/anthropic/agent.json");
    body.replace("\"TOOLS\"", &format!("[{tools}]")).replace("PROMPT", &"Do it well. ".repeat(8000))
}

proptest! {
    #[test]
    fn nothing_panics(
        body in "\\PC{0,60}",
        near in "\\{\"(messages|system|tools|thinking|tool_choice|output_config)\":[\\[\\]\\{\\}\",:a-c0-9]{0,40}\\}",
        inner in "(\"type\":\"(text|image|document|tool_use|tool_result|thinking)\",)?(\"(text|source|content|input|id)\":[\\[\\]\\{\\}\",a-c]{0,20}){0,3}",
    ) {
        let _ = read(&body);
        let _ = read(&near);
        let _ = read(&format!("{{\"messages\":[{{\"role\":\"user\",\"content\":[{{{inner}}}]}}]}}"));
    }
}
