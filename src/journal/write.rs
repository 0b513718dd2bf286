//! Writing: a thread of its own behind a bounded queue. A call is never delayed:
//! what finds the queue full, or the disk, is dropped and counted.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::files::Files;
use super::{Record, convert};
use crate::clock::Clock;
use crate::failover::Timestamp;

/// Calls that wait to be written; one more is dropped and counted.
const QUEUE_MAX: usize = 1_024;
/// After an error of the disk, until it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// For a place in a queue that is full, by who may wait.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where a journal is, and how much of it there may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub directory: PathBuf,
    /// Bytes of a file, and of all files.
    pub max_file: u64,
    pub max_total: u64,
}

/// A journal that is being written. Its thread ends with it, once all that was
/// handed over is written.
#[derive(Debug)]
pub struct Journal {
    settings: Settings,
    queue: SyncSender<Message>,
    counts: Arc<Counts>,
}

enum Message {
    Record(Box<Record>),
    Flush(SyncSender<()>),
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
    failing: Mutex<Failing>,
}

#[derive(Clone, Debug, Default)]
struct Failing {
    /// Of the disk, while it lasts.
    error: Option<String>,
    file: Option<PathBuf>,
}

/// How a journal is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub directory: PathBuf,
    /// The file that is written to.
    pub file: Option<PathBuf>,
    /// Calls, each one line.
    pub written: u64,
    /// Calls that found the queue full.
    pub dropped: u64,
    /// Calls that the disk did not take, or that are larger than a file.
    pub lost: u64,
    /// What the disk says, while it does not take anything.
    pub error: Option<String>,
}

impl Journal {
    #[must_use]
    pub fn start(settings: Settings, clock: Clock) -> Self {
        let (queue, waiting) = sync_channel(QUEUE_MAX);
        let counts: Arc<Counts> = Arc::default();
        let Settings { directory, max_file, max_total } = settings.clone();
        let writer = Writer {
            files: Files::new(directory, max_file, max_total),
            counts: Arc::clone(&counts),
            clock,
            resume_at: None,
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.serve(&waiting))
            .expect("a process that cannot start a thread cannot serve");
        Self { settings, queue, counts }
    }

    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Hands a call over; never waits.
    pub fn record(&self, record: Record) {
        match self.queue.try_send(Message::Record(Box::new(record))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until what was handed over is written, but not for ever; must not
    /// be called where calls are served. Returns whether it is.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let (done, waiting) = sync_channel(1);
        let (mut message, mut left) = (Message::Flush(done), patience);
        loop {
            match self.queue.try_send(message) {
                Ok(()) => return waiting.recv_timeout(left).is_ok(),
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(_)) if left.is_zero() => return false,
                Err(TrySendError::Full(back)) => message = back,
            }
            // A disk that hangs leaves the queue full for as long as it likes.
            std::thread::park_timeout(LOOK_AGAIN.min(left));
            left = left.saturating_sub(LOOK_AGAIN);
        }
    }

    #[must_use]
    pub fn status(&self) -> Status {
        let Failing { error, file } = self.counts.failing().clone();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            directory: self.settings.directory.clone(),
            file,
            written: count(&self.counts.written),
            dropped: count(&self.counts.dropped),
            lost: count(&self.counts.lost),
            error,
        }
    }
}

impl Counts {
    fn failing(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    files: Files,
    counts: Arc<Counts>,
    clock: Clock,
    /// After an error, when the disk is tried again.
    resume_at: Option<Timestamp>,
}

impl Writer {
    fn serve(mut self, waiting: &Receiver<Message>) {
        while let Ok(message) = waiting.recv() {
            match message {
                Message::Record(record) => self.write(&record),
                Message::Flush(done) => {
                    // Whoever waited may have given up.
                    let _ = done.try_send(());
                }
            }
        }
    }

    fn write(&mut self, record: &Record) {
        let now = self.clock.now();
        if self.resume_at.is_some_and(|at| now < at) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let unix_ms = u64::try_from(self.clock.unix().as_millis()).unwrap_or(u64::MAX);
        let line = serde_json::to_vec(&convert::line(record)).map(|mut line| {
            line.push(b'\n');
            line
        });
        let written = match line {
            // That is not the disk's fault, and the next call may well fit.
            Ok(line) if !self.files.has_place_for(line.len()) => {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(line) => self.files.append(&line, unix_ms),
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(()) => self.wrote(),
            Err(error) => self.failed(&error, now),
        }
    }

    fn wrote(&mut self) {
        self.counts.written.fetch_add(1, Ordering::Relaxed);
        if self.resume_at.take().is_some() {
            info!("the journal is written again");
        }
        let mut failing = self.counts.failing();
        failing.error = None;
        if failing.file.as_deref() != self.files.path() {
            failing.file = self.files.path().map(Into::into);
        }
    }

    /// Told once, not for every call.
    fn failed(&mut self, error: &std::io::Error, now: Timestamp) {
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
        if self.resume_at.is_none() {
            warn!(%error, "the journal cannot be written; trying again every second");
        }
        self.resume_at = Some(now + PAUSE);
        *self.counts.failing() = Failing { error: Some(error.to_string()), file: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_ever_for_a_disk_that_hangs() {
        let (queue, waiting) = sync_channel(1);
        let (done, _) = sync_channel(1);
        assert!(queue.try_send(Message::Flush(done)).is_ok(), "there is a place");
        let directory = PathBuf::from("journal");
        let settings = Settings { directory, max_file: 1, max_total: 1 };
        let journal = Journal { settings, queue, counts: Arc::default() };
        // The queue is full, then the message is not answered.
        assert!(!journal.flush(Duration::from_millis(30)));
        drop(waiting.recv());
        assert!(!journal.flush(Duration::from_millis(30)));
        drop(waiting);
        assert!(!journal.flush(Duration::from_hours(1)));
    }
}
