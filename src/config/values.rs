//! What single values mean: durations, sizes, rates, names, addresses. Each
//! function takes a TOML value and says what is wrong with it and what to
//! write instead; it knows neither the key nor the place.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::{DeInteger, DeValue};

use super::reader::suggestion;
use crate::dialect::Dialect;
use crate::failover::call::Features;
use crate::failover::rules::{Hold, Rescue};

/// What is wrong with a value, to follow the key's name in a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub message: String,
    pub remedy: String,
}

impl Fault {
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }
}

/// Names are sent in headers, logged and shown: this many bytes are enough.
const LONGEST_NAME: usize = 256;
/// The longest text that is repeated in a message, in characters.
const LONGEST_SHOWN: usize = 60;

/// A text in quotes as a message shows it: escaped and cut.
pub(super) fn quoted(quote: char, text: &str) -> String {
    let escaped: String = text.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect();
    let cut = if text.chars().nth(LONGEST_SHOWN).is_some() { "…" } else { "" };
    format!("{quote}{escaped}{cut}{quote}")
}

/// `expected` with its article, `example` as TOML.
pub(super) fn wrong_type(value: &DeValue<'_>, expected: &str, example: &str) -> Fault {
    let found = value.type_str();
    let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
    Fault::new(
        format!("must be {expected}, not {article} {found}"),
        format!("for example `{example}`"),
    )
}

pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| wrong_type(value, "a string", "\"text\""))
}

pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| wrong_type(value, "true or false", "true"))
}

/// A length of time with its unit, within bounds.
pub(super) fn duration_within(
    value: &DeValue<'_>,
    bounds: RangeInclusive<Duration>,
) -> Result<Duration, Fault> {
    let example = || wrong_type(value, "a length of time with its unit", "\"30s\"");
    let written = value.as_str().ok_or_else(example)?;
    let parsed = humantime::parse_duration(written).map_err(|_| {
        Fault::new(
            format!("is no length of time: {}", quoted('"', written)),
            "write a number with its unit: \"250ms\", \"30s\", \"1m30s\"",
        )
    })?;
    if bounds.contains(&parsed) {
        return Ok(parsed);
    }
    let (least, most) = (show_time(*bounds.start()), show_time(*bounds.end()));
    Err(Fault::new(
        format!("is out of bounds: {}", quoted('"', written)),
        format!("from \"{least}\" to \"{most}\""),
    ))
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A length of time that is not zero: 1 ms to a day.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, Fault> {
    duration_within(value, Duration::from_millis(1)..=DAY)
}

/// A length of time that may be zero, up to a day.
pub(super) fn duration_or_zero(value: &DeValue<'_>) -> Result<Duration, Fault> {
    duration_within(value, Duration::ZERO..=DAY)
}

/// A length of time as a configuration would say it.
pub(super) fn show_time(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// A number of bytes with its unit, within bounds.
pub(super) fn size(value: &DeValue<'_>, bounds: RangeInclusive<u64>) -> Result<u64, Fault> {
    let example = || wrong_type(value, "a size with its unit", "\"16MiB\"");
    size_of_text(value.as_str().ok_or_else(example)?, bounds)
}

fn size_of_text(written: &str, bounds: RangeInclusive<u64>) -> Result<u64, Fault> {
    let parsed = written.parse::<ByteSize>().ok();
    // A bare number is as likely meant in KiB as in bytes.
    let united = written.ends_with(|c: char| c.is_ascii_alphabetic());
    let Some(bytes) = parsed.filter(|_| united).map(|size| size.as_u64()) else {
        return Err(Fault::new(
            format!("is no size: {}", quoted('"', written)),
            "write a number with its unit: \"512B\", \"64KiB\", \"16MiB\"",
        ));
    };
    if bounds.contains(&bytes) {
        return Ok(bytes);
    }
    Err(Fault::new(
        format!("is out of bounds: {}", quoted('"', written)),
        format!("from \"{}\" to \"{}\"", show_size(*bounds.start()), show_size(*bounds.end())),
    ))
}

/// A size as a configuration would say it.
pub(super) fn show_size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string().replace(".0", "").replace(' ', "")
}

/// A whole number within bounds.
pub(super) fn count(value: &DeValue<'_>, bounds: RangeInclusive<u32>) -> Result<u32, Fault> {
    let DeValue::Integer(written) = value else {
        return Err(wrong_type(value, "a whole number", &bounds.start().max(&1).to_string()));
    };
    match integer(written).and_then(|number| u32::try_from(number).ok()) {
        Some(number) if bounds.contains(&number) => Ok(number),
        Some(_) | None => Err(Fault::new(
            format!("is out of bounds: {}", quoted('`', &written.to_string())),
            format!("from {} to {}", bounds.start(), bounds.end()),
        )),
    }
}

/// The value of an integer of any radix, if 64 bits hold it.
pub(super) fn integer(written: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(written.as_str(), written.radix()).ok()
}

/// A share of a whole: 0 to 1.
pub(super) fn rate(value: &DeValue<'_>) -> Result<f64, Fault> {
    let number = number(value, "0.2")?;
    if (0.0..=1.0).contains(&number) {
        return Ok(number);
    }
    Err(Fault::new(format!("is out of bounds: `{number}`"), "a share from 0.0 to 1.0"))
}

/// US dollars per million tokens.
pub(super) fn price(value: &DeValue<'_>) -> Result<f64, Fault> {
    let number = number(value, "2.50")?;
    if (0.0..=1e6).contains(&number) {
        return Ok(number);
    }
    Err(Fault::new(format!("is out of bounds: `{number}`"), "US dollars per million tokens"))
}

#[expect(clippy::cast_precision_loss, reason = "a price or a share is far below 2^53")]
fn number(value: &DeValue<'_>, example: &str) -> Result<f64, Fault> {
    let parsed = match value {
        DeValue::Integer(written) => integer(written).map(|number| number as f64),
        DeValue::Float(written) => written.as_str().parse().ok(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    parsed.ok_or_else(|| wrong_type(value, "a number", example))
}

/// A string that `any_name` takes.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, Fault> {
    any_name(text(value)?)
}

/// Text without control characters, of a bounded length.
pub(super) fn any_name(written: &str) -> Result<String, Fault> {
    if written.is_empty() {
        return Err(Fault::new("is empty", "write a name"));
    }
    if written.len() > LONGEST_NAME || written.chars().any(char::is_control) {
        return Err(Fault::new(
            format!("is no name: {}", quoted('"', written)),
            format!("at most {LONGEST_NAME} bytes, no control characters"),
        ));
    }
    Ok(written.to_owned())
}

/// A name that can be a file's: letters, digits, dots, underscores, hyphens.
pub(super) fn plain_name(written: &str) -> Result<String, Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&written.len()) && !written.starts_with('.') && written.chars().all(plain)
    {
        return Ok(written.to_owned());
    }
    Err(Fault::new(
        format!("is no plain name: {}", quoted('"', written)),
        "1 to 64 letters, digits, dots, underscores or hyphens, no dot in front",
    ))
}

