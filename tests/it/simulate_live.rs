//! The simulator and the live gateway are two drivers of one heart: on the same
//! script of outcomes, with the same policy, they must decide the same.
//!
//! A script is a row of calls, each with what every attempt at each target
//! comes to. It is played once on the virtual clock and once in front of fake
//! providers over real sockets. Compared are, of every call, the attempts in
//! their order (target, why it was started, class of its failure), the end, and
//! the status of a refusal. Not compared are times: the rules are such that no
//! decision hangs on milliseconds (pauses next to nothing, circuits and windows
//! that outlast the test, a budget that suffices for all).
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use backstay::fake;
use backstay::policy::Compiler;
use backstay::sim::report::CaseResult;
use backstay::sim::{self, Bench, scenario};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::client::chat;
use crate::support::gateway::{Gateway, Setup, provider};

/// Scripts that are played.
const CASES: u32 = 32;
const TARGETS: [&str; 3] = ["a", "b", "c"];
const FEATURES: &str = "features = [\"streaming\", \"tools\", \"json-schema\", \"prefill\"]";

const RULES: [(&str, &str); 10] = [
    ("deadline", "\"60s\""),
    ("backoff_base", "\"1ms\""),
    ("backoff_max", "\"1ms\""),
    ("window", "\"10m\""),
    ("breaker_open_min", "\"1h\""),
    ("breaker_open_max", "\"2h\""),
    ("probe_interval", "\"1h\""),
    ("retry_ratio", "1.0"),
    ("retry_min_per_second", "10000"),
    ("answer_timeout_max", "\"30s\""),
];

/// What can become of an attempt: in the words of the fake provider, and of
/// scenarios; and for which calls it is meant.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Outcome {
    live: &'static str,
    simulated: &'static str,
    calls: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    All,
    Whole,
    Streams,
    /// Those that were promised JSON.
    Json,
}

const fn outcome(live: &'static str, simulated: &'static str, calls: Kind) -> Outcome {
    Outcome { live, simulated, calls }
}

const OUTCOMES: [Outcome; 22] = [
    outcome("500", "500", Kind::All),
    outcome("502", "502", Kind::All),
    outcome("503", "503", Kind::All),
    outcome("overloaded", "529", Kind::All),
    outcome("429:retry-after=3600", "429:retry-after=1h", Kind::All),
    outcome("429", "429", Kind::All),
    outcome("quota", "quota", Kind::All),
    outcome("unauthorized", "unauthorized", Kind::All),
    outcome("forbidden", "403", Kind::All),
    outcome("model-not-found", "model-not-found", Kind::All),
    outcome("bad-request", "400", Kind::All),
    outcome("context-length", "context-length", Kind::All),
    outcome("content-filter", "content-filter", Kind::All),
    // A live reset may hit a kept connection, and is then no failure yet.
    outcome("garbage", "reset", Kind::All),
    outcome("empty-body", "empty", Kind::Whole),
    outcome("short-body", "cut", Kind::Whole),
    outcome("truncated-json", "malformed", Kind::Whole),
    outcome("empty-answer", "empty-answer", Kind::Whole),
    outcome("empty-stream", "empty", Kind::Streams),
    outcome("cut-reset:after=3", "cut:after=3", Kind::Streams),
    outcome("malformed:after=3", "malformed:after=3", Kind::Streams),
    outcome("wrong-json", "invalid-json", Kind::Json),
];

/// What becomes of the attempts at one target: all fail, only the first, none.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Well,
    FirstFails(Outcome),
    AllFail(Outcome),
}

#[derive(Clone, PartialEq, Debug)]
struct ScriptedCall {
    streams: bool,
    json: bool,
    fates: [Fate; 3],
}

impl Fate {
    fn suits(self, streams: bool, json: bool) -> Self {
        let suits = |outcome: Outcome| match outcome.calls {
            Kind::All => true,
            Kind::Whole => !streams,
            Kind::Streams => streams,
            Kind::Json => json,
        };
        match self {
            Self::FirstFails(outcome) | Self::AllFail(outcome) if !suits(outcome) => Self::Well,
            Self::Well | Self::FirstFails(_) | Self::AllFail(_) => self,
        }
    }

