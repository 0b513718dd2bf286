//! Tools: their definitions and the choice among them, read and written. Here
//! they are flat, and strict unless they say otherwise. Those in a namespace
//! become tools like others, whose names say where they are from.

use std::borrow::Cow;

use super::content::word;
use super::object::{Object, array};
use super::strict;
use crate::dialect::digest;
use crate::dialect::hub::{Gravity, Legend, Losses, Request, Tool, ToolChoice, Untranslatable};
use crate::dialect::node::Node;
use crate::dialect::openai::TOOL_NAMES;
use crate::dialect::peeking::wrong;
use crate::dialect::request::BadRequest;
use crate::dialect::target::{Quirks, Target};

/// No shorter definition becomes a tool.
const SHORTEST: usize = 24;

/// No shorter object has a name.
const SHORTEST_NAMED: usize = 11;

/// The longest name of a namespace.
const LONGEST_NAMESPACE: usize = 64;

/// The most tools in namespaces: their names are made anew.
const MOST_IN_NAMESPACES: usize = 512;

/// Between a namespace and a name: nothing that a name may have, so that what
/// comes back can be told apart.
const NAMESPACE_END: char = '\u{1f}';

/// The schema of a tool without parameters.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The schema of a wrapped free-text tool; see [`FREE_TEXT_PARAMETER`].
///
/// [`FREE_TEXT_PARAMETER`]: crate::dialect::hub::legend::FREE_TEXT_PARAMETER
const FREE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

pub fn read_tools<'a>(request: &mut Request<'a>, tools: Node<'a>) -> Result<(), BadRequest> {
    if !tools.is_array() {
        return Err(wrong("tools", "must be an array"));
    }
    let room = tools.items().map(|tool| {
        let within = within(tool).map_or(0, |tools| tools.items().filter(is_long).count());
        within + usize::from(is_long(&tool))
    });
    request.tools = Vec::with_capacity(room.sum());
    let mut left = MOST_IN_NAMESPACES;
    for tool in tools.items() {
        if within(tool).is_some() {
            namespace(request, tool, &mut left)?;
        } else if let Some(tool) = one(request, tool)? {
            request.tools.push(tool);
        }
    }
    Ok(())
}

fn is_long(tool: &Node<'_>) -> bool {
    tool.raw().len() >= SHORTEST
}

/// The tools of a namespace; `None` for any other tool.
fn within(tool: Node<'_>) -> Option<Node<'_>> {
    let space = tool.text("type").is_some_and(|kind| kind == "namespace");
    space.then(|| tool.get("tools")).flatten().filter(|tools| tools.is_array())
}

/// The tools of a namespace as tools like others: elsewhere there is none.
fn namespace<'a>(
    request: &mut Request<'a>,
    space: Node<'a>,
    left: &mut usize,
) -> Result<(), BadRequest> {
    let own = name(space)?;
    if own.len() > LONGEST_NAMESPACE {
        return Err(wrong("tools", "has a namespace with a name of more than 64 bytes"));
    }
    if space.text("description").is_some_and(|text| !text.is_empty()) {
        request.other("tools[].namespace.description", Gravity::Tuning);
    }
    for item in within(space).into_iter().flat_map(Node::items) {
        let more = left.checked_sub(1);
        *left = more.ok_or_else(|| wrong("tools", "has more than 512 tools in namespaces"))?;
        if let Some(mut tool) = one(request, item)? {
            tool.name = qualified(Some(&own), tool.name);
            request.tools.push(tool);
        }
    }
    Ok(())
}

/// A name with its namespace before it, as one.
#[must_use]
pub fn qualified<'a>(namespace: Option<&str>, name: Cow<'a, str>) -> Cow<'a, str> {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{namespace}{NAMESPACE_END}{name}").into(),
        None => name,
    }
}

/// The namespace, if there is one, and the name in it.
#[must_use]
pub fn unqualified(name: &str) -> (Option<&str>, &str) {
    match name.split_once(NAMESPACE_END) {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    }
}

/// Whether `OpenAI` runs a tool of this type, with nothing of the client's in it.
/// Others bring the client's own data (`file_search`, `mcp`), or are run by the
/// client (`local_shell`): an agent is lost without them.
fn is_hosted(kind: &str) -> bool {
    let known = ["code_interpreter", "image_generation", "tool_search"];
    kind.starts_with("web_search") || known.contains(&kind)
}

/// A tool that others have as well; what else there is is noted.
fn one<'a>(request: &mut Request<'a>, tool: Node<'a>) -> Result<Option<Tool<'a>>, BadRequest> {
    match tool.text("type").as_deref() {
        Some("function") => function(request, tool).map(Some),
        Some("custom") => custom(request, tool).map(Some),
        Some(kind) if is_hosted(kind) => {
            request.hosted_tool(format!("tools[].{}", word(kind)));
            Ok(None)
        }
        Some(other) => {
            request.other(format!("tools[].{}", word(other)), Gravity::Meaning);
            Ok(None)
        }
        None => Err(wrong("tools", "has a tool without a type")),
    }
}

