//! A client's request as a hub request. Owns what each field is in the hub's
//! words and how grave its loss would be; must not know any target.

use std::borrow::Cow;

use crate::dialect::Dialect;
use crate::dialect::digest;
use crate::dialect::hub::{
    Block, Call, Effort, Format, Gravity, Media, MediaKind, Reasoning, Request, Role, Signature,
    Source, Thought, Tool, ToolChoice, ToolResult, Turn,
};
use crate::dialect::node::Node;
use crate::dialect::peeking::wrong;
use crate::dialect::request::{Address, BadRequest};

/// More stop sequences are refused.
const MOST_STOPS: usize = 1024;

/// The shortest valid block or message, in bytes of JSON: bounds what is
/// reserved for a list.
const SHORTEST_ITEM: usize = 24;

/// The longest name of an end user that other providers take.
const MAX_USER: usize = 64;

/// Cache points a request may have: blocks that have no text of their own.
const CACHE_POINTS: usize = 4;

/// Reads a request that passed `peek`.
pub fn read_request<'a>(body: &'a str, _address: &Address) -> Result<Request<'a>, BadRequest> {
    let mut request = Request::new();
    request.include_usage = true;
    let body = Node::new(body);
    for (key, value) in body.members() {
        if !value.is_null() {
            field(&mut request, key, value)?;
        }
    }
    request.reasoning = reasoning(&mut request, body)?;
    Ok(request)
}

fn field<'a>(
    request: &mut Request<'a>,
    key: Cow<'a, str>,
    value: Node<'a>,
) -> Result<(), BadRequest> {
    match &*key {
        // Read elsewhere.
        "model" | "thinking" => {}
        "messages" => request.turns = turns(request, value)?,
        "system" => {
            request.system = Vec::new();
            let mut blocks = Vec::new();
            content(request, &mut blocks, value, "system")?;
            blocks.retain(|block| matches!(block, Block::Text(_) | Block::CachePoint(_)));
            request.system = blocks;
        }
        "stream" => {
            request.stream = value.bool().ok_or_else(|| wrong("stream", "must be a boolean"))?;
        }
        "max_tokens" => match value.u32() {
            // It only fills the provider's cache.
            Some(0) => request.other(key, Gravity::Vital),
            Some(most) => request.max_output_tokens = Some(most),
            None => return Err(wrong("max_tokens", "must be a whole number")),
        },
        "temperature" => request.sampling.temperature = number(value, "temperature")?,
        "top_p" => request.sampling.top_p = number(value, "top_p")?,
        "top_k" => request.sampling.top_k = number(value, "top_k")?,
        "stop_sequences" => request.stop = stops(value)?,
        "tools" => request.tools = tools(request, value)?,
        "tool_choice" => tool_choice(request, value)?,
        "output_config" => output_config(request, value)?,
        "output_format" => request.format = format(request, value)?,
        "metadata" => request.user = value.text("user_id").map(user),
        _ => {
            let gravity = gravity(&key, value);
            request.other(key, gravity);
        }
    }
    Ok(())
}

/// How grave it would be to lose a field that has no place in the hub.
fn gravity(key: &str, value: Node<'_>) -> Gravity {
    match key {
        // What the server keeps for the client.
        "container" | "thread" => Gravity::Vital,
        "mcp_servers" | "fallbacks" if value.items().next().is_none() => Gravity::Nothing,
        "mcp_servers" | "compaction" | "fallbacks" | "fallback_credit_token" | "billing_policy" => {
            Gravity::Meaning
        }
        // `cache_control`, `service_tier`, `speed`, `inference_geo`,
        // `context_management`, `diagnostics`, and what is not known.
        _ => Gravity::Tuning,
    }
}

/// A name for the end user. Agents put ids of devices and accounts there, as a
/// JSON object: that is for Anthropic only, and others get a hash of it.
fn user(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.len() <= MAX_USER && !name.trim_start().starts_with('{') {
        return name;
    }
    Cow::Owned(digest::hex(&name, 32))
}

fn number<'a>(value: Node<'a>, name: &'static str) -> Result<Option<&'a str>, BadRequest> {
    value.number().map(Some).ok_or_else(|| wrong(name, "must be a number"))
}

