//! The results as a person reads them: the figures of a policy, or of two side
//! by side, and what held.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::numbers;
use super::report::{
    CaseResult, Circuit, Judgement, Report, ScenarioResult, Step, TargetFigures, Traffic, rounded,
};

/// Causes of faults that are shown.
const MOST_REASONS: usize = 5;
/// Changes of circuits that are shown.
const MOST_CIRCUITS: usize = 20;
/// Columns of the timeline, as fit beside a name in a terminal.
const COLUMNS_MAX: usize = 60;

/// One scenario with what each policy made of it.
#[must_use]
pub fn show(result: &ScenarioResult) -> String {
    let mut text = format!("{}\n", result.scenario);
    if !result.about.is_empty() {
        let _ = writeln!(text, "{}", result.about);
    }
    let traffic: Vec<(&Report, &Traffic)> =
        result.reports.iter().filter_map(|r| Some((r, r.traffic.as_ref()?))).collect();
    let traffic_is_one = traffic.len() == 1;
    if !traffic.is_empty() {
        let length = time(result.duration_s * 1e3);
        let _ = writeln!(text, "{length} of traffic, seed {}\n", result.seed);
        let _ = writeln!(text, "{}\n\n{}", figures(&traffic), targets(&traffic));
        for (report, traffic) in &traffic {
            let of = if traffic_is_one { String::new() } else { format!(" ({})", name(report)) };
            timeline(&mut text, traffic, &of);
            circuits(&mut text, traffic, &of);
        }
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

/// A figure of a run, if there is one.
type Figure<'f> = &'f dyn Fn(&Traffic) -> Option<f64>;

fn figures(reports: &[(&Report, &Traffic)]) -> String {
    let two = reports.len() == 2;
    let mut heads = vec![String::new()];
    heads.extend(reports.iter().map(|(report, _)| name(report)));
    heads.extend(two.then(|| "difference".to_owned()));
    let mut table = new_table(heads);
    let mut row = |label: &str, value: Figure<'_>, show: &dyn Fn(f64) -> String| {
        let values: Vec<Option<f64>> = reports.iter().map(|(_, traffic)| value(traffic)).collect();
        let mut cells = vec![label.to_owned()];
        cells.extend(values.iter().map(|value| value.map_or_else(nothing, show)));
        if let [a, b] = values.as_slice() {
            cells.push(a.zip(*b).map_or_else(nothing, |(a, b)| signed(a, b, show)));
        }
        add(&mut table, cells);
    };
    row("requests", &|t| Some(t.figures.requests as f64), &whole);
    row("calls", &|t| Some(t.figures.calls as f64), &whole);
    row("failed", &|t| Some((t.figures.calls - t.figures.succeeded) as f64), &whole);
    row("rescued", &|t| Some(t.figures.rescued as f64), &whole);
    row("availability", &|t| Some(t.figures.availability), &percent);
    row("attempts per call", &|t| Some(t.figures.attempts_per_call), &|x| format!("{x:.3}"));
    row("first token p50", &|t| t.figures.first_token_ms.p50, &time);
    row("first token p95", &|t| t.figures.first_token_ms.p95, &time);
    row("first token p99", &|t| t.figures.first_token_ms.p99, &time);
    row("total p50", &|t| t.figures.total_ms.p50, &time);
    row("total p95", &|t| t.figures.total_ms.p95, &time);
    row("total p99", &|t| t.figures.total_ms.p99, &time);
    if reports.iter().any(|(_, traffic)| traffic.figures.cost_usd > 0.0) {
        row("cost", &|t| Some(t.figures.cost_usd), &|x| format!("$ {x:.2}"));
    }
    if reports.iter().any(|(_, t)| t.never_recovered || t.recovered_within_ms.is_some()) {
        let recovered = |t: &Traffic| {
            if t.never_recovered { Some(f64::INFINITY) } else { t.recovered_within_ms }
        };
        row("recovered within", &recovered, &time);
    }
    row("circuit changes", &|t| Some(t.circuit_changes as f64), &whole);
    row("policy faults", &|t| Some(t.policy_faults as f64), &whole);
    let causes: BTreeSet<&str> =
        reports.iter().flat_map(|(_, traffic)| traffic.figures.refusals.keys().copied()).collect();
    for cause in causes {
        let count = |t: &Traffic| Some(t.figures.refusals.get(cause).copied().unwrap_or(0) as f64);
        row(&format!("  failed: {cause}"), &count, &whole);
    }
    trimmed(&table)
}

/// Where there is no figure.
fn nothing() -> String {
    "-".to_owned()
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
        target.cost_usd.map_or_else(nothing, |cost| format!("$ {cost:.2}")),
    ]
}

