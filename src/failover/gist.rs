//! A decision without its texts: what a decision is shown and compared by where
//! nothing of prompts and answers may be kept.

use super::call::CandidateId;
use super::classify::FailureClass;
use super::consult::{Decider, NextStep, Opinion, Ruling, Selection, Verdict};
use super::time::millis;

/// What was decided. Two decisions are the same if their gists are equal: for a
/// plan that is where it begins and whether more launches follow, not when; for
/// a ruling all of it, to the millisecond; of texts, that there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gist {
    Launch {
        first: CandidateId,
        several: bool,
    },
    Wait,
    Defer,
    Answer,
    Refuse {
        status: u16,
    },
    Rule {
        class: FailureClass,
        counts: bool,
        cooldown_ms: u32,
        next: Next,
    },
    Accept,
    Amend,
    Reject {
        counts: bool,
    },
    /// No opinion, or none that could be used.
    Nothing,
}

/// What follows from a failure. A pause is in milliseconds; zero is the pause of
/// the route's schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Retry { pause_ms: u32 },
    Reselect,
    Surface,
}

/// A decision and whose it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    pub decider: Decider,
    pub gist: Gist,
}

impl Taken {
    /// Whether both come to the same. What two policies leave to the gateway is
    /// the same by definition, whatever the gateway made of it at either time.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let by_policy = self.decider == Decider::Policy || other.decider == Decider::Policy;
        !by_policy || self.gist == other.gist
    }
}

impl Gist {
    #[must_use]
    pub fn of(opinion: &Opinion) -> Self {
        match opinion {
            Opinion::None | Opinion::Fault { .. } | Opinion::Unasked { .. } => Self::Nothing,
            Opinion::Select(selection) => Self::of_selection(selection),
            Opinion::Classify(ruling) => Self::of_ruling(ruling),
            Opinion::Validate(Verdict::Accept) => Self::Accept,
            Opinion::Validate(Verdict::Amend(_)) => Self::Amend,
            Opinion::Validate(Verdict::Reject { counts, .. }) => Self::Reject { counts: *counts },
        }
    }

    fn of_selection(selection: &Selection) -> Self {
        match selection {
            Selection::Launch(launches) => match launches.first() {
                Some(first) => Self::Launch { first: first.candidate, several: launches.len() > 1 },
                None => Self::Nothing,
            },
            Selection::Wait(_) => Self::Wait,
            Selection::Defer => Self::Defer,
            Selection::Answer(_) => Self::Answer,
            Selection::Refuse(refusal) => Self::Refuse { status: refusal.status },
        }
    }

    fn of_ruling(ruling: &Ruling) -> Self {
        let next = match ruling.next {
            NextStep::Retry(pause) => Next::Retry { pause_ms: millis(pause) },
            NextStep::Reselect => Next::Reselect,
            NextStep::Surface => Next::Surface,
        };
        Self::Rule {
            class: ruling.class,
            counts: ruling.counts,
            cooldown_ms: millis(ruling.cooldown),
            next,
        }
    }

    /// In a few words; `target` names a candidate.
    #[must_use]
    pub fn describe<'n>(&self, target: impl Fn(CandidateId) -> &'n str) -> String {
        match self {
            Self::Launch { first, several: false } => format!("launch {}", target(*first)),
            Self::Launch { first, several: true } => {
                format!("launch {}, then more", target(*first))
            }
            Self::Wait => "wait".to_owned(),
            Self::Defer => "defer".to_owned(),
            Self::Answer => "answer by itself".to_owned(),
            Self::Refuse { status } => format!("refuse with {status}"),
            Self::Rule { class, counts, cooldown_ms, next } => {
                let counts = if *counts { ", counts" } else { "" };
                let cooldown = match cooldown_ms {
                    0 => String::new(),
                    ms => format!(", cool down {ms} ms"),
                };
                format!("{}: {}{counts}{cooldown}", class.label(), next.describe())
            }
            Self::Accept => "accept".to_owned(),
            Self::Amend => "amend".to_owned(),
            Self::Reject { counts: true } => "reject, counts".to_owned(),
            Self::Reject { counts: false } => "reject".to_owned(),
            Self::Nothing => "no opinion".to_owned(),
        }
    }
}

