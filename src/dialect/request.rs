//! What the gateway takes out of a request body, and the splice that puts it to
//! another model: the nouns every dialect shares. Must not know a field's name.

use bytes::Bytes;

use super::json::{self, Patch, Span};
use crate::failover::call::Features;

/// The client's request is wrong: no target could answer it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    pub message: String,
    /// The field at fault.
    pub param: Option<&'static str>,
    pub code: &'static str,
}

impl BadRequest {
    #[must_use]
    pub fn new(
        code: &'static str,
        param: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self { message: message.into(), param, code }
    }
}

/// What routing needs to know of a request. Spans are places in the body that
/// was peeked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peek {
    pub model: String,
    /// The model's JSON string, with its quotes.
    pub model_span: Span,
    /// The array of messages, of a chat.
    pub messages: Option<Span>,
    pub stream: bool,
    /// The client asked for a usage chunk at the end of the stream.
    pub include_usage: bool,
    /// How many choices the client asked for.
    pub choices: u32,
    pub max_output_tokens: Option<u32>,
    pub needs: Features,
    /// An estimate.
    pub input_tokens: u32,
}

/// How another target is asked to continue a broken answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Continuation {
    /// The answer so far is the last turn; the target continues it.
    Prefill,
    /// A further user turn asks for the rest.
    Ask,
}

/// The body with another model in it, every other byte as it was. Costs nothing
/// when the model is the same.
#[must_use]
pub fn splice(body: &Bytes, model: &Span, new_model: &str) -> Bytes {
    let text = json::quote(new_model);
    if body.get(model.clone()) == Some(text.as_bytes()) {
        return body.clone();
    }
    let mut out = Vec::with_capacity(body.len() - model.len() + text.len());
    out.extend_from_slice(&body[..model.start]);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&body[model.end..]);
    Bytes::from(out)
}

/// A patch that puts this model at that place.
#[must_use]
pub fn model_patch(model: &Span, new_model: &str) -> Patch {
    Patch { span: model.clone(), text: json::quote(new_model) }
}
