//! The log: one line per change of state, to standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that wait to be written. Whoever reads them may be slow or gone: then
/// further ones are lost, and no call waits for them.
const WAITING_LINES: usize = 8_192;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Starts the log, whose last lines are written when what is returned is
/// dropped. `filter` is a tracing filter such as `info` or
/// `backstay=debug`; a bad one is an error that says so.
pub fn start(format: LogFormat, filter: &str) -> Result<WorkerGuard, String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|e| format!("--log {filter:?} is no filter: {e}; try \"info\" or \"debug\""))?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // It would be told of on standard error, where it happened, by a panic.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Text => {
            builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map(|()| guard).map_err(|e| e.to_string())
}
