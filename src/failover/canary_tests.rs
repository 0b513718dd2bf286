//! Tables of arms, and whether the canary goes on.

use super::super::attempt::Phase;
use super::super::backoff::Rng;
use super::super::classify::FailureClass;
use super::*;

const MARGINS: Margins = Margins { availability: 0.02, latency: 0.25, calls: 200, max_faults: 3 };
const OWN: Lot = Lot { arm: Arm::Own, matched: true };
/// As most of the others' calls are.
const UNMATCHED: Lot = Lot { arm: Arm::Own, matched: false };
const CANARY: Lot = Lot { arm: Arm::Canary, matched: true };

fn delivered(ms: u64) -> CallEnd {
    after(Duration::from_millis(ms))
}

fn after(first: Duration) -> CallEnd {
    CallEnd::Delivered { first, total: first * 2 }
}

/// Calls of both arms in turn, each ended badly after so many that are not (0:
/// never). Returns the canary's call after which it was given up.
fn bad_ends(
    bad: CallEnd,
    calls: u32,
    own_every: u32,
    canary_every: u32,
) -> Option<(u32, &'static str)> {
    let mut canary = Canary::new(MARGINS);
    let end = |n: u32, every: u32| {
        if every > 0 && n.is_multiple_of(every) { bad } else { delivered(100) }
    };
    (1..=calls).find_map(|n| {
        let now = Timestamp::from_millis(u64::from(n) * 20);
        assert_eq!(canary.ended(OWN, end(n, own_every), 1, now), None);
        canary.ended(CANARY, end(n, canary_every), 1, now).map(|why| (n, why.label()))
    })
}

#[test]
fn a_canary_that_delivers_less_is_given_up() {
    for (bad, why) in
        [(CallEnd::Refused, "less-available"), (CallEnd::BadRequest, "more-bad-requests")]
    {
        check_bad_ends(bad, why);
    }
}

fn check_bad_ends(bad: CallEnd, why: &'static str) {
    for (calls, own_every, canary_every, expected) in [
        // As good as the other.
        (2_000, 0, 0, None),
        (2_000, 10, 10, None),
        // Everything fails: judged with its 200th call, not before.
        (2_000, 0, 1, Some((200, why))),
        (199, 0, 1, None),
        // Over the margin, and more than chance.
        (2_000, 0, 10, Some((200, why))),
        // 1 % is within the margin, however long it lasts.
        (20_000, 0, 100, None),
        // Half of the calls fail in both.
        (2_000, 2, 2, None),
        // Over the margin, but no more than chance would do with so few calls.
        (399, 4, 3, None),
        // The canary is the better one.
        (2_000, 5, 0, None),
    ] {
        let found = bad_ends(bad, calls, own_every, canary_every);
        assert_eq!(found, expected, "{calls} calls, {bad:?}: {own_every}, {canary_every}");
    }
}

/// Calls that draw their arms, and are refused by chance, at these rates. Returns
/// the canary's call after which it was given up.
fn by_chance(own_rate: f64, canary_rate: f64, canary_calls: u64, seed: u64) -> Option<u64> {
    let mut canary = Canary::new(MARGINS);
    let mut rng = Rng::new(seed);
    while canary.canary.calls < canary_calls {
        let (lot, rate) =
            if rng.unit() < 0.05 { (CANARY, canary_rate) } else { (UNMATCHED, own_rate) };
        let end = if rng.unit() < rate { CallEnd::Refused } else { delivered(100) };
        if canary.ended(lot, end, 1, Timestamp::from_millis(0)).is_some() {
            return Some(canary.canary.calls);
        }
    }
    None
}

#[test]
fn looking_after_every_call_gives_chance_no_canary() {
    for rate in [0.02, 0.1] {
        let killed = (0..30).filter(|seed| by_chance(rate, rate, 3_000, *seed).is_some()).count();
        assert_eq!(killed, 0, "of 30 that are refused {rate} like the others");
    }
}

#[test]
fn one_that_is_worse_is_found_soon() {
    for seed in 0..30 {
        let found = by_chance(0.02, 0.17, 3_000, seed);
        assert!(found < Some(400) && found.is_some(), "with seed {seed}: {found:?}");
    }
}

/// Lengths around a median, with a tail; returns whether the canary, whose
/// lengths are `factor` times as long, is given up.
fn lengths(factor: f64, calls: u32, seed: u64) -> Option<&'static str> {
    let mut canary = Canary::new(MARGINS);
    let mut rng = Rng::new(seed);
    let mut length = |factor: f64| {
        let unit = f64::from(rng.next_u32()) / f64::from(u32::MAX);
        // Between 100 ms and 1 s, most of it short.
        let ms = 100.0 + 900.0 * unit.powi(6);
        after(Duration::from_secs_f64(ms * factor / 1_000.0))
    };
    (1..=calls).find_map(|n| {
        let now = Timestamp::from_millis(u64::from(n) * 20);
        assert_eq!(canary.ended(OWN, length(1.0), 1, now), None);
        canary.ended(CANARY, length(factor), 1, now).map(Why::label)
    })
}

