//! Shadows: asked the same, without effect; their disagreements are counted and
//! shown, and what they do to themselves costs no call.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::time::Duration;

use backstay::fake::{DEFAULT_WORDS, answer};
use serde_json::Value;

use crate::support::client::{Reply, chat, within};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::guests::{misbehaving, picking, variant};
use crate::support::said::Said;

const PROMPT: &str = "what about Zanzibar";
/// What a shadow may add to a call: nothing but the noise of a busy machine.
const ADDED: Duration = Duration::from_millis(50);

fn count(view: &Value, what: &str) -> u64 {
    let verbs = view["by_verb"].as_object().unwrap().values();
    verbs.map(|count| count[what].as_u64().unwrap()).sum()
}

/// The shadow's page, once it has dealt with so many questions.
async fn dealt_with(gateway: &Gateway, route: &str, questions: u64) -> Value {
    within("the shadow's questions", async {
        loop {
            let view = gateway.see(&format!("/shadow/{route}")).await;
            let apart = ["dropped", "not_asked"].map(|what| view[what].as_u64().unwrap());
            if count(&view, "asked") + apart.iter().sum::<u64>() >= questions {
                return view;
            }
        }
    })
    .await
}

async fn calls(gateway: &Gateway, route: &str, number: usize) -> Vec<Reply> {
    let mut replies = Vec::new();
    for n in 0..number {
        replies.push(gateway.ask(&chat(route, PROMPT, n % 2 == 0)).await);
    }
    gateway.settled().await;
    replies
}

