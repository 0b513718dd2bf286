//! `[expect]`: what must hold of a run, as bounds of its figures.

use std::time::Duration;

use toml::de::DeValue;

use super::super::numbers::micros;
use super::Period;
use super::values::span;
use crate::config::reader::{Found, Table, suggestion};
use crate::config::values::{Fault, quoted, wrong_type};

/// A figure of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Metric {
    Availability,
    /// Of the requests of clients, which may try again by themselves.
    Served,
    AttemptsPerCall,
    Calls,
    CostUsd,
    FirstToken(Percentile),
    Total(Percentile),
    PolicyFaults,
    CircuitChanges,
    /// After every window, until calls succeed again.
    RecoveredWithin,
    /// Of the answers, by target.
    Share(String),
    /// How often the target's circuit opened.
    Openings(String),
    /// Refusals of this cause.
    Refusals(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Percentile {
    P50,
    P95,
    P99,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    AtLeast,
    AtMost,
    Equal,
    Above,
    Below,
}

const RELATIONS: [(&str, Relation); 5] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("==", Relation::Equal),
    (">", Relation::Above),
    ("<", Relation::Below),
];

/// A bound of a figure. Times are in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bound {
    pub relation: Relation,
    pub value: f64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Expectation {
    pub metric: Metric,
    pub bound: Bound,
    /// As it was written, with its key.
    pub text: String,
}

impl Bound {
    #[must_use]
    pub fn holds(&self, figure: f64) -> bool {
        match self.relation {
            Relation::AtLeast => figure >= self.value,
            Relation::AtMost => figure <= self.value,
            Relation::Equal => figure.total_cmp(&self.value).is_eq(),
            Relation::Above => figure > self.value,
            Relation::Below => figure < self.value,
        }
    }
}

/// Keys with a figure of their own.
const KEYS: [(&str, Metric); 15] = [
    ("availability", Metric::Availability),
    ("served", Metric::Served),
    ("attempts_per_call", Metric::AttemptsPerCall),
    ("calls", Metric::Calls),
    ("cost_usd", Metric::CostUsd),
    ("first_token_p50", Metric::FirstToken(Percentile::P50)),
    ("first_token_p95", Metric::FirstToken(Percentile::P95)),
    ("first_token_p99", Metric::FirstToken(Percentile::P99)),
    ("total_p50", Metric::Total(Percentile::P50)),
    ("total_p95", Metric::Total(Percentile::P95)),
    ("total_p99", Metric::Total(Percentile::P99)),
    ("policy_faults", Metric::PolicyFaults),
    ("circuit_changes", Metric::CircuitChanges),
    ("recovered_within", Metric::RecoveredWithin),
    ("refusals", Metric::Refusals(String::new())),
];

/// The causes of refusals, as the report names them.
pub const CAUSES: [&str; 8] = [
    "surfaced",
    "exhausted",
    "deadline",
    "nothing-to-try",
    "policy",
    "rejected",
    "parked",
    "client-gone",
];

/// What `[expect]` says of the run as a whole.
pub fn expectations(table: &Table<'_>, targets: &[&str]) -> Vec<Expectation> {
    let mut found = Vec::new();
    for (key, metric) in KEYS {
        if let Metric::Refusals(_) = metric {
            found.extend(by_name(table, key, &CAUSES, Metric::Refusals));
            continue;
        }
        let unit = unit_of(&metric);
        for (bound, text) in bounds(table, key, unit) {
            found.push(Expectation { metric: metric.clone(), bound, text });
        }
    }
    found.extend(by_name(table, "share", targets, Metric::Share));
    found.extend(by_name(table, "openings", targets, Metric::Openings));
    found
}

/// `[[expect.during]]`: what it says of parts of the run.
pub fn during(table: &Table<'_>, targets: &[&str], end: Duration) -> Vec<Period> {
    /// Every call is counted once for each of them.
    const MOST: usize = 16;
    let tables = table.list_of_tables("during");
    if let Some(found) = tables.as_ref().filter(|found| found.value.len() > MOST) {
        let remedy = format!("at most {MOST}");
        table.reader.error(found.span.clone(), "too many parts of the run", remedy);
    }
    let tables = tables.map(|found| found.value).unwrap_or_default();
    let period = |table: &Table<'_>| {
        let span = span(table, end);
        for key in ["recovered_within", "circuit_changes", "openings", "policy_faults"] {
            table.belongs_elsewhere(key, "[expect]: it is a figure of the whole run");
        }
        let expect = expectations(table, targets);
        table.finish();
        if expect.is_empty() {
            let remedy = "for example `availability = \">= 0.99\"`";
            table.reader.error(table.span.clone(), "it expects nothing", remedy);
        }
        Period { span, expect }
    };
    tables.iter().map(period).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Number,
    Time,
}

