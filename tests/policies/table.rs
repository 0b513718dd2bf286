//! The conformance table: questions with what is answered to them, as data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backstay::failover::attempt::{AttemptView, Failure, Phase};
use backstay::failover::call::{
    AttemptId, Bar, Call, CandidateId, CandidateView, Features, HealthView, Operation, TargetFacts,
};
use backstay::failover::classify::FailureClass;
use backstay::failover::consult::{
    Launch, NextStep, Opinion, Question, Ruling, Selection, Verb, Verdict,
};
use backstay::policy::Material;
use serde::Deserialize;

use crate::support::{self, Body};

const TABLE: &str = include_str!("conformance.toml");

/// Whom a case is for.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// All policies and the built-in.
    Everyone,
    /// The same behaviour in every language.
    Templates,
    Named(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub policies: Who,
    #[serde(default)]
    settings: toml::Table,
    /// Asked in turn: what is remembered of one the next one finds.
    ask: Vec<Step>,
}

/// One question, as far as it differs from a plain one.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    verb: Kind,
    /// The policy's answer, as `show` has it.
    pub expect: String,
    /// What the built-in decides, where that is of interest.
    pub builtin: Option<String>,
    route: Option<String>,
    /// `chat`, if nothing else is said.
    operation: Option<String>,
    /// Values of the request's body, by pointer.
    #[serde(default)]
    body: BTreeMap<String, String>,
    tenant: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    needs: Vec<String>,
    input_tokens: Option<u32>,
    max_output_tokens: Option<u32>,
    now_unix_ms: Option<f64>,
    time_left_ms: Option<u64>,
    attempts_left: Option<u32>,
    #[serde(default)]
    delivered: u32,
    /// Without any there are `t0/m` and `t1/m`.
    #[serde(default)]
    candidates: Vec<Candidate>,
    /// Finished attempts; the classes of their failures.
    #[serde(default)]
    attempts: Vec<Attempt>,
    text: Option<String>,
    incomplete: Option<bool>,
    #[serde(default)]
    violations: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Select,
    Classify,
    Validate,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Candidate {
    /// `provider/model`.
    target: String,
    #[serde(default = "first")]
    priority: u32,
    input_price: Option<f64>,
    output_price: Option<f64>,
    context_window: Option<u32>,
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    tried: u32,
    barred: Option<String>,
    #[serde(default)]
    cooldown_ms: u64,
    #[serde(default)]
    samples: u32,
    #[serde(default)]
    p95_ms: u64,
    #[serde(default)]
    in_flight: u32,
    #[serde(default)]
    load: f64,
    requests_left: Option<u32>,
}

const fn first() -> u32 {
    1
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempt {
    candidate: u32,
    failed: String,
    retry_after_ms: Option<u64>,
}

pub fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        case: Vec<Case>,
    }
    let table: Table = toml::from_str(TABLE).unwrap_or_else(|error| panic!("{error}"));
    table.case
}

impl Case {
    /// The questions, each with its step. What a policy remembers is its own,
    /// but for `@` in tenants and labels, which stands for the policy's name.
    pub fn questions(&self, policy: &str) -> Vec<(&Step, Question, Material)> {
        let settings = serde_json::to_string(&self.settings).expect("a table is JSON");
        let asked = self.ask.iter().map(|step| {
            let question = step.question();
            (step, question, step.material(&settings, policy))
        });
        asked.collect()
    }

    pub fn expectations(&self) -> Vec<String> {
        self.ask.iter().map(|step| step.expect.clone()).collect()
    }
}

impl Step {
    fn question(&self) -> Question {
        let candidates = match self.candidates.as_slice() {
            [] => support::candidates(2),
            written => written.iter().map(Candidate::view).collect(),
        };
        let plain = match self.verb {
            Kind::Select => support::select(candidates),
            Kind::Classify => Question {
                verb: Verb::ClassifyError { attempt: AttemptId(0) },
                ..support::select(candidates)
            },
            Kind::Validate => support::validate(candidates),
        };
        let millis = |given: Option<u64>, usual| given.map_or(usual, Duration::from_millis);
        Question {
            attempts: self.attempts.iter().map(Attempt::view).collect(),
            now_unix_ms: self.now_unix_ms.unwrap_or(plain.now_unix_ms),
            time_left: millis(self.time_left_ms, plain.time_left),
            attempts_left: self.attempts_left.unwrap_or(plain.attempts_left),
            delivered: self.delivered,
            ..plain
        }
    }

    fn material(&self, settings: &str, policy: &str) -> Material {
        let usual = support::call();
        let own = |text: &String| text.replace('@', policy);
        let call = Call {
            tenant: self.tenant.as_ref().map(own),
            labels: self.labels.iter().map(|(name, value)| (name.clone(), own(value))).collect(),
            needs: features(&self.needs),
            input_tokens: self.input_tokens.unwrap_or(usual.input_tokens),
            max_output_tokens: self.max_output_tokens,
            operation: self.operation.as_deref().map_or(usual.operation, operation),
            ..usual
        };
        let usual = Body::default();
        let body = Body {
            complete: !self.incomplete.unwrap_or(false),
            text: self.text.clone().unwrap_or_else(|| usual.text.clone()),
            violations: self.violations.clone(),
            json: self.body.clone().into_iter().collect(),
            ..usual
        };
        let usual = support::material_of(call, settings, body);
        let route = self.route.clone().map_or_else(|| usual.route.clone(), Into::into);
        Material { route, ..usual }
    }
}

