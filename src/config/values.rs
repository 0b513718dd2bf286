//! What single values mean: durations, sizes, rates, names, addresses. Each
//! function takes a TOML value and says what is wrong with it and what to
//! write instead; it knows neither the key nor the place.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::{DeInteger, DeValue};

use super::reader::suggestion;
use crate::dialect::hub::Strictness;
use crate::dialect::{ProviderDialect, Quirks};
use crate::failover::call::Features;
use crate::failover::rules::{Hold, Rescue};

/// What is wrong with a value, to follow the key's name in a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
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
pub(crate) fn quoted(quote: char, text: &str) -> String {
    let escaped: String = text.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect();
    let cut = if text.chars().nth(LONGEST_SHOWN).is_some() { "…" } else { "" };
    format!("{quote}{escaped}{cut}{quote}")
}

/// `expected` with its article, `example` as TOML.
pub(crate) fn wrong_type(value: &DeValue<'_>, expected: &str, example: &str) -> Fault {
    let found = value.type_str();
    let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
    Fault::new(
        format!("must be {expected}, not {article} {found}"),
        format!("for example `{example}`"),
    )
}

pub(crate) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| wrong_type(value, "a string", "\"text\""))
}

pub(crate) fn flag(value: &DeValue<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| wrong_type(value, "true or false", "true"))
}

