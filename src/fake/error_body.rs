//! An error answer, before it is framed, and what it may repeat. Pure.

use serde_json::Value;

/// An error answer without its framing.
#[derive(Clone, Debug)]
pub(super) struct ErrorBody {
    pub status: u16,
    pub json: Value,
}

/// What an error answer may repeat of the request.
#[derive(Clone, Copy)]
pub(super) struct Blame<'a> {
    pub model: &'a str,
    /// What the caller authenticated with.
    pub key: &'a str,
}
