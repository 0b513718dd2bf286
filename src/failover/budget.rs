//! What may be spent on one target: a sliding window of counts, and the retry
//! and hedge budgets drawn on it.

use std::time::Duration;

use super::rules::TargetRules;
use super::time::Timestamp;

const BUCKETS: usize = 10;

/// Counts of one slice of the window.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub succeeded: u32,
    pub failed: u32,
    pub calls: u32,
    pub retries: u32,
    pub hedges: u32,
}

/// Counts over the last `TargetRules::window`, in ten slices.
#[derive(Clone, Debug)]
pub struct Window {
    slice: Duration,
    buckets: [Counts; BUCKETS],
    /// The number, counted from the origin, of the newest slice.
    newest: u64,
    /// Retries in the second that began at the timestamp, for the least rate.
    second: (Timestamp, u32),
}

impl Window {
    #[must_use]
    pub fn new(length: Duration) -> Self {
        let slice = (length / 10).max(Duration::from_millis(1));
        Self {
            slice,
            buckets: [Counts::default(); BUCKETS],
            newest: 0,
            second: (Timestamp::ORIGIN, 0),
        }
    }

    /// The slice that `now` falls in, after those that have left the window
    /// were emptied.
    pub fn at(&mut self, now: Timestamp) -> &mut Counts {
        let slice = self.slice.as_nanos().max(1);
        let number = u64::try_from(now.since_origin().as_nanos() / slice)
            .unwrap_or(u64::MAX)
            .max(self.newest);
        for stale in (self.newest + 1..=number).take(BUCKETS) {
            self.buckets[index(stale)] = Counts::default();
        }
        if number - self.newest > BUCKETS as u64 {
            self.buckets = [Counts::default(); BUCKETS];
        }
        self.newest = number;
        &mut self.buckets[index(number)]
    }

    /// The sum over the window.
    pub fn sum(&mut self, now: Timestamp) -> Counts {
        let _ = self.at(now);
        self.buckets.iter().fold(Counts::default(), |sum, b| Counts {
            succeeded: sum.succeeded + b.succeeded,
            failed: sum.failed + b.failed,
            calls: sum.calls + b.calls,
            retries: sum.retries + b.retries,
            hedges: sum.hedges + b.hedges,
        })
    }

    /// Forgets the outcomes, not the spending: a target that recovered is not
    /// held to the failures of its outage.
    pub fn forget_outcomes(&mut self) {
        for bucket in &mut self.buckets {
            bucket.succeeded = 0;
            bucket.failed = 0;
        }
    }

    /// Whether one more retry is within the budget.
    pub fn affords_retry(&mut self, rules: &TargetRules, now: Timestamp) -> bool {
        let sum = self.sum(now);
        let second_is_over = now.since(self.second.0) >= Duration::from_secs(1);
        let this_second = if second_is_over { 0 } else { self.second.1 };
        this_second < rules.retry_min_per_second
            || f64::from(sum.retries) < rules.retry_ratio * f64::from(sum.calls)
    }

    /// Whether one more hedge is within the budget: one a window is always.
    pub fn affords_hedge(&mut self, rules: &TargetRules, now: Timestamp) -> bool {
        let sum = self.sum(now);
        rules.hedge_ratio > 0.0
            && f64::from(sum.hedges) < (rules.hedge_ratio * f64::from(sum.calls)).max(1.0)
    }

    pub fn draw(&mut self, draw: Draw, now: Timestamp) {
        let counts = self.at(now);
        match draw {
            Draw::Nothing => counts.calls += 1,
            Draw::Retry => counts.retries += 1,
            Draw::Hedge => {
                counts.retries += 1;
                counts.hedges += 1;
            }
        }
        if draw != Draw::Nothing {
            if now.since(self.second.0) >= Duration::from_secs(1) {
                self.second = (now, 0);
            }
            self.second.1 += 1;
        }
    }
}

fn index(slice: u64) -> usize {
    usize::try_from(slice % BUCKETS as u64).unwrap_or(0)
}

/// What starting an attempt costs the target's budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Draw {
    /// A call's first attempt, or its move to a target in good health.
    Nothing,
    /// A retry on the same target, or a further attempt at a failing one.
    Retry,
    /// An attempt while another of the same call is under way.
    Hedge,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn afforded(calls: u32, tries: u32, now_ms: u64) -> u32 {
        let rules = TargetRules::default();
        let mut window = Window::new(rules.window);
        for _ in 0..calls {
            window.draw(Draw::Nothing, at(now_ms));
        }
        (0..tries)
            .filter(|_| {
                let yes = window.affords_retry(&rules, at(now_ms));
                if yes {
                    window.draw(Draw::Retry, at(now_ms));
                }
                yes
            })
            .count()
            .try_into()
            .expect("few")
    }

    #[test]
    fn retries_are_a_fifth_of_the_calls_and_at_least_one_a_second() {
        assert_eq!(afforded(0, 10, 5_000), 1);
        assert_eq!(afforded(5, 10, 5_000), 1);
        assert_eq!(afforded(100, 1_000, 5_000), 20);
    }

    #[test]
    fn what_left_the_window_is_forgotten() {
        let rules = TargetRules::default();
        let mut window = Window::new(rules.window);
        window.at(at(500)).failed = 3;
        window.at(at(9_500)).failed += 2;
        assert_eq!(window.sum(at(9_999)).failed, 5);
        assert_eq!(window.sum(at(10_500)).failed, 2);
        assert_eq!(window.sum(at(60_000)).failed, 0);
    }

    #[test]
    fn time_that_runs_backwards_counts_in_the_newest_slice() {
        let mut window = Window::new(Duration::from_secs(10));
        window.at(at(9_000)).calls += 1;
        window.at(at(1_000)).calls += 1;
        assert_eq!(window.sum(at(9_000)).calls, 2);
    }

    #[test]
    fn hedges_are_two_in_a_hundred() {
        let rules = TargetRules::default();
        let mut window = Window::new(rules.window);
        for _ in 0..200 {
            window.draw(Draw::Nothing, at(0));
        }
        let mut hedges = 0;
        while window.affords_hedge(&rules, at(0)) {
            window.draw(Draw::Hedge, at(0));
            hedges += 1;
        }
        assert_eq!(hedges, 4);
    }
}
