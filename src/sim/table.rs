//! The results as a person reads them: the figures of a policy, or of two side
//! by side, and what held.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::report::{
    CaseResult, Judgement, Report, ScenarioResult, TargetFigures, Traffic, rounded,
};

/// Causes of faults that are shown.
const MOST_REASONS: usize = 5;

/// One scenario with what each policy made of it.
#[must_use]
pub fn show(result: &ScenarioResult) -> String {
    let mut text = format!("{}\n", result.scenario);
    if !result.about.is_empty() {
        let _ = writeln!(text, "{}", result.about);
    }
    let traffic: Vec<(&Report, &Traffic)> =
        result.reports.iter().filter_map(|r| Some((r, r.traffic.as_ref()?))).collect();
    if !traffic.is_empty() {
        let length = time(result.duration_s * 1e3);
        let _ = writeln!(text, "{length} of traffic, seed {}\n", result.seed);
        let _ = writeln!(text, "{}\n\n{}", figures(&traffic), targets(&traffic));
    }
    for report in &result.reports {
        held(&mut text, report, result.reports.len() > 1);
    }
    text
}

fn new_table(heads: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let heads = heads.into_iter().enumerate().map(|(column, head)| aligned(column, head));
    table.set_header(heads.collect::<Vec<_>>());
    table
}

/// Names to the left, numbers to the right.
fn aligned(column: usize, text: String) -> Cell {
    let alignment = if column == 0 { CellAlignment::Left } else { CellAlignment::Right };
    Cell::new(text).set_alignment(alignment)
}

fn add(table: &mut Table, row: Vec<String>) {
    let cells = row.into_iter().enumerate().map(|(column, text)| aligned(column, text));
    table.add_row(cells.collect::<Vec<_>>());
}

fn figures(reports: &[(&Report, &Traffic)]) -> String {
    let two = reports.len() == 2;
    let mut heads = vec![String::new()];
    heads.extend(reports.iter().map(|(report, _)| name(report)));
    heads.extend(two.then(|| "difference".to_owned()));
    let mut table = new_table(heads);
    let mut row = |label: &str, value: &dyn Fn(&Traffic) -> f64, show: &dyn Fn(f64) -> String| {
        let values: Vec<f64> = reports.iter().map(|(_, traffic)| value(traffic)).collect();
        let mut cells = vec![label.to_owned()];
        cells.extend(values.iter().map(|value| show(*value)));
        if let [a, b] = values.as_slice() {
            cells.push(signed(*a, *b, show));
        }
        add(&mut table, cells);
    };
    row("requests", &|t| t.figures.requests as f64, &whole);
    row("calls", &|t| t.figures.calls as f64, &whole);
    row("failed", &|t| (t.figures.calls - t.figures.succeeded) as f64, &whole);
    row("rescued", &|t| t.figures.rescued as f64, &whole);
    row("availability", &|t| t.figures.availability, &percent);
    row("attempts per call", &|t| t.figures.attempts_per_call, &|x| format!("{x:.3}"));
    row("first token p50", &|t| t.figures.first_token_ms.p50, &time);
    row("first token p95", &|t| t.figures.first_token_ms.p95, &time);
    row("first token p99", &|t| t.figures.first_token_ms.p99, &time);
    row("total p50", &|t| t.figures.total_ms.p50, &time);
    row("total p95", &|t| t.figures.total_ms.p95, &time);
    row("total p99", &|t| t.figures.total_ms.p99, &time);
    if reports.iter().any(|(_, traffic)| traffic.figures.cost_usd > 0.0) {
        row("cost", &|t| t.figures.cost_usd, &|x| format!("$ {x:.2}"));
    }
    if reports.iter().any(|(_, traffic)| traffic.recovered_within_ms.is_some()) {
        row("recovered within", &|t| t.recovered_within_ms.unwrap_or(0.0), &time);
    }
    row("circuit changes", &|t| t.circuit_changes as f64, &whole);
    row("policy faults", &|t| t.policy_faults as f64, &whole);
    let causes: BTreeSet<&str> =
        reports.iter().flat_map(|(_, traffic)| traffic.figures.refusals.keys().copied()).collect();
    for cause in causes {
        let count = |t: &Traffic| t.figures.refusals.get(cause).copied().unwrap_or(0) as f64;
        row(&format!("  failed: {cause}"), &count, &whole);
    }
    trimmed(&table)
}

