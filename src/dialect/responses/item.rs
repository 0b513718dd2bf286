//! The items of an answer's output: read from an answer, written to one. Must
//! not know what lies around them.

use std::borrow::Cow;

use super::content;
use super::object::{Object, array};
use super::tools::{qualified, unqualified};
use crate::dialect::Dialect;
use crate::dialect::digest;
use crate::dialect::hub::{Choice, Finish, Part, Usage};
use crate::dialect::node::Node;

/// What a type of item or part is called, where the internal form has no place
/// for it.
const OPAQUE: &[&str] = &[
    "apply_patch_call",
    "code_interpreter_call",
    "compaction",
    "computer_call",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "mcp_approval_request",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "shell_call",
    "tool_search_call",
    "web_search_call",
];

#[must_use]
pub fn opaque(kind: &str) -> &'static str {
    OPAQUE.iter().find(|known| **known == kind).copied().unwrap_or("unknown item")
}

/// What an item is, as far as it is told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Message,
    Function,
    Custom,
    Reasoning,
    Opaque(&'static str),
}

impl Kind {
    #[must_use]
    pub fn of(item: Node<'_>) -> Self {
        match item.text("type").as_deref() {
            Some("message") => Self::Message,
            Some("function_call") => Self::Function,
            Some("custom_tool_call") => Self::Custom,
            Some("reasoning") => Self::Reasoning,
            Some(other) => Self::Opaque(opaque(other)),
            None => Self::Opaque("unknown item"),
        }
    }

    /// Where a call has its arguments.
    #[must_use]
    pub const fn arguments(self) -> &'static str {
        match self {
            Self::Custom => "input",
            Self::Message | Self::Function | Self::Reasoning | Self::Opaque(_) => "arguments",
        }
    }
}

