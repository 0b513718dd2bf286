//! `[providers.NAME]` and `[regions.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::super::fault::{Fault as Trouble, class_of};
use super::super::numbers::Distribution;
use super::values::{Unit, distribution, errors, fault, windows, within};
use super::{Capacity, Provider, RetryAfter, Window};
use crate::config::reader::{Found, Table, suggestion};
use crate::config::rehearsal::{Declared, Defaults, provider as declared};
use crate::config::values::{count, duration, flag, quoted, text};

/// What the scenario says of providers: how they behave, and the rules of their
/// targets.
#[derive(Default)]
pub struct Providers {
    pub behaviour: BTreeMap<String, Arc<Provider>>,
    pub declared: BTreeMap<String, Declared>,
}

pub fn providers(root: &Table<'_>, defaults: &Defaults, end: Duration) -> Providers {
    let regions = regions(root, end);
    let mut providers = Providers::default();
    for (name, table) in root.named_tables("providers") {
        let mut behaviour = behaviour(&table, end);
        if let Some(region) = table.get("region", |value| text(value).map(str::to_owned)) {
            behaviour.windows.extend(windows_of(&table, &regions, &region));
        }
        providers.declared.insert(name.value.to_owned(), declared(&table, &name, defaults));
        table.finish();
        providers.behaviour.insert(name.value.to_owned(), Arc::new(behaviour));
    }
    if providers.behaviour.is_empty() && !root.has("providers") {
        root.reader.error(0..0, "there is no provider", "add `[providers.NAME]`");
    }
    providers
}

/// Windows that all providers of a region share.
fn regions(root: &Table<'_>, end: Duration) -> BTreeMap<String, Vec<Window>> {
    let mut regions = BTreeMap::new();
    for (name, table) in root.named_tables("regions") {
        regions.insert(name.value.to_owned(), windows(&table, end));
        table.finish();
    }
    regions
}

fn windows_of(
    table: &Table<'_>,
    regions: &BTreeMap<String, Vec<Window>>,
    region: &Found<String>,
) -> Vec<Window> {
    let found = regions.get(&region.value);
    if found.is_none() {
        let known: Vec<&str> = regions.keys().map(String::as_str).collect();
        let message = format!("there is no region {}", quoted('"', &region.value));
        let remedy = if known.is_empty() {
            "add `[[regions.NAME.windows]]`".to_owned()
        } else {
            suggestion(&region.value, &known)
        };
        table.reader.error(region.span.clone(), message, remedy);
    }
    found.cloned().unwrap_or_default()
}

fn behaviour(table: &Table<'_>, end: Duration) -> Provider {
    let time = |key, usual| distribution(table, key, Unit::Time, usual);
    let limit = |key| table.get(key, |value| count(value, 1..=u32::MAX)).map(|found| found.value);
    Provider {
        connect: time("connect", Distribution::Fixed(20.0)),
        first_token: time("first_token", Distribution::of_percentiles(400.0, 1_200.0)),
        per_token: time("per_token", Distribution::Fixed(15.0)),
        error_latency: time("error_latency", Distribution::Fixed(30.0)),
        requests_per_minute: limit("requests_per_minute"),
        tokens_per_minute: limit("tokens_per_minute"),
        retry_after: table.or("retry_after", RetryAfter::Exact, retry_after),
        remaining_headers: table.or("remaining_headers", false, flag),
        capacity: table.table("capacity").map(|table| capacity(&table)),
        errors: errors(table),
        windows: windows(table, end),
    }
}

fn retry_after(value: &DeValue<'_>) -> Result<RetryAfter, crate::config::values::Fault> {
    match text(value)? {
        "exact" => Ok(RetryAfter::Exact),
        "none" => Ok(RetryAfter::None),
        _ => duration(value).map(RetryAfter::Always).map_err(|mut fault| {
            "\"exact\", \"none\", or a length of time".clone_into(&mut fault.remedy);
            fault
        }),
    }
}

fn capacity(table: &Table<'_>) -> Capacity {
    let usual = Trouble::Status { status: 503, class: class_of(503), retry_after: None };
    let slots = table.required("slots", "50", |value| count(value, 1..=1_000_000));
    let capacity = Capacity {
        slots: slots.map_or(1, |found| found.value),
        queue: table.or("queue", 0, |value| count(value, 0..=1_000_000)),
        overload: table.or("overload", usual, fault),
        slowdown: table.or("slowdown", 0.0, |value| within(value, 0.0, 1_000.0)),
        finishes_abandoned: table.or("finishes_abandoned", false, flag),
    };
    table.finish();
    capacity
}
