//! The steps of a streamed answer, whatever its dialect. Must not know frames.

use crate::dialect::Dialect;
use crate::dialect::answer::FinishReason;

/// One step. Steps of different choices and calls may be interleaved.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The answer begins. Comes at most once, before all others; either name
    /// may be empty where the provider gives none.
    Begin {
        id: String,
        model: String,
    },
    Text {
        choice: u32,
        text: String,
    },
    /// Reasoning. `signature` closes the present thought; see
    /// [`Signature`](super::Signature).
    Thought {
        choice: u32,
        text: String,
        signature: Option<(Dialect, String)>,
        redacted: bool,
    },
    /// The model declines, in these words.
    Refusal {
        choice: u32,
        text: String,
    },
    /// A tool call begins; `call` counts the calls of one choice from 0. The
    /// name is complete. `id` is empty where the provider gives none.
    CallBegin {
        choice: u32,
        call: u32,
        id: String,
        name: String,
        /// It takes free text and no JSON.
        free_text: bool,
        signature: Option<(Dialect, String)>,
    },
    /// More of a call's arguments, as JSON text. Concatenated they may be
    /// empty: then the call has none.
    CallArguments {
        choice: u32,
        call: u32,
        fragment: String,
    },
    /// Content that no other dialect has: audio, citations, a server's tools.
    /// The word says which.
    Opaque {
        choice: u32,
        what: &'static str,
    },
    /// Why a choice stopped.
    Finish {
        choice: u32,
        finish: Finish,
    },
    /// Token counts so far; the last ones count.
    Usage(Usage),
}

impl Event {
    /// Bytes it takes to keep it, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let signed = |signature: &Option<(Dialect, String)>| {
            signature.as_ref().map_or(0, |(_, it)| it.len())
        };
        let texts = match self {
            Self::Begin { id, model } => id.len() + model.len(),
            Self::Text { text, .. } | Self::Refusal { text, .. } => text.len(),
            Self::Thought { text, signature, .. } => text.len() + signed(signature),
            Self::CallBegin { id, name, signature, .. } => {
                id.len() + name.len() + signed(signature)
            }
            Self::CallArguments { fragment, .. } => fragment.len(),
            Self::Finish {
                finish: Finish::StopSequence(Some(text)) | Finish::Other(text), ..
            } => text.len(),
            Self::Finish { .. } | Self::Opaque { .. } | Self::Usage(_) => 0,
        };
        size_of::<Self>() + texts
    }
}

/// Why the model stopped (wire formats §4.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finish {
    Stop,
    /// At this stop sequence, where the provider says which.
    StopSequence(Option<String>),
    Length,
    ToolCalls,
    ContentFilter,
    /// It declined.
    Refusal,
    /// The context window is full.
    ContextFull,
    /// A server-side loop pauses and wants to be continued.
    Paused,
    /// A reason not in this list.
    Other(String),
}

impl Finish {
    /// As a policy sees it.
    #[must_use]
    pub const fn reason(&self) -> FinishReason {
        match self {
            Self::Stop | Self::StopSequence(_) => FinishReason::Stop,
            Self::Length | Self::ContextFull => FinishReason::Length,
            Self::ToolCalls => FinishReason::ToolCalls,
            Self::ContentFilter => FinishReason::ContentFilter,
            Self::Refusal => FinishReason::Refusal,
            Self::Paused | Self::Other(_) => FinishReason::Other,
        }
    }
}

/// Token counts, counted as OpenAI does: the input includes what was cached,
/// the output includes reasoning (wire formats §4.7). Absent is not zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub input: Option<u32>,
    pub cached: Option<u32>,
    pub cache_written: Option<u32>,
    pub output: Option<u32>,
    pub reasoning: Option<u32>,
}

impl Usage {
    /// These counts, where given, over earlier ones.
    #[must_use]
    pub fn over(self, earlier: Self) -> Self {
        Self {
            input: self.input.or(earlier.input),
            cached: self.cached.or(earlier.cached),
            cache_written: self.cache_written.or(earlier.cache_written),
            output: self.output.or(earlier.output),
            reasoning: self.reasoning.or(earlier.reasoning),
        }
    }

    /// Input and output, if either is known.
    #[must_use]
    pub fn total(&self) -> Option<u32> {
        match (self.input, self.output) {
            (None, None) => None,
            (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
        }
    }

    /// Input that was neither read from a cache nor written to one.
    #[must_use]
    pub fn fresh_input(&self) -> Option<u32> {
        let cached = self.cached.unwrap_or(0).saturating_add(self.cache_written.unwrap_or(0));
        self.input.map(|input| input.saturating_sub(cached))
    }

    /// Output that is no reasoning.
    #[must_use]
    pub fn visible_output(&self) -> Option<u32> {
        self.output.map(|output| output.saturating_sub(self.reasoning.unwrap_or(0)))
    }
}
