//! A conversation as Anthropic's messages: the first is the user's, roles
//! alternate, every call is answered in the next turn, results come first. Owns
//! what is done to a conversation that is not so; must not know the rest of the
//! request.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ids::Ids;
use crate::dialect::Dialect;
use crate::dialect::hub::legend::{BROKEN_ARGUMENTS, FREE_TEXT_PARAMETER};
use crate::dialect::hub::{
    Block, Call, Gravity, Losses, Media, MediaKind, Role, Source, Thought, ToolResult, Turn,
    Untranslatable,
};
use crate::dialect::json;
use crate::dialect::names::Names;
use crate::dialect::request::ASK;
use crate::dialect::waiting::{Key, Waiting};

/// Cache points a request may have.
const MAX_CACHE_POINTS: u32 = 4;

/// What a conversation begins with that has no turn of the user's at first.
const OPENING: &str = "Continue.";

/// The result of a call that has none.
const NO_RESULT: &str = "There is no result of this call.";

/// What the messages are written with.
#[derive(Debug)]
pub struct Writing<'a> {
    pub names: &'a Names,
    pub losses: &'a mut Losses,
    /// Cache points so far.
    pub cache_points: u32,
    /// The model takes system turns.
    pub system_turns: bool,
    /// The model continues a last turn of the assistant.
    pub prefill: bool,
}

impl Writing<'_> {
    /// A cache point's member, if there may be one more.
    pub fn cache_control(&mut self, ttl: Option<&str>) -> Result<String, Untranslatable> {
        if self.cache_points >= MAX_CACHE_POINTS {
            self.losses.tuning("cache_control")?;
            return Ok(String::new());
        }
        self.cache_points += 1;
        Ok(match ttl {
            None => r#","cache_control":{"type":"ephemeral"}"#.to_owned(),
            Some("5m") => r#","cache_control":{"type":"ephemeral","ttl":"5m"}"#.to_owned(),
            // There is nothing longer.
            Some(_) => r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#.to_owned(),
        })
    }
}

/// The messages, and what they mean for the rest of the request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Messages {
    /// A JSON array.
    pub json: String,
    /// The last message is the assistant's.
    pub prefilled: bool,
    /// The last message of the assistant calls tools and shows no reasoning.
    pub unthought_calls: bool,
}

/// Writes a conversation.
pub fn messages(turns: &[Turn<'_>], writing: &mut Writing<'_>) -> Result<Messages, Untranslatable> {
    let mut thread = Thread::default();
    let last = turns.last().filter(|turn| turn.role == Role::Assistant);
    let last = last.and_then(|turn| turn.blocks.last());
    for turn in turns {
        for block in &turn.blocks {
            // A text to be continued must not end in white space.
            if let Block::Text(text) = block
                && last.is_some_and(|last| std::ptr::eq(last, block))
            {
                thread.text(turn.role, text.trim_end(), writing)?;
            } else {
                thread.block(turn.role, block, writing)?;
            }
        }
    }
    thread.end(writing)
}

/// A message in the making.
#[derive(Debug)]
struct Message {
    role: Role,
    /// Results, which come first, and everything else: blocks with commas.
    results: String,
    blocks: String,
    /// The last block, if it may carry a cache point.
    last: Option<Kind>,
    thinks: bool,
    calls: bool,
}

#[derive(Debug, Default)]
struct Thread<'t> {
    messages: Vec<Message>,
    ids: Ids,
    /// The calls without a result so far, and the ids that all calls of this
    /// turn have at the target.
    open: Waiting<'t>,
    sent: Vec<String>,
}

/// A block's own kind, as far as its place in a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Result,
    Thought,
    Call,
    Other,
}

impl<'t> Thread<'t> {
    fn block(
        &mut self,
        role: Role,
        block: &'t Block<'_>,
        writing: &mut Writing<'_>,
    ) -> Result<(), Untranslatable> {
        match block {
            Block::Text(text) => self.text(role, text, writing),
            // What it says is what the client saw.
            Block::Refusal(text) => self.text(role, text, writing),
            Block::Media(media) => self.media(role, media, writing),
            Block::Thought(thought) => {
                if let (Role::Assistant, Some(json)) = (role, thought_json(thought)) {
                    self.push(role, Kind::Thought, &json, writing)?;
                }
                Ok(())
            }
            Block::Call(call) => self.call(call, writing),
            Block::Result(result) => self.result(result, writing),
            Block::CachePoint(ttl) => self.cache_point(ttl.as_deref(), writing),
        }
    }

