//! Streams through the gateway: what is held back, who leaves, who is slow.

use std::time::Duration;

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::support::client::{chat, now, open, raw, read_all, request, within};
use crate::support::gateway::{Gateway, Setup, asked, provider};
use crate::support::said::Said;

/// What a busy machine may add to the 100 ms within which a provider is told.
const NOTICED: Duration = Duration::from_secs(1);

async fn pair(first: &Server, second: &Server, lines: &str, model: &str) -> Gateway {
    let targets = [format!("a/{model}"), "b/m".to_owned()];
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let setup = Setup::new().provider("a", first).provider("b", second);
    setup.route_with("m", lines, &targets).start().await
}

/// A stream that breaks while it is held is replaced as a whole; one that
/// breaks after the commit is continued, or ends in an error.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_back_can_be_replaced() {
    let rows = [
        // hold, rescue, words before the break, attempts in the head, who is told to have answered
        ("first", "continue", 3, "1", "a"),
        ("64B", "continue", 3, "2", "b"),
        ("64B", "continue", 20, "1", "a"),
        ("1KiB", "continue", 20, "2", "b"),
        ("all", "continue", 59, "2", "b"),
        ("all", "error", 59, "2", "b"),
        ("64B", "error", 3, "2", "b"),
    ];
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    for (hold, rescue, words, attempts, by) in rows {
        let lines = format!("hold = \"{hold}\"\nrescue = \"{rescue}\"");
        let gateway = pair(&a, &b, &lines, &format!("m!cut-clean:after={words}")).await;
        let reply = gateway.ask(&chat("m", "hi", true)).await;
        let said = Said::of(&reply);
        let case = format!("hold={hold} rescue={rescue} after={words}");
        said.is_whole(&answer("hi", DEFAULT_WORDS), true).unwrap_or_else(|e| panic!("{case}: {e}"));
        let target = reply.header("x-backstay-target").unwrap();
        assert_eq!(reply.header("x-backstay-attempts"), Some(attempts), "{case}");
        assert!(target.starts_with(&format!("{by}/")), "{case}: {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_prefer_an_error_to_a_continuation() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let gateway = pair(&a, &b, "rescue = \"error\"", "m!cut-reset:after=3").await;
    let reply = gateway.ask(&chat("m", "hi", true)).await;
    let said = Said::of(&reply);
    assert_eq!(said.text, answer("hi", 3));
    assert!(said.done == 0 && said.finishes.is_empty() && said.errors.len() == 1, "{said:?}");
    assert_eq!(b.counts().requests, 0);
}

/// A tool call cannot be continued by another model.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_tool_call_is_an_error() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let gateway = pair(&a, &b, "", "m!tool-cut").await;
    let reply = gateway.ask(&chat("m", "hi", true)).await;
    let said = Said::of(&reply);
    assert!(said.done == 0 && said.finishes.is_empty() && said.errors.len() == 1, "{said:?}");
    assert_eq!(b.counts().requests, 0);
}

/// A chain: the continuation breaks as well, and another target goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_continuation_may_itself_be_continued() {
    let (a, b, c) = (provider("a", "ok"), provider("b", "ok"), provider("c", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b).provider("c", &c);
    let targets = ["a/m!cut-clean:after=5", "b/m!cut-fin:after=9", "c/m!continues=overlap"];
    let gateway = setup.route("m", &targets).start().await;
    let mut call = chat("m", "hi", true);
    call["stream_options"] = json!({ "include_usage": true });
    let reply = gateway.ask(&call).await;
    let said = Said::of(&reply);
    said.is_whole(&answer("hi", DEFAULT_WORDS), true).unwrap();
    assert_eq!((said.ids.len(), said.models.len(), said.usages), (1, 1, 1), "{said:?}");
    let comment = said.comments.last().unwrap();
    assert!(comment.contains("finished-by=c/") && comment.contains("attempts=3"), "{comment}");
}

/// Promised JSON is held against the whole answer, and the answer replaced.
#[tokio::test(flavor = "multi_thread")]
async fn promised_json_that_is_none_is_replaced() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    for (streamed, lines) in [(false, ""), (true, "hold = \"all\"")] {
        let gateway = pair(&a, &b, lines, "m!wrong-json").await;
        let mut call = chat("m", "hi", streamed);
        call["response_format"] = json!({ "type": "json_object" });
        let said = Said::of(&gateway.ask(&call).await);
        let value: serde_json::Value = serde_json::from_str(&said.text).unwrap_or_default();
        assert_eq!(value["answer"], answer("hi", DEFAULT_WORDS), "{said:?}");
    }
}