/// A path, as written.
pub(super) fn path(value: &DeValue<'_>) -> Result<String, Fault> {
    let written = text(value)?;
    if written.is_empty() || written.contains('\0') {
        return Err(Fault::new("is no path", "for example `\"policies\"`"));
    }
    Ok(written.to_owned())
}

/// An address to listen on, or `None` for "off".
pub(super) fn listen_or_off(value: &DeValue<'_>) -> Result<Option<String>, Fault> {
    if value.as_str() == Some("off") { Ok(None) } else { listen(value).map(Some) }
}

/// An address to listen on: `IP:PORT` or `HOST:PORT`.
pub(super) fn listen(value: &DeValue<'_>) -> Result<String, Fault> {
    let example = || wrong_type(value, "an address with a port", "\"127.0.0.1:8080\"");
    let written = value.as_str().ok_or_else(example)?;
    let host = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
    };
    let named = written
        .rsplit_once(':')
        .is_some_and(|(name, port)| host(name) && port.parse::<u16>().is_ok());
    if named || written.parse::<SocketAddr>().is_ok() {
        return Ok(written.to_owned());
    }
    Err(Fault::new(
        format!("is no address: {}", quoted('"', written)),
        "an address and a port: \"127.0.0.1:8080\", \"[::1]:8080\", \"localhost:8080\"",
    ))
}

/// Whether only this machine can reach an address of the form `listen` takes.
pub(super) fn is_loopback(address: &str) -> bool {
    match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => address.rsplit_once(':').is_some_and(|(host, _)| is_loopback_host(host)),
    }
}

/// Whether two listeners could not both be opened. Port 0 is any free port.
pub(super) fn address_in_use_by_both(one: &str, other: &str) -> bool {
    match (one.parse::<SocketAddr>(), other.parse::<SocketAddr>()) {
        (Ok(one), Ok(other)) => {
            let overlap =
                one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0 && one.port() == other.port() && overlap
        }
        (Ok(_), Err(_)) | (Err(_), Ok(_)) | (Err(_), Err(_)) => one == other,
    }
}

/// Whether a host, as a URL writes it, is this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A provider's base URL, without the slash at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BaseUrl {
    pub url: String,
    pub loopback: bool,
    pub encrypted: bool,
}