fn owned(node: Node<'_>, name: &str) -> String {
    node.text(name).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

/// The name of what an item calls; empty where it has none.
#[must_use]
pub fn call_name(item: Node<'_>) -> Cow<'_, str> {
    let name = item.text("name").filter(|name| !name.is_empty());
    let namespace = item.text("namespace");
    name.map_or(Cow::Borrowed(""), |name| qualified(namespace.as_deref(), name))
}

/// The parts of an output's items.
#[must_use]
pub fn read_all(output: Option<Node<'_>>) -> Vec<Part> {
    let mut choice = Choice::default();
    for item in output.into_iter().flat_map(Node::items) {
        read(item, &mut choice);
    }
    choice.parts
}

/// The parts of one finished item.
fn read(item: Node<'_>, choice: &mut Choice) {
    match Kind::of(item) {
        Kind::Message => {
            for part in item.get("content").into_iter().flat_map(Node::items) {
                read_content(part, choice);
            }
        }
        kind @ (Kind::Function | Kind::Custom) => {
            let name = call_name(item).into_owned();
            if !name.is_empty() {
                choice.push(Part::Call {
                    id: owned(item, "call_id"),
                    name,
                    arguments: owned(item, kind.arguments()),
                    free_text: kind == Kind::Custom,
                    signature: None,
                });
            }
        }
        Kind::Reasoning => {
            let text = reasoning_text(item);
            let signature = encrypted(item);
            if !text.is_empty() || signature.is_some() {
                let redacted = text.is_empty();
                choice.push(Part::Thought { text, signature, redacted });
            }
        }
        Kind::Opaque(what) => choice.add_opaque(what),
    }
}

fn read_content(part: Node<'_>, choice: &mut Choice) {
    match part.text("type").as_deref() {
        Some("output_text" | "text") => {
            choice.add_text(part.text("text").unwrap_or_default());
            if has_annotations(part) {
                choice.add_opaque("citations");
            }
        }
        Some("refusal") => choice.add_refusal(part.text("refusal").unwrap_or_default()),
        Some(_) | None => choice.add_opaque("unknown part"),
    }
}

/// Whether a part of a message cites.
#[must_use]
pub fn has_annotations(part: Node<'_>) -> bool {
    part.get("annotations").is_some_and(|list| list.items().next().is_some())
}

/// The summary, or the reasoning itself.
#[must_use]
pub fn reasoning_text(item: Node<'_>) -> String {
    let text = content::joined(item.get("summary"));
    let text = text.or_else(|| content::joined(item.get("content")));
    text.map(std::borrow::Cow::into_owned).unwrap_or_default()
}

#[must_use]
pub fn encrypted(item: Node<'_>) -> Option<(Dialect, String)> {
    let value = item.text("encrypted_content").filter(|value| !value.is_empty())?;
    Some((Dialect::Responses, value.into_owned()))
}

/// The token counts of a response.
#[must_use]
pub fn usage(node: Node<'_>) -> Usage {
    let number = |node: Option<Node<'_>>, name| node.and_then(|n| n.get(name)).and_then(Node::u32);
    let input = node.get("input_tokens_details");
    Usage {
        input: number(Some(node), "input_tokens"),
        cached: number(input, "cached_tokens"),
        cache_written: number(input, "cache_write_tokens"),
        output: number(Some(node), "output_tokens"),
        reasoning: number(node.get("output_tokens_details"), "reasoning_tokens"),
    }
}

/// What came before the end, as far as it tells why the answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    pub calls: bool,
    pub text: bool,
    pub refusal: bool,
}

impl Seen {
    #[must_use]
    pub fn of(parts: &[Part]) -> Self {
        Self {
            calls: parts.iter().any(|part| matches!(part, Part::Call { .. })),
            text: parts.iter().any(|part| matches!(part, Part::Text(text) if !text.is_empty())),
            refusal: parts.iter().any(|part| matches!(part, Part::Refusal(_))),
        }
    }
}

/// Why a response ended; `None` while it has not.
#[must_use]
pub fn finish(response: Node<'_>, seen: Seen) -> Option<Finish> {
    match response.text("status").as_deref() {
        Some("in_progress" | "queued") => None,
        Some("incomplete") => {
            let reason = response.get("incomplete_details").and_then(|why| why.text("reason"));
            Some(match reason.as_deref() {
                Some("max_output_tokens" | "max_tokens") => Finish::Length,
                Some("content_filter") => Finish::ContentFilter,
                Some(other) => Finish::Other(other.to_owned()),
                None => Finish::Other("incomplete".to_owned()),
            })
        }
        Some(_) | None => Some(match seen {
            Seen { calls: true, .. } => Finish::ToolCalls,
            Seen { refusal: true, text: false, .. } => Finish::Refusal,
            Seen { .. } => Finish::Stop,
        }),
    }
}

/// How an item stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// A part of a message.
#[must_use]
pub fn write_part(refusal: bool, text: &str) -> String {
    if refusal {
        return Object::typed("refusal").text("refusal", text).end();
    }
    let head = Object::typed("output_text").raw("annotations", "[]").raw("logprobs", "[]");
    head.text("text", text).end()
}

/// A message with these parts.
#[must_use]
pub fn write_message(id: &str, status: Status, parts: &[String]) -> String {
    let head = Object::new().text("id", id).text("type", "message").text("status", status.label());
    head.text("role", "assistant").raw("content", &array(parts)).end()
}

/// A call as an item shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallItem<'a> {
    pub id: &'a str,
    pub call_id: &'a str,
    pub name: &'a str,
    pub arguments: &'a str,
    pub free_text: bool,
}

#[must_use]
pub fn write_call(call: CallItem<'_>, status: Status) -> String {
    let (kind, key) =
        if call.free_text { ("custom_tool_call", "input") } else { ("function_call", "arguments") };
    let head = Object::new().text("id", call.id).text("type", kind).text("status", status.label());
    let head = head.text(key, call.arguments).text("call_id", call.call_id);
    let (namespace, name) = unqualified(call.name);
    head.text("name", name).maybe("namespace", namespace).end()
}

/// A part of a summary.
#[must_use]
pub fn write_summary(text: &str) -> String {
    Object::typed("summary_text").text("text", text).end()
}

/// Reasoning; the texts are its summary.
#[must_use]
pub fn write_reasoning(id: &str, summary: &[String], encrypted: Option<&str>) -> String {
    let parts: Vec<String> = summary.iter().map(|text| write_summary(text)).collect();
    let head = Object::new().text("id", id).text("type", "reasoning");
    head.raw("summary", &array(&parts)).maybe("encrypted_content", encrypted).end()
}

/// An item's id, of the kind the API's own have.
#[must_use]
pub fn id(prefix: &str, trace: &str, place: usize) -> String {
    format!("{prefix}_{}_{place}", plain(trace))
}

/// A trace id fit to be part of an id.
#[must_use]
pub fn plain(trace: &str) -> String {
    let valid = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain: String = trace.chars().filter(valid).take(64).collect();
    if plain.is_empty() { digest::hex(trace, 16) } else { plain }
}
