//! The end of a gateway, and a new configuration for a running one: the binary
//! itself, with signals and files.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::path::Path;

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use http::Method;
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::client;
use crate::support::client::{Open, chat, get, open, request, within};
use crate::support::gateway::{Setup, provider};
use crate::support::process::Process;
use crate::support::said::Said;

/// A stream that takes about a second.
const SLOW: &str = "m!chunk-delay=20ms";

fn setup(a: &Server) -> Setup {
    Setup::new().provider("a", a).route("m", &[&format!("a/{SLOW}")])
}

/// A stream with its first word read.
async fn begun(process: &Process) -> (Open, Vec<u8>) {
    let mut stream = open(process.addr, request(chat("m", "hi", true).to_string())).await;
    let beginning = stream.until("w0001").await;
    (stream, beginning)
}

async fn said(begun: (Open, Vec<u8>)) -> (bool, Said) {
    let (stream, mut body) = begun;
    let rest = within("the rest of the stream", stream.rest()).await;
    body.extend_from_slice(&rest.body);
    (rest.complete, Said::in_stream(&String::from_utf8_lossy(&body)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_what_is_under_way_end() {
    let a = provider("a", "ok");
    let mut process = Process::start(&setup(&a).text()).await;
    assert_eq!(get(process.admin, "/readyz").await.status, 200);
    let stream = begun(&process).await;
    // A connection without a call must not hold the end up.
    let idle = TcpStream::connect(process.addr).await.unwrap();
    process.signal(Signal::TERM);
    process.line("draining").await;
    assert_eq!(get(process.admin, "/readyz").await.status, 503);
    assert_eq!(get(process.admin, "/livez").await.status, 200);
    within("new connections to be refused", async {
        while TcpStream::connect(process.addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (complete, said) = said(stream).await;
    said.is_whole(&answer("hi", DEFAULT_WORDS), true).unwrap();
    assert!(complete);
    assert_eq!(process.ended().await, Some(0));
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let a = provider("a", "ok");
    let endless = Setup::new().provider("a", &a).route("m", &["a/m!trickle"]);
    let mut process = Process::start(&endless.text()).await;
    let stream = open(process.addr, request(chat("m", "hi", true).to_string())).await;
    process.signal(Signal::INT);
    process.line("draining").await;
    process.signal(Signal::TERM);
    let code = process.ended().await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    let (_, said) = said((stream, Vec::new())).await;
    assert!(said.done == 0 && said.finishes.is_empty(), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_the_drain_limit_is_refused() {
    let a = provider("a", "ok");
    let endless = Setup::new().provider("a", &a).route("m", &["a/m!trickle"]);
    let mut process = Process::start(&endless.server("drain_timeout = \"300ms\"").text()).await;
    let mut stream = open(process.addr, request(chat("m", "hi", true).to_string())).await;
    let beginning = stream.until("w0001").await;
    let address = process.addr;
    let waiting = tokio::spawn(async move { client::ask(address, &chat("m", "hi", false)).await });
    within("the second call", async {
        while get(process.admin, "/status").await.json()["calls_under_way"] != 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    process.signal(Signal::TERM);
    let refused = waiting.await.unwrap();
    assert_eq!((refused.status, refused.header("x-should-retry")), (503, Some("true")));
    assert_eq!(refused.json()["error"]["code"], "shutting_down");
    process.ended().await;
    let (complete, said) = said((stream, beginning)).await;
    assert!(complete && said.errors.len() == 1, "{complete} {said:?}");
    assert!(said.done == 0 && said.finishes.is_empty(), "{said:?}");
    assert!(process.lines().iter().any(|line| line.contains("cut off")), "{:?}", process.lines());
}

/// As editors do it: a new file in place of the old.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn whole(process: &Process, model: &str) -> u16 {
    let reply = client::ask(process.addr, &chat(model, "hi", false)).await;
    if reply.status == 200 {
        Said::of(&reply).is_whole(&answer("hi", DEFAULT_WORDS), false).unwrap();
    }
    reply.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_is_for_the_calls_to_come() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let process = Process::start(&setup(&a).text()).await;
    let stream = begun(&process).await;
    assert_eq!(whole(&process, "new").await, 404);
    let text = setup(&a).provider("b", &b).route("new", &["b/m"]).text();
    replace(&process.config_file(), &text);
    process.line("configuration changed").await;
    assert_eq!(whole(&process, "new").await, 200);
    let (complete, said) = said(stream).await;
    said.is_whole(&answer("hi", DEFAULT_WORDS), true).unwrap();
    assert!(complete);
    // A bad one changes nothing, and the log says what is wrong, and where.
    replace(&process.config_file(), &text.replace("priority = 1", "priority = 0"));
    let line = process.line("configuration not changed").await.to_string();
    assert!(line.contains("priority"), "{line}");
    assert_eq!(whole(&process, "new").await, 200);
    let status = get(process.admin, "/status").await.json();
    assert_eq!(status["generation"], 2, "{status}");
    // Whoever looks at the status sees it too, until there is a good one.
    let error = &status["configuration"]["error"];
    assert!(error["reason"].as_str().unwrap().contains("priority"), "{status}");
    assert!(error["ago_ms"].is_u64(), "{status}");
    replace(&process.config_file(), &text);
    process.line("\"generation\":3").await;
    let status = get(process.admin, "/status").await.json();
    assert_eq!(status["configuration"]["error"], serde_json::Value::Null, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_admin_token_takes_the_place_of_the_old() {
    let a = provider("a", "ok");
    let with = |variable: &str| {
        let token = format!("[admin]\ntoken = {{ env = \"{variable}\" }}");
        setup(&a).text().replace("[admin]", &token)
    };
    let process = Process::start(&with("SHOP")).await;
    let status_for = async |variable: &str| {
        let mut request = client::request_to(Method::GET, "/status", "");
        let key = format!("Bearer sk-{variable}-5f0c9d").parse().unwrap();
        request.headers_mut().insert("authorization", key);
        client::exchange(process.admin, request).await.status
    };
    assert_eq!((status_for("SHOP").await, status_for("BLOG").await), (200, 401));
    replace(&process.config_file(), &with("BLOG"));
    process.line("configuration changed").await;
    assert_eq!((status_for("SHOP").await, status_for("BLOG").await), (401, 200));
}

/// What is known of a target does not depend on the file.
#[tokio::test(flavor = "multi_thread")]
async fn health_survives_a_new_configuration() {
    let (a, b) = (provider("a", "503"), provider("b", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b).route("m", &["a/m", "b/m"]);
    let setup = setup.rule("breaker_open_min", "\"20s\"").rule("breaker_open_max", "\"20s\"");
    let gateway = setup.start().await;
    for _ in 0..6 {
        assert_eq!(gateway.ask(&chat("m", "hi", false)).await.status, 200);
    }
    let before = a.counts().requests;
    gateway.reload(&setup.route("other", &["a/m", "b/m"]).text());
    let target = gateway.see("/status").await["targets"]["a/m"].clone();
    assert_eq!(target["circuit"], "open", "{target}");
    for model in ["m", "other"] {
        assert_eq!(gateway.ask(&chat(model, "hi", false)).await.status, 200);
    }
    assert_eq!(a.counts().requests, before, "an open circuit stays open");
}
