//! What crosses from one dialect to another, row by row of the tables that the
//! dialects were made after (wire formats §4): a client's request as another
//! dialect's provider gets it, and that provider's answers, streams and errors
//! as the client reads them. Pure: bytes in, bytes out.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::too_many_lines, reason = "the rows of one table stand together")]
#![expect(clippy::needless_pass_by_value, reason = "what json! makes is given away")]

mod answers;
mod anthropic;
mod anthropic_settings;
mod chat;
mod chat_settings;
mod gemini;
mod golden;
mod long;
mod models;
mod opaque;
mod responses;
mod rows;
mod schemas;
mod streams;
