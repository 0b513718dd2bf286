//! What holds for every breaker, window and schedule, whatever happens.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Timestamp;
use super::backoff::{Rng, full_jitter};
use super::breaker::{Breaker, Failed, Rate};
use super::budget::{Draw, Window};
use super::call::Circuit;
use super::rules::{BreakerRules, TargetRules};

/// What happens to a breaker's target: the length of the pause before it, and
/// what the one attempt that may be under way does.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Start { early: bool },
    Succeed,
    Fail,
    GiveBack,
}

fn turn() -> impl Strategy<Value = (u64, Turn)> {
    let turn = prop_oneof![
        2 => any::<bool>().prop_map(|early| Turn::Start { early }),
        1 => Just(Turn::Succeed),
        3 => Just(Turn::Fail),
        1 => Just(Turn::GiveBack),
    ];
    (0_u64..3_000, turn)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_breaker_has_one_probe_out_and_rests_no_longer_than_it_may(turns in vec(turn(), 0..60)) {
        let rules = BreakerRules::default();
        let (mut breaker, mut rng) = (Breaker::default(), Rng::new(1));
        let (mut now, mut probe_out) = (Timestamp::ORIGIN, false);
        for (pause_ms, turn) in turns {
            now = now + Duration::from_millis(pause_ms);
            match turn {
                Turn::Start { early } => {
                    if breaker.permits(now, early) {
                        let probe = breaker.take();
                        prop_assert!(!(probe && probe_out), "a second probe");
                        probe_out |= probe;
                    }
                }
                Turn::Succeed => {
                    let _ = breaker.succeeded(probe_out);
                    probe_out = false;
                }
                Turn::Fail => {
                    let rate = Rate { succeeded: 1, failed: 1 };
                    let probe = std::mem::take(&mut probe_out);
                    let failed = Failed { hard: true, probe, rate, least_pause: Duration::ZERO };
                    let _ = breaker.failed(failed, &rules, now, &mut rng);
                }
                Turn::GiveBack => {
                    if std::mem::take(&mut probe_out) {
                        breaker.give_back();
                    }
                }
            }
            prop_assert!(breaker.pause_left(now) <= rules.open_max.mul_f64(1.1));
            let open = breaker.circuit(now) == Circuit::Open;
            prop_assert_eq!(open, !breaker.pause_left(now).is_zero());
            prop_assert!(!open || !breaker.permits(now, false), "a call through an open circuit");
            prop_assert!(!probe_out || !breaker.permits(now, true), "room for a second probe");
        }
    }

    #[test]
    fn a_window_counts_what_is_within_it(pauses_ms in vec(0_u64..4_000, 1..60)) {
        let mut window = Window::new(Duration::from_secs(10));
        let (mut now, mut calls) = (Timestamp::ORIGIN, Vec::new());
        for pause_ms in pauses_ms {
            now = now + Duration::from_millis(pause_ms);
            window.draw(Draw::Nothing, now);
            calls.push(now);
            let within = |length| {
                let length = Duration::from_secs(length);
                u32::try_from(calls.iter().filter(|at| now.since(**at) < length).count())
            };
            // The newest of the ten slices of a second has only begun.
            let (least, most) = (within(9).expect("few"), within(10).expect("few"));
            let counted = window.sum(now).calls;
            prop_assert!((least..=most).contains(&counted), "{counted}, not {least} to {most}");
        }
    }

    #[test]
    fn retries_stay_within_the_budget(calls in 0_u32..200, tries_ms in vec(0_u64..900, 0..100)) {
        let rules = TargetRules::default();
        let mut window = Window::new(rules.window);
        let mut now = Timestamp::ORIGIN;
        for _ in 0..calls {
            window.draw(Draw::Nothing, now);
        }
        let mut retries = 0;
        for pause_ms in tries_ms {
            if now.since_origin() + Duration::from_millis(pause_ms) >= Duration::from_secs(9) {
                break;
            }
            now = now + Duration::from_millis(pause_ms);
            if window.affords_retry(&rules, now) {
                window.draw(Draw::Retry, now);
                retries += 1;
            }
        }
        let a_second = u32::try_from(now.since_origin().as_secs()).expect("few") + 1;
        prop_assert!(retries <= (calls.div_ceil(5)).max(1) + a_second, "{retries} retries");
    }

    #[test]
    fn a_pause_is_never_longer_than_its_ceiling(
        base_ms in 0_u64..10_000, max_ms in 0_u64..100_000, n in any::<u32>(), seed in any::<u64>(),
    ) {
        let (base, max) = (Duration::from_millis(base_ms), Duration::from_millis(max_ms));
        let pause = full_jitter(base, max, n, &mut Rng::new(seed));
        prop_assert!(pause <= max);
        prop_assert!(n > 0 || pause <= base);
    }
}
