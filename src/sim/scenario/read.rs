//! The walk through a scenario file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::values::LONGEST_RUN;
use super::{Scenario, cases, expect, providers, traffic};
use crate::config::reader::Table;
use crate::config::rehearsal::{defaults, read, routes, text_of};
use crate::config::values::{Fault, any_name, count, quoted, text};
use crate::config::{Problems, Route};

/// Monday, 5 January 2026, midnight: unless the scenario says otherwise.
const USUAL_START: Duration = Duration::from_hours(490_992);
const MOST_CASES: usize = 1_000;

/// Reads a scenario file.
pub fn load(path: &Path) -> Result<Scenario, Problems> {
    parse(&text_of(path)?, path)
}

/// Resolves a scenario's text as if it stood at `path`.
pub fn parse(text: &str, path: &Path) -> Result<Scenario, Problems> {
    let file =
        path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let (mut scenario, warnings) = read(text, path, |root| resolve(root, file))?;
    scenario.warnings = warnings;
    Ok(scenario)
}

fn resolve(root: &Table<'_>, file: String) -> Scenario {
    let owned = |value: &DeValue<'_>| text(value).map(str::to_owned);
    let defaults = defaults(root);
    let traffic_table = root.table("traffic");
    let end = traffic_table.as_ref().map_or(LONGEST_RUN, traffic::duration_of);
    let providers = providers::providers(root, &defaults, end);
    let routes: Vec<Arc<Route>> =
        routes(root, &defaults, &providers.declared).into_values().collect();
    let targets = routes.iter().flat_map(|route| &route.targets);
    let targets: Vec<&str> = targets.map(|target| target.facts.target.as_str()).collect();
    let expectations = root.section("expect");
    let scenario = Scenario {
        name: root.or("name", file, |value| any_name(text(value)?)),
        about: root.or("about", String::new(), owned),
        seed: root.or("seed", 1, |value| count(value, 0..=u32::MAX)).into(),
        starts_at: root.or("starts_at", USUAL_START, date),
        connect_timeout: defaults.connect_timeout,
        traffic: traffic_table.map(|table| traffic::traffic(&table, &routes, end)),
        expect: expect::expectations(&expectations, &targets),
        during: expect::during(&expectations, &targets, end),
        cases: cases::cases(root, &routes),
        providers: providers.behaviour,
        warnings: Vec::new(),
        routes,
    };
    expectations.finish();
    root.finish();
    check_whole(root, &scenario);
    scenario
}

fn check_whole(root: &Table<'_>, scenario: &Scenario) {
    if scenario.traffic.is_none() && !root.has("traffic") {
        if scenario.cases.is_empty() && !root.has("case") {
            root.reader.error(0..0, "nothing happens", "add `[traffic]` or `[[case]]`");
        }
        if let Some(span) = root.span_of("expect") {
            let remedy = "add `[traffic]`, or write the expectations in `[[case]]`";
            root.reader.error(span, "`expect` needs `[traffic]`", remedy);
        }
    }
    if scenario.cases.len() > MOST_CASES {
        let span = root.span_of("case").unwrap_or(0..0);
        root.reader.error(span, "too many cases", format!("at most {MOST_CASES} in a file"));
    }
}

/// A date as RFC 3339 has it.
fn date(value: &DeValue<'_>) -> Result<Duration, Fault> {
    let written = match value {
        DeValue::Datetime(date) => date.to_string(),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => text(value)?.to_owned(),
    };
    let parsed = humantime::parse_rfc3339(&written).ok();
    parsed.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok()).ok_or_else(|| {
        Fault::new(
            format!("is no date: {}", quoted('"', &written)),
            "for example `\"2026-01-05T00:00:00Z\"`",
        )
    })
}
