//! The contract over time: a policy of its first version is loaded for ever, and
//! what is of another version is refused with both versions and the remedy.

use std::sync::Arc;
use std::time::Duration;

use backstay::failover::attempt::{AttemptView, Failure, Phase};
use backstay::failover::call::CandidateId;
use backstay::failover::classify::FailureClass;
use backstay::failover::consult::{
    Edit, Launch, NextStep, Opinion, PolicyRefusal, Question, Ruling, Selection, Verdict,
};
use backstay::policy::{Finish, Limits, Material, PolicyState, RequestView, ToolCall};
use wit_component::WitPrinter;
use wit_parser::Resolve;

use crate::support::policies::{
    Body, Fixture, TestClock, call, candidates, classify, library_of, material_of, select, validate,
};

const FIRST: &str = include_str!("../contract/first-0.1.0.wat");
const FIRST_CONTRACT: &str = include_str!("../contract/failover-policy-0.1.0.wit");
const CONTRACT: &str = include_str!("../../wit/failover-policy.wit");

fn unhurried() -> Limits {
    Limits { time: Duration::from_secs(2), ..Limits::default() }
}

fn load(text: &str) -> Fixture {
    let component = wat::parse_str(text).expect("the text is a component");
    library_of(&[("first", &component)], unhurried(), &TestClock::default())
}

/// A request with one header or one JSON value.
struct Wish {
    header: bool,
    json: Option<&'static str>,
}

impl RequestView for Wish {
    fn header(&self, name: &str) -> Option<String> {
        (self.header && name == "x-plan").then(|| "yes".to_owned())
    }

    fn json(&self, pointer: &str) -> Option<String> {
        self.json.filter(|_| pointer == "/want").map(|word| format!("\"{word}\""))
    }
}

fn selected(fixture: &Fixture, header: bool, json: Option<&'static str>) -> Opinion {
    let request = Arc::new(Wish { header, json });
    let material = Material { request, ..material_of(call(), "{}", Body::default()) };
    fixture.policy("first").ask(&select(candidates(3)), &material)
}

#[test]
fn a_policy_of_the_first_version_selects() {
    let fixture = load(FIRST);
    let launch = |number| Launch::plain(CandidateId(number));
    let want = |word| selected(&fixture, false, Some(word));
    let edit = |pointer: &str, value: Option<&str>| {
        vec![Edit { pointer: pointer.to_owned(), value: value.map(str::to_owned) }]
    };
    let plan = Selection::Launch(vec![
        Launch { edits: edit("/temperature", Some("0.5")), ..launch(0) },
        Launch {
            after: Duration::from_millis(40),
            first_token_timeout: Some(Duration::from_millis(1500)),
            total_timeout: Some(Duration::from_secs(3)),
            edits: edit("/seed", None),
            ..launch(1)
        },
    ]);
    assert_eq!(selected(&fixture, true, None), Opinion::Select(plan));
    let last = Selection::Launch(vec![launch(2)]);
    assert_eq!(selected(&fixture, false, None), Opinion::Select(last));
    assert_eq!(want("defer"), Opinion::Select(Selection::Defer));
    let remembered = Selection::Answer("0123456789abcdef".to_owned());
    assert_eq!(want("answer"), Opinion::Select(remembered));
    // Counted over all instances, those of the trial among them.
    let Opinion::Select(Selection::Wait(before)) = want("wait") else { panic!("no wait") };
    let refusal = PolicyRefusal {
        status: 451,
        code: "told-to".to_owned(),
        message: "route".to_owned(),
        retry_after: Some(before + Duration::from_millis(1)),
    };
    assert_eq!(want("refuse"), Opinion::Select(Selection::Refuse(refusal)));
    let nowhere = fixture
        .policy("first")
        .ask(&select(Vec::new()), &material_of(call(), "{}", Body::default()));
    assert_eq!(nowhere, Opinion::None);
}

fn failed(phase: Phase, class: FailureClass, status: Option<u16>, asked: Option<u64>) -> Question {
    let failure = Failure {
        phase,
        class,
        status,
        code: "code".to_owned(),
        message: "message".to_owned(),
        retry_after: asked.map(Duration::from_millis),
    };
    let attempt = AttemptView {
        candidate: CandidateId(0),
        elapsed: Duration::from_millis(30),
        first_token: Some(Duration::from_millis(5)),
        failure: Some(failure),
    };
    let question = classify(candidates(2), class);
    let attempts = [question.attempts.clone(), vec![attempt]].concat();
    Question { attempts, ..question }
}

