//! The content of a message, read as blocks: texts, images, files, sounds.

use std::borrow::Cow;

use crate::dialect::hub::{Block, Gravity, Media, MediaKind, Request, Source, Thought};
use crate::dialect::node::Node;
use crate::dialect::request::BadRequest;
use crate::dialect::uri;

use super::read::{room, short, wrong};

/// The least text a part can have: `{"type":"text","text":""}`.
const MIN_PART: usize = 25;

/// Reads a `content`. What it says besides is noted in the request.
pub fn read<'a>(
    request: &mut Request<'a>,
    content: Option<Node<'a>>,
) -> Result<Vec<Block<'a>>, BadRequest> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = content.str() {
        return Ok(vec![Block::Text(text)]);
    }
    if !content.is_array() {
        return Err(wrong("messages", "must have a string or an array as content"));
    }
    let mut blocks = Vec::with_capacity(room(content, MIN_PART));
    for node in content.items() {
        blocks.extend(part(request, node)?);
        if let Some(point) = node.get("prompt_cache_breakpoint") {
            // The longest the others know.
            let longer = point.get("ttl").map(|_| Cow::Borrowed("1h"));
            blocks.push(Block::CachePoint(longer));
        }
    }
    Ok(blocks)
}

fn part<'a>(request: &mut Request<'a>, node: Node<'a>) -> Result<Option<Block<'a>>, BadRequest> {
    let kind = node.text("type");
    let kind = kind.ok_or_else(|| wrong("messages", "have content parts without a type"))?;
    let block = match &*kind {
        "text" => node.text("text").map(Block::Text),
        "refusal" => node.text("refusal").map(Block::Refusal),
        "thinking" => node.get("thinking").map(thought),
        "image_url" => node.get("image_url").and_then(image).map(media),
        "input_audio" => node.get("input_audio").and_then(audio).map(media),
        "file" => node.get("file").and_then(file).map(media),
        _ => None,
    };
    if block.is_none() {
        // Without it the question would be another one.
        request.other(format!("messages[].content[].{}", short(&kind)), Gravity::Vital);
    }
    Ok(block)
}

fn media(media: Media<'_>) -> Block<'_> {
    Block::Media(Box::new(media))
}

/// Mistral's models think in a part that holds parts.
fn thought(node: Node<'_>) -> Block<'_> {
    let joined = || node.items().filter_map(|part| part.text("text")).collect::<String>().into();
    let text = node.str().unwrap_or_else(joined);
    Block::Thought(Box::new(Thought { text, signature: None, redacted: false }))
}

/// An image by its URL or as a data URI; some clients give the URL itself.
fn image(node: Node<'_>) -> Option<Media<'_>> {
    let url = node.str().or_else(|| node.text("url"))?;
    let detail = node.text("detail");
    let kind = MediaKind::Image;
    let (media_type, source) = uri::source(url)?;
    Some(Media { kind, media_type, source, name: None, detail })
}

fn audio(node: Node<'_>) -> Option<Media<'_>> {
    let media_type = match node.text("format")?.as_ref() {
        "wav" => Cow::Borrowed("audio/wav"),
        "mp3" => Cow::Borrowed("audio/mp3"),
        other => format!("audio/{}", short(other)).into(),
    };
    let source = Source::Base64(node.text("data")?);
    Some(Media { kind: MediaKind::Audio, media_type, source, name: None, detail: None })
}

/// A file that is there; one that only has an id is at its provider.
fn file(node: Node<'_>) -> Option<Media<'_>> {
    let data = node.text("file_data")?;
    let name = node.text("filename");
    let (media_type, data) = if data.starts_with("data:") {
        uri::data(data)?
    } else {
        let text = name.as_ref().is_some_and(|name| name.ends_with(".txt"));
        (Cow::Borrowed(if text { "text/plain" } else { "application/pdf" }), data)
    };
    let kind = MediaKind::of(&media_type);
    Some(Media { kind, media_type, source: Source::Base64(data), name, detail: None })
}
