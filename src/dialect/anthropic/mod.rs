//! The Anthropic dialect: Messages.

mod answer;
mod error_table;
mod reply;
mod request;
mod stream;
mod writer;

pub use answer::{amend_whole, read_answer, read_whole, write_answer};
pub use error_table::TABLE as ERRORS;
pub use reply::{error_json, models_list};
pub use request::{continue_from, peek, read_request, with_system, write_request};
pub use stream::Decoder;
pub use writer::Writer;
