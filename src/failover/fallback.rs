//! What happens when no policy has a usable answer.

use super::attempt::Failure;
use super::call::CandidateView;
use super::classify::Weight;
use super::consult::{Launch, NextStep, PolicyRefusal, Ruling, Selection, Verdict};
use super::{CandidateId, Duration};

/// The first target that can be tried: untried before tried, then by priority.
pub fn select(candidates: &[CandidateView]) -> Selection {
    let open = (0..).map(CandidateId).zip(candidates).filter(|(_, c)| c.barred.is_none());
    match open.min_by_key(|(_, c)| (c.tried, c.facts.priority)) {
        Some((id, _)) => Selection::Launch(vec![Launch::plain(id)]),
        None => Selection::Refuse(PolicyRefusal {
            status: 503,
            code: "no_target_available".to_owned(),
            message: "no target can be tried now".to_owned(),
            retry_after: candidates.iter().map(|c| c.health.cooldown).min(),
        }),
    }
}

/// On to another target, unless the request would fail there as well.
pub fn classify(failure: &Failure) -> Ruling {
    let class = failure.class;
    let next = if class.may_pass_elsewhere() { NextStep::Reselect } else { NextStep::Surface };
    Ruling { class, counts: class.weight() != Weight::None, cooldown: Duration::ZERO, next }
}

/// An answer that cannot be checked is delivered.
pub const fn validate() -> Verdict {
    Verdict::Accept
}
