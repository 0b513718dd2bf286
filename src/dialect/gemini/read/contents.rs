//! Contents as turns. A function's call and its response have no ids in this
//! dialect, or need none: they are paired by name and order, by whoever writes
//! them for a dialect with ids.

use std::borrow::Cow;

use crate::dialect::Dialect;
use crate::dialect::gemini::fields::{self, Fields, field};
use crate::dialect::hub::{
    Block, Call, Gravity, Media, MediaKind, Request, Role, Signature, Source, Thought, ToolResult,
    Turn,
};
use crate::dialect::node::Node;
use crate::dialect::peeking::{missing, wrong};
use crate::dialect::request::BadRequest;
use crate::dialect::uri;

/// The shortest part that says anything: `{"text":"a"}`.
const LEAST_PART: usize = 12;

/// The shortest content: one with such a part.
const LEAST_CONTENT: usize = 24;

/// A call or a response that is shorter takes much more room here than in the
/// body; there may only be so many of them.
const BARE: usize = 36;
const MAX_BARE: usize = 1024;

/// Where the files lie that only Google's servers can read.
const OWN_FILES: [&str; 2] = ["https://generativelanguage.googleapis.com/", "gs://"];

/// Reads all contents.
pub fn read<'a>(contents: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    if !contents.is_array() {
        return Err(wrong("contents", "must be an array"));
    }
    let plausible = contents.items().filter(|content| content.raw().len() >= LEAST_CONTENT);
    request.turns.reserve_exact(plausible.count());
    let mut bare = 0;
    for content in contents.items() {
        let role = role(content)?;
        let blocks = blocks(content, role, &mut bare, request)?;
        if !blocks.is_empty() {
            request.turns.push(Turn { role, blocks });
        }
    }
    Ok(())
}

/// How many of these parts can say anything: a list is made for so many.
pub fn plausible(parts: Node<'_>) -> usize {
    parts.items().filter(|part| part.raw().len() >= LEAST_PART).count()
}

fn role(content: Node<'_>) -> Result<Role, BadRequest> {
    if !content.is_object() {
        return Err(wrong("contents", "must hold objects"));
    }
    let Some(role) = content.get("role") else { return Ok(Role::User) };
    match role.str().as_deref() {
        Some("model") => Ok(Role::Assistant),
        // Functions once had a role of their own.
        Some("user" | "function" | "tool" | "") => Ok(Role::User),
        Some(_) | None => Err(wrong("contents", "has a role other than user and model")),
    }
}

fn blocks<'a>(
    content: Node<'a>,
    role: Role,
    bare: &mut usize,
    request: &mut Request<'a>,
) -> Result<Vec<Block<'a>>, BadRequest> {
    let Some(parts) = field(content, "parts") else { return Ok(Vec::new()) };
    if !parts.is_array() {
        return Err(wrong("contents", "has parts that are no array"));
    }
    let mut blocks = Vec::with_capacity(plausible(parts));
    for part in parts.items() {
        if !part.is_object() {
            return Err(wrong("contents", "has a part that is no object"));
        }
        let block = block(Fields::of(part), role, request)?;
        let called = matches!(block, Some(Block::Call(_) | Block::Result(_)));
        *bare += usize::from(called && part.raw().len() < BARE);
        if *bare > MAX_BARE {
            return Err(wrong("contents", "has more than 1024 calls and responses of a mere name"));
        }
        blocks.extend(block);
    }
    Ok(blocks)
}

fn block<'a>(
    part: Fields<'a>,
    role: Role,
    request: &mut Request<'a>,
) -> Result<Option<Block<'a>>, BadRequest> {
    if part.resolution {
        request.other("contents[].parts[].mediaResolution", Gravity::Tuning);
    }
    let signature = part.signature.map(|value| Signature { by: Dialect::Gemini, value });
    if let Some(node) = part.call {
        if role != Role::Assistant {
            return Err(wrong("contents", "has a functionCall that is not the model's"));
        }
        return call(node, signature).map(Some);
    }
    if let Some(node) = part.response {
        if role == Role::Assistant {
            return Err(wrong("contents", "has a functionResponse that is the model's"));
        }
        return result(node, request).map(Some);
    }
    if let Some(node) = part.inline_data {
        return inline(node, request);
    }
    if let Some(node) = part.file_data {
        return file(node, request);
    }
    if let Some(text) = part.text {
        let text = text.str().ok_or_else(|| wrong("contents", "has a text that is no string"))?;
        return Ok(words(text, part.thought, role, signature));
    }
    let other = part.server.map(Cow::Borrowed).or(part.unknown);
    if let Some(key) = other {
        request.other(format!("contents[].parts[].{key}"), Gravity::Meaning);
    }
    Ok(None)
}

/// A signature on plain text need not come back, and only the model thinks.
fn words<'a>(
    text: Cow<'a, str>,
    thought: bool,
    role: Role,
    signature: Option<Signature<'a>>,
) -> Option<Block<'a>> {
    if thought {
        let worth = role == Role::Assistant && (!text.is_empty() || signature.is_some());
        return worth
            .then(|| Block::Thought(Box::new(Thought { text, signature, redacted: false })));
    }
    (!text.is_empty()).then_some(Block::Text(text))
}

