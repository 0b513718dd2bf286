//! What the gateway remembers from call to call: cooldowns, circuits,
//! credentials, limits.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::time::Duration;

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use http::Method;

use crate::support::client::{Reply, chat, exchange, open, request, request_to, within};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::said::Said;

/// Two providers, `a` preferred, and a route `m` over both.
async fn pair(a: &Server, b: &Server, setup: Setup) -> Gateway {
    setup.provider("a", a).provider("b", b).route("m", &["a/m", "b/m"]).start().await
}

async fn ask(gateway: &Gateway, prompt: &str) -> Reply {
    gateway.ask(&chat("m", prompt, false)).await
}

fn assert_whole(reply: &Reply, prompt: &str, streamed: bool) {
    let whole = Said::of(reply).is_whole(&answer(prompt, DEFAULT_WORDS), streamed);
    assert!(whole.is_ok(), "{} {whole:?}", reply.status);
}

fn requests(server: &Server) -> u64 {
    server.counts().requests
}

async fn target(gateway: &Gateway, name: &str) -> serde_json::Value {
    gateway.see("/status").await["targets"][name].clone()
}

/// Sets another behaviour; only requests from now on count.
fn turn(server: &Server, behaviour: &str) {
    server.set(behaviour.parse().unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_retry_after_is_waited_for_where_there_is_nobody_else() {
    let a = provider("a", "429:retry-after=1+once");
    let gateway = Setup::new().provider("a", &a).route("m", &["a/m"]).start().await;
    let reply = ask(&gateway, "hi").await;
    assert_whole(&reply, "hi", false);
    assert!(reply.took >= Duration::from_secs(1), "{:?}", reply.took);
    assert_eq!((requests(&a), reply.header("x-backstay-attempts")), (2, Some("2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_retry_after_keeps_the_next_calls_away() {
    let (a, b) = (provider("a", "429:retry-after=3600"), provider("b", "ok"));
    let gateway = pair(&a, &b, Setup::new()).await;
    for n in 0..5 {
        assert_whole(&ask(&gateway, &format!("call {n}")).await, &format!("call {n}"), false);
    }
    assert_eq!((requests(&a), requests(&b)), (1, 5));
    let seen = target(&gateway, "a/m").await;
    let cooldown = seen["cooldown_ms"].as_u64().unwrap();
    assert!((3_500_000..=3_600_000).contains(&cooldown), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_out_for_all_its_targets() {
    for (behaviour, class) in [("unauthorized", "authentication"), ("quota", "quota")] {
        let (a, b) = (provider("a", behaviour), provider("b", "ok"));
        let setup = Setup::new().route("other", &["a/another", "b/another"]);
        let gateway = pair(&a, &b, setup).await;
        for (n, model) in ["m", "m", "other"].into_iter().enumerate() {
            let prompt = format!("call {n}");
            let reply = gateway.ask(&chat(model, &prompt, false)).await;
            assert_whole(&reply, &prompt, false);
        }
        assert_eq!((requests(&a), requests(&b)), (1, 3), "{behaviour}");
        for name in ["a/m", "a/another"] {
            let out = target(&gateway, name).await["credential_out"].clone();
            assert_eq!(out["class"], class, "{out}");
            assert!((1..=1_800_000).contains(&out["for_ms"].as_u64().unwrap()), "{out}");
        }
    }
}

/// While a provider flaps, no client notices; while it is down it is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_opens_and_closes_again_and_no_client_sees_it() {
    let (a, b) = (provider("a", "503"), provider("b", "ok"));
    let setup = Setup::new()
        .rule("breaker_open_min", "\"300ms\"")
        .rule("breaker_open_max", "\"300ms\"")
        .rule("window", "\"2s\"");
    let gateway = pair(&a, &b, setup).await;
    for n in 0..30 {
        let prompt = format!("down {n}");
        assert_whole(&ask(&gateway, &prompt).await, &prompt, false);
    }
    // Five in a row open it; then single probes.
    let down = requests(&a);
    assert!((5..=15).contains(&down), "asked {down} times while down");
    assert_ne!(target(&gateway, "a/m").await["circuit"], "closed");
    turn(&a, "ok");
    let (before, mut n) = (requests(&a), 0);
    within("recovery", async {
        while target(&gateway, "a/m").await["circuit"] != "closed" {
            let prompt = format!("again {n}");
            assert_whole(&ask(&gateway, &prompt).await, &prompt, false);
            n += 1;
        }
    })
    .await;
    assert_eq!(requests(&a), before + 1, "one probe closes it");
    assert_whole(&ask(&gateway, "closed").await, "closed", false);
    assert_eq!(requests(&a), before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_provider_costs_no_client_an_answer() {
    let (a, b) = (provider("a", "cut-clean+flap=2/2"), provider("b", "ok"));
    let setup = Setup::new().rule("breaker_open_min", "\"20ms\"");
    let gateway = pair(&a, &b, setup.rule("breaker_open_max", "\"50ms\"")).await;
    for n in 0..40 {
        let (prompt, streamed) = (format!("call {n}"), n % 2 == 0);
        let reply = gateway.ask(&chat("m", &prompt, streamed)).await;
        assert_whole(&reply, &prompt, streamed);
    }
    assert!(a.counts().faulty > 0 && requests(&b) > 0, "{:?}", a.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_leaves_the_call_to_the_next() {
    let (a, b) = (provider("a", "slow:delay=20s"), provider("b", "ok"));
    let setup = Setup::new().rule("first_token_timeout", "\"15s\"").provider("a", &a);
    let targets = ["a/m max_concurrency = 1", "b/m"];
    let gateway = setup.provider("b", &b).route("m", &targets).start().await;
    let addr = gateway.addr;
    let first = request(chat("m", "first", true).to_string());
    let waiting = tokio::spawn(async move { open(addr, first).await });
    a.wait_for(|a| (a.counts().in_flight == 1).then_some(())).await;
    let reply = ask(&gateway, "second").await;
    assert_whole(&reply, "second", false);
    assert_eq!(reply.header("x-backstay-target"), Some("b/m"));
    assert_eq!((requests(&a), requests(&b)), (1, 1));
    assert_eq!(target(&gateway, "a/m").await["in_flight"], 1);
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_told_to_come_back() {
    let a = provider("a", "slow:delay=20s");
    let setup = Setup::new().server("max_concurrent_calls = 1").provider("a", &a);
    let gateway = setup.route("m", &["a/m"]).start().await;
    let addr = gateway.addr;
    let first = request(chat("m", "first", true).to_string());
    let waiting = tokio::spawn(async move { open(addr, first).await });
    a.wait_for(|a| (a.counts().in_flight == 1).then_some(())).await;
    let reply = ask(&gateway, "second").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{}", reply.text());
    assert_eq!(reply.json()["error"]["code"], "gateway_full");
    assert_eq!(reply.header("x-should-retry"), Some("true"), "nothing was tried");
    waiting.abort();
    a.wait_for(|a| (a.counts().in_flight == 0).then_some(())).await;
    gateway.settled().await;
    turn(&a, "ok");
    assert_whole(&ask(&gateway, "third").await, "third", false);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_is_the_last_word() {
    // Trickling content is no stall, and never ends.
    let (a, b) = (provider("a", "trickle:every=50ms"), provider("b", "ok"));
    let setup = Setup::new().rule("deadline", "\"2s\"").rule("first_token_timeout", "\"1s\"");
    let setup = setup.rule("chunk_timeout", "\"1s\"").rule("answer_timeout_max", "\"1s\"");
    let gateway = pair(&a, &b, setup.rule("answer_timeout_min", "\"1s\"")).await;
    let reply = gateway.ask(&chat("m", "hi", true)).await;
    let said = Said::of(&reply);
    let honest = said.done == 0 && said.finishes.is_empty() && said.errors.len() == 1;
    assert!(honest, "{said:?}");
    assert_eq!(said.errors[0]["error"]["code"], "deadline_exceeded", "{said:?}");
    let took = reply.took;
    assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&took), "{took:?}");
    a.wait_for(|a| (a.counts().gone == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_attempts_than_allowed() {
    let (a, b) = (provider("a", "500"), provider("b", "500"));
    let (c, d) = (provider("c", "500"), provider("d", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b).provider("c", &c);
    let gateway = setup
        .provider("d", &d)
        .route_with("m", "rules = { attempts = 3 }", &["a/m", "b/m", "c/m", "d/m"])
        .start()
        .await;
    let reply = ask(&gateway, "hi").await;
    assert_eq!((reply.status, reply.header("x-backstay-attempts")), (502, Some("3")));
    let all = [&a, &b, &c, &d].map(requests);
    assert_eq!(all.iter().sum::<u64>(), 3, "{all:?}");
}

/// When a primary dies under load, every call in flight gets through, and the
/// dead one is not hammered.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_dies_under_load_costs_nothing_but_time() {
    let (a, b) = (provider("a", "reset"), provider("b", "latency=5ms"));
    let gateway = pair(&a, &b, Setup::new().rule("retry_min_per_second", "1")).await;
    let calls = (0..60).map(|n| {
        let (prompt, streamed) = (format!("call {n}"), n % 2 == 0);
        let call = chat("m", &prompt, streamed);
        let addr = gateway.addr;
        tokio::spawn(async move {
            let reply = crate::support::client::ask(addr, &call).await;
            assert_whole(&reply, &prompt, streamed);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(requests(&b), 60);
    assert!(requests(&a) <= 60 + 20, "asked {} times", requests(&a));
}

/// That a stand-in cannot take a call is not the client's to mend while the
/// target that can is only out for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_that_cannot_take_a_call_hides_no_passing_failure() {
    let (a, b) = (provider("a", "429:retry-after=60"), provider("b", "ok"));
    let call = serde_json::json!({ "model": "m", "logprobs": true,
        "messages": [{ "role": "user", "content": "hi" }] });
    for targets in [&["a/gpt-x"][..], &["a/gpt-x", "b/claude-x"]] {
        let setup = Setup::new().provider("a", &a).provider_of("b", "anthropic", &b);
        let gateway = setup.route("m", targets).start().await;
        for n in ["first", "second"] {
            let reply = gateway.ask(&call).await;
            assert_eq!(reply.status, 429, "{n} call at {targets:?}: {}", reply.text());
            assert_eq!(reply.header("retry-after"), Some("60"), "{n} call at {targets:?}");
        }
    }
    assert_eq!(b.counts().requests, 0);
}

/// Agents ask for reasoning by default. Whoever reasons goes first; but an answer
/// without it is better than none.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_reason_stands_in_for_one_that_does() {
    let call = serde_json::json!({ "model": "m", "max_tokens": 2000,
        "thinking": { "type": "adaptive" }, "messages": [{ "role": "user", "content": "hi" }] });
    let ask = || request_to(Method::POST, "/v1/messages", call.to_string());
    for (claude, targets, served_by, dropped) in [
        ("ok", &["b/gpt-4.1", "a/claude-sonnet-4-5"][..], "a/claude-sonnet-4-5", None),
        ("overloaded", &["a/claude-sonnet-4-5", "b/gpt-4.1"], "b/gpt-4.1", Some("thinking")),
        ("ok", &["b/gpt-4.1"], "b/gpt-4.1", Some("thinking")),
    ] {
        let (a, b) = (provider("a", claude), provider("b", "ok"));
        let setup = Setup::new().provider_of("a", "anthropic", &a).provider("b", &b);
        let gateway = setup.route("m", targets).start().await;
        let reply = exchange(gateway.addr, ask()).await;
        assert_eq!(reply.status, 200, "{targets:?}: {}", reply.text());
        assert_eq!(reply.header("x-backstay-target"), Some(served_by), "{targets:?}");
        assert_eq!(reply.header("x-backstay-dropped"), dropped, "{targets:?}");
    }
}
