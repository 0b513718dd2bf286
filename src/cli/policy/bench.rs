//! `backstay policy bench`: what a policy's answers cost, beside the built-in's.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::super::{complain, say};
use super::check::where_it_runs;
use super::file::{Opened, PolicyFile, failed};
use super::units::{count, size, time};
use crate::policy::LoadFault;
use crate::policy::inspect::{Comparison, Effort, Inspected, Until};

/// Measured for so long, unless the arguments say otherwise.
const USUAL_TIME: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(after_help = "The built-in is measured in turn with the policy, as a file would be: \
                        with a fresh instance for every call. Fuel is counted on an engine made \
                        for that; the times are those of the engine that serves.\n\nExit code: 0 \
                        measured, 1 the policy is refused or faults, 2 there is no such file.")]
pub struct Bench {
    #[command(flatten)]
    file: PolicyFile,
    /// So many calls of each verb, instead of a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with = "time")]
    iterations: Option<u32>,
    /// How long to measure in all, for example 500ms or 10s [default: 2s].
    #[arg(long, value_name = "TIME", value_parser = measured_time)]
    time: Option<Duration>,
}

fn measured_time(written: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(written).map_err(|error| error.to_string())?;
    if (Duration::from_millis(10)..=Duration::from_mins(10)).contains(&time) {
        return Ok(time);
    }
    Err("from 10ms to 10m".to_owned())
}

impl Bench {
    fn until(&self) -> Until {
        match self.iterations {
            Some(calls) => Until::Calls(calls as usize),
            None => Until::Passed(self.time.unwrap_or(USUAL_TIME)),
        }
    }
}

pub fn run(bench: &Bench) -> ExitCode {
    let opened = match bench.file.open() {
        Ok(opened) => opened,
        Err(ended) => return ended,
    };
    match measure(bench, &opened) {
        Ok((inspected, comparison)) => {
            if bench.file.json {
                say(&format!("{:#}", document(&opened, &inspected, &comparison)));
            } else {
                say(&report(&opened, &inspected, &comparison));
            }
            ExitCode::SUCCESS
        }
        Err(fault) => failed(&format!("{}: refused: {fault}", opened.path.display())),
    }
}

fn measure(bench: &Bench, opened: &Opened) -> Result<(Inspected, Comparison), LoadFault> {
    let Opened { name, path, bytes, pin, inspector, .. } = opened;
    let progress = |what: &str| {
        if std::io::stderr().is_terminal() {
            complain(&what);
        }
    };
    progress("compiling …");
    let inspected = inspector.inspect(name, path.clone(), bytes, *pin)?;
    progress("compiling once more, to count fuel; then measuring …");
    let comparison = inspector.compare(&inspected, bytes, bench.until())?;
    Ok((inspected, comparison))
}

fn report(opened: &Opened, inspected: &Inspected, comparison: &Comparison) -> String {
    let limits = &opened.limits;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let (of_time, of_memory) =
        (format!("time of {}", time(limits.time)), format!("memory of {}", size(limits.memory)));
    table.set_header([
        "  verb, policy",
        "calls",
        "p50",
        &of_time,
        "p50",
        &of_memory,
        "p50",
        "fuel",
    ]);
    table.add_row(["", "", "", "p99", "", "p99", "", "p99"]);
    for column in 1..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (own, control) in comparison.policy.iter().zip(&comparison.built_in) {
        table.add_row(row(format!("  {}", own.verb), own));
        table.add_row(row("    the built-in".to_owned(), control));
    }
    let runs = where_it_runs(inspected.facts.quick);
    let name = &opened.name;
    format!("{}\n\n  {name} will run {runs}.", table.trim_fmt())
}

fn row(label: String, effort: &Effort) -> [String; 8] {
    [
        label,
        effort.calls.to_string(),
        time(effort.time.p50),
        time(effort.time.p99),
        size(effort.memory.p50),
        size(effort.memory.p99),
        count(effort.fuel.p50),
        count(effort.fuel.p99),
    ]
}

fn document(opened: &Opened, inspected: &Inspected, comparison: &Comparison) -> Value {
    json!({
        "name": opened.name,
        "file": opened.path,
        "digest": format!("sha256:{}", opened.digest),
        "quick": inspected.facts.quick,
        "limits": { "time_us": opened.limits.time.as_micros(), "memory_bytes": opened.limits.memory },
        "policy": comparison.policy.iter().map(effort).collect::<Vec<_>>(),
        "built_in": comparison.built_in.iter().map(effort).collect::<Vec<_>>(),
    })
}

fn effort(effort: &Effort) -> Value {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    json!({
        "verb": effort.verb,
        "calls": effort.calls,
        "time_us": { "p50": micros(effort.time.p50), "p99": micros(effort.time.p99) },
        "memory_bytes": { "p50": effort.memory.p50, "p99": effort.memory.p99 },
        "fuel": { "p50": effort.fuel.p50, "p99": effort.fuel.p99 },
    })
}
