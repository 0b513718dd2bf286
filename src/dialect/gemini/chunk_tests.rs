use super::*;

fn take(chunk: &str) -> Result<Vec<Event>, Fault> {
    let mut events = Vec::new();
    Chunks::default().take(Node::new(chunk), &mut events)?;
    events.remove(0);
    Ok(events)
}

fn parts(parts: &str) -> Vec<Event> {
    take(&format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}}}}]}}"#)).unwrap()
}

fn said(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

#[test]
fn parts_become_steps() {
    let check = |json: &str, expected: &[Event]| assert_eq!(parts(json), expected, "{json}");
    let thought = |text: &str, signature: Option<&str>| Event::Thought {
        choice: 0,
        text: text.to_owned(),
        signature: signature.map(|value| (Dialect::Gemini, value.to_owned())),
        redacted: false,
    };
    let opaque = |what| Event::Opaque { choice: 0, what };
    check(r#"{"text":"a\n"},{"text":"b"}"#, &[said("a\nb")]);
    check(r#"{"text":""},{}"#, &[]);
    check(r#"{"text":"","thoughtSignature":"s"}"#, &[]);
    check(r#"{"text":"t","thought":true},{"text":"a"}"#, &[thought("t", None), said("a")]);
    check(
        r#"{"text":"t","thought":true},{"text":"u","thought":true,"thought_signature":"s"}"#,
        &[thought("tu", Some("s"))],
    );
    check(r#"{"executableCode":{"code":"1"}}"#, &[opaque("executableCode")]);
    check(r#"{"inlineData":{"mimeType":"image/png","data":""}}"#, &[opaque("media")]);
    check(r#"{"novelty":1}"#, &[opaque("part")]);
}

#[test]
fn calls_arrive_whole() {
    let seen = parts(
        r#"{"functionCall":{"name":"f","args":{ "a" : "x y" }},"thoughtSignature":"s"},
           {"functionCall":{"id":"own","name":"g"}}"#,
    );
    let Event::CallBegin { call: 0, id, name, free_text: false, signature, .. } = &seen[0] else {
        panic!("{seen:?}")
    };
    assert!(id.starts_with("call_") && id.len() == 25, "{id}");
    assert_eq!((&**name, signature.clone()), ("f", Some((Dialect::Gemini, "s".to_owned()))));
    let fragment = r#"{"a":"x y"}"#.to_owned();
    assert_eq!(seen[1], Event::CallArguments { choice: 0, call: 0, fragment });
    let Event::CallBegin { call: 1, id, .. } = &seen[2] else { panic!("{seen:?}") };
    assert_eq!((&**id, seen.len()), ("own", 3));
}

#[test]
fn made_ids_are_stable_and_differ() {
    let id = |answer: &str, name: &str| {
        let chunk = format!(
            r#"{{"responseId":"{answer}","candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"{name}"}}}}]}}}}]}}"#
        );
        let seen = take(&chunk).unwrap().remove(0);
        let Event::CallBegin { id, .. } = seen else { panic!("{seen:?}") };
        id
    };
    assert_eq!(id("a", "f"), id("a", "f"));
    assert_ne!(id("a", "f"), id("b", "f"));
    assert_ne!(id("a", "f"), id("a", "g"));
}

#[test]
fn reasons_to_stop() {
    let check = |word: &str, content: &str, expected: Result<Finish, FailureClass>| {
        let chunk = format!(
            r#"{{"candidates":[{{"content":{{"parts":[{content}]}},"finishReason":"{word}"}}]}}"#
        );
        let seen = match take(&chunk) {
            Ok(mut events) => match events.pop() {
                Some(Event::Finish { finish, .. }) => Ok(finish),
                other => panic!("{other:?}"),
            },
            Err(Fault::Failed(reply)) => Err(reply.class),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(seen, expected, "{word}");
    };
    let text = r#"{"text":"a"}"#;
    check("STOP", text, Ok(Finish::Stop));
    check("STOP", r#"{"functionCall":{"name":"f"}}"#, Ok(Finish::ToolCalls));
    check("MAX_TOKENS", text, Ok(Finish::Length));
    check("CONTINUATION", text, Ok(Finish::Paused));
    let filtered = "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR \
                    ESCALATION IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION IMAGE_OTHER";
    for word in filtered.split_whitespace() {
        check(word, "", Ok(Finish::ContentFilter));
    }
    for word in [
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
    ] {
        check(word, text, Err(FailureClass::InvalidOutput));
    }
    check("MISSING_THOUGHT_SIGNATURE", "", Err(FailureClass::Unsupported));
    check("OTHER", "", Err(FailureClass::ServerError));
    check("OTHER", text, Ok(Finish::Other("OTHER".to_owned())));
    check("NEW_REASON", text, Ok(Finish::Other("NEW_REASON".to_owned())));
    assert_eq!(take(r#"{"candidates":[{"finishReason":""}]}"#), Ok(vec![]));
}

#[test]
fn a_blocked_prompt_is_an_answer() {
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":4}}"#;
    let seen = take(blocked).unwrap();
    assert_eq!(seen[0], Event::Finish { choice: 0, finish: Finish::ContentFilter });
    assert!(matches!(seen[1], Event::Usage(_)));
    let rated = r#"{"promptFeedback":{"safetyRatings":[]},"candidates":[]}"#;
    assert_eq!(take(rated), Ok(vec![]));
}

#[test]
fn token_counts_are_put_together() {
    let check = |tokens: &str, expected: [Option<u32>; 4]| {
        let seen = usage(Node::new(tokens));
        let seen_counts = [seen.input, seen.cached, seen.output, seen.reasoning];
        assert_eq!(seen_counts, expected, "{tokens}");
    };
    check(
        r#"{"promptTokenCount":10,"toolUsePromptTokenCount":5,"cachedContentTokenCount":4,
            "candidatesTokenCount":7,"thoughtsTokenCount":20,"totalTokenCount":42}"#,
        [Some(15), Some(4), Some(27), Some(20)],
    );
    check(r#"{"prompt_token_count":10}"#, [Some(10), None, None, None]);
    check(r#"{"thoughtsTokenCount":2}"#, [None, None, Some(2), Some(2)]);
    check("{}", [None; 4]);
}

#[test]
fn several_candidates_and_citations() {
    let seen = take(
        r#"{"candidates":[{"index":1,"content":{"parts":[{"text":"b"}]}},
            {"content":{"parts":[{"text":"a"}]},"citationMetadata":{"citationSources":[{}]},
             "groundingMetadata":{"groundingChunks":[]}}]}"#,
    );
    let second = Event::Text { choice: 1, text: "b".to_owned() };
    let cited = Event::Opaque { choice: 0, what: "citations" };
    assert_eq!(seen, Ok(vec![second, said("a"), cited]));
    let seen = take(
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
    );
    let second = Event::Text { choice: 1, text: "b".to_owned() };
    assert_eq!(seen, Ok(vec![said("a"), second]));
    assert!(take(r#"{"candidates":[{"index":4000000000}]}"#).is_err());
    let ended = r#"{"index":1,"finishReason":"STOP"},"#;
    let twice = format!(r#"{{"candidates":[{}{{"index":0}}]}}"#, ended.repeat(2));
    assert_eq!(take(&twice), Ok(vec![Event::Finish { choice: 1, finish: Finish::Stop }]));
    let many = format!(r#"{{"candidates":[{}{{"index":0}}]}}"#, ended.repeat(128));
    assert!(take(&many).is_err());
    assert!(take("[1]").is_err());
    let call = r#"{"functionCall":{"name":"f"}},"#.repeat(3000);
    let many = format!(r#"{{"candidates":[{{"content":{{"parts":[{call}{{}}]}}}}]}}"#);
    assert!(take(&many).is_err());
}
