//! The `OpenAI` dialect: Chat Completions and Embeddings, as `OpenAI` and the many
//! compatible servers speak them. Pure functions over bytes; must not know
//! sockets, retries or other targets.

mod chunk;
mod error_table;
pub mod reply;
pub mod request;
pub mod stream;
pub mod whole;

pub use error_table::TABLE as ERRORS;