/// In mid-stream and before the first token: the provider is told at once, and
/// nobody is blamed.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_provider_along() {
    let a = provider("a", "ok");
    let gateway = Setup::new()
        .provider("a", &a)
        .route("mid", &["a/m!trickle:every=20ms"])
        .route("early", &["a/m!silence"])
        .start()
        .await;
    for (route, whole) in [("mid", false), ("early", false), ("early", true)] {
        let before = a.counts();
        let body = chat(route, "hi", !whole).to_string();
        let client = if route == "mid" {
            let mut client = open(gateway.addr, request(body)).await;
            client.until(" more").await;
            tokio::spawn(async move { drop(client) })
        } else {
            let addr = gateway.addr;
            let client = tokio::spawn(async move { drop(open(addr, request(body)).await) });
            a.wait_for(|a| (a.counts().requests > before.requests).then_some(())).await;
            client
        };
        let left = now();
        client.abort();
        let _aborted = client.await;
        let gone = within("the provider to be told", a.wait_for(|a| a.log().last()?.gone())).await;
        let noticed = gone.saturating_duration_since(left);
        println!("{route} whole={whole}: the provider noticed after {noticed:?}");
        assert!(noticed < NOTICED, "{route} whole={whole}: {noticed:?}");
    }
    gateway.settled().await;
    let status = gateway.see("/status").await;
    for target in status["targets"].as_object().unwrap().values() {
        assert_eq!((&target["samples"], &target["in_flight"]), (&json!(0), &json!(0)), "{target}");
    }
}

/// A client that leaves while its answer would be sought elsewhere ends the
/// search.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_for_a_client_that_has_left() {
    let (a, b) = (provider("a", "silence"), provider("b", "ok"));
    let gateway = pair(&a, &b, "", "m").await;
    let (addr, body) = (gateway.addr, chat("m", "hi", true).to_string());
    let client = tokio::spawn(async move { open(addr, request(body)).await });
    a.wait_for(|a| (a.counts().in_flight == 1).then_some(())).await;
    client.abort();
    a.wait_for(|a| (a.counts().gone == 1).then_some(())).await;
    gateway.settled().await;
    assert_eq!(b.counts().requests, 0);
}

const MANY_WORDS: usize = 60_000;

/// A slow reader holds up nobody but its own provider, and loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_costs_only_itself() {
    let model = format!("m!words={MANY_WORDS}");
    let a = provider("a", "ok");
    let setup = Setup::new().server("stream_buffer = \"16KiB\"").provider("a", &a);
    let gateway = setup
        .rule("chunk_timeout", "\"1s\"")
        .route("long", &[&format!("a/{model}")])
        .route("m", &["a/m"])
        .start()
        .await;
    let mut slow = open(gateway.addr, request(chat("long", "hi", true).to_string())).await;
    let mut body = slow.until("w0001").await;
    // While it does not read, others are served.
    for n in 0..20 {
        let prompt = format!("call {n}");
        let reply = gateway.ask(&chat("m", &prompt, true)).await;
        Said::of(&reply).is_whole(&answer(&prompt, DEFAULT_WORDS), true).unwrap();
    }
    // For longer than a chunk's limit the provider is not read: a blocked stream
    // is no stalled one, and what it has to say is in nobody's memory.
    let long = |a: &Server| a.log().iter().find(|seen| seen.model == model)?.ended();
    let written = tokio::time::timeout(Duration::from_millis(1500), a.wait_for(long)).await;
    assert!(written.is_err(), "the provider could write it all");
    body.extend_from_slice(&slow.rest().await.body);
    let said = Said::in_stream(&String::from_utf8_lossy(&body));
    said.is_whole(&answer("hi", MANY_WORDS), true).map_err(|e| e[..200].to_owned()).unwrap();
    assert_eq!(asked(&a, &model), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_given_up() {
    let model = format!("m!words={MANY_WORDS}");
    let a = provider("a", "ok");
    let setup = Setup::new().server("stream_buffer = \"16KiB\"\nwrite_timeout = \"500ms\"");
    let setup = setup.provider("a", &a).route("m", &[&format!("a/{model}")]);
    let gateway = setup.start().await;
    let body = chat("m", "hi", true).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json";
    let call = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut client = raw(gateway.addr, call.as_bytes()).await;
    within("the provider to be told", a.wait_for(|a| a.log().last()?.gone())).await;
    gateway.settled().await;
    assert_eq!(gateway.see("/status").await["targets"][format!("a/{model}")]["samples"], 0);
    // What it finds in the end is no whole answer.
    let text = read_all(&mut client).await;
    assert!(!text.contains("[DONE]"), "{}", &text[text.len() - 100..]);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

/// Content is handed on as it comes, and not gathered.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_is_handed_on_at_once() {
    let a = provider("a", "stall:after=2");
    let gateway = Setup::new()
        .provider("a", &a)
        .rule("chunk_timeout", "\"15s\"")
        .route("m", &["a/m"])
        .start()
        .await;
    let mut client = open(gateway.addr, request(chat("m", "hi", true).to_string())).await;
    client.until("w0002").await;
    assert_eq!(client.headers["content-type"], "text/event-stream");
    assert_eq!(client.headers["cache-control"], "no-cache");
    assert_eq!(client.headers["x-accel-buffering"], "no");
}