    fn text(
        &mut self,
        role: Role,
        text: &str,
        writing: &mut Writing<'_>,
    ) -> Result<(), Untranslatable> {
        // A text without a letter is refused.
        if text.trim().is_empty() {
            return Ok(());
        }
        // Results must follow their calls at once.
        let in_place = writing.system_turns && self.open.is_empty();
        if role == Role::System && !in_place {
            writing.losses.lose("system", Gravity::Tuning, "not within the conversation")?;
            let text = format!("<system>\n{text}\n</system>");
            return self.push(Role::User, Kind::Other, &text_json(&text), writing);
        }
        self.push(role, Kind::Other, &text_json(text), writing)
    }

    fn media(
        &mut self,
        role: Role,
        media: &Media<'_>,
        writing: &mut Writing<'_>,
    ) -> Result<(), Untranslatable> {
        if role == Role::Assistant {
            return writing.losses.lose("images", Gravity::Meaning, "not in the assistant's turn");
        }
        match media_json(media, writing.losses)? {
            Some(json) => self.push(Role::User, Kind::Other, &json, writing),
            None => Ok(()),
        }
    }

    fn call(
        &mut self,
        call: &'t Call<'_>,
        writing: &mut Writing<'_>,
    ) -> Result<(), Untranslatable> {
        let input = input(call, writing.losses)?;
        let name = writing.names.get(&call.name).into_owned();
        // First, so that the calls before it are closed if they were another turn's.
        self.turn_to(Role::Assistant, writing)?;
        let id = self.ids.take(call.id.as_deref());
        let json = format!(
            r#"{{"type":"tool_use","id":{},"name":{},"input":{input}}}"#,
            json::quote(&id),
            json::quote(&name)
        );
        self.push(Role::Assistant, Kind::Call, &json, writing)?;
        self.open.add(call.id.as_deref(), &call.name);
        self.sent.push(id);
        Ok(())
    }

