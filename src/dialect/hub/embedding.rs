//! Texts to be embedded, and their vectors, whatever the dialect. Must not know
//! any dialect's fields.

use std::borrow::Cow;

use super::request::Other;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct EmbedRequest<'a> {
    pub inputs: Vec<Cow<'a, str>>,
    pub dimensions: Option<u32>,
    /// The client wants base64 of little-endian 32-bit floats.
    pub base64: bool,
    pub others: Vec<Other<'a>>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Embeddings {
    pub model: String,
    /// In the order of the inputs.
    pub vectors: Vec<Vec<f32>>,
    pub input_tokens: Option<u32>,
}
