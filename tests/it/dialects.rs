//! Clients of every dialect at providers of every dialect, over real sockets.

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use futures_util::future::join_all;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::client::{Reply, exchange};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::scripted::scripted;
use crate::support::tongue::{Heard, TONGUES, Tongue};

const WIRES: [&str; 5] = ["openai", "openai-responses", "anthropic", "gemini", "azure"];

/// One provider that speaks every dialect, and a route for each, whose target
/// is this model.
fn every_wire(server: &Server, model: &str) -> Setup {
    let mut setup = Setup::new();
    for wire in WIRES {
        setup = setup.provider_of(wire, wire, server);
        setup = setup.route(&format!("via-{wire}"), &[&format!("{wire}/{model}")]);
    }
    setup
}

/// What the provider was sent last.
fn last_body(server: &Server) -> Value {
    let log = server.log();
    serde_json::from_slice(&log.last().expect("a request").body).expect("JSON")
}

async fn hear(gateway: &Gateway, tongue: Tongue, route: &str, stream: bool, more: Value) -> Heard {
    let request = tongue.asks_with(route, "hi", stream, &more);
    tongue.hears(&exchange(gateway.addr, request).await, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_is_served_by_every_provider() {
    let server = provider("all", "ok");
    let gateway = every_wire(&server, "m").start().await;
    for tongue in TONGUES {
        for wire in WIRES {
            for stream in [false, true] {
                let case = format!("{tongue:?} via {wire}, stream={stream}");
                let route = format!("via-{wire}");
                let heard = hear(&gateway, tongue, &route, stream, json!({})).await;
                assert_eq!(heard.text, answer("hi", DEFAULT_WORDS), "{case}: {heard:?}");
                assert!(heard.whole && heard.errors.is_empty(), "{case}: {heard:?}");
                if tongue != Tongue::Chat || !stream {
                    let counted = heard.input_tokens > Some(0) && heard.output_tokens > Some(0);
                    assert!(counted, "{case}: {heard:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_called_across_dialects() {
    let server = provider("all", "ok");
    let gateway = every_wire(&server, "m").start().await;
    for tongue in TONGUES {
        for wire in WIRES {
            for stream in [false, true] {
                let case = format!("{tongue:?} via {wire}, stream={stream}");
                let route = format!("via-{wire}");
                let heard = hear(&gateway, tongue, &route, stream, tongue.demands_a_call()).await;
                assert!(heard.whole && heard.errors.is_empty(), "{case}: {heard:?}");
                assert_eq!(heard.calls.len(), 1, "{case}: {heard:?}");
                let (name, arguments) = &heard.calls[0];
                assert_eq!(
                    (name.as_str(), arguments["query"].is_string()),
                    ("find", true),
                    "{case}"
                );
                let expected = match tongue {
                    Tongue::Chat => "tool_calls",
                    Tongue::Responses => "completed",
                    Tongue::Anthropic => "tool_use",
                    Tongue::Gemini | Tongue::GeminiArray => "STOP",
                };
                assert_eq!(heard.finish.as_deref(), Some(expected), "{case}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promised_json_comes_across_dialects() {
    let server = provider("all", "ok");
    let gateway = every_wire(&server, "m").start().await;
    let schema = json!({ "type": "object", "properties": { "answer": { "type": "string" } },
                         "required": ["answer"], "additionalProperties": false });
    for tongue in TONGUES {
        for wire in WIRES {
            for stream in [false, true] {
                let case = format!("{tongue:?} via {wire}, stream={stream}");
                let more = tongue.promises(&schema);
                let heard = hear(&gateway, tongue, &format!("via-{wire}"), stream, more).await;
                let value: Value = serde_json::from_str(&heard.text).unwrap_or_default();
                assert!(heard.whole && value["answer"].is_string(), "{case}: {heard:?}");
            }
        }
    }
}

/// The text that came and the text that another target adds make one answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_continued_across_dialects() {
    let (broken, sound) = (provider("broken", "ok"), provider("sound", "ok"));
    let mut setup = Setup::new();
    for wire in WIRES {
        setup = setup.provider_of(&format!("{wire}-b"), wire, &broken);
        setup = setup.provider_of(&format!("{wire}-s"), wire, &sound);
    }
    for first in WIRES {
        for second in WIRES {
            let targets = [format!("{first}-b/m!cut-reset:after=7"), format!("{second}-s/m")];
            let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
            setup = setup.route(&format!("{first}-then-{second}"), &targets);
        }
    }
    let gateway =
        setup.rule("breaker_min_samples", "10000").rule("breaker_consecutive_failures", "1000");
    let gateway = gateway.rule("retry_ratio", "1.0").start().await;
    for tongue in TONGUES {
        for first in WIRES {
            for second in WIRES {
                let case = format!("{tongue:?} via {first}, then {second}");
                let route = format!("{first}-then-{second}");
                let heard = hear(&gateway, tongue, &route, true, json!({})).await;
                assert_eq!(heard.text, answer("hi", DEFAULT_WORDS), "{case}: {heard:?}");
                assert!(heard.whole && heard.errors.is_empty(), "{case}: {heard:?}");
            }
        }
    }
}

/// With nobody to go on, a broken stream ends in an error that the client's SDK
/// notices, and without a proper end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_continues_ends_in_an_error() {
    for fault in
        ["cut-clean:after=7", "cut-reset:after=7", "error-mid:after=7", "malformed:after=7"]
    {
        let server = provider("all", "ok");
        let gateway = every_wire(&server, &format!("m!{fault}")).start().await;
        let gateway = &gateway;
        // Each waits for a second attempt.
        let calls_via = async |wire: &str| {
            for tongue in TONGUES {
                let case = format!("{tongue:?} via {wire}, {fault}");
                let heard = hear(gateway, tongue, &format!("via-{wire}"), true, json!({})).await;
                assert!(!heard.whole && heard.errors.len() == 1, "{case}: {heard:?}");
                assert!(answer("hi", DEFAULT_WORDS).starts_with(&heard.text), "{case}: {heard:?}");
            }
        };
        join_all(WIRES.map(calls_via)).await;
    }
}

/// Whatever a provider fails with before its first word, another one answers,
/// whatever their dialects.
#[tokio::test(flavor = "multi_thread")]
async fn faults_before_the_first_word_are_not_noticed() {
    const FAULTS: [&str; 10] = [
        "500",
        "overloaded",
        "429",
        "unauthorized",
        "quota",
        "error-first",
        "error-body",
        "html-200",
        "empty-stream",
        "reset",
    ];
    let (broken, sound) = (provider("broken", "ok"), provider("sound", "ok"));
    for fault in FAULTS {
        let mut setup = Setup::new();
        for wire in WIRES {
            setup = setup.provider_of(&format!("{wire}-b"), wire, &broken);
            setup = setup.provider_of(&format!("{wire}-s"), wire, &sound);
        }
        for (first, second) in WIRES.into_iter().zip(WIRES.into_iter().cycle().skip(2)) {
            let targets = [format!("{first}-b/m!{fault}"), format!("{second}-s/m")];
            let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
            setup = setup.route(&format!("via-{first}"), &targets);
        }
        let gateway = setup.start().await;
        for tongue in TONGUES {
            for wire in WIRES {
                for stream in [false, true] {
                    let case = format!("{tongue:?} via {wire}, {fault}, stream={stream}");
                    let route = format!("via-{wire}");
                    let heard = hear(&gateway, tongue, &route, stream, json!({})).await;
                    assert_eq!(heard.text, answer("hi", DEFAULT_WORDS), "{case}: {heard:?}");
                    assert!(heard.whole, "{case}: {heard:?}");
                }
            }
        }
    }
}

/// The same dialect on both sides: what arrives is what was sent, byte for byte,
/// but for the model.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_survive_where_nothing_is_translated() {
    const ROWS: [(Tongue, &str, &str); 5] = [
        (
            Tongue::Chat,
            "openai",
            r#"{"model":"@", "n":1.0, "messages":[{"content":"\u0068i\/","role":"user"}]}"#,
        ),
        (
            Tongue::Chat,
            "azure",
            r#"{ "messages":[{"role":"user","content":"hi"}],"seed":1e2 ,"model":"@"}"#,
        ),
        (
            Tongue::Responses,
            "openai-responses",
            r#"{"input":"\u0068i",  "model":"@","temperature":0.50}"#,
        ),
        (
            Tongue::Anthropic,
            "anthropic",
            r#"{"max_tokens":64, "model" : "@","messages":[{"role":"user","content":"\u0068i"}]}"#,
        ),
        (
            Tongue::Gemini,
            "gemini",
            r#"{"contents":[ {"parts":[{"text":"\u0068i"}],"role":"user"}],"generationConfig":{"topP":0.50}}"#,
        ),
    ];
    let server = provider("all", "ok");
    let gateway = every_wire(&server, "m").start().await;
    for (tongue, wire, body) in ROWS {
        let route = format!("via-{wire}");
        let mut request = tongue.asks(&route, "hi", false);
        *request.body_mut() = Full::new(body.replace('@', &route).into());
        let reply = exchange(gateway.addr, request).await;
        assert!(tongue.hears(&reply, false).whole, "{tongue:?}: {}", reply.text());
        let log = server.log();
        let seen = String::from_utf8_lossy(&log.last().unwrap().body).into_owned();
        assert_eq!(seen, body.replace('@', "m"), "{tongue:?} via {wire}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_is_said_and_what_matters_is_refused() {
    let server = provider("all", "ok");
    let mut setup = Setup::new().provider_of("a", "anthropic", &server);
    setup = setup.provider_of("o", "openai", &server);
    setup = setup.route("normal", &["a/m"]).route("both", &["a/m", "o/m"]);
    for strictness in ["strict", "lenient"] {
        let line = format!("translation = \"{strictness}\"");
        setup = setup.route_with(strictness, &line, &["a/m"]);
    }
    let gateway = setup.start().await;
    let ask = async |route: &str, more: Value| {
        let request = Tongue::Chat.asks_with(route, "hi", false, &more);
        exchange(gateway.addr, request).await
    };
    let tuned = json!({ "seed": 7, "logit_bias": { "1": 2 } });
    let reply = ask("normal", tuned.clone()).await;
    let dropped = reply.header("x-backstay-dropped").unwrap_or_default();
    assert!(reply.status == 200 && dropped.contains("seed"), "{} {dropped}", reply.text());
    assert!(dropped.contains("logit_bias"), "{dropped}");
    let refused = ask("strict", tuned).await;
    let error: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, &error["error"]["code"]), (400, &json!("unsupported_by_fallback")));
    let named = error["error"]["param"].as_str().unwrap();
    assert!(["seed", "logit_bias"].contains(&named), "{error}");
    let several = json!({ "n": 2 });
    let refused = ask("normal", several.clone()).await;
    let error: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, &error["error"]["param"]), (400, &json!("n")), "{error}");
    let passed_on = ask("both", several).await;
    assert_eq!(passed_on.status, 200, "{}", passed_on.text());
    assert_eq!(passed_on.header("x-backstay-target"), Some("o/m"));
}

/// An error's word and code, as the client reads them: the type or the status
/// word, and OpenAI's code.
fn words_of(tongue: Tongue, body: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let error = &body["error"];
    match tongue {
        Tongue::Chat | Tongue::Responses => (text(&error["type"]), text(&error["code"])),
        Tongue::Anthropic => (text(&error["type"]), text(&error["backstay"]["code"])),
        Tongue::Gemini | Tongue::GeminiArray => {
            (text(&error["status"]), text(&error["backstay"]["code"]))
        }
    }
}

/// One row of the table of errors: the fault of all targets, and per client its
/// status and word; the code is the same for all.
struct ErrorRow {
    fault: &'static str,
    code: &'static str,
    openai: u16,
    anthropic: (u16, &'static str),
    gemini: (u16, &'static str),
}

const fn error_row(
    fault: &'static str,
    code: &'static str,
    openai: u16,
    anthropic: (u16, &'static str),
    gemini: (u16, &'static str),
) -> ErrorRow {
    ErrorRow { fault, code, openai, anthropic, gemini }
}

/// Wire formats §4.11.
const ERRORS: [ErrorRow; 7] = [
    error_row(
        "429",
        "rate_limit_exceeded",
        429,
        (429, "rate_limit_error"),
        (429, "RESOURCE_EXHAUSTED"),
    ),
    error_row(
        "overloaded",
        "server_is_overloaded",
        503,
        (529, "overloaded_error"),
        (503, "UNAVAILABLE"),
    ),
    error_row("unauthorized", "upstream_auth", 502, (502, "api_error"), (502, "UNAVAILABLE")),
    error_row("quota", "upstream_quota", 503, (529, "api_error"), (503, "UNAVAILABLE")),
    error_row("reset", "upstream_error", 502, (502, "api_error"), (502, "INTERNAL")),
    error_row(
        "model-not-found",
        "model_not_found",
        404,
        (404, "not_found_error"),
        (404, "NOT_FOUND"),
    ),
    error_row(
        "context-length",
        "context_length_exceeded",
        400,
        (400, "invalid_request_error"),
        (400, "INVALID_ARGUMENT"),
    ),
];

/// A provider's failures are told in the client's words and with its status;
/// what is wrong with our key is never the client's fault.
#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_in_the_client_s_dialect() {
    let server = provider("all", "ok");
    for row in ERRORS {
        // A failing provider is left alone: everyone has its own.
        let mut setup = Setup::new();
        for wire in WIRES {
            for tongue in TONGUES {
                let name = format!("{wire}-{tongue:?}");
                setup = setup.provider_of(&name, wire, &server);
                setup = setup.route(&name, &[&format!("{name}/m!{}", row.fault)]);
            }
        }
        let gateway = setup.start().await;
        let (gateway, row) = (&gateway, &row);
        let calls_via = async |wire: &str| {
            for tongue in TONGUES {
                let asked = tongue.asks(&format!("{wire}-{tongue:?}"), "hi", true);
                let reply = exchange(gateway.addr, asked).await;
                let case = format!("{tongue:?} via {wire}, {}: {}", row.fault, reply.text());
                check_error(row, tongue, &reply, &case);
            }
        };
        join_all(WIRES.map(calls_via)).await;
    }
}

fn check_error(row: &ErrorRow, tongue: Tongue, reply: &Reply, case: &str) {
    let (status, word) = match tongue {
        Tongue::Chat | Tongue::Responses => (row.openai, None),
        Tongue::Anthropic => (row.anthropic.0, Some(row.anthropic.1)),
        Tongue::Gemini | Tongue::GeminiArray => (row.gemini.0, Some(row.gemini.1)),
    };
    assert_eq!(reply.status, status, "{case}");
    assert_eq!(reply.header("x-should-retry"), Some("false"), "{case}");
    assert_eq!(tongue.hears(reply, true).errors.len(), 1, "{case}");
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let (said, code) = words_of(tongue, &body);
    assert!(!said.is_empty() && word.is_none_or(|word| said == word), "{case}");
    // What is handed on as the provider said it, is in its words.
    let own = body["error"]["backstay"].is_null() && row.fault == "context-length";
    assert!(code == row.code || own, "{case}");
    if row.fault == "context-length" && tongue == Tongue::Anthropic {
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("prompt is too long"), "{case}");
    }
}

/// Targets that stay silent, and a model nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn silence_and_unknown_models_are_told_in_the_client_s_dialect() {
    let server = provider("all", "ok");
    let mut setup = Setup::new();
    for wire in WIRES {
        setup = setup.provider_of(wire, wire, &server);
        setup = setup.route(&format!("via-{wire}"), &[&format!("{wire}/m!silence")]);
    }
    for rule in [
        "first_token_timeout",
        "chunk_timeout",
        "answer_timeout_max",
        "answer_timeout_min",
        "terminator_timeout",
        "deadline",
    ] {
        setup = setup.rule(rule, "\"300ms\"");
    }
    let gateway = setup.start().await;
    for tongue in TONGUES {
        for (model, status, openai, anthropic, gemini) in [
            ("nobody", 404, "model_not_found", "not_found_error", "NOT_FOUND"),
            ("via-openai", 504, "deadline_exceeded", "timeout_error", "DEADLINE_EXCEEDED"),
            ("via-anthropic", 504, "deadline_exceeded", "timeout_error", "DEADLINE_EXCEEDED"),
            ("via-gemini", 504, "deadline_exceeded", "timeout_error", "DEADLINE_EXCEEDED"),
        ] {
            let reply = exchange(gateway.addr, tongue.asks(model, "hi", true)).await;
            let case = format!("{tongue:?}, {model}: {}", reply.text());
            assert_eq!(reply.status, status, "{case}");
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            let (word, code) = words_of(tongue, &body);
            match tongue {
                Tongue::Chat | Tongue::Responses => assert_eq!(code, openai, "{case}"),
                Tongue::Anthropic => assert_eq!(word, anthropic, "{case}"),
                Tongue::Gemini | Tongue::GeminiArray => assert_eq!(word, gemini, "{case}"),
            }
        }
    }
}

/// What a client writes wrong by its own dialect's rules is its own to mend: it
/// is not the fault of a fallback, unless a target takes it as it is.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_name_their_field() {
    let server = provider("all", "ok");
    let gateway = every_wire(&server, "m").start().await;
    for tongue in TONGUES {
        let (own, wrong, field) = match tongue {
            Tongue::Chat => (&["openai", "azure"][..], json!({ "seed": "x" }), "seed"),
            Tongue::Responses => (&["openai-responses"][..], json!({ "top_p": "x" }), "top_p"),
            Tongue::Anthropic => (&["anthropic"][..], json!({ "top_k": "x" }), "top_k"),
            Tongue::Gemini | Tongue::GeminiArray => {
                let wrong = json!({ "generationConfig": { "topK": "x" } });
                (&["gemini"][..], wrong, "generationConfig.topK")
            }
        };
        for wire in WIRES.into_iter().filter(|wire| !own.contains(wire)) {
            let before = server.log().len();
            let request = tongue.asks_with(&format!("via-{wire}"), "hi", false, &wrong);
            let reply = exchange(gateway.addr, request).await;
            let case = format!("{tongue:?} via {wire}: {}", reply.text());
            assert_eq!(reply.status, 400, "{case}");
            assert_eq!(server.log().len(), before, "nothing is sent: {case}");
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            let error = &body["error"];
            let (word, named) = match tongue {
                Tongue::Chat | Tongue::Responses => (&error["code"], &error["param"]),
                Tongue::Anthropic => (&error["type"], &error["backstay"]["param"]),
                Tongue::Gemini | Tongue::GeminiArray => {
                    (&error["status"], &error["details"][0]["fieldViolations"][0]["field"])
                }
            };
            let expected = match tongue {
                Tongue::Chat | Tongue::Responses => "invalid_value",
                Tongue::Anthropic => "invalid_request_error",
                Tongue::Gemini | Tongue::GeminiArray => "INVALID_ARGUMENT",
            };
            assert_eq!((word, named), (&json!(expected), &json!(field)), "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_may_have_its_own_prompt_and_parameters() {
    let server = provider("all", "ok");
    let mut setup = Setup::new();
    for wire in WIRES {
        let parameter = if wire == "gemini" { "generationConfig/topK" } else { "top_k" };
        let more = format!(
            "system = \"Be brief. {{{{system}}}}\", parameters = {{ set = {{ \"{parameter}\" = 3 }} }}"
        );
        setup = setup.provider_of(wire, wire, &server);
        setup = setup.route(&format!("via-{wire}"), &[&format!("{wire}/m {more}")]);
    }
    let gateway = setup.start().await;
    for tongue in TONGUES {
        for wire in WIRES {
            let system = match tongue {
                Tongue::Chat => json!({ "messages": [{ "role": "system", "content": "You are X." },
                                                     { "role": "user", "content": "hi" }] }),
                Tongue::Responses => json!({ "instructions": "You are X." }),
                Tongue::Anthropic => json!({ "system": "You are X." }),
                Tongue::Gemini | Tongue::GeminiArray => {
                    json!({ "systemInstruction": { "parts": [{ "text": "You are X." }] } })
                }
            };
            let case = format!("{tongue:?} via {wire}");
            let heard = hear(&gateway, tongue, &format!("via-{wire}"), false, system).await;
            let seen = last_body(&server);
            // Some servers refuse a field they do not know; it arrived all the same.
            assert!(seen.to_string().contains("Be brief. You are X."), "{case}: {seen}");
            let pointer = if wire == "gemini" { "/generationConfig/topK" } else { "/top_k" };
            assert_eq!(seen.pointer(pointer), Some(&json!(3)), "{case}: {seen} {heard:?}");
        }
    }
}

/// Citations have no like in other dialects: the client is told of their loss.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_loses_is_named() {
    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
        {\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"text\",\
        \"text\":\"so it is\",\"citations\":[{\"type\":\"char_location\",\"cited_text\":\"x\"}]}],\
        \"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":1,\"output_tokens\":3}}";
    const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
        event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"so it is\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"citations_delta\",\"citation\":{\"type\":\"char_location\",\"cited_text\":\"x\"}}}\n\n\
        event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for (stream, answer) in [(false, WHOLE), (true, STREAM)] {
        let addr = scripted(answer).await;
        let provider =
            format!("[providers.a]\ndialect = \"anthropic\"\nbase_url = \"http://{addr}\"");
        let gateway = Setup::new().with(&provider).route("r", &["a/m"]).start().await;
        let reply = exchange(gateway.addr, Tongue::Chat.asks("r", "hi", stream)).await;
        let heard = Tongue::Chat.hears(&reply, stream);
        assert_eq!((heard.text.as_str(), heard.whole), ("so it is", true), "{}", reply.text());
        let named = if stream {
            reply.text().contains(": backstay dropped citations\n\n")
        } else {
            reply.header("x-backstay-dropped") == Some("citations")
        };
        assert!(named, "stream={stream}: {:?} {}", reply.headers, reply.text());
    }
}

/// Between the same dialects everything of a stream arrives, what stands in its
/// terminator too (Bedrock's metrics). Some servers mark the order of bytes.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_arrives_to_its_last_byte() {
    const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
        event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"so it is\"}}\n\n\
        event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\", \"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\": 1}}\n\n";
    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\u{feff}\
        {\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"text\",\
        \"text\":\"so it is\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":1,\"output_tokens\":3}}";
    for (stream, answer) in [(false, WHOLE), (true, STREAM)] {
        let addr = scripted(answer).await;
        let provider =
            format!("[providers.a]\ndialect = \"anthropic\"\nbase_url = \"http://{addr}\"");
        let gateway = Setup::new().with(&provider).route("r", &["a/m"]).start().await;
        let reply = exchange(gateway.addr, Tongue::Anthropic.asks("r", "hi", stream)).await;
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert_eq!(reply.text(), body.trim_start_matches('\u{feff}'), "stream={stream}");
    }
}

/// A model that thinks before it answers cannot go on from the middle of an
/// answer: it is asked for the rest, even where the target takes a prefill.
#[tokio::test(flavor = "multi_thread")]
async fn a_thinking_model_is_asked_for_the_rest() {
    let (broken, sound) = (provider("broken", "ok"), provider("sound", "ok"));
    let setup = Setup::new()
        .provider_of("b", "anthropic", &broken)
        .provider_of("s", "anthropic", &sound)
        .route(
            "r",
            &[
                "b/m!cut-reset:after=7",
                "s/m features = [\"streaming\", \"reasoning\", \"prefill\"]",
            ],
        );
    let gateway = setup.start().await;
    let thinking = json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    for (more, last) in [(json!({}), "assistant"), (thinking, "user")] {
        let heard = hear(&gateway, Tongue::Anthropic, "r", true, more).await;
        assert_eq!(heard.text, answer("hi", DEFAULT_WORDS), "{heard:?}");
        let turns = last_body(&sound)["messages"].as_array().cloned().unwrap_or_default();
        assert_eq!(turns.last().unwrap()["role"], last);
    }
}
