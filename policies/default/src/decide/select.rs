//! Where a call goes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{Dice, Obstacle, Preference, Settings, obstacle};
use crate::contract::backstay::policy::types::{
    Attempt, Bar, Call, Candidate, FailureClass, Features, Refusal, Selection,
};

/// The longest pause that is worth making a client wait for (design, "Rules
/// for failover": Retry-After).
const WAIT_MAX_MS: u32 = 5_000;
/// The shortest, so that a full target is not asked for in a tight circle.
const WAIT_MIN_MS: u32 = 50;
/// Candidates a refusal lists with their reasons.
const LISTED_MAX: usize = 16;

/// The best candidate of the lowest tier this call has not tried, or else a
/// short wait, or else a refusal that says why.
#[must_use]
pub fn select(call: &Call, candidates: &[Candidate], attempts: &[Attempt]) -> Selection {
    let too_small = too_small_window(candidates, attempts);
    let mut best: Vec<u32> = Vec::with_capacity(candidates.len());
    let mut best_rank = None;
    for (id, candidate) in (0..).zip(candidates) {
        if obstacle(call, candidate, too_small).is_some() {
            continue;
        }
        let rank = Some(rank(call, candidate));
        if best_rank.is_none() || rank < best_rank {
            best_rank = rank;
            best.clear();
        }
        if rank == best_rank {
            best.push(id);
        }
    }
    match best.as_slice() {
        [] => without_candidate(call, candidates, too_small),
        [only] => Selection::Pick(*only),
        several => Selection::Pick(choose(call, candidates, several)),
    }
}

/// Lower is better; candidates of the same rank are equals. A target this call
/// has not tried comes before a better tier, and so does one that reasons where
/// that is asked for; a continuation prefers, within a tier, a target that
/// continues the text itself.
fn rank(call: &Call, candidate: &Candidate) -> (u32, bool, u32, bool) {
    let offers = |feature| candidate.offers.contains(feature);
    let reasons = !call.needs.contains(Features::REASONING) || offers(Features::REASONING);
    let continues = call.delivered == 0 || offers(Features::PREFILL);
    (candidate.tried, !reasons, candidate.priority, !continues)
}

/// The largest context window that already proved too small for this request.
fn too_small_window(candidates: &[Candidate], attempts: &[Attempt]) -> Option<u32> {
    attempts
        .iter()
        .filter(|attempt| {
            attempt
                .failure
                .as_ref()
                .is_some_and(|failure| failure.failure_class == FailureClass::ContextLength)
        })
        .filter_map(|attempt| candidates.get(attempt.candidate as usize)?.context_window)
        .max()
}

fn choose(call: &Call, candidates: &[Candidate], equals: &[u32]) -> u32 {
    match Settings::read(&call.settings).prefer {
        Preference::Fast => by_load(call.seed, candidates, equals),
        Preference::Cheap => by_price(candidates, equals),
    }
}

