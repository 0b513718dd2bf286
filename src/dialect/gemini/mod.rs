//! The Gemini dialect: generateContent.

mod answer;
mod embedding;
mod error_table;
mod reply;
mod request;
mod stream;
mod writer;

pub use answer::{amend_whole, read_answer, read_whole, write_answer};
pub use embedding::{read_embed, read_vectors, write_embed, write_vectors};
pub use error_table::TABLE as ERRORS;
pub use reply::{error_json, models_list};
pub use request::{continue_from, peek, read_request, with_system, write_request};
pub use stream::Decoder;
pub use writer::Writer;
