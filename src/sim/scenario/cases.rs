//! `[[case]]`: single calls with scripted answers and what must come of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::values::{fault, fault_of, length, pairs, point, texts};
use super::{Case, CaseExpect, Scripted};
use crate::config::Route;
use crate::config::json::json_table;
use crate::config::reader::{Found, Table, suggestion};
use crate::config::values::{Fault, count, features, flag, name, quoted, text, wrong_type};
use crate::failover::{FailureClass, Features};

/// How a call can end.
pub const ENDS: [&str; 5] = ["delivered", "answered", "refused", "parked", "client-gone"];
/// What an attempt came to that did not fail.
pub const ANSWERED: &str = "answered";
/// Tokens of an answer, unless the scenario says.
const TOKENS: u32 = 32;

pub fn cases(root: &Table<'_>, routes: &[Arc<Route>]) -> Vec<Case> {
    let tables = root.list_of_tables("case").map(|found| found.value).unwrap_or_default();
    (1..).zip(&tables).map(|(number, table)| case(number, table, routes)).collect()
}

fn case(number: usize, table: &Table<'_>, routes: &[Arc<Route>]) -> Case {
    let route = route(table, routes);
    let targets: Vec<&str> = match routes.get(route) {
        Some(route) => route.targets.iter().map(|target| target.facts.target.as_str()).collect(),
        None => Vec::new(),
    };
    let owned = |value: &DeValue<'_>| text(value).map(str::to_owned);
    let any = |value: &DeValue<'_>| count(value, 1..=10_000_000);
    let stream = table.or("stream", false, flag);
    let request = table.get("request", json_table).map(|found| found.value);
    let case = Case {
        name: table.or("name", format!("case {number}"), name),
        after_previous: table.or("after_previous", false, flag),
        at: table.or("at", Duration::ZERO, point),
        route,
        needs: table.or("needs", Features::NONE, features).with(Features::STREAMING, stream),
        tenant: table.get("tenant", owned).map(|found| found.value),
        labels: pairs(table, "labels"),
        headers: pairs(table, "headers")
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        input_tokens: table.or("input_tokens", 100, any),
        max_output_tokens: table.get("max_output_tokens", any).map(|found| found.value),
        request: request.and_then(|json| serde_json::from_str(&json).ok()),
        answers: answers(table, &targets),
        expect: expect(table, &targets),
    };
    table.finish();
    case
}

/// The route it asks for; the only one need not be named.
fn route(table: &Table<'_>, routes: &[Arc<Route>]) -> usize {
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    let Some(written) = table.get("route", |value| text(value).map(str::to_owned)) else {
        if routes.len() > 1 && !table.has("route") {
            let message = format!("`route` is missing in {}", table.label());
            let remedy = format!("one of: {}", names.join(", "));
            table.reader.error(table.span.clone(), message, remedy);
        }
        return 0;
    };
    known(table, &written, &names, "route").unwrap_or_default()
}

fn known(table: &Table<'_>, written: &Found<String>, names: &[&str], what: &str) -> Option<usize> {
    let position = names.iter().position(|name| *name == written.value);
    if position.is_none() {
        let message = format!("there is no {what} {}", quoted('"', &written.value));
        table.reader.error(written.span.clone(), message, suggestion(&written.value, names));
    }
    position
}

/// `answers."a/model" = ["500", { text = "…" }]`, or one of them alone.
fn answers(parent: &Table<'_>, targets: &[&str]) -> BTreeMap<String, Vec<Scripted>> {
    let Some(table) = parent.table("answers") else { return BTreeMap::new() };
    let mut answers = BTreeMap::new();
    for (name, value) in table.entries() {
        let written = Found { value: name.value.to_owned(), span: name.span };
        known(&table, &written, targets, "target of this route");
        match scripted(value.get_ref()) {
            Ok(list) => {
                answers.insert(written.value, list);
            }
            Err(fault) => {
                let message = format!("{} {}", quoted('`', &written.value), fault.message);
                table.reader.error(value.span(), message, fault.remedy);
            }
        }
    }
    answers
}

