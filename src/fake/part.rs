//! One part of a written behaviour, `name:key=value:…`, taken apart, and the
//! values in it. Pure; knows no fault by name.

use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use super::behaviour::{Continues, Hint, RejectionKind, When};

const DEFAULT_AFTER: usize = 3;
const DEFAULT_EVERY: Duration = Duration::from_millis(50);
const DEFAULT_SLOWNESS: Duration = Duration::from_secs(3);
/// A fake answer is held in memory as a whole.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What is wrong with a part.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("no such fault or setting")]
    Unknown,
    #[error("a behaviour has one fault at most")]
    SecondFault,
    #[error("no parameter \"{0}\" here; it takes {1}")]
    Parameter(String, String),
    #[error("needs {0}")]
    Missing(&'static str),
    #[error("\"{value}\" is not {expected}")]
    Value { value: String, expected: &'static str },
}

/// One part of a specification, taken apart but not understood.
pub(super) struct Part<'a> {
    pub name: &'a str,
    pub bare: Option<&'a str>,
    pub named: Vec<(&'a str, &'a str)>,
}

impl<'a> Part<'a> {
    pub fn of(text: &'a str) -> Self {
        let text = text.trim();
        let (name, arguments) = match text.find([':', '=']) {
            Some(position) => (&text[..position], Some(&text[position + 1..])),
            None => (text, None),
        };
        let mut part = Self { name, bare: None, named: Vec::new() };
        for argument in arguments.into_iter().flat_map(|arguments| arguments.split(':')) {
            match argument.split_once('=') {
                Some(pair) => part.named.push(pair),
                None => part.bare = Some(argument),
            }
        }
        part
    }

    /// The parameter with this name; the bare value if it is the first one.
    pub fn get(&self, name: &str, first: bool) -> Option<&'a str> {
        let named = self.named.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        named.or(if first { self.bare } else { None })
    }

    /// Fails unless all parameters are among `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.named.iter().find(|(key, _)| !known.contains(key)) {
            None => Ok(()),
            Some((key, _)) if known.is_empty() => {
                Err(Problem::Parameter((*key).to_owned(), "none by name".to_owned()))
            }
            Some((key, _)) => Err(Problem::Parameter((*key).to_owned(), known.join(", "))),
        }
    }

    pub fn after(&self) -> Result<usize, Problem> {
        self.only(&["after"])?;
        self.get("after", true).map_or(Ok(DEFAULT_AFTER), number)
    }

    pub fn every(&self, known: &[&str]) -> Result<Duration, Problem> {
        self.only(known)?;
        let every = self.get("every", true).map_or(Ok(DEFAULT_EVERY), duration)?;
        Ok(every.max(Duration::from_millis(1)))
    }

    pub fn delay(&self) -> Result<Duration, Problem> {
        self.only(&["delay"])?;
        self.get("delay", true).map_or(Ok(DEFAULT_SLOWNESS), duration)
    }

    pub fn size(&self, known: &[&str], default: usize) -> Result<usize, Problem> {
        self.only(known)?;
        self.get("size", true).map_or(Ok(default), size)
    }

    pub fn status(&self) -> Result<RejectionKind, Problem> {
        match self.get("status", false) {
            None => Ok(RejectionKind::Status(500)),
            Some(value) => status(value).ok_or_else(|| wrong(value, "a status from 400 to 599")),
        }
    }

    pub fn hint(&self) -> Result<Hint, Problem> {
        self.only(&["retry-after", "retry-after-ms", "retry-after-date", "reset"])?;
        let header = |name, value: &str| Ok(Hint::Header(name, value.to_owned()));
        if let Some(value) = self.get("retry-after", true) {
            header("retry-after", value)
        } else if let Some(value) = self.get("retry-after-ms", false) {
            header("retry-after-ms", value)
        } else if let Some(value) = self.get("reset", false) {
            header("x-ratelimit-reset-requests", value)
        } else if let Some(value) = self.get("retry-after-date", false) {
            Ok(Hint::Date(duration(value)?))
        } else {
            Ok(Hint::None)
        }
    }
}

pub(super) fn status(text: &str) -> Option<RejectionKind> {
    Some(match text.parse().ok()? {
        400 => RejectionKind::BadRequest,
        401 => RejectionKind::Unauthorized,
        402 => RejectionKind::Payment,
        403 => RejectionKind::Forbidden,
        404 => RejectionKind::ModelNotFound,
        429 => RejectionKind::RateLimited,
        529 => RejectionKind::Overloaded,
        status @ 400..=599 => RejectionKind::Status(status),
        _ => return None,
    })
}

/// Whether a stream without a terminator stays open.
pub(super) fn stays_open(part: &Part<'_>) -> Result<bool, Problem> {
    part.only(&["end"])?;
    match part.get("end", true) {
        None | Some("close") => Ok(false),
        Some("open") => Ok(true),
        Some(value) => Err(wrong(value, "close or open")),
    }
}

pub(super) fn wrong(value: &str, expected: &'static str) -> Problem {
    Problem::Value { value: value.to_owned(), expected }
}

pub(super) fn number<T: FromStr>(value: &str) -> Result<T, Problem> {
    value.parse().map_err(|_| wrong(value, "a whole number"))
}

pub(super) fn bounded(value: usize, limit: usize) -> Result<usize, Problem> {
    if value <= limit { Ok(value) } else { Err(wrong(&value.to_string(), "small enough")) }
}

pub(super) fn duration(value: &str) -> Result<Duration, Problem> {
    let expected = "a duration with a unit, as in \"300ms\", \"2s\" or \"1h\"";
    humantime::parse_duration(value).map_err(|_| wrong(value, expected))
}

pub(super) fn size(value: &str) -> Result<usize, Problem> {
    let expected = "a size up to 64MiB, as in \"10MB\"";
    let size = value.parse::<ByteSize>().map_err(|_| wrong(value, expected))?;
    usize::try_from(size.as_u64())
        .ok()
        .filter(|bytes| *bytes <= MAX_BYTES)
        .ok_or_else(|| wrong(value, expected))
}

pub(super) fn share(value: &str) -> Result<f64, Problem> {
    let share = value.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| wrong(value, "a share from 0 to 1"))
}

pub(super) fn flap(value: &str) -> Result<When, Problem> {
    let expected = "calls as in \"3/2\", or times as in \"5s/5s\"";
    let (ok, bad) = value.split_once('/').ok_or_else(|| wrong(value, expected))?;
    if let (Ok(ok), Ok(bad)) = (ok.parse::<u32>(), bad.parse::<u32>()) {
        return Ok(When::FlapCalls { ok: u64::from(ok), bad: u64::from(bad) });
    }
    match (humantime::parse_duration(ok), humantime::parse_duration(bad)) {
        (Ok(ok), Ok(bad)) => Ok(When::FlapTime { ok, bad }),
        (Ok(_) | Err(_), _) => Err(wrong(value, expected)),
    }
}

pub(super) fn latency(value: &str) -> Result<(Duration, Duration), Problem> {
    match value.split_once('~') {
        Some((base, jitter)) => Ok((duration(base)?, duration(jitter)?)),
        None => Ok((duration(value)?, Duration::ZERO)),
    }
}

pub(super) fn on_or_off(value: &str) -> Result<bool, Problem> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(wrong(value, "on or off")),
    }
}

pub(super) fn continues(value: &str) -> Result<Continues, Problem> {
    match value {
        "exact" => Ok(Continues::Exact),
        "restart" => Ok(Continues::Restart),
        "overlap" => Ok(Continues::Overlap),
        _ => Err(wrong(value, "exact, restart or overlap")),
    }
}
