//! What response headers say about waiting and about what is left of a limit.
//! Headers are input from outside: a value that is no sensible length of time
//! is no hint. Must not know what is done with a hint.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

/// No hint is longer: a provider that asks for more is wrong or broken.
const MAX_HINT: Duration = Duration::from_hours(366 * 24);

/// How long the provider asks to be left alone: `retry-after-ms` (the finer
/// one), `retry-after` in seconds or as a date.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now_unix: Duration) -> Option<Duration> {
    let millis = text(headers, "retry-after-ms").and_then(|value| seconds(value, 1e-3));
    millis.or_else(|| {
        let value = text(headers, "retry-after")?;
        seconds(value, 1.0).or_else(|| until(value, now_unix))
    })
}

/// When the limits that are used up are filled again: of those with nothing
/// left the later one; where the headers do not say what is left, the sooner.
#[must_use]
pub fn rate_limit_reset(headers: &HeaderMap, now_unix: Duration) -> Option<Duration> {
    let limits = limits(headers, now_unix);
    let used_up = limits.iter().filter(|limit| limit.left.is_some_and(|left| left < 1.0));
    let longest = used_up.filter_map(|limit| limit.reset).max();
    longest.or_else(|| limits.iter().filter_map(|limit| limit.reset).min())
}

/// Requests and tokens left, of the tightest limit of each kind.
#[must_use]
pub fn rate_limits(headers: &HeaderMap) -> (Option<u32>, Option<u32>) {
    let left = |kind: Kind| {
        let named = LIMITS.iter().filter(|limit| limit.kind == kind);
        let left = named.filter_map(|limit| {
            let left: u64 = text(headers, limit.left)?.parse().ok()?;
            Some(u32::try_from(left).unwrap_or(u32::MAX))
        });
        left.min()
    };
    (left(Kind::Requests), left(Kind::Tokens))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Requests,
    Tokens,
}

/// The headers of one limit.
struct LimitNames {
    kind: Kind,
    left: &'static str,
    reset: &'static str,
}

/// `OpenAI`'s names, which compatible servers and Azure use too, and Anthropic's
/// (wire formats §1.8).
const LIMITS: [LimitNames; 7] = [
    // OpenRouter, Together and others have one limit only, of requests.
    LimitNames { kind: Kind::Requests, left: "x-ratelimit-remaining", reset: "x-ratelimit-reset" },
    LimitNames {
        kind: Kind::Requests,
        left: "x-ratelimit-remaining-requests",
        reset: "x-ratelimit-reset-requests",
    },
    LimitNames {
        kind: Kind::Tokens,
        left: "x-ratelimit-remaining-tokens",
        reset: "x-ratelimit-reset-tokens",
    },
    LimitNames {
        kind: Kind::Requests,
        left: "anthropic-ratelimit-requests-remaining",
        reset: "anthropic-ratelimit-requests-reset",
    },
    LimitNames {
        kind: Kind::Tokens,
        left: "anthropic-ratelimit-tokens-remaining",
        reset: "anthropic-ratelimit-tokens-reset",
    },
    LimitNames {
        kind: Kind::Tokens,
        left: "anthropic-ratelimit-input-tokens-remaining",
        reset: "anthropic-ratelimit-input-tokens-reset",
    },
    LimitNames {
        kind: Kind::Tokens,
        left: "anthropic-ratelimit-output-tokens-remaining",
        reset: "anthropic-ratelimit-output-tokens-reset",
    },
];

struct Limit {
    left: Option<f64>,
    reset: Option<Duration>,
}

fn limits(headers: &HeaderMap, now_unix: Duration) -> Vec<Limit> {
    let limit = |names: &LimitNames| Limit {
        left: text(headers, names.left).and_then(|left| left.parse().ok()),
        reset: text(headers, names.reset).and_then(|reset| reset_in(reset, now_unix)),
    };
    LIMITS.iter().map(limit).collect()
}

/// No length of time in seconds is that large, nor an instant in seconds that
/// small; in milliseconds none is smaller than the next.
const FIRST_INSTANT: f64 = 1e9;
const FIRST_INSTANT_MS: f64 = 1e12;