/// A length of time with its unit, within bounds.
pub(crate) fn duration_within(
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

const DAY: Duration = Duration::from_hours(24);

/// A length of time that is not zero: 1 ms to a day.
pub(crate) fn duration(value: &DeValue<'_>) -> Result<Duration, Fault> {
    duration_within(value, Duration::from_millis(1)..=DAY)
}

/// A length of time that may be zero, up to a day.
pub(crate) fn duration_or_zero(value: &DeValue<'_>) -> Result<Duration, Fault> {
    duration_within(value, Duration::ZERO..=DAY)
}

/// A length of time as a configuration would say it.
pub(crate) fn show_time(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// A number of bytes with its unit, within bounds.
pub(crate) fn size(value: &DeValue<'_>, bounds: RangeInclusive<u64>) -> Result<u64, Fault> {
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
pub(crate) fn show_size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string().replace(".0", "").replace(' ', "")
}

/// A whole number within bounds.
pub(crate) fn count(value: &DeValue<'_>, bounds: RangeInclusive<u32>) -> Result<u32, Fault> {
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
pub(crate) fn integer(written: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(written.as_str(), written.radix()).ok()
}

/// A share of a whole: 0 to 1.
pub(crate) fn rate(value: &DeValue<'_>) -> Result<f64, Fault> {
    let number = number(value, "0.2")?;
    if (0.0..=1.0).contains(&number) {
        return Ok(number);
    }
    Err(Fault::new(format!("is out of bounds: `{number}`"), "a share from 0.0 to 1.0"))
}

/// A number within bounds, which is what the remedy calls it.
pub(super) fn number_within(
    value: &DeValue<'_>,
    bounds: RangeInclusive<f64>,
    what: &str,
) -> Result<f64, Fault> {
    let number = number(value, "0.05")?;
    if bounds.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (bounds.start(), bounds.end());
    let remedy = format!("{what} from {least:?} to {most:?}");
    Err(Fault::new(format!("is out of bounds: `{number}`"), remedy))
}

/// US dollars per million tokens.
pub(crate) fn price(value: &DeValue<'_>) -> Result<f64, Fault> {
    let number = number(value, "2.50")?;
    if (0.0..=1e6).contains(&number) {
        return Ok(number);
    }
    Err(Fault::new(format!("is out of bounds: `{number}`"), "US dollars per million tokens"))
}

#[expect(clippy::cast_precision_loss, reason = "a price or a share is far below 2^53")]
pub(crate) fn number(value: &DeValue<'_>, example: &str) -> Result<f64, Fault> {
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
pub(crate) fn name(value: &DeValue<'_>) -> Result<String, Fault> {
    any_name(text(value)?)
}

/// Text without control characters, of a bounded length.
pub(crate) fn any_name(written: &str) -> Result<String, Fault> {
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
pub(crate) fn plain_name(written: &str) -> Result<String, Fault> {
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

/// A SHA-256 with its name in front: `sha256:` and 64 hexadecimal digits.
pub(super) fn sha256(value: &DeValue<'_>) -> Result<[u8; 32], Fault> {
    const REMEDY: &str = "\"sha256:\" and 64 hexadecimal digits, as `backstay policy check` prints";
    let written =
        value.as_str().ok_or_else(|| wrong_type(value, "a digest", "\"sha256:9f86d0…\""))?;
    let Some(digits) = written.strip_prefix("sha256:") else {
        return Err(Fault::new(format!("is no digest: {}", quoted('"', written)), REMEDY));
    };
    let mut digest = [0; 32];
    if let Some(other) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        let message = format!("has {} among its digits", quoted('`', &other.to_string()));
        return Err(Fault::new(message, REMEDY));
    }
    if digits.len() != 64 {
        return Err(Fault::new(format!("has {} digits", digits.len()), REMEDY));
    }
    for (byte, place) in digest.iter_mut().zip((0..64).step_by(2)) {
        // All of it are digits.
        *byte = u8::from_str_radix(&digits[place..place + 2], 16).unwrap_or_default();
    }
    Ok(digest)
}

/// A path, as written.
pub(crate) fn path(value: &DeValue<'_>) -> Result<String, Fault> {
    let written = text(value)?;
    if written.is_empty() || written.contains('\0') {
        return Err(Fault::new("is no path", "for example `\"policies\"`"));
    }
    Ok(written.to_owned())
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

pub(crate) fn dialect(value: &DeValue<'_>) -> Result<ProviderDialect, Fault> {
    one_of(value, &ProviderDialect::ALL)
}

pub(crate) fn strictness(value: &DeValue<'_>) -> Result<Strictness, Fault> {
    one_of(value, &Strictness::NAMES)
}

/// Azure's `api-version`: a date, and perhaps `-preview`.
pub(crate) fn api_version(value: &DeValue<'_>) -> Result<String, Fault> {
    let example = || wrong_type(value, "an API version", "\"2024-10-21\"");
    let written = value.as_str().ok_or_else(example)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if (1..=64).contains(&written.len()) && written.chars().all(plain) {
        return Ok(written.to_owned());
    }
    Err(Fault::new(
        format!("is no API version: {}", quoted('"', written)),
        "for example `\"2024-10-21\"`",
    ))
}

pub(crate) fn rescue(value: &DeValue<'_>) -> Result<Rescue, Fault> {
    one_of(value, &[("continue", Rescue::Continue), ("error", Rescue::Error)])
}

/// The most that can be held back, short of everything.
const LARGEST_HOLD: u64 = 32 * 1024 * 1024;

pub(crate) fn hold(value: &DeValue<'_>) -> Result<Hold, Fault> {
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
pub(crate) fn features(value: &DeValue<'_>) -> Result<Features, Fault> {
    let known = set_of(value, &Features::NAMES, ("feature", "[\"tools\", \"vision\"]"))?;
    Ok(known.into_iter().fold(Features::NONE, |set, feature| set | feature))
}

/// A set of deviations by their names.
pub(crate) fn quirks(value: &DeValue<'_>) -> Result<Quirks, Fault> {
    let known = set_of(value, &Quirks::NAMES, ("quirk", "[\"max-tokens\"]"))?;
    Ok(known.into_iter().fold(Quirks::NONE, Quirks::with))
}

/// A list of words out of a closed set.
fn set_of<T: Copy>(
    value: &DeValue<'_>,
    words: &[(&'static str, T)],
    (what, example): (&str, &str),
) -> Result<Vec<T>, Fault> {
    let example = || wrong_type(value, &format!("a list of {what}s"), example);
    let one = |item: &toml::Spanned<DeValue<'_>>| {
        let written = item.get_ref().as_str().ok_or_else(example)?;
        let known = words.iter().find(|(name, _)| *name == written);
        known.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            let message = format!("names an unknown {what}: {}", quoted('"', written));
            Fault::new(message, suggestion(written, &names))
        })
    };
    value.as_array().ok_or_else(example)?.iter().map(one).collect()
}
