//! A client's request into the internal form. Owns the top level; contents,
//! tools and the generation's configuration are read by modules of their own.
//! Nothing is copied but texts with escapes and schemas that are rewritten.

mod config;
mod contents;
mod tools;

use super::fields::{Fields, field, members};
use crate::dialect::hub::{Block, Gravity, Request};
use crate::dialect::node::Node;
use crate::dialect::peeking::wrong;
use crate::dialect::request::{Address, BadRequest};

/// Reads a request that passed `peek`.
pub fn read_request<'a>(body: &'a str, address: &Address) -> Result<Request<'a>, BadRequest> {
    let mut request = Request { stream: address.stream, include_usage: true, ..Request::new() };
    for (key, value) in members(Node::new(body)) {
        match &*key {
            "contents" => contents::read(value, &mut request)?,
            "systemInstruction" => system(value, &mut request)?,
            "tools" => tools::read(value, &mut request)?,
            "toolConfig" => tools::read_config(value, &mut request)?,
            "generationConfig" => config::read(value, &mut request)?,
            // The model is in the URL.
            "model" => {}
            "store" if value.bool() == Some(false) => {}
            // What lies there is part of the question.
            "cachedContent" | "continuationToken" => request.other(key, Gravity::Vital),
            // Safety settings, labels, tiers, and what is not known yet.
            _ if is_empty(value) => {}
            _ => request.other(key, Gravity::Tuning),
        }
    }
    Ok(request)
}

fn is_empty(value: Node<'_>) -> bool {
    (value.is_array() || value.is_object())
        && value.items().next().is_none()
        && value.members().next().is_none()
}

fn system<'a>(content: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    if let Some(text) = content.str() {
        request.system.push(Block::Text(text));
        return Ok(());
    }
    if !content.is_object() {
        return Err(wrong("systemInstruction", "must be a content"));
    }
    let Some(parts) = field(content, "parts") else { return Ok(()) };
    request.system.reserve_exact(contents::plausible(parts));
    for part in parts.items() {
        match Fields::of(part).text.and_then(Node::str) {
            Some(text) if text.is_empty() => {}
            Some(text) => request.system.push(Block::Text(text)),
            None => request.other("systemInstruction.parts[]", Gravity::Vital),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
