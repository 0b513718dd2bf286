//! What is seen from outside: enough to understand a call, and never a prompt,
//! an answer or a key.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use http::Method;
use serde_json::Value;

use crate::support::client::{ask, chat, exchange, get, request_to};
use crate::support::gateway::{Gateway, Setup, key_of, provider};
use crate::support::guests::picking;
use crate::support::process::Process;
use crate::support::slow::SlowCompiler;

const PROMPT: &str = "marzipan and xylophones";
/// How the answers of the fake providers begin their words.
const ANSWER: &str = "w0001";

fn texts(list: &Value, member: &str) -> Vec<String> {
    let rows = list.as_array().unwrap().iter();
    rows.map(|row| row[member].as_str().unwrap_or_default().to_owned()).collect()
}

async fn after_failures() -> (Gateway, Value) {
    let (a, b, c) = (provider("a", "500"), provider("b", "cut-reset"), provider("c", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b).provider("c", &c);
    let gateway = setup.route("m", &["a/m", "b/m", "c/m"]).start().await;
    let reply = gateway.ask(&chat("m", PROMPT, true)).await;
    gateway.settled().await;
    let trace = gateway.trace_of(&reply).await;
    (gateway, trace)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_tells_what_was_done_and_why() {
    let (gateway, trace) = after_failures().await;
    let attempts = &trace["attempts"];
    assert_eq!(texts(attempts, "target"), ["a/m", "a/m", "b/m", "c/m"], "{trace:#}");
    assert_eq!(
        texts(attempts, "class"),
        ["server-error", "server-error", "stream-broken", "answered"]
    );
    assert_eq!(texts(attempts, "why"), ["selected", "retry", "selected", "continuation"]);
    assert_eq!(attempts[0]["status"], 500);
    assert_eq!(texts(attempts, "phase")[..3], ["headers", "headers", "body"], "{trace:#}");
    for attempt in attempts.as_array().unwrap() {
        let (started, ended) = (&attempt["started_ms"], &attempt["ended_ms"]);
        assert!(started.as_f64().unwrap() <= ended.as_f64().unwrap(), "{attempt}");
    }
    assert_eq!((&trace["end"], &trace["route"]), (&"delivered".into(), &"m".into()));
    assert!(trace["policy"].as_str().unwrap().starts_with("default"), "{trace:#}");
    let steps = texts(&trace["steps"], "what").join("\n");
    for step in ["attempt 1 at a/m", "attempt 3 failed: stream-broken", "attempt 4 answered"] {
        assert!(steps.contains(step), "{step}:\n{steps}");
    }
    let list = gateway.see("/traces").await;
    assert_eq!(list["traces"][0]["id"], trace["id"], "{list}");
    assert_eq!(get(gateway.admin, "/traces/bs-none").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lives_and_tells_what_it_waits_for_while_policies_are_compiled() {
    let (slow, a) = (SlowCompiler::new(), provider("a", "ok"));
    slow.hold_next();
    let text = Setup::new().provider("a", &a).route("m", &["a/m"]).text();
    let policies: [(&str, &[u8]); 1] = [("guest.wasm", &picking(0))];
    let gateway = Gateway::loading(&text, &policies, slow.compiler()).await;
    slow.wait_until_held();
    assert_eq!(gateway.see("/livez").await["live"], true);
    let reply = get(gateway.admin, "/readyz").await;
    assert_eq!((reply.status, &reply.json()["ready"]), (503, &false.into()));
    assert_eq!(reply.json()["reason"], "compiling policies: guest");
    let guest = &gateway.see("/policies").await["policies"][1];
    assert_eq!((&guest["name"], &guest["state"]), (&"guest".into(), &"compiling".into()));
    assert!(guest["compiling"]["for_ms"].is_number(), "{guest}");
    slow.let_go();
    gateway.shared.library.wait_until_loaded();
    assert_eq!(gateway.see("/readyz").await["reason"], "serving");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_how_things_are() {
    let (gateway, _) = after_failures().await;
    let status = gateway.see("/status").await;
    assert_eq!((&status["generation"], &status["calls_under_way"]), (&1.into(), &0.into()));
    for name in ["a/m", "b/m", "c/m"] {
        let target = &status["targets"][name];
        assert_eq!(target["circuit"], "closed", "{status:#}");
        for field in ["cooldown_ms", "error_rate", "in_flight", "first_token_p50_ms"] {
            assert!(target[field].is_number(), "{field}: {target}");
        }
    }
    assert_eq!(status["targets"]["b/m"]["samples"], 1);
    let policy = &status["policies"][0];
    assert_eq!((&policy["name"], &policy["state"]), (&"default".into(), &"built-in".into()));
    for field in ["digest", "faults", "file", "last_refusal"] {
        assert!(policy.get(field).is_some(), "{field}: {policy}");
    }
    assert_eq!(gateway.see("/livez").await["live"], true);
    assert_eq!(get(gateway.admin, "/nothing").await.status, 404);
    gateway.stop();
    assert_eq!(get(gateway.admin, "/readyz").await.status, 503);
}

/// A page whose name was bent to point at this machine sends that name.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_no_page_in_a_browser_may_look() {
    let a = provider("a", "ok");
    let gateway = Setup::new().provider("a", &a).route("m", &["a/m"]).start().await;
    for (host, path, expected) in [
        ("evil.example", "/traces", 403),
        ("evil.example", "/status", 403),
        ("evil.example", "/", 403),
        ("evil.example", "/livez", 200),
        ("evil.example", "/readyz", 200),
        ("127.0.0.1:9999", "/traces", 200),
        ("localhost", "/status", 200),
    ] {
        let mut request = request_to(Method::GET, path, "");
        request.headers_mut().insert("host", host.parse().unwrap());
        let reply = exchange(gateway.admin, request).await;
        assert_eq!(reply.status, expected, "{host} {path}: {}", reply.text());
    }
}

/// All that the admin listener shows and all that is logged, after calls of all
/// kinds: neither a prompt, nor an answer, nor a key.
#[tokio::test(flavor = "multi_thread")]
async fn prompts_answers_and_keys_are_shown_nowhere() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let faults = [
        "ok",
        "500",
        "bad-request",
        "context-length",
        "content-filter",
        "reset",
        "garbage",
        "error-body",
        "malformed",
        "cut-clean",
        "truncated-json",
        "html-200",
        "wrong-json",
        "error-mid",
        "short-body",
        "model-not-found",
        "bad-chunking",
        // The last, for after it the credential is out.
        "unauthorized",
    ];
    let setup = Setup::new().provider("a", &a).provider("b", &b);
    let setup = faults.iter().fold(setup, |setup, fault| {
        let setup = setup.route(&format!("alone-{fault}"), &[&format!("a/1!{fault}")]);
        setup.route(&format!("both-{fault}"), &[&format!("a/2!{fault}"), "b/m"])
    });
    let process = Process::start(&setup.text()).await;
    let mut shown = String::new();
    for fault in faults {
        for (route, streamed) in [("alone", false), ("alone", true), ("both", true)] {
            let call = chat(&format!("{route}-{fault}"), PROMPT, streamed);
            let reply = ask(process.addr, &call).await;
            let id = reply.header("x-backstay-trace").unwrap();
            shown.push_str(&get(process.admin, &format!("/traces/{id}")).await.text());
        }
    }
    for path in ["/status", "/traces", "/", "/livez", "/readyz"] {
        shown.push_str(&get(process.admin, path).await.text());
    }
    shown.push_str(&process.lines().join("\n"));
    assert!(shown.contains("unauthorized"), "the scan sees the traces");
    let (key_a, key_b) = (key_of("a"), key_of("b"));
    for secret in [PROMPT, "marzipan", ANSWER, &key_a, &key_b, "5f0c9d"] {
        let at = shown.find(secret);
        let around = at.map(|at| &shown[at.saturating_sub(200)..(at + 100).min(shown.len())]);
        assert_eq!(around, None, "{secret} is shown");
    }
}
