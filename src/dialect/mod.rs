//! The wire formats: requests, answers, streams and errors, as pure functions
//! over bytes. Owns every fact about what a provider or a client's SDK writes;
//! must not know sockets, retries, other targets or configuration.
//!
//! What all dialects share lies here: [`json`] (places in JSON text), [`edit`]
//! (JSON pointers), [`sse`] (frames), [`answer`] (what a policy sees),
//! [`schema`], [`continuation`] (the seam of a continued stream), [`errors`]
//! and [`hints`] (error replies), [`headers`]. What differs is [`openai`].
//! [`Dialect`] is the seam: callers hold one and ask it.

pub mod answer;
mod client;
pub mod continuation;
pub mod edit;
pub mod errors;
pub mod headers;
pub mod hints;
pub mod json;
pub mod openai;
pub mod request;
pub mod schema;
pub mod sse;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::failover::attempt::{ErrorReply, Outcome};
use crate::failover::call::Operation;
use crate::secret::Secret;

pub use answer::{AnswerText, FinishReason};
pub use client::Identity;
pub use continuation::{Misfit, Seam};
pub use openai::reply::{AttemptLine, ErrorOut};
pub use openai::stream::{Content, Part, Reader};
pub use openai::whole::Whole;
pub use request::{BadRequest, Continuation, Peek};
pub use sse::{Frame, Framer};

/// A wire format, of a provider or of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    OpenAi,
}

impl Dialect {
    /// Every dialect with its name in configurations.
    pub const ALL: [(&'static str, Self); 1] = [("openai", Self::OpenAi)];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
        }
    }

    /// What is appended to a provider's `base_url`; `None` for an operation the
    /// dialect does not have.
    #[must_use]
    pub const fn path(self, operation: Operation) -> Option<&'static str> {
        match (self, operation) {
            (Self::OpenAi, Operation::Chat) => Some("/chat/completions"),
            (Self::OpenAi, Operation::Embeddings) => Some("/embeddings"),
            (Self::OpenAi, Operation::Responses | Operation::Other) => None,
        }
    }

    /// Takes out of a request body what routing needs.
    pub fn peek(self, operation: Operation, body: &[u8]) -> Result<Peek, BadRequest> {
        match self {
            Self::OpenAi => openai::request::peek(operation, body),
        }
    }

    /// The request that continues a broken answer at another target.
    pub fn continue_from(
        self,
        body: &Bytes,
        peek: &Peek,
        model: &str,
        partial: &str,
        how: Continuation,
    ) -> Result<Bytes, BadRequest> {
        match self {
            Self::OpenAi => openai::request::continue_from(body, peek, model, partial, how),
        }
    }

    /// A complete body as the frames of a stream.
    #[must_use]
    pub fn whole_as_stream(self, body: &[u8], include_usage: bool) -> Vec<Frame> {
        let frames = match self {
            Self::OpenAi => openai::whole::whole_to_stream(body, include_usage),
        };
        frames.unwrap_or_default().into_iter().map(Frame::parse).collect()
    }

    /// A reader for one stream of a request that asked for this many choices.
    #[must_use]
    pub fn reader(self, choices: u32) -> Reader {
        match self {
            Self::OpenAi => Reader::new(choices),
        }
    }

    /// Reads the complete body of a 200, or says what is wrong with it.
    pub fn read_whole(
        self,
        operation: Operation,
        content_type: Option<&str>,
        body: &[u8],
        secrets: &[&Secret],
    ) -> Result<Whole, Outcome> {
        match self {
            Self::OpenAi => openai::whole::read_whole(operation, content_type, body, secrets),
        }
    }

    /// Reads the error in a response that is no success.
    #[must_use]
    pub fn error_reply(
        self,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        now_unix: Duration,
        secrets: &[&Secret],
    ) -> ErrorReply {
        let table = match self {
            Self::OpenAi => openai::ERRORS,
        };
        errors::error_reply(table, status, headers, body, now_unix, secrets)
    }

    /// The header that carries a target's credential; `None` for a key that
    /// cannot stand in a header.
    #[must_use]
    pub fn auth_header(self, key: &Secret) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::OpenAi => headers::bearer(key),
        }
    }
}
