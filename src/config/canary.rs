//! `canary = { … }` of a route: a policy on trial, and what it may cost.

use super::model::Canary;
use super::reader::Table;
use super::values::{count, number_within, plain_name, rate, text};
use crate::failover::canary::Margins;

/// Beyond half of the calls it is the other that is on trial.
const LARGEST_SHARE: f64 = 0.5;

/// The canary of a route whose own policy is `policy`.
pub(super) fn canary(route: &Table<'_>, policy: &str) -> Option<Canary> {
    let table = route.table("canary")?;
    let named = table.required("policy", "\"NAME\"", |value| plain_name(text(value)?));
    let share = |value: &_| number_within(value, 0.0001..=LARGEST_SHARE, "a share of the calls");
    let canary = Canary {
        policy: named.as_ref().map(|named| named.value.clone()).unwrap_or_default(),
        share: table.or("share", 0.05, share),
        margins: Margins {
            availability: table.or("margin", 0.02, rate),
            latency: table.or("latency_margin", 0.25, |value| {
                number_within(value, 0.0..=10.0, "a share of the latency")
            }),
            calls: table.or("calls", 200, |value| count(value, 20..=100_000)),
            max_faults: table.or("max_faults", 3, |value| count(value, 1..=1_000)),
        },
    };
    table.finish();
    let named = named?;
    if named.value == policy {
        table.reader.error(
            named.span,
            format!("the canary is {policy:?}, the route's own policy"),
            "name the policy that is to be tried, or remove the canary",
        );
    }
    Some(canary)
}
