//! What a request asks for, the same for every dialect: turns, shape, tools,
//! limits; and what is to be said in answer. Pure.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{Shape, remainder, shaped};
use super::behaviour::Behaviour;

/// A request for an answer.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub delivery: Delivery,
    pub turns: Vec<Turn<'a>>,
    pub shape: Shape,
    pub tools: Vec<Tool>,
    pub choice: Choice,
    /// Whether several tools may be called at once.
    pub parallel: bool,
    /// At most so many words.
    pub token_limit: Option<u64>,
    pub include_usage: bool,
    pub prompt_tokens: usize,
}

/// How an answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// Server-sent events.
    Events,
    /// A JSON array that grows.
    Array,
}

impl Delivery {
    pub fn streamed(self) -> bool {
        match self {
            Self::Whole => false,
            Self::Events | Self::Array => true,
        }
    }
}

#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub role: Role,
    pub words: Words<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
    /// The result of a tool.
    Tool,
    Other,
}

/// What a turn says. A message's content is read only where it matters: most
/// of a long conversation does not.
#[derive(Debug)]
pub(super) enum Words<'a> {
    Raw(Option<&'a RawValue>),
    Text(String),
}

/// A function that may be called.
#[derive(Debug)]
pub(super) struct Tool {
    pub name: String,
    /// What its arguments must fit.
    pub schema: Value,
}

/// Whether a tool must be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Free,
    /// Any of them, or the one with this name.
    Forced(Option<String>),
}

/// What is to be said in answer.
#[derive(Debug, PartialEq)]
pub(super) enum Saying {
    Text(String),
    /// It ends with an assistant message, and this provider does not take that.
    PrefillUnsupported,
}

impl Question<'_> {
    /// The tool that must be called now. The result of a tool is answered with text.
    pub fn forced_tool(&self) -> Option<&Tool> {
        if self.answers_a_tool() {
            return None;
        }
        match &self.choice {
            Choice::Free => None,
            Choice::Forced(None) => self.tools.first(),
            Choice::Forced(Some(name)) => self.tools.iter().find(|tool| tool.name == *name),
        }
    }

    /// Whether a tool's result came since the assistant spoke last. Agents say
    /// more after it: reminders, a further wish of their user's.
    pub fn answers_a_tool(&self) -> bool {
        let since = self.turns.iter().rev().take_while(|turn| turn.role != Role::Assistant);
        since.into_iter().any(|turn| turn.role == Role::Tool)
    }

    /// The whole answer, or the rest of one that is to be continued.
    pub fn saying(&self, behaviour: &Behaviour) -> Saying {
        let end = self.turns.len();
        let prefilled = self.turns.last().is_some_and(|last| last.role == Role::Assistant);
        if prefilled && !behaviour.prefill {
            return Saying::PrefillUnsupported;
        }
        let (at, prompt) = self.last_user(end).unwrap_or_default();
        // A text to go on from lies at the end, or before a user message that asks to go on.
        let begun = if prefilled { end.checked_sub(1) } else { at.checked_sub(1) };
        let rest = begun.and_then(|begun| self.rest_of(begun, behaviour));
        Saying::Text(rest.unwrap_or_else(|| self.whole(&prompt, behaviour)))
    }

    /// What is left of the answer that the message at this index begins, if it
    /// begins the answer to the user message before it.
    fn rest_of(&self, at: usize, behaviour: &Behaviour) -> Option<String> {
        if self.turns[at].role != Role::Assistant {
            return None;
        }
        let (_, prompt) = self.last_user(at)?;
        let whole = self.whole(&prompt, behaviour);
        remainder(&whole, &self.text(at), behaviour.continues).map(str::to_owned)
    }

    fn whole(&self, prompt: &str, behaviour: &Behaviour) -> String {
        shaped(prompt, behaviour.words, &self.shape)
    }

    /// The last user message before this index.
    fn last_user(&self, before: usize) -> Option<(usize, Cow<'_, str>)> {
        let at = self.turns[..before].iter().rposition(|turn| turn.role == Role::User)?;
        Some((at, self.wish(at)))
    }

    /// What a user's turn wishes: the last of its texts. Translated, what others
    /// said before it may have come into the same turn.
    fn wish(&self, at: usize) -> Cow<'_, str> {
        match &self.turns[at].words {
            Words::Raw(content) => content.map_or(Cow::Borrowed(""), content_wish),
            Words::Text(text) => Cow::Borrowed(text),
        }
    }

    fn text(&self, at: usize) -> Cow<'_, str> {
        match &self.turns[at].words {
            Words::Raw(content) => content.map_or(Cow::Borrowed(""), content_text),
            Words::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// The text of a message: a string, or the text parts of a list.
fn content_text(content: &RawValue) -> Cow<'_, str> {
    if let Ok(text) = serde_json::from_str::<&str>(content.get()) {
        return Cow::Borrowed(text);
    }
    serde_json::from_str(content.get()).map_or(Cow::Borrowed(""), |value| text_of(&value).into())
}

/// The last text of a message.
fn content_wish(content: &RawValue) -> Cow<'_, str> {
    if let Ok(text) = serde_json::from_str::<&str>(content.get()) {
        return Cow::Borrowed(text);
    }
    serde_json::from_str(content.get()).map_or(Cow::Borrowed(""), |value| last_text(&value).into())
}

/// The same for content that has been parsed.
pub(super) fn last_text(content: &Value) -> String {
    let Some(parts) = content.as_array() else { return text_of(content) };
    let mut texts = parts.iter().filter_map(|part| part["text"].as_str());
    texts.rfind(|text| !text.is_empty()).unwrap_or_default().to_owned()
}

/// The text of content that has been parsed. A thought is not said.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let said = parts.iter().filter(|part| part["thought"] != Value::Bool(true));
            said.filter_map(|part| part["text"].as_str()).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// About one token for four bytes.
pub(super) fn tokens_of(turns: &[Turn<'_>]) -> usize {
    let bytes = turns.iter().map(|turn| match &turn.words {
        Words::Raw(content) => content.map_or(0, |content| content.get().len()),
        Words::Text(text) => text.len(),
    });
    bytes.sum::<usize>() / 4 + 1
}
