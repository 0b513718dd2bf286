//! A few threads for policies too slow to run on a thread that serves others.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Material;
use super::handle::Policy;
use crate::failover::consult::{Opinion, Question};
use crate::failover::time::Timestamp;

const THREADS_LEAST: usize = 2;
/// Questions that wait for a thread, for each of them; beyond that the policy is
/// not asked.
const QUEUE_MAX: usize = 32;

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
    queue: OnceLock<SyncSender<Job>>,
}

impl SlowPool {
    pub fn new(patience: Duration) -> Self {
        Self { patience, queue: OnceLock::new() }
    }

    pub async fn ask(
        &self,
        policy: Arc<Policy>,
        question: Question,
        material: Material,
    ) -> Opinion {
        let (reply, answer) = oneshot::channel();
        let asked_at = policy.now();
        let job = Job { policy: Arc::clone(&policy), question, material, asked_at, reply };
        let queue = self.queue.get_or_init(|| start(self.patience));
        match queue.try_send(job) {
            Ok(()) => answer.await.unwrap_or_else(|_| not_asked(&policy, "the policy thread died")),
            Err(TrySendError::Full(_)) => not_asked(&policy, "policy pool is full"),
            Err(TrySendError::Disconnected(_)) => not_asked(&policy, "policy pool is gone"),
        }
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

fn start(patience: Duration) -> SyncSender<Job> {
    let threads = threads().max(THREADS_LEAST);
    let (sender, receiver) = sync_channel(QUEUE_MAX * threads);
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..threads {
        let receiver = Arc::clone(&receiver);
        std::thread::Builder::new()
            .name(format!("policy-slow-{number}"))
            .spawn(move || serve(&receiver, patience))
            .expect("a process that cannot start a thread cannot serve");
    }
    sender
}

fn serve(receiver: &Mutex<Receiver<Job>>, patience: Duration) {
    loop {
        // The lock is given back before the guest runs.
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
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