/// The lowest price, unknown prices last; the first of equal ones.
fn by_price(candidates: &[Candidate], equals: &[u32]) -> u32 {
    let price = |id: u32| {
        let candidate = &candidates[id as usize];
        Some(candidate.input_price? + candidate.output_price?)
    };
    let cheaper = |a: &u32, b: &u32| match (price(*a), price(*b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    equals.iter().copied().min_by(cheaper).unwrap_or_default()
}

/// The power of two choices: one drawn by weight, another of the rest, and the
/// one with the lower load. Unequal weights are shares that the operator wishes
/// for: only a clear strain overrules what they drew.
fn by_load(seed: u32, candidates: &[Candidate], equals: &[u32]) -> u32 {
    let mut dice = Dice::new(seed);
    let first = by_weight(&mut dice, candidates, equals, None);
    let second = by_weight(&mut dice, candidates, equals, Some(first));
    let (a, b) = (&candidates[first as usize], &candidates[second as usize]);
    let overruled = if a.weight == b.weight {
        b.health.load < a.health.load
    } else {
        strain(a).zip(strain(b)).is_some_and(|(a, b)| b < a * CLEARLY)
    };
    if overruled { second } else { first }
}

/// Half the strain is a clear difference.
const CLEARLY: f64 = 0.5;

/// How long a candidate takes, times how busy it is for its weight. Not its
/// load: that fades while nothing is heard, which makes the one with the
/// smaller share look better the less it is asked. `None` without samples.
fn strain(candidate: &Candidate) -> Option<f64> {
    let usual = f64::from(candidate.health.first_token_p50);
    let busy = f64::from(candidate.health.in_flight) / f64::from(candidate.weight.max(1));
    (usual > 0.0).then_some(usual * (busy + 1.0))
}

/// One drawn by weight, all weights zero counting as equal ones.
fn by_weight(dice: &mut Dice, candidates: &[Candidate], equals: &[u32], not: Option<u32>) -> u32 {
    let rest = || equals.iter().copied().filter(move |id| Some(*id) != not);
    let weight = |id: u32| u64::from(candidates[id as usize].weight);
    let total: u64 = rest().map(weight).sum();
    if total == 0 {
        let count = rest().count() as u64;
        return rest().nth(dice.below(count) as usize).unwrap_or_default();
    }
    let mut left = dice.below(total);
    for id in rest() {
        match left.checked_sub(weight(id)) {
            Some(remaining) => left = remaining,
            None => return id,
        }
    }
    equals[0]
}

/// Waits if a target comes back soon, and refuses otherwise.
fn without_candidate(call: &Call, candidates: &[Candidate], too_small: Option<u32>) -> Selection {
    let obstacles = || candidates.iter().map(|c| (c, obstacle(call, c, too_small)));
    let soonest = obstacles()
        .filter(|(_, obstacle)| obstacle.is_some_and(passes))
        .map(|(candidate, _)| candidate.health.cooldown)
        .min();
    if let Some(cooldown) = soonest {
        let pause = cooldown.max(WAIT_MIN_MS);
        if pause < call.time_left && pause <= WAIT_MAX_MS {
            return Selection::Wait(pause);
        }
    }
    let all = |kind: Obstacle| {
        !candidates.is_empty() && obstacles().all(|(_, obstacle)| obstacle == Some(kind))
    };
    let barred = obstacles().any(|(_, obstacle)| matches!(obstacle, Some(Obstacle::Barred(_))));
    let (status, code) = if all(Obstacle::Window) {
        (400, "context_length_exceeded")
    } else if candidates.is_empty() || barred {
        (503, "no_target_available")
    } else {
        (400, "unsupported")
    };
    let reasons = obstacles().map(|(candidate, obstacle)| (&*candidate.target, obstacle));
    Selection::Refuse(Refusal {
        status,
        code: String::from(code),
        message: message(reasons),
        retry_after: soonest,
    })
}

/// Whether time alone removes the obstacle.
fn passes(obstacle: Obstacle) -> bool {
    match obstacle {
        Obstacle::Barred(bar) => match bar {
            Bar::CircuitOpen | Bar::CoolingDown | Bar::Full => true,
            Bar::CredentialOut | Bar::TriedOut | Bar::Hopeless | Bar::OverBudget => false,
        },
        Obstacle::Feature | Obstacle::Window => false,
    }
}

fn message<'a>(reasons: impl Iterator<Item = (&'a str, Option<Obstacle>)>) -> String {
    let mut text = String::from("no target can take this call");
    for (place, (target, obstacle)) in reasons.enumerate() {
        if place == LISTED_MAX {
            text.push_str("; and others");
            break;
        }
        let reason = obstacle.map_or("usable", describe);
        text.push_str(&format!("{} {target}: {reason}", if place == 0 { ":" } else { ";" }));
    }
    text
}

fn describe(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Feature => "lacks a feature the request needs",
        Obstacle::Window => "context window too small",
        Obstacle::Barred(bar) => match bar {
            Bar::CircuitOpen => "circuit open",
            Bar::CoolingDown => "cooling down",
            Bar::CredentialOut => "credential out",
            Bar::Full => "full",
            Bar::TriedOut => "tried out",
            Bar::Hopeless => "failed for good",
            Bar::OverBudget => "retry budget used up",
        },
    }
}
