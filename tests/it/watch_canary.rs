//! Canaries: their share, and that a bad one is given up by itself while a good
//! one is not.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use backstay::failover::canary::{Arm, Lot};
use backstay::fake::Server;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use crate::support::client::{ask, chat};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::guests::{misbehaving, picking, variant};

const AT_ONCE: usize = 8;

/// A route whose own policy sends every call to `a`, with this canary.
fn setup(a: &Server, b: &Server, canary: &str, settings: &str) -> Setup {
    let lines = format!(
        "policy = \"own\"\ncanary = {{ policy = \"canary\", {canary} }}\n\
         policy_settings = {{ {settings} }}"
    );
    let setup = Setup::new().provider("a", a).provider("b", b);
    // Not how fast a policy answers is tested here, and the machine may be busy.
    let setup = setup.with("[policies]\ntime_limit = \"2s\"\n");
    setup.route_with("r", &lines, &["a/m", "b/m"])
}

async fn start(setup: &Setup, canary: &[u8]) -> Gateway {
    let own = picking(0);
    Gateway::start(&setup.text(), &[("own.wasm", &own), ("canary.wasm", canary)]).await
}

async fn canary(gateway: &Gateway) -> Value {
    gateway.settled().await;
    gateway.see("/status").await["routes"]["r"]["canary"].clone()
}

/// So many calls: trace, policy and target of each.
async fn calls(gateway: &Gateway, number: usize) -> Vec<(String, String, String)> {
    let addr = gateway.addr;
    let one = |n: usize| async move {
        let reply = ask(addr, &chat("r", "hi", n.is_multiple_of(2))).await;
        let header = |name| reply.header(name).unwrap().to_owned();
        let policy = header("x-backstay-policy");
        let name = policy.split('@').next().unwrap().to_owned();
        (header("x-backstay-trace"), name, header("x-backstay-target"))
    };
    stream::iter(0..number).map(one).buffer_unordered(AT_ONCE).collect().await
}

/// Calls, until the canary is given up or so many were made.
async fn until_given_up(gateway: &Gateway, most: usize) -> Value {
    for _ in 0..most / 10 {
        calls(gateway, 10).await;
        let view = canary(gateway).await;
        if view["state"] == "rolled-back" {
            return view;
        }
    }
    canary(gateway).await
}

