//! What a run came to, as data: the shape of `--json`, which `json.md` explains
//! to those who read it. Field names are stable; new ones may join them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::book::{Book, CircuitChange, Column, Recovery, Tally};
use super::histogram::Histogram;
use super::numbers::{micros, share};

/// All that `backstay simulate` found out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Results {
    /// The version of this shape: a field that changes its meaning changes it.
    pub backstay_simulation: u32,
    pub scenarios: Vec<ScenarioResult>,
}

/// One scenario with one policy, or with two.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ScenarioResult {
    pub scenario: String,
    pub about: String,
    pub seed: u64,
    pub duration_s: f64,
    /// When providers were not themselves; the first thousand.
    pub windows: Vec<Trouble>,
    pub reports: Vec<Report>,
    /// The second policy's figures less the first's.
    pub difference: Option<Difference>,
}

/// By figure; `None` where one of the two has none.
pub type Difference = BTreeMap<&'static str, Option<f64>>;

/// A window of a provider.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Trouble {
    pub provider: String,
    pub from_s: f64,
    pub until_s: f64,
}

impl Trouble {
    /// Whether a target, `provider/model`, is one of its provider's.
    #[must_use]
    pub fn troubles(&self, target: &str) -> bool {
        target.split_once('/').is_some_and(|(provider, _)| provider == self.provider)
    }
}

/// What one policy made of a scenario.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    pub policy: PolicyName,
    /// `None` without traffic.
    pub traffic: Option<Traffic>,
    pub expectations: Vec<Judgement>,
    pub cases: Vec<CaseResult>,
    pub passed: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PolicyName {
    pub name: String,
    pub digest: String,
}

/// What became of the traffic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Traffic {
    #[serde(flatten)]
    pub figures: Figures,
    /// After the ends of windows, the longest time until calls succeeded again.
    pub recovered_within_ms: Option<f64>,
    /// After one of them they did not: the time before says nothing and is `None`.
    pub never_recovered: bool,
    pub policy_faults: u64,
    pub policy_fault_reasons: BTreeMap<String, u64>,
    pub circuit_changes: u64,
    /// The first ten thousand.
    pub circuits: Vec<Circuit>,
    pub timeline: Timeline,
}

/// The figures of a whole run, or of a part of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figures {
    /// What clients wanted answered, and what was in the end.
    pub requests: u64,
    pub served: u64,
    /// Calls that reached the gateway: clients may call again for one request.
    pub calls: u64,
    pub succeeded: u64,
    pub availability: f64,
    /// Calls that succeeded though an attempt failed.
    pub rescued: u64,
    /// Calls without an answer, by cause.
    pub refusals: BTreeMap<&'static str, u64>,
    pub attempts: u64,
    pub attempts_per_call: f64,
    /// Of the calls that succeeded.
    pub first_token_ms: Percentiles,
    pub total_ms: Percentiles,
    pub cost_usd: f64,
    /// Attempts at targets without prices: the cost leaves them out.
    pub unpriced_attempts: u64,
    pub targets: Vec<TargetFigures>,
}

/// `None` where no call succeeded.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Percentiles {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TargetFigures {
    pub target: String,
    pub attempts: u64,
    pub answered: u64,
    /// Of the calls that were answered.
    pub share: f64,
    /// Attempts that failed, by class.
    pub failures: BTreeMap<&'static str, u64>,
    /// `None` of a target without prices.
    pub cost_usd: Option<f64>,
    /// How often its circuit opened; in a part of the run always 0.
    pub openings: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Circuit {
    pub at_s: f64,
    pub target: String,
    pub to: &'static str,
    pub why: &'static str,
}

/// The run in steps, by the arrival of calls.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Timeline {
    pub step_s: f64,
    pub steps: Vec<Step>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    pub calls: u64,
    pub succeeded: u64,
    pub attempts: u64,
    /// In the order of `targets`.
    pub answered: Vec<u64>,
}

/// Whether an expectation held.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judgement {
    pub expected: String,
    /// The part of the run it is about; `None` for the whole.
    pub from_s: Option<f64>,
    pub until_s: Option<f64>,
    /// What was found; `None` if there was nothing to measure, or it never came.
    pub found: Option<f64>,
    /// What was waited for did not come before the end of the run.
    pub never: bool,
    pub held: bool,
}

/// What came of a case.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CaseResult {
    pub name: String,
    pub held: bool,
    /// What was expected and is not so.
    pub problems: Vec<String>,
    pub end: String,
    pub status: u16,
    pub elapsed_ms: f64,
    pub attempts: Vec<CaseAttempt>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CaseAttempt {
    pub target: String,
    pub why: String,
    /// A class, or `answered`.
    pub class: String,
}

