//! The items of a request's input, read into turns. Calls and the assistant's
//! messages around them become one turn of the assistant, outputs in a row one
//! turn of the user.

use std::borrow::Cow;

use super::content;
use super::tools::qualified;
use crate::dialect::Dialect;
use crate::dialect::hub::{
    Block, Call, Gravity, Request, Role, Signature, Thought, ToolResult, Turn,
};
use crate::dialect::node::Node;
use crate::dialect::peeking::wrong;
use crate::dialect::request::BadRequest;

/// No shorter item becomes a turn: what is set aside for turns stays a small
/// multiple of the text.
const SHORTEST: usize = 24;

/// What is looked at of an item.
#[derive(Clone, Copy, Default)]
struct Item<'a> {
    kind: Option<Node<'a>>,
    id: Option<Node<'a>>,
    role: Option<Node<'a>>,
    content: Option<Node<'a>>,
    call_id: Option<Node<'a>>,
    name: Option<Node<'a>>,
    namespace: Option<Node<'a>>,
    arguments: Option<Node<'a>>,
    input: Option<Node<'a>>,
    output: Option<Node<'a>>,
    summary: Option<Node<'a>>,
    encrypted_content: Option<Node<'a>>,
    extra_content: Option<Node<'a>>,
}

impl<'a> Item<'a> {
    fn of(node: Node<'a>) -> Self {
        let mut item = Self::default();
        for (key, value) in node.members().filter(|(_, value)| !value.is_null()) {
            let place = match &*key {
                "type" => &mut item.kind,
                "id" => &mut item.id,
                "role" => &mut item.role,
                "content" => &mut item.content,
                "call_id" => &mut item.call_id,
                "name" => &mut item.name,
                "namespace" => &mut item.namespace,
                "arguments" => &mut item.arguments,
                "input" => &mut item.input,
                "output" => &mut item.output,
                "summary" => &mut item.summary,
                "encrypted_content" => &mut item.encrypted_content,
                "extra_content" => &mut item.extra_content,
                _ => continue,
            };
            *place = Some(value);
        }
        item
    }
}

/// Reads the input: a user's text, or items.
pub fn read_input<'a>(request: &mut Request<'a>, input: Node<'a>) -> Result<(), BadRequest> {
    if let Some(text) = input.str() {
        request.turns.push(Turn { role: Role::User, blocks: vec![Block::Text(text)] });
        return Ok(());
    }
    if !input.is_array() {
        return Err(wrong("input", "must be a string or an array"));
    }
    let long = input.items().filter(|item| item.raw().len() >= SHORTEST);
    request.turns = Vec::with_capacity(long.count());
    for item in input.items() {
        if !item.is_object() {
            return Err(wrong("input", "must hold objects"));
        }
        read_item(request, Item::of(item))?;
    }
    Ok(())
}

fn read_item<'a>(request: &mut Request<'a>, item: Item<'a>) -> Result<(), BadRequest> {
    let kind = item.kind.and_then(Node::str);
    match kind.as_deref() {
        Some("message") => message(request, item),
        None if item.role.is_some() => message(request, item),
        Some("function_call") => call(request, item, item.arguments, false),
        Some("custom_tool_call") => call(request, item, item.input, true),
        Some("function_call_output" | "custom_tool_call_output") => output(request, item),
        Some("reasoning") => {
            reasoning(request, item);
            Ok(())
        }
        // Parts of the conversation that only their server can read.
        Some("item_reference") => {
            reference(request);
            Ok(())
        }
        None if item.id.is_some() => {
            reference(request);
            Ok(())
        }
        Some("compaction" | "compaction_summary") => {
            request.other("input[].compaction", Gravity::Vital);
            Ok(())
        }
        // What a provider's own tool did: what came of it, the answer says.
        Some(
            "web_search_call"
            | "file_search_call"
            | "code_interpreter_call"
            | "tool_search_call"
            | "tool_search_output"
            | "mcp_list_tools",
        ) => {
            let field = format!("input[].{}", kind.unwrap_or_default());
            request.other(field, Gravity::Tuning);
            Ok(())
        }
        Some(other) => {
            request.other(format!("input[].{}", content::word(other)), Gravity::Meaning);
            Ok(())
        }
        None => Err(wrong("input", "has an item without a type")),
    }
}

/// An item that lies at the provider.
fn reference(request: &mut Request<'_>) {
    let remedy = "only the provider that stored it knows it; send the items themselves, as \
                  clients do with store=false";
    request.other_with("input[].item_reference", Gravity::Vital, remedy);
}

