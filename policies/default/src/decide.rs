//! The decisions of the built-in policy: pure functions of what they are shown.

mod classify;
mod select;
mod settings;
mod validate;

use crate::contract::backstay::policy::types::{Bar, Call, Candidate, Features};

pub use classify::classify;
pub use select::select;
pub use settings::{Preference, Settings};
pub use validate::{AnswerBody, RequestBody, validate};

/// Why this call should not go to a candidate now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Obstacle {
    /// The gateway would refuse the launch.
    Barred(Bar),
    /// It lacks something the request needs.
    Feature,
    /// The request does not fit, or did not fit where the window was as large.
    Window,
}

/// What, if anything, keeps `call` from `candidate`. Reasoning does not: an
/// answer without it is better than none (agents ask for it by default).
/// `too_small` is a context
/// window already known not to hold the request.
pub(crate) fn obstacle(
    call: &Call,
    candidate: &Candidate,
    too_small: Option<u32>,
) -> Option<Obstacle> {
    let needed = call.needs.difference(Features::PREFILL.union(Features::REASONING));
    if !candidate.offers.contains(needed) {
        return Some(Obstacle::Feature);
    }
    if let Some(window) = candidate.context_window {
        let wanted = call.input_tokens.saturating_add(call.max_output_tokens.unwrap_or(0));
        if window < wanted || too_small.is_some_and(|known| window <= known) {
            return Some(Obstacle::Window);
        }
    }
    candidate.barred.map(Obstacle::Barred)
}

/// Numbers from the question's seed (splitmix64): the same question, the same
/// choice.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u32) -> Self {
        Self(u64::from(seed))
    }

    /// A number below `bound`, or zero if that is zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }
}
