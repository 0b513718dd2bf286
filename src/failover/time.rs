//! Time as the heart sees it: a length since an origin that the driver chose.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, as the length since the run's origin. The live driver's
/// origin is the start of the process, the simulated driver's is zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(Duration);

impl Timestamp {
    pub const ORIGIN: Self = Self(Duration::ZERO);

    #[must_use]
    pub const fn from_origin(length: Duration) -> Self {
        Self(length)
    }

    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The length since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(length))
    }
}

/// A length in whole milliseconds, as policies are told it; saturates.
#[must_use]
pub fn millis(length: Duration) -> u32 {
    u32::try_from(length.as_millis()).unwrap_or(u32::MAX)
}