    fn live(self) -> fake::Behaviour {
        let words = match self {
            Self::Well => "ok".to_owned(),
            Self::FirstFails(outcome) => format!("{}+once", outcome.live),
            Self::AllFail(outcome) => outcome.live.to_owned(),
        };
        words.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    fn simulated(self) -> String {
        match self {
            Self::Well => "[\"ok\"]".to_owned(),
            Self::FirstFails(outcome) => format!("[\"{}\", \"ok\"]", outcome.simulated),
            Self::AllFail(outcome) => format!("[\"{}\"]", outcome.simulated),
        }
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    let outcome = || (0..OUTCOMES.len()).prop_map(|index| OUTCOMES[index]);
    prop_oneof![
        2 => Just(Fate::Well),
        2 => outcome().prop_map(Fate::FirstFails),
        3 => outcome().prop_map(Fate::AllFail),
    ]
}

fn call() -> impl Strategy<Value = ScriptedCall> {
    (any::<bool>(), any::<bool>(), fate(), fate(), fate()).prop_map(|(streams, json, a, b, c)| {
        ScriptedCall { streams, json, fates: [a, b, c].map(|fate| fate.suits(streams, json)) }
    })
}

/// One attempt as both drivers tell it: target, why, class.
type Told = (String, String, String);

/// What is compared of a call.
#[derive(Clone, PartialEq, Debug)]
struct Decisions {
    attempts: Vec<Told>,
    end: String,
    refused_with: Option<u64>,
}

/// The simulated half: the script as a scenario.
fn simulate(bench: &Bench, script: &[ScriptedCall], rules: &[(&str, &str)]) -> Vec<Decisions> {
    let text = scenario_text(script, rules);
    let scenario =
        scenario::parse(&text, Path::new("script.toml")).unwrap_or_else(|e| panic!("{e}"));
    let report = sim::run(&scenario, &bench.builtin(), 7, &|_| {});
    assert_eq!(report.cases.len(), script.len());
    report.cases.iter().map(simulated).collect()
}

fn scenario_text(script: &[ScriptedCall], rules: &[(&str, &str)]) -> String {
    let mut text = String::from("[rules]\n");
    for (name, value) in rules {
        let _ = writeln!(text, "{name} = {value}");
    }
    for name in TARGETS {
        let _ = writeln!(text, "[providers.{name}]\nconnect = \"0s\"\nfirst_token = \"1ms\"");
        let _ = writeln!(text, "per_token = \"10us\"\nerror_latency = \"1ms\"");
    }
    let targets = (1..).zip(TARGETS).map(|(priority, name)| {
        format!("{{ provider = \"{name}\", model = \"m\", priority = {priority}, {FEATURES} }}")
    });
    let _ = writeln!(text, "[routes.r]\ntargets = [{}]", targets.collect::<Vec<_>>().join(", "));
    for (number, call) in script.iter().enumerate() {
        let _ = writeln!(text, "[[case]]\nstream = {}", call.streams);
        let _ = writeln!(text, "after_previous = {}\nexpect.end = \"delivered\"", number > 0);
        if call.json {
            let _ = writeln!(text, "needs = [\"json-schema\"]");
        }
        for (name, fate) in TARGETS.iter().zip(call.fates) {
            let _ = writeln!(text, "answers.\"{name}/m\" = {}", fate.simulated());
        }
    }
    text
}

fn simulated(case: &CaseResult) -> Decisions {
    let attempts = case.attempts.iter();
    Decisions {
        attempts: attempts.map(|a| (a.target.clone(), a.why.clone(), a.class.clone())).collect(),
        end: case.end.clone(),
        refused_with: (case.end == "refused").then(|| case.status.into()),
    }
}

/// The live half: fake providers and a gateway in this process.
struct Stage {
    servers: [fake::Server; 3],
    gateway: Gateway,
    /// Every script has providers of its own names, so that nothing is known of
    /// their health.
    scripts: AtomicU32,
}

impl Stage {
    async fn start() -> Self {
        let servers = TARGETS.map(|name| provider(name, "ok"));
        let gateway = Self::setup(&servers, 0).start().await;
        Self { servers, gateway, scripts: AtomicU32::new(1) }
    }

    fn setup(servers: &[fake::Server; 3], number: u32) -> Setup {
        let names = TARGETS.map(|name| format!("{name}{number}"));
        let setup = RULES.iter().fold(Setup::new(), |setup, (name, value)| setup.rule(name, value));
        let with =
            |setup: Setup, (name, server): (&String, &fake::Server)| setup.provider(name, server);
        let setup = names.iter().zip(servers).fold(setup, with);
        let targets = names.each_ref().map(|name| format!("{name}/m {FEATURES}"));
        setup.route("r", &targets.each_ref().map(String::as_str))
    }

    async fn play(&self, script: &[ScriptedCall]) -> Vec<Decisions> {
        let number = self.scripts.fetch_add(1, Ordering::Relaxed);
        self.gateway.reload(&Self::setup(&self.servers, number).text());
        let mut told = Vec::new();
        for call in script {
            for (server, fate) in self.servers.iter().zip(call.fates) {
                server.set(fate.live()).unwrap();
            }
            let mut body = chat("r", "Tell me.", call.streams);
            if call.json {
                body["response_format"] = json!({ "type": "json_object" });
            }
            let reply = self.gateway.ask(&body).await;
            self.gateway.settled().await;
            told.push(live(&self.gateway.trace_of(&reply).await, number));
        }
        told
    }
}

fn live(trace: &Value, number: u32) -> Decisions {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let suffix = format!("{number}/");
    let attempts = trace["attempts"].as_array().unwrap().iter();
    let attempts = attempts.map(|attempt| {
        let target = text(&attempt["target"]).replace(&suffix, "/");
        (target, text(&attempt["why"]), text(&attempt["class"]))
    });
    Decisions {
        attempts: attempts.collect(),
        end: text(&trace["end"]),
        refused_with: trace["refusal"]["status"].as_u64(),
    }
}

fn bench() -> Bench {
    Bench::open(&[], Compiler::InProcess, None).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

#[test]
fn the_simulator_and_the_gateway_decide_the_same() {
    let (bench, runtime) = (bench(), runtime());
    let stage = runtime.block_on(Stage::start());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&prop::collection::vec(call(), 1..6), |script| {
        let live = runtime.block_on(stage.play(&script));
        prop_assert_eq!(simulate(&bench, &script, &RULES), live);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Every outcome once, alone and as the first of two: what the property draws
/// by chance, this leaves to none.
#[test]
fn every_outcome_is_decided_the_same() {
    let (bench, runtime) = (bench(), runtime());
    let stage = runtime.block_on(Stage::start());
    let mut problems = String::new();
    for outcome in OUTCOMES {
        for fate in [Fate::FirstFails(outcome), Fate::AllFail(outcome)] {
            let streams = outcome.calls == Kind::Streams;
            let json = outcome.calls == Kind::Json;
            let call = ScriptedCall { streams, json, fates: [fate, Fate::Well, Fate::Well] };
            let simulated = simulate(&bench, std::slice::from_ref(&call), &RULES);
            let live = runtime.block_on(stage.play(std::slice::from_ref(&call)));
            if simulated != live {
                let _ = writeln!(problems, "{fate:?}\n  simulated {simulated:?}\n  live {live:?}");
            }
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

/// The comparison can fail: one rule, or one outcome, is another.
#[test]
fn other_rules_and_other_outcomes_are_told_apart() {
    let bench = bench();
    let all_fail = [Fate::AllFail(OUTCOMES[0]), Fate::Well, Fate::Well];
    let script = [ScriptedCall { streams: false, json: false, fates: all_fail }];
    let right = simulate(&bench, &script, &RULES);
    let mut rules = RULES.to_vec();
    rules.push(("attempts_per_target", "1"));
    assert_ne!(simulate(&bench, &script, &rules), right);
    let mut other = script.clone();
    other[0].fates[0] = Fate::AllFail(OUTCOMES[2]);
    assert_ne!(simulate(&bench, &other, &RULES), right);
}
