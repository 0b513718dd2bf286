//! The messages of a chat request, read as turns.

use std::borrow::Cow;

use crate::dialect::Dialect;
use crate::dialect::hub::{
    Block, Call, Gravity, Request, Role, Signature, Thought, ToolResult, Turn,
};
use crate::dialect::node::Node;
use crate::dialect::request::BadRequest;

use super::parts;
use super::read::{room, wrong};

/// The members of one message.
#[derive(Default)]
struct Message<'a> {
    role: Cow<'a, str>,
    content: Option<Node<'a>>,
    /// Even if it is null.
    has_content: bool,
    name: Option<Cow<'a, str>>,
    refusal: Option<Cow<'a, str>>,
    reasoning: Option<Cow<'a, str>>,
    tool_calls: Option<Node<'a>>,
    function_call: Option<Node<'a>>,
    tool_call_id: Option<Cow<'a, str>>,
    audio: bool,
}

impl<'a> Message<'a> {
    fn of(node: Node<'a>) -> Result<Self, BadRequest> {
        let mut message = Self::default();
        for (key, value) in node.members() {
            message.has_content |= key == "content";
            if value.is_null() {
                continue;
            }
            match &*key {
                "role" => message.role = value.str().unwrap_or_default(),
                "content" => message.content = Some(value),
                "name" => message.name = value.str(),
                "refusal" => message.refusal = value.str(),
                "reasoning_content" => message.reasoning = value.str(),
                "reasoning" => message.reasoning = message.reasoning.or(value.str()),
                "tool_calls" => message.tool_calls = Some(value),
                "function_call" => message.function_call = Some(value),
                "tool_call_id" => message.tool_call_id = value.str(),
                "audio" => message.audio = true,
                // Among them what an answer had and a client sends back.
                _ => {}
            }
        }
        if !node.is_object() || message.role.is_empty() {
            return Err(wrong("messages", "must hold objects with a role"));
        }
        Ok(message)
    }
}

/// Reads the messages into the request's system texts and turns.
pub fn read<'a>(request: &mut Request<'a>, messages: Node<'a>) -> Result<(), BadRequest> {
    if !messages.is_array() {
        return Err(wrong("messages", "must be an array"));
    }
    // Results join one turn.
    let is_turn = |node: &Node<'_>| {
        let role = node.get("role").map(Node::raw);
        role.is_some_and(|role| role != r#""tool""# && role != r#""function""#)
    };
    request.turns.reserve_exact(messages.items().filter(is_turn).count());
    let mut reader = Reader { request, in_results: false, functions: 0 };
    messages.items().try_for_each(|node| reader.message(Message::of(node)?))
}

struct Reader<'r, 'a> {
    request: &'r mut Request<'a>,
    /// The last message was a tool's: the next one's result joins it.
    in_results: bool,
    /// Legacy calls so far, for their ids.
    functions: usize,
}

