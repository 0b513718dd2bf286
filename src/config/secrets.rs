//! Secrets: `{ env = "NAME" }` or `{ file = "path" }`, never a key in the text.
//!
//! No message of this file repeats a value that could be a key.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::Digest;
use toml::de::DeValue;

use super::reader::Table;
use super::source::is_variable_name;
use super::values::{Fault, path, quoted, text};
use crate::secret::Secret;

/// A key is far shorter; a larger file is the wrong file.
const LARGEST_SECRET: usize = 64 * 1024;

const REMEDY: &str = "write `{ env = \"NAME\" }` or `{ file = \"path\" }`";

/// The secret a key of `parent` refers to, if it can be read.
pub(super) fn secret(parent: &Table<'_>, key: &'static str) -> Option<Secret> {
    let written = parent.get(key, reference)?;
    let table = parent.table(key)?;
    let (env, file) = (table.has("env"), table.has("file"));
    table.finish();
    if env == file {
        let message = format!("`{key}` needs either `env` or `file`");
        parent.reader.error(written.span, message, REMEDY);
        return None;
    }
    let from_env = table.get("env", |value| from_variable(&table, text(value)?));
    let from_file = table.get("file", |value| from_file(&table, &path(value)?));
    let secret = from_env.or(from_file)?.value;
    // With its length in front, two secrets cannot be told apart wrongly.
    let mut inputs = parent.reader.inputs.borrow_mut();
    inputs.update(secret.expose().len().to_le_bytes());
    inputs.update(secret.expose());
    Some(secret)
}

fn reference(value: &DeValue<'_>) -> Result<(), Fault> {
    match value {
        DeValue::Table(_) => Ok(()),
        DeValue::String(_) => Err(Fault::new("must not be written into the file", REMEDY)),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => {
            Err(Fault::new(format!("must say where the key is, not {}", value.type_str()), REMEDY))
        }
    }
}

fn from_variable(table: &Table<'_>, name: &str) -> Result<Secret, Fault> {
    if !is_variable_name(name) {
        return Err(Fault::new(
            "is not the name of an environment variable",
            "write the variable's name here, not the key",
        ));
    }
    let remedy = || format!("set it before the start: export {name}=…");
    let Some(value) = (table.reader.env)(name) else {
        return Err(Fault::new(format!("names the variable {name}, which is not set"), remedy()));
    };
    let value = value.into_string().map_err(|_| {
        Fault::new(format!("names the variable {name}, which is not UTF-8"), remedy())
    })?;
    usable(&value).map_err(|what| Fault::new(format!("names {name}, which {what}"), remedy()))
}

fn from_file(table: &Table<'_>, written: &str) -> Result<Secret, Fault> {
    let file = table.reader.directory.join(written);
    let remedy = || format!("write the key into {}", file.display());
    let fault = |what: &str| {
        Fault::new(format!("names the file {}, which {what}", quoted('"', written)), remedy())
    };
    let bytes = read_at_most(&file, LARGEST_SECRET)
        .map_err(|error| fault(&format!("cannot be read: {error}")))?
        .ok_or_else(|| fault("is no file of at most 64 KiB"))?;
    let value = String::from_utf8(bytes).map_err(|_| fault("is not UTF-8"))?;
    usable(&value).map_err(fault)
}

/// A key without the white space around it, if a header can carry it.
fn usable(value: &str) -> Result<Secret, &'static str> {
    let key = value.trim();
    if key.is_empty() {
        return Err("is empty");
    }
    if !key.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err("holds characters that no key has");
    }
    Ok(Secret::new(key))
}

/// The content of a regular file, or `None` if it is something else or larger.
pub(super) fn read_at_most(path: &Path, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let mut bounded = File::open(path)?.take(limit as u64 + 1);
    bounded.read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}
