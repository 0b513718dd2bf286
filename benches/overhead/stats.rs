//! Figures from measurements.

use std::time::Duration;

use serde::Serialize;

/// A figure of several rounds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// All zero if there are no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first(), values.last()) else {
            return Self::default();
        };
        let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Self { median: f64::midpoint(lower, upper), least: *least, most: *most }
    }
}

/// The least value that `share` of them do not exceed; values in rising order.
pub fn percentile(rising: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index: not negative, and bounded by the length"
    )]
    let index = (rising.len() as f64 * share) as usize;
    rising.get(index.min(rising.len().saturating_sub(1))).copied().unwrap_or_default()
}

pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
