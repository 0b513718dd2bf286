use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn all() -> Quirks {
    Quirks::NAMES.iter().fold(Quirks::NONE, |all, (_, quirk)| all.with(*quirk))
}

/// Bodies without their braces.
fn check(quirks: Quirks, body: &str, expected: &str, dropped: &[&str]) {
    let body = Bytes::from(format!("{{{body}}}"));
    let (seen, lost) = adapt(&body, quirks);
    assert_eq!(std::str::from_utf8(&seen).unwrap(), format!("{{{expected}}}"));
    assert_eq!(lost, dropped);
    if expected.len() + 2 == body.len() && seen == body {
        assert_eq!(seen.as_ptr(), body.as_ptr());
    }
}

#[test]
fn fields_are_renamed_or_taken_out() {
    let tokens = Quirks::MAX_TOKENS;
    check(tokens, r#""max_completion_tokens" : 7"#, r#""max_tokens" : 7"#, &[]);
    check(tokens, r#""max_tokens":7,"a":1.0"#, r#""max_tokens":7,"a":1.0"#, &[]);
    check(tokens, r#""max_tokens":7,"max_completion_tokens":8"#, r#""max_tokens":8"#, &[]);
    check(
        Quirks::NO_STREAM_OPTIONS,
        r#""a":1, "stream_options":{"include_usage":true}"#,
        r#""a":1"#,
        &["stream_options"],
    );
    let store = Quirks::NO_STORE;
    check(store, r#""store":true,"metadata":{}"#, "", &["store", "metadata"]);
    check(store, r#""store":true, "a":1,"metadata":{}"#, r#" "a":1"#, &["store", "metadata"]);
    check(store, r#""a":1,"store":true,"metadata":{} "#, r#""a":1 "#, &["store", "metadata"]);
    check(store, r#""a":[{"store":1}]"#, r#""a":[{"store":1}]"#, &[]);
    check(
        Quirks::NO_PARALLEL_TOOL_CALLS.with(Quirks::NO_REASONING_EFFORT),
        r#""parallel_tool_calls":false,"reasoning_effort":"low","b":2"#,
        r#""b":2"#,
        &["parallel_tool_calls", "reasoning_effort"],
    );
}

#[test]
fn messages_are_touched_where_they_must_be() {
    let developer =
        r#""messages":[{"role":"developer","content":"x"},{"content":"y","role":"user"}]"#;
    let system = r#""messages":[{"role":"system","content":"x"},{"content":"y","role":"user"}]"#;
    check(Quirks::NO_DEVELOPER_ROLE, developer, system, &[]);
    check(Quirks::NO_MESSAGE_NAMES, developer, developer, &[]);
    check(
        Quirks::NO_MESSAGE_NAMES,
        r#""messages":[{"name":"a","role":"user"},{"role":"function","name":"f"},7]"#,
        r#""messages":[{"role":"user"},{"role":"function","name":"f"},7]"#,
        &[],
    );
    let mut ids = Ids::new(true);
    let (short, kept) = (ids.of("call_1"), "abcdefghi");
    let messages = |id: &str| {
        format!(
            r#""messages":[{{"role":"assistant","tool_calls":[{{"id":"{id}"}},{{"id":"{kept}"}}]}},{{"role":"tool","tool_call_id":"{id}"}}]"#
        )
    };
    check(Quirks::SHORT_CALL_IDS, &messages("call_1"), &messages(&short), &[]);
}

#[test]
fn tools_and_formats() {
    let strict = Quirks::NO_STRICT;
    check(
        strict,
        r#""tools":[{"type":"function","function":{"name":"f","strict":true}},{"function":{"strict":false,"name":"g"}}]"#,
        r#""tools":[{"type":"function","function":{"name":"f"}},{"function":{"name":"g"}}]"#,
        &["tools[].strict"],
    );
    check(
        strict,
        r#""response_format":{"type":"json_schema","json_schema":{"strict":true,"schema":{"strict":1}}}"#,
        r#""response_format":{"type":"json_schema","json_schema":{"schema":{"strict":1}}}"#,
        &["response_format.strict"],
    );
    let functions = Quirks::FUNCTIONS_ONLY;
    check(
        functions,
        r#""tools":[{"type":"custom","custom":{"name":"s"}},{"type":"function"},{"type":"x"}]"#,
        r#""tools":[{"type":"function"}]"#,
        &["tools[].custom", "tools[].x"],
    );
    check(
        functions,
        r#""a":1,"tools":[{"type":"custom"}],"tool_choice":"auto""#,
        r#""a":1"#,
        &["tools", "tool_choice"],
    );
    check(functions, r#""tools":[]"#, r#""tools":[]"#, &[]);
    check(
        Quirks::NO_JSON_SCHEMA,
        r#""messages":[{"role":"user"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"a":"b"}}}"#,
        r#""messages":[{"role":"system","content":"Answer with a JSON object that matches this JSON Schema, and with nothing else:\n{\"a\":\"b\"}"},{"role":"user"}],"response_format":{"type":"json_object"}"#,
        &["response_format"],
    );
    let plain = r#""response_format":{"type":"json_object"},"tools":null"#;
    check(all(), plain, plain, &[]);
}

#[test]
fn known_hosts() {
    assert!(of_host("api.mistral.ai").has(Quirks::SHORT_CALL_IDS));
    assert!(of_host("API.DeepSeek.com").has(Quirks::REASONING_ECHO));
    assert!(of_host("eu.api.x.ai").has(Quirks::FUNCTIONS_ONLY));
    for (host, _) in HOSTS {
        assert!(!of_host(host).is_empty(), "{host}");
    }
    for host in ["api.openai.com", "notapi.x.ai", "x.ai", "", "éai", "localhost"] {
        assert!(of_host(host).is_empty(), "{host}");
    }
}

proptest! {
    /// Whatever is taken out, what is left is JSON.
    #[test]
    fn the_rest_is_valid(
        fields in proptest::sample::subsequence(vec![
            r#""store":true"#, r#""metadata":{"a":"b"}"#, r#""stream_options":{}"#, r#""x":1"#,
            r#""max_tokens":1"#, r#""max_completion_tokens":2"#, r#""tool_choice":"auto""#,
            r#""tools":[{"type":"custom"},{"type":"function","function":{"strict":true}}]"#,
            r#""response_format":{"json_schema":{"strict":true,"schema":{}}}"#,
            r#""messages":[{"name":"n","role":"developer"},{"role":"tool","tool_call_id":"a"}]"#,
            r#""parallel_tool_calls":true"#, r#""reasoning_effort":"low""#,
        ], 0..12).prop_shuffle(),
        chosen in proptest::sample::subsequence(Quirks::NAMES.to_vec(), 0..12),
    ) {
        let quirks = chosen.iter().fold(Quirks::NONE, |all, (_, quirk)| all.with(*quirk));
        let body = Bytes::from(format!("{{{}}}", fields.join(" , ")));
        let (seen, _) = adapt(&body, quirks);
        prop_assert!(serde_json::from_slice::<Value>(&seen).is_ok(), "{seen:?}");
        let (again, dropped) = adapt(&seen, quirks);
        prop_assert_eq!(again, seen);
        prop_assert_eq!(dropped.len(), 0);
    }

    #[test]
    fn nothing_panics(body in "\\{\"(messages|tools|response_format)\":[\\[\\]\\{\\}\",:0-9a-z]{0,30}\\}?") {
        let _ = adapt(&Bytes::from(body), all());
    }
}
