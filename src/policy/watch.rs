//! The thread that keeps the library up to date. Events of the file system are
//! hints that save waiting; what they miss (links that are swapped, network
//! file systems, a directory that is made later) is found by looking anyway.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::library::Shared;

/// How often the directory is looked at without a hint.
const POLL: Duration = Duration::from_secs(2);

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub fn start(directory: PathBuf, shared: Arc<Shared>, hints: Receiver<()>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, of_thread) = (Arc::clone(&stop), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("policy-library".into())
            .spawn(move || watch(&directory, &of_thread, &stopped, &hints))
            .expect("a process that cannot start a thread cannot serve");
        Self { stop, shared, thread: Some(thread) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.shared.hint();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn watch(directory: &Path, shared: &Shared, stop: &AtomicBool, hints: &Receiver<()>) {
    let mut events = None;
    while !stop.load(Ordering::Relaxed) {
        // Renewed after every poll without a hint: a directory that was removed
        // and made again keeps its name, but not the watch on it.
        if events.is_none() {
            events = subscribe(directory, shared.hints.clone());
        }
        // What is busy gives a hint when it is done.
        if shared.pass().unsettled {
            continue;
        }
        if hints.recv_timeout(POLL).is_err() {
            events = None;
        }
    }
}

/// `None` if there is nothing to watch, or no means to: then polling must do.
fn subscribe(directory: &Path, hints: SyncSender<()>) -> Option<RecommendedWatcher> {
    let hint = move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|event| is_reading(event.kind)) {
            // If there is a hint already, one is enough.
            let _ = hints.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(hint).ok()?;
    watcher.watch(directory, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

/// Looking at the directory is an event too, which must not lead to the next look.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access != AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => false,
    }
}
