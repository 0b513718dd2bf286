//! Error replies: what a provider's error body says, in whatever shape, and the
//! class a table of rules gives it. Owns the reading, the cutting out of
//! credentials and the order of judgement; the rules are a dialect's data. Must
//! not know what follows from a class.

use std::time::Duration;

use http::HeaderMap;
use serde::de::IgnoredAny;

use super::hints;
use super::node::Node;
use crate::failover::attempt::ErrorReply;
use crate::failover::classify::FailureClass;
use crate::secret::Secret;

/// A body longer than this is read as text: it is no error object of an API.
const MAX_BODY: usize = 256 << 10;

/// What is kept of a code or a message.
const MAX_TEXT: usize = 512;

/// What is looked at of a text before it is cut.
const MAX_SEEN: usize = 16 << 10;

/// Rules look at this much of a message: validation errors echo the prompt
/// further down.
const MAX_MATCHED: usize = 1024;

/// How deep errors inside of errors are followed.
const MAX_DEPTH: u8 = 8;

/// How many texts that are JSON once more are read: each is a copy.
const MAX_TEXTS: u8 = 2;

/// Further codes that are kept.
const MAX_DETAILS: usize = 64;

/// What of an error a rule looks at. All in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// The error's code, and the further codes and reasons in its details.
    Code,
    Type,
    Message,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Matcher {
    Is(&'static str),
    Begins(&'static str),
    Contains(&'static str),
}

impl Matcher {
    fn matches(self, text: &str) -> bool {
        match self {
            Self::Is(expected) => text == expected,
            Self::Begins(start) => text.starts_with(start),
            Self::Contains(part) => text.contains(part),
        }
    }
}

/// One row of a dialect's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The statuses it applies to; empty for all. An error within a stream has
    /// no status, and every rule applies to it.
    pub statuses: &'static [u16],
    pub field: Field,
    pub matcher: Matcher,
    pub class: FailureClass,
}

/// A rule for this code, whatever the status.
pub const fn code(code: &'static str, class: FailureClass) -> Rule {
    Rule { statuses: &[], field: Field::Code, matcher: Matcher::Is(code), class }
}

/// A rule for codes that begin like this.
pub const fn code_begins(start: &'static str, class: FailureClass) -> Rule {
    Rule { statuses: &[], field: Field::Code, matcher: Matcher::Begins(start), class }
}

/// A rule for a code at these statuses.
pub const fn code_at(statuses: &'static [u16], matcher: Matcher, class: FailureClass) -> Rule {
    Rule { statuses, field: Field::Code, matcher, class }
}

/// A rule for this type, whatever the status.
pub const fn kind(kind: &'static str, class: FailureClass) -> Rule {
    Rule { statuses: &[], field: Field::Type, matcher: Matcher::Is(kind), class }
}

/// A rule for messages with this in them.
pub const fn says(statuses: &'static [u16], part: &'static str, class: FailureClass) -> Rule {
    Rule { statuses, field: Field::Message, matcher: Matcher::Contains(part), class }
}

/// A rule for messages that begin like this.
pub const fn begins(statuses: &'static [u16], start: &'static str, class: FailureClass) -> Rule {
    Rule { statuses, field: Field::Message, matcher: Matcher::Begins(start), class }
}

/// A dialect's rules: the first that matches counts.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub rules: &'static [Rule],
    /// For errors without a status, after the others.
    pub without_status: &'static [Rule],
}

/// The error in a response. `body` may be cut.
#[must_use]
pub fn error_reply(
    table: Table,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now_unix: Duration,
    secrets: &[&Secret],
) -> ErrorReply {
    let facts = Facts::of_body(body);
    let asked = hints::retry_after(headers, now_unix).or(facts.retry_after);
    let limits = if status == 429 { hints::rate_limit_reset(headers, now_unix) } else { None };
    let class = table.class(Some(status), &facts);
    let wait = asked.or(limits).or_else(|| facts.said_wait(class));
    facts.reply(status, class, wait, secrets)
}

/// The error a 200 carries in its body or stream, from its JSON.
#[must_use]
pub fn hidden_error(table: Table, json: &str, secrets: &[&Secret]) -> ErrorReply {
    let facts = Facts::of_body(json.as_bytes());
    let class = table.class(facts.status, &facts);
    let wait = facts.retry_after.or_else(|| facts.said_wait(class));
    facts.reply(200, class, wait, secrets)
}

impl Table {
    fn class(self, status: Option<u16>, facts: &Facts) -> FailureClass {
        if let (true, Some(status)) = (facts.page, status) {
            return of_a_page(by_status(status));
        }
        let seen = Seen::of(facts);
        let first = |rules: &[Rule]| {
            rules.iter().find(|rule| rule.applies(status) && seen.matches(rule)).map(|r| r.class)
        };
        first(self.rules).unwrap_or_else(|| match status {
            Some(status) => by_status(status),
            // The provider took the request and then failed: its own fault,
            // unless it says otherwise.
            None => first(self.without_status).unwrap_or(FailureClass::ServerError),
        })
    }
}

impl Rule {
    fn applies(&self, status: Option<u16>) -> bool {
        let Some(status) = status else { return true };
        self.statuses.is_empty() || self.statuses.contains(&status)
    }
}

/// What a status alone means. 409 and 425 ask for another try without saying
/// why, 424 and 498 are Groq's for a failed dependency and for no capacity, 520
/// to 524 Cloudflare's for a broken origin. A redirect is followed by nobody.
#[must_use]
pub const fn by_status(status: u16) -> FailureClass {
    match status {
        401 => FailureClass::Authentication,
        402 => FailureClass::Quota,
        403 | 451 => FailureClass::Permission,
        404 | 410 => FailureClass::NotFound,
        408 | 504 => FailureClass::Timeout,
        413 => FailureClass::ContextLength,
        429 => FailureClass::RateLimited,
        400 | 414 | 422 | 431 => FailureClass::BadRequest,
        498 | 503 | 529 => FailureClass::Overloaded,
        501 => FailureClass::Unsupported,
        409 | 424 | 425 | 500..=599 => FailureClass::ServerError,
        _ => FailureClass::Unknown,
    }
}

/// What a status means that came with a page of HTML: the word of something on
/// the way, not of the API. It says nothing of the request, the model or the key;
/// that something is down or busy, it says as well as anyone.
const fn of_a_page(class: FailureClass) -> FailureClass {
    match class {
        FailureClass::Quota
        | FailureClass::Authentication
        | FailureClass::Permission
        | FailureClass::NotFound
        | FailureClass::BadRequest
        | FailureClass::Unsupported
        | FailureClass::ContextLength
        | FailureClass::ContentFilter
        | FailureClass::Cancelled
        | FailureClass::Unknown => FailureClass::Unknown,
        FailureClass::Network
        | FailureClass::Timeout
        | FailureClass::RateLimited
        | FailureClass::Overloaded
        | FailureClass::ServerError
        | FailureClass::InvalidOutput
        | FailureClass::StreamBroken => class,
    }
}

/// The facts as the rules see them.
struct Seen {
    codes: Vec<String>,
    kind: String,
    message: String,
}

impl Seen {
    fn of(facts: &Facts) -> Self {
        let message = &facts.message[..facts.message.floor_char_boundary(MAX_MATCHED)];
        let mut codes: Vec<String> = facts.details.iter().map(|code| code.to_lowercase()).collect();
        codes.push(facts.code.to_lowercase());
        Self { codes, kind: facts.kind.to_lowercase(), message: message.to_lowercase() }
    }

    fn matches(&self, rule: &Rule) -> bool {
        match rule.field {
            Field::Code => self.codes.iter().any(|code| rule.matcher.matches(code)),
            Field::Type => rule.matcher.matches(&self.kind),
            Field::Message => rule.matcher.matches(&self.message),
        }
    }
}

/// What an error body says.
#[derive(Clone, PartialEq, Debug, Default)]
struct Facts {
    code: String,
    kind: String,
    /// Further codes: inner errors, reasons, quota names.
    details: Vec<String>,
    message: String,
    retry_after: Option<Duration>,
    /// A numeric code that is an HTTP status.
    status: Option<u16>,
    /// Texts that were read as JSON.
    texts: u8,
    /// The body is a page of HTML.
    page: bool,
}

impl Facts {
    fn of_body(body: &[u8]) -> Self {
        Self::default().with_body(body)
    }

    fn with_body(mut self, body: &[u8]) -> Self {
        if let Some(value) = body_json(body) {
            self.read(value, 0);
        } else {
            self.message = plain_text(body);
            self.page = is_page(&self.message);
        }
        self
    }

    fn read(&mut self, value: Node<'_>, depth: u8) {
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(text) = value.str() {
            self.read_text(&text, depth);
        } else if value.is_object() {
            let inner = ["error", "errors", "detail"].into_iter().filter_map(|key| value.get(key));
            inner.for_each(|inner| self.read(inner, depth + 1));
            self.read_object(value, true, depth);
        } else if let Some(first) = value.items().next() {
            self.read(first, depth + 1);
        }
    }

    /// A message, or JSON once more inside of a string.
    fn read_text(&mut self, text: &str, depth: u8) {
        let nested = text.trim_start().starts_with(['{', '[']) && self.texts < MAX_TEXTS;
        if let Some(value) = nested.then(|| json(text)).flatten() {
            self.texts += 1;
            self.read(value, depth + 1);
        }
        fill(&mut self.message, text, MAX_SEEN);
    }

    /// `whole`: its code and message are its own, and not those of a detail.
    fn read_object(&mut self, object: Node<'_>, whole: bool, depth: u8) {
        for key in ["message", "msg"] {
            let message = object.get(key).filter(|_| whole || key != "message");
            if let Some(message) = message {
                self.read(message, depth + 1);
            }
        }
        if let Some(code) = object.get("code").filter(|_| whole) {
            self.read_code(code);
        }
        for key in ["status", "reason", "error_code", "limit_source", "error_type", "quotaId"] {
            self.detail(object, key);
        }
        if let Some(kind) = object.text("type") {
            fill(&mut self.kind, &kind, MAX_TEXT);
            // FastAPI's validation errors have their code here.
            self.detail(object, "type");
        }
        if let Some(delay) = object.text("retryDelay") {
            self.retry_after = self.retry_after.or_else(|| hints::go_duration(&delay));
        }
        for key in ["innererror", "metadata", "details", "violations"] {
            match object.get(key) {
                Some(list) if list.is_array() => {
                    list.items().take(16).for_each(|item| self.read_detail(item, depth));
                }
                Some(other) => self.read_detail(other, depth),
                None => {}
            }
        }
    }

    fn read_detail(&mut self, value: Node<'_>, depth: u8) {
        if value.is_object() && depth < MAX_DEPTH {
            self.detail(value, "code");
            if let Some(raw) = value.text("raw").filter(|_| self.texts < MAX_TEXTS) {
                self.texts += 1;
                self.read_raw(&raw);
            }
            self.read_object(value, false, depth + 1);
        }
    }

    /// Notes one of the further codes.
    fn detail(&mut self, object: Node<'_>, key: &str) {
        let text = object.text(key).filter(|_| self.details.len() < MAX_DETAILS);
        self.details.extend(text.map(|text| cut(&text, MAX_TEXT).to_owned()));
    }

    /// An aggregator hands on the error of the provider behind it.
    fn read_raw(&mut self, raw: &str) {
        let inner = Self { texts: self.texts, ..Self::default() }.with_body(raw.as_bytes());
        self.details.extend(inner.details);
        self.details.push(inner.code);
        self.details.truncate(MAX_DETAILS);
        if !inner.message.is_empty() {
            self.message = format!("{}: {}", cut(&self.message, MAX_TEXT), inner.message);
        }
    }

    fn read_code(&mut self, code: Node<'_>) {
        match (code.str(), code.number()) {
            (Some(text), _) => fill(&mut self.code, &text, MAX_TEXT),
            (None, Some(number)) => fill(&mut self.code, number, MAX_TEXT),
            (None, None) => {}
        }
        let status = self.code.parse().ok().filter(|status| (400..600).contains(status));
        self.status = self.status.or(status);
    }

    /// How long a message about a rate limit says to wait.
    fn said_wait(&self, class: FailureClass) -> Option<Duration> {
        let limited = class == FailureClass::RateLimited;
        limited.then(|| hints::said_wait(cut(&self.message, MAX_MATCHED))).flatten()
    }

    fn reply(
        self,
        status: u16,
        class: FailureClass,
        retry_after: Option<Duration>,
        secrets: &[&Secret],
    ) -> ErrorReply {
        let code = [&self.code, &self.kind].into_iter().find(|text| !text.is_empty());
        ErrorReply {
            status,
            class,
            code: code.map(|code| clean(code, secrets)).unwrap_or_default(),
            message: clean(&self.message, secrets),
            retry_after,
        }
    }
}

/// The value of a body that is JSON and no longer than an error is.
fn body_json(body: &[u8]) -> Option<Node<'_>> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= MAX_BODY)?;
    json(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn json(text: &str) -> Option<Node<'_>> {
    serde_json::from_str::<IgnoredAny>(text).is_ok().then(|| Node::new(text))
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn fill(place: &mut String, text: &str, most: usize) {
    if place.is_empty() {
        cut(text, most).clone_into(place);
    }
}

const PAGE: &str = "an HTML page";

fn is_page(message: &str) -> bool {
    message.starts_with(PAGE)
}

/// A body that is no JSON, as a message: the title of an HTML page, or the text.
fn plain_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_SEEN)]);
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    // Others speak XML.
    if !lower.starts_with('<') || lower.starts_with("<?xml") && !lower.contains("<html") {
        return text.to_owned();
    }
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        lower[start..].find("</title>").map(|length| text[start..start + length].trim())
    });
    title.map_or_else(|| PAGE.to_owned(), |title| format!("{PAGE}: {title}"))
}

