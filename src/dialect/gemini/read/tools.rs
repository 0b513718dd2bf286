//! Tools and how they may be called.

use std::borrow::Cow;

use crate::dialect::gemini::fields::{self, field, members};
use crate::dialect::gemini::schema::to_json_schema;
use crate::dialect::hub::{Gravity, Request, Tool, ToolChoice};
use crate::dialect::node::Node;
use crate::dialect::peeking::{missing, wrong};
use crate::dialect::request::BadRequest;

/// More functions, or names of them, than any server takes.
const MAX_FUNCTIONS: usize = 1024;

/// Tools that Google runs, with nothing of the client's in them. Others bring the
/// client's own data (`fileSearch`) or are run by it (`computerUse`).
const HOSTED: [&str; 6] = [
    "googleSearch",
    "googleSearchRetrieval",
    "enterpriseWebSearch",
    "googleMaps",
    "urlContext",
    "codeExecution",
];

/// Reads all tools.
pub fn read<'a>(tools: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    if !tools.is_array() {
        return Err(wrong("tools", "must be an array"));
    }
    for tool in tools.items() {
        for (key, value) in members(tool) {
            if key == "functionDeclarations" {
                let room = MAX_FUNCTIONS - request.tools.len();
                request.tools.reserve_exact(value.items().take(room).count());
                for function in value.items() {
                    if request.tools.len() == MAX_FUNCTIONS {
                        return Err(wrong("tools", "has more than 1024 functions"));
                    }
                    let function = self::function(function, request)?;
                    request.tools.push(function);
                }
            } else if HOSTED.contains(&&*key) {
                request.hosted_tool(format!("tools[].{key}"));
            } else {
                request.other(format!("tools[].{key}"), Gravity::Meaning);
            }
        }
    }
    Ok(())
}

fn function<'a>(node: Node<'a>, request: &mut Request<'a>) -> Result<Tool<'a>, BadRequest> {
    let mut tool = Tool {
        name: Cow::Borrowed(""),
        description: None,
        parameters: None,
        strict: None,
        free_text: false,
        cache_point: false,
    };
    for (key, value) in members(node) {
        match &*key {
            "name" => tool.name = value.str().unwrap_or_default(),
            "description" => tool.description = value.str(),
            "parametersJsonSchema" => tool.parameters = Some(value.raw().into()),
            "parameters" if tool.parameters.is_none() => {
                tool.parameters = Some(to_json_schema(value).into());
            }
            "parameters" => {}
            _ => {
                request.other(format!("tools[].functionDeclarations[].{key}"), Gravity::Tuning);
            }
        }
    }
    if tool.name.is_empty() {
        return Err(missing("functionDeclarations.name"));
    }
    Ok(tool)
}

/// Reads `toolConfig`.
pub fn read_config<'a>(config: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    for (key, value) in members(config) {
        if key == "functionCallingConfig" {
            request.tool_choice = choice(value)?;
        } else {
            request.other(format!("toolConfig.{key}"), Gravity::Tuning);
        }
    }
    Ok(())
}

fn choice(config: Node<'_>) -> Result<Option<ToolChoice<'_>>, BadRequest> {
    const MODE: &str = "toolConfig.functionCallingConfig.mode";
    let names = field(config, "allowedFunctionNames").map(names).transpose()?.unwrap_or_default();
    let Some(mode) = fields::text(config, "mode") else { return Ok(None) };
    let among = |mut names: Vec<_>, required| match (names.len(), required) {
        (0, true) => ToolChoice::Required,
        (0, false) => ToolChoice::Auto,
        (1, true) => ToolChoice::Named(names.remove(0)),
        (_, required) => ToolChoice::Among { names, required },
    };
    match &*mode.to_ascii_uppercase() {
        "MODE_UNSPECIFIED" | "" => Ok(None),
        "AUTO" => Ok(Some(ToolChoice::Auto)),
        "NONE" => Ok(Some(ToolChoice::Never)),
        "ANY" => Ok(Some(among(names, true))),
        // Text may come too, and calls keep to their schemas.
        "VALIDATED" => Ok(Some(among(names, false))),
        _ => Err(wrong(MODE, "must be AUTO, ANY, NONE or VALIDATED")),
    }
}

fn names(list: Node<'_>) -> Result<Vec<Cow<'_, str>>, BadRequest> {
    const NAMES: &str = "toolConfig.functionCallingConfig.allowedFunctionNames";
    let mut names = Vec::new();
    for name in list.items() {
        if names.len() == MAX_FUNCTIONS {
            return Err(wrong(NAMES, "has more than 1024 names"));
        }
        names.push(name.str().ok_or_else(|| wrong(NAMES, "must hold strings"))?);
    }
    Ok(names)
}