#[test]
fn a_canary_that_is_slower_is_given_up() {
    for (factor, expected) in [
        (0.5, None),
        (1.0, None),
        (1.1, None),
        (2.5, Some("slower-to-begin")),
        (10.0, Some("slower-to-begin")),
    ] {
        for seed in 0..10 {
            assert_eq!(lengths(factor, 2_000, seed), expected, "{factor} with seed {seed}");
        }
    }
}

#[test]
fn an_equal_canary_lives_as_long_as_it_likes() {
    let killed = (0..20).filter(|seed| lengths(1.0, 10_000, 1_000 + seed).is_some()).count();
    assert_eq!(killed, 0, "of 20 that are no slower");
}

#[test]
fn milliseconds_are_nobodys_concern() {
    let mut canary = Canary::new(MARGINS);
    for n in 0..1_000 {
        let now = Timestamp::from_millis(n * 20);
        assert_eq!(canary.ended(OWN, delivered(1), 1, now), None);
        assert_eq!(canary.ended(CANARY, delivered(4), 1, now), None, "call {n}");
    }
}

#[test]
fn faults_end_it_at_once() {
    let mut canary = Canary::new(MARGINS);
    for _ in 0..10 {
        assert_eq!(canary.faulted(Arm::Own), None, "the other's faults are not the canary's");
    }
    let faults: Vec<_> = (0..3).map(|_| canary.faulted(Arm::Canary)).collect();
    assert_eq!(faults, [None, None, Some(Why::Faults(3))]);
}

#[test]
fn a_good_past_does_not_outweigh_a_bad_present() {
    let mut canary = Canary::new(MARGINS);
    let mut told = |n: u64, end| {
        let now = Timestamp::from_millis(n * 20);
        canary.ended(OWN, delivered(100), 1, now);
        canary.ended(CANARY, end, 1, now)
    };
    assert!((0..10_000).all(|n| told(n, delivered(100)).is_none()));
    let given_up = (10_000..20_000).position(|n| told(n, CallEnd::Refused).is_some());
    assert!(given_up < Some(30), "after {given_up:?} bad calls");
}

#[test]
fn calls_that_are_excused_count_against_nobody() {
    let mut canary = Canary::new(MARGINS);
    for n in 0..1_000 {
        let now = Timestamp::from_millis(n * 20);
        assert_eq!(canary.ended(OWN, delivered(100), 1, now), None);
        assert_eq!(canary.ended(CANARY, CallEnd::Excused, 1, now), None);
    }
    assert_eq!((canary.canary.calls, canary.canary.excused), (1_000, 1_000));
}

#[test]
fn only_the_provider_can_say_that_the_request_is_to_blame() {
    let failure = |status, class, code: &str| Failure {
        phase: Phase::Headers,
        class,
        status,
        code: code.to_owned(),
        message: String::new(),
        retry_after: None,
    };
    for (failure, expected) in [
        (failure(Some(400), FailureClass::BadRequest, ""), true),
        (failure(Some(413), FailureClass::ContextLength, ""), true),
        (failure(None, FailureClass::Unsupported, "audio"), true),
        (failure(Some(500), FailureClass::BadRequest, ""), false),
        (failure(None, FailureClass::BadRequest, ""), false),
        (failure(Some(429), FailureClass::RateLimited, ""), false),
        (failure(Some(404), FailureClass::NotFound, ""), false),
    ] {
        assert_eq!(blames_request(&failure), expected, "{failure:?}");
    }
}

#[test]
fn the_share_is_kept_and_every_id_keeps_its_arm() {
    for share in [0.01, 0.05, 0.3, 0.5] {
        let mut rng = Rng::new(7);
        let lots: Vec<_> = (0..100_000)
            .map(|_| {
                let id = format!("bs-{:016x}", rng.next());
                assert_eq!(Lot::of(&id, share), Lot::of(&id, share));
                Lot::of(&id, share)
            })
            .collect();
        let count = |of: &dyn Fn(&Lot) -> bool| lots.iter().filter(|lot| of(lot)).count() as f64;
        let canaries = count(&|lot| lot.arm == Arm::Canary) / 1e5;
        let matched = count(&|lot| lot.arm == Arm::Own && lot.matched) / 1e5;
        assert!((canaries - share).abs() < 0.005, "{canaries} of {share}");
        assert!((matched - share).abs() < 0.005, "{matched} of {share}");
    }
    // Also of ids that differ only in their last digits.
    let drawn = (0..10_000).filter(|n| Lot::of(&format!("bs-{n:016x}"), 0.05).arm == Arm::Canary);
    let drawn = drawn.count();
    assert!((400..600).contains(&drawn), "{drawn} of 10,000");
}
