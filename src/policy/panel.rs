//! One question put to everybody who has a say, as the heart does within a
//! call: the route's policy, then the built-in, in the end the fallback. For
//! whoever must know what would be decided without a call under way.

use std::sync::Arc;
use std::time::Duration;

use super::{Material, Policy};
use crate::failover::consult::{Admission, Decider, Opinion, Question, Verb};
use crate::failover::fallback;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The route's own policy, if it has one.
    pub own: Option<Arc<Policy>>,
    pub builtin: Arc<Policy>,
}

/// What was decided, by whom, and who failed before.
#[derive(Clone, PartialEq, Debug)]
pub struct Decided {
    pub decider: Decider,
    /// Never `None` or `Fault`, but for a question that shows no failed attempt
    /// to classify.
    pub opinion: Opinion,
    /// Faults and inadmissible answers of those who were asked before.
    pub faults: Vec<(Decider, String)>,
}

impl Panel {
    /// `cooldown_max` is the route's.
    #[must_use]
    pub fn decide(
        &self,
        question: &Question,
        material: &Material,
        cooldown_max: Duration,
    ) -> Decided {
        self.decide_shown(question, &|_| material.clone(), cooldown_max)
    }

    /// The same, where what is shown depends on who looks.
    #[must_use]
    pub fn decide_shown(
        &self,
        question: &Question,
        shown_to: &dyn Fn(Decider) -> Material,
        cooldown_max: Duration,
    ) -> Decided {
        let admission = Admission::of(question, cooldown_max);
        let own = self.own.iter().map(|own| (Decider::Policy, own));
        let mut faults = Vec::new();
        for (decider, policy) in own.chain([(Decider::BuiltIn, &self.builtin)]) {
            let opinion = policy.ask(question, &shown_to(decider));
            match admission.admit(question.verb, &opinion) {
                Ok(true) => return Decided { decider, opinion, faults },
                Ok(false) => {}
                Err(reason) => faults.push((decider, reason)),
            }
        }
        Decided { decider: Decider::Fallback, opinion: last_resort(question), faults }
    }
}

/// What the heart decides when nobody had a usable answer.
#[must_use]
pub fn last_resort(question: &Question) -> Opinion {
    match question.verb {
        Verb::SelectProvider => Opinion::Select(fallback::select(&question.candidates)),
        Verb::ClassifyError { .. } => {
            let failure = question.attempts.last().and_then(|attempt| attempt.failure.as_ref());
            failure.map_or(Opinion::None, |f| Opinion::Classify(fallback::classify(f)))
        }
        Verb::ValidateOutput { .. } => Opinion::Validate(fallback::validate()),
    }
}
