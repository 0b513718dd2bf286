//! What the gateway itself says to a client.

use bytes::Bytes;

use crate::dialect::ErrorOut;

/// An error's body, as JSON.
#[must_use]
pub fn error_json(error: &ErrorOut<'_>) -> String {
    error.message.to_owned()
}

/// The models there are.
#[must_use]
pub fn models_list(_names: &[&str], _created: u64) -> Bytes {
    Bytes::new()
}
