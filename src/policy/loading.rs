//! Files become policies on threads of their own, a few at a time: one that
//! takes long to compile delays neither the others nor an operator's command.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::handle::{Digest, Origin};
use super::library::Shared;
use super::load::{FILE_BYTES_MAX, LoadFault, check_name};
use super::scan::{Fingerprint, fingerprint};
use super::shelf::{Intent, lock};
use super::status::FileRefusal;

/// Compilers at work; each may take gigabytes.
const THREADS: usize = 2;

/// A file that is to be read. A name has one at most, so that the queue is no
/// longer than the directory.
#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub path: PathBuf,
    pub fingerprint: Fingerprint,
}

/// The files that wait.
#[derive(Debug, Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: VecDeque<Job>,
    under_way: usize,
    stopped: bool,
}

impl Queue {
    pub fn add(&self, jobs: Vec<Job>) {
        lock(&self.inner).jobs.extend(jobs);
        self.changed.notify_all();
    }

    /// The files that no thread has taken yet.
    pub fn waiting(&self) -> Vec<String> {
        lock(&self.inner).jobs.iter().map(|job| job.name.clone()).collect()
    }

    /// Waits until nothing waits and nothing is under way.
    pub fn wait_until_idle(&self) {
        let busy = |inner: &mut Inner| !inner.jobs.is_empty() || inner.under_way > 0;
        let idle = self.changed.wait_while(lock(&self.inner), busy);
        drop(idle.unwrap_or_else(PoisonError::into_inner));
    }

    /// The next one; `None` when it is over.
    fn next(&self) -> Option<(Job, Seat<'_>)> {
        let waiting = |inner: &mut Inner| inner.jobs.is_empty() && !inner.stopped;
        let woken = self.changed.wait_while(lock(&self.inner), waiting);
        let mut inner = woken.unwrap_or_else(PoisonError::into_inner);
        let job = if inner.stopped { None } else { inner.jobs.pop_front() }?;
        inner.under_way += 1;
        Some((job, Seat(self)))
    }

    fn stop(&self) {
        lock(&self.inner).stopped = true;
        self.changed.notify_all();
    }
}

/// One job under way.
struct Seat<'a>(&'a Queue);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        lock(&self.0.inner).under_way -= 1;
        self.0.changed.notify_all();
    }
}

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub struct Loaders {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Loaders {
    pub fn start(shared: &Arc<Shared>) -> Self {
        let start = |number: usize| {
            let shared = Arc::clone(shared);
            std::thread::Builder::new()
                .name(format!("policy-load-{number}"))
                .spawn(move || work(&shared))
                .expect("a process that cannot start a thread cannot serve")
        };
        Self { shared: Arc::clone(shared), threads: (0..THREADS).map(start).collect() }
    }
}

impl Drop for Loaders {
    fn drop(&mut self) {
        self.shared.queue.stop();
        for thread in self.threads.drain(..) {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    while let Some((job, _seat)) = shared.queue.next() {
        let held_still = read(&job, shared);
        shared.finished(&job.name, held_still);
    }
}

/// Reads a file and acts on its content. Returns whether it held still.
fn read(job: &Job, shared: &Shared) -> bool {
    let content = read_whole(&job.path);
    if fs::metadata(&job.path).is_ok_and(|now| fingerprint(&now) != job.fingerprint) {
        return false;
    }
    let (digest, fault) = match content {
        Ok(bytes) => (Some(Digest::of(&bytes)), take(job, &bytes, shared).err()),
        Err(fault) => (None, Some(fault)),
    };
    if let Some(fault) = fault {
        let at = (shared.loader.clock)();
        let (reason, by_pin) = (fault.to_string(), matches!(fault, LoadFault::Pin(_)));
        let refusal = FileRefusal { reason, digest, at, by_pin, retry: None };
        shared.shelf.refuse(&job.name, &job.path, refusal, fault.may_pass());
    }
    true
}

/// Opens a file, and nothing that one would wait for.
pub fn open_file(path: &Path) -> io::Result<fs::File> {
    let at_once = rustix::fs::OFlags::NONBLOCK.bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(at_once.cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other("it is not a file"))
}

/// A file of at most `FILE_BYTES_MAX`.
pub fn read_whole(path: &Path) -> Result<Vec<u8>, LoadFault> {
    let mut bytes = Vec::new();
    open_file(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(LoadFault::TooLarge);
    }
    Ok(bytes)
}

/// Loads the content, if that is what follows from it.
fn take(job: &Job, bytes: &[u8], shared: &Shared) -> Result<(), LoadFault> {
    let (name, path) = (&job.name, &job.path);
    match shared.shelf.weigh(name, path, Digest::of(bytes), (shared.loader.clock)()) {
        Intent::Leave => Ok(()),
        Intent::Refuse(fault) => Err(fault.into()),
        Intent::Load => {
            check_name(name)?;
            let origin = Origin::File(path.clone());
            let policy = shared.loader.load(name, origin, bytes, shared.shelf.notes(name))?;
            Ok(shared.shelf.activate(policy, path)?)
        }
    }
}
