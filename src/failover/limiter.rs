//! How many calls a target may have in flight: not limited, a number, or a
//! number that adapts (additive increase, multiplicative decrease).

use std::time::Duration;

use super::rules::Concurrency;
use super::time::Timestamp;

/// A limit shrinks at most once in this time: a burst of refusals is one sign.
const SHRINK_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct Limiter {
    rule: Concurrency,
    adapted: f64,
    shrunk: Option<Timestamp>,
}

impl Limiter {
    #[must_use]
    pub fn new(rule: Concurrency) -> Self {
        let adapted = match rule {
            Concurrency::Unlimited | Concurrency::Fixed(_) => f64::INFINITY,
            Concurrency::Adaptive { max } => f64::from(max),
        };
        Self { rule, adapted, shrunk: None }
    }

    /// Whether one more may join those in flight.
    #[must_use]
    pub fn admits(&self, in_flight: u32) -> bool {
        match self.rule {
            Concurrency::Unlimited => true,
            Concurrency::Fixed(limit) => in_flight < limit,
            Concurrency::Adaptive { .. } => f64::from(in_flight) < self.adapted.max(1.0).floor(),
        }
    }

    /// A success while the limit was felt lets it grow by one a round.
    pub fn succeeded(&mut self, in_flight: u32) {
        if let Concurrency::Adaptive { max } = self.rule
            && f64::from(in_flight) * 2.0 >= self.adapted
        {
            self.adapted = (self.adapted + 1.0 / self.adapted.max(1.0)).min(f64::from(max));
        }
    }

    pub fn congested(&mut self, now: Timestamp) {
        let due = self.shrunk.is_none_or(|at| now.since(at) >= SHRINK_INTERVAL);
        if matches!(self.rule, Concurrency::Adaptive { .. }) && due {
            self.adapted = (self.adapted * 0.9).max(1.0);
            self.shrunk = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adaptive_limit_shrinks_once_a_second_and_grows_back() {
        let mut limiter = Limiter::new(Concurrency::Adaptive { max: 20 });
        assert!(limiter.admits(19) && !limiter.admits(20));
        limiter.congested(Timestamp::from_millis(0));
        limiter.congested(Timestamp::from_millis(500));
        assert!(limiter.admits(17) && !limiter.admits(18), "{limiter:?}");
        limiter.congested(Timestamp::from_millis(1_000));
        assert!(!limiter.admits(17), "{limiter:?}");
        for _ in 0..100 {
            limiter.succeeded(16);
        }
        assert!(limiter.admits(19) && !limiter.admits(20), "{limiter:?}");
    }
}
