//! One attempt at one target over HTTP: send the request, watch the answer,
//! report what happens. It knows one attempt and nothing of retries, other
//! targets, policies or the client's connection.

mod attempt;
mod endpoint;

pub use attempt::{Attempt, ErrorBody, Expect, Headers, Piece, Report};
pub use endpoint::{Endpoint, EndpointError};
