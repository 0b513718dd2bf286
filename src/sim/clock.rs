//! The time of a run: moved by the events, told to policies' hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::failover::Timestamp;
use crate::policy;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    pub fn set(&self, now: Timestamp) {
        let nanos = u64::try_from(now.since_origin().as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos, Ordering::Relaxed);
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_origin(Duration::from_nanos(self.0.load(Ordering::Relaxed)))
    }

    /// The same clock as policies' hosts ask it.
    #[must_use]
    pub fn of_policies(&self) -> policy::Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}
