//! TOML values as JSON text, for a policy's settings and a target's parameters.

use toml::de::DeValue;

use super::values::{Fault, integer, quoted, wrong_type};

/// Settings are copied into every question to a policy, parameters into every
/// request.
const LONGEST: usize = 64 * 1024;

/// A table as JSON text.
pub(crate) fn json_table(value: &DeValue<'_>) -> Result<String, Fault> {
    if !value.is_table() {
        return Err(wrong_type(value, "a table", "{ prefer = \"cheap\" }"));
    }
    json_text(value)
}

/// Any value as JSON text.
pub(super) fn json_text(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = json(value)?.to_string();
    if text.len() > LONGEST {
        return Err(Fault::new("is too long", "at most 64 KiB as JSON"));
    }
    Ok(text)
}

/// Dates become strings; TOML has no other value that JSON lacks but infinite
/// and undefined numbers, and integers of more than 64 bits.
fn json(value: &DeValue<'_>) -> Result<serde_json::Value, Fault> {
    use serde_json::{Number, Value};
    let no_number = |written: String| {
        let message = format!("holds a number that JSON has not: {}", quoted('`', &written));
        Fault::new(message, "write it as a string")
    };
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(written) => integer(written)
            .map(|number| Value::Number(number.into()))
            .ok_or_else(|| no_number(written.to_string()))?,
        DeValue::Float(written) => written
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| no_number(written.to_string()))?,
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| json(item.get_ref()));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(entries) => {
            let entry = |(key, value): (
                &toml::Spanned<toml::de::DeString<'_>>,
                &toml::Spanned<DeValue<'_>>,
            )| { Ok((key.get_ref().to_string(), json(value.get_ref())?)) };
            Value::Object(entries.iter().map(entry).collect::<Result<_, Fault>>()?)
        }
    })
}
