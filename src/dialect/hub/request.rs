//! A request, whatever its dialect. Borrowed from the body it was read from and
//! compact, since bodies of many small blocks are common. Must not know any
//! dialect's fields.

use std::borrow::Cow;
use std::collections::HashSet;

use super::loss::Gravity;
use crate::dialect::Dialect;

/// So many fields of one gravity are noted, and so many tools of a provider.
pub const MOST_OTHERS: usize = 64;

/// What one request asks. Text of JSON values stays as the client wrote it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Request<'a> {
    /// The texts before the first turn that are the operator's: `Text` and
    /// `CachePoint` blocks only.
    pub system: Vec<Block<'a>>,
    pub turns: Vec<Turn<'a>>,
    /// After a turn of the assistant at the end comes another one of its own;
    /// in other dialects the answer continues it.
    pub answers_anew: bool,
    pub tools: Vec<Tool<'a>>,
    /// Tools that the client's own provider would run, as the client's dialect
    /// calls them (`tools[].web_search`).
    pub hosted: Vec<Cow<'a, str>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether the model may call several tools at once.
    pub parallel_tools: Option<bool>,
    /// What form the answer's text must have; `None` for any.
    pub format: Option<Format<'a>>,
    pub max_output_tokens: Option<u32>,
    pub stop: Vec<Cow<'a, str>>,
    pub sampling: Sampling<'a>,
    /// How many answers are wanted; 1 if the client did not say.
    pub choices: u32,
    /// Log probabilities are wanted, of this many alternatives.
    pub logprobs: Option<u32>,
    pub reasoning: Option<Reasoning>,
    /// A name for the end user.
    pub user: Option<Cow<'a, str>>,
    pub stream: bool,
    /// The client wants token counts at the end of a stream. True where the
    /// dialect always gives them.
    pub include_usage: bool,
    /// What has no place here.
    pub others: Vec<Other<'a>>,
}

/// Something of the client's that the hub cannot hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Other<'a> {
    /// As the client's dialect calls it: `logit_bias`, `tools[].web_search`.
    pub field: Cow<'a, str>,
    pub gravity: Gravity,
    /// What the client can do about it; empty where there is nothing to say.
    pub remedy: &'static str,
}

/// Who speaks. `System` is the operator within the conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    User,
    Assistant,
    System,
}

