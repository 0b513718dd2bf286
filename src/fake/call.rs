//! One call for an answer, with all that the answer shows; the same for every
//! dialect. Pure.

use std::time::Duration;

use super::answer::pieces;
use super::calls::ToolCall;
use super::question::Delivery;
use super::tongue::Tongue;

/// One call, with all that its answer shows.
pub(super) struct Call<'a> {
    pub tongue: Tongue,
    pub provider: &'a str,
    pub model: &'a str,
    pub number: u64,
    /// Seconds since 1970.
    pub created: u64,
    /// What the usage counts.
    pub text: &'a str,
    pub content: Content<'a>,
    /// Reasoning that is shown before the content; none if empty.
    pub thoughts: &'a str,
    /// Calls of tools after the one in the content. They are told whole, once
    /// that one is complete.
    pub more_calls: &'a [ToolCall],
    pub finish: Finish,
    pub prompt_tokens: usize,
    pub include_usage: bool,
    pub chunk_delay: Duration,
    pub delivery: Delivery,
}

impl Call<'_> {
    /// Without those of the reasoning.
    pub fn completion_tokens(&self) -> usize {
        pieces(self.text).count()
    }

    pub fn thought_tokens(&self) -> usize {
        pieces(self.thoughts).count()
    }

    /// The id of the call of a tool at this place, for dialects that have ids.
    pub fn tool_id(&self, prefix: &str, place: usize) -> String {
        match place {
            0 => format!("{prefix}_{}", self.number),
            place => format!("{prefix}_{}_{place}", self.number),
        }
    }

    /// All calls of tools, if the answer ends with them.
    pub fn tool_calls(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = match self.content {
            Content::Tool { name, arguments } => Some((name, arguments)),
            Content::Text(_) | Content::Refusal(_) => None,
        };
        let more = if self.finish == Finish::ToolCalls { self.more_calls } else { &[] };
        let more = more.iter().map(|call| (call.name.as_str(), call.arguments.as_str()));
        first.into_iter().chain(more)
    }
}

/// What an answer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Text(&'a str),
    /// Words in which the model declines.
    Refusal(&'a str),
    /// A call of one function; the arguments are JSON unless a fault cut them.
    Tool {
        name: &'a str,
        arguments: &'a str,
    },
}

impl<'a> Content<'a> {
    /// What is streamed in pieces.
    pub fn text(self) -> &'a str {
        match self {
            Self::Text(text) | Self::Refusal(text) => text,
            Self::Tool { arguments, .. } => arguments,
        }
    }

    pub fn is_tool(self) -> bool {
        match self {
            Self::Tool { .. } => true,
            Self::Text(_) | Self::Refusal(_) => false,
        }
    }

    /// The first pieces of it.
    pub fn cut(self, count: usize) -> Self {
        let text = self.text();
        self.cut_at(pieces(text).take(count).map(str::len).sum())
    }

    /// The first half of it.
    pub fn half(self) -> Self {
        self.cut_at(self.text().floor_char_boundary(self.text().len() / 2))
    }

    fn cut_at(self, end: usize) -> Self {
        match self {
            Self::Text(text) => Self::Text(&text[..end]),
            Self::Refusal(text) => Self::Refusal(&text[..end]),
            Self::Tool { name, arguments } => Self::Tool { name, arguments: &arguments[..end] },
        }
    }
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    Filtered,
    ToolCalls,
    /// The model declined, in words.
    Refused,
}