impl Traffic {
    #[must_use]
    pub fn of(book: &Book) -> Self {
        Self {
            figures: Figures::of(&book.whole, book, &book.openings),
            recovered_within_ms: match book.recovery() {
                Some(Recovery::Within(length)) => Some(ms(length)),
                Some(Recovery::Never) | None => None,
            },
            never_recovered: book.recovery() == Some(Recovery::Never),
            policy_faults: book.faults.values().sum(),
            policy_fault_reasons: book.faults.clone(),
            circuit_changes: book.change_count,
            circuits: book.changes.iter().map(|change| circuit(change, book)).collect(),
            timeline: Timeline {
                step_s: seconds(book.column_length()),
                steps: book.columns.iter().map(step).collect(),
            },
        }
    }
}

impl Figures {
    /// `openings` by target.
    #[must_use]
    pub fn of(tally: &Tally, book: &Book, openings: &[u64]) -> Self {
        let target = |(index, target): (usize, &super::book::TargetTally)| TargetFigures {
            target: book.target_name(index).to_owned(),
            attempts: target.attempts,
            answered: target.answered,
            share: rounded(share(target.answered, tally.succeeded)),
            failures: target.failures.clone(),
            cost_usd: book.is_priced(index).then(|| rounded(target.cost_usd)),
            openings: openings.get(index).copied().unwrap_or_default(),
        };
        Self {
            requests: tally.requests,
            served: tally.served,
            calls: tally.calls,
            succeeded: tally.succeeded,
            availability: rounded(share(tally.succeeded, tally.calls)),
            rescued: tally.rescued,
            refusals: tally.causes.clone(),
            attempts: tally.attempts,
            attempts_per_call: rounded(share(tally.attempts, tally.calls)),
            first_token_ms: Percentiles::of(&tally.first_token),
            total_ms: Percentiles::of(&tally.total),
            cost_usd: rounded(tally.cost_usd),
            unpriced_attempts: tally.unpriced,
            targets: tally.targets.iter().enumerate().map(target).collect(),
        }
    }
}

impl Percentiles {
    fn of(histogram: &Histogram) -> Self {
        let at = |percent| histogram.percentile(percent).map(ms);
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }
}

fn circuit(change: &CircuitChange, book: &Book) -> Circuit {
    Circuit {
        at_s: seconds(change.at.since_origin()),
        target: book.target_name(change.target).to_owned(),
        to: change.to.label(),
        why: change.why,
    }
}

fn step(column: &Column) -> Step {
    Step {
        calls: column.calls,
        succeeded: column.succeeded,
        attempts: column.attempts,
        answered: column.answered.clone(),
    }
}

/// Six decimals: more are noise.
#[must_use]
pub fn rounded(x: f64) -> f64 {
    (x * 1e6 + 0.5).floor() / 1e6
}

/// Milliseconds, to the microsecond.
#[must_use]
pub fn ms(length: Duration) -> f64 {
    micros(length) as f64 / 1e3
}

/// Seconds, to the millisecond.
#[must_use]
pub fn seconds(length: Duration) -> f64 {
    (micros(length) / 1_000) as f64 / 1e3
}

/// The figures that two policies are compared by.
#[must_use]
pub fn compared(traffic: &Traffic) -> [(&'static str, Option<f64>); 11] {
    let figures = &traffic.figures;
    [
        ("availability", Some(figures.availability)),
        ("served", Some(share(figures.served, figures.requests))),
        ("attempts_per_call", Some(figures.attempts_per_call)),
        ("first_token_p50_ms", figures.first_token_ms.p50),
        ("first_token_p95_ms", figures.first_token_ms.p95),
        ("first_token_p99_ms", figures.first_token_ms.p99),
        ("total_p50_ms", figures.total_ms.p50),
        ("total_p95_ms", figures.total_ms.p95),
        ("total_p99_ms", figures.total_ms.p99),
        ("cost_usd", Some(figures.cost_usd)),
        ("policy_faults", Some(traffic.policy_faults as f64)),
    ]
}

/// The second policy's figures less the first's.
#[must_use]
pub fn difference(first: &Report, second: &Report) -> Option<Difference> {
    let (first, second) = (first.traffic.as_ref()?, second.traffic.as_ref()?);
    let pairs = compared(first).into_iter().zip(compared(second));
    let less = |a: Option<f64>, b: Option<f64>| Some(rounded(b? - a?));
    Some(pairs.map(|((name, a), (_, b))| (name, less(a, b))).collect())
}