fn targets(reports: &[(&Report, &Traffic)]) -> String {
    let heads = ["target", "answered", "share", "attempts", "failed", "opened", "cost"];
    let mut table = new_table(heads.map(str::to_owned).to_vec());
    for (report, traffic) in reports {
        if reports.len() > 1 {
            add(&mut table, vec![name(report)]);
        }
        for target in &traffic.figures.targets {
            let indent = if reports.len() > 1 { "  " } else { "" };
            add(&mut table, target_row(indent, target));
        }
    }
    trimmed(&table)
}

fn target_row(indent: &str, target: &TargetFigures) -> Vec<String> {
    let mut classes: Vec<(&&str, &u64)> = target.failures.iter().collect();
    classes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let failed: u64 = target.failures.values().sum();
    let most = classes.first().map_or_else(String::new, |(class, _)| format!(" {class}"));
    let more = if classes.len() > 1 { " …" } else { "" };
    vec![
        format!("{indent}{}", target.target),
        target.answered.to_string(),
        percent(target.share),
        target.attempts.to_string(),
        format!("{failed}{most}{more}"),
        target.openings.to_string(),
        format!("$ {:.2}", target.cost_usd),
    ]
}

/// What held and what did not.
fn held(text: &mut String, report: &Report, named: bool) {
    if named {
        let _ = writeln!(text, "\n{}", name(report));
    } else if !report.expectations.is_empty() {
        text.push('\n');
    }
    for judgement in &report.expectations {
        let _ = writeln!(text, "{}", line(judgement));
    }
    for case in &report.cases {
        let _ = write!(text, "{}", case_lines(case));
    }
    let reasons = report.traffic.iter().flat_map(|traffic| &traffic.policy_fault_reasons);
    for (reason, count) in reasons.take(MOST_REASONS) {
        let _ = writeln!(text, "policy fault, {count} times: {reason}");
    }
}

/// A tick or a cross, what was expected, and what was found.
#[must_use]
pub fn line(judgement: &Judgement) -> String {
    let mark = if judgement.held { "ok    " } else { "FAILED" };
    let found = judgement.found.map_or_else(
        || "there was nothing to measure".to_owned(),
        |found| format!("found {}", rounded(found)),
    );
    let part = match (judgement.from_s, judgement.until_s) {
        (Some(from), Some(until)) => format!(" ({} to {})", time(from * 1e3), time(until * 1e3)),
        _ => String::new(),
    };
    format!("{mark} {}{part}: {found}", judgement.expected)
}

fn case_lines(case: &CaseResult) -> String {
    let mark = if case.held { "ok    " } else { "FAILED" };
    let mut text = format!("{mark} {}\n", case.name);
    for problem in &case.problems {
        let _ = writeln!(text, "         {problem}");
    }
    text
}

fn name(report: &Report) -> String {
    format!("{} ({})", report.policy.name, report.policy.digest)
}

/// Without the blanks that pad the last column.
fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn signed(a: f64, b: f64, show: &dyn Fn(f64) -> String) -> String {
    let difference = b - a;
    match rounded(difference) {
        0.0 => "=".to_owned(),
        more if more > 0.0 => format!("+{}", show(difference)),
        _ => format!("-{}", show(-difference)),
    }
}

fn whole(x: f64) -> String {
    format!("{x:.0}")
}

fn percent(x: f64) -> String {
    format!("{:.3} %", x * 100.0)
}

/// A length of time given in milliseconds.
fn time(ms: f64) -> String {
    match ms {
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ if ms < 119_950.0 => format!("{:.1} s", ms / 1e3),
        _ if ms < 7_200_000.0 => format!("{:.0} min", ms / 60e3),
        _ => format!("{:.1} h", ms / 3_600e3),
    }
}
