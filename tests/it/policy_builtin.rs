//! The built-in policy, as a component: it answers, and answers what its logic
//! answers natively.

use backstay::failover::call::CandidateId;
use backstay::failover::classify::FailureClass;
use backstay::failover::consult::{Launch, NextStep, Opinion, Selection, Verdict};

use crate::support::policies::{builtin_only, candidates, classify, material, select, validate};

#[test]
fn the_embedded_component_answers_every_verb() {
    let library = builtin_only();
    let policy = library.current().policy("default").unwrap();
    let material = material("{}");
    assert_eq!(
        policy.ask(&select(candidates(2)), &material),
        Opinion::Select(Selection::Launch(vec![Launch::plain(CandidateId(0))]))
    );
    let ruling = match policy.ask(&classify(candidates(2), FailureClass::Timeout), &material) {
        Opinion::Classify(ruling) => ruling,
        other => panic!("{other:?}"),
    };
    assert_eq!(ruling.next, NextStep::Reselect);
    assert_eq!(policy.ask(&validate(candidates(1)), &material), Opinion::Validate(Verdict::Accept));
    assert_eq!(library.allocation().label(), "pooled");
    eprintln!("{:?}", library.status());
}
