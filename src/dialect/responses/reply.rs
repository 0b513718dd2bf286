//! What the gateway itself says to a client: the same as in Chat Completions.

use bytes::Bytes;

use crate::dialect::{ErrorOut, openai};

/// An error's body, as JSON.
#[must_use]
pub fn error_json(error: &ErrorOut<'_>) -> String {
    openai::reply::error_json(error)
}

/// The models there are.
#[must_use]
pub fn models_list(names: &[&str], created: u64) -> Bytes {
    openai::reply::models_list(names.iter().copied(), created)
}
