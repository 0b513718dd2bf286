//! stub
use crate::dialect::hub::Request;
use crate::dialect::request::{Address, BadRequest};
/// Reads a request that passed `peek`.
pub fn read_request<'a>(_body: &'a str, _address: &Address) -> Result<Request<'a>, BadRequest> {
    Err(BadRequest::new("unsupported", None, "not yet"))
}
