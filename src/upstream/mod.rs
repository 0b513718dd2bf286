//! One attempt at one target over HTTP: send the request, watch the answer,
//! report what happens. It knows one attempt and nothing of retries, other
//! targets, policies or the client's connection.

mod attempt;
mod endpoint;
mod report;
mod sending;

pub use attempt::Attempt;
pub use endpoint::{Asked, Endpoint, EndpointError};
pub use report::{
    ErrorBody, Expect, Form, Headers, Piece, PieceContent, Report, Whole, WholeContent,
};
