//! What a response of Gemini says, whole or as one chunk of a stream: both have
//! the same shape. Owns the reading of candidates, finish reasons and token
//! counts; must not know frames.

use super::fields::{self, Fields, compact, field, members};
use crate::dialect::Dialect;
use crate::dialect::digest;
use crate::dialect::errors::clean;
use crate::dialect::hub::{Event, Finish, Usage};
use crate::dialect::node::Node;
use crate::dialect::stream::MAX_CHOICES;
use crate::failover::attempt::ErrorReply;
use crate::failover::classify::FailureClass;

/// The most steps one chunk may bring that do not join with each other, and one
/// more for so many bytes of it: a bound on memory. A thought or a text is a
/// step, a call is two.
const MAX_STEPS: usize = 256;
const BYTES_PER_STEP: usize = 128;

const TOO_MANY: &str = "it has too many candidates";

/// Reads the chunks of one answer, in order.
#[derive(Debug, Default)]
pub struct Chunks {
    begun: bool,
    id: String,
    choices: Vec<Choice>,
}

/// One candidate, as far as it has come.
#[derive(Clone, Debug, Default)]
struct Choice {
    calls: u32,
    /// It has brought anything.
    content: bool,
    cited: bool,
    stage: Stage,
}

/// How far a candidate has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    New,
    /// It brought something in a chunk without a reason to stop: so that stands
    /// at its end.
    GoesOn,
    /// The first chunk gave a reason: with some servers every one does.
    Stopped,
    Over,
}

impl Stage {
    /// After a chunk.
    const fn then(self, brought: bool, ends: bool) -> Self {
        match self {
            Self::New if ends => Self::Stopped,
            Self::New if brought => Self::GoesOn,
            Self::GoesOn if ends => Self::Over,
            Self::New | Self::GoesOn | Self::Stopped | Self::Over => self,
        }
    }
}

impl Choice {
    /// Whether all of it has come.
    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

/// Why a chunk is none.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// The provider failed, and says so as a reason to stop.
    Failed(ErrorReply),
    Malformed(&'static str),
}

/// What is looked at of a chunk. Read in one pass, like what is in it.
#[derive(Clone, Copy, Default)]
struct Top<'a> {
    id: Option<Node<'a>>,
    model: Option<Node<'a>>,
    candidates: Option<Node<'a>>,
    feedback: Option<Node<'a>>,
    usage: Option<Node<'a>>,
}

impl<'a> Top<'a> {
    fn of(chunk: Node<'a>) -> Self {
        let mut top = Self::default();
        for (key, value) in members(chunk) {
            match &*key {
                "responseId" => top.id = Some(value),
                "modelVersion" => top.model = Some(value),
                "candidates" => top.candidates = Some(value),
                "promptFeedback" => top.feedback = Some(value),
                "usageMetadata" => top.usage = Some(value),
                _ => {}
            }
        }
        top
    }

    /// Whether the prompt was refused: then there is no candidate.
    fn is_blocked(self) -> bool {
        let reason = self.feedback.and_then(|feedback| fields::text(feedback, "blockReason"));
        reason.is_some_and(|reason| reason != "BLOCK_REASON_UNSPECIFIED")
    }
}

/// What is looked at of a candidate.
#[derive(Clone, Copy, Default)]
struct Candidate<'a> {
    content: Option<Node<'a>>,
    finish: Option<Node<'a>>,
    finish_message: Option<Node<'a>>,
    cites: bool,
}

impl<'a> Candidate<'a> {
    fn of(candidate: Node<'a>) -> Self {
        let mut seen = Self::default();
        for (key, value) in members(candidate) {
            match &*key {
                "content" => seen.content = Some(value),
                "finishReason" => seen.finish = Some(value),
                "finishMessage" => seen.finish_message = Some(value),
                "citationMetadata" => {
                    seen.cites |= is_filled(value, "citationSources");
                    seen.cites |= is_filled(value, "citations");
                }
                "groundingMetadata" => seen.cites |= is_filled(value, "groundingChunks"),
                _ => {}
            }
        }
        seen
    }
}

fn is_filled(object: Node<'_>, list: &str) -> bool {
    field(object, list).is_some_and(|list| list.items().next().is_some())
}

