//! Who may come in, and what is said to those who ask for what there is not.

use backstay::fake::{DEFAULT_WORDS, answer};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::client::{chat, exchange, raw, read_all, read_until, request, request_to};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::process;
use crate::support::said::Said;

const CLIENTS: &str = "[clients.shop]\nkey = { env = \"SHOP\" }\n\
                       [clients.blog]\nkey = { env = \"BLOG\" }";

#[tokio::test(flavor = "multi_thread")]
async fn only_clients_with_a_key_come_in() {
    let a = provider("a", "ok");
    let setup = Setup::new().provider("a", &a).route("m", &["a/m"]).with(CLIENTS);
    let gateway = setup.start().await;
    let check = async |header: Option<(&'static str, &str)>, status: u16| {
        for (method, path) in [(Method::POST, "/v1/chat/completions"), (Method::GET, "/v1/models")]
        {
            let body = chat("m", "hi", false).to_string();
            let mut call = request_to(method, path, body);
            if let Some((name, value)) = header {
                call.headers_mut().insert(name, value.parse().unwrap());
            }
            let reply = exchange(gateway.addr, call).await;
            assert_eq!(reply.status, status, "{path} {header:?}: {}", reply.text());
            assert!(!reply.text().contains("5f0c9d"), "{}", reply.text());
        }
    };
    check(None, 401).await;
    check(Some(("authorization", "Bearer sk-SHOP-5f0c9d")), 200).await;
    check(Some(("authorization", "bearer sk-BLOG-5f0c9d")), 200).await;
    check(Some(("x-api-key", "sk-BLOG-5f0c9d")), 200).await;
    check(Some(("api-key", "sk-SHOP-5f0c9d")), 200).await;
    check(Some(("authorization", "Bearer sk-SHOP-5f0c9")), 401).await;
    check(Some(("authorization", "Bearer sk-SHOP-5f0c9dd")), 401).await;
    check(Some(("authorization", "Bearer ")), 401).await;
    check(Some(("authorization", "Basic sk-SHOP-5f0c9d")), 401).await;
    check(Some(("cookie", "sk-SHOP-5f0c9d")), 401).await;
    assert_eq!(a.counts().requests, 4);
}

