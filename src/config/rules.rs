//! `[rules]`, `[routes.X.rules]` and `[providers.X.rules]`: every number of
//! failover, inherited from the file's defaults, which inherit the design's.

use std::time::Duration;

use super::reader::Table;
use super::source::Span;
use super::values::{
    count, duration, duration_or_zero, duration_within, hold, quoted, rate, rescue, show_time,
};
use crate::failover::rules::{CallRules, TargetRules};

/// What `[rules]` says, for routes and providers to inherit.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub call: CallRules,
    pub target: TargetRules,
    pub connect_timeout: Duration,
    /// Where the deadline is written.
    pub deadline: Option<Span>,
}

/// The design's limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// More attempts than this on one call is a loop, not a failover.
const MOST_ATTEMPTS: u32 = 32;

pub(crate) fn defaults(table: &Table<'_>) -> Defaults {
    let mut call = CallRules::default();
    delivery_rules(table, &mut call);
    let connect_timeout = table.or("connect_timeout", CONNECT_TIMEOUT, duration);
    call_rules(table, &mut call);
    let deadline = table.span_of("deadline");
    check_timeouts(table, &call, deadline.as_ref());
    check_against_deadline(table, "connect_timeout", connect_timeout, &call, deadline.as_ref());
    let target = target_rules(table, &TargetRules::default());
    table.finish();
    Defaults { call, target, connect_timeout, deadline }
}

/// The rules of a route: some in its own table, the finer ones in `rules`.
pub(super) fn of_route(route: &Table<'_>, defaults: &Defaults) -> CallRules {
    let mut call = defaults.call.clone();
    delivery_rules(route, &mut call);
    let table = route.section("rules");
    for key in ["deadline", "rescue", "hold"] {
        table.belongs_elsewhere(key, &route.label());
    }
    call_rules(&table, &mut call);
    table.finish();
    let deadline = route.span_of("deadline").or_else(|| defaults.deadline.clone());
    check_timeouts(&table, &call, deadline.as_ref());
    call
}

/// The rules of a provider's targets.
pub(super) fn of_provider(provider: &Table<'_>, defaults: &Defaults) -> TargetRules {
    let table = provider.section("rules");
    table.belongs_elsewhere("connect_timeout", &provider.label());
    let rules = target_rules(&table, &defaults.target);
    table.finish();
    rules
}

/// What a client notices: these stand in the route's own table.
fn delivery_rules(table: &Table<'_>, rules: &mut CallRules) {
    rules.deadline = table.or("deadline", rules.deadline, duration);
    rules.rescue = table.or("rescue", rules.rescue, rescue);
    rules.hold = table.or("hold", rules.hold, hold);
}

fn call_rules(table: &Table<'_>, rules: &mut CallRules) {
    let attempts = 1..=MOST_ATTEMPTS;
    rules.attempts = table.or("attempts", rules.attempts, |v| count(v, attempts.clone()));
    rules.attempts_per_target =
        table.or("attempts_per_target", rules.attempts_per_target, |v| count(v, attempts));
    rules.first_token = table.or("first_token_timeout", rules.first_token, duration);
    rules.first_token_per_8k =
        table.or("first_token_per_8k_tokens", rules.first_token_per_8k, duration_or_zero);
    rules.between_chunks = table.or("chunk_timeout", rules.between_chunks, duration);
    rules.terminator = table.or("terminator_timeout", rules.terminator, duration);
    rules.whole_max = table.or("answer_timeout_max", rules.whole_max, duration);
    rules.whole_min = table.or("answer_timeout_min", rules.whole_min, duration);
    rules.whole_samples =
        table.or("answer_timeout_samples", rules.whole_samples, |v| count(v, 1..=10_000));
    rules.whole_factor =
        table.or("answer_timeout_factor", rules.whole_factor, |v| count(v, 1..=100));
    rules.backoff_base = table.or("backoff_base", rules.backoff_base, duration_or_zero);
    rules.backoff_max = table.or("backoff_max", rules.backoff_max, duration_or_zero);
    rules.retry_after_wait = table.or("retry_after_wait", rules.retry_after_wait, duration_or_zero);
    rules.cooldown_max = table.or("cooldown_max", rules.cooldown_max, long_duration);
    check_order(
        table,
        ("answer_timeout_min", rules.whole_min),
        ("answer_timeout_max", rules.whole_max),
    );
    check_order(table, ("backoff_base", rules.backoff_base), ("backoff_max", rules.backoff_max));
}

