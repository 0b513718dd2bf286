//! The internal form between two dialects: what a request asks, what an answer
//! says. A dialect is read into it and written from it, so that n dialects need
//! n readers and n writers. Owns those forms and what is done about things that
//! do not fit; must not know any dialect's fields.
//!
//! [`request`] is a request, [`answer`] a whole answer, [`event`] a step of a
//! streamed one, [`embedding`] the same for texts and vectors, [`loss`] what becomes of a thing the target cannot express,
//! [`legend`] what must be undone on the way back.

pub mod answer;
pub mod embedding;
pub mod event;
pub mod legend;
pub mod loss;
pub mod request;

pub use answer::{Answer, Choice, Part};
pub use embedding::{EmbedRequest, Embeddings};
pub use event::{Event, Finish, Usage};
pub use legend::Legend;
pub use loss::{Gravity, Losses, Strictness, Untranslatable};
pub use request::{
    Block, Call, Effort, Format, Media, MediaKind, Other, Reasoning, Request, Role, Sampling,
    Signature, Source, Thought, Tool, ToolChoice, ToolResult, Turn,
};