fn stops(value: Node<'_>) -> Result<Vec<Cow<'_, str>>, BadRequest> {
    let wrong = |message| wrong("stop_sequences", message);
    if !value.is_array() {
        return Err(wrong("must be an array"));
    }
    let mut stops = Vec::new();
    for stop in value.items() {
        if stops.len() >= MOST_STOPS {
            return Err(wrong("are more than any target takes"));
        }
        stops.push(stop.str().ok_or_else(|| wrong("must be strings"))?);
    }
    Ok(stops)
}

/// Room for the items of an array. An invalid one may have many that are
/// shorter than any valid item, and they must not cost more than their text.
fn room<T>(array: Node<'_>) -> Vec<T> {
    let most = array.raw().len() / SHORTEST_ITEM + 1;
    let items = array.items().take(most).count();
    Vec::with_capacity(items + CACHE_POINTS.min(items))
}

fn turns<'a>(request: &mut Request<'a>, messages: Node<'a>) -> Result<Vec<Turn<'a>>, BadRequest> {
    if !messages.is_array() {
        return Err(wrong("messages", "must be an array"));
    }
    let mut turns = room(messages);
    for message in messages.items() {
        let role = match message.text("role").as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(wrong("messages", "have an unknown role")),
            None => return Err(wrong("messages", "must be objects with a role")),
        };
        let said = message.get("content");
        let said = said.ok_or_else(|| wrong("messages", "must have a content"))?;
        let mut blocks = Vec::new();
        content(request, &mut blocks, said, "messages")?;
        turns.push(Turn { role, blocks });
    }
    Ok(turns)
}

/// A text, or a list of blocks.
fn content<'a>(
    request: &mut Request<'a>,
    blocks: &mut Vec<Block<'a>>,
    content: Node<'a>,
    within: &'static str,
) -> Result<(), BadRequest> {
    if let Some(text) = content.str() {
        blocks.reserve_exact(1);
        blocks.push(Block::Text(text));
        return Ok(());
    }
    if !content.is_array() {
        return Err(wrong(within, "must have texts or blocks as content"));
    }
    *blocks = room(content);
    for item in content.items() {
        block(request, blocks, item, within)?;
        if let Some(point) = item.get("cache_control") {
            blocks.push(Block::CachePoint(point.text("ttl")));
        }
    }
    Ok(())
}

fn block<'a>(
    request: &mut Request<'a>,
    blocks: &mut Vec<Block<'a>>,
    item: Node<'a>,
    within: &'static str,
) -> Result<(), BadRequest> {
    let Some(kind) = item.text("type") else {
        return Err(wrong(within, "have a block without a type"));
    };
    match &*kind {
        "text" => {
            if item.get("citations").is_some_and(|list| list.items().next().is_some()) {
                request.other("citations", Gravity::Tuning);
            }
            let text = item.text("text");
            blocks.push(Block::Text(
                text.ok_or_else(|| wrong(within, "have a text block without text"))?,
            ));
        }
        "image" => match source(item.get("source")) {
            Some((media_type, source)) => {
                blocks.push(media(MediaKind::Image, media_type, source, None));
            }
            None => request.other(format!("{within}[].image.source"), Gravity::Vital),
        },
        "document" => document(request, blocks, item, within)?,
        "thinking" => {
            let text = item.text("thinking").unwrap_or_default();
            let signature = item.text("signature").filter(|proof| !proof.is_empty());
            if signature.is_some() || !text.is_empty() {
                let signature = signature.map(own);
                blocks.push(Block::Thought(Box::new(Thought { text, signature, redacted: false })));
            }
        }
        "redacted_thinking" => {
            if let Some(data) = item.text("data").filter(|data| !data.is_empty()) {
                let (text, signature) = (Cow::Borrowed(""), Some(own(data)));
                blocks.push(Block::Thought(Box::new(Thought { text, signature, redacted: true })));
            }
        }
        "tool_use" => blocks.push(tool_use(item)?),
        "tool_result" => blocks.push(tool_result(request, item)?),
        "search_result" | "server_tool_use" => flatten(request, blocks, item, &kind),
        "container_upload" => request.other(format!("{within}[].container_upload"), Gravity::Vital),
        kind if kind.ends_with("_tool_result") || kind == "mcp_tool_use" => {
            flatten(request, blocks, item, kind);
        }
        kind => request.other(format!("{within}[].{}", short(kind)), Gravity::Meaning),
    }
    Ok(())
}

/// A word of the client's that may become part of a notice.
fn short(word: &str) -> &str {
    &word[..word.floor_char_boundary(64)]
}

const fn own(value: Cow<'_, str>) -> Signature<'_> {
    Signature { by: Dialect::Anthropic, value }
}

fn media<'a>(
    kind: MediaKind,
    media_type: Cow<'a, str>,
    source: Source<'a>,
    name: Option<Cow<'a, str>>,
) -> Block<'a> {
    Block::Media(Box::new(Media { kind, media_type, source, name, detail: None }))
}

/// `None` for files that the server keeps, and for what is not known.
fn source(source: Option<Node<'_>>) -> Option<(Cow<'_, str>, Source<'_>)> {
    let source = source?;
    let media_type = source.text("media_type").unwrap_or_default();
    match &*source.text("type")? {
        "base64" => Some((media_type, Source::Base64(source.text("data")?))),
        "url" => Some((media_type, Source::Url(source.text("url")?))),
        "text" => Some((media_type, Source::Text(source.text("data")?))),
        _ => None,
    }
}

