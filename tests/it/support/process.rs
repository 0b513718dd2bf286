//! The built binary as a child: for signals, exit codes, the file it reads and
//! the log it writes.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::client::within;

const BINARY: &str = env!("CARGO_BIN_EXE_backstay");

/// Runs a verb on this configuration to its end: exit code and what it said.
pub fn run(arguments: &[&str], config: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let output = command(&directory, config).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Runs a verb where there is no configuration and no key.
pub fn run_without_file(arguments: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    // Nobody listens there: a local Ollama would be found.
    command.env_clear().env("OLLAMA_HOST", "127.0.0.1:1").current_dir(&directory);
    let output = command.args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn command(directory: &TempDir, config: &str) -> Command {
    let file = directory.path().join("backstay.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(BINARY);
    command.env_clear().env("BACKSTAY_CONFIG", file).current_dir(directory);
    for name in ["SHOP", "BLOG"] {
        command.env(name, format!("sk-{name}-5f0c9d"));
    }
    for provider in ["a", "b"] {
        command.env(super::gateway::variable_of(provider), super::gateway::key_of(provider));
    }
    command
}

/// `backstay serve`. Dropped, it is killed.
pub struct Process {
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    /// Until its end was waited for.
    child: Option<Child>,
    pid: Pid,
    log: Arc<Log>,
    directory: TempDir,
}

/// The lines of the log so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    changed: Notify,
}

impl Process {
    /// Waits until it serves.
    pub async fn start(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let command = command(&directory, config);
        Self::serving(command, directory).await
    }

    /// Without a configuration, in an environment of these variables.
    pub async fn start_from_environment(variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(BINARY);
        command.env_clear().envs(variables.iter().copied()).current_dir(&directory);
        command.env("BACKSTAY_LISTEN", "127.0.0.1:0").env("BACKSTAY_ADMIN_LISTEN", "127.0.0.1:0");
        Self::serving(command, directory).await
    }

    async fn serving(mut command: Command, directory: TempDir) -> Self {
        let mut child = command
            .args(["--log-format", "json", "--log", "debug", "serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Log> = Arc::default();
        let (stderr, filled) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                filled.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                filled.changed.notify_waiters();
            }
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let child = Some(child);
        let mut process = Self { addr: unknown, admin: unknown, child, pid, log, directory };
        let address = |line: &Value| line["address"].as_str()?.parse().ok();
        process.admin = address(&process.line("/readyz").await).unwrap();
        process.addr = address(&process.line("\"serving\"").await).unwrap();
        process
    }

    /// The first line of the log with this text in it, once it is there.
    pub async fn line(&self, text: &str) -> Value {
        within(text, async {
            loop {
                let changed = self.log.changed.notified();
                if let Some(line) = self.lines().iter().find(|line| line.contains(text)) {
                    return serde_json::from_str(line).unwrap_or_default();
                }
                changed.await;
            }
        })
        .await
    }

    pub fn lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("backstay.toml")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Its exit code, once it has ended.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it ends once");
        let waiting = tokio::task::spawn_blocking(move || child.wait());
        within("the end of the process", waiting).await.unwrap().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}
