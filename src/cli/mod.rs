//! The verbs of the command line, a file each, without logic of their own.

mod cache;
mod check;
mod demo;
mod fake;
mod init;
mod ollama;
mod policy;
mod replay;
mod serve;
mod simulate;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};

use crate::config::environment;
use crate::telemetry::{self, LogFormat};

/// Where the configuration is, unless the arguments say otherwise.
const USUAL_FILE: &str = "backstay.toml";

/// Exit code for bad arguments and bad configurations.
const MISUSED: u8 = 2;

/// An LLM failover gateway whose every decision is made by a sandboxed
/// WebAssembly policy.
#[derive(Debug, Parser)]
#[command(name = "backstay", version, about, max_term_width = 100)]
struct Arguments {
    /// What is logged: error, warn, info, debug, or a tracing filter. Without
    /// it info, and little or nothing where the verb shows what
    /// happens itself.
    #[arg(long, global = true, value_name = "FILTER", env = "BACKSTAY_LOG")]
    log: Option<String>,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve calls as backstay.toml says; without one, with the providers whose
    /// keys are in the environment.
    Serve(serve::Serve),
    /// Read the configuration, report every problem, and say what would happen.
    Check(check::Check),
    /// Write a commented backstay.toml.
    Init(init::Init),
    /// Play through a bad day with fake providers: no keys, no configuration.
    Demo(demo::Demo),
    /// Be a provider that breaks on purpose, to rehearse outages.
    Fake(fake::Fake),
    /// Ask recorded questions again: what another policy would have decided.
    Replay(replay::Replay),
    /// Play scenarios with real policies on a virtual clock.
    Simulate(simulate::Simulate),
    /// Write, test and manage policies.
    Policy(policy::Policy),
    /// Compile a policy from standard input to standard output.
    #[command(hide = true)]
    CompilePolicy,
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = USUAL_FILE,
        env = "BACKSTAY_CONFIG"
    )]
    config: PathBuf,
}

/// Runs the verb that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { MISUSED } else { 0 });
        }
    };
    let _log = match telemetry::start(arguments.log_format, arguments.log()) {
        Ok(log) => log,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(MISUSED);
        }
    };
    let code = perform(&arguments.verb);
    if UNSAID.load(Ordering::Relaxed) { ExitCode::FAILURE } else { code }
}

fn perform(verb: &Verb) -> ExitCode {
    match verb {
        Verb::Serve(verb) => serve::run(verb),
        Verb::Check(verb) => check::run(verb),
        Verb::Init(verb) => init::run(verb),
        Verb::Demo(verb) => demo::run(verb),
        Verb::Fake(verb) => fake::run(verb),
        Verb::Replay(verb) => replay::run(verb),
        Verb::Simulate(verb) => simulate::run(verb),
        Verb::Policy(verb) => policy::run(verb),
        Verb::CompilePolicy => match u8::try_from(crate::policy::compile::run_child()) {
            Ok(code) => ExitCode::from(code),
            Err(_) => ExitCode::FAILURE,
        },
    }
}

impl Arguments {
    fn log(&self) -> &str {
        let usual = match self.verb {
            // It shows what happens itself.
            Verb::Demo(_) => "off",
            // What policies log would drown what is asked for.
            Verb::Simulate(_) | Verb::Policy(_) | Verb::Replay(_) => "error",
            Verb::Serve(_)
            | Verb::Check(_)
            | Verb::Init(_)
            | Verb::Fake(_)
            | Verb::CompilePolicy => "info",
        };
        self.log.as_deref().unwrap_or(usual)
    }
}

/// To standard error: what went wrong and what to do.
fn complain(text: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What was asked for could not be said: whatever else came of the verb, that is
/// a failure.
static UNSAID: AtomicBool = AtomicBool::new(false);

/// To standard output: what was asked for. A reader that has left, as `head`
/// does, is no fault.
fn say(text: &dyn std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            UNSAID.store(true, Ordering::Relaxed);
            complain(&format!("cannot write to standard output: {error}"));
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    if path.chars().all(is_plain) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        for (path, expected) in [
            ("mine", "mine"),
            ("/srv/policies/mine-2", "/srv/policies/mine-2"),
            ("my policies/mine", "'my policies/mine'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}
