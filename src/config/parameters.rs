//! `parameters` of a target: fields of the request that are set or removed
//! before it is sent there.

use toml::de::DeValue;

use super::json::json_text;
use super::reader::Table;
use super::source::Span;
use super::values::{Fault, quoted, wrong_type};
use crate::failover::consult::Edit;

/// More than this is another request.
const MOST: usize = 64;
const LONGEST_PATH: usize = 256;

/// Fields the gateway itself decides or that are the client's own question, in
/// any dialect.
const NOT_PARAMETERS: [&str; 5] = ["model", "messages", "stream", "contents", "input"];

/// The changes in the order they are made: what is set, then what is removed.
pub(super) fn parameters(table: &Table<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    if let Some(set) = table.table("set") {
        for (name, value) in set.entries() {
            let change = json_text(value.get_ref()).and_then(|json| {
                let edit = Edit { pointer: pointer(name.value)?, value: Some(json) };
                add(&mut edits, edit)
            });
            refuse(table, name.value, name.span, change);
        }
    }
    for (name, span) in removed(table) {
        let change =
            pointer(name).and_then(|pointer| add(&mut edits, Edit { pointer, value: None }));
        refuse(table, name, span, change);
    }
    table.finish();
    edits
}

/// The names in `remove`, with their places.
fn removed<'t>(table: &Table<'t>) -> Vec<(&'t str, Span)> {
    let found = table.get("remove", |value| {
        let example = |value| wrong_type(value, "a list of fields", "[\"seed\"]");
        let items = value.as_array().ok_or_else(|| example(value))?;
        let one = |item: &'t toml::Spanned<DeValue<'t>>| {
            let name = item.get_ref().as_str().ok_or_else(|| example(item.get_ref()))?;
            Ok((name, item.span()))
        };
        items.iter().map(one).collect()
    });
    found.map_or_else(Vec::new, |found| found.value)
}

fn add(edits: &mut Vec<Edit>, edit: Edit) -> Result<(), Fault> {
    if edits.iter().any(|other| other.pointer == edit.pointer) {
        return Err(Fault::new("is changed twice", "set it or remove it, once"));
    }
    if edits.len() == MOST {
        return Err(Fault::new("is one change too many", format!("at most {MOST}")));
    }
    edits.push(edit);
    Ok(())
}

fn refuse(table: &Table<'_>, name: &str, span: Span, change: Result<(), Fault>) {
    if let Err(fault) = change {
        let message = format!("{} {}", quoted('`', name), fault.message);
        table.reader.error(span, message, fault.remedy);
    }
}

/// The JSON pointer (RFC 6901) of a field or of a path with slashes.
fn pointer(written: &str) -> Result<String, Fault> {
    let path = written.strip_prefix('/').unwrap_or(written);
    let first = path.split('/').next().unwrap_or_default();
    let odd = path.split('/').any(str::is_empty) || path.chars().any(char::is_control);
    if odd || path.len() > LONGEST_PATH {
        return Err(Fault::new(
            "is no field",
            "a field's name, or a path such as \"generationConfig/topK\"",
        ));
    }
    if NOT_PARAMETERS.contains(&first) {
        let remedy = match first {
            "model" => "name the model as the target's `model`",
            "stream" => "whether an answer is streamed, the client decides",
            _ => "it is the client's question; for a system prompt there is `system`",
        };
        return Err(Fault::new("cannot be set or removed", remedy));
    }
    Ok(format!("/{}", path.replace('~', "~0")))
}
