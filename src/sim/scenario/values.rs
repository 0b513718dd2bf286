//! What single values of a scenario mean, beyond those of a configuration.

use std::time::Duration;

use toml::de::DeValue;

use super::super::fault::{Fault as Trouble, WORDS};
use super::super::numbers::{Distribution, micros};
use super::{Flap, Span, Window};
use crate::config::reader::{Found, Table, suggestion};
use crate::config::values::{
    Fault, duration, duration_within, flag, number, quoted, show_time, text, wrong_type,
};

/// The longest run: a month.
pub const LONGEST_RUN: Duration = Duration::from_hours(31 * 24);

/// A point of the run, as the length since its beginning.
pub fn point(value: &DeValue<'_>) -> Result<Duration, Fault> {
    duration_within(value, Duration::ZERO..=LONGEST_RUN)
}

/// A length of time longer than nothing.
pub fn length(value: &DeValue<'_>) -> Result<Duration, Fault> {
    duration_within(value, Duration::from_millis(1)..=LONGEST_RUN)
}

/// A number within bounds.
pub fn within(value: &DeValue<'_>, least: f64, most: f64) -> Result<f64, Fault> {
    let number = number(value, "1.5")?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(Fault::new(format!("is out of bounds: `{number}`"), format!("from {least} to {most}")))
}

/// The unit of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Time,
    Count,
}

impl Unit {
    fn read(self, value: &DeValue<'_>) -> Result<f64, Fault> {
        match self {
            Self::Time => duration_within(value, Duration::ZERO..=Duration::from_hours(1))
                .map(|length| micros(length) as f64 / 1e3),
            Self::Count => within(value, 1.0, 10_000_000.0),
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Time => {
                "\"400ms\", { min = \"100ms\", max = \"1s\" } or { p50 = \"400ms\", p95 = \"2s\" }"
            }
            Self::Count => "500, { min = 100, max = 1000 } or { p50 = 300, p95 = 2000 }",
        }
    }
}

/// A fixed value, `{ min, max }`, or `{ p50, p95 }`.
pub fn distribution(
    table: &Table<'_>,
    key: &'static str,
    unit: Unit,
    usual: Distribution,
) -> Distribution {
    let fixed = |value: &DeValue<'_>| match value {
        DeValue::Table(_) => Ok(None),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => unit.read(value).map(Some),
    };
    match table.get(key, fixed) {
        None => usual,
        Some(Found { value: Some(value), .. }) => Distribution::Fixed(value),
        Some(Found { value: None, .. }) => {
            table.table(key).map_or(usual, |inner| spread(&inner, unit, usual))
        }
    }
}

fn spread(table: &Table<'_>, unit: Unit, usual: Distribution) -> Distribution {
    let [min, max, p50, p95] =
        ["min", "max", "p50", "p95"].map(|key| table.get(key, |value| unit.read(value)));
    table.finish();
    let complain = |message: String| {
        let remedy = format!("for example {}", unit.example());
        table.reader.error(table.span.clone(), message, remedy);
        usual
    };
    let value = |found: Option<Found<f64>>| found.map(|found| found.value);
    match (value(min), value(max), value(p50), value(p95)) {
        (Some(min), Some(max), None, None) if min <= max => Distribution::Uniform { min, max },
        (None, None, Some(p50), Some(p95)) if p50 > 0.0 && p50 <= p95 => {
            Distribution::of_percentiles(p50, p95)
        }
        (Some(_), Some(_), None, None) | (None, None, Some(_), Some(_)) => {
            complain(format!("the lesser value of {} must come first", table.label()))
        }
        _ => complain(format!("{} needs `min` and `max`, or `p50` and `p95`", table.label())),
    }
}

/// A fault by its words.
pub fn fault(value: &DeValue<'_>) -> Result<Trouble, Fault> {
    fault_of(text(value)?)
}

pub fn fault_of(written: &str) -> Result<Trouble, Fault> {
    Trouble::parse(written).map_err(|problem| {
        let word = written.split(':').next().unwrap_or_default();
        Fault::new(
            format!("cannot be {}: {problem}", quoted('"', written)),
            suggestion(word, &WORDS),
        )
    })
}

/// Names with weights, at least one of them above zero.
pub fn weights(table: &Table<'_>) -> Vec<(String, f64)> {
    let mut weights = Vec::new();
    for (name, value) in table.entries() {
        match within(value.get_ref(), 0.0, 1e9) {
            Ok(weight) => weights.push((name.value.to_owned(), weight)),
            Err(fault) => {
                let message = format!("`{}` {}", name.value, fault.message);
                table.reader.error(value.span(), message, fault.remedy);
            }
        }
    }
    if weights.iter().all(|(_, weight)| *weight == 0.0) {
        let message = format!("{} has no weight above zero", table.label());
        table.reader.error(table.span.clone(), message, "for example `gold = 1, free = 9`");
    }
    weights
}

