//! What goes through unchanged, byte for byte, and what never goes through.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use http::Method;

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use serde_json::json;

use crate::support::client::{Reply, ask, chat, exchange, get, request, request_to};
use crate::support::gateway::{Gateway, Setup, key_of, provider};
use crate::support::said::Said;

async fn over(a: &Server, model: &str) -> Gateway {
    Setup::new().provider("a", a).route("m", &[&format!("a/{model}")]).start().await
}

fn last_body(server: &Server) -> String {
    String::from_utf8(server.log().last().unwrap().body.to_vec()).unwrap()
}

/// Of the request only the model's name is changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_forwarded_byte_for_byte_but_for_the_model() {
    const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;
    let a = provider("a", "ok");
    let gateway = over(&a, "real/one").await;
    // «m» stands where the model is named.
    let check = async |body: &str| {
        let body = body.replace("MESSAGES", MESSAGES);
        let reply = exchange(gateway.addr, request(body.replace('«', "\"m\""))).await;
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        assert_eq!(last_body(&a), body.replace('«', "\"real/one\""));
    };
    check(r#"{"model":«,MESSAGES}"#).await;
    check(r#"{MESSAGES,"model":«}"#).await;
    check("\n{ \"model\" :\t« ,\r\n MESSAGES } \n").await;
    check(r#"{"temperature":1e2,"top_p":1.50,"n":1,"seed":12345678901234567890123,"model":«,MESSAGES}"#).await;
    check(r#"{"z":-0.0,"a":1E+2,"b":0.1000,"y":[],"x":{},"model":«,MESSAGES}"#).await;
    check(r#"{"model":«,"zz":{"model":"m","b":[{"model":"n"}]},"zz":2,"zz":null,MESSAGES}"#).await;
    check(r#"{"mod\u0065l":«,MESSAGES}"#).await;
    check(r#"{"model":«,"user":"\ud800 and \uDFFF and \u0000 and \/","m":"é😀\u00e9",MESSAGES}"#)
        .await;
    check(r#"{"model":«,"messages":[{"role":"user","content":"a \ud800 \"model\":\"m\""}]}"#).await;
    check(r#"{"model":«,"stream":false,"metadata":{"stream":"true"},MESSAGES}"#).await;
    // A name written with escapes is the same name.
    let body = format!(r#"{{"model":"\u006d",{MESSAGES}}}"#);
    let reply = exchange(gateway.addr, request(body.clone())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(last_body(&a), body.replace(r"\u006d", "real/one"));
}

/// A large body is forwarded, and forwarded again after a failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_survives_a_failure() {
    let (a, b) = (provider("a", "reset"), provider("b", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b);
    let gateway = setup.route("m", &["a/m", "b/m"]).start().await;
    let prompt = "long ".repeat(600_000);
    let reply = gateway.ask(&chat("m", &prompt, false)).await;
    Said::of(&reply).is_whole(&answer(&prompt, DEFAULT_WORDS), false).unwrap();
}

/// The time of a provider's answer is in it.
fn timeless(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\"created\":");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("\"created\":0");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

/// A healthy answer, whole or streamed, is what the provider sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_handed_on_byte_for_byte() {
    for model in ["real", "real!tool-calls", "real!length", "real!filtered", "real!words=3000"] {
        for streamed in [false, true] {
            let (a, twin) = (provider("same", "ok"), provider("same", "ok"));
            let gateway = over(&a, model).await;
            let mut call = chat("m", "hi", streamed);
            if streamed {
                call["stream_options"] = json!({ "include_usage": true });
            }
            let through = gateway.ask(&call).await;
            call["model"] = json!(model);
            let straight: Reply = ask(twin.addr(), &call).await;
            let sent = timeless(&straight.body);
            assert_eq!(timeless(&through.body), sent, "{model} streamed={streamed}");
            assert_eq!((through.status, through.complete), (200, true));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_private_headers_stay_where_they_are() {
    let a = provider("a", "huge-header:size=1KiB");
    let gateway = over(&a, "m").await;
    let mut call = request(chat("m", "hi", false).to_string());
    for (name, value) in [
        ("authorization", "Bearer of-the-client"),
        ("x-api-key", "of-the-client"),
        ("api-key", "of-the-client"),
        ("x-goog-api-key", "of-the-client"),
        ("proxy-authorization", "Basic of-the-client"),
        ("cookie", "session=of-the-client"),
        ("x-backstay-trace", "forged"),
        ("x-backstay-target", "forged"),
        ("connection", "x-hop"),
        ("x-hop", "of-the-client"),
        ("te", "trailers"),
        ("accept-encoding", "gzip, br"),
        ("openai-organization", "of-the-client"),
        ("x-client-request-id", "kept"),
    ] {
        call.headers_mut().append(name, value.parse().unwrap());
    }
    let reply = exchange(gateway.addr, call).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = a.log().last().cloned().unwrap();
    let all = format!("{:?}", seen.headers());
    assert!(!all.contains("of-the-client") && !all.contains("forged"), "{all}");
    assert!(!all.contains("x-backstay"), "{all}");
    let header = |name| seen.header(name).unwrap_or_default();
    assert_eq!(header("authorization"), format!("Bearer {}", key_of("a")));
    assert_eq!(header("accept-encoding"), "identity");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-client-request-id"), "kept");
    assert_eq!(header("host"), a.addr().to_string());
    // And back: an allow-list.
    assert!(!reply.headers.contains_key("x-padding"), "{:?}", reply.headers);
    assert!(reply.header("x-backstay-trace").unwrap() != "forged");
    let sizes = reply.headers.get_all("content-length").iter().count();
    assert_eq!((sizes, reply.headers.get_all("content-type").iter().count()), (1, 1));
    for name in ["x-backstay-trace", "x-backstay-target", "x-backstay-attempts"] {
        assert!(reply.header(name).is_some(), "{name}: {:?}", reply.headers);
    }
    let policy = reply.header("x-backstay-policy").unwrap();
    assert!(policy.starts_with("default"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_fail_over_and_routes_are_listed() {
    let (a, b) = (provider("a", "500"), provider("b", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b);
    let gateway = setup.route("m", &["a/m", "b/m"]).start().await;
    let call = json!({ "model": "m", "input": ["one", "two"] }).to_string();
    let reply = exchange(gateway.addr, request_to(Method::POST, "/v1/embeddings", call)).await;
    assert_eq!(reply.json()["data"].as_array().map(Vec::len), Some(2), "{}", reply.text());
    assert_eq!(reply.header("x-backstay-target"), Some("b/m"));
    let models = get(gateway.addr, "/v1/models").await.json();
    assert_eq!(models["data"][0]["id"], "m", "{models}");
}

/// Numbers enough for an answer of more than 32 MiB.
fn many_embeddings() -> serde_json::Value {
    json!({ "model": "m", "input": vec!["one"; 110], "dimensions": 65_000, "encoding_format": "base64" })
}

/// An answer that is too large to be held is handed on as it comes: whole, or
/// visibly broken off.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_large_to_be_held_is_handed_on_as_it_comes() {
    let post =
        |call: serde_json::Value| request_to(Method::POST, "/v1/embeddings", call.to_string());
    for (model, complete) in [("m", true), ("m!cut-fin", false)] {
        let (a, b) = (provider("same", "ok"), provider("b", "ok"));
        let setup = Setup::new().provider("a", &a).provider("b", &b);
        let setup = setup.rule("deadline", "\"90s\"").rule("answer_timeout_max", "\"60s\"");
        let gateway = setup.route("m", &[&format!("a/{model}"), "b/m"]).start().await;
        let mut call = many_embeddings();
        if !complete {
            // Half of it must be too large as well.
            call["input"] = json!(vec!["one"; 220]);
        }
        let through = exchange(gateway.addr, post(call.clone())).await;
        assert_eq!((through.status, through.complete), (200, complete), "{model}");
        assert!(through.body.len() > 32 << 20, "{} bytes", through.body.len());
        assert!(!through.body.ends_with(b"\n"), "nothing is added to it");
        call["model"] = json!(model);
        if complete {
            let straight = exchange(a.addr(), post(call)).await;
            assert!(straight.body == through.body, "another answer");
        }
        assert_eq!(b.counts().requests, 0);
    }
}
