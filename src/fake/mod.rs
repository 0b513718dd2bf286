//! A provider that breaks on purpose, on real sockets, healthy or with exactly
//! one fault, in every dialect: `OpenAI`'s Chat Completions, Embeddings and
//! Responses, Azure's paths for them, Anthropic's Messages, and Gemini's
//! `generateContent` and its relatives. The path says which:
//!
//! ```text
//! POST /v1/chat/completions  /v1/embeddings            key: authorization
//! POST /v1/responses  /v1/responses/input_tokens       key: authorization
//! POST /v1/messages  /v1/messages/count_tokens         key: x-api-key, authorization
//! POST /v1beta/models/MODEL:generateContent  :streamGenerateContent[?alt=sse]
//!      :countTokens  :embedContent  :batchEmbedContents
//!                                                      key: x-goog-api-key, ?key=
//! POST /openai/deployments/MODEL/chat/completions  /embeddings (?api-version=)
//! POST /openai/v1/chat/completions  /embeddings  /responses
//!                                                      key: api-key, authorization
//! GET  /v1/models  /v1beta/models  /openai/v1/models
//! ```
//!
//! `/v1` and `/v1beta` may be left out, and Gemini takes both.
//!
//! It owns its sockets down to the last byte, because many faults lie below
//! HTTP. It knows nothing of the rest of the gateway: a test that compares the
//! two must not share their mistakes.
//!
//! # How a fault is picked
//!
//! By the server's [`Behaviour`], or by the model name of a call:
//! `fault-SPEC` or `any-model!SPEC`, where
//!
//! ```text
//! SPEC = PART *( "+" PART )
//! PART = NAME [ (":" | "=") ARG *( ":" ARG ) ]
//! ARG  = KEY "=" VALUE | VALUE          ; a bare VALUE is the first parameter
//! ```
//!
//! for example `fault-429:retry-after=2`, `gpt-x!stall:after=5+words=20`,
//! `gpt-x!500+once`, `fault-503+flap=3/2`. At most one PART names a fault; the
//! others say how a healthy answer looks and when the fault strikes. A SPEC in
//! a model name starts from the server's settings. [`FAULTS`] lists all parts.
//!
//! # What a healthy answer is
//!
//! [`answer`]`(last user message, words)`: the same from every provider and
//! model, in every dialect, so that a test can check the whole of it, and every
//! continuation. A request that forces a tool gets a call of it, with arguments
//! that fit its schema; the result of a tool is answered with text again.
//!
//! # How the dialects are kept apart
//!
//! A dialect reads a request into a `Question` and puts a `Call` into words;
//! between the two nothing knows which it is, and `Tongue` is where the two
//! meet. Each refuses what its provider refuses and a translation may get
//! wrong, in that provider's words.

mod answer;
mod anthropic;
mod behaviour;
mod call;
mod calls;
mod connection;
mod door;
mod error_body;
mod gemini;
mod grammar;
mod http;
mod log;
mod openai;
mod part;
mod question;
mod reply;
mod responses;
mod route;
mod script;
mod server;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tongue;
mod vectors;
mod whole;

pub use answer::{DEFAULT_WORDS, answer};
pub use behaviour::{Behaviour, Continues};
pub use grammar::{FAULTS, SpecError};
pub use log::{Counts, Seen};
pub use server::{Options, Server};