fn document<'a>(
    request: &mut Request<'a>,
    blocks: &mut Vec<Block<'a>>,
    item: Node<'a>,
    within: &'static str,
) -> Result<(), BadRequest> {
    let title = item.text("title");
    let enabled = |c: Node<'_>| c.get("enabled").and_then(Node::bool) == Some(true);
    if item.get("citations").is_some_and(enabled) {
        request.other("citations", Gravity::Tuning);
    }
    if item.get("context").is_some() {
        request.other(format!("{within}[].document.context"), Gravity::Tuning);
    }
    let given = item.get("source");
    if let Some((media_type, source)) = source(given) {
        blocks.push(media(MediaKind::Document, media_type, source, title));
        return Ok(());
    }
    let inner = given.filter(|given| given.text("type").as_deref() == Some("content"));
    let Some(inner) = inner.and_then(|given| given.get("content")) else {
        request.other(format!("{within}[].document.source"), Gravity::Vital);
        return Ok(());
    };
    let mut parts = Vec::new();
    plain_content(request, &mut parts, inner, within)?;
    blocks.append(&mut parts);
    Ok(())
}

/// Content of results and documents: texts, images and documents, no deeper.
fn plain_content<'a>(
    request: &mut Request<'a>,
    blocks: &mut Vec<Block<'a>>,
    given: Node<'a>,
    within: &'static str,
) -> Result<(), BadRequest> {
    let nested = |item: Node<'_>| {
        let kind = item.text("type");
        !matches!(kind.as_deref(), Some("text" | "image" | "search_result" | "document"))
            || item.get("source").is_some_and(|s| s.text("type").as_deref() == Some("content"))
    };
    if let Some(odd) = given.items().find(|item| nested(*item)) {
        let kind = odd.text("type").unwrap_or_default();
        request.other(format!("{within}[].content[].{}", short(&kind)), Gravity::Meaning);
        *blocks = room(given);
        for item in given.items().filter(|item| !nested(*item)) {
            block(request, blocks, item, within)?;
        }
        return Ok(());
    }
    content(request, blocks, given, within)?;
    blocks.retain(|block| matches!(block, Block::Text(_) | Block::Media(_)));
    Ok(())
}

fn tool_use(item: Node<'_>) -> Result<Block<'_>, BadRequest> {
    let lacks = |what: &str| wrong("messages", &format!("have a tool_use without {what}"));
    // `null` is no input, but something was said.
    let input = match item.get("input") {
        Some(input) => input.raw(),
        None if item.members().any(|(key, _)| key == "input") => "{}",
        None => return Err(lacks("an input")),
    };
    let call = Call {
        id: Some(item.text("id").ok_or_else(|| lacks("an id"))?),
        name: item.text("name").ok_or_else(|| lacks("a name"))?,
        arguments: Cow::Borrowed(input),
        free_text: false,
        signature: None,
    };
    Ok(Block::Call(Box::new(call)))
}

fn tool_result<'a>(request: &mut Request<'a>, item: Node<'a>) -> Result<Block<'a>, BadRequest> {
    let id = item.text("tool_use_id");
    let id = id.ok_or_else(|| wrong("messages", "have a tool_result without a tool_use_id"))?;
    let mut content = Vec::new();
    if let Some(given) = item.get("content") {
        plain_content(request, &mut content, given, "messages")?;
    }
    let is_error = item.get("is_error").and_then(Node::bool).unwrap_or(false);
    Ok(Block::Result(Box::new(ToolResult { id: Some(id), name: None, content, is_error })))
}

/// What only this dialect has, as a text: searches and what the server's tools
/// found.
fn flatten<'a>(request: &mut Request<'a>, blocks: &mut Vec<Block<'a>>, item: Node<'a>, kind: &str) {
    let field = if kind == "search_result" { "search_result" } else { "server_tool_use" };
    request.other(field, Gravity::Tuning);
    let mut text = String::new();
    lines(item, &mut text);
    if let Some(content) = item.get("content") {
        lines(content, &mut text);
        content.items().for_each(|part| lines(part, &mut text));
    }
    if !text.is_empty() {
        blocks.push(Block::Text(Cow::Owned(text)));
    }
}

/// The readable members of an object, one per line.
fn lines(object: Node<'_>, text: &mut String) {
    for name in ["name", "title", "source", "url", "text", "stdout", "stderr", "error_code"] {
        if let Some(line) = object.text(name).filter(|line| !line.is_empty()) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
        }
    }
    if let Some(input) = object.get("input").filter(|input| input.is_object()) {
        text.push(' ');
        text.push_str(input.raw());
    }
}