fn message<'a>(request: &mut Request<'a>, item: Item<'a>) -> Result<(), BadRequest> {
    let role = item.role.and_then(Node::str);
    match role.as_deref() {
        Some("user") => {
            let blocks = content::blocks(request, item.content)?;
            if !blocks.is_empty() {
                request.turns.push(Turn { role: Role::User, blocks });
            }
        }
        Some("assistant") => {
            let blocks = content::blocks(request, item.content)?;
            say(request, blocks);
        }
        Some("system" | "developer") => {
            let mut blocks = content::blocks(request, item.content)?;
            let count = blocks.len();
            blocks.retain(|block| matches!(block, Block::Text(_) | Block::CachePoint(_)));
            if blocks.len() < count {
                request.other("input[].content", Gravity::Meaning);
            }
            if request.turns.is_empty() {
                request.system.append(&mut blocks);
            } else if !blocks.is_empty() {
                request.turns.push(Turn { role: Role::System, blocks });
            }
        }
        Some(_) | None => return Err(wrong("input", "has a message of an unknown role")),
    }
    Ok(())
}

/// Adds to what the assistant says.
fn say<'a>(request: &mut Request<'a>, mut blocks: Vec<Block<'a>>) {
    match request.turns.last_mut() {
        Some(Turn { role: Role::Assistant, blocks: said }) => said.append(&mut blocks),
        Some(_) | None if blocks.is_empty() => {}
        Some(_) | None => request.turns.push(Turn { role: Role::Assistant, blocks }),
    }
}

fn required<'a>(value: Option<Node<'a>>, what: &str) -> Result<Cow<'a, str>, BadRequest> {
    let text = value.and_then(Node::str);
    text.ok_or_else(|| wrong("input", &format!("has a call without {what}")))
}

fn call<'a>(
    request: &mut Request<'a>,
    item: Item<'a>,
    arguments: Option<Node<'a>>,
    free_text: bool,
) -> Result<(), BadRequest> {
    let call = Call {
        id: Some(required(item.call_id, "call_id")?),
        name: qualified(
            item.namespace.and_then(Node::str).as_deref(),
            required(item.name, "a name")?,
        ),
        arguments: required(arguments, "arguments")?,
        free_text,
        signature: item.extra_content.and_then(foreign_signature),
    };
    say(request, vec![Block::Call(Box::new(call))]);
    Ok(())
}

/// Where Google's own endpoint of `OpenAI`'s dialect puts a call's signature.
fn foreign_signature(extra: Node<'_>) -> Option<Signature<'_>> {
    let value = extra.get("google")?.text("thought_signature")?;
    Some(Signature { by: Dialect::Gemini, value })
}

fn output<'a>(request: &mut Request<'a>, item: Item<'a>) -> Result<(), BadRequest> {
    let content = match item.output {
        Some(output) if output.is_object() => vec![Block::Text(output.raw().into())],
        output => content::blocks(request, output)?,
    };
    let content = content.into_iter().filter_map(|block| match block {
        Block::Refusal(text) => Some(Block::Text(text)),
        Block::Text(_) | Block::Media(_) => Some(block),
        Block::Thought(_) | Block::Call(_) | Block::Result(_) | Block::CachePoint(_) => None,
    });
    let result = ToolResult {
        id: Some(required(item.call_id, "call_id")?),
        name: item.name.and_then(Node::str),
        content: content.collect(),
        is_error: false,
    };
    let block = Block::Result(Box::new(result));
    match request.turns.last_mut() {
        Some(Turn { role: Role::User, blocks })
            if matches!(blocks.last(), Some(Block::Result(_))) =>
        {
            blocks.push(block);
        }
        _ => request.turns.push(Turn { role: Role::User, blocks: vec![block] }),
    }
    Ok(())
}

/// Reasoning that says nothing is dropped.
fn reasoning<'a>(request: &mut Request<'a>, item: Item<'a>) {
    let text = content::joined(item.summary).or_else(|| content::joined(item.content));
    let value = item.encrypted_content.and_then(Node::str).filter(|value| !value.is_empty());
    let signature = value.map(|value| Signature { by: Dialect::Responses, value });
    if text.is_none() && signature.is_none() {
        return;
    }
    let redacted = text.is_none();
    let thought = Thought { text: text.unwrap_or_default(), signature, redacted };
    say(request, vec![Block::Thought(Box::new(thought))]);
}

/// The texts of an item, if it is a message of the system and nothing but text.
pub fn system_texts(node: Node<'_>) -> Option<Vec<Cow<'_, str>>> {
    let item = Item::of(node);
    let kind = item.kind.and_then(Node::str);
    let role = item.role?.str()?;
    if kind.is_some_and(|kind| kind != "message") || !matches!(&*role, "system" | "developer") {
        return None;
    }
    content::texts(item.content?)
}