fn scripted(value: &DeValue<'_>) -> Result<Vec<Scripted>, Fault> {
    match value {
        DeValue::Array(items) if !items.is_empty() => {
            items.iter().map(|item| one_answer(item.get_ref())).collect()
        }
        DeValue::Array(_)
        | DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => one_answer(value).map(|answer| vec![answer]),
    }
}

fn one_answer(value: &DeValue<'_>) -> Result<Scripted, Fault> {
    let good = Scripted { fault: None, text: None, output_tokens: TOKENS, first_token: None };
    match value {
        DeValue::String(_) if text(value)? == "ok" => Ok(good),
        DeValue::String(word) => Ok(Scripted { fault: Some(fault_of(word)?), ..good }),
        DeValue::Table(entries) => {
            let mut answer = good;
            for (key, value) in entries {
                set(&mut answer, key.get_ref(), value.get_ref())?;
            }
            Ok(answer)
        }
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => Err(wrong_type(
            value,
            "\"ok\", a fault, or a table",
            "[\"500\", { text = \"Hello.\" }]",
        )),
    }
}

fn set(answer: &mut Scripted, key: &str, value: &DeValue<'_>) -> Result<(), Fault> {
    const KEYS: [&str; 4] = ["fault", "text", "tokens", "first_token"];
    match key {
        "fault" => answer.fault = Some(fault(value)?),
        "text" => {
            let words = text(value)?.to_owned();
            answer.output_tokens = u32::try_from(words.len() / 4).unwrap_or(u32::MAX).max(1);
            answer.text = Some(words);
        }
        "tokens" => answer.output_tokens = count(value, 1..=1_000_000)?,
        "first_token" => answer.first_token = Some(length(value)?),
        _ => {
            let message = format!("has an answer with an unknown {}", quoted('`', key));
            return Err(Fault::new(message, suggestion(key, &KEYS)));
        }
    }
    Ok(())
}

fn expect(parent: &Table<'_>, targets: &[&str]) -> CaseExpect {
    let table = parent.section("expect");
    let owned = |value: &DeValue<'_>| text(value).map(str::to_owned);
    let number = |key| table.get(key, |value| count(value, 0..=1_000)).map(|found| found.value);
    let target = table.get("target", owned);
    if let Some(target) = &target {
        known(&table, target, targets, "target of this route");
    }
    let sequence = table.get("targets", texts);
    for name in sequence.iter().flat_map(|found| &found.value) {
        let found =
            Found { value: name.clone(), span: sequence.as_ref().map_or(0..0, |f| f.span.clone()) };
        known(&table, &found, targets, "target of this route");
    }
    let expect = CaseExpect {
        target: target.map(|found| found.value),
        targets: sequence.map(|found| found.value),
        classes: table.get("classes", classes).map(|found| found.value),
        attempts: number("attempts"),
        end: table.get("end", |value| word(value, &ENDS)).map(|found| found.value),
        status: number("status"),
        code: table.get("code", owned).map(|found| found.value),
        text: table.get("text", owned).map(|found| found.value),
        faults: number("faults"),
        within: table.get("within", length).map(|found| found.value),
    };
    table.finish();
    if expect == CaseExpect::default() {
        let message = format!("{} expects nothing", parent.label());
        let remedy = "add `expect.target = \"…\"`, `expect.attempts`, `expect.end` …";
        parent.reader.error(parent.span.clone(), message, remedy);
    }
    expect
}

fn word(value: &DeValue<'_>, words: &[&str]) -> Result<String, Fault> {
    let written = text(value)?;
    if words.contains(&written) {
        return Ok(written.to_owned());
    }
    Err(Fault::new(
        format!("cannot be {}", quoted('"', written)),
        format!("one of: \"{}\"", words.join("\", \"")),
    ))
}

fn classes(value: &DeValue<'_>) -> Result<Vec<String>, Fault> {
    let known: Vec<&str> =
        FailureClass::ALL.iter().map(|class| class.label()).chain([ANSWERED]).collect();
    let written = texts(value)?;
    match written.iter().find(|class| !known.contains(&class.as_str())) {
        None => Ok(written),
        Some(class) => Err(Fault::new(
            format!("names an unknown class: {}", quoted('"', class)),
            suggestion(class, &known),
        )),
    }
}