#[test]
fn an_open_door_to_the_world_is_refused() {
    for (more, refused) in [("", true), (CLIENTS, false)] {
        let text = format!(
            "[server]\nlisten = \"0.0.0.0:0\"\n[providers.a]\ndialect = \"openai\"\n\
             base_url = \"http://127.0.0.1:9/v1\"\n[routes.m]\n\
             targets = [{{ provider = \"a\", model = \"m\" }}]\n{more}"
        );
        let (code, said) = process::run(&["check"], &text);
        assert_eq!(code == Some(2), refused, "{said}");
        assert_eq!(said.contains("[clients]"), refused, "{said}");
        if refused {
            assert_eq!(process::run(&["serve"], &text).0, Some(2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_refused_before_any_provider_is_asked() {
    let a = provider("a", "ok");
    let setup = Setup::new().server("max_body = \"64KiB\"").provider("a", &a);
    let gateway = setup.route("m", &["a/m"]).start().await;
    let check = async |method: Method, path: &str, body: String, status: u16, code: &str| {
        let reply = exchange(gateway.addr, request_to(method, path, body)).await;
        let error = reply.json()["error"].clone();
        let seen = (reply.status, error["code"].as_str().unwrap_or_default());
        assert_eq!(seen, (status, code), "{path}: {}", reply.text());
        let shaped = error["message"].is_string() && error["type"].is_string();
        assert!(shaped && error.get("param").is_some(), "{error}");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
        assert!(reply.body.len() < 2000, "{}", reply.text());
    };
    let chats = "/v1/chat/completions";
    let other = chat("other", "hi", false).to_string();
    check(Method::POST, chats, other, 404, "model_not_found").await;
    let endless = chat(&"m".repeat(5000), "hi", false).to_string();
    check(Method::POST, chats, endless, 404, "model_not_found").await;
    check(Method::GET, chats, String::new(), 405, "method_not_allowed").await;
    check(Method::POST, "/v1/models", String::new(), 405, "method_not_allowed").await;
    check(Method::POST, "/v1/elsewhere", String::new(), 404, "not_found").await;
    check(Method::GET, "/status", String::new(), 404, "not_found").await;
    let large = chat("m", &"x".repeat(70_000), false).to_string();
    check(Method::POST, chats, large, 413, "request_too_large").await;
    assert_eq!(a.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_the_clients_fault() {
    let a = provider("a", "ok");
    let gateway = Setup::new().provider("a", &a).route("m", &["a/m"]).start().await;
    let deep = format!("{{\"model\":\"m\",\"messages\":{}", "[".repeat(100_000));
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"m\"",
        "{}",
        "{\"model\":null,\"messages\":[]}",
        "{\"model\":7,\"messages\":[]}",
        "{\"model\":\"m\",\"model\":\"m\",\"messages\":[]}",
        "{\"model\":\"m\",\"messages\":[]} {}",
        "{\"model\":\"m\",\"messages\":[]",
        "{'model':'m'}",
        &deep,
        "\u{feff}{\"model\":\"m\",\"messages\":[]}",
    ] {
        let reply = exchange(gateway.addr, request(body.to_owned())).await;
        let body = &body[..body.len().min(60)];
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        assert!(reply.json()["error"]["message"].is_string(), "{body}: {}", reply.text());
    }
    assert_eq!(a.counts().requests, 0);
}

async fn plain() -> (backstay::fake::Server, Gateway) {
    let a = provider("a", "ok");
    let setup = Setup::new().server("body_timeout = \"300ms\"").provider("a", &a);
    let gateway = setup.route("m", &["a/m"]).start().await;
    (a, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_with_prior_knowledge_is_spoken() {
    let (_a, gateway) = plain().await;
    let socket = TcpStream::connect(gateway.addr).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (sender, connection): (http2::SendRequest<Full<Bytes>>, _) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let calls = (0..10).map(|n| {
        let (mut sender, prompt) = (sender.clone(), format!("call {n}"));
        async move {
            let body = chat("m", &prompt, n % 2 == 0).to_string();
            let call = Request::post("http://gateway/v1/chat/completions");
            let response = sender.send_request(call.body(Full::from(body)).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body).into_owned();
            if n % 2 == 0 {
                Said::in_stream(&text).is_whole(&answer(&prompt, DEFAULT_WORDS), true).unwrap();
            } else {
                assert!(text.contains(&answer(&prompt, DEFAULT_WORDS)), "{text}");
            }
        }
    });
    futures_util::future::join_all(calls).await;
    connection.abort();
}

fn call_text(prompt: &str, headers: &str) -> String {
    let body = chat("m", prompt, false).to_string();
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_one_call_after_another() {
    let (a, gateway) = plain().await;
    // Sent all at once: answered in their order.
    let three =
        call_text("one", "") + &call_text("two", "") + &call_text("three", "connection: close\r\n");
    let mut client = raw(gateway.addr, three.as_bytes()).await;
    let text = read_all(&mut client).await;
    let places = ["one", "two", "three"].map(|prompt| text.find(&answer(prompt, DEFAULT_WORDS)));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    assert_eq!(a.counts().requests, 3);
    assert_eq!(a.counts().connections, 1, "the provider's connection is kept, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_come_in_chunks_and_on_request() {
    let (_a, gateway) = plain().await;
    let body = chat("m", "hi", false).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nconnection: close\r\n";
    let (one, two) = body.split_at(20);
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    let mut client = raw(gateway.addr, chunked.as_bytes()).await;
    assert!(read_all(&mut client).await.contains(&answer("hi", DEFAULT_WORDS)));
    let expecting = format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut client = raw(gateway.addr, expecting.as_bytes()).await;
    read_until(&mut client, "100 Continue\r\n\r\n").await;
    client.write_all(body.as_bytes()).await.unwrap();
    assert!(read_all(&mut client).await.contains(&answer("hi", DEFAULT_WORDS)));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_holds_nobody() {
    let (a, gateway) = plain().await;
    let whole = call_text("hi", "");
    let half = &whole[..whole.len() - 20];
    let mut client = raw(gateway.addr, half.as_bytes()).await;
    let text = read_all(&mut client).await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    // One that goes away in the middle is no call.
    drop(raw(gateway.addr, half.as_bytes()).await);
    gateway.settled().await;
    assert_eq!(a.counts().requests, 0);
}