/// What one party says in one go. Consecutive turns of one role may occur.
/// Tool results are blocks of a user turn.
#[derive(Clone, PartialEq, Debug)]
pub struct Turn<'a> {
    pub role: Role,
    pub blocks: Vec<Block<'a>>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Block<'a> {
    Text(Cow<'a, str>),
    Media(Box<Media<'a>>),
    /// The assistant's reasoning.
    Thought(Box<Thought<'a>>),
    /// The assistant calls a tool.
    Call(Box<Call<'a>>),
    Result(Box<ToolResult<'a>>),
    /// The assistant declined.
    Refusal(Cow<'a, str>),
    /// The prompt up to here is worth caching, for this long (`5m`, `1h`) if
    /// the client said so.
    CachePoint(Option<Cow<'a, str>>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaKind {
    Image,
    /// A PDF, or a text.
    Document,
    Audio,
}

impl MediaKind {
    /// What a file of this media type is.
    #[must_use]
    pub fn of(media_type: &str) -> Self {
        match media_type.split('/').next() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some(_) | None => Self::Document,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media<'a> {
    pub kind: MediaKind,
    /// `image/png`; empty where only the URL is known.
    pub media_type: Cow<'a, str>,
    pub source: Source<'a>,
    /// A file's name or title.
    pub name: Option<Cow<'a, str>>,
    /// How closely an image is looked at: `low`, `high`, `auto`.
    pub detail: Option<Cow<'a, str>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source<'a> {
    /// Base64, as the client wrote it.
    Base64(Cow<'a, str>),
    Url(Cow<'a, str>),
    /// A document that is plain text.
    Text(Cow<'a, str>),
}

/// Opaque proof that a provider made something; only that provider's dialect
/// may be shown it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature<'a> {
    pub by: Dialect,
    pub value: Cow<'a, str>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thought<'a> {
    /// Empty where the provider hides it.
    pub text: Cow<'a, str>,
    pub signature: Option<Signature<'a>>,
    /// The signature is all there is: encrypted reasoning.
    pub redacted: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call<'a> {
    /// As the client knows it; `None` in dialects without ids.
    pub id: Option<Cow<'a, str>>,
    pub name: Cow<'a, str>,
    /// A JSON object as text; of a free-text tool the text itself.
    pub arguments: Cow<'a, str>,
    /// A call of a tool that takes free text.
    pub free_text: bool,
    pub signature: Option<Signature<'a>>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ToolResult<'a> {
    /// The id of the call; `None` in dialects without ids: then the first
    /// unanswered call of this name is meant.
    pub id: Option<Cow<'a, str>>,
    /// The tool's name, where the dialect repeats it.
    pub name: Option<Cow<'a, str>>,
    /// `Text` and `Media` only. A structured result is its JSON as text.
    pub content: Vec<Block<'a>>,
    pub is_error: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    /// A JSON Schema as text; `None` for a tool without parameters.
    pub parameters: Option<Cow<'a, str>>,
    pub strict: Option<bool>,
    /// It takes free text and no JSON (OpenAI's `custom`).
    pub free_text: bool,
    /// A cache point follows its definition.
    pub cache_point: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolChoice<'a> {
    Auto,
    /// No tool may be called.
    Never,
    /// Some tool must be called.
    Required,
    /// This one must be called.
    Named(Cow<'a, str>),
    /// Only these may be called; with `required` one of them must be.
    Among {
        names: Vec<Cow<'a, str>>,
        required: bool,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format<'a> {
    /// Any JSON object.
    Json,
    Schema {
        name: Option<Cow<'a, str>>,
        description: Option<Cow<'a, str>>,
        /// A JSON Schema as text.
        schema: Cow<'a, str>,
        strict: Option<bool>,
    },
}

/// Numbers are kept as their text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sampling<'a> {
    pub temperature: Option<&'a str>,
    pub top_p: Option<&'a str>,
    pub top_k: Option<&'a str>,
    pub seed: Option<&'a str>,
    pub frequency_penalty: Option<&'a str>,
    pub presence_penalty: Option<&'a str>,
}

/// How much the model is to think.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reasoning {
    pub effort: Option<Effort>,
    /// Tokens; 0 switches thinking off.
    pub budget: Option<u32>,
    /// Whether the client wants to see it.
    pub shown: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// Every effort with the word that all dialects share (Gemini's in capitals).
    pub const NAMES: [(&'static str, Self); 7] = [
        ("none", Self::None),
        ("minimal", Self::Minimal),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("xhigh", Self::Xhigh),
        ("max", Self::Max),
    ];

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, effort)| *effort)
    }

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The effort a budget of thinking tokens comes closest to (wire formats §4.2).
    #[must_use]
    pub const fn of_budget(tokens: u32) -> Self {
        match tokens {
            0 => Self::None,
            1..=2_048 => Self::Low,
            2_049..=8_192 => Self::Medium,
            8_193..=32_768 => Self::High,
            _ => Self::Xhigh,
        }
    }

    /// The budget of thinking tokens an effort comes closest to (§4.1).
    #[must_use]
    pub const fn budget(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1_024,
            Self::Medium => 4_096,
            Self::High => 16_384,
            Self::Xhigh | Self::Max => 32_768,
        }
    }
}

impl Reasoning {
    /// The effort, given or made of the budget.
    #[must_use]
    pub fn effort(&self) -> Option<Effort> {
        self.effort.or_else(|| self.budget.map(Effort::of_budget))
    }

    /// The budget in tokens, given or made of the effort.
    #[must_use]
    pub fn budget(&self) -> Option<u32> {
        self.budget.or_else(|| self.effort.map(Effort::budget))
    }
}

impl<'a> Request<'a> {
    #[must_use]
    pub fn new() -> Self {
        Self { choices: 1, ..Self::default() }
    }

    /// Notes something that has no place here: once, and not too many. Grave ones
    /// are not lost behind many that are not.
    pub fn other(&mut self, field: impl Into<Cow<'a, str>>, gravity: Gravity) {
        self.other_with(field, gravity, "");
    }

    /// The same, with what the client can do about it.
    pub fn other_with(
        &mut self,
        field: impl Into<Cow<'a, str>>,
        gravity: Gravity,
        remedy: &'static str,
    ) {
        let other = Other { field: field.into(), gravity, remedy };
        let known = |one: &Other<'_>| one.field == other.field && one.gravity >= gravity;
        let alike = self.others.iter().filter(|one| one.gravity == gravity).count();
        if gravity > Gravity::Nothing && alike < MOST_OTHERS && !self.others.iter().any(known) {
            self.others.push(other);
        }
    }

    /// Notes a tool of the client's provider: once, and not too many.
    pub fn hosted_tool(&mut self, field: impl Into<Cow<'a, str>>) {
        let field = field.into();
        if self.hosted.len() < MOST_OTHERS && !self.hosted.contains(&field) {
            self.hosted.push(field);
        }
    }

    /// How grave it is to go without the provider's own tools. A model that has
    /// others beside them, and need not call any, may well do without; agents
    /// offer a web search with every request.
    #[must_use]
    pub fn hosted_gravity(&self) -> Gravity {
        let forced = match &self.tool_choice {
            None | Some(ToolChoice::Auto | ToolChoice::Never | ToolChoice::Named(_)) => false,
            Some(ToolChoice::Required) => true,
            Some(ToolChoice::Among { required, .. }) => *required,
        };
        if self.tools.is_empty() || forced { Gravity::Meaning } else { Gravity::Tuning }
    }

    /// Whether the conversation ends with words of the assistant.
    #[must_use]
    pub fn ends_with_assistant(&self) -> bool {
        let calls = |block: &Block<'_>| matches!(block, Block::Call(_));
        let said = |turn: &Turn<'_>| turn.role == Role::Assistant && !turn.blocks.iter().any(calls);
        self.turns.last().is_some_and(said)
    }

    /// The names of the tools that take free text.
    #[must_use]
    pub fn free_text_tools(&self) -> HashSet<&str> {
        self.tools.iter().filter(|tool| tool.free_text).map(|tool| &*tool.name).collect()
    }

    /// The tools among which the model may choose.
    #[must_use]
    pub fn allowed_tools(&self) -> Vec<&Tool<'a>> {
        match &self.tool_choice {
            Some(ToolChoice::Among { names, .. }) => {
                let names: HashSet<&str> = names.iter().map(|name| &**name).collect();
                self.tools.iter().filter(|tool| names.contains(&*tool.name)).collect()
            }
            Some(
                ToolChoice::Auto | ToolChoice::Never | ToolChoice::Required | ToolChoice::Named(_),
            )
            | None => self.tools.iter().collect(),
        }
    }
}
