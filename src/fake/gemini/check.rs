//! What Gemini refuses in a request, in its words: the fields of the body;
//! contents are looked at in `contents`. Pure.

use serde_json::Value;

use super::super::error_body::ErrorBody;
use super::errors::{invalid, unknown_name};
use super::{contents, schema};

const FIELDS: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
    "serviceTier",
    "store",
    "continuationToken",
    "model",
];
const CONFIG_FIELDS: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseLogprobs",
    "logprobs",
    "presencePenalty",
    "frequencyPenalty",
    "seed",
    "thinkingConfig",
    "responseModalities",
    "mediaResolution",
    "speechConfig",
    "imageConfig",
    "responseFormat",
    "enableEnhancedCivicAnswers",
];
const TOOL_FIELDS: &[&str] = &[
    "functionDeclarations",
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "computerUse",
    "fileSearch",
    "googleMaps",
    "mcpServers",
];
const DECLARATION_FIELDS: &[&str] = &[
    "name",
    "description",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
    "behavior",
];
const MAX_STOP_SEQUENCES: usize = 5;

/// The first thing that is wrong with the body.
pub(super) fn body(model: &str, body: &Value) -> Result<(), ErrorBody> {
    only(body, FIELDS, "")?;
    contents::check(model, &body["contents"])?;
    let system = &body["systemInstruction"];
    if !system.is_null() {
        only(system, &["role", "parts"], "system_instruction")?;
        contents::parts("system_instruction", &system["parts"])?;
    }
    config(&body["generationConfig"])?;
    let names = declarations(&body["tools"])?;
    calling(&body["toolConfig"], &names)
}

/// Fails if an object has other members than these.
pub(super) fn only(object: &Value, known: &[&str], path: &str) -> Result<(), ErrorBody> {
    let mut names = object.as_object().into_iter().flat_map(|object| object.keys());
    match names.find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(unknown_name(name, path)),
    }
}

fn config(config: &Value) -> Result<(), ErrorBody> {
    only(config, CONFIG_FIELDS, "generation_config")?;
    let temperature = &config["temperature"];
    if temperature.as_f64().is_some_and(|degree| !(0.0..=2.0).contains(&degree)) {
        let problem = format!(
            "Unable to submit request because it has a temperature value of {temperature} but the \
             supported range is from 0 (inclusive) to 2.0 (inclusive)."
        );
        return Err(invalid(400, &problem));
    }
    if config["stopSequences"].as_array().is_some_and(|list| list.len() > MAX_STOP_SEQUENCES) {
        let problem = "* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop \
                       sequences are allowed.\n";
        return Err(invalid(400, problem));
    }
    let (own, json) = (&config["responseSchema"], &config["responseJsonSchema"]);
    if !own.is_null() && !json.is_null() {
        let problem = "* GenerateContentRequest.generation_config: only one of response_schema and \
                       response_json_schema may be set.\n";
        return Err(invalid(400, problem));
    }
    if (!own.is_null() || !json.is_null()) && config["responseMimeType"] != "application/json" {
        let problem = "* GenerateContentRequest.generation_config.response_schema: only allowed \
                       when response_mime_type is application/json.\n";
        return Err(invalid(400, problem));
    }
    schema::check(own, "generation_config.response_schema")
}

/// The names of the declared functions.
fn declarations(tools: &Value) -> Result<Vec<&str>, ErrorBody> {
    let mut names = Vec::new();
    for (at, tool) in tools.as_array().into_iter().flatten().enumerate() {
        only(tool, TOOL_FIELDS, &format!("tools[{at}]"))?;
        let list = tool["functionDeclarations"].as_array();
        for (place, declaration) in list.into_iter().flatten().enumerate() {
            let path = format!("tools[{at}].function_declarations[{place}]");
            only(declaration, DECLARATION_FIELDS, &path)?;
            let name = declaration["name"].as_str().unwrap_or_default();
            if !function_name(name) {
                return Err(invalid(
                    400,
                    &format!(
                        "* GenerateContentRequest.{path}.name: Invalid function name. Must start with \
                     a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores \
                     (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.\n"
                    ),
                ));
            }
            if names.contains(&name) {
                return Err(invalid(400, &format!("Duplicate function declaration found: {name}")));
            }
            names.push(name);
            let own = &declaration["parameters"];
            if !own.is_null() && !declaration["parametersJsonSchema"].is_null() {
                return Err(invalid(
                    400,
                    &format!(
                        "* GenerateContentRequest.{path}: parameters and parameters_json_schema are \
                     mutually exclusive.\n"
                    ),
                ));
            }
            schema::check(own, &format!("{path}.parameters"))?;
        }
    }
    Ok(names)
}

fn function_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    name.len() <= 64 && name.starts_with(first) && name.chars().all(rest)
}

fn calling(config: &Value, names: &[&str]) -> Result<(), ErrorBody> {
    only(config, &["functionCallingConfig", "retrievalConfig"], "tool_config")?;
    let calling = &config["functionCallingConfig"];
    if calling.is_null() {
        return Ok(());
    }
    let path = "tool_config.function_calling_config";
    only(calling, &["mode", "allowedFunctionNames", "streamFunctionCallArguments"], path)?;
    let mode = calling["mode"].as_str().unwrap_or("AUTO");
    if !["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"].contains(&mode) {
        return Err(invalid(
            400,
            &format!(
                "Invalid value at '{path}.mode' \
             (type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), \
             \"{mode}\""
            ),
        ));
    }
    if mode == "ANY" && names.is_empty() {
        let problem = "Function calling config is set without function_declarations.";
        return Err(invalid(400, problem));
    }
    let allowed = calling["allowedFunctionNames"].as_array();
    for name in allowed.into_iter().flatten() {
        if !["ANY", "VALIDATED"].contains(&mode) {
            let problem = "Allowed function names should only be set when the function calling \
                           mode is ANY or VALIDATED.";
            return Err(invalid(400, problem));
        }
        if !names.iter().any(|known| name == known) {
            return Err(invalid(
                400,
                &format!(
                    "* GenerateContentRequest.{path}.allowed_function_names: {name} is not in the \
                 function declarations.\n"
                ),
            ));
        }
    }
    Ok(())
}
