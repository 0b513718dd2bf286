use proptest::prelude::*;

use super::*;
use crate::dialect::Dialect;
use crate::dialect::hub::request::MOST_OTHERS;
use crate::dialect::hub::{
    Effort, Format, MediaKind, Reasoning, Role, Signature, Source, ToolChoice,
};
use crate::dialect::request::Task;

fn read(body: &str) -> Request<'_> {
    read_request(body, &Address::default()).unwrap()
}

/// Field and gravity of what has no place, in short.
fn notes(body: &str) -> Vec<String> {
    let request = read(body);
    let hosted = request.hosted.iter().map(|tool| (tool, request.hosted_gravity()));
    let notes = request.others.iter().map(|other| (&other.field, other.gravity));
    notes.chain(hosted).map(|(field, gravity)| format!("{field} {gravity:?}")).collect()
}

fn part(part: &str) -> String {
    format!(r#"{{"contents":[{{"role":"user","parts":[{part}]}}]}}"#)
}

fn model(part: &str) -> String {
    format!(r#"{{"contents":[{{"role":"model","parts":[{part}]}}]}}"#)
}

fn config(config: &str) -> String {
    format!(r#"{{"contents":[],"generationConfig":{config}}}"#)
}

#[test]
fn systems_and_turns() {
    let body = r#"{"system_instruction":{"parts":[{"text":"s"},{"text":""},{"text":"t"}]},
        "contents":[{"parts":[{"text":"q"},{"text":""}]},{"role":"model","parts":[{"text":"a\n"}]},
                    {"role":"user","parts":[]},{"role":"function","parts":[{"text":"z"}]}]}"#;
    let request = read(body);
    assert_eq!(request.system, [Block::Text("s".into()), Block::Text("t".into())]);
    let turns: Vec<_> = request.turns.iter().map(|turn| (turn.role, turn.blocks.len())).collect();
    assert_eq!(turns, [(Role::User, 1), (Role::Assistant, 1), (Role::User, 1)]);
    assert!(request.include_usage && !request.stream && request.choices == 1);
    assert!(read(&part(r#"{"text":"a","thought":true}"#)).turns.is_empty());
    assert_eq!(read(r#"{"systemInstruction":"s"}"#).system, [Block::Text("s".into())]);
    let address = Address { stream: true, ..Address::default() };
    assert!(read_request("{}", &address).unwrap().stream);
}

#[test]
fn media() {
    let check = |json: &str, kind, media_type: &str, source: Source<'_>| {
        let body = part(json);
        let request = read(&body);
        let Block::Media(media) = &request.turns[0].blocks[0] else { panic!("{json}") };
        assert_eq!((media.kind, &*media.media_type, &media.source), (kind, media_type, &source));
    };
    let data = |text: &'static str| Source::Base64(text.into());
    check(
        r#"{"inlineData":{"mimeType":"image/png","data":"QUI="}}"#,
        MediaKind::Image,
        "image/png",
        data("QUI="),
    );
    check(
        r#"{"inline_data":{"mime_type":"application/pdf","data":"Q-_="}}"#,
        MediaKind::Document,
        "application/pdf",
        data("Q+/="),
    );
    check(
        r#"{"inlineData":{"mimeType":"audio/wav","data":"QUI="}}"#,
        MediaKind::Audio,
        "audio/wav",
        data("QUI="),
    );
    check(
        r#"{"fileData":{"fileUri":"https://x.org/a.PNG?b"}}"#,
        MediaKind::Image,
        "",
        Source::Url("https://x.org/a.PNG?b".into()),
    );
    check(
        r#"{"file_data":{"file_uri":"http://x.org/a","mime_type":"application/pdf"}}"#,
        MediaKind::Document,
        "application/pdf",
        Source::Url("http://x.org/a".into()),
    );
}

#[test]
fn calls_and_results() {
    let body = r#"{"contents":[
        {"role":"model","parts":[
            {"text":"t","thought":true,"thoughtSignature":"s1"},
            {"functionCall":{"name":"f","args":{ "a":1}},"thought_signature":"s2"},
            {"function_call":{"name":"f","id":"7"}}]},
        {"role":"user","parts":[
            {"functionResponse":{"name":"f","response":{"b":[1]}}},
            {"function_response":{"name":"f","id":"7","response":{"error":"no"}}},
            {"functionResponse":{"name":"g","response":{"result":"x\n"},"parts":[{"inlineData":{"mimeType":"image/png","data":"QQ=="}}]}},
            {"functionResponse":{"name":"h","response":{"error":{"code":1}}}},
            {"functionResponse":{"name":"i"}}]}]}"#;
    let request = read(body);
    let signed = |value: &'static str| Some(Signature { by: Dialect::Gemini, value: value.into() });
    let [Block::Thought(thought), Block::Call(first), Block::Call(second)] =
        &request.turns[0].blocks[..]
    else {
        panic!("{request:?}")
    };
    assert_eq!((&*thought.text, thought.signature.clone()), ("t", signed("s1")));
    assert_eq!((&*first.arguments, first.signature.clone()), ("{ \"a\":1}", signed("s2")));
    assert_eq!(
        (first.id.clone(), second.id.as_deref(), &*second.arguments),
        (None, Some("7"), "{}")
    );
    let results = request.turns[1].blocks.iter().map(|block| {
        let Block::Result(result) = block else { panic!("{block:?}") };
        let Block::Text(text) = &result.content[0] else { panic!("{result:?}") };
        (&**text, result.is_error, result.content.len())
    });
    let results: Vec<_> = results.collect();
    let expected = [
        (r#"{"b":[1]}"#, false, 1),
        ("no", true, 1),
        ("x\n", false, 2),
        (r#"{"code":1}"#, true, 1),
        ("{}", false, 1),
    ];
    assert_eq!(results, expected);
}

#[test]
fn tools_are_read() {
    let body = r#"{"tools":[{"functionDeclarations":[
            {"name":"f","description":"d","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true}}}},
            {"name":"g","parametersJsonSchema":{"type": "object"},"response":{"type":"STRING"}}]},
        {"function_declarations":[{"name":"h"}],"googleSearch":{}},{"codeExecution":{}}]}"#;
    let request = read(body);
    let tools: Vec<_> =
        request.tools.iter().map(|tool| (&*tool.name, tool.parameters.as_deref())).collect();
    let converted = r#"{"type":"object","properties":{"a":{"type":["string","null"]}}}"#;
    let expected = [("f", Some(converted)), ("g", Some(r#"{"type": "object"}"#)), ("h", None)];
    assert_eq!(tools, expected);
    let expected = [
        "tools[].functionDeclarations[].response Tuning",
        "tools[].googleSearch Tuning",
        "tools[].codeExecution Tuning",
    ];
    assert_eq!(notes(body), expected);
    let alone = r#"{"tools":[{"google_search":{}}]}"#;
    assert_eq!(notes(alone), ["tools[].googleSearch Meaning"]);
    let own = r#"{"tools":[{"functionDeclarations":[{"name":"f"}]},{"fileSearch":{}}]}"#;
    assert_eq!(notes(own), ["tools[].fileSearch Meaning"]);
}

#[test]
fn tool_choices() {
    let check = |config: &str, expected: Option<ToolChoice<'_>>| {
        let body = format!(r#"{{"tool_config":{{"function_calling_config":{config}}}}}"#);
        assert_eq!(read(&body).tool_choice, expected, "{config}");
    };
    check("{}", None);
    check(r#"{"mode":"MODE_UNSPECIFIED"}"#, None);
    check(r#"{"mode":"AUTO"}"#, Some(ToolChoice::Auto));
    check(r#"{"mode":"NONE"}"#, Some(ToolChoice::Never));
    check(r#"{"mode":"any"}"#, Some(ToolChoice::Required));
    check(r#"{"mode":"VALIDATED"}"#, Some(ToolChoice::Auto));
    check(r#"{"mode":"ANY","allowedFunctionNames":["f"]}"#, Some(ToolChoice::Named("f".into())));
    let among = |required| ToolChoice::Among { names: vec!["f".into(), "g".into()], required };
    check(r#"{"mode":"ANY","allowedFunctionNames":["f","g"]}"#, Some(among(true)));
    check(r#"{"mode":"VALIDATED","allowed_function_names":["f","g"]}"#, Some(among(false)));
}

#[test]
fn limits_and_sampling() {
    let body = config(
        r#"{"temperature":0.20,"top_p":1,"topK":40.0,"seed":7,"presencePenalty":-1.5,"frequency_penalty":0,
            "candidateCount":2,"max_output_tokens":100.0,"stopSequences":["a","\n"],"responseLogprobs":true,"logprobs":3}"#,
    );
    let request = read(&body);
    let sampling = request.sampling;
    assert_eq!((sampling.temperature, sampling.top_p), (Some("0.20"), Some("1")));
    assert_eq!((sampling.top_k, sampling.seed), (Some("40"), Some("7")));
    assert_eq!((sampling.presence_penalty, sampling.frequency_penalty), (Some("-1.5"), Some("0")));
    assert_eq!(
        (request.choices, request.max_output_tokens, request.logprobs),
        (2, Some(100), Some(3))
    );
    assert_eq!(request.stop, ["a", "\n"]);
    assert_eq!(read(&config(r#"{"logprobs":3}"#)).logprobs, None);
    assert_eq!(read(&config(r#"{"responseLogprobs":true}"#)).logprobs, Some(0));
}

#[test]
fn forms_of_the_answer() {
    let check = |json: &str, expected: Option<Format<'_>>| {
        assert_eq!(read(&config(json)).format, expected, "{json}");
    };
    let schema = |schema: &'static str| {
        Some(Format::Schema { name: None, description: None, schema: schema.into(), strict: None })
    };
    check("{}", None);
    check(r#"{"responseMimeType":"text/plain"}"#, None);
    check(r#"{"response_mime_type":"application/json"}"#, Some(Format::Json));
    let json = r#""responseMimeType":"application/json""#;
    check(
        &format!(r#"{{{json},"responseSchema":{{"type":"STRING"}}}}"#),
        schema(r#"{"type":"string"}"#),
    );
    check(&format!(r#"{{"responseJsonSchema":{{"type": 1}},{json}}}"#), schema(r#"{"type": 1}"#));
    check(r#"{"responseMimeType":"text/x.enum","responseSchema":{"enum":["a"]}}"#, None);
}

#[test]
fn thinking() {
    let check = |json: &str, expected: Option<Reasoning>| {
        let body = config(&format!(r#"{{"thinkingConfig":{json}}}"#));
        assert_eq!(read(&body).reasoning, expected, "{json}");
    };
    let given = |effort, budget, shown| Some(Reasoning { effort, budget, shown });
    check("{}", None);
    check(r#"{"thinkingBudget":-1}"#, None);
    check(r#"{"thinking_budget":0}"#, given(None, Some(0), None));
    check(r#"{"thinkingBudget":512,"includeThoughts":true}"#, given(None, Some(512), Some(true)));
    check(r#"{"thinkingLevel":"XHIGH"}"#, given(Some(Effort::Xhigh), None, None));
    check(r#"{"thinkingLevel":"minimal"}"#, given(Some(Effort::Minimal), None, None));
    check(r#"{"thinkingLevel":"THINKING_LEVEL_UNSPECIFIED"}"#, None);
}

#[test]
fn what_has_no_place() {
    let check = |body: &str, expected: &[&str]| assert_eq!(notes(body), expected, "{body}");
    check(
        r#"{"safetySettings":[{"category":"X"}],"labels":{"a":"b"},"novelty":1}"#,
        &["safetySettings Tuning", "labels Tuning", "novelty Tuning"],
    );
    check(
        r#"{"safety_settings":[],"labels":{},"model":"m","store":false,"cached_content":null}"#,
        &[],
    );
    check(r#"{"cachedContent":"c","store":true}"#, &["cachedContent Vital", "store Tuning"]);
    check(
        &config(r#"{"mediaResolution":"LOW","speech_config":{}}"#),
        &["generationConfig.mediaResolution Tuning", "generationConfig.speechConfig Tuning"],
    );
    check(&config(r#"{"responseModalities":["TEXT"]}"#), &[]);
    check(
        &config(r#"{"responseModalities":["TEXT","IMAGE"]}"#),
        &["generationConfig.responseModalities Meaning"],
    );
    check(
        &config(r#"{"responseMimeType":"text/x.enum"}"#),
        &["generationConfig.responseMimeType Meaning"],
    );
    check(r#"{"toolConfig":{"retrievalConfig":{}}}"#, &["toolConfig.retrievalConfig Tuning"]);
    check(
        &model(r#"{"executableCode":{}},{"code_execution_result":{}}"#),
        &[
            "contents[].parts[].executableCode Meaning",
            "contents[].parts[].codeExecutionResult Meaning",
        ],
    );
    check(&part(r#"{"novelty":{}}"#), &["contents[].parts[].novelty Meaning"]);
    check(
        &part(r#"{"inlineData":{"mimeType":"video/mp4","data":"QQ=="}}"#),
        &["contents[].parts[].inlineData (video/mp4) Vital"],
    );
    check(
        &part(r#"{"fileData":{"fileUri":"gs://b/a.png"}}"#),
        &["contents[].parts[].fileData Vital"],
    );
    check(
        &part(
            r#"{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1/files/a","mimeType":"image/png"}}"#,
        ),
        &["contents[].parts[].fileData Vital"],
    );
    check(
        &part(r#"{"fileData":{"fileUri":"https://youtu.be/x"}}"#),
        &["contents[].parts[].fileData Vital"],
    );
    check(
        r#"{"systemInstruction":{"parts":[{"inlineData":{}}]}}"#,
        &["systemInstruction.parts[] Vital"],
    );
    let many: Vec<String> = (0..100).map(|n| format!("\"x{n}\":1")).collect();
    let seen = notes(&format!(r#"{{{},"cachedContent":"c"}}"#, many.join(",")));
    assert_eq!(
        (seen.len(), seen.last().map(String::as_str)),
        (MOST_OTHERS + 1, Some("cachedContent Vital"))
    );
}

#[test]
fn wrong_requests_name_the_field() {
    let check = |body: &str, param: &str| {
        let error = read_request(body, &Address::default()).unwrap_err();
        assert_eq!(error.param, Some(param), "{body}");
    };
    check(r#"{"contents":[7]}"#, "contents");
    check(r#"{"contents":[{"role":"system"}]}"#, "contents");
    check(r#"{"contents":[{"parts":{}}]}"#, "contents");
    check(&part("7"), "contents");
    check(&part(r#"{"text":7}"#), "contents");
    check(&part(r#"{"functionCall":{"name":"f"}}"#), "contents");
    check(&model(r#"{"functionResponse":{"name":"f"}}"#), "contents");
    check(&model(r#"{"functionCall":{}}"#), "functionCall.name");
    check(&model(r#"{"functionCall":{"name":"f","args":[]}}"#), "functionCall.args");
    let bare = r#"{"functionCall":{"name":"f"}},"#.repeat(1025);
    check(&model(&bare[..bare.len() - 1]), "contents");
    check(&part(r#"{"functionResponse":{}}"#), "functionResponse.name");
    check(&part(r#"{"functionResponse":{"name":"f","response":[]}}"#), "functionResponse.response");
    check(&part(r#"{"inlineData":{}}"#), "inlineData.data");
    check(&part(r#"{"fileData":{}}"#), "fileData.fileUri");
    check(r#"{"tools":{}}"#, "tools");
    check(r#"{"tools":[{"functionDeclarations":[{}]}]}"#, "functionDeclarations.name");
    check(
        r#"{"toolConfig":{"functionCallingConfig":{"mode":"X"}}}"#,
        "toolConfig.functionCallingConfig.mode",
    );
    check(r#"{"generationConfig":[]}"#, "generationConfig");
    check(&config(r#"{"temperature":"x"}"#), "generationConfig.temperature");
    check(&config(r#"{"maxOutputTokens":-1}"#), "generationConfig.maxOutputTokens");
    check(&config(r#"{"stopSequences":"a"}"#), "generationConfig.stopSequences");
    check(&config(r#"{"stopSequences":[1]}"#), "generationConfig.stopSequences");
    check(
        &config(r#"{"thinkingConfig":{"thinkingLevel":"X"}}"#),
        "generationConfig.thinkingConfig.thinkingLevel",
    );
    let many = "{\"name\":\"f\"},".repeat(1025);
    let many = format!(r#"{{"tools":[{{"functionDeclarations":[{}]}}]}}"#, &many[..many.len() - 1]);
    check(&many, "tools");
}

#[test]
fn an_agent_s_request_is_read_whole() {
    let body = include_str!("../../../../tests/golden/dialects/gemini/request-agent.json");
    let address = Address { model: Some("g".to_owned()), ..Address::default() };
    super::super::peek(Task::Generate, body.as_bytes(), &address).unwrap();
    let request = read(body);
    assert_eq!((request.turns.len(), request.tools.len(), request.system.len()), (5, 2, 1));
    assert_eq!(notes(body), ["safetySettings Tuning"]);
}

proptest! {
    #[test]
    fn nothing_panics(near in "\\{\"(contents|tools|toolConfig|generationConfig|systemInstruction)\":[\\{\\}\\[\\]\"0-9a-z:, ]{0,40}\\}", inner in "\\{\"(text|functionCall|functionResponse|inlineData|fileData)\":[\\{\\}\\[\\]\"0-9a-z:, ]{0,30}\\}") {
        let _ = read_request(&near, &Address::default());
        let _ = read_request(&part(&inner), &Address::default());
        let _ = read_request(&model(&inner), &Address::default());
    }
}
