//! Turns written as input items, and the pairing of calls with their results:
//! the API refuses a call without an output, and an output without its call.

use std::borrow::Cow;
use std::collections::HashMap;

use super::object::{Object, array};
use super::tools::valid_name;
use crate::dialect::Dialect;
use crate::dialect::digest;
use crate::dialect::hub::legend::FREE_TEXT_PARAMETER;
use crate::dialect::hub::{
    Block, Call, Gravity, Losses, Media, MediaKind, Request, Role, Source, Thought, ToolResult,
    Turn, Untranslatable,
};
use crate::dialect::target::Quirks;
use crate::dialect::waiting::{Key, Waiting};

/// The longest id of a call that is taken.
const LONGEST_ID: usize = 64;

/// What stands for a result that never came.
const NO_RESULT: &str = "Error: this call has no result.";

/// A call and whether a result answers it.
struct Paired {
    id: String,
    free_text: bool,
    answered: bool,
}

/// The calls of a request in order, and for each result the call it answers.
struct Pairing {
    calls: Vec<Paired>,
    results: Vec<Option<usize>>,
}

impl Pairing {
    fn of(turns: &[Turn<'_>], quirks: Quirks) -> Self {
        let mut pairing = Self { calls: Vec::new(), results: Vec::new() };
        let (mut ids, mut waiting) = (HashMap::new(), Waiting::default());
        for block in turns.iter().flat_map(|turn| &turn.blocks) {
            match block {
                Block::Call(call) => {
                    let id = call.id.as_deref();
                    id.map(|id| ids.insert(id, pairing.calls.len()));
                    waiting.add(id, &call.name);
                    let id = call_id(id, pairing.calls.len());
                    let free_text = call.free_text && !quirks.has(Quirks::FUNCTIONS_ONLY);
                    pairing.calls.push(Paired { id, free_text, answered: false });
                }
                Block::Result(result) => {
                    let place = match (&result.id, result.name.as_deref()) {
                        (Some(id), _) => ids.get(&**id).copied(),
                        (None, Some(name)) => waiting.find(Key::Name(name)),
                        (None, None) => waiting.find(Key::Any),
                    };
                    if let Some(place) = place {
                        waiting.answer(place);
                        pairing.calls[place].answered = true;
                    }
                    pairing.results.push(place);
                }
                Block::Text(_)
                | Block::Media(_)
                | Block::Thought(_)
                | Block::Refusal(_)
                | Block::CachePoint(_) => {}
            }
        }
        pairing
    }
}

/// A call's id as the API takes it; different ids stay different.
fn call_id(id: Option<&str>, place: usize) -> String {
    match id.filter(|id| !id.is_empty()) {
        Some(id) if id.len() <= LONGEST_ID => id.to_owned(),
        Some(id) => format!("call_{}", digest::hex(id, 40)),
        None => format!("call_unnamed_{place}"),
    }
}

/// Writes the items one after the other.
struct Items<'w> {
    out: Vec<String>,
    /// The parts of the message that is being written.
    parts: Vec<String>,
    pairing: Pairing,
    calls: usize,
    results: usize,
    quirks: Quirks,
    losses: &'w mut Losses,
}

/// The input items of a request.
pub fn write_input(
    request: &Request<'_>,
    quirks: Quirks,
    losses: &mut Losses,
) -> Result<Vec<String>, Untranslatable> {
    let pairing = Pairing::of(&request.turns, quirks);
    let out = Vec::with_capacity(request.turns.len());
    let mut items = Items { out, parts: Vec::new(), pairing, calls: 0, results: 0, quirks, losses };
    for turn in &request.turns {
        match turn.role {
            Role::User => items.user(&turn.blocks)?,
            Role::Assistant => items.assistant(&turn.blocks)?,
            Role::System => items.system(&turn.blocks)?,
        }
    }
    Ok(items.out)
}

/// A message of the operator.
#[must_use]
pub fn developer(text: &str, quirks: Quirks) -> String {
    message(operator(quirks), &[part("input_text", "text", text)])
}

/// The operator's role.
const fn operator(quirks: Quirks) -> &'static str {
    if quirks.has(Quirks::NO_DEVELOPER_ROLE) { "system" } else { "developer" }
}

fn message(role: &str, parts: &[String]) -> String {
    Object::typed("message").text("role", role).raw("content", &array(parts)).end()
}

fn part(kind: &str, key: &str, text: &str) -> String {
    Object::typed(kind).text(key, text).end()
}

