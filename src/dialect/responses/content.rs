//! The content of a message or of a tool's output: a string, or parts.

use std::borrow::Cow;

use crate::dialect::hub::{Block, Gravity, Media, MediaKind, Request, Source};
use crate::dialect::node::Node;
use crate::dialect::peeking::wrong;
use crate::dialect::request::BadRequest;
use crate::dialect::uri;

/// No shorter part becomes a block.
const SHORTEST: usize = 20;

/// A type from a request, short enough for a notice.
pub fn word(kind: &str) -> String {
    kind.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(64).collect()
}

/// What is looked at of a part.
#[derive(Clone, Copy, Default)]
struct Piece<'a> {
    kind: Option<Node<'a>>,
    text: Option<Node<'a>>,
    refusal: Option<Node<'a>>,
    image_url: Option<Node<'a>>,
    detail: Option<Node<'a>>,
    file_data: Option<Node<'a>>,
    file_url: Option<Node<'a>>,
    file_id: Option<Node<'a>>,
    filename: Option<Node<'a>>,
    input_audio: Option<Node<'a>>,
    cache: Option<Node<'a>>,
}

impl<'a> Piece<'a> {
    fn of(node: Node<'a>) -> Self {
        let mut piece = Self::default();
        for (key, value) in node.members().filter(|(_, value)| !value.is_null()) {
            let place = match &*key {
                "type" => &mut piece.kind,
                "text" => &mut piece.text,
                "refusal" => &mut piece.refusal,
                "image_url" => &mut piece.image_url,
                "detail" => &mut piece.detail,
                "file_data" => &mut piece.file_data,
                "file_url" => &mut piece.file_url,
                "file_id" => &mut piece.file_id,
                "filename" => &mut piece.filename,
                "input_audio" => &mut piece.input_audio,
                "prompt_cache_breakpoint" => &mut piece.cache,
                _ => continue,
            };
            *place = Some(value);
        }
        piece
    }
}

/// The blocks of a content.
pub fn blocks<'a>(
    request: &mut Request<'a>,
    content: Option<Node<'a>>,
) -> Result<Vec<Block<'a>>, BadRequest> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = content.str() {
        return Ok(vec![Block::Text(text)]);
    }
    if !content.is_array() {
        return Err(wrong("input", "has content that is neither a string nor an array"));
    }
    let long = content.items().filter(|part| part.raw().len() >= SHORTEST);
    let mut blocks = Vec::with_capacity(long.count());
    for part in content.items() {
        let piece = Piece::of(part);
        blocks.extend(block(request, piece)?);
        if let Some(cache) = piece.cache {
            blocks.push(Block::CachePoint(cache.text("ttl")));
        }
    }
    Ok(blocks)
}

fn block<'a>(request: &mut Request<'a>, piece: Piece<'a>) -> Result<Option<Block<'a>>, BadRequest> {
    let string = |value: Option<Node<'a>>| {
        let text = value.and_then(Node::str);
        text.ok_or_else(|| wrong("input", "has a part without its text"))
    };
    let kind = piece.kind.and_then(Node::str);
    match kind.as_deref() {
        Some("input_text" | "output_text" | "text" | "summary_text") => {
            Ok(Some(Block::Text(string(piece.text)?)))
        }
        Some("refusal") => Ok(Some(Block::Refusal(string(piece.refusal)?))),
        Some("input_image" | "input_file") if piece.file_id.is_some() => {
            request.other("input[].content[].file_id", Gravity::Vital);
            Ok(None)
        }
        Some("input_image") => image(request, piece),
        Some("input_file") => file(request, piece),
        Some("input_audio") => audio(piece).map(Some),
        Some(other) => {
            request.other(format!("input[].content[].{}", word(other)), Gravity::Meaning);
            Ok(None)
        }
        None => Err(wrong("input", "has a part without a type")),
    }
}

fn media(media: Media<'_>) -> Block<'_> {
    Block::Media(Box::new(media))
}

fn image<'a>(request: &mut Request<'a>, piece: Piece<'a>) -> Result<Option<Block<'a>>, BadRequest> {
    let url = piece.image_url.and_then(Node::str);
    let url = url.ok_or_else(|| wrong("input", "has an image without image_url"))?;
    let Some((media_type, source)) = uri::source(url) else {
        request.other("input[].content[].image_url", Gravity::Vital);
        return Ok(None);
    };
    let detail = piece.detail.and_then(Node::str);
    Ok(Some(media(Media { kind: MediaKind::Image, media_type, source, name: None, detail })))
}

fn file<'a>(request: &mut Request<'a>, piece: Piece<'a>) -> Result<Option<Block<'a>>, BadRequest> {
    let url = piece.file_url.and_then(Node::str);
    let data = piece.file_data.and_then(Node::str);
    let name = piece.filename.and_then(Node::str);
    let found = match (url, data) {
        (Some(url), _) => uri::source(url),
        (None, Some(data)) if data.starts_with("data:") => uri::source(data),
        // Base64 without a word on what it is.
        (None, Some(data)) => Some((Cow::Borrowed("application/pdf"), Source::Base64(data))),
        (None, None) => return Err(wrong("input", "has a file without file_data or file_url")),
    };
    let Some((media_type, source)) = found else {
        request.other("input[].content[].file_data", Gravity::Vital);
        return Ok(None);
    };
    let kind = MediaKind::of(&media_type);
    Ok(Some(media(Media { kind, media_type, source, name, detail: None })))
}

fn audio(piece: Piece<'_>) -> Result<Block<'_>, BadRequest> {
    let data = piece.input_audio.and_then(|audio| audio.text("data"));
    let data = data.ok_or_else(|| wrong("input", "has audio without data"))?;
    let format = piece.input_audio.and_then(|audio| audio.text("format"));
    let media_type = match format.as_deref() {
        Some("mp3") => "audio/mpeg",
        Some(_) | None => "audio/wav",
    };
    Ok(media(Media {
        kind: MediaKind::Audio,
        media_type: media_type.into(),
        source: Source::Base64(data),
        name: None,
        detail: None,
    }))
}

/// The texts of a content that is nothing but text.
pub fn texts(content: Node<'_>) -> Option<Vec<Cow<'_, str>>> {
    if let Some(text) = content.str() {
        return Some(vec![text]);
    }
    if !content.is_array() {
        return None;
    }
    let text = |part: Node<'_>| {
        let kind = part.text("type")?;
        matches!(&*kind, "input_text" | "output_text" | "text").then_some(())
    };
    content.items().map(|part| text(part).and_then(|()| part.text("text"))).collect()
}

/// The texts of a summary's parts as one; `None` if there are none.
pub fn joined(parts: Option<Node<'_>>) -> Option<Cow<'_, str>> {
    let mut joined: Option<Cow<'_, str>> = None;
    for text in parts?.items().filter_map(|part| part.text("text")) {
        match &mut joined {
            None => joined = Some(text),
            Some(all) => {
                let all = all.to_mut();
                all.push_str("\n\n");
                all.push_str(&text);
            }
        }
    }
    joined.filter(|text| !text.is_empty())
}