#[test]
fn a_policy_of_the_first_version_classifies() {
    let policy = load(FIRST).policy("first");
    let material = material_of(call(), "{}", Body::default());
    let seven = NextStep::Retry(Duration::from_millis(7));
    for (phase, class, status, asked, next) in [
        (Phase::Connect, FailureClass::Network, None, None, seven),
        (Phase::Headers, FailureClass::RateLimited, Some(429), Some(2_500), NextStep::Reselect),
        (Phase::FirstToken, FailureClass::Timeout, Some(200), None, NextStep::Surface),
        (Phase::Body, FailureClass::Unknown, Some(200), Some(1), NextStep::Surface),
    ] {
        let cooldown = Duration::from_millis(asked.unwrap_or(0));
        let ruling = Ruling { class, counts: status.is_some(), cooldown, next };
        let answered = policy.ask(&failed(phase, class, status, asked), &material);
        assert_eq!(answered, Opinion::Classify(ruling), "{phase:?}");
    }
    let none = Question { attempts: Vec::new(), ..classify(candidates(1), FailureClass::Unknown) };
    assert_eq!(policy.ask(&none, &material), Opinion::None);
}

#[test]
fn a_policy_of_the_first_version_validates() {
    let policy = load(FIRST).policy("first");
    let body = |finish| Body { finish, text: "Grüße".to_owned(), ..Body::default() };
    let tool = ToolCall { name: "f".to_owned(), arguments: "{\"a\":1}".to_owned() };
    let reject = |reason: &str, counts| Verdict::Reject { reason: reason.to_owned(), counts };
    for (body, expected) in [
        (body(Finish::Stop), Verdict::Accept),
        (body(Finish::Unfinished), Verdict::Accept),
        (body(Finish::Length), reject("Grüße", true)),
        (Body { complete: false, ..body(Finish::Length) }, reject("Grüße", false)),
        (
            Body { tool_calls: vec![tool.clone(), tool], ..body(Finish::ToolCalls) },
            Verdict::Amend("{\"a\":1}".to_owned()),
        ),
        (
            Body { violations: vec!["no JSON".to_owned()], ..body(Finish::Stop) },
            reject("no JSON", true),
        ),
    ] {
        let said = format!("{body:?}");
        let material = material_of(call(), "{}", body);
        let answered = policy.ask(&validate(candidates(2)), &material);
        assert_eq!(answered, Opinion::Validate(expected), "{said}");
    }
}

/// Replaces parts of the kept policy; expects that it is refused for each of
/// these reasons.
fn check_refused(changes: &[(&str, &str)], reasons: &[&str]) {
    let mut text = FIRST.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the kept policy has no {from}");
        text = text.replace(from, to);
    }
    let fixture = load(&text);
    assert!(fixture.library.current().policy("first").is_none(), "{changes:?} is loaded");
    let status = fixture.status("first");
    assert_eq!(status.state, PolicyState::Refused);
    let reason = status.last_refusal.expect("a refused file has a reason").reason;
    for part in reasons {
        assert!(reason.contains(part), "{part}: {reason}");
    }
}

#[test]
fn another_version_is_refused_with_both_versions_and_the_remedy() {
    check_refused(
        &[("@0.1.0", "@0.2.0")],
        &[
            "built for contract 0.2.0",
            "this gateway speaks 0.1.0",
            "rebuild it with wit/failover-policy.wit of this gateway",
            "or run a gateway of contract 0.2.0",
        ],
    );
    check_refused(&[("@0.1.0", "@1.0.0")], &["built for contract 1.0.0"]);
    let export = ("failover-policy@0.1.0", "failover-policy@0.2.0");
    check_refused(&[export], &["built for contract 0.2.0", "failover-policy@0.2.0"]);
    let other = ("failover-policy@0.1.0", "some-policy@0.1.0");
    check_refused(&[other], &["does not export", "some-policy@0.1.0", "contract 0.1.0"]);
}

