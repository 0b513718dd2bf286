//! The policies that people are given to start from: every template and every
//! example, in every language, built with its own tools out of a copy that
//! stands alone, and asked through the real host. What each must answer is in
//! `conformance.toml`.
//!
//! A test binary of its own: it takes the tools of four languages, and minutes
//! of their time when it runs first. Without one of them it fails, and says
//! which and where to get it.

mod contract;
mod scenarios;
#[path = "../it/support/policies.rs"]
#[expect(dead_code, reason = "it serves the other tests too")]
mod support;
mod table;
mod verbs;
mod walk;
mod workshop;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backstay::clock::Clock;
use backstay::failover::consult::Opinion;
use backstay::kit::Language;
use backstay::policy::{Compiler, Library, LibraryConfig, Limits, Panel, Policy, PolicyState};

use crate::table::{Case, Who};

const COOLDOWN_MAX: Duration = Duration::from_hours(24);

/// All of them, loaded as a gateway with usual limits would.
fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let clock = Clock::start();
        let config = LibraryConfig {
            directory: Some(workshop::all()),
            limits: Limits::default(),
            clock: Arc::new(move || clock.now()),
            compiler: Compiler::Child(PathBuf::from(env!("CARGO_BIN_EXE_backstay"))),
            // Not made here: it must be closed to all others.
            cache: Some(workshop::scratch("host").join("compiled")),
        };
        Library::open(config).expect("the built-in loads")
    })
}

fn policy(name: &str) -> Arc<Policy> {
    let found = library().current().policy(name);
    found.unwrap_or_else(|| panic!("no {name}: {:?}", library().status()))
}

#[test]
fn every_policy_loads_within_the_usual_limits_and_only_rust_brings_wasi() {
    library();
    for status in library().status() {
        let loaded = matches!(status.state, PolicyState::Active | PolicyState::BuiltIn);
        assert!(loaded, "{}: {:?}", status.name, status.last_refusal);
    }
    let names: Vec<String> = library().status().into_iter().map(|status| status.name).collect();
    for project in workshop::projects() {
        assert!(names.contains(&project.name), "{} is not among {names:?}", project.name);
    }
    for (name, built) in workshop::built() {
        assert!(!built.imports.is_empty(), "{name} imports nothing at all");
        // Rust's standard library has it for the target; there it can do nothing.
        let foreign: Vec<&str> = built.foreign_imports().collect();
        let may =
            built.language == Language::Rust && foreign.iter().all(|i| i.starts_with("wasi:"));
        assert!(foreign.is_empty() || may, "{name} imports {foreign:?}");
    }
}

/// Every row of the table, by every policy it is for.
#[test]
fn every_policy_answers_as_the_table_says() {
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in table::cases() {
        for name in who(&case) {
            *asked.entry(name.clone()).or_default() += case.expectations().len();
            wrong.extend(check(&case, &name));
        }
    }
    assert!(wrong.is_empty(), "{} answers are not as expected:\n{}", wrong.len(), wrong.join("\n"));
    for project in workshop::projects() {
        assert!(
            asked.get(&project.name) >= Some(&6),
            "{} is hardly asked: {asked:?}",
            project.name
        );
    }
}

fn who(case: &Case) -> Vec<String> {
    let all = workshop::projects().iter();
    match &case.policies {
        Who::Everyone => all.map(|project| project.name.clone()).collect(),
        Who::Templates => {
            all.filter(|p| p.is_template).map(|p| p.name.clone()).chain(["prefer".into()]).collect()
        }
        Who::Named(names) => names.clone(),
    }
}

/// What of a case does not come out as the table says.
fn check(case: &Case, name: &str) -> Vec<String> {
    let own = policy(name);
    let builtin = library().builtin();
    let mut wrong = Vec::new();
    for (step, question, material) in case.questions(name) {
        let opinion = own.ask(&question, &material);
        let said = table::show(&opinion);
        if said != step.expect {
            let case = &case.name;
            wrong.push(format!("{name}, {case}:\n  expected {}\n  answered {said}", step.expect));
        }
        let panel = |own| Panel { own, builtin: Arc::clone(&builtin) };
        if opinion == Opinion::None {
            // No opinion must be what it says: the built-in decides as if alone.
            let together = panel(Some(Arc::clone(&own))).decide(&question, &material, COOLDOWN_MAX);
            let alone = panel(None).decide(&question, &material, COOLDOWN_MAX);
            assert_eq!(together, alone, "{name}, {}", case.name);
        }
        if let Some(expected) = &step.builtin {
            let said = table::show(&panel(None).decide(&question, &material, COOLDOWN_MAX).opinion);
            if said != *expected {
                let case = &case.name;
                wrong.push(format!(
                    "the built-in, {case}:\n  expected {expected}\n  answered {said}"
                ));
            }
        }
    }
    wrong
}

/// Between them the examples show everything a policy can answer and ask for.
#[test]
fn the_examples_show_every_answer_and_every_function_of_the_host() {
    let answers: BTreeSet<String> = table::cases()
        .iter()
        .flat_map(Case::expectations)
        .map(|expect| expect.split([' ', ':', ';']).next().unwrap_or_default().to_owned())
        .collect();
    for answer in ["launch", "wait", "defer", "answer", "refuse", "accept", "amend", "reject"] {
        assert!(answers.contains(answer), "no example answers `{answer}`: {answers:?}");
    }
    let all: Vec<String> = table::cases().iter().flat_map(Case::expectations).collect();
    let shows = |what: &str, words: &[&str], is_one: fn(&str) -> bool| {
        for word in words {
            let shown = all.iter().any(|said| is_one(said) && said.contains(word));
            assert!(shown, "no example shows a {what} with `{word}`");
        }
    };
    shows("launch", &[" edit ", " after ", " within "], |said| said.starts_with("launch "));
    // A ruling begins with the class of the failure.
    let is_ruling = |said: &str| said.split(' ').next().is_some_and(|first| first.ends_with(':'));
    shows("ruling", &["retry", "reselect", "surface", "cooldown", "counts"], is_ruling);
    let sources = workshop::sources();
    for function in ["log", "recall", "remember", "tally"] {
        assert!(sources.contains(&format!("{function}(")), "no example calls `{function}`");
    }
}
