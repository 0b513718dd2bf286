//! Which providers the environment has keys for.

use super::super::reader::Environment;
use super::super::values::any_name;
use crate::dialect::ProviderDialect;

/// A provider that is looked for.
#[derive(PartialEq, Eq, Debug)]
pub struct Known {
    pub name: &'static str,
    pub dialect: ProviderDialect,
    /// Variables that may hold its key; the first that is set counts. None: it
    /// needs no key.
    pub keys: &'static [&'static str],
    /// Variables that may say where it is instead.
    pub urls: &'static [&'static str],
    /// Where it is; empty where every customer has another host.
    pub base_url: &'static str,
}

/// In the order in which one stands in for another.
pub const KNOWN: [Known; 11] = [
    known("openai", "https://api.openai.com/v1", &["OPENAI_API_KEY"], &["OPENAI_BASE_URL"]),
    Known {
        dialect: ProviderDialect::Anthropic,
        ..known(
            "anthropic",
            "https://api.anthropic.com/v1",
            &["ANTHROPIC_API_KEY"],
            &["ANTHROPIC_BASE_URL"],
        )
    },
    Known {
        dialect: ProviderDialect::Gemini,
        ..known(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
            &["GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL"],
        )
    },
    known("deepseek", "https://api.deepseek.com/v1", &["DEEPSEEK_API_KEY"], &["DEEPSEEK_BASE_URL"]),
    known("mistral", "https://api.mistral.ai/v1", &["MISTRAL_API_KEY"], &["MISTRAL_BASE_URL"]),
    known("groq", "https://api.groq.com/openai/v1", &["GROQ_API_KEY"], &["GROQ_BASE_URL"]),
    known("together", "https://api.together.xyz/v1", &["TOGETHER_API_KEY"], &["TOGETHER_BASE_URL"]),
    known(
        "openrouter",
        "https://openrouter.ai/api/v1",
        &["OPENROUTER_API_KEY"],
        &["OPENROUTER_BASE_URL"],
    ),
    known("xai", "https://api.x.ai/v1", &["XAI_API_KEY"], &["XAI_BASE_URL"]),
    Known {
        dialect: ProviderDialect::Azure,
        ..known(
            AZURE,
            "",
            &["AZURE_OPENAI_API_KEY"],
            &["AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_BASE_URL"],
        )
    },
    known(OLLAMA, "", &[], &["OLLAMA_BASE_URL", "OLLAMA_HOST"]),
];

const AZURE: &str = "azure";
pub(super) const OLLAMA: &str = "ollama";

const DEPLOYMENTS: [&str; 2] = ["AZURE_OPENAI_DEPLOYMENTS", "AZURE_OPENAI_DEPLOYMENT"];
const API_VERSIONS: [&str; 2] = ["OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION"];

/// A list of models is cut here: each becomes a route.
const MOST_MODELS: usize = 100;

const fn known(
    name: &'static str,
    base_url: &'static str,
    keys: &'static [&'static str],
    urls: &'static [&'static str],
) -> Known {
    Known { name, dialect: ProviderDialect::OpenAi, keys, urls, base_url }
}

/// A local Ollama that answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ollama {
    pub models: Vec<String>,
}

/// A provider that can be called.
#[derive(PartialEq, Eq, Debug)]
pub struct FoundProvider {
    pub known: &'static Known,
    /// The variable with its key.
    pub key: Option<&'static str>,
    pub base_url: String,
    /// The variable that says where it is, if it is not where it usually is.
    pub url_from: Option<&'static str>,
    pub api_version: Option<String>,
    /// What it serves, where the catalog cannot know: deployments, local models.
    pub models: Vec<String>,
}

/// Where the gateway's own listeners are, and what they ask for, by variables.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Doors {
    pub listen: Option<String>,
    pub admin_listen: Option<String>,
    /// Whether clients and operators must present the keys in [`CLIENT_KEY`] and
    /// [`ADMIN_TOKEN`].
    pub client_key: bool,
    pub admin_token: bool,
}

pub const LISTEN: &str = "BACKSTAY_LISTEN";
pub const ADMIN_LISTEN: &str = "BACKSTAY_ADMIN_LISTEN";
pub const CLIENT_KEY: &str = "BACKSTAY_CLIENT_KEY";
pub const ADMIN_TOKEN: &str = "BACKSTAY_ADMIN_TOKEN";

impl Doors {
    fn look(env: Environment<'_>) -> Self {
        let set = |name| first_set(env, &[name]).map(|(_, value)| value);
        Self {
            listen: set(LISTEN),
            admin_listen: set(ADMIN_LISTEN),
            client_key: set(CLIENT_KEY).is_some(),
            admin_token: set(ADMIN_TOKEN).is_some(),
        }
    }
}

/// What the environment has.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Found {
    pub doors: Doors,
    pub providers: Vec<FoundProvider>,
    /// What was found and cannot be used, and what is missing for it.
    pub notes: Vec<String>,
}