/// A line for each target: its share of the answers over time; and one for the
/// calls that failed.
fn timeline(text: &mut String, traffic: &Traffic, of: &str) {
    let steps = &traffic.timeline.steps;
    let each = steps.len().div_ceil(COLUMNS_MAX).max(1);
    let columns: Vec<&[Step]> = steps.chunks(each).collect();
    let length = time(traffic.timeline.step_s * 1e3 * each as f64);
    let _ = writeln!(text, "\nanswered by, over time{of}: each column is {length}");
    let targets = &traffic.figures.targets;
    let widest = targets.iter().map(|target| target.target.chars().count()).max().unwrap_or(0);
    let mut line = |label: &str, count: &dyn Fn(&Step) -> u64, all: &dyn Fn(&Step) -> u64| {
        let sum = |column: &[Step], of: &dyn Fn(&Step) -> u64| column.iter().map(of).sum::<u64>();
        let bars: String =
            columns.iter().map(|column| bar(sum(column, count), sum(column, all))).collect();
        let _ = writeln!(text, "{label:widest$}  {}", bars.trim_end());
    };
    for (index, target) in targets.iter().enumerate() {
        let answered = |step: &Step| step.answered.get(index).copied().unwrap_or_default();
        line(&target.target, &answered, &|step| step.answered.iter().sum());
    }
    line("failed", &|step| step.calls - step.succeeded, &|step| step.calls);
}

/// A share in eighths; what is not nothing is seen.
fn bar(part: u64, of: u64) -> char {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let eighths = (part * 8 + of / 2).checked_div(of).unwrap_or_default();
    let eighths = eighths.clamp(u64::from(part > 0), 8);
    usize::try_from(eighths).ok().and_then(|eighths| BARS.get(eighths)).copied().unwrap_or(' ')
}

/// When circuits opened and closed, and why.
fn circuits(text: &mut String, traffic: &Traffic, of: &str) {
    if traffic.circuits.is_empty() {
        return;
    }
    let _ = writeln!(text, "\ncircuits{of}");
    for Circuit { at_s, target, to, why } in traffic.circuits.iter().take(MOST_CIRCUITS) {
        let at = humantime::format_duration(Duration::from_millis(numbers::whole(at_s * 1e3)));
        let _ = writeln!(text, "  at {at}: {target} {to}: {why}");
    }
    let more = traffic.circuit_changes.saturating_sub(MOST_CIRCUITS as u64);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more: see --json");
    }
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
    let found = match judgement.found {
        None if judgement.never => "it never came".to_owned(),
        None => "there was nothing to measure".to_owned(),
        Some(found) => format!("found {}", rounded(found)),
    };
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
    if !a.is_finite() || !b.is_finite() {
        return nothing();
    }
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
        _ if ms.is_infinite() => "never".to_owned(),
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ if ms < 119_950.0 => format!("{:.1} s", ms / 1e3),
        _ if ms < 7_200_000.0 => format!("{:.0} min", ms / 60e3),
        _ => format!("{:.1} h", ms / 3_600e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_a_share_and_whatever_is_not_nothing() {
        for (part, of, expected) in
            [(0, 0, ' '), (0, 9, ' '), (1, 1_000, '▁'), (1, 2, '▄'), (99, 100, '█'), (7, 7, '█')]
        {
            assert_eq!(bar(part, of), expected, "{part} of {of}");
        }
    }

    #[test]
    fn what_never_came_is_no_time() {
        assert_eq!(time(f64::INFINITY), "never");
        assert_eq!(signed(5.0, f64::INFINITY, &time), "-");
        assert_eq!(signed(1_000.0, 2_000.0, &time), "+1.0 s");
    }
}
