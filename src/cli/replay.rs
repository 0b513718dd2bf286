//! `backstay replay`: what another policy would have decided, by the journal of
//! a running gateway.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::{MISUSED, cache, complain, say};
use crate::journal::{self, Count, Item, Reader, RecordedClock, Report, Skipped};
use crate::policy::{Compiler, Library, LibraryConfig, Limits, Policy, name_of};

/// Routes that are named to whoever asks for another.
const MOST_ROUTES: usize = 100;

/// Lines that were passed over and are told one by one.
const MOST_SKIPPED: usize = 5;

/// Ask recorded questions again: what another policy would have decided.
///
/// A gateway records its decisions when its configuration has a [journal]. Exit
/// code 0: every decision would have been the same; 1: some would not; 2: misuse,
/// or there was nothing to compare.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// Files of a journal, or directories with such files.
    #[arg(required = true, value_name = "JOURNAL")]
    journals: Vec<PathBuf>,
    /// The policy to ask, with the built-in behind it; without one, the built-in.
    #[arg(long, value_name = "NEW.wasm")]
    policy: Option<PathBuf>,
    /// Only calls of this route.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
    /// How many differences are shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

/// What was read, and what came of it.
struct Outcome {
    policy: String,
    files: usize,
    skipped: Vec<Skipped>,
    /// Passed over beyond those.
    skipped_more: u64,
    report: Report,
    /// The routes of all calls that were read.
    routes: BTreeSet<String>,
}

pub fn run(arguments: &Replay) -> ExitCode {
    match replay(arguments) {
        Ok(outcome) => {
            if arguments.json {
                say(&outcome.json());
            } else {
                say(&outcome.text().trim_end());
            }
            if let Some(problem) = outcome.nothing(arguments.route.as_deref()) {
                complain(&problem);
                return ExitCode::from(MISUSED);
            }
            ExitCode::from(u8::from(outcome.report.total.differ > 0))
        }
        Err(problem) => {
            complain(&problem);
            ExitCode::from(MISUSED)
        }
    }
}

fn replay(arguments: &Replay) -> Result<Outcome, String> {
    let mut reader = Reader::open(&arguments.journals).map_err(|e| e.to_string())?;
    let clock = RecordedClock::default();
    let library = Library::open(library_config(&clock)).map_err(|e| e.to_string())?;
    let own = arguments.policy.as_deref().map(|path| load(&library, path)).transpose()?;
    let first = own.clone().unwrap_or_else(|| library.builtin());
    let policy = format!("{}@{}", first.name(), first.short_digest());
    let mut replay = journal::Replay::new(own, library.builtin(), clock, arguments.limit);
    let progress = progress(reader.bytes);
    let (mut skipped, mut skipped_more, mut routes) = (Vec::new(), 0, BTreeSet::new());
    while let Some(item) = reader.next() {
        progress.set_position(reader.read);
        match item {
            Item::Call(call) => {
                if routes.len() < MOST_ROUTES && !routes.contains(&call.route.name) {
                    routes.insert(call.route.name.clone());
                }
                if arguments.route.as_ref().is_none_or(|route| *route == call.route.name) {
                    replay.call(&call);
                }
            }
            Item::Skipped(one) if skipped.len() < MOST_SKIPPED => skipped.push(one),
            Item::Skipped(_) => skipped_more += 1,
        }
    }
    progress.finish_and_clear();
    let (files, report) = (reader.files, replay.report());
    Ok(Outcome { policy, files, skipped, skipped_more, report, routes })
}

fn library_config(clock: &RecordedClock) -> LibraryConfig {
    LibraryConfig {
        directory: None,
        limits: Limits::default(),
        clock: clock.as_clock(),
        compiler: std::env::current_exe().map_or(Compiler::InProcess, Compiler::Child),
        cache: cache::usual(),
    }
}

fn load(library: &Library, path: &Path) -> Result<Arc<Policy>, String> {
    let policy = library.load_file(&name_of(path), path);
    policy.map(Arc::new).map_err(|fault| format!("{}: {fault}", path.display()))
}

