//! Replaying what a live gateway recorded: with the same policy nothing differs,
//! with another one that is told; and the whole of it through the binary.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstay::fake::Server;
use backstay::journal::{Item, Reader, RecordedClock, Replay, Report};
use backstay::policy::{Compiler, Library, LibraryConfig, Limits, Policy};
use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{ask, chat, get, within};
use crate::support::gateway::{Gateway, Setup, provider};
use crate::support::guests::{misbehaving, picking};
use crate::support::process::{self, Process};

const JOURNAL: &str = "[journal]\ndirectory = \"journal\"";
const PATIENCE: Duration = Duration::from_secs(30);

/// Limits that a busy machine keeps, and the recorded clock.
fn library(clock: &RecordedClock) -> Library {
    let limits = Limits { time: Duration::from_secs(2), ..Limits::default() };
    let config = LibraryConfig {
        directory: None,
        limits,
        clock: clock.as_clock(),
        compiler: Compiler::InProcess,
        cache: None,
    };
    Library::open(config).unwrap()
}

/// Replays a gateway's journal with this component, or with the built-in.
async fn replayed(gateway: &Gateway, component: Option<&[u8]>) -> Report {
    gateway.settled().await;
    let journal = gateway.shared.generation().journal.clone().unwrap();
    let directory = journal.settings().directory.clone();
    let flushed = tokio::task::spawn_blocking(move || journal.flush(PATIENCE));
    assert!(flushed.await.unwrap());
    let clock = RecordedClock::default();
    let library = library(&clock);
    let own = component.map(|component| loaded(&library, component));
    let mut replay = Replay::new(own, library.builtin(), clock, 3);
    for item in Reader::open(&[directory]).unwrap() {
        match item {
            Item::Call(line) => replay.call(&line),
            Item::Skipped(skipped) => panic!("{skipped}"),
        }
    }
    replay.report()
}

fn loaded(library: &Library, component: &[u8]) -> Arc<Policy> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), component).unwrap();
    Arc::new(library.load_file("new", file.path()).unwrap())
}

/// Some calls of each kind, some at the same time.
async fn calls(gateway: &Gateway, number: usize) {
    let addr = gateway.addr;
    stream::iter(0..number)
        .for_each_concurrent(4, |n| async move {
            let mut call = chat("r", "hi", n % 2 == 0);
            if n % 5 == 0 {
                call["response_format"] = json!({ "type": "json_object" });
            }
            ask(addr, &call).await;
        })
        .await;
}

fn setup(behaviours: &[String]) -> (Setup, Vec<Server>) {
    let names = ["a", "b", "c"];
    let servers: Vec<_> =
        names.iter().zip(behaviours).map(|(name, behaviour)| provider(name, behaviour)).collect();
    let mut setup = Setup::new().with(JOURNAL);
    for (name, server) in names.iter().zip(&servers) {
        setup = setup.provider(name, server);
    }
    (setup, servers)
}

/// Providers that fail in some of their calls.
fn behaviours() -> impl Strategy<Value = Vec<String>> {
    let fault = prop::sample::select(vec![
        "503",
        "429",
        "500",
        "429:retry-after=2",
        "reset",
        "cut-reset",
        "error-first",
        "empty-answer",
        "context-length",
        "wrong-json",
        "malformed",
    ]);
    let one = (fault, 0.0..0.7).prop_map(|(fault, rate)| format!("{fault}+rate={rate:.2}"));
    prop::collection::vec(one, 3)
}

