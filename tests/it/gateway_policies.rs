//! Policies that misbehave, in the way of real calls: the client is answered by
//! the built-in's decision, almost as soon, and the operator is told.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::time::Duration;

use backstay::fake::{DEFAULT_WORDS, Server, answer};
use serde_json::Value;

use crate::support::client::{Reply, chat};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::guests::misbehaving;
use crate::support::said::Said;

/// What a fault may add to a call: a policy's 20 ms, and what a busy machine
/// adds to them. Without its limit a policy would add seconds, or for ever.
const ADDED: Duration = Duration::from_millis(500);
/// Of so many tries the quickest counts: the machine has other things to do.
/// After more, the policy would be in quarantine.
const TRIES: usize = 2;

/// So few under one name that it is not quarantined before the last.
const DEEDS: [(&str, &str); 9] = [
    ("loop", "one"),
    ("unknown-candidate", "two"),
    ("recurse", "three"),
    ("launches", "four"),
    ("memory-bomb", "five"),
    ("wait-10-days", "six"),
    ("panic", "seven"),
    ("list-bomb", "eight"),
    ("sleep", "nine"),
];

async fn with_guests(a: &Server) -> Gateway {
    let add = |setup: Setup, (deed, guest): &(&str, &str)| {
        let lines = format!("policy = \"{guest}\"\npolicy_settings = {{ do = \"{deed}\" }}");
        setup.route_with(deed, &lines, &["a/m"])
    };
    let setup = DEEDS.iter().fold(Setup::new().provider("a", a), add);
    let setup = setup.route_with("behaves", "policy = \"one\"", &["a/m"]);
    let files: Vec<String> = DEEDS.iter().map(|(_, guest)| format!("{guest}.wasm")).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|file| (file.as_str(), misbehaving())).collect();
    Gateway::start(&setup.text(), &files).await
}

/// Makes some calls, each of which must be answered in full.
async fn replies(gateway: &Gateway, route: &str) -> Vec<Reply> {
    let mut replies = Vec::new();
    for _ in 0..TRIES {
        let reply = gateway.ask(&chat(route, "hi", true)).await;
        Said::of(&reply).is_whole(&answer("hi", DEFAULT_WORDS), true).unwrap();
        replies.push(reply);
    }
    gateway.settled().await;
    replies
}

fn quickest(replies: &[Reply]) -> Duration {
    replies.iter().map(|reply| reply.took).min().unwrap()
}

async fn policy(gateway: &Gateway, name: &str) -> Value {
    let status = gateway.see("/status").await;
    let policies = status["policies"].as_array().unwrap();
    policies.iter().find(|policy| policy["name"] == name).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misbehaving_policy_costs_no_call() {
    let a = provider("a", "ok");
    let gateway = with_guests(&a).await;
    let usual = replies(&gateway, "behaves").await;
    let by = usual[0].header("x-backstay-policy").unwrap();
    assert!(by.starts_with("one"), "{by}");
    for (deed, guest) in DEEDS {
        let faulted = replies(&gateway, deed).await;
        let added = quickest(&faulted).saturating_sub(quickest(&usual));
        println!("{deed}: {added:?} more");
        assert!(added <= ADDED, "{deed}: {added:?} more than without the fault");
        for reply in &faulted {
            let trace = gateway.trace_of(reply).await.to_string();
            let told = trace.contains("of policy: ") && trace.contains("built-in answered launch");
            assert!(told, "{deed}: {trace}");
        }
        let faults = policy(&gateway, guest).await["faults"].as_u64();
        assert!(faults >= Some(TRIES as u64), "{deed}: {faults:?} faults counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_keeps_failing_is_asked_no_more() {
    let a = provider("a", "ok");
    let gateway = with_guests(&a).await;
    for _ in 0..3 {
        replies(&gateway, "panic").await;
    }
    let seven = policy(&gateway, "seven").await;
    assert_eq!((&seven["state"], &seven["faults"]), (&"quarantined".into(), &5.into()), "{seven}");
    assert!(seven["last_fault"]["reason"].is_string(), "{seven}");
    let after = gateway.ask(&chat("panic", "hi", false)).await;
    let policy_header = after.header("x-backstay-policy").unwrap();
    assert!(policy_header.starts_with("default@"), "{policy_header} decides no more");
    // Under another name it is another policy.
    assert_eq!(policy(&gateway, "eight").await["state"], "active");
}
