//! What was found, as lines, as JSON, and against the targets.

use std::fmt::{Display, Write as _};

use serde::Serialize;
use serde_json::json;

use super::call::{EVENTS, Kind};
use super::stats::Spread;
use super::{Fault, memory, speed};

const MOST_CPU_RATIO: f64 = 2.0;
const MOST_ADDED_MICROS: f64 = 100.0;
/// What translating one event of a stream may cost.
const MOST_EVENT_MICROS: f64 = 20.0;
const MOST_IDLE_MIB: f64 = 64.0;
const MOST_STREAM_KIB: f64 = 64.0;

/// Everything found in a run.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    pub speed: Vec<speed::Row>,
    pub memory: Vec<memory::Row>,
}

/// A figure that must not be exceeded.
#[derive(Debug, Serialize)]
pub struct Target {
    pub what: String,
    pub found: f64,
    pub most: f64,
    pub unit: &'static str,
    pub met: bool,
}

impl Target {
    fn new(what: String, found: f64, most: f64, unit: &'static str) -> Self {
        Self { what, found, most, unit, met: found <= most }
    }
}

/// The targets that the findings say something about.
pub fn targets(findings: &Findings) -> Vec<Target> {
    let of_row = |row: &speed::Row| {
        let kind = row.cell.kind.label();
        match row.cell.connections {
            // A bare proxy translates nothing; see below.
            _ if row.cell.kind == Kind::Across => None,
            32 => {
                let what = format!("{kind}: CPU per call at 32 connections, by the bare proxy's");
                Some(Target::new(what, row.cpu_ratio.median, MOST_CPU_RATIO, "×"))
            }
            1 => {
                let what =
                    format!("{kind}: median latency added to the bare proxy's, 1 connection");
                Some(Target::new(what, row.added_to_bare.median, MOST_ADDED_MICROS, "µs"))
            }
            _ => None,
        }
    };
    let mut targets: Vec<Target> = findings.speed.iter().filter_map(of_row).collect();
    targets.extend(translation(findings));
    for row in findings.memory.iter().filter(|row| row.party == "backstay") {
        let what = "memory when idle".to_owned();
        targets.push(Target::new(what, mib(row.idle), MOST_IDLE_MIB, "MiB"));
        let what = format!("memory of each of {} open streams", row.streams);
        targets.push(Target::new(what, row.per_stream() / 1024.0, MOST_STREAM_KIB, "KiB"));
    }
    targets
}

/// What a translated event costs above one that is passed through.
fn translation(findings: &Findings) -> Option<Target> {
    let cpu = |kind| {
        let mut rows = findings.speed.iter();
        let row = rows.find(|row| row.cell.kind == kind && row.cell.connections == 32)?;
        Some(row.backstay.cpu.median)
    };
    let added = (cpu(Kind::Across)? - cpu(Kind::Burst)?) / EVENTS as f64;
    let what = "across: CPU per event added by the translation, 32 connections".to_owned();
    Some(Target::new(what, added, MOST_EVENT_MICROS, "µs"))
}

pub fn speed_header(plan: speed::Plan, pinned: bool) -> String {
    let speed::Plan { rounds, length, .. } = plan;
    let cores = if pinned { "proxies on one core, the rest on the others" } else { "not pinned" };
    format!(
        "median of {rounds} rounds of {length:?} a party (least to most); times in µs; {cores}\n\n\
         {:<10} {:>5} | {:^34} | {:^23} | {:^30} | {:^14}\n\
         {:<10} {:>5} | {:>7} {:>8} {:>17} | {:>7} {:>7} {:>7} | {:>19} {:>10} | {:>6} {:>7}",
        "",
        "",
        "CPU per call",
        "median latency",
        "median latency added",
        "calls a second",
        "call",
        "conns",
        "bare",
        "backstay",
        "ratio",
        "direct",
        "bare",
        "backst.",
        "to bare",
        "to direct",
        "bare",
        "backst.",
    )
}

pub fn speed_row(row: &speed::Row) -> String {
    let speed::Row { cell, direct, bare, backstay, .. } = row;
    let Spread { median, least, most } = row.cpu_ratio;
    let ratio = format!("{median:.2} ({least:.2}–{most:.2})");
    let Spread { median, least, most } = row.added_to_bare;
    let added = format!("{median:.0} ({least:.0} to {most:.0})");
    format!(
        "{:<10} {:>5} | {:>7.1} {:>8.1} {ratio:>17} | {:>7.0} {:>7.0} {:>7.0} | {added:>19} {:>10.0} | {:>6.0} {:>7.0}",
        cell.kind.label(),
        cell.connections,
        bare.cpu.median,
        backstay.cpu.median,
        direct.median.median,
        bare.median.median,
        backstay.median.median,
        row.added_to_direct.median,
        bare.calls_per_second.median,
        backstay.calls_per_second.median,
    )
}

pub fn memory_header() -> String {
    format!(
        "\n{:<10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>10}",
        "memory", "idle", "warm", "streams", "closed", "each stream", "idle CPU"
    )
}

pub fn memory_row(row: &memory::Row) -> String {
    let mib = |bytes| format!("{:.1} MiB", mib(bytes));
    let (each, idle_cpu) = (row.per_stream() / 1024.0, row.idle_cpu * 100.0);
    format!(
        "{:<10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>10}",
        row.party,
        mib(row.idle),
        mib(row.warm),
        mib(row.open),
        mib(row.closed),
        format!("{each:.1} KiB"),
        format!("{idle_cpu:.2} %"),
    )
}

pub fn verdicts(targets: &[Target]) -> String {
    let mut lines = String::from("\ntargets\n");
    for Target { what, found, most, unit, met } in targets {
        let verdict = if *met { "met" } else { "MISSED" };
        let _ =
            writeln!(lines, "{verdict:<7} {found:>7.2} {unit:<3} of {most:>4} {unit:<3} {what}");
    }
    lines
}

pub fn json(findings: &Findings, targets: &[Target]) -> Result<String, Fault> {
    let all = json!({ "speed": findings.speed, "memory": findings.memory, "targets": targets });
    Ok(serde_json::to_string_pretty(&all)?)
}

#[expect(clippy::print_stdout, reason = "a bench reports to its user")]
pub fn say(line: &dyn Display) {
    println!("{line}");
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
