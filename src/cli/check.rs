//! `backstay check`: reads the configuration and reports every problem, or what
//! would happen on each route for each class of failure, by the policies' word.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::{ConfigFile, MISUSED, complain, environment, say};
use crate::clock::Clock;
use crate::config::check::{Fate, report};
use crate::config::{self, Config, Route};
use crate::failover::attempt::AttemptView;
use crate::failover::call::{CandidateView, HealthView};
use crate::failover::classify::Weight;
use crate::failover::consult::{NextStep, Ruling};
use crate::failover::{
    AttemptId, Call, CandidateId, Decider, Failure, FailureClass, Features, Operation, Opinion,
    Phase, Question, Verb, fallback, refusal,
};
use crate::gateway::pins;
use crate::policy::{Library, Material, Panel, PolicyStatus, RequestView};

#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(check: &Check) -> ExitCode {
    let config = match config::load(&check.file.config, &environment) {
        Ok(config) => config,
        Err(problems) => {
            complain(&problems);
            return ExitCode::from(MISUSED);
        }
    };
    let library = super::serve::library_config(&config, Clock::start());
    let library = match Library::open_pinned(library, pins(&config)) {
        Ok(library) => library,
        Err(problem) => {
            complain(&problem);
            return ExitCode::FAILURE;
        }
    };
    say(&report(&config, &|route, class| fate(&library, route, class)));
    let problems = [missing_policies(&config, &library), refused_pins(&library)].concat();
    if problems.is_empty() {
        return ExitCode::SUCCESS;
    }
    complain(&problems.join("\n"));
    ExitCode::from(MISUSED)
}

/// What lies under a pinned name and is something else.
fn refused_pins(library: &Library) -> Vec<String> {
    let status = library.status().into_iter();
    let pinned = status.filter(|policy| policy.pin.is_some() && policy.digest != policy.pin);
    let line = |policy: PolicyStatus| match policy.last_refusal {
        Some(refusal) => format!("[policies.pin] {}: {}", policy.name, refusal.reason),
        None => format!("[policies.pin] {}: there is no file of that name", policy.name),
    };
    pinned.map(line).collect()
}

/// A route whose policy is not there would be decided by the built-in.
fn missing_policies(config: &Config, library: &Library) -> Vec<String> {
    let directory = config.policies.directory.display();
    let named = config
        .routes
        .values()
        .flat_map(|route| route.policies().map(move |(setting, policy)| (route, setting, policy)));
    let missing = named.filter(|(_, _, policy)| {
        *policy != "default" && library.current().policy(policy).is_none()
    });
    missing
        .map(|(route, setting, policy)| {
            let refusals = library.status();
            let reason = refusals.iter().find(|status| status.name == policy);
            let reason = reason.and_then(|status| status.last_refusal.as_ref());
            let why = reason.map_or_else(
                || format!("there is no {directory}/{policy}.wasm"),
                |refusal| refusal.reason.clone(),
            );
            format!("route {:?}: {setting} {policy:?} is not usable: {why}", route.name)
        })
        .collect()
}

/// What the route's policy makes of a first failure of this class.
fn fate(library: &Library, route: &Route, class: FailureClass) -> Fate {
    let ruling = ruling(library, route, class);
    let counts = match (ruling.counts, ruling.class.weight()) {
        (false, _) | (true, Weight::None) => "no",
        (true, Weight::Soft) => "in the rate",
        (true, Weight::Hard) => "yes",
    };
    let next = match ruling.next {
        NextStep::Retry(_) => "the same target, then others",
        NextStep::Reselect if route.targets.len() > 1 => "another target",
        NextStep::Reselect => "the same target, if it may",
        NextStep::Surface => "back to the client",
    };
    let cooldown = if class.blames_credential() {
        let out = route.targets.first().map(|target| target.rules.credential_out);
        format!("credential {}", humantime::format_duration(out.unwrap_or_default()))
    } else if ruling.cooldown.is_zero() {
        "none".to_owned()
    } else {
        humantime::format_duration(ruling.cooldown).to_string()
    };
    let (status, code) = refusal::status_of(class);
    let finally = match ruling.next {
        NextStep::Surface => format!("{status}, the provider's own error"),
        NextStep::Retry(_) | NextStep::Reselect => format!("{status} {code}"),
    };
    Fate { counts: counts.to_owned(), next: next.to_owned(), cooldown, finally }
}

fn ruling(library: &Library, route: &Route, class: FailureClass) -> Ruling {
    let failure = Failure {
        phase: Phase::Headers,
        class,
        // Without a status it would be one that was never sent.
        status: (class == FailureClass::BadRequest).then_some(400),
        code: String::new(),
        message: String::new(),
        retry_after: None,
    };
    let own = library.current().policy(&route.policy);
    let panel = Panel { own, builtin: library.builtin() };
    let question = question(route, &failure);
    match panel.decide(&question, &material(route), route.rules.cooldown_max).opinion {
        Opinion::Classify(ruling) => ruling,
        Opinion::None
        | Opinion::Select(_)
        | Opinion::Validate(_)
        | Opinion::Fault { .. }
        | Opinion::Unasked { .. } => fallback::classify(&failure),
    }
}

fn question(route: &Route, failure: &Failure) -> Question {
    let view = |(index, target): (usize, &config::Target)| CandidateView {
        facts: Arc::clone(&target.facts),
        health: HealthView::default(),
        tried: u32::from(index == 0),
        barred: None,
    };
    Question {
        number: 1,
        verb: Verb::ClassifyError { attempt: AttemptId(0) },
        decider: Decider::Policy,
        time_left: route.rules.deadline,
        attempts_left: route.rules.attempts.saturating_sub(1),
        delivered: 0,
        now_unix_ms: 0.0,
        seed: 1,
        candidates: route.targets.iter().enumerate().map(view).collect(),
        attempts: vec![AttemptView {
            candidate: CandidateId(0),
            elapsed: Duration::from_millis(100),
            first_token: None,
            failure: Some(failure.clone()),
        }],
    }
}

fn material(route: &Route) -> Material {
    let call = Call {
        id: "check".to_owned(),
        model: route.name.clone(),
        operation: Operation::Chat,
        needs: Features::NONE,
        input_tokens: 0,
        max_output_tokens: None,
        tenant: None,
        labels: Vec::new(),
        origin_unix: Duration::ZERO,
        seed: 1,
        own_policy: true,
    };
    Material {
        call: Arc::new(call),
        route: route.name.as_str().into(),
        settings: route.settings.as_str().into(),
        request: Arc::new(NoRequest),
        output: None,
    }
}

/// A check has no request to show.
#[derive(Debug)]
struct NoRequest;

impl RequestView for NoRequest {
    fn header(&self, _name: &str) -> Option<String> {
        None
    }

    fn json(&self, _pointer: &str) -> Option<String> {
        None
    }
}