/// After it was given up, the route's own policy decides every call.
async fn assert_own_decides(gateway: &Gateway) {
    for (trace, policy, target) in calls(gateway, 40).await {
        assert_eq!((policy.as_str(), target.as_str()), ("own", "a/m"), "{trace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_decides_its_share_and_is_kept() {
    const CALLS: usize = 2_000;
    const SHARE: f64 = 0.1;
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let setup = setup(&a, &b, "share = 0.1, calls = 50, latency_margin = 2.0", "");
    let gateway = start(&setup, &picking(1)).await;
    let mut tried = 0;
    for (trace, policy, target) in calls(&gateway, CALLS).await {
        let expected = match Lot::of(&trace, SHARE).arm {
            Arm::Own => ("own", "a/m"),
            Arm::Canary => ("canary", "b/m"),
        };
        assert_eq!((policy.as_str(), target.as_str()), expected, "{trace}");
        tried += u64::from(policy == "canary");
    }
    // Four standard deviations around 200.
    assert!((146..=254).contains(&tried), "{tried} of {CALLS}");
    let view = canary(&gateway).await;
    assert_eq!(view["state"], "running", "{view}");
    let arms = &view["arms"];
    assert_eq!(arms["canary"]["delivered"], tried, "{view}");
    assert_eq!(arms["own"]["delivered"], CALLS as u64 - tried, "{view}");
    for arm in ["own", "canary"] {
        assert_eq!(arms[arm]["availability"], 1.0, "{view}");
        // A busy machine may make a provider late, and the call is tried again.
        assert!(arms[arm]["attempts_per_call"].as_f64() < Some(1.1), "{view}");
        assert!(arms[arm]["total_p95_ms"].is_u64(), "{view}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_faults_is_given_up_at_once_until_it_changes() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let setup = setup(&a, &b, "share = 0.5, max_faults = 2", "do = \"panic\"");
    let gateway = start(&setup, &variant("one")).await;
    let view = until_given_up(&gateway, 100).await;
    assert_eq!((&view["state"], &view["why"]), (&"rolled-back".into(), &"faults".into()), "{view}");
    assert_own_decides(&gateway).await;
    // Another configuration of something else changes nothing.
    gateway.reload(&setup.clone().rule("deadline", "\"19s\"").text());
    let after = canary(&gateway).await;
    assert_eq!(after["state"], "rolled-back", "{after}");
    assert_own_decides(&gateway).await;
    // Another version is tried anew, and so are other settings of the policy.
    let file = gateway.directory.path().join("policies/canary.wasm");
    std::fs::write(file, variant("two")).unwrap();
    gateway.shared.library.rescan_now();
    let view = until_given_up(&gateway, 100).await;
    assert_eq!(view["state"], "rolled-back", "{view}");
    assert!(view["arms"]["canary"]["calls"].as_u64() <= Some(10), "it began anew: {view}");
    let other = self::setup(&a, &b, "share = 0.5, max_faults = 2", "do = \"\"");
    gateway.reload(&other.text());
    calls(&gateway, 40).await;
    let view = canary(&gateway).await;
    assert_eq!(view["state"], "running", "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_delivers_less_is_given_up() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let setup = setup(&a, &b, "share = 0.5, calls = 20", "do = \"defer\"");
    let gateway = start(&setup, misbehaving()).await;
    let view = until_given_up(&gateway, 200).await;
    assert_eq!(view["why"], "less-available", "{view}");
    assert_eq!(view["figures"], "100.00 % refused, of the route's own policy 0.00 %", "{view}");
    assert_eq!(view["arms"]["canary"]["faults"], 0, "{view}");
    assert_own_decides(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_slower_is_given_up() {
    let (a, b) = (provider("a", "ok"), provider("b", "latency=150ms"));
    let setup = setup(&a, &b, "share = 0.5, calls = 20", "");
    let gateway = start(&setup, &picking(1)).await;
    let view = until_given_up(&gateway, 400).await;
    assert_eq!(view["why"], "slower-to-begin", "{view}");
    assert_own_decides(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_of_clients_are_held_against_no_policy() {
    let (a, b) = (provider("a", "bad-request"), provider("b", "bad-request"));
    // The canary leaves it to the built-in, which hands the provider's word on.
    let setup = setup(&a, &b, "share = 0.5, calls = 20", "");
    let gateway = start(&setup, misbehaving()).await;
    calls(&gateway, 100).await;
    let view = canary(&gateway).await;
    assert_eq!(view["state"], "running", "{view}");
    let arm = &view["arms"]["canary"];
    assert!(arm["bad_requests"].as_u64() > Some(20), "{view}");
    assert_eq!((&arm["refused"], &arm["excused"]), (&0.into(), &0.into()), "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_choices_end_in_bad_requests_is_given_up() {
    // The route's own policy asks `b` as well, and is answered there.
    let (a, b) = (provider("a", "bad-request"), provider("b", "ok"));
    let setup = setup(&a, &b, "share = 0.5, calls = 20", "");
    let gateway = start(&setup, misbehaving()).await;
    let view = until_given_up(&gateway, 200).await;
    assert_eq!(view["why"], "more-bad-requests", "{view}");
    let figures = "100.00 % bad requests, of the route's own policy 0.00 %";
    assert_eq!(view["figures"], figures, "{view}");
    assert!(calls(&gateway, 40).await.iter().all(|(_, policy, _)| policy == "own"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_not_there_decides_nothing() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let setup = setup(&a, &b, "share = 0.5", "");
    let own = picking(0);
    let gateway = Gateway::start(&setup.text(), &[("own.wasm", &own)]).await;
    assert_own_decides(&gateway).await;
    assert_eq!(canary(&gateway).await["state"], "not-loaded");
}