/// Until a limit is filled again: a length of time, or an instant as Unix time in
/// seconds or milliseconds, or in the form of RFC 3339.
fn reset_in(reset: &str, now_unix: Duration) -> Option<Duration> {
    let instant = match reset.parse::<f64>() {
        Ok(millis) if millis >= FIRST_INSTANT_MS => Duration::try_from_secs_f64(millis / 1e3),
        Ok(seconds) if seconds >= FIRST_INSTANT => Duration::try_from_secs_f64(seconds),
        Ok(seconds) => return bounded(seconds),
        Err(_) => return go_duration(reset).or_else(|| until_instant(reset, now_unix)),
    };
    Some(instant.ok()?.saturating_sub(now_unix).min(MAX_HINT))
}

/// What stands before the time to wait in a message.
const WAITS: [&str; 3] = ["try again in ", "retry in ", "retry after "];

/// How long a message says to wait: `try again in 1m2.5s`, `retry after 20
/// seconds`.
#[must_use]
pub fn said_wait(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    let rest = WAITS.iter().find_map(|words| Some(message.split_once(words)?.1))?;
    let mut words = rest.split_ascii_whitespace();
    let time = words.next()?.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    match time.parse::<f64>() {
        Ok(number) => {
            let name = words.next()?.trim_matches(|c: char| !c.is_ascii_alphabetic());
            bounded(number * spoken_unit(name)?)
        }
        Err(_) => go_duration(time),
    }
}

fn spoken_unit(name: &str) -> Option<f64> {
    match name.strip_suffix('s').unwrap_or(name) {
        "millisecond" => Some(1e-3),
        "second" | "sec" => Some(1.0),
        "minute" | "min" => Some(60.0),
        "hour" => Some(3600.0),
        _ => unit(name),
    }
}

