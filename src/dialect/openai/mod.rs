//! The `OpenAI` dialect: Chat Completions and Embeddings, as `OpenAI` and the many
//! compatible servers speak them. Pure functions over bytes; must not know
//! sockets, retries or other targets.

mod answer;
mod chunk;
mod compose;
mod decoder;
mod embedding;
mod error_table;
mod ids;
pub mod quirks;
pub mod reply;
pub mod request;
pub mod stream;
mod translate;
pub mod whole;
mod writer;

pub use answer::{read_answer, write_answer};
pub use decoder::Decoder;
pub use embedding::{read_embed, read_vectors, write_embed, write_vectors};
pub use error_table::TABLE as ERRORS;
pub use translate::{TOOL_NAMES, read_request, with_system, write_request};
pub use writer::Writer;