#[test]
fn a_compatible_version_is_loaded() {
    let fixture = load(&FIRST.replace("@0.1.0", "@0.1.7"));
    assert_eq!(fixture.status("first").contract.as_deref(), Some("0.1.7"));
    let last = Selection::Launch(vec![Launch::plain(CandidateId(2))]);
    assert_eq!(selected(&fixture, false, None), Opinion::Select(last));
    assert_eq!(load(FIRST).status("first").contract.as_deref(), Some("0.1.0"));
}

#[test]
fn the_right_version_with_other_types_is_refused() {
    check_refused(
        &[("(field \"seed\" u32)", "(field \"seed\" f32)")],
        &["built for contract 0.1.0", "exports", "field seed", "rebuild it with"],
    );
    check_refused(
        &[("(param \"delta\" s32)", "(param \"delta\" u32)")],
        &["built for contract 0.1.0", "imports", "tally", "rebuild it with"],
    );
    // As the next compatible version might be.
    check_refused(
        &[("@0.1.0", "@0.1.1"), ("output.text-length", "output.text-width")],
        &["built for contract 0.1.1", "this gateway's 0.1.0", "text-width"],
    );
}

/// Each item of a contract on a line of its own, with the interface it is in.
fn items(contract: &str) -> Vec<String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("contract.wit", contract).expect("the contract parses");
    let mut printer = WitPrinter::default();
    printer.emit_docs(false);
    printer.print(&resolve, package, &[]).expect("the contract can be printed");
    let text = printer.output.to_string();
    let mut items = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut whole: Option<String> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let opens = line.ends_with('{');
        // What may get no further members is one item; resources may.
        let is_whole =
            ["record ", "variant ", "enum ", "flags "].iter().any(|k| line.starts_with(k));
        match &mut whole {
            Some(item) => {
                item.push_str(line);
                if line == "}" {
                    items.extend(whole.take());
                }
            }
            None if opens && is_whole => whole = Some(format!("{}: {line}", path.join(" "))),
            None if opens => path.push(line.trim_end_matches(" {").to_owned()),
            None if line == "}" => drop(path.pop()),
            None if line.starts_with("use ") || line.starts_with("package ") => {}
            None => items.push(format!("{}: {line}", path.join(" "))),
        }
    }
    items
}

/// What of the first contract is gone or different, and what a policy would have
/// to have more than it.
fn broken(first: &str, now: &str) -> Vec<String> {
    let (first, now) = (items(first), items(now));
    let asked_of_policies = |item: &&String| item.starts_with("interface failover-policy:");
    let gone = first.iter().filter(|item| !now.contains(item));
    let more = now.iter().filter(asked_of_policies).filter(|item| !first.contains(item));
    gone.chain(more).cloned().collect()
}

#[test]
fn the_contract_still_has_all_of_its_first_version() {
    assert!(items(FIRST_CONTRACT).len() > 40, "{:#?}", items(FIRST_CONTRACT));
    assert_eq!(broken(FIRST_CONTRACT, CONTRACT), Vec::<String>::new());
}

#[test]
fn a_broken_contract_is_noticed() {
    for (from, to, expected) in [
        ("package backstay:policy@0.1.0;", "package backstay:policy@0.1.1;", None),
        ("  record edit {", "  record novel {\n    a: u32,\n  }\n  record edit {", None),
        ("  tally: func", "  novel: func(a: u32);\n  tally: func", None),
        ("    text-length: func", "    novel: func() -> u32;\n    text-length: func", None),
        ("    reselect,\n", "", Some("variant next-step")),
        ("    reselect,\n", "    reselect,\n    novel,\n", Some("variant next-step")),
        ("    seed: u32,", "    seed: u64,", Some("record call")),
        ("    prefill,\n", "", Some("flags features")),
        ("    unfinished,\n", "    unfinished,\n    novel,\n", Some("enum finish")),
        ("delta: s32", "delta: u32", Some("tally")),
        ("    text-length: func() -> u32;\n", "", Some("text-length")),
        (
            "  classify-error: func",
            "  novel: func(a: u32);\n  classify-error: func",
            Some("interface failover-policy: novel"),
        ),
    ] {
        assert!(CONTRACT.contains(from), "the contract has no {from}");
        let lost = broken(FIRST_CONTRACT, &CONTRACT.replace(from, to)).join("\n");
        match expected {
            Some(part) => assert!(lost.contains(part), "{to}: {lost}"),
            None => assert_eq!(lost, "", "{to}"),
        }
    }
}
