//! A few threads for policies too slow to run on a thread that serves others.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Material;
use super::handle::Policy;
use crate::failover::consult::{Opinion, Question};
use crate::failover::time::Timestamp;

const THREADS: usize = 2;
/// Questions that wait for a thread; one more is answered with a fault.
const QUEUE_MAX: usize = 64;

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
        let job = Job { policy, question, material, asked_at, reply };
        let queue = self.queue.get_or_init(|| start(self.patience));
        match queue.try_send(job) {
            Ok(()) => answer.await.unwrap_or_else(|_| fault("the policy thread died")),
            Err(TrySendError::Full(_)) => fault("policy pool is full"),
            Err(TrySendError::Disconnected(_)) => fault("policy pool is gone"),
        }
    }
}

/// Not the policy's own fault, so it is not counted as one.
fn fault(reason: &str) -> Opinion {
    Opinion::Fault { reason: reason.to_owned() }
}

fn start(patience: Duration) -> SyncSender<Job> {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..THREADS {
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
            fault("waited too long for a policy thread")
        } else {
            job.policy.ask(&job.question, &job.material)
        };
        // Whoever asked may be gone.
        let _ = job.reply.send(opinion);
    }
}