/// An http or https URL with a host, and no credentials, query or fragment.
/// The value is in no message: it may hold a password.
pub(super) fn base_url(value: &DeValue<'_>) -> Result<BaseUrl, Fault> {
    const EXAMPLE: &str = "for example `\"https://api.openai.com/v1\"`";
    let example = || wrong_type(value, "a URL", "\"https://api.openai.com/v1\"");
    let written = value.as_str().ok_or_else(example)?;
    let uri = written.parse::<http::Uri>().map_err(|_| Fault::new("is no URL", EXAMPLE))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Fault::new("has no scheme or no host", EXAMPLE));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(Fault::new("is neither http nor https", EXAMPLE));
    }
    if authority.as_str().contains('@') {
        return Err(Fault::new("contains credentials", "give the key as `api_key = { env = … }`"));
    }
    if authority.host().is_empty() {
        return Err(Fault::new("has no host", EXAMPLE));
    }
    if written.contains(['?', '#']) {
        return Err(Fault::new("has a query or a fragment", "end it with the path"));
    }
    Ok(BaseUrl {
        url: written.trim_end_matches('/').to_owned(),
        loopback: is_loopback_host(authority.host()),
        encrypted: scheme == "https",
    })
}

/// One of a closed set of words.
fn one_of<T: Copy>(value: &DeValue<'_>, words: &[(&'static str, T)]) -> Result<T, Fault> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let example = || wrong_type(value, "a string", &quoted('"', names[0]));
    let written = value.as_str().ok_or_else(example)?;
    let known = words.iter().find(|(name, _)| *name == written);
    known.map(|(_, meaning)| *meaning).ok_or_else(|| {
        Fault::new(
            format!("cannot be {}", quoted('"', written)),
            format!("one of: \"{}\"", names.join("\", \"")),
        )
    })
}

pub(super) fn dialect(value: &DeValue<'_>) -> Result<Dialect, Fault> {
    one_of(value, &Dialect::ALL)
}

pub(super) fn rescue(value: &DeValue<'_>) -> Result<Rescue, Fault> {
    one_of(value, &[("continue", Rescue::Continue), ("error", Rescue::Error)])
}

/// The most that can be held back, short of everything.
const LARGEST_HOLD: u64 = 32 * 1024 * 1024;

pub(super) fn hold(value: &DeValue<'_>) -> Result<Hold, Fault> {
    let written = value.as_str().ok_or_else(|| wrong_type(value, "a string", "\"first\""))?;
    match written {
        "first" => Ok(Hold::First),
        "all" => Ok(Hold::All),
        size => {
            let fault = |_| {
                let remedy = "\"first\", \"all\", or a size from \"1B\" to \"32MiB\"";
                Fault::new(format!("cannot be {}", quoted('"', size)), remedy)
            };
            let bytes = size_of_text(size, 1..=LARGEST_HOLD).map_err(fault)?;
            Ok(Hold::Bytes(u32::try_from(bytes).unwrap_or(u32::MAX)))
        }
    }
}

/// A set of features by their names.
pub(super) fn features(value: &DeValue<'_>) -> Result<Features, Fault> {
    let example = || wrong_type(value, "a list of features", "[\"tools\", \"vision\"]");
    let mut set = Features::NONE;
    for item in value.as_array().ok_or_else(example)? {
        let written = item.get_ref().as_str().ok_or_else(example)?;
        let Some((_, feature)) = Features::NAMES.iter().find(|(name, _)| *name == written) else {
            let names = Features::NAMES.map(|(name, _)| name);
            let message = format!("names an unknown feature: {}", quoted('"', written));
            return Err(Fault::new(message, suggestion(written, &names)));
        };
        set = set | *feature;
    }
    Ok(set)
}

/// A header's name in lower case.
pub(super) fn header_name(written: &str) -> Result<String, Fault> {
    http::HeaderName::try_from(written).map(|name| name.as_str().to_owned()).map_err(|_| {
        let message = format!("is no header name: {}", quoted('"', written));
        Fault::new(message, "letters, digits and hyphens, for example `x-team`")
    })
}

/// A list of header names in lower case.
pub(super) fn header_names(value: &DeValue<'_>) -> Result<Vec<String>, Fault> {
    /// Labels are copied into every question to a policy.
    const MOST: usize = 32;
    let example = || wrong_type(value, "a list of header names", "[\"x-team\"]");
    let items = value.as_array().ok_or_else(example)?;
    if items.len() > MOST {
        return Err(Fault::new("is too long", format!("at most {MOST} names")));
    }
    let one = |item: &toml::Spanned<DeValue<'_>>| {
        header_name(item.get_ref().as_str().ok_or_else(example)?)
    };
    items.iter().map(one).collect()
}

/// A table as JSON text.
pub(super) fn json_table(value: &DeValue<'_>) -> Result<String, Fault> {
    /// Settings are copied into every question to a policy.
    const LONGEST: usize = 64 * 1024;
    if !value.is_table() {
        return Err(wrong_type(value, "a table", "{ prefer = \"cheap\" }"));
    }
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