/// Shown where somebody may be waiting.
fn progress(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "replaying {wide_bar} {bytes} of {total_bytes}, {eta} left";
    let style = ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

impl Outcome {
    /// Why there was nothing to compare, and so nothing is known.
    fn nothing(&self, asked_for: Option<&str>) -> Option<String> {
        if self.report.total.asked > 0 {
            return None;
        }
        let routes: Vec<_> = self.routes.iter().map(String::as_str).collect();
        let routes = routes.join(", ");
        Some(match asked_for {
            _ if self.routes.is_empty() => "nothing to compare: no call could be read".to_owned(),
            Some(route) if !self.routes.contains(route) => {
                format!("nothing to compare: no call of route {route:?}; there are: {routes}")
            }
            Some(_) | None => "nothing to compare: the calls hold no decision".to_owned(),
        })
    }

    fn json(&self) -> serde_json::Value {
        let skipped: Vec<_> = self.skipped.iter().map(ToString::to_string).collect();
        serde_json::json!({
            "policy": self.policy,
            "files": self.files,
            "skipped": skipped,
            "skipped_more": self.skipped_more,
            "replay": self.report,
        })
    }

    fn text(&self) -> String {
        let Report { calls, total, .. } = &self.report;
        let mut text = format!(
            "{} decisions of {calls} calls in {} files, put to {}\n\n",
            total.asked, self.files, self.policy,
        );
        if total.asked > 0 {
            text.push_str(&self.table());
            text.push_str("\n\n");
            self.add_differences(&mut text);
        }
        self.add_remarks(&mut text);
        text
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["", "asked", "same", "differ", "not replayable", "faults"]);
        for (verb, count) in &self.report.by_verb {
            table.add_row(row(verb, count));
        }
        for (route, count) in &self.report.by_route {
            table.add_row(row(&format!("route {route}"), count));
        }
        table.add_row(row("all", &self.report.total));
        table.trim_fmt()
    }

    // Writing to a string cannot fail.
    fn add_differences(&self, text: &mut String) {
        let shown = &self.report.differences;
        let total = self.report.total.differ;
        if total == 0 {
            text.push_str("no decision would have been another\n");
            return;
        }
        let _ = writeln!(text, "{total} decisions would have been another; the first:");
        for it in shown {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(it.at_unix_ms);
            let at = humantime::format_rfc3339_millis(at);
            let _ = writeln!(text, "  {at} {} route {} {}", it.call, it.route, it.verb);
            let _ = writeln!(text, "    was:      {} ({})", it.was, it.was_by);
            let _ = writeln!(text, "    would be: {} ({})", it.would_be, it.would_be_by);
        }
        if total > shown.len() as u64 {
            let _ = writeln!(text, "  and {} more (--limit)", total - shown.len() as u64);
        }
    }

    fn add_remarks(&self, text: &mut String) {
        let report = &self.report;
        if report.total.not_replayable > 0 {
            let named: Vec<_> = report.looked_for.iter().map(counted).collect();
            let _ = writeln!(
                text,
                "{} questions cannot be replayed: the policy reads what no journal holds: {}",
                report.total.not_replayable,
                named.join(", ")
            );
        }
        if report.total.faults > 0 {
            let named: Vec<_> = report.faults.iter().map(counted).collect();
            let _ = writeln!(text, "faults: {}", named.join(", "));
        }
        if report.uses_memory {
            text.push_str(
                "the policy uses what the host remembers for it: the journal does not hold that, \
                 so it began with nothing, and decisions that depend on it may differ\n",
            );
        }
        if report.contradictory > 0 {
            let count = report.contradictory;
            let _ = writeln!(text, "{count} decisions contradict themselves and were left out");
        }
        for skipped in &self.skipped {
            let _ = writeln!(text, "passed over: {skipped}");
        }
        if self.skipped_more > 0 {
            let _ = writeln!(text, "passed over: {} more lines or files", self.skipped_more);
        }
    }
}

fn counted((name, count): (&String, &u64)) -> String {
    format!("{name} ({count})")
}

fn row(name: &str, count: &Count) -> [String; 6] {
    let Count { asked, same, differ, not_replayable, faults } = *count;
    let numbers = [asked, same, differ, not_replayable, faults].map(|number| number.to_string());
    let [asked, same, differ, not_replayable, faults] = numbers;
    [name.to_owned(), asked, same, differ, not_replayable, faults]
}