impl Found {
    /// Looks for the known providers' variables; an empty one counts as unset.
    #[must_use]
    pub fn look(env: Environment<'_>, ollama: Option<&Ollama>) -> Self {
        let mut found = Self { doors: Doors::look(env), ..Self::default() };
        for known in &KNOWN {
            match (known.name, ollama) {
                (OLLAMA, None) => {}
                (OLLAMA, Some(ollama)) => found.add_ollama(known, env, ollama),
                (AZURE, _) => found.add_azure(known, env),
                (_, _) => found.add_hosted(known, env),
            }
        }
        found
    }

    fn add_hosted(&mut self, known: &'static Known, env: Environment<'_>) {
        let Some((key, _)) = first_set(env, known.keys) else { return };
        let redirected = first_set(env, known.urls);
        self.providers.push(FoundProvider {
            known,
            key: Some(key),
            base_url: match &redirected {
                Some((_, url)) => completed(url, known),
                None => known.base_url.to_owned(),
            },
            url_from: redirected.map(|(variable, _)| variable),
            api_version: None,
            models: Vec::new(),
        });
    }

    fn add_azure(&mut self, known: &'static Known, env: Environment<'_>) {
        let Some((key, _)) = first_set(env, known.keys) else { return };
        let deployments = first_set(env, &DEPLOYMENTS).map(|(_, list)| list).unwrap_or_default();
        let models = names(deployments.split(','));
        let Some((variable, url)) = first_set(env, known.urls) else {
            self.notes.push(format!("{key} is set, but not {}: azure is left out", known.urls[0]));
            return;
        };
        if models.is_empty() {
            let missing = DEPLOYMENTS[0];
            self.notes.push(format!("{key} is set, but not {missing}: azure is left out"));
            return;
        }
        self.providers.push(FoundProvider {
            known,
            key: Some(key),
            base_url: url.trim_end_matches('/').to_owned(),
            url_from: Some(variable),
            api_version: first_set(env, &API_VERSIONS).map(|(_, version)| version),
            models,
        });
    }

    fn add_ollama(&mut self, known: &'static Known, env: Environment<'_>, ollama: &Ollama) {
        let models = names(ollama.models.iter().map(String::as_str));
        let base_url = format!("{}/v1", ollama_url(env));
        if models.is_empty() {
            self.notes.push(format!("Ollama at {base_url} has no model: it is left out"));
            return;
        }
        self.providers.push(FoundProvider {
            known,
            key: None,
            base_url,
            url_from: first_set(env, known.urls).map(|(variable, _)| variable),
            api_version: None,
            models,
        });
    }
}

/// Where a local Ollama would be: `OLLAMA_HOST` as Ollama reads it, without a
/// path.
#[must_use]
pub fn ollama_url(env: Environment<'_>) -> String {
    const USUAL_PORT: &str = ":11434";
    let written = first_set(env, &["OLLAMA_BASE_URL", "OLLAMA_HOST"]);
    let written = written.map_or_else(|| "127.0.0.1".to_owned(), |(_, url)| url);
    let (scheme, rest) = written.split_once("://").unwrap_or(("", &written));
    let rest = rest.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches('/');
    let port_at = rest.rfind(':').filter(|at| !rest[*at..].contains(']'));
    let (host, port) = port_at.map_or((rest, ""), |at| rest.split_at(at));
    // What a server listens on everywhere, a client reaches here.
    let host = if matches!(host, "" | "0.0.0.0" | "[::]") { "127.0.0.1" } else { host };
    match (scheme, port) {
        ("", "") => format!("http://{host}{USUAL_PORT}"),
        ("", port) => format!("http://{host}{port}"),
        (scheme, port) => format!("{scheme}://{host}{port}"),
    }
}

/// The first of these variables that has a value.
fn first_set(env: Environment<'_>, variables: &[&'static str]) -> Option<(&'static str, String)> {
    variables.iter().find_map(|variable| {
        let value = env(variable)?.to_string_lossy().trim().to_owned();
        (!value.is_empty()).then_some((*variable, value))
    })
}

/// A URL as SDKs take it, as a configuration has it: with the version that some
/// leave out.
fn completed(written: &str, known: &Known) -> String {
    let url = written.trim_end_matches('/');
    let path = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.find('/').map(|at| rest[at..].to_owned())
    };
    let Some(own) = path(url) else {
        return format!("{url}{}", path(known.base_url).unwrap_or_default());
    };
    let last = own.rsplit('/').next().unwrap_or_default();
    match known.dialect {
        ProviderDialect::Anthropic if last != "v1" => format!("{url}/v1"),
        ProviderDialect::Gemini if !last.starts_with("v1") => format!("{url}/v1beta"),
        ProviderDialect::Anthropic
        | ProviderDialect::Gemini
        | ProviderDialect::OpenAi
        | ProviderDialect::Responses
        | ProviderDialect::Azure => url.to_owned(),
    }
}

/// Names that a route can have, each once.
fn names<'n>(written: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in written.filter_map(|name| any_name(name.trim()).ok()) {
        if names.len() < MOST_MODELS && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
