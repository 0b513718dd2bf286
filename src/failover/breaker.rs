//! The circuit of one target: closed, open, half-open with a single probe.

use std::time::Duration;

use super::backoff::{Rng, spread};
use super::call::Circuit;
use super::rules::BreakerRules;
use super::time::Timestamp;

/// A circuit breaker. It is told outcomes and asked for permits; it never looks
/// at a clock.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    /// Hard failures in a row.
    row: u32,
    /// Openings since the circuit was last closed by a probe: the exponent of
    /// the pause.
    openings: u32,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Closed,
    /// Half-open from `until` on.
    Open {
        until: Timestamp,
        probing: bool,
    },
}

/// A change of state, for the log and the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    pub to: Circuit,
    pub why: &'static str,
    /// How long an opened circuit stays open.
    pub pause: Duration,
}

/// What the window says at the moment of a failure.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub succeeded: u32,
    pub failed: u32,
}

impl Rate {
    /// Whether the share of successes is under `least`, with enough samples.
    #[must_use]
    pub fn is_under(self, least: f64, min_samples: u32) -> bool {
        let all = self.succeeded + self.failed;
        all >= min_samples.max(1) && f64::from(self.succeeded) < least * f64::from(all)
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, row: 0, openings: 0 }
    }
}

impl Breaker {
    #[must_use]
    pub fn circuit(&self, now: Timestamp) -> Circuit {
        match self.state {
            State::Closed => Circuit::Closed,
            State::Open { until, .. } if now < until => Circuit::Open,
            State::Open { .. } => Circuit::HalfOpen,
        }
    }

    /// Until the circuit lets a probe through; zero if it does now.
    #[must_use]
    pub fn pause_left(&self, now: Timestamp) -> Duration {
        match self.state {
            State::Closed => Duration::ZERO,
            State::Open { until, .. } => until.since(now),
        }
    }

    #[must_use]
    pub const fn consecutive_failures(&self) -> u32 {
        self.row
    }

    /// Whether an attempt may start. `early` lets a probe through an open
    /// circuit, never a second one.
    #[must_use]
    pub fn permits(&self, now: Timestamp, early: bool) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until, probing } => !probing && (early || now >= until),
        }
    }

    /// Takes the permit; true if the attempt is a probe.
    pub const fn take(&mut self) -> bool {
        match &mut self.state {
            State::Closed => false,
            State::Open { probing, .. } => {
                *probing = true;
                true
            }
        }
    }

    /// A probe ended without saying anything about the target.
    pub const fn give_back(&mut self) {
        match &mut self.state {
            State::Closed => {}
            State::Open { probing, .. } => *probing = false,
        }
    }

    pub fn succeeded(&mut self, probe: bool) -> Option<Change> {
        self.row = 0;
        if !probe || self.state == State::Closed {
            return None;
        }
        *self = Self::default();
        Some(Change { to: Circuit::Closed, why: "the probe succeeded", pause: Duration::ZERO })
    }

    /// `least_pause` is what the provider asked for, if it did. Attempts that
    /// began before the circuit opened say nothing new about an open one.
    pub fn failed(
        &mut self,
        failed: Failed,
        rules: &BreakerRules,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Option<Change> {
        if failed.hard {
            self.row = self.row.saturating_add(1);
        }
        let why = match self.state {
            State::Open { .. } if failed.probe => "the probe failed",
            State::Open { .. } => return None,
            State::Closed if self.row >= rules.consecutive_failures => "failures in a row",
            State::Closed if failed.rate.is_under(rules.success_rate, rules.min_samples) => {
                "success rate too low"
            }
            State::Closed => return None,
        };
        let doubled = rules.open_min.saturating_mul(1 << self.openings.min(16));
        let pause = spread(doubled.min(rules.open_max), rng).max(failed.least_pause);
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open { until: now + pause, probing: false };
        Some(Change { to: Circuit::Open, why, pause })
    }
}

