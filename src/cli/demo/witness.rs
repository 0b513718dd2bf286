//! Watches what is seen from outside: which circuits open and close, and what
//! becomes of the policies. Says when the script may go on. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::book::Page;
use super::script::{BUILT_IN, POLICY, Provider, Until};
use super::stage::{PolicySight, Sight};
use crate::policy::PolicyState;

/// Changes that are remembered; the oldest go first.
const MOST_CHANGES: usize = 200;
/// Calls that must have been decided, or served, before something counts as
/// working.
const ENOUGH_CALLS: u64 = 10;

/// A change that was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Since the beginning.
    pub at: Duration,
    pub what: String,
}

/// A file that did not become a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub reason: String,
    /// The version that went on deciding.
    pub serving: Option<String>,
}

/// A policy that was taken out of service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quarantined {
    pub digest: Option<String>,
    pub faults: u64,
    pub last_fault: String,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Witness {
    last: Option<Sight>,
    changes: VecDeque<Change>,
    pub refused: Option<Refused>,
    pub quarantined: Option<Quarantined>,
}

impl Witness {
    /// Takes in how things are now.
    pub fn look(&mut self, at: Duration, sight: Sight) {
        if let Some(last) = &self.last {
            for what in changes(last, &sight) {
                if self.changes.len() >= MOST_CHANGES {
                    self.changes.pop_front();
                }
                self.changes.push_back(Change { at, what });
            }
        }
        if let Some(reason) = &sight.policy.refusal {
            let serving = sight.policy.digest.clone();
            self.refused.get_or_insert(Refused { reason: reason.clone(), serving });
        }
        if is_out_of_service(&sight.policy) {
            self.quarantined.get_or_insert(Quarantined {
                digest: sight.policy.digest.clone(),
                faults: sight.policy.faults,
                last_fault: sight.policy.last_fault.clone().unwrap_or_default(),
            });
        }
        self.last = Some(sight);
    }

    /// The oldest first.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = &Change> + ExactSizeIterator {
        self.changes.iter()
    }

    pub fn last(&self) -> Option<&Sight> {
        self.last.as_ref()
    }

    /// Whether what a phase is there for has been seen. `page` is its account.
    pub fn has_seen(&self, until: Until, page: &Page) -> bool {
        let Some(sight) = &self.last else { return false };
        match until {
            Until::Over => true,
            Until::Decided => page.decided_by(POLICY) >= ENOUGH_CALLS,
            Until::Refused => self.refused.is_some(),
            Until::Quarantined => self.quarantined.is_some(),
            Until::Recovered => {
                let alpha = Provider::Alpha;
                sight.decider == BUILT_IN
                    && sight.providers[alpha.index()].circuit == "closed"
                    && page.decided_by(BUILT_IN) >= ENOUGH_CALLS
                    && page.served_by(alpha.name()) >= ENOUGH_CALLS
            }
        }
    }
}

fn is_out_of_service(policy: &PolicySight) -> bool {
    match policy.state {
        Some(PolicyState::Quarantined { .. } | PolicyState::OnProbation) => true,
        Some(
            PolicyState::BuiltIn
            | PolicyState::Active
            | PolicyState::Compiling
            | PolicyState::Refused,
        )
        | None => false,
    }
}

fn changes(before: &Sight, after: &Sight) -> Vec<String> {
    let mut changes = Vec::new();
    for provider in Provider::ALL {
        let circuit = |sight: &Sight| sight.providers[provider.index()].circuit;
        let (old, new) = (circuit(before), circuit(after));
        if old != new {
            changes.push(format!("circuit of {}: {old} → {new}", provider.name()));
        }
    }
    let (old, new) = (&before.policy, &after.policy);
    let version = new.digest.as_deref().unwrap_or("none");
    if old.digest != new.digest && new.digest.is_some() {
        changes.push(format!("policy {POLICY}: version {version} is active"));
    }
    if let (true, Some(reason)) = (old.refusal != new.refusal, &new.refusal) {
        changes.push(format!("policy {POLICY}: refused, {version} still decides: {reason}"));
    }
    if is_out_of_service(new) && !is_out_of_service(old) {
        changes.push(format!("policy {POLICY}: version {version} is in quarantine"));
    }
    if before.decider != after.decider {
        changes.push(format!("route: policy {} → {}", before.decider, after.decider));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::stage::ProviderSight;

    fn calm() -> Sight {
        let provider =
            ProviderSight { circuit: "closed", error_rate: 0.0, cooldown: Duration::ZERO };
        let policy =
            PolicySight { state: None, digest: None, refusal: None, last_fault: None, faults: 0 };
        Sight { providers: [provider; 3], policy, decider: POLICY.to_owned() }
    }

    fn check(change: impl Fn(&mut Sight), expected: &[&str]) {
        let mut after = calm();
        change(&mut after);
        let mut witness = Witness::default();
        witness.look(Duration::ZERO, calm());
        witness.look(Duration::from_secs(1), after.clone());
        witness.look(Duration::from_secs(2), after);
        let seen: Vec<_> = witness.changes().map(|change| change.what.as_str()).collect();
        assert_eq!(seen, expected);
        assert!(witness.changes().all(|change| change.at == Duration::from_secs(1)));
    }

    #[test]
    fn every_change_is_told_once() {
        check(|_| {}, &[]);
        check(|s| s.providers[1].circuit = "open", &["circuit of beta: closed → open"]);
        check(
            |s| {
                s.policy.state = Some(PolicyState::Active);
                s.policy.digest = Some("ab".to_owned());
            },
            &["policy favourite: version ab is active"],
        );
        check(
            |s| s.policy.refusal = Some("it is torn".to_owned()),
            &["policy favourite: refused, none still decides: it is torn"],
        );
        check(|s| s.decider = "default".to_owned(), &["route: policy favourite → default"]);
    }

    #[test]
    fn a_phase_waits_for_what_it_is_there_for() {
        let mut witness = Witness::default();
        let mut page = Page::default();
        assert!(!witness.has_seen(Until::Over, &page), "nothing was looked at");
        witness.look(Duration::ZERO, calm());
        assert!(witness.has_seen(Until::Over, &page));
        for until in [Until::Decided, Until::Refused, Until::Quarantined, Until::Recovered] {
            assert!(!witness.has_seen(until, &page), "{until:?}");
        }
        page.policies.insert(format!("{POLICY}@ab"), ENOUGH_CALLS);
        assert!(witness.has_seen(Until::Decided, &page));
        let mut sight = calm();
        sight.policy.refusal = Some("it is torn".to_owned());
        sight.policy.state = Some(PolicyState::OnProbation);
        witness.look(Duration::ZERO, sight);
        assert!(witness.has_seen(Until::Refused, &page));
        assert!(witness.has_seen(Until::Quarantined, &page));
    }
}