impl Candidate {
    fn view(&self) -> CandidateView {
        let (provider, model) = self.target.split_once('/').expect("a target has a model");
        let facts = TargetFacts {
            target: self.target.clone(),
            provider: provider.into(),
            model: model.into(),
            priority: self.priority,
            weight: 1,
            offers: Features::ALL.without(features(&self.lacks)),
            context_window: self.context_window,
            input_price: self.input_price,
            output_price: self.output_price,
        };
        let health = HealthView {
            cooldown: Duration::from_millis(self.cooldown_ms),
            samples: self.samples,
            first_token_p95: Duration::from_millis(self.p95_ms),
            in_flight: self.in_flight,
            load: self.load,
            requests_left: self.requests_left,
            ..HealthView::default()
        };
        let barred = self.barred.as_deref().map(bar);
        CandidateView { facts: Arc::new(facts), health, tried: self.tried, barred }
    }
}

impl Attempt {
    fn view(&self) -> AttemptView {
        let failure = Failure {
            phase: Phase::Headers,
            class: class(&self.failed),
            status: None,
            code: String::new(),
            message: String::new(),
            retry_after: self.retry_after_ms.map(Duration::from_millis),
        };
        AttemptView {
            candidate: CandidateId(self.candidate),
            elapsed: Duration::from_millis(30),
            first_token: None,
            failure: Some(failure),
        }
    }
}

fn features(names: &[String]) -> Features {
    names.iter().fold(Features::NONE, |all, name| {
        let found = Features::NAMES.iter().find(|(known, _)| known == name);
        all | found.unwrap_or_else(|| panic!("no feature {name}")).1
    })
}

fn operation(name: &str) -> Operation {
    match name {
        "chat" => Operation::Chat,
        "responses" => Operation::Responses,
        "embeddings" => Operation::Embeddings,
        "other" => Operation::Other,
        _ => panic!("no operation {name}"),
    }
}

fn bar(name: &str) -> Bar {
    let all = [
        Bar::CircuitOpen,
        Bar::CoolingDown,
        Bar::CredentialOut,
        Bar::Full,
        Bar::TriedOut,
        Bar::Hopeless,
        Bar::OverBudget,
    ];
    let found = all.into_iter().find(|bar| bar.label() == name);
    found.unwrap_or_else(|| panic!("no bar {name}"))
}

fn class(name: &str) -> FailureClass {
    let found = FailureClass::ALL.into_iter().find(|class| class.label() == name);
    found.unwrap_or_else(|| panic!("no class {name}"))
}

/// An answer in full, in words.
pub fn show(opinion: &Opinion) -> String {
    match opinion {
        Opinion::None => "none".to_owned(),
        Opinion::Fault { reason } => format!("fault: {reason}"),
        Opinion::Unasked { reason } => format!("not asked: {reason}"),
        Opinion::Select(selection) => show_selection(selection),
        Opinion::Classify(ruling) => show_ruling(ruling),
        Opinion::Validate(Verdict::Accept) => "accept".to_owned(),
        Opinion::Validate(Verdict::Amend(text)) => format!("amend {text}"),
        Opinion::Validate(Verdict::Reject { reason, counts }) => {
            format!("reject {reason}{}", if *counts { ", counts" } else { "" })
        }
    }
}

fn show_selection(selection: &Selection) -> String {
    match selection {
        Selection::Launch(plan) => plan.iter().map(show_launch).collect::<Vec<_>>().join("; "),
        Selection::Wait(length) => format!("wait {}", length.as_millis()),
        Selection::Defer => "defer".to_owned(),
        Selection::Answer(text) => format!("answer {text}"),
        Selection::Refuse(refusal) => {
            let after = refusal.retry_after.map(|after| format!(" after {}", after.as_millis()));
            format!("refuse {} {}{}", refusal.status, refusal.code, after.unwrap_or_default())
        }
    }
}

fn show_launch(launch: &Launch) -> String {
    let mut shown = format!("launch {}", launch.candidate.0);
    if !launch.after.is_zero() {
        shown.extend([" after ".to_owned(), launch.after.as_millis().to_string()]);
    }
    if let Some(limit) = launch.first_token_timeout {
        shown.extend([" within ".to_owned(), limit.as_millis().to_string()]);
    }
    for edit in &launch.edits {
        shown.extend([" edit ", &edit.pointer, "=", edit.value.as_deref().unwrap_or("nothing")]);
    }
    shown
}

fn show_ruling(ruling: &Ruling) -> String {
    let next = match ruling.next {
        NextStep::Retry(pause) => format!("retry {}", pause.as_millis()),
        NextStep::Reselect => "reselect".to_owned(),
        NextStep::Surface => "surface".to_owned(),
    };
    let counts = if ruling.counts { ", counts" } else { "" };
    let cooldown = ruling.cooldown.as_millis();
    let cooldown = if cooldown > 0 { format!(", cooldown {cooldown}") } else { String::new() };
    format!("{}: {next}{counts}{cooldown}", ruling.class.label())
}