/// One failure, as the breaker needs it.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Counts in the row.
    pub hard: bool,
    pub probe: bool,
    pub rate: Rate,
    pub least_pause: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of `ms event → circuit after it`; events: `fail`, `soft`, `ok`,
    /// `probe` (takes a permit), `probe-ok`, `probe-fail`, `look`.
    fn check(rows: &[(u64, &str, Circuit)]) {
        let rules = BreakerRules::default();
        let mut rng = Rng::new(1);
        let mut breaker = Breaker::default();
        let mut rate = Rate { succeeded: 0, failed: 0 };
        for &(ms, event, expected) in rows {
            let now = Timestamp::from_millis(ms);
            let failed =
                |hard, probe, rate| Failed { hard, probe, rate, least_pause: Duration::ZERO };
            match event {
                "fail" | "soft" => {
                    rate.failed += 1;
                    let _ =
                        breaker.failed(failed(event == "fail", false, rate), &rules, now, &mut rng);
                }
                "ok" => {
                    rate.succeeded += 1;
                    let _ = breaker.succeeded(false);
                }
                "probe" => {
                    assert!(breaker.permits(now, false), "{ms} ms: no permit");
                    assert!(breaker.take(), "{ms} ms: not a probe");
                    assert!(!breaker.permits(now, true), "{ms} ms: a second probe");
                }
                "probe-ok" => {
                    let _ = breaker.succeeded(true).expect("a change");
                    rate = Rate { succeeded: 0, failed: 0 };
                }
                "probe-fail" => {
                    let _ = breaker.failed(failed(true, true, rate), &rules, now, &mut rng);
                }
                "look" => {}
                other => panic!("unknown event {other}"),
            }
            assert_eq!(breaker.circuit(now), expected, "after {event} at {ms} ms");
        }
    }

    #[test]
    fn five_hard_failures_in_a_row_open_it() {
        use Circuit::{Closed, Open};
        let many_ok = std::iter::repeat_n((0, "ok", Closed), 40);
        let four = std::iter::repeat_n((1, "fail", Closed), 4);
        let rows: Vec<_> = many_ok.chain(four).chain([(2, "fail", Open)]).collect();
        check(&rows);
    }

    #[test]
    fn a_success_breaks_the_row_and_a_soft_failure_is_not_in_it() {
        use Circuit::Closed;
        let ok = std::iter::repeat_n((0, "ok", Closed), 100);
        let rest = [
            (1, "fail", Closed),
            (1, "fail", Closed),
            (1, "ok", Closed),
            (1, "fail", Closed),
            (1, "fail", Closed),
            (1, "fail", Closed),
            (1, "soft", Closed),
            (1, "soft", Closed),
        ];
        check(&ok.chain(rest).collect::<Vec<_>>());
    }

    #[test]
    fn under_four_fifths_success_opens_it_with_five_samples() {
        use Circuit::{Closed, Open};
        check(&[
            (0, "ok", Closed),
            (0, "ok", Closed),
            (0, "ok", Closed),
            (0, "soft", Closed),
            (0, "soft", Open),
        ]);
    }

    #[test]
    fn half_open_admits_one_probe_and_the_pause_doubles() {
        use Circuit::{Closed, HalfOpen, Open};
        check(&[
            (0, "fail", Closed),
            (0, "fail", Closed),
            (0, "fail", Closed),
            (0, "fail", Closed),
            (0, "fail", Open),
            (899, "look", Open),
            (1_101, "look", HalfOpen),
            (1_101, "probe", HalfOpen),
            (1_200, "probe-fail", Open),
            (1_200 + 1_799, "look", Open),
            (1_200 + 2_201, "look", HalfOpen),
            (3_500, "probe", HalfOpen),
            (3_600, "probe-ok", Closed),
            (3_600, "fail", Closed),
        ]);
    }

    #[test]
    fn the_provider_s_wish_is_the_least_pause() {
        let mut breaker = Breaker::default();
        let failed = Failed {
            hard: true,
            probe: false,
            rate: Rate { succeeded: 0, failed: 9 },
            least_pause: Duration::from_secs(90),
        };
        let change =
            breaker.failed(failed, &BreakerRules::default(), Timestamp::ORIGIN, &mut Rng::new(3));
        assert_eq!(change.expect("opened").pause, Duration::from_secs(90));
    }
}
