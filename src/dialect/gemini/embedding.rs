//! Embeddings, to and from the internal form.

use bytes::Bytes;

use crate::dialect::hub::{EmbedRequest, Embeddings, Untranslatable};
use crate::dialect::request::BadRequest;
use crate::dialect::target::{Target, Written};

/// Reads a request that passed `peek`: one text, or a batch.
pub fn read_embed(_body: &str) -> Result<EmbedRequest<'_>, BadRequest> {
    Err(BadRequest::new("unsupported", None, "not yet"))
}

/// Writes a request for a target of this dialect, as `batchEmbedContents`.
pub fn write_embed(
    _request: &EmbedRequest<'_>,
    _target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    Err(Untranslatable::new("", "not yet"))
}

/// The vectors in a body that passed `read_whole`.
#[must_use]
pub fn read_vectors(_body: &[u8]) -> Option<Embeddings> {
    None
}

/// The vectors as a whole body: of `embedContent`, or of a batch.
#[must_use]
pub fn write_vectors(_embeddings: &Embeddings, _batch: bool) -> Bytes {
    Bytes::new()
}
