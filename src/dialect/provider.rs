//! How a provider is spoken to: which dialect, at which URL, with which header
//! for its key. Owns the URLs' shapes; must not know which provider is chosen.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};

use super::Dialect;
use super::headers;
use super::request::Task;
use crate::secret::Secret;

/// A provider's `dialect` in configurations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderDialect {
    OpenAi,
    Responses,
    Anthropic,
    Gemini,
    /// `OpenAI`'s dialect at Azure's URLs.
    Azure,
}

impl ProviderDialect {
    /// Every dialect with its name in configurations.
    pub const ALL: [(&'static str, Self); 5] = [
        ("openai", Self::OpenAi),
        ("openai-responses", Self::Responses),
        ("anthropic", Self::Anthropic),
        ("gemini", Self::Gemini),
        ("azure", Self::Azure),
    ];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Azure => "azure",
        }
    }
}

/// Where a provider's API is, and how it is addressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    pub dialect: ProviderDialect,
    /// Without a slash at its end. Of Anthropic and Gemini it may leave out the
    /// version.
    pub base_url: String,
    /// Azure's `api-version`; `None` for its versionless URLs.
    pub api_version: Option<String>,
    /// An `openai` or `azure` provider that has the Responses API as well.
    pub responses: bool,
}

/// What is asked of a provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask<'a> {
    pub wire: Dialect,
    pub task: Task,
    pub model: &'a str,
    pub stream: bool,
}

impl Site {
    /// The dialect that is spoken there for a client of this one.
    #[must_use]
    pub const fn wire(&self, client: Dialect) -> Dialect {
        match self.dialect {
            ProviderDialect::OpenAi | ProviderDialect::Azure => match client {
                Dialect::Responses if self.responses => Dialect::Responses,
                Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic | Dialect::Gemini => {
                    Dialect::OpenAi
                }
            },
            ProviderDialect::Responses => Dialect::Responses,
            ProviderDialect::Anthropic => Dialect::Anthropic,
            ProviderDialect::Gemini => Dialect::Gemini,
        }
    }

    /// The URL; `None` for a task that the dialect does not have.
    #[must_use]
    pub fn url(&self, ask: Ask<'_>) -> Option<String> {
        let path = path(ask)?;
        let base = &self.base_url;
        Some(match self.dialect {
            ProviderDialect::OpenAi | ProviderDialect::Responses => format!("{base}{path}"),
            ProviderDialect::Anthropic if bare(base) => format!("{base}/v1{path}"),
            ProviderDialect::Gemini if bare(base) => format!("{base}/v1beta{path}"),
            ProviderDialect::Anthropic | ProviderDialect::Gemini => format!("{base}{path}"),
            ProviderDialect::Azure => self.azure(ask, &path),
        })
    }

    /// Azure has a deployment in the URL where an API version is given (its
    /// Responses API has none), else URLs like `OpenAI`'s.
    fn azure(&self, ask: Ask<'_>, path: &str) -> String {
        let base = self.base_url.strip_suffix("/openai").unwrap_or(&self.base_url);
        match (&self.api_version, ask.wire) {
            (Some(version), Dialect::Responses) => {
                format!("{base}/openai{path}?api-version={}", escaped(version))
            }
            (Some(version), _) => {
                let (model, version) = (escaped(ask.model), escaped(version));
                format!("{base}/openai/deployments/{model}{path}?api-version={version}")
            }
            (None, _) if base.ends_with("/openai/v1") => format!("{base}{path}"),
            (None, _) => format!("{base}/openai/v1{path}"),
        }
    }

    /// The header that carries a key; `None` for a key that cannot stand in one.
    #[must_use]
    pub fn auth_header(&self, key: &Secret) -> Option<(HeaderName, HeaderValue)> {
        match self.dialect {
            ProviderDialect::OpenAi | ProviderDialect::Responses => headers::bearer(key),
            ProviderDialect::Anthropic => headers::plain_key("x-api-key", key),
            ProviderDialect::Gemini => headers::plain_key("x-goog-api-key", key),
            ProviderDialect::Azure => headers::plain_key("api-key", key),
        }
    }
}

