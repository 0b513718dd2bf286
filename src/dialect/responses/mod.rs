//! The Responses dialect: the Responses API.
//!
//! [`request`] peeks at requests and splices them, [`reading`] takes them to
//! the internal form and [`writing`] from it; [`answer`] does both for whole
//! answers, [`stream`] reads streams and [`writer`] writes them. [`item`] knows
//! an answer's items, [`response`] the object around them.

mod answer;
mod content;
mod draft;
mod error_table;
mod foreign;
mod input;
mod item;
mod object;
mod passing;
mod reading;
mod reply;
mod request;
mod response;
mod stream;
mod strict;
mod tools;
mod turns;
mod writer;
mod writing;

pub use answer::{amend_whole, read_answer, read_whole, write_answer};
pub use error_table::TABLE as ERRORS;
pub use foreign::own_reasoning;
pub use reading::read_request;
pub use reply::{error_json, models_list};
pub use request::{continue_from, peek, with_system};
pub use stream::Decoder;
pub use writer::Writer;
pub use writing::write_request;
