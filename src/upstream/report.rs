//! What is asked of one attempt, and what it reports: data.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::endpoint::Asked;
use crate::dialect::hub::{Answer, Embeddings, Event, Legend};
use crate::dialect::{AnswerText, Frame, Part, Reader};
use crate::failover::Outcome;

/// What is asked of the provider, and in which form its answer is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expect {
    pub asked: Asked,
    /// Choices asked for (`n`).
    pub choices: u32,
    pub form: Form,
    /// Unix time, for the dates in headers.
    pub unix_now: Duration,
}

/// The form in which an answer is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Form {
    /// As it comes.
    Bytes,
    /// As events: to be spliced to what the client has.
    Events,
    /// In the internal form, since the client speaks another dialect; what the
    /// request's translation changed is undone by this legend.
    Translated(Legend),
}

/// What happened to the attempt.
#[derive(Debug)]
pub enum Report {
    /// The status line and headers of a success.
    Headers(Box<Headers>),
    /// Events of a stream, in order; whatever arrived at once.
    Pieces(Vec<Piece>),
    /// A complete answer.
    Whole(Box<Whole>),
    /// Part of a whole answer that is too large to be held.
    Overflow(Bytes),
    /// The end. Said once, last.
    Ended(Outcome, Option<ErrorBody>),
}

/// What a success says before its body.
#[derive(Debug)]
pub struct Headers {
    /// Those that may be handed on.
    pub forwarded: HeaderMap,
    pub requests_left: Option<u32>,
    pub tokens_left: Option<u32>,
}

/// A complete answer.
#[derive(Debug)]
pub struct Whole {
    /// What a policy sees of it; empty for embeddings.
    pub text: AnswerText,
    pub content: WholeContent,
}

#[derive(Debug)]
pub enum WholeContent {
    Bytes(Bytes),
    Answer(Answer),
    Embeddings(Embeddings),
}

/// One event of a stream.
#[derive(Debug)]
pub struct Piece {
    pub part: Part,
    pub content: PieceContent,
}

#[derive(Debug)]
pub enum PieceContent {
    Frame(Frame),
    /// What a frame says, in the internal form.
    Events(Vec<Event>),
}

impl Piece {
    /// Bytes it takes to keep it, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let content = match &self.content {
            PieceContent::Frame(frame) => frame.bytes.len(),
            PieceContent::Events(events) => events.iter().map(Event::size).sum(),
        };
        size_of::<Self>() + content
    }
}

/// A provider's error as it came, credentials cut out.
#[derive(Clone, Debug)]
pub struct ErrorBody {
    pub content_type: Option<http::HeaderValue>,
    pub body: Bytes,
}

impl Expect {
    /// A reader for a stream of this form.
    pub(super) fn reader(&self) -> Reader {
        match &self.form {
            Form::Bytes => Reader::passing(self.asked.wire, self.choices),
            Form::Events => Reader::decoding(self.asked.wire, self.choices, Legend::default()),
            Form::Translated(legend) => {
                Reader::decoding(self.asked.wire, self.choices, legend.clone())
            }
        }
    }
}