const fn unit_of(metric: &Metric) -> Unit {
    match metric {
        Metric::FirstToken(_) | Metric::Total(_) | Metric::RecoveredWithin => Unit::Time,
        Metric::Availability
        | Metric::Served
        | Metric::AttemptsPerCall
        | Metric::Calls
        | Metric::CostUsd
        | Metric::PolicyFaults
        | Metric::CircuitChanges
        | Metric::Share(_)
        | Metric::Openings(_)
        | Metric::Refusals(_) => Unit::Number,
    }
}

/// A table of bounds, by names out of a closed set.
fn by_name(
    parent: &Table<'_>,
    key: &'static str,
    names: &[&str],
    metric: impl Fn(String) -> Metric,
) -> Vec<Expectation> {
    let Some(table) = parent.table(key) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, value) in table.entries() {
        if !names.contains(&name.value) {
            let message = format!("{} is unknown here", quoted('"', name.value));
            table.reader.error(name.span, message, suggestion(name.value, names));
            continue;
        }
        match parse(value.get_ref(), Unit::Number) {
            Ok(bounds) => found.extend(bounds.into_iter().map(|(bound, written)| Expectation {
                metric: metric(name.value.to_owned()),
                bound,
                text: format!("{key} of {} {written}", name.value),
            })),
            Err(fault) => {
                let message = format!("{} {}", quoted('`', name.value), fault.message);
                table.reader.error(value.span(), message, fault.remedy);
            }
        }
    }
    found
}

fn bounds(table: &Table<'_>, key: &'static str, unit: Unit) -> Vec<(Bound, String)> {
    let Some(Found { value, .. }) = table.get(key, |value| parse(value, unit)) else {
        return Vec::new();
    };
    value.into_iter().map(|(bound, written)| (bound, format!("{key} {written}"))).collect()
}

/// `">= 0.99"`, or a list of such.
fn parse(value: &DeValue<'_>, unit: Unit) -> Result<Vec<(Bound, String)>, Fault> {
    let example = match unit {
        Unit::Number => "\">= 0.99\"",
        Unit::Time => "\"<= 2s\"",
    };
    let wrong = || wrong_type(value, "a bound", example);
    let one = |value: &DeValue<'_>| {
        let written = value.as_str().ok_or_else(wrong)?;
        let bound = bound(written, unit).ok_or_else(|| {
            let message = format!("is no bound: {}", quoted('"', written));
            Fault::new(message, format!("for example `{example}`, with >=, <=, ==, > or <"))
        })?;
        Ok((bound, written.to_owned()))
    };
    match value.as_array() {
        Some(items) => items.iter().map(|item| one(item.get_ref())).collect(),
        None => one(value).map(|bound| vec![bound]),
    }
}

/// A length of time without a relation is the most it may be.
fn bound(written: &str, unit: Unit) -> Option<Bound> {
    let written = written.trim();
    let stated = RELATIONS.iter().find_map(|(sign, relation)| {
        written.strip_prefix(sign).map(|rest| (*relation, rest.trim()))
    });
    let (relation, rest) = match (stated, unit) {
        (Some(stated), _) => stated,
        (None, Unit::Time) => (Relation::AtMost, written),
        (None, Unit::Number) => return None,
    };
    let value = match unit {
        Unit::Number => rest.parse().ok().filter(|number: &f64| number.is_finite())?,
        Unit::Time => micros(humantime::parse_duration(rest).ok()?) as f64 / 1e3,
    };
    Some(Bound { relation, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_and_hold() {
        let number = |text| bound(text, Unit::Number);
        let time = |text| bound(text, Unit::Time);
        let of = |relation, value| Some(Bound { relation, value });
        for (found, expected) in [
            (number(">= 0.999"), of(Relation::AtLeast, 0.999)),
            (number("<1"), of(Relation::Below, 1.0)),
            (number("== 0"), of(Relation::Equal, 0.0)),
            (time("30s"), of(Relation::AtMost, 30_000.0)),
            (time("> 1m 30s"), of(Relation::Above, 90_000.0)),
            (number("0.9"), None),
            (number(">= much"), None),
            (time("<= 3"), None),
        ] {
            assert_eq!(found, expected);
        }
        assert!(number(">= 0.999").is_some_and(|b| b.holds(0.999) && !b.holds(0.998)));
        assert!(number("== 0").is_some_and(|b| b.holds(0.0) && !b.holds(1.0)));
    }
}
