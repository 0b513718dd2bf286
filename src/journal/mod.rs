//! The journal: what was decided for each call, and on what facts, as lines of
//! JSON in files that are bounded, rotated and versioned; and asking recorded
//! questions again.
//!
//! It owns the format. It must not know HTTP, configuration, or how a call is
//! served. Facts and decisions only: of texts (prompts, answers, what providers
//! and policies say) there are lengths at the most.

mod convert;
mod files;
pub mod format;
mod read;
mod replay;
mod restore;
mod write;

pub use read::{Item, OpenError, Reader, Skipped};
pub use replay::{Count, Difference, RecordedClock, Replay, Report, Unreadable};
pub use write::{Journal, Settings, Status};

use std::sync::Arc;

use crate::failover::{Call, Decider, Opinion, Question, Route, Timestamp};
use crate::policy::{Finish, OutputView};

/// One call, as it is handed to the journal at its end.
#[derive(Debug)]
pub struct Record {
    pub call: Arc<Call>,
    pub route: Arc<Route>,
    /// The policy's settings, as JSON.
    pub settings: Arc<str>,
    /// The policy that was asked first: name and digest.
    pub policy: (String, String),
    pub begun: Timestamp,
    pub decisions: Vec<Decision>,
    /// Decisions beyond those.
    pub left_out: u32,
    pub end: End,
}

/// One matter that was decided.
#[derive(Debug)]
pub struct Decision {
    /// As it was put to the first who was asked.
    pub question: Question,
    /// Of the answer to be validated.
    pub output: Option<OutputFacts>,
    pub decider: Decider,
    pub opinion: Opinion,
    /// Of those who were asked before.
    pub faults: Vec<(Decider, String)>,
}

/// What a policy can tell of an answer without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputFacts {
    pub complete: bool,
    pub text_length: u32,
    pub tool_calls: u32,
    pub finish: Finish,
}

impl OutputFacts {
    #[must_use]
    pub fn of(output: &dyn OutputView) -> Self {
        Self {
            complete: output.complete(),
            text_length: output.text_length(),
            tool_calls: u32::try_from(output.tool_calls().len()).unwrap_or(u32::MAX),
            finish: output.finish(),
        }
    }
}

/// How the call ended.
#[derive(Clone, Debug)]
pub struct End {
    pub at: Timestamp,
    /// `delivered`, `refused` …
    pub outcome: &'static str,
    pub status: u16,
    /// Why it was refused.
    pub cause: Option<&'static str>,
    pub attempts: u32,
    /// The target that answered.
    pub target: Option<String>,
}
