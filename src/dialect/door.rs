//! What a client's path asks for: the doors of every dialect, as its SDKs find
//! them when only their base URL is changed (wire formats §2.6). Must not know
//! who may come in.

use http::{HeaderMap, Method};

use super::Dialect;
use super::request::{Address, Task};
use super::writer::Framing;

/// What a request asks for, by its method, path and query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Door {
    Task {
        dialect: Dialect,
        task: Task,
        address: Address,
    },
    /// The list of models.
    Models(Dialect),
    /// One model of that name.
    Model(Dialect, String),
    /// Some clients look whether anyone is there.
    Root,
}

/// Why no door opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    NoSuchPath,
    /// The path takes this method.
    Method(&'static str),
}

/// Finds the door. The headers tell whose list of models is wanted: three
/// dialects have it at the same path.
pub fn door(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Door, Closed> {
    if path == "/" || path.is_empty() {
        return reading(method).map(|()| Door::Root);
    }
    let path = path.trim_end_matches('/');
    let (versioned, beta) = unversioned(path);
    if let Some(found) = gemini(versioned, query) {
        return posting(method).map(|()| found);
    }
    if let Some((dialect, task, model)) = fixed(versioned) {
        let address = Address { model, ..Address::default() };
        return posting(method).map(|()| Door::Task { dialect, task, address });
    }
    let lister = lister(beta, headers);
    if versioned == "/models" {
        return reading(method).map(|()| Door::Models(lister));
    }
    if let Some(name) = versioned.strip_prefix("/models/") {
        return reading(method).map(|()| Door::Model(lister, decoded(name)));
    }
    Err(Closed::NoSuchPath)
}

/// The dialect a path belongs to, as far as it can be told: in which an error
/// about it is written.
#[must_use]
pub fn dialect_of(path: &str, headers: &HeaderMap) -> Dialect {
    let (path, beta) = unversioned(path);
    if path.starts_with("/messages") {
        Dialect::Anthropic
    } else if path.starts_with("/responses") {
        Dialect::Responses
    } else if beta || path.rsplit_once("/models/").is_some_and(|(_, name)| name.contains(':')) {
        // `/models/NAME:VERB`, also behind what Vertex puts before it.
        Dialect::Gemini
    } else if path.starts_with("/models") {
        lister(beta, headers)
    } else {
        Dialect::OpenAi
    }
}

fn reading(method: &Method) -> Result<(), Closed> {
    let reads = *method == Method::GET || *method == Method::HEAD;
    if reads { Ok(()) } else { Err(Closed::Method("GET")) }
}

fn posting(method: &Method) -> Result<(), Closed> {
    if *method == Method::POST { Ok(()) } else { Err(Closed::Method("POST")) }
}

/// The path without its version, and whether that was Gemini's.
fn unversioned(path: &str) -> (&str, bool) {
    let cut = |prefix| path.strip_prefix(prefix).filter(|rest: &&str| rest.starts_with('/'));
    let gemini = cut("/v1beta").or_else(|| cut("/v1alpha"));
    match (gemini, cut("/v1"), cut("/openai/v1"), cut("/openai")) {
        (Some(rest), ..) => (rest, true),
        (None, Some(rest), ..) | (None, None, Some(rest), _) => (rest, false),
        (None, None, None, Some(rest)) if rest.starts_with("/deployments/") => (rest, false),
        (None, None, None, _) => (path, false),
    }
}

fn lister(beta: bool, headers: &HeaderMap) -> Dialect {
    if beta || headers.contains_key("x-goog-api-key") || headers.contains_key("x-goog-api-client") {
        Dialect::Gemini
    } else if headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

/// Dialect, task and, in Azure's paths, the deployment.
fn fixed(path: &str) -> Option<(Dialect, Task, Option<String>)> {
    let (path, deployment) = match path.strip_prefix("/deployments/") {
        Some(rest) => {
            let (name, rest) = rest.split_once('/')?;
            (rest, Some(decoded(name)))
        }
        None => (path.strip_prefix('/')?, None),
    };
    let (dialect, task) = match path {
        "chat/completions" => (Dialect::OpenAi, Task::Generate),
        "embeddings" => (Dialect::OpenAi, Task::Embed),
        "responses" => (Dialect::Responses, Task::Generate),
        "messages" => (Dialect::Anthropic, Task::Generate),
        "messages/count_tokens" => (Dialect::Anthropic, Task::CountTokens),
        _ => return None,
    };
    Some((dialect, task, deployment))
}

/// `/models/NAME:VERB`; names may hold slashes and colons, so the last one counts.
fn gemini(path: &str, query: Option<&str>) -> Option<Door> {
    let (name, verb) = path.strip_prefix("/models/")?.rsplit_once(':')?;
    let (task, stream) = match verb {
        "generateContent" => (Task::Generate, false),
        "streamGenerateContent" => (Task::Generate, true),
        "embedContent" => (Task::Embed, false),
        "batchEmbedContents" => (Task::EmbedBatch, false),
        "countTokens" => (Task::CountTokens, false),
        _ => return None,
    };
    let sse = query_value(query, "alt").is_some_and(|alt| alt == "sse");
    let framing = if stream && !sse { Framing::Array } else { Framing::Sse };
    let address = Address { model: Some(decoded(name)), stream, framing };
    Some(Door::Task { dialect: Dialect::Gemini, task, address })
}

/// The value of a parameter in a query, decoded.
#[must_use]
pub fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next()
}

/// Percent signs decoded; what is no UTF-8 after that is left as it was.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| byte == b'%');
        let value = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(value) = value.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(value);
            rest = &tail[2..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sdk_finds_its_door() {
        let check = |path: &str, dialect, task, model: Option<&str>, stream, framing| {
            let (path, query) =
                path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
            let address = Address { model: model.map(str::to_owned), stream, framing };
            let expected = Door::Task { dialect, task, address };
            let found = door(&Method::POST, path, query, &HeaderMap::new());
            assert_eq!(found, Ok(expected), "{path}");
        };
        let plain =
            |path: &str, dialect, task| check(path, dialect, task, None, false, Framing::Sse);
        plain("/v1/chat/completions", Dialect::OpenAi, Task::Generate);
        plain("/v1/chat/completions/", Dialect::OpenAi, Task::Generate);
        plain("/openai/v1/chat/completions", Dialect::OpenAi, Task::Generate);
        plain("/v1/embeddings", Dialect::OpenAi, Task::Embed);
        plain("/v1/responses", Dialect::Responses, Task::Generate);
        plain("/v1/messages?beta=true", Dialect::Anthropic, Task::Generate);
        plain("/v1/messages/count_tokens?beta=true", Dialect::Anthropic, Task::CountTokens);
        let azure = "/openai/deployments/gpt%2D5/chat/completions?api-version=2024-10-21";
        check(azure, Dialect::OpenAi, Task::Generate, Some("gpt-5"), false, Framing::Sse);
        let gemini = |path: &str, task, model, stream, framing| {
            check(path, Dialect::Gemini, task, Some(model), stream, framing);
        };
        gemini("/v1/models/g:generateContent", Task::Generate, "g", false, Framing::Sse);
        gemini("/models/g:generateContent", Task::Generate, "g", false, Framing::Sse);
        let stream = "/v1beta/models/a/b:c:streamGenerateContent";
        gemini(stream, Task::Generate, "a/b:c", true, Framing::Array);
        gemini(&format!("{stream}?key=x&alt=sse"), Task::Generate, "a/b:c", true, Framing::Sse);
        gemini("/v1beta/models/g:batchEmbedContents", Task::EmbedBatch, "g", false, Framing::Sse);
        gemini("/v1alpha/models/g:generateContent", Task::Generate, "g", false, Framing::Sse);
        gemini("/v1beta/models/g:countTokens", Task::CountTokens, "g", false, Framing::Sse);
    }

    #[test]
    fn lists_of_models_are_told_apart_by_headers() {
        let check = |path: &str, header: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header, http::HeaderValue::from_static("x"));
            assert_eq!(door(&Method::GET, path, None, &headers), Ok(expected), "{path} {header}");
        };
        check("/v1/models", "x-other", Door::Models(Dialect::OpenAi));
        check("/v1/models", "anthropic-version", Door::Models(Dialect::Anthropic));
        check("/v1/models", "x-goog-api-key", Door::Models(Dialect::Gemini));
        check("/v1beta/models", "x-other", Door::Models(Dialect::Gemini));
        check("/v1alpha/models", "x-other", Door::Models(Dialect::Gemini));
        check("/v1/models/a/b", "x-other", Door::Model(Dialect::OpenAi, "a/b".to_owned()));
        check("/", "x-other", Door::Root);
    }

    #[test]
    fn closed_doors_say_why() {
        let check = |method: Method, path: &str, expected| {
            assert_eq!(door(&method, path, None, &HeaderMap::new()), Err(expected), "{path}");
        };
        check(Method::GET, "/v1/messages", Closed::Method("POST"));
        check(Method::GET, "/v1/models/g:generateContent", Closed::Method("POST"));
        check(Method::POST, "/v1/models", Closed::Method("GET"));
        check(Method::POST, "/v2/messages", Closed::NoSuchPath);
        check(Method::POST, "/v1", Closed::NoSuchPath);
        check(Method::POST, "/v1/models/g:dance", Closed::Method("GET"));
    }

    #[test]
    fn errors_are_in_the_words_of_their_path() {
        let check = |path: &str, expected| {
            assert_eq!(dialect_of(path, &HeaderMap::new()), expected, "{path}");
        };
        check("/v1/messages/batches", Dialect::Anthropic);
        check("/v1/responses/resp_1", Dialect::Responses);
        check("/v1/audio/speech", Dialect::OpenAi);
        check("/v1/models/g", Dialect::OpenAi);
        check("/v1/models/g:dance", Dialect::Gemini);
        check("/v1beta/files", Dialect::Gemini);
        check("/v1alpha/auth_tokens", Dialect::Gemini);
        let vertex = "projects/p/locations/l/publishers/google/models/g:generateContent";
        check(&format!("/v1beta1/{vertex}"), Dialect::Gemini);
        check(&format!("/v1/{vertex}"), Dialect::Gemini);
    }

    #[test]
    fn queries_are_decoded() {
        assert_eq!(query_value(Some("a=1&key=x%2By%zz"), "key").as_deref(), Some("x+y%zz"));
        assert_eq!(query_value(Some("key"), "key").as_deref(), Some(""));
        assert_eq!(query_value(None, "key"), None);
    }
}