fn assert_whole(replies: &[Reply], target: &str) {
    for (n, reply) in replies.iter().enumerate() {
        let whole = answer(PROMPT, DEFAULT_WORDS);
        Said::of(reply).is_whole(&whole, n % 2 == 0).unwrap();
        assert_eq!(reply.header("x-backstay-target"), Some(target));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_disagrees_is_counted_and_never_acts() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b).route_with(
        "r/1",
        "policy = \"first\"\nshadow = \"second\"",
        &["a/m", "b/m"],
    );
    let (first, second) = (picking(0), picking(1));
    let files: [(&str, &[u8]); 2] = [("first.wasm", &first), ("second.wasm", &second)];
    let gateway = Gateway::start(&setup.text(), &files).await;
    let replies = calls(&gateway, "r/1", 20).await;
    assert_whole(&replies, "a/m");
    assert!(b.log().is_empty(), "the shadow's choice was never called");
    // How often a stream is judged depends on how it arrives.
    let view = within("the last selection", async {
        loop {
            let view = dealt_with(&gateway, "r%2F1", 40).await;
            if view["by_verb"]["select-provider"]["asked"] == 20 {
                return view;
            }
        }
    })
    .await;
    let select = &view["by_verb"]["select-provider"];
    assert_eq!((&select["asked"], &select["disagreed"]), (&20.into(), &20.into()), "{view}");
    let validate = &view["by_verb"]["validate-output"];
    assert_eq!(validate["asked"], validate["agreed"], "{view}");
    let listed = view["disagreements"].as_array().unwrap();
    assert_eq!(listed.len(), 20);
    for (shown, reply) in listed.iter().zip(&replies) {
        assert_eq!(shown["trace"].as_str(), reply.header("x-backstay-trace"));
        let told = [&shown["verb"], &shown["done"], &shown["shadow"]];
        assert_eq!(told, ["select-provider", "launch a/m", "launch b/m"], "{shown}");
    }
    let all = gateway.see("/shadow").await.to_string() + &gateway.see("/status").await.to_string();
    let words = answer(PROMPT, DEFAULT_WORDS);
    let said = words.split(' ').chain(["Zanzibar"]).find(|word| all.contains(word));
    assert_eq!(said, None, "no text of a prompt or an answer is shown");
    let status = gateway.see("/status").await;
    assert_eq!(status["routes"]["r/1"]["shadow"]["disagreements"], 20, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_is_the_same_never_disagrees() {
    let (a, b) = (provider("a", "503+rate=0.4"), provider("b", "429+rate=0.3"));
    let targets = ["a/m", "b/m weight = 2", "b/n weight = 2"];
    let setup = Setup::new().provider("a", &a).provider("b", &b);
    let setup = setup
        .route_with("built-in", "shadow = \"default\"", &targets)
        .route_with("own", "policy = \"own\"\nshadow = \"own\"", &targets)
        .route_with(
            "none",
            "policy = \"none\"\nshadow = \"none\"\npolicy_settings = { do = \"none\" }",
            &targets,
        );
    let own = picking(0);
    let files: [(&str, &[u8]); 2] = [("own.wasm", &own), ("none.wasm", misbehaving())];
    // Not how fast it answers is tested here, and the machine may be busy.
    let text = setup.with("[policies]\ntime_limit = \"2s\"\n").text();
    let gateway = Gateway::start(&text, &files).await;
    for route in ["built-in", "own", "none"] {
        calls(&gateway, route, 40).await;
        let view = dealt_with(&gateway, route, 80).await;
        let counts = ["disagreed", "faults"].map(|what| count(&view, what));
        assert_eq!(counts, [0, 0], "{route}: {view}");
        assert!(count(&view, "asked") >= 80, "{route}: {view}");
        let asked = &view["by_verb"]["classify-error"]["asked"];
        assert!(asked.as_u64() > Some(0), "{route}: failures were ruled: {view}");
    }
}

fn quickest(replies: &[Reply]) -> Duration {
    replies.iter().map(|reply| reply.took).min().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_misbehaves_costs_no_call() {
    const DEEDS: [&str; 4] = ["loop", "panic", "log-flood", "memory-bomb"];
    let a = provider("a", "ok");
    let setup = Setup::new().provider("a", &a).route("alone", &["a/m"]);
    let setup = DEEDS.iter().fold(setup, |setup, deed| {
        let settings = format!("policy_settings = {{ do = \"{deed}\" }}");
        // The same policy decides another route, and must not suffer for it.
        let lines = format!("shadow = \"guest-{deed}\"\n{settings}");
        setup.route_with(deed, &lines, &["a/m"])
    });
    let files: Vec<_> =
        DEEDS.iter().map(|deed| (format!("guest-{deed}.wasm"), variant(deed))).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, guest)| (name.as_str(), guest.as_slice())).collect();
    let gateway = Gateway::start(&setup.text(), &files).await;
    let usual = calls(&gateway, "alone", 10).await;
    for deed in DEEDS {
        let shadowed = calls(&gateway, deed, 10).await;
        assert_whole(&shadowed, "a/m");
        let added = quickest(&shadowed).saturating_sub(quickest(&usual));
        println!("{deed}: {added:?} more");
        assert!(added <= ADDED, "{deed}: {added:?} more than without the shadow");
        let view = dealt_with(&gateway, deed, 20).await;
        if deed != "log-flood" {
            assert!(count(&view, "faults") >= 5, "{deed}: {view}");
            assert!(view["not_asked"].as_u64() > Some(0), "{deed}: in quarantine: {view}");
        }
        let status = gateway.see("/status").await;
        let policies = status["policies"].as_array().unwrap();
        let name = format!("guest-{deed}");
        let live = policies.iter().find(|policy| policy["name"] == name.as_str()).unwrap();
        assert_eq!((&live["faults"], &live["state"]), (&0.into(), &"active".into()), "{live}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_shadow_has_no_room_for_is_dropped_and_counted() {
    let a = provider("a", "ok");
    let lines = "shadow = \"slow\"\npolicy_settings = { do = \"loop\" }";
    let setup = Setup::new().provider("a", &a).route_with("r", lines, &["a/m"]);
    let text = setup.with("[policies]\ntime_limit = \"2s\"\n").text();
    let gateway = Gateway::start(&text, &[("slow.wasm", misbehaving())]).await;
    let mut dropped = 0;
    for _ in 0..20 {
        let replies = calls(&gateway, "r", 20).await;
        assert_whole(&replies, "a/m");
        dropped = gateway.see("/shadow/r").await["dropped"].as_u64().unwrap();
        if dropped > 0 {
            break;
        }
    }
    assert!(dropped > 0, "the queue has an end");
}