fn tools<'a>(request: &mut Request<'a>, value: Node<'a>) -> Result<Vec<Tool<'a>>, BadRequest> {
    if !value.is_array() {
        return Err(wrong("tools", "must be an array"));
    }
    let mut tools = room(value);
    for item in value.items() {
        match item.text("type").as_deref() {
            None | Some("custom") => tools.push(tool(request, item)?),
            Some(kind) if is_hosted(kind) => {
                request.hosted_tool(format!("tools[].{}", short(kind)));
            }
            Some(kind) => request.other(format!("tools[].{}", short(kind)), Gravity::Meaning),
        }
    }
    Ok(tools)
}

/// Whether Anthropic runs a tool of this type, whatever its version. Others of
/// its tools are run by the client (`bash_20250124`) or bring its own servers: an
/// agent is lost without them.
fn is_hosted(kind: &str) -> bool {
    let known = ["web_search_", "web_fetch_", "code_execution_", "tool_search_tool_"];
    known.iter().any(|name| kind.starts_with(name))
}

fn tool<'a>(request: &mut Request<'a>, item: Node<'a>) -> Result<Tool<'a>, BadRequest> {
    let name = item.text("name").ok_or_else(|| wrong("tools", "must have a name"))?;
    let parameters = item.get("input_schema").filter(|schema| schema.is_object());
    let parameters = parameters.ok_or_else(|| wrong("tools", "must have an input_schema"))?;
    for field in ["input_examples", "defer_loading", "allowed_callers", "eager_input_streaming"] {
        let idle = |value: Node<'_>| value.bool() == Some(false) || value.raw() == "[]";
        if item.get(field).is_some_and(|value| !idle(value)) {
            request.other(format!("tools[].{field}"), Gravity::Tuning);
        }
    }
    Ok(Tool {
        name,
        description: item.text("description"),
        parameters: Some(Cow::Borrowed(parameters.raw())),
        strict: item.get("strict").and_then(Node::bool),
        free_text: false,
        cache_point: item.get("cache_control").is_some(),
    })
}

fn tool_choice<'a>(request: &mut Request<'a>, value: Node<'a>) -> Result<(), BadRequest> {
    request.tool_choice = Some(match value.text("type").as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::Never,
        Some("tool") => {
            let name = value.text("name");
            ToolChoice::Named(name.ok_or_else(|| wrong("tool_choice", "must have a name"))?)
        }
        Some(_) | None => return Err(wrong("tool_choice", "must be auto, any, tool or none")),
    });
    let alone = value.get("disable_parallel_tool_use").and_then(Node::bool);
    request.parallel_tools = alone.map(|alone| !alone);
    Ok(())
}

fn output_config<'a>(request: &mut Request<'a>, value: Node<'a>) -> Result<(), BadRequest> {
    for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "format" => request.format = format(request, value)?,
            // Read with `thinking`.
            "effort" => {}
            key => request.other(format!("output_config.{}", short(key)), Gravity::Tuning),
        }
    }
    Ok(())
}

fn format<'a>(
    request: &mut Request<'a>,
    value: Node<'a>,
) -> Result<Option<Format<'a>>, BadRequest> {
    if value.text("type").as_deref() != Some("json_schema") {
        request.other("output_config.format", Gravity::Meaning);
        return Ok(None);
    }
    let schema = value.get("schema").filter(|schema| schema.is_object());
    let schema = schema.ok_or_else(|| wrong("output_config", "must have a schema"))?;
    Ok(Some(Format::Schema {
        name: value.text("name"),
        description: None,
        schema: Cow::Borrowed(schema.raw()),
        strict: None,
    }))
}

/// `thinking` and the effort say together how much the model is to think.
fn reasoning<'a>(
    request: &mut Request<'a>,
    body: Node<'a>,
) -> Result<Option<Reasoning>, BadRequest> {
    let effort = body.get("output_config").and_then(|config| config.text("effort"));
    let named = effort.as_deref().and_then(Effort::named);
    if effort.is_some() && named.is_none() {
        request.other("output_config.effort", Gravity::Tuning);
    }
    let Some(thinking) = body.get("thinking") else {
        return Ok(named.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() }));
    };
    let shown = match thinking.text("display").as_deref() {
        Some("omitted") => Some(false),
        Some(_) => Some(true),
        None => None,
    };
    let (effort, budget) = match thinking.text("type").as_deref() {
        Some("disabled") => (Some(Effort::None), None),
        Some("enabled") => (named, thinking.get("budget_tokens").and_then(Node::u32)),
        // The effort is high where none is given.
        Some("adaptive") => (named.or(Some(Effort::High)), None),
        Some(_) => {
            request.other("thinking.type", Gravity::Tuning);
            (named, None)
        }
        None => return Err(wrong("thinking", "must have a type")),
    };
    Ok(Some(Reasoning { effort, budget, shown }))
}
