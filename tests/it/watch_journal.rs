//! The journal of a running gateway: what is in it, what never is, how much of
//! it there is, and a disk that does not take it.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use backstay::fake::{self, DEFAULT_WORDS, answer};
use backstay::journal::format::{Answer, Line, Verb};
use backstay::journal::{Item, Reader};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::support::client::{ask, chat, within};
use crate::support::gateway::{Gateway, Setup, key_of, provider};
use crate::support::guests::variant;

const PROMPT: &str = "what about Zanzibar";
const PATIENCE: Duration = Duration::from_secs(30);

/// The journal's lines, once all calls are in it.
async fn lines(gateway: &Gateway) -> Vec<Line> {
    let directory = flushed(gateway).await;
    let reader = Reader::open(&[directory]).unwrap();
    reader
        .map(|item| match item {
            Item::Call(line) => *line,
            Item::Skipped(skipped) => panic!("{skipped}"),
        })
        .collect()
}

async fn flushed(gateway: &Gateway) -> PathBuf {
    gateway.settled().await;
    let journal = gateway.shared.generation().journal.clone().unwrap();
    let directory = journal.settings().directory.clone();
    let flushed = tokio::task::spawn_blocking(move || journal.flush(PATIENCE));
    assert!(flushed.await.unwrap());
    directory
}

