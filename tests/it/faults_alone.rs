//! Every fault of the only target there is: one clean, bounded, honest error.

use std::time::Duration;

use backstay::fake::{Server, answer};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use crate::support::client::{Reply, ask, chat};
use crate::support::gateway::{Gateway, Setup, asked, key_of, provider};
use crate::support::said::Said;

const AT_ONCE: usize = 16;
/// No error that the gateway words is longer.
const MOST_BYTES: usize = 4096;
/// The routes' deadline, and what a busy machine may add.
const DEADLINE: Duration = Duration::from_secs(4);
const SLACK: Duration = Duration::from_secs(2);

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    /// With this status and code, after the target was asked so often.
    With(u16, &'static str, usize),
    /// Within the stream, after so many words.
    Within(usize),
}
use Fails::{With, Within};

/// A fault; what follows for a whole answer, and for a stream.
type Row = (&'static str, Fails, Fails);

const fn both(fault: &'static str, fails: Fails) -> Row {
    (fault, fails, fails)
}

const ROWS: &[Row] = &[
    // Ours, not the client's: never 401, and 429 only for a rate limit.
    both("unauthorized", With(502, "upstream_auth", 1)),
    both("quota", With(503, "upstream_quota", 1)),
    both("payment", With(503, "upstream_quota", 1)),
    both("forbidden", With(502, "upstream_permission", 1)),
    both("429", With(429, "rate_limit_exceeded", 2)),
    both("429:retry-after=3600", With(429, "rate_limit_exceeded", 1)),
    both("429:retry-after-date=20s", With(429, "rate_limit_exceeded", 1)),
    both("model-not-found", With(404, "model_not_found", 1)),
    both("context-length", With(400, "context_length_exceeded", 1)),
    both("content-filter", With(400, "content_filter", 1)),
    both("bad-request", With(400, "invalid_value", 1)),
    both("500", With(502, "upstream_error", 2)),
    both("503", With(503, "server_is_overloaded", 2)),
    both("overloaded", With(503, "server_is_overloaded", 2)),
    both("big-error", With(502, "upstream_error", 2)),
    both("dribble-error", With(502, "upstream_error", 2)),
    both("html-502", With(502, "upstream_error", 2)),
    both("redirect", With(502, "upstream_error", 1)),
    both("reset", With(502, "upstream_error", 2)),
    both("close", With(502, "upstream_error", 2)),
    both("garbage", With(502, "upstream_error", 2)),
    // The last possible attempt may take all the time there is.
    both("silence", With(504, "deadline_exceeded", 1)),
    both("headers-only", With(504, "deadline_exceeded", 1)),
    both("comments", With(504, "deadline_exceeded", 1)),
    both("html-200", With(502, "upstream_error", 2)),
    both("empty-body", With(502, "upstream_error", 2)),
    both("empty-answer", With(502, "upstream_error", 2)),
    both("error-body", With(503, "server_is_overloaded", 2)),
    ("short-body", With(502, "upstream_error", 2), Within(60)),
    ("truncated-json", With(502, "upstream_error", 2), Within(60)),
    both("error-first", With(503, "server_is_overloaded", 2)),
    both("empty-stream", With(502, "upstream_error", 2)),
    ("cut-reset", With(502, "upstream_error", 2), Within(6)),
    ("cut-clean", With(502, "upstream_error", 2), Within(6)),
    ("cut-fin", With(502, "upstream_error", 2), Within(6)),
    ("error-mid", With(503, "server_is_overloaded", 2), Within(6)),
    ("malformed", With(502, "upstream_error", 2), Within(60)),
    ("bad-chunking", With(502, "upstream_error", 2), Within(6)),
    ("stall", With(504, "deadline_exceeded", 1), Within(6)),
    ("tool-cut", With(502, "upstream_error", 2), Within(0)),
];

struct Case {
    route: String,
    fault: &'static str,
    streamed: bool,
    fails: Fails,
}

fn cases() -> Vec<Case> {
    let kinds =
        |(fault, whole, streamed): &Row| [(*fault, false, *whole), (*fault, true, *streamed)];
    let cases = ROWS.iter().flat_map(kinds).enumerate();
    cases
        .map(|(n, (fault, streamed, fails))| Case {
            route: format!("r{n}"),
            fault,
            streamed,
            fails,
        })
        .collect()
}

impl Case {
    fn model(&self) -> String {
        format!("{}!{}", self.route, self.fault)
    }

    fn provider(&self) -> String {
        format!("of-{}", self.route)
    }

    fn check(&self, reply: &Reply, server: &Server) -> Result<(), String> {
        let shown = format!("{:?}{}", reply.headers, reply.text());
        if shown.contains(&key_of(&self.provider())) {
            return Err("it shows the key".to_owned());
        }
        if reply.took > DEADLINE + SLACK {
            return Err(format!("took {:?}", reply.took));
        }
        match self.fails {
            With(status, code, times) => {
                check_refusal(reply, status, code)?;
                let seen = asked(server, &self.model());
                if seen != times {
                    return Err(format!("asked {seen} times, wanted {times}"));
                }
                Ok(())
            }
            Within(words) => self.check_break(reply, words),
        }
    }

    /// What was said stays said; then an error, and no proper end.
    fn check_break(&self, reply: &Reply, most_words: usize) -> Result<(), String> {
        let said = Said::of(reply);
        let whole = answer(self.fault, 60);
        let words = said.text.split(' ').filter(|word| !word.is_empty()).count();
        let honest = said.done == 0 && said.finishes.is_empty() && said.errors.len() == 1;
        if reply.status != 200 || !honest || words > most_words || !whole.starts_with(&said.text) {
            return Err(format!("{} {words} words {said:?}", reply.status));
        }
        check_shape(&said.errors[0])
    }
}

/// An error before the answer, in the shape that SDKs read.
fn check_refusal(reply: &Reply, status: u16, code: &str) -> Result<(), String> {
    let error = reply.json();
    let kind = reply.header("content-type").unwrap_or_default().to_owned();
    if reply.status != status || error["error"]["code"] != code || kind != "application/json" {
        let text = reply.text().chars().take(300).collect::<String>();
        return Err(format!("wanted {status} {code}: {} {kind} {text}", reply.status));
    }
    if reply.body.len() > MOST_BYTES || reply.text().contains("[DONE]") {
        return Err(format!("{} bytes: {}", reply.body.len(), &reply.text()[..300]));
    }
    if reply.header("x-should-retry") != Some("false") {
        return Err("clients are not told not to retry".to_owned());
    }
    let retry_after = reply.header("retry-after").map(|value| value.parse().unwrap_or(u64::MAX));
    let wanted = matches!(status, 429 | 503);
    if retry_after.is_some_and(|s| s == 0 || s > 60) || (wanted && retry_after.is_none()) {
        return Err(format!("retry-after: {retry_after:?}"));
    }
    check_shape(&error)
}

fn check_shape(error: &Value) -> Result<(), String> {
    let error = &error["error"];
    let members = error.as_object().cloned().unwrap_or_default();
    let shaped = error["message"].as_str().is_some_and(|m| !m.is_empty() && m.len() < 2000)
        && error["type"].is_string()
        && members.contains_key("code")
        && members.contains_key("param");
    if shaped { Ok(()) } else { Err(format!("not in the shape of an error: {error}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_clean_error() {
    let only = provider("only", "ok");
    let cases = cases();
    let lines = "deadline = \"4s\"";
    let setup = cases.iter().fold(Setup::new(), |setup, case| {
        let target = format!("{}/{}", case.provider(), case.model());
        setup.provider(&case.provider(), &only).route_with(&case.route, lines, &[&target])
    });
    let gateway = setup.start().await;
    let addr = gateway.addr;
    let calls = cases.iter().map(|case| async move {
        let call = chat(&case.route, case.fault, case.streamed);
        (case, ask(addr, &call).await)
    });
    let wrong = stream::iter(calls).buffer_unordered(AT_ONCE).filter_map(|(case, reply)| {
        let problem = case.check(&reply, &only).err();
        let kind = if case.streamed { "streamed" } else { "whole" };
        std::future::ready(problem.map(|p| format!("{} {kind}: {p}", case.fault)))
    });
    let wrong: Vec<String> = wrong.collect().await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The control: a provider's own errors are not what a client should see.
#[tokio::test(flavor = "multi_thread")]
async fn the_providers_own_errors_fail_the_same_checks() {
    let only = provider("only", "ok");
    for (fault, fails, _) in ROWS {
        let With(status, code, _) = fails else { continue };
        // Nothing ever comes of these; the others say it badly.
        if matches!(*fault, "silence" | "headers-only" | "comments" | "stall" | "dribble-error") {
            continue;
        }
        let call = chat(&format!("m!{fault}"), "hi", false);
        let reply = straight(&only, &call).await;
        let clean = reply.map(|reply| check_refusal(&reply, *status, code));
        assert!(!matches!(clean, Some(Ok(()))), "{fault} is clean without the gateway");
    }
}

/// The provider's own reply, if it is one at all.
async fn straight(server: &Server, call: &Value) -> Option<Reply> {
    let (addr, call) = (server.addr(), call.clone());
    tokio::spawn(async move { ask(addr, &call).await }).await.ok()
}

/// When every target is rate-limited, that is what the client is told, with the
/// time of the first to come back.
#[tokio::test(flavor = "multi_thread")]
async fn all_rate_limited_is_a_rate_limit() {
    let (a, b) = (provider("a", "429:retry-after=40"), provider("b", "429:retry-after=20"));
    let setup = Setup::new().provider("a", &a).provider("b", &b).route("m", &["a/m", "b/m"]);
    let gateway: Gateway = setup.start().await;
    let reply = gateway.ask(&chat("m", "hi", false)).await;
    check_refusal(&reply, 429, "rate_limit_exceeded").unwrap();
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((19..=20).contains(&seconds), "{seconds}");
    assert_eq!((a.counts().requests, b.counts().requests), (1, 1));
}
