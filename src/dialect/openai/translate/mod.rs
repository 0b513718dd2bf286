//! Requests, to and from the internal form. Owns what every field of a chat
//! request means there; must not know other dialects' fields.
//!
//! [`read`] reads the fields, [`turns`] the messages, [`parts`] what they hold;
//! [`write`] writes the fields, [`messages`] the messages with their [`media`],
//! [`tools`] the tools and the promised format; [`system`] puts a system prompt into a template.

mod media;
mod messages;
mod parts;
mod read;
mod system;
mod tools;
mod turns;
mod write;

pub use read::read_request;
pub use system::{inserted, with_system};
pub use tools::{TOOL_NAMES, schema_instruction};
pub use write::write_request;

#[cfg(test)]
mod tests;
