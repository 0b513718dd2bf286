//! What the gateway takes out of a request body, and the splice that puts it to
//! another model: the nouns every dialect shares. Must not know a field's name.

use bytes::Bytes;

use super::json::{self, Patch, Span};
use super::writer::Framing;
pub use crate::failover::call::Continuation;
use crate::failover::call::{Features, Operation};

/// What a client may ask of a model.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Task {
    /// An answer to a conversation.
    Generate,
    /// The vector of a text, or in `OpenAI`'s dialect of several.
    Embed,
    /// The vectors of several texts (Gemini's `batchEmbedContents`).
    EmbedBatch,
    /// How many tokens a request has.
    CountTokens,
}

impl Task {
    pub const ALL: [Self; 4] = [Self::Generate, Self::Embed, Self::EmbedBatch, Self::CountTokens];

    /// As an error names it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Embed | Self::EmbedBatch => "embeddings",
            Self::CountTokens => "count_tokens",
        }
    }

    /// The kind of call it is to policies.
    #[must_use]
    pub const fn operation(self, dialect: super::Dialect) -> Operation {
        match (self, dialect) {
            (Self::Generate, super::Dialect::Responses) => Operation::Responses,
            (Self::Generate, _) => Operation::Chat,
            (Self::Embed | Self::EmbedBatch, _) => Operation::Embeddings,
            (Self::CountTokens, _) => Operation::Other,
        }
    }
}

/// What a request's URL says of it. Only Gemini's says more than the path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Address {
    /// `None`: the body names the model.
    pub model: Option<String>,
    pub stream: bool,
    pub framing: Framing,
}

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
    /// The model's JSON string, with its quotes; `None` where the URL names it.
    pub model_span: Option<Span>,
    /// The conversation's turns: the array of messages, contents or input items
    /// (of the Responses API perhaps a string).
    pub turns: Option<Span>,
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

/// What a target is asked that does not continue a turn of the assistant.
pub const ASK: &str = "Your previous answer was cut off. Continue it exactly where it stopped: begin \
                   with the very next character, repeat nothing of it, and add no introduction, \
                   apology or comment.";

/// The body with another model in it, every other byte as it was. Costs nothing
/// when the model is the same.
#[must_use]
pub fn splice(body: &Bytes, model: Option<&Span>, new_model: &str) -> Bytes {
    let Some(model) = model else { return body.clone() };
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