fn files(directory: &Path) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.path(), entry.metadata().unwrap().len())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_with_its_facts_and_decisions() {
    let (a, b) = (provider("a", "503:retry-after=60"), provider("b", "ok"));
    let setup = Setup::new().provider("a", &a).provider("b", &b).route("r", &["a/m", "b/m"]);
    let setup = setup.with("[journal]\ndirectory = \"journal\"");
    let gateway = setup.start().await;
    let reply = gateway.ask(&chat("r", PROMPT, false)).await;
    let lines = lines(&gateway).await;
    let [line] = lines.as_slice() else { panic!("one call: {lines:?}") };
    assert_eq!(Some(line.id.as_str()), reply.header("x-backstay-trace"));
    assert_eq!((line.route.name.as_str(), line.policy.name.as_str()), ("r", "default"));
    assert_eq!((line.end.outcome.as_str(), line.end.attempts), ("delivered", 2));
    assert_eq!(line.end.target.as_deref(), Some("b/m"));
    let verbs: Vec<_> = line.decisions.iter().map(|decision| decision.verb).collect();
    assert!(
        matches!(
            verbs.as_slice(),
            [
                Verb::SelectProvider,
                Verb::ClassifyError { attempt: 0 },
                Verb::SelectProvider,
                Verb::ValidateOutput { attempt: 1, candidate: 1, complete: true },
            ]
        ),
        "{verbs:?}"
    );
    let failure = line.decisions[1].attempts[0].failure.as_ref().unwrap();
    assert_eq!((failure.status, failure.retry_after_ms), (Some(503), Some(60_000)));
    assert!(matches!(line.decisions[1].answer, Answer::Rule { .. }), "{line:?}");
    let Answer::Launch(launches) = &line.decisions[2].answer else { panic!("{line:?}") };
    assert_eq!(launches[0].candidate, 1);
    let length = answer(PROMPT, DEFAULT_WORDS).len();
    let output = line.decisions[3].output.as_ref().unwrap();
    assert_eq!(output.text_length as usize, length);
    let status = gateway.see("/status").await;
    assert_eq!((&status["journal"]["written"], &status["journal"]["lost"]), (&1.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_and_no_key_is_ever_in_a_journal() {
    let a = provider("a", "ok");
    let settings = "policy = \"talks\"\npolicy_settings = { do = \"DEED\" }";
    let mut setup = Setup::new().provider("a", &a).with("[journal]\ndirectory = \"journal\"");
    let faults: Vec<_> = fake::FAULTS
        .iter()
        .filter(|(_, _, effect)| !effect.starts_with("when: ") && !effect.starts_with("setting: "))
        .map(|(name, _, _)| if *name == "400 … 599" { "500" } else { *name })
        .filter(|name| *name != "refuse")
        .collect();
    for fault in &faults {
        setup = setup.route(fault, &[&format!("a/m!{fault}")]);
    }
    for deed in ["label", "json", "long-text"] {
        setup = setup.route_with(deed, &settings.replace("DEED", deed), &["a/m"]);
    }
    let setup = setup.rule("deadline", "\"2s\"").rule("attempts", "2");
    let talks = variant("OWNWORDS");
    let gateway = Gateway::start(&setup.text(), &[("talks.wasm", &talks)]).await;
    let addr = gateway.addr;
    let routes = faults.iter().copied().chain(["label", "json", "long-text"]);
    let asked: Vec<_> = routes.flat_map(|route| [(route, false), (route, true)]).collect();
    let calls = asked.len();
    stream::iter(asked)
        .for_each_concurrent(16, |(route, streamed)| async move {
            let mut call = chat(route, PROMPT, streamed);
            call["tools"] = json!([{ "type": "function", "function": { "name": "TOOLNAME" } }]);
            ask(addr, &call).await;
        })
        .await;
    let directory = flushed(&gateway).await;
    let mut text = String::new();
    for (file, _) in files(&directory) {
        text.push_str(&std::fs::read_to_string(file).unwrap());
    }
    assert_eq!(text.lines().count(), calls + 1, "a head and a line a call");
    let words = answer(PROMPT, DEFAULT_WORDS);
    let key = key_of("a");
    let never = words.split(' ').chain(["Zanzibar", "what about", "TOOLNAME", "OWNWORDS", "xxxx"]);
    for never in never.chain([key.as_str(), "5f0c9d"]) {
        let found = text.find(never).map(|at| &text[at.saturating_sub(80)..at + never.len()]);
        assert_eq!(found, None, "{never}");
    }
    assert!(text.contains("\"status\":500"), "failures are told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_rotated_and_bounded() {
    let a = provider("a", "ok");
    let lines = "[journal]\ndirectory = \"journal\"\nmax_file = \"64KiB\"\nmax_total = \"160KiB\"";
    let setup = Setup::new().provider("a", &a).route("r", &["a/m", "a/n", "a/o"]).with(lines);
    let gateway = setup.start().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..8 {
        for _ in 0..30 {
            gateway.ask(&chat("r", PROMPT, false)).await;
        }
        let files = files(&flushed(&gateway).await);
        assert!(files.iter().all(|(_, size)| *size <= 64 << 10), "{files:?}");
        assert!(files.iter().map(|(_, size)| size).sum::<u64>() <= 160 << 10, "{files:?}");
        seen.extend(files.into_iter().map(|(path, _)| path));
    }
    let kept = files(&flushed(&gateway).await).len();
    assert!(seen.len() > kept && kept >= 2, "{kept} of {} are kept", seen.len());
    assert_eq!(gateway.see("/status").await["journal"]["written"], 240);
    assert!(self::lines(&gateway).await.len() > 10, "what is kept can be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_costs_no_call() {
    let a = provider("a", "ok");
    let setup = Setup::new().provider("a", &a).route("r", &["a/m"]);
    let setup = setup.with("[journal]\ndirectory = \"blocked/journal\"");
    let gateway = setup.start().await;
    // A file where a directory should be: also for root, nothing can be made there.
    let blocked = gateway.directory.path().join("blocked");
    std::fs::write(&blocked, "in the way").unwrap();
    for _ in 0..5 {
        assert_eq!(gateway.ask(&chat("r", PROMPT, false)).await.status, 200);
    }
    flushed(&gateway).await;
    let journal = gateway.see("/status").await["journal"].clone();
    assert_eq!((&journal["written"], &journal["lost"]), (&0.into(), &5.into()), "{journal}");
    assert!(journal["error"].is_string(), "{journal}");
    std::fs::remove_file(&blocked).unwrap();
    within("the journal to be tried again", async {
        while gateway.see("/status").await["journal"]["written"] == 0 {
            assert_eq!(gateway.ask(&chat("r", PROMPT, false)).await.status, 200);
            flushed(&gateway).await;
        }
    })
    .await;
    assert!(gateway.see("/status").await["journal"]["error"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_begins_and_ends_a_journal() {
    let a = provider("a", "ok");
    let setup = Setup::new().provider("a", &a).route("r", &["a/m"]);
    let gateway = setup.start().await;
    gateway.ask(&chat("r", PROMPT, false)).await;
    assert!(gateway.see("/status").await["journal"].is_null());
    let with = setup.clone().with("[journal]\ndirectory = \"journal\"");
    gateway.reload(&with.text());
    gateway.ask(&chat("r", PROMPT, false)).await;
    gateway.reload(&with.rule("deadline", "\"19s\"").text());
    gateway.ask(&chat("r", PROMPT, false)).await;
    assert_eq!(lines(&gateway).await.len(), 2, "the same journal goes on");
    gateway.reload(&setup.text());
    gateway.ask(&chat("r", PROMPT, false)).await;
    let kept = files(&gateway.directory.path().join("journal"));
    assert_eq!(kept.len(), 1, "{kept:?}");
}
