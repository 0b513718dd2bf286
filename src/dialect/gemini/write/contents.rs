//! Turns as contents. Gemini pairs a function's responses with its calls by
//! their order: those of one turn come together, before anything else the user
//! says, in the order of the calls.

use std::borrow::Cow;
use std::fmt::Write;

use super::CACHE;
use crate::dialect::Dialect;
use crate::dialect::gemini::compose::{self, text_part};
use crate::dialect::gemini::fields::{is_object, push_member, push_text};
use crate::dialect::hub::{
    Block, Call, Gravity, Losses, Media, MediaKind, Request, Role, Signature, Source, ToolResult,
    Turn, Untranslatable,
};
use crate::dialect::json;
use crate::dialect::names::Names;
use crate::dialect::target::Target;
use crate::dialect::waiting::{Key, Waiting};

/// Where Gemini reads files itself.
const OWN_FILES: [&str; 2] = ["https://generativelanguage.googleapis.com/", "gs://"];

/// Google's documented word for a call that another provider made, as base64
/// of `skip_thought_signature_validator`.
pub const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// What is said where a conversation does not begin with the user.
const OPENING: &str = "(The conversation goes on.)";

/// The value of `contents`.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<String, Untranslatable> {
    let trailing = request.turns.last().is_some_and(|turn| turn.role == Role::Assistant);
    if trailing && !target.abilities.prefill {
        let reason = "the model does not continue it";
        losses.lose("a trailing turn of the assistant", Gravity::Meaning, reason)?;
    }
    let (open, waiting) = (Vec::new(), Waiting::default());
    let mut writer = Contents { target, names, losses, open, waiting, out: String::from("[") };
    let party = |turn: &Turn<'_>| turn.role == Role::Assistant;
    for run in request.turns.chunk_by(|one, next| party(one) == party(next)) {
        if party(&run[0]) {
            writer.model(run)?;
        } else {
            writer.user(run)?;
        }
    }
    if writer.out == "[" {
        writer.content("user", &[text_part(OPENING)]);
    }
    writer.out.push(']');
    Ok(writer.out)
}

/// A call that waits for its result.
struct Open<'r> {
    id: Option<&'r str>,
    name: &'r str,
    result: Option<&'r ToolResult<'r>>,
}

struct Contents<'r, 't> {
    target: &'t Target<'t>,
    names: &'t mut Names,
    losses: &'t mut Losses,
    /// The calls of the last turn of the model, and which of them wait.
    open: Vec<Open<'r>>,
    waiting: Waiting<'r>,
    out: String,
}

