//! The wire formats: requests, answers, streams and errors, as pure functions
//! over bytes. Owns every fact about what a provider or a client's SDK writes;
//! must not know sockets, retries, other targets or configuration.
//!
//! What differs lies in one module per dialect: [`openai`] (Chat Completions and
//! Embeddings), [`responses`], [`anthropic`], [`gemini`]. [`Dialect`] is the
//! seam: callers hold one and ask it. Between two of them lies the [`hub`], the
//! internal form of requests and answers, and [`translate`] goes across it.
//!
//! What all share: [`json`] (places in JSON text), [`node`] (values, read
//! lazily), [`edit`] (JSON pointers), [`sse`] (frames), [`stream`] (what a frame
//! is), [`whole`] (bodies that are no answer), [`writer`] (a stream to a
//! client), [`answer`] (what a policy sees), [`continuation`] (the seam of a
//! continued stream), [`errors`] and [`hints`] (error replies),
//! [`headers`], [`door`] (clients' paths), [`provider`] (providers' URLs),
//! [`target`] (what models and servers can do), `wording` (what a client calls
//! its fields), [`catalog`] (which model can do
//! what).

pub mod answer;
pub mod anthropic;
pub mod catalog;
pub mod client;
pub mod continuation;
mod digest;
pub mod door;
pub mod edit;
pub mod errors;
pub mod gemini;
pub mod headers;
pub mod hints;
pub mod hub;
pub mod json;
mod names;
pub mod node;
pub mod openai;
mod peeking;
pub mod provider;
pub mod request;
pub mod responses;
pub mod sse;
pub mod stream;
pub mod target;
pub mod translate;
mod uri;
mod waiting;
pub mod whole;
mod wording;
pub mod writer;

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::failover::attempt::{ErrorReply, Outcome};
use crate::secret::Secret;

pub use answer::{AnswerText, CallText, FinishReason};
pub use client::{AttemptLine, ErrorOut};
pub use continuation::{Misfit, Seam};
pub use provider::{ProviderDialect, Site};
pub use request::{Address, BadRequest, Continuation, Peek, Task};
pub use sse::{Frame, Framer};
pub use stream::{Content, Part, Reader};
pub use target::{Abilities, Quirks, Target, Written};
pub use whole::Whole;
pub use writer::{Framing, Head, Writer};

/// A wire format, of a provider or of a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dialect {
    /// Chat Completions and Embeddings.
    OpenAi,
    /// `OpenAI`'s Responses.
    Responses,
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
}

impl Dialect {
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Responses, Self::Anthropic, Self::Gemini];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// Takes out of a request body what routing needs.
    pub fn peek(self, task: Task, body: &[u8], address: &Address) -> Result<Peek, BadRequest> {
        match self {
            Self::OpenAi => openai::request::peek(task, body, address),
            Self::Responses => responses::peek(task, body, address),
            Self::Anthropic => anthropic::peek(task, body, address),
            Self::Gemini => gemini::peek(task, body, address),
        }
    }

    /// The request that continues a broken answer at another target of the
    /// same dialect.
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
            Self::Responses => responses::continue_from(body, peek, model, partial, how),
            Self::Anthropic => anthropic::continue_from(body, peek, model, partial, how),
            Self::Gemini => gemini::continue_from(body, peek, model, partial, how),
        }
    }

    /// What a target of this dialect is shown of the text so far: a last turn of
    /// Anthropic's that ends in white space is refused.
    #[must_use]
    pub fn shown(self, partial: &str, how: Continuation) -> &str {
        match (self, how) {
            (Self::Anthropic, Continuation::Prefill) => partial.trim_end(),
            (Self::OpenAi | Self::Responses | Self::Gemini, Continuation::Prefill)
            | (_, Continuation::Ask) => partial,
        }
    }

    /// A client's own body as a target of its dialect takes it: with the target's
    /// model where the URL is not enough, and without what other providers left
    /// in the conversation (wire formats §4.8).
    #[must_use]
    pub fn adopt(self, body: &Bytes, model: &str, abilities: &Abilities) -> Bytes {
        match self {
            Self::OpenAi => body.clone(),
            Self::Responses => responses::own_reasoning(body),
            Self::Anthropic => anthropic::own_thoughts(body),
            Self::Gemini if abilities.call_signatures => {
                gemini::with_signatures(&gemini::with_model(body, model))
            }
            Self::Gemini => gemini::with_model(body, model),
        }
    }

    /// A body with its system prompt put into a template.
    #[must_use]
    pub fn with_system(self, body: &Bytes, template: &str) -> Bytes {
        match self {
            Self::OpenAi => openai::with_system(body, template),
            Self::Responses => responses::with_system(body, template),
            Self::Anthropic => anthropic::with_system(body, template),
            Self::Gemini => gemini::with_system(body, template),
        }
    }

    /// Reads the complete body of a 200, or says what is wrong with it.
    pub fn read_whole(
        self,
        task: Task,
        content_type: Option<&str>,
        body: &[u8],
        secrets: &[&Secret],
    ) -> Result<Whole, Outcome> {
        match self {
            Self::OpenAi => openai::whole::read_whole(task, content_type, body, secrets),
            Self::Responses => responses::read_whole(task, content_type, body, secrets),
            Self::Anthropic => anthropic::read_whole(task, content_type, body, secrets),
            Self::Gemini => gemini::read_whole(task, content_type, body, secrets),
        }
    }

    /// The answer in a body that passed `read_whole`.
    #[must_use]
    pub fn read_answer(self, body: &[u8]) -> Option<hub::Answer> {
        match self {
            Self::OpenAi => openai::read_answer(body),
            Self::Responses => responses::read_answer(body),
            Self::Anthropic => anthropic::read_answer(body),
            Self::Gemini => gemini::read_answer(body),
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
            Self::Responses => responses::ERRORS,
            Self::Anthropic => anthropic::ERRORS,
            Self::Gemini => gemini::ERRORS,
        };
        errors::error_reply(table, status, headers, body, now_unix, secrets)
    }
}