impl Chunks {
    /// Pushes what a chunk says.
    pub fn take(&mut self, chunk: Node<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if !chunk.is_object() {
            return Err(Fault::Malformed("it is no JSON object"));
        }
        let top = Top::of(chunk);
        if !self.begun {
            self.begun = true;
            let id = top.id.and_then(Node::str).unwrap_or_default();
            let model = top.model.and_then(Node::str).unwrap_or_default().into_owned();
            self.id = id.into_owned();
            events.push(Event::Begin { id: self.id.clone(), model });
        }
        let most = MAX_STEPS + chunk.raw().len() / BYTES_PER_STEP;
        let mut any = false;
        if let Some(candidates) = top.candidates {
            for (place, (choice, candidate)) in (0..).zip(numbered(candidates)) {
                if place >= MAX_CHOICES {
                    return Err(Fault::Malformed(TOO_MANY));
                }
                any = true;
                self.candidate(choice, Candidate::of(candidate), most, events)?;
            }
        }
        if !any && top.is_blocked() {
            events.push(Event::Finish { choice: 0, finish: Finish::ContentFilter });
        }
        events.extend(top.usage.map(|tokens| Event::Usage(usage(tokens))));
        Ok(())
    }

    /// Whether a chunk brings nothing but more of what is over: no terminator
    /// tells where an answer ends.
    #[must_use]
    pub fn is_surplus(&self, chunk: Node<'_>) -> bool {
        if !self.choices.iter().any(Choice::is_over) {
            return false;
        }
        let candidates = field(chunk, "candidates").into_iter().flat_map(numbered);
        let mut full = candidates.filter(|(_, candidate)| is_full(*candidate)).peekable();
        let over = |choice: u32| self.choices.get(choice as usize).is_some_and(Choice::is_over);
        full.peek().is_some() && full.all(|(choice, _)| over(choice))
    }

    fn candidate(
        &mut self,
        choice: u32,
        candidate: Candidate<'_>,
        most: usize,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        if choice >= MAX_CHOICES {
            return Err(Fault::Malformed(TOO_MANY));
        }
        let at = choice as usize;
        if self.choices.len() <= at {
            self.choices.resize(at + 1, Choice::default());
        }
        let so_far = &mut self.choices[at];
        let before = events.len();
        if let Some(parts) = candidate.content.and_then(|content| content.get("parts")) {
            for part in parts.items() {
                if events.len() > most {
                    return Err(Fault::Malformed("it has too many parts"));
                }
                part_events(choice, part, &self.id, so_far, events);
            }
        }
        if candidate.cites && !so_far.cited {
            so_far.cited = true;
            events.push(Event::Opaque { choice, what: "citations" });
        }
        let brought = events.len() > before;
        stop(choice, candidate, so_far, events)?;
        so_far.stage = so_far.stage.then(brought, ends(choice, events));
        Ok(())
    }
}

/// The candidates with their numbers. A number of zero may be left out, and so
/// may all of them.
fn numbered(candidates: Node<'_>) -> impl Iterator<Item = (u32, Node<'_>)> {
    let indexed = candidates.items().any(|one| one.get("index").is_some());
    (0..).zip(candidates.items()).map(move |(place, candidate)| {
        let missing = if indexed { 0 } else { place };
        (candidate.get("index").and_then(Node::u32).unwrap_or(missing), candidate)
    })
}

/// Whether a candidate has words, calls or media.
fn is_full(candidate: Node<'_>) -> bool {
    let parts = field(candidate, "content").and_then(|content| content.get("parts"));
    parts.into_iter().flat_map(Node::items).map(Fields::of).any(|part| {
        let words = part.text.and_then(Node::str).is_some_and(|text| !text.is_empty());
        words || part.call.is_some() || part.inline_data.is_some() || part.file_data.is_some()
    })
}

fn ends(choice: u32, events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Finish { choice: of, .. } if *of == choice))
}

fn stop(
    choice: u32,
    candidate: Candidate<'_>,
    so_far: &Choice,
    events: &mut Vec<Event>,
) -> Result<(), Fault> {
    let Some(word) = candidate.finish.and_then(Node::str) else { return Ok(()) };
    match finish(&word, so_far.content, so_far.calls > 0) {
        Stopped::NotYet => Ok(()),
        Stopped::For(finish) => {
            // A chunk that has a candidate twice ends it once.
            if !ends(choice, events) {
                events.push(Event::Finish { choice, finish });
            }
            Ok(())
        }
        Stopped::Failed(class) => {
            let said = candidate.finish_message.and_then(Node::str).unwrap_or_default();
            Err(Fault::Failed(failed(&word, &said, class)))
        }
    }
}

