//! Model names as providers, clouds and routers spell them. Must not know what
//! is in the catalog.

/// A longer name is none.
const LONGEST: usize = 256;

/// What routers and clouds put in front with a dot, as in
/// `us.anthropic.claude-…`.
const IN_FRONT: [&str; 14] = [
    "us.",
    "eu.",
    "apac.",
    "global.",
    "jp.",
    "au.",
    "anthropic.",
    "openai.",
    "google.",
    "meta.",
    "mistral.",
    "deepseek.",
    "xai.",
    "zai.",
];

/// What they put behind, besides dates.
const BEHIND: [&str; 12] = [
    "-latest",
    "@latest",
    "@default",
    ":latest",
    ":free",
    ":nitro",
    ":floor",
    ":online",
    ":exacto",
    ":extended",
    ":thinking",
    "-maas",
];

/// The name in lower case as it is, then without what is in front, then also
/// without what is behind.
pub(super) fn spellings(model: &str) -> Vec<String> {
    if model.len() > LONGEST {
        return Vec::new();
    }
    let whole = model.to_ascii_lowercase();
    let bare = bare(&whole);
    let plain = plain(&bare).to_owned();
    vec![whole, bare, plain]
}

/// The name without anything around it.
pub(super) fn essence(model: &str) -> String {
    spellings(model).pop().unwrap_or_default()
}

/// Without a provider's path or prefix. Some write Claude's versions with dots.
fn bare(name: &str) -> String {
    let mut rest = name.rsplit('/').next().unwrap_or(name);
    while let Some(after) = IN_FRONT.iter().find_map(|front| rest.strip_prefix(front)) {
        rest = after;
    }
    if rest.starts_with("claude") { rest.replace('.', "-") } else { rest.to_owned() }
}

/// Without dates and aliases.
fn plain(name: &str) -> &str {
    let mut rest = name;
    while let Some(before) = without_last(rest).filter(|before| !before.is_empty()) {
        rest = before;
    }
    rest
}

fn without_last(name: &str) -> Option<&str> {
    BEHIND.iter().find_map(|behind| name.strip_suffix(behind)).or_else(|| without_date(name))
}

/// Without `-20250929`, `@20250929`, `-2025-08-07`, `-2512`, or a cloud's `-v1:0`.
fn without_date(name: &str) -> Option<&str> {
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if let Some((before, version)) = name.rsplit_once("-v") {
        let (major, minor) = version.split_once(':').unwrap_or_default();
        if digits(major, major.len().max(1)) && digits(minor, minor.len().max(1)) {
            return Some(before);
        }
    }
    if let Some((before, date)) = name.rsplit_once('@') {
        return digits(date, 8).then_some(before);
    }
    let (before, last) = name.rsplit_once('-')?;
    if digits(last, 8) || digits(last, 4) {
        return Some(before);
    }
    let (before, month) = before.rsplit_once('-').filter(|_| digits(last, 2))?;
    let (before, year) = before.rsplit_once('-').filter(|_| digits(month, 2))?;
    digits(year, 4).then_some(before)
}

/// A version, to be compared.
pub(super) type Version = (u32, u32);

/// The first version among the parts of a name: `3.8`, `4` or `4-6`.
pub(super) fn version(name: &str) -> Option<Version> {
    let mut parts = name.split('-').map(number);
    let (major, minor) = parts.find_map(|part| part)?;
    let next = || parts.next().flatten().map_or(0, |(next, _)| next);
    Some((major, minor.unwrap_or_else(next)))
}

/// A part that begins with a number: `3.8`, `4`, `4o`. More than three digits
/// are a date or a size.
fn number(part: &str) -> Option<(u32, Option<u32>)> {
    let (major, minor) = part.split_once('.').unwrap_or((part, ""));
    Some((leading(major)?, leading(minor)))
}

fn leading(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok().filter(|_| end <= 3)
}