impl Next {
    fn describe(self) -> String {
        match self {
            Self::Retry { pause_ms: 0 } => "retry".to_owned(),
            Self::Retry { pause_ms } => format!("retry in {pause_ms} ms"),
            Self::Reselect => "reselect".to_owned(),
            Self::Surface => "surface".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::consult::Launch;
    use super::*;

    fn launch(candidates: &[u32]) -> Opinion {
        let launches = candidates.iter().map(|n| Launch::plain(CandidateId(*n)));
        Opinion::Select(Selection::Launch(launches.collect()))
    }

    fn rule(cooldown: u64, next: NextStep) -> Opinion {
        let cooldown = Duration::from_millis(cooldown);
        let class = FailureClass::Timeout;
        Opinion::Classify(Ruling { class, counts: true, cooldown, next })
    }

    fn reject(reason: &str, counts: bool) -> Opinion {
        Opinion::Validate(Verdict::Reject { reason: reason.to_owned(), counts })
    }

    #[test]
    fn what_counts_as_the_same_decision() {
        let wait = |ms| Opinion::Select(Selection::Wait(Duration::from_millis(ms)));
        let retry = |ms| NextStep::Retry(Duration::from_millis(ms));
        let amend = |text: &str| Opinion::Validate(Verdict::Amend(text.to_owned()));
        for (one, other, same) in [
            (launch(&[1]), launch(&[1]), true),
            (launch(&[1]), launch(&[0]), false),
            (launch(&[1]), launch(&[1, 0]), false),
            (launch(&[1, 2]), launch(&[1, 0]), true),
            (wait(5), wait(6), true),
            (wait(5), Opinion::Select(Selection::Defer), false),
            (rule(0, NextStep::Reselect), rule(0, NextStep::Reselect), true),
            (rule(0, NextStep::Reselect), rule(1, NextStep::Reselect), false),
            (rule(0, NextStep::Reselect), rule(0, NextStep::Surface), false),
            (rule(0, retry(0)), rule(0, retry(10)), false),
            (amend("a"), amend("b"), true),
            (reject("a", true), reject("b", true), true),
            (reject("a", true), reject("a", false), false),
            (amend("a"), reject("a", true), false),
        ] {
            assert_eq!(Gist::of(&one) == Gist::of(&other), same, "{one:?} and {other:?}");
        }
    }

    #[test]
    fn what_is_left_to_the_gateway_is_the_same() {
        let taken = |decider, n| Taken { decider, gist: Gist::of(&launch(&[n])) };
        for (one, other, agree) in [
            (taken(Decider::Policy, 0), taken(Decider::Policy, 0), true),
            (taken(Decider::Policy, 0), taken(Decider::Policy, 1), false),
            (taken(Decider::Policy, 0), taken(Decider::BuiltIn, 0), true),
            (taken(Decider::BuiltIn, 0), taken(Decider::Policy, 1), false),
            (taken(Decider::BuiltIn, 0), taken(Decider::BuiltIn, 1), true),
            (taken(Decider::Fallback, 0), taken(Decider::BuiltIn, 1), true),
        ] {
            assert_eq!(one.agrees(&other), agree, "{one:?} and {other:?}");
        }
    }

    #[test]
    fn no_text_is_described() {
        let name = |_: CandidateId| "a/m";
        for (opinion, expected) in [
            (launch(&[0]), "launch a/m"),
            (launch(&[0, 1]), "launch a/m, then more"),
            (rule(7, NextStep::Surface), "timeout: surface, counts, cool down 7 ms"),
            (reject("secret", true), "reject, counts"),
            (Opinion::Validate(Verdict::Amend("secret".to_owned())), "amend"),
            (Opinion::Select(Selection::Answer("secret".to_owned())), "answer by itself"),
        ] {
            assert_eq!(Gist::of(&opinion).describe(name), expected);
        }
    }
}
