//! What Gemini refuses in contents and their parts, in its words. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

use super::super::error_body::ErrorBody;
use super::check::only;
use super::errors::invalid;

const PART_FIELDS: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "thought",
    "thoughtSignature",
    "videoMetadata",
    "mediaResolution",
    "partMetadata",
];
/// What a part may hold, besides what only describes it.
const DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];
/// Model families that want their signatures back.
const SIGNING: [&str; 2] = ["gemini-3", "gemini-4"];

/// The first thing that is wrong with the contents.
pub(super) fn check(model: &str, contents: &Value) -> Result<(), ErrorBody> {
    let list = contents.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        let problem = "* GenerateContentRequest.contents: contents is not specified\n";
        return Err(invalid(400, problem));
    }
    for (at, content) in list.iter().enumerate() {
        let path = format!("contents[{at}]");
        only(content, &["role", "parts"], &path)?;
        if !content["role"].is_null() && content["role"] != "user" && content["role"] != "model" {
            return Err(invalid(400, "Please use a valid role: user, model."));
        }
        parts(&path, &content["parts"])?;
    }
    pairs(list)?;
    if SIGNING.iter().any(|family| model.starts_with(family)) {
        signatures(list)?;
    }
    Ok(())
}

pub(super) fn parts(path: &str, parts: &Value) -> Result<(), ErrorBody> {
    let list = parts.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        let problem =
            format!("* GenerateContentRequest.{path}.parts: contents.parts must not be empty.\n");
        return Err(invalid(400, &problem));
    }
    for (at, part) in list.iter().enumerate() {
        self::part(&format!("{path}.parts[{at}]"), part)?;
    }
    Ok(())
}

fn part(path: &str, part: &Value) -> Result<(), ErrorBody> {
    only(part, PART_FIELDS, path)?;
    let held = DATA.iter().filter(|name| part.get(**name).is_some()).count();
    if held != 1 {
        return Err(invalid(
            400,
            &format!(
                "* GenerateContentRequest.{path}.data: required oneof field 'data' must have one \
             initialized field\n"
            ),
        ));
    }
    if part.get("text").is_some_and(|text| !text.is_string()) {
        return Err(wrong_type(&format!("{path}.text"), "TYPE_STRING", &part["text"]));
    }
    inline_data(path, &part["inlineData"])?;
    named(&format!("{path}.function_call"), &part["functionCall"], "args")?;
    named(&format!("{path}.function_response"), &part["functionResponse"], "response")?;
    if part.get("functionResponse").is_some_and(|answer| answer.get("response").is_none()) {
        return Err(invalid(
            400,
            &format!("* GenerateContentRequest.{path}.function_response.response: required\n"),
        ));
    }
    Ok(())
}

fn inline_data(path: &str, data: &Value) -> Result<(), ErrorBody> {
    if data.is_null() {
        return Ok(());
    }
    only(data, &["mimeType", "data", "displayName"], &format!("{path}.inline_data"))?;
    if data["mimeType"].as_str().is_none_or(|kind| !kind.contains('/')) {
        return Err(invalid(400, &format!("Unsupported MIME type: {}", data["mimeType"])));
    }
    let bytes = data["data"].as_str().unwrap_or_default();
    // Either alphabet, as with all of Google's APIs.
    let decodes = STANDARD.decode(bytes).is_ok() || URL_SAFE.decode(bytes).is_ok();
    if bytes.is_empty() || !decodes {
        return Err(invalid(
            400,
            &format!(
                "Invalid value at '{path}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
            ),
        ));
    }
    Ok(())
}

/// A call of a function or its result: a name, and an object.
fn named(path: &str, value: &Value, object: &str) -> Result<(), ErrorBody> {
    if value.is_null() {
        return Ok(());
    }
    only(value, &["id", "name", "willContinue", "scheduling", "parts", object], path)?;
    if value["name"].as_str().is_none_or(str::is_empty) {
        let problem = format!("* GenerateContentRequest.{path}.name: Name cannot be empty.\n");
        return Err(invalid(400, &problem));
    }
    if value.get(object).is_some_and(|inner| !inner.is_object()) {
        let kind = "type.googleapis.com/google.protobuf.Struct";
        return Err(wrong_type(&format!("{path}.{object}"), kind, &value[object]));
    }
    Ok(())
}

fn wrong_type(path: &str, kind: &str, found: &Value) -> ErrorBody {
    invalid(400, &format!("Invalid value at '{path}' ({kind}), {found}"))
}

fn holding<'a>(content: &'a Value, member: &str) -> Vec<&'a Value> {
    let parts = content["parts"].as_array().into_iter().flatten();
    parts.filter_map(|part| part.get(member)).collect()
}

/// The results of functions stand together, right after their calls.
fn pairs(contents: &[Value]) -> Result<(), ErrorBody> {
    for (at, content) in contents.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &contents[before]);
        let calls = before.map(|before| holding(before, "functionCall")).unwrap_or_default();
        let results = holding(content, "functionResponse");
        if results.len() != calls.len() {
            let problem = if calls.is_empty() || results.is_empty() {
                "Please ensure that function response turn comes immediately after a function call \
                 turn."
            } else {
                "Please ensure that the number of function response parts is equal to the number \
                 of function call parts of the function call turn."
            };
            return Err(invalid(400, problem));
        }
        if let Some(result) =
            results.iter().find(|result| !calls.iter().any(|call| call["name"] == result["name"]))
        {
            return Err(invalid(
                400,
                &format!(
                    "Please ensure that function response parts have the names of the function call \
                 parts: {} was not called.",
                    result["name"]
                ),
            ));
        }
        let calls = !holding(content, "functionCall").is_empty();
        if calls && at + 1 == contents.len() {
            let problem = "Please ensure that multiturn requests end with a user role or a \
                           function response.";
            return Err(invalid(400, problem));
        }
    }
    Ok(())
}

/// The first call of each step since the user last spoke carries its signature.
fn signatures(contents: &[Value]) -> Result<(), ErrorBody> {
    let spoke =
        |content: &Value| content["role"] != "model" && !holding(content, "text").is_empty();
    let since = contents.iter().rposition(spoke).unwrap_or(0);
    for (at, content) in contents.iter().enumerate().skip(since) {
        let parts = content["parts"].as_array().into_iter().flatten();
        let first = parts.enumerate().find(|(_, part)| part.get("functionCall").is_some());
        let Some((place, part)) = first else { continue };
        if part["thoughtSignature"].as_str().is_none_or(str::is_empty) {
            let name = part["functionCall"]["name"].as_str().unwrap_or_default();
            return Err(invalid(
                400,
                &format!(
                    "Function call is missing a thought_signature in functionCall parts. This is \
                 required for tools to work correctly. Additional data, function call \
                 `default_api:{name}`, position {} of content {at}.",
                    place + 1
                ),
            ));
        }
    }
    Ok(())
}
