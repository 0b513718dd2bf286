//! `backstay policy test`: scenario files as tests of a policy, with the output
//! of the Test Anything Protocol.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::simulate::{compiler, load_all, seed};
use crate::cli::{MISUSED, cache, complain, say};
use crate::kit;
use crate::sim::report::Report;
use crate::sim::scenario::Scenario;
use crate::sim::{self, Bench, table};

/// Where a policy's directory keeps its scenarios: in a file, or in these.
const FILE: &str = "scenario.toml";
const DIRECTORIES: [&str; 2] = ["scenarios", "tests"];
/// How deep a built component is looked for: `target/wasm32-wasip2/release`.
const DEEPEST: usize = 4;

#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Test {
    /// A component, or a policy's directory: its policy.wasm is tested, or the
    /// newest component that was built in it.
    #[arg(value_name = "FILE|DIR")]
    policy: PathBuf,
    /// A scenario file, or a directory of them. Without it, scenario.toml and
    /// those in `scenarios` and `tests`, in the directory or beside the component.
    #[arg(long, value_name = "PATH")]
    scenarios: Vec<PathBuf>,
    /// All chance comes from it. Without it, the scenario's own.
    #[arg(long, value_parser = seed())]
    seed: Option<u64>,
}

const AFTER_HELP: &str = "\
Every case and every expectation is a test. Exit code: 0 all passed, 1 one failed, 2 there is \
nothing to test or a file cannot be used. `backstay simulate --example` explains scenario files.";

pub fn run(test: &Test) -> ExitCode {
    let (component, files) = match find(test) {
        Ok(found) => found,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(MISUSED);
        }
    };
    let Some(scenarios) = load_all(&files) else { return ExitCode::from(MISUSED) };
    if scenarios.iter().all(expects_nothing) {
        let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let files = files.join(", ");
        complain(&format!("{files}: nothing is expected: add `[[case]]` or `[expect]`"));
        return ExitCode::from(MISUSED);
    }
    let bench = match Bench::open(&[&component], compiler(), cache::usual()) {
        Ok(bench) => bench,
        Err(fault) => {
            complain(&fault);
            return ExitCode::from(MISUSED);
        }
    };
    let contender = bench.contender(0);
    let reports: Vec<(&Scenario, Report)> = scenarios
        .iter()
        .map(|scenario| {
            let seed = test.seed.unwrap_or(scenario.seed);
            (scenario, sim::run(scenario, &contender, seed, &|_| {}))
        })
        .collect();
    say(&tap(&reports).trim_end());
    let passed = reports.iter().all(|(_, report)| report.passed);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn expects_nothing(scenario: &Scenario) -> bool {
    scenario.cases.is_empty() && scenario.expect.is_empty() && scenario.during.is_empty()
}

/// The component and the scenario files.
fn find(test: &Test) -> Result<(PathBuf, Vec<PathBuf>), String> {
    if !test.policy.exists() {
        return Err(format!("there is no {}", test.policy.display()));
    }
    let (component, home) = if test.policy.is_dir() {
        let built = test.policy.join(kit::COMPONENT);
        let component = if built.is_file() { built } else { newest_component(&test.policy)? };
        (component, test.policy.clone())
    } else {
        let home = test.policy.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        (test.policy.clone(), home)
    };
    let usual = || {
        let places = [FILE].iter().chain(&DIRECTORIES).map(|name| home.join(name));
        places.filter(|place| place.exists())
    };
    let places: Vec<PathBuf> =
        if test.scenarios.is_empty() { usual().collect() } else { test.scenarios.clone() };
    let mut files = Vec::new();
    for place in &places {
        if place.is_dir() {
            files.extend(files_with(place, "toml")?);
        } else {
            files.push(place.clone());
        }
    }
    if files.is_empty() {
        return Err(format!(
            "there are no scenarios to test with: write {}, or name them with --scenarios",
            home.join(FILE).display()
        ));
    }
    Ok((component, files))
}

/// The files of a directory with this extension, in the order of their names.
fn files_with(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let cannot =
        |error: std::io::Error| format!("{}: cannot be read: {error}", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_file() && path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The component that was built last, within a few levels of directories.
fn newest_component(directory: &Path) -> Result<PathBuf, String> {
    let mut open = vec![(directory.to_path_buf(), 0)];
    let mut newest = None;
    while let Some((place, depth)) = open.pop() {
        for file in files_with(&place, "wasm")? {
            let built = file.metadata().and_then(|metadata| metadata.modified()).ok();
            if is_component(&file) && newest.as_ref().is_none_or(|(last, _)| built > *last) {
                newest = Some((built, file));
            }
        }
        if depth < DEEPEST {
            let entries = std::fs::read_dir(&place).into_iter().flatten().flatten();
            let directories = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
            open.extend(directories.filter(|path| is_worth(path)).map(|path| (path, depth + 1)));
        }
    }
    newest.map(|(_, file)| file).ok_or_else(|| {
        format!(
            "there is no built component in {}: build the policy first, or name the .wasm file",
            directory.display()
        )
    })
}

/// What package managers and compilers leave behind holds no finished policy.
fn is_worth(directory: &Path) -> bool {
    const SKIPPED: [&str; 6] = ["node_modules", "deps", "build", "incremental", ".git", ".venv"];
    directory.file_name().is_none_or(|name| SKIPPED.iter().all(|skipped| name != *skipped))
}

/// Core modules lie beside components in the same directories.
fn is_component(file: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 8];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == *b"\0asm\x0d\0\x01\0"
}

/// A description, in which `#` would begin a directive.
fn escaped(description: &str) -> String {
    description.replace('\\', "\\\\").replace('#', "\\#")
}

/// One line for each case and expectation, with what went wrong below it.
fn tap(reports: &[(&Scenario, Report)]) -> String {
    let count: usize =
        reports.iter().map(|(_, report)| report.cases.len() + report.expectations.len()).sum();
    let mut text = format!("TAP version 13\n1..{count}\n");
    let mut number = 0;
    for (scenario, report) in reports {
        let name = &scenario.name;
        let mut line = |held: bool, what: &str, details: &[String]| {
            number += 1;
            let verdict = if held { "ok" } else { "not ok" };
            let what = escaped(&format!("{name}: {what}"));
            let _ = writeln!(text, "{verdict} {number} - {what}");
            // Texts of policies may have any characters in them.
            for line in details.iter().flat_map(|detail| detail.split(char::is_control)) {
                let _ = writeln!(text, "# {line}");
            }
        };
        for case in &report.cases {
            let mut details = case.problems.clone();
            if !case.held {
                details.extend(case.attempts.iter().map(|attempt| {
                    format!("attempt at {} ({}): {}", attempt.target, attempt.why, attempt.class)
                }));
            }
            line(case.held, &case.name, &details);
        }
        for judgement in &report.expectations {
            let details = if judgement.held { vec![] } else { vec![table::line(judgement)] };
            line(judgement.held, &judgement.expected, &details);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_holds_no_directive() {
        for (written, expected) in [
            ("asked first", "asked first"),
            ("retried # SKIP it", "retried \\# SKIP it"),
            (r"a \ b", r"a \\ b"),
        ] {
            assert_eq!(escaped(written), expected);
        }
    }
}