/// Until an instant in the form of RFC 3339, as Anthropic gives it.
fn until_instant(instant: &str, now_unix: Duration) -> Option<Duration> {
    let then = humantime::parse_rfc3339_weak(instant).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(then.saturating_sub(now_unix).min(MAX_HINT))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn seconds(value: &str, unit: f64) -> Option<Duration> {
    let number: f64 = value.parse().ok()?;
    bounded(number * unit)
}

fn bounded(seconds: f64) -> Option<Duration> {
    let sensible = seconds.is_finite() && seconds >= 0.0;
    sensible.then(|| Duration::from_secs_f64(seconds.min(MAX_HINT.as_secs_f64())))
}

fn until(date: &str, now_unix: Duration) -> Option<Duration> {
    let then = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(then.saturating_sub(now_unix).min(MAX_HINT))
}

/// A length of time as Go prints it (`6m0s`, `1.5s`, `20ms`) or as Google's
/// `RetryInfo` does (`34s`); a plain number is seconds.
#[must_use]
pub fn go_duration(text: &str) -> Option<Duration> {
    if let Some(plain) = seconds(text, 1.0) {
        return Some(plain);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        total += number * unit(&rest[..letters])?;
        rest = &rest[letters..];
    }
    if text.is_empty() { None } else { bounded(total) }
}

fn unit(name: &str) -> Option<f64> {
    match name {
        "h" => Some(3600.0),
        "m" => Some(60.0),
        "s" => Some(1.0),
        "ms" => Some(1e-3),
        "us" | "µs" => Some(1e-6),
        "ns" => Some(1e-9),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let value = |value: &str| http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
    pairs.iter().map(|(name, text)| (http::HeaderName::from_static(name), value(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(784_111_777);

    #[test]
    fn retry_after_in_every_form() {
        let check = |pairs: &[(&'static str, &str)], expected_ms: Option<u64>| {
            let seen = retry_after(&headers(pairs), NOW);
            assert_eq!(seen, expected_ms.map(Duration::from_millis), "{pairs:?}");
        };
        let max = u64::try_from(MAX_HINT.as_millis()).unwrap();
        check(&[], None);
        check(&[("retry-after", "2")], Some(2000));
        check(&[("retry-after", " 1.5 ")], Some(1500));
        check(&[("retry-after", "0")], Some(0));
        check(&[("retry-after-ms", "250"), ("retry-after", "9")], Some(250));
        check(&[("retry-after-ms", "x"), ("retry-after", "9")], Some(9000));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10_000));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(0));
        check(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], Some(max));
        check(&[("retry-after", "-3")], None);
        check(&[("retry-after", "NaN")], None);
        check(&[("retry-after", "inf")], None);
        check(&[("retry-after", "1e300")], Some(max));
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "\u{fc}")], None);
        check(&[("retry-after", "")], None);
    }

    #[test]
    fn go_durations() {
        let check = |text, expected_ms: Option<u64>| {
            assert_eq!(go_duration(text), expected_ms.map(Duration::from_millis), "{text}");
        };
        check("6m0s", Some(360_000));
        check("20ms", Some(20));
        check("1h2m3.5s", Some(3_723_500));
        check("34s", Some(34_000));
        check("7", Some(7000));
        check("", None);
        check("s", None);
        check("1x", None);
        check("1.2.3s", None);
        check("-1s", None);
    }

    #[test]
    fn resets_of_limits() {
        let check = |pairs: &[(&'static str, &str)], expected_ms: Option<u64>| {
            let seen = rate_limit_reset(&headers(pairs), NOW);
            assert_eq!(seen, expected_ms.map(Duration::from_millis), "{pairs:?}");
        };
        let requests = ("x-ratelimit-reset-requests", "1s");
        let tokens = ("x-ratelimit-reset-tokens", "6m0s");
        check(&[], None);
        check(&[requests, tokens], Some(1000));
        check(&[requests, tokens, ("x-ratelimit-remaining-tokens", "0")], Some(360_000));
        check(&[requests, tokens, ("x-ratelimit-remaining-requests", "0")], Some(1000));
        let bare = |reset| [("x-ratelimit-reset", reset)];
        check(&bare("12"), Some(12_000));
        check(&bare("0.5"), Some(500));
        check(&bare("soon"), None);
        check(&bare("NaN"), None);
        check(&bare("inf"), None);
        check(&bare("-5"), None);
        let left = [("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-remaining-tokens", "7")];
        check(&[requests, tokens, left[0], left[1]], Some(1000));
    }

    #[test]
    fn resets_as_instants() {
        let now = Duration::from_secs(1_764_000_001);
        let check = |reset: &str, expected_ms: Option<u64>| {
            let seen = rate_limit_reset(&headers(&[("x-ratelimit-reset", reset)]), now);
            assert_eq!(seen, expected_ms.map(Duration::from_millis), "{reset}");
        };
        let max = u64::try_from(MAX_HINT.as_millis()).unwrap();
        check("1764000011", Some(10_000));
        check("1764000001250", Some(250));
        check("1763999999", Some(0));
        check("1e11", Some(max));
        check("1e300", None);
        check("2025-11-24T16:00:08Z", Some(7000));
    }

    #[test]
    fn waits_in_words() {
        let check = |message: &str, expected_ms: Option<u64>| {
            assert_eq!(said_wait(message), expected_ms.map(Duration::from_millis), "{message}");
        };
        check("Rate limit reached. Please try again in 12.5s. Visit x.", Some(12_500));
        check("Limit 3. Please try again in 850ms.", Some(850));
        check("Please try again in 1m2s.", Some(62_000));
        check("Please retry in 34.5s.", Some(34_500));
        check("Please retry after 20 seconds.", Some(20_000));
        check("Try again in 2 minutes, please", Some(120_000));
        check("try again in 7", None);
        check("try again in a while", None);
        check("try again in ", None);
        check("try again later", None);
    }

    #[test]
    fn what_is_left_of_limits() {
        let check = |requests, tokens, expected| {
            let pairs = [
                ("x-ratelimit-remaining-requests", requests),
                ("x-ratelimit-remaining-tokens", tokens),
            ];
            assert_eq!(rate_limits(&headers(&pairs)), expected);
        };
        check("59", "149984", (Some(59), Some(149_984)));
        check("-1", "99999999999", (None, Some(u32::MAX)));
        assert_eq!(rate_limits(&HeaderMap::new()), (None, None));
    }

    #[test]
    fn anthropic_s_limits() {
        let pairs = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "1994-11-06T08:50:37Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "900"),
            ("anthropic-ratelimit-input-tokens-reset", "1994-11-06T09:49:37Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "70"),
        ];
        let headers = headers(&pairs);
        assert_eq!(rate_limits(&headers), (Some(0), Some(70)));
        assert_eq!(rate_limit_reset(&headers, NOW), Some(Duration::from_mins(1)));
    }
}
