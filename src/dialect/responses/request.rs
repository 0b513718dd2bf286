//! Requests.

use bytes::Bytes;

use crate::dialect::hub::{Request, Untranslatable};
use crate::dialect::request::{Address, BadRequest, Continuation, Peek, Task};
use crate::dialect::target::{Target, Written};

/// Takes out of a body what routing needs.
pub fn peek(_task: Task, _body: &[u8], _address: &Address) -> Result<Peek, BadRequest> {
    Err(BadRequest::new("unsupported", None, "not yet"))
}

/// The request that continues a broken answer at another target of this dialect.
pub fn continue_from(
    _body: &Bytes,
    _peek: &Peek,
    _model: &str,
    _partial: &str,
    _how: Continuation,
) -> Result<Bytes, BadRequest> {
    Err(BadRequest::new("unsupported", None, "not yet"))
}

/// The body with its system prompt put into a template (`{{system}}` stands for
/// the client's own; without it the template replaces it).
#[must_use]
pub fn with_system(body: &Bytes, _template: &str) -> Bytes {
    body.clone()
}

/// Reads a request that passed `peek`.
pub fn read_request<'a>(_body: &'a str, _address: &Address) -> Result<Request<'a>, BadRequest> {
    Err(BadRequest::new("unsupported", None, "not yet"))
}

/// Writes a request for a target of this dialect.
pub fn write_request(
    _request: &Request<'_>,
    _target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    Err(Untranslatable::new("", "not yet"))
}
