//! `[traffic]`: who calls, how often, with what.

use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::super::numbers::Distribution;
use super::values::{LONGEST_RUN, Unit, distribution, length, recurring, weights, within};
use super::{Burst, Retries, Traffic};
use crate::config::Route;
use crate::config::reader::{Table, suggestion};
use crate::config::values::{Fault, count, duration, number, quoted, rate, wrong_type};

/// Calls of a run, at the most, so that a slip of the pen ends.
const MOST_CALLS: f64 = 50_000_000.0;
const HOURS: usize = 24;

/// How long the run is, which the windows of providers need to know.
pub fn duration_of(table: &Table<'_>) -> Duration {
    table.required("duration", "\"1h\"", length).map_or(LONGEST_RUN, |found| found.value)
}

pub fn traffic(table: &Table<'_>, routes: &[Arc<Route>], duration: Duration) -> Traffic {
    let share = |key| table.or(key, 0.0, rate);
    let traffic = Traffic {
        duration,
        rate: table
            .required("rate", "10", |value| within(value, 0.001, 100_000.0))
            .map_or(1.0, |found| found.value),
        daily: table.or("daily", Vec::new(), daily),
        bursts: bursts(table, duration),
        input_tokens: distribution(table, "input_tokens", Unit::Count, Distribution::Fixed(500.0)),
        output_tokens: distribution(
            table,
            "output_tokens",
            Unit::Count,
            Distribution::Fixed(200.0),
        ),
        streams: share("streams"),
        json: share("json"),
        tools: share("tools"),
        tenants: table.table("tenants").map(|table| weights(&table)).unwrap_or_default(),
        labels: labels(table),
        routes: by_route(table, routes),
        retries: table.table("client_retries").map_or(NO_RETRIES, |table| retries(&table)),
        patience: table.get("patience", length).map(|found| found.value),
    };
    table.finish();
    check_size(table, &traffic);
    traffic
}

const NO_RETRIES: Retries = Retries { attempts: 0, pause: Duration::ZERO };

fn daily(value: &DeValue<'_>) -> Result<Vec<f64>, Fault> {
    let example = || wrong_type(value, "24 factors, one an hour", "[0.2, 0.2, …]");
    let items = value.as_array().ok_or_else(example)?;
    let factors: Result<Vec<f64>, Fault> =
        items.iter().map(|item| number(item.get_ref(), "0.5")).collect();
    let factors = factors?;
    if factors.len() != HOURS || factors.iter().any(|factor| !(0.0..=1_000.0).contains(factor)) {
        let message = format!("must be {HOURS} factors from 0 to 1000; here are {}", items.len());
        return Err(Fault::new(message, "one for each hour, from midnight on (UTC)"));
    }
    Ok(factors)
}

fn bursts(parent: &Table<'_>, end: Duration) -> Vec<Burst> {
    let tables = parent.list_of_tables("bursts").map(|found| found.value).unwrap_or_default();
    let burst = |table: &Table<'_>| {
        let window = recurring(table, end);
        let factor = table.required("factor", "5.0", |value| within(value, 0.0, 1_000.0));
        table.finish();
        Burst { window, factor: factor.map_or(1.0, |found| found.value) }
    };
    tables.iter().map(burst).collect()
}

fn labels(parent: &Table<'_>) -> Vec<(String, Vec<(String, f64)>)> {
    let tables = parent.named_tables("labels");
    tables.iter().map(|(name, table)| (name.value.to_owned(), weights(table))).collect()
}

fn by_route(parent: &Table<'_>, routes: &[Arc<Route>]) -> Vec<(usize, f64)> {
    let Some(table) = parent.table("routes") else {
        return (0..routes.len()).map(|index| (index, 1.0)).collect();
    };
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    for (key, _) in table.entries() {
        if !names.contains(&key.value) {
            let message = format!("there is no route {}", quoted('"', key.value));
            table.reader.error(key.span, message, suggestion(key.value, &names));
        }
    }
    let weights = weights(&table);
    let index = |name: &str| names.iter().position(|known| *known == name);
    weights.iter().filter_map(|(name, weight)| Some((index(name)?, *weight))).collect()
}

fn retries(table: &Table<'_>) -> Retries {
    let retries = Retries {
        attempts: table
            .required("attempts", "2", |value| count(value, 0..=10))
            .map_or(0, |found| found.value),
        pause: table.or("pause", Duration::from_millis(500), duration),
    };
    table.finish();
    retries
}

fn check_size(table: &Table<'_>, traffic: &Traffic) {
    let calls = traffic.rate * traffic.duration.as_secs_f64();
    if calls > MOST_CALLS {
        let message = format!("{calls:.0} calls are too many");
        let remedy = format!("at most {MOST_CALLS:.0}: shorten `duration` or lower `rate`");
        table.reader.error(table.span.clone(), message, remedy);
    }
}
