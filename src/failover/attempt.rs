//! One try at one target: what can happen to it, as data.

use std::time::Duration;

use super::call::CandidateId;
use super::classify::FailureClass;

/// How far an attempt got.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// Not connected yet.
    Connect,
    /// Waiting for the status line.
    Headers,
    /// Waiting for the first content.
    FirstToken,
    /// Content is arriving.
    Body,
}

impl Phase {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Headers => "headers",
            Self::FirstToken => "first-token",
            Self::Body => "body",
        }
    }
}

/// A provider's error answer, read by the dialect: of any status, also of a
/// 200 whose body or stream carries an error.
#[derive(Clone, PartialEq, Debug)]
pub struct ErrorReply {
    pub status: u16,
    /// What the dialect's table makes of status, code, type and message.
    pub class: FailureClass,
    /// The provider's own code and message, each cut to 512 bytes and freed of
    /// control characters and credentials.
    pub code: String,
    pub message: String,
    /// How long the provider asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// What an attempt's upstream reported at its end.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// The whole answer arrived, with its terminator.
    Completed,
    /// No connection: refused, unresolvable, TLS.
    Unreachable { detail: String },
    /// The connection was not made in time.
    ConnectTimeout,
    /// The connection was lost before any answer.
    Reset { detail: String },
    /// The provider answered with an error.
    Error(ErrorReply),
    /// A 200 that is no answer: empty, HTML, nonsense, short.
    NotAnAnswer { detail: String },
    /// The stream ended or broke without its terminator.
    Cut { detail: String },
    /// A part of the stream could not be read.
    Malformed { detail: String },
    /// A time limit of the heart ran out in this phase.
    TimedOut { phase: Phase },
    /// The answer was rejected by the policy.
    Rejected { reason: String },
    /// The request cannot be put to this target at all: nothing was sent.
    /// `field` is what of the client's request is at fault.
    Unsupported { field: String, detail: String },
    /// The request must be translated for this target, and is malformed by its
    /// own dialect: nothing was sent. A target that takes it as it is may know
    /// better.
    Unreadable { field: String, detail: String },
    /// Ended by us: another attempt won, or the client left.
    Cancelled,
}

/// An attempt that did not succeed, as a question and a trace show it.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    pub phase: Phase,
    pub class: FailureClass,
    pub status: Option<u16>,
    pub code: String,
    pub message: String,
    pub retry_after: Option<Duration>,
}

/// One finished attempt, as a question shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct AttemptView {
    pub candidate: CandidateId,
    pub elapsed: Duration,
    pub first_token: Option<Duration>,
    /// `None` only for an attempt whose answer was accepted.
    pub failure: Option<Failure>,
}

/// What a driver reports while an attempt runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The status line of a success arrived.
    Headers,
    /// Content of a stream arrived. Comments and lifecycle events are none.
    Content {
        /// Bytes of answer text in it.
        text: u32,
        /// The attempt said nothing so far: no text but white space, no call.
        blank: bool,
        /// Whether another target could still continue from here: false once
        /// tool calls, several choices or anything else but text is under way.
        continuable: bool,
    },
    /// The model said why it stopped; only the terminator is missing.
    Finished,
    /// The client does not take what it was sent: the provider is not to blame
    /// for silence until the next report.
    Blocked,
    /// The client takes again what it is sent: silence counts from here.
    Unblocked,
    /// A whole answer outgrew what is held back: deliver it as it comes.
    Overflow,
}
