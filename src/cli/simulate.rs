//! `backstay simulate`: plays scenarios with real policies on a virtual clock.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{MISUSED, cache, complain, say};
use crate::policy::Compiler;
use crate::sim::contender::Contender;
use crate::sim::report::{Results, ScenarioResult};
use crate::sim::scenario::{self, Scenario};
use crate::sim::{self, Bench, chart, table};

/// The version of the shape that `--json` prints.
pub const JSON_VERSION: u32 = 1;

#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Simulate {
    /// Scenario files. `backstay simulate --example` prints one that explains
    /// itself.
    #[arg(value_name = "SCENARIO", required_unless_present = "example")]
    scenarios: Vec<PathBuf>,
    /// The policy that decides; without it the built-in.
    #[arg(long, value_name = "FILE.wasm")]
    policy: Option<PathBuf>,
    /// A second policy, shown beside the first with the differences.
    #[arg(long, value_name = "FILE.wasm")]
    against: Option<PathBuf>,
    /// All chance comes from it. Without it, the scenario's own.
    #[arg(long, value_parser = seed())]
    seed: Option<u64>,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Draw the timeline into this file; of several scenarios, one file each,
    /// with the scenario's number in its name.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print a commented scenario and do nothing else.
    #[arg(long)]
    example: bool,
}

const AFTER_HELP: &str = concat!(
    "\
The same scenario, seed and policy give the same output on any machine. Only the first policy's \
expectations decide the exit code: 0 all held, 1 one did not, 2 a file cannot be used.

  backstay simulate outage.toml
  backstay simulate outage.toml --policy mine.wasm --svg outage.svg
  backstay simulate outage.toml --policy mine.wasm --against other.wasm --json

",
    include_str!("../sim/json.md")
);

/// Seeds as scenario files may have them.
pub(super) fn seed() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..=u64::from(u32::MAX))
}

pub fn run(simulate: &Simulate) -> ExitCode {
    if simulate.example {
        say(&scenario::EXAMPLE.trim_end());
        return ExitCode::SUCCESS;
    }
    let Some(scenarios) = load_all(&simulate.scenarios) else { return ExitCode::from(MISUSED) };
    let files: Vec<&Path> = simulate.policy.iter().chain(&simulate.against).map(|f| &**f).collect();
    let bench = match Bench::open(&files, compiler(), cache::usual()) {
        Ok(bench) => bench,
        Err(fault) => {
            complain(&fault);
            return ExitCode::from(MISUSED);
        }
    };
    let contenders = contenders(&bench, simulate);
    let results: Vec<ScenarioResult> = scenarios
        .iter()
        .map(|scenario| {
            let seed = simulate.seed.unwrap_or(scenario.seed);
            with_progress(scenario, |progress| sim::simulate(scenario, &contenders, seed, progress))
        })
        .collect();
    finish(simulate, results)
}

/// Compiling what others wrote is done in another process.
pub(super) fn compiler() -> Compiler {
    std::env::current_exe().map_or(Compiler::InProcess, Compiler::Child)
}

/// The scenarios of all files; `None` if one of them cannot be used, which is
/// told of every one.
pub(super) fn load_all(files: &[PathBuf]) -> Option<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for file in files {
        match scenario::load(file) {
            Ok(scenario) => {
                scenario.warnings.iter().for_each(|warning| complain(warning));
                scenarios.push(scenario);
            }
            Err(problems) => complain(&problems),
        }
    }
    (scenarios.len() == files.len()).then_some(scenarios)
}

fn contenders(bench: &Bench, simulate: &Simulate) -> Vec<Contender> {
    let first = simulate.policy.as_ref().map(|_| bench.contender(0));
    let second = simulate.against.as_ref();
    let second = second.map(|_| bench.contender(usize::from(simulate.policy.is_some())));
    std::iter::once(first.unwrap_or_else(|| bench.builtin())).chain(second).collect()
}

/// Shows how far a run is, on a terminal.
fn with_progress<T>(scenario: &Scenario, run: impl FnOnce(sim::Progress<'_>) -> T) -> T {
    let length = scenario.traffic.as_ref().map(|traffic| traffic.duration);
    let Some(length) = length.filter(|_| std::io::stderr().is_terminal()) else {
        return run(&|_, _| {});
    };
    let bar = ProgressBar::new(length.as_secs());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} %, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(scenario.name.clone());
    // The bar shows the slower of two.
    let times = Mutex::new([Duration::MAX; 2]);
    let result = run(&|number, time| {
        if let Ok(mut times) = times.lock() {
            times[number.min(1)] = time;
            let slowest = times.iter().min().copied().unwrap_or_default();
            bar.set_position(slowest.as_secs().min(length.as_secs()));
        }
    });
    bar.finish_and_clear();
    result
}

fn finish(simulate: &Simulate, results: Vec<ScenarioResult>) -> ExitCode {
    let passed = results.iter().all(|result| result.reports.first().is_some_and(|r| r.passed));
    let drawn = simulate.svg.as_ref().map_or(Ok(()), |file| draw_all(file, &results));
    if simulate.json {
        let results = Results { backstay_simulation: JSON_VERSION, scenarios: results };
        match serde_json::to_string_pretty(&results) {
            Ok(text) => say(&text),
            Err(error) => complain(&error),
        }
    } else {
        let shown: Vec<String> = results.iter().map(table::show).collect();
        say(&shown.join("\n").trim_end());
    }
    if let Err(problem) = drawn {
        complain(&problem);
        return ExitCode::from(MISUSED);
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn draw_all(file: &Path, results: &[ScenarioResult]) -> Result<(), String> {
    for (number, result) in (1..).zip(results) {
        let path = if results.len() == 1 { file.to_path_buf() } else { numbered(file, number) };
        let write = std::fs::write(&path, chart::draw(result));
        write.map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

/// `outage.svg` → `outage-2.svg`.
fn numbered(file: &Path, number: usize) -> PathBuf {
    let stem =
        file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let extension = file.extension().map_or_else(|| "svg".into(), |e| e.to_string_lossy());
    file.with_file_name(format!("{stem}-{number}.{extension}"))
}