/// `errors`: faults with their shares, together at most 1.
pub fn errors(parent: &Table<'_>) -> Vec<(Trouble, f64)> {
    let Some(table) = parent.table("errors") else { return Vec::new() };
    let mut errors = Vec::new();
    for (name, value) in table.entries() {
        let read = fault_of(name.value);
        let read = read.and_then(|fault| Ok((fault, within(value.get_ref(), 0.0, 1.0)?)));
        match read {
            Ok(error) => errors.push(error),
            Err(fault) => {
                let message = format!("{} {}", quoted('`', name.value), fault.message);
                table.reader.error(name.span, message, fault.remedy);
            }
        }
    }
    if errors.iter().map(|(_, share)| share).sum::<f64>() > 1.0 + 1e-9 {
        let message = format!("the shares of {} are more than 1", table.label());
        table.reader.error(table.span.clone(), message, "1.0 is every attempt");
    }
    errors
}

/// `from` with `until` or `for`; `end` if neither is written.
pub fn span(table: &Table<'_>, end: Duration) -> Span {
    let from = table.or("from", Duration::ZERO, point);
    let until = table.get("until", point);
    let length = table.get("for", length);
    if let (Some(_), Some(length)) = (&until, &length) {
        table.reader.error(length.span.clone(), "`until` says it already", "keep one of them");
    }
    let place = until.as_ref().map(|found| found.span.clone());
    let until = until.map(|found| found.value).or(length.map(|length| from + length.value));
    let until = until.unwrap_or(end);
    if until <= from {
        let message = format!("{} ends before it begins", table.label());
        let remedy = format!("it begins at \"{}\"", show_time(from));
        table.reader.error(place.unwrap_or_else(|| table.span.clone()), message, remedy);
    }
    if from >= end && until > from {
        let message = format!("{} begins after the end of the run", table.label());
        let remedy = format!("the run ends at \"{}\"", show_time(end));
        table.reader.warning(table.span.clone(), message, remedy);
    }
    Span { from, until }
}

/// `[[windows]]` of a provider or a region.
pub fn windows(parent: &Table<'_>, end: Duration) -> Vec<Window> {
    let tables = parent.list_of_tables("windows").map(|found| found.value).unwrap_or_default();
    tables.iter().map(|table| window(table, end)).collect()
}

fn window(table: &Table<'_>, end: Duration) -> Window {
    let window = Window {
        errors: errors(table),
        slower: table.or("slower", 1.0, |value| within(value, 0.01, 10_000.0)),
        adds: table.or("adds", Duration::ZERO, duration),
        cuts: table.or("cuts", false, flag),
        ..recurring(table, end)
    };
    table.finish();
    let as_usual = window.slower.total_cmp(&1.0).is_eq() && window.adds.is_zero();
    if window.errors.is_empty() && as_usual {
        let message = format!("{} changes nothing", table.label());
        let remedy = "add `errors = { \"503\" = 1.0 }`, `slower = 3.0` or `adds = \"2s\"`";
        table.reader.error(table.span.clone(), message, remedy);
    }
    window
}

/// When a window or a burst is: `from`, `until` or `for`, `every`, `flap`.
pub fn recurring(table: &Table<'_>, end: Duration) -> Window {
    let span = span(table, end);
    let every = table.get("every", length);
    if let Some(every) = &every
        && every.value < span.until.saturating_sub(span.from)
    {
        let remedy = "make `every` longer than the window";
        table.reader.error(every.span.clone(), "it would begin again before it ends", remedy);
    }
    let flap = table.table("flap").map(|flap| {
        let read = |key| flap.required(key, "\"30s\"", length).map_or(Duration::ZERO, |f| f.value);
        let found = Flap { up: read("up"), down: read("down") };
        flap.finish();
        found
    });
    Window { every: every.map(|found| found.value), flap, ..Window::over(span) }
}

/// A list of texts.
pub fn texts(value: &DeValue<'_>) -> Result<Vec<String>, Fault> {
    let example = || wrong_type(value, "a list of texts", "[\"a/model\", \"b/model\"]");
    let items = value.as_array().ok_or_else(example)?;
    items
        .iter()
        .map(|item| text(item.get_ref()).map(str::to_owned).map_err(|_| example()))
        .collect()
}

/// Names with texts.
pub fn pairs(parent: &Table<'_>, key: &'static str) -> Vec<(String, String)> {
    let Some(table) = parent.table(key) else { return Vec::new() };
    let mut pairs = Vec::new();
    for (name, value) in table.entries() {
        match text(value.get_ref()) {
            Ok(text) => pairs.push((name.value.to_owned(), text.to_owned())),
            Err(fault) => {
                let message = format!("{} {}", quoted('`', name.value), fault.message);
                table.reader.error(value.span(), message, fault.remedy);
            }
        }
    }
    pairs
}
