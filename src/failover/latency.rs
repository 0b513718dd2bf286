//! How quick a target is: recent samples with percentiles, and the average
//! that the choice among equals compares.

use std::time::Duration;

use super::time::Timestamp;

/// How long computed percentiles serve before they are computed again.
const FRESH: Duration = Duration::from_millis(250);
/// The time after which an old sample has lost two thirds of its weight.
const DECAY_SECONDS: f64 = 10.0;
/// Beyond so many of these times nothing of a sample is left.
const LONGEST_DECAY: usize = 64;
/// Parts of that time for which the decay is looked up.
const PARTS: usize = 16;
/// e⁻ⁿ and e^(-n/16).
const BY_TIMES: [f64; LONGEST_DECAY] = powers(inverse_exp(1.0));
const BY_PARTS: [f64; PARTS] = powers(inverse_exp(1.0 / 16.0));
/// What a failure is scored as at the least, in milliseconds: a target that
/// fails fast must not look quick.
const FAILURE_MS: f64 = 1_000.0;

/// The last lengths of one kind, so many of them; the oldest goes.
#[derive(Clone, Debug)]
pub struct Samples<const KEPT: usize = 64> {
    ring: [u32; KEPT],
    recorded: u32,
    computed: Option<(Timestamp, Percentiles)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Percentiles {
    pub p50: Duration,
    pub p95: Duration,
}

impl<const KEPT: usize> Default for Samples<KEPT> {
    fn default() -> Self {
        Self { ring: [0; KEPT], recorded: 0, computed: None }
    }
}

impl<const KEPT: usize> Samples<KEPT> {
    pub fn record(&mut self, length: Duration) {
        self.ring[self.recorded as usize % KEPT] = super::time::millis(length);
        self.recorded = self.recorded.saturating_add(1);
        if self.recorded <= 32 {
            self.computed = None;
        }
    }

    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(KEPT).map_or(self.recorded, |kept| self.recorded.min(kept))
    }

    /// How many of the kept samples are longer.
    #[must_use]
    pub fn longer_than(&self, length: Duration) -> u32 {
        let limit = super::time::millis(length);
        let kept = self.ring.iter().take(self.count() as usize);
        u32::try_from(kept.filter(|sample| **sample > limit).count()).unwrap_or(u32::MAX)
    }

    /// Of the kept samples; at most a quarter second old.
    pub fn percentiles(&mut self, now: Timestamp) -> Percentiles {
        if let Some((at, percentiles)) = self.computed
            && now.since(at) < FRESH
        {
            return percentiles;
        }
        let percentiles = self.compute();
        self.computed = Some((now, percentiles));
        percentiles
    }

    fn compute(&self) -> Percentiles {
        let mut sorted = self.ring;
        let sorted = &mut sorted[..self.count() as usize];
        if sorted.is_empty() {
            return Percentiles::default();
        }
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            Duration::from_millis(u64::from(sorted[index]))
        };
        Percentiles { p50: at(50), p95: at(95) }
    }
}

/// A moving average that jumps to every peak and decays from it (finagle's
/// "peak EWMA").
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakEwma {
    value_ms: f64,
    at: Timestamp,
}

impl PeakEwma {
    pub fn record(&mut self, length: Duration, now: Timestamp) {
        let sample = length.as_secs_f64() * 1_000.0;
        let kept = kept(now.since(self.at));
        let blended = self.value_ms * kept + sample * (1.0 - kept);
        self.value_ms = if sample > self.value_ms { sample } else { blended };
        self.at = now;
    }

    /// A failure after this time.
    pub fn punish(&mut self, elapsed: Duration, now: Timestamp) {
        let elapsed_ms = elapsed.as_secs_f64() * 1_000.0;
        let scored = elapsed_ms.max(2.0 * self.value_ms).clamp(FAILURE_MS, 60_000.0);
        self.record(Duration::from_secs_f64(scored / 1_000.0), now);
    }

    /// In milliseconds, at least one; decays while nothing is heard.
    #[must_use]
    pub fn value(&self, now: Timestamp) -> f64 {
        (self.value_ms * kept(now.since(self.at))).max(1.0)
    }
}

/// What is left of a sample's weight: e to the power of minus the time over
/// `DECAY_SECONDS`. Of platforms' own `exp` the last bit differs, and with it a
/// choice between equals: decisions could not be replayed elsewhere.
fn kept(elapsed: Duration) -> f64 {
    let parts = elapsed.as_secs_f64() / DECAY_SECONDS * PARTS as f64;
    let whole = whole(parts);
    let rest = (parts - whole as f64) / PARTS as f64;
    let times = BY_TIMES.get(whole / PARTS).copied().unwrap_or(0.0);
    times * BY_PARTS[whole % PARTS] * inverse_exp(rest)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length is not negative, and the conversion saturates"
)]
const fn whole(x: f64) -> usize {
    x as usize
}

/// e to the power of `-x`, for `x` from 0 to 1.
const fn inverse_exp(x: f64) -> f64 {
    // 1 - x (1 - x/2 (1 - x/3 (…)))
    let mut sum = 1.0;
    let mut n = if x > 0.1 { 20 } else { 8 };
    while n > 0 {
        sum = 1.0 - x * sum / n as f64;
        n -= 1;
    }
    sum
}

/// 1, x, x², …
const fn powers<const N: usize>(x: f64) -> [f64; N] {
    let mut powers = [1.0; N];
    let mut n = 1;
    while n < N {
        powers[n] = powers[n - 1] * x;
        n += 1;
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_known_samples() {
        let mut samples = Samples::<64>::default();
        assert_eq!(samples.percentiles(Timestamp::ORIGIN), Percentiles::default());
        for ms in 1..=20 {
            samples.record(Duration::from_millis(ms));
        }
        let Percentiles { p50, p95 } = samples.percentiles(Timestamp::ORIGIN);
        assert_eq!((p50.as_millis(), p95.as_millis()), (10, 19));
    }

    #[test]
    fn decay_agrees_with_the_exponential() {
        for ms in [0, 1, 620, 625, 3_000, 9_999, 10_000, 35_000, 120_000, 639_999] {
            let elapsed = Duration::from_millis(ms);
            let expected = (-elapsed.as_secs_f64() / DECAY_SECONDS).exp();
            let found = kept(elapsed);
            assert!((found / expected - 1.0).abs() < 1e-12, "{ms} ms: {found} and {expected}");
        }
        assert!(kept(Duration::from_hours(1)) < f64::EPSILON);
    }

    #[test]
    fn a_fast_failure_looks_slow_and_fades() {
        let mut ewma = PeakEwma::default();
        ewma.record(Duration::from_millis(20), Timestamp::ORIGIN);
        ewma.punish(Duration::from_millis(1), Timestamp::ORIGIN);
        assert!(ewma.value(Timestamp::ORIGIN) >= FAILURE_MS);
        assert!(ewma.value(Timestamp::from_millis(60_000)) < 10.0);
    }
}