/// The control of every replay: whatever happens to the calls, the built-in
/// decides again as it did.
#[test]
fn a_journal_of_the_built_in_replayed_with_it_differs_nowhere() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(8));
    let ran = runner.run(&behaviours(), |behaviours| {
        let report = runtime.block_on(async {
            let (setup, _servers) = setup(&behaviours);
            let targets = ["a/m", "b/m", "c/m weight = 3", "a/n"];
            let gateway = setup.route("r", &targets).start().await;
            calls(&gateway, 60).await;
            replayed(&gateway, None).await
        });
        prop_assert_eq!(report.total.differ, 0, "{:#?}", report.differences);
        prop_assert_eq!((report.total.faults, report.contradictory), (0, 0));
        prop_assert_eq!(report.calls, 60);
        prop_assert!(report.total.same > 100, "{:?}", report.total);
        Ok(())
    });
    ran.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_differs_where_it_would_decide_otherwise() {
    let (setup, _servers) = setup(&["ok".to_owned(), "ok".to_owned(), "ok".to_owned()]);
    let gateway = setup.route("r", &["a/m", "b/m"]).start().await;
    calls(&gateway, 20).await;
    let same = replayed(&gateway, Some(&picking(0))).await;
    assert_eq!(same.by_verb["select-provider"].differ, 0, "{same:?}");
    let other = replayed(&gateway, Some(&picking(1))).await;
    let select = other.by_verb["select-provider"];
    assert_eq!((select.asked, select.differ, select.faults), (20, 20, 0), "{other:?}");
    let first = &other.differences[0];
    assert_eq!((first.was.as_str(), first.was_by), ("launch a/m", "built-in"));
    assert_eq!((first.would_be.as_str(), first.would_be_by), ("launch b/m", "policy"));
    assert!(first.call.starts_with("bs-"), "{first:?}");
    assert_eq!(other.differences.len(), 3, "as many as were asked for");
    assert_eq!(other.by_route["r"], other.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_journal_does_not_hold_is_named() {
    let (setup, _servers) = setup(&["ok".to_owned(), "ok".to_owned(), "ok".to_owned()]);
    for (deed, names, memory) in [
        ("json", vec!["request body "], false),
        ("remember", vec![], true),
        ("panic", vec![], false),
    ] {
        let settings = format!("policy_settings = {{ do = \"{deed}\" }}");
        let gateway = setup.clone().route_with("r", &settings, &["a/m"]).start().await;
        for _ in 0..10 {
            gateway.ask(&chat("r", "hi", false)).await;
        }
        let report = replayed(&gateway, Some(misbehaving())).await;
        let looked_for: Vec<_> = report.looked_for.keys().map(String::as_str).collect();
        assert_eq!((looked_for, report.uses_memory), (names, memory), "{deed}: {report:?}");
        let select = report.by_verb["select-provider"];
        assert_eq!(select.asked, select.same + select.differ + select.not_replayable);
        match deed {
            "json" => assert_eq!(select.not_replayable, 10, "{report:?}"),
            "remember" => assert_eq!(select.differ, 10, "{report:?}"),
            // Asked every time, although a live one would be in quarantine.
            _ => assert_eq!((select.faults, select.same), (10, 10), "{report:?}"),
        }
    }
}

fn replay(arguments: &[&str]) -> (Option<i32>, String) {
    let mut all = vec!["replay"];
    all.extend(arguments);
    process::run(&all, "")
}

async fn seen(process: &Process, path: &str) -> Value {
    get(process.admin, path).await.json()
}

/// Serves twenty calls with everything on, and leaves a journal behind.
async fn serve(home: &Path, a: &Server, b: &Server) {
    let path = home.display();
    let setup = Setup::new().provider("a", a).provider("b", b);
    let text = setup
        .with(&format!("[journal]\ndirectory = \"{path}/journal\""))
        .with(&format!("[policies]\ndirectory = \"{path}/policies\"\ntime_limit = \"2s\""))
        .route_with(
            "r",
            "policy = \"first\"\nshadow = \"second\"\n\
             canary = { policy = \"bad\", share = 0.5, max_faults = 1 }\n\
             policy_settings = { do = \"panic\" }",
            &["a/m", "b/m"],
        );
    let mut process = Process::start(&text.text()).await;
    for _ in 0..20 {
        assert_eq!(ask(process.addr, &chat("r", "hi", false)).await.status, 200);
    }
    let told = process.line("canary rolled back").await;
    assert_eq!((&told["level"], &told["route"]), (&"WARN".into(), &"r".into()), "{told}");
    let route = seen(&process, "/status").await["routes"]["r"].clone();
    assert_eq!(route["canary"]["state"], "rolled-back", "{route}");
    within("the shadow's disagreements", async {
        while seen(&process, "/shadow/r").await["by_verb"]["select-provider"]["disagreed"] == 0 {}
    })
    .await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_records_watches_and_replays() {
    let (a, b) = (provider("a", "ok"), provider("b", "ok"));
    let home = tempfile::tempdir().unwrap();
    let policies = home.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    for (name, component) in
        [("first", picking(0)), ("second", picking(1)), ("bad", misbehaving().to_vec())]
    {
        std::fs::write(policies.join(format!("{name}.wasm")), component).unwrap();
    }
    serve(home.path(), &a, &b).await;
    let journal = home.path().join("journal").display().to_string();
    let file = |name: &str| policies.join(name).display().to_string();
    let (first, second) = (file("first.wasm"), file("second.wasm"));

    let (code, said) = replay(&[&journal, "--policy", &second, "--limit", "2"]);
    assert_eq!(code, Some(1), "{said}");
    let expected = ["select-provider", "would have been another", "would be: launch b/m (policy)"];
    assert!(expected.iter().all(|text| said.contains(text)), "{said}");
    assert!(said.contains("of 20 calls in 1 files, put to second@"), "{said}");
    let (code, said) = replay(&[&journal, "--policy", &first]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no decision would have been another"), "{said}");
    let (code, said) = replay(&[&journal, "--policy", &second, "--json", "--route", "r"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    let select = &report["replay"]["by_verb"]["select-provider"];
    assert_eq!((code, &select["differ"]), (Some(1), &select["asked"]), "{report}");
    let (code, said) = replay(&[&journal, "--route", "none"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no call of route \"none\"; there are: r"), "{said}");
    assert!(!said.contains("no decision would have been another"), "{said}");
    let twice = home.path().join("journal/.").display().to_string();
    let (_, said) = replay(&[&journal, &twice, "--policy", &first]);
    assert!(said.contains("of 20 calls in 1 files"), "{said}");
    for garbage in ["", "no journal\n"] {
        let file = home.path().join("garbage");
        std::fs::write(&file, garbage).unwrap();
        let (code, said) = replay(&[&file.display().to_string()]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("no call could be read"), "{said}");
    }

    let (code, said) = replay(&["/nowhere"]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(replay(&[]).0, Some(2));
    let (code, said) = replay(&[&journal, "--policy", &format!("{journal}/none.wasm")]);
    assert_eq!(code, Some(2), "{said}");

    // A name cannot tell the terminal what to do, nor be a line of its own.
    let recorded = std::fs::read_dir(&journal).unwrap().next().unwrap().unwrap().path();
    let mut text = std::fs::read_to_string(&recorded).unwrap();
    let forged = text.replacen("\"name\":\"r\"", r#""name":"r\u001b[2J\nforged""#, 1);
    assert_ne!(forged, text);
    std::fs::write(&recorded, forged).unwrap();
    let (_, said) = replay(&[&journal, "--policy", &second]);
    assert!(said.contains("route r\u{fffd}[2J\u{fffd}forged"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");

    // A torn end is told, and the rest is replayed.
    write!(text, "{{\"id\":\"bs-12").unwrap();
    std::fs::write(&recorded, text).unwrap();
    let (code, said) = replay(&[&journal, "--policy", &first]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the line is torn") && said.contains("of 20 calls"), "{said}");
}

#[test]
fn check_names_shadows_and_canaries_that_are_missing() {
    let text = "[providers.x]\ndialect = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
                [routes.r]\nshadow = \"gone\"\ncanary = { policy = \"lost\" }\n\
                targets = [{ provider = \"x\", model = \"m\" }]\n";
    let (code, said) = process::run(&["check"], text);
    assert_eq!(code, Some(2), "{said}");
    for expected in ["shadow \"gone\" is not usable", "canary \"lost\" is not usable"] {
        assert!(said.contains(expected), "{said}");
    }
}
