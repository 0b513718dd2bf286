//! Reads the configuration again when it changes.
//!
//! Every event of the file system is only a hint to look: what counts is
//! whether the file reads differently. So editors that rename over the file,
//! ConfigMaps that swap a symlink, network file systems without events and
//! secrets that live in other files are all the same case. Owns one thread;
//! must not know what a new configuration is used for.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use sha2::{Digest, Sha256};

use super::load::load;
use super::model::Config;
use super::problem::Problems;

/// How often to look, and how long a file must stay as it is to be believed.
#[derive(Clone, Copy, Debug)]
struct Pace {
    poll: Duration,
    settle: Duration,
}

const PACE: Pace = Pace { poll: Duration::from_secs(2), settle: Duration::from_millis(150) };

/// A watch under way; dropping it ends it and waits for its thread.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

/// Calls `on_change`, on a thread of its own, whenever the file that `current`
/// was read from, or a secret it refers to, reads differently: once with the
/// new configuration, or once with what is wrong with it (also if the file is
/// gone). The caller keeps the configuration it has until a good one comes.
///
/// # Errors
/// If the thread cannot be started. A file system without events is no error:
/// the file is also read every two seconds.
pub fn watch(
    current: &Config,
    env: impl Fn(&str) -> Option<OsString> + Send + 'static,
    on_change: impl FnMut(Result<Config, Problems>) + Send + 'static,
) -> io::Result<Watch> {
    watch_at(PACE, current, env, on_change)
}

fn watch_at(
    pace: Pace,
    current: &Config,
    env: impl Fn(&str) -> Option<OsString> + Send + 'static,
    on_change: impl FnMut(Result<Config, Problems>) + Send + 'static,
) -> io::Result<Watch> {
    // One hint waiting says as much as many.
    let (wake, hints) = sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let mut watcher = Watching {
        file: current.source.clone(),
        env,
        on_change,
        known: current.inputs,
        hints,
        stop: Arc::clone(&stop),
        pace,
    };
    let file_events = file_events(&current.source, wake.clone());
    let thread = std::thread::Builder::new().name("config-watch".to_owned()).spawn(move || {
        let _file_events = file_events;
        watcher.run();
    })?;
    Ok(Watch { stop, wake, thread: Some(thread) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Full: the thread is about to wake as it is.
        let _ = self.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the callback is its owner's; it was printed.
            let _ = thread.join();
        }
    }
}

/// Hints from the file's directory, where renames and symlink swaps show.
fn file_events(file: &Path, wake: SyncSender<()>) -> Option<notify::RecommendedWatcher> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let hint = move |event: notify::Result<notify::Event>| {
        // Reading the file is an access: without this, it would hint at itself.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = wake.try_send(());
        }
    };
    let watcher = notify::recommended_watcher(hint).and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            tracing::warn!(%error, directory = %directory.display(),
                "no events for the configuration's directory; it is polled");
        })
        .ok()
}

/// Identifies what was read: the inputs of a good configuration, or the
/// problems of a bad one.
type Fingerprint = [u8; 32];

struct Watching<E, C> {
    file: PathBuf,
    env: E,
    on_change: C,
    known: Fingerprint,
    hints: Receiver<()>,
    stop: Arc<AtomicBool>,
    pace: Pace,
}

impl<E, C> Watching<E, C>
where
    E: Fn(&str) -> Option<OsString>,
    C: FnMut(Result<Config, Problems>),
{
    fn run(&mut self) {
        while self.pause(self.pace.poll) {
            let Some((fingerprint, read)) = self.settled() else { return };
            if fingerprint != self.known {
                self.known = fingerprint;
                (self.on_change)(read);
            }
        }
    }

    /// What the file says once it has stopped changing: a file read while it is
    /// written may be a shorter, valid one. `None`: the watch ends.
    fn settled(&self) -> Option<(Fingerprint, Result<Config, Problems>)> {
        let mut last = self.read();
        while last.0 != self.known {
            let before = last.0;
            // Not woken by hints: each write of a slow writer would be one.
            std::thread::park_timeout(self.pace.settle);
            if self.stopped() {
                return None;
            }
            last = self.read();
            if last.0 == before {
                break;
            }
        }
        Some(last)
    }

    fn read(&self) -> (Fingerprint, Result<Config, Problems>) {
        let read = load(&self.file, &self.env);
        let fingerprint = match &read {
            Ok(config) => config.inputs,
            Err(problems) => Sha256::digest(problems.to_string()).into(),
        };
        (fingerprint, read)
    }

    /// Waits for a hint, at most this long; `false` if the watch ends.
    fn pause(&self, at_most: Duration) -> bool {
        // Both a hint and none are reasons to look.
        let _ = self.hints.recv_timeout(at_most);
        !self.stopped()
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
