//! A question outside of a call is decided as within one: by the policy, else
//! by the built-in, each held to what can be done.

use std::time::Duration;

use backstay::failover::call::{Bar, CandidateId};
use backstay::failover::classify::FailureClass;
use backstay::failover::consult::{Decider, Launch, Opinion, Selection, Verdict};
use backstay::policy::{Decided, Limits, Panel};

use crate::support::guests::misbehaving;
use crate::support::policies::{
    Fixture, TestClock, builtin_only, candidates, classify, library_of, material, select, validate,
};

const LONGEST_COOLDOWN: Duration = Duration::from_hours(24);

fn panel(fixture: &Fixture) -> Panel {
    Panel { own: Some(fixture.policy("guest")), builtin: fixture.library.builtin() }
}

fn go_to(candidate: u32) -> Opinion {
    Opinion::Select(Selection::Launch(vec![Launch::plain(CandidateId(candidate))]))
}

/// What the guest is told to do, who decides then, and the fault named, if any.
fn check(fixture: &Fixture, deed: &str, by: Decider, fault: Option<&str>) {
    // The built-in would not go to the first; the guest does.
    let mut candidates = candidates(2);
    candidates[0].barred = Some(Bar::CoolingDown);
    let settings = material(&format!(r#"{{"do": "{deed}"}}"#));
    let decided = panel(fixture).decide(&select(candidates), &settings, LONGEST_COOLDOWN);
    let expected = go_to(u32::from(by == Decider::BuiltIn));
    assert_eq!((decided.decider, decided.opinion), (by, expected), "{deed}");
    match (fault, &decided.faults[..]) {
        (None, []) => {}
        (Some(fault), [(Decider::Policy, reason)]) if reason.contains(fault) => {}
        (_, faults) => panic!("{deed}: {faults:?}"),
    }
}

#[test]
fn the_built_in_decides_where_the_policy_does_not() {
    let fixture = library_of(&[("guest", misbehaving())], Limits::default(), &TestClock::default());
    check(&fixture, "", Decider::Policy, None);
    check(&fixture, "none", Decider::BuiltIn, None);
    check(&fixture, "panic", Decider::BuiltIn, Some("unreachable"));
    check(&fixture, "unknown-candidate", Decider::BuiltIn, Some("candidate 99 of 2"));
    check(&fixture, "wait-10-days", Decider::BuiltIn, Some("beyond the deadline"));
}

#[test]
fn every_verb_is_decided() {
    let library = builtin_only();
    let panel = Panel { own: None, builtin: library.builtin() };
    let ask = |question| panel.decide(&question, &material("{}"), LONGEST_COOLDOWN);
    let by_builtin = |decided: Decided| {
        assert_eq!((decided.decider, decided.faults.len()), (Decider::BuiltIn, 0));
        decided.opinion
    };
    assert_eq!(by_builtin(ask(select(candidates(2)))), go_to(0));
    let ruled = by_builtin(ask(classify(candidates(2), FailureClass::BadRequest)));
    assert!(matches!(ruled, Opinion::Classify(ruling) if ruling.class == FailureClass::BadRequest));
    assert_eq!(by_builtin(ask(validate(candidates(2)))), Opinion::Validate(Verdict::Accept));
}
