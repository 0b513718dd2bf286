//! One simulated call: the exchange, its attempts, and what is noted of both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::arrivals::Request;
use super::performance::{Answer, Performance, TOKEN_BYTES};
use super::scenario::Case;
use super::shown::{ShownAnswer, ShownRequest};
use crate::failover::{
    AttemptId, Call, Exchange, FailureClass, Features, Note, Refusal, Timestamp, Verb,
};
use crate::policy::{Material, OutputView, RequestView};

/// How a call ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    Delivered,
    /// A policy answered by itself.
    Answered(String),
    Refused(Refusal),
    Parked,
    ClientGone,
}

impl End {
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Answered(_) => "answered",
            Self::Refused(_) => "refused",
            Self::Parked => "parked",
            Self::ClientGone => "client-gone",
        }
    }

    #[must_use]
    pub const fn is_success(&self) -> bool {
        match self {
            Self::Delivered | Self::Answered(_) => true,
            Self::Refused(_) | Self::Parked | Self::ClientGone => false,
        }
    }

    /// Why there was no answer.
    #[must_use]
    pub const fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Delivered | Self::Answered(_) => None,
            Self::Refused(refusal) => Some(refusal.cause.label()),
            Self::Parked | Self::ClientGone => Some(self.label()),
        }
    }
}

/// One attempt of a call.
#[derive(Debug)]
pub struct Running {
    /// Indices of the world's targets and providers.
    pub target: usize,
    pub provider: usize,
    /// What remains to be reported; empty while it waits for a slot.
    pub performance: Performance,
    pub started: Timestamp,
    /// It began to be worked on.
    pub served: Timestamp,
    /// Nothing more is taken from it.
    pub stopped: bool,
    pub headed: bool,
    /// Text the client had before it.
    pub before: u32,
    /// Tokens it said.
    pub said: u32,
    pub failure: Option<FailureClass>,
    pub judged: bool,
}

impl Running {
    /// Bytes it said.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.said.saturating_mul(TOKEN_BYTES)
    }
}

/// See the module.
#[derive(Debug)]
pub struct SimCall {
    pub number: u64,
    pub request: Request,
    pub call: Arc<Call>,
    pub material: Material,
    pub exchange: Exchange,
    pub attempts: Vec<Running>,
    /// Why each of them was started.
    pub whys: Vec<&'static str>,
    /// The attempt whose text goes to the client.
    pub source: Option<AttemptId>,
    pub amended: Option<String>,
    pub begun: Timestamp,
    pub first_delivered: Option<Timestamp>,
    /// When the queue will wake it.
    pub armed: Option<Timestamp>,
    pub end: Option<End>,
    /// What is scripted of its attempts.
    pub case: Option<Arc<Case>>,
    pub faults: BTreeMap<String, u64>,
}

impl SimCall {
    /// What a policy may read for this question.
    pub fn material_for(&self, verb: Verb) -> Material {
        let output = match verb {
            Verb::SelectProvider | Verb::ClassifyError { .. } => None,
            Verb::ValidateOutput { attempt, complete, .. } => Some(self.shown(attempt, complete)),
        };
        Material { output, ..self.material.clone() }
    }

    fn shown(&self, id: AttemptId, complete: bool) -> Arc<dyn OutputView> {
        let running = &self.attempts[id.index()];
        // Of a whole answer nothing was reported before its end.
        let own = if self.call.streams() {
            running.bytes()
        } else {
            running.performance.answer.tokens.saturating_mul(TOKEN_BYTES)
        };
        Arc::new(ShownAnswer {
            answer: Arc::new(running.performance.answer.clone()),
            bytes: running.before.saturating_add(own),
            json: self.call.needs.contains(Features::JSON_SCHEMA),
            complete,
        })
    }

    /// The text that the client has, or a policy wrote for it.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if let Some(End::Answered(text)) = &self.end {
            return Some(text.clone());
        }
        let id = self.source?;
        let amended = self.amended.clone();
        amended.or_else(|| Some(self.shown(id, true).text(0, u32::MAX)))
    }

    /// Bytes of answer the client has.
    #[must_use]
    pub fn delivered(&self) -> u32 {
        self.source.map_or(0, |id| {
            let running = &self.attempts[id.index()];
            running.before.saturating_add(running.bytes())
        })
    }

    /// Tokens that are still wanted after what the client has.
    #[must_use]
    pub fn tokens_left(&self) -> u32 {
        self.request.output_tokens.saturating_sub(self.delivered() / TOKEN_BYTES).max(1)
    }

    /// Takes in what the heart says of its own steps.
    pub fn note(&mut self, note: &Note) {
        match note {
            Note::Started { why, .. } => self.whys.push(why.label()),
            Note::Ended { attempt, failure } => {
                if let Some(running) = self.attempts.get_mut(attempt.index()) {
                    running.failure = failure.as_ref().map(|failure| failure.class);
                    running.judged = true;
                }
            }
            Note::Faulted { reason, .. } => {
                *self.faults.entry(reason.clone()).or_default() += 1;
            }
            Note::Decided { .. }
            | Note::PassedOver { .. }
            | Note::Barred { .. }
            | Note::Exempted { .. }
            | Note::Committed { .. }
            | Note::Circuit { .. }
            | Note::CredentialOut { .. }
            | Note::Waiting { .. } => {}
        }
    }
}

/// A performance of which nothing is known yet: it waits for a slot.
#[must_use]
pub fn pending() -> Performance {
    let answer = Answer { tokens: 0, text: None, keeps_promise: true };
    Performance { beats: std::collections::VecDeque::new(), answer, work: Duration::ZERO }
}

/// The request as policies may read it.
#[must_use]
pub fn shown_request(request: &Request, model: &str, case: Option<&Case>) -> Arc<dyn RequestView> {
    Arc::new(ShownRequest {
        model: model.to_owned(),
        needs: request.needs,
        headers: case.map(|case| case.headers.clone()).unwrap_or_default(),
        body: case.and_then(|case| case.request.clone()),
    })
}
