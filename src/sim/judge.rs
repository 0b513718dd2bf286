//! What was expected, held against what came: of the traffic, and of cases.

use super::book::Book;
use super::call::{End, SimCall};
use super::numbers::share;
use super::report::{CaseAttempt, CaseResult, Figures, Judgement, Traffic, ms, seconds};
use super::scenario::{Case, CaseExpect, Expectation, Metric, Percentile, Scenario};
use crate::failover::Timestamp;

/// Every expectation of the traffic.
#[must_use]
pub fn judge(scenario: &Scenario, book: &Book, traffic: &Traffic) -> Vec<Judgement> {
    let whole = scenario.expect.iter().map(|expectation| {
        let found = figure(&expectation.metric, &traffic.figures, Some(traffic));
        let never = expectation.metric == Metric::RecoveredWithin && traffic.never_recovered;
        if never { never_came(expectation) } else { judgement(expectation, found) }
    });
    let parts = scenario.during.iter().zip(&book.periods);
    let parts = parts.flat_map(|(period, (span, tally))| {
        let figures = Figures::of(tally, book, &[]);
        period.expect.iter().map(move |expectation| Judgement {
            from_s: Some(seconds(span.from)),
            until_s: Some(seconds(span.until)),
            ..judgement(expectation, figure(&expectation.metric, &figures, None))
        })
    });
    whole.chain(parts).collect()
}

/// Without anything to measure, nothing holds but what asks for no calls.
fn judgement(expectation: &Expectation, found: Option<f64>) -> Judgement {
    Judgement {
        expected: expectation.text.clone(),
        from_s: None,
        until_s: None,
        found,
        never: false,
        held: found.is_some_and(|found| expectation.bound.holds(found)),
    }
}

/// Longer than any time: no limit holds, and whoever wants it to last is content.
fn never_came(expectation: &Expectation) -> Judgement {
    let held = expectation.bound.holds(f64::INFINITY);
    Judgement { held, never: true, ..judgement(expectation, None) }
}

fn figure(metric: &Metric, figures: &Figures, whole: Option<&Traffic>) -> Option<f64> {
    let measured = |value: f64| (figures.calls > 0).then_some(value);
    let answered = |value: f64| (figures.succeeded > 0).then_some(value);
    let target = |name: &String| figures.targets.iter().find(|target| target.target == *name);
    match metric {
        Metric::Availability => measured(figures.availability),
        Metric::Served => measured(share(figures.served, figures.requests)),
        Metric::AttemptsPerCall => measured(figures.attempts_per_call),
        Metric::Calls => Some(figures.calls as f64),
        Metric::CostUsd => Some(figures.cost_usd),
        Metric::FirstToken(percentile) => of(*percentile, &figures.first_token_ms),
        Metric::Total(percentile) => of(*percentile, &figures.total_ms),
        Metric::PolicyFaults => whole.map(|traffic| traffic.policy_faults as f64),
        Metric::CircuitChanges => whole.map(|traffic| traffic.circuit_changes as f64),
        Metric::RecoveredWithin => whole?.recovered_within_ms,
        Metric::Share(name) => answered(target(name)?.share),
        Metric::Openings(name) => Some(target(name)?.openings as f64),
        Metric::Refusals(cause) => {
            Some(figures.refusals.get(cause.as_str()).copied().unwrap_or_default() as f64)
        }
    }
}

const fn of(percentile: Percentile, percentiles: &super::report::Percentiles) -> Option<f64> {
    match percentile {
        Percentile::P50 => percentiles.p50,
        Percentile::P95 => percentiles.p95,
        Percentile::P99 => percentiles.p99,
    }
}

/// What came of a case.
#[must_use]
pub fn judge_case(case: &Case, call: &SimCall, now: Timestamp, book: &Book) -> CaseResult {
    let attempts = call.attempts.iter().zip(&call.whys).map(|(attempt, why)| CaseAttempt {
        target: book.target_name(attempt.target).to_owned(),
        why: (*why).to_owned(),
        class: attempt.failure.map_or("answered", |class| class.label()).to_owned(),
    });
    let end = call.end.clone().unwrap_or(End::ClientGone);
    let mut result = CaseResult {
        name: case.name.clone(),
        held: false,
        problems: Vec::new(),
        end: end.label().to_owned(),
        status: status(&end),
        elapsed_ms: ms(now.since(call.begun)),
        attempts: attempts.collect(),
    };
    let source = call.source.map(|id| call.attempts[id.index()].target);
    let target = source.map_or("nobody", |target| book.target_name(target));
    result.problems = problems(&case.expect, &result, call, &end, target);
    result.held = result.problems.is_empty();
    result
}

const fn status(end: &End) -> u16 {
    match end {
        End::Delivered | End::Answered(_) => 200,
        End::Refused(refusal) => refusal.status,
        End::Parked => 503,
        End::ClientGone => 499,
    }
}

fn problems(
    expect: &CaseExpect,
    result: &CaseResult,
    call: &SimCall,
    end: &End,
    target: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: &str, expected: Option<String>, is: String| {
        if let Some(expected) = expected.filter(|expected| *expected != is) {
            found.push(format!("{what}: expected {expected}, found {is}"));
        }
    };
    let column = |field: fn(&CaseAttempt) -> &str| {
        result.attempts.iter().map(field).collect::<Vec<_>>().join(", ")
    };
    let listed = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join(", "));
    let number = |count: Option<u32>| count.map(|count| count.to_string());
    check("target", expect.target.clone(), target.to_owned());
    check("targets", listed(&expect.targets), column(|attempt| &attempt.target));
    check("classes", listed(&expect.classes), column(|attempt| &attempt.class));
    check("attempts", number(expect.attempts), result.attempts.len().to_string());
    check("end", expect.end.clone(), result.end.clone());
    check("status", number(expect.status), result.status.to_string());
    let code = match end {
        End::Refused(refusal) => refusal.code.clone(),
        End::Delivered | End::Answered(_) | End::Parked | End::ClientGone => "none".to_owned(),
    };
    check("code", expect.code.clone(), code);
    if expect.text.is_some() {
        check("text", expect.text.clone(), call.text().unwrap_or_else(|| "none".to_owned()));
    }
    let faults: u64 = call.faults.values().sum();
    let reasons: Vec<&str> = call.faults.keys().map(String::as_str).collect();
    let shown = if faults == 0 { "0".to_owned() } else { faults.to_string() };
    check("faults", number(expect.faults), shown);
    if let Some(most) = expect.within.filter(|most| result.elapsed_ms > ms(*most)) {
        found.push(format!("within: expected {} ms, took {} ms", ms(most), result.elapsed_ms));
    }
    if !found.is_empty() && !reasons.is_empty() {
        found.push(format!("the policy's faults: {}", reasons.join("; ")));
    }
    found
}
