//! What a client of a dialect is told: errors, lists, texts of the gateway's
//! own, and the chunks of a stream that another target continues.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::openai::reply::{self, ChunkHead, ErrorOut};
use super::{Dialect, Peek, edit, json, openai, sse};
use crate::dialect::sse::Frame;

/// The id, model and creation time that all chunks of one stream have.
pub type Identity = ChunkHead;

impl Dialect {
    #[must_use]
    pub fn error_body(self, error: &ErrorOut<'_>) -> Bytes {
        match self {
            Self::OpenAi => reply::error_body(error),
        }
    }

    /// The error within a stream; nothing may follow it.
    #[must_use]
    pub fn error_event(self, error: &ErrorOut<'_>) -> Bytes {
        match self {
            Self::OpenAi => reply::error_event(error),
        }
    }

    /// Whether a body is an error as this dialect's clients know it.
    #[must_use]
    pub fn is_error(self, body: &[u8]) -> bool {
        match self {
            Self::OpenAi => {
                edit::json_at(body, "/error").is_some_and(|error| error.starts_with('{'))
            }
        }
    }

    #[must_use]
    pub fn models_list(self, names: &[&str], created_unix: Duration) -> Bytes {
        match self {
            Self::OpenAi => reply::models_list(names.iter().copied(), created_unix.as_secs()),
        }
    }

    /// A complete answer with this text, as a stream if the request asked for one.
    #[must_use]
    pub fn text_answer(
        self,
        id: &str,
        peek: &Peek,
        text: &str,
        created_unix: Duration,
    ) -> (HeaderMap, Bytes) {
        let created = created_unix.as_secs();
        let (content_type, body) = match self {
            Self::OpenAi if peek.stream => {
                let head = ChunkHead::new(id, &peek.model, created);
                let frames = reply::text_stream(&head, text, peek.include_usage);
                ("text/event-stream", Bytes::from(frames.concat()))
            }
            Self::OpenAi => ("application/json", reply::text_whole(id, &peek.model, created, text)),
        };
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        (HeaderMap::from_iter([content_type]), body)
    }

    /// A whole answer with another text.
    #[must_use]
    pub fn amend(self, body: &Bytes, text: &str) -> Bytes {
        match self {
            Self::OpenAi => openai::whole::amend_whole(body, text).unwrap_or_else(|| body.clone()),
        }
    }

    /// A comment that clients skip.
    #[must_use]
    pub fn comment(self, text: &str) -> Bytes {
        match self {
            Self::OpenAi => sse::comment(text),
        }
    }

    /// The normal end of a stream.
    #[must_use]
    pub const fn terminator(self) -> Bytes {
        match self {
            Self::OpenAi => reply::done(),
        }
    }

    /// What the chunks of the stream that begins with this one have in common;
    /// `None` for a chunk that does not say.
    #[must_use]
    pub fn identity(self, frame: &Frame) -> Option<Identity> {
        let data = frame.data.as_deref()?;
        let at = |pointer| edit::json_at(data, pointer);
        match self {
            Self::OpenAi => {
                let id = at("/id").filter(|id| *id != "\"\"")?;
                Some(ChunkHead::raw(Some(id), at("/model"), at("/created")))
            }
        }
    }

    /// The answer text in a chunk.
    #[must_use]
    pub fn text_of(self, frame: &Frame) -> String {
        let data = frame.data.as_deref().unwrap_or_default();
        match self {
            Self::OpenAi => edit::json_at(data, "/choices/0/delta/content")
                .and_then(json::unquote)
                .map(std::borrow::Cow::into_owned)
                .unwrap_or_default(),
        }
    }

    /// A chunk with this text in place of its own.
    #[must_use]
    pub fn with_text(self, frame: &Frame, text: &str) -> Bytes {
        match self.identity(frame) {
            Some(identity) => self.rewrite(frame, &identity, Some(text)),
            None => frame.bytes.clone(),
        }
    }

    /// A chunk of a continuing stream as one of the stream it continues, with
    /// this text in it (`None`: as it is).
    #[must_use]
    pub fn rewrite(self, frame: &Frame, identity: &Identity, text: Option<&str>) -> Bytes {
        let data = frame.data.as_deref().and_then(|data| str::from_utf8(data).ok());
        match self {
            Self::OpenAi => data
                .and_then(|data| reply::rewrite(data, identity, text))
                .unwrap_or_else(|| frame.bytes.clone()),
        }
    }
}
