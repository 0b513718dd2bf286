//! Which headers pass between client and provider, in both directions: allow
//! lists, since what is not known may be a credential or may name the account.
//! Must not know which target is called.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::Dialect;
use crate::secret::Secret;

const OWN_USER_AGENT: &str = concat!("backstay/", env!("CARGO_PKG_VERSION"));

/// The client's user agent is passed on up to this length.
const MAX_USER_AGENT: usize = 256;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// From client to provider of the same dialect. Session names let a provider
/// find its prompt cache.
const OPENAI: &[&str] = &["openai-beta", "x-client-request-id", "session-id", "thread-id"];
const ANTHROPIC: &[&str] = &["anthropic-version", "anthropic-beta", "x-client-request-id"];
const GEMINI: &[&str] = &["x-goog-api-client"];

/// The version of requests the gateway writes itself, and of clients that name
/// none. Later ones refuse sampling parameters for all models.
const ANTHROPIC_VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// What providers call the id of a request.
const REQUEST_IDS: [&str; 4] = ["x-request-id", "request-id", "apim-request-id", "x-generation-id"];

/// From provider to client. Rate limits are those of a key the client does not
/// have, so they stay here.
const RESPONSE: [&str; 7] = [
    "content-type",
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-generation-id",
    "openai-processing-ms",
    "openai-version",
];

/// The headers of a request to a provider, without its credential. A key for
/// idempotency is kept only for the provider it was first sent to: to another
/// it means nothing, or something else.
#[must_use]
pub fn forward_request_headers(
    client: &HeaderMap,
    (from, to): (Dialect, Dialect),
    keep_idempotency_key: bool,
) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(8);
    let idempotency = keep_idempotency_key.then_some(IDEMPOTENCY_KEY);
    let known = match to {
        _ if from != to => &[],
        Dialect::OpenAi | Dialect::Responses => OPENAI,
        Dialect::Anthropic => ANTHROPIC,
        Dialect::Gemini => GEMINI,
    };
    for name in known.iter().copied().chain(idempotency) {
        copy(client, &mut out, name);
    }
    if to == Dialect::Anthropic && !out.contains_key(ANTHROPIC_VERSION.0) {
        let (name, version) = ANTHROPIC_VERSION;
        out.insert(HeaderName::from_static(name), HeaderValue::from_static(version));
    }
    out.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Frames are looked at as they pass, so they must not be compressed.
    out.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    out.insert(USER_AGENT, user_agent(client));
    out
}

fn user_agent(client: &HeaderMap) -> HeaderValue {
    let theirs = client.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let theirs = &theirs[..theirs.floor_char_boundary(MAX_USER_AGENT)];
    let both = format!("{OWN_USER_AGENT} {theirs}");
    HeaderValue::from_str(both.trim_end()).unwrap_or(HeaderValue::from_static(OWN_USER_AGENT))
}

/// The headers of a provider's response that the client gets. A value in which
/// a credential is echoed is left out.
#[must_use]
pub fn forward_response_headers(upstream: &HeaderMap, secrets: &[&Secret]) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(8);
    for name in RESPONSE {
        copy(upstream, &mut out, name);
    }
    let echoed: Vec<HeaderName> = out
        .iter()
        .filter(|(_, value)| secrets.iter().any(|secret| holds(value, secret)))
        .map(|(name, _)| name.clone())
        .collect();
    for name in echoed {
        out.remove(name);
    }
    out
}

/// A provider's id of the request, under the name that SDKs of the client's
/// dialect read it by.
pub fn name_request_id(headers: &mut HeaderMap, client: Dialect) {
    let native = match client {
        Dialect::OpenAi | Dialect::Responses => "x-request-id",
        Dialect::Anthropic => "request-id",
        Dialect::Gemini => return,
    };
    let known = REQUEST_IDS.iter().find_map(|name| headers.get(*name).cloned());
    if let (Some(id), false) = (known, headers.contains_key(native)) {
        headers.insert(HeaderName::from_static(native), id);
    }
}

/// Shorter keys are placeholders (`x`, `ollama`), which any value may hold.
const LEAST_SECRET: usize = 8;

fn holds(value: &HeaderValue, secret: &Secret) -> bool {
    let key = secret.expose().as_bytes();
    key.len() >= LEAST_SECRET && memchr::memmem::find(value.as_bytes(), key).is_some()
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, name: &'static str) {
    if let Some(value) = from.get(name) {
        to.insert(HeaderName::from_static(name), value.clone());
    }
}