    fn result(
        &mut self,
        result: &'t ToolResult<'_>,
        writing: &mut Writing<'_>,
    ) -> Result<(), Untranslatable> {
        let place = self.open.find(match (&result.id, &result.name) {
            (Some(id), _) => Key::Id(id),
            (None, Some(name)) => Key::Name(name),
            (None, None) => Key::Any,
        });
        let Some(place) = place else {
            return writing.losses.lose("messages", Gravity::Meaning, "a result without its call");
        };
        let content = result_content(&result.content, writing.losses)?;
        self.open.answer(place);
        let error = if result.is_error { r#","is_error":true"# } else { "" };
        let id = json::quote(&self.sent[place]);
        let json =
            format!(r#"{{"type":"tool_result","tool_use_id":{id},"content":{content}{error}}}"#);
        self.push(Role::User, Kind::Result, &json, writing)
    }

    fn cache_point(
        &mut self,
        ttl: Option<&str>,
        writing: &mut Writing<'_>,
    ) -> Result<(), Untranslatable> {
        let Some(message) = self.messages.last_mut() else { return Ok(()) };
        let Some(last) = message.last.take() else { return Ok(()) };
        let member = writing.cache_control(ttl)?;
        let result = last == Kind::Result;
        let blocks = if result { &mut message.results } else { &mut message.blocks };
        let end = blocks.len() - 1;
        blocks.insert_str(end, &member);
        Ok(())
    }

    /// Begins a message, unless the last one is of that role.
    fn turn_to(&mut self, role: Role, writing: &mut Writing<'_>) -> Result<(), Untranslatable> {
        let last = self.messages.last().map(|message| message.role);
        if last == Some(role) {
            return Ok(());
        }
        if last.is_none() && role != Role::User {
            writing.losses.lose("messages", Gravity::Tuning, "the first turn is the user's")?;
            self.start(Role::User);
            self.add(Kind::Other, &text_json(OPENING));
        }
        // The user's turn after the calls is over, or there was none.
        if role != Role::User && !self.open.is_empty() {
            self.answer_open(writing)?;
        }
        self.start(role);
        Ok(())
    }

    fn start(&mut self, role: Role) {
        self.messages.push(Message {
            role,
            results: String::new(),
            blocks: String::new(),
            last: None,
            thinks: false,
            calls: false,
        });
    }

    fn push(
        &mut self,
        role: Role,
        kind: Kind,
        json: &str,
        writing: &mut Writing<'_>,
    ) -> Result<(), Untranslatable> {
        self.turn_to(role, writing)?;
        self.add(kind, json);
        Ok(())
    }

    fn add(&mut self, kind: Kind, json: &str) {
        let Some(message) = self.messages.last_mut() else { return };
        let blocks = if kind == Kind::Result { &mut message.results } else { &mut message.blocks };
        if !blocks.is_empty() {
            blocks.push(',');
        }
        blocks.push_str(json);
        message.last = (kind != Kind::Thought).then_some(kind);
        message.thinks |= kind == Kind::Thought;
        message.calls |= kind == Kind::Call;
    }

    /// Answers the calls that have no result.
    fn answer_open(&mut self, writing: &mut Writing<'_>) -> Result<(), Untranslatable> {
        writing.losses.lose("messages", Gravity::Tuning, "a call without its result")?;
        if self.messages.last().is_none_or(|message| message.role != Role::User) {
            self.start(Role::User);
        }
        let (open, sent) = (std::mem::take(&mut self.open), std::mem::take(&mut self.sent));
        for place in open.places() {
            let (id, content) = (json::quote(&sent[place]), json::quote(NO_RESULT));
            let json = format!(
                r#"{{"type":"tool_result","tool_use_id":{id},"content":{content},"is_error":true}}"#
            );
            self.add(Kind::Result, &json);
        }
        Ok(())
    }

    fn end(mut self, writing: &mut Writing<'_>) -> Result<Messages, Untranslatable> {
        if !self.open.is_empty() {
            self.answer_open(writing)?;
        }
        if self.messages.is_empty() {
            self.start(Role::User);
            self.add(Kind::Other, &text_json(OPENING));
            writing.losses.lose("messages", Gravity::Tuning, "the first turn is the user's")?;
        }
        let prefilled = |thread: &Self| {
            thread.messages.last().is_some_and(|message| message.role == Role::Assistant)
        };
        if prefilled(&self) && !writing.prefill {
            let reason = "the model does not continue a turn of the assistant";
            writing.losses.lose("messages", Gravity::Meaning, reason)?;
            self.start(Role::User);
            self.add(Kind::Other, &text_json(ASK));
        }
        let calling = self.messages.iter().rfind(|message| message.role == Role::Assistant);
        let unthought_calls = calling.is_some_and(|message| message.calls && !message.thinks);
        Ok(Messages { prefilled: prefilled(&self), unthought_calls, json: self.json() })
    }

    fn json(&self) -> String {
        let length = |message: &Message| message.results.len() + message.blocks.len() + 40;
        let mut json = String::with_capacity(self.messages.iter().map(length).sum());
        json.push('[');
        for (n, message) in self.messages.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::System => "system",
            };
            let _ = write!(json, r#"{comma}{{"role":"{role}","content":["#);
            json.push_str(&message.results);
            if !message.results.is_empty() && !message.blocks.is_empty() {
                json.push(',');
            }
            json.push_str(&message.blocks);
            json.push_str("]}");
        }
        json.push(']');
        json
    }
}

/// A block of text.
#[must_use]
pub fn text_json(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, json::quote(text))
}

