//! `backstay serve`: the gateway, until a signal ends it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{ConfigFile, MISUSED, cache, complain, environment, ollama, say};
use crate::clock::Clock;
use crate::config::{self, Config, PolicyLimits};
use crate::gateway::{self, Shared};
use crate::policy::{Compiler, Library, LibraryConfig, Limits};
use crate::{admin, tls};

/// How long the end of the process waits for the journal.
const LAST_LINES: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(serve: &Serve) -> ExitCode {
    let config = match load(&serve.file.config) {
        Ok(config) => config,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(MISUSED);
        }
    };
    for warning in &config.warnings {
        complain(warning);
    }
    let served = super::runtime().map_err(|e| e.to_string()).and_then(|runtime| {
        let ended = runtime.block_on(serve_until_told(config));
        runtime.shutdown_background();
        ended
    });
    match served {
        Ok(code) => code,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

/// The configuration in the file; without the usual file, the one that the keys
/// in the environment make.
fn load(path: &Path) -> Result<Config, String> {
    if path == Path::new(super::USUAL_FILE) && !path.exists() {
        let (config, set_up) = config::from_environment(&environment, ollama::find().as_ref())
            .map_err(|problem| problem.to_string())?;
        say(&format!("there is no {}: set up from the environment\n{set_up}", path.display()));
        return Ok(config);
    }
    config::load(path, &environment).map_err(|problems| {
        let missing = if path.exists() { "" } else { "\nwrite one with: backstay init" };
        format!("{problems}{missing}")
    })
}

async fn serve_until_told(config: Config) -> Result<ExitCode, String> {
    let listener = listen("server", &config.server.listen).await?;
    let admin_listener = match &config.admin {
        Some(admin) => Some(listen("admin", &admin.listen).await?),
        None => None,
    };
    let shared = begin(config)?;
    let (stop, stopping) = watch::channel(false);
    let has_file = !shared.generation().config.names_by_catalog;
    let watch = has_file.then(|| watch_config(&shared)).transpose();
    let _watch = watch.map_err(|e| format!("cannot watch the configuration: {e}"))?;
    if let Some(listener) = admin_listener {
        info!(address = %address(&listener), "admin: /status, /traces, /livez, /readyz");
        tokio::spawn(admin::serve(Arc::clone(&shared), listener, stopping.clone()));
    }
    loaded(&shared).await?;
    info!(address = %address(&listener), routes = shared.generation().routes.len(), "serving");
    let serving = tokio::spawn(gateway::serve(Arc::clone(&shared), listener, stopping));
    told_to_stop().await?;
    info!(calls_under_way = shared.under_way(), "draining; a second signal ends at once");
    let _ = stop.send(true);
    let ended = async {
        let drained = serving.await;
        write_last_lines(&shared).await;
        drained
    };
    tokio::select! {
        drained = ended => Ok(match drained {
            Ok(gateway::Drained::Fully) => {
                info!("drained");
                ExitCode::SUCCESS
            }
            Ok(gateway::Drained::CutOff(calls)) => {
                warn!(calls, "the drain limit passed: calls were cut off");
                ExitCode::SUCCESS
            }
            Err(problem) => {
                error!(%problem, "the server failed");
                ExitCode::FAILURE
            }
        }),
        second = told_to_stop() => {
            second?;
            warn!(calls = shared.under_way(), "ended at once by a second signal");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Writes what the journal has not written yet, unless that takes too long.
async fn write_last_lines(shared: &Arc<Shared>) {
    let Some(journal) = shared.generation().journal.clone() else { return };
    let writing = tokio::task::spawn_blocking(move || journal.flush(LAST_LINES));
    if !writing.await.unwrap_or(false) {
        warn!("the journal's last lines are not written");
    }
}

async fn listen(section: &str, address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|e| {
        format!("[{section}] cannot listen on {address}: {e}; is it in use? Change listen in [{section}]")
    })
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "unknown".to_owned(), |a| a.to_string())
}

/// Waits for SIGTERM or SIGINT.
pub async fn told_to_stop() -> Result<(), String> {
    let hook = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
    let (mut term, mut int) = (hook(SignalKind::terminate())?, hook(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Opens the policies and makes the configuration ready.
pub fn start(config: Config) -> Result<Arc<Shared>, String> {
    let shared = begin(config)?;
    shared.library.wait_until_loaded();
    ready(&shared);
    Ok(shared)
}

/// The same, but the policies of the directory are not loaded yet.
fn begin(config: Config) -> Result<Arc<Shared>, String> {
    tls::install_provider();
    let clock = Clock::start();
    let library = Library::begin(library_config(&config, clock), gateway::pins(&config))
        .map_err(|e| e.to_string())?;
    Shared::start(config, library, clock, seed()).map_err(|e| e.to_string())
}

/// No call is taken before: the built-in would decide it, against what the
/// configuration says.
async fn loaded(shared: &Arc<Shared>) -> Result<(), String> {
    let waiting = Arc::clone(shared);
    let waited = tokio::task::spawn_blocking(move || waiting.library.wait_until_loaded());
    waited.await.map_err(|e| e.to_string())?;
    ready(shared);
    Ok(())
}

/// From here on calls are taken.
fn ready(shared: &Shared) {
    shared.library.give_way();
    warn_of_missing(shared);
}

/// A policy that is not there does nothing, and takes over once it is.
fn warn_of_missing(shared: &Shared) {
    let library = &shared.library;
    for (route, named) in &shared.generation().config.routes {
        for (setting, policy) in named.policies() {
            if policy == "default" || library.current().policy(policy).is_some() {
                continue;
            }
            let until_then = match setting {
                "shadow" => "nothing is compared until it is",
                "canary" => "the route's own policy decides all calls until it is",
                _ => "the built-in decides until it is",
            };
            warn!(route, setting, policy, "no such policy is loaded: {until_then}");
        }
    }
}

/// From the process's own source of randomness.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

pub fn library_config(config: &Config, clock: Clock) -> LibraryConfig {
    let policies = &config.policies;
    LibraryConfig {
        directory: Some(policies.directory.clone()),
        cache: cache::directory(&policies.cache),
        limits: limits(&policies.limits),
        compiler: std::env::current_exe().map_or(Compiler::InProcess, Compiler::Child),
        clock: Arc::new(move || clock.now()),
    }
}

/// What one call of a policy may use, as the host takes it.
pub fn limits(limits: &PolicyLimits) -> Limits {
    Limits {
        time: limits.time,
        memory: limits.memory,
        stack: limits.stack,
        instances: limits.instances as usize,
        tables: limits.tables as usize,
        hostcall_fuel: limits.allocation,
        log_lines: limits.log_lines,
        ..Limits::default()
    }
}

/// Follows the configuration file; a bad one changes nothing.
pub fn watch_config(shared: &Arc<Shared>) -> std::io::Result<config::Watch> {
    let started_with = Arc::clone(&shared.generation().config);
    let shared = Arc::clone(shared);
    config::watch(&Arc::clone(&started_with), environment, move |loaded| match loaded {
        Err(problems) => {
            shared.refuse_config(&problems.to_string());
            error!("configuration not changed:\n{problems}");
        }
        Ok(config) => {
            for setting in fixed_at_start(&started_with, &config) {
                warn!("{setting} changed: that takes a restart");
            }
            match shared.reload(config) {
                Ok(generation) => {
                    info!(generation, "configuration changed");
                    warn_of_missing(&shared);
                }
                Err(problem) => {
                    shared.refuse_config(&problem.to_string());
                    error!(%problem, "configuration not changed");
                }
            }
        }
    })
}

/// The settings that differ from those the process began with, and that it
/// cannot take on while it runs.
fn fixed_at_start(started_with: &Config, config: &Config) -> Vec<&'static str> {
    let admin_listen = |config: &Config| config.admin.as_ref().map(|admin| admin.listen.clone());
    let traces = |config: &Config| config.admin.as_ref().map(|admin| admin.traces);
    let (before, now) = (&started_with.policies, &config.policies);
    let settings = [
        ("[server] listen", started_with.server.listen != config.server.listen),
        ("[admin] listen", admin_listen(started_with) != admin_listen(config)),
        ("[admin] traces", traces(started_with) != traces(config)),
        ("[policies] directory", before.directory != now.directory),
        ("[policies] cache", before.cache != now.cache),
        ("a limit in [policies]", before.limits != now.limits),
    ];
    settings.into_iter().filter_map(|(setting, differs)| differs.then_some(setting)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sections: &str) -> Config {
        let text = format!(
            "{sections}\n[providers.a]\ndialect = \"openai\"\n\
             [routes.m]\ntargets = [{{ provider = \"a\", model = \"m\" }}]\n"
        );
        let none = |_: &str| None;
        config::parse(&text, Path::new("backstay.toml"), &none).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn what_takes_a_restart_is_named() {
        for (sections, expected) in [
            ("", &[][..]),
            ("[server]\nmax_body = \"1MiB\"", &[]),
            ("[server]\nlisten = \"127.0.0.1:1\"", &["[server] listen"]),
            ("[admin]\nlisten = \"127.0.0.1:1\"", &["[admin] listen"]),
            ("[admin]\nlisten = \"off\"", &["[admin] listen", "[admin] traces"]),
            ("[admin]\ntraces = 5", &["[admin] traces"]),
            ("[policies]\ndirectory = \"p\"", &["[policies] directory"]),
            ("[policies]\ncache = \"c\"", &["[policies] cache"]),
            ("[policies]\ntime_limit = \"5ms\"", &["a limit in [policies]"]),
            (&format!("[policies.pin]\np = \"sha256:{}\"", "0".repeat(64)), &[]),
        ] {
            let found = fixed_at_start(&config(""), &config(sections));
            assert_eq!(found, expected, "{sections}");
        }
    }
}