/// Whether a URL is a host without a path.
fn bare(base: &str) -> bool {
    base.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'))
}

fn path(ask: Ask<'_>) -> Option<String> {
    let fixed = |path: &str| Some(path.to_owned());
    match (ask.wire, ask.task) {
        (Dialect::OpenAi, Task::Generate) => fixed("/chat/completions"),
        (Dialect::OpenAi, Task::Embed) => fixed("/embeddings"),
        (Dialect::Responses, Task::Generate) => fixed("/responses"),
        (Dialect::Anthropic, Task::Generate) => fixed("/messages"),
        (Dialect::Anthropic, Task::CountTokens) => fixed("/messages/count_tokens"),
        (Dialect::Gemini, task) => Some(format!(
            "/models/{}:{}",
            escaped(ask.model.trim_start_matches("models/")),
            match task {
                Task::Generate if ask.stream => "streamGenerateContent?alt=sse",
                Task::Generate => "generateContent",
                Task::Embed => "embedContent",
                Task::EmbedBatch => "batchEmbedContents",
                Task::CountTokens => "countTokens",
            }
        )),
        (Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic, _) => None,
    }
}

/// A name as a segment of a path or a value of a query.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@:/".contains(&byte);
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use Dialect::{Anthropic, Gemini, OpenAi, Responses};
    use ProviderDialect as P;

    use super::*;

    fn site(dialect: ProviderDialect, base_url: &str, api_version: Option<&str>) -> Site {
        let api_version = api_version.map(str::to_owned);
        Site { dialect, base_url: base_url.to_owned(), api_version, responses: true }
    }

    #[test]
    fn every_provider_has_its_urls() {
        let check = |site: &Site, client, task, stream, expected: Option<&str>| {
            let wire = site.wire(client);
            let url = site.url(Ask { wire, task, model: "m/x", stream });
            assert_eq!(url.as_deref(), expected, "{site:?}");
        };
        let openai = site(P::OpenAi, "https://a/v1", None);
        check(&openai, Anthropic, Task::Generate, true, Some("https://a/v1/chat/completions"));
        check(&openai, Responses, Task::Generate, true, Some("https://a/v1/responses"));
        check(&openai, OpenAi, Task::Embed, false, Some("https://a/v1/embeddings"));
        check(&openai, Anthropic, Task::CountTokens, false, None);
        let messages = "https://a/v1/messages";
        for base in ["https://a", "https://a/v1"] {
            let anthropic = site(P::Anthropic, base, None);
            check(&anthropic, OpenAi, Task::Generate, false, Some(messages));
            let count = format!("{messages}/count_tokens");
            check(&anthropic, Anthropic, Task::CountTokens, false, Some(&count));
        }
        let gemini = site(P::Gemini, "http://h:1", None);
        let model = "http://h:1/v1beta/models/m/x";
        let check_gemini = |task, stream, verb: &str| {
            check(&gemini, Gemini, task, stream, Some(&format!("{model}:{verb}")));
        };
        check_gemini(Task::Generate, true, "streamGenerateContent?alt=sse");
        check_gemini(Task::Generate, false, "generateContent");
        check_gemini(Task::EmbedBatch, false, "batchEmbedContents");
        let azure = site(P::Azure, "https://a.azure.com", Some("2024-10-21"));
        let deployment =
            "https://a.azure.com/openai/deployments/m/x/chat/completions?api-version=2024-10-21";
        check(&azure, Gemini, Task::Generate, false, Some(deployment));
        for base in
            ["https://a.azure.com", "https://a.azure.com/openai", "https://a.azure.com/openai/v1"]
        {
            let azure = site(P::Azure, base, None);
            let url = "https://a.azure.com/openai/v1/embeddings";
            check(&azure, OpenAi, Task::Embed, false, Some(url));
        }
    }
}
