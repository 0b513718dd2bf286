//! Tools as function declarations, and how they may be called.

use super::CACHE;
use crate::dialect::gemini::fields::{push_member, push_text};
use crate::dialect::hub::legend::{FORMAT_TOOL, FREE_TEXT_PARAMETER};
use crate::dialect::hub::{Losses, Request, Tool, ToolChoice, Untranslatable};
use crate::dialect::json;
use crate::dialect::names::Names;
use crate::dialect::target::Target;

/// The value of `tools`.
pub fn write(
    tools: &[Tool<'_>],
    names: &mut Names,
    losses: &mut Losses,
) -> Result<String, Untranslatable> {
    let mut functions = Vec::with_capacity(tools.len());
    for tool in tools {
        if tool.cache_point {
            losses.tuning(CACHE)?;
        }
        if tool.strict == Some(true) {
            losses.tuning("strict")?;
        }
        if tool.free_text {
            losses.tuning("custom tools")?;
        }
        functions.push(function(tool, names));
    }
    Ok(format!(r#"[{{"functionDeclarations":[{}]}}]"#, functions.join(",")))
}

fn function(tool: &Tool<'_>, names: &mut Names) -> String {
    let mut out = String::from("{");
    push_text(&mut out, "name", &names.of(&tool.name));
    if let Some(description) = &tool.description {
        push_text(&mut out, "description", description);
    }
    if tool.free_text {
        let wrapped = format!(
            r#"{{"type":"object","properties":{{"{FREE_TEXT_PARAMETER}":{{"type":"string"}}}},"required":["{FREE_TEXT_PARAMETER}"]}}"#
        );
        push_member(&mut out, "parametersJsonSchema", &wrapped);
    } else if let Some(parameters) = &tool.parameters {
        push_member(&mut out, "parametersJsonSchema", parameters);
    }
    out.push('}');
    out
}

/// The one tool that stands for a promised format.
pub fn format_tool(schema: &str) -> String {
    let mut out = String::from("{");
    push_text(&mut out, "name", FORMAT_TOOL);
    push_text(&mut out, "description", "Gives the answer. Call it exactly once.");
    push_member(&mut out, "parametersJsonSchema", schema);
    out.push('}');
    format!(r#"[{{"functionDeclarations":[{out}]}}]"#)
}

/// `toolConfig` that demands this function.
pub fn forced(name: &str) -> String {
    calling("ANY", &[json::quote(name)])
}

/// `names` are JSON strings.
fn calling(mode: &str, names: &[String]) -> String {
    let mut out = String::from("{");
    push_text(&mut out, "mode", mode);
    if !names.is_empty() {
        push_member(&mut out, "allowedFunctionNames", &format!("[{}]", names.join(",")));
    }
    out.push('}');
    format!(r#"{{"functionCallingConfig":{out}}}"#)
}

/// The value of `toolConfig`.
pub fn config(
    request: &Request<'_>,
    target: &Target<'_>,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<Option<String>, Untranslatable> {
    if request.parallel_tools == Some(false) {
        losses.tuning("parallel_tool_calls")?;
    }
    let Some(choice) = &request.tool_choice else { return Ok(None) };
    let demands = match choice {
        ToolChoice::Required | ToolChoice::Named(_) => true,
        ToolChoice::Among { required, .. } => *required,
        ToolChoice::Auto | ToolChoice::Never => false,
    };
    let forced = demands && target.abilities.forced_tools;
    if demands && !forced {
        losses.tuning("tool_choice")?;
    }
    let mut quoted = |name: &str| json::quote(&names.of(name));
    Ok(Some(match choice {
        ToolChoice::Auto => calling("AUTO", &[]),
        ToolChoice::Never => calling("NONE", &[]),
        ToolChoice::Required if forced => calling("ANY", &[]),
        ToolChoice::Named(name) if forced => calling("ANY", &[quoted(name)]),
        ToolChoice::Required | ToolChoice::Named(_) => calling("AUTO", &[]),
        ToolChoice::Among { names, .. } => {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            // Text may come too: the mode in which names may still be given.
            calling(if forced { "ANY" } else { "VALIDATED" }, &names)
        }
    }))
}
