//! A few threads for policies too slow to run on a thread that serves others.
//! Each policy has a line of its own: one with many questions, or slow ones,
//! delays another by no more than the answer under way.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Material;
use super::handle::Policy;
use super::shelf::lock;
use crate::failover::consult::{Opinion, Question};
use crate::failover::time::Timestamp;

const THREADS_LEAST: usize = 2;
/// Questions of one policy that wait for a thread, for each of them; beyond that
/// it is not asked.
const LINE_MAX: usize = 32;

#[derive(Debug)]
struct Job {
    policy: Arc<Policy>,
    question: Question,
    material: Material,
    asked_at: Timestamp,
    reply: oneshot::Sender<Opinion>,
}

/// Its threads start with the first question, and end with the pool.
#[derive(Debug)]
pub struct SlowPool {
    /// How long a question may wait for a thread.
    patience: Duration,
    threads: usize,
    begun: Once,
    lines: Arc<Lines<Job>>,
}

impl SlowPool {
    pub fn new(patience: Duration) -> Self {
        let threads = threads().max(THREADS_LEAST);
        let lines = Arc::new(Lines::new(LINE_MAX * threads));
        Self { patience, threads, begun: Once::new(), lines }
    }

    pub async fn ask(
        &self,
        policy: Arc<Policy>,
        question: Question,
        material: Material,
    ) -> Opinion {
        self.begun.call_once(|| self.start());
        let (reply, answer) = oneshot::channel();
        let asked_at = policy.now();
        let job = Job { policy: Arc::clone(&policy), question, material, asked_at, reply };
        if !self.lines.add(policy.name(), job) {
            return not_asked(&policy, "policy pool is full");
        }
        answer.await.unwrap_or_else(|_| not_asked(&policy, "the policy thread died"))
    }

    fn start(&self) {
        for number in 0..self.threads {
            let (lines, patience) = (Arc::clone(&self.lines), self.patience);
            std::thread::Builder::new()
                .name(format!("policy-slow-{number}"))
                .spawn(move || serve(&lines, patience))
                .expect("a process that cannot start a thread cannot serve");
        }
    }
}

impl Drop for SlowPool {
    fn drop(&mut self) {
        self.lines.end();
    }
}

fn not_asked(policy: &Policy, reason: &str) -> Opinion {
    policy.count_not_asked(reason);
    Opinion::Unasked { reason: reason.to_owned() }
}

/// One for each two processors: the others serve calls.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(THREADS_LEAST, NonZero::get).div_ceil(2)
}

fn serve(lines: &Lines<Job>, patience: Duration) {
    while let Some((job, _turn)) = lines.next() {
        let waited = job.policy.now().since(job.asked_at);
        let opinion = if waited > patience {
            not_asked(&job.policy, "waited too long for a policy thread")
        } else {
            job.policy.ask(&job.question, &job.material)
        };
        // Whoever asked may be gone.
        let _ = job.reply.send(opinion);
    }
}

/// What waits, by the name of its policy.
#[derive(Debug)]
struct Lines<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
    /// So much waits in one line at the most.
    line_max: usize,
}

#[derive(Debug)]
struct Inner<T> {
    lines: BTreeMap<String, Line<T>>,
    /// Counts the turns.
    turn: u64,
    ended: bool,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    /// Threads that are at work for it.
    served_by: usize,
    last_turn: u64,
}

impl<T> Lines<T> {
    const fn new(line_max: usize) -> Self {
        let inner = Inner { lines: BTreeMap::new(), turn: 0, ended: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), line_max }
    }

    /// Returns false if the line is full.
    fn add(&self, name: &str, job: T) -> bool {
        let mut inner = lock(&self.inner);
        if !inner.lines.contains_key(name) {
            let line = Line { waiting: VecDeque::new(), served_by: 0, last_turn: 0 };
            inner.lines.insert(name.to_owned(), line);
        }
        let Some(line) = inner.lines.get_mut(name) else { return false };
        let fits = line.waiting.len() < self.line_max;
        if fits {
            line.waiting.push_back(job);
            self.changed.notify_one();
        }
        fits
    }

    /// The next one, of the line that fewest threads serve, and of those the one
    /// whose last turn is longest ago. Waits for it; `None` when it is over.
    fn next(&self) -> Option<(T, Turn<'_, T>)> {
        let mut inner = lock(&self.inner);
        loop {
            if inner.ended {
                return None;
            }
            if let Some((name, job)) = inner.take() {
                return Some((job, Turn { lines: self, name }));
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self) {
        lock(&self.inner).ended = true;
        self.changed.notify_all();
    }
}

impl<T> Inner<T> {
    fn take(&mut self) -> Option<(String, T)> {
        let waiting = self.lines.iter_mut().filter(|(_, line)| !line.waiting.is_empty());
        let (name, line) = waiting.min_by_key(|(_, line)| (line.served_by, line.last_turn))?;
        self.turn += 1;
        line.last_turn = self.turn;
        line.served_by += 1;
        Some((name.clone(), line.waiting.pop_front()?))
    }
}

/// A thread at work for a line.
#[derive(Debug)]
struct Turn<'a, T> {
    lines: &'a Lines<T>,
    name: String,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut inner = lock(&self.lines.inner);
        if let Some(line) = inner.lines.get_mut(&self.name) {
            line.served_by -= 1;
            if line.served_by == 0 && line.waiting.is_empty() {
                inner.lines.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many, with as many threads at work at a time.
    fn taken(lines: &Lines<u32>, threads: usize, count: usize) -> Vec<u32> {
        let mut turns = VecDeque::new();
        let mut order = Vec::new();
        for _ in 0..count {
            if turns.len() == threads {
                turns.pop_front();
            }
            let (job, turn) = lines.next().expect("something waits");
            order.push(job);
            turns.push_back(turn);
        }
        order
    }

    fn lines(jobs: &[(&str, u32)]) -> Lines<u32> {
        let lines = Lines::new(8);
        for (name, job) in jobs {
            assert!(lines.add(name, *job));
        }
        lines
    }

    #[test]
    fn a_long_line_does_not_hold_up_another() {
        for (threads, expected) in [(1, [1, 9, 2, 8]), (2, [1, 9, 2, 8]), (3, [1, 9, 2, 8])] {
            let jobs = [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 9), ("b", 8)];
            assert_eq!(taken(&lines(&jobs), threads, 4), expected, "{threads} threads");
        }
        // Whoever comes later is next, though all threads were another's.
        let lines = lines(&[("a", 1), ("a", 2), ("a", 3)]);
        let (first, second) = (lines.next(), lines.next());
        assert!(lines.add("b", 9));
        drop(first);
        assert_eq!(lines.next().map(|(job, _)| job), Some(9));
        drop(second);
        assert_eq!(lines.next().map(|(job, _)| job), Some(3));
    }

    #[test]
    fn a_full_line_fills_no_other() {
        let lines = Lines::new(2);
        assert_eq!([1, 2, 3].map(|job| lines.add("a", job)), [true, true, false]);
        assert!(lines.add("b", 4));
        assert_eq!(taken(&lines, 1, 3), [1, 4, 2]);
        assert!(lock(&lines.inner).lines.len() <= 1, "an empty line is forgotten");
        lines.end();
        assert!(lines.next().is_none());
    }
}
