//! The Gemini dialect: `generateContent`, whole and streamed, and embeddings.
//! [`request`] works on bytes, [`read`] and [`write`] go to and from the
//! internal form; [`chunk`] reads responses, [`compose`] writes them.

mod answer;
mod chunk;
mod compose;
mod embedding;
mod error_table;
mod fields;
mod passing;
mod read;
mod reply;
mod request;
mod schema;
mod stream;
mod write;
mod writer;

pub use answer::{amend_whole, read_answer, read_whole, write_answer};
pub use embedding::{read_embed, read_vectors, write_embed, write_vectors};
pub use error_table::TABLE as ERRORS;
pub use passing::{with_model, with_signatures};
pub use read::read_request;
pub use reply::{error_json, models_list};
pub use request::{continue_from, peek, with_system};
pub use stream::Decoder;
pub use write::write_request;
pub use writer::Writer;
