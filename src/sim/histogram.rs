//! Lengths of time in bounded memory: buckets whose width is under a sixteenth
//! of their value, counted in integers.

use std::time::Duration;

use super::numbers::micros;

/// Buckets for each doubling.
const STEPS: u64 = 32;
const BITS: u32 = STEPS.ilog2();
/// Up to two to the power of this many microseconds: 19 hours.
const LARGEST: u32 = 36;
const BUCKETS: usize = (LARGEST - BITS + 1) as usize * (1 << BITS);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, length: Duration) {
        let bucket = bucket(micros(length)).min(self.counts.len() - 1);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.total += 1;
    }

    /// The length that this percentage of the recorded ones do not exceed, as
    /// the middle of its bucket; `None` without any.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(Duration::from_micros(middle(bucket)));
            }
        }
        None
    }
}

/// Small values have a bucket each; from `STEPS` on, the highest bits choose.
fn bucket(value: u64) -> usize {
    let doublings = value.max(1).ilog2().saturating_sub(BITS);
    let step = (value >> doublings) & (STEPS - 1);
    let base = if value < STEPS { 0 } else { u64::from(doublings + 1) * STEPS };
    usize::try_from(base + step).unwrap_or(usize::MAX)
}

fn middle(bucket: usize) -> u64 {
    let (group, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match group {
        0 => step,
        group => {
            let doublings = group - 1;
            ((STEPS + step) << doublings) + ((1 << doublings) >> 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_near_the_middle_of_its_bucket() {
        for value in [0, 1, 31, 32, 33, 63, 64, 1_000, 123_456, 7_654_321, 120_000_000] {
            let middle = middle(bucket(value));
            assert!(middle.abs_diff(value) * 32 <= value.max(32), "{value}: {middle}");
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        for ms in 1..=1_000 {
            histogram.record(Duration::from_millis(ms));
        }
        for (percent, expected) in [(50, 500), (95, 950), (99, 990), (100, 1_000)] {
            let found = histogram.percentile(percent).map_or(0, |length| length.as_millis());
            assert!(found.abs_diff(expected) * 20 < expected, "p{percent}: {found}");
        }
    }
}