fn name(tool: Node<'_>) -> Result<Cow<'_, str>, BadRequest> {
    tool.text("name").ok_or_else(|| wrong("tools", "has a tool without a name"))
}

fn function<'a>(request: &mut Request<'a>, tool: Node<'a>) -> Result<Tool<'a>, BadRequest> {
    if tool.get("defer_loading").and_then(Node::bool) == Some(true) {
        request.other("tools[].defer_loading", Gravity::Tuning);
    }
    Ok(Tool {
        name: name(tool)?,
        description: tool.text("description"),
        parameters: tool.get("parameters").map(|schema| schema.raw().into()),
        strict: tool.get("strict").and_then(Node::bool),
        free_text: false,
        cache_point: false,
    })
}

/// A grammar is told in words, since no other dialect has any.
fn custom<'a>(request: &mut Request<'a>, tool: Node<'a>) -> Result<Tool<'a>, BadRequest> {
    let mut description = tool.text("description");
    if let Some(format) = tool.get("format")
        && let Some(grammar) = format.text("definition")
    {
        request.other("tools[].format", Gravity::Tuning);
        let syntax = format.text("syntax").unwrap_or_default();
        let own = description.unwrap_or_default();
        let gap = if own.is_empty() { "" } else { "\n\n" };
        let told = format!("{own}{gap}The input must match this grammar ({syntax}):\n{grammar}");
        description = Some(told.into());
    }
    Ok(Tool {
        name: name(tool)?,
        description,
        parameters: None,
        strict: None,
        free_text: true,
        cache_point: false,
    })
}

pub fn read_choice<'a>(request: &mut Request<'a>, choice: Node<'a>) -> Result<(), BadRequest> {
    let kind = choice.str().or_else(|| choice.text("type"));
    request.tool_choice = match kind.as_deref() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::Never),
        Some("required") => Some(ToolChoice::Required),
        Some("function" | "custom") => {
            let name = choice.text("name");
            let name = name.ok_or_else(|| wrong("tool_choice", "has no name"))?;
            Some(ToolChoice::Named(qualified(choice.text("namespace").as_deref(), name)))
        }
        Some("allowed_tools") => {
            let tools = || choice.get("tools").into_iter().flat_map(Node::items);
            let long = tools().filter(|tool| tool.raw().len() >= SHORTEST_NAMED);
            let mut names = Vec::with_capacity(long.count());
            names.extend(tools().filter_map(|tool| {
                let name = tool.text("name")?;
                Some(qualified(tool.text("namespace").as_deref(), name))
            }));
            let required = choice.text("mode").is_some_and(|mode| mode == "required");
            Some(ToolChoice::Among { names, required })
        }
        Some(_) => {
            request.other("tool_choice", Gravity::Meaning);
            None
        }
        None => return Err(wrong("tool_choice", "must be a string or an object with a type")),
    };
    Ok(())
}

/// A tool's name as the API takes it; different names stay different.
#[must_use]
pub fn valid_name(name: &str) -> Cow<'_, str> {
    if TOOL_NAMES.fits(name) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(TOOL_NAMES.told_apart(&TOOL_NAMES.plain(name), &digest::hex(name, 8)))
}

/// The tools; what was renamed goes into the legend.
pub fn write_tools(
    tools: &[Tool<'_>],
    quirks: Quirks,
    losses: &mut Losses,
    legend: &mut Legend,
) -> Result<Vec<String>, Untranslatable> {
    let mut out = Vec::with_capacity(tools.len());
    for tool in tools {
        let name = valid_name(&tool.name);
        if name != tool.name {
            legend.names.insert(name.clone().into_owned(), tool.name.clone().into_owned());
        }
        if tool.cache_point {
            losses.tuning("cache_control")?;
        }
        if tool.free_text && quirks.has(Quirks::FUNCTIONS_ONLY) {
            legend.free_text.push(tool.name.clone().into_owned());
        }
        out.push(definition(tool, &name, quirks));
    }
    Ok(out)
}

fn definition(tool: &Tool<'_>, name: &str, quirks: Quirks) -> String {
    let kind = kind(tool.free_text, quirks);
    let head =
        Object::typed(kind).text("name", name).maybe("description", tool.description.as_deref());
    if kind == CUSTOM {
        return head.end();
    }
    let none = if tool.free_text { FREE_TEXT } else { NO_PARAMETERS };
    let parameters = tool.parameters.as_deref().unwrap_or(none);
    let strict = tool.strict == Some(true) && strict::qualifies(parameters);
    let head = head.raw("parameters", &one_line(parameters));
    if quirks.has(Quirks::NO_STRICT) { head.end() } else { head.bool("strict", strict).end() }
}

/// JSON without line breaks. Within strings there are none.
#[must_use]
pub fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

/// The type of a tool that takes free text.
const CUSTOM: &str = "custom";

const fn kind(free_text: bool, quirks: Quirks) -> &'static str {
    if free_text && !quirks.has(Quirks::FUNCTIONS_ONLY) { CUSTOM } else { "function" }
}

/// The choice as JSON, if there is anything to say.
pub fn write_choice(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Option<String>, Untranslatable> {
    let Some(choice) = &request.tool_choice else { return Ok(None) };
    let forced = match choice {
        ToolChoice::Auto | ToolChoice::Never => false,
        ToolChoice::Required | ToolChoice::Named(_) => true,
        ToolChoice::Among { required, .. } => *required,
    };
    if !forced && request.tools.is_empty() {
        return Ok(None);
    }
    if forced && !target.abilities.forced_tools {
        losses.tuning("tool_choice")?;
    }
    let forced = forced && target.abilities.forced_tools;
    let free_text = request.free_text_tools();
    let named = |name: &str| {
        let free_text = free_text.contains(name);
        Object::typed(kind(free_text, target.quirks)).text("name", &valid_name(name)).end()
    };
    Ok(Some(match choice {
        ToolChoice::Never => "\"none\"".to_owned(),
        ToolChoice::Required if forced => "\"required\"".to_owned(),
        ToolChoice::Named(name) if forced => named(name),
        ToolChoice::Auto | ToolChoice::Required | ToolChoice::Named(_) => "\"auto\"".to_owned(),
        ToolChoice::Among { names, .. } => {
            let tools: Vec<String> = names.iter().map(|name| named(name)).collect();
            let mode = if forced { "required" } else { "auto" };
            Object::typed("allowed_tools").text("mode", mode).raw("tools", &array(&tools)).end()
        }
    }))
}
