//! Reads the configuration again when it changes.
//!
//! Every event of the file system is only a hint to look: what counts is
//! whether the file reads differently. So editors that rename over the file,
//! volumes that swap a symlink (Kubernetes), network file systems without events and
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use tempfile::TempDir;

    use super::*;

    /// Long enough for any machine; only a failing test waits for it.
    const PATIENCE: Duration = Duration::from_secs(20);
    const SETTLE: Duration = Duration::from_millis(50);
    const ONLY_EVENTS: Pace = Pace { poll: Duration::from_hours(1), settle: SETTLE };
    const ONLY_POLLS: Pace = Pace { poll: Duration::from_millis(10), settle: SETTLE };

    /// A good configuration that can be told by its port.
    fn good(port: u16) -> String {
        format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\n[providers.a]\ndialect = \"openai\"\n\
             base_url = \"http://127.0.0.1:1\"\napi_key = {{ file = \"key\" }}\n\
             [routes.r]\ntargets = [{{ provider = \"a\", model = \"m\" }}]\n"
        )
    }

    const BAD: &str = "[server]\nlisten = 1\n";

    struct Scene {
        directory: TempDir,
        changes: Receiver<Result<Config, Problems>>,
        _watch: Watch,
    }

    impl Scene {
        fn new(pace: Pace, prepare: impl FnOnce(&Path)) -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("key"), "first").unwrap();
            prepare(directory.path());
            let file = directory.path().join("backstay.toml");
            let config = load(&file, &|_| None).unwrap();
            let (report, changes) = channel();
            let on_change = move |read| report.send(read).unwrap();
            let watch = watch_at(pace, &config, |_: &str| None, on_change).unwrap();
            Self { directory, changes, _watch: watch }
        }

        fn plain(pace: Pace) -> Self {
            Self::new(pace, |at| fs::write(at.join("backstay.toml"), good(1)).unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// Puts `text` under this name at once: a file written in place is empty
        /// for a moment, and on a busy machine the moment may be long enough to
        /// be believed.
        fn replace(&self, name: &str, text: &str) {
            fs::write(self.path("new"), text).unwrap();
            fs::rename(self.path("new"), self.path(name)).unwrap();
        }

        /// The next change: the port of a good one, or what is wrong.
        fn next(&self) -> Result<String, String> {
            match self.changes.recv_timeout(PATIENCE).expect("no change was reported") {
                Ok(config) => Ok(config.server.listen),
                Err(problems) => Err(problems.to_string()),
            }
        }

        fn expect_port(&self, port: u16) {
            assert_eq!(self.next(), Ok(format!("127.0.0.1:{port}")));
        }

        fn expect_problem(&self, part: &str) {
            let said = self.next().unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_change_in_place_is_seen() {
        for pace in [ONLY_EVENTS, ONLY_POLLS] {
            let scene = Scene::plain(pace);
            fs::write(scene.path("backstay.toml"), good(2)).unwrap();
            // The empty file of the moment before may have been reported.
            let seen = std::iter::repeat_with(|| scene.next()).find_map(Result::ok);
            assert_eq!(seen.as_deref(), Some("127.0.0.1:2"));
        }
    }

    #[test]
    fn a_rename_over_the_file_is_seen() {
        for pace in [ONLY_EVENTS, ONLY_POLLS] {
            let scene = Scene::plain(pace);
            for port in [2, 3] {
                scene.replace("backstay.toml", &good(port));
                scene.expect_port(port);
            }
        }
    }

    #[test]
    fn a_symlink_swap_as_of_a_configmap_is_seen() {
        for pace in [ONLY_EVENTS, ONLY_POLLS] {
            let scene = Scene::new(pace, |at| {
                for port in [1, 2] {
                    let version = at.join(format!("..{port}"));
                    fs::create_dir(&version).unwrap();
                    fs::write(version.join("backstay.toml"), good(port)).unwrap();
                }
                symlink("..1", at.join("..data")).unwrap();
                symlink("..data/backstay.toml", at.join("backstay.toml")).unwrap();
            });
            symlink("..2", scene.path("..data_tmp")).unwrap();
            fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
            scene.expect_port(2);
        }
    }

    #[test]
    fn a_bad_file_is_reported_once_and_a_good_one_follows() {
        let scene = Scene::plain(ONLY_POLLS);
        scene.replace("backstay.toml", BAD);
        scene.expect_problem("`listen` must be an address");
        scene.replace("backstay.toml", &good(2));
        scene.expect_port(2);
    }

    #[test]
    fn a_deleted_file_is_reported_once_and_may_come_back() {
        let scene = Scene::plain(ONLY_POLLS);
        fs::remove_file(scene.path("backstay.toml")).unwrap();
        scene.expect_problem("cannot be read");
        scene.replace("backstay.toml", &good(2));
        scene.expect_port(2);
    }

    #[test]
    fn a_changed_secret_is_seen_though_the_file_is_the_same() {
        let scene = Scene::plain(ONLY_POLLS);
        scene.replace("key", "second");
        let changed = scene.changes.recv_timeout(PATIENCE).unwrap().unwrap();
        let key = changed.providers["a"].api_key.as_ref().unwrap();
        assert!(key.matches(b"second"));
    }

    #[test]
    fn the_same_text_again_is_no_change() {
        let scene = Scene::plain(ONLY_EVENTS);
        scene.replace("backstay.toml", &good(1));
        scene.replace("backstay.toml", &good(2));
        scene.expect_port(2);
    }

    /// The first reading of a changed file finds half of it. The variable is
    /// looked up while that reading is under way, which is when the writer
    /// goes on.
    #[test]
    fn a_file_that_is_still_written_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("backstay.toml");
        let with_variable = |port| good(port).replace("file = \"key\"", "env = \"KEY\"");
        fs::write(&file, with_variable(1)).unwrap();
        let config = load(&file, &|_| Some("key".into())).unwrap();
        // Written before the watch begins: the renaming is to be the only hint.
        fs::write(directory.path().join("new"), with_variable(2)).unwrap();
        let rest = Arc::new(Mutex::new(None::<String>));
        let (writer, path) = (Arc::clone(&rest), file.clone());
        let env = move |_: &str| {
            if let Some(text) = writer.lock().unwrap().take() {
                fs::write(&path, text).unwrap();
            }
            Some(OsString::from("key"))
        };
        let (report, changes) = channel();
        let on_change = move |read: Result<Config, Problems>| report.send(read).unwrap();
        let _watch = watch_at(ONLY_EVENTS, &config, env, on_change).unwrap();
        *rest.lock().unwrap() = Some(with_variable(3));
        fs::rename(directory.path().join("new"), &file).unwrap();
        let first = changes.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(first.server.listen, "127.0.0.1:3");
    }

    #[test]
    fn dropping_the_watch_ends_its_thread() {
        let scene = Scene::plain(ONLY_EVENTS);
        let Scene { directory: _directory, changes, _watch: watch } = scene;
        drop(watch);
        assert!(changes.recv().is_err(), "the callback is gone with its thread");
    }
}