fn call<'a>(node: Node<'a>, signature: Option<Signature<'a>>) -> Result<Block<'a>, BadRequest> {
    let name = fields::text(node, "name").filter(|name| !name.is_empty());
    let args = field(node, "args");
    if args.is_some_and(|args| !args.is_object()) {
        return Err(wrong("functionCall.args", "must be an object"));
    }
    Ok(Block::Call(Box::new(Call {
        id: fields::text(node, "id").filter(|id| !id.is_empty()),
        name: name.ok_or_else(|| missing("functionCall.name"))?,
        arguments: args.map_or("{}", Node::raw).into(),
        free_text: false,
        signature,
    })))
}

fn result<'a>(node: Node<'a>, request: &mut Request<'a>) -> Result<Block<'a>, BadRequest> {
    let name = fields::text(node, "name").filter(|name| !name.is_empty());
    let id = fields::text(node, "id").filter(|id| !id.is_empty());
    if name.is_none() && id.is_none() {
        return Err(missing("functionResponse.name"));
    }
    let (text, is_error) = match field(node, "response") {
        Some(response) if response.is_object() => said(response),
        Some(_) => return Err(wrong("functionResponse.response", "must be an object")),
        None => ("{}".into(), false),
    };
    let mut content = vec![Block::Text(text)];
    if let Some(parts) = field(node, "parts") {
        for part in parts.items() {
            let part = Fields::of(part);
            let media = match (part.inline_data, part.file_data) {
                (Some(node), _) => inline(node, request)?,
                (None, Some(node)) => file(node, request)?,
                (None, None) => None,
            };
            content.extend(media);
        }
    }
    Ok(Block::Result(Box::new(ToolResult { id, name, content, is_error })))
}

/// What a response says, and whether it is an error. The objects that a mere
/// text is wrapped in are unwrapped; any other stays JSON.
fn said(response: Node<'_>) -> (Cow<'_, str>, bool) {
    let mut members = response.members();
    let (Some((key, value)), None) = (members.next(), members.next()) else {
        return (response.raw().into(), false);
    };
    match (&*key, value.str()) {
        ("error", Some(text)) => (text, true),
        ("error", None) => (value.raw().into(), true),
        ("result", Some(text)) => (text, false),
        _ => (response.raw().into(), false),
    }
}

fn inline<'a>(node: Node<'a>, request: &mut Request<'a>) -> Result<Option<Block<'a>>, BadRequest> {
    let media_type = fields::text(node, "mimeType").unwrap_or_default();
    let data = fields::text(node, "data").ok_or_else(|| missing("inlineData.data"))?;
    let Some(kind) = kind(&media_type) else {
        request.other(format!("contents[].parts[].inlineData ({media_type})"), Gravity::Vital);
        return Ok(None);
    };
    let name = fields::text(node, "displayName");
    let source = Source::Base64(standard(data));
    Ok(Some(Block::Media(Box::new(Media { kind, media_type, source, name, detail: None }))))
}

/// The Python SDK writes base64 for URLs; no other dialect takes that.
fn standard(data: Cow<'_, str>) -> Cow<'_, str> {
    if data.contains(['-', '_']) {
        return Cow::Owned(data.replace('-', "+").replace('_', "/"));
    }
    data
}

fn file<'a>(node: Node<'a>, request: &mut Request<'a>) -> Result<Option<Block<'a>>, BadRequest> {
    let uri = fields::text(node, "fileUri").ok_or_else(|| missing("fileData.fileUri"))?;
    let media_type = fields::text(node, "mimeType").unwrap_or_default();
    let own = OWN_FILES.iter().any(|start| uri.starts_with(start));
    let web = uri::is_web(&uri);
    let kind = if media_type.is_empty() { kind_of_name(&uri) } else { kind(&media_type) };
    match kind {
        Some(kind @ (MediaKind::Image | MediaKind::Document)) if web && !own => {
            let name = fields::text(node, "displayName");
            let source = Source::Url(uri);
            Ok(Some(Block::Media(Box::new(Media { kind, media_type, source, name, detail: None }))))
        }
        Some(_) | None => {
            request.other("contents[].parts[].fileData", Gravity::Vital);
            Ok(None)
        }
    }
}

fn kind(media_type: &str) -> Option<MediaKind> {
    let (family, _) = media_type.split_once('/')?;
    match family {
        "image" => Some(MediaKind::Image),
        "audio" => Some(MediaKind::Audio),
        "text" | "application" => Some(MediaKind::Document),
        _ => None,
    }
}

fn kind_of_name(uri: &str) -> Option<MediaKind> {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let (_, ending) = path.rsplit_once('.')?;
    match &*ending.to_ascii_lowercase() {
        "png" | "jpg" | "jpeg" | "gif" | "webp" => Some(MediaKind::Image),
        "pdf" => Some(MediaKind::Document),
        _ => None,
    }
}