impl<'r> Contents<'r, '_> {
    fn content(&mut self, role: &str, parts: &[String]) {
        if !self.out.ends_with('[') {
            self.out.push(',');
        }
        let parts = parts.join(",");
        let _ = write!(self.out, r#"{{"role":"{role}","parts":[{parts}]}}"#);
    }

    fn model(&mut self, run: &'r [Turn<'r>]) -> Result<(), Untranslatable> {
        self.open.clear();
        self.waiting = Waiting::default();
        let mut parts = Vec::new();
        for block in run.iter().flat_map(|turn| &turn.blocks) {
            match block {
                Block::Thought(thought) => {
                    // Only Gemini's own thoughts mean anything to it.
                    if let Some(signature) = own(thought.signature.as_ref()) {
                        let proof = (Dialect::Gemini, signature.to_owned());
                        parts.extend(compose::thought_part(&thought.text, Some(&proof)));
                    }
                }
                Block::Call(call) => {
                    let part = self.call(call)?;
                    parts.push(part);
                }
                Block::Text(_)
                | Block::Media(_)
                | Block::Result(_)
                | Block::Refusal(_)
                | Block::CachePoint(_) => parts.extend(self.said(block)?),
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        if self.out == "[" {
            self.losses.tuning("first turn")?;
            self.content("user", &[text_part(OPENING)]);
        }
        self.content("model", &parts);
        Ok(())
    }

    fn call(&mut self, call: &'r Call<'r>) -> Result<String, Untranslatable> {
        let blank = call.arguments.trim_ascii().is_empty();
        if !call.free_text && !blank && !is_object(&call.arguments) {
            self.losses.tuning("tool_calls")?;
        }
        let own = own(call.signature.as_ref());
        let stand_in = self.open.is_empty() && self.target.abilities.call_signatures;
        let signature = own.or_else(|| stand_in.then_some(NO_SIGNATURE));
        let id = call.id.as_deref().unwrap_or("");
        let args = compose::args(&call.arguments, call.free_text);
        let part = compose::call_part(id, &self.names.of(&call.name), &args, signature);
        self.waiting.add(call.id.as_deref(), &call.name);
        self.open.push(Open { id: call.id.as_deref(), name: &call.name, result: None });
        Ok(part)
    }

    fn user(&mut self, run: &'r [Turn<'r>]) -> Result<(), Untranslatable> {
        let mut parts = Vec::new();
        for turn in run {
            for block in &turn.blocks {
                match block {
                    Block::Result(result) => self.answer(result)?,
                    Block::Text(text) if turn.role == Role::System && !text.is_empty() => {
                        self.losses.tuning("system turns within the conversation")?;
                        parts.push(text_part(&format!("<system>\n{text}\n</system>")));
                    }
                    Block::Text(_)
                    | Block::Media(_)
                    | Block::Thought(_)
                    | Block::Call(_)
                    | Block::Refusal(_)
                    | Block::CachePoint(_) => parts.extend(self.said(block)?),
                }
            }
        }
        let results = self.results()?;
        if !results.is_empty() {
            self.content("user", &results);
        }
        if !parts.is_empty() {
            self.content("user", &parts);
        }
        Ok(())
    }

    /// Gives a result to its call: by id, else to the first of its name that
    /// waits.
    fn answer(&mut self, result: &'r ToolResult<'r>) -> Result<(), Untranslatable> {
        let (id, name) = (result.id.as_deref(), result.name.as_deref());
        let place = id.and_then(|id| self.waiting.find(Key::Id(id)));
        let otherwise = match (id, name) {
            (None, None) => Key::Any,
            (None, Some(name)) => Key::Name(name),
            (Some(_), None) => Key::AnyWithoutId,
            (Some(_), Some(name)) => Key::NameWithoutId(name),
        };
        if let Some(at) = place.or_else(|| self.waiting.find(otherwise)) {
            self.waiting.answer(at);
            self.open[at].result = Some(result);
            return Ok(());
        }
        let reason = "a result belongs to no call of the turn before";
        self.losses.lose("tool results", Gravity::Meaning, reason)
    }

    /// The responses to all calls, in their order.
    fn results(&mut self) -> Result<Vec<String>, Untranslatable> {
        let open = std::mem::take(&mut self.open);
        self.waiting = Waiting::default();
        let mut parts = Vec::with_capacity(open.len());
        for call in &open {
            let (response, media) = if let Some(result) = call.result {
                self.response(result)?
            } else {
                self.losses.tuning("tool calls without a result")?;
                (r#"{"error":"no result was given"}"#.to_owned(), Vec::new())
            };
            let mut out = String::from("{");
            if let Some(id) = call.id {
                push_text(&mut out, "id", id);
            }
            push_text(&mut out, "name", &self.names.of(call.name));
            push_member(&mut out, "response", &response);
            if !media.is_empty() {
                push_member(&mut out, "parts", &format!("[{}]", media.join(",")));
            }
            out.push('}');
            parts.push(format!(r#"{{"functionResponse":{out}}}"#));
        }
        Ok(parts)
    }

    /// A result as an object, and the media that came with it.
    fn response(
        &mut self,
        result: &ToolResult<'_>,
    ) -> Result<(String, Vec<String>), Untranslatable> {
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for block in &result.content {
            match block {
                Block::Text(text) => texts.push(&**text),
                Block::Media(item) => media.extend(self.media(item)?),
                Block::CachePoint(_) => self.losses.tuning(CACHE)?,
                // Not in a result; see the hub.
                Block::Thought(_) | Block::Call(_) | Block::Result(_) | Block::Refusal(_) => {}
            }
        }
        let text = texts.join("\n");
        let response = if result.is_error {
            format!(r#"{{"error":{}}}"#, json::quote(&text))
        } else if is_object(&text) {
            text
        } else {
            format!(r#"{{"result":{}}}"#, json::quote(&text))
        };
        Ok((response, media))
    }

    /// What either party may say.
    fn said(&mut self, block: &Block<'_>) -> Result<Option<String>, Untranslatable> {
        match block {
            Block::Text(text) | Block::Refusal(text) => {
                Ok((!text.is_empty()).then(|| text_part(text)))
            }
            Block::Media(media) => self.media(media),
            Block::CachePoint(_) => self.losses.tuning(CACHE).map(|()| None),
            // Thoughts and calls are the model's, results the user's.
            Block::Thought(_) | Block::Call(_) | Block::Result(_) => Ok(None),
        }
    }

    fn media(&mut self, media: &Media<'_>) -> Result<Option<String>, Untranslatable> {
        if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
            self.losses.tuning("detail")?;
        }
        match &media.source {
            Source::Text(text) => Ok((!text.is_empty()).then(|| text_part(text))),
            Source::Base64(data) => {
                if media.media_type.is_empty() {
                    self.losses.lose(word(media.kind), Gravity::Vital, "the type is not known")?;
                    return Ok(None);
                }
                let data = [("mimeType", &*known_type(&media.media_type)), ("data", data)];
                Ok(Some(object("inlineData", &data)))
            }
            Source::Url(url) if OWN_FILES.iter().any(|start| url.starts_with(start)) => {
                let mut file = vec![("fileUri", &**url)];
                if !media.media_type.is_empty() {
                    file.insert(0, ("mimeType", &*media.media_type));
                }
                Ok(Some(object("fileData", &file)))
            }
            Source::Url(_) => {
                let reason = "the model takes no URL, and fetching is not enabled";
                self.losses.lose(word(media.kind), Gravity::Vital, reason)?;
                Ok(None)
            }
        }
    }
}

fn own<'s>(signature: Option<&'s Signature<'_>>) -> Option<&'s str> {
    signature.filter(|signature| signature.by == Dialect::Gemini).map(|signature| &*signature.value)
}

const fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "images",
        MediaKind::Document => "documents",
        MediaKind::Audio => "audio",
    }
}

fn known_type(media_type: &str) -> Cow<'_, str> {
    if media_type == "image/jpg" { "image/jpeg".into() } else { media_type.into() }
}

fn object(name: &str, members: &[(&str, &str)]) -> String {
    let mut inner = String::from("{");
    for (key, value) in members {
        push_text(&mut inner, key, value);
    }
    inner.push('}');
    format!(r#"{{"{name}":{inner}}}"#)
}
