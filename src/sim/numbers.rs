//! Numbers that are the same on every machine. Of floating point only `+`, `-`,
//! `*`, `/` and `sqrt` are used, which IEEE 754 defines to the last bit; the
//! platform's `ln` and `exp` are not.

use std::f64::consts::LN_2;
use std::time::Duration;

use crate::failover::backoff::Rng;

/// The quantile of the standard normal distribution at 95 %.
const Z95: f64 = 1.644_853_626_951_472_2;
/// Terms of a series: the rest is below the last bit.
const TERMS: u32 = 20;
const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: i64 = 1023;

/// The natural logarithm of a positive, normal number.
#[must_use]
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let biased = i64::try_from(bits >> MANTISSA_BITS).unwrap_or(EXPONENT_BIAS);
    let exponent = biased - EXPONENT_BIAS;
    // In [1, 2).
    let mantissa = f64::from_bits((bits & ((1 << MANTISSA_BITS) - 1)) | (1023 << MANTISSA_BITS));
    // ln m = 2 (s + s³/3 + s⁵/5 + …), with |s| ≤ 1/3.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..TERMS).rev().fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1));
    exponent as f64 * LN_2 + 2.0 * s * series
}

/// e to the power of `x`, for |x| up to 700; beyond that the value there.
#[must_use]
pub fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let twos = (x / LN_2).floor();
    let rest = x - twos * LN_2;
    let series = (1..=TERMS).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    series * power_of_two(twos)
}

/// 2 to the power of a whole number.
fn power_of_two(exponent: f64) -> f64 {
    let base = if exponent < 0.0 { 0.5 } else { 2.0 };
    (0..whole(exponent.abs())).fold(1.0, |power, _| power * base)
}

/// The whole part of a number, at least zero.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, which is what is said"
)]
pub fn whole(x: f64) -> u64 {
    x as u64
}

/// The same, for counts.
#[must_use]
pub fn count(x: f64) -> u32 {
    u32::try_from(whole(x)).unwrap_or(u32::MAX)
}

/// A share of something as a float; zero of nothing.
#[must_use]
pub fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// One draw of the standard normal distribution (Marsaglia's polar method).
fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (u, v) = (2.0 * rng.unit() - 1.0, 2.0 * rng.unit() - 1.0);
        let square = u * u + v * v;
        if square > 0.0 && square < 1.0 {
            return u * (-2.0 * ln(square) / square).sqrt();
        }
    }
}

/// The wait for the next of events that come at this rate, in seconds.
#[must_use]
pub fn exponential(per_second: f64, rng: &mut Rng) -> f64 {
    -ln(1.0 - rng.unit()) / per_second
}

/// How a quantity is spread: milliseconds, or a count.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Distribution {
    Fixed(f64),
    Uniform {
        min: f64,
        max: f64,
    },
    /// As latencies and lengths are: half below the median, few far above.
    LogNormal {
        median: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
}

impl Distribution {
    /// The log-normal one with this median and 95th percentile.
    #[must_use]
    pub fn of_percentiles(p50: f64, p95: f64) -> Self {
        Self::LogNormal { median: p50, sigma: ln(p95 / p50) / Z95 }
    }

    pub fn draw(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::Fixed(value) => *value,
            Self::Uniform { min, max } => min + (max - min) * rng.unit(),
            Self::LogNormal { median, sigma } => median * exp(sigma * normal(rng)),
        }
    }

    /// A draw in milliseconds, as a length of time in whole microseconds.
    pub fn draw_time(&self, rng: &mut Rng) -> Duration {
        from_ms(self.draw(rng))
    }

    /// A draw as a count, at least one.
    pub fn draw_count(&self, rng: &mut Rng) -> u32 {
        count(self.draw(rng) + 0.5).max(1)
    }
}

/// A length given in milliseconds, in whole microseconds.
#[must_use]
pub fn from_ms(ms: f64) -> Duration {
    Duration::from_micros(whole(ms * 1e3 + 0.5))
}

/// A length in microseconds.
#[must_use]
pub fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

/// A draw from weighted choices; `None` if all weights are zero.
pub fn choose<'c, T>(choices: &'c [(T, f64)], rng: &mut Rng) -> Option<&'c T> {
    let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.unit() * total;
    let some = choices.iter().filter(|(_, weight)| *weight > 0.0);
    let mut last = None;
    for (choice, weight) in some {
        last = Some(choice);
        if left < *weight {
            break;
        }
        left -= weight;
    }
    last
}

/// A generator for one purpose: what one part draws changes nothing of what
/// the others do.
#[must_use]
pub fn rng_for(seed: u64, purpose: &str) -> Rng {
    let mixed = purpose.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::new(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_power_agree_with_the_platform() {
        for x in [1e-9, 0.02, 0.5, 0.999, 1.0, 1.5, 2.0, 3.0, 10.0, 12_345.678, 1e18] {
            assert!((ln(x) - x.ln()).abs() <= 1e-14 * x.ln().abs().max(1.0), "ln {x}: {}", ln(x));
        }
        for x in [-30.0, -2.5, -1e-9, 0.0, 1e-3, 0.7, 1.0, 3.3, 40.0, 300.0] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp {x}: {}", exp(x));
        }
    }

    /// The bits themselves: whoever changes the arithmetic changes all results.
    #[test]
    fn the_last_bit_is_fixed() {
        assert_eq!(ln(3.0).to_bits(), 0x3ff1_93ea_7aad_030a);
        assert_eq!(exp(1.0).to_bits(), 0x4005_bf0a_8b14_576a);
    }

    #[test]
    fn distributions_have_the_percentiles_they_were_given() {
        let mut rng = Rng::new(7);
        let latency = Distribution::of_percentiles(400.0, 1_200.0);
        let mut drawn: Vec<f64> = (0..20_000).map(|_| latency.draw(&mut rng)).collect();
        drawn.sort_by(f64::total_cmp);
        let (p50, p95) = (drawn[10_000], drawn[19_000]);
        assert!((380.0..420.0).contains(&p50), "{p50}");
        assert!((1_120.0..1_280.0).contains(&p95), "{p95}");
        let mean: f64 = (0..20_000).map(|_| exponential(4.0, &mut rng)).sum::<f64>() / 20_000.0;
        assert!((0.24..0.26).contains(&mean), "{mean}");
    }

    #[test]
    fn choices_follow_their_weights() {
        let choices = [("never", 0.0), ("rare", 1.0), ("often", 9.0)];
        let mut rng = Rng::new(1);
        let drawn: Vec<_> = (0..1_000).filter_map(|_| choose(&choices, &mut rng)).collect();
        let count = |name| drawn.iter().filter(|drawn| ***drawn == name).count();
        assert_eq!(count("never"), 0);
        assert!((70..130).contains(&count("rare")), "{}", count("rare"));
        assert_eq!(choose(&[("never", 0.0)], &mut rng), None);
    }
}