impl<'a> Reader<'_, 'a> {
    fn message(&mut self, message: Message<'a>) -> Result<(), BadRequest> {
        let joins = std::mem::take(&mut self.in_results);
        match &*message.role {
            "system" | "developer" => self.system(&message),
            "user" => {
                let blocks = parts::read(self.request, message.content)?;
                self.turn(Role::User, blocks);
                Ok(())
            }
            "assistant" => self.assistant(message),
            "tool" => {
                let id = message.tool_call_id.clone();
                self.result(&message, id, joins)
            }
            "function" => {
                let id = (self.functions > 0).then(|| legacy_id(self.functions));
                self.result(&message, id, joins)
            }
            _ => Err(wrong("messages", "have a role that is not known")),
        }
    }

    fn turn(&mut self, role: Role, blocks: Vec<Block<'a>>) {
        self.request.turns.push(Turn { role, blocks });
    }

    fn system(&mut self, message: &Message<'a>) -> Result<(), BadRequest> {
        let mut blocks = parts::read(self.request, message.content)?;
        let plain = |block: &Block<'_>| matches!(block, Block::Text(_) | Block::CachePoint(_));
        if !blocks.iter().all(plain) {
            self.request.other("messages[].content of a system message", Gravity::Vital);
            blocks.retain(plain);
        }
        if !self.request.turns.is_empty() {
            self.turn(Role::System, blocks);
        } else if self.request.system.is_empty() {
            self.request.system = blocks;
        } else {
            grow(&mut self.request.system, blocks.len());
            self.request.system.append(&mut blocks);
        }
        Ok(())
    }

    fn assistant(&mut self, message: Message<'a>) -> Result<(), BadRequest> {
        let said = parts::read(self.request, message.content)?;
        let calls = message.tool_calls.map_or(0, |calls| room(calls, MIN_CALL));
        let others = [
            message.reasoning.is_some(),
            message.refusal.is_some(),
            message.function_call.is_some(),
        ];
        let mut blocks = said;
        blocks.reserve_exact(calls + others.into_iter().filter(|there| *there).count());
        if let Some(text) = message.reasoning.filter(|text| !text.is_empty()) {
            let thought = Thought { text, signature: None, redacted: false };
            blocks.insert(0, Block::Thought(Box::new(thought)));
        }
        if let Some(refusal) = message.refusal.filter(|text| !text.is_empty()) {
            blocks.push(Block::Refusal(refusal));
        }
        if message.audio {
            self.request.other("messages[].audio", Gravity::Vital);
        }
        for node in message.tool_calls.into_iter().flat_map(Node::items) {
            blocks.push(Block::Call(Box::new(call(node)?)));
        }
        if let Some(node) = message.function_call {
            self.functions += 1;
            let id = Some(legacy_id(self.functions).into());
            blocks.push(Block::Call(Box::new(called(id, node, false)?)));
        }
        self.turn(Role::Assistant, blocks);
        Ok(())
    }

    fn result(
        &mut self,
        message: &Message<'a>,
        id: Option<impl Into<Cow<'a, str>>>,
        joins: bool,
    ) -> Result<(), BadRequest> {
        let id = id.map(Into::into);
        if id.is_none() && message.name.is_none() {
            return Err(wrong("messages", "of tools must have a tool_call_id"));
        }
        if !message.has_content {
            return Err(wrong("messages", "of tools must have a content"));
        }
        let mut content = parts::read(self.request, message.content)?;
        content.retain(|block| match block {
            Block::Text(text) => !text.is_empty(),
            Block::Media(_) => true,
            Block::Thought(_)
            | Block::Call(_)
            | Block::Result(_)
            | Block::Refusal(_)
            | Block::CachePoint(_) => false,
        });
        content.shrink_to_fit();
        let name = message.name.clone();
        let result = ToolResult { id, name, content, is_error: false };
        let block = Block::Result(Box::new(result));
        self.in_results = true;
        match self.request.turns.last_mut() {
            Some(turn) if joins => {
                grow(&mut turn.blocks, 1);
                turn.blocks.push(block);
            }
            _ => self.turn(Role::User, vec![block]),
        }
        Ok(())
    }
}

/// Makes room by a quarter at a time: lists of results can be long, and their
/// memory is bounded by the text they come from.
fn grow(blocks: &mut Vec<Block<'_>>, more: usize) {
    if blocks.capacity() - blocks.len() < more {
        blocks.reserve_exact(more + blocks.len() / 4);
    }
}

/// The id of the n-th legacy call, which had none.
fn legacy_id(n: usize) -> String {
    format!("function_call_{n}")
}

/// The least text a call can have.
const MIN_CALL: usize = 30;

fn call(node: Node<'_>) -> Result<Call<'_>, BadRequest> {
    let id = node.text("id").ok_or_else(|| wrong("messages", "have tool calls without an id"))?;
    let custom = node.get("custom").filter(|_| node.get("function").is_none());
    let of = custom.or_else(|| node.get("function"));
    let of = of.ok_or_else(|| wrong("messages", "have tool calls without a function"))?;
    let mut call = called(Some(id), of, custom.is_some())?;
    let google = node.get("extra_content").and_then(|extra| extra.get("google"));
    call.signature = google
        .and_then(|google| google.text("thought_signature"))
        .map(|value| Signature { by: Dialect::Gemini, value });
    Ok(call)
}

fn called<'a>(
    id: Option<Cow<'a, str>>,
    of: Node<'a>,
    free_text: bool,
) -> Result<Call<'a>, BadRequest> {
    let name =
        of.text("name").ok_or_else(|| wrong("messages", "have tool calls without a name"))?;
    let arguments = of.get(if free_text { "input" } else { "arguments" });
    // Some clients send the object itself.
    let arguments = arguments.map(|node| node.str().unwrap_or(Cow::Borrowed(node.raw())));
    let missing = || wrong("messages", "have tool calls without arguments");
    let arguments = arguments.ok_or_else(missing)?;
    Ok(Call { id, name, arguments, free_text, signature: None })
}