/// A text from outside, fit to be shown: no control characters, no credential,
/// at most 512 bytes. Control characters go first, lest one inside a credential
/// hides it.
#[must_use]
pub fn clean(text: &str, secrets: &[&Secret]) -> String {
    let seen = &text[..text.floor_char_boundary(MAX_SEEN)];
    let spaced = seen.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c });
    let mut text: String = spaced.filter(|c| !c.is_control()).collect();
    for secret in secrets {
        text = secret.redact(&text);
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The class of a response with this status and body; of a 200, of the error
    /// hidden in it.
    pub fn class(table: Table, status: u16, body: &str) -> FailureClass {
        if status == 200 {
            return hidden_error(table, body, &[]).class;
        }
        let (headers, now) = (HeaderMap::new(), Duration::ZERO);
        error_reply(table, status, &headers, body.as_bytes(), now, &[]).class
    }

    /// Checks the rows of a file, each a status, a class and a body.
    pub fn check_rows(table: Table, file: &str, at_least: usize) {
        let rows = file.lines().filter(|row| !row.is_empty() && !row.starts_with('#'));
        let mut seen = 0;
        for row in rows {
            let (status, rest) = row.split_once(' ').unwrap();
            let (expected, body) = rest.split_once(' ').unwrap_or((rest, ""));
            let class = class(table, status.parse().unwrap(), body);
            assert_eq!(class.label(), expected, "{row}");
            seen += 1;
        }
        assert!(seen >= at_least, "{seen}");
    }

    fn message(body: &str) -> (String, String) {
        let facts = Facts::of_body(body.as_bytes());
        let reply = facts.reply(400, FailureClass::Unknown, None, &[]);
        (reply.code, reply.message)
    }

    #[test]
    fn bodies_of_every_shape() {
        let check = |body: &str, code: &str, text: &str| {
            assert_eq!(message(body), (code.to_owned(), text.to_owned()), "{body}");
        };
        check(r#"{"error":{"message":"m","type":"t","code":"c"}}"#, "c", "m");
        check(r#"{"error":{"message":"m","type":"t","code":null}}"#, "t", "m");
        check(r#"{"error":{"message":"m","code":400}}"#, "400", "m");
        check(r#"{"error":"m"}"#, "", "m");
        check(r#"[{"error":{"message":"m","status":"X","code":400}}]"#, "400", "m");
        check(r#"{"object":"error","message":"m","type":"t","code":400}"#, "400", "m");
        check(r#"{"detail":"m"}"#, "", "m");
        check(r#"{"detail":[{"loc":["body"],"msg":"m","type":"missing"}]}"#, "missing", "m");
        check(
            r#"{"message":{"detail":[{"msg":"m","type":"extra_forbidden"}]}}"#,
            "extra_forbidden",
            "m",
        );
        check(
            r#"{"error":{"message":"{\"error\":{\"message\":\"m\",\"code\":\"c\"}}"}}"#,
            "c",
            "m",
        );
        check(r#"{"error":"{\"message\":\"m\"}"}"#, "", "m");
        check(r#""m""#, "", "m");
        check("upstream connect error", "", "upstream connect error");
        check("<html><head><title>502 Bad Gateway</title>", "", "an HTML page: 502 Bad Gateway");
        check("<!doctype html>", "", "an HTML page");
        check(
            "<?xml version=\"1.0\"?><Error>x</Error>",
            "",
            "<?xml version=\"1.0\"?><Error>x</Error>",
        );
        check("<?xml version=\"1.0\"?><html><title>T</title>", "", "an HTML page: T");
        check("\u{feff}{\"error\":\"m\"}", "", "m");
        check("", "", "");
        check("{\"error\":", "", "{\"error\":");
        check("7", "", "");
    }

    /// What something on the way says is not the API's word about the request.
    #[test]
    fn a_page_blames_nobody() {
        const RULES: &[Rule] = &[says(&[], "too large", FailureClass::ContextLength)];
        let table = Table { rules: RULES, without_status: &[] };
        let check = |status, expected| {
            let page = "<html><head><title>Entity Too Large</title></head></html>";
            assert_eq!(class(table, status, page), expected, "{status}");
        };
        for status in [400, 401, 403, 404, 405, 413, 414, 418, 422, 501] {
            check(status, FailureClass::Unknown);
        }
        check(429, FailureClass::RateLimited);
        check(408, FailureClass::Timeout);
        check(502, FailureClass::ServerError);
        check(503, FailureClass::Overloaded);
        assert_eq!(class(table, 413, "too large"), FailureClass::ContextLength);
    }

    #[test]
    fn what_is_shown_is_clean() {
        let key = Secret::new("sk-secret");
        assert_eq!(clean("a\x1b[31m\n\u{9b}b", &[]), "a[31m b");
        assert_eq!(clean("key sk-sec\0ret!", &[&key]), "key [redacted]!");
        let long = "é".repeat(600);
        assert_eq!(clean(&long, &[]).len(), MAX_TEXT);
        let body = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(10 << 20));
        assert!(message(&body).1.len() <= MAX_TEXT);
    }

    proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..200), near in "[\\{\\}\\[\\]\":,]{0,20}(\"(error|detail|message|code|details)\":[\\{\\[\"]{0,2}){0,6}") {
            let _ = Facts::of_body(&body);
            let _ = Facts::of_body(near.as_bytes());
        }
    }
}
