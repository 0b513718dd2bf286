//! `[routes."MODEL"]` and its targets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::canary::canary;
use super::json::json_table;
use super::model::{Route, Target};
use super::parameters::parameters;
use super::providers::Declared;
use super::reader::{Found, Table, suggestion};
use super::rules::{self, Defaults};
use super::sections::check_name;
use super::source::Span;
use super::values::{
    any_name, count, features, flag, name, plain_name, price, quoted, strictness, text,
};
use crate::dialect::catalog;
use crate::dialect::hub::Strictness;
use crate::dialect::{Dialect, ProviderDialect};
use crate::failover::call::TargetFacts;
use crate::failover::rules::Concurrency;

/// Candidates are copied into every question to a policy.
const MOST_TARGETS: usize = 64;

/// Where a target's limit was first written, and what it is.
type Limits = BTreeMap<String, Found<Concurrency>>;

/// All routes. A target that was refused is left out; the walk has reported it.
pub(super) fn routes(
    root: &Table<'_>,
    defaults: &Defaults,
    providers: &BTreeMap<String, Declared>,
) -> BTreeMap<String, Arc<Route>> {
    let mut routes = BTreeMap::new();
    let mut limits = Limits::new();
    for (name, table) in root.named_tables("routes") {
        check_name(&table, &name, any_name);
        let policy = table.or("policy", "default".to_owned(), |value| plain_name(text(value)?));
        let shadow = table.get("shadow", |value| plain_name(text(value)?));
        let route = Route {
            name: name.value.to_owned(),
            shadow: shadow.map(|found| found.value),
            canary: canary(&table, &policy),
            policy,
            rules: rules::of_route(&table, defaults),
            strictness: table.or("translation", Strictness::default(), strictness),
            settings: table.or("policy_settings", "{}".to_owned(), json_table),
            targets: targets(&table, providers, &mut limits),
        };
        table.finish();
        routes.insert(route.name.clone(), Arc::new(route));
    }
    if routes.is_empty() && !root.has("routes") {
        root.reader.error(0..0, "there is no route, so no call could be answered", EXAMPLE);
    }
    routes
}

const EXAMPLE: &str = "add `[routes.\"MODEL\"]` with `targets = [{ provider = …, model = … }]`";

fn targets(
    route: &Table<'_>,
    providers: &BTreeMap<String, Declared>,
    limits: &mut Limits,
) -> Vec<Target> {
    let Some(tables) = route.list_of_tables("targets") else {
        if !route.has("targets") {
            let message = format!("{} has no targets", route.label());
            route.reader.error(route.span.clone(), message, TARGETS);
        }
        return Vec::new();
    };
    if tables.value.is_empty() || tables.value.len() > MOST_TARGETS {
        let message = format!("{} has {} targets", route.label(), tables.value.len());
        route.reader.error(tables.span.clone(), message, format!("1 to {MOST_TARGETS}; {TARGETS}"));
    }
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    let mut targets = Vec::new();
    for table in tables.value.iter().take(MOST_TARGETS) {
        let Some(target) = target(table, providers, limits) else { continue };
        if let Some(first) = seen.get(&target.facts.target) {
            let line = table.reader.source.line_of(first.start);
            let message = format!("{} is a target of this route twice", target.facts.target);
            let remedy = format!("remove it, or merge it with the one in line {line}");
            table.reader.error(table.span.clone(), message, remedy);
        } else {
            seen.insert(target.facts.target.clone(), table.span.clone());
            targets.push(target);
        }
    }
    check_weights(route, &targets, tables.span);
    targets
}

const TARGETS: &str = "write `targets = [{ provider = \"…\", model = \"…\" }]`";

fn target(
    table: &Table<'_>,
    providers: &BTreeMap<String, Declared>,
    limits: &mut Limits,
) -> Option<Target> {
    let provider = table.required("provider", "\"NAME\"", text);
    let model = table.required("model", "\"NAME\"", name);
    // Read to the end whatever is missing: every problem is to be reported.
    let named = provider.as_ref().and_then(|named| providers.get(named.value));
    let dialect = dialect_of(named);
    let facts = facts(
        table,
        provider.as_ref().map_or("", |found| found.value),
        model.as_ref().map_or("", |found| found.value.as_str()),
        dialect,
    );
    let concurrency = concurrency(table);
    let system = table.get("system", text).map(|found| found.value.into());
    let parameters = table.table("parameters").map(|table| parameters(&table));
    table.finish();
    model.as_ref()?;
    let declared = declared(table, providers, &provider?)?;
    check_limit(table, &facts.target, concurrency, limits);
    let mut rules = declared.rules.clone();
    rules.concurrency = concurrency;
    Some(Target {
        abilities: Arc::new(catalog::abilities(dialect, &facts.model)),
        facts: Arc::new(facts),
        provider: Arc::clone(declared.provider.as_ref()?),
        rules,
        system,
        parameters: parameters.unwrap_or_default().into(),
    })
}

