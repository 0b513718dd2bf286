//! The heart: every rule about which attempt, when, for how long, and when to
//! stop. Pure: time is an argument, randomness a seed, and nothing here knows
//! of sockets, WebAssembly, JSON or a provider's name.
//!
//! [`Exchange`] is the machine: events in, actions out. [`Target`] is what is
//! known of a target, shared by all exchanges.

pub mod attempt;
pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod call;
pub mod canary;
pub mod classify;
pub mod consult;
pub mod exchange;
pub mod fallback;
pub mod gist;
pub mod health;
pub mod latency;
pub mod limiter;
pub mod note;
#[cfg(test)]
mod properties;
pub mod refusal;
pub mod rules;
pub mod time;

use std::time::Duration;

pub use attempt::{ErrorReply, Failure, Outcome, Phase, Progress};
pub use call::{AttemptId, Call, CandidateId, Features, Operation, TargetFacts};
pub use classify::FailureClass;
pub use consult::{Answer, Decider, Opinion, Question, Verb};
pub use exchange::{Action, Candidate, Delivery, Event, Exchange, Route, Start};
pub use health::{Credential, Target};
pub use note::Note;
pub use refusal::{Cause, Refusal};
pub use rules::{CallRules, TargetRules};
pub use time::Timestamp;
