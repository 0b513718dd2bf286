//! The Anthropic dialect: Messages. Pure functions over bytes; must not know
//! sockets, retries or other targets.
//!
//! [`request`] looks at a client's body and splices it, [`read`] makes a hub
//! request of it, [`write`] writes one for a provider ([`turns`] its messages,
//! [`ids`] their names and ids, [`schema`] what its schemas may say). [`answer`]
//! is whole answers, [`stream`] a provider's stream, [`writer`] a client's.
//! [`words`] holds what answers and streams share, [`thoughts`] cuts out what a
//! provider of another dialect thought.

mod answer;
mod error_table;
mod ids;
mod read;
mod reply;
mod request;
mod schema;
mod stream;
mod thoughts;
mod turns;
mod words;
mod write;
mod writer;

#[cfg(test)]
mod tests;

pub use answer::{amend_whole, read_answer, read_whole, write_answer};
pub use error_table::TABLE as ERRORS;
pub use read::read_request;
pub use reply::{error_json, models_list};
pub use request::{continue_from, peek, with_system};
pub use stream::Decoder;
pub use thoughts::own_thoughts;
pub use write::write_request;
pub use writer::Writer;