/// The wire format a provider's models are known by.
fn dialect_of(provider: Option<&Declared>) -> Dialect {
    let provider = provider.and_then(|declared| declared.provider.as_ref());
    match provider.map(|provider| provider.site.dialect) {
        None | Some(ProviderDialect::OpenAi | ProviderDialect::Azure) => Dialect::OpenAi,
        Some(ProviderDialect::Responses) => Dialect::Responses,
        Some(ProviderDialect::Anthropic) => Dialect::Anthropic,
        Some(ProviderDialect::Gemini) => Dialect::Gemini,
    }
}

/// What is written of a target, and for the rest what the catalog knows.
fn facts(table: &Table<'_>, provider: &str, model: &str, dialect: Dialect) -> TargetFacts {
    let known = catalog::find(model);
    let written = |key| table.get(key, price).map(|found| found.value);
    TargetFacts {
        target: format!("{provider}/{model}"),
        provider: provider.to_owned(),
        model: model.to_owned(),
        priority: table.or("priority", 1, |value| count(value, 1..=1_000)),
        weight: table.or("weight", 1, |value| count(value, 0..=1_000_000)),
        offers: table.or("features", catalog::offers(dialect, model), features),
        context_window: table
            .get("context_window", |value| count(value, 1..=u32::MAX))
            .map(|found| found.value)
            .or(known.and_then(|entry| entry.context_window)),
        input_price: written("input_price").or(known.and_then(|entry| entry.input_price)),
        output_price: written("output_price").or(known.and_then(|entry| entry.output_price)),
    }
}

fn declared<'p>(
    table: &Table<'_>,
    providers: &'p BTreeMap<String, Declared>,
    named: &Found<&str>,
) -> Option<&'p Declared> {
    let declared = providers.get(named.value);
    if declared.is_none() {
        let known: Vec<&str> = providers.keys().map(String::as_str).collect();
        let remedy = if known.is_empty() {
            "there is none: add `[providers.NAME]`".to_owned()
        } else {
            suggestion(named.value, &known)
        };
        let message = format!("there is no provider {}", quoted('"', named.value));
        table.reader.error(named.span.clone(), message, remedy);
    }
    declared
}

fn concurrency(table: &Table<'_>) -> Concurrency {
    let max = table.get("max_concurrency", |value| count(value, 1..=1_000_000));
    let adaptive = table.get("adaptive_concurrency", flag);
    match (max, adaptive) {
        // A bound that was refused has been reported already.
        (None, Some(_)) if table.has("max_concurrency") => Concurrency::Unlimited,
        (None, Some(Found { value: true, span })) => {
            table.reader.error(
                span,
                "`adaptive_concurrency` needs a bound",
                "add `max_concurrency = 64`, the most it may rise to",
            );
            Concurrency::Unlimited
        }
        (None, None | Some(Found { value: false, .. })) => Concurrency::Unlimited,
        (Some(max), Some(Found { value: true, .. })) => Concurrency::Adaptive { max: max.value },
        (Some(max), None | Some(Found { value: false, .. })) => Concurrency::Fixed(max.value),
    }
}

/// A target is one thing however many routes lead to it: it has one limit.
fn check_limit(table: &Table<'_>, target: &str, limit: Concurrency, limits: &mut Limits) {
    let span = table.span_of("max_concurrency").unwrap_or_else(|| table.span.clone());
    let first = limits
        .entry(target.to_owned())
        .or_insert_with(|| Found { value: limit, span: span.clone() });
    if first.value != limit {
        let line = table.reader.source.line_of(first.span.start);
        let message = format!("{target} has another concurrency limit in line {line}");
        table.reader.error(span, message, "write the same limit wherever the target is named");
    }
}

fn check_weights(route: &Table<'_>, targets: &[Target], span: Span) {
    if !targets.is_empty() && targets.iter().all(|target| target.facts.weight == 0) {
        let message = format!("every target of {} has weight 0", route.label());
        route.reader.error(span, message, "give one of them a weight of 1 or more");
    }
}
