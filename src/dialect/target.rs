//! What the writers of requests must know of a target: its model's abilities
//! and its server's deviations, as data. Must not know where they come from.

use bytes::Bytes;

use super::hub::{Legend, Strictness};

/// A target, as a request is written for it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Target<'a> {
    pub model: &'a str,
    pub abilities: &'a Abilities,
    pub quirks: Quirks,
    pub strictness: Strictness,
}

/// A request as written for a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub body: Bytes,
    /// The client's fields that were dropped, for the client.
    pub dropped: Vec<String>,
    pub legend: Legend,
}

/// When a model takes `temperature`, `top_p` and `top_k`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SamplingRule {
    Always,
    /// Only while it does not reason (effort `none`); GPT-5.x.
    WithoutReasoning,
    Never,
}

/// How a model is told to think.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thinking {
    /// It cannot.
    No,
    /// By a budget of tokens.
    Budget,
    /// By an effort, a level, or adaptively.
    Effort,
    /// Either way.
    Both,
}

/// What one model can do, where models of one dialect differ (wire formats §4.6).
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name")]
pub struct Abilities {
    pub sampling: SamplingRule,
    /// A tool call can be demanded.
    pub forced_tools: bool,
    pub thinking: Thinking,
    /// Thinking cannot be switched off.
    pub always_thinks: bool,
    /// It continues a trailing turn of the assistant.
    pub prefill: bool,
    /// It takes a JSON Schema for its answer.
    pub structured_output: bool,
    /// It takes system turns within the conversation (Anthropic).
    pub system_turns: bool,
    /// Replayed tool calls must carry their signature (Gemini 3 on).
    pub call_signatures: bool,
    /// The limit is named `max_completion_tokens` (OpenAI's reasoning models).
    pub max_completion_tokens: bool,
    /// The most output tokens it may be asked for.
    pub max_output: Option<u32>,
}

impl Abilities {
    /// Of a model that nothing is known of: what most recent models can.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            sampling: SamplingRule::Always,
            forced_tools: true,
            thinking: Thinking::Both,
            always_thinks: false,
            prefill: false,
            structured_output: true,
            system_turns: false,
            call_signatures: false,
            max_completion_tokens: false,
            max_output: None,
        }
    }
}

/// How a server that speaks `OpenAI`'s dialect deviates from it (wire formats
/// §1.6); a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Quirks(u16);

impl Quirks {
    pub const NONE: Self = Self(0);
    /// The limit is `max_tokens`, never `max_completion_tokens`.
    pub const MAX_TOKENS: Self = Self(1);
    /// `stream_options` is refused.
    pub const NO_STREAM_OPTIONS: Self = Self(1 << 1);
    /// The role `developer` is unknown: `system` is sent.
    pub const NO_DEVELOPER_ROLE: Self = Self(1 << 2);
    /// `name` on messages is refused.
    pub const NO_MESSAGE_NAMES: Self = Self(1 << 3);
    /// `strict` on tools and schemas is refused.
    pub const NO_STRICT: Self = Self(1 << 4);
    /// `store` and `metadata` are refused.
    pub const NO_STORE: Self = Self(1 << 5);
    /// `parallel_tool_calls` is refused.
    pub const NO_PARALLEL_TOOL_CALLS: Self = Self(1 << 6);
    /// The assistant's `reasoning_content` must be sent back.
    pub const REASONING_ECHO: Self = Self(1 << 7);
    /// Ids of tool calls are nine letters and digits.
    pub const SHORT_CALL_IDS: Self = Self(1 << 8);
    /// Tools are functions and nothing else.
    pub const FUNCTIONS_ONLY: Self = Self(1 << 9);
    /// `response_format` knows no `json_schema`.
    pub const NO_JSON_SCHEMA: Self = Self(1 << 10);
    /// `reasoning_effort` is refused.
    pub const NO_REASONING_EFFORT: Self = Self(1 << 11);
    /// Streams do not say why the model stopped: their terminator alone ends
    /// them.
    pub const NO_FINISH_REASON: Self = Self(1 << 12);

    /// Every quirk with its name in configurations.
    pub const NAMES: [(&'static str, Self); 13] = [
        ("max-tokens", Self::MAX_TOKENS),
        ("no-stream-options", Self::NO_STREAM_OPTIONS),
        ("no-developer-role", Self::NO_DEVELOPER_ROLE),
        ("no-message-names", Self::NO_MESSAGE_NAMES),
        ("no-strict", Self::NO_STRICT),
        ("no-store", Self::NO_STORE),
        ("no-parallel-tool-calls", Self::NO_PARALLEL_TOOL_CALLS),
        ("reasoning-echo", Self::REASONING_ECHO),
        ("short-call-ids", Self::SHORT_CALL_IDS),
        ("functions-only", Self::FUNCTIONS_ONLY),
        ("no-json-schema", Self::NO_JSON_SCHEMA),
        ("no-reasoning-effort", Self::NO_REASONING_EFFORT),
        ("no-finish-reason", Self::NO_FINISH_REASON),
    ];

    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
