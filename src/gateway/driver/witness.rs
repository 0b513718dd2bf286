//! Sees what is decided for a call, for whoever looks on: the journal and the
//! route's shadow. Without them it keeps nothing and copies nothing. It has no
//! effect on the call.

use std::sync::Arc;

use crate::failover::{Decider, Note, Opinion, Question};
use crate::gateway::shadow::{Seen, ShadowOfCall};
use crate::gateway::trace::Trace;
use crate::journal::{self, Journal, OutputFacts, Record};
use crate::policy::{Material, Policy, last_resort};

/// Decisions of a call that are recorded; the rest is counted.
const MOST_RECORDED: usize = 64;

/// See the module.
pub struct Witness {
    journal: Option<Arc<Journal>>,
    shadow: Option<ShadowOfCall>,
    open: Option<Open>,
    decisions: Vec<journal::Decision>,
    left_out: u32,
}

/// A matter that is being decided.
struct Open {
    /// As it was put to the first.
    question: Question,
    material: Material,
    /// What the last one who was asked said.
    opinion: Opinion,
    faults: Vec<(Decider, String)>,
}

impl Witness {
    pub const fn new(journal: Option<Arc<Journal>>, shadow: Option<ShadowOfCall>) -> Self {
        Self { journal, shadow, open: None, decisions: Vec::new(), left_out: 0 }
    }

    const fn looks(&self) -> bool {
        self.journal.is_some() || self.shadow.is_some()
    }

    /// A question is put. One to the next who is asked about the same matter
    /// changes nothing: it is the first one that is kept.
    pub fn asked(&mut self, question: &Question, material: &Material) {
        if !self.looks() {
            return;
        }
        let goes_on = self.open.as_ref().is_some_and(|open| {
            open.question.seed == question.seed && open.question.decider != question.decider
        });
        if !goes_on {
            self.open = Some(Open {
                question: question.clone(),
                material: material.clone(),
                opinion: Opinion::None,
                faults: Vec::new(),
            });
        }
    }

    pub fn answered(&mut self, opinion: &Opinion) {
        if let Some(open) = &mut self.open {
            open.opinion = opinion.clone();
        }
    }

    /// What the heart says came of it.
    pub fn noted(&mut self, note: &Note) {
        if self.open.is_none() {
            return;
        }
        match note {
            Note::Decided { decider, .. } => self.decided(*decider),
            Note::Faulted { decider, reason, .. } => {
                if let Some(open) = &mut self.open {
                    open.faults.push((*decider, reason.clone()));
                }
            }
            Note::PassedOver { .. }
            | Note::Barred { .. }
            | Note::Started { .. }
            | Note::Exempted { .. }
            | Note::Ended { .. }
            | Note::Committed { .. }
            | Note::Circuit { .. }
            | Note::CredentialOut { .. }
            | Note::Waiting { .. } => {}
        }
    }

    fn decided(&mut self, decider: Decider) {
        let Some(open) = self.open.take() else { return };
        let Open { question, material, opinion, faults } = open;
        let opinion = match decider {
            Decider::Policy | Decider::BuiltIn => opinion,
            Decider::Fallback => last_resort(&question),
        };
        let output = material.output.as_deref().map(OutputFacts::of);
        if let Some(shadow) = &self.shadow {
            shadow.show(Seen { question: question.clone(), material, decider, opinion: &opinion });
        }
        if self.journal.is_none() {
            return;
        }
        if self.decisions.len() < MOST_RECORDED {
            self.decisions.push(journal::Decision { question, output, decider, opinion, faults });
        } else {
            self.left_out += 1;
        }
    }

    /// The call is over: hands what was seen to the journal. `policy` is who was
    /// asked first.
    pub fn close(self, trace: &Trace, settings: &Arc<str>, policy: impl FnOnce() -> Arc<Policy>) {
        let Some(journal) = self.journal else { return };
        let policy = policy();
        journal.record(Record {
            call: Arc::clone(&trace.call),
            route: Arc::clone(&trace.route),
            settings: Arc::clone(settings),
            policy: (policy.name().to_owned(), policy.digest().to_string()),
            begun: trace.begun,
            decisions: self.decisions,
            left_out: self.left_out,
            end: journal::End {
                at: trace.ended,
                outcome: trace.end.label(),
                status: trace.end.status(),
                cause: trace.end.cause(),
                attempts: trace.count_attempts(),
                target: trace.target().map(str::to_owned),
            },
        });
    }
}
