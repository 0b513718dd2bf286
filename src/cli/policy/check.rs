//! `backstay policy check`: what the loader says of a file.

use std::fmt::Write as _;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::super::say;
use super::file::{Opened, PolicyFile, failed};
use super::units::{size, time};
use crate::policy::contract_version;
use crate::policy::inspect::{Answered, Inspected};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 the gateway would load it, 1 it would be refused, 2 there \
                        is no such file or the configuration is wrong.")]
pub struct Check {
    #[command(flatten)]
    file: PolicyFile,
}

pub fn run(check: &Check) -> ExitCode {
    let opened = match check.file.open() {
        Ok(opened) => opened,
        Err(ended) => return ended,
    };
    let Opened { name, path, bytes, pin, inspector, .. } = &opened;
    match inspector.inspect(name, path.clone(), bytes, *pin) {
        Ok(inspected) => {
            let usable = inspected.answers.iter().all(|answer| answer.inadmissible.is_none());
            if check.file.json {
                say(&format!("{:#}", accepted_json(&opened, &inspected)));
            } else {
                say(&accepted(&opened, &inspected));
            }
            if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(fault) if check.file.json => {
            say(&format!("{:#}", refused_json(&opened, &fault.to_string())));
            ExitCode::FAILURE
        }
        Err(fault) => {
            say(&heading(&opened));
            failed(&format!("refused: {fault}"))
        }
    }
}

fn heading(opened: &Opened) -> String {
    let Opened { path, digest, bytes, .. } = opened;
    format!("{}\n  size      {}\n  digest    sha256:{digest}", path.display(), size(bytes.len()))
}

fn accepted(opened: &Opened, inspected: &Inspected) -> String {
    let facts = &inspected.facts;
    let limits = &opened.limits;
    let mut text = heading(opened);
    let contract = &facts.interfaces.contract;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n  contract  {contract} (this gateway speaks {})", contract_version());
    let _ = writeln!(text, "  compiled  in {}", time(facts.compile_time));
    let _ = writeln!(text, "  imports   {}", imports(&facts.interfaces.imports));
    let _ = writeln!(text, "  runs      {}\n", where_it_runs(facts.quick));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let (of_time, of_memory) = (time(limits.time), size(limits.memory));
    table.set_header([
        "  question",
        "answer",
        &format!("time of {of_time}"),
        &format!("memory of {of_memory}"),
    ]);
    for answer in &inspected.answers {
        let said = match &answer.inadmissible {
            None => answer.opinion.describe(),
            Some(reason) => {
                format!("{}, which cannot be done: {reason}", answer.opinion.describe())
            }
        };
        let verb = format!("  {}", answer.verb);
        table.add_row([verb, said, time(answer.used.time), size(answer.used.memory)]);
    }
    text.push_str(&table.trim_fmt());
    let _ = write!(text, "\n\n  {}\n", verdict(inspected));
    let _ = write!(text, "\nto allow nothing else under this name:\n\n{}", pin_lines(opened));
    text
}

fn imports(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let (wasi, ours): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.starts_with("wasi:"));
    let mut text = ours.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    if !wasi.is_empty() {
        let separator = if text.is_empty() { "" } else { ", " };
        let count = wasi.len();
        let _ = write!(text, "{separator}and {count} of WASI, which have no powers here");
    }
    text
}

pub fn where_it_runs(quick: bool) -> &'static str {
    if quick {
        "on the thread that asks: it is quick (at most 200 µs)"
    } else {
        "on the pool for slow policies: it takes more than 200 µs"
    }
}

fn verdict(inspected: &Inspected) -> &'static str {
    if inspected.answers.iter().any(|answer| answer.inadmissible.is_some()) {
        "It loads, but what it answers cannot be done: such answers count as faults, and the \
         built-in decides."
    } else {
        "The gateway would load it."
    }
}

fn pin_lines(opened: &Opened) -> String {
    let Opened { name, digest, .. } = opened;
    format!("[policies.pin]\n\"{name}\" = \"sha256:{digest}\"")
}

fn accepted_json(opened: &Opened, inspected: &Inspected) -> Value {
    let facts = &inspected.facts;
    let (wasi, ours): (Vec<_>, Vec<_>) =
        facts.interfaces.imports.iter().partition(|name| name.starts_with("wasi:"));
    let mut document = about(opened);
    document["accepted"] = true.into();
    document["contract"] = json!({
        "policy": facts.interfaces.contract.to_string(),
        "gateway": contract_version().to_string(),
    });
    document["imports"] = json!({ "backstay": ours, "wasi": wasi });
    document["compile_ms"] = json!(facts.compile_time.as_secs_f64() * 1e3);
    document["quick"] = facts.quick.into();
    document["answers"] = inspected.answers.iter().map(answer_json).collect();
    document
}

fn answer_json(answer: &Answered) -> Value {
    json!({
        "verb": answer.verb,
        "answer": answer.opinion.describe(),
        "inadmissible": answer.inadmissible,
        "time_us": answer.used.time.as_secs_f64() * 1e6,
        "memory_bytes": answer.used.memory,
    })
}

fn refused_json(opened: &Opened, reason: &str) -> Value {
    let mut document = about(opened);
    document["accepted"] = false.into();
    document["reason"] = reason.into();
    document
}

fn about(opened: &Opened) -> Value {
    let limits = &opened.limits;
    json!({
        "name": opened.name,
        "file": opened.path,
        "size_bytes": opened.bytes.len(),
        "digest": format!("sha256:{}", opened.digest),
        "limits": {
            "time_us": limits.time.as_micros(),
            "memory_bytes": limits.memory,
            "stack_bytes": limits.stack,
            "instances": limits.instances,
            "tables": limits.tables,
            "allocation_bytes": limits.hostcall_fuel,
            "log_lines": limits.log_lines,
        },
    })
}
