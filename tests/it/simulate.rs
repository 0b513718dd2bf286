//! `backstay simulate` and `backstay policy test`: the scenarios that ship with
//! the project hold, the output is the same every time, and its shape is stable.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use backstay::policy::Compiler;
use backstay::sim::report::Results;
use backstay::sim::{self, Bench, chart, scenario, table};
use serde_json::Value;

use crate::support::guests;
use crate::support::process::run_without_file;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn shipped(name: &str) -> String {
    home().join(name).display().to_string()
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home()).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    files
}

/// With the built-in, each scenario holds what it states.
#[test]
fn the_shipped_scenarios_hold() {
    let bench = Bench::open(&[], Compiler::InProcess, None).unwrap();
    let files = Mutex::new(files());
    let problems = Mutex::new(String::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(file) = { files.lock().unwrap().pop() } {
                    let told = problems_of(&file, &bench);
                    problems.lock().unwrap().push_str(&told);
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "\n{problems}");
}

/// What a scenario states and the built-in does not hold.
fn problems_of(file: &Path, bench: &Bench) -> String {
    let scenario = scenario::load(file).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(scenario.warnings, Vec::new(), "{}", file.display());
    let result = sim::simulate(&scenario, &[bench.builtin()], scenario.seed, &|_, _| {});
    if result.reports[0].passed { String::new() } else { table::show(&result) }
}

/// A few minutes with something of everything.
const SMALL: &str = r#"
name = "small"
[providers.a]
errors = { "500" = 0.1, cut = 0.1, "429:retry-after=2s" = 0.05, stall = 0.02 }
requests_per_minute = 100
remaining_headers = true
capacity = { slots = 3, queue = 2 }
[[providers.a.windows]]
from = "1m"
for = "30s"
errors = { refuse = 1.0 }
cuts = true
[providers.b]
errors = { "503" = 0.1, invalid-json = 0.2 }
[routes.r]
targets = [
  { provider = "a", model = "m", input_price = 1.0, output_price = 2.0 },
  { provider = "b", model = "m", input_price = 1.5, output_price = 2.5 },
]
[traffic]
duration = "4m"
rate = 2.0
streams = 0.5
json = 0.2
tools = 0.1
tenants = { x = 1, y = 2 }
labels = { tier = { gold = 1, free = 3 } }
client_retries = { attempts = 1 }
patience = "40s"
[expect]
availability = ">= 0.5"
[[case]]
name = "one call"
expect.end = "delivered"
"#;

fn results(seed: u64, contenders: usize) -> Results {
    let bench = Bench::open(&[], Compiler::InProcess, None).unwrap();
    let scenario =
        scenario::parse(SMALL, Path::new("small.toml")).unwrap_or_else(|e| panic!("{e}"));
    let contenders = vec![bench.builtin(); contenders];
    let result = sim::simulate(&scenario, &contenders, seed, &|_, _| {});
    Results { backstay_simulation: 1, scenarios: vec![result] }
}

fn json(results: &Results) -> String {
    serde_json::to_string_pretty(results).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_to_the_byte() {
    let (first, second, other) = (results(3, 1), results(3, 1), results(4, 1));
    assert_eq!(json(&first), json(&second));
    assert_ne!(json(&first), json(&other));
    assert_eq!(chart::draw(&first.scenarios[0]), chart::draw(&second.scenarios[0]));
    assert_eq!(table::show(&first.scenarios[0]), table::show(&second.scenarios[0]));
}

/// Beside itself a policy differs in nothing: the runs do not know each other.
#[test]
fn a_policy_against_itself_differs_in_nothing() {
    let results = results(3, 2);
    let result = &results.scenarios[0];
    assert_eq!(result.reports[0], result.reports[1]);
    let difference = result.difference.as_ref().unwrap();
    assert!(difference.values().all(|value| *value == Some(0.0)), "{difference:?}");
}

/// Who reads the JSON relies on these names.
#[test]
fn the_names_in_the_json_are_stable() {
    let whole: Value = serde_json::from_str(&json(&results(3, 2))).unwrap();
    let scenario = &whole["scenarios"][0];
    let report = &scenario["reports"][0];
    let traffic = &report["traffic"];
    for (value, names) in [
        (&whole, "backstay_simulation scenarios"),
        (scenario, "about difference duration_s reports scenario seed windows"),
        (&scenario["windows"][0], "from_s provider until_s"),
        (
            &scenario["difference"],
            "attempts_per_call availability cost_usd first_token_p50_ms first_token_p95_ms \
             first_token_p99_ms policy_faults served total_p50_ms total_p95_ms total_p99_ms",
        ),
        (report, "cases expectations passed policy traffic"),
        (&report["policy"], "digest name"),
        (
            traffic,
            "attempts attempts_per_call availability calls circuit_changes circuits cost_usd \
             first_token_ms never_recovered policy_fault_reasons policy_faults \
             recovered_within_ms refusals \
             requests rescued served succeeded targets timeline total_ms unpriced_attempts",
        ),
        (&traffic["first_token_ms"], "p50 p95 p99"),
        (&traffic["targets"][0], "answered attempts cost_usd failures openings share target"),
        (&traffic["circuits"][0], "at_s target to why"),
        (&traffic["timeline"], "step_s steps"),
        (&traffic["timeline"]["steps"][0], "answered attempts calls succeeded"),
        (&report["expectations"][0], "expected found from_s held never until_s"),
        (&report["cases"][0], "attempts elapsed_ms end held name problems status"),
        (&report["cases"][0]["attempts"][0], "class target why"),
    ] {
        let found: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(found, names.split_whitespace().collect(), "{value}");
        let explained = include_str!("../../src/sim/json.md");
        let words: BTreeSet<&str> =
            explained.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        assert_eq!(found.difference(&words).collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}

/// Of a run in which nothing is answered, and which never recovers.
#[test]
fn what_was_not_measured_is_no_number() {
    let text = r#"
[providers.a]
errors = { "503" = 1.0 }
[[providers.a.windows]]
from = "10s"
for = "10s"
errors = { "500" = 1.0 }
[[providers.a.windows]]
from = "2m"
for = "10s"
errors = { "500" = 1.0 }
[routes.r]
targets = [{ provider = "a", model = "m" }]
[traffic]
duration = "1m"
rate = 2.0
[expect]
recovered_within = ["<= 10h", ">= 1m"]
total_p95 = ">= 0s"
"#;
    let bench = Bench::open(&[], Compiler::InProcess, None).unwrap();
    let scenario = scenario::parse(text, Path::new("s.toml")).unwrap_or_else(|e| panic!("{e}"));
    let warnings: Vec<_> = scenario.warnings.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(warnings, ["[providers.a.windows] begins after the end of the run"]);
    let contenders = [bench.builtin(), bench.builtin()];
    let result = sim::simulate(&scenario, &contenders, 1, &|_, _| {});
    let shown = table::show(&result);
    for (label, expected) in [("total p50", "- - -"), ("recovered within", "never never -")] {
        let line = shown.lines().find_map(|line| line.trim_start().strip_prefix(label)).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{shown}");
    }
    let target = shown.lines().find(|line| line.trim_start().starts_with("a/m ")).unwrap();
    assert!(target.ends_with(" -"), "no price is no cost: {shown}");
    assert!(shown.contains("FAILED recovered_within <= 10h: it never came"), "{shown}");
    assert!(shown.contains("ok     recovered_within >= 1m: it never came"), "{shown}");
    assert!(shown.contains("FAILED total_p95 >= 0s: there was nothing to measure"), "{shown}");
    assert!(shown.contains("over time") && shown.contains(": a/m open: "), "{shown}");
    let document: Value = serde_json::to_value(&result).unwrap();
    let traffic = &document["reports"][0]["traffic"];
    assert_eq!(traffic["never_recovered"], true);
    for absent in [
        &traffic["total_ms"]["p50"],
        &traffic["recovered_within_ms"],
        &traffic["targets"][0]["cost_usd"],
        &document["difference"]["total_p50_ms"],
    ] {
        assert!(absent.is_null(), "{document}");
    }
}

/// What is counted adds up.
#[test]
fn the_figures_add_up() {
    let whole: Value = serde_json::from_str(&json(&results(3, 1))).unwrap();
    let traffic = &whole["scenarios"][0]["reports"][0]["traffic"];
    let number = |value: &Value| value.as_u64().unwrap();
    let sum = |values: &Value| values.as_object().unwrap().values().map(number).sum::<u64>();
    let over = |list: &Value, name: &str| {
        list.as_array().unwrap().iter().map(|one| number(&one[name])).sum::<u64>()
    };
    let calls = number(&traffic["calls"]);
    assert!(calls > 400, "{calls}");
    assert_eq!(number(&traffic["succeeded"]) + sum(&traffic["refusals"]), calls);
    assert_eq!(over(&traffic["targets"], "attempts"), number(&traffic["attempts"]));
    assert_eq!(over(&traffic["targets"], "answered"), number(&traffic["succeeded"]));
    assert_eq!(over(&traffic["timeline"]["steps"], "calls"), calls);
    assert!(number(&traffic["rescued"]) > 20, "{traffic}");
}

#[test]
fn the_exit_code_says_whether_it_held() {
    let (code, said) = run_without_file(&["simulate", &shipped("decisions.toml")]);
    assert_eq!(code, Some(0), "{said}");
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let failing = SMALL.replace("availability = \">= 0.5\"", "availability = \">= 1.1\"");
    let (code, said) = run_without_file(&["simulate", &write("failing.toml", &failing)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAILED availability >= 1.1: found "), "{said}");
    let bad = write("bad.toml", "[traffic]\nrate = \"fast\"\n");
    let (code, said) = run_without_file(&["simulate", &bad]);
    assert_eq!(code, Some(2), "{said}");
    for expected in ["bad.toml:2:8: `rate` must be a number", "`duration` is missing", "no route"] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
    let (code, said) =
        run_without_file(&["simulate", "--policy", &bad, &shipped("decisions.toml")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("bad.toml: this is not WebAssembly"), "{said}");
    // A picture that cannot be written costs nobody the report.
    let picture = directory.path().join("gone/a.svg").display().to_string();
    let (code, said) =
        run_without_file(&["simulate", "--svg", &picture, &shipped("decisions.toml")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("gone/a.svg: cannot be written") && said.contains("nothing works"),
        "{said}"
    );
}

#[test]
fn the_example_is_printed_and_can_be_used() {
    let (code, said) = run_without_file(&["simulate", "--example"]);
    assert_eq!((code, said.trim_end()), (Some(0), scenario::EXAMPLE.trim_end()));
}

/// A policy's directory: a component, and scenarios beside it.
#[test]
fn a_policy_is_tested_with_the_scenarios_of_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    std::fs::create_dir_all(home.join("target/wasm32-wasip2/release/deps")).unwrap();
    let component = home.join("target/wasm32-wasip2/release/mine.wasm");
    std::fs::write(&component, backstay::policy::BUILT_IN).unwrap();
    // What a linker leaves beside it is no component.
    std::fs::write(home.join("target/wasm32-wasip2/release/core.wasm"), b"\0asm\x01\0\0\0")
        .unwrap();
    let path = home.display().to_string();
    let (code, said) = run_without_file(&["policy", "test", &path]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there are no scenarios to test with"), "{said}");
    std::fs::create_dir(home.join("scenarios")).unwrap();
    let text = std::fs::read_to_string(home_of("decisions.toml")).unwrap();
    std::fs::write(home.join("scenarios/decisions.toml"), &text).unwrap();
    let (code, said) = run_without_file(&["policy", "test", &path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("TAP version 13\n1..9\nok 1 - single decisions: "), "{said}");
    let other = text.replace("expect.target = \"a/one\"", "expect.target = \"b/two\"");
    std::fs::write(home.join("scenarios/decisions.toml"), other).unwrap();
    let (code, said) = run_without_file(&["policy", "test", &path]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not ok 1 - "), "{said}");
    assert!(said.contains("\n# target: expected b/two, found a/one"), "{said}");
    let idle = SMALL.split("[expect]").next().unwrap();
    std::fs::write(home.join("scenarios/decisions.toml"), idle).unwrap();
    let (code, said) = run_without_file(&["policy", "test", &path]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("decisions.toml: nothing is expected"), "{said}");
    let (code, said) = run_without_file(&["policy", "test", "/nope"]);
    assert_eq!((code, said.trim_end()), (Some(2), "there is no /nope"));
    let (code, said) = run_without_file(&["policy", "test", &path, "--seed", "4294967296"]);
    assert_eq!(code, Some(2), "{said}");
}

fn home_of(name: &str) -> PathBuf {
    home().join(name)
}

/// Faults of a policy are told, and the built-in decides instead.
#[test]
fn faults_of_a_policy_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("astray.wasm");
    std::fs::write(&file, guests::picking(9)).unwrap();
    let bench = Bench::open(&[&file], Compiler::InProcess, None).unwrap();
    let scenario =
        scenario::parse(SMALL, Path::new("small.toml")).unwrap_or_else(|e| panic!("{e}"));
    let report = sim::run(&scenario, &bench.contender(0), 3, &|_| {});
    let traffic = report.traffic.unwrap();
    assert!(traffic.policy_faults > 0, "{traffic:?}");
    assert!(traffic.figures.availability > 0.5, "{:?}", traffic.figures);
}
