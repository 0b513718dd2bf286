//! A stream to a client, in its dialect: events that are written, and frames of
//! the same dialect that pass. Both may follow each other, since another target
//! may continue what the first one began. Owns nothing but the choice of the
//! dialect's writer.

use super::sse::Frame;
use super::stream::Part;
use super::{Dialect, ErrorOut, anthropic, gemini, openai, responses};
use crate::dialect::hub::Event;

/// What a client's answer says of itself, where the provider does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The trace id, for an id.
    pub id: String,
    /// The model the client asked for.
    pub model: String,
    /// Unix time in seconds.
    pub created: u64,
    /// The client asked for token counts at the end of a stream.
    pub include_usage: bool,
    pub framing: Framing,
}

/// How a stream's JSON objects follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Framing {
    #[default]
    Sse,
    /// As elements of one JSON array (Gemini without `alt=sse`).
    Array,
}

/// See the module.
#[derive(Debug)]
pub enum Writer {
    OpenAi(openai::Writer),
    Responses(responses::Writer),
    Anthropic(anthropic::Writer),
    Gemini(gemini::Writer),
}

impl Writer {
    #[must_use]
    pub fn new(dialect: Dialect, head: Head) -> Self {
        match dialect {
            Dialect::OpenAi => Self::OpenAi(openai::Writer::new(head)),
            Dialect::Responses => Self::Responses(responses::Writer::new(head)),
            Dialect::Anthropic => Self::Anthropic(anthropic::Writer::new(head)),
            Dialect::Gemini => Self::Gemini(gemini::Writer::new(head)),
        }
    }

    /// Appends an event's bytes. A `Begin` after the first is ignored: another
    /// target continues.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(writer) => writer.write(event, out),
            Self::Responses(writer) => writer.write(event, out),
            Self::Anthropic(writer) => writer.write(event, out),
            Self::Gemini(writer) => writer.write(event, out),
        }
    }

    /// Takes note of a frame of the same dialect; appends its bytes, as they
    /// came but for the framing. The terminator's wait for `finish`, since what
    /// is owed comes before it.
    pub fn pass(&mut self, frame: &Frame, part: &Part, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(writer) => writer.pass(frame, part, out),
            Self::Responses(writer) => writer.pass(frame, part, out),
            Self::Anthropic(writer) => writer.pass(frame, part, out),
            Self::Gemini(writer) => writer.pass(frame, part, out),
        }
    }

    /// The normal end: whatever is still owed, and the terminator.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(writer) => writer.finish(out),
            Self::Responses(writer) => writer.finish(out),
            Self::Anthropic(writer) => writer.finish(out),
            Self::Gemini(writer) => writer.finish(out),
        }
    }

    /// An error, after which nothing may follow; never a normal terminator.
    pub fn error(&mut self, error: &ErrorOut<'_>, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(writer) => writer.error(error, out),
            Self::Responses(writer) => writer.error(error, out),
            Self::Anthropic(writer) => writer.error(error, out),
            Self::Gemini(writer) => writer.error(error, out),
        }
    }

    /// A sign of life while nothing else is said.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(_) | Self::Responses(_) => self.comment("keep-alive", out),
            Self::Anthropic(_) => {
                out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
            }
            Self::Gemini(_) => {}
        }
    }

    /// A comment that clients skip; nothing where they would choke on it.
    pub fn comment(&mut self, text: &str, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(_) | Self::Responses(_) | Self::Anthropic(_) => {
                out.extend_from_slice(&super::sse::comment(text));
            }
            Self::Gemini(_) => {}
        }
    }
}