/// Only Anthropic's own, signed reasoning may come back; without the rest the
/// conversation is the same.
fn thought_json(thought: &Thought<'_>) -> Option<String> {
    let signature = thought.signature.as_ref().filter(|by| by.by == Dialect::Anthropic)?;
    let proof = json::quote(&signature.value);
    Some(if thought.redacted {
        format!(r#"{{"type":"redacted_thinking","data":{proof}}}"#)
    } else {
        let text = json::quote(&thought.text);
        format!(r#"{{"type":"thinking","thinking":{text},"signature":{proof}}}"#)
    })
}

/// A call's arguments as an object. Agents keep the turns in which a model wrote
/// something else, and were told of it: that is still to be seen.
fn input(call: &Call<'_>, losses: &mut Losses) -> Result<String, Untranslatable> {
    let wrapped = |member| format!(r#"{{"{member}":{}}}"#, json::quote(&call.arguments));
    if call.free_text {
        return Ok(wrapped(FREE_TEXT_PARAMETER));
    }
    let arguments = call.arguments.trim();
    if arguments.is_empty() {
        return Ok("{}".to_owned());
    }
    let valid = serde_json::from_str::<&serde_json::value::RawValue>(arguments).is_ok();
    if valid && arguments.starts_with('{') {
        return Ok(arguments.to_owned());
    }
    losses.tuning("tool_calls")?;
    Ok(wrapped(BROKEN_ARGUMENTS))
}

/// What a tool gave back: a text, or blocks.
fn result_content(content: &[Block<'_>], losses: &mut Losses) -> Result<String, Untranslatable> {
    if let [Block::Text(text)] = content {
        return Ok(json::quote(text));
    }
    let mut blocks = Vec::new();
    for block in content {
        match block {
            Block::Text(text) if text.trim().is_empty() => {}
            Block::Text(text) => blocks.push(text_json(text)),
            Block::Media(media) => blocks.extend(media_json(media, losses)?),
            // A result has nothing else.
            Block::Thought(_)
            | Block::Call(_)
            | Block::Result(_)
            | Block::Refusal(_)
            | Block::CachePoint(_) => {}
        }
    }
    Ok(format!("[{}]", blocks.join(",")))
}

/// An image or a document; `None` where it had to be lost.
fn media_json(media: &Media<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    match media.kind {
        MediaKind::Image => {
            if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
                losses.tuning("detail")?;
            }
            image(media, losses)
        }
        MediaKind::Document => document(media, losses),
        MediaKind::Audio => {
            losses.lose("audio", Gravity::Vital, "the model does not listen")?;
            Ok(None)
        }
    }
}

fn image(media: &Media<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    let source = match &media.source {
        Source::Base64(data) => {
            let media_type = media.media_type.to_ascii_lowercase();
            let media_type = match &*media_type {
                "image/jpg" => "image/jpeg",
                "image/jpeg" | "image/png" | "image/gif" | "image/webp" => &media_type,
                _ => {
                    losses.lose("images", Gravity::Vital, "neither JPEG, PNG, GIF nor WebP")?;
                    return Ok(None);
                }
            };
            base64_json(media_type, data)
        }
        Source::Url(url) => format!(r#"{{"type":"url","url":{}}}"#, json::quote(url)),
        Source::Text(_) => {
            losses.lose("images", Gravity::Vital, "an image that is a text")?;
            return Ok(None);
        }
    };
    Ok(Some(format!(r#"{{"type":"image","source":{source}}}"#)))
}

fn base64_json(media_type: &str, data: &str) -> String {
    format!(r#"{{"type":"base64","media_type":"{media_type}","data":{}}}"#, json::quote(data))
}

fn document(media: &Media<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    /// What a PDF begins with, in base64.
    const PDF: &str = "JVBERi";
    let plain = |text: &str| {
        let text = json::quote(text);
        format!(r#"{{"type":"text","media_type":"text/plain","data":{text}}}"#)
    };
    let source = match &media.source {
        Source::Url(url) => format!(r#"{{"type":"url","url":{}}}"#, json::quote(url)),
        Source::Text(text) => plain(text),
        Source::Base64(data) => {
            let pdf = media.media_type == "application/pdf"
                || media.media_type.is_empty() && data.starts_with(PDF);
            let text = || String::from_utf8(STANDARD.decode(&**data).ok()?).ok();
            if pdf {
                base64_json("application/pdf", data)
            } else if let Some(text) = media.media_type.starts_with("text/").then(text).flatten() {
                plain(&text)
            } else {
                losses.lose("files", Gravity::Vital, "neither a PDF nor a text")?;
                return Ok(None);
            }
        }
    };
    let title = media.name.as_ref().map(|name| format!(r#","title":{}"#, json::quote(name)));
    let title = title.unwrap_or_default();
    Ok(Some(format!(r#"{{"type":"document","source":{source}{title}}}"#)))
}
