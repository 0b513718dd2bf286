//! The schedule of pauses as a value, with jitter from a given seed.

use std::time::Duration;

/// A small generator (splitmix64): good enough for jitter and choices, and the
/// same everywhere for the same seed.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The upper half of the next value.
    pub fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap_or(u32::MAX)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        f64::from(self.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Full jitter: between zero and base × 2ⁿ, at most `max`.
#[must_use]
pub fn full_jitter(base: Duration, max: Duration, n: u32, rng: &mut Rng) -> Duration {
    let ceiling = base.saturating_mul(1_u32.checked_shl(n).unwrap_or(u32::MAX)).min(max);
    ceiling.mul_f64(rng.unit())
}

/// A pause that is a little longer or shorter, so that those who were hit
/// together do not come back together.
#[must_use]
pub fn spread(pause: Duration, rng: &mut Rng) -> Duration {
    pause.mul_f64(0.9 + 0.2 * rng.unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_under_its_doubling_ceiling() {
        let (base, max) = (Duration::from_millis(250), Duration::from_secs(8));
        let mut rng = Rng::new(7);
        for (n, ceiling_ms) in
            [(0, 250), (1, 500), (3, 2_000), (5, 8_000), (31, 8_000), (64, 8_000)]
        {
            let pauses: Vec<_> = (0..200).map(|_| full_jitter(base, max, n, &mut rng)).collect();
            let longest = pauses.iter().max().expect("200 pauses").as_millis();
            assert!(longest <= ceiling_ms, "n={n}: {longest} ms over {ceiling_ms} ms");
            assert!(longest > ceiling_ms * 9 / 10, "n={n}: the range is used up to {longest} ms");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_values() {
        let (mut a, mut b) = (Rng::new(42), Rng::new(42));
        assert!((0..100).all(|_| a.next() == b.next()));
    }
}