fn part_events(
    choice: u32,
    part: Node<'_>,
    answer: &str,
    so_far: &mut Choice,
    events: &mut Vec<Event>,
) {
    let part = Fields::of(part);
    let signature = part.signature.map(|value| (Dialect::Gemini, value.into_owned()));
    if let Some(call) = part.call {
        so_far.content = true;
        call_events(choice, call, signature, answer, &mut so_far.calls, events);
        return;
    }
    if let Some(text) = part.text.and_then(Node::str) {
        if part.thought {
            so_far.content = true;
            push_thought(choice, text.into_owned(), signature, events);
        } else if !text.is_empty() {
            so_far.content = true;
            push_words(choice, &text, events);
        }
        return;
    }
    let media = part.inline_data.or(part.file_data);
    if media.is_some() || part.server.is_some() || part.unknown.is_some() {
        so_far.content = true;
        let what = if media.is_some() { "media" } else { part.server.unwrap_or("part") };
        events.push(Event::Opaque { choice, what });
    }
}

/// Text joins the text before it.
fn push_words(choice: u32, words: &str, events: &mut Vec<Event>) {
    match events.last_mut() {
        Some(Event::Text { choice: of, text }) if *of == choice => text.push_str(words),
        _ => events.push(Event::Text { choice, text: words.to_owned() }),
    }
}

/// A thought joins the thought before it, unless that was signed.
fn push_thought(
    choice: u32,
    words: String,
    proof: Option<(Dialect, String)>,
    events: &mut Vec<Event>,
) {
    if words.is_empty() && proof.is_none() {
        return;
    }
    match events.last_mut() {
        Some(Event::Thought { choice: of, text, signature, .. })
            if *of == choice && signature.is_none() =>
        {
            text.push_str(&words);
            *signature = proof;
        }
        _ => {
            events.push(Event::Thought { choice, text: words, signature: proof, redacted: false });
        }
    }
}

fn call_events(
    choice: u32,
    node: Node<'_>,
    signature: Option<(Dialect, String)>,
    answer: &str,
    calls: &mut u32,
    events: &mut Vec<Event>,
) {
    let call = *calls;
    *calls = calls.saturating_add(1);
    let name = fields::text(node, "name").unwrap_or_default().into_owned();
    let args = field(node, "args").map(|args| compact(args.raw()));
    let id = fields::text(node, "id").filter(|id| !id.is_empty());
    let id = id.map_or_else(
        || {
            call_id(&[
                answer,
                &choice.to_string(),
                &call.to_string(),
                &name,
                args.as_deref().unwrap_or(""),
            ])
        },
        std::borrow::Cow::into_owned,
    );
    events.push(Event::CallBegin { choice, call, id, name, free_text: false, signature });
    events.extend(args.map(|fragment| Event::CallArguments { choice, call, fragment }));
}

/// An id for a call without one. Arguments count too, for answers without an
/// id.
fn call_id(parts: &[&str]) -> String {
    format!("call_{}", digest::letters(parts, 20))
}

/// What a finish reason means.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Stopped {
    NotYet,
    For(Finish),
    /// It is no reason to stop: the provider failed.
    Failed(FailureClass),
}

fn finish(word: &str, content: bool, calls: bool) -> Stopped {
    match word {
        "" | "FINISH_REASON_UNSPECIFIED" => Stopped::NotYet,
        "STOP" if calls => Stopped::For(Finish::ToolCalls),
        "STOP" => Stopped::For(Finish::Stop),
        "MAX_TOKENS" => Stopped::For(Finish::Length),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "IMAGE_OTHER" => Stopped::For(Finish::ContentFilter),
        "CONTINUATION" => Stopped::For(Finish::Paused),
        "MALFORMED_FUNCTION_CALL"
        | "MALFORMED_RESPONSE"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS" => Stopped::Failed(FailureClass::InvalidOutput),
        // The history of another provider's calls: another target may take it,
        // and this one is not ill.
        "MISSING_THOUGHT_SIGNATURE" => Stopped::Failed(FailureClass::Unsupported),
        "OTHER" if !content => Stopped::Failed(FailureClass::ServerError),
        other => Stopped::For(Finish::Other(other.chars().take(64).collect())),
    }
}

fn failed(word: &str, said: &str, class: FailureClass) -> ErrorReply {
    let message = if said.is_empty() {
        format!("the provider ended the answer with finish reason {word:?}")
    } else {
        clean(said, &[])
    };
    ErrorReply { status: 200, class, code: clean(word, &[]), message, retry_after: None }
}

/// Token counts. Gemini counts thoughts apart from the answer, and the use of
/// its own tools apart from the prompt.
fn usage(tokens: Node<'_>) -> Usage {
    let count = |name| field(tokens, name).and_then(Node::u32);
    let sum = |one, other| match (count(one), count(other)) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
    };
    Usage {
        input: sum("promptTokenCount", "toolUsePromptTokenCount"),
        cached: count("cachedContentTokenCount"),
        cache_written: None,
        output: sum("candidatesTokenCount", "thoughtsTokenCount"),
        reasoning: count("thoughtsTokenCount"),
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