/// A header that is nothing but a key, marked so that no HTTP library prints it.
/// `None` for a key that cannot stand in a header.
#[must_use]
pub fn plain_key(name: &'static str, key: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(key.expose()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_static(name), value))
}

/// `Authorization: Bearer …`, marked so that no HTTP library prints it. `None`
/// for a key that cannot stand in a header.
#[must_use]
pub fn bearer(key: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose())).ok()?;
    value.set_sensitive(true);
    Some((AUTHORIZATION, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::hints::headers;

    fn shown(map: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = map
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_provider_sees_little_of_the_client() {
        let client = headers(&[
            ("authorization", "Bearer client"),
            ("api-key", "client"),
            ("cookie", "a=b"),
            ("content-length", "3"),
            ("openai-beta", "x=1"),
            ("openai-organization", "org"),
            ("x-backstay-trace", "t"),
            ("x-stainless-retry-count", "1"),
            ("x-client-request-id", "r"),
            ("idempotency-key", "i"),
            ("user-agent", "OpenAI/Python 3"),
        ]);
        let own = format!("user-agent: {OWN_USER_AGENT} OpenAI/Python 3");
        let mut expected = vec![
            "accept-encoding: identity",
            "content-type: application/json",
            "openai-beta: x=1",
            &own,
            "x-client-request-id: r",
        ];
        let same = (Dialect::OpenAi, Dialect::OpenAi);
        assert_eq!(shown(&forward_request_headers(&client, same, false)), expected);
        expected.insert(2, "idempotency-key: i");
        assert_eq!(shown(&forward_request_headers(&client, same, true)), expected);
        let across = (Dialect::OpenAi, Dialect::Anthropic);
        let expected = [
            "accept-encoding: identity",
            "anthropic-version: 2023-06-01",
            "content-type: application/json",
            &own,
        ];
        assert_eq!(shown(&forward_request_headers(&client, across, false)), expected);
    }

    #[test]
    fn a_request_s_id_has_the_client_s_name_too() {
        let mut seen = headers(&[("request-id", "r1")]);
        name_request_id(&mut seen, Dialect::OpenAi);
        assert_eq!(shown(&seen), ["request-id: r1", "x-request-id: r1"]);
        name_request_id(&mut seen, Dialect::Gemini);
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn anthropic_s_version_and_betas_travel() {
        let client = headers(&[("anthropic-version", "2026-10-21"), ("anthropic-beta", "a,b")]);
        let seen =
            forward_request_headers(&client, (Dialect::Anthropic, Dialect::Anthropic), false);
        assert_eq!(seen["anthropic-version"], "2026-10-21");
        assert_eq!(seen["anthropic-beta"], "a,b");
        let seen = forward_request_headers(&client, (Dialect::Anthropic, Dialect::Gemini), false);
        assert!(!seen.contains_key("anthropic-beta"));
    }

    #[test]
    fn a_user_agent_of_any_kind() {
        let check = |value: &str, expected: &str| {
            let client = headers(&[("user-agent", value)]);
            assert_eq!(user_agent(&client).to_str().unwrap(), expected);
        };
        check("", OWN_USER_AGENT);
        check("\u{fc}", OWN_USER_AGENT);
        check(&"x".repeat(999), &format!("{OWN_USER_AGENT} {}", "x".repeat(MAX_USER_AGENT)));
        assert_eq!(user_agent(&HeaderMap::new()), OWN_USER_AGENT);
    }

    #[test]
    fn a_client_sees_little_of_the_provider() {
        let upstream = headers(&[
            ("content-type", "text/event-stream"),
            ("content-length", "3"),
            ("content-encoding", "gzip"),
            ("set-cookie", "a=b"),
            ("server", "x"),
            ("alt-svc", "h3"),
            ("openai-organization", "org"),
            ("openai-processing-ms", "9"),
            ("x-ratelimit-remaining-requests", "1"),
            ("x-request-id", "req sk-12345"),
        ]);
        let key = Secret::new("sk-12345");
        let expected = ["content-type: text/event-stream", "openai-processing-ms: 9"];
        assert_eq!(shown(&forward_response_headers(&upstream, &[&key])), expected);
        assert_eq!(forward_response_headers(&upstream, &[]).len(), 3);
    }

    #[test]
    fn a_credential_is_not_printed() {
        let (name, value) = bearer(&Secret::new("sk-1")).unwrap();
        assert_eq!((name, value.as_bytes()), (AUTHORIZATION, &b"Bearer sk-1"[..]));
        assert!(!format!("{value:?}").contains("sk-1"));
        assert!(bearer(&Secret::new("a\nb")).is_none());
    }
}
