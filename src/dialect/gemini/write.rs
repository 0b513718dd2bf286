//! A request of the internal form for a target of this dialect. Owns the order
//! of the body's members; contents, tools and the generation's configuration
//! are written by modules of their own.

mod config;
mod contents;
pub(super) use contents::NO_SIGNATURE;
mod tools;

use bytes::Bytes;

use super::compose::text_part;
use super::fields::push_member;
use crate::dialect::hub::legend::FORMAT_TOOL;
use crate::dialect::hub::{Block, Format, Gravity, Legend, Losses, Request, Untranslatable};
use crate::dialect::names::{Names, Rule};
use crate::dialect::target::{Target, Written};

/// The field as the hub calls it.
const CACHE: &str = "cache_control";

const NAMES: Rule = Rule { longest: 64, marks: "-.", letter_first: true };

/// Writes a request for a target of this dialect.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
) -> Result<Written, Untranslatable> {
    let mut losses = Losses::new(target.strictness);
    let mut names = Names::new(NAMES, request.tools.iter().map(|tool| &*tool.name));
    let format_tool = format_tool(request, target, &mut losses)?;
    let mut body = String::from("{");
    let contents = contents::write(request, target, &mut names, &mut losses)?;
    push_member(&mut body, "contents", &contents);
    if let Some(system) = system(request, &mut losses)? {
        push_member(&mut body, "systemInstruction", &system);
    }
    if let Some(schema) = format_tool {
        push_member(&mut body, "tools", &tools::format_tool(schema));
        push_member(&mut body, "toolConfig", &tools::forced(FORMAT_TOOL));
    } else if !request.tools.is_empty() {
        push_member(&mut body, "tools", &tools::write(&request.tools, &mut names, &mut losses)?);
        if let Some(config) = tools::config(request, target, &mut names, &mut losses)? {
            push_member(&mut body, "toolConfig", &config);
        }
    }
    let config = config::write(request, target, format_tool.is_some(), &mut losses)?;
    if config != "{}" {
        push_member(&mut body, "generationConfig", &config);
    }
    body.push('}');
    let free_text = request.tools.iter().filter(|tool| tool.free_text);
    let legend = Legend {
        names: names.legend(),
        format_tool: format_tool.map(|_| FORMAT_TOOL.to_owned()),
        free_text: free_text.map(|tool| tool.name.to_string()).collect(),
        hides_thoughts: false,
    };
    Ok(Written { body: Bytes::from(body), dropped: losses.into_dropped(), legend })
}

/// The schema of the tool that stands for a promised format, where the model
/// takes none itself.
fn format_tool<'r>(
    request: &'r Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Option<&'r str>, Untranslatable> {
    let Some(Format::Schema { schema, .. }) = &request.format else { return Ok(None) };
    if target.abilities.structured_output {
        return Ok(None);
    }
    if request.tools.is_empty() && target.abilities.forced_tools {
        return Ok(Some(schema));
    }
    let reason = "the model takes no schema, and the request has tools of its own";
    losses.lose("response_format", Gravity::Meaning, reason)?;
    Ok(None)
}

fn system(request: &Request<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    let mut parts = Vec::with_capacity(request.system.len());
    for block in &request.system {
        match block {
            Block::Text(text) if text.is_empty() => {}
            Block::Text(text) => parts.push(text_part(text)),
            Block::CachePoint(_) => losses.tuning(CACHE)?,
            // Not in a system prompt; see the hub.
            Block::Media(_)
            | Block::Thought(_)
            | Block::Call(_)
            | Block::Result(_)
            | Block::Refusal(_) => losses.lose("system", Gravity::Meaning, "it is no text")?,
        }
    }
    Ok((!parts.is_empty()).then(|| format!(r#"{{"parts":[{}]}}"#, parts.join(","))))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