fn target_rules(table: &Table<'_>, base: &TargetRules) -> TargetRules {
    let mut rules = base.clone();
    let breaker = &mut rules.breaker;
    breaker.consecutive_failures =
        table.or("breaker_consecutive_failures", breaker.consecutive_failures, |v| {
            count(v, 1..=1_000)
        });
    breaker.success_rate = table.or("breaker_success_rate", breaker.success_rate, rate);
    breaker.min_samples =
        table.or("breaker_min_samples", breaker.min_samples, |v| count(v, 1..=10_000));
    breaker.open_min = table.or("breaker_open_min", breaker.open_min, duration);
    breaker.open_max = table.or("breaker_open_max", breaker.open_max, duration);
    check_order(
        table,
        ("breaker_open_min", breaker.open_min),
        ("breaker_open_max", breaker.open_max),
    );
    rules.window = table.or("window", rules.window, |v| {
        duration_within(v, Duration::from_secs(1)..=Duration::from_mins(10))
    });
    rules.retry_ratio = table.or("retry_ratio", rules.retry_ratio, rate);
    rules.retry_min_per_second =
        table.or("retry_min_per_second", rules.retry_min_per_second, |v| count(v, 0..=10_000));
    rules.hedge_ratio = table.or("hedge_ratio", rules.hedge_ratio, rate);
    rules.credential_out = table.or("credential_out", rules.credential_out, long_duration);
    rules.probe_interval = table.or("probe_interval", rules.probe_interval, duration);
    rules
}

/// A length of time that may be zero, up to 30 days.
fn long_duration(value: &toml::de::DeValue<'_>) -> Result<Duration, super::values::Fault> {
    duration_within(value, Duration::ZERO..=Duration::from_hours(30 * 24))
}

/// Timeouts written in this table must fit the deadline. Inherited ones need
/// not: what is left of the deadline bounds them when a call is made.
fn check_timeouts(table: &Table<'_>, rules: &CallRules, deadline: Option<&Span>) {
    let timeouts = [
        ("first_token_timeout", rules.first_token),
        ("chunk_timeout", rules.between_chunks),
        ("terminator_timeout", rules.terminator),
        ("answer_timeout_min", rules.whole_min),
        ("answer_timeout_max", rules.whole_max),
        ("retry_after_wait", rules.retry_after_wait),
    ];
    for (key, timeout) in timeouts {
        check_against_deadline(table, key, timeout, rules, deadline);
    }
}

fn check_against_deadline(
    table: &Table<'_>,
    key: &'static str,
    timeout: Duration,
    rules: &CallRules,
    deadline: Option<&Span>,
) {
    let Some(span) = table.span_of(key) else { return };
    if timeout > rules.deadline {
        let (written, place) = deadline.map_or_else(
            || (quoted('"', &show_time(rules.deadline)), "the default".to_owned()),
            |at| {
                let source = table.reader.source;
                (source.text[at.clone()].to_owned(), format!("line {}", source.line_of(at.start)))
            },
        );
        let remedy = format!("must not exceed the deadline of {written} ({place})");
        table.reader.error(span, format!("`{key}` is longer than the deadline"), remedy);
    }
}

/// The lesser of two settings must not be the greater.
fn check_order(
    table: &Table<'_>,
    (low_key, low): (&'static str, Duration),
    (high_key, high): (&'static str, Duration),
) {
    let written = table.span_of(low_key).or_else(|| table.span_of(high_key));
    if let (true, Some(span)) = (low > high, written) {
        let (low, high) = (show_time(low), show_time(high));
        let remedy = format!("`{low_key}` is \"{low}\", `{high_key}` is \"{high}\"");
        table.reader.error(span, format!("`{low_key}` is longer than `{high_key}`"), remedy);
    }
}