impl Items<'_> {
    /// Ends the message that is being written.
    fn flush(&mut self, role: &str) {
        if !self.parts.is_empty() {
            self.out.push(message(role, &self.parts));
            self.parts.clear();
        }
    }

    fn user(&mut self, blocks: &[Block<'_>]) -> Result<(), Untranslatable> {
        for block in blocks {
            match block {
                Block::Text(text) => self.parts.push(part("input_text", "text", text)),
                Block::Media(media) => {
                    let part = media_part(media, self.losses)?;
                    self.parts.extend(part);
                }
                Block::Result(result) => {
                    self.flush("user");
                    self.result(result)?;
                }
                Block::CachePoint(_) => self.losses.tuning("cache_control")?,
                Block::Thought(_) | Block::Call(_) | Block::Refusal(_) => {}
            }
        }
        self.flush("user");
        Ok(())
    }

    fn assistant(&mut self, blocks: &[Block<'_>]) -> Result<(), Untranslatable> {
        let first = self.calls;
        for block in blocks {
            match block {
                Block::Text(text) => self.parts.push(part("output_text", "text", text)),
                Block::Refusal(text) => self.parts.push(part("refusal", "refusal", text)),
                Block::Call(call) => {
                    self.flush("assistant");
                    self.call(call);
                }
                Block::Thought(thought) => {
                    if let Some(item) = reasoning(thought) {
                        self.flush("assistant");
                        self.out.push(item);
                    }
                }
                Block::Media(_) => {
                    let reason = "the assistant's turns hold text only";
                    self.losses.lose("images", Gravity::Meaning, reason)?;
                }
                Block::CachePoint(_) => self.losses.tuning("cache_control")?,
                Block::Result(_) => {}
            }
        }
        self.flush("assistant");
        for at in first..self.calls {
            if !self.pairing.calls[at].answered {
                self.losses.tuning("tool_calls")?;
                let item = output(&self.pairing.calls[at], &crate::dialect::json::quote(NO_RESULT));
                self.out.push(item);
            }
        }
        Ok(())
    }

    fn system(&mut self, blocks: &[Block<'_>]) -> Result<(), Untranslatable> {
        for block in blocks {
            match block {
                Block::Text(text) => self.parts.push(part("input_text", "text", text)),
                Block::CachePoint(_) => self.losses.tuning("cache_control")?,
                Block::Media(_)
                | Block::Thought(_)
                | Block::Call(_)
                | Block::Result(_)
                | Block::Refusal(_) => {}
            }
        }
        self.flush(operator(self.quirks));
        Ok(())
    }

    fn call(&mut self, call: &Call<'_>) {
        let Some(paired) = self.pairing.calls.get(self.calls) else { return };
        self.calls += 1;
        let (kind, key) = if paired.free_text {
            ("custom_tool_call", "input")
        } else {
            ("function_call", "arguments")
        };
        let arguments = match (call.free_text, paired.free_text) {
            (true, false) => Object::new().text(FREE_TEXT_PARAMETER, &call.arguments).end().into(),
            (false, _) if call.arguments.trim_ascii().is_empty() => Cow::Borrowed("{}"),
            (true | false, _) => Cow::Borrowed(&*call.arguments),
        };
        let head = Object::typed(kind).text("call_id", &paired.id);
        self.out.push(head.text("name", &valid_name(&call.name)).text(key, &arguments).end());
    }

    fn result(&mut self, result: &ToolResult<'_>) -> Result<(), Untranslatable> {
        let place = self.pairing.results.get(self.results).copied().flatten();
        self.results += 1;
        let Some(place) = place else {
            let reason = "a tool's result without its call";
            return self.losses.lose("tool_results", Gravity::Meaning, reason);
        };
        let content = result_content(result, self.losses)?;
        self.out.push(output(&self.pairing.calls[place], &content));
        Ok(())
    }
}

fn output(call: &Paired, content: &str) -> String {
    let kind = if call.free_text { "custom_tool_call_output" } else { "function_call_output" };
    Object::typed(kind).text("call_id", &call.id).raw("output", content).end()
}

/// A result's content as JSON: a string, or parts where there are several.
fn result_content(result: &ToolResult<'_>, losses: &mut Losses) -> Result<String, Untranslatable> {
    let prefix = if result.is_error { "Error: " } else { "" };
    match &result.content[..] {
        [] => return Ok(crate::dialect::json::quote(prefix.trim_ascii_end())),
        [Block::Text(text)] => return Ok(crate::dialect::json::quote(&format!("{prefix}{text}"))),
        _ => {}
    }
    let mut parts = Vec::with_capacity(result.content.len() + 1);
    if result.is_error {
        parts.push(part("input_text", "text", prefix.trim_ascii_end()));
    }
    for block in &result.content {
        match block {
            Block::Text(text) => parts.push(part("input_text", "text", text)),
            Block::Media(media) => parts.extend(media_part(media, losses)?),
            Block::Thought(_)
            | Block::Call(_)
            | Block::Result(_)
            | Block::Refusal(_)
            | Block::CachePoint(_) => {}
        }
    }
    Ok(array(&parts))
}

/// Reasoning is shown to nobody but who made it.
fn reasoning(thought: &Thought<'_>) -> Option<String> {
    let proof = thought.signature.as_ref().filter(|proof| proof.by == Dialect::Responses)?;
    let summary = match &*thought.text {
        "" => Vec::new(),
        text => vec![part("summary_text", "text", text)],
    };
    let head = Object::typed("reasoning").raw("summary", &array(&summary));
    Some(head.text("encrypted_content", &proof.value).end())
}

fn media_part(media: &Media<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    let data_uri = |data: &str| format!("data:{};base64,{data}", media.media_type);
    let detail = media.detail.as_deref();
    let image = |url: &str| {
        Object::typed("input_image").text("image_url", url).maybe("detail", detail).end()
    };
    match (media.kind, &media.source) {
        (MediaKind::Image, Source::Base64(data)) => Ok(Some(image(&data_uri(data)))),
        (MediaKind::Image, Source::Url(url)) => Ok(Some(image(url))),
        (MediaKind::Document, Source::Base64(data)) => {
            let name = media.name.as_deref().unwrap_or(match &*media.media_type {
                "application/pdf" => "document.pdf",
                kind if kind.starts_with("text/") => "document.txt",
                _ => "document",
            });
            let head = Object::typed("input_file").text("filename", name);
            Ok(Some(head.text("file_data", &data_uri(data)).end()))
        }
        (MediaKind::Document, Source::Url(url)) => {
            Ok(Some(Object::typed("input_file").text("file_url", url).end()))
        }
        (MediaKind::Document, Source::Text(text)) => Ok(Some(part("input_text", "text", text))),
        (MediaKind::Image, Source::Text(_)) => {
            losses.lose("images", Gravity::Vital, "an image that is a text")?;
            Ok(None)
        }
        (MediaKind::Audio, _) => {
            losses.lose("audio", Gravity::Vital, "the Responses API takes no audio")?;
            Ok(None)
        }
    }
}
