//! stub
use crate::dialect::hub::{Request, Untranslatable};
use crate::dialect::target::{Target, Written};
/// Writes a request for a target of this dialect.
pub fn write_request(
    _request: &Request<'_>,
    _target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    Err(Untranslatable::new("", "not yet"))
}
