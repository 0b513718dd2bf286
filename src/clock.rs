//! The clock: the one place that reads the time of the machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::failover::Timestamp;

/// Tells the time since it was made; the origin of a live run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    origin_unix: Duration,
}

impl Clock {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the owner of the clock")]
    pub fn start() -> Self {
        let origin_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_unix }
    }

    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the owner of the clock")]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_origin(Instant::now().saturating_duration_since(self.origin))
    }

    /// Unix time of the origin.
    #[must_use]
    pub const fn origin_unix(&self) -> Duration {
        self.origin_unix
    }

    /// Unix time now.
    #[must_use]
    pub fn unix(&self) -> Duration {
        self.origin_unix + self.now().since_origin()
    }

    /// The timestamp as the runtime's instant, for its timers.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin + at.since_origin())
    }
}
